"""What is missing here, and who is asked for it?"""

import pytest
from msgspec.structs import replace

from comind.p2p.core.catchup import ASK_AGAIN_MS, MAX_BLOCKS_A_MESSAGE, Catchup
from comind.p2p.core.chain import Chain
from comind.p2p.core.effects import Fetch, Send
from comind.p2p.core.messages import AskBlocks, CanLead, Committed
from comind.p2p.core.wire import MAX_MESSAGE_BYTES, encode
from comind.p2p.core.words import NO_ROOT, Height, NodeId, Root
from tests.unit.core.build import (
    BASE,
    FAR,
    append,
    certificate,
    founded,
    ground,
    heartbeat,
    node,
    nodes,
    people_of,
    roster_block,
)

ROOT = Root(b"\x01" * 32)
OTHER = Root(b"\x02" * 32)


def catching_up(*linked: int, chain: Chain | None = None) -> Catchup:
    people = people_of(ground(chain or founded(voters=3)), *linked)
    return Catchup(people.here, people)


def asked(catchup: Catchup) -> list[NodeId]:
    """Return who was asked for blocks since the last time."""
    found: list[NodeId] = []
    for action in catchup.here.actions:
        match action:
            case Send(to=(peer,), message=AskBlocks(first=first)):
                assert first == catchup.here.chain.next
                found.append(peer)
    catchup.here.actions.clear()
    return found


def fetches(catchup: Catchup) -> list[tuple[Root, NodeId]]:
    found = [(action.root, action.peer) for action in catchup.here.actions if isinstance(action, Fetch)]
    catchup.here.actions.clear()
    return found


# -- blocks -------------------------------------------------------------------------------------------------


def test_one_member_is_asked_at_a_time() -> None:
    catchup = catching_up(1, 2)
    catchup.ask(node(1))
    catchup.ask(node(1))
    catchup.ask(node(2))
    assert asked(catchup) == [node(1)]


@pytest.mark.parametrize("what", ["it answered", "its link went down", "a second passed"])
def test_another_is_asked_when(what: str) -> None:
    catchup = catching_up(1, 2)
    catchup.ask(node(1))
    match what:
        case "it answered":
            catchup.answered(node(1))
        case "its link went down":
            catchup.people.link_down(node(1))
        case "a second passed":
            catchup.here.now_ms += ASK_AGAIN_MS
    catchup.ask(node(2))
    assert asked(catchup) == list(nodes(1, 2))


def test_what_somebody_else_answers_is_no_answer() -> None:
    catchup = catching_up(1, 2)
    catchup.ask(node(1))
    catchup.answered(node(2))
    catchup.ask(node(2))
    assert asked(catchup) == [node(1)]


def test_whoever_is_furthest_ahead_is_asked_at_a_heartbeat() -> None:
    catchup = catching_up(1, 2)
    catchup.look_around()
    assert asked(catchup) == []
    catchup.people.beat(node(1), heartbeat(height=4))
    catchup.people.beat(node(2), heartbeat(height=7))
    catchup.look_around()
    assert asked(catchup) == [node(2)]


@pytest.mark.parametrize("says", [7, FAR])
def test_who_is_ahead_and_does_not_answer_is_not_the_only_one_asked(says: int) -> None:
    """It may hang, or lie about its height: whoever else is ahead must get its turn."""
    catchup = catching_up(1, 2)
    catchup.people.beat(node(1), heartbeat(height=7))
    catchup.people.beat(node(2), heartbeat(height=says))
    for _ in range(20):
        catchup.here.now_ms += ASK_AGAIN_MS
        catchup.look_around()
    assert set(asked(catchup)) == set(nodes(1, 2))


def grown(blocks: int, filling: int = 0) -> Chain:
    chain = founded(voters=1)
    for _ in range(blocks):
        name = "x" * filling
        append(chain, replace(roster_block(chain, [CanLead(node(0), can_lead=True)]), metrics={name: 1.0}))
    return chain


def test_blocks_are_told_from_a_height_on() -> None:
    chain = grown(5)
    catchup = catching_up(chain=chain)
    assert catchup.blocks_from(Height(0)).blocks == tuple(chain.committed)
    assert catchup.blocks_from(Height(4)).blocks == tuple(chain.committed[4:])


@pytest.mark.parametrize("first", [6, 7, 2**31, FAR])
def test_beyond_the_last_there_are_none(first: int) -> None:
    assert catching_up(chain=grown(5)).blocks_from(Height(first)).blocks == ()


def test_a_message_holds_so_many_blocks() -> None:
    chain = grown(MAX_BLOCKS_A_MESSAGE + 10)
    blocks = catching_up(chain=chain).blocks_from(Height(3))
    assert blocks.blocks == tuple(chain.committed[3 : 3 + MAX_BLOCKS_A_MESSAGE])
    encode(blocks)


@pytest.mark.parametrize("size", [1, 300_000, (1 << 20) - 1, 1 << 20])
def test_a_message_of_great_blocks_is_one_that_its_receiver_takes(size: int) -> None:
    chain = founded(voters=99)
    chain.committed = [Committed(bytes(size), certificate(chain, bytes(size)))] * 300
    blocks = catching_up(chain=chain).blocks_from(Height(0))
    assert blocks.blocks
    assert len(encode(blocks)) <= MAX_MESSAGE_BYTES


# -- bytes --------------------------------------------------------------------------------------------------


def test_a_snapshot_is_fetched_from_one_holder_at_a_time() -> None:
    catchup = catching_up(1, 2)
    catchup.fetch(ROOT, 4, nodes(2, 1))
    catchup.fetch(ROOT, 4, nodes(1, 2))
    assert fetches(catchup) == [(ROOT, node(2))]


def test_what_is_held_or_is_nothing_is_not_fetched() -> None:
    catchup = catching_up(1)
    catchup.fetch(BASE, 4, nodes(1))
    catchup.fetch(NO_ROOT, 0, nodes(1))
    assert fetches(catchup) == []


def test_who_has_no_link_is_not_asked_for_bytes() -> None:
    catchup = catching_up(1)
    catchup.fetch(ROOT, 4, nodes(2, 99))
    assert fetches(catchup) == []
    catchup.fetch(ROOT, 4, nodes(2, 1))
    assert fetches(catchup) == [(ROOT, node(1))]


def test_who_failed_is_not_asked_again_before_the_next_heartbeat() -> None:
    catchup = catching_up(1, 2)
    for peer in nodes(1, 2):
        catchup.fetch(ROOT, 4, nodes(1, 2))
        catchup.fetch_failed(ROOT, peer)
    catchup.fetch(ROOT, 4, nodes(1, 2))
    assert fetches(catchup) == [(ROOT, node(1)), (ROOT, node(2))]
    catchup.look_around()
    catchup.fetch(ROOT, 4, nodes(1, 2))
    assert fetches(catchup) == [(ROOT, node(1))]


def test_when_the_link_is_lost_another_holder_is_asked() -> None:
    catchup = catching_up(1, 2)
    catchup.fetch(ROOT, 4, nodes(1, 2))
    catchup.people.link_down(node(1))
    catchup.fetch(ROOT, 4, nodes(1, 2))
    assert fetches(catchup) == [(ROOT, node(1)), (ROOT, node(2))]


def test_a_failure_of_somebody_else_ends_no_fetch() -> None:
    catchup = catching_up(1, 2)
    catchup.fetch(ROOT, 4, nodes(1, 2))
    catchup.fetch_failed(ROOT, node(2))
    catchup.fetch_failed(OTHER, node(1))
    catchup.fetch(ROOT, 4, nodes(1, 2))
    assert fetches(catchup) == [(ROOT, node(1))]


def test_two_roots_are_fetched_beside_each_other_and_forgotten_when_they_came() -> None:
    catchup = catching_up(1)
    for root in (ROOT, OTHER):
        catchup.fetch(root, 4, nodes(1))
        catchup.here.held.add(root)
        catchup.held(root)
    assert fetches(catchup) == [(ROOT, node(1)), (OTHER, node(1))]
    assert (catchup.fetching, catchup.failed) == ({}, {})


def test_roots_that_never_come_fill_no_memory() -> None:
    """The roots of proposals of views that are over, whose fetches nobody asks about any more."""
    catchup = catching_up(1)
    for number in range(500):
        root = Root(number.to_bytes(32, "big"))
        catchup.fetch(root, 4, nodes(1))
        catchup.fetch_failed(root, node(1))
        catchup.look_around()
    assert (len(catchup.fetching), len(catchup.failed)) == (0, 0)
