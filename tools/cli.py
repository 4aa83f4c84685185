"""The `trizone` command: start, watch, look at and stop a cluster of local processes.

The entry point of the distribution (`trizone = tools.cli:main`). Law: exit code 0 is success, 1 failure, 2 wrong usage;
what went wrong is one text with what to do next, never a traceback. Printing never fails: a terminal that is gone must
not keep a cluster from being stopped.
"""

from __future__ import annotations

import importlib.metadata
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from runtime.clock import SystemClock
from tools.admin import Operator
from tools.console import err, fall_silent, out, say, show
from tools.errors import EXIT_FAILED, EXIT_USAGE, CommandError, InterruptedByUser, explain
from tools.fault_commands import fault
from tools.folder import DEFAULT_FOLDER, ClusterFolder, read_settings
from tools.history_commands import history
from tools.invocation import TRIZONE
from tools.partition_commands import partition
from tools.ports import ephemeral_begin, first_chosen_port, is_free, is_loopback
from tools.probe import NodeProbe, ask_routers
from tools.processes import ProcessRecord, ProcessTable, send, wait_for_end
from tools.resolve import resolve
from tools.signals import StopRequests
from tools.status import damage_lines, fault_lines, index_lag_table, move_lines, partition_table, process_table, summary
from tools.supervisor import Supervisor
from tools.tail import follow_file, tail_file
from topology.settings import ClusterSettings, FaultInjectionSettings

DEFAULT_CONFIG = Path("cluster.yaml")
# How long `down` waits for a foreground `up` to stop everything, beyond what its processes may take.
SUPERVISOR_MARGIN_S = 10.0
# A delay is for looking at staleness; an hour of changes would fill the outboxes of a busy cluster.
INDEX_DELAY_MS_MAX = 3_600_000

# Entry points by which packages above this one add their commands.
COMMANDS = "trizone.commands"

app = typer.Typer(
    name="trizone",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="A DynamoDB you can run, look inside and break: replicated over three availability zones.",
)
ttl = typer.Typer(no_args_is_help=True, help="Time to live: expired items.")
index = typer.Typer(no_args_is_help=True, help="Global indexes: how far they are behind their tables.")
app.add_typer(ttl, name="ttl")
app.add_typer(index, name="index")
app.add_typer(fault, name="fault")
app.add_typer(history, name="history")
app.add_typer(partition, name="partition")


DataOption = Annotated[Path, typer.Option("--data", help="The cluster's data folder.", show_default=True)]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A node or router, such as n1 or r1.")]
RebuildOption = Annotated[
    bool,
    typer.Option("--rebuild", help="The node lost its data: set aside what is left and rebuild it from its peers."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.command()
def up(
    config: Annotated[Path, typer.Option("--config", help="The settings file.")] = DEFAULT_CONFIG,
    data: DataOption = DEFAULT_FOLDER,
    http_port: Annotated[
        int | None, typer.Option("--http-port", min=1, max=65535, help="The first router's port; the next count up.")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return when the cluster serves.")] = False,
    fault_injection: Annotated[
        bool, typer.Option("--fault-injection", help="Let `trizone fault` and chaos runs break nodes, for this run.")
    ] = False,
) -> None:
    """Start a cluster, or what is missing of it, and look after it until Ctrl-C.

    Example: trizone up                                     the cluster of ./cluster.yaml, data in ./data
    Example: trizone up --data other --http-port 8001       a second cluster beside the first
    Example: trizone up --fault-injection                   one that may be broken with `trizone fault`
    """
    folder = ClusterFolder(data)
    # A folder knows its own cluster: `up` works from anywhere once it was made.
    is_own = config == DEFAULT_CONFIG and not config.exists() and folder.exists
    wanted = folder.own_settings() if is_own else read_settings(config)
    for_one_run = fault_injection and not wanted.fault_injection.enabled
    if for_one_run:
        wanted = wanted.model_copy(update={"fault_injection": FaultInjectionSettings(enabled=True)})
    folder.create()
    with folder.lock(), StopRequests() as stops:
        settings = _resolve(folder, wanted, http_port, for_one_run)
        _warn_of_open_ports(settings)
        _warn_of_faults(settings)
        cluster = Supervisor(folder, settings, stops, say, die_with_parent=not detach)
        cluster.up()
        if detach:
            _show_cluster(cluster, settings, folder)
            say(f"stop it with: {TRIZONE} down{folder.option}")
            return
        try:
            _show_cluster(cluster, settings, folder)
            say("Ctrl-C stops the cluster; its data stays.")
            cluster.watch()
        finally:
            try:
                say("stopping")
            finally:
                cluster.stop_all()


@app.command()
def init(
    config: Annotated[Path, typer.Option("--config", help="The settings file.")] = DEFAULT_CONFIG,
    data: DataOption = DEFAULT_FOLDER,
) -> None:
    """Write the folder that a cluster's processes read when something else starts them: containers. Starts nothing.

    Again on the same folder, it keeps the cluster's id and refuses settings that do not fit.

    Example: trizone init --config deploy/cluster.yaml --data shared
    """
    wanted = read_settings(config)
    folder = ClusterFolder(data)
    folder.create()
    with folder.lock():
        end_port = ephemeral_begin()
        resolved = resolve(
            wanted,
            folder=folder.path,
            previous=folder.previous(),
            http_port=None,
            running=frozenset(),
            # The processes run elsewhere: what is free on this machine says nothing about their ports.
            is_free=lambda _host, _port: True,
            first_port=first_chosen_port(folder.path, end_port),
            end_port=end_port,
        )
        folder.remember(resolved)
    say(f"{folder.settings_path} and cluster-id are written; cluster {folder.cluster_id()}")


def _warn_of_open_ports(settings: ClusterSettings) -> None:
    listening = [f"{node.id} on {node.bind_host}" for node in settings.nodes if not is_loopback(node.bind_host)]
    if listening:
        say(
            f"warning: not only this machine reaches nodes {', '.join(listening)}: gRPC is neither encrypted nor"
            " authenticated, so whoever reaches their ports can read and change all data"
        )


def _warn_of_faults(settings: ClusterSettings) -> None:
    if settings.fault_injection.enabled:
        say("warning: fault injection is on: whoever can read fault-token in the data folder can break this cluster")


def _resolve(
    folder: ClusterFolder, wanted: ClusterSettings, http_port: int | None, faults_for_one_run: bool
) -> ClusterSettings:
    running = frozenset(record.name for record in ProcessTable(folder.run_path).live(wanted.zones))
    end_port = ephemeral_begin()
    resolved = resolve(
        wanted,
        folder=folder.path,
        previous=folder.previous(),
        http_port=http_port,
        running=running,
        is_free=is_free,
        first_port=first_chosen_port(folder.path, end_port),
        end_port=end_port,
    )
    folder.remember(resolved, faults_for_one_run=faults_for_one_run)
    return resolved.settings


def _show_cluster(cluster: Supervisor, settings: ClusterSettings, folder: ClusterFolder) -> None:
    endpoint = settings.routers[0].endpoint
    show(out)
    show(out, process_table(cluster.status()))
    show(out)
    show(out, f"endpoint  [bold]{endpoint}[/]", soft_wrap=True)
    say(
        "try       AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local"
        f" aws dynamodb list-tables --region us-east-1 --endpoint-url {endpoint}"
    )
    say(f"look      {TRIZONE} status{folder.option}")


@app.command()
def down(data: DataOption = DEFAULT_FOLDER) -> None:
    """Stop a cluster; its data stays. Does nothing when it is stopped already.

    Example: trizone down
    """
    folder = ClusterFolder(data)
    if not folder.exists:
        say(f"nothing is running in {folder.path}")
        return
    settings = folder.settings()
    holder = folder.supervisor()
    if holder is not None:
        _stop_supervisor(holder, settings)
    with folder.lock(), StopRequests() as stops:
        stopped = Supervisor(folder, settings, stops, say, die_with_parent=False).stop_all()
    if holder is None and stopped == 0:
        say(f"nothing is running in {folder.path}")


def _stop_supervisor(holder: ProcessRecord, settings: ClusterSettings) -> None:
    """Let the foreground `up` stop its cluster itself, so that it ends in order too."""
    send(holder, signal.SIGTERM)
    # It stops routers and nodes one after the other, each within their drain time.
    patience_s = 2 * settings.timeouts.drain_ms / 1000 + SUPERVISOR_MARGIN_S
    if not wait_for_end([holder], patience_s):
        raise CommandError(
            f"`trizone up` (pid {holder.pid}) did not stop within {patience_s:g} s",
            hint=f"kill -9 {holder.pid} ends it and its processes",
        )
    say(f"trizone up (pid {holder.pid}) stopped its cluster")


@app.command()
def status(data: DataOption = DEFAULT_FOLDER, as_json: JsonOption = False) -> None:
    """Show every node, router, partition and replica. Exit code 1 when a partition has no leader.

    Example: trizone status --json
    """
    folder = ClusterFolder(data)
    settings = folder.settings()
    with StopRequests() as stops:
        found = Supervisor(folder, settings, stops, say, die_with_parent=False).status()
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=2))
    else:
        show(out, process_table(found))
        show(out, partition_table(found))
        for line in (*move_lines(found), *damage_lines(found), *fault_lines(found)):
            say(line)
        say(summary(found))
    if not found.healthy:
        raise typer.Exit(EXIT_FAILED)


@app.command()
def health(name: NameArgument, data: DataOption = DEFAULT_FOLDER) -> None:
    """Ask one process of this machine, or of this container, whether it serves. Exit code 1 when it does not.

    Example: trizone health n1
    """
    folder = ClusterFolder(data)
    settings = folder.settings()
    router = next((one for one in settings.routers if one.id == name), None)
    node = next((one for one in settings.nodes if one.id == name), None)
    # Dialled where it is bound, not by its name: it serves although its network may be cut off.
    if router is not None:
        reason = ask_routers([router.model_copy(update={"http_host": router.bind_host})])[0].reason
    elif node is not None:
        with NodeProbe([node.model_copy(update={"host": node.bind_host})], folder.cluster_id()) as probe:
            reason = probe.ask()[0].reason
    else:
        known = ", ".join(settings.zones)
        raise CommandError(f"there is no process {name!r} in this cluster", hint=f"known: {known}")
    if reason:
        raise CommandError(f"{name} does not serve: {reason}", hint=f"{TRIZONE} status{folder.option}")
    say(f"{name} serves")


@app.command()
def start(name: NameArgument, data: DataOption = DEFAULT_FOLDER, rebuild: RebuildOption = False) -> None:
    """Start one process of a cluster again and wait until it answers.

    Example: trizone start n1
    """
    folder = ClusterFolder(data)
    settings = folder.settings()
    with StopRequests() as stops:
        cluster = Supervisor(folder, settings, stops, say, die_with_parent=False)
        title = cluster.title(name)
        options: tuple[str, ...] = ()
        if rebuild:
            _set_data_aside(cluster, folder, settings, name)
            options = ("--rebuild",)
        if not cluster.start_one(name, *options):
            say(f"{title} runs already")
        elif rebuild:
            say(f"{title} is being rebuilt from its peers: `{TRIZONE} status{folder.option}` shows how far it is")


def _set_data_aside(cluster: Supervisor, folder: ClusterFolder, settings: ClusterSettings, name: str) -> None:
    title = cluster.title(name)
    if name not in cluster.node_names:
        raise CommandError(f"{title} has no data to be rebuilt", exit_code=EXIT_USAGE)
    if name in cluster.running():
        raise CommandError(
            f"{title} runs: its data is in use",
            hint=f"{TRIZONE} stop {name}{folder.option} first, if it is to be rebuilt",
        )
    aside = folder.set_data_aside(settings.node(name).data_folder, SystemClock().wall_ms())
    if aside is not None:
        say(f"{title}: what was left of its data is now {aside}")


@app.command()
def stop(name: NameArgument, data: DataOption = DEFAULT_FOLDER) -> None:
    """Stop one process gracefully: a node hands its leaderships over first.

    Example: trizone stop n1
    """
    _end_one(name, data, signal.SIGTERM)


@app.command()
def kill(name: NameArgument, data: DataOption = DEFAULT_FOLDER) -> None:
    """Kill one process with SIGKILL, as a crash would, to see what clients notice.

    Example: trizone kill n1
    """
    _end_one(name, data, signal.SIGKILL)


def _end_one(name: str, data: Path, number: signal.Signals) -> None:
    folder = ClusterFolder(data)
    with StopRequests() as stops:
        cluster = Supervisor(folder, folder.settings(), stops, say, die_with_parent=False)
        title = cluster.title(name)
        if not cluster.stop_one(name, number):
            raise CommandError(f"{title} is not running", hint=f"{TRIZONE} start {name}{folder.option}")


@app.command()
def logs(
    name: NameArgument,
    data: DataOption = DEFAULT_FOLDER,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, max=100_000, help="How many of the last lines.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing until Ctrl-C.")] = False,
) -> None:
    """Print the log of one process (JSON lines).

    Example: trizone logs n1 --follow
    """
    folder = ClusterFolder(data)
    with StopRequests() as stops:
        cluster = Supervisor(folder, folder.settings(), stops, say, die_with_parent=False)
        title = cluster.title(name)
        path = folder.log_path(name)
        if not path.exists():
            raise CommandError(f"{title} has no log yet", hint=f"{TRIZONE} start {name}{folder.option}")
        position = tail_file(path, lines, _raw)
        if follow:
            follow_file(path, position, _raw, stops)


def _raw(text: str) -> None:
    typer.echo(text, nl=False)


@ttl.command("sweep")
def ttl_sweep(data: DataOption = DEFAULT_FOLDER) -> None:
    """Delete every item that is expired now, without waiting for the next sweep.

    Example: trizone ttl sweep
    """
    with Operator(ClusterFolder(data).settings().nodes) as operator:
        deleted = operator.sweep()
    say(f"{deleted} expired {'item' if deleted == 1 else 'items'} deleted")


@index.command("delay")
def index_delay(
    delay_ms: Annotated[int, typer.Argument(metavar="MS", min=0, max=INDEX_DELAY_MS_MAX, help="0: none.")],
    data: DataOption = DEFAULT_FOLDER,
) -> None:
    """Let every change reach the global indexes only when it is this old, to see what readers of stale indexes see.

    Example: trizone index delay 5000
    Example: trizone index delay 0
    """
    with Operator(ClusterFolder(data).settings().nodes) as operator:
        operator.set_index_delay(delay_ms)
    say(f"changes reach global indexes {delay_ms} ms after the write at the earliest" if delay_ms else "no delay")


@index.command("lag")
def index_lag(data: DataOption = DEFAULT_FOLDER, as_json: JsonOption = False) -> None:
    """Show for each partition how many changes its global indexes lack, and how old the oldest is.

    Example: trizone index lag
    """
    folder = ClusterFolder(data)
    with StopRequests() as stops:
        found = Supervisor(folder, folder.settings(), stops, say, die_with_parent=False).status()
    if as_json:
        lags = [
            {"partition": row.id, "backlog_records": row.index_backlog_records, "lag_ms": row.index_lag_ms}
            for row in found.partitions
            if row.id != 0
        ]
        typer.echo(json.dumps(lags, indent=2))
    else:
        show(out, index_lag_table(found))
    if not found.healthy:
        raise typer.Exit(EXIT_FAILED)


@app.command()
def version(as_json: JsonOption = False) -> None:
    """Print the version.

    Example: trizone version
    """
    number = importlib.metadata.version("trizone-server")
    typer.echo(json.dumps({"version": number}) if as_json else f"trizone {number}")


def _add_commands() -> None:
    """Commands of other packages (entry points `trizone.commands`), loaded only when they are asked for or listed.

    What is above tools must not be imported by it, and a cluster is not started faster by loading a chaos runner.
    """
    asked = next((argument for argument in sys.argv[1:] if not argument.startswith("-")), "")
    for entry in importlib.metadata.entry_points(group=COMMANDS):
        if asked in ("", entry.name):
            app.add_typer(entry.load(), name=entry.name)


def main() -> None:
    """Run the command; translate every expected failure into a text and an exit code."""
    _add_commands()
    run(app)


def run(command: Callable[[], object]) -> None:
    """Run a command line of this distribution: expected failures become texts, and the exit code tells them apart."""
    try:
        command()
    except CommandError as error:
        sys.exit(_report(error))
    except InterruptedByUser:
        # Stopped as asked, but what the command was to do is not done.
        sys.exit(EXIT_FAILED)
    except BrokenPipeError:
        # `trizone logs n1 | head`: the reader has seen enough.
        fall_silent(out)
        sys.exit(EXIT_FAILED)
    except OSError as error:
        sys.exit(_report(explain(error)))


def _report(error: CommandError) -> int:
    """Print what went wrong and what to do next; the exit code."""
    for number, line in enumerate(str(error).splitlines()):
        show(err, f"[red]error[/]: {escape(line)}" if number == 0 else escape(line))
    if error.hint:
        show(err, f"[bold]next[/]: {escape(error.hint)}")
    return error.exit_code


if __name__ == "__main__":
    main()
