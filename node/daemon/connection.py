"""How does the daemon speak to a process that may be slow, stopped or gone, without ever waiting for it?

Words wait in a queue while the other end does not read; a newer one takes the place of an older one of its
kind. Knows nothing of what the words mean. The frame is that of `attach`.
"""

import os
import socket
import struct
from array import array
from collections.abc import Iterator

import msgspec

from comind.node.attach import Channel, Closed, FromDaemon, ToDaemon, Word

MAX_WAITING_BYTES = 8 << 20
_FRAME = struct.Struct("<IB")


class Connection:
    """One trainer or command line at the attach socket."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._channel = Channel(connected, ToDaemon)
        self._waiting: list[tuple[type, memoryview, int | None]] = []
        self._begun = False
        """Whether a part of the first word in the queue is sent already."""

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def wants_to_write(self) -> bool:
        return bool(self._waiting)

    def arrived(self) -> Iterator[tuple[Word, int | None]]:
        """Yield the words that are there; who takes a descriptor closes it.

        Raises:
            Closed: the other end is gone, or sent what it must not.
        """
        return self._channel.arrived()

    def say(self, word: FromDaemon, descriptor: int | None = None, replace: bool = False) -> None:
        """Send a word as soon as it is taken. Its descriptor is closed here once it went, or never will.

        `replace`: an earlier word of this kind that was not sent yet need not be.

        Raises:
            Closed: the other end is gone, or has not read for too long.
        """
        if replace:
            self._take_back(type(word))
        packed = msgspec.msgpack.encode(word)
        frame = _FRAME.pack(len(packed), 0 if descriptor is None else 1) + packed
        self._waiting.append((type(word), memoryview(frame), descriptor))
        self.flush()
        if sum(len(left) for _, left, _ in self._waiting) > MAX_WAITING_BYTES:
            raise Closed("it does not read")

    def flush(self) -> None:
        """Send what the other end takes now.

        Raises:
            Closed: it is gone.
        """
        while self._waiting:
            kind, left, descriptor = self._waiting[0]
            passed = (
                []
                if descriptor is None
                else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [descriptor]))]
            )
            try:
                sent = self._socket.sendmsg([left], passed, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError as why:
                raise Closed(str(why)) from None
            if descriptor is not None:
                os.close(descriptor)
            self._begun = sent < len(left)
            if self._begun:
                self._waiting[0] = (kind, left[sent:], None)
            else:
                del self._waiting[0]

    def close(self) -> None:
        """Hang up; what was not sent is not."""
        for _, _, descriptor in self._waiting:
            if descriptor is not None:
                os.close(descriptor)
        self._waiting.clear()
        self._channel.close()

    def _take_back(self, kind: type) -> None:
        kept = self._waiting[: int(self._begun)]
        for waiting in self._waiting[int(self._begun) :]:
            if waiting[0] is not kind:
                kept.append(waiting)
            elif waiting[2] is not None:
                os.close(waiting[2])
        self._waiting = kept
