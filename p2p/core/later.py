"""Which messages came before their time? What members say of the height after the present one waits here.

Bounded for each peer, in number and in bytes. Knows nothing of what the messages mean.
"""

from collections import deque
from dataclasses import dataclass, field

from comind.p2p.core.messages import Call, Open, Propose, Ready, ViewChanged, Voted
from comind.p2p.core.wire import encode
from comind.p2p.core.words import NodeId

RoundMessage = Ready | Call | Open | Propose | Voted | ViewChanged

MAX_MESSAGES = 32
MAX_BYTES = 8 << 20


@dataclass(slots=True)
class _Kept:
    messages: deque[tuple[RoundMessage, int]] = field(default_factory=deque)
    size_bytes: int = 0


@dataclass(slots=True)
class Later:
    """The newest messages of each peer that came before their time."""

    _kept: dict[NodeId, _Kept] = field(default_factory=dict)

    def keep(self, peer: NodeId, message: RoundMessage) -> None:
        """Keep a message; the oldest of this peer make room for it."""
        kept = self._kept.setdefault(peer, _Kept())
        size_bytes = len(encode(message))
        kept.messages.append((message, size_bytes))
        kept.size_bytes += size_bytes
        while len(kept.messages) > MAX_MESSAGES or kept.size_bytes > MAX_BYTES:
            kept.size_bytes -= kept.messages.popleft()[1]

    def forget(self, peer: NodeId) -> None:
        self._kept.pop(peer, None)

    def take(self) -> list[tuple[NodeId, RoundMessage]]:
        """Take all out, each peer's in the order in which they came."""
        kept, self._kept = self._kept, {}
        return [(peer, message) for peer, one in kept.items() for message, _ in one.messages]
