"""One node's training script: what anybody would write who trains with a network.

Reads its own rows and the held-out pictures, trains until the network's averages are done, and reports on
standard output. Knows of the network what `comind` tells.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import comind
from comind.p2p.core.snapshot import CHUNK_BYTES, chunk_hash, root_of
from scripts.local.digits import Examples, Labels, Pixels, load_examples
from scripts.local.learning import Learner, batches_of
from scripts.local.numpy_learner import NumpyLearner
from scripts.local.reports import Finished, Interval, tell

Batches = Iterator[tuple[Pixels, Labels]]


@dataclass(frozen=True, slots=True)
class Job:
    """What to train, and how to report it."""

    home: str
    batches: Batches
    held_out: Examples
    seed: int
    interval_steps: int
    pace_s: float


def with_torch(job: Job) -> None:
    from scripts.local.torch_learner import TorchLearner

    learner = TorchLearner(job.seed)
    peer = comind.join(home=job.home)
    optimizer = comind.FederatedAveraging(
        learner.optimizer, learner.model, peer, interval_steps=job.interval_steps
    )
    learner.take_step = lambda examples: optimizer.step(examples=examples)
    progress = _Progress(job, learner)
    while True:
        for _ in range(job.interval_steps - 1):
            progress.step()
        progress.keep_pace()
        optimizer.report(loss=progress.loss)
        progress.step()  # ends the interval: a round
        last = optimizer.last_round
        assert last is not None
        progress.report(last.round, last.counted, last.because)
        if last.finished:
            break
    optimizer.finish()
    progress.report_the_end()


def with_numpy(job: Job) -> None:
    learner = NumpyLearner(job.seed)
    peer = comind.join(home=job.home)
    learner.weights = peer.start(learner.weights)
    progress = _Progress(job, learner)
    while True:
        before = progress.trained
        for _ in range(job.interval_steps):
            progress.step()
        progress.keep_pace()
        average = peer.average(
            learner.weights, weight=progress.trained - before, metrics={"loss": progress.loss}
        )
        learner.weights = average.arrays
        progress.report(average.round, average.counted, average.because)
        if average.finished:
            break
    peer.finish()
    progress.report_the_end()


class _Progress:
    """Counts what was trained, and tells the runner."""

    def __init__(self, job: Job, learner: Learner) -> None:
        self.trained = 0
        self._job = job
        self._learner = learner
        self._losses: list[float] = []
        self._began_s = time.monotonic()

    @property
    def loss(self) -> float:
        """Mean over the interval's batches so far."""
        return sum(self._losses) / max(1, len(self._losses))

    def step(self) -> None:
        x, y = next(self._job.batches)
        self.trained += len(y)
        self._losses.append(self._learner.step(x, y))

    def keep_pace(self) -> None:
        """Be as slow as was asked for: a larger model would be."""
        time.sleep(max(0.0, self._began_s + self._job.pace_s - time.monotonic()))

    def report(self, round: int, counted: bool, because: str) -> None:
        accuracy = self._learner.accuracy(self._job.held_out)
        tell(Interval(round, counted, because, self.loss, accuracy, self.trained))
        self._losses = []
        self._began_s = time.monotonic()

    def report_the_end(self) -> None:
        tell(Finished(self._learner.accuracy(self._job.held_out), digest_of(self._learner), self.trained))


def digest_of(learner: Learner) -> str:
    """Return the root of a learner's weights: anyone can compute it, and compare it with `comind status`."""
    flat = learner.flat()
    bytes = flat.tobytes()
    chunks = [bytes[start : start + CHUNK_BYTES] for start in range(0, len(bytes), CHUNK_BYTES)]
    return root_of(flat.size, [chunk_hash(chunk) for chunk in chunks]).hex()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trainer", choices=("torch", "numpy"), required=True)
    parser.add_argument("--home", required=True)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--held-out", type=Path, required=True)
    parser.add_argument("--node", type=int, required=True)
    parser.add_argument("--random-seed", type=int, required=True)
    parser.add_argument("--interval-steps", type=int, required=True)
    parser.add_argument("--pace", type=float, default=0.0)
    given = parser.parse_args()
    job = Job(
        home=given.home,
        batches=batches_of(load_examples(given.rows), given.random_seed, given.node),
        held_out=load_examples(given.held_out),
        seed=given.random_seed,
        interval_steps=given.interval_steps,
        pace_s=given.pace,
    )
    train = with_torch if given.trainer == "torch" else with_numpy
    train(job)


if __name__ == "__main__":
    main()
