"""How does anything that is not PyTorch average with its network? Arrays in, arrays out.

`FederatedAveraging` stands on the same `Training`. Knows nothing of how a daemon is found or started.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from math import isfinite
from operator import index
from pathlib import Path
from typing import Generic, SupportsFloat, SupportsIndex, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from comind.node.trainer.attachment import refuse_fork
from comind.node.trainer.rebase import MAX_CARRY
from comind.node.trainer.round import Absentee, Contributor, Round
from comind.node.trainer.schema import Arrays, ArrayWeights, Schema, schema_of_arrays
from comind.node.trainer.training import Training, Weights
from comind.p2p.core.errors import ConfigError

__all__ = ["Absentee", "AverageResult", "Contributor", "Peer", "Round"]

MAX_METRICS = 16
MAX_METRIC_NAME = 32

Array = NDArray[np.floating]
A = TypeVar("A")


@dataclass(frozen=True, slots=True, kw_only=True)
class AverageResult(Round, Generic[A]):
    """The arrays to go on with, and what became of those that were given."""

    arrays: A


def say(line: str) -> None:
    """Tell the person at the terminal."""
    sys.stderr.write(f"comind: {line}\n")
    sys.stderr.flush()


class Peer:
    """A process' hold on the daemon of its home. One training goes through it."""

    def __init__(
        self,
        path: Path | None,
        *,
        max_wait: float | None = None,
        on_line: Callable[[str], None] = say,
    ) -> None:
        """`path`: the daemon's socket; None in a process that leaves speaking to rank 0.

        `max_wait`: how many seconds a round is waited for at most, however it progresses (R17).
        """
        self.path = path
        self.on_line = on_line
        self._max_wait_s = max_wait
        self._process = os.getpid()
        self._training: Training | None = None

    @property
    def last_round(self) -> Round | None:
        """The newest round as this trainer met it, or why there was none; None before the first."""
        return None if self._training is None else self._training.last_round

    @property
    def called(self) -> bool:
        """Whether the network calls (`door = "adaptive"`): a round waits for what this trainer has now.

        Who asks between its steps, and then calls `average` with the examples that it took so far, is counted
        in that round. Who does not is counted when its interval ends, as in any other round.

        Raises:
            ConfigError: the daemon refuses this trainer for good.
        """
        refuse_fork(self._process)
        if self._training is None or self._training.finished or self._training.daemon.is_over:
            return False
        self._training.daemon.listen()
        return self._training.daemon.called

    @overload
    def start(self, arrays: Sequence[Array]) -> list[Array]: ...

    @overload
    def start(self, arrays: Mapping[str, Array]) -> dict[str, Array]: ...

    def start(self, arrays: Arrays) -> list[Array] | dict[str, Array]:
        """Attach, wait for the network's base and start, and return the arrays to train from.

        These are the network's base, in the shapes and dtypes of `arrays` (float32 or float16); where the
        network has none yet, `arrays` may become it.

        Raises:
            ConfigError: no daemon is there, it has a trainer already, or the network trains other arrays.
        """
        schema = schema_of_arrays(arrays)
        weights = ArrayWeights(schema, arrays)
        self.begin(schema, weights)
        return weights.as_dict(arrays) if isinstance(arrays, Mapping) else weights.as_list()

    @overload
    def average(
        self, arrays: Sequence[Array], weight: int | None = None, metrics: Mapping[str, float] | None = None
    ) -> AverageResult[list[Array]]: ...

    @overload
    def average(
        self,
        arrays: Mapping[str, Array],
        weight: int | None = None,
        metrics: Mapping[str, float] | None = None,
    ) -> AverageResult[dict[str, Array]]: ...

    def average(
        self, arrays: Arrays, weight: int | None = None, metrics: Mapping[str, float] | None = None
    ) -> AverageResult[list[Array]] | AverageResult[dict[str, Array]]:
        """Average `arrays` with whoever is there, and return the arrays to go on with.

        They were trained from what `start` or the call before returned, on `weight` examples (which must be
        told where the network weighs examples). The call waits while the daemon sees the round progress, at
        most `max_wait`; whatever comes of it, local work is neither lost nor counted twice. Who is
        `called` may average earlier than it meant to, with the examples so far. What was given is not written
        to. `metrics` (at most 16 numbers) travel with the contribution.

        Without `start` before it, the first call starts: what `arrays` learnt before it is not counted.

        Raises:
            ConfigError: an array is not finite or not as before, `weight` is missing, or the daemon refuses.
        """
        refuse_fork(self._process)
        training = self._training
        if training is None:
            return self._start_late(arrays)
        if training.daemon.is_over:
            raise ConfigError("this peer has finished: join again to train more")
        weights = ArrayWeights(training.schema, arrays)
        examples = examples_in(weight, training.daemon.weight_unit, "peer.average(arrays, weight=N)")
        told = numbers_in(metrics or {})
        training.trained(examples)
        round = training.contribute(weights, told)
        if training.finished:
            training.end_on_base(weights)
        if isinstance(arrays, Mapping):
            return _with_arrays(round, weights.as_dict(arrays))
        return _with_arrays(round, weights.as_list())

    def finish(self) -> None:
        """Tell the daemon that this trainer has finished. One that `join()` started then leaves and ends."""
        refuse_fork(self._process)
        if self._training is not None:
            self._training.daemon.finish()

    def begin(self, schema: Schema, weights: Weights, max_carry: int = MAX_CARRY) -> Training:
        """Start the one training of this peer; `weights` become the network's base.

        Raises:
            ConfigError: it has one already, crossed a fork, or leaves speaking to rank 0; or as in `start`.
        """
        refuse_fork(self._process)
        if self.path is None:
            raise ConfigError(
                "this process leaves speaking to rank 0: call torch.distributed.init_process_group() first"
            )
        if self._training is not None:
            raise ConfigError(
                "this peer has its trainer already; for a second one, join with a home of its own:"
                " comind.join(home=OTHER)"
            )
        training = Training(
            self.path, schema, say=self.on_line, max_wait_s=self._max_wait_s, max_carry=max_carry
        )
        training.start(weights)
        self._training = training
        return training

    def _start_late(self, arrays: Arrays) -> AverageResult[list[Array]] | AverageResult[dict[str, Array]]:
        begun = self.start(arrays)
        assert self._training is not None
        round = self._training.no_round(
            "training starts with this call: what the arrays learnt before is not counted"
        )
        if isinstance(begun, dict):
            return _with_arrays(round, begun)
        return _with_arrays(round, begun)


def examples_in(told: SupportsIndex | None, weight_unit: str, call: str) -> int:
    """Return how many examples a step took; 0 where nobody told, and the network does not ask.

    Raises:
        ConfigError: it asks; or the number is none.
    """
    if told is None:
        if weight_unit == "examples":
            raise ConfigError(f"this network weighs contributions by examples: tell how many, with {call}")
        return 0
    try:
        examples = index(told)  # a number of numpy or torch will do, a fraction will not
    except TypeError:
        examples = 0
    if examples < 1:
        raise ConfigError(f"a step takes a whole number of examples, at least 1, not {told!r}: {call}")
    return examples


def numbers_in(metrics: Mapping[str, SupportsFloat]) -> dict[str, float]:
    """Return what of these can travel in a header: what is not finite (a lost batch's loss) stays here.

    Raises:
        ConfigError: there are too many, or a name is too long.
    """
    if len(metrics) > MAX_METRICS or any(not 0 < len(name) <= MAX_METRIC_NAME for name in metrics):
        raise ConfigError(
            f"at most {MAX_METRICS} metrics, named with 1 to {MAX_METRIC_NAME} letters, can travel"
        )
    found = {name: float(value) for name, value in metrics.items()}
    return {name: value for name, value in found.items() if isfinite(value)}


def _with_arrays(round: Round, arrays: A) -> AverageResult[A]:
    return AverageResult(arrays=arrays, **{field.name: getattr(round, field.name) for field in fields(Round)})
