"""Region and access key out of the SigV4 Authorization header.

Called by router.http.protocol for every request. Pure. Law: never raises; a header that cannot be read gives the
default scope, since signatures are not checked by this version.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

DEFAULT_REGION = "us-east-1"
# Region becomes part of ARNs and catalog keys; what no AWS region could be is not taken from a client.
_REGION_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_REGION_LENGTH_MAX = 32
_MARK = b"Credential="


@dataclass(frozen=True, slots=True)
class Scope:
    """Who calls, and which region the call is addressed to."""

    access_key: str
    region: str


DEFAULT_SCOPE = Scope("", DEFAULT_REGION)


@lru_cache(maxsize=1024)
def _scope(credential: bytes) -> Scope:
    # Credential=AKID/20240101/us-east-1/dynamodb/aws4_request. The access key itself may hold slashes.
    parts = credential.decode("latin-1").rsplit("/", 4)
    if len(parts) != 5:
        return DEFAULT_SCOPE
    access_key, _date, region, _service, _terminator = parts
    if not region or len(region) > _REGION_LENGTH_MAX or not _REGION_CHARACTERS.issuperset(region):
        return Scope(access_key, DEFAULT_REGION)
    return Scope(access_key, region)


def parse_scope(authorization: bytes) -> Scope:
    """The credential scope of an Authorization header (API reference: Signature Version 4); empty or odd: default."""
    start = authorization.find(_MARK)
    if start < 0:
        return DEFAULT_SCOPE
    start += len(_MARK)
    # The signature differs with every request, the credential only with the day: cut before caching.
    end = authorization.find(b",", start)
    credential = authorization[start:] if end < 0 else authorization[start:end]
    if len(credential) > 512:
        return DEFAULT_SCOPE
    return _scope(credential.strip())
