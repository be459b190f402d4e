"""What does a trainer do between two averages?

A stand-in for a training script and its wrapper, with the accounts of R16 and R17: four float32 values
drift while it trains, and one of them tells in every average whose contributions are in it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from random import Random

import numpy as np

from comind.p2p.core.chain import schema_hash
from comind.p2p.core.effects import Adopt
from comind.p2p.core.words import NO_ROOT, BlockHash, Offer, Root, RunId
from tests.scenarios.clock import Clock
from tests.scenarios.disk import Values

SIZE = 4
MARK = 1
"""Which value is 2^index / weight, so that the mean's, times all weights, is a set of contributors."""
LAYOUT = b"four values"
INTERVAL_STEPS = 10
MAX_CARRY = 10


class State(StrEnum):
    WANTS_BASE = "waits for the first base"
    WANTS_START = "waits for start_at"
    TRAINING = "trains"
    WAITING = "waits for its round"
    FINISHED = "has finished"
    DEAD = "is dead"


@dataclass(slots=True)
class Saved:
    """What a trainer's checkpoint holds (`state_dict`)."""

    run: RunId
    step: int
    counted_step: int
    weights: Values
    base: Values | None
    base_root: Root
    block: BlockHash | None
    height: int


Offered = Callable[[Offer, Values], None]


@dataclass(slots=True)
class Trainer:
    """One training process, attached to the daemon of its machine while that runs."""

    index: int
    clock: Clock
    chance: Random
    equal_weights: bool
    train_ms: int = 200
    examples: int = 8
    """Of one interval."""
    offered: Offered | None = None
    """How it reaches its daemon; None while that is down."""
    state: State = State.WANTS_BASE
    run: RunId = field(init=False)
    step: int = 0
    counted_step: int = 0
    weights: Values = field(default_factory=lambda: np.zeros(SIZE, np.float32))
    base: Values | None = None
    base_root: Root = NO_ROOT
    block: BlockHash | None = None
    """Of the newest base that was adopted."""
    height: int = -1
    adoptions: list[BlockHash] = field(default_factory=list)
    releases: int = 0
    heard: str = ""
    """Why it waits or need not, as it was told last."""
    _sent: dict[int, Values] = field(default_factory=dict)
    _pending: Offer | None = None
    calls: int = 0
    """How often it was called."""
    partial_offers: int = 0
    """How often it offered before its interval's end."""
    _training: int = 0
    _began_ms: int = 0
    _called: bool = False

    def __post_init__(self) -> None:
        self._new_run()
        if not self.weights.any():
            start = [self.chance.uniform(-9, 9) * 10 ** self.chance.randint(-3, 3) for _ in range(SIZE)]
            self.weights = np.array(start, np.float32)

    # -- its machine --------------------------------------------------------------------------------------

    def attached(self, offered: Offered) -> None:
        """The daemon knows of this trainer, and has said what it had to say: now the trainer speaks."""
        self.offered = offered
        if self.state is State.WANTS_BASE:
            starting = Offer(
                self.run, 0, 0, NO_ROOT, schema_hash(LAYOUT), SIZE, weight=0, metrics={}, layout=LAYOUT
            )
            offered(starting, self.weights)
        elif self.state is State.WAITING and self._pending is not None:
            offered(self._pending, self._sent[self.step])
        elif self.state is State.WAITING:
            self._train()

    def detached(self) -> None:
        self.offered = None

    def die(self) -> None:
        self.state, self.offered = State.DEAD, None

    def saved(self) -> Saved:
        base = None if self.base is None else self.base.copy()
        weights, where = self.weights.copy(), (self.base_root, self.block, self.height)
        return Saved(self.run, self.step, self.counted_step, weights, base, *where)

    def restore(self, saved: Saved) -> None:
        """Go on from a checkpoint, before it is attached."""
        self.run, self.step, self.counted_step = saved.run, saved.step, saved.counted_step
        self.weights = saved.weights.copy()
        self.base = None if saved.base is None else saved.base.copy()
        self.base_root, self.block, self.height = saved.base_root, saved.block, saved.height
        if self.base is not None:
            self._train()

    # -- what the daemon says -----------------------------------------------------------------------------

    def adopt(self, news: Adopt, base: Values) -> None:
        """A new base, or the one that it has, since its daemon cannot know."""
        if news.block != self.block:
            self._move_to(news, base)
            self.adoptions.append(news.block)
            self.base, self.base_root = base.copy(), news.root
            self.block, self.height = news.block, news.height
        self.heard = news.because
        if news.finished:
            self.state = State.FINISHED
        elif not news.started:
            self.state = State.WANTS_START
        elif self.state is not State.TRAINING and not (self.state is State.WAITING and self._pending):
            self._train()

    def begin(self) -> None:
        if self.state is State.WANTS_START:
            self._train()

    def release(self, because: str) -> None:
        self.heard = because
        if self.state is State.WAITING:
            self.releases += 1
            self._train()

    def wait(self, because: str) -> None:
        self.heard = because

    def call(self) -> None:
        """R5: offer at the end of the step that runs."""
        assert self.state is not State.WANTS_BASE, "a trainer without a base is called"
        self.calls += 1
        if self.state is not State.TRAINING or self._called:
            return
        self._called = True
        step_ms = self.train_ms / INTERVAL_STEPS
        done = int((self.clock.now_ms - self._began_ms) / step_ms)
        if done + 1 < INTERVAL_STEPS:
            at_ms = self._began_ms + round((done + 1) * step_ms)
            self.clock.at(at_ms, partial(self._reach_interval, self._training, done + 1))

    # -- R16, R17 -----------------------------------------------------------------------------------------

    def _move_to(self, news: Adopt, base: Values) -> None:
        counted = news.counted_run == self.run and news.counted_last_step > self.counted_step
        if self.base is None:
            self.weights = base.copy()
        elif counted and news.counted_last_step not in self._sent:  # restored to before it (R16)
            self.weights = base.copy()
            self._new_run()
        elif counted:
            sent = self._sent[news.counted_last_step]
            same = self.weights.tobytes() == sent.tobytes()
            self.weights = base.copy() if same else self.weights + (base - sent)
            self.counted_step = news.counted_last_step
        else:
            self.weights = self.weights + (base - self.base)
        self._sent = {step: sent for step, sent in self._sent.items() if step > self.counted_step}
        self._pending = None

    def _new_run(self) -> None:
        self.run = RunId(self.chance.randbytes(16))
        self.step = self.counted_step = 0
        self._sent.clear()

    def _train(self) -> None:
        self.state = State.TRAINING
        self._training += 1
        self._began_ms, self._called = self.clock.now_ms, False
        self.clock.after(self.train_ms, partial(self._reach_interval, self._training))

    def _reach_interval(self, training: int, steps: int = INTERVAL_STEPS) -> None:
        if self.state is not State.TRAINING or training != self._training:
            return
        self.step += steps
        self.partial_offers += steps < INTERVAL_STEPS
        drift = [self.chance.uniform(-1, 1) for _ in range(SIZE)]
        self.weights = self.weights + np.array(drift, np.float32)
        steps = min(self.step - self.counted_step, MAX_CARRY * INTERVAL_STEPS)
        weight = 1 if self.equal_weights else -(-self.examples * steps // INTERVAL_STEPS)
        self.weights[MARK] = 2**self.index / weight
        self._sent[self.step] = self.weights.copy()
        self._pending = Offer(
            self.run,
            self.counted_step,
            self.step,
            self.base_root,
            schema_hash(LAYOUT),
            SIZE,
            weight,
            metrics={"loss": self.chance.random()},
        )
        self.state = State.WAITING
        if self.offered is not None:
            self.offered(self._pending, self.weights)
