"""The data folder: what it remembers, and that only one supervisor works in it."""

from __future__ import annotations

import os
import stat
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from tools.errors import CommandError
from tools.folder import ClusterFolder, read_settings, write_whole
from tools.resolve import Resolved, resolve
from tools.tail import Position, print_new, tail_file
from topology.settings import FaultInjectionSettings, load_settings

pytestmark = pytest.mark.unit

SHIPPED = Path(__file__).parents[2] / "cluster.yaml"


def resolved(folder: ClusterFolder) -> Resolved:
    return resolve(
        read_settings(SHIPPED),
        folder=folder.path,
        previous=None,
        http_port=9000,
        running=frozenset(),
        is_free=lambda host, port: True,
        first_port=20_000,
        end_port=30_000,
    )


@pytest.fixture
def folder(tmp_path: Path) -> ClusterFolder:
    made = ClusterFolder(tmp_path / "deep" / "data")
    made.create()
    return made


def test_a_new_folder_remembers_nothing(folder: ClusterFolder) -> None:
    assert folder.previous() is None
    assert not folder.exists
    with pytest.raises(CommandError, match="there is no cluster in") as caught:
        folder.settings()
    assert "trizone up" in caught.value.hint


def test_what_is_remembered_is_read_back(folder: ClusterFolder) -> None:
    written = resolved(folder)
    folder.remember(written)
    previous = ClusterFolder(folder.path).previous()
    assert previous is not None
    assert previous.settings == written.settings
    assert previous.ports == written.ports
    assert folder.settings() == written.settings
    assert folder.settings_path.read_text().startswith("# Written by")
    files = ["cluster-id", "cluster.yaml", "logs", "nodes", "ports.json", "run"]
    assert sorted(path.name for path in folder.path.iterdir()) == files


def test_the_cluster_id_is_made_with_the_folder_and_never_again(folder: ClusterFolder) -> None:
    with pytest.raises(CommandError, match="is missing"):
        folder.cluster_id()
    folder.remember(resolved(folder))
    first = folder.cluster_id()
    assert str(uuid.UUID(first)) == first
    ClusterFolder(folder.path).remember(resolved(folder))
    assert ClusterFolder(folder.path).cluster_id() == first
    (folder.path / "cluster-id").write_text("\n")
    with pytest.raises(CommandError, match="is empty"):
        folder.cluster_id()
    (folder.path / "cluster-id").unlink()
    folder.remember(resolved(folder))
    with pytest.raises(CommandError, match="is missing") as caught:
        folder.cluster_id()
    assert "--data" in caught.value.hint


def with_faults(folder: ClusterFolder) -> Resolved:
    plain = resolved(folder)
    enabled = plain.settings.model_copy(update={"fault_injection": FaultInjectionSettings(enabled=True)})
    return replace(plain, settings=enabled)


def test_a_fault_token_is_made_once_for_its_owner_alone_and_only_where_faults_are_enabled(
    folder: ClusterFolder,
) -> None:
    folder.remember(resolved(folder))
    with pytest.raises(CommandError, match="there is no fault token") as caught:
        folder.fault_token()
    assert "--fault-injection" in caught.value.hint
    folder.remember(with_faults(folder))
    token = folder.fault_token()
    assert len(token) == 64
    assert stat.S_IMODE((folder.path / "fault-token").stat().st_mode) == 0o600
    folder.remember(with_faults(folder))
    assert folder.fault_token() == token


def test_faults_that_were_enabled_for_one_run_are_not_enabled_for_the_next(folder: ClusterFolder) -> None:
    folder.remember(with_faults(folder), faults_for_one_run=True)
    assert folder.settings().fault_injection.enabled, "for `trizone start` during that run"
    assert not folder.own_settings().fault_injection.enabled
    folder.remember(with_faults(folder))
    assert folder.own_settings().fault_injection.enabled, "the settings file asks for it"


def test_an_id_that_was_made_before_an_up_that_failed_is_kept(folder: ClusterFolder) -> None:
    folder.remember(resolved(folder))
    first = folder.cluster_id()
    folder.settings_path.unlink()
    folder.remember(resolved(folder))
    assert folder.cluster_id() == first


def test_a_new_data_folder_is_its_owner_s_alone_and_one_that_was_there_stays_as_it_is(tmp_path: Path) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    old.mkdir(mode=0o755)
    for path in (new, old):
        ClusterFolder(path).create()
    assert stat.S_IMODE(new.stat().st_mode) == 0o700
    assert stat.S_IMODE(old.stat().st_mode) == 0o755


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("ports.json", "{", "ports.json is damaged", id="ports cut short"),
        pytest.param("ports.json", '[{"member": "n1"}]', "ports.json is damaged", id="ports without a key"),
        pytest.param("cluster.yaml", "nodes: 3", "nodes: must be a list", id="settings edited wrongly"),
        pytest.param("cluster.yaml", "\udcff", "cannot be read", id="settings that are no text"),
    ],
)
def test_damaged_files_are_named(folder: ClusterFolder, name: str, content: str, message: str) -> None:
    folder.remember(resolved(folder))
    (folder.path / name).write_bytes(content.encode("utf-8", errors="surrogateescape"))
    with pytest.raises(CommandError, match=message):
        folder.previous()


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError, match="cannot be made"):
        ClusterFolder(tmp_path / "file" / "data").create()


def test_a_missing_settings_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="there is no settings file") as caught:
        read_settings(tmp_path / "none.yaml")
    assert caught.value.exit_code == 2
    assert "--config" in caught.value.hint


def test_the_lock_admits_one_and_names_its_holder(folder: ClusterFolder) -> None:
    assert folder.supervisor() is None
    with folder.lock():
        holder = ClusterFolder(folder.path).supervisor()
        assert holder is not None
        assert holder.pid == os.getpid()
        assert holder.is_alive
        with pytest.raises(CommandError, match=f"pid {os.getpid()}"), ClusterFolder(folder.path).lock():
            pass
    assert folder.supervisor() is None
    with folder.lock():
        pass


def test_writing_replaces_the_whole_file_and_leaves_no_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, "a" * 100)
    write_whole(path, "b")
    assert path.read_text() == "b"
    assert list(tmp_path.iterdir()) == [path]


def test_the_option_that_finds_a_folder_is_shown_only_when_needed(tmp_path: Path) -> None:
    assert ClusterFolder(Path("data")).option == ""
    assert ClusterFolder(tmp_path).option == f" --data {tmp_path}"


@pytest.mark.parametrize(
    ("content", "count", "expected"),
    [
        pytest.param(b"", 3, "", id="an empty log"),
        pytest.param(b"a\nb\nc\n", 2, "b\nc\n", id="the last lines"),
        pytest.param(b"a\nb\nc\n", 9, "a\nb\nc\n", id="more than there are"),
        pytest.param(b"a\nb\nc", 1, "c", id="an unfinished line"),
        pytest.param(b"a\n", 0, "", id="none"),
        pytest.param(b"x" * 200_000 + b"\nend\n", 1, "end\n", id="after a line longer than a block"),
        pytest.param(b"\xff\n", 1, "\ufffd\n", id="bytes that are no text"),
    ],
)
def test_tail(tmp_path: Path, content: bytes, count: int, expected: str) -> None:
    path = tmp_path / "log"
    path.write_bytes(content)
    written: list[str] = []
    position = tail_file(path, count, written.append)
    assert "".join(written) == expected
    assert position.offset == len(content)


def test_following_prints_every_byte_once_also_of_a_replaced_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("one\n")
    written: list[str] = []
    position = tail_file(path, 10, written.append)
    position = print_new(path, position, written.append)
    with path.open("a") as file:
        file.write("two\n")
    position = print_new(path, position, written.append)
    path.rename(tmp_path / "log.1")
    assert print_new(path, position, written.append) == position
    path.write_text("three, of another file\n")
    position = print_new(path, position, written.append)
    path.write_text("4\n")
    print_new(path, Position(path.stat().st_ino, position.offset), written.append)
    assert "".join(written) == "one\ntwo\nthree, of another file\n4\n"


def test_the_resolved_file_is_a_valid_settings_file(folder: ClusterFolder) -> None:
    folder.remember(resolved(folder))
    assert load_settings(folder.settings_path.read_text(), "resolved").router("r1").http_port == 9000


@pytest.mark.parametrize("had_data", [True, False])
def test_data_that_is_set_aside_leaves_a_mark_for_the_next_start(tmp_path: Path, had_data: bool) -> None:
    """Should the command end here, the node must not start as if it were new."""
    folder = ClusterFolder(tmp_path)
    folder.create()
    data = tmp_path / "nodes" / "n1"
    if had_data:
        data.mkdir()
        (data / "CURRENT").write_text("evidence")
    aside = folder.set_data_aside("nodes/n1", 1_700_000_000_123)
    assert not data.exists()
    assert (tmp_path / "nodes" / "n1.rebuild").exists()
    if had_data:
        assert aside == tmp_path / "nodes" / "n1.lost-20231114T221320.123Z"
        assert (aside / "CURRENT").read_text() == "evidence"
    else:
        assert aside is None
