"""Which rows of the training data are whose?

Every split is disjoint and covers all rows, gives each node at least `LEAST_ROWS`, and is decided by its
seed alone. Knows nothing of pixels or nodes' names.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST_ROWS = 10
"""A node with fewer could not fill half a batch."""

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Iid:
    """Everyone gets a random part of the same size."""

    def __str__(self) -> str:
        return "iid"


@dataclass(frozen=True, slots=True)
class Dirichlet:
    """Of each class, the nodes get shares drawn from Dirichlet(alpha): the smaller, the more one-sided."""

    alpha: float

    def __str__(self) -> str:
        return f"dirichlet:{self.alpha:g}"


Split = Iid | Dirichlet


def parts_of(labels: NDArray[np.int64], nodes: int, split: Split, seed: int) -> list[Rows]:
    """Return each node's rows, ascending.

    Raises:
        ValueError: there are not `LEAST_ROWS` for each.
    """
    if nodes * LEAST_ROWS > len(labels):
        raise ValueError(f"{len(labels)} rows are not {LEAST_ROWS} for each of {nodes} nodes")
    random = np.random.default_rng([seed, nodes])
    if isinstance(split, Dirichlet):
        parts = _skewed(labels, nodes, split.alpha, random)
    else:
        parts = np.array_split(random.permutation(len(labels)), nodes)
    return [np.sort(part) for part in parts]


def _skewed(labels: NDArray[np.int64], nodes: int, alpha: float, random: np.random.Generator) -> list[Rows]:
    """Source: Hsu et al. 2019, as used since: the shares of each class are one draw of Dirichlet(alpha)."""
    parts: list[list[int]] = [[] for _ in range(nodes)]
    for label in np.unique(labels):
        rows = random.permutation(np.flatnonzero(labels == label))
        shares = random.dirichlet(np.full(nodes, alpha))
        ends = np.round(np.cumsum(shares)[:-1] * len(rows)).astype(np.int64)
        for part, taken in zip(parts, np.split(rows, ends), strict=True):
            part += taken.tolist()
    _feed_the_poor(parts)
    return [np.array(part, np.int64) for part in parts]


def _feed_the_poor(parts: list[list[int]]) -> None:
    """Move rows, one by one, from the largest part to the smallest, until each has enough."""
    while len(poorest := min(parts, key=len)) < LEAST_ROWS:
        poorest.append(max(parts, key=len).pop())
