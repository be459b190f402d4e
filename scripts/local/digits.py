"""Where does the data come from, and how does each process get its own?

Scikit-learn's handwritten digits: 1,797 pictures of 8 × 8 pixels from 0 to 16. The runner deals them out as
one file for each node, so that a trainer reads what is its own and the held-out pictures, and nothing else.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]
Labels = NDArray[np.int64]

FOLDS = 5
PIXELS = 64
CLASSES = 10
_FOLDING_SEED = 0
"""The folds are the same whatever the random seed: it decides only who gets which of the training rows."""


@dataclass(frozen=True)
class Examples:
    """Pictures of shape (rows, 64), scaled, and their labels, of shape (rows,)."""

    x: Pixels
    y: Labels

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: NDArray[np.int64]) -> "Examples":
        return Examples(np.ascontiguousarray(self.x[rows]), self.y[rows])

    def save(self, path: Path) -> None:
        from safetensors.numpy import save_file

        save_file({"x": self.x, "y": self.y}, path)


def load_examples(path: Path) -> Examples:
    """Read what `Examples.save` wrote."""
    from safetensors.numpy import load_file

    tensors = load_file(path)
    return Examples(tensors["x"], tensors["y"])


def load_digits(fold: int) -> tuple[Examples, Examples]:
    """Return the pictures to train on, and those of one fold (0 to 4), held out from everyone.

    Pixels enter as (x − 5) / 6: constants near their mean and deviation that need nobody's data.
    """
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    x = ((pixels - 5) / 6).astype(np.float32)
    everything = Examples(x, labels.astype(np.int64))
    held_out = fold_of(everything.y, fold)
    return everything.take(np.flatnonzero(~held_out)), everything.take(np.flatnonzero(held_out))


def fold_of(labels: Labels, fold: int) -> NDArray[np.bool_]:
    """Say of each row whether it is in this fold: of each class, every fold holds a fifth, at random."""
    random = np.random.default_rng(_FOLDING_SEED)
    folds = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        rows = random.permutation(np.flatnonzero(labels == label))
        folds[rows] = (np.arange(len(rows)) + label) % FOLDS  # + label: no fold is always the larger one
    return np.asarray(folds == fold)
