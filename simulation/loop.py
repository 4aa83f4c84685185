"""asyncio on virtual time: the coroutines of one simulated process, in an order that a seed decides.

Made by simulation.life for every process. Law: callbacks run in the order in which they became ready, right after what
made them ready and without time between; timers are events of the world; nothing here asks the operating system.
"""

from __future__ import annotations

import asyncio
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context
from typing import Any

from runtime.clock import Clock

Later = Callable[[float, Callable[[], None]], None]
# A process that ends has this many rounds to cancel what it was doing.
_BURIAL_ROUNDS_MAX = 100
# What runs after one thing that happened; more is a loop without time in it.
_CALLBACKS_MAX = 100_000


class _Current:
    """Which loop asyncio believes to run; telling it asks the operating system, which is dear for one small event."""

    # The world handles events: the last loop stays until another one runs or the world stops.
    is_kept = False
    loop: VirtualLoop | None = None
    outer: Any = None


@contextmanager
def kept_between_events() -> Iterator[None]:
    """While the world handles events: asyncio is told of a loop only when another one ran before."""
    if _Current.is_kept:
        yield
        return
    _Current.is_kept, _Current.loop, _Current.outer = True, None, events._get_running_loop()
    try:
        yield
    finally:
        _Current.is_kept = False
        events._set_running_loop(_Current.outer)
        _Current.loop = _Current.outer = None


class VirtualLoop:
    """As much of asyncio.AbstractEventLoop as coroutines without sockets and threads need."""

    def __init__(self, later: Later, clock: Clock, broke: Callable[[BaseException], None]) -> None:
        """`later` lets something happen in the process after seconds; `broke` is told what nobody caught."""
        # To asyncio this is a loop like any other; to a type checker it lacks what has no meaning here.
        self._self: Any = self
        self._later = later
        self._clock = clock
        self._broke = broke
        self._ready: deque[asyncio.Handle] = deque()
        self._is_running = False
        self._is_wake_due = False
        self._is_buried = False
        # In the order in which they began, which a set of tasks would not keep.
        self._tasks: dict[asyncio.Task[Any], None] = {}

    # ------------------------------------------------------------------ running
    def run(self, action: Callable[[], None]) -> None:
        """Do `action`, and then on this loop everything that is ready because of it.

        What begins coroutines by asyncio's own means must itself be a callback (simulation.life.Life.begin).
        """
        if self._is_running:
            action()
            return
        self._is_running = True
        try:
            action()
            if self._ready:
                self._run_ready()
        finally:
            self._is_running = False

    def _run_ready(self) -> None:
        """Only now asyncio is told: most of what happens in a process is no coroutine's business."""
        is_kept = _Current.is_kept
        outer_loop, outer = _Current.loop, None
        if not is_kept:
            outer = events._get_running_loop()
        if not is_kept or outer_loop is not self:
            events._set_running_loop(self._self)
            _Current.loop = self
        try:
            self._drain()
        finally:
            if not is_kept:
                events._set_running_loop(outer)
                _Current.loop = None
            elif outer_loop is not None and outer_loop is not self and outer_loop._is_running:
                # Something that happened in one process made something happen in another one.
                events._set_running_loop(outer_loop._self)
                _Current.loop = outer_loop

    def _drain(self) -> None:
        ready = self._ready
        for _ in range(_CALLBACKS_MAX):
            if not ready:
                return
            handle = ready.popleft()
            if not handle.cancelled():
                handle._run()
        raise RuntimeError("coroutines keep each other busy without time")

    def bury(self) -> None:
        """End every task; nothing of it has an effect outside, for the process is dead."""
        self._is_buried = True
        for _ in range(_BURIAL_ROUNDS_MAX):
            for task in list(self._tasks):
                task.cancel()
            self.run(lambda: None)
            if not self._tasks:
                return
        raise RuntimeError(f"tasks of a dead process do not end: {list(self._tasks)}")

    # ------------------------------------------------------------------ asyncio.AbstractEventLoop
    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> asyncio.Handle:
        """Run after what is ready now."""
        handle = asyncio.Handle(callback, args, self._self, context)
        self._ready.append(handle)
        if not self._is_running and not self._is_wake_due and not self._is_buried:
            # From outside of the process: nothing that happens in it would come to run this.
            self._is_wake_due = True
            self._later(0.0, self._woken)
        return handle

    def _woken(self) -> None:
        self._is_wake_due = False

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run after `delay` seconds of this process's clock."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run when this process's clock shows `when`."""
        handle = asyncio.TimerHandle(when, callback, args, self._self, context)
        if not self._is_buried:
            self._later(max(0.0, when - self.time()), lambda: self._timer_due(handle))
        return handle

    def _timer_due(self, handle: asyncio.TimerHandle) -> None:
        if handle.cancelled():
            return
        left_s = handle.when() - self.time()
        if left_s > 1e-6:
            # The clock went slower than the world, or was set back.
            self._later(left_s, lambda: self._timer_due(handle))
        else:
            self._ready.append(handle)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Nothing: a cancelled timer is passed over when it is due."""

    def time(self) -> float:
        """Seconds of this process's clock."""
        return self._clock.monotonic()

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        return asyncio.Future(loop=self._self)

    def create_task(
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[Any]:
        """Begin a coroutine."""
        task = asyncio.Task(coro, loop=self._self, name=name or "task", context=context)
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Something raised where nobody could catch it."""
        error = context.get("exception")
        if not self._is_buried:
            self._broke(error if isinstance(error, BaseException) else RuntimeError(context["message"]))

    def get_debug(self) -> bool:
        """Never: debugging changes what is called when."""
        return False

    def is_running(self) -> bool:
        """Whether a callback of this loop runs now."""
        return self._is_running

    def is_closed(self) -> bool:
        """Whether the process is dead."""
        return self._is_buried
