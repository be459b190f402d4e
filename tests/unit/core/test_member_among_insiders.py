"""Does a member live with what insiders may send it, in bad faith or merely late?

Each test is one message or order of messages that a linked peer can bring about. No error may leave
`Member.step`, an honest peer may not pay for another's fault, and memory stays bounded.
"""

import pytest
from msgspec.structs import replace

from comind.crypto import statement
from comind.p2p.core import rotation
from comind.p2p.core.chain import Chain, genesis
from comind.p2p.core.door import UNKNOWN_DEADLINE_MS
from comind.p2p.core.effects import (
    Adopt,
    CallTrainer,
    Commit,
    Contribute,
    Dial,
    LinkDown,
    Lost,
    Promise,
    Promised,
    Send,
    TrainerAttached,
    TrainerOffered,
)
from comind.p2p.core.messages import (
    Addressbook,
    Admit,
    AskBlocks,
    Block,
    Blocks,
    Call,
    CanLead,
    Change,
    Committed,
    GiveVote,
    Greeting,
    Header,
    Join,
    Lock,
    Open,
    Propose,
    SignedHeader,
    TakeVote,
    ViewChanged,
    Voted,
)
from comind.p2p.core.phases import Phase
from comind.p2p.core.round import Round
from comind.p2p.core.signing import sign_join
from comind.p2p.core.wire import block_hash, pack, read
from comind.p2p.core.words import NetworkId, NodeId, RunId, Settings, View
from tests.unit.core.build import (
    BASE,
    FAR,
    LAYOUT,
    UNSIGNED,
    StubSigner,
    address,
    append,
    certified,
    copy_of,
    founded,
    greeting,
    heartbeat,
    incarnation,
    initial_block,
    lock,
    mean_block,
    name,
    node,
    nodes,
    offer,
    roster_block,
    signed_header,
    stub_verify,
    view_change,
    vote,
)
from tests.unit.core.stage import Stage

ROOT = b"\x01" * 32


def leading(chain: Chain, view: int = 0) -> int:
    """Return the number of the member that leads this view of the next height."""
    leads = rotation.chief(chain.roster, chain.network, chain.next, View(view))
    return int.from_bytes(leads[:2], "big")


def others(chain: Chain, *but: int) -> list[int]:
    members = [int.from_bytes(one[:2], "big") for one in chain.roster.nodes()]
    return [number for number in members if number not in but]


def as_chief(chain: Chain | None = None) -> Stage:
    """Return the chief of view 0, linked with all others, which train; its own trainer has offered."""
    chain = chain or founded(voters=3)
    stage = Stage(chain, leading(chain))
    stage.meet(*others(chain, stage.number))
    stage.train(run=RunId(b"own run........."))
    return stage


def as_follower(chain: Chain | None = None, trains: bool = True) -> Stage:
    """Return a voter that does not lead view 0."""
    chain = chain or founded(voters=3)
    stage = Stage(chain, others(chain, leading(chain))[0])
    stage.meet(*others(chain, stage.number))
    if trains:
        stage.train(run=RunId(b"own run........."))
    return stage


def averaging(stage: Stage) -> Open:
    """Let all others be ready too; return the OPEN of the member, which leads."""
    for number in others(stage.chain, stage.number):
        stage.hear(number, stage.ready(number))
    assert stage.member.round.phase is Phase.AVERAGING
    [opened] = stage.said(Open)
    return opened


# -- R5: calls ----------------------------------------------------------------------------------------------


def adaptive() -> Chain:
    return founded(voters=3, settings=Settings(door="adaptive"))


def test_r5_a_chief_calls_at_the_time_that_it_asked_to_be_woken_at() -> None:
    stage = as_chief(adaptive())
    began_ms = stage.now_ms
    first, second = others(stage.chain, stage.number)
    stage.hear(first, stage.ready(first))
    for number in (first, second) * 20:
        stage.wait(100)
        stage.beat(number)
        if stage.said(Call):
            break
    assert stage.said(Call) == [Call(height=1, view=0)]
    assert stage.now_ms - began_ms <= UNKNOWN_DEADLINE_MS // 2 + 100
    assert [send.to for send in stage.did(Send) if isinstance(send.message, Call)] == [nodes(second)]
    woken_ms = stage.now_ms
    while not stage.said(Open):
        assert stage.wake_at_ms is not None
        assert stage.wake_at_ms <= began_ms + UNKNOWN_DEADLINE_MS
        stage.wait(stage.wake_at_ms - stage.now_ms)
        for number in (first, second):
            stage.beat(number)
    assert woken_ms < stage.now_ms == began_ms + UNKNOWN_DEADLINE_MS


def test_r5_status_tells_how_long_an_adaptive_door_waits_at_most() -> None:
    """Its reason stays the same meanwhile, so that nobody is told anew of what has not changed."""
    stage = as_chief(adaptive())
    first, second = others(stage.chain, stage.number)
    assert stage.member.picture(stage.now_ms).opens_in_ms == UNKNOWN_DEADLINE_MS
    stage.hear(first, stage.ready(first))
    before = stage.member.picture(stage.now_ms)
    stage.now_ms += 1_200
    for number in (first, second):
        stage.beat(number)
    after = stage.member.picture(stage.now_ms)
    assert before.because == after.because == f"opens at its deadline, or when node-{second} is ready"
    assert after.opens_in_ms == UNKNOWN_DEADLINE_MS - 1_200
    stage.hear(second, stage.ready(second))
    assert stage.member.picture(stage.now_ms).opens_in_ms is None


def test_r5_a_member_hands_a_call_of_its_chief_to_its_trainer_once() -> None:
    stage = as_follower(adaptive(), trains=False)
    stage.step(TrainerAttached())
    chief = leading(stage.chain)
    for _ in range(2):
        stage.hear(chief, Call(height=1, view=0))
    assert stage.did(CallTrainer) == [CallTrainer()]
    assert stage.dropped == []


def test_r5_a_call_of_who_does_not_lead_or_at_a_door_for_all_is_an_offence() -> None:
    stage = as_follower(adaptive())
    chief = leading(stage.chain)
    another = next(one for one in others(stage.chain, chief) if one != stage.number)
    stage.hear(another, Call(height=1, view=0))
    assert stage.dropped == [(node(another), "a call of a node that does not lead")]
    waiting = as_follower()
    chief = leading(waiting.chain)
    waiting.hear(chief, Call(height=1, view=0))
    assert waiting.dropped == [(node(chief), "a call where the door waits for all")]


def test_r5_a_late_call_calls_nobody() -> None:
    stage = as_follower(adaptive(), trains=False)
    stage.step(TrainerAttached())
    for number in others(stage.chain, stage.number):
        stage.hear(number, stage.wants(number, 1))
    assert stage.member.round.view == 1
    stage.hear(leading(stage.chain), Call(height=1, view=0))
    assert stage.did(CallTrainer) == []
    assert stage.dropped == []


# -- a whole round, so that the stage itself is known to work -----------------------------------------------


def test_a_chief_and_its_puppets_commit_an_average() -> None:
    stage = as_chief()
    averaging(stage)
    stage.averaged(ROOT)
    [propose] = stage.said(Propose)
    first, second = others(stage.chain, stage.number)
    stage.hear(first, stage.vote(first, "prepare", propose.block))
    assert stage.member.round.phase is Phase.LOCKED
    stage.hear(second, stage.vote(second, "commit", propose.block))
    assert stage.chain.height == 1
    assert len(stage.did(Commit)) == 1
    [_, adopt] = stage.did(Adopt)
    assert (adopt.root, adopt.counted) == (ROOT, True)
    assert stage.dropped == []


# -- before the first block ---------------------------------------------------------------------------------


def joiner() -> Stage:
    stage = Stage(Chain(founded().network), 7)
    stage.link(1)
    stage.hear(1, greeting(1, height=0))
    return stage


@pytest.mark.parametrize("kind", ["open", "propose"])
def test_a_joiner_without_a_chain_lives_with_a_chief_of_nothing(kind: str) -> None:
    """Found: at height 0 nobody leads, and `view % 0` ends the process."""
    stage = joiner()
    header = signed_header(founded(), node(1), height=0)
    message = stage.open(1, [header]) if kind == "open" else stage.propose(1, b"block")
    stage.hear(1, message)
    assert stage.dropped


def test_a_joiner_lives_with_votes_headers_and_views_of_nothing() -> None:
    for spoil in ("vote", "ready", "change", "committed"):
        stage = joiner()
        match spoil:
            case "vote":
                stage.hear(1, stage.vote(1, "commit", b"block"))
            case "ready":
                stage.hear(1, stage.ready(1))
            case "change":
                stage.hear(1, stage.wants(1, 1))
            case "committed":
                stage.hear(1, certified(stage.chain, roster_block(founded(), [], height=0), ()))
        assert stage.dropped, spoil


def test_a_joiner_of_a_network_whose_genesis_admits_nobody_lives() -> None:
    """Found: with nobody on the roster `view % 0` ends the process at every start, from its own disk."""
    wire = genesis(node(0), "net", (), Settings(), "founder")
    empty = pack(replace(read(Block, wire), changes=()))
    stage = Stage(Chain(NetworkId(block_hash(empty))), 7)
    stage.link(1)
    stage.hear(1, greeting(1))
    chain = Chain(stage.chain.network)
    stage.hear(1, Blocks((certified(chain, read(Block, empty), ()),)))
    stage.wait(5_000)


# -- R16: one run, two members ------------------------------------------------------------------------------


def test_r16_two_members_that_announce_one_run_do_not_end_their_chief() -> None:
    """Found: both restored one checkpoint; the OPEN holds both, and the chief's block counts a run twice."""
    stage = as_chief()
    first, second = others(stage.chain, stage.number)
    stage.hear(first, stage.ready(first, run=b"one checkpoint!!"))
    stage.hear(second, stage.ready(second, run=b"one checkpoint!!"))
    if stage.member.round.opened is not None:
        stage.averaged(ROOT)
    assert stage.dropped == []


def test_r16_a_member_that_copies_the_chiefs_run_does_not_end_it() -> None:
    stage = as_chief()
    first, second = others(stage.chain, stage.number)
    stage.hear(first, stage.ready(first, run=b"own run........."))
    stage.hear(second, stage.ready(second))
    if stage.member.round.opened is not None:
        stage.averaged(ROOT)


# -- R15: the first base ------------------------------------------------------------------------------------


def test_r15_starting_weights_with_another_layout_do_not_end_their_chief() -> None:
    """Found: the chief makes its block of the layout that came, and its own check refuses it."""
    chain = founded(base=None)
    stage = Stage(chain, leading(chain))
    stage.meet(*others(chain, stage.number))
    first, _ = others(chain, stage.number)
    stage.hear(first, stage.ready(first, layout=b"another layout"))
    if stage.member.round.opened is not None:
        stage.averaged(BASE)


def test_r15_a_header_that_was_first_seen_in_an_open_does_not_end_the_next_chief() -> None:
    """Found: an OPEN shows no layout, and what the member sends after it "says nothing new".

    Nobody lies: the chief of view 0 opens and dies, the next one has seen the header in its OPEN alone.
    """
    chain = founded(base=None)
    dies, leads = leading(chain), leading(chain, 1)
    [offers] = others(chain, dies, leads)
    stage = Stage(chain, leads)
    stage.meet(*others(chain, leads))
    stage.hear(dies, stage.open(dies, [signed_header(chain, node(offers))]))
    stage.hear(offers, stage.wants(offers, 1))
    stage.step(LinkDown(node(dies)))
    stage.wait(1_500)
    assert stage.member.round.view == 1
    stage.hear(offers, stage.ready(offers, layout=LAYOUT))
    assert stage.member.round.opened is not None
    stage.averaged(BASE)
    [propose] = stage.said(Propose)
    assert read(Block, propose.block).layout == LAYOUT


def test_r15_an_open_without_its_layout_is_not_proposed_before_the_layout_is_here() -> None:
    """The same, but that the layout never comes: the chief goes no further and says so, or opens nothing."""
    chain = founded(base=None)
    dies, leads = leading(chain), leading(chain, 1)
    [offers] = others(chain, dies, leads)
    stage = Stage(chain, leads)
    stage.meet(*others(chain, leads))
    stage.hear(dies, stage.open(dies, [signed_header(chain, node(offers))]))
    stage.hear(offers, stage.wants(offers, 1))
    stage.step(LinkDown(node(dies)))
    stage.wait(1_500)
    if stage.member.round.opened is not None:
        stage.averaged(BASE)
    assert stage.said(Propose) == []


# -- R13: locks ---------------------------------------------------------------------------------------------


def founder_alone() -> tuple[Stage, int]:
    """Return who leads view 1 of a network in which node(0) is the only voter, and somebody else leads."""
    for seed in range(50):
        chain = founded(voters=1, witnesses=2, settings=Settings(round_limit_ms=10_000 + seed))
        if (leads := leading(chain, 1)) != 0:
            stage = Stage(chain, leads)
            stage.meet(*others(chain, leads))
            return stage, leads
    raise AssertionError


@pytest.mark.parametrize("block", ["no block", "a block that cannot come next"])
def test_r13_a_lock_on_what_is_no_valid_block_does_not_end_the_next_chief(block: str) -> None:
    """Found: a quorum's PREPAREs are checked, but not what they are for; the next chief proposes it again."""
    stage, _ = founder_alone()
    wire = b"no block" if block == "no block" else pack(roster_block(stage.chain, [], previous=bytes(32)))
    stage.hear(0, stage.wants(0, 1, lock(stage.chain, wire)))
    stage.wait(3_000)
    assert stage.said(Propose) == []


def test_r13_a_view_far_away_costs_no_more_than_a_near_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found: whom a chief skipped is counted view by view, also where a quorum went to view 2^62."""
    stage, _ = founder_alone()
    turns = 0
    chief_of = Round.chief_of

    def counting(round: Round, view: View) -> NodeId:
        nonlocal turns
        turns += 1
        assert turns < 5_000, "it goes through every view"
        return chief_of(round, view)

    monkeypatch.setattr(Round, "chief_of", counting)
    far = 3 * (1 << 40) + 1
    stage.hear(0, stage.wants(0, far))
    stage.wait(1_000)


# -- who pays for a fault -----------------------------------------------------------------------------------


def test_s7_who_shows_two_members_two_headers_costs_the_honest_chief_no_link() -> None:
    """Found: an OPEN with the other one of a contributor's two headers costs its chief the link."""
    stage = as_follower()
    leads = leading(stage.chain)
    [twofold] = others(stage.chain, stage.number, leads)
    shown_here = stage.ready(twofold, weight=1)
    shown_there = stage.ready(twofold, weight=2)
    stage.hear(twofold, shown_here)
    own = stage.member.desk.ready()
    assert own is not None
    by_node = {node(twofold): shown_there.header, node(stage.number): own.header}
    by_node[node(leads)] = stage.ready(leads).header
    stage.hear(leads, stage.open(leads, [by_node[one] for one in stage.chain.roster.nodes()]))
    assert node(leads) not in [peer for peer, _ in stage.dropped]


def test_r4_a_header_is_announced_by_whom_it_is_of() -> None:
    stage = as_chief()
    first, second = others(stage.chain, stage.number)
    stage.hear(first, stage.ready(second))
    assert stage.dropped == [(node(first), "a header of somebody else")]


@pytest.mark.parametrize("boots", [0, 1])
def test_r14_a_late_open_of_an_earlier_incarnation_costs_no_link(boots: int) -> None:
    """What came over the link before and is heard after the new greeting is late: ordinary, no error."""
    stage = as_follower()
    leads = leading(stage.chain)
    own = stage.member.desk.ready()
    assert own is not None
    headers = {node(number): stage.ready(number).header for number in others(stage.chain, stage.number)}
    headers[node(stage.number)] = own.header
    stage.meet(leads, boots=1)
    late = stage.open(
        leads,
        [headers[one] for one in stage.chain.roster.nodes()],
        incarnation=incarnation(boots),
    )
    stage.hear(leads, late)
    assert stage.dropped == []


def test_a_peer_that_misbehaved_is_dropped_with_the_reason_and_not_heard_any_more() -> None:
    stage = as_follower()
    bad, good = others(stage.chain, stage.number)
    stage.hear(bad, Voted(replace(vote(stage.chain, "prepare", node(bad), b"x"), signature=UNSIGNED)))
    assert stage.dropped == [(node(bad), "a forged vote")]
    assert stage.hear(bad, AskBlocks(0)) == stage.hear(bad, AskBlocks(0))
    assert node(bad) not in stage.member.people.links
    assert node(good) in stage.member.people.links
    stage.meet(bad)
    assert node(bad) in stage.member.people.links


def test_nobody_is_heard_without_a_link() -> None:
    stage = as_follower()
    stage.hear(55, AskBlocks(0))
    assert not [send for send in stage.did(Send) if node(55) in send.to]


def test_r6_who_announces_and_never_delivers_is_left_out_when_the_same_chief_leads_again() -> None:
    """Else one member whose stream breaks each time, or who means it, ends every view of every chief."""
    stage = as_chief(founded(voters=4))
    averaging(stage)
    missing, *rest = others(stage.chain, stage.number)
    opened = stage.member.round.opened
    assert opened is not None
    stage.step(Lost(opened.hash, node(missing), "its stream broke"))
    for number in (missing, *rest):
        stage.hear(number, stage.wants(number, 4))
    assert (stage.member.round.view, stage.chief) == (4, stage.number)
    for number in (missing, *rest):
        stage.beat(number, view=4)
    again = stage.said(Open)[-1]
    assert again.view == 4
    assert node(missing) not in [read(Header, signed.header).node for signed in again.headers]


# -- far away -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("height", [FAR, FAR - 1, 3, 2])
def test_messages_of_heights_far_away_are_a_reason_to_catch_up_and_no_more(height: int) -> None:
    stage = as_follower()
    peer, other = others(stage.chain, stage.number)
    stage.hear(peer, Voted(vote(stage.chain, "commit", node(peer), b"x", height=height)))
    stage.hear(peer, ViewChanged(view_change(stage.chain, node(peer), 1, height=height)))
    stage.hear(peer, stage.ready(peer, height=height))
    stage.hear(peer, stage.propose(peer, b"block", height=height))
    stage.hear(other, heartbeat(height=height))
    stage.hear(other, greeting(other, height=height))
    stage.hear(other, AskBlocks(height))
    stage.hear(
        other,
        Committed(
            b"block", replace(certified(stage.chain, roster_block(stage.chain)).certificate, height=height)
        ),
    )
    stage.wait(2_000)
    assert stage.dropped == []
    assert stage.said(AskBlocks)


def test_a_member_that_claims_a_height_that_it_has_not_keeps_no_other_from_being_asked() -> None:
    """Found: whoever says the highest height is asked, and asked again, though it never answers."""
    ahead = append(founded(voters=3), roster_block(founded(voters=3), [CanLead(node(1), can_lead=False)]))
    stage = Stage(founded(voters=3), 0)
    stage.meet(1, 2)
    for _ in range(30):
        stage.beat(1, height=2)
        stage.beat(2, height=FAR)
        before = len(stage.done)
        stage.wait(300)
        for action in stage.done[before:]:
            match action:
                case Send(to=to, message=AskBlocks(first=first)) if to == nodes(1):
                    stage.hear(1, Blocks(tuple(ahead.committed[first:])))
    assert stage.chain.height == 1


def test_r14_a_voter_that_claims_a_height_that_it_has_not_silences_nobody_for_ever() -> None:
    """Found: a member that starts "catches up" with whoever lies about its height, and never votes."""
    stage = Stage(founded(voters=3), 0)
    stage.meet(1)
    stage.link(2)
    stage.hear(2, greeting(2, height=FAR))
    stage.hear(2, heartbeat(height=FAR))
    for _ in range(60):
        stage.wait(1_000)
        stage.beat(1)
        stage.hear(2, heartbeat(height=FAR))
        stage.hear(2, Blocks(()))
    assert stage.member.round.may_promise()


# -- R14 ----------------------------------------------------------------------------------------------------


def test_r14_a_greeting_tells_what_was_seen_in_votes_too() -> None:
    """Whose disk comes back from a backup must be told of its last promise, not of that of its greeting."""
    stage = as_follower()
    peer = others(stage.chain, stage.number)[0]
    stage.hear(peer, stage.vote(peer, "prepare", b"block", promise=41))
    stage.hear(peer, stage.wants(peer, 1, promise=42))
    stage.link(peer, boots=1)
    last = stage.said(Greeting)[-1]
    assert (last.seen_incarnation, last.seen_promise) == (incarnation(0), 42)


def test_r14_a_restored_voter_promises_nothing_also_when_it_loses_a_contribution() -> None:
    """Found: a chief that learns of it after its OPEN still promises a view when a stream breaks."""
    stage = as_chief()
    averaging(stage)
    first, second = others(stage.chain, stage.number)
    stage.link(first)
    stage.hear(first, greeting(first, seen_incarnation=FAR, seen_promise=9))
    before = len(stage.did(Promise))
    opened = stage.member.round.opened
    assert opened is not None
    stage.step(Lost(opened.hash, node(second), "its stream broke"))
    stage.wait(5_000)
    assert len(stage.did(Promise)) == before


def test_r14_what_was_prepared_before_a_restart_is_no_vote_in_the_view_that_was_joined_after_it() -> None:
    """Found: what binds is said again in the view that was meanwhile joined, not in the one it was said in.

    It PREPAREd a block in view 0 and crashed. Before a quorum has greeted it, the chief of view 1 proposes
    another block with a NEWVIEW: that one is what it may vote for in view 1 (R9).
    """
    chain = founded(voters=5)
    leads = leading(chain, 1)
    own = others(chain, leading(chain), leads)[0]
    before = pack(roster_block(chain, [CanLead(node(4), can_lead=False)], by=node(leading(chain))))
    prepared = vote(chain, "prepare", node(own), before, promise=3)
    record = Promised(height=1, view=0, count=3, prepared=prepared, block=before)
    stage = Stage(chain, own, record, incarnation=incarnation(1))
    for number in others(chain, own):
        stage.link(number)
    quorum = others(chain, own)[:3]
    new_view = tuple(view_change(chain, node(number), 1) for number in quorum)
    after = pack(roster_block(chain, [CanLead(node(3), can_lead=False)], by=node(leads)))
    stage.hear(leads, stage.propose(leads, after, view=1, new_view=new_view))
    assert stage.dropped == []
    stage.meet(*others(chain, own))
    stage.wait(900)
    in_view_1 = [one for one in stage.votes("prepare") if one.view == 1]
    assert [one.block for one in in_view_1] == [block_hash(after)]


def test_r14_a_restored_voter_votes_again_when_a_block_gives_this_incarnation_its_vote() -> None:
    """Found: what came back from a backup abstains for as long as it runs, whatever the chain says."""
    chain = founded(voters=4, settings=Settings(passive_after=1))
    stage = Stage(chain, 0)
    stage.link(1)
    stage.hear(1, greeting(1, seen_incarnation=1, seen_promise=9))
    stage.meet(2, 3)
    assert not stage.member.round.may_promise()
    ahead = copy_of(chain)
    news: list[tuple[Change, tuple[bytes, ...]]] = [
        (CanLead(node(1), can_lead=False), nodes(1, 2, 3)),
        (TakeVote(node(0), "its disk was restored"), nodes(0, 1, 2, 3)),
        (CanLead(node(2), can_lead=False), nodes(0, 1, 2, 3)),
        (CanLead(node(3), can_lead=False), nodes(0, 1, 2, 3)),
        (GiveVote(node(0), incarnation(0)), nodes(0, 1, 2, 3)),
    ]
    for change, present in news:
        append(ahead, roster_block(ahead, [change], by=node(1), present=present))
    stage.hear(1, Blocks(tuple(ahead.committed[1:])))
    assert (stage.chain.height, stage.member.here.is_voter) == (5, True)
    stage.meet(1, 2, 3)
    stage.wait(2_000)
    assert stage.member.round.may_promise()


def test_r14_a_restored_voter_abstains_though_a_block_gives_another_incarnation_the_vote() -> None:
    chain = founded(voters=3)
    stage = Stage(chain, 0)
    stage.link(1)
    stage.hear(1, greeting(1, seen_incarnation=1, seen_promise=9))
    stage.meet(2)
    stage.wait(2_000)
    assert not stage.member.round.may_promise()
    assert stage.did(Promise) == []


@pytest.mark.parametrize("number", [1, 9])
def test_r14_only_a_member_can_tell_that_a_disk_was_restored(number: int) -> None:
    stage = Stage(founded(voters=3), 0)
    stage.link(number)
    stage.hear(number, greeting(number, seen_incarnation=FAR, seen_promise=FAR))
    assert stage.member.pledges.restored == (number == 1)


# -- memory -------------------------------------------------------------------------------------------------


def kept_bytes(stage: Stage) -> int:
    """Return how many bytes of others' messages the member keeps for later."""
    later = stage.member._later
    kept = later.take()
    for peer, message in kept:
        later.keep(peer, message)
    return sum(len(pack(message)) for _, message in kept)


def test_what_is_kept_for_later_of_a_peer_goes_with_its_link() -> None:
    """Found: who links, fills its box and leaves, again and again under new names, fills the memory."""
    stage = as_follower()
    chain = stage.chain
    great = pack(roster_block(chain, [], metrics={}, layout=bytes(1 << 18)))
    for number in range(100, 130):
        stage.link(number)
        for _ in range(4):
            stage.hear(number, stage.propose(number, great, height=2))
        stage.step(LinkDown(node(number)))
    assert kept_bytes(stage) < 4 << 20


def test_what_is_kept_for_later_of_one_peer_is_bounded_in_bytes() -> None:
    """Found: 32 messages of 4 MiB each are 128 MiB for every peer, of heights that nobody may ever reach."""
    stage = as_follower()
    peer = others(stage.chain, stage.number)[0]
    great = bytes(1 << 20)
    held = Lock(view=0, block=great, prepares=())
    change = view_change(stage.chain, node(peer), 1, held, height=2)
    for promise in range(64):
        message = stage.propose(peer, great, height=2 + promise, new_view=(change, change))
        stage.hear(peer, message)
    assert kept_bytes(stage) <= 32 << 20


def test_an_addressbook_full_of_strangers_makes_a_bounded_number_of_dials() -> None:
    stage = as_follower()
    peer = others(stage.chain, stage.number)[0]
    for start in range(0, 4_000, 1_000):
        entries = tuple((node(10_000 + start + one), address(1)) for one in range(1_000))
        stage.hear(peer, Addressbook(entries))
    assert len(stage.did(Dial)) <= 2 + 64


def test_what_a_node_said_of_itself_is_not_overwritten_by_what_others_say_of_it() -> None:
    """Found: a book that is out of date, or false, sends everybody's dials of a joiner elsewhere."""
    stage = as_follower()
    peer = others(stage.chain, stage.number)[0]
    stage.link(9)
    stage.hear(9, greeting(9, addresses=address(9)))
    stage.hear(peer, Addressbook(((node(9), address(66)),)))
    dials = [dial for dial in stage.did(Dial) if dial.peer == node(9)]
    assert [dial.addresses for dial in dials] == [address(9)]


def test_a_heartbeat_is_heard_without_ranking_the_whole_roster_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found: each of n heartbeats hashes n ids, three times over: 100 members fill a core by being there."""
    stage = Stage(founded(voters=3, witnesses=97), 0)
    stage.meet(*others(stage.chain, 0))
    turns = 0
    digest = statement.digest

    def counting(domain: str, *fields: bytes | int | str) -> bytes:
        nonlocal turns
        turns += 1
        return digest(domain, *fields)

    monkeypatch.setattr(rotation, "digest", counting)
    for number in range(1, 21):
        stage.beat(number)
    assert turns <= 500


# -- one's own trainer --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"weight": 1 << 53},
        {"weight": FAR},
        {"size": FAR},
        {"last_step": FAR},
        {"layout": b"another layout"},
        {"metrics": {"loss": float("nan")}},
    ],
)
@pytest.mark.parametrize("based", [True, False])
def test_an_odd_offer_of_ones_own_trainer_ends_nothing(fields: dict[str, object], based: bool) -> None:
    chain = founded(voters=1, settings=Settings(min_peers=1)) if based else founded(voters=1, base=None)
    stage = Stage(chain, 0)
    stage.step(TrainerAttached())
    stage.step(TrainerOffered(offer(chain, **fields)))
    if stage.member.round.opened is not None:
        stage.averaged(ROOT)
    stage.wait(500)


def test_starting_weights_of_a_trainer_that_has_trained_before_end_nothing() -> None:
    """It was restored at step 500, and is the first to attach to a network without a base."""
    chain = founded(voters=1, base=None)
    stage = Stage(chain, 0)
    stage.step(TrainerAttached())
    stage.step(TrainerOffered(offer(chain, first_step=500, last_step=500)))
    stage.wait(500)


# -- what was kept for the next height ----------------------------------------------------------------------


def test_a_bad_message_for_the_next_height_ends_nothing_when_its_time_comes() -> None:
    stage = as_follower(founded(voters=3))
    peer, other = others(stage.chain, stage.number)
    chain = copy_of(stage.chain)
    block = mean_block(chain, nodes(0, 1, 2))
    committed = certified(chain, block)
    append(chain, block)
    bad = SignedHeader(b"\xc0", UNSIGNED)
    for message in (
        Voted(replace(vote(chain, "prepare", node(peer), b"x"), signature=UNSIGNED)),
        ViewChanged(replace(view_change(chain, node(peer), 1), signature=UNSIGNED)),
        Propose(2, 0, b"x", (), node(peer), incarnation(0), UNSIGNED),
        Open(2, 0, 0, block.rule, (bad,), ((node(peer), 0, 4),), "float32", 4, (), node(peer), 0, UNSIGNED),
    ):
        stage.hear(peer, message)
    stage.hear(other, committed)
    assert stage.chain.height == 1
    stage.wait(300)


def test_a_contribution_is_given_to_the_averager_once() -> None:
    stage = as_follower()
    leads = leading(stage.chain)
    own = stage.member.desk.ready()
    assert own is not None
    headers = {node(number): stage.ready(number).header for number in others(stage.chain, stage.number)}
    headers[node(stage.number)] = own.header
    opened = stage.open(leads, [headers[one] for one in stage.chain.roster.nodes()])
    for _ in range(3):
        stage.hear(leads, opened)
    assert len(stage.did(Contribute)) == 1
    assert stage.dropped == []


def test_r2_a_block_with_a_joiner_is_proposed_and_taken() -> None:
    chain = founded(voters=3)
    stage = Stage(chain, leading(chain))
    first, second = others(chain, stage.number)
    stage.meet(first, second, 9, training=False)
    join = Join(node(9), name(9), (), incarnation(0), True, UNSIGNED)
    stage.hear(first, sign_join(StubSigner(node(9)), chain.network, join))
    [propose] = stage.said(Propose)
    assert read(Block, propose.block).changes == (Admit(node(9), name(9), (), can_lead=False),)
    for number in (first, second):
        stage.hear(number, stage.vote(number, "prepare", propose.block))
        stage.hear(number, stage.vote(number, "commit", propose.block))
    assert node(9) in stage.chain.roster
    assert stage.member.here.verify(node(9), b"x", StubSigner(node(9)).sign(b"x"))
    assert stub_verify(node(9), b"x", StubSigner(node(9)).sign(b"x"))


def test_r15_a_first_base_of_another_is_followed() -> None:
    chain = founded(base=None)
    stage = as_follower(chain, trains=False)
    leads = leading(chain)
    block = initial_block(stage.chain, node(leads), originator=node(leads))
    stage.hear(leads, stage.open(leads, block.headers))
    stage.held(BASE)
    stage.hear(leads, stage.propose(leads, block))
    assert [one.block for one in stage.votes("prepare")] == [block_hash(pack(block))]
    assert stage.dropped == []
