"""`python -m router --config DIR/cluster.yaml --id r1`: the entry point of a router process.

Started by `trizone up`. Exit status: 0 after SIGTERM, 1 when it cannot run (the reason is the last line on standard
error), 2 for wrong arguments.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import uvloop

from router.process import run
from runtime import logs
from topology.settings import ClusterSettings, SettingsError, load_settings

CLUSTER_ID_FILE = "cluster-id"


def _load(config: Path, router_id: str) -> tuple[ClusterSettings, str]:
    """Settings and cluster id. Raises OSError, SettingsError, KeyError, ValueError with texts for people."""
    settings = load_settings(config.read_text(encoding="utf-8"), config.name)
    settings.router(router_id)
    cluster_id = (config.parent / CLUSTER_ID_FILE).read_text(encoding="utf-8").strip()
    if not cluster_id:
        raise ValueError(f"{config.parent / CLUSTER_ID_FILE} is empty")
    return settings, cluster_id


def main(arguments: list[str] | None = None) -> int:
    """Run the router; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m router", description="The Trizone router: HTTP front door.")
    parser.add_argument(
        "--config", type=Path, required=True, help="the resolved cluster.yaml; cluster-id lies beside it"
    )
    parser.add_argument("--id", required=True, help="which router of the file this process is")
    options = parser.parse_args(arguments)
    try:
        settings, cluster_id = _load(options.config, options.id)
    except (OSError, SettingsError, ValueError, KeyError) as error:
        sys.stderr.write(f"router {options.id}: {error.args[0] if isinstance(error, KeyError) else error}\n")
        return 1
    logs.configure(component=f"router:{options.id}", level=settings.logging.level)
    try:
        return uvloop.run(run(settings, options.id, cluster_id))
    except OSError as error:
        logs.get_logger().error("router_failed", reason=str(error))
        return 1


if __name__ == "__main__":
    sys.exit(main())
