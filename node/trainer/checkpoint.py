"""How does a training stand in `optimizer.state_dict()`, beside the inner optimizer's own state?

As numbers, text, lists and tensors, which any way of saving can hold. Knows nothing of when it is saved.
"""

from typing import TypeAlias

import msgspec
import numpy as np
import torch

from comind.node.trainer.rebase import Flat, Interval, Pair, Progress, Sent
from comind.node.trainer.schema import Schema
from comind.node.trainer.training import Saved
from comind.p2p.core.errors import ConfigError

KEY = "comind"
State: TypeAlias = dict[str, object]

_VERSION = 1


class _Progress(msgspec.Struct):
    """`Progress` in plain numbers and text."""

    run: str
    step: int
    first_step: int
    closed_step: int
    examples: int
    intervals: list[tuple[int, int]]
    base: str
    counted_run: str
    counted_last_step: int
    sent: list[tuple[int, bool]]
    inherited: bool


def to_state(saved: Saved, schema: Schema) -> State:
    """Return what `from_state` reads."""
    progress = saved.progress
    assert progress.base is not None
    assert progress.counted is not None
    plain = _Progress(
        run=progress.run.hex(),
        step=progress.step,
        first_step=progress.first_step,
        closed_step=progress.closed_step,
        examples=progress.examples,
        intervals=[(one.last_step, one.examples) for one in progress.intervals],
        base=progress.base.hex(),
        counted_run=progress.counted.run.hex(),
        counted_last_step=progress.counted.last_step,
        sent=[(one.last_step, one.stands) for one in progress.sent],
        inherited=progress.inherited,
    )
    return {
        "version": _VERSION,
        "schema": schema.hash.hex(),
        "progress": msgspec.to_builtins(plain),
        "base": torch.from_numpy(saved.base),
        "sent": [torch.from_numpy(saved.sent[one.last_step]) for one in progress.sent],
    }


def from_state(state: object, schema: Schema) -> Saved:
    """Read what `to_state` wrote.

    Raises:
        ConfigError: it is of another model, of a later version, or damaged.
    """
    if not isinstance(state, dict):
        raise ConfigError("the checkpoint is damaged: what it says of comind is no dict")
    if state.get("version") != _VERSION:
        raise ConfigError(
            f"the checkpoint has version {state.get('version')}, this comind reads {_VERSION}: update comind"
        )
    if state.get("schema") != schema.hash.hex():
        raise ConfigError(
            "the checkpoint is of another model: its tensors' names or shapes are not this one's"
        )
    try:
        plain = msgspec.convert(state["progress"], _Progress, strict=False)
        base = _vector(state["base"], schema.size)
        sent = [_vector(one, schema.size) for one in state["sent"]]
        progress = Progress(
            run=bytes.fromhex(plain.run),
            step=plain.step,
            first_step=plain.first_step,
            closed_step=plain.closed_step,
            examples=plain.examples,
            intervals=tuple(Interval(*one) for one in plain.intervals),
            base=bytes.fromhex(plain.base),
            counted=Pair(bytes.fromhex(plain.counted_run), plain.counted_last_step),
            sent=tuple(Sent(*one) for one in plain.sent),
            inherited=plain.inherited,
        )
        by_step = {one.last_step: flat for one, flat in zip(progress.sent, sent, strict=True)}
    except (KeyError, TypeError, ValueError) as why:
        raise ConfigError(f"the checkpoint is damaged: {why}") from None
    return Saved(progress, base, by_step)


def _vector(tensor: object, size: int) -> Flat:
    if not isinstance(tensor, torch.Tensor) or tensor.numel() != size:
        raise ValueError(f"a vector of {size} values is missing")
    flat: Flat = tensor.detach().to("cpu", torch.float32).reshape(-1).numpy()
    return np.ascontiguousarray(flat)
