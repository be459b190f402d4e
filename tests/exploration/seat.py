"""What does one member, with its disk, its trainer and its transfers, make of one thing that happens?

A seat is all of a world that one event can change: so what it makes of an event is found out once, whatever
the others are at. It steps the real core, writes at once what must be on disk, and puts everything under the
oracles of the scenarios. Knows nothing of the other seats: what it says lies in the post until it is heard.

Its clock stands still while it hears, and jumps where its core asked to be woken: whatever else may happen,
happens before a timer or after it.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field, replace

from comind.p2p.core.effects import (
    Action,
    Adopt,
    Average,
    Averaged,
    Commit,
    Contribute,
    Drop,
    Event,
    Fetch,
    FetchFailed,
    Forget,
    Heard,
    Held,
    Keep,
    LinkDown,
    LinkUp,
    Lost,
    Promise,
    Promised,
    Receive,
    Send,
    TrainerAttached,
    TrainerOffered,
    Woken,
)
from comind.p2p.core.here import Me
from comind.p2p.core.member import Member
from comind.p2p.core.messages import Header, Message, Open, Propose
from comind.p2p.core.signing import Signer
from comind.p2p.core.wire import block_hash, decode, encode, read
from comind.p2p.core.words import NodeId, Root
from tests.exploration.copies import copy_of, drawn, portrait
from tests.exploration.ground import (
    Boot,
    Chunks,
    Crash,
    Fire,
    Ground,
    Happening,
    Holds,
    Mean,
    Offers,
    Over,
    Said,
)
from tests.scenarios.disk import Disk
from tests.scenarios.oracles import Oracles
from tests.scenarios.plane import snapshot_root, weighted_mean
from tests.scenarios.trainers import INTERVAL_STEPS
from tests.scenarios.transcript import Transcript


@dataclass(slots=True)
class Seat:
    """One member, or what is left of it while it is down."""

    ground: Ground
    signer: Signer
    addresses: tuple[str, ...]
    disk: Disk
    judge: Oracles
    member: Member | None = None
    now_ms: int = 0
    wake_at_ms: int | None = None
    writing: bool = False
    """Whether its newest block may not be on the disk yet."""
    trains: bool = True
    step: int = 0
    counted_step: int = 0
    adopted: tuple[int, bytes] = (-1, b"")
    averaging: dict[int, Average] = field(default_factory=dict)
    averaged: set[int] = field(default_factory=set)
    """Of its own attempts those whose average it gives."""
    receiving: dict[int, Receive] = field(default_factory=dict)
    fetching: set[Fetch] = field(default_factory=set)
    facts: frozenset[tuple[object, ...]] = frozenset()
    """What it ever promised, proposed and committed, as far as others may not contradict it."""
    said: list[tuple[tuple[NodeId, ...], Said]] = field(default_factory=list)
    dropped: list[Said] = field(default_factory=list)
    """What is not to be had of it any more."""
    transcript: Transcript | None = None
    _soon: list[Event] = field(default_factory=list)

    @property
    def node(self) -> NodeId:
        return self.signer.node_id

    @property
    def city(self) -> str:
        return self.ground.names[self.node]

    @property
    def height(self) -> int:
        return len(self.disk.chain) - 1

    @property
    def is_done(self) -> bool:
        return self.height >= self.ground.last_height

    @property
    def linked(self) -> frozenset[NodeId]:
        return frozenset() if self.member is None else frozenset(self.member.people.links)

    def portrait(self, may_crash: bool) -> Hashable:
        """Return what can decide what this seat does next; `may_crash`: also what only a start reads."""
        disk, promised = self.disk, self.disk.promised
        bound = None if promised is None else _bound(promised, may_crash)
        alive = None if self.member is None else portrait(self.member, may_crash)
        if self.is_done and self.member is not None:
            if not may_crash:
                return ("done", self._living_facts())
            alive = self.linked
        return (
            alive,
            bound,
            disk.boots,
            len(disk.chain),
            frozenset(disk.snapshots),
            self.writing,
            (self.step, self.counted_step, self.adopted),
            frozenset(self.averaging),
            frozenset(self.averaged),
            frozenset(self.receiving),
            frozenset(self.fetching),
            self._living_facts(),
        )

    def _living_facts(self) -> frozenset[tuple[object, ...]]:
        """What others, or a later word of its own, could contradict."""
        view = 0 if self.disk.promised is None else self.disk.promised.view
        return frozenset(
            fact
            for fact in self.facts
            if fact[0] in ("committed", "lock") or (not self.is_done and fact[2] >= view)  # type: ignore[operator]
        )

    def after(self, happening: Happening) -> "Seat":
        """Return the seat as it is after this; this one stays as it is.

        Raises:
            AssertionError: a promise is broken, or the core's own assertions are.
        """
        known = {id(self.ground): self.ground}
        later: Seat = copy_of(self, known)
        later.said, later.dropped = [], []
        later._take(happening)
        return later

    # -- what happens -------------------------------------------------------------------------------------

    def _take(self, happening: Happening) -> None:
        match happening:
            case Boot():
                self._boot()
            case Crash(losing):
                self._crash(losing)
            case Offers():
                self._offer()
            case Fire():
                assert self.wake_at_ms is not None
                self.now_ms = max(self.now_ms, self.wake_at_ms)
                self._happens(Woken())
            case LinkDown(peer):
                self._loses(peer)
                self._happens(happening)
            case LinkUp(peer):
                self._loses(peer)
                self._happens(happening)
                if self.is_done:
                    self._answer((peer,))
            case Averaged(open, root):
                attempt = self.ground.attempts[open]
                del self.averaging[attempt]
                self.averaged.add(attempt)
                self._store(root)
                self._say(self._others(), Mean(attempt, root))
                self._happens(happening)
            case Held(root):
                averages = self.ground.averages.items()
                for attempt in [at for at, values in averages if snapshot_root(values) == root]:
                    self.receiving.pop(attempt, None)
                self.fetching = {fetch for fetch in self.fetching if fetch.root != root}
                self._store(root)
                self._happens(happening)
            case Lost(open):
                self.averaging.pop(self.ground.attempts[open], None)
                self.receiving.pop(self.ground.attempts[open], None)
                self._happens(happening)
            case FetchFailed(root, peer):
                self._stops_giving(peer, root)
                self._happens(happening)
            case _:
                self._happens(happening)
        while self._soon:
            self._happens(self._soon.pop(0))

    def _boot(self) -> None:
        incarnation = self.disk.boot(self.disk.boots)
        me = Me(self.node, self.city, self.addresses, incarnation, no_lead=False)
        verify = self.ground.verify
        self.member = Member(me, self.ground.network, self.disk.memory(), self.signer, self.now_ms, verify)
        self.judge.saw_start(self.node, self.disk)
        self._happens(Woken())
        if self.trains:
            self._happens(TrainerAttached())
        if self.step > self.counted_step and not self.is_done:
            self._offer_again()

    def _crash(self, losing: bool) -> None:
        if losing:
            del self.disk.chain[-1]
        self.member, self.wake_at_ms, self.writing = None, None, False
        self.averaging, self.averaged, self.receiving, self.fetching = {}, set(), {}, set()
        self.dropped.extend(Holds(root) for root in self.disk.snapshots)

    def _loses(self, peer: NodeId) -> None:
        """A link is over, and every stream of the peer with it."""
        for average in self.averaging.values():
            if peer in [part.node for part in average.parts]:
                self._soon.append(Lost(average.open, peer, "its link went down"))
        for receive in self.receiving.values():
            if receive.averager == peer:
                self._soon.append(Lost(receive.open, peer, "its link went down"))
        for fetch in sorted(self.fetching, key=lambda one: one.root):
            if peer in fetch.holders:
                self._soon.append(FetchFailed(fetch.root, peer, "its link went down"))
        for lost in self._soon:
            if isinstance(lost, Lost):
                self.averaging.pop(self.ground.attempts[lost.open], None)
                self.receiving.pop(self.ground.attempts[lost.open], None)
            elif isinstance(lost, FetchFailed):
                self._stops_giving(peer, lost.root)

    def _stops_giving(self, peer: NodeId, root: Root) -> None:
        """One holder of a snapshot that is being fetched gives it no more."""
        fetches = {one for one in self.fetching if one.root == root}
        left = {replace(one, holders=tuple(node for node in one.holders if node != peer)) for one in fetches}
        self.fetching = (self.fetching - fetches) | {one for one in left if one.holders}

    def _happens(self, event: Event) -> None:
        assert self.member is not None
        if self.transcript is not None:
            self.transcript.add(self.now_ms, self.city, event)
        if isinstance(event, Heard) and isinstance(event.message, Open):
            self.ground.saw_open(event.message)
        step = self.member.step(event, self.now_ms)
        for action in step.actions:
            if isinstance(action, Send) and isinstance(action.message, Open):
                self.ground.saw_open(action.message)
        self.wake_at_ms = step.wake_at_ms
        for action in step.actions:
            self._do(action)

    # -- what it does about it ----------------------------------------------------------------------------

    def _do(self, action: Action) -> None:
        if self.transcript is not None:
            self.transcript.add(self.now_ms, self.city, action)
        match action:
            case Promise(record, then):
                self._promise(record)
                for one in then:
                    self._do(one)
            case Commit(committed, height):
                self.judge.saw_commit(self.node, committed, height)
                self.disk.append(committed)
                self.writing = True
                self._note(("committed", int(height), bytes(committed.certificate.block)))
                if self.is_done:
                    self._answer(self._others())
            case Send(to, message):
                self._send(to, message)
            case Drop(peer, because):
                self.judge.saw_drop(self.node, peer, because)
            case Average(open):
                self.averaging[self.ground.attempts[open]] = action
                self._compute(action)
            case Contribute(open, averager):
                self._say((averager,), Chunks(self.ground.attempts[open]))
            case Receive(open):
                self.receiving[self.ground.attempts[open]] = action
            case Fetch(root, _, holders):
                self.fetching = {one for one in self.fetching if one.root != root}
                if holders:
                    self.fetching.add(action)
            case Forget(open):
                attempt = self.ground.attempts[open]
                self.receiving.pop(attempt, None)
                if attempt in self.averaging or attempt in self.averaged:
                    self.averaging.pop(attempt, None)
                    self.averaged.discard(attempt)
                    self._say(self._others(), Over(attempt))
            case Keep(roots):
                for root in set(self.disk.snapshots) - roots:
                    del self.disk.snapshots[root]
                    self.dropped.append(Holds(root))
            case Adopt():
                self._adopt(action)

    def _promise(self, record: Promised) -> None:
        self.judge.saw_promise(self.node, record, self.disk)
        self.disk.promised, self.writing = record, False
        for vote in (record.prepared, record.committed):
            if vote is not None:
                self._note((vote.kind, vote.height, vote.view, vote.block))
        if record.lock is not None:
            self._note(("lock", record.height, record.lock.view, block_hash(record.lock.block)))
        if record.change is not None:
            self._note(("change", record.change.height, record.change.view))

    def _send(self, to: tuple[NodeId, ...], message: Message) -> None:
        assert self.member is not None
        incarnation = self.member.here.me.incarnation
        self.judge.saw_send(self.node, incarnation, message, self.disk)
        if isinstance(message, Propose) and message.node == self.node:
            what = (message.height, message.view, incarnation, block_hash(message.block))
            self._note(("propose", *what))
        self._say(to, message)

    def _answer(self, to: tuple[NodeId, ...]) -> None:
        """Who is done answers whatever is late, and whoever asks, with its blocks (R10)."""
        for committed in self.disk.chain[self.ground.first_height :]:
            self._say(to, committed)

    def _note(self, fact: tuple[object, ...]) -> None:
        if fact not in self.facts:
            self.facts |= {fact}

    def _say(self, to: tuple[NodeId, ...], said: Said) -> None:
        self.said.append((to, said))

    def _others(self) -> tuple[NodeId, ...]:
        return tuple(node for node in self.ground.names if node != self.node)

    # -- its trainer and its snapshots --------------------------------------------------------------------

    def _offer(self) -> None:
        self.step += INTERVAL_STEPS
        self._offer_again()

    def _offer_again(self) -> None:
        assert self.member is not None
        base = self.member.here.chain.root
        self._soon.append(TrainerOffered(self.ground.offer(self.node, self.counted_step, self.step, base)))

    def _adopt(self, news: Adopt) -> None:
        height, block = self.adopted
        if news.height >= height:
            self.judge.saw_adopt(height, block or None, news)  # type: ignore[arg-type]
            anew = (int(news.height), bytes(news.block)) != self.adopted
            self.adopted = (int(news.height), bytes(news.block))
            if news.counted_run == self.ground.run(self.node):
                self.counted_step = max(self.counted_step, news.counted_last_step)
            if anew and self.step and not self.is_done:
                self._offer()

    def _compute(self, average: Average) -> None:
        """What will come of these parts is known at once; when, the world chooses."""
        attempt = self.ground.attempts[average.open]
        if attempt not in self.ground.averages:
            assert self.member is not None
            assert self.member.round.opened is not None
            shares = []
            weights = {part.node: part.weight for part in average.parts}
            for signed in self.member.round.opened.open.headers:
                header = read(Header, signed.header)
                node = NodeId(header.node)
                shares.append((self.ground.weights(node, header.last_step), weights[node]))
            self.ground.averages[attempt] = mean = weighted_mean(shares)
            self.ground.values[snapshot_root(mean)] = mean

    def _store(self, root: Root) -> None:
        self.disk.snapshots[root] = self.ground.values[root]
        self._say(self._others(), Holds(root))


def heard(message: Message) -> Message:
    """Return the message as its receivers read it."""
    return decode(encode(message))


def _bound(promised: Promised, may_crash: bool) -> Hashable:
    """What of a promise can bind still; its counts and what was seen, only a start reads."""
    words = [
        word
        for word in (promised.prepared, promised.committed, promised.change)
        if word is not None and (may_crash or word.view >= promised.view)
    ]
    counts = (promised.count, promised.seen) if may_crash else None
    return (promised.height, promised.view, drawn(words), drawn(promised.lock), counts)
