"""What is left of a node when its process vanishes?

Knows nothing of when a write is over: that is the process's and its clock's business.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from comind.p2p.core.effects import Memory, Promised
from comind.p2p.core.messages import Block, Committed
from comind.p2p.core.wire import read
from comind.p2p.core.words import Incarnation, Root

Values = NDArray[np.float32]


@dataclass(slots=True)
class Disk:
    """Boot counter, promises, blocks and snapshot files of one node."""

    boots: int = 0
    chain: list[Committed] = field(default_factory=list)
    promised: Promised | None = None
    snapshots: dict[Root, Values] = field(default_factory=dict)

    def boot(self, random_bits: int) -> Incarnation:
        """Write a new incarnation: boot counter above 32 random bits."""
        self.boots += 1
        return Incarnation(self.boots << 32 | random_bits)

    def append(self, committed: Committed) -> None:
        """Write the next block; none is ever replaced."""
        height = read(Block, committed.block).height
        assert height == len(self.chain), f"block {height} is written after block {len(self.chain) - 1}"
        self.chain.append(committed)

    def memory(self) -> Memory:
        return Memory(chain=tuple(self.chain), promised=self.promised, held=frozenset(self.snapshots))
