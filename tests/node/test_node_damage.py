"""Damage of a real RocksDB: what is noticed, when, and what is left for the next start."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from node import __main__ as node_main
from node.damage import (
    DAMAGED_FOLDERS_MAX,
    NotSetAside,
    must_rebuild,
    note_damage,
    noted_damage,
    rebuild_begun,
    set_aside,
)
from node.storage.errors import StoreDamaged, StoreError
from node.storage.rocks import RocksStore
from replication.ports import Family
from topology.settings import load_settings

pytestmark = pytest.mark.integration

SMALL = {"memtable_bytes": 1 << 20, "block_cache_bytes": 1 << 20}
BATCHES = 12_000
# In the first record of a manifest, behind the header (checksum, length, type: 7 bytes). Anywhere else it may be the
# length that is hurt: RocksDB takes a record that seems to reach beyond the end for one that was being written.
IN_A_RECORD = 10


def write(store: RocksStore, first: int, count: int, rng: random.Random) -> None:
    for number in range(first, first + count):
        store.put(Family.LOG, b"%08d" % number, rng.randbytes(100))
        store.put(Family.DATA, b"%08d" % number, rng.randbytes(200))
        store.write_batch()


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store as kill -9 leaves it: several table and log files, everything synced but the last ten batches."""
    folder = tmp_path_factory.mktemp("damage") / "killed"
    rng = random.Random(1)
    # A recycled log file is longer than what it holds: half of it might be no record of this store.
    store = RocksStore(folder, **SMALL, wal_recycle_files=0)
    write(store, 0, BATCHES, rng)
    store.sync()
    write(store, BATCHES, 10, rng)
    copy = folder.with_name("copy")
    shutil.copytree(folder, copy)
    store.close()
    return copy


@pytest.fixture
def folder(killed: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "store"
    shutil.copytree(killed, copy)
    return copy


def flip(path: Path, position: int) -> None:
    with path.open("r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ 0xFF]))


def tables(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.sst"))


def logs(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.log"))


def manifest(folder: Path) -> Path:
    # An older one may still be there: RocksDB deletes it later.
    return folder / (folder / "CURRENT").read_text().strip()


def size(path: Path) -> int:
    return path.stat().st_size


def test_a_store_that_was_killed_is_whole(folder: Path) -> None:
    store = RocksStore(folder, **SMALL)
    assert sum(1 for _ in store.scan(Family.DATA, b"", b"~")) == BATCHES + 10
    assert not (folder / "logs-before-open").exists()
    store.close()


@pytest.mark.parametrize(
    ("hurt", "said"),
    [
        pytest.param(lambda f: flip(logs(f)[-1], size(logs(f)[-1]) // 2), "was synced", id="a record amid the log"),
        pytest.param(lambda f: os.truncate(logs(f)[-1], size(logs(f)[-1]) // 2), "was synced", id="half of the log"),
        pytest.param(lambda f: logs(f)[-1].unlink(), "was synced", id="a log file that is gone"),
        pytest.param(lambda f: (f / "CURRENT").unlink(), "Corruption", id="the name of the manifest gone"),
        pytest.param(lambda f: flip(f / "CURRENT", 3), "Corruption", id="the name of the manifest"),
        pytest.param(lambda f: flip(manifest(f), IN_A_RECORD), "Corruption", id="the manifest"),
        pytest.param(lambda f: flip(tables(f)[0], size(tables(f)[0]) - 20), "Corruption", id="the end of a table file"),
        pytest.param(lambda f: os.truncate(tables(f)[0], 1000), "Corruption", id="a table file cut short"),
        pytest.param(lambda f: tables(f)[0].unlink(), "Corruption", id="a table file that is gone"),
    ],
)
def test_damage_that_is_noticed_when_the_store_is_opened(folder: Path, hurt: Callable[[Path], None], said: str) -> None:
    hurt(folder)
    with pytest.raises(StoreDamaged, match=said):
        RocksStore(folder, **SMALL)


def test_the_logs_of_a_damaged_store_are_kept_as_they_were(folder: Path) -> None:
    newest = logs(folder)[-1]
    flip(newest, size(newest) // 2)
    before = newest.read_bytes()
    with pytest.raises(StoreDamaged):
        RocksStore(folder, **SMALL)
    assert (folder / "logs-before-open" / newest.name).read_bytes() == before


def test_a_torn_tail_that_no_sync_covers_is_not_damage(folder: Path) -> None:
    newest = logs(folder)[-1]
    # Ten batches of more than 300 bytes were not synced.
    os.truncate(newest, size(newest) - 1000)
    store = RocksStore(folder, **SMALL)
    count = sum(1 for _ in store.scan(Family.LOG, b"", b"~"))
    assert BATCHES <= count < BATCHES + 10
    store.close()


@pytest.mark.parametrize("mark", [b"", b"x", b"y" * 20], ids=["empty", "short", "nonsense"])
def test_a_mark_that_cannot_be_read_claims_nothing(folder: Path, mark: bytes) -> None:
    (folder / "SYNCED").write_bytes(mark)
    RocksStore(folder, **SMALL).close()


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda store: [store.get(Family.DATA, b"%08d" % n) for n in range(BATCHES)], id="get"),
        pytest.param(lambda store: list(store.scan(Family.DATA, b"", b"~")), id="scan"),
        pytest.param(lambda store: list(store.scan_back(Family.DATA, b"", b"~")), id="scan back"),
    ],
)
def test_a_bad_block_is_never_an_absent_item(folder: Path, read: Callable[[RocksStore], object]) -> None:
    # A table of items: those of the log are read at start only.
    for table in tables(folder):
        flip(table, 2000)
    store = RocksStore(folder, **SMALL)
    told: list[StoreDamaged] = []
    store.on_damage = told.append
    with pytest.raises(StoreDamaged, match="checksum mismatch"):
        read(store)
    assert len(told) == 1, "told before it is raised, whoever may catch it"
    store.close()


def test_what_the_next_start_knows(tmp_path: Path) -> None:
    folder = tmp_path / "n1"
    folder.mkdir()
    assert noted_damage(folder) == ""
    assert not must_rebuild(folder)
    note_damage(folder, "block 7")
    assert noted_damage(folder) == "block 7"
    note_damage(tmp_path / "missing", "nobody hears it")
    aside = set_aside(folder, "block 7", 1_700_000_000_123)
    assert aside.name == "n1.damaged-20231114T221320.123Z"
    assert noted_damage(aside) == "block 7"
    assert not folder.exists()
    # A crash here must not let an empty folder start as a new node.
    assert must_rebuild(folder)
    rebuild_begun(folder)
    assert not must_rebuild(folder)


def test_evidence_is_bounded_and_the_newest_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "n1"
    asides = []
    for number in range(DAMAGED_FOLDERS_MAX + 2):
        folder.mkdir()
        asides.append(set_aside(folder, "again", 1_700_000_000_000 + number))
    assert [path for path in asides if path.exists()] == asides[-DAMAGED_FOLDERS_MAX:]


def test_a_folder_that_cannot_be_moved_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotSetAside, match="cannot be moved to"):
        set_aside(tmp_path / "missing", "block 7", 0)


def test_a_mark_that_cannot_be_read_is_no_damage(tmp_path: Path) -> None:
    (tmp_path / "DAMAGED").mkdir()
    with pytest.raises(StoreError, match="cannot read"):
        noted_damage(tmp_path)


def test_damage_is_what_a_node_ends_with_also_when_its_store_cannot_be_closed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RocksDB's close can fail at the same bad block, under load: that error hid the damage, and nobody rebuilt."""
    closed = RocksStore.close

    def close(self: RocksStore) -> None:
        closed(self)
        raise RuntimeError("Corruption: block checksum mismatch")

    def damaged(*_: object) -> None:
        raise StoreDamaged("a bad block")

    monkeypatch.setattr(RocksStore, "close", close)
    monkeypatch.setattr(node_main, "Node", damaged)
    settings = load_settings((Path(__file__).parents[2] / "cluster.yaml").read_text(), "cluster.yaml")
    start = node_main.Start(settings, settings.nodes[0], "id", folder, "")
    with pytest.raises(StoreDamaged, match="a bad block"):
        node_main.run(start)
