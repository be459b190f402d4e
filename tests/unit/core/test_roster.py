"""Of any set of voters and its complement, is exactly one a quorum? Who may join, vote and leave? (R1, R2)"""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comind.p2p.core.messages import MAX_MEMBERS, Admit, CanLead, Change, GiveVote, Move, Remove, TakeVote
from comind.p2p.core.roster import Entry, Roster
from comind.p2p.core.words import Height, NodeId, Settings
from tests.unit.core.build import address, name, node, nodes


def entry(number: int, voter: bool = True, admitted: int = 0, present: int = 0, silent: int = 0) -> Entry:
    return Entry(
        node(number),
        name(number),
        address(number),
        Height(admitted),
        can_lead=True,
        voter=voter,
        present=present,
        silent=silent,
    )


def voters(count: int, witnesses: int = 0) -> Roster:
    return Roster(tuple(entry(number, voter=number < count) for number in range(count + witnesses)))


def subsets(everybody: tuple[NodeId, ...]) -> list[frozenset[NodeId]]:
    return [frozenset(some) for size in range(len(everybody) + 1) for some in combinations(everybody, size)]


# -- R1: quorums --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", range(1, 9))
def test_r1_of_any_set_of_voters_and_its_complement_exactly_one_is_a_quorum(count: int) -> None:
    roster = voters(count, witnesses=2)
    everybody = frozenset(roster.voters())
    for some in subsets(roster.voters()):
        assert roster.is_quorum(some) != roster.is_quorum(everybody - some)


@pytest.mark.parametrize("count", range(1, 8))
def test_r1_any_two_quorums_have_a_voter_in_common(count: int) -> None:
    roster = voters(count)
    quorums = [some for some in subsets(roster.voters()) if roster.is_quorum(some)]
    assert all(one & other for one in quorums for other in quorums)


@given(st.integers(1, 9), st.data())
def test_r1_more_signers_never_make_less_of_a_quorum(count: int, data: st.DataObject) -> None:
    roster = voters(count, witnesses=2)
    anybody = st.frozensets(st.sampled_from([*roster.nodes(), node(500)]))
    some, more = data.draw(anybody), data.draw(anybody)
    assert not roster.is_quorum(some) or roster.is_quorum(some | more)


@given(st.integers(1, 9), st.data())
def test_r1_who_has_no_vote_counts_for_nothing(count: int, data: st.DataObject) -> None:
    roster = voters(count, witnesses=3)
    some = data.draw(st.frozensets(st.sampled_from(roster.voters())))
    others = frozenset({*roster.nodes(), node(500), node(501)} - set(roster.voters()))
    assert roster.is_quorum(some | others) == roster.is_quorum(some)


@pytest.mark.parametrize(
    ("count", "signers", "enough"),
    [
        (1, (), False),
        (1, (0,), True),
        (2, (0,), True),
        (2, (1,), False),
        (3, (0,), False),
        (3, (1, 2), True),
        (4, (0, 1), True),
        (4, (1, 2), False),
        (4, (2, 3), False),
        (4, (1, 2, 3), True),
    ],
)
def test_r1_exactly_half_is_a_quorum_with_the_first_voter_alone(
    count: int, signers: tuple[int, ...], enough: bool
) -> None:
    assert voters(count).is_quorum(frozenset(nodes(*signers))) == enough


def test_r1_the_first_voter_need_not_be_the_first_member() -> None:
    roster = Roster((entry(0, voter=False), entry(1), entry(2)))
    assert roster.is_quorum(frozenset(nodes(1)))
    assert not roster.is_quorum(frozenset(nodes(0, 2)))


def test_r1_where_nobody_votes_nobody_decides() -> None:
    roster = voters(0, witnesses=2)
    assert not roster.is_quorum(frozenset())
    assert not roster.is_quorum(frozenset(roster.nodes()))


# -- R1: order ----------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5)), max_size=8, unique_by=lambda one: one[0]))
def test_r1_members_are_in_order_of_admission_then_node(admissions: list[tuple[int, int]]) -> None:
    roster = Roster(())
    for number, height in admissions:
        change = Admit(node(number), name(number), address(number), can_lead=True)
        roster = roster.with_change(change, Height(height))
    assert roster.nodes() == tuple(
        node(number) for number, height in sorted(admissions, key=lambda one: (one[1], node(one[0])))
    )
    assert roster.in_order(set(roster.nodes())) == roster.nodes()


def test_r1_who_rejoins_goes_last_and_has_no_vote() -> None:
    roster = voters(3)
    roster = roster.with_change(Remove(node(0), "it left"), Height(5))
    assert roster.nodes() == nodes(1, 2)
    roster = roster.with_change(Admit(node(0), "again", (), can_lead=False), Height(7))
    assert roster.nodes() == nodes(1, 2, 0)
    again = roster.get(node(0))
    assert again is not None
    assert (again.voter, again.present, again.led_at, again.admitted) == (False, 0, -1, 7)


def test_a_roster_lists_whom_it_has_and_nobody_else() -> None:
    roster = voters(2, witnesses=1)
    assert node(2) in roster
    assert node(3) not in roster
    assert roster.get(node(3)) is None
    assert roster.in_order(frozenset(nodes(3, 2, 0))) == nodes(0, 2)


# -- R2: what may be changed --------------------------------------------------------------------------------

SETTINGS = Settings(max_voters=5, passive_after=10)


def four_voters_and_witnesses() -> Roster:
    return Roster(
        (
            entry(0),
            entry(1, silent=9),
            entry(2, silent=10),
            entry(3, silent=11),
            entry(4, voter=False, present=2),
            entry(5, voter=False, present=3),
            entry(6, voter=False, present=9, silent=4),
        )
    )


OBJECTIONS: list[tuple[Change, str | None]] = [
    (Admit(node(9), "new", (), can_lead=False), None),
    (Admit(node(0), "again", (), can_lead=False), "it is on the roster already"),
    (Remove(node(0), "it left"), None),
    (Remove(node(5), "it left"), None),
    (Remove(node(9), "it left"), "it is not on the roster"),
    (GiveVote(node(4), 1), "it was present for 2 blocks of 3"),
    (GiveVote(node(5), 1), None),
    (GiveVote(node(6), 1), None),
    (GiveVote(node(0), 1), "it has a vote"),
    (GiveVote(node(9), 1), "it is not on the roster"),
    (TakeVote(node(0), ""), "it was silent for 0 rounds of 10"),
    (TakeVote(node(1), ""), "it was silent for 9 rounds of 10"),
    (TakeVote(node(2), ""), None),
    (TakeVote(node(3), ""), None),
    (TakeVote(node(4), ""), "it has no vote"),
    (TakeVote(node(9), ""), "it is not on the roster"),
    (CanLead(node(4), can_lead=True), None),
    (CanLead(node(9), can_lead=True), "it is not on the roster"),
    (Move(node(4), "name", ()), None),
    (Move(node(9), "name", ()), "it is not on the roster"),
]


@pytest.mark.parametrize(("change", "objection"), OBJECTIONS)
def test_r2_a_change_is_made_or_objected_to(change: Change, objection: str | None) -> None:
    assert four_voters_and_witnesses().objection(change, SETTINGS) == objection


def test_r2_at_most_max_voters_vote() -> None:
    roster = Roster((*(entry(number) for number in range(5)), entry(5, voter=False, present=3)))
    assert roster.objection(GiveVote(node(5), 1), SETTINGS) == "5 vote already"
    assert roster.objection(GiveVote(node(5), 1), Settings(max_voters=6)) is None


def test_r2_no_vote_is_lost_to_silence_while_no_more_than_three_vote() -> None:
    roster = Roster((entry(0), entry(1), entry(2, silent=99)))
    assert roster.objection(TakeVote(node(2), ""), SETTINGS) == "no more than 3 vote"


def test_r2_the_only_voter_stays() -> None:
    roster = voters(1, witnesses=2)
    assert roster.objection(Remove(node(0), "it left"), SETTINGS) == "it is the only voter"
    assert roster.objection(Remove(node(1), "it left"), SETTINGS) is None


def test_r2_no_roster_outgrows_what_a_block_can_list() -> None:
    """A block lists the present, and no more than MAX_MEMBERS of them: one more, and none can be made."""
    full = voters(3, witnesses=MAX_MEMBERS - 3)
    one_more = Admit(node(MAX_MEMBERS), "one more", (), can_lead=False)
    assert full.objection(one_more, SETTINGS) is not None


def test_r2_a_voter_that_loses_its_vote_waits_for_three_blocks_anew() -> None:
    roster = Roster((entry(0), entry(1), entry(2), entry(3, present=50, silent=10)))
    roster = roster.with_change(TakeVote(node(3), "silent"), Height(9))
    lost = roster.get(node(3))
    assert lost is not None
    assert not lost.voter
    assert roster.objection(GiveVote(node(3), 1), SETTINGS) == "it was present for 0 blocks of 3"


def test_r2_presence_is_counted_and_silence_in_a_row() -> None:
    roster = voters(2)
    for present in ((0, 1), (0,), (0,), (0, 1), (0,)):
        roster = roster.with_presence(frozenset(nodes(*present)))
    assert [(one.present, one.silent) for one in roster] == [(5, 0), (2, 1)]


@pytest.mark.parametrize(
    ("change", "changes"),
    [
        (GiveVote(node(3), 1), True),
        (TakeVote(node(0), ""), True),
        (Remove(node(0), ""), True),
        (Remove(node(3), ""), False),
        (Remove(node(9), ""), False),
        (Admit(node(9), "new", (), can_lead=True), False),
        (CanLead(node(0), can_lead=False), False),
        (Move(node(0), "name", ()), False),
    ],
)
def test_r2_who_gives_takes_or_leaves_with_a_vote_changes_one(change: Change, changes: bool) -> None:
    assert voters(3, witnesses=1).changes_vote(change) == changes


def test_a_change_touches_nobody_else() -> None:
    roster = voters(2, witnesses=1)
    changes: list[Change] = [
        CanLead(node(2), can_lead=False),
        Move(node(2), "moved", address(77)),
        GiveVote(node(2), 1),
        TakeVote(node(2), ""),
    ]
    for change in changes:
        changed = roster.with_change(change, Height(3))
        assert changed.entries[:2] == roster.entries[:2]
        assert changed.nodes() == roster.nodes()
    assert roster.with_change(changes[1], Height(3)).entries[2].addresses == address(77)
    assert not roster.with_change(changes[0], Height(3)).entries[2].can_lead


def test_an_average_is_counted_for_its_originator_and_its_contributors() -> None:
    roster = voters(3).with_average(Height(8), node(1), frozenset(nodes(0, 1)))
    assert [(one.led_at, one.led, one.counted) for one in roster] == [(-1, 0, 1), (8, 1, 1), (-1, 0, 0)]
