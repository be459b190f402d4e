"""What does the shell have to tell?

The core's events, those of the data plane, and what only the daemon wants to know.
"""

from dataclasses import dataclass

from comind.p2p.core.effects import DialFailed, Heard, LinkDown, LinkUp
from comind.p2p.core.words import NodeId
from comind.p2p.shell.bulk import BulkEvent
from comind.p2p.shell.reasons import Failure


@dataclass(frozen=True, slots=True)
class Reached:
    """This node's own dial completed a greeting: the peer can be reached at one of its addresses.

    Said each time, also where the connection is closed again because the peer's own dial survives (§4). If
    it is the one in use, a `LinkUp` with `dialled` set follows.
    """

    peer: NodeId


@dataclass(frozen=True, slots=True)
class SeedFailed:
    """Nobody completed a greeting at this seed; tried again all the same. Said once per change of reason."""

    address: str
    because: Failure


News = LinkUp | LinkDown | DialFailed | Heard | Reached | SeedFailed | BulkEvent
