"""Which of the connections that others made does a frame come from, and which have ended?

A ROUTER tells its connections apart by routing id; its monitor tells by descriptor when one came or ended; a
frame names both. Pure: whoever reads the two keeps the order below, since descriptors are used again.

For one connection libzmq's IO thread says *accepted*, then delivers its frames, then says *disconnected*, and
only then closes the descriptor, so that it can be another's. Hence two rules:

- once all is read that the monitor says, a frame is of who was accepted last on its descriptor;
- an end is told only when all frames are read that had come before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from comind.p2p.shell.bulk import Buffer

_ROUTING_ID_BYTES = 5
"""Of those that libzmq gives: a zero, and a number that it counts up. Others the other side has chosen."""


class Holder(Protocol):
    """Who can reach a connection's socket."""

    def send(self, connection: "Accepted", frames: Sequence[Buffer]) -> bool: ...

    def cut(self, connection: "Accepted") -> None: ...


@dataclass(slots=True, eq=False)
class Accepted:
    """One connection that somebody made to this node."""

    holder: Holder = field(repr=False)
    descriptor: int
    since_ms: int
    routing_id: bytes = b""
    greeted: bool = False
    over: bool = False
    read_bytes: int = 0

    @property
    def chose_its_routing_id(self) -> bool:
        return bool(self.routing_id) and (
            len(self.routing_id) != _ROUTING_ID_BYTES or self.routing_id[0] != 0
        )

    def send(self, frames: Sequence[Buffer]) -> bool:
        return self.holder.send(self, frames)

    def cut(self, linger_ms: int = 0) -> None:
        self.holder.cut(self)


class Roll:
    """The connections that there are, oldest first, and those whose end is to be told."""

    def __init__(self) -> None:
        self._on: dict[int, Accepted] = {}
        self._by_routing_id: dict[bytes, Accepted | None] = {}
        self._ended: list[Accepted] = []

    @property
    def connections(self) -> list[Accepted]:
        return list(self._on.values())

    @property
    def has_ended(self) -> bool:
        return bool(self._ended)

    def is_on(self, connection: Accepted) -> bool:
        """Whether this connection has not ended, as far as the monitor has been read."""
        return self._on.get(connection.descriptor) is connection

    def knows(self, routing_id: bytes) -> bool:
        return routing_id in self._by_routing_id

    def accepted(self, connection: Accepted) -> None:
        self._on[connection.descriptor] = connection

    def disconnected(self, descriptor: int) -> None:
        gone = self._on.pop(descriptor, None)
        if gone is not None:
            self._ended.append(gone)

    def sender(self, routing_id: bytes, descriptor: int) -> Accepted | None:
        """Whose frame this is; None if that connection has ended already, before anything of it was read.

        If `knows` does not know the routing id, the monitor must be read before this is called.
        """
        if routing_id not in self._by_routing_id:
            self._by_routing_id[routing_id] = self._newcomer(routing_id, descriptor)
        return self._by_routing_id[routing_id]

    def take_ended(self) -> list[Accepted]:
        """Those that have ended, once; to be called when no frame of theirs is left to read."""
        ended, self._ended = self._ended, []
        for connection in ended:
            self._by_routing_id.pop(connection.routing_id, None)
        for routing_id in [one for one, connection in self._by_routing_id.items() if connection is None]:
            del self._by_routing_id[routing_id]
        return ended

    def _newcomer(self, routing_id: bytes, descriptor: int) -> Accepted | None:
        newest = self._on.get(descriptor)
        if newest is None or newest.over:
            return None
        if newest.routing_id:
            # One of the two had ended before it was read, and was taken for the newest on its descriptor.
            if _is_older(routing_id, newest.routing_id):
                return None
            newest.over = True
            self._ended.append(newest)
            newest = Accepted(newest.holder, descriptor, newest.since_ms)
            self._on[descriptor] = newest
        newest.routing_id = routing_id
        return newest


def _is_older(one: bytes, other: bytes) -> bool:
    return (int.from_bytes(one) - int.from_bytes(other)) % 2**32 >= 2**31
