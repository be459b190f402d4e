"""The data plane's thread: tasks in, outputs out, and nobody fills its queue with what was not asked for."""

import gc
import os
import select
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from comind.crypto.identity import Identity, verify
from comind.node.daemon.outgoing import Ask, Misbehaved, Output
from comind.node.daemon.plane import MAX_QUEUED_ASKS, Plane
from comind.node.daemon.shared import Brought
from comind.node.daemon.slabs import LEAST_SPARE, Slabs
from comind.node.daemon.snapshots import Snapshots
from comind.node.daemon.transfers import Transfers
from comind.node.daemon.wakeup import Wakeup, now_ms
from comind.p2p.core.effects import Average, Averaged, LinkDown, LinkUp, Part, Receive
from comind.p2p.core.snapshot import CHUNK_BYTES, CHUNK_VALUES
from comind.p2p.core.words import Incarnation, NetworkId, NodeId, Offer, Root, RunId, SchemaHash
from comind.p2p.shell.bulk import Asked, Buffer, ChunkCame, Granted, Stream, StreamKind

OPEN = bytes([2]) * 32
ME = Identity.from_secret(bytes([1]) * 32)
PEER = NodeId(bytes([9]) * 32)
AVERAGE = Stream(StreamKind.AVERAGE, OPEN)


class Port:
    """Notes what is said to peers."""

    def __init__(self) -> None:
        self.said: list[tuple[object, ...]] = []

    def ask(self, peer: NodeId, stream: Stream, first: int, count: int) -> None:
        self.said.append(("ask", peer, stream, first, count))

    def grant(self, peer: NodeId, stream: Stream, key: bytes) -> None:
        self.said.append(("grant", peer, stream))

    def chunk_list(
        self, peer: NodeId, stream: Stream, size: int, hashes: Sequence[bytes], signature: bytes
    ) -> None:
        self.said.append(("list", peer, stream, size))

    def chunk(self, peer: NodeId, stream: Stream, index: int, sealed: Buffer) -> None:
        self.said.append(("chunk", peer, stream, index))

    def refuse(self, peer: NodeId, stream: Stream, because: str) -> None:
        self.said.append(("refuse", peer, stream, because))

    def upload_secret(self, peer: NodeId) -> tuple[bytes, ...] | None:
        return (bytes(32),)


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    made = Plane(Transfers(NetworkId(bytes(32)), ME, verify, Snapshots(tmp_path), now_ms))
    yield made
    made.close()


def outputs_until(plane: Plane, kind: type) -> list[Output]:
    outputs: list[Output] = []
    while not any(isinstance(output, kind) for output in outputs):
        assert select.select([plane.wakeup], [], [], 20)[0]
        outputs += plane.collect()
    return outputs


def test_an_average_of_ones_own_part_goes_on_without_a_word_from_anybody(plane: Plane) -> None:
    size = 20 * CHUNK_VALUES
    os.truncate(descriptor := os.memfd_create("offer"), size * 4)
    offer = Offer(RunId(bytes(16)), 0, 1, Root(bytes(32)), SchemaHash(bytes(32)), size, 3)
    plane.do(Brought(offer, descriptor))
    plane.do(Average(OPEN, size, (Part(ME.node_id, 3, offer),)))
    assert isinstance(outputs_until(plane, Averaged)[-1], Averaged)


def test_what_it_wants_said_goes_through_the_port(plane: Plane) -> None:
    port = Port()
    plane.link(LinkUp(PEER, Incarnation(1), True))
    plane.do(Receive(OPEN, 1000, PEER))
    for output in outputs_until(plane, Ask):
        assert isinstance(output, Ask)
        plane.say(output, port)
    assert port.said == [("ask", PEER, AVERAGE, 0, 1)]


def ask_one(plane: Plane) -> None:
    plane.say(Ask(PEER, AVERAGE, 0, 1), Port())


def chunk() -> ChunkCame:
    return ChunkCame(PEER, AVERAGE, 0, memoryview(bytes(20)))


def test_a_chunk_beyond_what_was_asked_for_is_not_even_queued(plane: Plane) -> None:
    refusal = Misbehaved(PEER, "it sent a chunk that was not asked for")
    assert plane.hear(chunk(), Port()) == refusal
    ask_one(plane)
    assert plane.hear(chunk(), Port()) is None
    assert plane.hear(chunk(), Port()) == refusal


@pytest.mark.parametrize("gone", [LinkDown(PEER), LinkUp(PEER, Incarnation(2), True)])
def test_what_was_asked_of_a_link_that_is_gone_is_forgotten(plane: Plane, gone: LinkUp | LinkDown) -> None:
    plane.link(LinkUp(PEER, Incarnation(1), True))
    ask_one(plane)
    plane.link(LinkUp(PEER, Incarnation(1), False))
    ask_one(plane)
    assert plane.hear(chunk(), Port()) is None
    plane.link(gone)
    assert plane.hear(chunk(), Port()) is not None


def test_who_asks_faster_than_can_be_answered_is_named(plane: Plane) -> None:
    answers = [plane._judge(Asked(PEER, AVERAGE, 0, 1)) for _ in range(MAX_QUEUED_ASKS + 1)]
    assert answers[-1] == Misbehaved(PEER, "it asks faster than it can be answered")
    assert set(answers[:-1]) == {None}
    plane.collect()  # all that was queued is looked at by now
    assert plane._judge(Asked(PEER, AVERAGE, 0, 1)) is None


def test_a_grant_that_nobody_waits_for_is_no_matter(plane: Plane) -> None:
    assert plane.hear(Granted(PEER, AVERAGE, bytes(32)), Port()) is None


def test_a_thread_that_ended_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("threading.excepthook", lambda _: None)
    plane = Plane(Transfers(NetworkId(bytes(32)), ME, verify, Snapshots(tmp_path), now_ms))
    plane.do(None)  # type: ignore[arg-type]
    plane.do(Average(OPEN, -5, ()))
    plane._thread.join(20)
    with pytest.raises(AssertionError, match="ended"):
        plane.collect()


# -- slabs --------------------------------------------------------------------------------------------------


def test_a_slab_is_used_again_once_nobody_holds_a_slice_of_it() -> None:
    slabs = Slabs()
    first = slabs.take(CHUNK_BYTES)
    place = np.frombuffer(first, np.uint8).ctypes.data
    part = first[10:20]
    del first
    gc.collect()
    other = slabs.take(100)
    assert np.frombuffer(other, np.uint8).ctypes.data != place
    assert place % 4096 == 0
    del part
    again = slabs.take(100)
    assert np.frombuffer(again, np.uint8).ctypes.data == place
    assert len(again) == 100


def test_only_so_many_are_spared() -> None:
    slabs = Slabs()
    taken = [slabs.take(10) for _ in range(LEAST_SPARE + 20)]
    taken.clear()
    assert len(slabs._free) == LEAST_SPARE
    slabs.expect(10)
    taken = [slabs.take(10) for _ in range(LEAST_SPARE + 20)]
    taken.clear()
    assert len(slabs._free) == LEAST_SPARE + 10


# -- wake-ups -----------------------------------------------------------------------------------------------


def test_a_wakeup_is_readable_from_when_it_is_set_until_it_is_cleared() -> None:
    wakeup = Wakeup()
    assert not select.select([wakeup], [], [], 0)[0]
    for _ in range(100_000):
        wakeup.set()
    assert select.select([wakeup], [], [], 0)[0]
    wakeup.clear()
    assert not select.select([wakeup], [], [], 0)[0]
    wakeup.set()
    assert select.select([wakeup], [], [], 0)[0]
    wakeup.close()
