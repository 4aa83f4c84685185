"""The gRPC face of fault injection, and who may use it.

Registered by node.__main__ only where `fault_injection.enabled` is true: elsewhere the service does not exist
(UNIMPLEMENTED). Law: no call does or tells anything before its token was compared, in constant time.
"""

from __future__ import annotations

import hmac
import os
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from node.faults.injector import FaultInjector
from node.faults.plan import WrongRule
from runtime.logs import get_logger
from wire import faults_pb2 as pb
from wire import services

log = get_logger()

TOKEN_FILE = "fault-token"
TOKEN_VARIABLE = "TRIZONE_FAULT_TOKEN"
# Shorter ones can be guessed; `trizone up` makes 64 hex digits.
TOKEN_CHARACTERS_MIN = 32


class NoToken(Exception):
    """Fault injection is on, but there is no token to know friends by."""


def read_token(folder: Path) -> str:
    """The token from TRIZONE_FAULT_TOKEN or the file `fault-token` in the cluster's folder. Raises NoToken."""
    path = folder / TOKEN_FILE
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    source = TOKEN_VARIABLE
    if not token:
        source = str(path)
        try:
            token = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise NoToken(
                f"fault injection is enabled, but {path} cannot be read ({error}) and {TOKEN_VARIABLE} is not set: "
                "start with `trizone up`, which makes the token, or set the variable"
            ) from error
    if len(token) < TOKEN_CHARACTERS_MIN or not token.isascii():
        raise NoToken(f"the fault token in {source} must be at least {TOKEN_CHARACTERS_MIN} ASCII characters")
    return token


class FaultService:
    """Handlers of the service Faults."""

    def __init__(self, injector: FaultInjector, token: str) -> None:
        self._injector = injector
        self._token = token.encode()

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """What to register with the server."""
        return services.unary_handlers(
            {
                services.FAULTS_SET: (pb.SetFaultsRequest.FromString, self.set_rules),
                services.FAULTS_CLEAR: (pb.ClearFaultsRequest.FromString, self.clear_rules),
                services.FAULTS_DESCRIBE: (pb.DescribeFaultsRequest.FromString, self.describe),
            }
        )

    async def _authenticate(self, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        metadata: Any = context.invocation_metadata() or ()
        given = next((value for key, value in metadata if key == services.FAULT_TOKEN_METADATA), "")
        if not hmac.compare_digest(str(given).encode(), self._token):
            log.warning("fault_call_refused", peer=context.peer())
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "the fault token is missing or wrong")

    async def set_rules(
        self, request: pb.SetFaultsRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.FaultsReply:
        """Replace the plan, or add to it."""
        await self._authenticate(context)
        try:
            self._injector.set(request.rules, keep=request.keep)
        except WrongRule as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return self._injector.describe()

    async def clear_rules(
        self, request: pb.ClearFaultsRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.FaultsReply:
        """Heal some rules or all."""
        await self._authenticate(context)
        self._injector.clear(request.ids)
        return self._injector.describe()

    async def describe(
        self, _request: pb.DescribeFaultsRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.FaultsReply:
        """What is in force."""
        await self._authenticate(context)
        return self._injector.describe()
