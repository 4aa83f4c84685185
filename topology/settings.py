"""cluster.yaml: its schema, every default in one place, and the loader that names the line of each mistake.

Read at start by every process (node, router, the trizone command). Law: a file that loads is a cluster that can run;
what cannot work is refused here with the line and the reason, never discovered under load.

Units are in the names: `_ms` milliseconds, `_us` microseconds, `_bytes` bytes.
"""

from __future__ import annotations

import difflib
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import ErrorDetails

from topology import relations
from topology.yaml_lines import Document, Path, Problem, parse

MIB = 1024 * 1024

# The name of a node, a router or an AZ: part of file names, log fields, metric labels and the wire.
Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,32}$")]
Host = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.:_-]{1,253}$")]
# Empty: the same as the host that others dial.
ListenHost = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.:_-]{0,253}$")]
Port = Annotated[int, Field(ge=1, le=65535)]
Milliseconds = Annotated[int, Field(ge=1, le=600_000)]
DAY_MS = 24 * 3600 * 1000


class _Section(BaseModel):
    # Strict: `port: "7101"` is a mistake to show, not a number to guess.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ClusterIdentity(_Section):
    """Who this cluster is to people. Its unique id is made by `trizone up` and kept beside the resolved file."""

    name: Identifier = "trizone"


class NodeSettings(_Section):
    """One storage node. `host:port` is its gRPC endpoint, for routers and for other nodes alike."""

    id: Identifier
    az: Identifier
    host: Host = "127.0.0.1"
    port: Port
    metrics_port: Port
    # Where it listens when that is not `host`. In a container `host` is a name whose address changes when a network is
    # connected again: a socket bound to it would go deaf.
    listen_host: ListenHost = ""
    # Relative to the cluster's data folder. Empty means `nodes/<id>`.
    data: Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f]{0,1024}$")] = ""

    @property
    def address(self) -> str:
        """`host:port` of the gRPC endpoint, with an IPv6 host in brackets."""
        return join_address(self.host, self.port)

    @property
    def bind_host(self) -> str:
        """The host its sockets are bound to."""
        return self.listen_host or self.host

    @property
    def bind_address(self) -> str:
        """`host:port` its gRPC endpoint is bound to."""
        return join_address(self.bind_host, self.port)

    @property
    def data_folder(self) -> str:
        """The node's data folder: absolute in a resolved file, else relative to the cluster's data folder."""
        return self.data or f"nodes/{self.id}"


class RouterSettings(_Section):
    """One router process: an HTTP front door and its metrics."""

    id: Identifier
    az: Identifier
    http_host: Host = "127.0.0.1"
    http_port: Port
    metrics_port: Port
    # Where it listens when that is not `http_host`.
    listen_host: ListenHost = ""

    @property
    def bind_host(self) -> str:
        """The host its sockets are bound to."""
        return self.listen_host or self.http_host

    @property
    def endpoint(self) -> str:
        """`http://host:port` for clients."""
        return f"http://{join_address(self.http_host, self.http_port)}"


class PartitionSettings(_Section):
    """How the hash ring is cut. DESIGN section 6: fewer, fuller groups are faster on few cores."""

    count: Annotated[int, Field(ge=1, le=1024)] = 6
    replicas: int = 3


class ReplicationSettings(_Section):
    """Raft timing and the limits of its log and messages."""

    election_timeout_min_ms: Milliseconds = 500
    election_timeout_max_ms: Milliseconds = 1000
    heartbeat_ms: Milliseconds = 100
    # At most 3 MiB: with its frame it stays below gRPC's 4 MiB message limit.
    append_bytes_max: Annotated[int, Field(ge=4096, le=3 * MIB)] = 256 * 1024
    append_window_entries: Annotated[int, Field(ge=16, le=1_000_000)] = 4096
    log_entries_kept: Annotated[int, Field(ge=16, le=100_000_000)] = 20_000
    log_bytes_kept: Annotated[int, Field(ge=MIB, le=64 * 1024 * MIB)] = 16 * MIB
    snapshot_chunk_bytes: Annotated[int, Field(ge=4096, le=3 * MIB)] = 256 * 1024
    read_lease: bool = False
    # Pause between frames of a busy stream, so that more operations share one message and one sync. 0: none.
    pacing_us: Annotated[int, Field(ge=0, le=100_000)] = 0


class StorageSettings(_Section):
    """RocksDB of one node."""

    memtable_bytes: Annotated[int, Field(ge=MIB, le=16 * 1024 * MIB)] = 64 * MIB
    block_cache_bytes: Annotated[int, Field(ge=MIB, le=1024 * 1024 * MIB)] = 128 * MIB
    wal_recycle_files: Annotated[int, Field(ge=0, le=64)] = 4
    # What a node does whose store is damaged: be rebuilt from its peers, or end at each start until a person decides.
    on_damage: Literal["rebuild", "stop"] = "rebuild"


class TimeoutSettings(_Section):
    """How long things may take before the answer is an error."""

    operation_ms: Milliseconds = 3000
    connect_ms: Milliseconds = 1000
    drain_ms: Milliseconds = 5000
    table_activation_ms: Milliseconds = 2000


class LimitSettings(_Section):
    """Law 8: every queue has a named limit."""

    request_body_bytes_max: Annotated[int, Field(ge=1024, le=32 * MIB)] = 16 * MIB
    operations_in_flight_max: Annotated[int, Field(ge=1, le=1_000_000)] = 8192
    proposals_in_flight_max: Annotated[int, Field(ge=1, le=1_000_000)] = 4096
    connections_max: Annotated[int, Field(ge=1, le=1_000_000)] = 4096
    tables_max: Annotated[int, Field(ge=1, le=100_000)] = 2500


class BackgroundSettings(_Section):
    """What nodes do by themselves."""

    # How often expired items (time to live) are looked for. They stay visible until then.
    ttl_sweep_interval_ms: Annotated[int, Field(ge=100, le=DAY_MS)] = 60_000


class FaultInjectionSettings(_Section):
    """Whether nodes may be told to break things (node.faults). For trying a cluster, never for one that people need."""

    enabled: bool = False


class LoggingSettings(_Section):
    """What every process writes to its log."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class ClusterSettings(_Section):
    """The whole file."""

    cluster: ClusterIdentity = ClusterIdentity()
    nodes: Annotated[tuple[NodeSettings, ...], Field(min_length=1, max_length=1024)]
    routers: Annotated[tuple[RouterSettings, ...], Field(min_length=1, max_length=1024)]
    partitions: PartitionSettings = PartitionSettings()
    replication: ReplicationSettings = ReplicationSettings()
    # sync: a write is acknowledged after the disk has it on a majority. os: after the operating system has it.
    durability: Literal["sync", "os"] = "sync"
    storage: StorageSettings = StorageSettings()
    timeouts: TimeoutSettings = TimeoutSettings()
    limits: LimitSettings = LimitSettings()
    background: BackgroundSettings = BackgroundSettings()
    fault_injection: FaultInjectionSettings = FaultInjectionSettings()
    logging: LoggingSettings = LoggingSettings()

    @property
    def zones(self) -> dict[str, str]:
        """AZ of every node and router by id."""
        return {node.id: node.az for node in self.nodes} | {router.id: router.az for router in self.routers}

    def node(self, node_id: str) -> NodeSettings:
        """The node with this id. Raises KeyError."""
        return next((node for node in self.nodes if node.id == node_id), None) or _missing("node", node_id)

    def router(self, router_id: str) -> RouterSettings:
        """The router with this id. Raises KeyError."""
        return next((one for one in self.routers if one.id == router_id), None) or _missing("router", router_id)


class SettingsError(ValueError):
    """A settings file that is refused. Its text has one problem a line: `cluster.yaml:12: nodes[0].port: reason`."""

    def __init__(self, source: str, problems: list[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: problem.line))
        super().__init__("\n".join(problem.render(source) for problem in self.problems))


def _missing(kind: str, name: str) -> Any:
    raise KeyError(f"no {kind} with id {name!r} in the settings")


def join_address(host: str, port: int) -> str:
    """`host:port`, with an IPv6 host in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def load_settings(text: str, source: str) -> ClusterSettings:
    """Parse and validate the text of a cluster.yaml; `source` is the file name shown in errors.

    Raises SettingsError with every problem that can be seen at once: relations between values are checked only when
    each value is right by itself, for otherwise one mistake would be reported twice.
    """
    document = parse(text)
    if document.value is None and not document.problems:
        document.problems.append(Problem(1, (), "the file is empty; `nodes` and `routers` are required"))
    if document.value is None:
        raise SettingsError(source, document.problems)
    if not isinstance(document.value, dict):
        problem = Problem(document.line_of(()), (), "a mapping of settings is expected, such as `nodes: ...`")
        raise SettingsError(source, [problem])
    # An empty section (`limits:` with every line commented out) means its defaults.
    value = {key: {} if part is None and key in _SECTIONS else part for key, part in document.value.items()}
    problems = list(document.problems)
    settings: ClusterSettings | None = None
    try:
        settings = ClusterSettings.model_validate(value)
    except ValidationError as error:
        known = {problem.path for problem in problems}
        found = [_problem(document, details) for details in error.errors(include_url=False) if not _is_echo(details)]
        problems += [problem for problem in found if problem.path not in known]
    if settings is not None:
        problems += [
            Problem(document.line_of(finding.path), finding.path, finding.reason)
            for finding in relations.check(settings)
        ]
    if settings is None or problems:
        raise SettingsError(source, problems)
    return settings


_SECTIONS = frozenset(
    name
    for name, field in ClusterSettings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
)


def _problem(document: Document, details: ErrorDetails) -> Problem:
    """One pydantic error as a problem with a line and words of ours."""
    path: Path = details["loc"]
    if details["type"] == "extra_forbidden":
        reason = "unknown key" + _suggestion(path)
    elif details["type"] == "missing":
        reason = "required, but not given"
    else:
        reason = _reason(details)
    return Problem(document.line_of(path), path, reason)


def _is_echo(details: ErrorDetails) -> bool:
    """Pydantic counts only valid elements: a list whose only element is wrong is also reported as too short."""
    return details["type"] == "too_short" and bool(details["input"])


def _reason(details: ErrorDetails) -> str:
    kind, given = details["type"], details["input"]
    limits = details.get("ctx", {})
    if given is None:
        return "no value is given"
    if kind == "string_pattern_mismatch" and limits.get("pattern") == r"^[a-z0-9-]{1,32}$":
        return f"{given!r} must be 1 to 32 characters of a-z, 0-9 and -"
    if kind == "literal_error":
        return f"{given!r} is not one of: {limits['expected']}"
    if kind == "too_short":
        return "must have at least one entry"
    if kind == "string_pattern_mismatch" and details["loc"][-1] == "data":
        return f"{given!r} is not a folder's path"
    if kind in _WORDS:
        shown = repr(given) if isinstance(given, str | int | float | bool) else f"a {_YAML_NAMES.get(type(given), '?')}"
        return f"{_WORDS[kind].format(**limits)}, not {shown}"
    return details["msg"]


_WORDS = {
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "tuple_type": "must be a list",
    "model_type": "must be a mapping of keys to values",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "string_pattern_mismatch": "must be a host name or an address",
    "too_long": "must have at most {max_length} entries",
}
_YAML_NAMES: dict[type, str] = {dict: "mapping", tuple: "list"}


def _suggestion(path: Path) -> str:
    """`; did you mean "port"?` for a misspelt key, or where a known key of another section belongs."""
    section = _fields(path[:-1])
    key = str(path[-1])
    close = difflib.get_close_matches(key, section, n=1, cutoff=0.6)
    if close:
        return f'; did you mean "{close[0]}"?'
    homes = [name for name in sorted(_SECTIONS) if key in _fields((name,))]
    if homes:
        return f'; it belongs under "{homes[0]}"'
    return f"; known here: {', '.join(section)}"


def _fields(path: Path) -> list[str]:
    """The keys that may stand at `path`."""
    if not path:
        return list(ClusterSettings.model_fields)
    if path[0] == "nodes":
        return list(NodeSettings.model_fields)
    if path[0] == "routers":
        return list(RouterSettings.model_fields)
    section = ClusterSettings.model_fields[str(path[0])].annotation
    return list(section.model_fields) if isinstance(section, type) and issubclass(section, BaseModel) else []


def nodes_by_az(settings: ClusterSettings) -> dict[str, list[str]]:
    """AZ -> node ids, both in the order of the file."""
    zones: dict[str, list[str]] = {}
    for node in settings.nodes:
        zones.setdefault(node.az, []).append(node.id)
    return zones
