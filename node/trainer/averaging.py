"""When has a step been taken, on what, and when is it time for a round?

Stands between the hooks of a torch optimizer and `Training`. Knows nothing of how attributes are handed
through: that is `optimizer`.
"""

import sys
from collections.abc import Callable
from types import FrameType
from typing import SupportsFloat, SupportsIndex

import msgspec
import torch

from comind.node.trainer import checkpoint
from comind.node.trainer.model import ModelWeights
from comind.node.trainer.peer import Peer, examples_in, numbers_in
from comind.node.trainer.ranks import Ranks
from comind.node.trainer.round import Round
from comind.node.trainer.training import Training
from comind.p2p.core.errors import ConfigError

OPTIMIZER_STATES = ("keep", "reset")

_HOW = "optimizer.step(examples=len(batch)), or optimizer.count(len(batch)) for each batch after zero_grad()"


class _Told(msgspec.Struct):
    """What rank 0 tells the others of a round, or of the start."""

    weight_unit: str = ""
    moved: bool = False
    round: Round | None = None
    failed: str = ""


class Averaging:
    """The rounds of one optimizer that trains one model."""

    def __init__(
        self,
        inner: torch.optim.Optimizer,
        model: torch.nn.Module,
        peer: Peer,
        *,
        interval_steps: int,
        examples: int | None,
        max_carry: int,
        optimizer_state: str,
    ) -> None:
        """Attach, and wait for the network's base and start; then the model is the base.

        Raises:
            ConfigError: an argument, the model or the daemon is not as it must be.
        """
        if interval_steps < 1 or max_carry < 0:
            raise ConfigError(
                f"interval_steps is at least 1 and max_carry at least 0, not {interval_steps} and {max_carry}"
            )
        if optimizer_state not in OPTIMIZER_STATES:
            raise ConfigError(
                f"optimizer_state can be {' or '.join(OPTIMIZER_STATES)}, not {optimizer_state!r}"
            )
        self.last_round: Round | None = None
        self._inner = inner
        self._weights = ModelWeights(model)
        self._interval_steps = interval_steps
        self._examples_each = None if examples is None else examples_in(examples, "", "examples=N")
        self._resets = optimizer_state == "reset"
        self._weight_unit = ""
        self._position = 0
        """Steps of the running interval."""
        self._told = 0
        """Examples of the step that comes."""
        self._taken_on = 0
        """Examples of the step that is being taken: a closure's `zero_grad` does not forget them."""
        self._told_here = 0
        """Examples of the running interval that this rank took."""
        self._metrics: dict[str, float] = {}
        self._running: FrameType | None = None
        """The outermost step that is being taken."""
        self._training: Training | None = None
        self._was_loaded = False
        """Whether the weights are a checkpoint's, which no step has been taken from."""
        self._over = False
        self._check_parameters()
        self._ranks = Ranks(self._weights.tensors[0].device)
        self._together(lambda: self._begin(peer, max_carry), resets=False)
        self._hooks = (
            inner.register_step_pre_hook(self._before),
            inner.register_step_post_hook(self._after),
        )

    # -- what the person who trains says --------------------------------------------------------------------

    def count(self, examples: SupportsIndex) -> None:
        """The step that comes is taken on so many examples more."""
        self._told += examples_in(examples, self._weight_unit, _HOW)

    def forget(self) -> None:
        """The gradients are gone: so are the examples that they were made of."""
        self._told = 0

    def report(self, metrics: dict[str, SupportsFloat]) -> None:
        self._metrics = numbers_in({**self._metrics, **metrics})

    def finish(self) -> Round:
        """Contribute what is left, adopt that round, and leave."""
        if not self._over:
            self._gather_examples()
            self._together(lambda: self._speaker.finish(self._weights, self._metrics))
            self._over = True
            for hook in self._hooks:
                hook.remove()
        assert self.last_round is not None
        return self.last_round

    # -- the optimizer's hooks ------------------------------------------------------------------------------

    def _before(self, _: object, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        caller = sys._getframe(1)
        if self._running is not None and _is_within(caller, self._running):
            return  # a subclass' step calls its parent's: both have the hooks, and it is one step
        self._running = caller
        told, self._told = self._told, 0
        self._taken_on = told or examples_in(self._examples_each, self._weight_unit, _HOW)
        if self._was_loaded:
            self._was_loaded = False
            self._together(lambda: self._speaker.settle(self._weights), resets=False)

    def _after(self, _: object, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        if sys._getframe(1) is not self._running:
            return
        self._running = None
        if not self._was_skipped():
            self._stepped(self._taken_on)

    def _was_skipped(self) -> bool:
        """A fused optimizer takes a step for a GradScaler even if it then does nothing, and has these."""
        found_inf = getattr(self._inner, "found_inf", None)
        return isinstance(found_inf, torch.Tensor) and bool(found_inf.item())

    def _stepped(self, examples: int) -> None:
        self._position += 1
        self._told_here += examples
        if self._training is not None:
            self._training.trained(examples)
        if self._position >= self._interval_steps:
            self._gather_examples()
            self._together(self._contribute)
        elif not self._ranks.several:
            self._together(lambda: self._speaker.follow(self._weights))
            if self._speaker.daemon.called:  # R5: several ranks hear of it at their interval's end alone
                self._gather_examples()
                self._together(self._contribute)

    def _contribute(self) -> None:
        self._speaker.contribute(self._weights, self._metrics)

    # -- rank 0 and the others ------------------------------------------------------------------------------

    @property
    def _speaker(self) -> Training:
        assert self._training is not None
        return self._training

    def _begin(self, peer: Peer, max_carry: int) -> None:
        self._training = peer.begin(self._weights.schema, self._weights, max_carry)

    def _gather_examples(self) -> None:
        """End the interval on every rank, and tell the speaker what the others took."""
        others = self._ranks.total(self._told_here) - self._told_here
        self._position = self._told_here = 0
        if self._training is not None and others:
            self._training.trained(others, steps=0)

    def _together(self, act: Callable[[], object], resets: bool = True) -> None:
        """Let the speaker act, and give every rank what came of it."""
        told = self._act(act) if self._ranks.speaks else self._hear()
        self._weight_unit, self.last_round = told.weight_unit, told.round
        if told.moved and self._ranks.several:
            self._ranks.share(self._weights.tensors)
        if told.moved and resets and self._resets:
            self._inner.state.clear()

    def _act(self, act: Callable[[], object]) -> _Told:
        before = 0 if self._training is None else self._training.moves
        try:
            act()
        except BaseException as why:
            if self._ranks.several:
                self._ranks.tell(msgspec.msgpack.encode(_Told(failed=str(why) or type(why).__name__)))
            raise
        training = self._speaker
        told = _Told(training.daemon.weight_unit, training.moves > before, training.last_round)
        if self._ranks.several:
            self._ranks.tell(msgspec.msgpack.encode(told))
        return told

    def _hear(self) -> _Told:
        told = msgspec.msgpack.decode(self._ranks.tell(b""), type=_Told)
        if told.failed:
            raise ConfigError(f"rank 0 stopped: {told.failed}")
        return told

    # -- checkpoints ----------------------------------------------------------------------------------------

    def save(self) -> checkpoint.State:
        state: checkpoint.State = {"position": self._position, "told_here": self._told_here}
        if self._training is not None:
            state |= checkpoint.to_state(self._training.save(), self._weights.schema)
        return state

    def load(self, state: object) -> None:
        """`state` is what `save` returned, or None where the checkpoint holds none. Each rank loads it."""
        self._told, self._was_loaded = 0, True
        if isinstance(state, dict):
            position, told_here = state.get("position"), state.get("told_here")
            self._position = position if isinstance(position, int) else 0
            self._told_here = told_here if isinstance(told_here, int) and self._training else 0
        if self._training is not None:
            saved = None if state is None else checkpoint.from_state(state, self._weights.schema)
            self._training.load(saved)

    def _check_parameters(self) -> None:
        groups = self._inner.param_groups
        if not any(self._weights.holds(one) for group in groups for one in group["params"]):
            raise ConfigError("the optimizer trains no tensor of this model: give the model that it trains")


def _is_within(frame: FrameType, outer: FrameType) -> bool:
    """Whether `outer` is still running, and called `frame`."""
    caller: FrameType | None = frame
    while caller is not None:
        if caller is outer:
            return True
        caller = caller.f_back
    return False
