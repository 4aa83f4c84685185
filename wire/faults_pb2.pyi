from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FaultDirection(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FAULT_DIRECTION_BOTH: _ClassVar[FaultDirection]
    FAULT_DIRECTION_IN: _ClassVar[FaultDirection]
    FAULT_DIRECTION_OUT: _ClassVar[FaultDirection]
FAULT_DIRECTION_BOTH: FaultDirection
FAULT_DIRECTION_IN: FaultDirection
FAULT_DIRECTION_OUT: FaultDirection

class LinkFault(_message.Message):
    __slots__ = ("peer", "router", "direction", "cut", "latency_ms", "jitter_ms", "loss_percent", "bytes_per_s", "reset")
    PEER_FIELD_NUMBER: _ClassVar[int]
    ROUTER_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    CUT_FIELD_NUMBER: _ClassVar[int]
    LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    JITTER_MS_FIELD_NUMBER: _ClassVar[int]
    LOSS_PERCENT_FIELD_NUMBER: _ClassVar[int]
    BYTES_PER_S_FIELD_NUMBER: _ClassVar[int]
    RESET_FIELD_NUMBER: _ClassVar[int]
    peer: str
    router: str
    direction: FaultDirection
    cut: bool
    latency_ms: int
    jitter_ms: int
    loss_percent: float
    bytes_per_s: int
    reset: bool
    def __init__(self, peer: _Optional[str] = ..., router: _Optional[str] = ..., direction: _Optional[_Union[FaultDirection, str]] = ..., cut: bool = ..., latency_ms: _Optional[int] = ..., jitter_ms: _Optional[int] = ..., loss_percent: _Optional[float] = ..., bytes_per_s: _Optional[int] = ..., reset: bool = ...) -> None: ...

class MachineFault(_message.Message):
    __slots__ = ("sync_delay_ms", "sync_fails", "disk_full", "clock_offset_ms", "clock_drift_ppm", "stall_ms")
    SYNC_DELAY_MS_FIELD_NUMBER: _ClassVar[int]
    SYNC_FAILS_FIELD_NUMBER: _ClassVar[int]
    DISK_FULL_FIELD_NUMBER: _ClassVar[int]
    CLOCK_OFFSET_MS_FIELD_NUMBER: _ClassVar[int]
    CLOCK_DRIFT_PPM_FIELD_NUMBER: _ClassVar[int]
    STALL_MS_FIELD_NUMBER: _ClassVar[int]
    sync_delay_ms: int
    sync_fails: bool
    disk_full: bool
    clock_offset_ms: int
    clock_drift_ppm: int
    stall_ms: int
    def __init__(self, sync_delay_ms: _Optional[int] = ..., sync_fails: bool = ..., disk_full: bool = ..., clock_offset_ms: _Optional[int] = ..., clock_drift_ppm: _Optional[int] = ..., stall_ms: _Optional[int] = ...) -> None: ...

class FaultRule(_message.Message):
    __slots__ = ("id", "ttl_ms", "link", "machine")
    ID_FIELD_NUMBER: _ClassVar[int]
    TTL_MS_FIELD_NUMBER: _ClassVar[int]
    LINK_FIELD_NUMBER: _ClassVar[int]
    MACHINE_FIELD_NUMBER: _ClassVar[int]
    id: str
    ttl_ms: int
    link: LinkFault
    machine: MachineFault
    def __init__(self, id: _Optional[str] = ..., ttl_ms: _Optional[int] = ..., link: _Optional[_Union[LinkFault, _Mapping]] = ..., machine: _Optional[_Union[MachineFault, _Mapping]] = ...) -> None: ...

class SetFaultsRequest(_message.Message):
    __slots__ = ("rules", "keep")
    RULES_FIELD_NUMBER: _ClassVar[int]
    KEEP_FIELD_NUMBER: _ClassVar[int]
    rules: _containers.RepeatedCompositeFieldContainer[FaultRule]
    keep: bool
    def __init__(self, rules: _Optional[_Iterable[_Union[FaultRule, _Mapping]]] = ..., keep: bool = ...) -> None: ...

class ClearFaultsRequest(_message.Message):
    __slots__ = ("ids",)
    IDS_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, ids: _Optional[_Iterable[str]] = ...) -> None: ...

class DescribeFaultsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ActiveFault(_message.Message):
    __slots__ = ("rule", "ms_left", "text")
    RULE_FIELD_NUMBER: _ClassVar[int]
    MS_LEFT_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    rule: FaultRule
    ms_left: int
    text: str
    def __init__(self, rule: _Optional[_Union[FaultRule, _Mapping]] = ..., ms_left: _Optional[int] = ..., text: _Optional[str] = ...) -> None: ...

class FaultsReply(_message.Message):
    __slots__ = ("node_id", "faults")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    faults: _containers.RepeatedCompositeFieldContainer[ActiveFault]
    def __init__(self, node_id: _Optional[str] = ..., faults: _Optional[_Iterable[_Union[ActiveFault, _Mapping]]] = ...) -> None: ...
