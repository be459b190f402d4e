"""Whom do we know, whom do we dial, who is heard from, and what do they wish? (R2, R3, §4)"""

from typing import Any

import pytest
from msgspec.structs import replace

from comind.p2p.core.discovery import JOIN_RIPENS_MS, MAX_STRANGERS, Discovery
from comind.p2p.core.effects import Dial, Send, Undial
from comind.p2p.core.messages import Addressbook, Admit, Join, Leave, Remove
from comind.p2p.core.roster import Roster
from comind.p2p.core.signing import sign_join, sign_leave
from comind.p2p.core.wire import decode, encode
from comind.p2p.core.words import Incarnation
from tests.unit.core.build import (
    UNSIGNED,
    StubSigner,
    address,
    append,
    founded,
    greeting,
    ground,
    heartbeat,
    incarnation,
    me,
    meet,
    name,
    node,
    nodes,
    people_of,
    roster_block,
)
from tests.unit.core.test_roster import entry


def people(*linked: int, **beat: Any) -> Discovery:
    """Return who node(0) knows in a network of three voters and a witness."""
    return people_of(ground(founded(voters=3, witnesses=1)), *linked, **beat)


def join(known: Discovery, number: int, boots: int = 0, **fields: Any) -> Join:
    plain = Join(node(number), name(number), address(number % 250), incarnation(boots), False, UNSIGNED)
    return sign_join(StubSigner(node(number)), known.here.network, replace(plain, **fields))


def leave(known: Discovery, number: int, boots: int = 0) -> Leave:
    plain = Leave(node(number), incarnation(boots), UNSIGNED)
    return sign_leave(StubSigner(node(number)), known.here.network, plain)


def sent(known: Discovery) -> list[Send]:
    return [action for action in known.here.actions if isinstance(action, Send)]


# -- who is heard from --------------------------------------------------------------------------------------


def test_one_always_hears_oneself_and_nobody_without_a_link() -> None:
    known = people(1)
    assert [known.is_heard(one) for one in nodes(0, 1, 2, 99)] == [True, True, False, False]


@pytest.mark.parametrize(("later_ms", "heard"), [(0, True), (2_999, True), (3_000, True), (3_001, False)])
def test_a_member_is_silent_when_nothing_came_for_three_seconds(later_ms: int, heard: bool) -> None:
    known = people(1)
    known.here.now_ms += later_ms
    assert known.is_heard(node(1)) == heard
    known.heard(node(1))
    assert known.is_heard(node(1))


def test_who_is_away_is_not_heard_until_it_is_started_again() -> None:
    known = people(1)
    known.beat(node(1), heartbeat(away=True))
    assert not known.is_heard(node(1))
    assert known.why_silent(node(1)) == "away"
    known.link_down(node(1))
    assert known.why_silent(node(1)) == "away"
    known.link_up(node(1), incarnation(1), dialled=False)
    assert known.is_heard(node(1))


def test_who_is_away_stays_so_when_its_link_moves_to_another_connection_as_it_ends() -> None:
    """Two nodes that dialled each other have two connections for a moment, and they end one by one."""
    known = people(1)
    known.beat(node(1), heartbeat(away=True))
    known.link_up(node(1), known.links[node(1)].incarnation, dialled=True)
    known.beat(node(1), heartbeat())
    assert not known.is_heard(node(1))
    known.link_down(node(1))
    assert known.why_silent(node(1)) == "away"


def test_a_new_link_replaces_the_one_before_with_all_that_was_said_on_it() -> None:
    known = people(1)
    known.link_up(node(1), incarnation(7), dialled=False)
    link = known.links[node(1)]
    assert (link.incarnation, link.greeting, link.heartbeat) == (incarnation(7), None, None)
    assert node(1) not in known.greeted()


def test_present_are_the_members_that_are_heard_in_roster_order() -> None:
    known = people(3, 1, 99)
    assert known.present() == nodes(0, 1, 3)
    known.here.now_ms += 3_001
    assert known.present() == nodes(0)


def test_training_are_the_present_that_say_so() -> None:
    known = people(1, 2)
    known.beat(node(2), heartbeat(training=False))
    assert known.training() == nodes(1)
    known.trains = True
    assert known.training() == nodes(0, 1)
    known.stopping = True
    assert known.training() == nodes(1)


def test_why_a_member_is_silent_is_said_in_words() -> None:
    known = people(1, 2)
    known.here.now_ms += 4_500
    known.link_down(node(2))
    known.here.now_ms += 700
    assert [known.why_silent(one) for one in nodes(1, 2, 3)] == [
        "silent for 5.2 s",
        "lost 0.7 s ago",
        "no link to it",
    ]


def test_a_lost_link_that_was_none_loses_nothing() -> None:
    known = people()
    known.link_down(node(1))
    assert known.lost_ms == {}


def test_the_height_of_a_peer_is_the_highest_that_it_told() -> None:
    known = people(1)
    assert known.height_of(node(1)) == 0
    known.links[node(1)].greeting = greeting(1, height=9)
    assert known.height_of(node(1)) == 8
    known.beat(node(1), heartbeat(height=12))
    assert known.height_of(node(1)) == 11
    assert known.height_of(node(2)) == -1
    known.link_up(node(2), incarnation(0), dialled=True)
    assert known.height_of(node(2)) == -1


def test_r11_what_a_chief_says_of_itself_is_timed_when_it_changes_alone() -> None:
    known = people(1)
    changed = []
    for later_ms, beat in enumerate(
        [heartbeat(), heartbeat(ready=True), heartbeat(view=1), heartbeat(view=1), heartbeat(abstains="no")]
    ):
        known.here.now_ms = 2_000 + later_ms
        known.beat(node(1), beat)
        changed.append(known.links[node(1)].changed_ms)
    assert changed == [1_000, 1_000, 2_002, 2_002, 2_004]


# -- R3: who can be reached ---------------------------------------------------------------------------------


def test_r3_whoever_dials_successfully_has_reached_it_until_a_dial_fails() -> None:
    known = people()
    known.link_up(node(1), incarnation(0), dialled=True)
    known.link_up(node(2), incarnation(0), dialled=False)
    assert [known.somebody_reached(one) for one in nodes(1, 2)] == [True, False]
    known.dial_failed(node(1))
    assert not known.somebody_reached(node(1))
    known.reach(node(2))
    assert known.somebody_reached(node(2))


def test_r3_what_others_reached_counts_while_they_are_heard_from() -> None:
    known = people(1, reached=nodes(2))
    assert known.somebody_reached(node(2))
    known.here.now_ms += 3_001
    assert not known.somebody_reached(node(2))


def test_r3_told_is_whom_one_reached_and_the_chain_does_not_know_as_able_to_lead() -> None:
    known = people(1, 2, 99)
    assert known.worth_telling() == nodes(99)
    for number in range(100, 300):
        known.reach(node(number))
    assert len(known.worth_telling()) == MAX_STRANGERS


# -- addresses ----------------------------------------------------------------------------------------------


def dials(known: Discovery) -> dict[bytes, tuple[str, ...] | None]:
    known.here.actions.clear()
    known.dial_all()
    done = [action for action in known.here.actions if isinstance(action, Dial | Undial)]
    assert len(done) == len(known.here.actions)
    return {one.peer: one.addresses if isinstance(one, Dial) else None for one in done}


def test_every_other_member_is_dialled_once() -> None:
    known = people()
    assert dials(known) == {node(number): address(number) for number in (1, 2, 3)}
    assert dials(known) == {}


def test_a_joiner_that_was_told_of_is_dialled_and_who_left_is_not() -> None:
    known = people()
    dials(known)
    known.learn(node(9), address(9))
    assert dials(known) == {node(9): address(9)}
    append(known.here.chain, roster_block(known.here.chain, [Remove(node(3), "it left")]))
    known.forget_settled()
    assert dials(known) == {node(3): None}


def test_a_member_that_moved_is_dialled_where_the_chain_says() -> None:
    known = people()
    dials(known)
    known.learn(node(9), address(9))
    dials(known)
    chain = known.here.chain
    append(chain, roster_block(chain, [Admit(node(9), "nine", address(19), can_lead=False)]))
    known.forget_settled()
    assert dials(known) == {node(9): address(19)}


def test_who_has_no_address_or_is_oneself_is_not_dialled() -> None:
    known = people()
    dials(known)
    known.learn(node(9), ())
    known.learn(node(0), address(44))
    assert dials(known) == {}


def test_the_book_lists_members_and_linked_strangers_alone() -> None:
    known = people(9)
    known.learn(node(9), address(9))
    known.learn(node(8), address(8))
    told = dict(known.addressbook().entries)
    assert told == {node(number): address(number) for number in (0, 1, 2, 3, 9)}


def test_the_book_of_a_great_network_can_be_read_by_its_receivers() -> None:
    known = people()
    known.here.chain.roster = Roster(tuple(entry(number, voter=number < 3) for number in range(1_000)))
    for number in range(2_000, 2_000 + MAX_STRANGERS):
        meet(known, number)
        known.learn(node(number), address(1))
    book = known.addressbook()
    assert isinstance(decode(encode(book)), Addressbook)


# -- wishes to join and leave -------------------------------------------------------------------------------


def test_r2_a_wish_to_join_is_kept_and_passed_on_once() -> None:
    known = people(1, 2)
    wish = join(known, 9)
    known.on_join(wish)
    assert known.joins == {node(9): (wish, 1_000)}
    [send] = sent(known)
    assert (send.to, send.message) == (nodes(1, 2), wish)
    known.on_join(wish)
    assert len(sent(known)) == 1
    assert known.here.name(node(9)) == "node-9"
    assert known.known == {node(9): address(9)}


def test_r2_a_joiner_that_restarts_wishes_anew() -> None:
    known = people(1)
    for boots, news in ((1, True), (0, False), (1, False), (2, True)):
        known.here.actions.clear()
        known.on_join(join(known, 9, boots))
        assert bool(sent(known)) == news


@pytest.mark.parametrize("spoilt", ["forged", "another's", "a member's", "one's own"])
def test_r2_a_wish_to_join_that_is_none_is_not_passed_on(spoilt: str) -> None:
    known = people(1)
    wish = {
        "forged": replace(join(known, 9), signature=UNSIGNED),
        "another's": replace(join(known, 9), node=node(8)),
        "a member's": join(known, 2),
        "one's own": join(known, 0),
    }[spoilt]
    known.on_join(wish)
    assert (known.joins, sent(known)) == ({}, [])


def test_r2_a_member_that_asks_to_leave_is_heard_once() -> None:
    known = people(1, 2, 3)
    wish = leave(known, 3)
    known.on_leave(wish)
    known.on_leave(wish)
    assert known.leaves == {node(3): wish}
    [send] = sent(known)
    assert (send.to, send.message) == (nodes(1, 2, 3), wish)


def test_r2_nobody_leaves_in_anothers_name_or_without_being_a_member() -> None:
    known = people(1, 3, 9, 99)
    known.on_leave(replace(leave(known, 3), signature=UNSIGNED))
    known.on_leave(replace(leave(known, 9), node=node(3)))
    known.on_leave(leave(known, 99))
    assert (known.leaves, sent(known)) == ({}, [])


def test_r2_the_farewell_of_an_earlier_incarnation_takes_nobody_off_the_roster_again() -> None:
    """Who left comes back by joining; its old Leave, late or said again by somebody, is over."""
    known = people(1)
    known.link_up(node(3), incarnation(5), dialled=True)
    known.links[node(3)].greeting = greeting(3)
    known.on_leave(leave(known, 3, boots=4))
    assert known.leaves == {}


def test_r2_who_asked_to_leave_and_started_anew_stays() -> None:
    known = people(1, 3)
    known.on_leave(leave(known, 3))
    known.link_up(node(3), incarnation(1), dialled=True)
    assert known.leaves == {}


def test_r2_a_block_settles_wishes() -> None:
    known = people(1, 3)
    known.on_join(join(known, 9))
    known.on_leave(leave(known, 3))
    chain = known.here.chain
    append(
        chain, roster_block(chain, [Admit(node(9), "nine", address(9), can_lead=True), Remove(node(3), "")])
    )
    known.forget_settled()
    assert (known.joins, known.leaves, known.known) == ({}, {}, {})


RIPE: list[tuple[dict[str, Any], str, int, bool]] = [
    ({}, "", 0, False),
    ({}, "", JOIN_RIPENS_MS - 1, False),
    ({}, "", JOIN_RIPENS_MS, True),
    ({}, "reached", 0, True),
    ({}, "others reached", 0, True),
    ({}, "unreachable", 0, True),
    ({"no_lead": True}, "", 0, True),
    ({"addresses": ()}, "", 0, True),
    ({"no_lead": True}, "not linked", 0, False),
    ({"no_lead": True}, "away", 0, False),
    ({"no_lead": True}, "started anew", 0, False),
]


@pytest.mark.parametrize(("fields", "known_of_it", "later_ms", "ripe"), RIPE)
def test_r3_a_wish_is_ripe_when_it_is_known_whether_the_joiner_can_be_reached(
    fields: dict[str, Any], known_of_it: str, later_ms: int, ripe: bool
) -> None:
    known = people(1)
    known.on_join(join(known, 9, **fields))
    if known_of_it != "not linked":
        known.link_up(node(9), incarnation(known_of_it == "started anew"), dialled=known_of_it == "reached")
    match known_of_it:
        case "others reached":
            known.beat(node(1), heartbeat(reached=nodes(9)))
        case "unreachable":
            known.dial_failed(node(9))
        case "away":
            known.beat(node(9), heartbeat(away=True))
    known.here.now_ms += later_ms
    assert [wish.node for wish in known.ripe_joins()] == ([node(9)] if ripe else [])


def test_ripe_wishes_are_told_in_one_order_everywhere() -> None:
    known = people(1, 9, 10, 11, 12)
    for number in (12, 9, 11, 10):
        known.on_join(join(known, number, no_lead=True))
    assert [wish.node for wish in known.ripe_joins()] == list(nodes(9, 10, 11, 12))


def test_one_asks_to_join_and_leave_in_ones_own_name() -> None:
    known = people(1)
    known.ask_to_join()
    known.ask_to_leave()
    asked, left = sent(known)
    assert isinstance(asked.message, Join)
    assert (asked.message.node, asked.message.incarnation) == (node(0), me().incarnation)
    other = people_of(ground(founded(voters=3, witnesses=1), 1), 0, 2)
    assert isinstance(left.message, Leave)
    other.on_leave(left.message)
    assert set(other.leaves) == {node(0)}


# -- memory -------------------------------------------------------------------------------------------------


def test_whoever_holds_the_network_key_and_is_many_fills_no_memory() -> None:
    known = people(1)
    for number in range(100, 1_100):
        meet(known, number)
        known.here.names[node(number)] = name(number)
        known.learn(node(number), address(1))
        known.on_join(join(known, number))
        known.beat(node(number), heartbeat(away=True))
        known.dial_failed(node(number))
        known.skipped_ms[node(number)] = 1
        known.link_down(node(number))
        known.here.actions.clear()
    sizes = {
        "links": len(known.links),
        "lost": len(known.lost_ms),
        "reached": len(known.reached),
        "unreachable": len(known.unreachable),
        "away": len(known.away),
        "known": len(known.known),
        "joins": len(known.joins),
        "skipped": len(known.skipped_ms),
        "names": len(known.here.names),
    }
    assert {what: size for what, size in sizes.items() if size > 2 * MAX_STRANGERS + 8} == {}


def test_r2_wishes_of_joiners_that_vanished_keep_nobody_out() -> None:
    """Found: a wish is ripe while its node is linked, and kept for ever when it is not: 64 fill the list."""
    known = people(1)
    for number in range(100, 100 + MAX_STRANGERS):
        known.on_join(join(known, number))
    known.here.now_ms += 3_600_000
    known.heard(node(1))
    meet(known, 9)
    known.on_join(join(known, 9))
    assert node(9) in known.joins


def test_a_stranger_that_is_linked_is_remembered_though_others_told_of_many() -> None:
    """Peers exchange addresses: a full list of what one of them told must not hide who is really there."""
    known = people(1)
    for number in range(100, 100 + 2 * MAX_STRANGERS):
        known.learn(node(number), address(1))
    meet(known, 9)
    known.learn(node(9), address(9))
    assert known.known.get(node(9)) == address(9)


@pytest.mark.parametrize("boots", [0, 2**31])
def test_the_incarnation_of_a_link_is_what_the_greeting_proved(boots: int) -> None:
    known = people()
    known.link_up(node(1), Incarnation(incarnation(boots)), dialled=True)
    assert known.links[node(1)].incarnation == incarnation(boots)
