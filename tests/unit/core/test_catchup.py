"""What is missing here, and who is asked for it?"""

import pytest
from msgspec.structs import replace

from comind.p2p.core.catchup import ASK_AGAIN_MS, MAX_BLOCKS_A_MESSAGE, MAX_RANGES, Catchup
from comind.p2p.core.chain import Chain
from comind.p2p.core.effects import Fetch, Send
from comind.p2p.core.errors import PeerMisbehaved
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
    meet,
    node,
    nodes,
    people_of,
    roster_block,
    stub_verify,
)

ROOT = Root(b"\x01" * 32)
OTHER = Root(b"\x02" * 32)


def catching_up(*linked: int, chain: Chain | None = None) -> Catchup:
    people = people_of(ground(chain or founded(voters=3)), *linked)
    return Catchup(people.here, people)


def asked(catchup: Catchup) -> list[tuple[NodeId, int]]:
    """Return who was asked for blocks since the last time, and from which height on."""
    found: list[tuple[NodeId, int]] = []
    for action in catchup.here.actions:
        match action:
            case Send(to=(peer,), message=AskBlocks(first=first)):
                found.append((peer, first))
    catchup.here.actions.clear()
    return found


def fetches(catchup: Catchup) -> list[tuple[Root, tuple[NodeId, ...]]]:
    found = [(action.root, action.holders) for action in catchup.here.actions if isinstance(action, Fetch)]
    catchup.here.actions.clear()
    return found


def tell(catchup: Catchup, height: int, *numbers: int) -> None:
    """These have so many blocks: theirs is this height."""
    for number in numbers:
        catchup.people.beat(node(number), heartbeat(height=height + 1))


def answer(catchup: Catchup, number: int, chain: Chain, first: int, most: int = MAX_BLOCKS_A_MESSAGE) -> bool:
    return catchup.answered(node(number), tuple(chain.committed[first : first + most]))


def append_all(catchup: Catchup) -> list[NodeId]:
    """Append what is here, and return who gave each block."""
    givers = []
    while (came := catchup.take()) is not None:
        catchup.here.chain.append(came[1], stub_verify)
        givers.append(came[0])
    return givers


# -- blocks -------------------------------------------------------------------------------------------------


def test_a_height_is_asked_of_one_member_at_a_time() -> None:
    catchup = catching_up(1, 2)
    catchup.ask(node(1))
    catchup.ask(node(1))
    catchup.ask(node(2))
    assert asked(catchup) == [(node(1), 1)]


@pytest.mark.parametrize("what", ["it answered", "its link went down", "a second passed"])
def test_another_is_asked_when(what: str) -> None:
    catchup = catching_up(1, 2)
    catchup.ask(node(1))
    match what:
        case "it answered":
            catchup.answered(node(1), ())
        case "its link went down":
            catchup.people.link_down(node(1))
        case "a second passed":
            catchup.here.now_ms += ASK_AGAIN_MS
    catchup.ask(node(2))
    assert asked(catchup) == [(node(1), 1), (node(2), 1)]


def test_what_somebody_else_answers_is_no_answer() -> None:
    catchup = catching_up(1, 2)
    catchup.ask(node(1))
    assert not answer(catchup, 2, grown(1), 1)
    catchup.ask(node(2))
    assert asked(catchup) == [(node(1), 1)]


def test_several_are_asked_for_ranges_of_their_own() -> None:
    catchup = catching_up(1, 2, 3, chain=founded(voters=1))
    tell(catchup, 700, 1, 2, 3)
    catchup.look_around()
    catchup.look_around()
    assert asked(catchup) == [(node(3), 1), (node(2), 257), (node(1), 513)]


def test_nobody_is_asked_for_what_it_has_not_told_of() -> None:
    catchup = catching_up(1, 2, 3)
    tell(catchup, 300, 1)
    tell(catchup, 200, 2, 3)
    catchup.ask(node(2))
    assert asked(catchup) == [(node(2), 1), (node(1), 257)]


def test_blocks_wait_for_those_before_them_and_are_appended_in_order() -> None:
    chain = grown(600)
    catchup = catching_up(1, 2, 3, chain=founded(voters=1))
    tell(catchup, 600, 1, 2, 3)
    catchup.look_around()
    assert answer(catchup, 1, chain, 513)
    assert answer(catchup, 2, chain, 257)
    assert append_all(catchup) == []
    assert not catchup.has_next()
    assert answer(catchup, 3, chain, 1)
    assert append_all(catchup) == [node(3)] * 256 + [node(2)] * 256 + [node(1)] * 88
    assert catchup.here.chain.head == chain.head
    assert catchup.ranges == []


def test_what_an_answer_leaves_of_its_range_is_asked_again() -> None:
    """A message of great blocks holds fewer than were asked for."""
    chain = grown(300)
    catchup = catching_up(1, 2, chain=founded(voters=1))
    tell(catchup, 300, 1, 2)
    catchup.look_around()
    assert asked(catchup) == [(node(2), 1), (node(1), 257)]
    answer(catchup, 2, chain, 1, most=100)
    answer(catchup, 1, chain, 257)
    append_all(catchup)
    catchup.go_on()
    assert asked(catchup) == [(node(2), 101)]
    answer(catchup, 2, chain, 101)
    append_all(catchup)
    assert catchup.here.chain.head == chain.head


def test_so_many_messages_wait_at_most() -> None:
    chain = grown(1)
    catchup = catching_up(*range(1, 30), chain=founded(voters=1))
    tell(catchup, FAR - 1, *range(1, 30))
    for _ in range(20):
        for number, first in list(catchup.asked.items()):
            if first > 1:
                far = replace(chain.committed[1].certificate, height=first)
                catchup.answered(number, (Committed(chain.committed[1].block, far),))
        catchup.go_on()
    assert len(catchup.ranges) <= MAX_RANGES + 1


def test_who_does_not_answer_is_replaced_and_its_late_answer_is_one_all_the_same() -> None:
    chain = grown(10)
    catchup = catching_up(1, 2, chain=founded(voters=1))
    tell(catchup, 10, 1, 2)
    catchup.look_around()
    assert asked(catchup) == [(node(2), 1)]
    catchup.here.now_ms += ASK_AGAIN_MS
    catchup.look_around()
    assert asked(catchup) == [(node(1), 1)]
    assert answer(catchup, 2, chain, 1)
    assert append_all(catchup) == [node(2)] * 10
    assert not answer(catchup, 1, chain, 1)


def test_blocks_that_do_not_follow_each_other_are_an_error_of_who_sent_them() -> None:
    chain = grown(4)
    catchup = catching_up(1, chain=founded(voters=1))
    catchup.ask(node(1))
    with pytest.raises(PeerMisbehaved, match="do not follow"):
        catchup.answered(node(1), (chain.committed[1], chain.committed[3]))


def test_what_was_learned_otherwise_meanwhile_is_passed_over() -> None:
    chain = grown(4)
    catchup = catching_up(1, chain=founded(voters=1))
    catchup.ask(node(1))
    answer(catchup, 1, chain, 1)
    for committed in chain.committed[1:3]:
        catchup.here.chain.append(committed, stub_verify)
    assert append_all(catchup) == [node(1)] * 2
    assert catchup.here.chain.head == chain.head


def test_whoever_is_furthest_ahead_is_asked_at_a_heartbeat() -> None:
    catchup = catching_up(1, 2)
    catchup.look_around()
    assert asked(catchup) == []
    tell(catchup, 3, 1)
    tell(catchup, 6, 2)
    catchup.look_around()
    assert asked(catchup) == [(node(2), 1)]


@pytest.mark.parametrize("says", [7, FAR])
def test_who_is_ahead_and_does_not_answer_is_not_the_only_one_asked(says: int) -> None:
    """It may hang, or lie about its height: whoever else is ahead must get its turn."""
    catchup = catching_up(1, 2)
    catchup.people.beat(node(1), heartbeat(height=7))
    catchup.people.beat(node(2), heartbeat(height=says))
    for _ in range(20):
        catchup.here.now_ms += ASK_AGAIN_MS
        catchup.look_around()
    assert {peer for peer, first in asked(catchup) if first == 1} == set(nodes(1, 2))


def test_who_is_silent_and_speaks_of_far_heights_is_not_asked_before_others() -> None:
    catchup = catching_up(1, 2)
    tell(catchup, 6, 1, 2)
    catchup.ask(node(2))
    catchup.here.now_ms += ASK_AGAIN_MS
    catchup.ask(node(2))
    assert asked(catchup) == [(node(2), 1), (node(1), 1)]


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


def test_a_snapshot_is_fetched_from_all_that_hold_it() -> None:
    catchup = catching_up(1, 2)
    catchup.fetch(ROOT, 4, nodes(2, 1))
    catchup.fetch(ROOT, 4, nodes(1, 2))
    assert fetches(catchup) == [(ROOT, nodes(2, 1))]


def test_a_holder_that_appears_is_named_too() -> None:
    catchup = catching_up(1, 2)
    catchup.fetch(ROOT, 4, nodes(1))
    catchup.fetch(ROOT, 4, nodes(1, 2))
    assert fetches(catchup) == [(ROOT, nodes(1)), (ROOT, nodes(1, 2))]


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
    assert fetches(catchup) == [(ROOT, nodes(1))]


def test_who_failed_is_not_named_again_before_the_next_heartbeat() -> None:
    catchup = catching_up(1, 2)
    catchup.fetch(ROOT, 4, nodes(1, 2))
    for peer in nodes(1, 2):
        catchup.fetch_failed(ROOT, peer)
        catchup.fetch(ROOT, 4, nodes(1, 2))
    assert fetches(catchup) == [(ROOT, nodes(1, 2))]
    catchup.look_around()
    catchup.fetch(ROOT, 4, nodes(1, 2))
    assert fetches(catchup) == [(ROOT, nodes(1, 2))]


def test_a_holder_whose_link_is_lost_and_comes_back_is_named_again() -> None:
    catchup = catching_up(1, 2)
    catchup.fetch(ROOT, 4, nodes(1, 2))
    catchup.people.link_down(node(1))
    catchup.fetch(ROOT, 4, nodes(1, 2))
    meet(catchup.people, 1)
    catchup.fetch(ROOT, 4, nodes(1, 2))
    assert fetches(catchup) == [(ROOT, nodes(1, 2)), (ROOT, nodes(1, 2))]


def test_two_roots_are_fetched_beside_each_other_and_forgotten_when_they_came() -> None:
    catchup = catching_up(1)
    for root in (ROOT, OTHER):
        catchup.fetch(root, 4, nodes(1))
    catchup.let_go()
    for root in (ROOT, OTHER):
        catchup.here.held.add(root)
        catchup.held(root)
    catchup.let_go()
    assert fetches(catchup) == [(ROOT, nodes(1)), (OTHER, nodes(1))]
    assert (catchup.fetching, catchup.failed) == ({}, {})


def test_what_is_wanted_no_more_is_stopped() -> None:
    catchup = catching_up(1)
    catchup.fetch(ROOT, 4, nodes(1))
    catchup.let_go()
    catchup.fetch(OTHER, 4, nodes(1))
    catchup.let_go()
    assert fetches(catchup) == [(ROOT, nodes(1)), (OTHER, nodes(1)), (ROOT, ())]


def test_roots_that_never_come_fill_no_memory() -> None:
    """The roots of proposals of views that are over, whose fetches nobody asks about any more."""
    catchup = catching_up(1)
    for number in range(500):
        root = Root(number.to_bytes(32, "big"))
        catchup.fetch(root, 4, nodes(1))
        catchup.let_go()
        catchup.fetch_failed(root, node(1))
        catchup.look_around()
    assert (len(catchup.fetching), len(catchup.failed)) == (1, 0)
