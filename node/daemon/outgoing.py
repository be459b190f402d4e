"""What does the data plane hear from peers and want said to them, and what has it to tell the member?

Plain values: the loop carries them to and from the shell's `BulkPort`. Knows nothing of when.
"""

from dataclasses import dataclass, field

from comind.p2p.core.effects import Averaged, FetchFailed, Held, Lost, Progressed
from comind.p2p.core.words import NodeId, Offer
from comind.p2p.shell.bulk import BulkEvent, Stream

# -- from peers ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FromPeer:
    """What the shell heard, with the link secrets that it may be sealed with (`BulkPort.upload_secret`)."""

    event: BulkEvent
    secrets: tuple[bytes, ...] = field(repr=False)


# -- for peers ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ask:
    peer: NodeId
    stream: Stream
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class Grant:
    peer: NodeId
    stream: Stream
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ChunkList:
    peer: NodeId
    stream: Stream
    size: int
    hashes: tuple[bytes, ...]
    signature: bytes


@dataclass(frozen=True, slots=True)
class Chunk:
    peer: NodeId
    stream: Stream
    index: int
    sealed: memoryview = field(repr=False)
    """Never written again."""


@dataclass(frozen=True, slots=True)
class Refuse:
    peer: NodeId
    stream: Stream
    because: str


@dataclass(frozen=True, slots=True)
class Misbehaved:
    """This peer sent what no honest peer sends: drop it."""

    peer: NodeId
    because: str


# -- for the trainer ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LookedThrough:
    """This offer's snapshot was read once; `wrong`: where the first unusable value is, and what it is."""

    offer: Offer
    wrong: tuple[int, str] | None


ToPeer = Ask | Grant | ChunkList | Chunk | Refuse
Output = ToPeer | Misbehaved | LookedThrough | Averaged | Held | Progressed | Lost | FetchFailed
