"""What a run leaves in its folder: result.json, report.html, history, logs of a failed run.

Used by chaos.runner. Law: a file appears whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from chaos.report import render
from chaos.result import ResultUnreadable, RunResult, load, to_json
from chaos.targets.base import Target, TargetError
from histories import files as histories
from histories.files import Header
from histories.records import Call
from tools.folder import write_whole

LOG_BYTES_MAX = 8 * 1024 * 1024


class Saved:
    """The folder of one run."""

    RESULT = "result.json"
    HISTORY = "history.jsonl"
    REPORT = "report.html"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log_names: list[str] = []
        self._logs: dict[str, str] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def drop_old_logs(self) -> None:
        """Remove the logs that an earlier run left in this folder: with the new result they would tell of another."""
        try:
            names = load(self.folder / self.RESULT).logs
        except (OSError, ResultUnreadable):
            return
        for name in names:
            # By their last part only: a result file may name anything.
            (self.folder / "logs" / Path(name).name).unlink(missing_ok=True)

    def remember_logs(self, target: Target) -> None:
        """Read the logs while the cluster is there."""
        try:
            self._logs = {member.name: target.log_text(member.name)[-LOG_BYTES_MAX:] for member in target.members}
        except (TargetError, RuntimeError):
            # The cluster never came to be.
            self._logs = {}

    def keep_logs(self, target: Target) -> None:
        """Write the logs of a run that failed."""
        del target
        folder = self.folder / "logs"
        for name, text in self._logs.items():
            folder.mkdir(exist_ok=True)
            (folder / f"{name}.log").write_text(text, encoding="utf-8")
            self.log_names.append(f"logs/{name}.log")

    def write(self, result: RunResult, calls: Sequence[Call], totals: Mapping[str, int]) -> None:
        """Write the result, its report and the history."""
        header = Header(seed=result.seed, scenario=result.scenario, command=result.command, totals=totals)
        part = self.folder / f"{self.HISTORY}.part"
        histories.save(part, header, calls)
        part.replace(self.folder / self.HISTORY)
        write_whole(self.folder / self.RESULT, to_json(result).decode())
        self.write_report(result)

    def write_report(self, result: RunResult) -> None:
        """Write the report, or write it again."""
        write_whole(self.folder / self.REPORT, render(result))
