"""What does a chief write into its block? (R8)

The originator reports what it saw: who was there, who was not and why, who joins, leaves, votes. Knows
nothing of views and votes on blocks.
"""

from collections.abc import Iterator

from comind.p2p.core.chain import objection
from comind.p2p.core.discovery import Discovery
from comind.p2p.core.here import Here
from comind.p2p.core.messages import (
    Absentee,
    Admit,
    CanLead,
    Change,
    Decision,
    GiveVote,
    Header,
    Metrics,
    Move,
    Remove,
    TakeVote,
)
from comind.p2p.core.words import Height, NodeId

MAX_CHANGES = 64


def roster_changes(here: Here, people: Discovery, skipped: frozenset[NodeId]) -> tuple[Change, ...]:
    """Return the roster changes that this node would put into the next block now, all valid together (R2)."""
    roster, standing, height = here.chain.roster, here.chain.standing, Height(here.chain.next)
    accepted: list[Change] = []
    vote_changed = False
    for change in _wanted(here, people, skipped):
        votes = roster.changes_vote(change)
        if len(accepted) == MAX_CHANGES or (votes and vote_changed):
            continue
        if objection(change, roster, standing, here.settings, height):
            continue
        standing = standing.with_change(change, roster, height)
        roster = roster.with_change(change, height)
        vote_changed = vote_changed or votes
        accepted.append(change)
    return tuple(accepted)


def is_urgent(change: Change) -> bool:
    """Whether a change is worth a block of its own; the others ride in the next one (R15)."""
    return isinstance(change, Admit | Remove | GiveVote | TakeVote | Decision)


def absentees(
    here: Here, people: Discovery, counted: frozenset[bytes], refused: dict[NodeId, str]
) -> tuple[Absentee, ...]:
    """Return each roster member that is not counted, with the reason."""
    return tuple(
        Absentee(node=node, because=_why_absent(people, node, refused)[:400])
        for node in here.chain.roster.nodes()
        if node not in counted
    )


def mean_metrics(headers: tuple[Header, ...]) -> Metrics:
    """Return the weighted mean of each metric that every contributor told."""
    total = sum(header.weight for header in headers)
    names = set.intersection(*(set(header.metrics) for header in headers)) if headers and total else set()
    return {
        name: sum(header.metrics[name] * (header.weight / total) for header in headers)
        for name in sorted(names)
    }


def _wanted(here: Here, people: Discovery, skipped: frozenset[NodeId]) -> Iterator[Change]:
    roster = here.chain.roster
    yield from people.wishes.pending
    for node in roster.in_order(frozenset(people.leaves)):
        yield Remove(node=node, because="it left")
    for join in people.ripe_joins():
        reached = people.somebody_reached(NodeId(join.node))
        can_lead = reached and not join.no_lead and bool(join.addresses)
        yield Admit(node=join.node, name=join.name, addresses=join.addresses, can_lead=can_lead)
    for entry in roster:
        if entry.voter and not people.is_heard(entry.node):
            yield TakeVote(node=entry.node, because=f"it was silent for {entry.silent} rounds")
    for entry in roster:
        link = people.links.get(entry.node)
        if not entry.voter and entry.node not in people.leaves and people.is_heard(entry.node):
            incarnation = here.me.incarnation if link is None else link.incarnation
            yield GiveVote(node=entry.node, incarnation=incarnation)
    for entry in roster:
        if entry.can_lead and (entry.node in people.away or entry.node in people.leaves):
            yield CanLead(node=entry.node, can_lead=False)
        if not entry.can_lead and entry.node not in skipped and _may_lead(here, people, entry.node):
            yield CanLead(node=entry.node, can_lead=True)
    for entry in roster:
        told = _told(here, people, entry.node)
        if told is not None and told != (entry.name, entry.addresses):
            yield Move(node=entry.node, name=told[0], addresses=told[1])


def _may_lead(here: Here, people: Discovery, node: NodeId) -> bool:
    if node in people.leaves or (people.stopping and node == here.me.node):
        return False
    if not people.is_heard(node) or not people.somebody_reached(node):
        return False
    if node == here.me.node:
        return not here.me.no_lead and bool(here.me.addresses)
    link = people.links[node]
    return (
        link.greeting is not None
        and not link.greeting.no_lead
        and link.heard_ms > people.skipped_ms.get(node, -1)
        and bool(link.greeting.addresses)
    )


def _told(here: Here, people: Discovery, node: NodeId) -> tuple[str, tuple[str, ...]] | None:
    if node == here.me.node:
        return here.me.name, here.me.addresses
    link = people.links.get(node)
    return None if link is None or link.greeting is None else (link.greeting.name, link.greeting.addresses)


def _why_absent(people: Discovery, node: NodeId, refused: dict[NodeId, str]) -> str:
    if node in refused:
        return refused[node]
    if not people.is_heard(node):
        return people.why_silent(node)
    return "it trains, but was not ready" if node in people.training() else "no trainer"
