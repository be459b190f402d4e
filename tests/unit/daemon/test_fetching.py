"""A snapshot from several holders at once: quick, slow, hanging, dying, and after a break or a start."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from comind.node.daemon.fetching import MAX_SOURCES, STALLED_MS, STEAL_AFTER_MS, WINDOW
from comind.node.daemon.outgoing import Ask, Chunk, FromPeer, Grant, Misbehaved, Output
from comind.node.daemon.partials import MAX_PARTIALS
from comind.node.daemon.serving import MAX_WAITING_A_PEER
from comind.p2p.core.effects import Fetch, FetchFailed, Held, LinkDown, LinkUp
from comind.p2p.core.snapshot import CHUNK_BYTES, CHUNK_VALUES
from comind.p2p.core.words import Incarnation, NodeId, Root
from comind.p2p.shell.bulk import Asked, Stream, StreamKind
from tests.unit.daemon.test_snapshots import let_go
from tests.unit.daemon.test_transfers import OPEN, Node, Values, World, flip, prepare, some, store

CHUNKS = 30
SIZE = (CHUNKS - 1) * CHUNK_VALUES + 5
VALUES: Values = np.arange(SIZE, dtype=np.float32)


class Fetched:
    """One node that lacks what all others hold."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.values = VALUES
        self.late, *self.holders = world.nodes
        for holder in self.holders:
            self.root = store(holder, self.values)

    def fetch(self, *holders: Node) -> None:
        self.world.do(self.late, Fetch(self.root, SIZE, tuple(one.id for one in holders)))

    def wait(self, ms: int) -> None:
        """Let this much time pass, with what falls due in it."""
        self.world.now_ms += ms
        self.world.deliver()

    def chunks(self) -> list[tuple[NodeId, int]]:
        """Return who was asked for which chunk, chunk by chunk."""
        return [
            (output.peer, index)
            for output in self.world.sent
            if isinstance(output, Ask)
            for index in range(output.first, output.first + output.count)
        ]

    def failures(self) -> list[tuple[NodeId, str]]:
        return [(one.peer, one.because) for one in self.late.told if isinstance(one, FetchFailed)]

    def is_whole(self) -> bool:
        return Held(self.root) in self.late.told and (
            self.late.holds(self.root).tobytes() == self.values.tobytes()
        )

    def silence(self, *nodes: Node) -> None:
        """What these send is lost, until it is bent anew."""
        lost = {node.id for node in nodes}
        self.world.bend = lambda sender, output: None if sender in lost else output


@pytest.fixture
def fetched(tmp_path: Path) -> Iterator[Fetched]:
    world = World(tmp_path, nodes=7)
    yield Fetched(world)
    for node in world.nodes:
        node.transfers.close()


# -- from several -------------------------------------------------------------------------------------------


def test_a_few_give_it_at_once_and_each_chunk_is_asked_once(fetched: Fetched) -> None:
    flying, most = Counter[NodeId](), 0

    def count(sender: NodeId, output: Output) -> Output:
        nonlocal most
        match output:
            case Ask(peer, _, _, asked):
                flying[peer] += asked
            case Chunk():
                flying[sender] -= 1
        most = max(most, flying.total())
        return output

    fetched.world.bend = count
    fetched.fetch(*fetched.holders)
    fetched.world.deliver()
    assert fetched.is_whole()
    assert sorted(index for _, index in fetched.chunks()) == list(range(CHUNKS))
    given = Counter(peer for peer, _ in fetched.chunks())
    assert len(given) == MAX_SOURCES
    assert min(given.values()) >= WINDOW // MAX_SOURCES
    assert most <= WINDOW


def test_a_holder_that_appears_takes_its_share(fetched: Fetched) -> None:
    one, other, *_ = fetched.holders
    fetched.fetch(one)
    fetched.world.deliver(most=12)
    fetched.fetch(one, other)
    fetched.world.deliver()
    assert fetched.is_whole()
    assert {peer for peer, _ in fetched.chunks()} == {one.id, other.id}
    assert len(fetched.chunks()) == CHUNKS


def test_who_is_named_no_more_is_asked_no_more_and_what_it_owes_is_welcome(fetched: Fetched) -> None:
    one, other, *_ = fetched.holders
    fetched.fetch(one, other)
    fetched.world.deliver(most=12)
    asked = Counter(peer for peer, _ in fetched.chunks())[other.id]
    fetched.fetch(one)
    fetched.world.deliver()
    assert fetched.is_whole()
    assert Counter(peer for peer, _ in fetched.chunks())[other.id] <= asked + WINDOW // 2
    assert fetched.failures() == []


def test_when_a_link_breaks_nothing_that_came_is_lost(fetched: Fetched) -> None:
    one, other, *_ = fetched.holders
    fetched.fetch(one, other)
    fetched.world.deliver(most=34)
    came = sum(isinstance(output, Chunk) for output in fetched.world.sent)
    assert came > 5
    fetched.world.cut(fetched.late, one)
    fetched.world.deliver()
    assert fetched.is_whole()
    assert fetched.failures() == [(one.id, "its link broke")]
    assert sum(isinstance(output, Chunk) for output in fetched.world.sent) <= CHUNKS + WINDOW // 2


# -- who gives nothing --------------------------------------------------------------------------------------


def test_what_a_slow_one_owes_is_asked_of_another_when_nothing_else_is_left(fetched: Fetched) -> None:
    slow, *others = fetched.holders[:3]
    fetched.silence(slow)
    fetched.fetch(slow, *others)
    fetched.world.deliver()
    for _ in range(CHUNKS):
        fetched.wait(STEAL_AFTER_MS)
        if fetched.is_whole():
            break
    assert fetched.is_whole()
    assert fetched.failures() == []
    assert fetched.world.now_ms < STALLED_MS


def test_who_gives_nothing_is_set_aside_and_another_takes_its_place(fetched: Fetched) -> None:
    hang, fresh = fetched.holders[:MAX_SOURCES], fetched.holders[MAX_SOURCES]
    fetched.silence(*hang)
    fetched.fetch(*hang, fresh)
    fetched.world.deliver()
    assert fresh.id not in {peer for peer, _ in fetched.chunks()}
    fetched.wait(STALLED_MS)
    assert fetched.is_whole()
    assert fetched.failures() == [(one.id, "nothing came for 3 s") for one in hang]


def test_a_lone_holder_that_is_slow_is_waited_for_and_asked_no_chunk_twice(fetched: Fetched) -> None:
    """What it sends late counts: else a slow line would carry the same chunks for ever."""
    one = fetched.holders[0]
    held: list[Output] = []

    def hold(sender: NodeId, output: Output) -> Output | None:
        if sender == one.id:
            held.append(output)
        return None if sender == one.id else output

    fetched.world.bend = hold
    fetched.fetch(one)
    fetched.world.deliver()
    fetched.wait(STALLED_MS)
    assert fetched.failures() == [(one.id, "nothing came for 3 s")]
    fetched.fetch(one)
    fetched.wait(STALLED_MS)
    fetched.world.bend = lambda sender, output: output
    fetched.world.between.extend((one.id, output) for output in held)
    fetched.world.deliver()
    assert fetched.is_whole()
    assert len(fetched.chunks()) == CHUNKS


def test_a_wrong_chunk_costs_its_sender_its_link_and_nothing_else(fetched: Fetched) -> None:
    bad, good, *_ = fetched.holders

    def tamper(sender: NodeId, output: Output) -> Output:
        if isinstance(output, Chunk) and sender == bad.id and output.index > 3:
            return Chunk(output.peer, output.stream, output.index, flip(output.sealed))
        return output

    fetched.world.bend = tamper
    fetched.fetch(bad, good)
    fetched.world.deliver()
    assert fetched.is_whole()
    assert [one for one in fetched.late.told if isinstance(one, Misbehaved)] == [
        Misbehaved(bad.id, "it sent a chunk that was not asked for, or does not open")
    ]
    assert [peer for peer, _ in fetched.failures()] == [bad.id]


def test_who_refuses_is_named_and_may_give_it_later(fetched: Fetched) -> None:
    one = fetched.holders[0]
    let_go(one.snapshots, frozenset())
    fetched.fetch(one)
    fetched.world.deliver()
    assert fetched.failures() == [(one.id, "it does not hold this snapshot")]
    store(one, fetched.values)
    fetched.fetch(one)
    fetched.world.deliver()
    assert fetched.is_whole()


# -- after a break, and after a start -----------------------------------------------------------------------


def some_of_it(fetched: Fetched) -> int:
    """Fetch a part, and return how many chunks are there."""
    fetched.fetch(*fetched.holders[:2])
    fetched.world.deliver(most=34)
    there = len(fetched.late.transfers._fetches[fetched.root]._there)
    assert 5 < there < CHUNKS
    return there


def test_what_is_wanted_no_more_is_stopped_and_can_be_gone_on_with(fetched: Fetched) -> None:
    """On the same links, with chunks on their way that were asked for before."""
    there = some_of_it(fetched)
    fetched.fetch()
    assert fetched.late.transfers._fetches == {}
    fetched.world.deliver(most=2)
    fetched.world.sent.clear()
    fetched.fetch(*fetched.holders[:2])
    fetched.world.deliver()
    assert fetched.is_whole()
    assert fetched.failures() == []
    assert not [one for one in fetched.late.told if isinstance(one, Misbehaved)]
    assert len(fetched.chunks()) <= CHUNKS - there + WINDOW


def restart(fetched: Fetched) -> None:
    late = fetched.late
    for holder in fetched.holders:
        fetched.world.do(holder, LinkDown(late.id))
    fetched.world.between.clear()
    fetched.world.sent.clear()
    late.begins()
    for holder in fetched.holders:
        fetched.world.do(holder, LinkUp(late.id, Incarnation(8), True))
        fetched.world.do(late, LinkUp(holder.id, Incarnation(7), True))


def test_what_came_before_a_crash_is_not_asked_for_again(fetched: Fetched) -> None:
    there = some_of_it(fetched)
    restart(fetched)
    fetched.fetch(*fetched.holders)
    fetched.world.deliver()
    assert fetched.is_whole()
    assert len(fetched.chunks()) == CHUNKS - there
    assert not list(fetched.late._folder.glob("*.partial")) + list(fetched.late._folder.glob("*.chunks"))


def test_what_a_crash_left_damaged_is_asked_for_again(fetched: Fetched) -> None:
    there = some_of_it(fetched)
    (file,) = fetched.late._folder.glob("*.partial")
    with file.open("r+b") as part:
        part.seek(CHUNK_BYTES + 7)
        part.write(b"\x00\x01\x02")
    restart(fetched)
    fetched.fetch(*fetched.holders)
    fetched.world.deliver()
    assert fetched.is_whole()
    assert len(fetched.chunks()) == CHUNKS - there + 1


@pytest.mark.parametrize("how", ["no list", "another list", "a cut list", "no name"])
def test_a_part_of_which_nothing_can_be_made_goes(fetched: Fetched, how: str) -> None:
    some_of_it(fetched)
    (file,) = fetched.late._folder.glob("*.partial")
    listed = file.with_suffix(".chunks")
    match how:
        case "no list":
            listed.unlink()
        case "another list":
            listed.write_bytes(bytes(len(listed.read_bytes())))
        case "a cut list":
            listed.write_bytes(listed.read_bytes()[:-5])
        case "no name":
            file.rename(file.with_name("some.partial"))
    restart(fetched)
    assert not list(fetched.late._folder.glob("*.partial")) + list(fetched.late._folder.glob("*.chunks"))
    fetched.fetch(*fetched.holders)
    fetched.world.deliver()
    assert fetched.is_whole()


def test_the_parts_of_snapshots_that_nobody_needs_go(fetched: Fetched) -> None:
    some_of_it(fetched)
    let_go(fetched.late.snapshots, frozenset())
    fetched.world.deliver()
    assert fetched.is_whole()  # what is being written to stays
    other = Root(bytes(32))
    fetched.world.do(fetched.late, Fetch(other, SIZE, (fetched.holders[0].id,)))
    fetched.world.do(fetched.late, Fetch(other, SIZE, ()))
    assert len(list(fetched.late._folder.glob("*.partial"))) == 1
    let_go(fetched.late.snapshots, frozenset({fetched.root}))
    assert list(fetched.late._folder.glob("*.partial")) == []


def test_few_parts_are_kept(fetched: Fetched) -> None:
    for number in range(10):
        root = Root(bytes([number]) * 32)
        fetched.world.do(fetched.late, Fetch(root, SIZE, (fetched.holders[0].id,)))
        fetched.world.do(fetched.late, Fetch(root, SIZE, ()))
    assert len(list(fetched.late._folder.glob("*.partial"))) == MAX_PARTIALS


# -- serving ------------------------------------------------------------------------------------------------


def ask(fetched: Fetched, by: Node, of: Node, first: int, count: int) -> None:
    stream = Stream(StreamKind.SNAPSHOT, fetched.root)
    fetched.world.do(of, FromPeer(Asked(by.id, stream, first, count), ()))


def served(fetched: Fetched, node: Node) -> list[NodeId]:
    return [
        output.peer
        for sender, output in fetched.world.between
        if sender == node.id and isinstance(output, Chunk) and output.stream.kind is StreamKind.SNAPSHOT
    ]


def test_those_who_ask_are_served_in_turn(fetched: Fetched) -> None:
    one, (giver, other, *_) = fetched.late, fetched.holders
    ask(fetched, one, giver, 0, 16)
    ask(fetched, other, giver, 0, 2)
    while giver.transfers.has_work:
        fetched.world.take(giver, giver.transfers.work())
    assert served(fetched, giver)[:4] == [one.id, other.id] * 2


def test_who_asks_for_more_than_it_can_take_is_named(fetched: Fetched) -> None:
    giver = fetched.holders[0]
    for _ in range(MAX_WAITING_A_PEER // CHUNKS + 1):
        ask(fetched, fetched.late, giver, 0, CHUNKS)
    assert giver.told[-1] == Misbehaved(fetched.late.id, "it asks for more than it can take")


def test_a_chunk_asked_for_again_while_it_waits_comes_under_each_key_once(fetched: Fetched) -> None:
    giver = fetched.holders[0]
    for _ in range(2):
        ask(fetched, fetched.late, giver, 0, 3)
    while giver.transfers.has_work:
        fetched.world.take(giver, giver.transfers.work())
    said = [output for sender, output in fetched.world.between if sender == giver.id]
    keys = [output.key for output in said if isinstance(output, Grant)]
    chunks = [bytes(output.sealed) for output in said if isinstance(output, Chunk)]
    assert len(set(keys)) == 2
    assert len(set(chunks)) == len(chunks) == 6
    kinds = [type(output) for output in said if isinstance(output, Grant | Chunk)]
    assert kinds == [Grant, Chunk, Chunk, Chunk] * 2


def test_while_a_round_moves_bytes_a_small_share_is_served_beside_it(tmp_path: Path) -> None:
    world = World(tmp_path, nodes=4)
    chief, one, other, late = world.nodes
    size = 60 * CHUNK_VALUES
    root = store(chief, some(size, 4))
    world.nodes = [chief, one, other]
    prepare(world, size)
    world.nodes.append(late)
    world.average(size, chief, [chief, one, other], [1, 2, 3])
    world.do(late, Fetch(root, size, (chief.id,)))
    moved = given = 0

    def count(sender: NodeId, output: Output) -> Output:
        nonlocal moved, given
        if isinstance(output, Chunk) and chief.id in (sender, output.peer):
            moved += output.stream.id == OPEN
            given += output.stream.id == root
        return output

    world.bend = count
    world.deliver()
    assert moved >= 4 * 60
    assert 1 <= given <= moved // 20 + 1
    world.now_ms += 1_000
    world.deliver()
    assert Held(root) in late.told
    for node in world.nodes:
        node.transfers.close()
