"""The data plane between three nodes in memory: all hold the mean to the bit, or somebody is named."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from comind.crypto.identity import Identity, verify
from comind.node.daemon.mean import scales, weighted_mean
from comind.node.daemon.outgoing import (
    Ask,
    Chunk,
    ChunkList,
    FromPeer,
    Grant,
    LookedThrough,
    Misbehaved,
    Output,
    Refuse,
)
from comind.node.daemon.shared import Brought
from comind.node.daemon.snapshots import Snapshots
from comind.node.daemon.transfers import Adopted, Task, Transfers
from comind.p2p.core.effects import (
    Average,
    Averaged,
    Contribute,
    Event,
    Fetch,
    FetchFailed,
    Forget,
    Held,
    LinkDown,
    LinkUp,
    Lost,
    Part,
    Progressed,
    Receive,
)
from comind.p2p.core.snapshot import CHUNK_VALUES
from comind.p2p.core.words import Incarnation, NetworkId, NodeId, Offer, Root, RunId, SchemaHash
from comind.p2p.shell.bulk import (
    Asked,
    BulkEvent,
    ChunkCame,
    Granted,
    Listed,
    Stream,
    StreamKind,
    StreamRefused,
)

NETWORK = NetworkId(bytes([1]) * 32)
OPEN = bytes([2]) * 32
AGAIN = bytes([5]) * 32
"""The OPEN of a further attempt."""
BASE = Root(bytes([3]) * 32)

Values = NDArray[np.float32]


def some(size: int, seed: int) -> Values:
    return np.random.default_rng(seed).standard_normal(size).astype(np.float32)


def shared(values: Values) -> int:
    descriptor = os.memfd_create("offer")
    os.write(descriptor, values.tobytes())
    return descriptor


class Node:
    """One data plane, and what came out of it for its member."""

    def __init__(self, folder: Path, seed: int, now_ms: Callable[[], int]) -> None:
        folder.mkdir()
        self.folder = folder
        self.identity = Identity.from_secret(bytes([seed]) * 32)
        self.id = self.identity.node_id
        self._folder, self._now_ms = folder, now_ms
        self.begins()
        self.offer: Offer | None = None
        self.told: list[Event | Misbehaved | LookedThrough] = []

    def begins(self) -> None:
        """Start on what the folder holds."""
        self.snapshots = Snapshots(self._folder)
        self.snapshots.check()
        self.transfers = Transfers(NETWORK, self.identity, verify, self.snapshots, self._now_ms)

    def brings(self, values: Values, step: int = 10) -> "Offer":
        self.offer = Offer(
            RunId(self.id[:16]), step - 10, step, BASE, SchemaHash(bytes(32)), len(values), weight=step
        )
        return self.offer

    def holds(self, root: Root) -> Values:
        descriptor = self.snapshots.descriptor(root)
        assert descriptor is not None
        with open(descriptor, "rb") as file:
            return np.frombuffer(file.read(), np.float32)


class World:
    """Three nodes and the words between them, in order for each pair; `bend` may change or swallow one."""

    def __init__(self, folder: Path, nodes: int = 3) -> None:
        self.nodes = [Node(folder / str(11 + at), 11 + at, lambda: self.now_ms) for at in range(nodes)]
        self.by_id = {node.id: node for node in self.nodes}
        self.between: deque[tuple[NodeId, Output]] = deque()
        self.bend: Callable[[NodeId, Output], Output | None] = lambda sender, output: output
        self.sent: list[Output] = []
        self.secrets: dict[frozenset[NodeId], bytes] = {}
        self.now_ms = 0
        for one in self.nodes:
            for other in self.nodes:
                if one is not other:
                    self.secrets[frozenset({one.id, other.id})] = bytes([len(self.secrets)]) * 32
                    self.do(one, LinkUp(other.id, Incarnation(7), True))

    def do(self, node: Node, task: Task) -> None:
        self.take(node, node.transfers.do(task))

    def take(self, node: Node, outputs: Iterator[Output]) -> None:
        self.now_ms += 1
        for output in outputs:
            if isinstance(output, Ask | Grant | ChunkList | Chunk | Refuse):
                self.between.append((node.id, output))
            else:
                node.told.append(output)

    def deliver(self, most: int = 1_000_000) -> None:
        """Carry what was said, until there is nothing more."""
        while most:
            most -= 1
            for node in self.nodes:
                if node.transfers.has_work:
                    self.take(node, node.transfers.work())
            if not self.between:
                if any(node.transfers.has_work for node in self.nodes):
                    continue
                return
            sender, output = self.between.popleft()
            bent = self.bend(sender, output)
            if bent is None:
                continue
            self.sent.append(bent)
            assert isinstance(bent, Ask | Grant | ChunkList | Chunk | Refuse)
            secret = self.secrets.get(frozenset({sender, bent.peer}))
            if secret is not None:
                self.do(self.by_id[bent.peer], FromPeer(heard(sender, bent), (secret,)))

    def cut(self, one: Node, other: Node) -> None:
        del self.secrets[frozenset({one.id, other.id})]
        self.do(one, LinkDown(other.id))
        self.do(other, LinkDown(one.id))

    def offer(self, node: Node, values: Values, step: int = 10) -> None:
        offer = node.brings(values, step)
        self.do(node, Brought(offer, shared(values)))

    def average(
        self, size: int, chief: Node, contributors: list[Node], weights: list[int], open: bytes = OPEN
    ) -> None:
        parts = tuple(
            Part(node.id, weight, node.offer if node is chief else None)
            for node, weight in zip(contributors, weights, strict=True)
        )
        self.do(chief, Average(open, size, parts))
        for node in self.nodes:
            if node is not chief:
                if node in contributors and node.offer is not None:
                    self.do(node, Contribute(open, chief.id, node.offer))
                self.do(node, Receive(open, size, chief.id))


def heard(sender: NodeId, output: Ask | Grant | ChunkList | Chunk | Refuse) -> BulkEvent:
    match output:
        case Ask(_, stream, first, count):
            return Asked(sender, stream, first, count)
        case Grant(_, stream, key):
            return Granted(sender, stream, key)
        case ChunkList(_, stream, size, hashes, signature):
            return Listed(sender, stream, size, hashes, signature)
        case Chunk(_, stream, index, sealed):
            return ChunkCame(sender, stream, index, sealed)
        case Refuse(_, stream, because):
            return StreamRefused(sender, stream, because)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    for node in made.nodes:
        node.transfers.close()


def expected(rows: list[Values], weights: list[int]) -> bytes:
    out, scratch = np.empty_like(rows[0]), np.empty_like(rows[0])
    weighted_mean(rows, scales(weights), out, scratch)
    return out.tobytes()


def without_progress(node: Node) -> list[Event | Misbehaved | LookedThrough]:
    return [one for one in node.told if not isinstance(one, Progressed | LookedThrough)]


WEIGHTS = [3, 5, 2**40]


def prepare(world: World, size: int) -> list[Values]:
    rows = [some(size, seed) for seed in range(3)]
    for node, row in zip(world.nodes, rows, strict=True):
        world.offer(node, row)
    return rows


# -- a whole average ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "size", [0, 1, CHUNK_VALUES - 1, CHUNK_VALUES, CHUNK_VALUES + 1, 18 * CHUNK_VALUES + 7]
)
def test_all_hold_the_same_average_to_the_bit(world: World, size: int) -> None:
    rows = prepare(world, size)
    chief, one, other = world.nodes
    world.average(size, chief, world.nodes, WEIGHTS)
    world.deliver()
    (averaged,) = without_progress(chief)
    assert isinstance(averaged, Averaged)
    assert without_progress(one) == without_progress(other) == [Held(averaged.root)]
    for node in world.nodes:
        assert node.holds(averaged.root).tobytes() == expected(rows, WEIGHTS)


def journal_of(world: World, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Return what happens on all disks and is told to all members from now on: ("synced", inode of a file or
    folder), ("told", number of the node)."""
    journal: list[tuple[str, int]] = []
    sync = os.fsync

    def synced(descriptor: int) -> None:
        sync(descriptor)
        journal.append(("synced", os.fstat(descriptor).st_ino))

    class Told(list[Event | Misbehaved | LookedThrough]):
        def __init__(self, number: int) -> None:
            self.number = number

        def append(self, told: Event | Misbehaved | LookedThrough) -> None:
            super().append(told)
            if isinstance(told, Averaged | Held):
                journal.append(("told", self.number))

    monkeypatch.setattr(os, "fsync", synced)
    for number, node in enumerate(world.nodes):
        node.told = Told(number)
    return journal


@pytest.mark.parametrize("power", [True, False], ids=["power", "process"])
def test_r9_with_durability_power_an_average_is_synced_before_anybody_is_told_of_it(
    world: World, monkeypatch: pytest.MonkeyPatch, power: bool
) -> None:
    """R9: bytes, hashes and their names: only of what it was told does a member say PREPARE."""
    prepare(world, CHUNK_VALUES + 1)
    if power:
        for node in world.nodes:
            node.snapshots.sync_first()
    journal = journal_of(world, monkeypatch)
    chief, *_ = world.nodes
    world.average(CHUNK_VALUES + 1, chief, world.nodes, WEIGHTS)
    world.deliver()
    (averaged,) = without_progress(chief)
    assert isinstance(averaged, Averaged)
    for number, node in enumerate(world.nodes):
        before = journal[: journal.index(("told", number))]
        file = node.folder / f"{averaged.root.hex()}.f32"
        for path in (file, file.with_suffix(".hashes"), node.folder):
            assert (("synced", path.stat().st_ino) in before) is power, path


def test_r9_what_was_held_before_is_synced_before_it_is_told_of_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that a process left may not be on the disk yet: it is found at the start, or fetched again."""
    one = world.nodes[0]
    root = store(one, some(1000, 5))
    journal = journal_of(world, monkeypatch)
    one.snapshots.sync_first()
    inode = (one.folder / f"{root.hex()}.f32").stat().st_ino
    assert journal[0] == ("synced", inode)
    world.do(one, Fetch(root, 1000, (world.nodes[1].id,)))
    assert one.told == [Held(root)]
    assert journal.count(("synced", inode)) == 1


def test_r9_an_average_that_cannot_be_synced_is_not_told_of(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(world, 1000)
    chief, one, _ = world.nodes
    one.snapshots.sync_first()

    def fails(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    world.average(1000, chief, world.nodes, WEIGHTS)
    world.deliver()
    assert without_progress(one) == [Lost(OPEN, one.id, "its disk failed: Input/output error")]
    assert one.snapshots.held() == frozenset()


def test_the_chief_need_not_contribute_and_the_order_is_that_of_the_parts(world: World) -> None:
    rows = prepare(world, 1000)
    chief, one, other = world.nodes
    world.average(1000, chief, [other, one], [1, 2])
    world.deliver()
    (averaged,) = without_progress(chief)
    assert isinstance(averaged, Averaged)
    assert chief.holds(averaged.root).tobytes() == expected([rows[2], rows[1]], [1, 2])


def test_the_starting_weights_of_one_become_the_base_as_they_are(world: World) -> None:
    rows = prepare(world, 1000)
    chief, one, _ = world.nodes
    world.average(1000, chief, [one], [0])
    world.deliver()
    (averaged,) = without_progress(chief)
    assert isinstance(averaged, Averaged)
    assert chief.holds(averaged.root).tobytes() == rows[1].tobytes()


def test_asks_that_come_before_the_open_is_known_wait_for_it(world: World) -> None:
    prepare(world, 1000)
    chief, one, other = world.nodes
    world.do(one, Receive(OPEN, 1000, chief.id))
    world.deliver()
    assert chief.told == [LookedThrough(chief.offer, None)] if chief.offer else False
    world.do(chief, Average(OPEN, 1000, (Part(one.id, 1, None), Part(other.id, 1, None))))
    world.deliver()
    for node in (one, other):
        assert node.offer is not None
        world.do(node, Contribute(OPEN, chief.id, node.offer))
    world.deliver()
    assert isinstance(without_progress(chief)[0], Averaged)
    assert isinstance(without_progress(one)[0], Held)


def test_a_late_receiver_gets_it_too_until_the_attempt_is_forgotten(world: World) -> None:
    prepare(world, 3 * CHUNK_VALUES)
    chief, one, other = world.nodes
    assert one.offer is not None
    world.do(chief, Average(OPEN, 3 * CHUNK_VALUES, (Part(one.id, 1, None),)))
    world.do(one, Contribute(OPEN, chief.id, one.offer))
    world.deliver()
    (averaged,) = without_progress(chief)
    assert isinstance(averaged, Averaged)
    world.do(other, Receive(OPEN, 3 * CHUNK_VALUES, chief.id))
    world.deliver()
    assert without_progress(other) == [Held(averaged.root)]
    world.do(chief, Forget(OPEN))
    world.do(one, Receive(OPEN, 3 * CHUNK_VALUES, chief.id))
    world.deliver()
    assert without_progress(one) == [Lost(OPEN, chief.id, "this attempt is over")]


def test_what_is_in_flight_stays_within_a_window_however_many_contribute(world: World) -> None:
    size = 20 * CHUNK_VALUES
    rows = [np.zeros(size, np.float32)] * 3
    for node, row in zip(world.nodes, rows, strict=True):
        world.offer(node, row)
    flying, most = 0, 0

    def count(sender: NodeId, output: Output) -> Output:
        nonlocal flying, most
        match output:
            case Ask(_, Stream(StreamKind.CONTRIBUTION), _, asked):
                flying += asked
                most = max(most, flying)
            case Chunk(_, Stream(StreamKind.CONTRIBUTION)):
                flying -= 1
        return output

    world.bend = count
    world.average(size, world.nodes[0], world.nodes, WEIGHTS)
    world.deliver()
    assert flying == 0
    assert most <= 32


def test_progress_is_told_and_not_too_often(world: World) -> None:
    prepare(world, 8 * CHUNK_VALUES)
    world.average(8 * CHUNK_VALUES, world.nodes[0], world.nodes, WEIGHTS)
    world.deliver()
    for node in world.nodes:
        told = [one for one in node.told if isinstance(one, Progressed)]
        assert 1 <= len(told) <= world.now_ms // 50 + 1


# -- what goes wrong, and who is named ----------------------------------------------------------------------


def flip(sealed: memoryview) -> memoryview:
    changed = bytearray(sealed)
    changed[len(changed) // 2] ^= 1
    return memoryview(changed)


@pytest.mark.parametrize("how", ["flipped", "cut", "longer"])
def test_a_contribution_that_was_tampered_with_names_its_contributor(world: World, how: str) -> None:
    prepare(world, 2 * CHUNK_VALUES)
    chief, one, other = world.nodes

    def tamper(sender: NodeId, output: Output) -> Output:
        match output:
            case Chunk(peer, Stream(StreamKind.CONTRIBUTION) as stream, 1, sealed) if sender == other.id:
                bent = {
                    "flipped": flip(sealed),
                    "cut": sealed[:-4],
                    "longer": memoryview(bytes(sealed) + b"1234"),
                }
                return Chunk(peer, stream, 1, bent[how])
        return output

    world.bend = tamper
    world.average(2 * CHUNK_VALUES, chief, world.nodes, WEIGHTS)
    world.deliver()
    (lost,) = without_progress(chief)
    assert isinstance(lost, Lost)
    assert (lost.open, lost.peer) == (OPEN, other.id)
    assert "in its chunk 1" in lost.because
    assert without_progress(one) == [Lost(OPEN, chief.id, "its averager lost a contribution")]


@pytest.mark.parametrize(("value", "because"), [(np.nan, "NaN"), (-np.inf, "infinite"), (3e38, "beyond")])
def test_values_that_would_spoil_the_average_name_their_contributor(
    world: World, value: float, because: str
) -> None:
    prepare(world, 1000)
    chief, one, _ = world.nodes
    assert one.offer is not None
    evil = some(1000, 1)
    evil[999] = value
    os.write(descriptor := os.memfd_create("evil"), evil.tobytes())
    kept = one.transfers._offers.of(one.offer)
    assert kept is not None
    kept._descriptor = descriptor
    world.average(1000, chief, world.nodes, WEIGHTS)
    world.deliver()
    (lost,) = without_progress(chief)
    assert isinstance(lost, Lost)
    assert lost.peer == one.id
    assert because in lost.because


def test_a_broadcast_that_was_tampered_with_is_not_held(world: World) -> None:
    prepare(world, 2 * CHUNK_VALUES)
    chief, one, other = world.nodes

    def tamper(sender: NodeId, output: Output) -> Output:
        match output:
            case Chunk(peer, Stream(StreamKind.AVERAGE) as stream, index, sealed) if peer == one.id:
                return Chunk(peer, stream, index, flip(sealed))
        return output

    world.bend = tamper
    world.average(2 * CHUNK_VALUES, chief, world.nodes, WEIGHTS)
    world.deliver()
    assert [type(told) for told in without_progress(one)] == [Lost, Misbehaved]
    assert [type(told) for told in without_progress(other)] == [Held]
    assert len(one.snapshots.held()) == 0


@pytest.mark.parametrize("how", ["unsigned", "other hashes", "other size"])
def test_a_list_that_the_averager_did_not_sign_so_is_not_believed(world: World, how: str) -> None:
    prepare(world, 1000)
    chief, one, _ = world.nodes

    def tamper(sender: NodeId, output: Output) -> Output:
        match output:
            case ChunkList(peer, stream, size, hashes, signature) if peer == one.id:
                if how == "unsigned":
                    return ChunkList(peer, stream, size, hashes, bytes(64))
                if how == "other hashes":
                    return ChunkList(peer, stream, size, (bytes(32),), signature)
                return ChunkList(peer, stream, size - 1, hashes, signature)
        return output

    world.bend = tamper
    world.average(1000, chief, world.nodes, WEIGHTS)
    world.deliver()
    lost, misbehaved = without_progress(one)
    assert isinstance(lost, Lost)
    assert isinstance(misbehaved, Misbehaved)
    assert lost.peer == misbehaved.peer == chief.id


def test_a_chunk_that_another_member_forged_under_the_broadcast_key_is_found_by_the_list(
    world: World,
) -> None:
    """Every receiver holds the broadcast key; only the averager's signature tells its chunks from theirs."""
    from comind.crypto.sealing import ChunkSealer

    prepare(world, 1000)
    chief, one, _ = world.nodes
    key = b""

    def forge(sender: NodeId, output: Output) -> Output:
        nonlocal key
        match output:
            case Grant(_, Stream(StreamKind.AVERAGE), granted):
                key = granted
            case Chunk(peer, Stream(StreamKind.AVERAGE) as stream, index, sealed) if peer == one.id:
                forged = memoryview(bytearray(len(sealed)))
                ChunkSealer(key).seal_into(index, bytes(len(sealed) - 16), forged)
                return Chunk(peer, stream, index, forged)
        return output

    world.bend = forge
    world.average(1000, chief, world.nodes, WEIGHTS)
    world.deliver()
    assert without_progress(one) == [Lost(OPEN, chief.id, "its chunks are not those of its list")]


@pytest.mark.parametrize("kind", [StreamKind.CONTRIBUTION, StreamKind.AVERAGE])
def test_who_asks_for_a_chunk_twice_misbehaves_and_gets_it_once(world: World, kind: StreamKind) -> None:
    prepare(world, 1000)
    chief, one, _ = world.nodes
    world.average(1000, chief, world.nodes, WEIGHTS)
    world.deliver()
    server, asker = (one, chief) if kind is StreamKind.CONTRIBUTION else (chief, one)
    world.do(
        server,
        FromPeer(Asked(asker.id, Stream(kind, OPEN), 0, 1), (_secret(world, one, chief),)),
    )
    assert without_progress(server)[-1] == Misbehaved(asker.id, "it asked for a chunk twice")
    assert not world.between


def _secret(world: World, one: Node, other: Node) -> bytes:
    return world.secrets[frozenset({one.id, other.id})]


def test_a_contribution_is_for_its_averager_alone(world: World) -> None:
    prepare(world, 1000)
    chief, one, other = world.nodes
    assert one.offer is not None
    world.do(one, Contribute(OPEN, chief.id, one.offer))
    stream = Stream(StreamKind.CONTRIBUTION, OPEN)
    world.do(one, FromPeer(Asked(other.id, stream, 0, 1), (_secret(world, one, other),)))
    world.do(one, FromPeer(Asked(chief.id, stream, 0, 2), (_secret(world, one, chief),)))
    assert [type(told) for told in without_progress(one)] == [Misbehaved, Misbehaved]
    assert not world.between


def test_a_chunk_that_nobody_asked_for_is_misbehaviour(world: World) -> None:
    prepare(world, 1000)
    chief, one, other = world.nodes
    world.do(chief, Average(OPEN, 1000, (Part(one.id, 1, None),)))
    stream = Stream(StreamKind.CONTRIBUTION, OPEN)
    for sender, index in ((other, 0), (one, 1)):
        world.do(chief, FromPeer(ChunkCame(sender.id, stream, index, memoryview(bytes(4016))), ()))
    assert [type(told) for told in without_progress(chief)] == [Misbehaved, Misbehaved]


def test_a_contributor_whose_link_breaks_is_lost_and_one_that_gave_all_is_not(world: World) -> None:
    size = 20 * CHUNK_VALUES
    prepare(world, size)
    chief, one, other = world.nodes
    world.average(size, chief, world.nodes, WEIGHTS)
    world.deliver(most=15)
    world.cut(chief, other)
    world.deliver()
    assert without_progress(chief) == [Lost(OPEN, other.id, "its link broke")]
    assert Lost(OPEN, chief.id, "its link broke") in without_progress(other)
    assert Lost(OPEN, chief.id, "its averager lost a contribution") in without_progress(one)


def test_a_further_attempt_begins_anew_and_no_key_is_used_again(world: World) -> None:
    """R6, R7: what was averaged before is discarded; the same chunks go under other keys."""
    rows = prepare(world, 3 * CHUNK_VALUES)
    chief, one, other = world.nodes
    world.bend = lambda sender, output: None if sender == other.id and isinstance(output, Chunk) else output
    world.average(3 * CHUNK_VALUES, chief, world.nodes, WEIGHTS)
    world.deliver()
    world.cut(chief, other)
    assert Lost(OPEN, other.id, "its link broke") in chief.told
    first = list(world.sent)
    for node in (chief, one):
        world.do(node, Forget(OPEN))
    world.average(3 * CHUNK_VALUES, chief, [chief, one], WEIGHTS[:2], AGAIN)
    world.deliver()
    (averaged,) = [told for told in chief.told if isinstance(told, Averaged)]
    assert chief.holds(averaged.root).tobytes() == expected(rows[:2], WEIGHTS[:2])
    assert Held(averaged.root) in one.told
    second = world.sent[len(first) :]
    kinds = (StreamKind.CONTRIBUTION, StreamKind.AVERAGE)
    sealed = [
        {(sent.stream.kind, sent.index): bytes(sent.sealed) for sent in side if isinstance(sent, Chunk)}
        for side in (first, second)
    ]
    assert {kind for kind, _ in sealed[0]} == {StreamKind.CONTRIBUTION}
    assert {kind for kind, _ in sealed[1]} == set(kinds)
    assert all(sealed[0][chunk] != sealed[1][chunk] for chunk in sealed[0].keys() & sealed[1].keys())
    assert len({sent.key for sent in [*first, *second] if isinstance(sent, Grant)}) == 2


def test_a_contributor_that_gave_all_may_go(world: World) -> None:
    prepare(world, CHUNK_VALUES)
    chief, one, other = world.nodes
    held_back: list[tuple[NodeId, Output]] = []

    def hold_back(sender: NodeId, output: Output) -> Output | None:
        if sender == one.id and isinstance(output, Chunk):
            held_back.append((sender, output))
            return None
        return output

    world.bend = hold_back
    world.average(CHUNK_VALUES, chief, world.nodes, WEIGHTS)
    world.deliver()
    world.cut(chief, other)
    world.bend = lambda sender, output: output
    world.between.extend(held_back)
    world.deliver()
    assert isinstance(without_progress(chief)[-1], Averaged)


def test_a_peer_that_was_started_again_is_lost_as_if_its_link_broke(world: World) -> None:
    prepare(world, CHUNK_VALUES)
    chief, one, _ = world.nodes
    world.do(chief, Average(OPEN, CHUNK_VALUES, (Part(one.id, 1, None),)))
    world.do(chief, LinkUp(one.id, Incarnation(7), False))
    assert without_progress(chief) == []
    world.do(chief, LinkUp(one.id, Incarnation(8), False))
    assert without_progress(chief) == [Lost(OPEN, one.id, "its link broke")]


def test_what_was_forgotten_is_not_taken_up_again(world: World) -> None:
    prepare(world, 1000)
    chief, one, _ = world.nodes
    assert one.offer is not None
    contribute = Contribute(OPEN, chief.id, one.offer)
    world.do(one, contribute)
    world.do(one, Forget(OPEN))
    world.do(one, contribute)
    world.do(one, FromPeer(Asked(chief.id, Stream(StreamKind.CONTRIBUTION, OPEN), 0, 1), (bytes(32),)))
    assert [type(output) for _, output in world.between] == [Refuse]


def test_an_endless_asker_for_nothing_is_dropped_and_holds_little(world: World) -> None:
    chief, one, _ = world.nodes
    for number in range(100):
        stream = Stream(StreamKind.AVERAGE, number.to_bytes(32, "big"))
        world.do(chief, FromPeer(Asked(one.id, stream, 0, 1), ()))
    assert len(chief.transfers._early._asks[one.id]) == 8
    for _ in range(10):
        world.do(chief, FromPeer(Asked(one.id, Stream(StreamKind.AVERAGE, OPEN), 0, 1), ()))
    assert [type(told) for told in chief.told] == [Misbehaved, Misbehaved]


def test_a_full_disk_is_nobody_elses_fault(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(world, 1000)
    chief = world.nodes[0]

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    world.average(1000, chief, world.nodes, WEIGHTS)
    world.deliver()
    assert without_progress(chief) == [Lost(OPEN, chief.id, "its disk failed: No space left on device")]


# -- the trainer's snapshots --------------------------------------------------------------------------------


def test_a_snapshot_is_looked_through_once_and_what_is_wrong_is_placed(world: World) -> None:
    node = world.nodes[0]
    values = some(CHUNK_VALUES + 10, 1)
    world.offer(node, values)
    values[CHUNK_VALUES + 3] = np.inf
    values[CHUNK_VALUES + 5] = np.nan
    world.offer(node, values, step=20)
    good, bad = node.told
    assert isinstance(good, LookedThrough)
    assert isinstance(bad, LookedThrough)
    assert good.wrong is None
    assert bad.wrong == (CHUNK_VALUES + 3, "NaN")


def test_only_the_newest_snapshot_and_those_in_use_are_kept(world: World) -> None:
    chief, one, _ = world.nodes
    first = one.brings(some(100, 0))
    world.do(one, Brought(first, shared(some(100, 0))))
    world.do(one, Contribute(OPEN, chief.id, first))
    world.offer(one, some(100, 1), step=20)
    world.offer(one, some(100, 2), step=30)
    assert len(one.transfers._offers) == 2
    world.do(one, Forget(OPEN))
    assert len(one.transfers._offers) == 1
    world.do(one, Adopted(BASE))
    assert len(one.transfers._offers) == 1
    world.do(one, Adopted(Root(bytes(32))))
    assert len(one.transfers._offers) == 0


# -- fetching -----------------------------------------------------------------------------------------------


def store(node: Node, values: Values) -> Root:
    from comind.p2p.core.snapshot import CHUNK_BYTES, chunk_hash

    content = values.tobytes()
    chunks = [content[at : at + CHUNK_BYTES] for at in range(0, len(content), CHUNK_BYTES)]
    writer = node.snapshots.writer(len(values))
    for index, chunk in enumerate(chunks):
        writer.put(index, memoryview(chunk))
    return writer.finish([chunk_hash(chunk) for chunk in chunks])


@pytest.mark.parametrize("size", [0, 1, CHUNK_VALUES, 20 * CHUNK_VALUES + 5])
def test_a_snapshot_is_fetched_by_its_root(world: World, size: int) -> None:
    one, other, _ = world.nodes
    values = some(size, 4)
    root = store(one, values)
    world.do(other, Fetch(root, size, (one.id,)))
    world.deliver()
    assert other.told == [Held(root)]
    assert other.holds(root).tobytes() == values.tobytes()
    world.do(other, Fetch(root, size, (one.id,)))
    assert other.told == [Held(root)] * 2


def test_who_does_not_hold_it_says_so_and_the_next_goes_on_where_the_first_left_off(world: World) -> None:
    one, other, third = world.nodes
    size = 24 * CHUNK_VALUES
    values = some(size, 4)
    root = store(one, values)
    store(third, values)
    world.do(other, Fetch(root, size, (one.id,)))
    world.deliver(most=18)
    world.cut(one, other)
    assert other.told == [FetchFailed(root, one.id, "its link broke")]
    came = sum(isinstance(sent, Chunk) for sent in world.sent)
    assert came > 5
    world.between.clear()
    world.sent.clear()
    world.do(other, Fetch(root, size, (third.id,)))
    world.deliver()
    assert other.told[-1] == Held(root)
    assert sum(isinstance(sent, Chunk) for sent in world.sent) <= 24 - came + 1
    world.do(other, Fetch(Root(bytes(32)), size, (third.id,)))
    world.deliver()
    assert other.told[-1:] == [FetchFailed(Root(bytes(32)), third.id, "it does not hold this snapshot")]


@pytest.mark.parametrize("how", ["flipped", "other list", "other chunk"])
def test_a_peer_that_gives_another_snapshot_is_named(world: World, how: str) -> None:
    one, other, _ = world.nodes
    root = store(one, some(1000, 4))

    def tamper(sender: NodeId, output: Output) -> Output:
        match output:
            case Chunk(peer, stream, index, sealed) if how == "flipped":
                return Chunk(peer, stream, index, flip(sealed))
            case ChunkList(peer, stream, size, _, signature) if how == "other list":
                return ChunkList(peer, stream, size, (bytes(32),), signature)
        return output

    world.bend = tamper
    if how == "other chunk":
        with open(one.snapshots._path(root), "r+b") as file:
            file.write(b"\x01\x02\x03\x04")
    world.do(other, Fetch(root, 1000, (one.id,)))
    world.deliver()
    failed, misbehaved = other.told
    assert isinstance(failed, FetchFailed)
    assert isinstance(misbehaved, Misbehaved)
    assert failed.peer == misbehaved.peer == one.id
    assert other.snapshots.held() == frozenset()


def test_who_asks_for_a_snapshots_chunk_again_gets_it_under_another_key(world: World) -> None:
    one, other, _ = world.nodes
    root = store(one, some(1000, 4))
    for _ in range(2):
        world.do(one, FromPeer(Asked(other.id, Stream(StreamKind.SNAPSHOT, root), 0, 1), ()))
    while one.transfers.has_work:
        world.take(one, one.transfers.work())
    keys = [output.key for _, output in world.between if isinstance(output, Grant)]
    chunks = [bytes(output.sealed) for _, output in world.between if isinstance(output, Chunk)]
    assert len(set(keys)) == len(set(chunks)) == 2
    world.between.clear()
    world.do(one, FromPeer(Asked(other.id, Stream(StreamKind.SNAPSHOT, root), 0, 5), ()))
    assert one.told[-1] == Misbehaved(other.id, "it asked for chunks that are not in a snapshot")
