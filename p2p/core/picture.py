"""What does a member look like from outside? (`comind status`, the live view)

A frozen picture in plain values; knows nothing of how it is shown.
"""

from dataclasses import dataclass

from comind.p2p.core.desk import Desk
from comind.p2p.core.discovery import Discovery
from comind.p2p.core.here import Here
from comind.p2p.core.messages import Block, Header
from comind.p2p.core.phases import Phase
from comind.p2p.core.rotation import chief
from comind.p2p.core.round import Round
from comind.p2p.core.waiting import opens_in_ms
from comind.p2p.core.wire import read
from comind.p2p.core.words import NO_ROOT, Height, NodeId, Root, Rule, Settings, View

ROUNDS_SHOWN = 16


@dataclass(frozen=True, slots=True)
class MemberPicture:
    node: NodeId
    name: str
    addresses: tuple[str, ...]
    state: str
    """training, ready, witness, away, silent or joining."""
    voter: bool
    can_lead: bool
    me: bool
    heard_ms_ago: int | None
    rounds_led: int
    counted: int


@dataclass(frozen=True, slots=True)
class RoundPicture:
    """One committed round; `round` is the number of averages up to it."""

    height: Height
    round: int
    rule: Rule
    view: int
    chief: NodeId
    chief_name: str
    contributors: tuple[tuple[NodeId, str, int], ...]
    absent: tuple[tuple[NodeId, str, str], ...]
    duration_ms: int
    metrics: dict[str, float]
    root: Root


@dataclass(frozen=True, slots=True)
class Picture:
    network: str
    height: int
    """Of the last committed block; -1 before the first."""
    round: int
    rounds: int
    view: View
    root: Root
    """The base's; zeros while there is none."""
    chief: NodeId | None
    chief_name: str
    next_chief: NodeId | None
    """Who leads the height after this one, if the present chief leads this one."""
    next_chief_name: str
    phase: Phase
    because: str
    since_ms: int
    opens_in_ms: int | None
    """How long the door waits at most, where it has a deadline."""
    trainer: str
    """none, training or ready."""
    members: tuple[MemberPicture, ...]
    settings: Settings
    layout: bytes
    last_rounds: tuple[RoundPicture, ...]
    parent: bytes
    """Id of the network that this one goes on from (R18); empty: none."""
    quorum: bool
    """Whether enough voters for a quorum are heard from, of whom this one may vote."""
    paused: str
    """By whom and why; empty while it is not."""
    at_the_door: tuple[tuple[NodeId, str], ...]
    """Who gets no link, and why."""
    decisions: tuple[tuple[Height, str], ...]
    """The newest decisions of operators, oldest first."""


def draw(here: Here, people: Discovery, round: Round, desk: Desk, because: str, since_ms: int) -> Picture:
    """Return how a member stands now; `because` and `since_ms`: what it waits for, and since when."""
    chain = here.chain
    now, after = _chiefs(here, round)
    return Picture(
        network=chain.name,
        height=chain.height,
        round=chain.round,
        rounds=chain.settings.rounds,
        view=round.view,
        root=chain.root,
        chief=now,
        chief_name=here.name(now) if now else "",
        next_chief=after,
        next_chief_name=here.name(after) if after else "",
        phase=round.phase,
        because=because,
        since_ms=here.now_ms - since_ms,
        opens_in_ms=opens_in_ms(here, round),
        trainer="none" if not people.trains else "ready" if desk.offer is not None else "training",
        members=_members(here, people, desk),
        settings=chain.settings,
        layout=chain.layout,
        last_rounds=_last_rounds(here),
        parent=b"" if chain.parent is None else chain.parent.network,
        quorum=_hears_quorum(here, people, round),
        paused=str(chain.standing.paused or ""),
        at_the_door=people.at_the_door(),
        decisions=tuple(chain.decisions),
    )


def _hears_quorum(here: Here, people: Discovery, round: Round) -> bool:
    heard = {node for node in here.chain.roster.voters() if people.is_heard(node)}
    if round.pledges.restored:
        heard.discard(here.me.node)
    return here.chain.roster.is_quorum(frozenset(heard))


def _chiefs(here: Here, round: Round) -> tuple[NodeId | None, NodeId | None]:
    chain = here.chain
    if not chain.roster.entries:
        return None, None
    now = round.chief
    roster = chain.roster
    if chain.root != NO_ROOT:
        roster = roster.with_average(chain.next, now, frozenset())
    return now, chief(roster, chain.network, Height(chain.next + 1), View(0))


def _members(here: Here, people: Discovery, desk: Desk) -> tuple[MemberPicture, ...]:
    lines = []
    for entry in here.chain.roster:
        link = people.links.get(entry.node)
        mine = entry.node == here.me.node
        lines.append(
            MemberPicture(
                node=entry.node,
                name=entry.name,
                addresses=entry.addresses,
                state=_state(here, people, desk, entry.node),
                voter=entry.voter,
                can_lead=entry.can_lead,
                me=mine,
                heard_ms_ago=0 if mine else None if link is None else here.now_ms - link.heard_ms,
                rounds_led=entry.led,
                counted=entry.counted,
            )
        )
    for node, (join, _) in sorted(people.joins.items()):
        heard = people.links.get(node)
        ago = None if heard is None else here.now_ms - heard.heard_ms
        lines.append(
            MemberPicture(node, join.name, join.addresses, "joining", False, False, False, ago, 0, 0)
        )
    return tuple(lines)


def _state(here: Here, people: Discovery, desk: Desk, node: NodeId) -> str:
    if node == here.me.node:
        return "witness" if not people.trains else "ready" if desk.offer is not None else "training"
    if node in people.away:
        return "away"
    if not people.is_heard(node):
        return "silent"
    beat = people.links[node].heartbeat
    if beat is None or not beat.training:
        return "witness"
    return "ready" if beat.ready and beat.height == here.chain.next else "training"


def _last_rounds(here: Here) -> tuple[RoundPicture, ...]:
    chain = here.chain
    first = max(0, len(chain.blocks) - ROUNDS_SHOWN)
    averages = chain.round
    pictures = []
    for height in range(len(chain.blocks) - 1, first - 1, -1):
        block = chain.blocks[height]
        pictures.append(_round(here, block, averages))
        averages -= block.rule == Rule.MEAN
    return tuple(reversed(pictures))


def _round(here: Here, block: Block, averages: int) -> RoundPicture:
    headers = [read(Header, signed.header) for signed in block.headers]
    return RoundPicture(
        height=Height(block.height),
        round=averages,
        rule=block.rule,
        view=here.chain.committed[block.height].certificate.view,
        chief=NodeId(block.originator),
        chief_name=here.name(NodeId(block.originator)),
        contributors=tuple((NodeId(one.node), here.name(NodeId(one.node)), one.weight) for one in headers),
        absent=tuple((NodeId(one.node), here.name(NodeId(one.node)), one.because) for one in block.absentees),
        duration_ms=block.duration_ms,
        metrics=dict(block.metrics),
        root=Root(block.root),
    )
