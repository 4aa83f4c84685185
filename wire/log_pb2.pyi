from wire import catalog_pb2 as _catalog_pb2
from wire import data_pb2 as _data_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Mutation(_message.Message):
    __slots__ = ("table_id", "key", "item", "deleted", "request_id", "local_writes", "index_changes")
    TABLE_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    LOCAL_WRITES_FIELD_NUMBER: _ClassVar[int]
    INDEX_CHANGES_FIELD_NUMBER: _ClassVar[int]
    table_id: int
    key: bytes
    item: bytes
    deleted: bool
    request_id: bytes
    local_writes: _containers.RepeatedCompositeFieldContainer[LocalWrite]
    index_changes: _containers.RepeatedCompositeFieldContainer[IndexChange]
    def __init__(self, table_id: _Optional[int] = ..., key: _Optional[bytes] = ..., item: _Optional[bytes] = ..., deleted: bool = ..., request_id: _Optional[bytes] = ..., local_writes: _Optional[_Iterable[_Union[LocalWrite, _Mapping]]] = ..., index_changes: _Optional[_Iterable[_Union[IndexChange, _Mapping]]] = ...) -> None: ...

class RememberedAnswers(_message.Message):
    __slots__ = ("answers",)
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    answers: _containers.RepeatedCompositeFieldContainer[RememberedAnswer]
    def __init__(self, answers: _Optional[_Iterable[_Union[RememberedAnswer, _Mapping]]] = ...) -> None: ...

class RememberedAnswer(_message.Message):
    __slots__ = ("place", "answer")
    PLACE_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    place: int
    answer: _data_pb2.Result
    def __init__(self, place: _Optional[int] = ..., answer: _Optional[_Union[_data_pb2.Result, _Mapping]] = ...) -> None: ...

class LocalWrite(_message.Message):
    __slots__ = ("index_id", "key", "value", "deleted")
    INDEX_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    index_id: int
    key: bytes
    value: bytes
    deleted: bool
    def __init__(self, index_id: _Optional[int] = ..., key: _Optional[bytes] = ..., value: _Optional[bytes] = ..., deleted: bool = ...) -> None: ...

class IndexChange(_message.Message):
    __slots__ = ("index_id", "key", "item", "deleted", "target", "sequence")
    INDEX_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    index_id: int
    key: bytes
    item: bytes
    deleted: bool
    target: int
    sequence: int
    def __init__(self, index_id: _Optional[int] = ..., key: _Optional[bytes] = ..., item: _Optional[bytes] = ..., deleted: bool = ..., target: _Optional[int] = ..., sequence: _Optional[int] = ...) -> None: ...

class BeginIndex(_message.Message):
    __slots__ = ("table_id", "index", "backfill", "partition_key", "sort_key")
    TABLE_ID_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    BACKFILL_FIELD_NUMBER: _ClassVar[int]
    PARTITION_KEY_FIELD_NUMBER: _ClassVar[int]
    SORT_KEY_FIELD_NUMBER: _ClassVar[int]
    table_id: int
    index: _catalog_pb2.Index
    backfill: bool
    partition_key: _catalog_pb2.KeyAttribute
    sort_key: _catalog_pb2.KeyAttribute
    def __init__(self, table_id: _Optional[int] = ..., index: _Optional[_Union[_catalog_pb2.Index, _Mapping]] = ..., backfill: bool = ..., partition_key: _Optional[_Union[_catalog_pb2.KeyAttribute, _Mapping]] = ..., sort_key: _Optional[_Union[_catalog_pb2.KeyAttribute, _Mapping]] = ...) -> None: ...

class Backfill(_message.Message):
    __slots__ = ("cursor", "done", "done_sequence")
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    DONE_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    cursor: bytes
    done: bool
    done_sequence: int
    def __init__(self, cursor: _Optional[bytes] = ..., done: bool = ..., done_sequence: _Optional[int] = ...) -> None: ...

class BackfillStep(_message.Message):
    __slots__ = ("index_id", "cursor", "done", "index_changes")
    INDEX_ID_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    INDEX_CHANGES_FIELD_NUMBER: _ClassVar[int]
    index_id: int
    cursor: bytes
    done: bool
    index_changes: _containers.RepeatedCompositeFieldContainer[IndexChange]
    def __init__(self, index_id: _Optional[int] = ..., cursor: _Optional[bytes] = ..., done: bool = ..., index_changes: _Optional[_Iterable[_Union[IndexChange, _Mapping]]] = ...) -> None: ...

class OutboxTrim(_message.Message):
    __slots__ = ("target", "sequences")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    SEQUENCES_FIELD_NUMBER: _ClassVar[int]
    target: int
    sequences: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, target: _Optional[int] = ..., sequences: _Optional[_Iterable[int]] = ...) -> None: ...

class IndexFeed(_message.Message):
    __slots__ = ("source", "index_changes")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    INDEX_CHANGES_FIELD_NUMBER: _ClassVar[int]
    source: int
    index_changes: _containers.RepeatedCompositeFieldContainer[IndexChange]
    def __init__(self, source: _Optional[int] = ..., index_changes: _Optional[_Iterable[_Union[IndexChange, _Mapping]]] = ...) -> None: ...

class DropTable(_message.Message):
    __slots__ = ("table_id",)
    TABLE_ID_FIELD_NUMBER: _ClassVar[int]
    table_id: int
    def __init__(self, table_id: _Optional[int] = ...) -> None: ...

class LogEntry(_message.Message):
    __slots__ = ("version", "hybrid_time", "mutations", "drop_tables", "catalog_commands", "begin_indexes", "backfill_steps", "outbox_trims", "feeds", "answers")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    HYBRID_TIME_FIELD_NUMBER: _ClassVar[int]
    MUTATIONS_FIELD_NUMBER: _ClassVar[int]
    DROP_TABLES_FIELD_NUMBER: _ClassVar[int]
    CATALOG_COMMANDS_FIELD_NUMBER: _ClassVar[int]
    BEGIN_INDEXES_FIELD_NUMBER: _ClassVar[int]
    BACKFILL_STEPS_FIELD_NUMBER: _ClassVar[int]
    OUTBOX_TRIMS_FIELD_NUMBER: _ClassVar[int]
    FEEDS_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    version: int
    hybrid_time: int
    mutations: _containers.RepeatedCompositeFieldContainer[Mutation]
    drop_tables: _containers.RepeatedCompositeFieldContainer[DropTable]
    catalog_commands: _containers.RepeatedCompositeFieldContainer[_catalog_pb2.CatalogCommand]
    begin_indexes: _containers.RepeatedCompositeFieldContainer[BeginIndex]
    backfill_steps: _containers.RepeatedCompositeFieldContainer[BackfillStep]
    outbox_trims: _containers.RepeatedCompositeFieldContainer[OutboxTrim]
    feeds: _containers.RepeatedCompositeFieldContainer[IndexFeed]
    answers: _containers.RepeatedCompositeFieldContainer[RememberedAnswer]
    def __init__(self, version: _Optional[int] = ..., hybrid_time: _Optional[int] = ..., mutations: _Optional[_Iterable[_Union[Mutation, _Mapping]]] = ..., drop_tables: _Optional[_Iterable[_Union[DropTable, _Mapping]]] = ..., catalog_commands: _Optional[_Iterable[_Union[_catalog_pb2.CatalogCommand, _Mapping]]] = ..., begin_indexes: _Optional[_Iterable[_Union[BeginIndex, _Mapping]]] = ..., backfill_steps: _Optional[_Iterable[_Union[BackfillStep, _Mapping]]] = ..., outbox_trims: _Optional[_Iterable[_Union[OutboxTrim, _Mapping]]] = ..., feeds: _Optional[_Iterable[_Union[IndexFeed, _Mapping]]] = ..., answers: _Optional[_Iterable[_Union[RememberedAnswer, _Mapping]]] = ...) -> None: ...
