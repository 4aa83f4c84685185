"""The pure parts of the comparison: medians and ratios, what voids them, verdicts on goals, pinned packages."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from bench_generators import Load, Measured, read_wrk
from bench_requests import OPERATIONS
from compare import OTHERS, parse
from comparison import Visit, find, line, lines, ratio, ratios, table
from goals import GOALS, GROUPS, against_etcd, report, unmeasured, verdict
from peers.install import MOTO_REQUIREMENTS, PACKAGE, PACKAGE_LOCK, Cache
from peers.peer import Peer

from tools.errors import CommandError
from tools.signals import StopRequests

pytestmark = pytest.mark.unit


def visit(peer: str, operation: str, rate: float, *, number: int = 1, errors: int = 0, p50_ms: float = 1.0) -> Visit:
    cpu = {"a": 30.0, "b": 40.0, "c": None, "load": 9.0, "others": 5.0}
    measured = Measured(
        operation, 64, int(rate * 2), 2.0, p50_ms, 2 * p50_ms, 9.0, errors, "why" if errors else "", cpu
    )
    return Visit(peer, number, measured, 1_000_000 * number)


def test_a_line_has_the_medians_of_its_rounds_and_the_cpu_of_all_its_processes() -> None:
    found = line([visit("etcd", "put", rate, number=n, p50_ms=n) for n, rate in ((1, 300), (2, 100), (3, 200))])
    assert (found.operations_per_s, found.slowest_per_s, found.fastest_per_s) == (200, 100, 300)
    assert (found.p50_ms, found.p99_ms, found.rounds) == (2.0, 4.0, 3)
    assert (found.cpu_percent, found.others_percent, found.memory_bytes) == (70.0, 5.0, 2_000_000)


def test_ratios_are_between_medians_of_the_same_operation() -> None:
    visits = [visit("trizone", "put", rate) for rate in (900, 1000, 5000)]
    visits += [visit("etcd", "put", rate) for rate in (400, 100, 9000)] + [visit("etcd", "strong", 10)]
    found = lines(visits)
    assert ratio(found, "put", "etcd") == 2.5
    assert ratio(found, "strong", "etcd") is None
    assert ratios(found) == {"etcd": {"put": 2.5, "strong": None}}
    assert [(one.operation, one.peer) for one in found] == [("put", "trizone"), ("put", "etcd"), ("strong", "etcd")]


@pytest.mark.parametrize(("errors", "expected"), [(0, 0.5), (5, 0.5), (2000, None)])
def test_a_peer_that_answers_errors_wins_nothing(errors: int, expected: float | None) -> None:
    found = lines([visit("trizone", "put", 1000), visit("moto", "put", 2000, errors=errors)])
    assert ratio(found, "put", "moto") == expected
    ours_fail = lines([visit("trizone", "put", 1000, errors=errors), visit("moto", "put", 2000)])
    assert ratio(ours_fail, "put", "moto") == (expected if errors < 2000 else None)


def test_a_peer_that_answers_nothing_has_no_ratio() -> None:
    found = lines([visit("trizone", "put", 1000), visit("moto", "put", 0)])
    assert ratio(found, "put", "moto") is None


def test_the_table_shows_every_peer_and_why_one_is_missing() -> None:
    found = lines([visit("trizone", "put", 12345), visit("etcd", "put", 5000, errors=9000)])
    text = table(found, {"trizone": "Trizone", "etcd": "etcd", "moto": "moto"}, {"moto": "could not be installed: no"})
    assert len({len(row) for row in text[:3]}) == 1
    assert text[1].split() == ["PutItem", "Trizone", "12,345", "12,345", "12,345", "1.00", "2.00", "70", "1", "5", "0"]
    assert text[2].split()[-2:] == ["9000", "-"]
    assert text[3] == "moto: could not be installed: no"


def test_answers_of_etcd_that_are_errors_are_not_in_its_throughput() -> None:
    output = (
        '{"requests": 500, "duration_us": 1000000, "p50_us": 900, "p99_us": 1900, "max_us": 2000,'
        ' "status_errors": 500, "broken": 0}'
    )
    measured = read_wrk(output, Load("h", 1, OPERATIONS["put"], 64, 10, 1.0, dialect="etcd"), {})
    found = lines([visit("trizone", "put", 10), Visit("etcd", 1, measured, 0)])
    assert (measured.operations, ratio(found, "put", "etcd")) == (0, None)


@pytest.mark.parametrize(
    ("name", "figure", "expected"),
    [
        ("etcd-put", 2.0, True),
        ("etcd-put", 1.99, False),
        ("half-put", 9.9, True),
        ("half-put", 10.0, False),
        ("batch", 40_000.0, True),
        ("million-put", 1.2, False),
        ("idle-cpu", None, None),
    ],
)
def test_a_goal_is_reached_at_or_below_its_limit(name: str, figure: float | None, expected: bool | None) -> None:
    assert verdict(name, figure).reached is expected


def test_errors_void_a_figure() -> None:
    found = verdict("batch", 99_999.0, "fast", errors=3)
    assert (found.reached, found.word, found.detail) == (None, "not measured", "3 errors; fast")


def test_verdicts_against_etcd() -> None:
    found = lines(
        [visit("trizone", name, 3000) for name in ("put", "strong", "eventual")]
        + [visit("etcd", "put", 1000), visit("etcd", "strong", 2000), visit("etcd", "eventual", 9000, errors=9000)]
    )
    assert [one.reached for one in against_etcd(found, "")] == [True, False, None]
    ours = lines([visit("trizone", "put", 3000)])
    missing = against_etcd(ours, "could not be installed")
    assert {(one.reached, one.detail) for one in missing} == {(None, "could not be installed")}


def test_every_goal_is_in_the_report_once() -> None:
    verdicts = [one for group in GROUPS for one in unmeasured(group, "the machine is gone")]
    assert [one.goal.name for one in verdicts] == list(GOALS)
    text = report([verdict("batch", 41_234.0, "x"), verdict("lone-put", 2.25), *verdicts])
    assert " ".join(text[0].split()) == "reached BatchWriteItem of 25 at least 40,000 items/s 41,234 x"
    assert text[1].split()[-1] == "2.25"
    assert all(row.endswith("the machine is gone") for row in text[2:])
    assert json.dumps([one.to_json() for one in verdicts])


@pytest.mark.parametrize(
    "arguments",
    [["--peers", "redis"], ["--goals", "fast"], ["--rounds", "0"], ["--seconds", "0"], ["--connections", "x"]],
    ids=" ".join,
)
def test_wrong_arguments_of_a_comparison_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parse(arguments)
    assert stopped.value.code == 2


def test_all_and_none() -> None:
    assert (parse([]).peers, parse([]).goals) == (OTHERS, list(GROUPS))
    options = parse(["--peers", "none", "--goals", "lone,idle"])
    assert (options.peers, options.goals) == ([], ["lone", "idle"])


def test_what_is_installed_is_pinned() -> None:
    wanted = json.loads(PACKAGE.read_text())
    lock = json.loads(PACKAGE_LOCK.read_text())["packages"]
    assert lock[""]["dependencies"] == wanted["dependencies"]
    assert all(re.fullmatch(r"[\d.]+", version) for version in wanted["dependencies"].values())
    packages = {name: one for name, one in lock.items() if name}
    assert all(one["integrity"].startswith("sha512-") for one in packages.values())
    # The registry is the machine's own choice.
    assert not any("resolved" in one for one in packages.values())
    pins = [text for text in MOTO_REQUIREMENTS.read_text().splitlines() if not text.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)
    assert sum(pin.startswith("moto==") for pin in pins) == 1


class Memory(Peer):
    """Holds what it is told, or forgets it, or is behind for a while."""

    name, title, keeps = "memory", "memory", "nothing"

    def __init__(self, stops: StopRequests, *, forgets: bool = False, behind: int = 0) -> None:
        super().__init__(stops, lambda _: None)
        self.forgets = forgets
        self.behind = behind
        self.held: dict[str, str] = {}

    def install(self, cache: Cache) -> None: ...

    def start(self, folder: Path) -> None: ...

    def stop(self) -> None: ...

    def target(self) -> None: ...  # type: ignore[override]

    def load(self, count: int) -> None: ...

    def put_one(self, key: str, value: str) -> None:
        if not self.forgets:
            self.held[key] = value

    def read_one(self, key: str, *, strong: bool) -> str | None:
        if not strong and self.behind:
            self.behind -= 1
            return None
        return self.held.get(key)


def test_a_peer_that_does_not_hold_what_it_acknowledged_is_found() -> None:
    with StopRequests() as stops:
        Memory(stops).verify()
        Memory(stops, behind=2).verify()
        with pytest.raises(CommandError, match=r"acknowledged .* a strong read gave None"):
            Memory(stops, forgets=True).verify()


def test_a_line_that_was_not_measured_is_not_found() -> None:
    assert find([], "put", "etcd") is None
