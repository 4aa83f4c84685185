"""Structured logs: one JSON object a line on standard error.

Called once at process start by every entry point. Law: a log call never raises (a full disk or a reader that is gone
costs lines, never the work that was to be logged) and never formats on the hot path; the event name is a constant,
everything else is a field.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Any, TextIO, cast

import orjson
import structlog


def _to_json(value: Any, default: Any = None, **_: Any) -> str:
    try:
        return orjson.dumps(value, default=default or str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        # A lone surrogate, a whole number of more than 64 bits: the line is worth more than the field's exact form.
        return json.dumps({str(name): repr(field) for name, field in value.items()})


class LossyFile:
    """What lines are written to: a text file whose errors are swallowed, for there is nobody left to tell them to.

    Lines go to the file descriptor at once where there is one. A line that a buffer kept because the disk was full
    would be tried again when the interpreter ends, and turn the exit status into 120.
    """

    def __init__(self, file: TextIO | None) -> None:
        """None: the process was started without this file."""
        self._file = file
        self._descriptor = _descriptor(file)

    def write(self, text: str) -> int:
        """Write `text`, or what of it can be written. Never raises."""
        try:
            if self._descriptor is not None:
                data = text.encode("utf-8", "replace")
                while data and (written := os.write(self._descriptor, data)):
                    data = data[written:]
            elif self._file is not None:
                self._file.write(text)
        except (OSError, ValueError):
            return 0
        return len(text)

    def flush(self) -> None:
        """Never raises."""
        try:
            if self._descriptor is None and self._file is not None:
                self._file.flush()
        except (OSError, ValueError):
            return


def _descriptor(file: TextIO | None) -> int | None:
    try:
        return file.fileno() if file is not None else None
    except (OSError, ValueError):
        return None  # a file in memory


def _name_component(component: str) -> structlog.typing.Processor:
    """Put the process's name into every line. Not a context variable: those are empty in other threads' callbacks."""

    def add(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event["component"] = component
        return event

    return add


def configure(*, component: str, level: str = "info", json_lines: bool = True) -> None:
    """Send structured logs to standard error, each with the component's name (`node:n1`, `router:r1`)."""
    number = logging.getLevelNamesMapping()[level.upper()]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(serializer=_to_json) if json_lines else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[
            _name_component(component),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        # One write a line: lines of processes that share a terminal do not mix.
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, LossyFile(sys.stderr))),
        cache_logger_on_first_use=True,
    )


def get_logger() -> structlog.typing.FilteringBoundLogger:
    """A logger that takes an event name and fields: `log.info("leader_elected", partition=3, term=7)`."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger
