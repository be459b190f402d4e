"""How does a test play all the others to one member?

A `Stage` steps a single real `Member`; the other nodes are puppets, whose keys the test holds. What it does
is watched: it may sign nothing twice (S7, S8), and say nothing that a receiver would not take.
"""

from collections.abc import Iterable
from typing import Any, TypeVar

from msgspec.structs import replace

from comind.p2p.core.chain import Chain
from comind.p2p.core.effects import (
    Action,
    Averaged,
    Drop,
    Event,
    Heard,
    Held,
    LinkUp,
    Memory,
    Promise,
    Promised,
    Send,
    TrainerAttached,
    TrainerOffered,
    Woken,
)
from comind.p2p.core.member import Member
from comind.p2p.core.messages import (
    Block,
    Header,
    Message,
    NewView,
    Open,
    Propose,
    Ready,
    SignedHeader,
    ViewChanged,
    Vote,
    Voted,
)
from comind.p2p.core.rotation import chief
from comind.p2p.core.signing import open_hash, sign_open, sign_propose
from comind.p2p.core.wire import decode, encode, pack, read
from comind.p2p.core.words import NO_ROOT, NodeId, Rule, View
from tests.unit.core.build import (
    UNSIGNED,
    StubSigner,
    greeting,
    heartbeat,
    incarnation,
    me,
    node,
    offer,
    signed_header,
    stub_verify,
    view_change,
    vote,
)

SPINS = 5
A = TypeVar("A")


class Stage:
    """One member, at a virtual time, and all that it did."""

    def __init__(
        self, chain: Chain, number: int = 0, promised: Promised | None = None, now_ms: int = 1_000, **own: Any
    ) -> None:
        self.number = number
        self.now_ms = now_ms
        self.wake_at_ms: int | None = now_ms
        self.done: list[Action] = []
        self._signed: dict[tuple[object, ...], bytes] = {}
        self._count = promised.count if promised else 0
        held = frozenset({chain.root} - {NO_ROOT})
        memory = Memory(tuple(chain.committed), promised, held)
        signer = StubSigner(node(number))
        self.member = Member(me(number, **own), chain.network, memory, signer, now_ms, stub_verify)

    @property
    def chain(self) -> Chain:
        return self.member.here.chain

    @property
    def chief(self) -> int:
        """The number of the member that leads the view in which this one is."""
        return self.chief_of(self.member.round.view)

    def chief_of(self, view: int) -> int:
        leads = chief(self.chain.roster, self.chain.network, self.chain.next, View(view))
        return int.from_bytes(leads[:2], "big")

    # -- what happens ---------------------------------------------------------------------------------------

    def step(self, event: Event) -> list[Action]:
        """Let this happen now; what it does is returned, kept and watched."""
        done = self.member.step(event, self.now_ms)
        self.wake_at_ms = done.wake_at_ms
        for action in done.actions:
            self._watch(action)
        self.done += done.actions
        return list(done.actions)

    def wait(self, ms: int) -> None:
        """Let time pass, waking the member when it asks to be."""
        until_ms, spins = self.now_ms + ms, 0
        while self.wake_at_ms is not None and self.wake_at_ms <= until_ms:
            spins = spins + 1 if self.wake_at_ms <= self.now_ms else 0
            assert spins < SPINS, "it asks to be woken at once, again and again"
            self.now_ms = max(self.now_ms, self.wake_at_ms)
            self.step(Woken())
        self.now_ms = until_ms
        self.step(Woken())

    def hear(self, number: int, message: Message) -> list[Action]:
        return self.step(Heard(node(number), message))

    def link(self, number: int, boots: int = 0) -> None:
        self.step(LinkUp(node(number), incarnation(boots), dialled=True))

    def meet(self, *numbers: int, boots: int = 0, **beat: Any) -> None:
        """Link with these; they greet, and train unless `beat` says otherwise."""
        for number in numbers:
            self.link(number, boots)
            self.hear(number, greeting(number, height=self.chain.next))
            self.beat(number, **beat)

    def beat(self, number: int, **beat: Any) -> None:
        self.hear(number, heartbeat(**({"height": self.chain.next} | beat)))

    def train(self, **fields: Any) -> None:
        """Attach a trainer, and let it offer."""
        self.step(TrainerAttached())
        self.step(TrainerOffered(offer(self.chain, **fields)))

    def averaged(self, root: bytes) -> list[Action]:
        """Let the data plane have computed the average of the OPEN that the member follows."""
        opened = self.member.round.opened
        assert opened is not None
        return self.step(Averaged(opened.hash, root))  # type: ignore[arg-type]

    def held(self, root: bytes) -> list[Action]:
        return self.step(Held(root))  # type: ignore[arg-type]

    # -- what puppets say -----------------------------------------------------------------------------------

    def ready(self, number: int, layout: bytes = b"", **fields: Any) -> Ready:
        return Ready(signed_header(self.chain, node(number), **fields), layout)

    def open(
        self, by: int, headers: Iterable[SignedHeader], view: int = 0, new_view: NewView = (), **fields: Any
    ) -> Open:
        signed = tuple(headers)
        size = read(Header, signed[0].header).size
        plain = Open(
            height=self.chain.next,
            view=view,
            attempt=0,
            rule=Rule.INITIAL if self.chain.root == NO_ROOT else Rule.MEAN,
            headers=signed,
            averagers=((node(by), 0, size),),
            codec=self.chain.settings.codec,
            size=size,
            new_view=new_view,
            node=node(by),
            incarnation=incarnation(0),
            signature=UNSIGNED,
        )
        return sign_open(StubSigner(node(by)), self.chain.network, replace(plain, **fields))

    def propose(
        self, by: int, block: Block | bytes, view: int = 0, new_view: NewView = (), **fields: Any
    ) -> Propose:
        plain = Propose(
            height=self.chain.next,
            view=view,
            block=block if isinstance(block, bytes) else pack(block),
            new_view=new_view,
            node=node(by),
            incarnation=incarnation(0),
            signature=UNSIGNED,
        )
        return sign_propose(StubSigner(node(by)), self.chain.network, replace(plain, **fields))

    def vote(self, number: int, kind: str, wire: bytes, view: int = 0, **fields: Any) -> Voted:
        return Voted(vote(self.chain, kind, node(number), wire, view, **fields))

    def wants(self, number: int, view: int, held: Any = None, **fields: Any) -> ViewChanged:
        return ViewChanged(view_change(self.chain, node(number), view, held, **fields))

    # -- what the member did --------------------------------------------------------------------------------

    def did(self, kind: type[A]) -> list[A]:
        """Return all that it did of this kind, also after a promise."""
        return [action for action in flat(self.done) if isinstance(action, kind)]

    def said(self, kind: type[A]) -> list[A]:
        return [send.message for send in self.did(Send) if isinstance(send.message, kind)]

    def votes(self, kind: str) -> list[Vote]:
        """Return the votes that it promised, in order, each once."""
        found: list[Vote] = []
        for promise in self.did(Promise):
            own = promise.record.prepared if kind == "prepare" else promise.record.committed
            if own is not None and own not in found:
                found.append(own)
        return found

    @property
    def dropped(self) -> list[tuple[NodeId, str]]:
        return [(drop.peer, drop.because) for drop in self.did(Drop)]

    # -- what it may not do ---------------------------------------------------------------------------------

    def _watch(self, action: Action) -> None:
        if isinstance(action, Promise):
            record = action.record
            assert record.count == self._count + 1, "S8: the promise count grows by one"
            self._count = record.count
            for own in (record.prepared, record.committed):
                if own is not None and own.node == node(self.number):
                    self._once(("vote", own.kind, own.height, own.view), own.block)
            for inner in action.then:
                self._watch(inner)
        if isinstance(action, Send):
            assert node(self.number) not in action.to
            assert pack(decode(encode(action.message))) == pack(action.message)
            self._watch_message(action.message)

    def _watch_message(self, message: Message) -> None:
        own = node(self.number)
        match message:
            case Open(node=by) if by == own:
                at = message.height, message.view, message.attempt, message.incarnation
                self._once(("open", *at), open_hash(message))
            case Propose(node=by) if by == own:
                at_view = message.height, message.view, message.incarnation
                self._once(("propose", *at_view), message.block)
            case Ready():
                header = read(Header, message.header.header)
                if header.node == own:
                    self._once(("header", header.height, header.incarnation), message.header.header)

    def _once(self, what: tuple[object, ...], value: bytes) -> None:
        assert self._signed.setdefault(what, value) == value, f"S7: two of {what}"


def flat(actions: Iterable[Action]) -> Iterable[Action]:
    for action in actions:
        yield action
        if isinstance(action, Promise):
            yield from flat(action.then)
