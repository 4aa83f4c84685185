"""Streams between simulated nodes, as law 3 of DESIGN describes the real ones and not better.

Used by simulation.process; behaves like replication.transport.grpc over TCP: first-in-first-out within a connection,
fenced by epochs between them, both ends learn of a break but not at the same time, and what was under way then arrives
up to some message and not beyond. Law: a message is carried as the bytes that the real transport would send.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from replication.messages import Kind, Message, decode, encode_into
from simulation.checks import Checks
from simulation.world import World
from wire import replication_pb2

if TYPE_CHECKING:
    from simulation.process import Process

RECONNECT_DELAY_S = 0.1
HELLO_TIMEOUT_S = 2.0
# A break is noticed at once by a reset, or by nothing but a missing keepalive.
NOTICED_AT_ONCE_S = (0.001, 0.02)
NOTICED_LATE_S = (0.2, 2.5)
_LONG_LATENCY_PROBABILITY = 0.02
_LONG_LATENCY_S = 0.05
# A feed may come again much later: a leader that is none any more, cut off meanwhile, sent it too.
_LATE_FEED_PROBABILITY = 0.05
_LATE_FEED_S = (0.01, 2.0)
# A lost packet is sent again after this, and what is behind it waits.
_RETRANSMISSION_S = (0.2, 0.5)
# Messages of a broken stream that may be sent again on the next one.
RESENT_MESSAGES_MAX = 12


class Stream:
    """One connection from one process to another."""

    __slots__ = (
        "delivered",
        "epoch",
        "is_broken",
        "is_ended_at_target",
        "is_up",
        "kept",
        "last_arrival",
        "recent",
        "sent",
        "source",
        "stalled",
        "target",
    )

    def __init__(self, source: Process, target: Process, epoch: int) -> None:
        self.source = source
        self.target = target
        self.epoch = epoch
        self.is_up = False
        self.is_broken = False
        self.is_ended_at_target = False
        self.sent = 0
        self.delivered = 0
        # Set by a break: messages from this one on are lost.
        self.kept = -1
        self.last_arrival = 0.0
        self.stalled: list[tuple[int, bytes]] = []
        self.recent: deque[bytes] = deque(maxlen=RESENT_MESSAGES_MAX)


class Network:
    """Every stream of the run."""

    def __init__(self, world: World, checks: Checks, latency_s: float, resend_probability: float = 0.0) -> None:
        self._world = world
        self._checks = checks
        self._latency_s = latency_s
        self._resend_probability = resend_probability
        # By pair, the process and the last messages of its stream that broke.
        self._unconfirmed: dict[tuple[str, str], tuple[Process, list[bytes]]] = {}
        self._randomness = world.random_stream("network")
        self._processes: dict[str, Process] = {}
        self._streams: dict[tuple[str, str], Stream] = {}
        self._epochs: dict[tuple[str, str], int] = {}
        self._cuts: dict[tuple[str, str], int] = {}
        self._slow: dict[tuple[str, str], tuple[float, float]] = {}
        self._lossy: dict[tuple[str, str], tuple[float, float]] = {}

    # ------------------------------------------------------------------ processes
    def process_started(self, process: Process, peers: tuple[str, ...]) -> None:
        """Let a new process dial its peers; they will find it by themselves."""
        self._processes[process.node_id] = process
        for peer in peers:
            self._dial(process, peer)

    def process_died(self, process: Process) -> None:
        """Break every stream from and to it."""
        del self._processes[process.node_id]
        for stream in [s for s in self._streams.values() if s.source is process or s.target is process]:
            self._break(stream, self._notice_delay(), self._notice_delay())

    def _notice_delay(self) -> float:
        bounds = NOTICED_AT_ONCE_S if self._randomness.random() < 0.7 else NOTICED_LATE_S
        return self._randomness.uniform(*bounds)

    # ------------------------------------------------------------------ connections
    def is_cut(self, source: str, target: str) -> bool:
        """Whether nothing gets from `source` to `target`."""
        return self._cuts.get((source, target), 0) > 0

    def is_connected(self, source: str, target: str) -> bool:
        """Whether the stream from `source` to `target` is up."""
        stream = self._streams.get((source, target))
        return stream is not None and stream.is_up

    def _latency(self, source: str, target: str) -> float:
        latency = self._randomness.uniform(0.2, 1.8) * self._latency_s
        if self._randomness.random() < _LONG_LATENCY_PROBABILITY:
            latency += self._randomness.uniform(0.0, _LONG_LATENCY_S)
        slow_until, extra = self._slow.get((source, target), (0.0, 0.0))
        if self._world.now < slow_until:
            latency += extra
        lossy_until, probability = self._lossy.get((source, target), (0.0, 0.0))
        if self._world.now < lossy_until and self._randomness.random() < probability:
            latency += self._randomness.uniform(*_RETRANSMISSION_S)
        return latency

    def _dial(self, process: Process, peer: str) -> None:
        if not process.is_alive:
            return
        target = self._processes.get(peer)
        pair = (process.node_id, peer)
        if target is None or self.is_cut(*pair) or self.is_cut(peer, process.node_id):
            self._world.at(RECONNECT_DELAY_S, lambda: self._dial(process, peer))
            return
        self._epochs[pair] = self._epochs.get(pair, 0) + 1
        stream = self._streams[pair] = Stream(process, target, self._epochs[pair])
        self._world.at(self._latency(*pair), lambda: target.post(lambda: self._hello(stream)))
        self._world.at(HELLO_TIMEOUT_S, lambda: process.post(lambda: self._hello_timed_out(stream)))

    def _hello(self, stream: Stream) -> None:
        accepted, source = stream.target.accepted_epochs, stream.source.node_id
        if stream.is_broken or stream.epoch <= accepted.get(source, 0):
            return
        accepted[source] = stream.epoch
        back = self._latency(stream.target.node_id, source)
        self._world.at(back, lambda: stream.source.post(lambda: self._connected(stream)))

    def _connected(self, stream: Stream) -> None:
        pair = (stream.source.node_id, stream.target.node_id)
        if self._streams.get(pair) is stream and not stream.is_broken:
            stream.is_up = True
            self._world.tell(f"link {pair[0]}>{pair[1]} up epoch {stream.epoch}")
            process, messages = self._unconfirmed.pop(pair, (stream.source, []))
            if process is stream.source and self._randomness.random() < self._resend_probability:
                # In order and before anything new: all that law 3 leaves to whoever sends again after a break.
                for data in messages[self._randomness.randint(0, len(messages)) :]:
                    self._transmit(stream, data)
            stream.source.host.peer_connected(pair[1])

    def _hello_timed_out(self, stream: Stream) -> None:
        if not stream.is_up and not stream.is_broken:
            self._break(stream, 0.0, 0.0)

    def _break(self, stream: Stream, dialler_delay: float, acceptor_delay: float) -> None:
        """End a connection: some prefix of what is under way still arrives, and each end learns of it in its time."""
        if stream.is_broken:
            return
        stream.is_broken = True
        stalled = len(stream.stalled)
        stream.stalled.clear()
        under_way = 0 if stalled else stream.sent - stream.delivered
        stream.kept = stream.delivered + self._randomness.randint(0, under_way)
        world = self._world
        world.at(dialler_delay, lambda: stream.source.post(lambda: self._ended_at_dialler(stream)))
        acceptor_delay = max(acceptor_delay, stream.last_arrival - world.now + 1e-6)
        world.at(acceptor_delay, lambda: stream.target.post(lambda: self._ended_at_acceptor(stream)))

    def _ended_at_dialler(self, stream: Stream) -> None:
        source, target = stream.source, stream.target.node_id
        if self._streams.get((source.node_id, target)) is not stream:
            return
        del self._streams[source.node_id, target]
        if stream.is_up:
            stream.is_up = False
            self._unconfirmed[source.node_id, target] = (source, list(stream.recent))
            self._world.tell(f"link {source.node_id}>{target} down")
            source.host.peer_disconnected(target)
        self._world.at(RECONNECT_DELAY_S, lambda: self._dial(source, target))

    def _ended_at_acceptor(self, stream: Stream) -> None:
        stream.is_ended_at_target = True
        source = stream.source.node_id
        if stream.target.accepted_epochs.get(source) == stream.epoch:
            self._world.tell(f"link {source}>{stream.target.node_id} lost")
            stream.target.host.peer_lost(source)

    # ------------------------------------------------------------------ messages
    def send(self, source: Process, target: str, group_id: int, message: Message) -> None:
        """Take one message; dropped when the stream is not up."""
        self._checks.message_sent(source.node_id, target, group_id, message)
        stream = self._streams.get((source.node_id, target))
        if stream is None or stream.source is not source or not stream.is_up:
            return
        frame = replication_pb2.PeerFrame()
        encode_into(frame, group_id, message)
        self._transmit(stream, frame.SerializeToString())

    def _transmit(self, stream: Stream, data: bytes) -> None:
        number = stream.sent
        stream.sent += 1
        stream.recent.append(data)
        arrival = self._world.now + self._latency(stream.source.node_id, stream.target.node_id)
        stream.last_arrival = arrival = max(arrival, stream.last_arrival + 1e-7)
        self._world.at(arrival - self._world.now, lambda: self._arrive(stream, number, data))

    def _arrive(self, stream: Stream, number: int, data: bytes) -> None:
        if stream.is_broken and number >= stream.kept:
            return
        if self.is_cut(stream.source.node_id, stream.target.node_id):
            stream.stalled.append((number, data))
            return
        self._deliver(stream, number, data)

    def _deliver(self, stream: Stream, number: int, data: bytes) -> None:
        stream.delivered += 1
        stream.target.post(lambda: self._receive(stream, number, data))

    def _receive(self, stream: Stream, number: int, data: bytes) -> None:
        source, target = stream.source.node_id, stream.target
        if stream.is_ended_at_target or target.accepted_epochs.get(source) != stream.epoch:
            return
        self._checks.frame_received(source, target, stream.epoch, number)
        self._world.witness(data)
        for raw in replication_pb2.PeerFrame.FromString(data).messages:
            message = decode(raw)
            self._world.tell("{}>{} g{} {!r}", source, target.node_id, raw.group, message, group=raw.group)
            target.host.message_arrived(source, raw.group, message)
            if message.kind is Kind.FEED and self._randomness.random() < _LATE_FEED_PROBABILITY:
                self._repeat_late(source, target, raw.group, message)

    def _repeat_late(self, source: str, target: Process, group_id: int, message: Message) -> None:
        delay_s = self._randomness.uniform(*_LATE_FEED_S)
        self._world.at(delay_s, lambda: target.post(lambda: target.host.message_arrived(source, group_id, message)))

    # ------------------------------------------------------------------ faults
    def reset(self, source: str, target: str) -> None:
        """Break one connection as a reset does."""
        stream = self._streams.get((source, target))
        if stream is not None:
            self._break(stream, self._notice_delay(), self._notice_delay())

    def cut(self, source: str, target: str, seconds: float) -> None:
        """Silence one direction; the streams notice if it lasts."""
        pair = (source, target)
        self._cuts[pair] = self._cuts.get(pair, 0) + 1
        self._world.at(seconds, lambda: self._heal(pair))
        self._watch(pair, pair)
        if self._randomness.random() < 0.5:
            # Keepalives need both directions: the other stream may die of this cut as well.
            self._watch((target, source), pair)

    def silence(self, source: str, target: str) -> None:
        """Silence one direction until it is healed, shorter than any keepalive: nobody notices by his stream."""
        pair = (source, target)
        self._cuts[pair] = self._cuts.get(pair, 0) + 1

    def _watch(self, victim: tuple[str, str], cut: tuple[str, str]) -> None:
        stream = self._streams.get(victim)
        if stream is None:
            return

        def keepalive_missed() -> None:
            if self.is_cut(*cut):
                self._break(stream, 0.0, self._notice_delay())

        self._world.at(self._randomness.uniform(*NOTICED_LATE_S), keepalive_missed)

    def _heal(self, pair: tuple[str, str]) -> None:
        self._cuts[pair] = max(0, self._cuts.get(pair, 0) - 1)
        if self._cuts[pair]:
            return
        stream = self._streams.get(pair)
        if stream is not None and not stream.is_broken:
            stalled, stream.stalled = stream.stalled, []
            for number, data in stalled:
                self._deliver(stream, number, data)

    def slow(self, source: str, target: str, seconds: float, extra_s: float) -> None:
        """Add `extra_s` to every message of one direction for a while."""
        self._slow[source, target] = (self._world.now + seconds, extra_s)

    def lossy(self, source: str, target: str, seconds: float, probability: float) -> None:
        """Let each message of one direction be lost at first with this probability, for a while."""
        self._lossy[source, target] = (self._world.now + seconds, probability)

    def heal(self, source: str, target: str) -> None:
        """End every cut of one direction."""
        pair = (source, target)
        if self._cuts.get(pair, 0):
            self._cuts[pair] = 1
            self._heal(pair)

    def heal_all(self) -> None:
        """End every cut, slowness and loss."""
        self._slow.clear()
        self._lossy.clear()
        for pair in [pair for pair, count in self._cuts.items() if count]:
            self._cuts[pair] = 1
            self._heal(pair)
