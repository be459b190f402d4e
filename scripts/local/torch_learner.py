"""The model in PyTorch, as anybody would write it."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from scripts.local.digits import Examples, Labels, Pixels
from scripts.local.learning import LAYERS, LEARNING_RATE

torch.set_num_threads(1)  # many trainers share this machine


class TorchLearner:
    """`take_step` is the optimizer's step, told its examples; a trainer puts one there that averages."""

    def __init__(self, seed: int) -> None:
        torch.manual_seed(seed)
        (inputs, hidden), (_, outputs) = LAYERS
        self.model = torch.nn.Sequential(
            torch.nn.Linear(inputs, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, outputs)
        )
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=LEARNING_RATE)
        self.take_step: Callable[[int], object] = lambda examples: self.optimizer.step()
        self._criterion = torch.nn.CrossEntropyLoss()

    def step(self, x: Pixels, y: Labels) -> float:
        self.optimizer.zero_grad()
        loss: torch.Tensor = self._criterion(self.model(torch.from_numpy(x)), torch.from_numpy(y))
        loss.backward()  # type: ignore[no-untyped-call]
        self.take_step(len(y))
        return float(loss.detach())

    @torch.no_grad()
    def accuracy(self, examples: Examples) -> float:
        scores = self.model(torch.from_numpy(examples.x))
        return float((scores.argmax(1).numpy() == examples.y).mean())

    @torch.no_grad()
    def flat(self) -> NDArray[np.float32]:
        """Return the weights as a snapshot holds them: in the order of their names."""
        named = sorted(self.model.named_parameters(), key=lambda one: one[0])
        return np.concatenate([each.numpy().ravel() for _, each in named])
