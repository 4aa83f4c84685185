"""Structured logs: one JSON object a line on standard error.

Called once at process start by every entry point. Law: a log call never raises and never formats on the hot path; the
event name is a constant, everything else is a field.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import orjson
import structlog


def _to_json(value: Any, default: Any = None, **_: Any) -> str:
    return orjson.dumps(value, default=default or str, option=orjson.OPT_NON_STR_KEYS).decode()


def configure(*, component: str, level: str = "info", json_lines: bool = True) -> None:
    """Send structured logs to standard error, each with the component's name (`node:n1`, `router:r1`)."""
    number = logging.getLevelNamesMapping()[level.upper()]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(serializer=_to_json) if json_lines else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(component=component)


def get_logger() -> structlog.typing.FilteringBoundLogger:
    """A logger that takes an event name and fields: `log.info("leader_elected", partition=3, term=7)`."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger
