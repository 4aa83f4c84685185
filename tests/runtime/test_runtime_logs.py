"""Logs that cannot be written: the work goes on, and the exit status is the work's own."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from runtime.logs import LossyFile, _to_json

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
from runtime import logs
logs.configure(component="test")
log = logs.get_logger()
for number in range(200):
    log.info("event", number=number, text="x" * 200)
    try:
        raise OSError("why")
    except OSError:
        log.exception("failed")
print("done")
"""


def run(stderr: int) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, stdout=subprocess.PIPE, stderr=stderr, check=False, timeout=60
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device without room is Linux")
def test_a_full_disk_costs_lines_only() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        done = run(full)
    finally:
        os.close(full)
    assert (done.returncode, done.stdout) == (0, b"done\n")


def test_a_reader_that_is_gone_costs_lines_only() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = run(writer)
    finally:
        os.close(writer)
    assert (done.returncode, done.stdout) == (0, b"done\n")


def test_every_line_is_one_json_object() -> None:
    done = run(subprocess.PIPE)
    assert done.returncode == 0
    lines = [orjson.loads(line) for line in done.stderr.splitlines()]
    assert [line["number"] for line in lines if line["event"] == "event"] == list(range(200))
    assert all(line["component"] == "test" for line in lines)


class Broken(io.StringIO):
    """A file in memory that fails like one on a full disk."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")

    def flush(self) -> None:
        raise ValueError("I/O operation on closed file")


@pytest.mark.parametrize("file", [Broken(), None], ids=["broken", "none"])
def test_no_error_comes_out_of_a_file_that_cannot_be_written(file: io.StringIO | None) -> None:
    lossy = LossyFile(file)
    lossy.write("line\n")
    lossy.flush()


def test_a_file_in_memory_is_written() -> None:
    file = io.StringIO()
    LossyFile(file).write("line\n")
    assert file.getvalue() == "line\n"


@pytest.mark.parametrize(
    "value",
    ["\ud800", 1 << 80, object(), {"deep": {1: {2, 3}}}],
    ids=["a lone surrogate", "a huge number", "any object", "a set"],
)
def test_any_field_becomes_json(value: object) -> None:
    assert "event" in orjson.loads(_to_json({"event": "x", "field": value}))


def test_a_line_from_another_thread_names_the_process_too() -> None:
    program = """
import threading
from runtime import logs
logs.configure(component="node:n1")
thread = threading.Thread(target=lambda: logs.get_logger().info("event"))
thread.start()
thread.join()
"""
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True, timeout=60)
    assert orjson.loads(ended.stderr)["component"] == "node:n1"
