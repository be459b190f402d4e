"""Do the learners learn, and alike?"""

import numpy as np
import pytest

from scripts.local.digits import Examples
from scripts.local.learning import BATCH, batches_of, learner_of, steps_in_epoch
from scripts.local.trainer import digest_of


def two_kinds(rows: int) -> Examples:
    labels = np.arange(rows) % 2
    random = np.random.default_rng(0)
    x = random.normal(labels[:, None] * 2 - 1, 0.5, (rows, 64)).astype(np.float32)
    return Examples(x, labels)


def test_an_epoch_shows_every_row_once_and_the_next_one_in_another_order() -> None:
    examples = Examples(np.arange(70, dtype=np.float32)[:, None].repeat(64, 1), np.zeros(70, np.int64))
    batches = batches_of(examples, seed=1, node=0)
    epochs = [[next(batches)[0][:, 0] for _ in range(steps_in_epoch(70))] for _ in range(2)]
    assert [len(batch) for batch in epochs[0]] == [BATCH, BATCH, 6]
    orders = [np.concatenate(epoch).tolist() for epoch in epochs]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(70))
    assert orders[0] != orders[1]


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_a_learner_learns(kind: str) -> None:
    examples = two_kinds(200)
    learner = learner_of(kind, seed=0)
    batches = batches_of(examples, 0, 0)
    losses = [learner.step(*next(batches)) for _ in range(40)]
    assert losses[-1] < 0.2 < losses[0]
    assert learner.accuracy(examples) > 0.98
    assert learner.flat().shape == (64 * 128 + 128 + 128 * 10 + 10,)


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_one_seed_gives_the_same_model_to_the_bit(kind: str) -> None:
    def trained(seed: int) -> str:
        learner = learner_of(kind, seed)
        batches = batches_of(two_kinds(64), seed, 0)
        for _ in range(3):
            learner.step(*next(batches))
        return digest_of(learner)

    assert trained(1) == trained(1)
    assert trained(1) != trained(2)


def test_a_step_of_numpy_is_a_step_of_torch() -> None:
    numpy_learner, torch_learner = learner_of("numpy", 3), learner_of("torch", 3)
    import torch

    weights = numpy_learner.weights  # type: ignore[attr-defined]
    with torch.no_grad():
        for tensor, array in zip(torch_learner.model.parameters(), weights, strict=True):  # type: ignore[attr-defined]
            tensor.copy_(torch.from_numpy(array.T.copy()))
    examples = two_kinds(32)
    losses = [learner.step(examples.x, examples.y) for learner in (numpy_learner, torch_learner)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    for tensor, array in zip(torch_learner.model.parameters(), weights, strict=True):  # type: ignore[attr-defined]
        assert np.allclose(tensor.detach().numpy().T, array, atol=1e-6)
