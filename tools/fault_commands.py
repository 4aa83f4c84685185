"""`trizone fault ...`: break links, disks and clocks of a running cluster, and heal them.

A sub-command of tools.cli. Laws: every fault ends by itself (`--for`); a link is cut at both of its ends, so that a
node that is started again stays cut off; what could not be done on one node is said, and the rest is done.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from tools.console import out, say, show
from tools.errors import EXIT_USAGE, CommandError
from tools.faults import IN, OUT, FaultClient, FaultError, link_rule, machine_rule
from tools.folder import DEFAULT_FOLDER, ClusterFolder
from tools.invocation import TRIZONE
from tools.probe import reachable_host
from topology.settings import ClusterSettings, join_address
from wire import faults_pb2 as pb

DEFAULT_FOR_S = 60.0

fault = typer.Typer(no_args_is_help=True, help="Break things on purpose (needs `trizone up --fault-injection`).")

DataOption = Annotated[Path, typer.Option("--data", help="The cluster's data folder.", show_default=True)]
ForOption = Annotated[float, typer.Option("--for", min=0.001, max=600, help="Seconds until it heals by itself.")]
EndArgument = Annotated[str, typer.Argument(help="A node or router, such as n1 or r1.")]
NodeArgument = Annotated[str, typer.Argument(metavar="NODE", help="A node, such as n1.")]
OneWayOption = Annotated[bool, typer.Option("--one-way", help="Only what FIRST sends to SECOND.")]

# Node id -> its rules.
Rules = dict[str, list[pb.FaultRule]]


class _Cluster:
    """The nodes of one data folder and what is to be told to each."""

    def __init__(self, data: Path) -> None:
        folder = ClusterFolder(data)
        self.settings: ClusterSettings = folder.settings()
        self.nodes = {node.id: join_address(reachable_host(node.host), node.port) for node in self.settings.nodes}
        self.routers = {router.id for router in self.settings.routers}
        self._option = folder.option
        self._token = folder.fault_token()

    def require_node(self, name: str) -> str:
        """`name` if it is a node. Raises CommandError."""
        if name not in self.nodes:
            raise CommandError(
                f"there is no node {name!r} in this cluster",
                hint=f"known: {', '.join(self.nodes)}",
                exit_code=EXIT_USAGE,
            )
        return name

    def link_rules(self, first: str, second: str, *, one_way: bool, for_s: float, **effects: Any) -> Rules:
        """A fault of what one process sends to the other and, unless `one_way`, of what comes back.

        Silence is kept at both ends; what adds up (delay, loss) only where it is sent, or at the node beside a router.
        """
        for name in (first, second):
            if name not in self.routers:
                self.require_node(name)
        if first == second or {first, second} <= self.routers:
            raise CommandError(
                f"{first} and {second} do not talk to each other",
                hint="name two nodes, or a node and a router",
                exit_code=EXIT_USAGE,
            )
        rules: Rules = {}
        for sender, receiver in ((first, second),) if one_way else ((first, second), (second, first)):
            ends = [(sender, receiver, OUT), (receiver, sender, IN)]
            ends = [end for end in ends if end[0] in self.nodes][: 2 if effects.get("cut") else 1]
            for here, there, direction in ends:
                other = {"router": there} if there in self.routers else {"peer": there}
                rules.setdefault(here, []).append(link_rule(for_s=for_s, direction=direction, **other, **effects))
        return rules

    def apply(self, rules: Rules) -> None:
        """Add the rules to those in force. Raises CommandError when no node took them."""

        def add(name: str, client: FaultClient) -> None:
            new = {rule.id for rule in rules[name]}
            for active in client.set(rules[name], keep=True).faults:
                if active.rule.id in new:
                    say(f"{name}: {active.text} (heals by itself in {math.ceil(active.ms_left / 1000)} s)")

        self.each(rules, add)
        say(f"heal it with: {TRIZONE} fault clear{self._option}")

    def each(self, names: Iterable[str], act: Callable[[str, FaultClient], None]) -> None:
        """Call `act` for each node. Raises the last error when none of them could be told."""
        failed: list[FaultError] = []
        wanted = list(names)
        for name in wanted:
            with FaultClient(self.nodes[name], self._token) as client:
                try:
                    act(name, client)
                except FaultError as error:
                    failed.append(error)
                    say(f"{name}: not told: {error}")
        if failed and len(failed) == len(wanted):
            raise failed[-1]


@fault.command()
def cut(
    first: EndArgument,
    second: EndArgument,
    for_s: ForOption = DEFAULT_FOR_S,
    one_way: OneWayOption = False,
    data: DataOption = DEFAULT_FOLDER,
) -> None:
    """Silence the link between two nodes, or between a node and a router.

    Example: trizone fault cut n1 n2 --for 5
    Example: trizone fault cut n1 r1 --one-way
    """
    cluster = _Cluster(data)
    cluster.apply(cluster.link_rules(first, second, one_way=one_way, for_s=for_s, cut=True))


@fault.command()
def delay(
    first: EndArgument,
    second: EndArgument,
    ms: Annotated[int, typer.Option("--ms", min=0, help="Later by so many milliseconds.")],
    jitter_ms: Annotated[int, typer.Option("--jitter-ms", min=0, help="And up to so many more, at random.")] = 0,
    for_s: ForOption = DEFAULT_FOR_S,
    one_way: OneWayOption = False,
    data: DataOption = DEFAULT_FOLDER,
) -> None:
    """Delay everything on a link; the order is kept.

    Example: trizone fault delay n1 n2 --ms 200 --jitter-ms 50
    """
    cluster = _Cluster(data)
    effects = {"latency_ms": ms, "jitter_ms": jitter_ms}
    cluster.apply(cluster.link_rules(first, second, one_way=one_way, for_s=for_s, **effects))


@fault.command()
def loss(
    first: EndArgument,
    second: EndArgument,
    percent: Annotated[float, typer.Option("--percent", min=0, max=100, help="So many of a hundred frames.")],
    for_s: ForOption = DEFAULT_FOR_S,
    one_way: OneWayOption = False,
    data: DataOption = DEFAULT_FOLDER,
) -> None:
    """Lose frames on a link as TCP shows it: what is lost is sent again later, and holds up all behind it.

    Example: trizone fault loss n1 n2 --percent 5
    """
    cluster = _Cluster(data)
    cluster.apply(cluster.link_rules(first, second, one_way=one_way, for_s=for_s, loss_percent=percent))


@fault.command()
def reset(first: EndArgument, second: EndArgument, data: DataOption = DEFAULT_FOLDER) -> None:
    """Break the connections of a link once; they are made again.

    Example: trizone fault reset n1 n2
    """
    cluster = _Cluster(data)
    cluster.apply(cluster.link_rules(first, second, one_way=False, for_s=1.0, reset=True))


@fault.command()
def az(
    name: Annotated[str, typer.Argument(metavar="AZ", help="An availability zone, such as az-b.")],
    for_s: ForOption = DEFAULT_FOR_S,
    data: DataOption = DEFAULT_FOLDER,
) -> None:
    """Cut an AZ off: its nodes and routers reach each other and nobody else.

    Example: trizone fault az az-b --for 10
    """
    cluster = _Cluster(data)
    cluster.apply(az_rules(cluster.settings, name, for_s=for_s))


def az_rules(settings: ClusterSettings, name: str, *, for_s: float) -> Rules:
    """What every node must be told so that AZ `name` is cut off. Raises CommandError for an AZ that is none.

    On both sides: a node that is started again within the time has forgotten its rules, the others have not.
    """
    zones = settings.zones
    if name not in zones.values():
        known = ", ".join(sorted(set(zones.values())))
        raise CommandError(f"there is no AZ {name!r} in this cluster", hint=f"known: {known}", exit_code=EXIT_USAGE)
    rules: Rules = {}
    for node in settings.nodes:
        is_inside = node.az == name
        own = [
            link_rule(for_s=for_s, id=f"az-{name}-{other.id}", peer=other.id, cut=True)
            for other in settings.nodes
            if (other.az == name) != is_inside
        ]
        own += [
            link_rule(for_s=for_s, id=f"az-{name}-{router.id}", router=router.id, cut=True)
            for router in settings.routers
            if (router.az == name) != is_inside
        ]
        if own:
            rules[node.id] = own
    return rules


@fault.command("slow-disk")
def slow_disk(
    node: NodeArgument,
    ms: Annotated[int, typer.Option("--ms", min=1, help="Every sync takes so many milliseconds longer.")],
    for_s: ForOption = DEFAULT_FOR_S,
    data: DataOption = DEFAULT_FOLDER,
) -> None:
    """Slow down every sync of a node's log.

    Example: trizone fault slow-disk n1 --ms 100
    """
    _machine(data, node, for_s, sync_delay_ms=ms)


@fault.command("fail-sync")
def fail_sync(node: NodeArgument, for_s: ForOption = DEFAULT_FOR_S, data: DataOption = DEFAULT_FOLDER) -> None:
    """Let a node's next sync fail: the node stops, as it must.

    Example: trizone fault fail-sync n1
    """
    _machine(data, node, for_s, sync_fails=True)


@fault.command("full-disk")
def full_disk(node: NodeArgument, for_s: ForOption = DEFAULT_FOR_S, data: DataOption = DEFAULT_FOLDER) -> None:
    """Let a node's next write fail as on a full disk: the node stops, as it must.

    Example: trizone fault full-disk n1
    """
    _machine(data, node, for_s, disk_full=True)


@fault.command()
def clock(
    node: NodeArgument,
    offset_ms: Annotated[int, typer.Option("--offset-ms", help="The wall clock is so far off.")] = 0,
    drift_ppm: Annotated[int, typer.Option("--drift-ppm", help="Time-outs run so much faster (below 0: slower).")] = 0,
    for_s: ForOption = DEFAULT_FOR_S,
    data: DataOption = DEFAULT_FOLDER,
) -> None:
    """Skew a node's clocks.

    Example: trizone fault clock n1 --offset-ms=-30000
    Example: trizone fault clock n1 --drift-ppm 50000
    """
    _machine(data, node, for_s, clock_offset_ms=offset_ms, clock_drift_ppm=drift_ppm)


@fault.command()
def stall(
    node: NodeArgument,
    ms: Annotated[int, typer.Option("--ms", min=1, help="Milliseconds.")],
    data: DataOption = DEFAULT_FOLDER,
) -> None:
    """Let a node stand still once, as a process does that swaps.

    Example: trizone fault stall n1 --ms 3000
    """
    _machine(data, node, ms / 1000, stall_ms=ms)


def _machine(data: Path, node: str, for_s: float, **effects: Any) -> None:
    cluster = _Cluster(data)
    cluster.apply({cluster.require_node(node): [machine_rule(for_s=for_s, **effects)]})


@fault.command("list")
def list_faults(data: DataOption = DEFAULT_FOLDER) -> None:
    """Show every fault in force and when it heals.

    Example: trizone fault list
    """
    cluster = _Cluster(data)
    table = Table(title="faults in force", title_justify="left", header_style="bold")
    for heading in ("node", "id", "fault", "heals in, s"):
        table.add_column(heading, justify="right" if heading.startswith("heals") else "left")

    def add(name: str, client: FaultClient) -> None:
        for active in client.describe().faults:
            table.add_row(name, escape(active.rule.id), escape(active.text), f"{active.ms_left / 1000:.1f}")

    cluster.each(cluster.nodes, add)
    show(out, table) if table.row_count else say("no fault is in force")


@fault.command()
def clear(
    nodes: Annotated[list[str] | None, typer.Argument(metavar="[NODE]...", help="Default: every node.")] = None,
    data: DataOption = DEFAULT_FOLDER,
) -> None:
    """Heal everything now.

    Example: trizone fault clear
    """
    cluster = _Cluster(data)
    names = [cluster.require_node(name) for name in nodes or cluster.nodes]
    healed: list[str] = []

    def heal(name: str, client: FaultClient) -> None:
        client.clear()
        healed.append(name)

    cluster.each(names, heal)
    say(f"healed: {', '.join(healed)}")
