"""`make bench-peers`: Trizone beside etcd, dynalite, DynamoDB Local and moto on this machine, and its goals.

Run by people (`make bench-peers`, `make bench-goals`) and by tests. Installs and starts the peers, visits all of them
in turn, several rounds, with the same wrk script (one thread, 64 connections, no pipelining), the same keys and
100-byte values, and prints medians and ratios; then measures the goals on clusters of its own and says of each whether
it was reached. Laws: what is printed was measured in this run; a peer must hold what it acknowledged; nothing is left
behind but the cache of what was installed.

Exit status: 0 when Trizone was measured and no operation of it failed (a missed goal or a missing peer is no failure),
1 otherwise or when interrupted, 2 for wrong arguments.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
from bench_cluster import Target, file_system_of
from bench_generators import CpuMeter, Generator, Load, Measured, OwnGenerator, WrkGenerator
from bench_program import IN_MEMORY, machine, run_program, say, say_about
from bench_requests import OPERATIONS, VALUE_CHARACTERS
from comparison import COMPARED, OURS, Visit, lines, ratios, table
from goal_runs import GoalRuns, Plan
from goals import GROUPS, Verdict, against_etcd, report
from peers.clusters import Etcd, Trizone
from peers.install import Cache, default_cache
from peers.peer import Peer, empty_folder
from peers.servers import Dynalite, DynamoDbLocal, Moto

from tools.errors import EXIT_FAILED, CommandError
from tools.signals import StopRequests

PEERS: dict[str, type[Peer]] = {kind.name: kind for kind in (Trizone, Etcd, Dynalite, DynamoDbLocal, Moto)}
OTHERS = [name for name in PEERS if name != OURS]
WARM_UP_S = 1.0


def _names(text: str, known: Sequence[str]) -> list[str]:
    if text in ("all", "none"):
        return list(known) if text == "all" else []
    names = text.split(",")
    if not set(names) <= set(known):
        raise argparse.ArgumentTypeError(f"{text!r}: known are all, none, {', '.join(known)}")
    return names


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make bench-peers ARGS=...", description=__doc__.partition("\n")[0])
    known_peers, known_goals = ",".join(OTHERS), ",".join(GROUPS)
    parser.add_argument("--peers", type=lambda text: _names(text, OTHERS), default="all", help=f"of {known_peers}")
    parser.add_argument("--goals", type=lambda text: _names(text, GROUPS), default="all", help=f"of {known_goals}")
    parser.add_argument("--rounds", type=int, default=3, help="how often all are visited (default 3)")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each operation at each visit (default 5)")
    parser.add_argument("--connections", type=int, default=64, help="default 64")
    parser.add_argument("--items", type=int, default=10_000, help="how many keys there are (default 10000)")
    parser.add_argument("--many-items", type=int, default=1_000_000, help="for the goal `million` (default 1000000)")
    parser.add_argument(
        "--apart", action="store_true", help="run only the peer that is visited, started anew each time"
    )
    parser.add_argument("--generator", choices=("wrk", "own"), default="wrk", help="own costs much more CPU")
    parser.add_argument("--cache", type=Path, default=default_cache(), help=f"default {default_cache()}")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where all data goes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there as well")
    options = parser.parse_args(arguments)
    if min(options.rounds, options.seconds, options.connections, options.items, options.many_items) <= 0:
        parser.error("rounds, seconds, connections and items must be above zero")
    return options


def memory_bytes(target: Target) -> int:
    """Resident memory of all processes of a peer. Raises CommandError when one has ended."""
    try:
        return sum(process.memory_info().rss for process in target.processes.values())
    except psutil.Error as error:
        raise CommandError(f"a process has ended: {error}") from error


class Comparison:
    """The visits, and what became of each peer."""

    def __init__(self, options: argparse.Namespace, folder: Path, generator: Generator, stops: StopRequests) -> None:
        self._options = options
        self._folder = folder
        self._generator = generator
        self._stops = stops
        self._peers = {name: PEERS[name](stops, say) for name in (OURS, *options.peers)}
        # Those that are visited, with what stops them.
        self._running: dict[str, ExitStack] = {}
        self.visits: list[Visit] = []
        self.missing: dict[str, str] = {}
        self.verdicts: list[Verdict] = []

    @property
    def titles(self) -> dict[str, str]:
        """For the table."""
        return {name: peer.title for name, peer in self._peers.items()}

    def about(self) -> dict[str, dict[str, str]]:
        """What was compared."""
        return {
            name: {
                "title": peer.title,
                "version": peer.version,
                "keeps": peer.keeps,
                "missing": self.missing.get(name, ""),
            }
            for name, peer in self._peers.items()
        }

    def install(self, cache: Cache) -> None:
        """Everything that can be."""
        for name, peer in self._peers.items():
            try:
                peer.install(cache)
            except CommandError as error:
                self._give_up(name, f"could not be installed: {error}")

    def _give_up(self, name: str, reason: str) -> None:
        self.missing[name] = reason
        say(f"{name}: {reason}")

    def run(self) -> None:
        """All rounds; every peer has stopped afterwards."""
        with ExitStack() as all_of_them:
            visited = [name for name in self._peers if name not in self.missing]
            for name in visited:
                self._running[name] = all_of_them.enter_context(ExitStack())
                if not self._options.apart:
                    self._tried(name, 0)
            for number in range(1, self._options.rounds + 1):
                # Another one begins each time: what changes with the minutes hits all.
                shift = (number - 1) % len(visited)
                for name in visited[shift:] + visited[:shift]:
                    if name not in self.missing:
                        self._tried(name, number)

    def _tried(self, name: str, number: int) -> None:
        """Start (round 0) or visit; what goes wrong ends this peer's part."""
        running = self._running[name]
        try:
            if number == 0 or self._options.apart:
                self._start(self._peers[name], running)
            if number:
                self._visit(self._peers[name], number)
            if self._options.apart:
                running.close()
        except CommandError as error:
            self._give_up(name, f"{'failed' if number else 'did not start'}: {error}")
            running.close()

    def _start(self, peer: Peer, running: ExitStack) -> None:
        say(f"starting {peer.title}")
        # First: a peer that failed half-way has processes as well.
        running.callback(peer.stop)
        peer.start(empty_folder(self._folder, peer.name))
        peer.load(self._options.items)

    def _visit(self, peer: Peer, number: int) -> None:
        peer.verify()
        for name in COMPARED:
            target = peer.target()
            self._load(peer, target, name, WARM_UP_S, CpuMeter({}))
            meter = CpuMeter(target.processes)
            measured = self._load(peer, target, name, self._options.seconds, meter)
            self.visits.append(Visit(peer.name, number, measured, memory_bytes(peer.target())))
            failed = f", {measured.errors} errors: {measured.first_error}" if measured.errors else ""
            title = OPERATIONS[name].title
            say(f"round {number}, {peer.name}: {title} {measured.operations_per_s:,.0f}/s{failed}")
        peer.verify()

    def _load(self, peer: Peer, target: Target, name: str, seconds: float, meter: CpuMeter) -> Measured:
        options = self._options
        operation = OPERATIONS[name]
        load = Load(
            target.host, target.port, operation, options.connections, options.items, seconds, dialect=peer.dialect
        )
        return self._generator.run(load, meter, self._stops)

    def judge(self) -> None:
        """Measure and print the goals that were asked for."""
        options, found = self._options, lines(self.visits)
        if "etcd" in options.goals:
            reason = self.missing.get("etcd", "" if "etcd" in options.peers else "etcd was left out")
            self.verdicts += against_etcd(found, reason)
        rest = [group for group in options.goals if group != "etcd"]
        plan = Plan(
            folder=self._folder,
            seconds=options.seconds,
            rounds=options.rounds,
            connections=options.connections,
            items=options.items,
            many_items=options.many_items,
            peaks={line.operation: line.operations_per_s for line in found if line.peer == OURS and line.counts},
        )
        if rest:
            self.verdicts += GoalRuns(plan, self._generator, self._stops, say).visit(rest)

    def show(self) -> None:
        """The table and the verdicts of what was measured."""
        if self.visits or self.missing:
            say("")
            for peer in self._peers.values():
                if peer.name not in self.missing:
                    say(f"{f'{peer.title} {peer.version}'.strip()}: an acknowledged write has {peer.keeps}")
            for text in table(lines(self.visits), self.titles, self.missing):
                say(text)
        if self.verdicts:
            say("")
            for text in report(self.verdicts):
                say(text)

    def exit_status(self) -> int:
        """0 when Trizone was measured to the end without an error."""
        ours = [visit.measured for visit in self.visits if visit.peer == OURS]
        whole = len(ours) == self._options.rounds * len(COMPARED) and OURS not in self.missing
        return 0 if whole and not any(one.errors for one in ours) else EXIT_FAILED


def environment(options: argparse.Namespace, generator: Generator) -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        **machine(generator),
        "file_system": file_system_of(options.folder),
        "side_by_side": not options.apart,
        "rounds": options.rounds,
        "seconds": options.seconds,
        "connections": options.connections,
        "items": options.items,
        "value_bytes": VALUE_CHARACTERS,
    }


def write_json(path: Path, about: dict[str, Any], run: Comparison) -> None:
    """Everything measured so far."""
    found = lines(run.visits)
    everything = {
        "environment": about,
        "peers": run.about(),
        "medians": [asdict(one) for one in found],
        "ratios": ratios(found),
        "goals": [one.to_json() for one in run.verdicts],
        "visits": [visit.to_json() for visit in run.visits],
    }
    path.write_text(json.dumps(everything, indent=2) + "\n", encoding="utf-8")


def compare(options: argparse.Namespace, folder: Path, stops: StopRequests) -> int:
    """Everything in one run; the exit status."""
    cache = Cache(options.cache, stops, say)
    with cache.lock():
        generator = WrkGenerator(cache.wrk(), threads=1) if options.generator == "wrk" else OwnGenerator()
        about = environment(options, generator)
        say_about(about)
        if about["file_system"] == "tmpfs":
            say(IN_MEMORY)
        run = Comparison(options, folder, generator, stops)
        try:
            run.install(cache)
            run.run()
            run.judge()
        finally:
            run.show()
            if options.json is not None:
                write_json(options.json, about, run)
    return run.exit_status()


def main() -> int:
    """Entry point; the exit status."""
    options = parse()

    def program(stops: StopRequests) -> int:
        options.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="trizone-peers-", dir=options.folder) as folder:
            return compare(options, Path(folder), stops)

    return run_program(program)


if __name__ == "__main__":
    sys.exit(main())
