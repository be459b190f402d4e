"""What is an event or an action called, in one line for a person?

Knows nothing of when it happened or to whom.
"""

from collections.abc import Mapping
from dataclasses import dataclass

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
    LinkUp,
    Lost,
    Note,
    Promise,
    Promised,
    Receive,
    Release,
    Send,
    TrainerOffered,
    Wait,
)
from comind.p2p.core.messages import (
    Block,
    Blocks,
    Call,
    Change,
    Committed,
    Decision,
    Greeting,
    Header,
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

What = Event | Action | str


@dataclass(frozen=True, slots=True)
class Wording:
    """Says things with names in place of ids, as far as they are known."""

    names: Mapping[bytes, str]

    def describe(self, what: What) -> str:
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
            case Fetch(root, _, holders):
                return f"   Fetch {root.hex()[:6]} from {', '.join(map(self._name, holders)) or 'nobody'}"
            case Forget(open):
                return f"   Forget {open.hex()[:6]}"
            case Adopt():
                counted = "counted" if what.counted else "not counted"
                return f"   Adopt {what.height} ({what.rule}, round {what.round}), {counted}: {what.because}"
        other: NodeId | None = getattr(what, "peer", None)
        return f"** {type(what).__name__} {'' if other is None else self._name(other)}"

    def _message(self, message: Message) -> str:
        match message:
            case Voted(vote):
                return self._vote(vote)
            case ViewChanged(change):
                return self._change(change)
            case Propose(height, view, block, new_view):
                return f"PROPOSE {height}.{view}{self._behind(new_view)}: {self._block(block)}"
            case Call(height, view):
                return f"CALL {height}.{view}"
            case Open(height, view, attempt, rule, headers):
                names = ", ".join(self._header(one.header) for one in headers)
                again = f" attempt {attempt}" if attempt else ""
                return f"OPEN {height}.{view}{again}{self._behind(message.new_view)} ({rule}): {names}"
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
            case Join(node) | Leave(node):
                return f"{type(message).__name__} of {self._name(node)}"
            case Wish(decision):
                return f"Wish of {self._name(decision.by)}: {type(decision).__name__}"
        return type(message).__name__

    def _name(self, node: bytes) -> str:
        return self.names.get(node, node.hex()[:8])

    def _promised(self, record: Promised) -> str:
        held = [f"lock at view {record.lock.view}"] if record.lock else []
        for vote in (record.prepared, record.committed):
            held += [self._vote(vote)] if vote else []
        held += [self._change(record.change)] if record.change else []
        return f"   Promise {record.count} at {record.height}.{record.view}: {'; '.join(held)}"

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
