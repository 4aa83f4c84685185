"""`trizone partition`: where the replicas of a partition are.

Added to the command by tools.cli. Law: as there: expected failures are CommandErrors that say what to do next.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tools.admin import Operator
from tools.console import say
from tools.folder import DEFAULT_FOLDER, ClusterFolder
from tools.invocation import TRIZONE

partition = typer.Typer(no_args_is_help=True, help="Where the replicas of a partition are.")


@partition.command("move")
def move(
    number: Annotated[int, typer.Argument(metavar="PARTITION", min=1, help="As `trizone status` counts them.")],
    to: Annotated[str, typer.Option("--to", help="The nodes that shall hold it: three, in three AZs.")],
    data: Annotated[
        Path, typer.Option("--data", help="The cluster's data folder.", show_default=True)
    ] = DEFAULT_FOLDER,
) -> None:
    """Move the replicas of a partition to other nodes while it serves. Back to where they were ends a move under way.

    Example: trizone partition move 3 --to n1,n2,n4
    """
    target = [name.strip() for name in to.split(",") if name.strip()]
    folder = ClusterFolder(data)
    with Operator(folder.settings().nodes) as operator:
        operator.move(number, target)
    say(f"partition {number} shall be on {', '.join(target)}: `{TRIZONE} status{folder.option}` shows how far it is")
