"""How is the next height committed? (R6-R13)

One object for each height. It hears the round's messages, votes, leads when it is its turn, and changes
the view when patience ends. Links, trainers and disks are not its business: those are
`discovery`, `desk` and `pledges`.
"""

from dataclasses import dataclass, field

from comind.p2p.core.abstaining import why_abstaining
from comind.p2p.core.ballots import Ballots
from comind.p2p.core.desk import Desk
from comind.p2p.core.discovery import Discovery
from comind.p2p.core.effects import Average, Contribute, Forget, OpenHash, Part, Receive
from comind.p2p.core.errors import PeerMisbehaved
from comind.p2p.core.gathering import Gathering
from comind.p2p.core.here import Here
from comind.p2p.core.messages import (
    Block,
    Call,
    Certificate,
    Committed,
    Header,
    Lock,
    Open,
    Propose,
    Ready,
    ViewChange,
    ViewChanged,
    Vote,
    Voted,
)
from comind.p2p.core.phases import Phase, Sign, after
from comind.p2p.core.pledges import Pledges
from comind.p2p.core.rotation import leading_order
from comind.p2p.core.signing import vote_statement
from comind.p2p.core.succession import Succession, check_change
from comind.p2p.core.validity import check_open, check_propose
from comind.p2p.core.wire import block_hash, read
from comind.p2p.core.words import NO_ROOT, BlockHash, Incarnation, NodeId, Root, Rule, View

MAX_BLOCKS_KEPT = 32
FIRST_VIEW = View(0)


@dataclass(slots=True)
class Opened:
    """The OPEN that this member follows; a further attempt takes its place (R6)."""

    open: Open
    hash: OpenHash
    at_ms: int
    """When the view's first OPEN was followed: further attempts add nothing to its total bound (R11)."""
    receiving: bool = False
    moved_ms: int = 0
    """When chunks of it were told of last."""


@dataclass(slots=True)
class Proposed:
    """The PROPOSE that this member follows."""

    propose: Propose
    hash: BlockHash
    block: Block
    at_ms: int


@dataclass(slots=True)
class Round:
    """The work of committing one height, as this member sees it."""

    here: Here
    people: Discovery
    desk: Desk
    pledges: Pledges
    view: View = FIRST_VIEW
    phase: Phase = Phase.IDLE
    order: tuple[NodeId, ...] = field(init=False)
    """Who leads view 0, 1, 2 … of this height (R3)."""
    gathering: Gathering = field(init=False)
    ballots: Ballots = field(default_factory=Ballots)
    succession: Succession = field(default_factory=Succession)
    blocks: dict[BlockHash, bytes] = field(default_factory=dict)
    """The newest blocks that were proposed or locked at this height."""
    opened: Opened | None = None
    proposed: Proposed | None = None
    began_ms: int = 0
    gathering_ms: int = 0
    """Since when the chief of this view could gather."""
    fed_ms: int = 0
    """When patience was fed last."""
    due_ms: int | None = None
    """Since when, as far as this member sees, the chief could OPEN or propose and has not."""
    wanted: tuple[Root, int] | None = None
    """The bytes of a lock that this member, as the chief, must propose again but does not hold (R13)."""
    stale_word: bool = False
    """Whether what binds here was said by an earlier incarnation."""
    cannot_lead: str = ""
    """Why this member, though chief of this view, goes no further in it."""

    def __post_init__(self) -> None:
        chain = self.here.chain
        self.order = leading_order(chain.roster, chain.network, chain.next)
        self.gathering = Gathering(self.here, self.people)
        bound = self.pledges.at(self.here.chain.next)
        self.view = View(bound.view)
        if bound.block:
            self.blocks[block_hash(bound.block)] = bound.block
        if bound.lock is not None:
            self.blocks[block_hash(bound.lock.block)] = bound.lock.block
        words = (bound.prepared, bound.committed, bound.change)
        self.stale_word = any(word and word.incarnation != self.here.me.incarnation for word in words)
        if bound.change is not None and (bound.prepared is None or bound.prepared.view < bound.view):
            self._sign(Sign.GAVE_UP)

    # -- whose turn -----------------------------------------------------------------------------------------

    def chief_of(self, view: View) -> NodeId:
        return self.order[view % len(self.order)]

    @property
    def chief(self) -> NodeId:
        return self.chief_of(self.view)

    def skipped(self) -> frozenset[NodeId]:
        """Return the chiefs of the views below this one, but not who leads it (R3)."""
        return frozenset(self.order[: self.view]) - {self.chief}

    def electors(self, view: View) -> tuple[NodeId, ...]:
        """Return to whom votes go: the voters, and the view's chief (R10)."""
        return (*self.here.chain.roster.voters(), self.chief_of(view))

    # -- what the members say -------------------------------------------------------------------------------

    def on_ready(self, peer: NodeId, ready: Ready) -> None:
        """R4: keep the announcement of the peer's own contribution."""
        header = read(Header, ready.header.header)
        if header.node != peer:
            raise PeerMisbehaved("a header of somebody else")
        before = self.gathering.announced.get(peer)
        if before is not None and before.signed != ready.header:
            if before.header.incarnation == header.incarnation:
                raise PeerMisbehaved("two headers of one incarnation for one height")
        if self.gathering.add(ready):
            self.work()

    def on_call(self, peer: NodeId, call: Call) -> None:
        """R5: the door opens soon, and this member's trainer is on its way."""
        if self.here.settings.door != "adaptive":
            raise PeerMisbehaved("a call where the door waits for all")
        if peer != self.chief_of(View(call.view)):
            raise PeerMisbehaved("a call of a node that does not lead")
        if call.view >= self.view and self.phase in (Phase.IDLE, Phase.GATHERING):
            self.desk.call()

    def on_open(self, peer: NodeId, open: Open) -> None:
        """R6: contribute to it, and get its average (R7)."""
        if open.view < self.view or self.pledges.is_stale(peer, open.incarnation):
            return
        self._check_sender(peer, open)
        name = check_open(self.here, open)
        if self.opened is not None and self.opened.open.view == open.view:
            before = self.opened.open
            if (before.incarnation, before.attempt) >= (open.incarnation, open.attempt):
                same = (before.incarnation, before.attempt) == (open.incarnation, open.attempt)
                if same and self.opened.hash != name:
                    raise PeerMisbehaved("two OPENs of one attempt")
                return
        if self.proposed is not None and self.proposed.propose.view == open.view:
            return
        for signed in open.headers:
            self.gathering.add(Ready(signed))
        self.enter(View(open.view), Sign.OPENED)
        self._follow(open, name)

    def on_propose(self, peer: NodeId, propose: Propose) -> None:
        """R8: take it as what may be voted on in its view."""
        if propose.view < self.view or self.pledges.is_stale(peer, propose.incarnation):
            return
        bound = self.pledges.at(self.here.chain.next)
        before = self.proposed
        if before is not None and bound.prepared is not None and bound.prepared.view == propose.view:
            return
        if before is not None and before.propose.view == propose.view:
            if before.propose.incarnation > propose.incarnation:
                return
            if before.propose.incarnation == propose.incarnation:
                if before.hash != block_hash(propose.block):
                    raise PeerMisbehaved("two proposals of one view")
                return
        self._check_sender(peer, propose)
        block = check_propose(self.here, propose, self.opened.open if self.opened else None)
        if self.opened is not None and self.opened.open.headers != block.headers:
            self.forget()  # a further attempt was opened, of which this member did not hear
            self.opened.receiving = False
        self.enter(View(propose.view), Sign.PROPOSED)
        self.proposed = Proposed(propose, block_hash(propose.block), block, self.here.now_ms)
        self._keep_block(propose.block)

    def on_vote(self, vote: Vote) -> None:
        """R9, R10: count it, whatever its view, so that any certificate completes."""
        if vote.node not in self.here.chain.roster.voters():
            raise PeerMisbehaved("a vote of no voter")
        if self.pledges.is_stale(NodeId(vote.node), vote.incarnation):
            return
        if not self.here.verify(NodeId(vote.node), vote_statement(self.here.network, vote), vote.signature):
            raise PeerMisbehaved("a forged vote")
        self.pledges.saw(NodeId(vote.node), Incarnation(vote.incarnation), vote.promise)
        if self.ballots.add(vote) and vote.view == self.view:
            self.feed()

    def on_change(self, change: ViewChange) -> None:
        """R12: count it; alone it moves nobody, but it starts patience (R11)."""
        if self.pledges.is_stale(NodeId(change.node), change.incarnation):
            return
        check_change(change, self.here.chain, self.here.verify)
        self.pledges.saw(NodeId(change.node), Incarnation(change.incarnation), change.promise)
        if change.lock is not None:
            self._keep_block(change.lock.block)
        if self.succession.add(change):
            self.work()

    # -- what the data plane says ---------------------------------------------------------------------------

    def on_progress(self, name: OpenHash) -> None:
        if self.opened is not None and self.opened.hash == name:
            self.feed()

    def on_lost(self, name: OpenHash) -> None:
        """The average of this attempt does not come from its averager: it is fetched later."""
        if self.opened is not None and self.opened.hash == name:
            self.opened.receiving = False

    # -- moving on ------------------------------------------------------------------------------------------

    def work(self) -> None:
        """Take note of a first sign of the round (R11)."""
        if self.phase == Phase.IDLE:
            self._sign(Sign.WORK)
            self.began_ms = self.here.now_ms
            self.feed()

    def note_due(self, due: bool) -> None:
        """Take note of whether the door may still wait (R11)."""
        if not due:
            self.due_ms = None
        elif self.due_ms is None:
            self.due_ms = self.here.now_ms

    def feed(self) -> None:
        self.fed_ms = self.here.now_ms

    def enter(self, view: View, sign: Sign) -> None:
        """Go to a view, or on within it, by a message that may lead there at once (R13)."""
        if self.phase == Phase.IDLE:
            self.began_ms = self.here.now_ms
        if view != self.view:
            self._leave_view(view)
        self._sign(sign)
        self.feed()

    def give_up(self, because: str) -> None:
        """R12: promise the next view, and stop in this one."""
        self._promise_view(View(self.view + 1), because)

    def climb(self) -> None:
        """Follow a quorum of VIEWCHANGEs: into the view that one promised, or up to a higher one (R12)."""
        supported = self.succession.supported(self.here.chain.roster)
        if supported > self.view:
            if self.may_promise():
                self._promise_view(supported, "a quorum has left the views below")
            elif not self.here.is_voter:
                self._leave_view(supported)
                self._sign(Sign.GAVE_UP)
        if self.phase == Phase.CHANGING and supported >= self.view:
            self._sign(Sign.ENTERED)
            self.feed()

    def vote(self) -> None:
        """R9: PREPARE what was proposed in this view, once its bytes are held; COMMIT once a quorum did."""
        proposed = self.proposed
        if proposed is None or proposed.propose.view != self.view or not self.may_promise():
            return
        bound = self.pledges.at(self.here.chain.next)
        prepared = bound.prepared is not None and bound.prepared.view == self.view
        if self.phase == Phase.VOTING and not prepared and self.holds(proposed.block):
            wire = proposed.propose.block
            to = self.electors(self.view)
            self.ballots.add(self.pledges.prepare(self.here.chain.next, self.view, proposed.hash, wire, to))
        self._lock(proposed)

    def certificate(self) -> Committed | None:
        """Return the block that a quorum has committed, if its bytes are here (R10)."""
        for view, name, votes in self.ballots.committed(self.here.chain.roster):
            if name in self.blocks:
                certificate = Certificate(height=self.here.chain.next, view=view, block=name, commits=votes)
                return Committed(block=self.blocks[name], certificate=certificate)
        return None

    def holds(self, block: Block) -> bool:
        return block.rule == Rule.ROSTER or Root(block.root) in self.here.held

    def reissue(self) -> bool:
        """After a start, promise again in this incarnation what binds: others take no older word (R14)."""
        if not self.stale_word or not self.may_promise():
            return False
        here, bound = self.here, self.pledges.at(self.here.chain.next)
        if bound.view != self.view:
            self.stale_word = False  # a NEWVIEW was joined since: what was said is of a view below
            return False
        prepared = bound.prepared is not None and bound.prepared.view == bound.view
        if prepared and not self.holds(read(Block, bound.block)):
            return False  # a power cut took the bytes: it says it again when it has them again
        self.stale_word = False
        if prepared and bound.prepared is not None:
            name, to = BlockHash(bound.prepared.block), self.electors(self.view)
            self.ballots.add(self.pledges.prepare(here.chain.next, self.view, name, bound.block, to))
            if bound.committed is not None and bound.committed.view == bound.view and bound.lock is not None:
                self.ballots.add(self.pledges.commit(here.chain.next, self.view, bound.lock, name, to))
        elif bound.change is not None:
            to = here.chain.roster.nodes()
            self.succession.add(self.pledges.change(here.chain.next, self.view, to))
        return True

    def say_again(self, to: tuple[NodeId, ...], ready: Ready | None) -> None:
        """Send what these should have of this height, in case it was lost (R4, R12)."""
        here, bound = self.here, self.pledges.at(self.here.chain.next)
        electors = [node for node in to if node in self.electors(self.view)]
        members = [node for node in to if node in here.chain.roster]
        if ready is not None and self.proposed is None:
            here.send(electors, ready)
        if self.view > 0:
            for change in self.succession.climbed_on(self.view):
                here.send(members, ViewChanged(change))
        if self.chief == here.me.node:
            if self.opened is not None and self.proposed is None:
                here.send(members, self.opened.open)
            if self.proposed is not None:
                here.send(members, self.proposed.propose)
            if self.phase == Phase.GATHERING:
                called = [node for node in self.gathering.still_called() if node in members]
                here.send(called, Call(height=here.chain.next, view=self.view))
        for vote in (bound.prepared, bound.committed):
            if vote is not None and vote.view == self.view and vote.incarnation == here.me.incarnation:
                here.send(electors, Voted(vote))

    def may_promise(self) -> bool:
        """R14: whether this member may sign votes and VIEWCHANGEs."""
        return self.here.is_voter and not self.why_abstaining()

    def why_abstaining(self) -> str:
        """Say why a voter signs nothing now; empty if it may."""
        return why_abstaining(self.here, self.people, self.pledges)

    def needed(self) -> frozenset[Root]:
        """Return the roots whose bytes this height may still need (R9)."""
        bound = self.pledges.at(self.here.chain.next)
        blocks = [bound.lock.block if bound.lock else b"", bound.block]
        roots = {Root(read(Block, wire).root) for wire in blocks if wire}
        if self.proposed is not None:
            roots.add(Root(self.proposed.block.root))
        return frozenset(roots | {self.here.chain.root}) - {NO_ROOT}

    # -- inside ---------------------------------------------------------------------------------------------

    def _sign(self, sign: Sign) -> None:
        before, self.phase = self.phase, after(self.phase, sign)
        if self.phase == Phase.GATHERING != before:
            self.gathering_ms = self.here.now_ms

    def _promise_view(self, view: View, because: str) -> None:
        self.here.note(f"view {view} of height {self.here.chain.next}: {because}")
        self._leave_view(view)
        to = self.here.chain.roster.nodes()
        change = self.pledges.change(self.here.chain.next, view, to)
        self.succession.add(change)
        if self.phase == Phase.IDLE:
            self.began_ms = self.here.now_ms
        self._sign(Sign.GAVE_UP)

    def _leave_view(self, view: View) -> None:
        self.forget()
        self.view, self.opened, self.proposed = view, None, None
        self.wanted, self.due_ms, self.cannot_lead = None, None, ""
        self.gathering.view = view

    def forget(self) -> None:
        if self.opened is not None:
            self.here.do(Forget(self.opened.hash))

    def _lock(self, proposed: Proposed) -> None:
        here, bound = self.here, self.pledges.at(self.here.chain.next)
        mine = bound.prepared
        if (
            self.phase != Phase.VOTING
            or mine is None
            or (mine.view, mine.block) != (self.view, proposed.hash)
        ):
            return
        votes = self.ballots.quorum("prepare", self.view, proposed.hash, here.chain.roster)
        if votes is None:
            return
        lock = Lock(view=self.view, block=proposed.propose.block, prepares=votes)
        self._sign(Sign.LOCKED)
        self.feed()
        to = self.electors(self.view)
        self.ballots.add(self.pledges.commit(here.chain.next, self.view, lock, proposed.hash, to))

    def _follow(self, open: Open, name: OpenHash) -> None:
        here = self.here
        self.forget()
        self.opened = Opened(open, name, here.now_ms if self.opened is None else self.opened.at_ms)
        averager = NodeId(open.averagers[0][0])
        offer = self.desk.offer_in(open.headers)
        if averager == here.me.node:
            parts = []
            for signed in open.headers:
                header = self.gathering.announced[self._node(signed.header)].header
                own = offer if header.node == here.me.node else None
                weight = header.weight if open.rule == Rule.MEAN else 1
                parts.append(Part(NodeId(header.node), weight, own))
            here.do(Average(name, open.size, tuple(parts)))
            return
        if offer is not None:
            here.do(Contribute(name, averager, offer))
        self.opened.receiving = True
        here.do(Receive(name, open.size, averager))

    def _node(self, header: bytes) -> NodeId:
        return next(node for node, one in self.gathering.announced.items() if one.signed.header == header)

    def _keep_block(self, wire: bytes) -> None:
        self.blocks[block_hash(wire)] = wire
        if len(self.blocks) > MAX_BLOCKS_KEPT:
            del self.blocks[next(iter(self.blocks))]

    def _check_sender(self, peer: NodeId, message: Open | Propose) -> None:
        if peer != message.node or message.node != self.chief_of(View(message.view)):
            raise PeerMisbehaved(f"{type(message).__name__} of a node that does not lead")
