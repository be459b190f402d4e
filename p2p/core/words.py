"""What are the things that a network speaks of, and what are they called?

Knows nothing of how they travel, how they are stored, or what is done with them.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

import msgspec

from comind.crypto.identity import NodeId, full_id, short_id

__all__ = ["NodeId", "full_id", "short_id"]

NetworkId = NewType("NetworkId", bytes)
"""The genesis block's hash, 32 bytes; it is in every signature and key derivation."""

BlockHash = NewType("BlockHash", bytes)
Root = NewType("Root", bytes)
"""BLAKE3 root of a snapshot, 32 bytes: see `comind.p2p.core.snapshot`. The base's root is the *digest*."""

SchemaHash = NewType("SchemaHash", bytes)
RunId = NewType("RunId", bytes)
"""One trainer's uninterrupted training, 16 random bytes: steps are counted within it (R16)."""

Height = NewType("Height", int)
View = NewType("View", int)
Incarnation = NewType("Incarnation", int)
"""(boot counter << 32) | 32 random bits: never used again, and on disk before the node says anything."""

NO_ROOT = Root(bytes(32))
NO_SCHEMA = SchemaHash(bytes(32))
GENESIS_PARENT = BlockHash(bytes(32))


class Rule(StrEnum):
    """What a block does to the base."""

    GENESIS = "genesis"
    INITIAL = "initial"
    """Sets the first base from one header; counts as no average."""
    MEAN = "mean"
    """An average: the weighted mean of the contributions."""
    ROSTER = "roster"
    """Carries roster changes alone and keeps the base (R15)."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a network fixes at its genesis, since it affects the average or who may say so."""

    quorum: str = "majority"
    averagers: str = "chief"
    strategy: str = "fedavg"
    weight: str = "examples"
    """`examples`: a contribution weighs what it was trained on; `equal`: each weighs one."""
    codec: str = "float32"
    arithmetic: str = "float32"
    door: str = "all"
    """`all`: a round waits for everyone that trains; `adaptive`: it calls those who come late (R5)."""
    admission: str = "key"
    """`key`: whoever holds the network key may join; `list`: of those, who was allowed by block."""
    durability: str = "process"
    """What the bytes behind a PREPARE outlive: every process, or every power cut, too (R9)."""
    min_peers: int = 2
    """While fewer members are training and heard from, no average opens (R5)."""
    start_at: int = 1
    """The first average waits until so many members are training (R5)."""
    rounds: int = 0
    """After so many averages nothing more is contributed; 0: no end."""
    max_voters: int = 7
    passive_after: int = 10
    """Rounds of silence after which a voter loses its vote while more than three vote (R2)."""
    heartbeat_ms: int = 300
    silent_after_ms: int = 3_000
    patience_ms: int = 1_000
    """Of view 0; it doubles with each view (R11)."""
    max_patience_ms: int = 32_000
    round_limit_ms: int = 600_000
    """The total bound of one view after its first OPEN, however steadily chunks arrive (R11)."""


CHOICES: dict[str, tuple[str, ...]] = {
    "quorum": ("majority",),
    "averagers": ("chief",),
    "strategy": ("fedavg",),
    "weight": ("examples", "equal"),
    "codec": ("float32",),
    "arithmetic": ("float32",),
    "door": ("all", "adaptive"),
    "admission": ("key", "list"),
    "durability": ("process", "power"),
}
"""The values that this version knows for each of the settings that are words."""

RANGES: dict[str, tuple[int, int]] = {
    "min_peers": (1, 10_000),
    "start_at": (1, 10_000),
    "rounds": (0, 10_000_000),
    "max_voters": (1, 15),
    "passive_after": (1, 1_000_000),
    "heartbeat_ms": (20, 10_000),
    "silent_after_ms": (100, 600_000),
    "patience_ms": (50, 600_000),
    "max_patience_ms": (50, 3_600_000),
    "round_limit_ms": (1_000, 86_400_000),
}
"""The bounds, both included, of each of the settings that are numbers."""


def what_is_wrong_with(settings: Settings) -> str | None:
    """Say in one line which setting this version cannot take, and what it takes; None if all is well."""
    for name, choices in CHOICES.items():
        if getattr(settings, name) not in choices:
            return f"{name} is {getattr(settings, name)!r}; it can be {' or '.join(choices)}"
    for name, (least, most) in RANGES.items():
        if not least <= getattr(settings, name) <= most:
            return f"{name} is {getattr(settings, name)}; it can be {least} to {most}"
    return None


@dataclass(frozen=True, slots=True)
class Offer:
    """What a trainer brings to a round: (first, last] of its run's steps, trained from `base`."""

    run: RunId
    first_step: int
    last_step: int
    base: Root
    schema: SchemaHash
    size: int
    """Number of float32 values in the snapshot."""
    weight: int
    """Examples not yet counted; 1 under `equal`; 0 when it offers starting weights for the first base."""
    metrics: dict[str, float] = field(default_factory=dict)
    layout: bytes = b""
    """The schema itself, whose hash is `schema`; with starting weights only, whose block carries it."""
