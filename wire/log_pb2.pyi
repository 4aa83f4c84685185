from wire import catalog_pb2 as _catalog_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Mutation(_message.Message):
    __slots__ = ("table_id", "key", "item", "deleted", "request_id")
    TABLE_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    table_id: int
    key: bytes
    item: bytes
    deleted: bool
    request_id: bytes
    def __init__(self, table_id: _Optional[int] = ..., key: _Optional[bytes] = ..., item: _Optional[bytes] = ..., deleted: bool = ..., request_id: _Optional[bytes] = ...) -> None: ...

class DropTable(_message.Message):
    __slots__ = ("table_id",)
    TABLE_ID_FIELD_NUMBER: _ClassVar[int]
    table_id: int
    def __init__(self, table_id: _Optional[int] = ...) -> None: ...

class LogEntry(_message.Message):
    __slots__ = ("version", "hybrid_time", "mutations", "drop_tables", "catalog_commands")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    HYBRID_TIME_FIELD_NUMBER: _ClassVar[int]
    MUTATIONS_FIELD_NUMBER: _ClassVar[int]
    DROP_TABLES_FIELD_NUMBER: _ClassVar[int]
    CATALOG_COMMANDS_FIELD_NUMBER: _ClassVar[int]
    version: int
    hybrid_time: int
    mutations: _containers.RepeatedCompositeFieldContainer[Mutation]
    drop_tables: _containers.RepeatedCompositeFieldContainer[DropTable]
    catalog_commands: _containers.RepeatedCompositeFieldContainer[_catalog_pb2.CatalogCommand]
    def __init__(self, version: _Optional[int] = ..., hybrid_time: _Optional[int] = ..., mutations: _Optional[_Iterable[_Union[Mutation, _Mapping]]] = ..., drop_tables: _Optional[_Iterable[_Union[DropTable, _Mapping]]] = ..., catalog_commands: _Optional[_Iterable[_Union[_catalog_pb2.CatalogCommand, _Mapping]]] = ...) -> None: ...
