"""Which transfer does an action, an ask or a chunk belong to?

The data plane without its thread: what is to be done goes in, what is to be said or told comes out. Every
transfer ends by itself, with `Forget`, or with the link that it needs. Knows nothing of sockets or rounds.
"""

import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from comind.crypto.sealing import KEY_BYTES
from comind.node.daemon.averaging import Averaging
from comind.node.daemon.early import Early
from comind.node.daemon.fetching import Fetching, Keys
from comind.node.daemon.offers import Offers
from comind.node.daemon.outgoing import Chunk, FromPeer, Output, Refuse
from comind.node.daemon.pace import Pace
from comind.node.daemon.receiving import Receiving
from comind.node.daemon.serving import Serving
from comind.node.daemon.shared import Brought, Shared
from comind.node.daemon.slabs import Slabs
from comind.node.daemon.snapshots import Snapshots
from comind.node.daemon.uploading import Uploading
from comind.p2p.core.effects import (
    Announced,
    Average,
    Contribute,
    Fetch,
    FetchFailed,
    Forget,
    Held,
    LinkDown,
    LinkUp,
    Lost,
    OpenHash,
    Progressed,
    Receive,
)
from comind.p2p.core.signing import Signer, Verify
from comind.p2p.core.words import Incarnation, NetworkId, NodeId, Root
from comind.p2p.shell.bulk import (
    Asked,
    ChunkCame,
    Granted,
    Listed,
    Stream,
    StreamKind,
    StreamRefused,
)

PROGRESS_EVERY_MS = 50
MAX_FETCHES = 4
MAX_FORGOTTEN = 1_024


@dataclass(frozen=True, slots=True)
class Adopted:
    """The base is another: offers from an older one are of no use any more."""

    root: Root


Task = (
    Contribute
    | Average
    | Receive
    | Fetch
    | Forget
    | Brought
    | Adopted
    | Announced
    | FromPeer
    | LinkUp
    | LinkDown
)


class Transfers:
    """All transfers of one node. Not for two threads at once."""

    def __init__(
        self,
        network: NetworkId,
        signer: Signer,
        verify: Verify,
        snapshots: Snapshots,
        now_ms: Callable[[], int],
    ) -> None:
        self._now_ms = now_ms
        self._network = network
        self._signer = signer
        self._verify = verify
        self._snapshots = snapshots
        self._slabs = Slabs()
        self._offers = Offers(self._slabs, self._is_read)
        self._uploads: dict[OpenHash, Uploading] = {}
        self._averages: dict[OpenHash, Averaging] = {}
        self._receipts: dict[OpenHash, Receiving] = {}
        self._fetches: dict[Root, Fetching] = {}
        self._keys = Keys()
        self._serving = Serving(snapshots, self._slabs)
        self._pace = Pace()
        self._links: dict[NodeId, Incarnation] = {}
        self._early = Early()
        self._forgotten: OrderedDict[OpenHash, None] = OrderedDict()
        self._progress_ms: dict[OpenHash, int] = {}

    @property
    def has_work(self) -> bool:
        """Whether `work` has something to do now."""
        return self.work_in_ms() == 0

    def work_in_ms(self) -> int | None:
        """How long it is until `work` has something to do; None: not before a task comes."""
        if any(averaging.has_work for averaging in self._averages.values()):
            return 0
        now_ms = self._now_ms()
        due = [fetching.due_ms() for fetching in self._fetches.values()]
        waits = [max(0, at_ms - now_ms) for at_ms in due if at_ms is not None]
        if self._serving.has_work:
            waits.append(self._pace.wait_ms(now_ms, self._gathers()))
        return min(waits, default=None)

    def work(self) -> Iterator[Output]:
        """Go on, a little, with what needs no word from anybody: with rounds first, with serving last."""
        yield from self._noting_moves(self._work())

    def do(self, task: Task) -> Iterator[Output]:
        """Do one task, and yield what comes of it."""
        match task:
            case FromPeer(event=ChunkCame(stream=stream)) if stream.kind is not StreamKind.SNAPSHOT:
                self._pace.moved(self._now_ms())
            case Brought() | Average() | Contribute() | Receive():
                self._pace.begins(self._now_ms())
        yield from self._noting_moves(self._do(task))

    def _work(self) -> Iterator[Output]:
        averages = [averaging for averaging in self._averages.values() if averaging.has_work]
        for averaging in averages:
            yield from self._owned(averaging, averaging.go_on())
            yield from self._progressed(averaging.open)
        now_ms = self._now_ms()
        for fetching in list(self._fetches.values()):
            if (due_ms := fetching.due_ms()) is not None and due_ms <= now_ms:
                yield from self._fetched(fetching, fetching.look_around())
        if not averages and self._serving.has_work and not self._pace.wait_ms(now_ms, self._gathers()):
            self._pace.served()
            yield from self._serving.serve()

    def _do(self, task: Task) -> Iterator[Output]:
        match task:
            case FromPeer():
                yield from self._hear(task)
            case Contribute():
                yield from self._contribute(task)
            case Average():
                yield from self._average(task)
            case Receive():
                yield from self._receive(task)
            case Fetch():
                yield from self._fetch(task)
            case Forget():
                self._forget(task.open)
            case Brought():
                yield self._offers.look_through(task)
            case Adopted():
                self._offers.adopted(task.root)
            case Announced():
                self._offers.announced(task.offer)
            case LinkUp():
                if self._links.get(task.peer, task.incarnation) != task.incarnation:
                    yield from self._link_down(task.peer)
                self._links[task.peer] = task.incarnation
            case LinkDown():
                yield from self._link_down(task.peer)

    def close(self) -> None:
        """Let go of everything."""
        for open in [*self._uploads, *self._averages, *self._receipts]:
            self._forget(open)
        for fetching in self._fetches.values():
            fetching.abandon()
        for peer in list(self._links):
            self._serving.forget(peer)
        self._offers.close()

    # -- what the member wants ------------------------------------------------------------------------------

    def _contribute(self, action: Contribute) -> Iterator[Output]:
        source = self._offers.of(action.offer)
        if action.open in self._uploads or action.open in self._forgotten:
            return
        if source is None:
            yield Lost(action.open, self._signer.node_id, "the trainer's snapshot is gone")
            return
        self._uploads[action.open] = Uploading(
            action.open, self._network, self._signer.node_id, action.averager, source, self._slabs
        )
        yield from self._catch_up(Stream(StreamKind.CONTRIBUTION, action.open))

    def _average(self, action: Average) -> Iterator[Output]:
        if action.open in self._averages or action.open in self._forgotten:
            return
        offers = [part.offer for part in action.parts if part.offer is not None]
        own = self._offers.of(offers[0]) if offers else None
        if offers and own is None:
            yield Lost(action.open, self._signer.node_id, "the trainer's snapshot is gone", at_fault=True)
            return
        key = secrets.token_bytes(KEY_BYTES)
        try:
            averaging = Averaging(action, self._network, self._signer, own, self._snapshots, self._slabs, key)
        except OSError as why:
            yield Lost(action.open, self._signer.node_id, _told(why))
            return
        self._averages[action.open] = averaging
        yield from self._owned(averaging, averaging.go_on())
        yield from self._catch_up(Stream(StreamKind.AVERAGE, action.open))

    def _receive(self, action: Receive) -> Iterator[Output]:
        if action.open in self._receipts or action.open in self._forgotten:
            return
        try:
            receiving = Receiving(action, self._network, self._verify, self._snapshots, self._slabs)
        except OSError as why:
            yield Lost(action.open, self._signer.node_id, _told(why))
            return
        self._receipts[action.open] = receiving
        yield from receiving.start()

    def _fetch(self, action: Fetch) -> Iterator[Output]:
        if action.root in self._snapshots.held():
            try:
                self._snapshots.outlive_power(action.root)
            except OSError as why:
                for peer in action.holders:
                    yield FetchFailed(action.root, peer, _told(why))
                return
            yield Held(action.root)
            return
        fetching = self._fetches.get(action.root)
        if fetching is not None and (not action.holders or fetching.size != action.size):
            self._fetches.pop(action.root).abandon()
            fetching = None
        if fetching is None and action.holders:
            while len(self._fetches) >= MAX_FETCHES:
                self._fetches.pop(next(iter(self._fetches))).abandon()
            try:
                fetching = Fetching(
                    action.root, action.size, self._snapshots, self._slabs, self._keys, self._now_ms
                )
            except OSError as why:
                for peer in action.holders:
                    yield FetchFailed(action.root, peer, _told(why))
                return
            self._fetches[action.root] = fetching
        if fetching is not None:
            yield from self._fetched(fetching, fetching.name(action.holders))

    def _forget(self, open: OpenHash) -> None:
        self._uploads.pop(open, None)
        if (averaging := self._averages.pop(open, None)) is not None:
            averaging.abandon()
        if (receiving := self._receipts.pop(open, None)) is not None:
            receiving.abandon()
        self._progress_ms.pop(open, None)
        self._forgotten[open] = None
        while len(self._forgotten) > MAX_FORGOTTEN:
            self._forgotten.popitem(last=False)
        self._offers.tidy()

    # -- what peers say -------------------------------------------------------------------------------------

    def _hear(self, heard: FromPeer) -> Iterator[Output]:
        match heard.event:
            case Asked():
                yield from self._asked(heard.event, heard)
            case ChunkCame():
                yield from self._came(heard.event, heard.secrets)
            case Granted(peer=peer, stream=stream, key=key):
                if stream.kind is StreamKind.SNAPSHOT and peer in self._links:
                    self._keys.granted(peer, Root(stream.id), key)
                elif (receiving := self._receiving(peer, stream)) is not None:
                    receiving.granted(key)
            case Listed():
                yield from self._listed(heard.event)
            case StreamRefused():
                yield from self._refused(heard.event)

    def _asked(self, ask: Asked, heard: FromPeer) -> Iterator[Output]:
        peer, stream = ask.peer, ask.stream
        if stream.kind is StreamKind.SNAPSHOT:
            yield from self._guarded(
                peer, stream, self._serving.asked(peer, Root(stream.id), ask.first, ask.count)
            )
        elif stream.kind is StreamKind.AVERAGE and (averaging := self._averages.get(stream.id)):
            yield from averaging.asked(peer, ask.first, ask.count)
        elif stream.kind is StreamKind.CONTRIBUTION and (upload := self._uploads.get(stream.id)):
            secret = heard.secrets[0] if heard.secrets else None
            yield from self._guarded(peer, stream, upload.asked(peer, ask.first, ask.count, secret))
            yield from self._progressed(stream.id)
        elif stream.id in self._forgotten:
            yield Refuse(peer, stream, "this attempt is over")
        elif peer in self._links:
            yield from self._early.keep(peer, stream, heard)

    def _came(self, chunk: ChunkCame, secrets: Sequence[bytes]) -> Iterator[Output]:
        peer, stream = chunk.peer, chunk.stream
        if stream.kind is StreamKind.CONTRIBUTION:
            if (averaging := self._averages.get(stream.id)) is not None:
                coming = averaging.came(peer, chunk.index, chunk.sealed, secrets)
                yield from self._owned(averaging, coming)
                yield from self._progressed(stream.id)
        elif (fetching := self._fetching(stream)) is not None:
            yield from self._fetched(fetching, fetching.came(peer, chunk.index, chunk.sealed))
        elif (receiving := self._receiving(peer, stream)) is not None:
            yield from self._received(receiving, receiving.came(chunk.index, chunk.sealed))
            yield from self._progressed(stream.id)

    def _listed(self, listed: Listed) -> Iterator[Output]:
        peer, stream = listed.peer, listed.stream
        if (fetching := self._fetching(stream)) is not None:
            yield from self._fetched(fetching, fetching.listed(peer, listed.size, listed.hashes))
        elif (receiving := self._receiving(peer, stream)) is not None:
            coming = receiving.listed(listed.size, listed.hashes, listed.signature)
            yield from self._received(receiving, coming)

    def _refused(self, refused: StreamRefused) -> Iterator[Output]:
        peer, stream, because = refused.peer, refused.stream, refused.because
        if stream.kind is StreamKind.CONTRIBUTION:
            if (averaging := self._averages.get(stream.id)) is not None:
                yield from averaging.refused(peer, because)
        elif (fetching := self._fetching(stream)) is not None:
            yield from self._fetched(fetching, fetching.refused(peer, because))
        elif (receiving := self._receiving(peer, stream)) is not None:
            yield from receiving.refused(because)

    def _link_down(self, peer: NodeId) -> Iterator[Output]:
        self._links.pop(peer, None)
        self._early.forget(peer)
        self._serving.forget(peer)
        self._keys.forget(peer)
        for averaging in self._averages.values():
            yield from averaging.link_down(peer)
        for receiving in self._receipts.values():
            if receiving.averager == peer:
                yield from receiving.link_down()
        for fetching in list(self._fetches.values()):
            yield from self._fetched(fetching, fetching.link_down(peer))

    # -- inside ---------------------------------------------------------------------------------------------

    def _receiving(self, peer: NodeId, stream: Stream) -> Receiving | None:
        """Return what is being got from this averager; what comes of anything else is old, and no matter."""
        receiving = self._receipts.get(stream.id) if stream.kind is StreamKind.AVERAGE else None
        return receiving if receiving is not None and receiving.averager == peer else None

    def _fetching(self, stream: Stream) -> Fetching | None:
        return self._fetches.get(Root(stream.id)) if stream.kind is StreamKind.SNAPSHOT else None

    def _gathers(self) -> bool:
        """Whether something of a round is on its way here."""
        averages, receipts = self._averages.values(), self._receipts.values()
        return not (all(one.over for one in averages) and all(one.over for one in receipts))

    def _noting_moves(self, outputs: Iterable[Output]) -> Iterator[Output]:
        for output in outputs:
            if isinstance(output, Chunk) and output.stream.kind is not StreamKind.SNAPSHOT:
                self._pace.moved(self._now_ms())
            yield output

    def _catch_up(self, stream: Stream) -> Iterator[Output]:
        """Do what was asked of a stream before it was known."""
        for ask in self._early.take(stream):
            yield from self._hear(ask)

    def _is_read(self, source: Shared) -> bool:
        """Whether a transfer still reads this snapshot of the trainer's."""
        if any(upload.source is source for upload in self._uploads.values()):
            return True
        return any(one.own is source and not one.over for one in self._averages.values())

    def _progressed(self, open: OpenHash) -> Iterator[Output]:
        now_ms = self._now_ms()
        if now_ms - self._progress_ms.get(open, -PROGRESS_EVERY_MS) >= PROGRESS_EVERY_MS:
            self._progress_ms[open] = now_ms
            yield Progressed(open)

    def _owned(self, averaging: Averaging, outputs: Iterable[Output]) -> Iterator[Output]:
        """A disk that fails is this node's own fault: the average is lost, and nobody else is to blame."""
        try:
            yield from outputs
        except OSError as why:
            averaging.abandon()
            yield Lost(averaging.open, self._signer.node_id, _told(why))

    def _received(self, receiving: Receiving, outputs: Iterable[Output]) -> Iterator[Output]:
        """Where the average is whole, nobody need fetch it by its root any more."""
        try:
            for output in outputs:
                if isinstance(output, Held) and (fetching := self._fetches.pop(output.root, None)):
                    fetching.abandon()
                yield output
        except OSError as why:
            receiving.abandon()
            yield Lost(receiving.open, self._signer.node_id, _told(why))

    def _fetched(self, fetching: Fetching, outputs: Iterable[Output]) -> Iterator[Output]:
        try:
            yield from outputs
        except OSError as why:
            fetching.abandon()
            for peer in fetching.holders:
                yield FetchFailed(fetching.root, peer, _told(why))
        if fetching.over and self._fetches.get(fetching.root) is fetching:
            del self._fetches[fetching.root]

    def _guarded(self, peer: NodeId, stream: Stream, outputs: Iterable[Output]) -> Iterator[Output]:
        try:
            yield from outputs
        except OSError as why:
            yield Refuse(peer, stream, _told(why))


def _told(why: OSError) -> str:
    return f"its disk failed: {why.strerror or why}"
