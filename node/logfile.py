"""How does the log of a daemon that `join()` started stay bounded?

When it is long, what was said goes to a second file, which replaces the one before, and the log begins anew.
A log that somebody else made (a pipe, systemd, `comind node >> mine.log`) is theirs, and left alone.
"""

import fcntl
import os
import shutil
from pathlib import Path

LOG_BYTES = 4 << 20
"""So long, and twice that with the file before."""


def before(log: Path) -> Path:
    """Return where what was said before goes."""
    return log.with_name(f"{log.name}.1")


def rotate(log: Path, most_bytes: int = LOG_BYTES) -> None:
    """Put a long log aside before a daemon begins to write it."""
    try:
        if log.stat().st_size > most_bytes:
            os.replace(log, before(log))
    except FileNotFoundError:
        pass


def shorten(log: Path, descriptor: int, most_bytes: int = LOG_BYTES) -> None:
    """Begin a long log anew while a daemon writes it: only where it is this file, and only appended to."""
    try:
        written = os.fstat(descriptor)
        if written.st_size <= most_bytes or not os.path.samestat(written, log.stat()):
            return
        if not fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND:
            return
        shutil.copyfile(log, before(log))
        os.truncate(log, 0)
    except OSError:
        pass  # a log that cannot be shortened goes on: nothing depends on it
