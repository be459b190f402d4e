"""What does the shell have to tell?

The core's events, those of the data plane, and what only the daemon wants to know. `Reached` is said each
time that an own dial completes a greeting; if its connection is the link, a `LinkUp` with `dialled` follows.
"""

from dataclasses import dataclass

from comind.p2p.core.effects import DialFailed, Heard, Knocked, LinkDown, LinkUp, Reached
from comind.p2p.shell.bulk import BulkEvent
from comind.p2p.shell.reasons import Failure

__all__ = ["News", "Reached", "SeedFailed"]


@dataclass(frozen=True, slots=True)
class SeedFailed:
    """Nobody completed a greeting at this seed; tried again all the same. Said once per change of reason."""

    address: str
    because: Failure


News = LinkUp | LinkDown | Reached | DialFailed | Knocked | Heard | SeedFailed | BulkEvent
