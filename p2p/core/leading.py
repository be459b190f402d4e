"""What does the chief of a view do next? (R6, R8, R13, R15)

It opens the round, proposes its block, re-proposes what a lock binds it to, or proposes roster changes alone.
Knows nothing of how others vote.
"""

from msgspec.structs import replace

from comind.p2p.core import door
from comind.p2p.core.effects import Lost, OpenHash
from comind.p2p.core.messages import Block, Call, NewView, Open, Propose
from comind.p2p.core.minutes import absentees, is_urgent, mean_metrics, roster_changes
from comind.p2p.core.phases import Phase
from comind.p2p.core.round import Round
from comind.p2p.core.signing import sign_open, sign_propose
from comind.p2p.core.succession import Choice
from comind.p2p.core.validity import MAX_ATTEMPT
from comind.p2p.core.wire import block_hash, pack, read
from comind.p2p.core.words import NO_ROOT, NodeId, Root, Rule, View

_UNSIGNED = bytes(64)


def lead(round: Round) -> None:
    """Do what this member, if it leads the present view, can do now."""
    here = round.here
    if round.chief != here.me.node or round.phase == Phase.CHANGING or round.proposed is not None:
        return
    if why_not_leading(round):
        return
    if round.opened is not None:
        return
    if round.view == 0:
        _begin(round, ())
        return
    for choice in round.succession.choices(round.view, here.chain.roster):
        if choice.lock is None:
            _begin(round, choice.new_view)
            return
        if _repropose(round, choice):
            return


def on_averaged(round: Round, name: OpenHash, root: Root) -> None:
    """The average of one's own OPEN is whole: propose it (R8)."""
    opened = round.opened
    if opened is None or opened.hash != name or opened.open.node != round.here.me.node or round.proposed:
        return
    if round.cannot_lead or round.phase == Phase.CHANGING:
        return
    open = opened.open
    headers = tuple(round.here.chain.check_header(one, round.here.verify) for one in open.headers)
    counted = frozenset(header.node for header in headers)
    layout = b""
    if open.rule == Rule.INITIAL:
        layout = round.gathering.announced[NodeId(headers[0].node)].layout
    block = replace(
        _roster_block(round),
        rule=open.rule,
        headers=open.headers,
        root=root,
        size=open.size,
        layout=layout,
        metrics=mean_metrics(headers),
        absentees=absentees(round.here, round.people, counted, round.gathering.reasons()),
    )
    _propose(round, pack(block), open.new_view)


def on_lost(round: Round, lost: Lost) -> None:
    """A contribution to one's own OPEN will not come: open again without it, or leave the view (R6)."""
    opened, here = round.opened, round.here
    if opened is None or opened.hash != lost.open or opened.open.node != here.me.node or round.proposed:
        return
    next_turn = None if lost.at_fault else View(round.view + len(round.order))
    round.gathering.refuse(lost.peer, lost.because, upto=next_turn)
    name = here.name(lost.peer)
    because = f"lost the contribution of {name}: {lost.because}"[:400]
    here.note(because)
    left = round.gathering.left_of(opened.open.headers)
    averager_failed = lost.peer == here.me.node and not lost.at_fault
    enough = len(left) >= (here.settings.min_peers if opened.open.rule == Rule.MEAN else 1)
    if opened.open.attempt < MAX_ATTEMPT and enough and not averager_failed and not why_not_leading(round):
        _open(round, left, opened.open.new_view, opened.open.attempt + 1)
        return
    round.cannot_lead = because
    if round.may_promise():
        round.give_up(because)


def why_not_leading(round: Round) -> str:
    """Say why this member, as the chief, goes no further now; empty if it does."""
    if round.cannot_lead:
        return round.cannot_lead
    if round.people.stopping:
        return "it stops"
    if round.here.is_voter and (because := round.why_abstaining()):
        return because
    root = round.here.chain.root
    return "it fetches the base" if root != NO_ROOT and root not in round.here.held else ""


def is_due(round: Round) -> bool:
    """Whether, as far as this member sees, the chief could OPEN or propose now: its door waits no more."""
    if round.phase != Phase.GATHERING:
        return False
    return isinstance(door_says(round), door.Open) or _changes_are_due(round)


def asks_again_ms(round: Round) -> int | None:
    """Return when the door wants to be asked again, if nothing happens before (R5)."""
    if round.phase != Phase.GATHERING:
        return None
    decision = door_says(round)
    return None if isinstance(decision, door.Open) else decision.ask_again_ms


def door_says(round: Round) -> door.Decision:
    """Return what the door says: to its chief, or at the latest to the chief, as far as others see."""
    leads = round.chief == round.here.me.node
    return round.gathering.decide() if leads else round.gathering.decide(round.gathering_ms)


def _begin(round: Round, new_view: NewView) -> None:
    decision = round.gathering.decide()
    if isinstance(decision, door.Call):
        _call(round, decision)
    if isinstance(decision, door.Open):
        _open(round, decision.contributors, new_view)
    elif _changes_are_due(round):
        _propose(round, pack(_roster_block(round)), new_view)


def _call(round: Round, decision: door.Call) -> None:
    """R5: ask those on their way, each once, to contribute at their next step."""
    here = round.here
    new = round.gathering.call(decision.whom)
    if not new:
        return
    here.note(f"calls {here.list_names(new)}: the door opens soon")
    here.send(new, Call(height=here.chain.next, view=round.view))
    if here.me.node in new:
        round.desk.call()


def _changes_are_due(round: Round) -> bool:
    """R15: roster changes alone may be proposed while no READY is held, or no average may open."""
    if round.gathering.announced and round.gathering.why_no_average() is None:
        return False
    return any(is_urgent(change) for change in roster_changes(round.here, round.people, round.skipped()))


def _open(round: Round, contributors: tuple[NodeId, ...], new_view: NewView, attempt: int = 0) -> None:
    here = round.here
    first = round.gathering.announced[contributors[0]].header
    initial = here.chain.root == NO_ROOT
    open = sign_open(
        here.signer,
        here.network,
        Open(
            height=here.chain.next,
            view=round.view,
            attempt=attempt,
            rule=Rule.INITIAL if initial else Rule.MEAN,
            headers=round.gathering.headers_of(contributors),
            averagers=((here.me.node, 0, first.size),),
            codec=here.settings.codec,
            size=first.size,
            new_view=new_view,
            node=here.me.node,
            incarnation=here.me.incarnation,
            signature=_UNSIGNED,
        ),
    )
    here.send(here.chain.roster.nodes(), open)
    round.on_open(here.me.node, open)


def _repropose(round: Round, choice: Choice) -> bool:
    """Propose the highest lock again, if its bytes are here; else have them fetched (R13)."""
    assert choice.lock is not None
    block = read(Block, choice.lock.block)
    if not round.holds(block):
        round.wanted = (Root(block.root), block.size)
        return False
    _propose(round, choice.lock.block, choice.new_view)
    return True


def _roster_block(round: Round) -> Block:
    """Return a block that carries roster changes alone and keeps the base (R15)."""
    here = round.here
    skipped = round.skipped()
    return Block(
        network=here.network,
        height=here.chain.next,
        previous=here.chain.head,
        originator=here.me.node,
        rule=Rule.ROSTER,
        codec=here.settings.codec,
        headers=(),
        root=here.chain.root,
        size=here.chain.size,
        changes=roster_changes(here, round.people, skipped),
        skipped=here.chain.roster.in_order(skipped),
        present=round.people.present(),
        metrics={},
        arrivals=round.gathering.arrivals(),
        duration_ms=0 if round.phase == Phase.IDLE else max(0, here.now_ms - round.began_ms),
        absentees=(),
    )


def _propose(round: Round, block: bytes, new_view: NewView) -> None:
    here = round.here
    propose = sign_propose(
        here.signer,
        here.network,
        Propose(
            height=here.chain.next,
            view=round.view,
            block=block,
            new_view=new_view,
            node=here.me.node,
            incarnation=here.me.incarnation,
            signature=_UNSIGNED,
        ),
    )
    here.note(
        f"proposes {read(Block, block).rule} {block_hash(block).hex()[:8]} for height {here.chain.next}"
    )
    here.send(here.chain.roster.nodes(), propose)
    round.on_propose(here.me.node, propose)
