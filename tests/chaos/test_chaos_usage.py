"""`trizone chaos` that is used wrongly says so before anything runs: exit code 2, and no traceback."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from chaos import measure, scenario
from chaos.cli import run as run_command
from chaos.cli import show_report
from chaos.runner import Run
from chaos.saved import Saved
from chaos.scenario import ScenarioError
from chaos.targets.base import TargetError
from tools.errors import EXIT_USAGE, CommandError

pytestmark = pytest.mark.unit

SCENARIO = """\
name: mine
about: Something breaks and clients go on.
seconds: 20
workload: {probes: {}}
faults:
  - {fault: kill, victim: any node, at: 1, for: 1, name: first}
"""


def refused(what: str, **more: object) -> str:
    with pytest.raises(CommandError) as caught:
        run_command(what, **{"seed": 1, "against": "local", **more})  # type: ignore[arg-type]
    assert caught.value.exit_code == EXIT_USAGE
    return str(caught.value)


@pytest.mark.parametrize("name", ["disk-full", "lost-disk", "corrupted-sst", "corrupted-journal"])
def test_a_scenario_that_needs_local_processes_is_refused_for_containers(name: str, tmp_path: Path) -> None:
    assert "containers keep" in refused(name, against="compose", report=tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_a_mix_with_a_fault_of_containers_needs_containers() -> None:
    mixed = SCENARIO + "  - {fault: mix, at: 2, for: 1, of: [{fault: disconnect, victim: any az}]}\n"
    assert scenario.load(mixed, "mine.yaml").needs_containers
    with pytest.raises(ScenarioError, match="nothing has both"):
        scenario.load(mixed + "  - {fault: disk_full, victim: any node, at: 3, for: 1}\n", "mine.yaml")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{fault: cut, victim: n1, to: same as nosuch, at: 2, for: 1}", "no fault before is called 'nosuch'"),
        ("{fault: mix, at: 2, for: 1, of: [{fault: kill, victim: other than nosuch}]}", "is called 'nosuch'"),
        ("{fault: slow_sync, victim: any router, ms: 5, at: 2, for: 1}", "slow_sync has nodes as its victims"),
        ("{fault: damage, victim: r1, file: sst, at: 2}", "damage has nodes as its victims, and r1 is a router"),
        ("{fault: mix, at: 2, for: 1, of: [{fault: stall, victim: r2, ms: 9}]}", "stall has nodes as its victims"),
    ],
)
def test_victims_that_cannot_be_are_refused_with_their_line(line: str, expected: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        scenario.load(f"{SCENARIO}  - {line}\n", "mine.yaml")
    assert str(caught.value).startswith("mine.yaml:7: ")
    assert expected in str(caught.value)


def test_settings_are_checked_before_a_cluster_is_started() -> None:
    with pytest.raises(ScenarioError) as caught:
        scenario.load(f"{SCENARIO}settings:\n  partitions:\n    count: many\n", "mine.yaml")
    assert str(caught.value).startswith("mine.yaml:9: settings.partitions.count: ")
    scenario.load(f"{SCENARIO}settings: {{partitions: {{count: 2}}}}\n", "mine.yaml")


def test_a_file_that_cannot_be_read_or_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_bytes(b"name: \xff\xfe\n")
    assert "bad.yaml:1: not a text in UTF-8" in refused(str(tmp_path / "bad.yaml"))
    assert "Is a directory" in refused(f"{tmp_path}/")


def test_a_folder_that_cannot_be_made_is_refused_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert "no result can be saved" in refused("kill-leader", report=tmp_path / "file")
    assert "no result can be saved" in refused("kill-leader", report=tmp_path / "file" / "below")


def test_what_is_no_result_is_refused_in_words_of_ours(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# no result\n")
    (tmp_path / "other.json").write_text('{"format": 1}')
    for path in (tmp_path / "README.md", tmp_path / "other.json", tmp_path):
        with pytest.raises(CommandError) as caught:
            show_report(path)
        assert caught.value.exit_code == EXIT_USAGE
        assert "pydantic" not in str(caught.value)
        assert str(path) in str(caught.value)


class Refusing:
    """A cluster that does not start."""

    kind = "refusing"
    members = ()

    def start(self) -> None:
        raise TargetError("it does not start")

    def log_text(self, name: str) -> str:
        return ""

    def close(self) -> None:
        """There is nothing."""


def test_a_folder_that_is_used_again_keeps_no_logs_of_the_run_before(tmp_path: Path) -> None:
    loaded = scenario.load(SCENARIO, "mine.yaml")

    def play(log_names: list[str]) -> None:
        one = Run(loaded, 1, Refusing(), tmp_path, command="again")  # type: ignore[arg-type]
        one._saved.log_names = log_names
        one.run()

    (tmp_path / "logs").mkdir()
    for name in ("r9.log", "mine.log"):
        (tmp_path / "logs" / name).write_text("old")
    play(["logs/r9.log"])
    assert (tmp_path / "logs" / "r9.log").exists()
    play([])
    # A file that no run of ours has named stays.
    assert os.listdir(tmp_path / "logs") == ["mine.log"]
    assert Saved.RESULT in os.listdir(tmp_path)


def test_a_measurement_that_is_ended_or_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(measure.tempfile, "tempdir", str(tmp_path))

    class Ended(Refusing):
        def __init__(self, folder: Path) -> None:
            (folder / "data").mkdir()

        def start(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()

        def close(self) -> None:
            raise TargetError("left behind: n1")

    class Failing(Ended):
        def start(self) -> None:
            raise TargetError("it does not start")

        def close(self) -> None:
            """There is nothing."""

    before = signal.getsignal(signal.SIGTERM)
    try:
        monkeypatch.setattr(measure, "LocalTarget", Ended)
        with pytest.raises(SystemExit) as caught:
            measure.app(["--writes", "1"])
        assert caught.value.code
        assert os.listdir(tmp_path) == []
        monkeypatch.setattr(measure, "LocalTarget", Failing)
        with pytest.raises(SystemExit) as caught:
            measure.app(["--writes", "1"])
        assert caught.value.code == 1
        assert os.listdir(tmp_path) == []
        assert "not measured: it does not start" in capsys.readouterr().err
    finally:
        signal.signal(signal.SIGTERM, before)
