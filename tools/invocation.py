"""How this command was called, so that a hint can be copied and pasted.

Used by every module of tools that tells a person what to type. Law: what is shown runs from the folder the person is
in.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

NAME = "trizone"


def spelling(called_as: str, folder: Path, on_path: str | None) -> str:
    """What to type for the command that was called as `called_as` (sys.argv[0]) by somebody in `folder`.

    `on_path` is what the bare name would run. Another program's name (`python -m tools.cli`, a test) says nothing about
    where the command is: then it is the bare name.
    """
    called = folder / called_as
    if Path(called_as).name != NAME or (on_path is not None and Path(on_path) == called):
        return NAME
    if not called.is_relative_to(folder):
        return str(called)
    below = called.relative_to(folder)
    # A shell looks for a name without a slash on the path only.
    return str(below) if len(below.parts) > 1 else f"./{below}"


TRIZONE = spelling(sys.argv[0], Path.cwd(), shutil.which(NAME))
