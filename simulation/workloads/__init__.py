"""What clients do in a run, one workload a module: see OVERVIEW.md."""

from __future__ import annotations

from simulation.knobs import Load
from simulation.workloads.bank import Bank
from simulation.workloads.base import Scene, Workload
from simulation.workloads.counters import Counters
from simulation.workloads.indexes import Indexes
from simulation.workloads.lists import Lists
from simulation.workloads.registers import Registers
from simulation.workloads.tables import Tables

_WORKLOADS: dict[Load, type[Workload]] = {
    Load.REGISTERS: Registers,
    Load.COUNTERS: Counters,
    Load.LISTS: Lists,
    Load.BANK: Bank,
    Load.INDEXES: Indexes,
    Load.TABLES: Tables,
}


def make_workload(load: Load, scene: Scene, pause_s: float) -> Workload:
    """The workload of a name; every one of its workers pauses for `pause_s` seconds in the mean."""
    return _WORKLOADS[load](scene, pause_s)
