"""May this voter promise anything yet? (R14)

After a start it catches up, and is greeted by a quorum, before it votes. Knows nothing of what it would vote.
"""

from comind.p2p.core.discovery import Discovery
from comind.p2p.core.here import Here
from comind.p2p.core.pledges import Pledges


def why_abstaining(here: Here, people: Discovery, pledges: Pledges) -> str:
    """Say why this voter signs nothing now; empty if it may."""
    if pledges.restored:
        return "its disk was restored from a backup: it waits for a new vote"
    if people.had_quorum:
        return ""
    others = [node for node in here.chain.roster.voters() if node != here.me.node]
    greeted = people.greeted().intersection(others)
    if not here.chain.roster.is_quorum(greeted | {here.me.node}):
        return "it waits for a quorum of voters to greet it"
    patient = here.now_ms - people.started_ms < here.settings.patience_ms
    if patient and here.chain.roster.is_quorum(frozenset({here.me.node})) and not greeted.issuperset(others):
        return "it waits for the other voters' greetings"
    behind = any(people.height_of(node) > here.chain.height for node in greeted)
    if behind and here.now_ms - people.started_ms < here.settings.max_patience_ms:
        return "it catches up with the chain"
    people.had_quorum = True
    return ""
