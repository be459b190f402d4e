"""How much of a snapshot may this node serve, while a round moves bytes? (R10)

For each chunk of the round that comes or goes, a small share of one: whoever lacks bytes gets on, and the
round hardly notices. While no round moves, as much as is asked for. Knows nothing of who asks.
"""

SHARE = 1 / 20
"""Of the round's chunks: so much is served beside them."""
QUIET_MS = 500
"""A round of which nothing moved for so long moves no bytes, if this node has nothing to gather or get.

Votes and their way to the disk, and what trainers do with a new base, take less."""
STALLED_MS = 3_000
"""Nor does one of which nothing moved for so long, whatever is missing."""
LATER_MS = 20


class Pace:
    """Chunks earned and spent."""

    def __init__(self) -> None:
        self._moved_ms = -STALLED_MS
        self._earned = 0.0

    def begins(self, now_ms: int) -> None:
        """A trainer offered, or a chief opened: chunks are about to move."""
        self._moved_ms = now_ms

    def moved(self, now_ms: int) -> None:
        """A chunk of a round came or went."""
        self._moved_ms = now_ms
        self._earned = min(1.0, self._earned + SHARE)

    def served(self) -> None:
        self._earned = max(0.0, self._earned - 1.0)

    def wait_ms(self, now_ms: int, gathers: bool) -> int:
        """Return how long the next chunk waits at least; `gathers`: something of a round is missing here."""
        quiet_ms = STALLED_MS if gathers else QUIET_MS
        if self._earned >= 1.0 or now_ms - self._moved_ms >= quiet_ms:
            return 0
        return LATER_MS
