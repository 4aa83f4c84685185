"""The cluster.yaml of a test's cluster, and ports for it.

Called by harness.cluster. Law: no port is fixed: any number of test clusters run side by side, beside a user's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from tools.ports import ephemeral_begin, first_chosen_port, is_free

HOST = "127.0.0.1"
ZONES = ("az-a", "az-b", "az-c")
# Never bound: a new folder started with another HTTP port gets free ports for all of these (tools.resolve).
_FILE_PORT = 1024

Overrides = Mapping[str, object]


def node_names(count: int) -> list[str]:
    """n1, n2, ..."""
    return [f"n{number + 1}" for number in range(count)]


def settings_text(*, nodes: int, routers: int, overrides: Overrides, data_folders: Mapping[str, Path]) -> str:
    """A cluster.yaml of `nodes` nodes, one after the other in the three AZs, and `routers` routers.

    `overrides` are further top-level sections, `data_folders` data folders by node id where not the usual one.
    """
    ports = iter(range(_FILE_PORT, _FILE_PORT + 100))
    document: dict[str, object] = {
        "nodes": [
            {
                "id": name,
                "az": ZONES[number % len(ZONES)],
                "host": HOST,
                "port": next(ports),
                "metrics_port": next(ports),
                "data": str(data_folders.get(name, "")),
            }
            for number, name in enumerate(node_names(nodes))
        ],
        "routers": [
            {
                "id": f"r{number + 1}",
                "az": ZONES[number % len(ZONES)],
                "http_host": HOST,
                "http_port": next(ports),
                "metrics_port": next(ports),
            }
            for number in range(routers)
        ],
    }
    return yaml.safe_dump(document | dict(overrides), sort_keys=False)


def free_http_port(folder: Path, count: int) -> int:
    """The first of `count` consecutive free ports below the kernel's own range. Raises RuntimeError without any."""
    end = ephemeral_begin()
    # Another place than tools.resolve looks for the other ports of this folder.
    begin = first_chosen_port(folder / "http", end)
    for port in range(begin, end - count):
        if all(is_free(HOST, port + number) for number in range(count)):
            return port
    raise RuntimeError(f"no {count} free ports between {begin} and {end}")
