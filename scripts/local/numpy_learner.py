"""The model in numpy alone: starts in a blink, which is what tests and large counts of nodes want."""

import numpy as np
from numpy.typing import NDArray

from scripts.local.digits import Examples, Labels, Pixels
from scripts.local.learning import LAYERS, LEARNING_RATE

Weights = list[NDArray[np.float32]]


class NumpyLearner:
    """`weights` may be replaced between steps: by an average, say."""

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.weights: Weights = []
        for inputs, outputs in LAYERS:
            bound = inputs**-0.5  # as torch begins
            self.weights.append(random.uniform(-bound, bound, (inputs, outputs)).astype(np.float32))
            self.weights.append(random.uniform(-bound, bound, outputs).astype(np.float32))

    def step(self, x: Pixels, y: Labels) -> float:
        inner, bias, outer, outer_bias = self.weights
        hidden = np.maximum(x @ inner + bias, 0)
        chances = _softmax(hidden @ outer + outer_bias)
        rows = np.arange(len(y))
        loss = float(-np.log(np.maximum(chances[rows, y], 1e-12)).mean())
        chances[rows, y] -= 1
        above = chances / len(y)
        below = (above @ outer.T) * (hidden > 0)
        gradients = (x.T @ below, below.sum(0), hidden.T @ above, above.sum(0))
        for weight, gradient in zip(self.weights, gradients, strict=True):
            weight -= LEARNING_RATE * gradient
        return loss

    def accuracy(self, examples: Examples) -> float:
        inner, bias, outer, outer_bias = self.weights
        scores = np.maximum(examples.x @ inner + bias, 0) @ outer + outer_bias
        return float((scores.argmax(1) == examples.y).mean())

    def flat(self) -> NDArray[np.float32]:
        return np.concatenate([weight.ravel() for weight in self.weights])


def _softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))
