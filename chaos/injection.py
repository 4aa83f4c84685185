"""The nodes' fault services, one client a node, and what was set through them.

Used by chaos.arena. Law: every rule has a time to live, so that a runner that dies leaves nothing broken.
"""

from __future__ import annotations

from collections.abc import Sequence

from chaos.targets.base import Target, TargetError
from tools.errors import CommandError
from tools.faults import FaultClient
from topology.settings import join_address
from wire import faults_pb2


class Injection:
    """Clients of the fault services, made when first used."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._clients: dict[str, FaultClient] = {}

    def set_rules(self, node: str, rules: Sequence[faults_pb2.FaultRule]) -> None:
        """Add rules on a node. Raises TargetError."""
        try:
            self._client(node).set(rules, keep=True)
        except CommandError as error:
            raise TargetError(f"{node}: {error}") from error

    def clear_rules(self, node: str, ids: Sequence[str]) -> None:
        """Heal rules of a node. Raises TargetError."""
        try:
            self._client(node).clear(ids)
        except CommandError as error:
            raise TargetError(f"{node}: {error}") from error

    def left(self) -> list[str]:
        """Rules still in force, on any node that was told some, in words."""
        found = []
        for node, client in self._clients.items():
            if self._target.is_running(node):
                found += [f"{node}: {fault.text}" for fault in client.describe().faults]
        return found

    def close(self) -> None:
        """Give up the connections."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def _client(self, node: str) -> FaultClient:
        client = self._clients.get(node)
        if client is None:
            try:
                token = self._target.fault_token_path().read_text(encoding="utf-8").strip()
            except OSError as error:
                raise TargetError(f"the token of the fault services cannot be read: {error}") from error
            client = self._clients[node] = FaultClient(join_address(*self._target.grpc_address(node)), token)
        return client
