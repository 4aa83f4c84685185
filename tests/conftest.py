"""Fixtures of all tests: clusters of real processes, and the check that none of them is left at the end.

What is here must cost nothing to tests that do not use it: the harness is imported by the fixtures that need it.
"""

from __future__ import annotations

import gc
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from harness.cluster import LocalCluster

# How fast examples are made says something about the machine and its load, nothing about what is tested.
settings.register_profile("trizone", parent=settings.default, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("trizone")

LOG_LINES_SHOWN = 12
_MEASURED = pytest.StashKey[list[str]]()
_table_numbers = count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--endpoint URL`: where tests/conformance finds the service it judges; without it, a cluster of our own."""
    parser.addoption("--endpoint", default="", help="DynamoDB endpoint that tests/conformance judges")


@pytest.fixture(scope="session", autouse=True)
def _no_process_left_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Set up first, so torn down last: whatever a test started below its temporary folder has ended by now."""
    yield
    from harness.cluster import processes_below

    left = processes_below(tmp_path_factory.getbasetemp())
    for process in left:
        process.kill()
    assert not left, f"processes left behind: {left}"


def pytest_configure() -> None:
    """Let children begin with SIGINT at its default, as under a terminal: a shell's background job ignores it, they
    would inherit that, and no Ctrl-C that a test sends would reach them. A handler of ours is not inherited."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Spare the garbage collector what stays: it took a fifth of the unit tier's time to go through it all."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def measured(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Takes a line about something measured, shown at the end of the run whether tests passed or not."""
    lines: list[str] = request.config.stash.setdefault(_MEASURED, [])
    return lines.append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what was measured."""
    lines = config.stash.get(_MEASURED, [])
    if lines:
        terminalreporter.section("measured")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture(scope="module")
def make_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., LocalCluster]]:
    """Makes started clusters (arguments of harness.cluster.LocalCluster) that end with the module."""
    from harness.cluster import LocalCluster

    with ExitStack() as made:

        def make(**options: Any) -> LocalCluster:
            cluster = LocalCluster(tmp_path_factory.mktemp("cluster"), **options)
            made.callback(cluster.close)
            cluster.start()
            return cluster

        yield make


@pytest.fixture(scope="session")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """One cluster with two routers (az-a, az-b) for every test that does no harm."""
    from harness.cluster import LocalCluster

    cluster = LocalCluster(tmp_path_factory.mktemp("shared"), routers=2)
    try:
        cluster.start()
        cluster.wait_whole()
        yield cluster
    finally:
        cluster.close()


@pytest.fixture(scope="session")
def dynamodb(shared_cluster: LocalCluster) -> Any:
    """A boto3 client of the shared cluster, without retries."""
    return shared_cluster.dynamodb()


@pytest.fixture(scope="session")
def new_table(dynamodb: Any) -> Callable[..., str]:
    """Makes an ACTIVE table in the shared cluster and returns its name.

    `new_table()` has the partition key `pk` (S); `new_table("N", "B")` also a sort key `sk`, of these types.
    """

    def make(partition_type: str = "S", sort_type: str = "") -> str:
        name = f"table-{next(_table_numbers)}"
        attributes = [("pk", partition_type, "HASH"), ("sk", sort_type, "RANGE")][: 2 if sort_type else 1]
        dynamodb.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": key, "KeyType": role} for key, _, role in attributes],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": kind} for key, kind, _ in attributes],
            BillingMode="PAY_PER_REQUEST",
        )
        dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
        return name

    return make


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Show what the processes of a failed test's clusters said last."""
    outcome: Any = yield
    report = outcome.get_result()
    if not report.failed:
        return
    for name, value in getattr(item, "funcargs", {}).items():
        if not hasattr(value, "log_text"):
            continue
        for process in _process_names(value):
            lines = value.log_text(process).splitlines()[-LOG_LINES_SHOWN:]
            report.sections.append((f"{name}: last lines of {process}", "\n".join(lines)))


def _process_names(cluster: Any) -> list[str]:
    """Whose logs a fixture has: a LocalCluster keeps files, a chaos target names its members."""
    if hasattr(cluster, "members"):
        return [member.name for member in cluster.members]
    return [log.stem for log in sorted(Path(cluster.data / "logs").glob("*.log"))]
