"""What happens to a member, and what does it want done?

Knows nothing of who carries it out: the daemon does, and so does the simulator.

Order is the promise: the actions of all steps are carried out in the order in which they were returned,
and nothing after a `Promise` leaves the process before its record is on disk. A `Commit` is on disk before
any later `Promise`; what follows it need not wait. A driver may put the records of several steps into one
transaction, as long as it is before the sends of all of them.
"""

from dataclasses import dataclass

import msgspec

from comind.p2p.core.messages import Committed, Lock, Message, ViewChange, Vote
from comind.p2p.core.words import BlockHash, Height, Incarnation, NodeId, Offer, Root, Rule

OpenHash = bytes
"""BLAKE3 of an OPEN's signed bytes: names one attempt of one view of one height."""

# -- events: what happens to a member -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LinkUp:
    """A greeting was completed. A new LinkUp of the same peer replaces the link before it."""

    peer: NodeId
    incarnation: Incarnation
    dialled: bool
    """Whether we reached it at the address that it advertises."""


@dataclass(frozen=True, slots=True)
class LinkDown:
    peer: NodeId


@dataclass(frozen=True, slots=True)
class Reached:
    """Our own dial to it completed a greeting, also where the link in use in the end is its dial to us."""

    peer: NodeId


@dataclass(frozen=True, slots=True)
class DialFailed:
    """Nobody completed a greeting at these addresses; the shell goes on trying for as long as it is asked."""

    peer: NodeId


@dataclass(frozen=True, slots=True)
class Heard:
    """A message that the link proved to be the peer's."""

    peer: NodeId
    message: Message


@dataclass(frozen=True, slots=True)
class Woken:
    """The time of `wake_at_ms` has come."""


@dataclass(frozen=True, slots=True)
class TrainerAttached:
    pass


@dataclass(frozen=True, slots=True)
class TrainerOffered:
    """The trainer reached its interval. A newer offer replaces an older one that is not in a block yet.

    The snapshot stays untouched and readable by the data plane until the member says `Adopt`, or a later
    offer took its place and it was not `Announced`.
    """

    offer: Offer


@dataclass(frozen=True, slots=True)
class TrainerLeft:
    """It finished, died or was detached."""

    because: str


@dataclass(frozen=True, slots=True)
class Averaged:
    """The data plane computed the average that `Average` asked for; it lies in a file of the store."""

    open: OpenHash
    root: Root


@dataclass(frozen=True, slots=True)
class Held:
    """The whole snapshot of this root lies in a file of the store, every chunk checked."""

    root: Root


@dataclass(frozen=True, slots=True)
class Progressed:
    """Chunks of this attempt arrived or were sent that had not been before (feeds patience, R11)."""

    open: OpenHash


@dataclass(frozen=True, slots=True)
class Lost:
    """What this peer owes the attempt will not come (a broken stream), or cannot be used (NaN, a flip)."""

    open: OpenHash
    peer: NodeId
    because: str
    at_fault: bool = False
    """It came and cannot be used: not asked for again in this round. Else another try may get it."""


@dataclass(frozen=True, slots=True)
class FetchFailed:
    """This holder does not give the root now; the others are asked on."""

    root: Root
    peer: NodeId
    because: str


@dataclass(frozen=True, slots=True)
class StopAsked:
    """SIGTERM, Ctrl-C or `comind stop`: say *away*."""


@dataclass(frozen=True, slots=True)
class LeaveAsked:
    """`comind leave`, or the trainer of a daemon that `join()` started has finished."""


@dataclass(frozen=True, slots=True)
class Knocked:
    """This node proved who it is, and got no link, since the latest `Bar` says so."""

    peer: NodeId


@dataclass(frozen=True, slots=True)
class OperatorAsked:
    """Somebody at this node's command line wants something decided for all; answered by `Answer`."""

    ticket: int
    what: str
    """pause, resume, remove, allow or deny."""
    because: str = ""
    node: NodeId | None = None
    """Whom it is about."""


Event = (
    LinkUp
    | LinkDown
    | Reached
    | DialFailed
    | Heard
    | Woken
    | TrainerAttached
    | TrainerOffered
    | TrainerLeft
    | Averaged
    | Held
    | Progressed
    | Lost
    | FetchFailed
    | StopAsked
    | LeaveAsked
    | Knocked
    | OperatorAsked
)

# -- records: what must be on disk --------------------------------------------------------------------------


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """The highest (incarnation, promise count) that was seen of a node (R14)."""

    node: bytes
    incarnation: int
    promise: int


class Promised(msgspec.Struct, frozen=True):
    """All that binds a voter at its current height; each new one replaces the one before, whole."""

    height: int
    view: int
    count: int
    """The promise count: it only grows, over heights and restarts (S8)."""
    prepared: Vote | None = None
    committed: Vote | None = None
    lock: Lock | None = None
    change: ViewChange | None = None
    block: bytes = b""
    """The block of the newest PREPARE."""
    seen: tuple[Seen, ...] = ()


Record = Promised | Committed


@dataclass(frozen=True, slots=True)
class Memory:
    """What a member finds on its disk when it starts."""

    chain: tuple[Committed, ...]
    """From genesis on; genesis carries an empty certificate."""
    promised: Promised | None
    held: frozenset[Root]
    """Roots of the snapshots that lie whole in the store."""


# -- actions: what a member wants done ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """To each of these over its link; to whom there is no link, nothing goes."""

    to: tuple[NodeId, ...]
    message: Message


@dataclass(frozen=True, slots=True)
class Promise:
    """Write `record`, fsync it, and only then do `then`."""

    record: Promised
    then: tuple["Action", ...]


@dataclass(frozen=True, slots=True)
class Commit:
    """Write block and certificate (they replace no earlier ones), before any later promise."""

    committed: Committed
    height: Height


@dataclass(frozen=True, slots=True)
class Dial:
    """Keep a link to this node at these addresses, trying again until told otherwise by `Undial`."""

    peer: NodeId
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Undial:
    peer: NodeId


@dataclass(frozen=True, slots=True)
class Drop:
    """Close the link with this peer and count why."""

    peer: NodeId
    because: str


@dataclass(frozen=True, slots=True)
class Bar:
    """From now on these get no link, and others only if they may: each is told why, as its last word.

    A link that stands with one of them ends, once what was sent before has gone out.
    """

    denied: tuple[tuple[NodeId, str], ...]
    """Each with by whom, and why."""
    allowed: frozenset[NodeId] | None
    """Who dials this node must be one of these; None: anybody may."""


@dataclass(frozen=True, slots=True)
class Announced:
    """A header was made of this offer (R4): until `Adopt` or another one is, its snapshot may be wanted."""

    offer: Offer


@dataclass(frozen=True, slots=True)
class Contribute:
    """Let the averager have the chunks of the snapshot of this offer, sealed for it alone (R7)."""

    open: OpenHash
    averager: NodeId
    offer: Offer


@dataclass(frozen=True, slots=True)
class Part:
    """One contribution to an average."""

    node: NodeId
    weight: int
    offer: Offer | None
    """Set for one's own, which the data plane has already."""


@dataclass(frozen=True, slots=True)
class Average:
    """Gather the parts, average them in this order (S3), and let each member that asks have the result.

    Answered by `Averaged` or `Lost`.
    """

    open: OpenHash
    size: int
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Receive:
    """Get the average of this attempt from its averager, and check it chunk by chunk.

    Answered by `Held` or `Lost`.
    """

    open: OpenHash
    size: int
    averager: NodeId


@dataclass(frozen=True, slots=True)
class Fetch:
    """Get the snapshot of this root from all of these that hold it, at once.

    A later one of the same root names the holders anew: who is not among them is asked no more, what came
    stays. Nobody: it is wanted no more. Answered by `Held`, and by `FetchFailed` for each holder that cannot
    give it, or of whom nothing came for 3 s though it was asked. That one may be named again.
    """

    root: Root
    size: int
    holders: tuple[NodeId, ...]
    """Those to ask first come first."""


@dataclass(frozen=True, slots=True)
class Forget:
    """This attempt is over: stop its transfers and free its buffers."""

    open: OpenHash


@dataclass(frozen=True, slots=True)
class Keep:
    """These snapshots are needed (base, lock, newest PREPARE); of those that it knew of, some may go.

    What was written since and is not told yet is in neither: it stays.
    """

    roots: frozenset[Root]
    gone: frozenset[Root]


@dataclass(frozen=True, slots=True)
class Adopt:
    """Tell the trainer of a new base. Sent when the block is committed and its bytes are held.

    Only the newest is sent where several were missed (S5).
    """

    height: Height
    block: BlockHash
    rule: Rule
    round: int
    """Averages so far, this one included."""
    root: Root
    size: int
    counted: bool
    """Whether the trainer's newest offer is in a block up to this one."""
    counted_run: bytes
    counted_last_step: int
    """The newest (run, last step) of this node that any block counts (R16); empty run: none."""
    because: str
    """Why it was or was not counted."""
    contributors: tuple[tuple[NodeId, str, int], ...]
    """(node, name, weight) of each that was counted, in roster order."""
    absent: tuple[tuple[NodeId, str, str], ...]
    """(node, name, why) of each roster member that was not."""
    chief: NodeId
    view: int
    duration_ms: int
    started: bool
    """Whether training may begin (`start_at`); if not, `Begin` follows when it may."""
    finished: bool
    """Genesis `rounds` is reached: nothing more will be averaged."""


@dataclass(frozen=True, slots=True)
class Begin:
    """`start_at` members are training: the trainer may take its first step."""


@dataclass(frozen=True, slots=True)
class Release:
    """The trainer need not wait: no round will come of its offer now (it stays offered)."""

    because: str


@dataclass(frozen=True, slots=True)
class Wait:
    """A round may come of the trainer's offer; what it waits for changed."""

    because: str


@dataclass(frozen=True, slots=True)
class CallTrainer:
    """The chief calls: the trainer is to offer at its next step, with the examples that it has (R5)."""


@dataclass(frozen=True, slots=True)
class Note:
    """A line for the log and the live view: something happened, with its reason."""

    what: str


@dataclass(frozen=True, slots=True)
class Gone:
    """A quorum of the next roster holds the block that removed this member: it may end (R2)."""

    expelled: str = ""
    """By whom, and why, if it did not ask for it itself."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of what an operator asked for under this ticket: decided by block, or why it cannot be."""

    ticket: int
    done: bool
    line: str


Action = (
    Send
    | Promise
    | Commit
    | Dial
    | Undial
    | Drop
    | Bar
    | Announced
    | Contribute
    | Average
    | Receive
    | Fetch
    | Forget
    | Keep
    | Adopt
    | Begin
    | Release
    | Wait
    | CallTrainer
    | Note
    | Answer
    | Gone
)


@dataclass(frozen=True, slots=True)
class Step:
    """The work of one event, and when to wake the member if nothing else happens."""

    actions: tuple[Action, ...]
    wake_at_ms: int | None
