"""How do snapshots travel, and what comes of them?

The data plane of one process: real float32 values, in virtual time, over the links that there are. It
computes the mean as docs/protocol.md has it; the oracle of S3 computes it in another way.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np

from comind.p2p.core.effects import (
    Average,
    Averaged,
    Contribute,
    Event,
    Fetch,
    FetchFailed,
    Held,
    Lost,
    OpenHash,
    Part,
    Progressed,
    Receive,
)
from comind.p2p.core.snapshot import CHUNK_BYTES, chunk_hash, root_of
from comind.p2p.core.words import NodeId, Offer, Root
from tests.scenarios.clock import Clock
from tests.scenarios.disk import Disk, Values
from tests.scenarios.network import End, Network

PIECES = 2
"""A transfer makes progress so many times."""
TRY_AGAIN_MS = 20
FETCH_TIMEOUT_MS = 3_000

OfferKey = tuple[bytes, int, Root]


def snapshot_root(values: Values) -> Root:
    wire = values.astype("<f4").tobytes()
    chunks = [wire[at : at + CHUNK_BYTES] for at in range(0, len(wire), CHUNK_BYTES)]
    return root_of(values.size, [chunk_hash(chunk) for chunk in chunks])


def weighted_mean(shares: list[tuple[Values, int]]) -> Values:
    """The mean to the bit (S3): scale, then add, each one float32 operation, in order."""
    total = sum(weight for _, weight in shares)
    mean = np.zeros(shares[0][0].size, np.float32)
    for values, weight in shares:
        scaled = values * np.float32(weight / total)
        mean = mean + scaled
    return mean


def offer_key(offer: Offer) -> OfferKey:
    return offer.run, offer.last_step, offer.base


def _of_base(key: OfferKey | None, base: Root) -> OfferKey | None:
    return key if key is not None and key[2] == base else None


class PlaneEnd(End, Protocol):
    """The process that a plane belongs to; every end of the network is one."""

    plane: "Plane"


@dataclass(slots=True)
class Gathering:
    """One attempt at its averager."""

    parts: tuple[Part, ...]
    arrived: dict[NodeId, Values] = field(default_factory=dict)
    pieces: dict[NodeId, int] = field(default_factory=dict)
    result: Values | None = None

    def averaged(self) -> int:
        """How many pieces have come of all parts: so many of the average may go out."""
        return min(self.pieces.get(part.node, 0) for part in self.parts)


class Plane:
    """What one process sends, gathers and fetches; all but files is gone with the process."""

    def __init__(self, owner: PlaneEnd, disk: Disk, network: Network, clock: Clock) -> None:
        self.upload_ms = 2
        self.download_ms = 2
        self.uploading: dict[OpenHash, int] = {}
        """Pieces that this process sent of each attempt that it contributes to."""
        self._owner = owner
        self._disk = disk
        self._network = network
        self._clock = clock
        self._offers: dict[OfferKey, Values] = {}
        self._newest: OfferKey | None = None
        self._announced: OfferKey | None = None
        self._named: dict[OpenHash, OfferKey] = {}
        self._gatherings: dict[OpenHash, Gathering] = {}
        self._receives: dict[OpenHash, Receive] = {}
        self._fetches: dict[Root, Fetch] = {}
        """What is wanted, and of whom."""
        self._over: set[OpenHash] = set()
        self._told: set[Root] = set(disk.snapshots)
        """Roots of which the member has been told: only these may a `Keep` throw away."""

    # -- the trainer's snapshots --------------------------------------------------------------------------

    def offered(self, offer: Offer, values: Values) -> None:
        self._offers[offer_key(offer)] = values.copy()
        self._newest = offer_key(offer)
        self._free()

    def announced(self, offer: Offer) -> None:
        """A header was made of this offer: an OPEN may name it, whatever the trainer offers since."""
        self._announced = offer_key(offer)
        self._free()

    def adopted(self, base: Root) -> None:
        self._newest = _of_base(self._newest, base)
        self._announced = _of_base(self._announced, base)
        self._free()

    def _free(self) -> None:
        needed = {self._newest, self._announced, *self._named.values()}
        for key in [key for key in self._offers if key not in needed]:
            del self._offers[key]

    def _use(self, open: OpenHash, offer: Offer) -> bool:
        """Keep this offer's snapshot for the attempt; a later offer may have taken its place already."""
        key = offer_key(offer)
        if key not in self._offers:
            self._tell(Lost(open, self._owner.node, "the trainer's snapshot is gone"))
            return False
        self._named[open] = key
        return True

    # -- attempts -----------------------------------------------------------------------------------------

    def contribute(self, action: Contribute) -> None:
        self._over.discard(action.open)
        if not self._use(action.open, action.offer):
            return
        self.uploading[action.open] = 0
        self._clock.after(self.upload_ms, partial(self._upload, action))

    def average(self, action: Average) -> None:
        self._over.discard(action.open)
        gathering = Gathering(action.parts)
        self._gatherings[action.open] = gathering
        for part in action.parts:
            if part.offer is not None:
                if not self._use(action.open, part.offer):
                    return
                gathering.arrived[part.node] = self._offers[offer_key(part.offer)]
                gathering.pieces[part.node] = PIECES
            elif self._network.peer(self._owner, part.node) is None:
                self._tell(Lost(action.open, part.node, "there is no link to it"))
        self._clock.after(self.upload_ms, partial(self._finish, action.open))

    def receive(self, action: Receive) -> None:
        self._over.discard(action.open)
        self._receives[action.open] = action
        self._clock.after(self.download_ms, partial(self._download, action, 0))

    def fetch(self, action: Fetch) -> None:
        """Ask all holders that are new; the first that gives it ends it for all."""
        before = self._fetches.pop(action.root, None)
        if action.holders:
            self._fetches[action.root] = action
        for peer in action.holders:
            if before is None or peer not in before.holders:
                self._clock.after(
                    PIECES * self.download_ms, partial(self._fetched, action.root, peer, self._clock.now_ms)
                )

    def forget(self, open: OpenHash) -> None:
        self._over.add(open)
        for jobs in (self._named, self._gatherings, self._receives, self.uploading):
            jobs.pop(open, None)
        self._free()

    def keep(self, roots: frozenset[Root], told: frozenset[Root]) -> None:
        """Throw away every file that the member knew of when it said what it needs, and did not name."""
        for root in told - roots:
            self._disk.snapshots.pop(root, None)
            self._told.discard(root)

    def told(self) -> frozenset[Root]:
        return frozenset(self._told)

    def lost(self, peer: NodeId) -> None:
        """A link went down, and every stream of the peer with it."""
        for open, gathering in list(self._gatherings.items()):
            owing = [part.node for part in gathering.parts if part.node not in gathering.arrived]
            if peer in owing:
                self._tell(Lost(open, peer, "its link went down"))
        for open, receive in list(self._receives.items()):
            if receive.averager == peer:
                del self._receives[open]
                self._tell(Lost(open, peer, "its link went down"))

    # -- transfers ----------------------------------------------------------------------------------------

    def _peer(self, node: NodeId) -> "Plane | None":
        end = self._network.peer(self._owner, node)
        return end.plane if end is not None else None  # type: ignore[attr-defined]

    def _upload(self, action: Contribute) -> None:
        there = self._peer(action.averager)
        if not self._owner.alive or action.open not in self.uploading or there is None:
            return
        if action.open in there._over:
            return
        gathering = there._gatherings.get(action.open)
        if gathering is None or self._network.is_stalled(self._owner.node, action.averager):
            self._clock.after(TRY_AGAIN_MS, partial(self._upload, action))
            return
        self.uploading[action.open] += 1
        gathering.pieces[self._owner.node] = self.uploading[action.open]
        self._tell(Progressed(action.open))
        there._tell(Progressed(action.open))
        if self.uploading[action.open] < PIECES:
            self._clock.after(self.upload_ms, partial(self._upload, action))
        else:
            gathering.arrived[self._owner.node] = self._offers[offer_key(action.offer)]
            self._clock.after(0, partial(there._finish, action.open))

    def _finish(self, open: OpenHash) -> None:
        gathering = self._gatherings.get(open)
        if not self._owner.alive or gathering is None or gathering.result is not None:
            return
        if all(part.node in gathering.arrived for part in gathering.parts):
            mean = weighted_mean([(gathering.arrived[part.node], part.weight) for part in gathering.parts])
            gathering.result = mean
            self._tell(Averaged(open, self._store(mean)))

    def _download(self, action: Receive, pieces: int) -> None:
        if not self._owner.alive or action.open not in self._receives:
            return
        there = self._peer(action.averager)
        if there is None or action.open in there._over:
            del self._receives[action.open]
            self._tell(Lost(action.open, action.averager, "its stream ended"))
            return
        gathering = there._gatherings.get(action.open)
        stalled = self._network.is_stalled(self._owner.node, action.averager)
        if stalled or gathering is None or gathering.averaged() <= pieces:
            self._clock.after(TRY_AGAIN_MS, partial(self._download, action, pieces))
            return
        self._tell(Progressed(action.open))
        there._tell(Progressed(action.open))
        if pieces + 1 < PIECES:
            self._clock.after(self.download_ms, partial(self._download, action, pieces + 1))
        elif gathering.result is None:
            self._clock.after(TRY_AGAIN_MS, partial(self._download, action, pieces))
        else:
            del self._receives[action.open]
            self._tell(Held(self._store(gathering.result)))

    def _fetched(self, root: Root, peer: NodeId, since_ms: int) -> None:
        action = self._fetches.get(root)
        if not self._owner.alive or action is None or peer not in action.holders:
            return
        there = self._peer(peer)
        if there is None:
            self._fetch_failed(action, peer, "there is no link to it")
        elif self._network.is_stalled(self._owner.node, peer):
            if self._clock.now_ms - since_ms < FETCH_TIMEOUT_MS:
                self._clock.after(TRY_AGAIN_MS, partial(self._fetched, root, peer, since_ms))
            else:
                self._fetch_failed(action, peer, f"nothing came for {FETCH_TIMEOUT_MS} ms")
        elif root not in there._disk.snapshots:
            self._fetch_failed(action, peer, "it does not hold it")
        else:
            values = there._disk.snapshots[root]
            assert values.size == action.size, "a fetch names another size than the snapshot's"
            del self._fetches[root]
            self._tell(Held(self._store(values)))

    def _fetch_failed(self, action: Fetch, peer: NodeId, because: str) -> None:
        others = tuple(node for node in action.holders if node != peer)
        self._fetches[action.root] = Fetch(action.root, action.size, others)
        self._tell(FetchFailed(action.root, peer, because))

    def _store(self, values: Values) -> Root:
        root = snapshot_root(values)
        self._disk.snapshots[root] = values
        return root

    def _tell(self, event: Event) -> None:
        """Say it to the member next: never in the middle of its other work."""
        self._clock.after(0, partial(self._say, event))

    def _say(self, event: Event) -> None:
        match event:
            case Held(root) | Averaged(_, root):
                self._told.add(root)
        self._owner.happens(event)
