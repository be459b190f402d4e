"""What happened last? The lines that a failed scenario shows.

Things are kept as they are and described only when somebody reads them. Heartbeats are left out.
"""

from collections import deque
from dataclasses import dataclass, field

from comind.p2p.core.effects import (
    Action,
    Adopt,
    Announced,
    Answer,
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
    LinkUp,
    Lost,
    Note,
    Progressed,
    Promise,
    Promised,
    Receive,
    Release,
    Send,
    TrainerOffered,
    Wait,
    Woken,
)
from comind.p2p.core.messages import (
    Block,
    Blocks,
    Change,
    Committed,
    Decision,
    Greeting,
    Header,
    Heartbeat,
    Join,
    Leave,
    Message,
    Open,
    Propose,
    Ready,
    ViewChange,
    ViewChanged,
    Vote,
    Voted,
    Wish,
)
from comind.p2p.core.wire import read
from comind.p2p.core.words import NodeId

LINES_SHOWN = 120
LINES_KEPT = 4_000

What = Event | Action | str


@dataclass(slots=True)
class Transcript:
    """The last things that happened to anyone, and what was done about them."""

    names: dict[bytes, str]
    _lines: deque[tuple[int, str, What]] = field(default_factory=lambda: deque(maxlen=LINES_KEPT))

    def add(self, now_ms: int, name: str, what: What) -> None:
        match what:
            case Heard(message=Heartbeat()) | Send(message=Heartbeat()) | Woken() | Progressed() | Keep():
                return
        self._lines.append((now_ms, name, what))

    def last(self, lines: int = LINES_SHOWN) -> str:
        kept = list(self._lines)[-lines:]
        return "\n".join(f"{ms:>9} {name:<9} {self._describe(what)}" for ms, name, what in kept)

    def _name(self, node: bytes) -> str:
        return self.names.get(node, node.hex()[:8])

    def _describe(self, what: What) -> str:
        match what:
            case str():
                return what
            case Heard(peer, message):
                return f"<- {self._name(peer)}: {self._message(message)}"
            case Send(to, message):
                return f"-> {', '.join(map(self._name, to))}: {self._message(message)}"
            case Promise(record):
                return self._promised(record)
            case Commit(committed, height):
                return f"   Commit {height}: {self._block(committed.block)}"
            case LinkUp(peer, incarnation, dialled):
                dial = "we dialled" if dialled else "it dialled"
                return f"** link with {self._name(peer)} (boot {incarnation >> 32}), {dial}"
            case Release(because) | Wait(because):
                return f"   {type(what).__name__}: {because}"
            case Answer(ticket, done, line):
                return f"   Answer {ticket}: {'done' if done else 'no'}: {line}"
            case Note(said):
                return f"   # {said}"
            case Drop(peer, because):
                return f"   Drop {self._name(peer)}: {because}"
            case Lost(open, peer, because):
                return f"** Lost {self._name(peer)} in {open.hex()[:6]}: {because}"
            case FetchFailed(root, peer, because):
                return f"** FetchFailed {root.hex()[:6]} from {self._name(peer)}: {because}"
            case Averaged(open, root):
                return f"** Averaged {open.hex()[:6]}: {root.hex()[:6]}"
            case Held(root):
                return f"** Held {root.hex()[:6]}"
            case TrainerOffered(offer):
                steps = f"{offer.run.hex()[:6]} ({offer.first_step}, {offer.last_step}]"
                return f"** TrainerOffered {steps} of base {offer.base.hex()[:6]}, weight {offer.weight}"
            case Announced(offer):
                return f"   Announced, steps to {offer.last_step}"
            case Contribute(open, averager, offer):
                return f"   Contribute {open.hex()[:6]} to {self._name(averager)}, steps to {offer.last_step}"
            case Average(open, _, parts):
                return f"   Average {open.hex()[:6]} of {', '.join(self._name(part.node) for part in parts)}"
            case Receive(open, _, averager):
                return f"   Receive {open.hex()[:6]} from {self._name(averager)}"
            case Fetch(root, _, peer):
                return f"   Fetch {root.hex()[:6]} from {self._name(peer)}"
            case Forget(open):
                return f"   Forget {open.hex()[:6]}"
            case Adopt():
                counted = "counted" if what.counted else "not counted"
                return f"   Adopt {what.height} ({what.rule}, round {what.round}), {counted}: {what.because}"
        other: NodeId | None = getattr(what, "peer", None)
        return f"** {type(what).__name__} {'' if other is None else self._name(other)}"

    def _promised(self, record: Promised) -> str:
        held = [f"lock at view {record.lock.view}"] if record.lock else []
        for vote in (record.prepared, record.committed):
            held += [self._vote(vote)] if vote else []
        held += [self._change(record.change)] if record.change else []
        return f"   Promise {record.count} at {record.height}.{record.view}: {'; '.join(held)}"

    def _message(self, message: Message) -> str:
        match message:
            case Voted(vote):
                return self._vote(vote)
            case ViewChanged(change):
                return self._change(change)
            case Propose(height, view, block, new_view):
                return f"PROPOSE {height}.{view}{self._behind(new_view)}: {self._block(block)}"
            case Open(height, view, _, rule, headers):
                names = ", ".join(self._header(one.header) for one in headers)
                return f"OPEN {height}.{view}{self._behind(message.new_view)} ({rule}): {names}"
            case Ready(header):
                return f"READY {self._header(header.header)}"
            case Committed():
                view = message.certificate.view
                return f"CERTIFICATE of view {view}: {self._block(message.block)}"
            case Blocks(blocks):
                return f"Blocks {[read(Block, one.block).height for one in blocks]}"
            case Greeting():
                seen = f"{message.seen_incarnation >> 32}/{message.seen_promise}"
                return f"Greeting at {message.height}, promise {message.promise}, saw {seen}"
            case Wish(decision):
                return f"Wish of {self._name(decision.by)}: {type(decision).__name__}"
            case Join(node) | Leave(node):
                return f"{type(message).__name__} of {self._name(node)}"
        return type(message).__name__

    def _behind(self, new_view: tuple[ViewChange, ...]) -> str:
        return f" by {', '.join(self._name(one.node) for one in new_view)}" if new_view else ""

    def _vote(self, vote: Vote) -> str:
        what = f"{vote.kind.upper()} {vote.height}.{vote.view} {vote.block.hex()[:6]}"
        return f"{what} of {self._name(vote.node)}"

    def _change(self, change: ViewChange) -> str:
        lock = f"locked at view {change.lock.view}" if change.lock else "no lock"
        return f"VIEWCHANGE {change.height}.{change.view} of {self._name(change.node)}, {lock}"

    def _header(self, header: bytes) -> str:
        one = read(Header, header)
        return f"{self._name(one.node)} {one.height} ({one.first_step}, {one.last_step}]"

    def _block(self, wire: bytes) -> str:
        block = read(Block, wire)
        counted = ", ".join(self._header(one.header) for one in block.headers)
        changes = ", ".join(f"{type(one).__name__} {self._name(_of(one))}" for one in block.changes)
        return f"block {block.height} ({block.rule}) by {self._name(block.originator)} [{counted}] {changes}"


def _of(change: Change) -> bytes:
    """Whom a change is about: a member, or whose decision it is."""
    return change.by if isinstance(change, Decision) else change.node
