"""When is it time, and how does a thread tell the loop that it has something?

By a descriptor that becomes readable. Knows nothing of what there is: the loop asks whoever holds it.
"""

import os
import time


def now_ms() -> int:
    """Return milliseconds of this process's monotonic clock: the only one that decides anything (S9)."""
    return time.monotonic_ns() // 1_000_000


class Wakeup:
    """A pipe with at most a few bytes in it. `set` may be called from any thread, or a signal handler."""

    def __init__(self) -> None:
        self._is_set = False
        self._readable, self._writable = os.pipe()
        os.set_blocking(self._readable, False)
        os.set_blocking(self._writable, False)

    def fileno(self) -> int:
        return self._readable

    def set(self) -> None:
        """Make the descriptor readable; once is as good as often."""
        if self._is_set:
            return
        self._is_set = True
        try:
            os.write(self._writable, b"\0")
        except BlockingIOError:  # it is full, so it is readable
            pass

    def clear(self) -> None:
        """Make it unreadable. Look for what there is only afterwards, or it may be overlooked."""
        self._is_set = False
        try:
            while os.read(self._readable, 4_096):
                pass
        except BlockingIOError:
            pass

    def close(self) -> None:
        os.close(self._readable)
        os.close(self._writable)
