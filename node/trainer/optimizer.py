"""How does a training script's optimizer average its model with the network? By standing in for it.

Hands everything through to the optimizer that it wraps, but for the step: that one has been taken is heard
from hooks, and what follows is decided in `averaging`.
"""

from collections.abc import Callable
from typing import NoReturn, SupportsFloat

import torch

from comind.node.trainer import checkpoint
from comind.node.trainer.averaging import Averaging
from comind.node.trainer.peer import Peer
from comind.node.trainer.rebase import MAX_CARRY
from comind.node.trainer.round import Round

StateDict = dict[str, object]


class FederatedAveraging(torch.optim.Optimizer):
    """Your optimizer, which averages its model with the network every `interval_steps` steps.

        peer = comind.join()
        optimizer = comind.FederatedAveraging(torch.optim.SGD(model.parameters(), lr=0.1), model, peer)
        for x, y in loader:
            optimizer.zero_grad(); loss = criterion(model(x), y); loss.backward()
            optimizer.step(examples=len(x))
        optimizer.finish()

    Making it adopts the network's base, and waits for it and for the network's start. Whatever else is asked
    of it or set on it (parameter groups, state, hooks) is the inner optimizer's: schedulers, GradScaler and
    frameworks take it for one. Who steps the inner optimizer is counted, too.

    In a network with an adaptive door a slow trainer is called: its interval ends with the step that it is
    in, and the next begins.

    Under DistributedDataParallel make it on every rank: rank 0 speaks, the examples of all are counted. A
    call is heard when the interval ends.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        model: torch.nn.Module,
        peer: Peer,
        interval_steps: int = 100,
        *,
        examples: int | None = None,
        max_carry: int = MAX_CARRY,
        optimizer_state: str = "keep",
    ) -> None:
        """Join the network's training.

        Args:
            optimizer: what takes the steps.
            model: what is averaged: its parameters, trained or frozen, and its float buffers.
            peer: from `comind.join()`.
            interval_steps: steps between two rounds.
            examples: of every step for which none are told, where all batches are alike.
            max_carry: how many intervals' examples are carried over when their contribution was not counted.
            optimizer_state: `keep` or `reset` the inner optimizer's state when an average is adopted.

        Raises:
            ConfigError: an argument, the model or the daemon is not as it must be, in one line with its mend.
        """
        self._inner = optimizer
        self._averaging = Averaging(
            optimizer,
            model,
            peer,
            interval_steps=interval_steps,
            examples=examples,
            max_carry=max_carry,
            optimizer_state=optimizer_state,
        )

    def step(  # type: ignore[override]  # one overload is enough
        self, closure: Callable[[], float] | None = None, *, examples: int | None = None
    ) -> float | None:
        """Take a step on so many examples; if it ends an interval, average (and wait as in R17).

        Raises:
            ConfigError: the network weighs examples and none were told, the weights are not finite, or the
                daemon refuses this trainer.
        """
        if examples is not None:
            self._averaging.count(examples)
        try:
            return self._inner.step() if closure is None else self._inner.step(closure)
        finally:
            self._averaging.forget()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Reset the gradients; examples that were counted for them and took no step are forgotten."""
        self._averaging.forget()
        self._inner.zero_grad(set_to_none)

    def count(self, examples: int) -> None:
        """Tell the examples of one micro-batch, when several make a step (after `zero_grad`)."""
        self._averaging.count(examples)

    def report(self, **metrics: SupportsFloat) -> None:
        """Tell numbers that travel with the next contributions: loss=0.3, accuracy=0.9. The newest counts."""
        self._averaging.report(metrics)

    @property
    def last_round(self) -> Round | None:
        """The newest round as this trainer met it, or why there was none; None before the first."""
        return self._averaging.last_round

    def finish(self) -> Round:
        """Contribute what is left, adopt and return that round, and tell the daemon that training is over.

        After the network's last round the model is that average. Steps that are taken later count nowhere.

        Raises:
            ConfigError: as `step`.
        """
        return self._averaging.finish()

    def state_dict(self) -> StateDict:
        """Return the inner optimizer's state, and what of this training is counted, under `comind`."""
        return {**self._inner.state_dict(), checkpoint.KEY: self._averaging.save()}

    def load_state_dict(self, state_dict: StateDict) -> None:
        """Go on from a checkpoint; load the model's weights, too, before or after it.

        Work that no average counts yet is kept. If some of it was counted since, it is dropped, and the
        network's base adopted (R16); so it is where the checkpoint was made without comind.
        """
        self._averaging.load(state_dict.get(checkpoint.KEY))
        self._inner.load_state_dict({key: one for key, one in state_dict.items() if key != checkpoint.KEY})

    def __getattribute__(self, name: str) -> object:
        if name.startswith("__") or name in _own_names(type(self)):
            return object.__getattribute__(self, name)
        return getattr(object.__getattribute__(self, "_inner"), name)

    def __setattr__(self, name: str, value: object) -> None:
        if name in _own_names(type(self)):
            object.__setattr__(self, name, value)
        else:
            setattr(self._inner, name, value)

    def __delattr__(self, name: str) -> None:
        if name in _own_names(type(self)):
            object.__delattr__(self, name)
        else:
            delattr(self._inner, name)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(
            "a FederatedAveraging speaks for one process and cannot be copied: copy its state_dict()"
        )


_own: dict[type, frozenset[str]] = {}


def _own_names(kind: type) -> frozenset[str]:
    """What is not handed through: all that this class defines, and those that a framework makes of it."""
    if kind not in _own:
        above = kind.__mro__[: kind.__mro__.index(torch.optim.Optimizer)]
        _own[kind] = frozenset({"_inner", "_averaging"}.union(*(vars(one) for one in above)))
    return _own[kind]
