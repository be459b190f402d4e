"""What do the seats of one world share: which things happen, what can be said, and what trainers train?

Knows nothing of what a seat makes of it.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field

import numpy as np

from comind.p2p.core.chain import schema_hash
from comind.p2p.core.effects import Event, OpenHash
from comind.p2p.core.messages import Message, Open
from comind.p2p.core.signing import Verify, open_hash
from comind.p2p.core.words import NetworkId, NodeId, Offer, Root, RunId
from tests.exploration.copies import drawn
from tests.scenarios.disk import Values
from tests.scenarios.trainers import INTERVAL_STEPS, LAYOUT, SIZE

EXAMPLES = 8
"""Of one interval."""


@dataclass(frozen=True, slots=True)
class Chunks:
    """A contributor's whole contribution to an attempt, on its way to the averager."""

    open: int


@dataclass(frozen=True, slots=True)
class Mean:
    """The whole average of an attempt, as its averager gives it."""

    open: int
    root: Root


@dataclass(frozen=True, slots=True)
class Over:
    """The averager of an attempt has ended its streams."""

    open: int


@dataclass(frozen=True, slots=True)
class Holds:
    """Who asks can have this snapshot: no word, but what a `Fetch` would find."""

    root: Root


Said = Message | Chunks | Mean | Over | Holds


@dataclass(frozen=True, slots=True)
class Boot:
    """The daemon starts on what its disk holds."""


@dataclass(frozen=True, slots=True)
class Crash:
    """The process vanishes; `losing`: with the write of its newest block, which no promise waited for."""

    losing: bool = False


@dataclass(frozen=True, slots=True)
class Offers:
    """Its trainer has reached the interval."""


@dataclass(frozen=True, slots=True)
class Fire:
    """The time has come at which the core asked to be woken."""


Happening = Event | Boot | Crash | Offers | Fire


@dataclass(frozen=True, slots=True)
class Ground:
    """What all seats of one world share."""

    network: NetworkId
    names: dict[NodeId, str]
    indexes: dict[NodeId, int]
    verify: Verify
    first_height: int
    last_height: int
    """Who has committed this height has done all that the world asks."""
    opens: dict[Hashable, int] = field(default_factory=dict)
    attempts: dict[OpenHash, int] = field(default_factory=dict)
    """OPENs that differ in nothing but whose VIEWCHANGEs they carry are one attempt."""
    averages: dict[int, Values] = field(default_factory=dict)
    values: dict[Root, Values] = field(default_factory=dict)

    def weights(self, node: NodeId, step: int) -> Values:
        """What this node's trainer has after so many steps."""
        chance = np.random.default_rng([self.indexes[node], step])
        return chance.standard_normal(SIZE).astype(np.float32)

    def saw_open(self, open: Open) -> None:
        number = self.opens.setdefault(drawn(open), len(self.opens))
        self.attempts[open_hash(open)] = number

    def offer(self, node: NodeId, counted_step: int, step: int, base: Root) -> Offer:
        weight = EXAMPLES * (step - counted_step) // INTERVAL_STEPS
        return Offer(self.run(node), counted_step, step, base, schema_hash(LAYOUT), SIZE, weight)

    def run(self, node: NodeId) -> RunId:
        return RunId(b"run" + node[:13])
