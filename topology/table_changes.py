"""What commands make of one table: its next version, or nothing.

Called by topology.catalog, which looks tables up and keeps the result. Pure. Laws: a table message is never modified, a
change makes a new one whose revision is one higher; the same message back means that there was nothing to change, None
that the command asks for what cannot be.
"""

from __future__ import annotations

from collections.abc import Iterable

from wire import catalog_pb2 as pb

_KEY_TYPES = frozenset((pb.KEY_S, pb.KEY_N, pb.KEY_B))
_PROJECTIONS = frozenset((pb.PROJECT_ALL, pb.PROJECT_KEYS_ONLY, pb.PROJECT_INCLUDE))
# The order in which an index comes to life; a state further back never returns.
_LIFE = {pb.INDEX_CREATING: 0, pb.INDEX_BACKFILLING: 1, pb.INDEX_ACTIVE: 2}
_DELETABLE = frozenset((pb.INDEX_BACKFILLING, pb.INDEX_ACTIVE))
_ATTRIBUTES_MAX = 4  # of each role in a global index's key


def is_valid_create(command: pb.CreateTable) -> bool:
    """Name, region, usable keys and indexes: what a router that validated the request always sends."""
    if not command.name or not command.region or not _is_key(command.partition_key):
        return False
    if command.HasField("sort_key") and not _is_key(command.sort_key):
        return False
    return _are_valid_indexes(command.indexes, [])


def new_table(command: pb.CreateTable, table_id: int) -> pb.Table:
    """The CREATING table of a valid command; its indexes take the ids after its own, in their order."""
    table = pb.Table(
        table_id=table_id,
        name=command.name,
        region=command.region,
        state=pb.TABLE_CREATING,
        partition_key=command.partition_key,
        sort_key=command.sort_key if command.HasField("sort_key") else None,
        created_at_ms=command.created_at_ms,
        uuid=command.uuid,
        settings_json=command.settings_json,
        revision=1,
    )
    _add_indexes(table, command.indexes, table_id + 1)
    return table


def has_settled_indexes(table: pb.Table) -> bool:
    """No index is being built or deleted."""
    return all(index.state == pb.INDEX_ACTIVE for index in table.indexes)


def is_deletable_by(table: pb.Table, command: pb.DeleteTable) -> bool:
    """The table, at the revision, that the sender saw: what it judged (deletion protection) still holds."""
    if not command.table_id:
        # An entry of a log from before these fields: every replica must make of it what was made of it then.
        return True
    return (table.table_id, table.revision) == (command.table_id, command.if_revision)


def in_state(table: pb.Table, state: pb.TableState) -> pb.Table:
    """The table in another state. Becoming ACTIVE, it takes the indexes that were made with it along."""
    changed = _copy(table)
    changed.state = state
    if state == pb.TABLE_ACTIVE:
        for index in changed.indexes:
            # Nothing was ever written without them, so there is nothing to add.
            index.state = pb.INDEX_ACTIVE
    return changed


def changed(table: pb.Table, command: pb.ChangeTable, next_id: int) -> pb.Table | None:
    """The table after ChangeTable; added indexes take ids from `next_id` on. None: an index is not what it must be."""
    by_id = {index.index_id: index for index in table.indexes}
    removed = set(command.delete_indexes)
    for index_id in removed:
        index = by_id.get(index_id)
        # While it is filled an index may go again, as at the service; before that some partitions have not heard of it.
        if index is None or index.kind != pb.INDEX_GLOBAL or index.state not in _DELETABLE:
            return None
    if any(settings.index_id not in by_id for settings in command.index_settings):
        return None
    if any(index.kind != pb.INDEX_GLOBAL for index in command.add_indexes):
        return None
    if not _are_valid_indexes(command.add_indexes, table.indexes):
        return None
    result = _copy(table)
    if command.settings_json:
        result.settings_json = command.settings_json
    settings_by_id = {settings.index_id: settings.settings_json for settings in command.index_settings}
    for index in result.indexes:
        index.settings_json = settings_by_id.get(index.index_id, index.settings_json)
        if index.index_id in removed:
            index.state = pb.INDEX_DELETING
    _add_indexes(result, command.add_indexes, next_id)
    return result if _differs(result, table) else table


def with_index_state(table: pb.Table, index_id: int, state: pb.IndexState) -> pb.Table | None:
    """The table with an index further on; one that is there or beyond stays. None: no such index, or it is going."""
    index = _index(table, index_id)
    if index is None or index.state not in _LIFE or state not in _LIFE:
        return None
    if _LIFE[state] <= _LIFE[index.state]:
        return table
    result = _copy(table)
    found = _index(result, index_id)
    assert found is not None
    found.state = state
    return result


def without_index(table: pb.Table, index_id: int) -> pb.Table | None:
    """The table without a DELETING index; the table itself when it is gone already. None: the index still serves."""
    index = _index(table, index_id)
    if index is None:
        return table
    if index.state != pb.INDEX_DELETING:
        # Forgetting an index that is still maintained would orphan its entries.
        return None
    result = _copy(table)
    del result.indexes[:]
    result.indexes.extend(index for index in table.indexes if index.index_id != index_id)
    return result


def _index(table: pb.Table, index_id: int) -> pb.Index | None:
    return next((index for index in table.indexes if index.index_id == index_id), None)


def _copy(table: pb.Table) -> pb.Table:
    """The next revision, still equal otherwise: results and catalogs handed out before keep what they were given."""
    copy = pb.Table()
    copy.CopyFrom(table)
    copy.revision += 1
    return copy


def _differs(result: pb.Table, table: pb.Table) -> bool:
    before = pb.Table()
    before.CopyFrom(table)
    before.revision = result.revision
    return result != before


def _add_indexes(table: pb.Table, indexes: Iterable[pb.Index], first_id: int) -> None:
    for index_id, index in enumerate(indexes, start=first_id):
        added = table.indexes.add()
        added.CopyFrom(index)
        added.index_id = index_id
        added.state = pb.INDEX_CREATING


def _are_valid_indexes(added: Iterable[pb.Index], present: Iterable[pb.Index]) -> bool:
    names = {index.name for index in present}
    for index in added:
        if index.name in names or not _is_valid_index(index):
            return False
        names.add(index.name)
    return True


def _is_valid_index(index: pb.Index) -> bool:
    if index.kind == pb.INDEX_COLLECTION_SIZES:
        # Hidden: no client may name it.
        return not index.name
    if not index.name or index.projection not in _PROJECTIONS:
        return False
    if not all(_is_key(attribute) for attribute in (*index.partition_keys, *index.sort_keys)):
        return False
    partition_count, sort_count = len(index.partition_keys), len(index.sort_keys)
    if index.kind == pb.INDEX_LOCAL:
        return partition_count == 1 and sort_count == 1
    return index.kind == pb.INDEX_GLOBAL and 1 <= partition_count <= _ATTRIBUTES_MAX and sort_count <= _ATTRIBUTES_MAX


def _is_key(attribute: pb.KeyAttribute) -> bool:
    return bool(attribute.name) and attribute.type in _KEY_TYPES
