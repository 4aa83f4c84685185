"""TaskOwner: a failed task is told to its owner whatever becomes of the log line."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from runtime import tasks
from runtime.tasks import TaskOwner

pytestmark = pytest.mark.unit


class UnwritableLog:
    """A logger whose every call fails."""

    def error(self, event: str, **fields: Any) -> None:
        raise OSError(28, "No space left on device", event)


async def fails() -> None:
    raise RuntimeError("a defect")


@pytest.mark.parametrize("log_fails", [False, True], ids=["logged", "the log cannot be written"])
def test_a_failure_reaches_the_owner(monkeypatch: pytest.MonkeyPatch, log_fails: bool) -> None:
    if log_fails:
        monkeypatch.setattr(tasks, "log", UnwritableLog())

    async def scenario() -> list[BaseException]:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        told: list[BaseException] = []
        failed = asyncio.Event()
        owner = TaskOwner(lambda error: (told.append(error), failed.set()))
        owner.start("fails", fails())
        await asyncio.wait_for(failed.wait(), 10)
        await owner.close()
        return told

    (error,) = asyncio.run(scenario())
    assert str(error) == "a defect"


def test_closing_is_no_failure_and_waits_for_the_end() -> None:
    async def scenario() -> list[str]:
        ended: list[str] = []

        async def waits() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("ended")

        owner = TaskOwner(lambda error: ended.append(repr(error)))
        owner.start("waits", waits())
        await asyncio.sleep(0)
        await owner.close()
        return ended

    assert asyncio.run(scenario()) == ["ended"]
