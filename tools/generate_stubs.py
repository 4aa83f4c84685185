"""Compile proto/*.proto into wire/*_pb2.py and .pyi, or check that they are up to date.

Run by `make stubs` (write) and `make check` (`--check`). Law: the committed stubs are always what the .proto files say.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent


def generate(target: Path) -> None:
    """Write the stubs of every .proto file into `target`, importable as members of the package `wire`."""
    sources = sorted(str(path) for path in (ROOT / "proto").glob("*.proto"))
    arguments = ["protoc", f"-I{ROOT / 'proto'}", f"--python_out={target}", f"--pyi_out={target}", *sources]
    if protoc.main(arguments) != 0:
        raise SystemExit("protoc failed")
    for path in target.glob("*_pb2.py*"):
        text = path.read_text()
        # protoc writes flat imports; the stubs live inside the package `wire`.
        text = re.sub(r"^import (\w+_pb2) as", r"from wire import \1 as", text, flags=re.MULTILINE)
        path.write_text(text)


def main() -> None:
    """Write the stubs into wire/, or with `--check` exit with status 1 when those there are not what proto/ says."""
    if "--check" not in sys.argv:
        generate(ROOT / "wire")
        return
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        for path in sorted(Path(folder).iterdir()):
            committed = ROOT / "wire" / path.name
            if not committed.exists() or committed.read_text() != path.read_text():
                raise SystemExit(f"wire/{path.name} is not what proto/ says: run `make stubs`")


if __name__ == "__main__":
    main()
