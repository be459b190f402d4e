"""What do members say to each other?

Knows nothing of bytes (that is `wire`) or of what a member does when it hears one (that is `member`).

Blocks, headers, opens and proposals are kept as the bytes that were signed or hashed: a field called
`block`, `header` or `open` holds encoded bytes, and `chain`/`wire` type them when they are needed.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from comind.p2p.core.words import Rule, Settings

Hash32 = Annotated[bytes, Meta(min_length=32, max_length=32)]
Node = Annotated[bytes, Meta(min_length=32, max_length=32)]
Run = Annotated[bytes, Meta(min_length=16, max_length=16)]
Signature = Annotated[bytes, Meta(min_length=64, max_length=64)]
Key = Annotated[bytes, Meta(min_length=32, max_length=32)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_PRINTABLE = r"\A[^\x00-\x1f\x7f-\x9f\u2028\u2029]*\Z"
Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=_PRINTABLE)]
Address = Annotated[str, Meta(min_length=9, max_length=256)]
Addresses = Annotated[tuple[Address, ...], Meta(max_length=8)]
Because = Annotated[str, Meta(max_length=400, pattern=_PRINTABLE)]
Metrics = Annotated[dict[Annotated[str, Meta(max_length=32)], float], Meta(max_length=16)]

MAX_MEMBERS = 1_024
MAX_CHUNKS = 1 << 17
"""Of one snapshot: 2^17 chunks of 1 MiB are 128 GiB."""
MAX_BLOCK_BYTES = 1 << 20
MAX_LAYOUT_BYTES = 1 << 17
MAX_PAST = 4_096
"""Runs whose counts a recovered network takes along."""


class _Struct(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


# -- what is signed and kept ------------------------------------------------------------------------------


class Header(_Struct, frozen=True):
    """The announcement of a contribution (R4). `signature` is over the header's bytes without it."""

    height: Count
    node: Node
    incarnation: Count
    run: Run
    first_step: Count
    last_step: Count
    base: Hash32
    schema: Hash32
    size: Count
    weight: Count
    metrics: Metrics


class SignedHeader(_Struct, frozen=True):
    header: Annotated[bytes, Meta(max_length=4_096)]
    signature: Signature


class Vote(_Struct, frozen=True):
    """PREPARE or COMMIT of one block in one view (R9, R10)."""

    kind: Annotated[str, Meta(pattern=r"\A(prepare|commit)\Z")]
    height: Count
    view: Count
    block: Hash32
    node: Node
    incarnation: Count
    promise: Count
    signature: Signature


Votes = Annotated[tuple[Vote, ...], Meta(max_length=128)]


class Lock(_Struct, frozen=True):
    """A quorum of PREPAREs of one (height, view, block), with the block's bytes (R9)."""

    view: Count
    block: Annotated[bytes, Meta(max_length=MAX_BLOCK_BYTES)]
    prepares: Votes


class ViewChange(_Struct, frozen=True):
    """A promise to sign nothing in views below `view` (R12)."""

    height: Count
    view: Count
    lock: Lock | None
    node: Node
    incarnation: Count
    promise: Count
    signature: Signature


NewView = Annotated[tuple[ViewChange, ...], Meta(max_length=128)]


class Certificate(_Struct, frozen=True):
    """The quorum of COMMITs that commits a block (R10)."""

    height: Count
    view: Count
    block: Hash32
    commits: Votes


# -- blocks -----------------------------------------------------------------------------------------------


class Admit(_Struct, frozen=True, tag="admit"):
    node: Node
    name: Name
    addresses: Addresses
    can_lead: bool


class Remove(_Struct, frozen=True, tag="remove"):
    node: Node
    because: Because


class GiveVote(_Struct, frozen=True, tag="give-vote"):
    node: Node
    incarnation: Count


class TakeVote(_Struct, frozen=True, tag="take-vote"):
    node: Node
    because: Because


class CanLead(_Struct, frozen=True, tag="can-lead"):
    node: Node
    can_lead: bool


class Move(_Struct, frozen=True, tag="move"):
    """A member is reached at other addresses than before, or under another name."""

    node: Node
    name: Name
    addresses: Addresses


class Pause(_Struct, frozen=True, tag="pause"):
    """A member's operator wants no averages for a while. The signature is over all but itself."""

    by: Node
    because: Because
    after: Count
    """Height of the asker's last block when it was asked: what was decided since outlives the wish."""
    signature: Signature


class Resume(_Struct, frozen=True, tag="resume"):
    """A member's operator wants averages again."""

    by: Node
    after: Count
    signature: Signature


class Expel(_Struct, frozen=True, tag="expel"):
    """A member's operator wants another member off the roster, and denied from then on."""

    node: Node
    by: Node
    because: Because
    after: Count
    signature: Signature


class Allow(_Struct, frozen=True, tag="allow"):
    """A member's operator wants this node to be let in, also if it was denied before."""

    node: Node
    by: Node
    after: Count
    signature: Signature


class Deny(_Struct, frozen=True, tag="deny"):
    """A member's operator wants this node, which is no member, to get no link."""

    node: Node
    by: Node
    because: Because
    after: Count
    signature: Signature


Decision = Pause | Resume | Expel | Allow | Deny
"""What a member's operator decides for all, once it is in a block."""

Change = Admit | Remove | GiveVote | TakeVote | CanLead | Move | Decision


class Absentee(_Struct, frozen=True):
    node: Node
    because: Because


class Arrival(_Struct, frozen=True):
    """When a header reached the originator, by its own monotonic clock, since the first one did."""

    node: Node
    ms: Count


class Past(_Struct, frozen=True):
    """What a network counted last of one run, before another went on from it (R16, R18)."""

    node: Node
    run: Run
    last_step: Count


class Recovers(_Struct, frozen=True):
    """Which network this one goes on from, and from where (R18)."""

    network: Hash32
    height: Count
    block: Hash32
    """The parent block: the newest that the founder held."""
    round: Count
    """Averages up to it."""
    voters: Annotated[tuple[Node, ...], Meta(min_length=1, max_length=128)]
    """Of the parent, the founder first."""
    counted: Annotated[tuple[Past, ...], Meta(max_length=MAX_PAST)]
    """The runs that were counted, newest first."""


class Block(_Struct, frozen=True):
    """The record of one round: immutable, and knows no view (R8)."""

    network: Hash32
    height: Count
    previous: Hash32
    originator: Node
    rule: Rule
    codec: Name
    headers: Annotated[tuple[SignedHeader, ...], Meta(max_length=MAX_MEMBERS)]
    """The S of an average, in roster order."""
    root: Hash32
    size: Count
    changes: Annotated[tuple[Change, ...], Meta(max_length=256)]
    skipped: Annotated[tuple[Node, ...], Meta(max_length=MAX_MEMBERS)]
    present: Annotated[tuple[Node, ...], Meta(max_length=MAX_MEMBERS)]
    """Roster members that the originator heard from, itself included, in roster order."""
    metrics: Metrics
    arrivals: Annotated[tuple[Arrival, ...], Meta(max_length=MAX_MEMBERS)]
    duration_ms: Count
    absentees: Annotated[tuple[Absentee, ...], Meta(max_length=MAX_MEMBERS)]
    layout: Annotated[bytes, Meta(max_length=MAX_LAYOUT_BYTES)] = b""
    """With the first base: the schema, whose hash is in every header."""
    settings: Settings | None = None
    """Genesis only."""
    name: Annotated[str, Meta(max_length=64)] = ""
    """Genesis only: what the founder calls the network."""
    recovers: Recovers | None = None
    """Genesis only: of a network that was founded anew, since its quorum was gone for good."""


# -- messages ---------------------------------------------------------------------------------------------


class Greeting(_Struct, frozen=True, tag="greeting"):
    """The first words on a new link: who I am, and the highest pair that I saw of you (R14)."""

    name: Name
    addresses: Addresses
    height: Count
    """The height that I work on."""
    promise: Count
    """My promise count."""
    seen_incarnation: Count
    seen_promise: Count
    no_lead: bool


class Addressbook(_Struct, frozen=True, tag="addressbook"):
    """Whom I know, and where (peer exchange)."""

    entries: Annotated[tuple[tuple[Node, Addresses], ...], Meta(max_length=MAX_MEMBERS)]


class Heartbeat(_Struct, frozen=True, tag="heartbeat"):
    """Said every 300 ms, and at once when something in it changes."""

    height: Count
    """The height that I work on: one above my last committed block's."""
    view: Count
    """The highest view that I promised, or follow, at that height."""
    training: bool
    ready: bool
    away: bool
    abstains: Because
    """Empty, or why I cannot lead or vote in this view."""
    reached: Annotated[tuple[Node, ...], Meta(max_length=MAX_MEMBERS)]
    """Whom I dialled successfully at its advertised address."""


class Join(_Struct, frozen=True, tag="join"):
    """I want to be on the roster; passed on to others as it is."""

    node: Node
    name: Name
    addresses: Addresses
    incarnation: Count
    no_lead: bool
    signature: Signature


class Leave(_Struct, frozen=True, tag="leave"):
    """I want to be off the roster."""

    node: Node
    incarnation: Count
    signature: Signature


class Wish(_Struct, frozen=True, tag="wish"):
    """A member's operator wants this decided; passed on as it is."""

    decision: Decision


class TurnedAway(_Struct, frozen=True, tag="turned-away"):
    """You get no link here: you are denied, or on no allow-list yet. The last word on a link."""

    denied: bool
    because: Because
    """By whom, and why, it was denied."""


class Ready(_Struct, frozen=True, tag="ready"):
    header: SignedHeader
    layout: Annotated[bytes, Meta(max_length=MAX_LAYOUT_BYTES)] = b""
    """With starting weights: the schema."""


class Call(_Struct, frozen=True, tag="call"):
    """The door opens soon: contribute at your trainer's next step, with what it has (R5)."""

    height: Count
    view: Count


class Open(_Struct, frozen=True, tag="open"):
    """Fixes the contributors, the averagers with their shards and the codec (R6)."""

    height: Count
    view: Count
    attempt: Count
    rule: Rule
    headers: Annotated[tuple[SignedHeader, ...], Meta(min_length=1, max_length=MAX_MEMBERS)]
    averagers: Annotated[tuple[tuple[Node, Count, Count], ...], Meta(min_length=1, max_length=MAX_MEMBERS)]
    codec: Name
    size: Count
    new_view: NewView
    node: Node
    incarnation: Count
    signature: Signature


class Propose(_Struct, frozen=True, tag="propose"):
    """The envelope around a block (R8); signed are height, view, and the hashes of block and NEWVIEW."""

    height: Count
    view: Count
    block: Annotated[bytes, Meta(max_length=MAX_BLOCK_BYTES)]
    new_view: NewView
    node: Node
    incarnation: Count
    signature: Signature


class Voted(_Struct, frozen=True, tag="voted"):
    vote: Vote


class ViewChanged(_Struct, frozen=True, tag="view-changed"):
    change: ViewChange


class Committed(_Struct, frozen=True, tag="committed"):
    """A block with the certificate that commits it."""

    block: Annotated[bytes, Meta(max_length=MAX_BLOCK_BYTES)]
    certificate: Certificate


class AskBlocks(_Struct, frozen=True, tag="ask-blocks"):
    """Send me the chain from this height on, as far as fits one message."""

    first: Count


class Blocks(_Struct, frozen=True, tag="blocks"):
    blocks: Annotated[tuple[Committed, ...], Meta(max_length=256)]


Message = (
    Greeting
    | Addressbook
    | Heartbeat
    | Join
    | Leave
    | Wish
    | TurnedAway
    | Ready
    | Call
    | Open
    | Propose
    | Voted
    | ViewChanged
    | Committed
    | AskBlocks
    | Blocks
)
