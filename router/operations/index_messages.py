"""Indexes of requests as the catalog keeps them.

Called by CreateTable and UpdateTable. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from dynamo.indexes import IndexKind
from dynamo.keys import KeyAttribute
from dynamo.requests.indexes import IndexRequest
from wire import catalog_pb2 as pb

_KEY_TYPES = {"S": pb.KEY_S, "N": pb.KEY_N, "B": pb.KEY_B}
_KINDS = {IndexKind.LOCAL: pb.INDEX_LOCAL, IndexKind.GLOBAL: pb.INDEX_GLOBAL}
_PROJECTIONS = {"ALL": pb.PROJECT_ALL, "KEYS_ONLY": pb.PROJECT_KEYS_ONLY, "INCLUDE": pb.PROJECT_INCLUDE}


def key_message(attribute: KeyAttribute) -> pb.KeyAttribute:
    """One key attribute."""
    return pb.KeyAttribute(name=attribute.name, type=_KEY_TYPES[attribute.type])


def index_message(index: IndexRequest) -> pb.Index:
    """An index without id and state, which the catalog gives it."""
    return pb.Index(
        name=index.name,
        kind=_KINDS[index.kind],
        partition_keys=[key_message(attribute) for attribute in index.partition],
        sort_keys=[key_message(attribute) for attribute in index.sort],
        projection=_PROJECTIONS[index.projection],
        included=index.included,
        settings_json=orjson.dumps(index.settings),
    )


def index_messages(indexes: Sequence[IndexRequest]) -> list[pb.Index]:
    """The indexes of a new table: with local ones, also the hidden one that keeps the sizes of item collections."""
    messages = [index_message(index) for index in indexes]
    if any(index.kind is IndexKind.LOCAL for index in indexes):
        messages.append(pb.Index(kind=pb.INDEX_COLLECTION_SIZES))
    return messages
