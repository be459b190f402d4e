"""Which of the trainer's snapshots are here, and may they be averaged?

The newest is kept, the one that a round holds, and older ones for as long as a transfer reads them. Knows
nothing of transfers.
"""

from collections.abc import Callable

from comind.node.daemon import mean
from comind.node.daemon.outgoing import LookedThrough
from comind.node.daemon.shared import Brought, Shared
from comind.node.daemon.slabs import Slabs
from comind.p2p.core.snapshot import CHUNK_BYTES, CHUNK_VALUES, VALUE_BYTES, chunk_count, chunk_values
from comind.p2p.core.words import Offer, Root

_Key = tuple[bytes, int, int, bytes]


class Offers:
    """The snapshots behind offers. `is_used` tells whether a transfer still reads one."""

    def __init__(self, slabs: Slabs, is_used: Callable[[Shared], bool]) -> None:
        self._slabs = slabs
        self._is_used = is_used
        self._kept: dict[_Key, Shared] = {}
        self._newest: _Key | None = None
        self._announced: _Key | None = None

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, offer: Offer) -> Shared | None:
        return self._kept.get(_key(offer))

    def look_through(self, brought: Brought) -> LookedThrough:
        """Read a new snapshot once, and keep it if nothing is wrong: before anybody counts on it."""
        shared = Shared(brought.descriptor, brought.offer.size)
        try:
            wrong = self._find_wrong(shared)
        except OSError as why:
            wrong = 0, f"an unreadable value ({why.strerror or why})"
        if wrong is not None:
            shared.close()
            return LookedThrough(brought.offer, wrong)
        key = _key(brought.offer)
        if (before := self._kept.pop(key, None)) is not None and not self._is_used(before):
            before.close()
        self._kept[key], self._newest = shared, key
        self.tidy()
        return LookedThrough(brought.offer, None)

    def tidy(self) -> None:
        """Let go of all but the newest, the announced and those in use."""
        self._let_go(lambda key: key not in (self._newest, self._announced))

    def announced(self, offer: Offer) -> None:
        """Keep this one whatever is offered later: a round holds its header."""
        self._announced = _key(offer)
        self.tidy()

    def adopted(self, root: Root) -> None:
        """Let go of offers from another base than this, except those in use."""
        self._let_go(lambda key: key[3] != root)

    def close(self) -> None:
        self._let_go(lambda _: True)

    def _let_go(self, useless: Callable[[_Key], bool]) -> None:
        for key in [key for key, kept in self._kept.items() if useless(key) and not self._is_used(kept)]:
            self._kept.pop(key).close()

    def _find_wrong(self, shared: Shared) -> tuple[int, str] | None:
        slab = self._slabs.take(CHUNK_BYTES)
        for index in range(chunk_count(shared.size)):
            chunk = slab[: chunk_values(shared.size, index) * VALUE_BYTES]
            shared.read_into(index, chunk)
            if (found := mean.find_wrong(mean.values_of(chunk))) is not None:
                return index * CHUNK_VALUES + found[0], found[1]
        return None


def _key(offer: Offer) -> _Key:
    return offer.run, offer.first_step, offer.last_step, offer.base
