"""Whose turn is it to lead? (R3) Read from the chain alone; knows nothing of who is alive."""

from comind.crypto.statement import digest
from comind.p2p.core.roster import Roster
from comind.p2p.core.words import Height, NetworkId, NodeId, View


def leading_order(roster: Roster, network: NetworkId, height: Height) -> tuple[NodeId, ...]:
    """Return who leads view 0, 1, 2 … of this height: longest ago first, never first of all."""
    able = [entry for entry in roster if entry.can_lead] or list(roster)
    able.sort(key=lambda entry: (entry.led_at, digest("turn", network, height, entry.node)))
    return tuple(entry.node for entry in able)


def chief(roster: Roster, network: NetworkId, height: Height, view: View) -> NodeId:
    """Return the member that leads this view: number view mod k of the k that can lead."""
    order = leading_order(roster, network, height)
    return order[view % len(order)]
