"""Whom does this node dial, and when?

Knows nothing of greetings: `Links` gives each new dial a channel, and tells how it went.
"""

import secrets
from collections.abc import Iterable

from comind.crypto.gate import Gate
from comind.p2p.core.effects import DialFailed
from comind.p2p.core.words import NodeId
from comind.p2p.shell.addresses import is_dialable
from comind.p2p.shell.connection import Arrived
from comind.p2p.shell.dial import Dial
from comind.p2p.shell.limits import Limits
from comind.p2p.shell.news import SeedFailed
from comind.p2p.shell.reasons import Failure
from comind.p2p.shell.sockets import (
    FILE_RESERVE,
    FILES_OF_A_DIAL,
    Watch,
    ZmqContext,
    ZmqSocket,
    file_limit,
)
from comind.p2p.shell.wanted import Wanted


class Dialler:
    """Keeps trying for whom this node wants a link with."""

    def __init__(self, context: ZmqContext, gate: Gate, limits: Limits, watch: Watch) -> None:
        self._context = context
        self._gate = gate
        self._limits = limits
        self._watch = watch
        self._most = max(1, (file_limit() - FILE_RESERVE) // (2 * FILES_OF_A_DIAL))
        self._peers: dict[NodeId, Wanted] = {}
        self._seeds: dict[str, Wanted] = {}
        self._dials: set[Dial] = set()
        self._sweep_at_ms = 0

    # -- whom it wants --------------------------------------------------------------------------------------

    def want(self, peer: NodeId, addresses: Iterable[str]) -> None:
        """Keep a link to this node. What is no plain tcp://host:port is left out: a peer may have said it."""
        dialable = tuple(dict.fromkeys(one for one in addresses if is_dialable(one)))
        wanted = self._peers.get(peer)
        if wanted is not None:
            if wanted.addresses != dialable:
                wanted.move(dialable)
            return
        wanted = self._peers[peer] = Wanted(peer, dialable)
        for dial in self._dials:
            if dial.peer == peer and dial.address in dialable:  # a seed, which turned out to be this node
                wanted.reached(peer, dial.address)

    def want_seed(self, address: str) -> None:
        assert is_dialable(address), address
        self._seeds.setdefault(address, Wanted(None, (address,)))

    def unwant(self, peer: NodeId) -> list[Dial]:
        """Try no more; what is being tried is to be closed."""
        return self._tries_of(self._peers.pop(peer, None))

    def unwant_seed(self, address: str) -> list[Dial]:
        return self._tries_of(self._seeds.pop(address, None))

    # -- in time --------------------------------------------------------------------------------------------

    @property
    def wake_at_ms(self) -> int | None:
        times = [one.wake_at_ms for one in self._wanted()]
        times += [one.since_ms + self._limits.dial_ms for one in self._dials if one.peer is None]
        if any(dial.peer is not None for dial in self._dials):
            times.append(self._sweep_at_ms)
        if any(dial.is_ending for dial in self._dials):
            times.append(0)
        return min((one for one in times if one is not None), default=None)

    def start(self, now_ms: int) -> tuple[list[Dial], list[DialFailed | SeedFailed]]:
        """Dial whoever's time has come."""
        started: list[Dial] = []
        news: list[DialFailed | SeedFailed] = []
        for wanted in self._wanted():
            if not wanted.is_due(now_ms):
                continue
            address = wanted.next_address()
            if address is None:
                news += self._failed(wanted, Failure.NO_ADDRESS, now_ms)
            elif len(self._dials) >= self._most:
                news += self._failed(wanted, Failure.NO_ROOM, now_ms)
            else:
                wanted.trying = True
                dial = Dial(self._context, self._gate, wanted, address, now_ms, self._watch)
                self._dials.add(dial)
                started.append(dial)
        return started, news

    def read(self, ready: set[ZmqSocket]) -> tuple[list[Arrived], list[Dial]]:
        """Read what has come, and which dials have ended."""
        arrived: list[Arrived] = []
        for dial in self._dials:
            if dial.is_ready(ready):
                arrived += dial.read(self._limits)
        return arrived, [dial for dial in self._dials if dial.ended]

    def late(self, now_ms: int) -> list[Dial]:
        """Which have had their time, and no greeting came of them."""
        return [
            one for one in self._dials if one.peer is None and now_ms - one.since_ms >= self._limits.dial_ms
        ]

    def hoarders(self, now_ms: int) -> list[Dial]:
        """Whose other end fills memory with a message that never ends."""
        if now_ms < self._sweep_at_ms:
            return []
        self._sweep_at_ms = now_ms + self._limits.sweep_ms
        return [dial for dial in self._dials if dial.hoards(self._limits)]

    # -- how it went ----------------------------------------------------------------------------------------

    def greeted(self, dial: Dial, peer: NodeId) -> None:
        dial.peer = peer
        dial.wanted.reached(peer, dial.address)

    def failed(self, dial: Dial, because: Failure, now_ms: int) -> list[DialFailed | SeedFailed]:
        """No greeting came of this dial. A seed that is this node itself is not tried again."""
        self.close(dial)
        if because is Failure.ITSELF and dial.wanted.peer is None:
            self._seeds.pop(dial.address, None)
            return []
        return self._failed(dial.wanted, because, now_ms)

    def lost(self, peer: NodeId, now_ms: int, lived_ms: int) -> None:
        """There is no link with this node any more."""
        for wanted in self._wanted():
            if wanted.found == peer:
                wanted.lost(now_ms, lived_ms, self._limits, _jitter())

    def close(self, dial: Dial, linger_ms: int = 0) -> None:
        dial.cut(linger_ms)
        self._dials.discard(dial)

    def _failed(self, wanted: Wanted, because: Failure, now_ms: int) -> list[DialFailed | SeedFailed]:
        had_each = wanted.failed(now_ms, self._limits, _jitter())
        if wanted.peer is not None:
            return [DialFailed(wanted.peer)] if had_each else []
        if wanted.said is because:
            return []
        wanted.said = because
        return [SeedFailed(wanted.addresses[0], because)]

    def _wanted(self) -> list[Wanted]:
        return [*self._peers.values(), *self._seeds.values()]

    def _tries_of(self, wanted: Wanted | None) -> list[Dial]:
        return [one for one in self._dials if one.wanted is wanted and one.peer is None]


def _jitter() -> float:
    """So that nodes which lost each other in one moment do not all come back in one."""
    return secrets.randbelow(1_000) / 1_000
