"""When does a record reach the disk, and what may wait behind it?

One thread commits one transaction for all that was put since the last. Making a base outlive a power cut, and
checkpoints, go on in slices, and only once no record came for a while: between rounds, that is. A base that
was replaced by then needs none of it. Knows nothing of what is written, nor of what the loop does once it is.
"""

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence

from comind.node.daemon.journal import JournalFile, Piece
from comind.node.daemon.snapshots import Snapshots
from comind.node.daemon.store import Entry, Store
from comind.node.daemon.wakeup import Wakeup
from comind.p2p.core.words import Root

Ticket = int
"""Everything put up to this one is on disk once `durable()` is at least this."""

QUIET_S = 0.3
"""Chores wait until no record came for so long."""


_Kept = tuple[frozenset[Root], frozenset[Root]]
"""What is needed, and what is thrown away."""


class Disk:
    """The disk thread. `put`, `keep` and `settle` return at once; `wakeup` is set when more is durable."""

    def __init__(
        self,
        store: Store,
        snapshots: Snapshots,
        quiet_s: float = QUIET_S,
        journal: JournalFile | None = None,
    ) -> None:
        self.wakeup = Wakeup()
        self._store = store
        self._snapshots = snapshots
        self._quiet_s = quiet_s
        self._journal = journal
        self._pieces: list[Piece] = []
        self._waiting: list[Entry] = []
        self._kept: frozenset[Root] | None = None
        self._gone: frozenset[Root] = frozenset()
        self._chores: deque[Iterator[None]] = deque()
        self._put: Ticket = 0
        self._durable: Ticket = 0
        self._written_s = time.monotonic()
        self._closing = False
        self._failure: OSError | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="disk", daemon=True)
        self._thread.start()

    def put(self, entries: Sequence[Entry]) -> Ticket:
        """Have these, at least one, written in this order, after all that was put before."""
        assert entries
        with self._changed:
            self._waiting.extend(entries)
            self._put += 1
            self._changed.notify()
            return self._put

    def durable(self) -> Ticket:
        """Return up to which ticket everything is on disk.

        Raises:
            OSError: the disk is full or failed: nothing that was put after this will ever be durable.
        """
        if self._failure is not None:
            raise self._failure
        assert self._closing or self._thread.is_alive(), "the disk thread ended"
        return self._durable

    def journal(self, piece: Piece) -> None:
        """Have this written to the journal: after the promises that were made until now, and unsynced."""
        with self._changed:
            self._pieces.append(piece)
            self._changed.notify()

    def keep(self, roots: frozenset[Root], gone: frozenset[Root]) -> None:
        """Throw away the files of what is `gone`, and begun ones but of `roots`, after the records put."""
        with self._changed:
            self._kept = roots
            self._gone |= gone
            self._changed.notify()

    def settle(self, root: Root) -> None:
        """Make this snapshot outlive a power cut, when there is time."""
        with self._changed:
            self._chores.append(self._snapshots.settle(root))
            self._changed.notify()

    def close(self) -> None:
        """Write what was put, let the chores be, and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()
        self._store.close()
        if self._journal is not None:
            self._journal.close()
        self.wakeup.close()

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except OSError as why:
            self._failure = why
        finally:
            self.wakeup.set()

    def _turn(self) -> bool:
        """Do what is most pressing, or wait for something to do; False when it is time to end."""
        entries, pieces, kept, ticket = self._wait()
        if entries:
            self._store.write(entries)
            self._written_s = time.monotonic()
            self._durable = ticket
            self.wakeup.set()
        if pieces and self._journal is not None:
            self._journal.write(pieces)
        if kept is not None:
            self._snapshots.keep(*kept)
        if entries or pieces or kept is not None:
            return True
        if self._closing:
            return False
        self._one_slice()
        return True

    def _wait(
        self,
    ) -> tuple[list[Entry], list[Piece], _Kept | None, Ticket]:
        with self._changed:
            while not (self._waiting or self._pieces or self._kept is not None or self._closing):
                left_s = self._quiet_left_s()
                if left_s == 0:
                    break
                self._changed.wait(left_s)
            entries, self._waiting = self._waiting, []
            pieces, self._pieces = self._pieces, []
            kept, self._kept = (None if self._kept is None else (self._kept, self._gone)), None
            self._gone = frozenset()
            return entries, pieces, kept, self._put

    def _quiet_left_s(self) -> float | None:
        """Return how long chores still wait: 0 if no longer, None if there are none."""
        if not self._chores and not self._store.log_is_long:
            return None
        return max(0.0, self._written_s + self._quiet_s - time.monotonic())

    def _one_slice(self) -> None:
        if self._store.log_is_long:
            self._store.checkpoint()
            return
        try:
            next(self._chores[0])
        except StopIteration:
            self._chores.popleft()
