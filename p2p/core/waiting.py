"""What does this member wait for, in a person's words, and need its trainer wait too? (R5, R17)

Reads the parts of a member and decides nothing.
"""

from comind.p2p.core.desk import Desk
from comind.p2p.core.discovery import Discovery
from comind.p2p.core.door import Open
from comind.p2p.core.here import Here
from comind.p2p.core.leading import door_says
from comind.p2p.core.phases import Phase
from comind.p2p.core.round import Round
from comind.p2p.core.words import NO_ROOT

VIEWS_WAITED_FOR = 3
"""A round that gets as far has lost three chiefs: trainers go on, and hear of it when it ends well."""


def why_waiting(here: Here, people: Discovery, round: Round) -> str:
    """Say in plain words what this member waits for."""
    if (outside := people.why_outside()) is not None:
        return outside
    if (removed := why_removed(here)) is not None:
        return removed
    if here.chain.height < 0:
        return "waiting for the network's first block" if people.links else "looking for a member"
    if not here.is_member:
        return "waiting to be admitted by block" if people.links else "looking for a member"
    if here.chain.root != NO_ROOT and here.chain.root not in here.held:
        return "fetching the base"
    chief = here.name(round.chief)
    match round.phase:
        case Phase.CHANGING:
            return f"waiting for a quorum to go to view {round.view}"
        case Phase.AVERAGING:
            return f"{chief} averages"
        case Phase.VOTING | Phase.LOCKED:
            return f"the voters vote on what {chief} proposed"
    if here.chain.finished:
        return f"all {here.settings.rounds} rounds are done"
    if (paused := here.chain.standing.why_paused()) is not None:
        return paused
    if here.chain.root == NO_ROOT:
        return "waiting for the first trainer's starting weights"
    return door_says(round).because


def opens_in_ms(here: Here, round: Round) -> int | None:
    """Return how long this round's door waits at most; None: it has no deadline, or that is over (R5)."""
    if here.chain.height < 0 or round.phase != Phase.GATHERING:
        return None
    decision = door_says(round)
    if isinstance(decision, Open) or decision.opens_ms is None:
        return None
    return max(0, decision.opens_ms - here.now_ms)


def why_released(here: Here, people: Discovery, round: Round, desk: Desk) -> str:
    """Say why a trainer need not wait for a round; empty if it shall."""
    if not here.is_member:
        if (outside := people.why_outside()) is not None:
            return outside
        if (removed := why_removed(here)) is not None:
            return removed
        return "" if people.links else "no member of the network is linked"
    if here.chain.root != NO_ROOT:
        if desk.offer is not None and (because := desk.why_unusable(desk.offer)):
            return because
        if (impossible := round.gathering.why_no_average()) is not None:
            return impossible
    if round.view >= VIEWS_WAITED_FOR and here.chain.root != NO_ROOT:
        return f"the round fails: it is in its view {round.view}"
    voters = here.chain.roster.voters()
    heard = frozenset(node for node in voters if people.is_heard(node))
    if not here.chain.roster.is_quorum(heard):
        missing = [node for node in voters if node not in heard]
        return f"too few voters are heard from: {here.list_names(missing)} missing"
    return ""


def why_removed(here: Here) -> str | None:
    """Say by whom this node was removed; None if it was not, or is a member again."""
    ruling = here.chain.standing.denied.get(here.me.node)
    return None if ruling is None or here.is_member else f"removed from the network by {ruling}"
