"""One router of the simulation: the real routing and the real operations, without HTTP.

Made by simulation.cluster, asked by simulation.client, broken by simulation.faults. Law: a router keeps nothing between
two lives; whoever it had not answered when it died is told that the connection broke.
"""

from __future__ import annotations

from collections.abc import Callable

from dynamo.errors import DynamoError
from router.core import build_core
from runtime.tasks import TaskOwner
from simulation.clock import DriftingClock
from simulation.knobs import Knobs
from simulation.life import Life
from simulation.pipes import Pipes
from simulation.process import RESTART_S
from simulation.world import World
from topology.settings import ClusterSettings

REGION = "us-east-1"
_TARGET = "DynamoDB_20120810."
# Body of a success, or the error; None: the connection broke before an answer.
Reply = bytes | DynamoError | None
Answered = Callable[[Reply], None]


class Request:
    """A request as operations see it; implements router.operations.call.Call."""

    def __init__(self, action: str, body: bytes, answered: Answered) -> None:
        self.target = (_TARGET + action).encode()
        self.body = body
        self.metric = 0
        self.catalog_confirmed = False
        self.is_answered = False
        self._answered = answered

    region = REGION
    host = "simulated"

    def succeed(self, body: bytes) -> None:
        """Answer with this JSON."""
        self._answer(body)

    def fail(self, error: DynamoError) -> None:
        """Answer an error."""
        self._answer(error)

    def _answer(self, reply: Reply) -> None:
        if not self.is_answered:
            self.is_answered = True
            self._answered(reply)


class RouterProcess(Life):
    """One life of a router."""

    def __init__(self, machine: RouterMachine, number: int) -> None:
        world = machine.world
        randomness = world.random_stream(f"{machine.router_id}/{number}")
        super().__init__(machine.router_id, world, randomness, machine.clock)
        self.machine = machine
        # Requests without an answer, and whom to tell when the connection breaks.
        self.open: dict[Request, Answered] = {}
        self.begin(self._start)

    def _start(self) -> None:
        machine = self.machine
        tasks = TaskOwner(self._task_failed)
        self.core = build_core(
            machine.settings,
            machine.router_id,
            machine.cluster_id,
            tasks,
            clock=machine.clock,
            rng=self._randomness,
            open_channel=machine.pipes.open_channel(self),
        )
        self.core.dispatcher.start()

    def _task_failed(self, error: BaseException) -> None:
        if self.is_alive:
            raise self._world.violation(f"a task of {self.name} failed: {error!r}") from error

    def ask(self, action: str, body: bytes, answered: Answered) -> None:
        """A request arrives, and is answered within a bound as long as this router lives and runs."""
        request = Request(action, body, lambda reply: self._reply(request, reply))
        self.open[request] = answered
        self._expect(request, self.machine.answer_bound_s)
        self.core.operations.dispatch(request.target, request)

    def _reply(self, request: Request, reply: Reply) -> None:
        answered = self.open.pop(request, None)
        if answered is not None and self.is_alive:
            answered(reply)

    def _expect(self, request: Request, bound_s: float) -> None:
        def look() -> None:
            if not self.is_alive or request.is_answered:
                return
            if self.last_paused_at > self._world.now - bound_s or self.is_paused:
                self._expect(request, bound_s)
                return
            raise self._world.violation(f"{self.name} has not answered {request.target!r} {request.body!r}")

        self._world.at(bound_s, look)

    def broke_connections(self) -> None:
        """After death: nobody who waits gets an answer."""
        waiting, self.open = self.open, {}
        for answered in waiting.values():
            answered(None)


class RouterMachine:
    """Where a router runs, and whether it does."""

    def __init__(
        self, router_id: str, world: World, knobs: Knobs, settings: ClusterSettings, cluster_id: str, pipes: Pipes
    ) -> None:
        self.router_id = router_id
        self.world = world
        self.settings = settings
        self.cluster_id = cluster_id
        self.pipes = pipes
        self.process: RouterProcess | None = None
        self.crashes = 0
        timeouts = settings.timeouts
        # A read of the catalog and the operation itself, several times over, and the wait for a table.
        self.answer_bound_s = (5 * timeouts.operation_ms + timeouts.table_activation_ms) / 1000
        self._randomness = world.random_stream(router_id)
        self.clock = DriftingClock(world, self._randomness, knobs.clock_drift)

    def start(self) -> None:
        """Start the router unless it runs."""
        if self.process is None:
            self.world.tell(f"{self.router_id} starts")
            self.process = RouterProcess(self, self.crashes)

    def crash(self) -> None:
        """End the router at once and start it again after a while."""
        process = self.process
        if process is None:
            return
        self.world.tell(f"{self.router_id} crashes with {len(process.open)} requests")
        process.die()
        self.process = None
        self.crashes += 1
        self.pipes.died(process)
        self.world.at(self._randomness.uniform(0.0, 0.01), process.broke_connections)
        self.world.at(self._randomness.uniform(*self._randomness.choice(RESTART_S)), self.start)
