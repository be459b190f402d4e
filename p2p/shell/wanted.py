"""Whom does this node want a link with, and when does it try again?

Pure: sockets and clock belong to the caller, and so does the die (`jitter`, 0 to 1).
"""

from dataclasses import dataclass, field

from comind.p2p.core.words import NodeId
from comind.p2p.shell.limits import Limits
from comind.p2p.shell.reasons import Failure

_MOST_DOUBLINGS = 16


@dataclass(slots=True, eq=False)
class Wanted:
    """A node at any of its addresses, or whoever answers at a seed's one address."""

    peer: NodeId | None
    """None: a seed, whoever it is."""
    addresses: tuple[str, ...]
    found: NodeId | None = None
    """Whom a dial reached, for as long as there is a link with it."""
    reached_at: str = ""
    due_ms: int = 0
    trying: bool = False
    said: Failure | None = None
    """The newest reason that was told; told again only when it changes."""
    _turn: int = field(default=0, repr=False)
    _failures: int = field(default=0, repr=False)

    def is_due(self, now_ms: int) -> bool:
        return self.found is None and not self.trying and now_ms >= self.due_ms

    @property
    def wake_at_ms(self) -> int | None:
        return self.due_ms if self.found is None and not self.trying else None

    def next_address(self) -> str | None:
        """Which address has its turn; None if there is none at all."""
        return self.addresses[self._turn % len(self.addresses)] if self.addresses else None

    def reached(self, peer: NodeId, address: str) -> None:
        self.trying = False
        self.found = peer if address in self.addresses else None  # it may have moved meanwhile
        self.reached_at = address
        self.said = None

    def failed(self, now_ms: int, limits: Limits, jitter: float) -> bool:
        """A try has failed; whether each of the addresses had its turn since the last pause."""
        self.trying = False
        self._turn += 1
        if self.addresses and self._turn % len(self.addresses):
            self.due_ms = now_ms
            return False
        self._turn = 0
        self._pause(now_ms, limits, jitter)
        return True

    def lost(self, now_ms: int, lived_ms: int, limits: Limits, jitter: float) -> None:
        """The link has ended. One that breaks as soon as it is made gets ever longer pauses, too."""
        self.found = None
        self.trying = False
        self._turn = 0
        if lived_ms >= limits.stable_ms:
            self._failures = 0
        self._pause(now_ms, limits, jitter)

    def move(self, addresses: tuple[str, ...]) -> None:
        """The node has other addresses; that it can be reached at one of them is to be shown again."""
        self.addresses = addresses
        self._turn = 0
        if self.reached_at not in addresses:
            self.found = None
            self._failures = 0
            self.due_ms = 0

    def _pause(self, now_ms: int, limits: Limits, jitter: float) -> None:
        doubled = limits.first_redial_ms << min(self._failures, _MOST_DOUBLINGS)
        pause_ms = min(doubled, limits.last_redial_ms)
        self.due_ms = now_ms + pause_ms // 2 + int(jitter * pause_ms / 2)
        self._failures += 1
