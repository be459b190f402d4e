"""Which of the connections between two nodes is their link?

Each may have dialled the other, and a dial may come while an older connection still seems to live. Both ends
decide alike and without a word, from what both know: the dial of the smaller NodeId survives, and whoever
dialled a connection that does not is the one to close it. So neither end is without a link in between, and
that closing changes nothing at the other. Knows nothing of sockets.
"""

from collections import deque

from comind.crypto.greeting import Link
from comind.p2p.core.words import NodeId
from comind.p2p.shell.channel import Channel

_SECRETS_KEPT = 4


class Pair:
    """The greeted channels with one peer; one of them, `current`, is the link."""

    def __init__(self, own: NodeId, first: Channel, now_ms: int) -> None:
        link = _link(first)
        self.peer = link.peer
        self.incarnation = link.peer_incarnation
        self.channels: list[Channel] = []
        self.current = first
        self.since_ms = now_ms
        self._own_dial_wins = own < link.peer
        self._secrets: deque[bytes] = deque(maxlen=_SECRETS_KEPT)
        self.add(first)

    @property
    def secrets(self) -> tuple[bytes, ...]:
        """Bulk secrets: the current link's, then those of others with which something may still come."""
        first = _link(self.current).bulk_secret
        return first, *(one for one in self._secrets if one != first)

    def add(self, channel: Channel) -> None:
        """A greeting of the same incarnation was completed."""
        self.channels.append(channel)
        self._secrets.appendleft(_link(channel).bulk_secret)
        self.current = self._best()

    def remove(self, channel: Channel) -> bool:
        """A channel has ended; whether another is left, which then may be the current one."""
        self.channels.remove(channel)
        if self.channels:
            self.current = self._best()
        return bool(self.channels)

    def losers(self, most: int) -> list[Channel]:
        """Those to close: own dials that are not the link, and the oldest of a peer that made too many."""
        own = [one for one in self.channels if one.dialled and one is not self.current]
        theirs = [one for one in self.channels if not one.dialled and one is not self.current]
        return own + theirs[: max(0, len(self.channels) - len(own) - most)]

    def _best(self) -> Channel:
        """Of one's own dials the oldest, since the newer ones are not needed; of the peer's the newest."""
        own = [one for one in self.channels if one.dialled]
        theirs = [one for one in self.channels if not one.dialled]
        if own and (self._own_dial_wins or not theirs):
            return own[0]
        return theirs[-1]


def _link(channel: Channel) -> Link:
    assert channel.link is not None
    return channel.link
