"""The catalog's state machine: tables, partitions and nodes, changed only by commands in the catalog group's log.

Applied by node's catalog machine on every replica. Laws: apply is deterministic and total (a refusal is a result, never
an exception: one poisoned entry would stop the catalog for ever); the version grows by one exactly when the state
changes; table ids are never used twice.
"""

from __future__ import annotations

from collections.abc import Callable

from google.protobuf.message import DecodeError

from topology import moves, table_changes
from topology.placement import CATALOG_PARTITION, PlacementNode, place, preferred_leaders
from topology.ring import HASH_BYTES, PartitionRing, initial_boundaries
from topology.settings import ClusterSettings
from wire import catalog_pb2 as pb


class CatalogState:
    """The catalog and its look-ups. Not thread-safe: one owner applies."""

    def __init__(self) -> None:
        # Everything but the tables; those live in the look-ups and join in `catalog`.
        self._frame = pb.Catalog()
        self._by_id: dict[int, pb.Table] = {}
        self._by_name: dict[tuple[str, str], pb.Table] = {}
        self._count_by_region: dict[str, int] = {}
        self._whole: pb.Catalog | None = None

    @property
    def version(self) -> int:
        """0 before bootstrap, then grows with every change."""
        return self._frame.version

    @property
    def catalog(self) -> pb.Catalog:
        """The whole catalog, tables in order of id. Shared and cached until the next change: do not modify it."""
        if self._whole is None:
            whole = pb.Catalog()
            whole.CopyFrom(self._frame)
            # Ids ascend and are never reused, so insertion order is id order; sorted only to not depend on that.
            whole.tables.extend(table for _, table in sorted(self._by_id.items()))
            self._whole = whole
        return self._whole

    def table_by_name(self, region: str, name: str) -> pb.Table | None:
        """The table in any state, or None. Do not modify it."""
        return self._by_name.get((region, name))

    def table_by_id(self, table_id: int) -> pb.Table | None:
        """The table in any state, or None. Do not modify it."""
        return self._by_id.get(table_id)

    def apply(self, command: pb.CatalogCommand) -> pb.CatalogResult:
        """Apply one command. A malformed one changes nothing and answers CATALOG_OUTCOME_UNSPECIFIED."""
        which = command.WhichOneof("command")
        if which == "bootstrap":
            return self._bootstrap(command.bootstrap.catalog)
        if self.version == 0:
            return self._result(pb.CATALOG_OUTCOME_UNSPECIFIED)
        match which:
            case "create_table":
                return self._create(command.create_table)
            case "delete_table":
                return self._delete(command.delete_table)
            case "activate_table":
                return self._activate(command.activate_table)
            case "forget_table":
                return self._forget(command.forget_table)
            case "change_table":
                return self._change(command.change_table)
            case "set_index_state":
                return self._set_index_state(command.set_index_state)
            case "forget_index":
                return self._forget_index(command.forget_index)
            case "set_index_delay":
                return self._set_index_delay(command.set_index_delay)
            case "move_partition":
                move = command.move_partition
                return self._place(move.partition, lambda one: moves.with_target(one, move, self._frame.nodes))
            case "set_replicas":
                said = command.set_replicas
                return self._place(said.partition, lambda one: moves.with_replicas(one, said, self._frame.nodes))
        return self._result(pb.CATALOG_OUTCOME_UNSPECIFIED)

    def snapshot(self) -> bytes:
        """The whole state; equal states give equal bytes."""
        return self.catalog.SerializeToString(deterministic=True)

    def restore(self, data: bytes) -> None:
        """Replace the state with a snapshot. Raises ValueError, and changes nothing, when `data` is not one."""
        try:
            catalog = pb.Catalog.FromString(data)
        except DecodeError as error:
            raise ValueError(f"not a catalog snapshot: {error}") from error
        self._load(catalog)

    def _load(self, catalog: pb.Catalog) -> None:
        self._frame = pb.Catalog()
        self._frame.CopyFrom(catalog)
        del self._frame.tables[:]
        self._by_id = {}
        self._by_name = {}
        self._count_by_region = {}
        for table in catalog.tables:
            self._add(table)
        self._whole = None

    def _add(self, source: pb.Table) -> pb.Table:
        # A copy: an element of a repeated field must not outlive its container's changes.
        table = pb.Table()
        table.CopyFrom(source)
        self._by_id[table.table_id] = table
        self._by_name[table.region, table.name] = table
        self._count_by_region[table.region] = self._count_by_region.get(table.region, 0) + 1
        return table

    def _changed(self) -> None:
        self._frame.version += 1
        self._whole = None

    def _result(self, outcome: pb.CatalogOutcome, table: pb.Table | None = None) -> pb.CatalogResult:
        return pb.CatalogResult(outcome=outcome, table=table, version=self.version)

    def _bootstrap(self, catalog: pb.Catalog) -> pb.CatalogResult:
        if self.version != 0:
            return self._result(pb.CATALOG_ALREADY_BOOTSTRAPPED)
        if not _is_complete(catalog):
            return self._result(pb.CATALOG_OUTCOME_UNSPECIFIED)
        self._load(catalog)
        ids = [*self._by_id, *(index.index_id for table in self._by_id.values() for index in table.indexes)]
        highest = max(ids, default=0)
        self._frame.next_table_id = max(catalog.next_table_id, highest + 1)
        self._frame.version = 0
        self._changed()
        return self._result(pb.CATALOG_OK)

    def _create(self, command: pb.CreateTable) -> pb.CatalogResult:
        if not table_changes.is_valid_create(command):
            return self._result(pb.CATALOG_OUTCOME_UNSPECIFIED)
        existing = self._by_name.get((command.region, command.name))
        if existing is not None:
            return self._result(pb.CATALOG_TABLE_EXISTS, existing)
        if self._count_by_region.get(command.region, 0) >= command.tables_max:
            return self._result(pb.CATALOG_LIMIT_EXCEEDED)
        table = table_changes.new_table(command, self._frame.next_table_id)
        self._frame.next_table_id += 1 + len(table.indexes)
        self._add(table)
        self._changed()
        return self._result(pb.CATALOG_OK, table)

    def _delete(self, command: pb.DeleteTable) -> pb.CatalogResult:
        table = self._by_name.get((command.region, command.name))
        if table is None:
            return self._result(pb.CATALOG_TABLE_NOT_FOUND)
        if table.state != pb.TABLE_ACTIVE or not table_changes.has_settled_indexes(table):
            return self._result(pb.CATALOG_TABLE_NOT_ACTIVE, table)
        if not table_changes.is_deletable_by(table, command):
            return self._result(pb.CATALOG_CONFLICT, table)
        return self._replace(table, table_changes.in_state(table, pb.TABLE_DELETING))

    def _activate(self, command: pb.ActivateTable) -> pb.CatalogResult:
        table = self._by_id.get(command.table_id)
        if table is None:
            return self._result(pb.CATALOG_TABLE_NOT_FOUND)
        if table.state == pb.TABLE_ACTIVE:
            # Idempotent: a catalog leader that was replaced before it saw the commit proposes it again.
            return self._result(pb.CATALOG_OK, table)
        if table.state != pb.TABLE_CREATING:
            return self._result(pb.CATALOG_TABLE_NOT_ACTIVE, table)
        return self._replace(table, table_changes.in_state(table, pb.TABLE_ACTIVE))

    def _forget(self, command: pb.ForgetTable) -> pb.CatalogResult:
        table = self._by_id.get(command.table_id)
        if table is None:
            # Idempotent: it is gone already.
            return self._result(pb.CATALOG_OK)
        if table.state != pb.TABLE_DELETING:
            # Forgetting a table that still serves would orphan its items.
            return self._result(pb.CATALOG_OUTCOME_UNSPECIFIED, table)
        del self._by_id[table.table_id]
        del self._by_name[table.region, table.name]
        self._count_by_region[table.region] -= 1
        self._changed()
        return self._result(pb.CATALOG_OK, table)

    def _change(self, command: pb.ChangeTable) -> pb.CatalogResult:
        table = self._by_id.get(command.table_id)
        if table is None:
            return self._result(pb.CATALOG_TABLE_NOT_FOUND)
        if table.state != pb.TABLE_ACTIVE:
            return self._result(pb.CATALOG_TABLE_NOT_ACTIVE, table)
        if table.revision != command.if_revision:
            return self._result(pb.CATALOG_CONFLICT, table)
        changed = table_changes.changed(table, command, self._frame.next_table_id)
        if changed is None:
            return self._result(pb.CATALOG_OUTCOME_UNSPECIFIED, table)
        self._frame.next_table_id += len(command.add_indexes)
        return self._replace(table, changed)

    def _set_index_state(self, command: pb.SetIndexState) -> pb.CatalogResult:
        table = self._by_id.get(command.table_id)
        if table is None:
            return self._result(pb.CATALOG_TABLE_NOT_FOUND)
        changed = table_changes.with_index_state(table, command.index_id, command.state)
        if changed is None:
            return self._result(pb.CATALOG_OUTCOME_UNSPECIFIED, table)
        return self._replace(table, changed)

    def _forget_index(self, command: pb.ForgetIndex) -> pb.CatalogResult:
        table = self._by_id.get(command.table_id)
        if table is None:
            # Idempotent: it is gone with its table.
            return self._result(pb.CATALOG_OK)
        changed = table_changes.without_index(table, command.index_id)
        if changed is None:
            return self._result(pb.CATALOG_OUTCOME_UNSPECIFIED, table)
        return self._replace(table, changed)

    def _set_index_delay(self, command: pb.SetIndexDelay) -> pb.CatalogResult:
        if self._frame.index_delay_ms != command.index_delay_ms:
            self._frame.index_delay_ms = command.index_delay_ms
            self._changed()
        return self._result(pb.CATALOG_OK)

    def _place(self, partition_id: int, change: Callable[[pb.Partition], moves.Placed]) -> pb.CatalogResult:
        partition = moves.find(self._frame, partition_id)
        if partition is None:
            result = self._result(pb.CATALOG_PARTITION_NOT_FOUND)
            result.reason = f"there is no partition {partition_id}"
            return result
        placed = change(partition)
        if placed.partition is not None:
            partition.CopyFrom(placed.partition)
            self._changed()
        result = self._result(placed.outcome)
        result.reason = placed.reason
        return result

    def _replace(self, table: pb.Table, changed: pb.Table) -> pb.CatalogResult:
        """Put `changed` in the place of `table`; the same message means that nothing changed."""
        if changed is not table:
            self._by_id[table.table_id] = changed
            self._by_name[table.region, table.name] = changed
            self._changed()
        return self._result(pb.CATALOG_OK, changed)


def _is_complete(catalog: pb.Catalog) -> bool:
    """Has the catalog group, a ring without gaps, replicas that are nodes, and tables with an identity?"""
    nodes = {node.id for node in catalog.nodes}
    groups = [partition for partition in catalog.partitions if partition.id == CATALOG_PARTITION]
    if not catalog.cluster_id or len(groups) != 1:
        return False
    for partition in catalog.partitions:
        replicas = list(partition.replicas)
        if not replicas or len(set(replicas)) != len(replicas) or not nodes.issuperset(replicas):
            return False
        if partition.preferred_leader not in replicas:
            return False
    names = {(table.region, table.name) for table in catalog.tables}
    ids = {table.table_id for table in catalog.tables}
    if 0 in ids or len(names) != len(catalog.tables) or len(ids) != len(catalog.tables):
        return False
    try:
        ring_of(catalog)
    except ValueError:
        return False
    return True


def bootstrap_catalog(settings: ClusterSettings, cluster_id: str) -> pb.Catalog:
    """The catalog of a new cluster: its nodes, the catalog group (partition 0) and partitions 1 to `count`, placed.

    Deterministic: every node computes the same one from the same file. Raises PlacementError with fewer than three AZs.
    """
    nodes = sorted(settings.nodes, key=lambda node: node.id)
    az_of = {node.id: node.az for node in nodes}
    count = settings.partitions.count
    placement = place(range(count + 1), [PlacementNode(node.id, node.az) for node in nodes])
    leaders = preferred_leaders(placement, az_of)
    first_hashes = {CATALOG_PARTITION: bytes(HASH_BYTES)}
    first_hashes.update(enumerate(initial_boundaries(count), start=1))
    return pb.Catalog(
        version=1,
        cluster_id=cluster_id,
        nodes=[pb.Node(id=node.id, az=node.az, address=node.address) for node in nodes],
        partitions=[
            pb.Partition(
                id=partition,
                first_hash=first_hashes[partition],
                replicas=placement[partition],
                preferred_leader=leaders[partition],
                generation=1,
            )
            for partition in range(count + 1)
        ],
        next_table_id=1,
    )


def ring_of(catalog: pb.Catalog) -> PartitionRing:
    """The ring of the data partitions. Raises ValueError when they do not cover it."""
    slices = sorted((part.first_hash, part.id) for part in catalog.partitions if part.id != CATALOG_PARTITION)
    return PartitionRing([first_hash for first_hash, _ in slices], [number for _, number in slices])
