"""All faults by the word that a scenario uses.

Used by chaos.scenario and chaos.executor.
"""

from __future__ import annotations

from typing import get_args

from chaos.faults import containers, damage, machine, mix, network, processes
from chaos.faults.base import Fault

CLASSES: tuple[type[Fault], ...] = (
    processes.Kill,
    processes.Pause,
    processes.Stop,
    processes.RollingRestart,
    processes.RestartAll,
    network.Isolate,
    network.Cut,
    network.Reset,
    network.SlowLink,
    machine.SlowSync,
    machine.SyncFailure,
    machine.InjectedDiskFull,
    machine.DiskFull,
    machine.ClockSkew,
    machine.Stall,
    damage.Damage,
    mix.Mix,
    containers.Disconnect,
)


def word_of(kind: type[Fault]) -> str:
    """What `fault:` says for it."""
    word: str = get_args(kind.model_fields["fault"].annotation)[0]
    return word


FAULTS: dict[str, type[Fault]] = {word_of(kind): kind for kind in CLASSES}
mix.Mix.known = {word: kind for word, kind in FAULTS.items() if kind is not mix.Mix}
