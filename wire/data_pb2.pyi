from wire import catalog_pb2 as _catalog_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OperationKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OPERATION_KIND_UNSPECIFIED: _ClassVar[OperationKind]
    GET_STRONG: _ClassVar[OperationKind]
    GET_EVENTUAL: _ClassVar[OperationKind]
    PUT: _ClassVar[OperationKind]
    UPDATE: _ClassVar[OperationKind]
    DELETE: _ClassVar[OperationKind]
    CATALOG_COMMAND: _ClassVar[OperationKind]
    CATALOG_READ: _ClassVar[OperationKind]
    RANGE_STRONG: _ClassVar[OperationKind]
    RANGE_EVENTUAL: _ClassVar[OperationKind]
    EXPIRE: _ClassVar[OperationKind]

class OperationFlag(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OPERATION_FLAG_NONE: _ClassVar[OperationFlag]
    RETURN_OLD: _ClassVar[OperationFlag]
    RETURN_OLD_ON_CONDITION_FAILURE: _ClassVar[OperationFlag]
    RETURN_SIZES: _ClassVar[OperationFlag]
    RETURN_ALL_NEW: _ClassVar[OperationFlag]
    RETURN_UPDATED_OLD: _ClassVar[OperationFlag]
    RETURN_UPDATED_NEW: _ClassVar[OperationFlag]
    RETURN_COLLECTION_SIZE: _ClassVar[OperationFlag]

class ResultStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESULT_STATUS_UNSPECIFIED: _ClassVar[ResultStatus]
    OK: _ClassVar[ResultStatus]
    CONDITION_FAILED: _ClassVar[ResultStatus]
    VALIDATION_FAILED: _ClassVar[ResultStatus]
    TABLE_GONE: _ClassVar[ResultStatus]
    NOT_LEADER: _ClassVar[ResultStatus]
    WRONG_PARTITION: _ClassVar[ResultStatus]
    OVERLOADED: _ClassVar[ResultStatus]
    UNAVAILABLE: _ClassVar[ResultStatus]
    UNKNOWN: _ClassVar[ResultStatus]
    COLLECTION_TOO_LARGE: _ClassVar[ResultStatus]
    FORGOTTEN: _ClassVar[ResultStatus]
OPERATION_KIND_UNSPECIFIED: OperationKind
GET_STRONG: OperationKind
GET_EVENTUAL: OperationKind
PUT: OperationKind
UPDATE: OperationKind
DELETE: OperationKind
CATALOG_COMMAND: OperationKind
CATALOG_READ: OperationKind
RANGE_STRONG: OperationKind
RANGE_EVENTUAL: OperationKind
EXPIRE: OperationKind
OPERATION_FLAG_NONE: OperationFlag
RETURN_OLD: OperationFlag
RETURN_OLD_ON_CONDITION_FAILURE: OperationFlag
RETURN_SIZES: OperationFlag
RETURN_ALL_NEW: OperationFlag
RETURN_UPDATED_OLD: OperationFlag
RETURN_UPDATED_NEW: OperationFlag
RETURN_COLLECTION_SIZE: OperationFlag
RESULT_STATUS_UNSPECIFIED: ResultStatus
OK: ResultStatus
CONDITION_FAILED: ResultStatus
VALIDATION_FAILED: ResultStatus
TABLE_GONE: ResultStatus
NOT_LEADER: ResultStatus
WRONG_PARTITION: ResultStatus
OVERLOADED: ResultStatus
UNAVAILABLE: ResultStatus
UNKNOWN: ResultStatus
COLLECTION_TOO_LARGE: ResultStatus
FORGOTTEN: ResultStatus

class RangeRead(_message.Message):
    __slots__ = ("index_id", "start", "end", "backward", "limit", "bytes_max", "count_only", "key_names", "projected", "fetch")
    INDEX_ID_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    BACKWARD_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    COUNT_ONLY_FIELD_NUMBER: _ClassVar[int]
    KEY_NAMES_FIELD_NUMBER: _ClassVar[int]
    PROJECTED_FIELD_NUMBER: _ClassVar[int]
    FETCH_FIELD_NUMBER: _ClassVar[int]
    index_id: int
    start: bytes
    end: bytes
    backward: bool
    limit: int
    bytes_max: int
    count_only: bool
    key_names: _containers.RepeatedScalarFieldContainer[str]
    projected: _containers.RepeatedScalarFieldContainer[str]
    fetch: bool
    def __init__(self, index_id: _Optional[int] = ..., start: _Optional[bytes] = ..., end: _Optional[bytes] = ..., backward: bool = ..., limit: _Optional[int] = ..., bytes_max: _Optional[int] = ..., count_only: bool = ..., key_names: _Optional[_Iterable[str]] = ..., projected: _Optional[_Iterable[str]] = ..., fetch: bool = ...) -> None: ...

class Expiry(_message.Message):
    __slots__ = ("attribute", "now_s")
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    NOW_S_FIELD_NUMBER: _ClassVar[int]
    attribute: str
    now_s: int
    def __init__(self, attribute: _Optional[str] = ..., now_s: _Optional[int] = ...) -> None: ...

class Operation(_message.Message):
    __slots__ = ("id", "partition", "kind", "table_id", "key", "item", "expressions", "flags", "request_id", "range", "term", "is_repeat", "issued_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TABLE_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    EXPRESSIONS_FIELD_NUMBER: _ClassVar[int]
    FLAGS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    IS_REPEAT_FIELD_NUMBER: _ClassVar[int]
    ISSUED_AT_FIELD_NUMBER: _ClassVar[int]
    id: int
    partition: int
    kind: OperationKind
    table_id: int
    key: bytes
    item: bytes
    expressions: bytes
    flags: int
    request_id: bytes
    range: RangeRead
    term: int
    is_repeat: bool
    issued_at: int
    def __init__(self, id: _Optional[int] = ..., partition: _Optional[int] = ..., kind: _Optional[_Union[OperationKind, str]] = ..., table_id: _Optional[int] = ..., key: _Optional[bytes] = ..., item: _Optional[bytes] = ..., expressions: _Optional[bytes] = ..., flags: _Optional[int] = ..., request_id: _Optional[bytes] = ..., range: _Optional[_Union[RangeRead, _Mapping]] = ..., term: _Optional[int] = ..., is_repeat: bool = ..., issued_at: _Optional[int] = ...) -> None: ...

class RouterHello(_message.Message):
    __slots__ = ("router_id", "cluster_id", "az", "process_id", "stream")
    ROUTER_ID_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    AZ_FIELD_NUMBER: _ClassVar[int]
    PROCESS_ID_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    router_id: str
    cluster_id: str
    az: str
    process_id: bytes
    stream: int
    def __init__(self, router_id: _Optional[str] = ..., cluster_id: _Optional[str] = ..., az: _Optional[str] = ..., process_id: _Optional[bytes] = ..., stream: _Optional[int] = ...) -> None: ...

class RouterFrame(_message.Message):
    __slots__ = ("hello", "operations", "catalog_version")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    CATALOG_VERSION_FIELD_NUMBER: _ClassVar[int]
    hello: RouterHello
    operations: _containers.RepeatedCompositeFieldContainer[Operation]
    catalog_version: int
    def __init__(self, hello: _Optional[_Union[RouterHello, _Mapping]] = ..., operations: _Optional[_Iterable[_Union[Operation, _Mapping]]] = ..., catalog_version: _Optional[int] = ...) -> None: ...

class IndexUnits(_message.Message):
    __slots__ = ("index_id", "units")
    INDEX_ID_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    index_id: int
    units: int
    def __init__(self, index_id: _Optional[int] = ..., units: _Optional[int] = ...) -> None: ...

class Result(_message.Message):
    __slots__ = ("id", "status", "item", "message", "leader", "old_size", "new_size", "index_units", "collection_bytes", "count", "scanned", "bytes_read", "fetched_units", "last_key")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    LEADER_FIELD_NUMBER: _ClassVar[int]
    OLD_SIZE_FIELD_NUMBER: _ClassVar[int]
    NEW_SIZE_FIELD_NUMBER: _ClassVar[int]
    INDEX_UNITS_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_BYTES_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    SCANNED_FIELD_NUMBER: _ClassVar[int]
    BYTES_READ_FIELD_NUMBER: _ClassVar[int]
    FETCHED_UNITS_FIELD_NUMBER: _ClassVar[int]
    LAST_KEY_FIELD_NUMBER: _ClassVar[int]
    id: int
    status: ResultStatus
    item: bytes
    message: str
    leader: str
    old_size: int
    new_size: int
    index_units: _containers.RepeatedCompositeFieldContainer[IndexUnits]
    collection_bytes: int
    count: int
    scanned: int
    bytes_read: int
    fetched_units: int
    last_key: bytes
    def __init__(self, id: _Optional[int] = ..., status: _Optional[_Union[ResultStatus, str]] = ..., item: _Optional[bytes] = ..., message: _Optional[str] = ..., leader: _Optional[str] = ..., old_size: _Optional[int] = ..., new_size: _Optional[int] = ..., index_units: _Optional[_Iterable[_Union[IndexUnits, _Mapping]]] = ..., collection_bytes: _Optional[int] = ..., count: _Optional[int] = ..., scanned: _Optional[int] = ..., bytes_read: _Optional[int] = ..., fetched_units: _Optional[int] = ..., last_key: _Optional[bytes] = ...) -> None: ...

class PartitionLeader(_message.Message):
    __slots__ = ("partition", "leader", "term")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    LEADER_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    partition: int
    leader: str
    term: int
    def __init__(self, partition: _Optional[int] = ..., leader: _Optional[str] = ..., term: _Optional[int] = ...) -> None: ...

class NodeHello(_message.Message):
    __slots__ = ("node_id", "az", "cluster_id")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    AZ_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    az: str
    cluster_id: str
    def __init__(self, node_id: _Optional[str] = ..., az: _Optional[str] = ..., cluster_id: _Optional[str] = ...) -> None: ...

class NodeFrame(_message.Message):
    __slots__ = ("hello", "results", "catalog", "leaders", "hybrid_time")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    CATALOG_FIELD_NUMBER: _ClassVar[int]
    LEADERS_FIELD_NUMBER: _ClassVar[int]
    HYBRID_TIME_FIELD_NUMBER: _ClassVar[int]
    hello: NodeHello
    results: _containers.RepeatedCompositeFieldContainer[Result]
    catalog: _catalog_pb2.Catalog
    leaders: _containers.RepeatedCompositeFieldContainer[PartitionLeader]
    hybrid_time: int
    def __init__(self, hello: _Optional[_Union[NodeHello, _Mapping]] = ..., results: _Optional[_Iterable[_Union[Result, _Mapping]]] = ..., catalog: _Optional[_Union[_catalog_pb2.Catalog, _Mapping]] = ..., leaders: _Optional[_Iterable[_Union[PartitionLeader, _Mapping]]] = ..., hybrid_time: _Optional[int] = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReplicaStatus(_message.Message):
    __slots__ = ("partition", "role", "leader", "term", "commit_index", "applied_index", "last_index", "first_index", "match_index", "index_backlog_records", "index_lag_ms", "voters", "learners", "target_replicas")
    class MatchIndexEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    LEADER_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    COMMIT_INDEX_FIELD_NUMBER: _ClassVar[int]
    APPLIED_INDEX_FIELD_NUMBER: _ClassVar[int]
    LAST_INDEX_FIELD_NUMBER: _ClassVar[int]
    FIRST_INDEX_FIELD_NUMBER: _ClassVar[int]
    MATCH_INDEX_FIELD_NUMBER: _ClassVar[int]
    INDEX_BACKLOG_RECORDS_FIELD_NUMBER: _ClassVar[int]
    INDEX_LAG_MS_FIELD_NUMBER: _ClassVar[int]
    VOTERS_FIELD_NUMBER: _ClassVar[int]
    LEARNERS_FIELD_NUMBER: _ClassVar[int]
    TARGET_REPLICAS_FIELD_NUMBER: _ClassVar[int]
    partition: int
    role: str
    leader: str
    term: int
    commit_index: int
    applied_index: int
    last_index: int
    first_index: int
    match_index: _containers.ScalarMap[str, int]
    index_backlog_records: int
    index_lag_ms: int
    voters: _containers.RepeatedScalarFieldContainer[str]
    learners: _containers.RepeatedScalarFieldContainer[str]
    target_replicas: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, partition: _Optional[int] = ..., role: _Optional[str] = ..., leader: _Optional[str] = ..., term: _Optional[int] = ..., commit_index: _Optional[int] = ..., applied_index: _Optional[int] = ..., last_index: _Optional[int] = ..., first_index: _Optional[int] = ..., match_index: _Optional[_Mapping[str, int]] = ..., index_backlog_records: _Optional[int] = ..., index_lag_ms: _Optional[int] = ..., voters: _Optional[_Iterable[str]] = ..., learners: _Optional[_Iterable[str]] = ..., target_replicas: _Optional[_Iterable[str]] = ...) -> None: ...

class NodeStatus(_message.Message):
    __slots__ = ("node_id", "az", "cluster_id", "catalog_version", "replicas", "connected_peers", "uptime_s", "pid", "connected_routers", "fault_injection", "faults", "damage")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    AZ_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    CATALOG_VERSION_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_PEERS_FIELD_NUMBER: _ClassVar[int]
    UPTIME_S_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_ROUTERS_FIELD_NUMBER: _ClassVar[int]
    FAULT_INJECTION_FIELD_NUMBER: _ClassVar[int]
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    DAMAGE_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    az: str
    cluster_id: str
    catalog_version: int
    replicas: _containers.RepeatedCompositeFieldContainer[ReplicaStatus]
    connected_peers: _containers.RepeatedScalarFieldContainer[str]
    uptime_s: float
    pid: int
    connected_routers: int
    fault_injection: bool
    faults: _containers.RepeatedScalarFieldContainer[str]
    damage: str
    def __init__(self, node_id: _Optional[str] = ..., az: _Optional[str] = ..., cluster_id: _Optional[str] = ..., catalog_version: _Optional[int] = ..., replicas: _Optional[_Iterable[_Union[ReplicaStatus, _Mapping]]] = ..., connected_peers: _Optional[_Iterable[str]] = ..., uptime_s: _Optional[float] = ..., pid: _Optional[int] = ..., connected_routers: _Optional[int] = ..., fault_injection: bool = ..., faults: _Optional[_Iterable[str]] = ..., damage: _Optional[str] = ...) -> None: ...

class TransferRequest(_message.Message):
    __slots__ = ("partition", "all", "target")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    ALL_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    partition: int
    all: bool
    target: str
    def __init__(self, partition: _Optional[int] = ..., all: bool = ..., target: _Optional[str] = ...) -> None: ...

class TransferReply(_message.Message):
    __slots__ = ("transferred", "still_leading")
    TRANSFERRED_FIELD_NUMBER: _ClassVar[int]
    STILL_LEADING_FIELD_NUMBER: _ClassVar[int]
    transferred: int
    still_leading: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, transferred: _Optional[int] = ..., still_leading: _Optional[_Iterable[int]] = ...) -> None: ...

class RouterVersion(_message.Message):
    __slots__ = ("router_id", "catalog_version")
    ROUTER_ID_FIELD_NUMBER: _ClassVar[int]
    CATALOG_VERSION_FIELD_NUMBER: _ClassVar[int]
    router_id: str
    catalog_version: int
    def __init__(self, router_id: _Optional[str] = ..., catalog_version: _Optional[int] = ...) -> None: ...

class DroppedTable(_message.Message):
    __slots__ = ("table_id", "partition")
    TABLE_ID_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    table_id: int
    partition: int
    def __init__(self, table_id: _Optional[int] = ..., partition: _Optional[int] = ...) -> None: ...

class IndexProgress(_message.Message):
    __slots__ = ("index_id", "partition", "backfilled")
    INDEX_ID_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    BACKFILLED_FIELD_NUMBER: _ClassVar[int]
    index_id: int
    partition: int
    backfilled: bool
    def __init__(self, index_id: _Optional[int] = ..., partition: _Optional[int] = ..., backfilled: bool = ...) -> None: ...

class SettledReplicas(_message.Message):
    __slots__ = ("partition", "replicas", "generation")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    partition: int
    replicas: _containers.RepeatedScalarFieldContainer[str]
    generation: int
    def __init__(self, partition: _Optional[int] = ..., replicas: _Optional[_Iterable[str]] = ..., generation: _Optional[int] = ...) -> None: ...

class NodeReport(_message.Message):
    __slots__ = ("node_id", "catalog_version", "routers", "dropped", "indexes", "settled")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    CATALOG_VERSION_FIELD_NUMBER: _ClassVar[int]
    ROUTERS_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    INDEXES_FIELD_NUMBER: _ClassVar[int]
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    catalog_version: int
    routers: _containers.RepeatedCompositeFieldContainer[RouterVersion]
    dropped: _containers.RepeatedCompositeFieldContainer[DroppedTable]
    indexes: _containers.RepeatedCompositeFieldContainer[IndexProgress]
    settled: _containers.RepeatedCompositeFieldContainer[SettledReplicas]
    def __init__(self, node_id: _Optional[str] = ..., catalog_version: _Optional[int] = ..., routers: _Optional[_Iterable[_Union[RouterVersion, _Mapping]]] = ..., dropped: _Optional[_Iterable[_Union[DroppedTable, _Mapping]]] = ..., indexes: _Optional[_Iterable[_Union[IndexProgress, _Mapping]]] = ..., settled: _Optional[_Iterable[_Union[SettledReplicas, _Mapping]]] = ...) -> None: ...

class NodeReportReply(_message.Message):
    __slots__ = ("accepted", "catalog")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    CATALOG_FIELD_NUMBER: _ClassVar[int]
    accepted: bool
    catalog: _catalog_pb2.Catalog
    def __init__(self, accepted: bool = ..., catalog: _Optional[_Union[_catalog_pb2.Catalog, _Mapping]] = ...) -> None: ...

class SweepRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SweepReply(_message.Message):
    __slots__ = ("deleted",)
    DELETED_FIELD_NUMBER: _ClassVar[int]
    deleted: int
    def __init__(self, deleted: _Optional[int] = ...) -> None: ...

class IndexDelayRequest(_message.Message):
    __slots__ = ("index_delay_ms",)
    INDEX_DELAY_MS_FIELD_NUMBER: _ClassVar[int]
    index_delay_ms: int
    def __init__(self, index_delay_ms: _Optional[int] = ...) -> None: ...

class IndexDelayReply(_message.Message):
    __slots__ = ("accepted", "leader")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    LEADER_FIELD_NUMBER: _ClassVar[int]
    accepted: bool
    leader: str
    def __init__(self, accepted: bool = ..., leader: _Optional[str] = ...) -> None: ...

class MoveRequest(_message.Message):
    __slots__ = ("partition", "target_replicas")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    TARGET_REPLICAS_FIELD_NUMBER: _ClassVar[int]
    partition: int
    target_replicas: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, partition: _Optional[int] = ..., target_replicas: _Optional[_Iterable[str]] = ...) -> None: ...

class MoveReply(_message.Message):
    __slots__ = ("accepted", "leader", "reason")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    LEADER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    accepted: bool
    leader: str
    reason: str
    def __init__(self, accepted: bool = ..., leader: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...
