"""`make bench`: how fast is a three-node cluster on this machine, over HTTP, as a client sees it.

Run by people (`make bench`, ARGS="--seconds 5") and by tests. Starts a cluster of its own, loads items, then puts
PutItem, strong and eventual GetItem, Query of 100 items and Scan of a segment of about as many on it with 1, 16, 64 and
256 keep-alive connections, one request under way on each, and prints a line as soon as it is measured. Law: what is
printed was measured in this run; errors are counted, never averaged in.

Exit status: 0 when no operation failed, 1 otherwise or when interrupted, 2 for wrong arguments.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench_cluster import Target, endpoint_target, own_cluster
from bench_generators import CpuMeter, Generator, Load, Measured, OwnGenerator, WrkGenerator
from bench_program import IN_MEMORY, machine, run_program, say, say_about
from bench_requests import OPERATIONS, QUERY_TABLE, TABLE, USUAL_OPERATIONS, VALUE_CHARACTERS
from bench_tables import Tables

from tools.errors import EXIT_FAILED, EXIT_USAGE, CommandError
from tools.signals import StopRequests

CONNECTIONS = "1,16,64,256"
WARM_UP_S = 1.0
WARM_UP_CONNECTIONS_MAX = 64


def _whole_numbers(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r}: whole numbers above zero, separated by commas")
    return [int(part) for part in parts]


def _operations(text: str) -> list[str]:
    names = text.split(",")
    if not set(names) <= OPERATIONS.keys():
        raise argparse.ArgumentTypeError(f"{text!r}: known are {', '.join(OPERATIONS)}")
    return names


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="for each line (default 10)")
    parser.add_argument("--connections", type=_whole_numbers, default=CONNECTIONS, help=f"default {CONNECTIONS}")
    usual = ",".join(USUAL_OPERATIONS)
    known = f"of {','.join(OPERATIONS)} (default {usual})"
    parser.add_argument("--operations", type=_operations, default=usual, help=known)
    parser.add_argument("--items", type=int, default=10_000, help="how many items there are (default 10000)")
    parser.add_argument("--generator", choices=("auto", "own", "wrk"), default="auto", help="auto: wrk when on PATH")
    parser.add_argument("--durability", choices=("sync", "os"), default="sync", help="of the cluster that is started")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where its data goes")
    parser.add_argument("--endpoint", help="use this one, such as http://127.0.0.1:8000, and start none")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there as well")
    options = parser.parse_args(arguments)
    if options.seconds <= 0 or options.items < 1:
        parser.error("--seconds and --items must be above zero")
    return options


def choose_generator(wanted: str) -> Generator:
    """wrk costs less CPU, our own is always there. Raises CommandError when wrk is asked for and missing."""
    program = shutil.which("wrk")
    if wanted == "own" or (wanted == "auto" and program is None):
        return OwnGenerator()
    if program is None:
        raise CommandError("wrk is not on PATH", hint="--generator own", exit_code=EXIT_USAGE)
    return WrkGenerator(program)


def heading(names: list[str]) -> str:
    """The first line of the table."""
    columns = f"{'operation':<18}{'connections':>12}{'operations/s':>14}{'p50 ms':>9}{'p99 ms':>9}{'errors':>8}"
    return columns + "   CPU %:" + "".join(f"{name:>7}" for name in names)


def row(measured: Measured, names: list[str]) -> str:
    """One line of the table."""
    title = OPERATIONS[measured.operation].title
    cpu = (measured.cpu_percent.get(name) for name in names)
    return (
        f"{title:<18}{measured.connections:>12}{measured.operations_per_s:>14,.0f}"
        f"{measured.p50_ms:>9.2f}{measured.p99_ms:>9.2f}{measured.errors:>8}   {'':6}"
        + "".join(f"{'-' if percent is None else f'{percent:.0f}':>7}" for percent in cpu)
    )


class Bench:
    """One run against one target."""

    def __init__(self, options: argparse.Namespace, target: Target, generator: Generator, stops: StopRequests) -> None:
        self._options = options
        self._target = target
        self._generator = generator
        self._stops = stops
        self._meter = CpuMeter(target.processes)
        self.results: list[Measured] = []

    @contextmanager
    def tables(self) -> Iterator[None]:
        """The tables the operations need with all items in them; what was not there before is removed again."""
        needed = {OPERATIONS[name].table for name in self._options.operations}
        tables = Tables(self._target, self._stops, say)
        with ExitStack() as made:
            for table, fill in ((TABLE, tables.fill), (QUERY_TABLE, tables.fill_query)):
                if table in needed:
                    made.enter_context(tables.made(table))
                    fill(self._options.items)
            yield

    def measure(self) -> None:
        """Every operation with every number of connections."""
        names = self._meter.names
        say("")
        say(heading(names))
        for name in self._options.operations:
            self._run(name, min(WARM_UP_CONNECTIONS_MAX, max(self._options.connections)), WARM_UP_S)
            for connections in self._options.connections:
                measured = self._run(name, connections, self._options.seconds)
                self.results.append(measured)
                say(row(measured, names))
                if measured.errors:
                    say(f"    first error: {measured.first_error.splitlines()[-1]}")

    def _run(self, name: str, connections: int, seconds: float) -> Measured:
        operation = OPERATIONS[name]
        load = Load(self._target.host, self._target.port, operation, connections, self._options.items, seconds)
        return self._generator.run(load, self._meter, self._stops)


def environment(options: argparse.Namespace, target: Target, generator: Generator) -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        **target.environment,
        **machine(generator),
        "seconds": options.seconds,
        "items": options.items,
        "value_bytes": VALUE_CHARACTERS,
    }


def write_json(path: Path, about: dict[str, Any], results: list[Measured]) -> None:
    """Everything measured so far."""
    rows = [{**asdict(one), "operations_per_s": one.operations_per_s} for one in results]
    path.write_text(json.dumps({"environment": about, "results": rows}, indent=2) + "\n", encoding="utf-8")


def bench(options: argparse.Namespace, target: Target, stops: StopRequests) -> int:
    """Run against a target; the exit status."""
    generator = choose_generator(options.generator)
    about = environment(options, target, generator)
    say_about(about)
    if about.get("file_system") == "tmpfs" and about.get("durability") == "sync":
        say(IN_MEMORY)
    run = Bench(options, target, generator, stops)
    try:
        with run.tables():
            run.measure()
    finally:
        if options.json is not None:
            write_json(options.json, about, run.results)
    return EXIT_FAILED if any(one.errors for one in run.results) else 0


def main() -> int:
    """Entry point; the exit status."""
    options = parse()

    def program(stops: StopRequests) -> int:
        if options.endpoint:
            return bench(options, endpoint_target(options.endpoint), stops)
        choose_generator(options.generator)
        with own_cluster(options.folder, options.durability, stops, say) as target:
            return bench(options, target, stops)

    return run_program(program)


if __name__ == "__main__":
    sys.exit(main())
