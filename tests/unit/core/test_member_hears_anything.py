"""Whatever a linked peer says, and in whatever order: does a member live, and sign nothing twice?

Every situation of a member meets sequences of odd messages (`odd`) and of the events around them, each drawn
from a seed. The stage watches what it signs and says (S7, S8). What a seed found became a test in
`test_member_among_insiders`. To look for more: COMIND_SEEDS=1000-5000 scripts/test <this file>
"""

import os
from collections.abc import Callable
from random import Random

import pytest

from comind.p2p.core.chain import Chain
from comind.p2p.core.effects import (
    DialFailed,
    Event,
    FetchFailed,
    LeaveAsked,
    LinkDown,
    Lost,
    Progressed,
    Promised,
    Reached,
    StopAsked,
    TrainerAttached,
    TrainerLeft,
    TrainerOffered,
)
from comind.p2p.core.messages import CanLead
from comind.p2p.core.phases import Phase
from comind.p2p.core.wire import pack
from comind.p2p.core.words import Root, RunId, Settings
from tests.unit.core.build import (
    BASE,
    founded,
    incarnation,
    lock,
    node,
    offer,
    roster_block,
    view_change,
    vote,
)
from tests.unit.core.odd import STRANGER, Odd
from tests.unit.core.stage import Stage
from tests.unit.core.test_member_among_insiders import (
    ROOT,
    as_chief,
    as_follower,
    averaging,
    leading,
    others,
)

MOVES = 14
FIRST, BEYOND = map(int, os.environ.get("COMIND_SEEDS", "0-20").split("-"))


def four() -> Chain:
    return founded(voters=3, witnesses=1)


def change_block(stage: Stage) -> bytes:
    return pack(roster_block(stage.chain, [CanLead(node(1), can_lead=False)], by=node(stage.chief)))


# -- situations ---------------------------------------------------------------------------------------------


def without_a_chain() -> Stage:
    return Stage(Chain(four().network), 2)


def just_started() -> Stage:
    return Stage(four(), 0)


def idle() -> Stage:
    return as_follower(four(), trains=False)


def gathering() -> Stage:
    return as_follower(four())


def chief_gathering() -> Stage:
    return as_chief(four())


def chief_averaging() -> Stage:
    stage = as_chief(four())
    averaging(stage)
    return stage


def chief_voting() -> Stage:
    stage = chief_averaging()
    stage.averaged(ROOT)
    return stage


def follower_averaging() -> Stage:
    stage = as_follower(four())
    leads = leading(stage.chain)
    own = stage.member.desk.ready()
    assert own is not None
    headers = {number: stage.ready(number).header for number in others(stage.chain, stage.number)}
    headers[stage.number] = own.header
    stage.hear(leads, stage.open(leads, [headers[number] for number in sorted(headers)]))
    assert stage.member.round.phase is Phase.AVERAGING
    return stage


def follower_voting() -> Stage:
    stage = as_follower(four())
    leads = leading(stage.chain)
    stage.hear(leads, stage.propose(leads, change_block(stage)))
    assert stage.member.round.phase is Phase.VOTING
    return stage


def locked() -> Stage:
    stage = follower_voting()
    leads = leading(stage.chain)
    voters = [number for number in (0, 1, 2) if number != stage.number]
    stage.hear(leads, stage.vote(voters[0], "prepare", change_block(stage)))
    assert stage.member.round.phase is Phase.LOCKED
    return stage


def changing() -> Stage:
    stage = follower_voting()
    stage.wait(1_100)
    assert stage.member.round.phase is Phase.CHANGING
    return stage


def chief_of_view_1() -> Stage:
    chain = four()
    leads = leading(chain, 1)
    stage = Stage(chain, leads)
    stage.meet(*others(chain, leads))
    stage.train()
    for number in (0, 1, 2):
        if number != leads:
            stage.hear(number, stage.wants(number, 1))
    assert stage.member.round.view == 1
    return stage


def sole_voter() -> Stage:
    stage = Stage(founded(voters=1, witnesses=3, settings=Settings(min_peers=1)), 0)
    stage.meet(1, 2, 3)
    stage.train()
    return stage


def witness() -> Stage:
    stage = Stage(four(), 3)
    stage.meet(0, 1, 2)
    stage.train()
    return stage


def without_a_base() -> Stage:
    chain = founded(voters=3, witnesses=1, base=None)
    stage = Stage(chain, leading(chain))
    stage.meet(*others(chain, stage.number))
    stage.train()
    return stage


def restarted_with_a_vote() -> Stage:
    chain = four()
    wire = pack(roster_block(chain, [CanLead(node(1), can_lead=False)], by=node(leading(chain))))
    own = others(chain, leading(chain), 3)[0]
    record = Promised(
        height=1,
        view=0,
        count=2,
        prepared=vote(chain, "prepare", node(own), wire),
        committed=vote(chain, "commit", node(own), wire),
        lock=lock(chain, wire),
        block=wire,
    )
    return Stage(chain, own, record, incarnation=incarnation(1))


def restarted_in_a_view() -> Stage:
    chain = four()
    record = Promised(height=1, view=2, count=1, change=view_change(chain, node(0), 2))
    return Stage(chain, 0, record, incarnation=incarnation(1))


def leaving() -> Stage:
    stage = as_follower(four())
    stage.step(LeaveAsked())
    return stage


def stopping() -> Stage:
    stage = as_chief(four())
    stage.step(StopAsked())
    return stage


def a_joiner() -> Stage:
    stage = Stage(four(), 7)
    stage.meet(0, 1, 2)
    stage.train()
    return stage


SITUATIONS: list[Callable[[], Stage]] = [
    without_a_chain,
    just_started,
    idle,
    gathering,
    chief_gathering,
    chief_averaging,
    chief_voting,
    follower_averaging,
    follower_voting,
    locked,
    changing,
    chief_of_view_1,
    sole_voter,
    witness,
    without_a_base,
    restarted_with_a_vote,
    restarted_in_a_view,
    leaving,
    stopping,
    a_joiner,
]

# -- what happens -------------------------------------------------------------------------------------------


def happen(stage: Stage, odd: Odd) -> None:
    """Let one thing happen: mostly, that a peer says something odd."""
    peer = odd.one_of(*(number for number in (0, 1, 2, 3, STRANGER) if number != stage.number))
    opened = stage.member.round.opened
    attempt = opened.hash if opened else b"no such attempt"
    root = Root(odd.root())
    match odd.one_of(*["say"] * 12, *AROUND):
        case "say":
            if node(peer) not in stage.member.people.links:
                stage.link(peer, odd.one_of(0, 1))
            stage.hear(peer, odd.message(peer))
        case "wait":
            stage.wait(odd.one_of(1, 300, 1_100, 3_100))
        case "lose":
            stage.step(LinkDown(node(peer)))
        case "meet":
            stage.meet(peer, boots=odd.one_of(0, 1, 2))
        case "dial":
            dialled: list[Event] = [Reached(node(peer)), DialFailed(node(peer))]
            stage.step(odd.one_of(*dialled))
        case "average":
            if opened is not None and opened.open.node == node(stage.number):
                stage.averaged(ROOT)
        case "hold":
            stage.held(root)
        case "break":
            at_fault = odd.one_of(True, False)
            stage.step(Lost(odd.one_of(attempt, b"another"), node(peer), "its stream broke", at_fault))
        case "progress":
            stage.step(Progressed(odd.one_of(attempt, b"another")))
        case "fail":
            stage.step(FetchFailed(root, node(peer), "it is not there"))
        case "train":
            stage.step(TrainerAttached())
            steps = odd.one_of(10, 20, 30)
            if stage.chain.root == BASE:
                run = RunId(odd.one_of(b"r", b"s") * 16)
                stage.step(TrainerOffered(offer(stage.chain, run=run, last_step=steps)))
        case "stop training":
            stage.step(TrainerLeft("it finished"))
        case "stop":
            asked: list[Event] = [StopAsked(), LeaveAsked()]
            stage.step(odd.one_of(*asked))


AROUND = (
    "wait",
    "wait",
    "lose",
    "meet",
    "dial",
    "average",
    "hold",
    "break",
    "progress",
    "fail",
    "train",
    "stop training",
    "stop",
)


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.__name__)
def test_no_message_ends_a_member_or_makes_it_sign_twice(situation: Callable[[], Stage]) -> None:
    for seed in range(FIRST, BEYOND):
        stage = situation()
        odd = Odd(Random(seed), stage)
        try:
            for _ in range(MOVES):
                happen(stage, odd)
            stage.wait(700)
            stage.member.picture(stage.now_ms)
        except BaseException as why:
            why.add_note(f"seed {seed} of {situation.__name__}")
            raise
