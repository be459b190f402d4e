"""Who wants another view, and what must its chief propose? (R12, R13)"""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from comind.p2p.core.chain import Chain
from comind.p2p.core.errors import PeerMisbehaved
from comind.p2p.core.messages import CanLead, Lock, NewView, ViewChange
from comind.p2p.core.succession import (
    CHANGES_KEPT_PER_VOTER,
    Succession,
    check_change,
    check_new_view,
    highest_lock,
)
from comind.p2p.core.wire import pack
from comind.p2p.core.words import Settings, View
from tests.unit.core.build import (
    FAR,
    UNSIGNED,
    founded,
    lock,
    node,
    nodes,
    roster_block,
    stub_verify,
    view_change,
    vote,
)

CHAIN = founded(voters=4, witnesses=1)
ROSTER = CHAIN.roster
THREE = founded(voters=3, witnesses=1)


def a_block(chain: Chain, number: int = 1) -> bytes:
    return pack(roster_block(chain, [CanLead(node(number), can_lead=False)]))


ONE, OTHER = a_block(CHAIN, 1), a_block(CHAIN, 2)


def wants(number: int, view: int, held: Lock | None = None, **fields: Any) -> ViewChange:
    return view_change(CHAIN, node(number), view, held, **fields)


def hearing(*changes: ViewChange) -> Succession:
    succession = Succession()
    for change in changes:
        succession.add(change)
    return succession


# -- R12: where a quorum is ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "view"),
    [
        ((), 0),
        ((wants(0, 1),), 0),
        ((wants(0, 1), wants(1, 1)), 1),
        ((wants(1, 1), wants(2, 1)), 0),
        ((wants(1, 1), wants(2, 1), wants(3, 1)), 1),
        ((wants(0, 1), wants(1, FAR)), 1),
        ((wants(0, 5), wants(1, 3)), 3),
        ((wants(1, 2), wants(2, 3), wants(3, 4)), 2),
        ((wants(0, 4), wants(2, 3), wants(3, 2)), 3),
        ((wants(0, 1), wants(0, 7), wants(1, 2)), 2),
        ((wants(4, 9), wants(0, 2), wants(1, 2)), 2),
        ((wants(0, FAR), wants(1, FAR)), FAR),
    ],
)
def test_r12_a_quorum_supports_the_highest_view_that_all_of_it_want_or_passed(
    changes: tuple[ViewChange, ...], view: int
) -> None:
    assert hearing(*changes).supported(ROSTER) == view


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9)), max_size=12))
def test_r12_no_view_is_supported_without_a_quorum_and_none_lies_above_it(
    wanted: list[tuple[int, int]],
) -> None:
    succession = hearing(*(wants(number, view, promise=view) for number, view in wanted))
    highest = {node(number): max(view for who, view in wanted if who == number) for number, _ in wanted}
    supported = succession.supported(ROSTER)
    for view in range(1, 11):
        quorum = ROSTER.is_quorum(frozenset(one for one, most in highest.items() if most >= view))
        assert quorum == (view <= supported)


def test_r12_what_lets_one_climb_is_the_highest_of_each_voter_that_is_near() -> None:
    succession = hearing(wants(0, 1), wants(0, 3), wants(1, 2), wants(2, 1))
    assert set(succession.climbed_on(View(3))) == {wants(0, 3), wants(1, 2)}
    assert set(succession.climbed_on(View(1))) == {wants(0, 3), wants(1, 2), wants(2, 1)}


def test_r12_a_viewchange_is_news_once() -> None:
    succession = Succession()
    assert succession.add(wants(0, 1, promise=3))
    assert not succession.add(wants(0, 1, promise=3))
    assert not succession.add(wants(0, 1, promise=2))
    assert succession.add(wants(0, 1, promise=4))
    assert succession.add(wants(0, 2, promise=5))


@given(st.lists(st.integers(1, FAR), max_size=30))
def test_viewchanges_are_kept_in_bounds_and_the_highest_longest(views: list[int]) -> None:
    succession = Succession()
    for promise, view in enumerate(views):
        succession.add(wants(0, view, promise=promise + 1))
    kept = succession.changes.get(node(0), {})
    assert sorted(kept) == sorted(set(views))[-CHANGES_KEPT_PER_VOTER:]


# -- R13: what the chief must propose -----------------------------------------------------------------------


def names(new_view: NewView) -> set[bytes]:
    return {change.node for change in new_view}


def test_r13_without_a_quorum_there_is_no_choice() -> None:
    assert list(hearing(wants(1, 1), wants(2, 1)).choices(View(1), ROSTER)) == []


def test_r13_without_a_lock_the_chief_is_free() -> None:
    [choice] = hearing(wants(0, 1), wants(1, 1), wants(2, 2)).choices(View(1), ROSTER)
    assert choice.lock is None
    assert names(choice.new_view) == set(nodes(0, 1, 2))


def test_r13_the_highest_lock_binds_first_and_a_quorum_without_it_is_the_way_out() -> None:
    low, high = lock(CHAIN, ONE, view=0), lock(CHAIN, OTHER, view=1)
    succession = hearing(wants(0, 2, low), wants(1, 2), wants(2, 2, high), wants(3, 2))
    choices = list(succession.choices(View(2), ROSTER))
    assert [choice.lock for choice in choices] == [high, low]
    assert names(choices[0].new_view) == set(nodes(0, 1, 2, 3))
    assert names(choices[1].new_view) == set(nodes(0, 1, 3))


def test_r13_whoever_is_locked_on_the_unfetchable_block_is_left_out_with_it() -> None:
    older, newer = lock(CHAIN, ONE, view=0), lock(CHAIN, ONE, view=1)
    succession = hearing(wants(0, 2), wants(1, 2), wants(2, 2, older), wants(3, 2, newer))
    choices = list(succession.choices(View(2), ROSTER))
    assert [choice.lock for choice in choices] == [newer, None]
    assert names(choices[1].new_view) == set(nodes(0, 1))


def test_r13_where_every_quorum_holds_the_lock_nothing_else_may_be_proposed() -> None:
    held = lock(CHAIN, ONE)
    choices = list(hearing(wants(0, 1, held), wants(1, 1), wants(2, 1)).choices(View(1), ROSTER))
    assert [choice.lock for choice in choices] == [held]


def test_r13_a_lock_from_this_view_or_a_later_one_is_none_of_this_chiefs_business() -> None:
    later = lock(CHAIN, ONE, view=2)
    succession = hearing(wants(0, 2), wants(0, 3, later, promise=9), wants(1, 2))
    [choice] = succession.choices(View(2), ROSTER)
    assert choice.lock is None
    assert {change.view for change in choice.new_view} == {2}
    assert list(hearing(wants(0, 3, later), wants(1, 2)).choices(View(2), ROSTER)) == []


def test_r13_the_viewchange_of_a_higher_view_counts_for_a_lower_one() -> None:
    [choice] = hearing(wants(0, 7), wants(1, 1)).choices(View(1), ROSTER)
    assert names(choice.new_view) == set(nodes(0, 1))


def test_r13_members_without_a_vote_choose_nothing() -> None:
    assert list(hearing(wants(0, 1), wants(4, 1)).choices(View(1), ROSTER)) == []


@given(st.data())
def test_r13_every_choice_is_a_valid_newview_with_the_lock_that_it_says(data: st.DataObject) -> None:
    succession = Succession()
    for promise in range(data.draw(st.integers(0, 8))):
        number, view = data.draw(st.integers(0, 3)), data.draw(st.integers(1, 4))
        held_at = data.draw(st.none() | st.integers(0, view - 1))
        block = data.draw(st.sampled_from([ONE, OTHER]))
        held = None if held_at is None else lock(CHAIN, block, held_at)
        succession.add(wants(number, view, held, promise=promise + 1))
    for view in range(1, 5):
        locks = []
        for choice in succession.choices(View(view), ROSTER):
            bound = check_new_view(choice.new_view, View(view), CHAIN, stub_verify)
            assert bound == choice.lock
            locks.append(choice.lock)
        assert None not in locks[:-1]
        held_views = [held.view for held in locks if held is not None]
        assert held_views == sorted(held_views, reverse=True)


def test_r13_the_highest_lock_is_that_of_the_highest_view() -> None:
    assert highest_lock(()) is None
    assert highest_lock((wants(0, 1),)) is None
    low, high = lock(CHAIN, ONE, 0), lock(CHAIN, OTHER, 3)
    assert highest_lock((wants(0, 4, low), wants(1, 4, high), wants(2, 4))) == high


# -- what is refused ----------------------------------------------------------------------------------------

Make = Callable[[], ViewChange]
HELD = lock(CHAIN, ONE)


def locked_with(**fields: Any) -> Make:
    return lambda: wants(0, 1, replace(HELD, **fields))


def by(*who: int, kind: str = "prepare", **fields: Any) -> tuple[Any, ...]:
    return tuple(vote(CHAIN, kind, node(number), ONE, **fields) for number in who)


CHANGES: dict[str, tuple[Make, str]] = {
    "of another height": (lambda: wants(0, 1, height=2), "of no voter"),
    "of the farthest height": (lambda: wants(0, 1, height=FAR), "of no voter"),
    "of a member without a vote": (lambda: wants(4, 1), "of no voter"),
    "of a stranger": (lambda: wants(99, 1), "of no voter"),
    "to view 0": (lambda: wants(0, 0), "to view 0"),
    "that is forged": (lambda: replace(wants(0, 1), signature=UNSIGNED), "a forged VIEWCHANGE"),
    "in another's name": (lambda: replace(wants(0, 1), node=node(1)), "a forged VIEWCHANGE"),
    "to another view than was signed": (lambda: replace(wants(0, 1), view=2), "a forged VIEWCHANGE"),
    "without the lock that was signed": (lambda: replace(wants(0, 1, HELD), lock=None), "forged VIEWCHANGE"),
    "with a lock that was not": (lambda: replace(wants(0, 1), lock=HELD), "a forged VIEWCHANGE"),
    "with a lock of its own view": (lambda: wants(0, 1, lock(CHAIN, ONE, view=1)), "a view that it leaves"),
    "with a lock of a later view": (lambda: wants(0, 1, lock(CHAIN, ONE, view=5)), "a view that it leaves"),
    "with a lock of nobody": (locked_with(prepares=()), "votes that are no quorum"),
    "with a lock of too few": (locked_with(prepares=by(1, 2)), "votes that are no quorum"),
    "with a lock of one voter twice": (locked_with(prepares=by(0, 0)), "votes that are no quorum"),
    "with a lock of members without a vote": (locked_with(prepares=by(0, 4)), "votes that are no quorum"),
    "with a lock of COMMITs": (locked_with(prepares=by(0, 1, 2, kind="commit")), "vote for something else"),
    "with a lock of two views": (
        locked_with(prepares=(*by(0, 1), *by(2, view=1))),
        "a vote for something else",
    ),
    "with a lock of another height": (locked_with(prepares=by(0, 1, height=9)), "vote for something else"),
    "with a lock of another block": (locked_with(block=OTHER), "a vote for something else"),
    "with a lock that is forged": (
        locked_with(prepares=tuple(replace(one, signature=UNSIGNED) for one in by(0, 1))),
        "a forged vote",
    ),
    "with a lock on what is no block": (
        lambda: wants(0, 1, lock(CHAIN, b"no block")),
        ".",
    ),
    "with a lock on a block that cannot come next": (
        lambda: wants(0, 1, lock(CHAIN, pack(roster_block(CHAIN, [], root=bytes(32))))),
        ".",
    ),
}


@pytest.mark.parametrize("wrong", CHANGES)
def test_r12_a_viewchange_is_refused(wrong: str) -> None:
    make, because = CHANGES[wrong]
    with pytest.raises(PeerMisbehaved, match=because):
        check_change(make(), CHAIN, stub_verify)


def test_r12_a_viewchange_with_a_lock_from_below_is_taken() -> None:
    check_change(wants(0, 1), CHAIN, stub_verify)
    check_change(wants(3, FAR), CHAIN, stub_verify)
    check_change(wants(0, 1, HELD), CHAIN, stub_verify)
    check_change(wants(0, 7, lock(CHAIN, ONE, view=6)), CHAIN, stub_verify)
    check_change(wants(0, 1, replace(HELD, prepares=by(0, 1))), CHAIN, stub_verify)


def test_r12_a_viewchange_of_another_network_is_forged() -> None:
    foreign = view_change(founded(voters=4, settings=Settings(rounds=7)), node(0), 1)
    with pytest.raises(PeerMisbehaved, match="a forged VIEWCHANGE"):
        check_change(foreign, CHAIN, stub_verify)


NEW_VIEWS: dict[str, tuple[NewView, int, str]] = {
    "with anything in view 0": ((wants(0, 1), wants(1, 1)), 0, "a NEWVIEW for view 0"),
    "with nothing": ((), 1, "without a quorum"),
    "with too few": ((wants(1, 1), wants(2, 1)), 1, "without a quorum"),
    "with one voter twice": ((wants(1, 1), wants(1, 2), wants(1, 3)), 1, "without a quorum"),
    "with a member without a vote": ((wants(0, 1), wants(4, 1)), 1, "of no voter"),
    "with a VIEWCHANGE to a lower view": ((wants(0, 2), wants(1, 1), wants(2, 2)), 2, "another view"),
    "with a lock of its own view": ((wants(0, 3, lock(CHAIN, ONE, 2)), wants(1, 2)), 2, "another view"),
    "with a forgery": ((wants(0, 1), replace(wants(1, 1), signature=UNSIGNED)), 1, "a forged VIEWCHANGE"),
    "with a forgery above a quorum": (
        (wants(0, 1), wants(1, 1), replace(wants(2, 1), signature=UNSIGNED)),
        1,
        "a forged VIEWCHANGE",
    ),
}


@pytest.mark.parametrize("wrong", NEW_VIEWS)
def test_r13_a_newview_is_refused(wrong: str) -> None:
    new_view, view, because = NEW_VIEWS[wrong]
    with pytest.raises(PeerMisbehaved, match=because):
        check_new_view(new_view, View(view), CHAIN, stub_verify)


def test_r13_a_newview_binds_its_chief_to_the_highest_lock() -> None:
    high = lock(CHAIN, OTHER, view=1)
    assert check_new_view((), View(0), CHAIN, stub_verify) is None
    assert check_new_view((wants(0, 1), wants(1, 5)), View(1), CHAIN, stub_verify) is None
    assert check_new_view((wants(0, 2, HELD), wants(1, 2, high)), View(2), CHAIN, stub_verify) == high


def test_r13_three_voters_need_two_whoever_they_are() -> None:
    for pair in (nodes(0, 1), nodes(1, 2), nodes(0, 2)):
        new_view = tuple(view_change(THREE, one, 1) for one in pair)
        assert check_new_view(new_view, View(1), THREE, stub_verify) is None
