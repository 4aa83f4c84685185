"""Operators' calls when nodes do not answer: who did not, and what to do next. With nodes: tests/cluster."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tools.admin import Operator
from tools.errors import CommandError
from topology.settings import NodeSettings

pytestmark = pytest.mark.unit


@pytest.fixture
def operator() -> Iterator[Operator]:
    """Of two nodes whose ports nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        ports = [server.getsockname()[1] for server in (first, second)]
    nodes = [
        NodeSettings(id=f"n{number}", az=f"az-{number}", port=port, metrics_port=port)
        for number, port in enumerate(ports, start=1)
    ]
    with Operator(nodes) as made:
        yield made


def test_a_sweep_names_the_nodes_that_did_not_answer(operator: Operator) -> None:
    with pytest.raises(CommandError) as caught:
        operator.sweep()
    assert str(caught.value) == ("0 expired items deleted, but no answer from n1 (unavailable), n2 (unavailable)")
    assert caught.value.hint == "the same again, once every partition has a leader"


def test_a_delay_that_no_leader_took_is_an_error(operator: Operator) -> None:
    with pytest.raises(CommandError) as caught:
        operator.set_index_delay(5)
    assert str(caught.value) == "the delay was not set: n1: unavailable, n2: unavailable"
    assert caught.value.hint == "the same again, once the catalog has a leader"
