"""What a follower does with an append, sentence by sentence of Raft section 5.3, and a model check of the whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.append_guard import Action, judge_append
from replication.messages import LogEntry

pytestmark = pytest.mark.unit


def log_of(first: int, terms: list[int]) -> list[LogEntry]:
    """A log whose base has index `first` and the first of `terms`."""
    return [(b"p%d" % (first + i), first + i, term) for i, term in enumerate(terms)]


def entries_of(after: int, terms: list[int]) -> list[LogEntry]:
    return [(b"p%d" % (after + 1 + i), after + 1 + i, term) for i, term in enumerate(terms)]


# base 1 (term 0), then 2 and 3 of term 1, 4 and 5 of term 2
LOG = log_of(1, [0, 1, 1, 2, 2])


@pytest.mark.parametrize(
    ("commit", "index", "log_term", "terms", "action", "at", "appended"),
    [
        pytest.param(3, 5, 2, [3], Action.APPEND, 5, [6], id="entries after the tail are appended"),
        pytest.param(3, 5, 2, [], Action.APPEND, 5, [], id="an empty append at the tail is passed on"),
        pytest.param(3, 3, 1, [2, 2], Action.APPEND, 5, [], id="a repeated append ending at the tail cuts nothing"),
        pytest.param(3, 2, 1, [1], Action.MATCHED, 3, [], id="a delayed append below the tail cuts nothing"),
        pytest.param(3, 3, 1, [], Action.MATCHED, 3, [], id="a heartbeat below the tail cuts nothing"),
        pytest.param(3, 3, 1, [2, 2, 2], Action.APPEND, 5, [6], id="only what is new of an overlap is appended"),
        pytest.param(3, 3, 1, [3], Action.APPEND, 3, [4], id="an uncommitted entry of another term is replaced"),
        pytest.param(3, 3, 1, [2, 3], Action.APPEND, 4, [5], id="replacement begins at the first difference"),
        pytest.param(4, 3, 1, [3], Action.CONFLICT, 4, [], id="a committed entry is never replaced"),
        pytest.param(
            4, 4, 3, [], Action.CONFLICT, 4, [], id="a committed previous entry of another term is a conflict"
        ),
        pytest.param(1, 1, 0, [1, 1, 2, 2], Action.APPEND, 5, [], id="the whole log again changes nothing"),
    ],
)
def test_accepted_appends(
    commit: int, index: int, log_term: int, terms: list[int], action: Action, at: int, appended: list[int]
) -> None:
    verdict = judge_append(LOG, commit, index, log_term, entries_of(index, terms))
    assert (verdict.action, verdict.at_index) == (action, at)
    assert [entry[1] for entry in verdict.entries] == appended
    if action is Action.APPEND:
        assert verdict.log_term == LOG[at - 1][2]


@pytest.mark.parametrize(
    ("commit", "index", "log_term", "hint"),
    [
        pytest.param(1, 9, 2, 6, id="a gap is rejected with the end of the log"),
        pytest.param(1, 6, 2, 6, id="a gap of one as well"),
        pytest.param(1, 5, 3, 4, id="a previous entry of another term is rejected with the start of its term"),
        pytest.param(1, 4, 3, 4, id="the same at the start of a term"),
        pytest.param(1, 3, 2, 2, id="the hint goes back to the first entry after the base"),
        pytest.param(2, 3, 2, 3, id="the hint never goes into what is committed"),
        pytest.param(4, 5, 3, 5, id="nor to the commit index itself"),
    ],
)
def test_rejected_appends(commit: int, index: int, log_term: int, hint: int) -> None:
    verdict = judge_append(LOG, commit, index, log_term, entries_of(index, [9]))
    assert (verdict.action, verdict.at_index, verdict.hint) == (Action.REJECT, index, hint)


TRUNCATED = log_of(10, [2, 2, 3])


@pytest.mark.parametrize(
    ("index", "terms", "action", "at", "appended"),
    [
        pytest.param(8, [1, 2, 2, 3, 3], Action.APPEND, 12, [13], id="what lies below the base is taken for equal"),
        pytest.param(8, [1], Action.MATCHED, 10, [], id="an append that ends below the base matches up to the base"),
        pytest.param(3, [], Action.MATCHED, 10, [], id="a heartbeat below the base matches up to the base"),
        pytest.param(9, [2], Action.MATCHED, 10, [], id="an append that ends at the base matches"),
        pytest.param(9, [2, 2, 3], Action.APPEND, 12, [], id="an append over the base up to the tail cuts nothing"),
    ],
)
def test_appends_below_the_base(index: int, terms: list[int], action: Action, at: int, appended: list[int]) -> None:
    verdict = judge_append(TRUNCATED, 11, index, 1, entries_of(index, terms))
    assert (verdict.action, verdict.at_index) == (action, at)
    assert [entry[1] for entry in verdict.entries] == appended


@st.composite
def leader_and_follower(draw: st.DrawFn) -> tuple[list[LogEntry], list[LogEntry], int, int, int]:
    """Logs with a common prefix (Log Matching holds), the commit index in it, and a window of the leader's log."""
    common = sorted(draw(st.lists(st.integers(1, 3), max_size=6)))
    floor = common[-1] if common else 1
    leader = [0, *common, *sorted(draw(st.lists(st.sampled_from([floor + 2, floor + 4]), max_size=5)))]
    follower = [0, *common, *sorted(draw(st.lists(st.sampled_from([floor + 1, floor + 3]), max_size=5)))]
    commit = draw(st.integers(1, len(common) + 1))
    base = draw(st.integers(0, commit - 1))
    start = draw(st.integers(1, len(leader)))
    stop = draw(st.integers(start, len(leader)))
    return log_of(1, leader), log_of(1, follower)[base:], commit, start, stop


@given(leader_and_follower())
def test_following_verdicts_never_harms_the_log(case: tuple[list[LogEntry], list[LogEntry], int, int, int]) -> None:
    leader, follower, commit, start, stop = case
    previous, entries = leader[start - 1], leader[start:stop]
    verdict = judge_append(follower, commit, previous[1], previous[2], entries)
    assert verdict.action is not Action.CONFLICT, "the leader agrees on everything committed"
    after = list(follower)
    if verdict.action is Action.APPEND:
        keep = verdict.at_index - follower[0][1] + 1
        assert keep > 0
        after = after[:keep] + list(verdict.entries)
    if verdict.action in (Action.APPEND, Action.MATCHED):
        matched = after[-1][1] if verdict.action is Action.APPEND else verdict.at_index
        assert matched >= max(previous[1] + len(entries), follower[0][1]) or matched == follower[0][1]
        for entry in after:
            if entry[1] <= matched:
                assert leader[entry[1] - 1][2] == entry[2], "what is acknowledged equals the leader's log"
    # Entries that equalled the leader's before are there after.
    kept = {entry[1]: entry[2] for entry in after}
    for _, index, term in follower:
        if index <= len(leader) and leader[index - 1][2] == term:
            assert kept.get(index) == term
    assert [entry[1] for entry in after] == list(range(after[0][1], after[0][1] + len(after)))


@given(leader_and_follower())
def test_rejections_lead_to_a_match(case: tuple[list[LogEntry], list[LogEntry], int, int, int]) -> None:
    """A leader that goes on at the hint finds the common prefix in at most one round for each index."""
    leader, follower, commit, start, _ = case
    index = leader[start - 1][1]
    for _round in range(len(leader) + 1):
        verdict = judge_append(follower, commit, index, leader[index - 1][2], [])
        if verdict.action is not Action.REJECT:
            break
        assert 1 <= verdict.hint - 1 < index or verdict.hint <= index
        index = min(index, verdict.hint) - 1
    assert verdict.action in (Action.APPEND, Action.MATCHED)
