"""The disk thread: what was put together is durable together, and chores give way."""

import select
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from comind.node.daemon.disk import Disk
from comind.node.daemon.snapshots import Snapshots
from comind.node.daemon.store import Entry, KnownAddresses, Store
from comind.p2p.core.words import NetworkId, NodeId, Root


def entry(number: int) -> Entry:
    return KnownAddresses(NodeId(bytes([number]) * 32), (f"tcp://a:{number}",))


class GatedStore(Store):
    """A store whose writes wait until they are let through, and are counted."""

    def __init__(self, file: Path) -> None:
        super().__init__(file, NetworkId(bytes(32)))
        self.gate = threading.Event()
        self.transactions: list[int] = []
        self.full = False
        self.checkpoints = 0

    def write(self, entries: Sequence[Entry]) -> None:
        self.gate.wait(10)
        if self.full:
            raise OSError("the disk is full")
        super().write(entries)
        self.transactions.append(len(entries))

    def checkpoint(self) -> None:
        super().checkpoint()
        self.checkpoints = getattr(self, "checkpoints", 0) + 1


@pytest.fixture
def store(tmp_path: Path) -> GatedStore:
    return GatedStore(tmp_path / "store.db")


@pytest.fixture
def disk(store: GatedStore, tmp_path: Path) -> Iterator[Disk]:
    made = Disk(store, Snapshots(tmp_path))
    yield made
    store.gate.set()
    made.close()


def wait(disk: Disk, ticket: int) -> None:
    while disk.durable() < ticket:
        assert select.select([disk.wakeup], [], [], 10)[0]
        disk.wakeup.clear()


def test_nothing_is_durable_before_it_is_written(disk: Disk, store: GatedStore) -> None:
    ticket = disk.put([entry(1)])
    assert disk.durable() < ticket
    store.gate.set()
    wait(disk, ticket)
    assert len(store.addresses()) == 1


def test_all_that_waited_goes_into_one_transaction(disk: Disk, store: GatedStore) -> None:
    tickets = [disk.put([entry(number), entry(number + 100)]) for number in range(1, 20)]
    assert tickets == sorted(set(tickets))
    store.gate.set()
    wait(disk, tickets[-1])
    assert sum(store.transactions) == 38
    assert len(store.transactions) <= 2


def test_a_full_disk_is_told_and_nothing_is_durable_after_it(disk: Disk, store: GatedStore) -> None:
    store.full = True
    disk.put([entry(1)])
    store.gate.set()
    assert select.select([disk.wakeup], [], [], 10)[0]
    with pytest.raises(OSError, match="full"):
        disk.durable()


def test_closing_writes_what_was_put(store: GatedStore, tmp_path: Path) -> None:
    disk = Disk(store, Snapshots(tmp_path))
    disk.put([entry(1)])
    store.gate.set()
    disk.close()
    again = Store(tmp_path / "store.db", NetworkId(bytes(32)))
    assert len(again.addresses()) == 1
    again.close()


class SlowSnapshots(Snapshots):
    """Settling takes a thousand slices, during which records are put."""

    disk: Disk | None = None
    slices = 0
    durable_at: dict[int, int]

    def settle(self, root: Root) -> Iterator[None]:
        assert self.disk is not None
        for number in range(1000):
            if number % 100 == 0:
                self.durable_at[self.disk.put([entry(number // 100)])] = number
            elif number % 100 == 1:
                assert self.disk.durable() == max(self.durable_at), "a record waited for more than one slice"
            self.slices += 1
            yield


def test_a_record_waits_for_one_slice_of_a_chore_at_most(store: GatedStore, tmp_path: Path) -> None:
    snapshots = SlowSnapshots(tmp_path)
    snapshots.durable_at = {}
    store.gate.set()
    disk = snapshots.disk = Disk(store, snapshots, quiet_s=0.0)
    disk.settle(Root(bytes(32)))
    wait(disk, 10)
    disk.close()
    assert len(store.transactions) == 10


def test_chores_wait_for_a_quiet_time(store: GatedStore, tmp_path: Path) -> None:
    snapshots = SlowSnapshots(tmp_path)
    store.gate.set()
    disk = snapshots.disk = Disk(store, snapshots, quiet_s=1000.0)
    disk.settle(Root(bytes(32)))
    wait(disk, disk.put([entry(1)]))
    disk.close()
    assert snapshots.slices == 0


def test_letting_go_of_snapshots_does_not_wait_for_it(store: GatedStore, tmp_path: Path) -> None:
    kept: list[frozenset[Root]] = []
    went = threading.Event()

    class Watched(Snapshots):
        def keep(self, roots: frozenset[Root], gone: frozenset[Root]) -> None:
            kept.append(gone)
            went.set()

    store.gate.set()
    disk = Disk(store, Watched(tmp_path), quiet_s=1000.0)
    disk.keep(frozenset(), frozenset({Root(bytes(32))}))
    assert went.wait(10)
    disk.close()
    assert kept == [frozenset({Root(bytes(32))})]


def test_the_log_is_moved_into_the_main_file_before_it_grows_long(store: GatedStore, tmp_path: Path) -> None:
    store.gate.set()
    disk = Disk(store, Snapshots(tmp_path), quiet_s=0.0)
    log = tmp_path / "store.db-wal"
    before = log.stat().st_size
    for number in range(200):
        wait(disk, disk.put([KnownAddresses(NodeId(bytes([number]) * 32), ("x" * 200,) * 8)]))
    disk.close()
    assert before >= 1 << 20
    assert store.checkpoints > 1
