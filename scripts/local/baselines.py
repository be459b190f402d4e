"""How well would each node do alone, and how well would everybody's data do in one place?

A process of its own, so that the runner does not load torch. The learning is a trainer's, alone.
"""

import argparse
from pathlib import Path

import numpy as np

from scripts.local.digits import Examples, load_examples
from scripts.local.learning import POOLED, batches_of, learner_of, steps_in_epoch
from scripts.local.reports import Learned, tell


def learn(kind: str, examples: Examples, held_out: Examples, seed: int, node: int, steps: list[int]) -> None:
    """Take so many steps for each round, and report after each; round 0 is before all."""
    learner = learner_of(kind, seed)
    batches = batches_of(examples, seed, node)
    tell(Learned(node, 0, learner.accuracy(held_out)))
    for round, count in enumerate(steps, 1):
        for _ in range(count):
            learner.step(*next(batches))
        tell(Learned(node, round, learner.accuracy(held_out)))


def pooled(parts: list[Examples]) -> Examples:
    return Examples(np.concatenate([part.x for part in parts]), np.concatenate([part.y for part in parts]))


def steps_each(rows: int, nodes: int, interval_steps: int | None) -> int:
    """Return the steps of one round: an epoch, else as many as `nodes` nodes take together."""
    return steps_in_epoch(rows) if interval_steps is None else nodes * interval_steps


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trainer", choices=("torch", "numpy"), required=True)
    parser.add_argument("--rows", type=Path, nargs="+", required=True)
    parser.add_argument("--held-out", type=Path, required=True)
    parser.add_argument("--random-seed", type=int, required=True)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--interval-steps", type=int)
    given = parser.parse_args()
    parts = [load_examples(path) for path in given.rows]
    held_out = load_examples(given.held_out)

    def train(examples: Examples, node: int, nodes: int) -> None:
        steps = [steps_each(len(examples), nodes, given.interval_steps)] * given.rounds
        learn(given.trainer, examples, held_out, given.random_seed, node, steps)

    for node, part in enumerate(parts):
        train(part, node, 1)
    train(pooled(parts), POOLED, len(parts))


if __name__ == "__main__":
    main()
