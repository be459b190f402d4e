"""In which order are a member's actions carried out?

In theirs: and nothing that comes after a promise before that promise is on disk. Records go to the disk at
once, all of a batch in one transaction; what follows a promise waits, what follows a block does not, since
the block goes to disk before any later promise. Knows nothing of what an action does.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from comind.p2p.core.effects import Action, Commit, Promise, Promised, Record


class Orders:
    """The queue between a member and the world. `put` hands records to the disk and returns their ticket."""

    def __init__(self, put: Callable[[Sequence[Record]], int]) -> None:
        self._put = put
        self._queue: deque[tuple[int, Action]] = deque()
        """Each action with the ticket that must be durable before it."""
        self._ticket = 0

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, actions: Iterable[Action]) -> None:
        """Take what a batch of steps returned, in order."""
        flat = list(_flatten(actions))
        records = [record for record, _ in flat if record is not None]
        ticket = self._put(records) if records else 0
        for record, action in flat:
            if isinstance(record, Promised):
                self._ticket = ticket
            if action is not None:
                self._queue.append((self._ticket, action))

    def due(self, durable: int) -> Iterator[Action]:
        """Take out, one by one, the actions whose turn has come."""
        while self._queue and self._queue[0][0] <= durable:
            yield self._queue.popleft()[1]


def _flatten(actions: Iterable[Action]) -> Iterator[tuple[Record | None, Action | None]]:
    """Yield (record to write before it, action), with what a promise lets follow after its record."""
    for action in actions:
        match action:
            case Promise(record=record, then=then):
                yield record, None
                yield from _flatten(then)
            case Commit(committed=committed):
                yield committed, action
            case _:
                yield None, action
