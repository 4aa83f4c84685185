"""Background tasks with an owner: every task is named, its failure is logged, and closing waits for it.

Called by the shells of node and router. Law: no task is started that nobody closes, and none dies silently: a failure
that nobody expected stops the process through `on_failure`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from runtime.logs import get_logger

log = get_logger()


class TaskOwner:
    """Starts tasks and ends all of them in `close`."""

    def __init__(self, on_failure: Callable[[BaseException], None] | None = None) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._on_failure = on_failure
        self._closing = False

    def start(self, name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run `work` until it ends or the owner closes."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and not self._closing:
            try:
                log.error("task_failed", task=task.get_name(), exc_info=error)
            finally:
                # Last, for it may end the process; and in any case, or a process would go on without this task.
                if self._on_failure is not None:
                    self._on_failure(error)

    async def close(self) -> None:
        """Cancel every task and wait until all have ended."""
        self._closing = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
