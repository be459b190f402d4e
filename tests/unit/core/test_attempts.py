"""May a chief open again, and whom does a member follow? (R6, R11)"""

import pytest

from comind.p2p.core.effects import Average, Contribute, Forget, LinkDown, Lost, Receive
from comind.p2p.core.messages import Block, Header, Open, Propose, SignedHeader
from comind.p2p.core.phases import Phase
from comind.p2p.core.signing import open_hash
from comind.p2p.core.wire import read
from comind.p2p.core.words import Settings
from tests.unit.core.build import founded, incarnation, mean_block, node
from tests.unit.core.stage import Stage
from tests.unit.core.test_member_among_insiders import ROOT, as_chief, as_follower, averaging, leading, others


def lose(stage: Stage, number: int, at_fault: bool = False) -> None:
    """Let the data plane say that this contribution to the running attempt does not come."""
    opened = stage.member.round.opened
    assert opened is not None
    stage.step(Lost(opened.hash, node(number), "its stream broke", at_fault))


def contributors(open: Open) -> list[bytes]:
    return [read(Header, signed.header).node for signed in open.headers]


def headers(stage: Stage, *numbers: int) -> list[SignedHeader]:
    """The headers of these; its own, as the member signed it."""
    own = stage.member.desk.ready()
    assert own is not None
    said = {stage.number: own.header}
    return [
        said[number] if number in said else stage.ready(number).header
        for number in sorted(numbers, key=lambda one: stage.chain.roster.nodes().index(node(one)))
    ]


# -- the chief ----------------------------------------------------------------------------------------------


def test_r6_a_lost_contributor_is_left_out_of_the_next_attempt() -> None:
    stage = as_chief(founded(voters=4))
    first = averaging(stage)
    lost = others(stage.chain, stage.number)[0]
    lose(stage, lost)
    second = stage.said(Open)[-1]
    assert (second.view, second.attempt) == (0, 1)
    assert contributors(second) == [one for one in contributors(first) if one != node(lost)]
    assert stage.did(Forget) == [Forget(open_hash(first))]
    assert [part.node for part in stage.did(Average)[-1].parts] == contributors(second)
    stage.averaged(ROOT)
    [propose] = stage.said(Propose)
    absentees = read(Block, propose.block).absentees
    assert [(one.node, one.because) for one in absentees] == [(node(lost), "its stream broke")]


def test_r6_a_chief_opens_again_three_times_at_most() -> None:
    stage = as_chief(founded(voters=8))
    averaging(stage)
    for at, number in enumerate(others(stage.chain, stage.number)[:4]):
        assert (stage.member.round.view, stage.said(Open)[-1].attempt) == (0, at)
        lose(stage, number)
    assert stage.member.round.view == 1
    assert stage.member.round.phase is Phase.CHANGING


def test_r6_who_has_no_link_any_more_is_not_opened_again_either() -> None:
    stage = as_chief(founded(voters=5))
    averaging(stage)
    one, another, *_ = others(stage.chain, stage.number)
    for number in (one, another):
        stage.step(LinkDown(node(number)))
    lose(stage, one)
    again = stage.said(Open)[-1]
    assert again.attempt == 1
    assert not {node(one), node(another)} & set(contributors(again))


def test_r6_with_fewer_than_min_peers_left_a_loss_costs_the_view() -> None:
    stage = as_chief(founded(voters=3, settings=Settings(min_peers=3)))
    averaging(stage)
    lose(stage, others(stage.chain, stage.number)[0])
    assert (stage.member.round.view, stage.member.round.phase) == (1, Phase.CHANGING)
    assert len(stage.said(Open)) == 1


def test_r6_what_is_lost_of_an_attempt_that_is_over_costs_nothing() -> None:
    stage = as_chief(founded(voters=5))
    first = averaging(stage)
    one, another, *_ = others(stage.chain, stage.number)
    lose(stage, one)
    stage.step(Lost(open_hash(first), node(another), "its stream broke"))
    assert [open.attempt for open in stage.said(Open)] == [0, 1]


def test_r6_a_chief_whose_own_disk_fails_leaves_the_view() -> None:
    """It is the averager: whom it leaves out does not matter."""
    stage = as_chief(founded(voters=4))
    averaging(stage)
    lose(stage, stage.number)
    assert (stage.member.round.view, stage.member.round.phase) == (1, Phase.CHANGING)


def test_r6_a_chief_whose_own_snapshot_is_gone_opens_without_itself() -> None:
    stage = as_chief(founded(voters=4))
    averaging(stage)
    lose(stage, stage.number, at_fault=True)
    assert node(stage.number) not in contributors(stage.said(Open)[-1])
    assert stage.said(Open)[-1].attempt == 1


# -- who follows --------------------------------------------------------------------------------------------


def test_r6_a_higher_attempt_is_followed_and_the_lower_one_given_up() -> None:
    stage = as_follower(founded(voters=4))
    chief = leading(stage.chain)
    everyone = [chief, *others(stage.chain, chief)]
    gone = next(number for number in everyone if number not in (chief, stage.number))
    first = stage.open(chief, headers(stage, *everyone))
    second = stage.open(chief, headers(stage, *(one for one in everyone if one != gone)), attempt=1)
    stage.hear(chief, first)
    stage.hear(chief, second)
    assert stage.did(Forget) == [Forget(open_hash(first))]
    assert [action.open for action in stage.did(Contribute)] == [open_hash(first), open_hash(second)]
    assert [action.open for action in stage.did(Receive)] == [open_hash(first), open_hash(second)]
    stage.hear(chief, first)
    assert stage.member.round.opened is not None
    assert stage.member.round.opened.hash == open_hash(second)
    assert stage.dropped == []


def test_r6_an_attempt_of_an_earlier_incarnation_is_late_however_high() -> None:
    stage = as_follower(founded(voters=4))
    chief = leading(stage.chain)
    everyone = [chief, *others(stage.chain, chief)]
    newer = stage.open(chief, headers(stage, *everyone), incarnation=incarnation(1))
    older = stage.open(chief, headers(stage, *everyone[:3]), attempt=3)
    stage.hear(chief, newer)
    stage.hear(chief, older)
    assert stage.member.round.opened is not None
    assert stage.member.round.opened.hash == open_hash(newer)


@pytest.mark.parametrize("attempt", [4, 2**63 - 1])
def test_r6_an_attempt_beyond_the_third_further_one_is_an_offence(attempt: int) -> None:
    stage = as_follower(founded(voters=4))
    chief = leading(stage.chain)
    stage.hear(chief, stage.open(chief, headers(stage, chief, stage.number), attempt=attempt))
    assert stage.dropped == [(node(chief), f"an OPEN that is attempt {attempt} of its view")]


def test_r6_two_opens_of_one_attempt_are_an_offence() -> None:
    stage = as_follower(founded(voters=4))
    chief = leading(stage.chain)
    everyone = [chief, *others(stage.chain, chief)]
    stage.hear(chief, stage.open(chief, headers(stage, *everyone), attempt=1))
    stage.hear(chief, stage.open(chief, headers(stage, *everyone[:3]), attempt=1))
    assert stage.dropped == [(node(chief), "two OPENs of one attempt")]


def test_r8_a_proposal_of_fewer_contributors_than_the_open_that_was_heard_is_no_offence() -> None:
    """It is of a further attempt, whose OPEN was lost with a link; its average is fetched by root."""
    stage = as_follower(founded(voters=4))
    chief = leading(stage.chain)
    everyone = [chief, *others(stage.chain, chief)]
    first = stage.open(chief, headers(stage, *everyone))
    stage.hear(chief, first)
    two = stage.chain.roster.in_order(frozenset((node(everyone[2]), node(chief))))
    fewer = mean_block(stage.chain, two, by=node(chief), root=ROOT)
    stage.hear(chief, stage.propose(chief, fewer))
    assert stage.dropped == []
    assert stage.member.round.phase is Phase.VOTING
    assert Forget(open_hash(first)) in stage.did(Forget)


def test_r8_a_proposal_of_others_than_the_open_named_is_an_offence() -> None:
    stage = as_follower(founded(voters=4))
    chief = leading(stage.chain)
    everyone = [chief, *others(stage.chain, chief)]
    stage.hear(chief, stage.open(chief, headers(stage, chief, stage.number)))
    two = stage.chain.roster.in_order(frozenset((node(everyone[2]), node(chief))))
    block = mean_block(stage.chain, two, by=node(chief), root=ROOT)
    stage.hear(chief, stage.propose(chief, block))
    assert stage.dropped == [(node(chief), "a PROPOSE of other contributions than its OPEN's")]


def test_r11_further_attempts_add_nothing_to_the_total_bound_of_a_view() -> None:
    stage = as_follower(founded(voters=4, settings=Settings(round_limit_ms=2_000, patience_ms=900)))
    chief = leading(stage.chain)
    everyone = [chief, *others(stage.chain, chief)]
    others_than_me = [one for one in everyone if one not in (chief, stage.number)]
    stage.hear(chief, stage.open(chief, headers(stage, *everyone)))
    began_ms = stage.now_ms
    for attempt, gone in enumerate(others_than_me, start=1):
        stage.wait(800)
        for number in (chief, *others_than_me):
            stage.beat(number)
        left = [one for one in everyone if one not in others_than_me[:attempt]]
        stage.hear(chief, stage.open(chief, headers(stage, *left), attempt=attempt))
        assert gone not in left
    stage.wait(500)
    assert stage.now_ms - began_ms > 2_000
    assert stage.member.round.view == 1
