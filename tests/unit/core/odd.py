"""What odd but well-typed things can an insider say to this member?

Messages of every kind whose fields are drawn from what tempts: heights and views near and far, known nodes
and strangers, blocks that fit and that do not, signatures that hold and that do not. Only the member's own
key is nobody else's: what it did not sign is forged here, too.
"""

from collections.abc import Callable
from random import Random
from typing import Any, TypeVar

from msgspec.structs import replace

from comind.p2p.core.messages import (
    Absentee,
    Addressbook,
    Admit,
    Allow,
    Arrival,
    AskBlocks,
    Block,
    Blocks,
    Call,
    CanLead,
    Certificate,
    Change,
    Committed,
    Decision,
    Deny,
    Expel,
    GiveVote,
    Greeting,
    Heartbeat,
    Join,
    Leave,
    Lock,
    Message,
    Move,
    Open,
    Pause,
    Propose,
    Ready,
    Remove,
    Resume,
    SignedHeader,
    TakeVote,
    TurnedAway,
    ViewChange,
    ViewChanged,
    Vote,
    Voted,
    Wish,
)
from comind.p2p.core.signing import (
    sign_change,
    sign_decision,
    sign_join,
    sign_leave,
    sign_open,
    sign_propose,
    sign_vote,
)
from comind.p2p.core.wire import block_hash, pack
from comind.p2p.core.words import NO_ROOT, NetworkId, NodeId, Rule, Settings
from tests.unit.core.build import (
    BASE,
    FAR,
    LAYOUT,
    SIZE,
    UNSIGNED,
    StubSigner,
    address,
    header,
    incarnation,
    name,
    node,
    roster_block,
    signed_header,
    vote,
)
from tests.unit.core.stage import Stage

T = TypeVar("T")
STRANGER = 9


class Odd:
    """Draws what the puppets of a stage say next, from a seed."""

    usually = 0.85
    """How often a field is as it should be: the less odd a message is, the further it gets."""

    def __init__(self, chance: Random, stage: Stage) -> None:
        self._chance = chance
        self._stage = stage

    def one_of(self, *choices: T) -> T:
        return self._chance.choice(choices)

    def some(self, make: Callable[[], T], most: int = 3) -> tuple[T, ...]:
        return tuple(make() for _ in range(self._chance.randint(0, most)))

    def mostly(self, usual: T, odd: Callable[[], T]) -> T:
        return usual if self._chance.random() < self.usually else odd()

    def signer(self, who: NodeId) -> StubSigner:
        """Return whose key signs for this node: its own, but for the member's."""
        return StubSigner(node(666) if who == self.own else who)

    @property
    def own(self) -> NodeId:
        return node(self._stage.number)

    def puppets(self) -> tuple[NodeId, ...]:
        """Return the voters whose keys are here."""
        return tuple(one for one in self._stage.chain.roster.voters() if one != self.own)

    # -- fields ---------------------------------------------------------------------------------------------

    @property
    def network(self) -> NetworkId:
        return self._stage.chain.network

    def number(self) -> int:
        return self.one_of(0, 1, 2, 3, STRANGER)

    def node(self) -> NodeId:
        return node(self.number())

    def height(self) -> int:
        following: int = self._stage.chain.next
        return self.mostly(following, lambda: self.one_of(0, max(0, following - 1), following + 1, FAR))

    def view(self) -> int:
        view: int = self._stage.member.round.view
        return self.mostly(view, lambda: self.one_of(0, 1, 2, 3, view + 1, 7))

    def incarnation(self) -> int:
        return self.mostly(int(incarnation(0)), lambda: self.one_of(0, int(incarnation(1)), FAR))

    def promise(self) -> int:
        return self.one_of(0, 1, 2, 3, 4, 5, FAR)

    def root(self) -> bytes:
        return self.one_of(BASE, NO_ROOT, b"\x01" * 32, bytes(self._stage.chain.root))

    def addresses(self) -> tuple[str, ...]:
        return self.one_of((), address(1), address(77))

    def nodes(self) -> tuple[NodeId, ...]:
        return self.some(self.node, 4)

    # -- what is kept ---------------------------------------------------------------------------------------

    def header(self, who: NodeId, **fields: Any) -> SignedHeader:
        own = self._stage.member.desk.ready()
        if who == self.own and own is not None:
            return own.header
        made = signed_header(self._stage.chain, who, **fields)
        return replace(made, signature=UNSIGNED) if who == self.own else made

    def signed_header(self, who: NodeId | None = None) -> SignedHeader:
        chain = self._stage.chain
        who = who or self.node()
        odd: dict[str, Any] = {}
        match self.one_of(*range(10)):
            case 0:
                odd = {"height": self.height(), "incarnation": self.incarnation()}
            case 1:
                odd = {"weight": self.one_of(0, 1, 2**53, FAR), "size": self.one_of(0, 1, SIZE, FAR)}
            case 2:
                odd = {"first_step": self.one_of(0, FAR), "last_step": self.one_of(0, 1, FAR)}
            case 3:
                odd = {"base": self.root(), "schema": self.one_of(bytes(32), header(chain, who).schema)}
            case 4:
                odd = {"run": b"one and the same", "metrics": {"loss": float("nan")}}
            case 5:
                odd = {"incarnation": self.incarnation()}
        signed = self.header(who, **odd)
        spoilt = (
            replace(signed, signature=UNSIGNED),
            replace(signed, header=b"\xc0"),
            SignedHeader(b"", UNSIGNED),
        )
        return self.mostly(signed, lambda: self.one_of(*spoilt))

    def change(self) -> Change:
        who = self.node()
        changes: list[Change] = [
            Admit(who, name(1), self.addresses(), can_lead=True),
            Remove(who, "it left"),
            GiveVote(who, self.incarnation()),
            TakeVote(who, "it was silent"),
            CanLead(who, can_lead=self.one_of(True, False)),
            Move(who, "moved", self.addresses()),
            self.decision(),
        ]
        return self.one_of(*changes)

    def decision(self) -> Decision:
        who, after = self.node(), self.one_of(0, max(0, self.height() - 1), FAR)
        decisions: list[Decision] = [
            Pause(who, "maintenance", after, UNSIGNED),
            Resume(who, after, UNSIGNED),
            Expel(self.node(), who, "it flips bits", after, UNSIGNED),
            Allow(self.node(), who, after, UNSIGNED),
            Deny(self.node(), who, "", after, UNSIGNED),
        ]
        decision = self.one_of(*decisions)
        return self.mostly(sign_decision(self.signer(who), self.network, decision), lambda: decision)

    def block(self) -> bytes:
        """Return a block's bytes: often one that may come next, else one that is odd in a field or two."""
        chain = self._stage.chain
        leads = node(self._stage.chief) if chain.roster.entries else self.node()
        by = self.mostly(leads, self.node)
        if not chain.roster.entries:
            return self.one_of(b"", b"\xc0", b"no block")
        block = roster_block(chain, [CanLead(node(1), can_lead=self.one_of(True, False))], by=by)
        match self.one_of("roster", "mean", "initial", "odd", "odd", "no block"):
            case "mean":
                headers = tuple(self.header(one) for one in chain.roster.nodes())
                opened = self._stage.member.round.opened
                block = replace(block, rule=Rule.MEAN, changes=(), root=b"\x01" * 32)
                block = replace(block, headers=opened.open.headers if opened else headers)
            case "initial":
                first = (self.header(self.node()),)
                block = replace(
                    block, rule=Rule.INITIAL, headers=first, root=BASE, size=SIZE, layout=LAYOUT, changes=()
                )
            case "odd":
                field = self.one_of(*Block.__struct_fields__)
                block = replace(block, **{field: self._odd_field(field)})
            case "no block":
                return self.one_of(b"", b"\xc0", b"no block", bytes(300))
        return pack(block)

    def _odd_field(self, field: str) -> Any:
        match field:
            case "height":
                return self.height()
            case "originator":
                return self.node()
            case "present" | "skipped":
                return self.nodes()
            case "changes":
                return self.some(self.change, 4)
            case "headers":
                return self.some(self.signed_header, 4)
            case "root":
                return self.root()
            case "size":
                return self.one_of(0, 1, FAR)
            case "settings":
                return Settings()
            case "network" | "previous":
                return bytes(32)
            case "rule":
                return self.one_of(*Rule)
            case "metrics":
                return {"loss": float("nan"), "": float("inf")}
            case "absentees":
                return self.some(lambda: Absentee(self.node(), "why"))
            case "arrivals":
                return self.some(lambda: Arrival(self.node(), FAR))
            case "duration_ms":
                return FAR
            case "layout":
                return LAYOUT
        return "odd"

    def vote(self, wire: bytes | None = None, kind: str = "", view: int | None = None) -> Vote:
        who = self.node()
        proposed = self._stage.member.round.proposed
        known = proposed.propose.block if proposed else b"block"
        wire = wire if wire is not None else self.mostly(known, self.block)
        cast = Vote(
            kind=kind or self.one_of("prepare", "commit"),
            height=self.height(),
            view=self.view() if view is None else view,
            block=block_hash(wire),
            node=who,
            incarnation=self.incarnation(),
            promise=self.promise(),
            signature=UNSIGNED,
        )
        return self.mostly(sign_vote(self.signer(who), self.network, cast), lambda: cast)

    def votes(self, kind: str, wire: bytes, view: int) -> tuple[Vote, ...]:
        if self.one_of(True, True, False):
            chain = self._stage.chain
            return tuple(vote(chain, kind, voter, wire, view) for voter in self.puppets())
        return self.some(lambda: self.vote(wire, kind, view), 4)

    def lock(self, below: int) -> Lock:
        wire = self.block()
        view = self.mostly(max(0, below - 1), self.view)
        return Lock(view=view, block=wire, prepares=self.votes("prepare", wire, view))

    def view_change(self, who: NodeId | None = None, view: int | None = None) -> ViewChange:
        who = who or self.node()
        view = self.view() if view is None else view
        change = ViewChange(
            height=self.height(),
            view=view,
            lock=self.lock(view) if self.one_of(True, False, False) else None,
            node=who,
            incarnation=self.incarnation(),
            promise=self.promise(),
            signature=UNSIGNED,
        )
        return self.mostly(sign_change(self.signer(who), self.network, change), lambda: change)

    def new_view(self, view: int) -> tuple[ViewChange, ...]:
        if view == 0:
            return self.mostly((), lambda: self.some(self.view_change))
        return self.mostly(
            tuple(self.view_change(one, view) for one in self.puppets()), lambda: self.some(self.view_change)
        )

    def certificate(self, wire: bytes) -> Certificate:
        view = self.view()
        return Certificate(
            height=self.height(),
            view=view,
            block=self.mostly(bytes(block_hash(wire)), lambda: bytes(32)),
            commits=self.votes("commit", wire, view),
        )

    def committed(self) -> Committed:
        wire = self.block()
        return Committed(wire, self.certificate(wire))

    # -- messages -------------------------------------------------------------------------------------------

    def message(self, peer: int) -> Message:
        """Return anything that this peer may say."""
        kinds: list[Callable[[], Message]] = [
            self.greeting,
            self.heartbeat,
            self.addressbook,
            self.join,
            self.leave,
            lambda: Wish(self.decision()),
            lambda: TurnedAway(self.one_of(True, False), self.one_of("", "lima: it flips bits")),
            lambda: Ready(self.signed_header(node(peer)), self.one_of(b"", LAYOUT, b"another layout")),
            lambda: Ready(self.signed_header(), self.one_of(b"", LAYOUT)),
            lambda: Call(self.height(), self.view()),
            lambda: self.open(peer),
            lambda: self.propose(peer),
            lambda: Voted(self.vote()),
            lambda: Voted(self.vote()),
            lambda: ViewChanged(self.view_change()),
            lambda: ViewChanged(self.view_change()),
            self.committed,
            lambda: AskBlocks(self.height()),
            lambda: Blocks(self.some(self.committed)),
        ]
        return self.one_of(*kinds)()

    def greeting(self) -> Greeting:
        return Greeting(
            name=self.one_of("n", "an odd, but printable name: ☃", "x" * 64),
            addresses=self.addresses(),
            height=self.height(),
            promise=self.promise(),
            seen_incarnation=self.mostly(0, self.incarnation),
            seen_promise=self.mostly(0, self.promise),
            no_lead=self.one_of(True, False),
        )

    def heartbeat(self) -> Heartbeat:
        return Heartbeat(
            height=self.height(),
            view=self.one_of(0, 0, 1, FAR),
            training=self.one_of(True, True, False),
            ready=self.one_of(True, False),
            away=self.one_of(False, False, False, True),
            abstains=self.one_of("", "", "it stops"),
            reached=self.nodes(),
        )

    def addressbook(self) -> Addressbook:
        return Addressbook(tuple((one, self.addresses()) for one in self.nodes()))

    def join(self) -> Join:
        who = self.node()
        join = Join(who, name(1), self.addresses(), self.incarnation(), self.one_of(True, False), UNSIGNED)
        return self.mostly(sign_join(self.signer(who), self.network, join), lambda: join)

    def leave(self) -> Leave:
        who = self.node()
        leave = Leave(who, self.incarnation(), UNSIGNED)
        return self.mostly(sign_leave(self.signer(who), self.network, leave), lambda: leave)

    def open(self, peer: int) -> Open:
        view = self.view()
        chain = self._stage.chain
        first = chain.root == NO_ROOT
        who = self.mostly(chain.roster.nodes()[: 1 if first else None], self.nodes)
        size = self.mostly(SIZE, lambda: self.one_of(0, FAR))
        headers = tuple(self.signed_header(one) for one in who)
        plain = Open(
            height=self.height(),
            view=view,
            attempt=self.mostly(0, lambda: self.one_of(1, 3, 4, FAR)),
            rule=Rule.INITIAL if first else self.mostly(Rule.MEAN, lambda: self.one_of(*Rule)),
            headers=headers or (self.signed_header(),),
            averagers=self.mostly(((node(peer), 0, size),), lambda: ((self.node(), FAR, FAR),)),
            codec=self.mostly("float32", lambda: "int8"),
            size=size,
            new_view=self.new_view(view),
            node=self.mostly(node(peer), self.node),
            incarnation=self.incarnation(),
            signature=UNSIGNED,
        )
        return self.mostly(sign_open(StubSigner(node(peer)), self.network, plain), lambda: plain)

    def propose(self, peer: int) -> Propose:
        view = self.view()
        new_view = self.new_view(view)
        locks = [change.lock for change in new_view if change.lock is not None]
        plain = Propose(
            height=self.height(),
            view=view,
            block=self.mostly(locks[0].block, self.block) if locks else self.block(),
            new_view=new_view,
            node=self.mostly(node(peer), self.node),
            incarnation=self.incarnation(),
            signature=UNSIGNED,
        )
        return self.mostly(sign_propose(StubSigner(node(peer)), self.network, plain), lambda: plain)
