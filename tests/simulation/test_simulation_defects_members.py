"""Replicas that move: the simulation notices when members change too fast, are counted wrongly or are forgotten."""

from __future__ import annotations

from typing import Any

import pytest
from defect_support import Defect, Patch, must_be_caught, name_of

from node.machine.state import PartitionState
from replication.journal import GroupJournal
from replication.members import MemberReplica
from replication.membership import Membership
from simulation.knobs import Fault

pytestmark = pytest.mark.simulation


def change_two_at_once(patch: Patch) -> None:
    """The next change does not wait until the one before it is committed."""
    patch.setattr(MemberReplica, "is_membership_committed", property(lambda self: True))


def keep_members_of_cut_entries(patch: Patch) -> None:
    """A membership goes on counting when its entry is cut from the log."""
    original = GroupJournal.deleteEntriesFrom

    def delete_entries_from(self: Any, position: int) -> None:
        before = list(self._memberships)
        original(self, position)
        self._memberships = before

    patch.setattr(GroupJournal, "deleteEntriesFrom", delete_entries_from)


def install_without_members(patch: Patch) -> None:
    """Who installs a snapshot goes on with the members that it had."""
    original = GroupJournal.reset

    def reset(self: Any, index: int, term: int, membership: Membership) -> None:
        original(self, index, term, self.membership if self.membership.voters else membership)

    patch.setattr(GroupJournal, "reset", reset)


def leave_the_data_of_replicas_that_go(patch: Patch) -> None:
    """A replica that leaves a node leaves its items there."""
    patch.setattr(PartitionState, "delete", lambda self: None)


_LARGE = {"machines": 5, "partitions": 2, "fault_interval_s": 0.3, "faults_end_s": 12.0}
_SHORT_LOG = {"log_entries_kept": 2, "log_bytes_kept": 3000}

DEFECTS = [
    Defect(
        defect=change_two_at_once,
        faults=(Fault.MOVE, Fault.MOVE, Fault.SLOW_SYNC, Fault.SLOW_LINK),
        more=_LARGE | {"sync_s": 0.02},
        found_as="was committed right after|counts by|broke|stopped itself",
    ),
    Defect(
        defect=keep_members_of_cut_entries,
        faults=(Fault.MOVE, Fault.MOVE, Fault.ISOLATE, Fault.TRANSFER),
        more=_LARGE,
        found_as="counts by|was committed right after|stopped itself|broke",
    ),
    Defect(
        defect=install_without_members,
        faults=(Fault.MOVE, Fault.ISOLATE),
        more=_LARGE,
        replication=_SHORT_LOG,
        found_as="counts by",
    ),
    Defect(
        defect=leave_the_data_of_replicas_that_go,
        faults=(Fault.MOVE,),
        more=_LARGE,
        found_as="of which it has no replica|lies outside the log",
    ),
]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("case", DEFECTS, ids=name_of)
def test_the_simulation_catches_members_that_are_taken_wrongly(monkeypatch: pytest.MonkeyPatch, case: Defect) -> None:
    must_be_caught(monkeypatch, case)
