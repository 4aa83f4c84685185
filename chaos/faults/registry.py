"""All faults by the word that a scenario uses.

Used by chaos.scenario and `trizone chaos faults`.
"""

from __future__ import annotations

from typing import get_args

from chaos.faults import processes
from chaos.faults.base import Fault

CLASSES: tuple[type[Fault], ...] = (
    processes.Kill,
    processes.Pause,
    processes.Stop,
    processes.RollingRestart,
    processes.RestartAll,
)


def word_of(kind: type[Fault]) -> str:
    """What `fault:` says for it."""
    word: str = get_args(kind.model_fields["fault"].annotation)[0]
    return word


FAULTS: dict[str, type[Fault]] = {word_of(kind): kind for kind in CLASSES}
