"""Which nodes is this one linked with, and what did they say?

One link for each pair of nodes, whoever dialled, proven by a greeting and sealed from then on. What goes
wrong on one touches no other. Decides nothing of a round: it carries.

Everything happens in `collect`, in the thread that calls it, without waiting; what `send` and its like do
between two calls is told by the next. Times are milliseconds of the caller's monotonic clock.
"""

import zmq

from comind.crypto.errors import CannotOpen
from comind.crypto.gate import gate_of
from comind.crypto.greeting import Initiator, Link, Responder
from comind.crypto.identity import Identity
from comind.p2p.core.effects import Bar, Heard, Knocked, LinkDown, LinkUp
from comind.p2p.core.errors import LinkFailed, PeerMisbehaved
from comind.p2p.core.messages import Message, TurnedAway
from comind.p2p.core.wire import decode, encode
from comind.p2p.core.words import Incarnation, NetworkId, NodeId
from comind.p2p.shell import bulk
from comind.p2p.shell.addresses import Listen
from comind.p2p.shell.bulk import Buffer
from comind.p2p.shell.channel import Channel
from comind.p2p.shell.connection import Arrived, Connection
from comind.p2p.shell.dial import Dial
from comind.p2p.shell.dialler import Dialler
from comind.p2p.shell.limits import Limits
from comind.p2p.shell.listener import Listener
from comind.p2p.shell.news import News, Reached
from comind.p2p.shell.pair import Pair
from comind.p2p.shell.reasons import Failure, Reasons
from comind.p2p.shell.roll import Accepted
from comind.p2p.shell.sockets import Frames, Watch, ZmqContext
from comind.p2p.shell.speaker import BulkSpeaker


class Links(BulkSpeaker):
    """All links of one node. Binds at once.

    `key` is the network key, 32 bytes; `context` comes from `sockets.open_context`.

    Raises:
        ConfigError: nothing that `listen` names can be bound; the message says how to mend it.
    """

    def __init__(
        self,
        identity: Identity,
        network: NetworkId,
        key: bytes,
        incarnation: Incarnation,
        context: ZmqContext,
        listen: Listen,
        limits: Limits | None = None,
    ) -> None:
        self._identity = identity
        self._own = (identity, network, key, incarnation)
        self._limits = limits or Limits()
        self._reasons = Reasons()
        self._watch = Watch()
        gate = gate_of(network, key)
        self._listener = Listener(context, gate, listen, self._limits, self._reasons, self._watch)
        self._dialler = Dialler(context, gate, self._limits, self._watch)
        self._channels: dict[Connection, Channel] = {}
        self._pairs: dict[NodeId, Pair] = {}
        self._retiring: dict[Channel, int] = {}
        """Own dials that gave way to another connection, and until when they are read still."""
        self._leaving: dict[Channel, int] = {}
        """Those that were turned away, and until when the last word has time to get out."""
        self._bar = Bar((), None)
        self._news: list[News] = []
        self._now_ms = 0
        self._encoded: tuple[Message, bytes] | None = None
        self.sent_bytes = 0
        self.received_bytes = 0

    @property
    def listening(self) -> str:
        """What is bound, as tcp://host:port."""
        return self._listener.listening

    @property
    def dropped(self) -> dict[str, int]:
        """How often a connection was refused or cut for each reason."""
        return self._reasons.counts

    def register(self, poller: zmq.Poller) -> None:
        """Have this poller wake the loop when there is something to collect, from now on."""
        self._watch.join(poller)

    def linked(self) -> frozenset[NodeId]:
        return frozenset(self._pairs)

    # -- whom to be linked with -----------------------------------------------------------------------------

    def dial_seed(self, address: str) -> None:
        """Keep a link to whoever answers at this `tcp://host:port`, trying again until `undial_seed`."""
        self._dialler.want_seed(address)

    def undial_seed(self, address: str) -> None:
        for dial in self._dialler.unwant_seed(address):
            self._close(self._channels[dial])

    def dial(self, peer: NodeId, addresses: tuple[str, ...]) -> None:
        """Keep a link to this node, and show that it can be reached at one of its addresses (`Reached`)."""
        if peer != self._identity.node_id:
            self._dialler.want(peer, addresses)

    def undial(self, peer: NodeId) -> None:
        """Try no more; a link that is there stays until it breaks."""
        for dial in self._dialler.unwant(peer):
            self._close(self._channels[dial])

    def drop(self, peer: NodeId, because: str) -> None:
        """Close the link with this peer and count why; told as its LinkDown. It may be dialled again."""
        pair = self._pairs.get(peer)
        if pair is not None:
            self._reasons.count(because)
            self._unlink(pair)

    def bar(self, bar: Bar) -> None:
        """From now on who is barred gets no link, whatever keys it holds, and is told why as the last word.

        Who is on no allow-list may not dial this node; whom this node dials is its own operator's choice.
        """
        self._bar = bar
        for pair in list(self._pairs.values()):
            if (word := self._why_barred(pair.peer, pair.current.dialled)) is not None:
                self._turn_away_pair(pair, word)

    def close(self) -> None:
        """Close all; terminating the context then waits a moment for what was sent last to get out."""
        for channel in list(self._channels.values()):
            if isinstance(channel.connection, Dial):
                self._close(channel, self._limits.linger_ms if channel.link is not None else 0)
            else:
                channel.flush()
        self._listener.close(self._limits.linger_ms)
        self._channels.clear()
        self._pairs.clear()

    # -- speaking -------------------------------------------------------------------------------------------

    def send(self, peer: NodeId, message: Message) -> None:
        """Seal and send a message; to whom there is no link, nothing goes."""
        if peer in self._pairs:
            self._say(peer, self._encode(message))

    def upload_secret(self, peer: NodeId) -> tuple[bytes, ...] | None:
        pair = self._pairs.get(peer)
        return None if pair is None else pair.secrets

    def _encode(self, message: Message) -> bytes:
        """Encode once what goes to many, one call after the other."""
        if self._encoded is None or self._encoded[0] is not message:
            self._encoded = message, encode(message)
        return self._encoded[1]

    def _say(self, peer: NodeId, plaintext: bytes, chunk: Buffer | None = None) -> None:
        pair = self._pairs.get(peer)
        if pair is None:
            return
        try:
            self.sent_bytes += pair.current.send(plaintext, chunk, self._limits)
        except LinkFailed as why:
            self.drop(peer, str(why))

    # -- listening ------------------------------------------------------------------------------------------

    def wake_at_ms(self) -> int | None:
        """When `collect` has something to do even if no socket wakes the loop; None: then not at all."""
        times = [self._listener.wake_at_ms, self._dialler.wake_at_ms]
        times.append(min(self._retiring.values(), default=None))
        times.append(min(self._leaving.values(), default=None))
        if self._news:
            times.append(self._now_ms)
        if any(channel.waits for channel in self._channels.values()):
            times.append(self._now_ms + self._limits.retry_ms)
        return min((one for one in times if one is not None), default=None)

    def collect(self, now_ms: int) -> list[News]:
        """Do what is due, read what has come, and return what is new. What is left wakes the loop again."""
        self._now_ms = now_ms
        self._dial_out()
        ready = self._watch.ready()
        came, gone = self._listener.read(now_ms, ready)
        self._take_all(came)
        for accepted in gone:
            self._ended(accepted)
        dialled, over = self._dialler.read(ready)
        self._take_all(dialled)
        for dial in over:
            self._ended(dial)
        self._sweep()
        for channel in self._channels.values():
            channel.flush()
        news, self._news = self._news, []
        return news

    def _sweep(self) -> None:
        """Called when all that has come is read: nobody is late because this node is."""
        self._retire()
        for channel in [one for one, at_ms in self._leaving.items() if at_ms <= self._now_ms]:
            self._close(channel)
        self._listener.sweep(self._now_ms)
        for dial in self._dialler.late(self._now_ms):
            self._ended(dial)
        for dial in self._dialler.hoarders(self._now_ms):
            self._reasons.count("sent a message that does not end")
            self._ended(dial)

    def _dial_out(self) -> None:
        started, failed = self._dialler.start(self._now_ms)
        self._news += failed
        for dial in started:
            channel = Channel(dial, Initiator(*self._own, expected=dial.wanted.peer))
            self._channels[dial] = channel
            channel.begin()

    def _take_all(self, arrivals: list[Arrived]) -> None:
        for one in arrivals:
            if not one.connection.over:
                self._take(one.connection, one.frames)

    def _take(self, connection: Connection, frames: Frames) -> None:
        channel = self._channels.get(connection)
        if channel in self._leaving:
            return
        if channel is None:
            channel = self._channels[connection] = Channel(connection, Responder(*self._own))
        self.received_bytes += sum(map(len, frames))
        try:
            if channel.link is not None:
                self._hear(channel, channel.link, frames)
            else:
                self._greet(channel, frames)
        except CannotOpen:
            self._blame(channel, "sent what does not open")
        except PeerMisbehaved as why:
            self._blame(channel, str(why))

    def _hear(self, channel: Channel, link: Link, frames: Frames) -> None:
        plaintext, chunk = channel.open(frames)
        if bulk.is_bulk(plaintext):
            self._news.append(bulk.read(link.peer, plaintext, chunk))
        elif chunk is not None:
            raise PeerMisbehaved("a message with a chunk that no header announces")
        else:
            message = decode(plaintext)
            self._news.append(Heard(link.peer, message))
            if isinstance(message, TurnedAway) and link.peer in self._pairs:
                self._unlink(self._pairs[link.peer])  # it was the last word

    # -- greeting -------------------------------------------------------------------------------------------

    def _greet(self, channel: Channel, frames: Frames) -> None:
        channel.note_claim(frames)
        own_dial = self._own_dial(channel)
        if own_dial is not None:
            self._refuse(own_dial, Failure.ITSELF)
            self._refuse(channel, Failure.ITSELF)
        else:
            channel.greet(frames)
            if channel.link is not None:
                self._greeted(channel, channel.link)

    def _own_dial(self, channel: Channel) -> Channel | None:
        """The other end of this connection, if this node dialled its own address."""
        if channel.dialled or channel.claimed != self._identity.node_id:
            return None
        dials = (one for one in self._channels.values() if one.dialled and one.link is None)
        return next((one for one in dials if one.hello == channel.hello), None)

    def _greeted(self, channel: Channel, link: Link) -> None:
        pair = self._pairs.get(link.peer)
        if (word := self._why_barred(link.peer, channel.dialled)) is not None:
            self._turn_away(channel, word)
            self._news.append(Knocked(link.peer))
        elif pair is not None and link.peer_incarnation < pair.incarnation:
            self._refuse(channel, Failure.OLDER)
        else:
            if pair is not None and link.peer_incarnation > pair.incarnation:
                self._end_pair(pair)  # it was started again: nobody is left at the other ends
            self._join(channel, link)

    def _why_barred(self, peer: NodeId, dialled: bool) -> TurnedAway | None:
        if (because := dict(self._bar.denied).get(peer)) is not None:
            return TurnedAway(denied=True, because=because[:400])
        if not dialled and self._bar.allowed is not None and peer not in self._bar.allowed:
            return TurnedAway(denied=False, because="")
        return None

    def _turn_away(self, channel: Channel, word: TurnedAway) -> None:
        """Say why there is no link, and close once that had time to get out; nothing is heard meanwhile."""
        connection = channel.connection
        if isinstance(connection, Accepted):
            connection.greeted = True
        self._reasons.count("its identity is denied" if word.denied else "its identity is not allowed yet")
        try:
            self.sent_bytes += channel.send(self._encode(word), None, self._limits)
        except LinkFailed:
            pass  # it reads nothing: it will not read this either
        if isinstance(connection, Dial):
            self._close(channel, self._limits.linger_ms)
            self._news += self._dialler.failed(connection, Failure.DENIED, self._now_ms)
        else:
            self._leaving[channel] = self._now_ms + self._limits.linger_ms

    def _turn_away_pair(self, pair: Pair, word: TurnedAway) -> None:
        current = pair.current
        pair.channels.remove(current)
        self._unlink(pair)
        self._turn_away(current, word)

    def _join(self, channel: Channel, link: Link) -> None:
        """Make the channel one of the pair's, and leave the pair with one."""
        connection = channel.connection
        if isinstance(connection, Accepted):
            connection.greeted = True
        elif isinstance(connection, Dial):
            self._dialler.greeted(connection, link.peer)
            self._news.append(Reached(link.peer))
        pair = self._pairs.get(link.peer)
        before = pair.current if pair is not None else None
        if pair is None:
            pair = self._pairs[link.peer] = Pair(self._identity.node_id, channel, self._now_ms)
        else:
            pair.add(channel)
        self._tell_if_changed(pair, before)
        for loser in pair.losers(self._limits.links_of_one):
            if loser.dialled:
                self._retiring.setdefault(loser, self._now_ms + self._limits.merge_ms)
            else:
                pair.remove(loser)
                self._close(loser, self._limits.linger_ms)

    def _retire(self) -> None:
        """Close own dials that gave way to another connection, once the peer's last words on them came."""
        for channel in [one for one, at_ms in self._retiring.items() if at_ms <= self._now_ms]:
            del self._retiring[channel]
            if self._channels.get(channel.connection) is not channel or channel.link is None:
                continue  # it ended by itself
            pair = self._pairs[channel.link.peer]
            if pair.current is not channel:
                pair.remove(channel)
                self._close(channel, self._limits.linger_ms)

    def _tell_if_changed(self, pair: Pair, before: Channel | None) -> None:
        if pair.current is not before:
            self._news.append(LinkUp(pair.peer, Incarnation(pair.incarnation), pair.current.dialled))

    # -- ending ---------------------------------------------------------------------------------------------

    def _ended(self, connection: Connection) -> None:
        """The connection is gone, or has had its time."""
        channel = self._channels.get(connection)
        if channel is not None and channel in self._leaving:
            self._close(channel)
        elif channel is not None and channel.link is not None:
            self._lost(channel, self._pairs[channel.link.peer])
        elif channel is not None and isinstance(connection, Dial):
            self._refuse(channel, connection.why_not)
        else:
            self._channels.pop(connection, None)
            if not connection.over:
                self._reasons.count("did not come through the gate, or left before it greeted")

    def _lost(self, channel: Channel, pair: Pair) -> None:
        self._close(channel)
        before = pair.current
        if pair.remove(channel):
            self._tell_if_changed(pair, before)
        else:
            self._unlink(pair)

    def _blame(self, channel: Channel, because: str) -> None:
        """The peer misbehaved: its link goes, or a connection that never came to one."""
        if channel.link is not None:
            self._reasons.count(because)
            self._unlink(self._pairs[channel.link.peer])
            return
        wanted = channel.connection.wanted.peer if isinstance(channel.connection, Dial) else None
        is_another = wanted is not None and channel.claimed not in (None, wanted)
        self._refuse(channel, Failure.ANOTHER_NODE if is_another else Failure.UNPROVEN)

    def _refuse(self, channel: Channel, because: Failure) -> None:
        """No greeting comes of this connection."""
        self._close(channel)
        if isinstance(channel.connection, Dial):
            self._news += self._dialler.failed(channel.connection, because, self._now_ms)
        elif because is not Failure.ITSELF:
            self._reasons.count(because)

    def _unlink(self, pair: Pair) -> None:
        self._end_pair(pair)
        self._news.append(LinkDown(pair.peer))

    def _end_pair(self, pair: Pair) -> None:
        del self._pairs[pair.peer]
        for channel in pair.channels:
            self._close(channel)
        self._dialler.lost(pair.peer, self._now_ms, self._now_ms - pair.since_ms)

    def _close(self, channel: Channel, linger_ms: int = 0) -> None:
        self._channels.pop(channel.connection, None)
        self._leaving.pop(channel, None)
        if linger_ms:
            channel.flush()
        if isinstance(channel.connection, Dial):
            self._dialler.close(channel.connection, linger_ms)
        else:
            channel.connection.cut()
