"""Is a promise on disk before it is said, and does nothing in it go back? (R9, R12, R14, S6-S8)"""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import convert, to_builtins

from comind.p2p.core.chain import Chain
from comind.p2p.core.effects import Promise, Promised, Seen, Send
from comind.p2p.core.here import Here
from comind.p2p.core.messages import CanLead, Lock, Message, ViewChange, ViewChanged, Vote, Voted
from comind.p2p.core.pledges import Pledges
from comind.p2p.core.signing import change_statement, vote_statement
from comind.p2p.core.wire import block_hash, pack
from comind.p2p.core.words import BlockHash, Height, Incarnation, View
from tests.unit.core.build import (
    FAR,
    append,
    founded,
    ground,
    incarnation,
    lock,
    node,
    nodes,
    roster_block,
    stub_verify,
)

CHAIN = founded(voters=3, witnesses=1)
ONE = pack(roster_block(CHAIN, [CanLead(node(1), can_lead=False)]))
OTHER = pack(roster_block(CHAIN, [CanLead(node(2), can_lead=False)]))
HEIGHT = Height(1)
ALL = CHAIN.roster.nodes()
HELD = lock(CHAIN, ONE)


def pledging(record: Promised | None = None, chain: Chain = CHAIN) -> tuple[Pledges, Here]:
    here = ground(chain)
    return Pledges(here, record), here


def promised(here: Here) -> list[Promise]:
    """Return what was done; everything that a member says here is said after a record."""
    assert all(isinstance(action, Promise) for action in here.actions)
    return [action for action in here.actions if isinstance(action, Promise)]


def said(promise: Promise) -> Message:
    [send] = promise.then
    assert isinstance(send, Send)
    return send.message


def prepare(pledges: Pledges, view: int = 0, wire: bytes = ONE) -> Vote:
    return pledges.prepare(HEIGHT, View(view), block_hash(wire), wire, ALL)


def commit(pledges: Pledges, view: int = 0, held: Lock = HELD) -> Vote:
    return pledges.commit(HEIGHT, View(view), held, block_hash(held.block), ALL)


def change(pledges: Pledges, view: int) -> ViewChange:
    return pledges.change(HEIGHT, View(view), ALL)


# -- S6: on disk before it is said --------------------------------------------------------------------------


def prepare_and_commit(pledges: Pledges) -> Vote:
    prepare(pledges)
    pledges._here.actions.clear()
    return commit(pledges)


@pytest.mark.parametrize("make", [prepare, prepare_and_commit, lambda pledges: change(pledges, 1)])
def test_s6_a_promise_is_said_only_after_its_record(make: Callable[[Pledges], Vote | ViewChange]) -> None:
    pledges, here = pledging()
    made = make(pledges)
    [promise] = promised(here)
    record = promise.record
    assert made in (record.prepared, record.committed, record.change)
    assert record.count == made.promise == pledges.count > 0
    message = said(promise)
    assert isinstance(message, Voted | ViewChanged)
    assert made == (message.vote if isinstance(message, Voted) else message.change)


def test_s6_a_member_alone_still_writes_and_says_nothing() -> None:
    pledges, here = pledging()
    pledges.prepare(HEIGHT, View(0), block_hash(ONE), ONE, nodes(0, 0))
    [promise] = promised(here)
    assert promise.then == ()
    assert promise.record.prepared is not None


def test_a_promise_goes_to_each_once_and_never_to_oneself() -> None:
    pledges, here = pledging()
    pledges.prepare(HEIGHT, View(0), block_hash(ONE), ONE, nodes(2, 0, 1, 2))
    [promise] = promised(here)
    [send] = promise.then
    assert isinstance(send, Send)
    assert send.to == nodes(2, 1)


def test_what_is_promised_is_signed_by_this_incarnation() -> None:
    pledges, _ = pledging()
    for vote in (prepare(pledges), commit(pledges)):
        assert (vote.node, vote.incarnation, vote.height) == (node(0), incarnation(0), 1)
        assert stub_verify(node(0), vote_statement(CHAIN.network, vote), vote.signature)
    changed = change(pledges, 1)
    assert stub_verify(node(0), change_statement(CHAIN.network, changed), changed.signature)


def test_the_record_is_whole_and_outlives_its_disk() -> None:
    pledges, here = pledging()
    pledges.saw(node(1), Incarnation(4), 2)
    prepare(pledges)
    commit(pledges)
    change(pledges, 1)
    record = promised(here)[-1].record
    assert (record.height, record.view, record.count) == (1, 1, 3)
    assert record.prepared is not None
    assert record.committed is not None
    assert record.block == ONE
    assert record.lock == HELD
    assert record.change is not None
    assert record.change.lock == HELD
    assert record.seen == (Seen(node(1), 4, 2),)
    stored = to_builtins(record, builtin_types=(bytes,))
    assert convert(stored, Promised, builtin_types=(bytes,)) == record
    again, _ = pledging(record)
    assert again.at(HEIGHT) == record
    assert (again.count, again.seen) == (3, {node(1): (4, 2)})


# -- S7: never two votes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", [0, 3])
def test_s7_nobody_votes_twice_in_a_view(view: int) -> None:
    pledges, _ = pledging()
    prepare(pledges, view)
    with pytest.raises(AssertionError, match="two votes in one view"):
        prepare(pledges, view, OTHER)


def test_s7_also_not_after_a_restart() -> None:
    pledges, here = pledging()
    prepare(pledges)
    again, _ = pledging(promised(here)[-1].record)
    with pytest.raises(AssertionError, match="two votes in one view"):
        prepare(again, 0, OTHER)


def test_r14_the_same_vote_may_be_said_anew_with_a_higher_count() -> None:
    pledges, _ = pledging()
    assert (prepare(pledges).promise, prepare(pledges).promise) == (1, 2)


def test_s7_a_commit_is_for_what_was_prepared_in_that_view() -> None:
    """R9: a quorum locks a voter that has PREPAREd the block itself; then two COMMITs of a view cannot be."""
    pledges, _ = pledging()
    prepare(pledges, 0, ONE)
    with pytest.raises(AssertionError):
        commit(pledges, 0, lock(CHAIN, OTHER))


def test_s7_nobody_commits_two_blocks_in_a_view() -> None:
    pledges, _ = pledging()
    prepare(pledges)
    commit(pledges)
    with pytest.raises(AssertionError):
        commit(pledges, 0, lock(CHAIN, OTHER))


# -- S8: nothing goes back ----------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [prepare, commit, change])
def test_s8_nothing_is_signed_below_a_promised_view(make: Callable[[Pledges, int], object]) -> None:
    pledges, _ = pledging()
    change(pledges, 4)
    with pytest.raises(AssertionError, match="below a promised"):
        make(pledges, 3)


@pytest.mark.parametrize("make", [prepare, commit])
def test_s8_what_was_voted_in_a_view_binds_to_it(make: Callable[[Pledges, int], object]) -> None:
    pledges, _ = pledging()
    prepare(pledges, 2)
    with pytest.raises(AssertionError, match="below a promised"):
        make(pledges, 1)


def test_s8_a_lock_never_goes_back() -> None:
    pledges, _ = pledging()
    prepare(pledges, 2)
    commit(pledges, 2, lock(CHAIN, ONE, view=2))
    with pytest.raises(AssertionError, match="a lock that goes back"):
        commit(pledges, 2, lock(CHAIN, ONE, view=1))


def test_r12_a_viewchange_carries_the_lock_and_keeps_what_was_prepared() -> None:
    pledges, here = pledging()
    prepare(pledges)
    commit(pledges)
    assert change(pledges, 1).lock == HELD
    prepare(pledges, 1, OTHER)
    assert change(pledges, 2).lock == HELD
    bound = promised(here)[-1].record
    assert (bound.lock, bound.block) == (HELD, OTHER)


def test_s8_the_count_goes_on_where_the_promises_of_a_height_end() -> None:
    chain = founded(voters=3)
    pledges, _ = pledging(chain=chain)
    prepare(pledges)
    change(pledges, 1)
    append(chain, roster_block(chain, [CanLead(node(1), can_lead=False)]))
    bound = pledges.at(chain.next)
    assert bound == Promised(height=2, view=0, count=2)
    assert pledges.change(chain.next, View(1), ALL).promise == 3


STEPS = st.lists(st.tuples(st.sampled_from(["prepare", "commit", "change"]), st.integers(0, 3)), max_size=12)


@given(STEPS)
def test_s8_view_lock_and_count_only_grow_in_any_order_of_promises(steps: list[tuple[str, int]]) -> None:
    pledges, here = pledging()
    for kind, view in steps:
        if view < pledges.at(HEIGHT).view:
            continue
        match kind:
            case "prepare":
                prepare(pledges, view)
            case "commit":
                prepare(pledges, view)
                commit(pledges, view, lock(CHAIN, ONE, view))
            case "change":
                change(pledges, view)
    records = [promise.record for promise in promised(here)]
    assert [record.count for record in records] == list(range(1, len(records) + 1))
    assert [record.view for record in records] == sorted(record.view for record in records)
    locks = [record.lock.view for record in records if record.lock]
    assert locks == sorted(locks)


# -- R14: what others saw -----------------------------------------------------------------------------------


def counted(times: int) -> Pledges:
    """Return the pledges of a member that has made so many promises."""
    pledges, _ = pledging()
    for view in range(times):
        change(pledges, view + 1)
    return pledges


@pytest.mark.parametrize(("promise", "restored"), [(3, False), (4, True)])
def test_r14_what_was_seen_before_a_start_must_be_on_the_disk_that_it_found(
    promise: int, restored: bool
) -> None:
    """Counts only grow, also over starts: what this incarnation promised since says nothing of the disk."""
    pledges, _ = pledging(Promised(height=1, view=0, count=3))
    change(pledges, 1)
    change(pledges, 2)
    pledges.told(incarnation(0) - 1, promise)
    assert pledges.restored == restored


@pytest.mark.parametrize(
    ("told", "restored"),
    [
        ((0, 0), False),
        ((incarnation(0), 2), False),
        ((incarnation(0), 3), True),
        ((incarnation(0) - 1, 0), False),
        ((incarnation(0) - 1, 1), True),
        ((incarnation(0) + 1, 0), True),
        ((FAR, FAR), True),
    ],
)
def test_r14_who_is_told_of_a_higher_pair_than_its_own_came_back_from_a_backup(
    told: tuple[int, int], restored: bool
) -> None:
    pledges = counted(2)
    pledges.told(*told)
    assert pledges.restored == restored


def test_r14_the_highest_pair_that_was_seen_stands() -> None:
    pledges, here = pledging()
    for pair in ((5, 3), (4, 9), (5, 2), (6, 0)):
        pledges.saw(node(1), Incarnation(pair[0]), pair[1])
    assert pledges.seen[node(1)][0] == 6
    change(pledges, 1)
    [seen] = promised(here)[-1].record.seen
    assert (seen.node, seen.incarnation) == (node(1), 6)


def test_r14_a_restored_disk_that_starts_twice_is_still_a_restored_one() -> None:
    """Who saw nine promises, and then the backup with its three, must not forget the nine."""
    witness, _ = pledging()
    witness.saw(node(1), Incarnation(10), 9)
    witness.saw(node(1), Incarnation(11), 3)
    restarted = Pledges(ground(CHAIN, 1, incarnation=Incarnation(12)), Promised(height=1, view=0, count=3))
    restarted.told(*witness.seen[node(1)])
    assert restarted.restored


def test_r14_a_lower_incarnation_than_one_that_was_greeted_is_stale_also_after_a_restart() -> None:
    pledges, here = pledging()
    pledges.saw(node(1), Incarnation(5), 0)
    change(pledges, 1)
    again, _ = pledging(promised(here)[-1].record)
    for each in (pledges, again):
        assert [each.is_stale(node(1), one) for one in (4, 5, 6)] == [True, False, False]
        assert not each.is_stale(node(2), 0)


def test_r14_the_record_of_what_was_seen_grows_no_further_than_the_roster() -> None:
    """Whoever holds the network key can be any number of nodes; each promise writes what was seen."""
    pledges, here = pledging()
    for number in range(500):
        pledges.saw(node(number), Incarnation(1), 1)
    change(pledges, 1)
    assert len(promised(here)[-1].record.seen) <= len(ALL)


def test_what_binds_at_another_height_binds_nothing_here() -> None:
    pledges, _ = pledging(Promised(height=1, view=7, count=30))
    assert pledges.at(Height(1)).view == 7
    assert pledges.at(Height(2)) == Promised(height=2, view=0, count=30)
    assert pledges.prepare(Height(2), View(0), BlockHash(bytes(32)), b"", ALL).promise == 31
