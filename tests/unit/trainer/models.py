"""Small torch models whose steps can be told by heart."""

import numpy as np
import torch
from torch import nn

from comind.node.trainer.optimizer import FederatedAveraging
from comind.node.trainer.peer import Peer


class Line(nn.Module):
    """One weight, whose gradient is 1: each step of SGD with lr=1 subtracts 1 from it."""

    def __init__(self, weight: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([weight], dtype=torch.float32))

    def forward(self) -> torch.Tensor:
        return self.weight.sum()

    @property
    def value(self) -> float:
        return float(self.weight.detach())


def vector(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def wrapped(model: Line, peer: Peer, interval_steps: int = 2, **options: object) -> FederatedAveraging:
    inner = torch.optim.SGD(model.parameters(), lr=1.0)
    return FederatedAveraging(inner, model, peer, interval_steps, **options)  # type: ignore[arg-type]


def train(optimizer: FederatedAveraging, model: Line, steps: int = 1, examples: int | None = 3) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        model().backward()
        optimizer.step(examples=examples)
