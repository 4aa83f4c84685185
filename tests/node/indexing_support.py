"""Items, operations and waiting, for tests of indexes on three real hosts in virtual time."""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from dynamo.records import encode_record
from dynamo.values import Item
from simulation.index_rows import differences_of
from simulation.process import Process
from simulation.quiet import QuietCluster
from simulation.table import FROM_START, GROUPS, TABLE_ID, TABLE_KEY, begin_entry
from wire import catalog_pb2, data_pb2


def item(key: str, **attributes: object) -> Item:
    """An item of group 1: `v="a"` a string, `n=1` a number."""
    made: Item = {"g": {"S": "g1"}, "k": {"S": key}}
    for name, value in attributes.items():
        made[name] = {"S": value} if isinstance(value, str) else {"N": str(value)}
    return made


def operation(kind: data_pb2.OperationKind, key: str, **fields: object) -> data_pb2.Operation:
    item_key = TABLE_KEY.item_key_of_key(item(key))
    return data_pb2.Operation(kind=kind, partition=1, table_id=TABLE_ID, key=item_key, **fields)  # type: ignore[arg-type]


def put(whole: Item, flags: int = 0) -> data_pb2.Operation:
    return operation(data_pb2.PUT, whole["k"]["S"], item=encode_record(whole), flags=flags)


def update(key: str, text: str, flags: int = 0, **values: Item) -> data_pb2.Operation:
    expressions = {"update": text, "values": {f":{name}": value for name, value in values.items()}}
    return operation(
        data_pb2.UPDATE, key, item=orjson.dumps(item(key)), expressions=orjson.dumps(expressions), flags=flags
    )


def begin(cluster: QuietCluster, indexes: Iterable[catalog_pb2.Index], *, backfill: bool = False) -> None:
    """Let every partition begin indexes."""
    for group_id in GROUPS:
        host = cluster.leader(group_id).host
        for index in indexes:
            host.partitions[group_id].propose_own(begin_entry(index, backfill=backfill))
        host.wake(group_id)
    cluster.run(0.1)


def backlog(cluster: QuietCluster) -> int:
    return sum(cluster.leader(group_id).host.partitions[group_id].index_backlog for group_id in GROUPS)


def feed_all(cluster: QuietCluster, bound_s: float = 10.0) -> None:
    """Wait until every outbox of every replica is empty and all replicas are equal."""
    end = cluster.world.now + bound_s
    cluster.world.run_until(end, lambda: backlog(cluster) == 0)
    assert backlog(cluster) == 0
    for group_id in GROUPS:
        cluster.settle(group_id)


def rows(process: Process, index_id: int) -> dict[int, int]:
    """How many rows of an index each partition has on a node."""
    return {
        group_id: len(list(process.host.partitions[group_id].state.rows_after(index_id, b""))) for group_id in GROUPS
    }


def check(cluster: QuietCluster, *more: catalog_pb2.Index) -> None:
    """Every index is what the items say, on every node."""
    for machine in cluster.machines.values():
        if machine.process is not None:
            assert differences_of([*FROM_START, *more], machine.process.data_states()) == []
