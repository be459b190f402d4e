"""How does anybody here train: a trainer in the network, a node alone, or all data pooled?

One code path for all three, for torch and for numpy, so that what differs between their accuracies is whom
they learn with. The model is a perceptron of 64, 128 and 10 units; SGD with rate 0.1 and batches of 32.
"""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scripts.local.digits import CLASSES, PIXELS, Examples, Labels, Pixels

HIDDEN = 128
LEARNING_RATE = 0.1
BATCH = 32
LAYERS = ((PIXELS, HIDDEN), (HIDDEN, CLASSES))
POOLED = -1
"""In a node's place: whoever holds everybody's data."""


class Learner(Protocol):
    """A model and the way in which it learns."""

    def step(self, x: Pixels, y: Labels) -> float:
        """Take one step of SGD on a batch; return its loss before the step."""

    def accuracy(self, examples: Examples) -> float:
        """Return the share of examples that it tells right."""

    def flat(self) -> NDArray[np.float32]:
        """Return all weights in the order in which they travel."""


def learner_of(kind: str, seed: int) -> Learner:
    """Return a new learner, `torch` or `numpy`; one seed gives the same starting weights everywhere."""
    if kind == "numpy":
        from scripts.local.numpy_learner import NumpyLearner

        return NumpyLearner(seed)
    from scripts.local.torch_learner import TorchLearner

    return TorchLearner(seed)


def batches_of(examples: Examples, seed: int, node: int) -> Iterator[tuple[Pixels, Labels]]:
    """Yield batches without end: epoch after epoch, each in another order, its last batch shorter."""
    random = np.random.default_rng([seed, node + 1])
    while True:
        order = random.permutation(len(examples))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            yield examples.x[rows], examples.y[rows]


def steps_in_epoch(rows: int) -> int:
    return -(-rows // BATCH)
