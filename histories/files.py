"""Histories as files: JSON lines, gzip when the name ends in .gz. The only I/O of this package.

Written by chaos runs while clients work, read by `trizone history check`. Law: every line is verified when it is
read; a file that says nothing of its end (a run was cut off) is loaded but is not complete; damage is refused with
its line.

The first line is the header, then one call a line with what is not the default, then a line with the number of calls.
"""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import IO, Any, cast

import orjson

from histories.records import Action, Call

FORMAT = 1
_MARK = "trizone_history"
# Calls that a writer keeps before it writes them.
BUFFERED_CALLS_MAX = 1000
# A longer line is not read: a file that is something else must not fill the memory.
LINE_BYTES_MAX = 16 << 20

_ACTIONS = {action.value: action for action in Action}
_NAMES = tuple(one.name for one in fields(Call))
_DEFAULTS = {one.name: one.default for one in fields(Call)}
_REQUIRED = frozenset(("key", "action", "invoked_at"))
_TEXTS = frozenset(("key", "client", "router_az", "served_by", "served_az"))
_TEXTS_OR_NOTHING = frozenset(("value", "expected", "observed"))
_TRUTHS = frozenset(("sees_old", "sees_new", "failed", "is_strong"))


class HistoryError(ValueError):
    """A file is not a history, or is damaged; the text says in which line and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Whence a history is. `totals` names the keys that are banks, with their total."""

    seed: int | None = None
    scenario: str = ""
    command: str = ""
    totals: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A loaded file; `is_complete` is whether its writer was closed."""

    header: Header
    calls: list[Call]
    is_complete: bool


class HistoryWriter:
    """Writes calls while they are made; use it as a context manager, or call `close`.

    Raises OSError from `add` and `close` when the file cannot be written.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self.calls = 0
        self._lines: list[bytes] = []
        self._file = _open(path, "wb")
        first = {
            _MARK: FORMAT,
            "seed": header.seed,
            "scenario": header.scenario,
            "command": header.command,
            "totals": dict(header.totals),
        }
        self._lines.append(orjson.dumps(first))

    def add(self, call: Call) -> None:
        """Write the call, now or with later ones; it must not change any more."""
        self.calls += 1
        self._lines.append(encode(call))
        if len(self._lines) >= BUFFERED_CALLS_MAX:
            self._flush()

    def close(self) -> None:
        """Write what is left and the end."""
        self._lines.append(orjson.dumps({"calls": self.calls}))
        try:
            self._flush()
        finally:
            self._file.close()

    def _flush(self) -> None:
        lines, self._lines = self._lines, []
        self._file.write(b"\n".join(lines) + b"\n")

    def __enter__(self) -> HistoryWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self.close()
            return
        # The run failed: keep what there is, without an end.
        try:
            self._flush()
        finally:
            self._file.close()


def save(path: Path, header: Header, calls: Iterable[Call]) -> None:
    """Write a whole history."""
    with HistoryWriter(path, header) as writer:
        for call in calls:
            writer.add(call)


def load(path: Path) -> History:
    """Read and verify a history. Raises HistoryError, and OSError when there is no such file."""
    header: Header | None = None
    calls: list[Call] = []
    is_complete = False
    number = 0
    try:
        with _open(path, "rb") as file:
            while line := file.readline(LINE_BYTES_MAX):
                number += 1
                if is_complete:
                    raise HistoryError("there is something after the end")
                if not line.endswith(b"\n"):
                    raise HistoryError("the line is cut off, or longer than LINE_BYTES_MAX")
                document = orjson.loads(line)
                if not isinstance(document, dict):
                    raise HistoryError("not a JSON object")
                if header is None:
                    header = _header(document)
                elif "calls" in document:
                    is_complete = _is_end(document, len(calls))
                else:
                    calls.append(decode(document))
    except (HistoryError, orjson.JSONDecodeError) as error:
        raise HistoryError(f"{path}, line {number}: {error}") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise HistoryError(f"{path}, after line {number}: the compressed data is damaged: {error}") from error
    if header is None:
        raise HistoryError(f"{path}: the file is empty")
    return History(header=header, calls=calls, is_complete=is_complete)


def encode(call: Call) -> bytes:
    """The line of a call, without its end."""
    document: dict[str, Any] = {}
    for name in _NAMES:
        value = getattr(call, name)
        if name == "action":
            document[name] = value.value
        elif value != _DEFAULTS[name]:
            document[name] = value
    return orjson.dumps(document)


def decode(document: Mapping[str, Any]) -> Call:
    """The call in a line's object; raises HistoryError."""
    missing = _REQUIRED - document.keys()
    if missing:
        raise HistoryError(f"a call without {', '.join(sorted(missing))}")
    for name, value in document.items():
        _check(name, value)
    call = Call(**{**document, "action": _ACTIONS[document["action"]]})
    if call.returned_at < call.invoked_at:
        raise HistoryError(f"the call returned at {call.returned_at}, before it was invoked at {call.invoked_at}")
    if call.is_open and (call.failed or call.observed is not None):
        raise HistoryError("the call never returned, but has an answer")
    if call.action in (Action.PUT, Action.SWAP_IF, Action.APPEND, Action.INSERT) and call.value is None:
        raise HistoryError(f"a {call.action.value} without a value")
    return call


def _check(name: str, value: object) -> None:
    if name in _TEXTS:
        fits = isinstance(value, str)
    elif name in _TEXTS_OR_NOTHING:
        fits = value is None or isinstance(value, str)
    elif name in _TRUTHS:
        fits = isinstance(value, bool)
    elif name == "action":
        fits = isinstance(value, str) and value in _ACTIONS
    elif name in ("invoked_at", "returned_at"):
        fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    else:
        raise HistoryError(f"a call has no {name!r}")
    if not fits:
        raise HistoryError(f"{name} cannot be {value!r}")


def _header(document: Mapping[str, Any]) -> Header:
    version = document.get(_MARK)
    if version is None:
        raise HistoryError(f"not a history: the first line has no {_MARK!r}")
    if version != FORMAT:
        raise HistoryError(f"a history of format {version}; this program reads format {FORMAT}")
    seed, totals = document.get("seed"), document.get("totals", {})
    is_sound = (
        (seed is None or isinstance(seed, int))
        and isinstance(totals, dict)
        and all(isinstance(total, int) for total in totals.values())
        and all(isinstance(document.get(name, ""), str) for name in ("scenario", "command"))
    )
    if not is_sound:
        raise HistoryError("the header is damaged")
    return Header(seed=seed, scenario=document.get("scenario", ""), command=document.get("command", ""), totals=totals)


def _is_end(document: Mapping[str, Any], calls: int) -> bool:
    if document != {"calls": calls}:
        raise HistoryError(f"the end says {document.get('calls')} calls, but there are {calls}")
    return True


def _open(path: Path, mode: str) -> IO[bytes]:
    if path.suffix == ".gz":
        return cast(IO[bytes], gzip.open(path, mode, compresslevel=3) if "w" in mode else gzip.open(path, mode))
    return cast(IO[bytes], path.open(mode))
