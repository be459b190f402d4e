"""Which tensors of a torch model are averaged, and how do they get into a flat vector and back?

Knows nothing of rounds or optimizers. Its twin without torch is `schema`.
"""

from collections.abc import Iterator
from operator import itemgetter
from typing import NamedTuple

import torch
from torch.nn.parameter import is_lazy

from comind.node.attach import Tensor
from comind.node.trainer.rebase import Flat
from comind.node.trainer.schema import Schema, schema_of
from comind.p2p.core.errors import ConfigError


class _Place(NamedTuple):
    """Where a tensor hangs in the model: looked up anew each time, since modules replace their buffers."""

    owner: torch.nn.Module
    key: str

    @property
    def tensor(self) -> torch.Tensor:
        parameter = self.owner._parameters.get(self.key)
        found = self.owner._buffers.get(self.key) if parameter is None else parameter
        assert found is not None, self.key
        return found


class ModelWeights:
    """A model's parameters, trained or frozen, and its float buffers: what a snapshot holds.

    Tied tensors are in it once, by their first name. Buffers that `state_dict` leaves out and those that hold
    no floats stay local. bf16 and fp16 travel as float32.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        """Raises ConfigError: a tensor is float64, complex or not made yet; or there is none."""
        places = dict(sorted(_places(model), key=itemgetter(0)))  # as safetensors files are ordered
        self._places = list(places.values())
        self.schema: Schema = schema_of([_describe(name, place.tensor) for name, place in places.items()])

    @property
    def tensors(self) -> list[torch.Tensor]:
        return [place.tensor for place in self._places]

    def holds(self, tensor: torch.Tensor) -> bool:
        return any(one is tensor for one in self.tensors)

    @torch.no_grad()
    def read_into(self, flat: Flat) -> None:
        for tensor, part in self._parts(flat):
            part.copy_(tensor)

    @torch.no_grad()
    def write_from(self, flat: Flat) -> None:
        for tensor, part in self._parts(flat):
            tensor.copy_(part)

    def _parts(self, flat: Flat) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        whole = torch.from_numpy(flat)
        for place, (described, span) in zip(self._places, self.schema.spans(), strict=True):
            tensor = place.tensor
            if tuple(tensor.shape) != described.shape:
                raise ConfigError(
                    f"{described.name} was {list(described.shape)} and is {list(tensor.shape)} now:"
                    " a model keeps its shapes while it trains with a network"
                )
            yield tensor, whole[span].view(described.shape)


def _places(model: torch.nn.Module) -> Iterator[tuple[str, _Place]]:
    """Yield parameters first, then buffers, each once; in the order in which the modules were made."""
    seen: set[int] = set()
    owners = list(model.named_modules())
    for prefix, owner in owners:
        for key, parameter in owner._parameters.items():
            if parameter is not None and _is_float(parameter) and id(parameter) not in seen:
                seen.add(id(parameter))
                yield _name(prefix, key), _Place(owner, key)
    for prefix, owner in owners:
        for key, buffer in owner._buffers.items():
            if buffer is None or key in owner._non_persistent_buffers_set:
                continue
            if _is_float(buffer) and id(buffer) not in seen:
                seen.add(id(buffer))
                yield _name(prefix, key), _Place(owner, key)


def _is_float(tensor: torch.Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()


def _name(prefix: str, key: str) -> str:
    """Name a tensor as the plain model does, without what torch.compile and DistributedDataParallel add."""
    parts = [part for part in (*prefix.split("."), key) if part not in ("", "_orig_mod")]
    while len(parts) > 1 and parts[0] == "module":
        del parts[0]
    return ".".join(parts)


def _describe(name: str, tensor: torch.Tensor) -> Tensor:
    if is_lazy(tensor):
        raise ConfigError(f"{name} has no shape yet: run one batch through the model first")
    if tensor.is_meta:
        raise ConfigError(f"{name} is on the meta device: give the model its weights first")
    return Tensor(name, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
