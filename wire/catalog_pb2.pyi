from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TableState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TABLE_STATE_UNSPECIFIED: _ClassVar[TableState]
    TABLE_CREATING: _ClassVar[TableState]
    TABLE_ACTIVE: _ClassVar[TableState]
    TABLE_DELETING: _ClassVar[TableState]

class KeyType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    KEY_TYPE_UNSPECIFIED: _ClassVar[KeyType]
    KEY_S: _ClassVar[KeyType]
    KEY_N: _ClassVar[KeyType]
    KEY_B: _ClassVar[KeyType]

class IndexKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INDEX_KIND_UNSPECIFIED: _ClassVar[IndexKind]
    INDEX_LOCAL: _ClassVar[IndexKind]
    INDEX_GLOBAL: _ClassVar[IndexKind]
    INDEX_COLLECTION_SIZES: _ClassVar[IndexKind]

class IndexState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INDEX_STATE_UNSPECIFIED: _ClassVar[IndexState]
    INDEX_CREATING: _ClassVar[IndexState]
    INDEX_BACKFILLING: _ClassVar[IndexState]
    INDEX_ACTIVE: _ClassVar[IndexState]
    INDEX_DELETING: _ClassVar[IndexState]

class ProjectionKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PROJECTION_KIND_UNSPECIFIED: _ClassVar[ProjectionKind]
    PROJECT_ALL: _ClassVar[ProjectionKind]
    PROJECT_KEYS_ONLY: _ClassVar[ProjectionKind]
    PROJECT_INCLUDE: _ClassVar[ProjectionKind]

class CatalogOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CATALOG_OUTCOME_UNSPECIFIED: _ClassVar[CatalogOutcome]
    CATALOG_OK: _ClassVar[CatalogOutcome]
    CATALOG_TABLE_EXISTS: _ClassVar[CatalogOutcome]
    CATALOG_TABLE_NOT_FOUND: _ClassVar[CatalogOutcome]
    CATALOG_TABLE_NOT_ACTIVE: _ClassVar[CatalogOutcome]
    CATALOG_LIMIT_EXCEEDED: _ClassVar[CatalogOutcome]
    CATALOG_ALREADY_BOOTSTRAPPED: _ClassVar[CatalogOutcome]
    CATALOG_CONFLICT: _ClassVar[CatalogOutcome]
    CATALOG_PARTITION_NOT_FOUND: _ClassVar[CatalogOutcome]
    CATALOG_REPLICAS_REFUSED: _ClassVar[CatalogOutcome]
TABLE_STATE_UNSPECIFIED: TableState
TABLE_CREATING: TableState
TABLE_ACTIVE: TableState
TABLE_DELETING: TableState
KEY_TYPE_UNSPECIFIED: KeyType
KEY_S: KeyType
KEY_N: KeyType
KEY_B: KeyType
INDEX_KIND_UNSPECIFIED: IndexKind
INDEX_LOCAL: IndexKind
INDEX_GLOBAL: IndexKind
INDEX_COLLECTION_SIZES: IndexKind
INDEX_STATE_UNSPECIFIED: IndexState
INDEX_CREATING: IndexState
INDEX_BACKFILLING: IndexState
INDEX_ACTIVE: IndexState
INDEX_DELETING: IndexState
PROJECTION_KIND_UNSPECIFIED: ProjectionKind
PROJECT_ALL: ProjectionKind
PROJECT_KEYS_ONLY: ProjectionKind
PROJECT_INCLUDE: ProjectionKind
CATALOG_OUTCOME_UNSPECIFIED: CatalogOutcome
CATALOG_OK: CatalogOutcome
CATALOG_TABLE_EXISTS: CatalogOutcome
CATALOG_TABLE_NOT_FOUND: CatalogOutcome
CATALOG_TABLE_NOT_ACTIVE: CatalogOutcome
CATALOG_LIMIT_EXCEEDED: CatalogOutcome
CATALOG_ALREADY_BOOTSTRAPPED: CatalogOutcome
CATALOG_CONFLICT: CatalogOutcome
CATALOG_PARTITION_NOT_FOUND: CatalogOutcome
CATALOG_REPLICAS_REFUSED: CatalogOutcome

class KeyAttribute(_message.Message):
    __slots__ = ("name", "type")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: KeyType
    def __init__(self, name: _Optional[str] = ..., type: _Optional[_Union[KeyType, str]] = ...) -> None: ...

class Index(_message.Message):
    __slots__ = ("index_id", "name", "kind", "partition_keys", "sort_keys", "projection", "included", "state", "settings_json")
    INDEX_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PARTITION_KEYS_FIELD_NUMBER: _ClassVar[int]
    SORT_KEYS_FIELD_NUMBER: _ClassVar[int]
    PROJECTION_FIELD_NUMBER: _ClassVar[int]
    INCLUDED_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_JSON_FIELD_NUMBER: _ClassVar[int]
    index_id: int
    name: str
    kind: IndexKind
    partition_keys: _containers.RepeatedCompositeFieldContainer[KeyAttribute]
    sort_keys: _containers.RepeatedCompositeFieldContainer[KeyAttribute]
    projection: ProjectionKind
    included: _containers.RepeatedScalarFieldContainer[str]
    state: IndexState
    settings_json: bytes
    def __init__(self, index_id: _Optional[int] = ..., name: _Optional[str] = ..., kind: _Optional[_Union[IndexKind, str]] = ..., partition_keys: _Optional[_Iterable[_Union[KeyAttribute, _Mapping]]] = ..., sort_keys: _Optional[_Iterable[_Union[KeyAttribute, _Mapping]]] = ..., projection: _Optional[_Union[ProjectionKind, str]] = ..., included: _Optional[_Iterable[str]] = ..., state: _Optional[_Union[IndexState, str]] = ..., settings_json: _Optional[bytes] = ...) -> None: ...

class Table(_message.Message):
    __slots__ = ("table_id", "name", "region", "state", "partition_key", "sort_key", "created_at_ms", "uuid", "settings_json", "indexes", "revision")
    TABLE_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PARTITION_KEY_FIELD_NUMBER: _ClassVar[int]
    SORT_KEY_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    UUID_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_JSON_FIELD_NUMBER: _ClassVar[int]
    INDEXES_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    table_id: int
    name: str
    region: str
    state: TableState
    partition_key: KeyAttribute
    sort_key: KeyAttribute
    created_at_ms: int
    uuid: str
    settings_json: bytes
    indexes: _containers.RepeatedCompositeFieldContainer[Index]
    revision: int
    def __init__(self, table_id: _Optional[int] = ..., name: _Optional[str] = ..., region: _Optional[str] = ..., state: _Optional[_Union[TableState, str]] = ..., partition_key: _Optional[_Union[KeyAttribute, _Mapping]] = ..., sort_key: _Optional[_Union[KeyAttribute, _Mapping]] = ..., created_at_ms: _Optional[int] = ..., uuid: _Optional[str] = ..., settings_json: _Optional[bytes] = ..., indexes: _Optional[_Iterable[_Union[Index, _Mapping]]] = ..., revision: _Optional[int] = ...) -> None: ...

class Node(_message.Message):
    __slots__ = ("id", "az", "address")
    ID_FIELD_NUMBER: _ClassVar[int]
    AZ_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    id: str
    az: str
    address: str
    def __init__(self, id: _Optional[str] = ..., az: _Optional[str] = ..., address: _Optional[str] = ...) -> None: ...

class Partition(_message.Message):
    __slots__ = ("id", "first_hash", "replicas", "preferred_leader", "generation", "target_replicas")
    ID_FIELD_NUMBER: _ClassVar[int]
    FIRST_HASH_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    PREFERRED_LEADER_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    TARGET_REPLICAS_FIELD_NUMBER: _ClassVar[int]
    id: int
    first_hash: bytes
    replicas: _containers.RepeatedScalarFieldContainer[str]
    preferred_leader: str
    generation: int
    target_replicas: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[int] = ..., first_hash: _Optional[bytes] = ..., replicas: _Optional[_Iterable[str]] = ..., preferred_leader: _Optional[str] = ..., generation: _Optional[int] = ..., target_replicas: _Optional[_Iterable[str]] = ...) -> None: ...

class Catalog(_message.Message):
    __slots__ = ("version", "cluster_id", "nodes", "partitions", "tables", "next_table_id", "index_delay_ms")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    TABLES_FIELD_NUMBER: _ClassVar[int]
    NEXT_TABLE_ID_FIELD_NUMBER: _ClassVar[int]
    INDEX_DELAY_MS_FIELD_NUMBER: _ClassVar[int]
    version: int
    cluster_id: str
    nodes: _containers.RepeatedCompositeFieldContainer[Node]
    partitions: _containers.RepeatedCompositeFieldContainer[Partition]
    tables: _containers.RepeatedCompositeFieldContainer[Table]
    next_table_id: int
    index_delay_ms: int
    def __init__(self, version: _Optional[int] = ..., cluster_id: _Optional[str] = ..., nodes: _Optional[_Iterable[_Union[Node, _Mapping]]] = ..., partitions: _Optional[_Iterable[_Union[Partition, _Mapping]]] = ..., tables: _Optional[_Iterable[_Union[Table, _Mapping]]] = ..., next_table_id: _Optional[int] = ..., index_delay_ms: _Optional[int] = ...) -> None: ...

class CreateTable(_message.Message):
    __slots__ = ("name", "region", "partition_key", "sort_key", "created_at_ms", "uuid", "settings_json", "tables_max", "indexes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    PARTITION_KEY_FIELD_NUMBER: _ClassVar[int]
    SORT_KEY_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    UUID_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_JSON_FIELD_NUMBER: _ClassVar[int]
    TABLES_MAX_FIELD_NUMBER: _ClassVar[int]
    INDEXES_FIELD_NUMBER: _ClassVar[int]
    name: str
    region: str
    partition_key: KeyAttribute
    sort_key: KeyAttribute
    created_at_ms: int
    uuid: str
    settings_json: bytes
    tables_max: int
    indexes: _containers.RepeatedCompositeFieldContainer[Index]
    def __init__(self, name: _Optional[str] = ..., region: _Optional[str] = ..., partition_key: _Optional[_Union[KeyAttribute, _Mapping]] = ..., sort_key: _Optional[_Union[KeyAttribute, _Mapping]] = ..., created_at_ms: _Optional[int] = ..., uuid: _Optional[str] = ..., settings_json: _Optional[bytes] = ..., tables_max: _Optional[int] = ..., indexes: _Optional[_Iterable[_Union[Index, _Mapping]]] = ...) -> None: ...

class IndexSettings(_message.Message):
    __slots__ = ("index_id", "settings_json")
    INDEX_ID_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_JSON_FIELD_NUMBER: _ClassVar[int]
    index_id: int
    settings_json: bytes
    def __init__(self, index_id: _Optional[int] = ..., settings_json: _Optional[bytes] = ...) -> None: ...

class ChangeTable(_message.Message):
    __slots__ = ("table_id", "if_revision", "settings_json", "add_indexes", "delete_indexes", "index_settings")
    TABLE_ID_FIELD_NUMBER: _ClassVar[int]
    IF_REVISION_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_JSON_FIELD_NUMBER: _ClassVar[int]
    ADD_INDEXES_FIELD_NUMBER: _ClassVar[int]
    DELETE_INDEXES_FIELD_NUMBER: _ClassVar[int]
    INDEX_SETTINGS_FIELD_NUMBER: _ClassVar[int]
    table_id: int
    if_revision: int
    settings_json: bytes
    add_indexes: _containers.RepeatedCompositeFieldContainer[Index]
    delete_indexes: _containers.RepeatedScalarFieldContainer[int]
    index_settings: _containers.RepeatedCompositeFieldContainer[IndexSettings]
    def __init__(self, table_id: _Optional[int] = ..., if_revision: _Optional[int] = ..., settings_json: _Optional[bytes] = ..., add_indexes: _Optional[_Iterable[_Union[Index, _Mapping]]] = ..., delete_indexes: _Optional[_Iterable[int]] = ..., index_settings: _Optional[_Iterable[_Union[IndexSettings, _Mapping]]] = ...) -> None: ...

class SetIndexState(_message.Message):
    __slots__ = ("table_id", "index_id", "state")
    TABLE_ID_FIELD_NUMBER: _ClassVar[int]
    INDEX_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    table_id: int
    index_id: int
    state: IndexState
    def __init__(self, table_id: _Optional[int] = ..., index_id: _Optional[int] = ..., state: _Optional[_Union[IndexState, str]] = ...) -> None: ...

class ForgetIndex(_message.Message):
    __slots__ = ("table_id", "index_id")
    TABLE_ID_FIELD_NUMBER: _ClassVar[int]
    INDEX_ID_FIELD_NUMBER: _ClassVar[int]
    table_id: int
    index_id: int
    def __init__(self, table_id: _Optional[int] = ..., index_id: _Optional[int] = ...) -> None: ...

class SetIndexDelay(_message.Message):
    __slots__ = ("index_delay_ms",)
    INDEX_DELAY_MS_FIELD_NUMBER: _ClassVar[int]
    index_delay_ms: int
    def __init__(self, index_delay_ms: _Optional[int] = ...) -> None: ...

class DeleteTable(_message.Message):
    __slots__ = ("name", "region", "table_id", "if_revision")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    TABLE_ID_FIELD_NUMBER: _ClassVar[int]
    IF_REVISION_FIELD_NUMBER: _ClassVar[int]
    name: str
    region: str
    table_id: int
    if_revision: int
    def __init__(self, name: _Optional[str] = ..., region: _Optional[str] = ..., table_id: _Optional[int] = ..., if_revision: _Optional[int] = ...) -> None: ...

class ActivateTable(_message.Message):
    __slots__ = ("table_id",)
    TABLE_ID_FIELD_NUMBER: _ClassVar[int]
    table_id: int
    def __init__(self, table_id: _Optional[int] = ...) -> None: ...

class ForgetTable(_message.Message):
    __slots__ = ("table_id",)
    TABLE_ID_FIELD_NUMBER: _ClassVar[int]
    table_id: int
    def __init__(self, table_id: _Optional[int] = ...) -> None: ...

class Bootstrap(_message.Message):
    __slots__ = ("catalog",)
    CATALOG_FIELD_NUMBER: _ClassVar[int]
    catalog: Catalog
    def __init__(self, catalog: _Optional[_Union[Catalog, _Mapping]] = ...) -> None: ...

class MovePartition(_message.Message):
    __slots__ = ("partition", "target_replicas", "if_generation")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    TARGET_REPLICAS_FIELD_NUMBER: _ClassVar[int]
    IF_GENERATION_FIELD_NUMBER: _ClassVar[int]
    partition: int
    target_replicas: _containers.RepeatedScalarFieldContainer[str]
    if_generation: int
    def __init__(self, partition: _Optional[int] = ..., target_replicas: _Optional[_Iterable[str]] = ..., if_generation: _Optional[int] = ...) -> None: ...

class SetReplicas(_message.Message):
    __slots__ = ("partition", "replicas", "generation")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    partition: int
    replicas: _containers.RepeatedScalarFieldContainer[str]
    generation: int
    def __init__(self, partition: _Optional[int] = ..., replicas: _Optional[_Iterable[str]] = ..., generation: _Optional[int] = ...) -> None: ...

class CatalogCommand(_message.Message):
    __slots__ = ("bootstrap", "create_table", "delete_table", "activate_table", "forget_table", "change_table", "set_index_state", "forget_index", "set_index_delay", "move_partition", "set_replicas")
    BOOTSTRAP_FIELD_NUMBER: _ClassVar[int]
    CREATE_TABLE_FIELD_NUMBER: _ClassVar[int]
    DELETE_TABLE_FIELD_NUMBER: _ClassVar[int]
    ACTIVATE_TABLE_FIELD_NUMBER: _ClassVar[int]
    FORGET_TABLE_FIELD_NUMBER: _ClassVar[int]
    CHANGE_TABLE_FIELD_NUMBER: _ClassVar[int]
    SET_INDEX_STATE_FIELD_NUMBER: _ClassVar[int]
    FORGET_INDEX_FIELD_NUMBER: _ClassVar[int]
    SET_INDEX_DELAY_FIELD_NUMBER: _ClassVar[int]
    MOVE_PARTITION_FIELD_NUMBER: _ClassVar[int]
    SET_REPLICAS_FIELD_NUMBER: _ClassVar[int]
    bootstrap: Bootstrap
    create_table: CreateTable
    delete_table: DeleteTable
    activate_table: ActivateTable
    forget_table: ForgetTable
    change_table: ChangeTable
    set_index_state: SetIndexState
    forget_index: ForgetIndex
    set_index_delay: SetIndexDelay
    move_partition: MovePartition
    set_replicas: SetReplicas
    def __init__(self, bootstrap: _Optional[_Union[Bootstrap, _Mapping]] = ..., create_table: _Optional[_Union[CreateTable, _Mapping]] = ..., delete_table: _Optional[_Union[DeleteTable, _Mapping]] = ..., activate_table: _Optional[_Union[ActivateTable, _Mapping]] = ..., forget_table: _Optional[_Union[ForgetTable, _Mapping]] = ..., change_table: _Optional[_Union[ChangeTable, _Mapping]] = ..., set_index_state: _Optional[_Union[SetIndexState, _Mapping]] = ..., forget_index: _Optional[_Union[ForgetIndex, _Mapping]] = ..., set_index_delay: _Optional[_Union[SetIndexDelay, _Mapping]] = ..., move_partition: _Optional[_Union[MovePartition, _Mapping]] = ..., set_replicas: _Optional[_Union[SetReplicas, _Mapping]] = ...) -> None: ...

class CatalogResult(_message.Message):
    __slots__ = ("outcome", "table", "version", "reason")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    outcome: CatalogOutcome
    table: Table
    version: int
    reason: str
    def __init__(self, outcome: _Optional[_Union[CatalogOutcome, str]] = ..., table: _Optional[_Union[Table, _Mapping]] = ..., version: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...
