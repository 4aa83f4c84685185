"""The `trizone` command: start, watch, look at and stop a cluster of local processes.

The entry point of the distribution (`trizone = tools.cli:main`). Law: exit code 0 is success, 1 failure, 2 wrong usage;
what went wrong is one text with what to do next, never a traceback. Printing never fails: a terminal that is gone must
not keep a cluster from being stopped.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, RenderableType
from rich.markup import escape

from tools.admin import Operator
from tools.errors import EXIT_FAILED, CommandError, InterruptedByUser, explain
from tools.folder import DEFAULT_FOLDER, ClusterFolder, read_settings
from tools.invocation import TRIZONE
from tools.ports import ephemeral_begin, first_chosen_port, is_free, is_loopback
from tools.probe import NodeProbe, ask_routers
from tools.processes import ProcessRecord, ProcessTable, send, wait_for_end
from tools.resolve import resolve
from tools.signals import StopRequests
from tools.status import index_lag_table, partition_table, process_table, summary
from tools.supervisor import Supervisor
from tools.tail import follow_file, tail_file
from topology.settings import ClusterSettings

DEFAULT_CONFIG = Path("cluster.yaml")
# How long `down` waits for a foreground `up` to stop everything, beyond what its processes may take.
SUPERVISOR_MARGIN_S = 10.0
PIPE_COLUMNS = 160
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


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Raise on: by itself rich would end the process here, in the middle of whatever it does."""
        raise


# Tables are cut to the window on a terminal; a pipe has no width, and 80 columns would cut them too.
out = _Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_COLUMNS)
err = _Console(highlight=False, stderr=True, soft_wrap=True)

DataOption = Annotated[Path, typer.Option("--data", help="The cluster's data folder.", show_default=True)]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A node or router, such as n1 or r1.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def _print(console: Console, thing: RenderableType = "", *, soft_wrap: bool | None = None) -> None:
    """Print a line or a table; when nobody can read it any more (EPIPE, EIO), fall silent for good."""
    try:
        console.print(thing, soft_wrap=soft_wrap)
    except (OSError, ValueError):
        _fall_silent(console)


def _fall_silent(console: Console) -> None:
    console.quiet = True
    # What is still in a buffer goes nowhere: the interpreter would try it again at its end and exit with 120.
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nowhere, console.file.fileno())
        os.close(nowhere)


def _say(text: str) -> None:
    """A line for people. Never raises."""
    _print(out, escape(text), soft_wrap=True)


@app.command()
def up(
    config: Annotated[Path, typer.Option("--config", help="The settings file.")] = DEFAULT_CONFIG,
    data: DataOption = DEFAULT_FOLDER,
    http_port: Annotated[
        int | None, typer.Option("--http-port", min=1, max=65535, help="The first router's port; the next count up.")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return when the cluster serves.")] = False,
) -> None:
    """Start a cluster, or what is missing of it, and look after it until Ctrl-C.

    Example: trizone up                                     the cluster of ./cluster.yaml, data in ./data
    Example: trizone up --data other --http-port 8001       a second cluster beside the first
    """
    folder = ClusterFolder(data)
    # A folder knows its own cluster: `up` works from anywhere once it was made.
    if config == DEFAULT_CONFIG and not config.exists() and folder.exists:
        config = folder.settings_path
    wanted = read_settings(config)
    folder.create()
    with folder.lock(), StopRequests() as stops:
        settings = _resolve(folder, wanted, http_port)
        _warn_of_open_ports(settings)
        cluster = Supervisor(folder, settings, stops, _say, die_with_parent=not detach)
        cluster.up()
        if detach:
            _show_cluster(cluster, settings, folder)
            _say(f"stop it with: {TRIZONE} down{folder.option}")
            return
        try:
            _show_cluster(cluster, settings, folder)
            _say("Ctrl-C stops the cluster; its data stays.")
            cluster.watch()
        finally:
            try:
                _say("stopping")
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
    _say(f"{folder.settings_path} and cluster-id are written; cluster {folder.cluster_id()}")


def _warn_of_open_ports(settings: ClusterSettings) -> None:
    listening = [f"{node.id} on {node.bind_host}" for node in settings.nodes if not is_loopback(node.bind_host)]
    if listening:
        _say(
            f"warning: not only this machine reaches nodes {', '.join(listening)}: gRPC is neither encrypted nor"
            " authenticated, so whoever reaches their ports can read and change all data"
        )


def _resolve(folder: ClusterFolder, wanted: ClusterSettings, http_port: int | None) -> ClusterSettings:
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
    folder.remember(resolved)
    return resolved.settings


def _show_cluster(cluster: Supervisor, settings: ClusterSettings, folder: ClusterFolder) -> None:
    endpoint = settings.routers[0].endpoint
    _print(out)
    _print(out, process_table(cluster.status()))
    _print(out)
    _print(out, f"endpoint  [bold]{endpoint}[/]", soft_wrap=True)
    _say(
        "try       AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local"
        f" aws dynamodb list-tables --region us-east-1 --endpoint-url {endpoint}"
    )
    _say(f"look      {TRIZONE} status{folder.option}")


@app.command()
def down(data: DataOption = DEFAULT_FOLDER) -> None:
    """Stop a cluster; its data stays. Does nothing when it is stopped already.

    Example: trizone down
    """
    folder = ClusterFolder(data)
    if not folder.exists:
        _say(f"nothing is running in {folder.path}")
        return
    settings = folder.settings()
    holder = folder.supervisor()
    if holder is not None:
        _stop_supervisor(holder, settings)
    with folder.lock(), StopRequests() as stops:
        stopped = Supervisor(folder, settings, stops, _say, die_with_parent=False).stop_all()
    if holder is None and stopped == 0:
        _say(f"nothing is running in {folder.path}")


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
    _say(f"trizone up (pid {holder.pid}) stopped its cluster")


@app.command()
def status(data: DataOption = DEFAULT_FOLDER, as_json: JsonOption = False) -> None:
    """Show every node, router, partition and replica. Exit code 1 when a partition has no leader.

    Example: trizone status --json
    """
    folder = ClusterFolder(data)
    settings = folder.settings()
    with StopRequests() as stops:
        found = Supervisor(folder, settings, stops, _say, die_with_parent=False).status()
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=2))
    else:
        _print(out, process_table(found))
        _print(out, partition_table(found))
        _say(summary(found))
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
    _say(f"{name} serves")


@app.command()
def start(name: NameArgument, data: DataOption = DEFAULT_FOLDER) -> None:
    """Start one process of a cluster again and wait until it answers.

    Example: trizone start n1
    """
    folder = ClusterFolder(data)
    with StopRequests() as stops:
        cluster = Supervisor(folder, folder.settings(), stops, _say, die_with_parent=False)
        title = cluster.title(name)
        if not cluster.start_one(name):
            _say(f"{title} runs already")


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
        cluster = Supervisor(folder, folder.settings(), stops, _say, die_with_parent=False)
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
        cluster = Supervisor(folder, folder.settings(), stops, _say, die_with_parent=False)
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
    _say(f"{deleted} expired {'item' if deleted == 1 else 'items'} deleted")


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
    _say(f"changes reach global indexes {delay_ms} ms after the write at the earliest" if delay_ms else "no delay")


@index.command("lag")
def index_lag(data: DataOption = DEFAULT_FOLDER, as_json: JsonOption = False) -> None:
    """Show for each partition how many changes its global indexes lack, and how old the oldest is.

    Example: trizone index lag
    """
    folder = ClusterFolder(data)
    with StopRequests() as stops:
        found = Supervisor(folder, folder.settings(), stops, _say, die_with_parent=False).status()
    if as_json:
        lags = [
            {"partition": row.id, "backlog_records": row.index_backlog_records, "lag_ms": row.index_lag_ms}
            for row in found.partitions
            if row.id != 0
        ]
        typer.echo(json.dumps(lags, indent=2))
    else:
        _print(out, index_lag_table(found))
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
        _fall_silent(out)
        sys.exit(EXIT_FAILED)
    except OSError as error:
        sys.exit(_report(explain(error)))


def _report(error: CommandError) -> int:
    """Print what went wrong and what to do next; the exit code."""
    for number, line in enumerate(str(error).splitlines()):
        _print(err, f"[red]error[/]: {escape(line)}" if number == 0 else escape(line))
    if error.hint:
        _print(err, f"[bold]next[/]: {escape(error.hint)}")
    return error.exit_code


if __name__ == "__main__":
    main()
