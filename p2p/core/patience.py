"""How long does a voter wait for this view? (R11)

Until OPEN the chief's heartbeat feeds patience as long as its door may wait; after it only progress of the
attempt does, within a total bound. Pure: reads a round, decides nothing else.
"""

from comind.p2p.core.leading import why_not_leading
from comind.p2p.core.phases import Phase
from comind.p2p.core.round import Round


def patience_ms(view: int, first_ms: int, most_ms: int) -> int:
    """Return the patience of a view: it doubles with each."""
    return min(first_ms << min(view, 32), most_ms)


def ends_at_ms(round: Round) -> tuple[int, str] | None:
    """Return when patience with this view ends if nothing feeds it, and the reason to give; None: never."""
    if round.phase in (Phase.IDLE, Phase.CHANGING) or not round.may_promise():
        return None
    here, people, settings = round.here, round.people, round.here.settings
    chief = round.chief
    patience = patience_ms(round.view, settings.patience_ms, settings.max_patience_ms)
    if chief == here.me.node:
        if round.phase == Phase.GATHERING and not round.wanted and not why_not_leading(round):
            return None
        return _bounded(round, round.fed_ms + patience), f"no progress for {patience} ms in view {round.view}"
    name = here.name(chief)
    link = people.links.get(chief)
    if link is None:
        since_ms = max(round.fed_ms, people.lost_ms.get(chief, round.fed_ms))
        return since_ms + settings.heartbeat_ms, f"its chief {name} has no link: {people.why_silent(chief)}"
    beat = link.heartbeat
    if beat is not None and beat.height == here.chain.next and (beat.abstains or beat.view > round.view):
        since_ms = max(round.fed_ms, link.changed_ms)
        gave_up = beat.abstains or f"it went to view {beat.view}"
        return since_ms + settings.heartbeat_ms, f"its chief {name} gave up: {gave_up}"
    if round.phase == Phase.GATHERING:
        if round.due_ms is not None:
            since_ms = max(round.fed_ms, round.due_ms)
            return since_ms + patience, f"{name} could open, and did not for {patience} ms"
        is_here = beat is not None and beat.height >= here.chain.next
        fed_ms = max(round.fed_ms, link.heard_ms if is_here else 0)
        return fed_ms + patience, f"its chief {name} was not heard for {patience} ms"
    return _bounded(round, round.fed_ms + patience), f"no progress for {patience} ms under {name}"


def _bounded(round: Round, ends_ms: int) -> int:
    """However steadily an attempt moves, its view has a total bound from the first OPEN, or PROPOSE."""
    begun = [one.at_ms for one in (round.opened, round.proposed) if one is not None]
    return min(ends_ms, min(begun) + round.here.settings.round_limit_ms) if begun else ends_ms
