"""What was asked for before this node knew of it?

An ask may come before the OPEN that it belongs to was taken up here. Little is kept of anybody. Knows nothing
of what is asked.
"""

from collections.abc import Iterator

from comind.node.daemon.outgoing import FromPeer, Misbehaved, Output, Refuse
from comind.p2p.core.words import NodeId
from comind.p2p.shell.bulk import Stream

MAX_STREAMS = 8
"""Of one peer."""
MAX_ASKS = 8
"""Of one stream."""


class Early:
    """Asks that wait for their stream."""

    def __init__(self) -> None:
        self._asks: dict[NodeId, dict[Stream, list[FromPeer]]] = {}

    def keep(self, peer: NodeId, stream: Stream, ask: FromPeer) -> Iterator[Output]:
        """Keep an ask; the oldest stream gives way to a new one."""
        streams = self._asks.setdefault(peer, {})
        if stream not in streams and len(streams) >= MAX_STREAMS:
            oldest = next(iter(streams))
            del streams[oldest]
            yield Refuse(peer, oldest, "this node knows of no such attempt")
        asks = streams.setdefault(stream, [])
        if len(asks) >= MAX_ASKS:
            yield Misbehaved(peer, "it asks and asks for what is not there")
            return
        asks.append(ask)

    def take(self, stream: Stream) -> list[FromPeer]:
        """Take out what was asked of a stream that is known now."""
        return [ask for streams in self._asks.values() for ask in streams.pop(stream, ())]

    def forget(self, peer: NodeId) -> None:
        self._asks.pop(peer, None)
