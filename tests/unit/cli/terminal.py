"""Runs `comind` with a fake daemon: in a pipe, or in a terminal of its own (a pty), where a test can type."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_FAKE = Path(__file__).with_name("fake_daemon.py")
_LAUNCHER = (
    "import sys\n"
    "from comind.node.cli import main, start\n"
    f"start.DAEMON = (sys.executable, {str(_FAKE)!r}, '--mode', sys.argv.pop(1))\n"
    "main.main()\n"
)
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
DEADLINE_S = 20.0


def launched(mode: str, *arguments: str) -> list[str]:
    """The command line of `comind` whose daemon is the fake one, in this mode."""
    return [sys.executable, "-c", _LAUNCHER, mode, *arguments]


class Terminal:
    """A command in a terminal of 80 × 24, as its controlling one."""

    def __init__(self, command: list[str], environ: Mapping[str, str]) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**environ, "TERM": "xterm", "NO_COLOR": "1"},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self.seen = ""

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def read_until(self, words: str) -> None:
        """Read what is drawn until these words are; who waits in vain fails with all that was seen."""
        deadline = time.monotonic() + DEADLINE_S
        while words not in self.seen:
            assert self._read(deadline), f"{words!r} was not drawn:\n{self.seen}"

    def ended(self) -> int:
        """Read to the end, and return the exit code."""
        deadline = time.monotonic() + DEADLINE_S
        while self._read(deadline):
            pass
        return self.process.wait(DEADLINE_S)

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], max(0, deadline - time.monotonic()))
        try:
            piece = os.read(self._master, 1 << 16) if ready else b""
        except OSError:  # every end of the other side is closed
            piece = b""
        self.seen += _ESCAPES.sub("", piece.decode("utf-8", "replace"))
        return bool(piece)

    def close(self) -> None:
        """Take the terminal away, as closing its window does."""
        if self._master >= 0:
            os.close(self._master)
            self._master = -1


@contextmanager
def terminal(command: list[str], environ: Mapping[str, str]) -> Iterator[Terminal]:
    opened = Terminal(command, environ)
    try:
        yield opened
    finally:
        if opened.process.poll() is None:
            opened.process.kill()
            opened.process.wait()
        opened.close()
