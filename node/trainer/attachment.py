"""Is the daemon there, and what does it say?

One connection at a time to the socket of a home's daemon; when it breaks, it can be made again, with
back-off. Knows nothing of steps or weights, nor what any word means for them.
"""

import os
import socket
import struct
import time
import weakref
from collections.abc import Callable
from pathlib import Path

from comind.node.attach import (
    Announced,
    Attach,
    Called,
    Channel,
    Closed,
    Finished,
    News,
    Offered,
    Refused,
    Released,
    Started,
    Waiting,
    Welcome,
)
from comind.p2p.core.errors import ConfigError

PROMPT_S = 5
"""How long a daemon may take to accept a connection or to take a word: it is on this machine."""

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0

Heard = Welcome | News | Started | Announced | Released | Waiting | Called | Refused

_open: "weakref.WeakSet[Attachment]" = weakref.WeakSet()


class Attachment:
    """The connection to the daemon that listens at `path`, in the process that made it."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._process = os.getpid()
        self._channel: Channel | None = None
        self._pause_s = FIRST_PAUSE_S
        self._next_try_s = 0.0
        _open.add(self)

    @property
    def is_open(self) -> bool:
        return self._channel is not None

    def check_process(self) -> None:
        """Refuse to speak for another process: both would be one trainer to the daemon.

        Raises:
            ConfigError: this one was forked from the one that joined.
        """
        refuse_fork(self._process)

    def open(self, word: Attach) -> None:
        """Connect, and say who trains. The answer is a word like any other.

        Raises:
            Closed: nobody listens there.
        """
        self.check_process()
        self.close()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", PROMPT_S, 0))
            connection.settimeout(PROMPT_S)
            connection.connect(os.fspath(self._path))
            connection.settimeout(None)
        except OSError as why:
            connection.close()
            self._wait_longer()
            raise Closed(why.strerror or str(why)) from None
        self._channel = Channel(connection, Heard)
        self.send(word)

    def may_try(self) -> bool:
        """Whether the pause after the last attempt that failed is over."""
        return self._clock() >= self._next_try_s

    def succeeded(self) -> None:
        """The daemon took this trainer: the next time that it goes, try again at once."""
        self._pause_s, self._next_try_s = FIRST_PAUSE_S, 0.0

    def failed(self) -> None:
        """Hang up, and pause before the next attempt."""
        self.close()
        self._wait_longer()

    def send(self, word: Attach | Offered | Finished, descriptor: int | None = None) -> None:
        """Say a word, with a descriptor (which stays open here) if one is given.

        Raises:
            Closed: the daemon is gone.
        """
        self.check_process()
        if self._channel is None:
            raise Closed("it is not attached")
        try:
            self._channel.send(word, descriptor)
        except Closed:
            self.close()
            raise

    def hear(self, timeout_s: float | None) -> tuple[Heard, int | None] | None:
        """Wait for one word, or for as long as it takes; None when none came in time.

        Raises:
            Closed: the daemon is gone, or speaks something else.
        """
        self.check_process()
        if self._channel is None:
            raise Closed("it is not attached")
        try:
            heard = self._channel.receive(timeout_s)
        except Closed:
            self.close()
            raise
        return heard  # type: ignore[return-value]  # the channel hears nothing else

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _wait_longer(self) -> None:
        self._next_try_s = self._clock() + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)


def refuse_fork(process: int) -> None:
    """Check that this process is the one that joined.

    Raises:
        ConfigError: it was forked from it.
    """
    if os.getpid() != process:
        raise ConfigError(
            f"process {process} joined, and process {os.getpid()} was forked from it:"
            " call comind.join() in the process that trains"
        )


def _let_go_in_child() -> None:
    """A forked data loader must not keep the connection of a trainer that died open."""
    for attachment in list(_open):
        attachment.close()


os.register_at_fork(after_in_child=_let_go_in_child)
