"""Tells nodes what to break, and to heal: the client of the fault service, and rules in one line each.

Used by `trizone fault` (tools.fault_commands) and by chaos runs. Laws: every rule has an end (`for_s`), so that whoever
set it may die; what a node refuses is an error with the node's own words.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any

import grpc

from tools.errors import CommandError
from wire import faults_pb2 as pb
from wire.services import CHANNEL_OPTIONS, FAULT_TOKEN_METADATA, FAULTS_CLEAR, FAULTS_DESCRIBE, FAULTS_SET

CALL_TIMEOUT_S = 5.0

# In place of an id: every node, every router.
ANY = "*"

BOTH = pb.FAULT_DIRECTION_BOTH
IN = pb.FAULT_DIRECTION_IN
OUT = pb.FAULT_DIRECTION_OUT

__all__ = ["ANY", "BOTH", "IN", "OUT", "FaultClient", "FaultError", "link_rule", "machine_rule"]


class FaultError(CommandError):
    """A node did not do what it was told; `code` is the gRPC status."""

    def __init__(self, message: str, *, code: grpc.StatusCode, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


def link_rule(*, for_s: float, id: str = "", peer: str = "", router: str = "", **effects: Any) -> pb.FaultRule:
    """A fault of the streams to a node, a router, or `ANY` of them.

    `effects` are fields of LinkFault: cut, latency_ms, jitter_ms, loss_percent, bytes_per_s, reset, direction.
    """
    link = pb.LinkFault(peer=peer, router=router, **effects)
    return pb.FaultRule(id=id or secrets.token_hex(4), ttl_ms=round(for_s * 1000), link=link)


def machine_rule(*, for_s: float, id: str = "", **effects: Any) -> pb.FaultRule:
    """A fault of the machine: sync_delay_ms, sync_fails, disk_full, clock_offset_ms, clock_drift_ppm, stall_ms."""
    return pb.FaultRule(id=id or secrets.token_hex(4), ttl_ms=round(for_s * 1000), machine=pb.MachineFault(**effects))


class FaultClient:
    """The fault service of one node; close it. Every call raises FaultError."""

    def __init__(self, address: str, token: str) -> None:
        self._address = address
        self._metadata = ((FAULT_TOKEN_METADATA, token),)
        self._channel = grpc.insecure_channel(address, options=list(CHANNEL_OPTIONS))
        self._calls: dict[str, Any] = {
            path: self._channel.unary_unary(
                path,
                request_serializer=lambda request: request.SerializeToString(),
                response_deserializer=pb.FaultsReply.FromString,
            )
            for path in (FAULTS_SET, FAULTS_CLEAR, FAULTS_DESCRIBE)
        }

    def __enter__(self) -> FaultClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give up the connection; rules stay until their time is over."""
        self._channel.close()

    def set(self, rules: Iterable[pb.FaultRule], *, keep: bool = False) -> pb.FaultsReply:
        """Make `rules` the whole plan, or with `keep` add them to it."""
        return self._call(FAULTS_SET, pb.SetFaultsRequest(rules=rules, keep=keep))

    def clear(self, ids: Iterable[str] = ()) -> pb.FaultsReply:
        """Heal the rules of these ids, or all."""
        return self._call(FAULTS_CLEAR, pb.ClearFaultsRequest(ids=ids))

    def describe(self) -> pb.FaultsReply:
        """The rules in force."""
        return self._call(FAULTS_DESCRIBE, pb.DescribeFaultsRequest())

    def _call(self, path: str, request: Any) -> pb.FaultsReply:
        try:
            # A channel that has failed waits out a back-off: a node that was just started is worth the wait.
            reply: pb.FaultsReply = self._calls[path](
                request, timeout=CALL_TIMEOUT_S, metadata=self._metadata, wait_for_ready=True
            )
            return reply
        except grpc.RpcError as error:
            raise self._error(error) from error

    def _error(self, error: grpc.RpcError) -> FaultError:
        # Every error of a call is also the call, which the type stubs do not say.
        code: grpc.StatusCode = error.code()
        details: str = error.details() or ""
        hints = {
            grpc.StatusCode.UNIMPLEMENTED: "fault injection is off there: start the cluster with --fault-injection",
            grpc.StatusCode.UNAUTHENTICATED: "use the token in the file `fault-token` of the cluster's data folder",
            grpc.StatusCode.INVALID_ARGUMENT: "correct the rule",
        }
        said = {
            grpc.StatusCode.UNIMPLEMENTED: "it has no fault service",
            grpc.StatusCode.DEADLINE_EXCEEDED: f"no answer within {CALL_TIMEOUT_S:g} s",
            grpc.StatusCode.UNAVAILABLE: "no connection",
        }
        text = said.get(code, details or code.name.lower().replace("_", " "))
        return FaultError(f"{self._address}: {text}", code=code, hint=hints.get(code, "is the node running?"))
