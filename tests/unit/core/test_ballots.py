"""Is a quorum of votes one of a single kind, view and block? (R9, R10, R14)"""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comind.p2p.core.ballots import VOTES_KEPT_PER_VOTER, Ballots
from comind.p2p.core.messages import Vote
from comind.p2p.core.wire import block_hash
from comind.p2p.core.words import BlockHash, View
from tests.unit.core.build import FAR, founded, node, nodes, vote

CHAIN = founded(voters=3, witnesses=1)
ROSTER = CHAIN.roster
ONE, OTHER = b"one block", b"another"


def cast(number: int, kind: str = "prepare", view: int = 0, block: bytes = ONE, promise: int = 1) -> Vote:
    return vote(CHAIN, kind, node(number), block, view, promise=promise)


def box(*votes: Vote) -> Ballots:
    ballots = Ballots()
    for one in votes:
        ballots.add(one)
    return ballots


def quorum(
    ballots: Ballots, kind: str = "prepare", view: int = 0, block: bytes = ONE
) -> tuple[Vote, ...] | None:
    return ballots.quorum(kind, View(view), block_hash(block), ROSTER)


def test_r9_votes_of_one_kind_view_and_block_are_a_quorum_in_roster_order() -> None:
    votes = cast(0), cast(1), cast(2)
    for some in permutations(votes, 2):
        assert quorum(box(*some)) == tuple(sorted(some, key=lambda one: one.node))
    assert quorum(box(*reversed(votes))) == votes


@pytest.mark.parametrize(
    "votes",
    [
        (),
        (cast(0),),
        (cast(0), cast(1, kind="commit")),
        (cast(0), cast(1, view=1)),
        (cast(0), cast(1, block=OTHER)),
        (cast(1), cast(1, promise=2)),
        (cast(0), cast(3)),
        (cast(1), cast(99)),
        (cast(3), cast(99)),
    ],
)
def test_r9_what_differs_in_kind_view_block_or_signer_is_no_quorum(votes: tuple[Vote, ...]) -> None:
    assert quorum(box(*votes)) is None


def test_r1_votes_of_members_without_one_are_left_out_of_a_quorum() -> None:
    assert quorum(box(cast(0), cast(3), cast(1))) == (cast(0), cast(1))


def test_r10_a_certificate_completes_in_any_view() -> None:
    ballots = box(*(cast(number, "commit", view=4) for number in (0, 2)))
    [(view, block, votes)] = ballots.committed(ROSTER)
    assert (view, block) == (4, block_hash(ONE))
    assert votes == (cast(0, "commit", view=4), cast(2, "commit", view=4))


def test_r10_commits_of_two_views_are_no_certificate() -> None:
    ballots = box(cast(0, "commit", view=0), cast(1, "commit", view=1), cast(2, "prepare", view=0))
    assert list(ballots.committed(ROSTER)) == []


def test_s1_two_blocks_are_told_of_should_two_quorums_have_committed() -> None:
    ballots = box(
        *(cast(number, "commit", view=0) for number in (0, 1)),
        *(cast(number, "commit", view=1, block=OTHER) for number in (1, 2)),
    )
    told = [(view, block) for view, block, _ in ballots.committed(ROSTER)]
    assert told == [(0, block_hash(ONE)), (1, block_hash(OTHER))]


def test_r14_the_newer_word_of_a_voter_stands() -> None:
    ballots = Ballots()
    assert ballots.add(cast(0, promise=5))
    assert not ballots.add(cast(0, promise=5))
    assert not ballots.add(cast(0, promise=4, block=OTHER))
    assert not ballots.add(cast(0, promise=6))
    assert ballots.add(cast(0, promise=7, block=OTHER))
    assert ballots.votes[node(0)]["prepare", View(0)].promise == 7


def test_who_voted_for_a_block_in_any_view_may_hold_its_bytes() -> None:
    ballots = box(cast(0), cast(1, view=3), cast(2, block=OTHER), cast(3, kind="commit"))
    assert ballots.for_block("prepare", block_hash(ONE)) == nodes(0, 1)
    assert ballots.for_block("commit", block_hash(ONE)) == nodes(3)
    assert ballots.for_block("prepare", BlockHash(bytes(32))) == ()


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["prepare", "commit"]), st.integers(0, FAR))))
def test_votes_are_kept_in_bounds_and_the_newest_views_longest(cast_so: list[tuple[int, str, int]]) -> None:
    ballots = Ballots()
    for promise, (number, kind, view) in enumerate(cast_so):
        ballots.add(vote(CHAIN, kind, node(number), ONE, view, promise=promise + 1))
    for number in range(4):
        told = {(kind, view) for who, kind, view in cast_so if who == number}
        kept = ballots.votes.get(node(number), {})
        assert len(kept) == min(len(told), VOTES_KEPT_PER_VOTER)
        views = sorted((view for _, view in told), reverse=True)[:VOTES_KEPT_PER_VOTER]
        assert sorted((view for _, view in kept), reverse=True) == views


def test_r11_a_vote_that_is_not_kept_says_nothing_new() -> None:
    """Else a voter that filled its box with far views would feed patience with one vote for ever."""
    ballots = box(*(cast(1, view=FAR - number) for number in range(VOTES_KEPT_PER_VOTER)))
    assert not ballots.add(cast(1, view=0))
    assert not ballots.add(cast(1, view=0))
