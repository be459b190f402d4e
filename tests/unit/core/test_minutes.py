"""Does a chief write only what every voter takes into its block? (R2, R3, R8)"""

from dataclasses import replace as changed
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from comind.p2p.core.discovery import Discovery
from comind.p2p.core.messages import (
    MAX_MEMBERS,
    Absentee,
    Admit,
    CanLead,
    Change,
    GiveVote,
    Header,
    Join,
    Leave,
    Move,
    Remove,
    TakeVote,
)
from comind.p2p.core.minutes import MAX_CHANGES, absentees, is_urgent, mean_metrics, roster_changes
from comind.p2p.core.roster import Roster
from comind.p2p.core.signing import sign_join, sign_leave
from comind.p2p.core.words import NodeId, Settings
from tests.unit.core.build import (
    FAR,
    UNSIGNED,
    StubSigner,
    address,
    founded,
    greeting,
    ground,
    header,
    heartbeat,
    incarnation,
    me,
    meet,
    name,
    node,
    nodes,
    people_of,
    roster_block,
    stub_verify,
)
from tests.unit.core.test_roster import entry


def people(*linked: int, roster: Roster | None = None, voters: int = 4, witnesses: int = 2) -> Discovery:
    chain = founded(voters=voters, witnesses=witnesses)
    if roster is not None:
        chain.roster = roster
    return people_of(ground(chain), *linked)


def minutes(known: Discovery, *skipped: int) -> tuple[Change, ...]:
    return roster_changes(known.here, known, frozenset(nodes(*skipped)))


def wish(known: Discovery, number: int, **fields: Any) -> None:
    plain = Join(node(number), name(number), address(number % 250), incarnation(0), False, UNSIGNED)
    known.on_join(sign_join(StubSigner(node(number)), known.here.network, replace(plain, **fields)))


def farewell(known: Discovery, number: int) -> None:
    plain = Leave(node(number), incarnation(0), UNSIGNED)
    known.on_leave(sign_leave(StubSigner(node(number)), known.here.network, plain))


def test_where_all_is_as_the_chain_says_nothing_changes() -> None:
    assert minutes(people(1, 2, 3, 4, 5)) == ()


def test_r2_whoever_asks_to_leave_is_removed() -> None:
    known = people(1, 2, 3, 4, 5)
    for number in (5, 2):
        farewell(known, number)
    changes = minutes(known)
    assert changes == (Remove(node(2), "it left"), Remove(node(5), "it left"))


def test_r2_a_block_takes_one_vote_and_the_next_one_the_next() -> None:
    known = people(1, 2, 3, 4, 5)
    for number in (1, 2):
        farewell(known, number)
    assert minutes(known)[0] == Remove(node(1), "it left")
    assert Remove(node(2), "it left") not in minutes(known)


def test_r2_a_joiner_is_admitted_and_can_lead_when_it_was_reached() -> None:
    known = people(1, 9, 10, 11)
    known.link_up(node(12), incarnation(0), dialled=False)
    wish(known, 9)
    wish(known, 10, no_lead=True)
    wish(known, 11, addresses=())
    wish(known, 12)
    admitted = [change for change in minutes(known) if isinstance(change, Admit)]
    assert [(change.node, change.can_lead) for change in admitted] == [
        (node(9), True),
        (node(10), False),
        (node(11), False),
    ]


@pytest.mark.parametrize(
    ("present", "heard", "given_a_vote"), [(3, True, True), (2, True, False), (3, False, False)]
)
def test_r2_a_member_gets_its_vote_after_three_blocks(present: int, heard: bool, given_a_vote: bool) -> None:
    roster = Roster((entry(0), entry(1, voter=False, present=present)))
    known = people(*([1] if heard else []), roster=roster)
    votes = [change for change in minutes(known) if isinstance(change, GiveVote)]
    assert votes == ([GiveVote(node(1), incarnation(0))] if given_a_vote else [])


def test_r14_a_vote_names_the_incarnation_that_is_linked() -> None:
    known = people(roster=Roster((entry(0), entry(1, voter=False, present=3))))
    known.link_up(node(1), incarnation(7), dialled=True)
    assert minutes(known)[0] == GiveVote(node(1), incarnation(7))


def test_r2_who_is_about_to_leave_gets_no_vote() -> None:
    known = people(1, roster=Roster((entry(0), entry(1, voter=False, present=3))))
    farewell(known, 1)
    assert minutes(known) == (Remove(node(1), "it left"),)


@pytest.mark.parametrize(
    ("silent", "heard", "voters", "taken"),
    [(10, False, 4, True), (9, False, 4, False), (10, True, 4, False), (10, False, 3, False)],
)
def test_r2_a_silent_voter_loses_its_vote_while_more_than_three_vote(
    silent: int, heard: bool, voters: int, taken: bool
) -> None:
    roster = Roster((*(entry(number) for number in range(voters - 1)), entry(9, silent=silent)))
    known = people(1, 2, *([9] if heard else []), roster=roster)
    votes = [change for change in minutes(known) if isinstance(change, TakeVote)]
    assert votes == ([TakeVote(node(9), f"it was silent for {silent} rounds")] if taken else [])


def test_r3_who_is_away_or_about_to_leave_can_lead_no_more() -> None:
    known = people(1, 2, 3, 4, 5)
    known.beat(node(4), heartbeat(away=True))
    farewell(known, 5)
    assert CanLead(node(4), can_lead=False) in minutes(known)
    assert CanLead(node(1), can_lead=False) not in minutes(known)


LEADS: list[tuple[str, bool]] = [
    ("", True),
    ("silent", False),
    ("away", False),
    ("not reached", False),
    ("says no_lead", False),
    ("has no address", False),
    ("has not greeted", False),
    ("skipped in this block", False),
    ("skipped by a block since it was heard", False),
    ("asks to leave", False),
]


@pytest.mark.parametrize(("but", "leads"), LEADS)
def test_r3_a_member_can_lead_again_when_it_is_reached_and_heard(but: str, leads: bool) -> None:
    roster = Roster((entry(0), changed(entry(1), can_lead=False), entry(2)))
    known = people(1, 2, roster=roster)
    link = known.links[node(1)]
    skipped: tuple[int, ...] = ()
    match but:
        case "silent":
            known.here.now_ms += 3_001
            known.heard(node(2))
        case "away":
            known.beat(node(1), heartbeat(away=True))
        case "not reached":
            known.dial_failed(node(1))
        case "says no_lead":
            link.greeting = greeting(1, no_lead=True)
        case "has no address":
            link.greeting = greeting(1, addresses=())
        case "has not greeted":
            link.greeting = None
        case "skipped in this block":
            skipped = (1,)
        case "skipped by a block since it was heard":
            known.skipped_ms[node(1)] = known.here.now_ms
        case "asks to leave":
            farewell(known, 1)
    assert (CanLead(node(1), can_lead=True) in minutes(known, *skipped)) == leads


@pytest.mark.parametrize(
    ("own", "reached", "stopping", "leads"),
    [
        ({}, True, False, True),
        ({}, False, False, False),
        ({}, True, True, False),
        ({"no_lead": True}, True, False, False),
        ({"addresses": ()}, True, False, False),
    ],
)
def test_r3_one_says_of_oneself_that_one_can_lead_when_somebody_reached_one(
    own: dict[str, Any], reached: bool, stopping: bool, leads: bool
) -> None:
    known = people(1, roster=Roster((changed(entry(0), can_lead=False), entry(1))))
    known.here.me = me(**own)
    known.stopping = stopping
    known.beat(node(1), heartbeat(reached=nodes(0) if reached else ()))
    assert (CanLead(node(0), can_lead=True) in minutes(known)) == leads


def test_who_moved_is_told_of_at_its_new_place() -> None:
    known = people(1)
    known.links[node(1)].greeting = greeting(1, name="moved", addresses=address(99))
    assert Move(node(1), "moved", address(99)) in minutes(known)


@pytest.mark.parametrize(
    ("change", "urgent"),
    [
        (Admit(node(9), "new", (), can_lead=False), True),
        (Remove(node(1), ""), True),
        (GiveVote(node(1), 1), True),
        (TakeVote(node(1), ""), True),
        (CanLead(node(1), can_lead=True), False),
        (Move(node(1), "moved", ()), False),
    ],
)
def test_r15_who_is_a_member_and_who_votes_is_worth_a_block(change: Change, urgent: bool) -> None:
    assert is_urgent(change) == urgent


def test_a_block_carries_no_more_changes_than_its_bound() -> None:
    known = people(1, 5, *range(100, 100 + 2 * MAX_CHANGES))
    for number in range(100, 100 + 2 * MAX_CHANGES):
        wish(known, number, no_lead=True)
    farewell(known, 5)
    changes = minutes(known)
    assert len(changes) == MAX_CHANGES
    assert changes[0] == Remove(node(5), "it left")


def test_r2_a_full_roster_admits_nobody() -> None:
    """One more, and no block can list the present: every chief's own block would be refused."""
    full = Roster(tuple(entry(number, voter=number < 3) for number in range(MAX_MEMBERS)))
    known = people(1, 5_000, roster=full)
    wish(known, 5_000, no_lead=True)
    assert not any(isinstance(change, Admit) for change in minutes(known))


# -- all together -------------------------------------------------------------------------------------------

entries = st.builds(
    lambda voter, able, present, silent: (voter, able, present, silent),
    st.booleans(),
    st.booleans(),
    st.integers(0, 5),
    st.sampled_from([0, 9, 10, 11]),
)
STATES = ["heard", "silent", "away", "no link", "leaving", "moved", "no lead"]


@given(
    members=st.lists(entries, min_size=1, max_size=8),
    states=st.lists(st.sampled_from(STATES), min_size=8, max_size=8),
    wishes=st.lists(st.integers(20, 40), max_size=4),
    skipped=st.frozensets(st.integers(0, 7)),
    most=st.integers(1, 7),
)
@settings(max_examples=150)
def test_r2_whatever_happened_the_changes_are_valid_together_and_change_one_vote_at_most(
    members: list[tuple[bool, bool, int, int]],
    states: list[str],
    wishes: list[int],
    skipped: frozenset[int],
    most: int,
) -> None:
    roster = Roster(
        tuple(
            changed(
                entry(number, voter=voter or number == 0, present=present, silent=silent),
                can_lead=able,
            )
            for number, (voter, able, present, silent) in enumerate(members)
        )
    )
    chain = founded(settings=Settings(max_voters=most))
    chain.roster = roster
    known = people_of(ground(chain))
    for number, state in zip(range(1, len(members)), states, strict=False):
        if state != "no link":
            meet(known, number)
        match state:
            case "silent":
                known.links[node(number)].heard_ms = -9_000
            case "away":
                known.beat(node(number), heartbeat(away=True))
            case "leaving":
                farewell(known, number)
            case "moved":
                known.links[node(number)].greeting = greeting(number, name="moved", addresses=())
            case "no lead":
                known.links[node(number)].greeting = greeting(number, no_lead=True)
    for number in wishes:
        meet(known, number)
        wish(known, number, no_lead=True)
    skips = roster.in_order(frozenset(node(number) for number in skipped))
    changes = roster_changes(known.here, known, frozenset(skips))
    assert changes == roster_changes(known.here, known, frozenset(skips))
    if changes:
        chain.check(roster_block(chain, changes, skipped=skips, present=known.present()), stub_verify)


# -- who was absent, and what they measured -----------------------------------------------------------------


def test_r8_each_member_that_is_not_counted_is_listed_with_its_reason() -> None:
    known = people(1, 2, 3, 4)
    known.beat(node(2), heartbeat(training=False))
    known.beat(node(3), heartbeat(away=True))
    told = absentees(known.here, known, frozenset(nodes(0)), {node(4): "a value that is no number"})
    assert told == (
        Absentee(node(1), "it trains, but was not ready"),
        Absentee(node(2), "no trainer"),
        Absentee(node(3), "away"),
        Absentee(node(4), "a value that is no number"),
        Absentee(node(5), "no link to it"),
    )


def test_r8_a_long_reason_is_cut_to_what_a_block_takes() -> None:
    known = people(1)
    [told, *_] = absentees(known.here, known, frozenset(nodes(0)), {node(1): "x" * 1_000})
    assert len(told.because) == 400


def measured(*each: tuple[int, dict[str, float]]) -> tuple[Header, ...]:
    chain = founded()
    return tuple(header(chain, node(0), weight=weight, metrics=metrics) for weight, metrics in each)


@pytest.mark.parametrize(
    ("each", "mean"),
    [
        ((), {}),
        (((1, {"loss": 2.0}), (3, {"loss": 6.0})), {"loss": 5.0}),
        (((1, {"loss": 2.0, "speed": 1.0}), (1, {"loss": 4.0})), {"loss": 3.0}),
        (((1, {"loss": 2.0}), (1, {})), {}),
        (((0, {"loss": 2.0}),), {}),
    ],
)
def test_r8_what_every_contributor_measured_is_averaged_by_weight(
    each: tuple[tuple[int, dict[str, float]], ...], mean: dict[str, float]
) -> None:
    assert mean_metrics(measured(*each)) == pytest.approx(mean)


@given(
    st.lists(
        st.tuples(st.integers(0, FAR), st.dictionaries(st.sampled_from("abc"), st.floats(), max_size=3)),
        max_size=5,
    )
)
def test_r8_any_metrics_and_weights_have_a_mean_or_none(each: list[tuple[int, dict[str, float]]]) -> None:
    mean = mean_metrics(measured(*each))
    assert all(isinstance(value, float) for value in mean.values())
    assert list(mean) == sorted(mean)


def test_the_founder_alone_writes_nothing() -> None:
    known = people(voters=1, witnesses=0)
    assert minutes(known) == ()
    assert absentees(known.here, known, frozenset(nodes(0)), {}) == ()
    assert NodeId(known.here.me.node) == node(0)
