"""Would the same events make the core do the same again? A journal's segment is played, step by step.

The member that is played has no key: it signs with the signatures that the journal holds, and each must fit
what it signs now. Knows nothing of several nodes, or of how what happened is told.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from comind.crypto.identity import verify as verify_ed25519
from comind.node.daemon.frozen import CannotThaw, thaw
from comind.node.daemon.journal import (
    DIGEST_BYTES,
    DamagedJournal,
    Record,
    Start,
    Stepped,
    core_digest,
    digest_of,
    event_of,
)
from comind.p2p.core.chain import Chain
from comind.p2p.core.effects import Event, Step
from comind.p2p.core.errors import PeerMisbehaved
from comind.p2p.core.member import Member
from comind.p2p.core.messages import Committed
from comind.p2p.core.signing import Verify
from comind.p2p.core.words import NetworkId, NodeId

MAX_LINE = 600


class CannotReplay(Exception):
    """The journal does not begin with a start, or the chain that it began with is not there."""


class Differs(Exception):
    """The core does something else than it did: the line says at which record, and what."""


@dataclass(frozen=True, slots=True)
class Played:
    """One step that was played again, and came out the same."""

    record: int
    """Its number in the segment; the start is number 0."""
    now_ms: int
    event: Event
    step: Step
    failure: str = ""
    """The error with which the core failed, then and now."""


def replay(
    records: Iterable[Record], blocks: Sequence[Committed], verify: Verify = verify_ed25519
) -> Iterator[Played]:
    """Feed a segment to the core again, and yield each step.

    `blocks` are the node's own, from genesis on, as far at least as it had them when the segment began:
    another node's certificates can hold other votes, and so their bytes differ.

    Raises:
        CannotReplay: with what is missing.
        DamagedJournal: a record cannot be read.
        Differs: at the first step of which anything comes out differently.
    """
    numbered = enumerate(records)
    start = next((record for _, record in numbered), None)
    if not isinstance(start, Start):
        raise CannotReplay("it does not begin with how the member was")
    pen = _Pen(NodeId(start.me.node), verify)
    member = _member_of(start, blocks, pen, verify)
    for number, record in numbered:
        if not isinstance(record, Stepped):
            raise DamagedJournal(f"a second start, at record {number}")
        try:
            yield _played(member, pen, number, record)
        except Differs as why:
            raise Differs(str(why) + of_another_core(start)) from why.__cause__


def of_another_core(start: Start) -> str:
    """Say, to end a line with, that a journal was written by other code than this; else nothing."""
    if start.core == core_digest():
        return ""
    return f" (it was written by the core {start.core}, and this is {core_digest()}: check out the other)"


def _member_of(start: Start, blocks: Sequence[Committed], pen: "_Pen", verify: Verify) -> Member:
    chain = Chain(NetworkId(start.network))
    try:
        for committed in blocks[: start.height + 1]:
            chain.append(committed, lambda node, statement, signature: True)
    except PeerMisbehaved as why:
        raise CannotReplay(f"the blocks beside it are not its network's: {why}") from None
    if chain.head != start.head:
        raise CannotReplay(f"it begins at height {start.height}, and the store beside it lacks that block")
    try:
        return thaw(start.member, chain, pen, verify)
    except CannotThaw as why:
        raise CannotReplay(str(why) + of_another_core(start)) from None


def _played(member: Member, pen: "_Pen", number: int, record: Stepped) -> Played:
    event = event_of(record)
    pen.fill(record.signatures)
    at = f"record {number}, {_event(event)}"
    try:
        step = member.step(event, record.now_ms)
    except Exception as why:  # what a core that differs runs into first can be anything
        if type(why).__name__ == record.failure:
            return Played(number, record.now_ms, event, Step((), None), record.failure)
        raise Differs(f"{at}: the core fails with {type(why).__name__}: {why}") from why
    if record.failure:
        raise Differs(f"{at}: the core failed with {record.failure}, and does not now")
    if pen.wrong or pen.left:
        raise Differs(f"{at}: {pen.wrong or 'it signs less than it did'}")
    digests = [record.digests[at : at + DIGEST_BYTES] for at in range(0, len(record.digests), DIGEST_BYTES)]
    for place, (then, now) in enumerate(zip_longest(digests, step.actions), start=1):
        if now is None:
            raise Differs(f"{at}: it does {len(step.actions)} things, where it did {len(digests)}")
        if then != digest_of(now):
            was = "something else" if then else "nothing more"
            raise Differs(
                f"{at}: what it does as number {place} is {type(now).__name__}, and was {was}: {now}"
            )
    if step.wake_at_ms != record.wake_at_ms:
        raise Differs(f"{at}: it would be woken at {step.wake_at_ms}, and was at {record.wake_at_ms}")
    return Played(number, record.now_ms, event, step)


def _event(event: Event) -> str:
    message = getattr(event, "message", None)
    return type(event).__name__ if message is None else f"{type(event).__name__} {type(message).__name__}"


@dataclass(slots=True)
class _Pen:
    """Signs with signatures that were made before, if they are of what is to be signed."""

    node_id: NodeId
    verify: Verify
    left: list[bytes] = field(default_factory=list)
    wrong: str = ""

    def fill(self, signatures: Sequence[bytes]) -> None:
        self.left, self.wrong = list(signatures), ""

    def sign(self, statement: bytes, /) -> bytes:
        signature = self.left.pop(0) if self.left else bytes(64)
        if not self.wrong and not self.verify(self.node_id, statement, signature):
            self.wrong = "it signs something else than it did"
        return signature
