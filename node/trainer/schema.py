"""How do named arrays lie in one flat float32 vector, and may they be sent?

Knows nothing of torch (that is `model`), so that whoever trains with numpy does not load it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from math import prod

import msgspec
import numpy as np
from numpy.typing import NDArray

from comind.crypto.statement import digest
from comind.node.attach import Tensor
from comind.node.trainer.rebase import Flat
from comind.p2p.core.errors import ConfigError

TRAVELS_AS = "float32"
"""The dtype of every tensor of a snapshot, whatever it is on this machine."""

TAKEN = ("float32", "float16", "bfloat16")

BOUND = 2.0**126
"""The largest magnitude that a contribution may hold: so no mean of any number of them overflows."""

Arrays = Sequence[NDArray[np.floating]] | Mapping[str, NDArray[np.floating]]


@dataclass(frozen=True)
class Schema:
    """The tensors of a snapshot, in the order in which they lie in it, without gaps."""

    tensors: tuple[Tensor, ...]

    @cached_property
    def size(self) -> int:
        """float32 values of a snapshot."""
        return sum(prod(tensor.shape) for tensor in self.tensors)

    @cached_property
    def layout(self) -> bytes:
        return msgspec.msgpack.encode(self.tensors)

    @cached_property
    def hash(self) -> bytes:
        """BLAKE3 digest of names, shapes and dtypes, 32 bytes; a checkpoint names it."""
        return digest("schema", self.layout)

    def spans(self) -> Iterator[tuple[Tensor, slice]]:
        """Yield each tensor with its place in the flat vector."""
        ends = accumulate(prod(tensor.shape) for tensor in self.tensors)
        start = 0
        for tensor, end in zip(self.tensors, ends, strict=True):
            yield tensor, slice(start, end)
            start = end

    def refuse_unfit(self, flat: Flat) -> None:
        """Check that a snapshot holds no value that would spoil an average.

        Raises:
            ConfigError: it does; the first such tensor is named.
        """
        if _fault(flat) is None:
            return
        for tensor, span in self.spans():
            if (fault := _fault(flat[span])) is not None:
                raise ConfigError(
                    f"{tensor.name} holds {fault}: it was not offered; go back to a checkpoint from before,"
                    " perhaps with a lower learning rate"
                )


def schema_of(tensors: Sequence[Tensor]) -> Schema:
    """Make a schema of tensors whose `dtype` is the one on this machine.

    Raises:
        ConfigError: there is none, two have one name, or one is float64, complex or else cannot travel.
    """
    if not sum(prod(tensor.shape) for tensor in tensors):
        raise ConfigError("there is nothing to average: no array or tensor of floats was given")
    seen: set[str] = set()
    for tensor in tensors:
        if tensor.dtype not in TAKEN:
            raise ConfigError(
                f"{tensor.name} is {tensor.dtype}, and what is averaged travels as {TRAVELS_AS}:"
                f" convert it to {' or '.join(TAKEN)}"
            )
        if tensor.name in seen:
            raise ConfigError(f"two tensors are called {tensor.name}: rename one")
        seen.add(tensor.name)
    return Schema(tuple(Tensor(tensor.name, tensor.shape, TRAVELS_AS) for tensor in tensors))


def named(arrays: Arrays) -> dict[str, NDArray[np.floating]]:
    """Give every array a name, in the order of a snapshot: its key, sorted, or its place in the sequence.

    Raises:
        ConfigError: one is no numpy array.
    """
    pairs = sorted(arrays.items()) if isinstance(arrays, Mapping) else enumerate(arrays)
    found = {str(name): array for name, array in pairs}
    for name, array in found.items():
        if not isinstance(array, np.ndarray):
            raise ConfigError(f"{name} is a {type(array).__name__}: give numpy arrays, with numpy.asarray")
    return found


def schema_of_arrays(arrays: Arrays) -> Schema:
    """Return the schema of numpy arrays. Raises what `named` and `schema_of` raise."""
    return schema_of([Tensor(name, array.shape, str(array.dtype)) for name, array in named(arrays).items()])


class ArrayWeights:
    """Numpy arrays as weights. The given arrays stay as they are."""

    def __init__(self, schema: Schema, arrays: Arrays) -> None:
        """Raises ConfigError: the arrays are not those of the schema; the first that differs is named."""
        self._schema = schema
        self._arrays = named(arrays)
        refuse_other(schema, schema_of_arrays(arrays))

    def read_into(self, flat: Flat) -> None:
        for tensor, span in self._schema.spans():
            np.copyto(flat[span].reshape(tensor.shape), self._arrays[tensor.name], casting="same_kind")

    def write_from(self, flat: Flat) -> None:
        self._arrays = {
            tensor.name: flat[span].reshape(tensor.shape).astype(self._arrays[tensor.name].dtype)
            for tensor, span in self._schema.spans()
        }

    def as_dict(self, keys: Iterable[str]) -> dict[str, NDArray[np.floating]]:
        return {key: self._arrays[key] for key in keys}

    def as_list(self) -> list[NDArray[np.floating]]:
        return list(self._arrays.values())


def refuse_other(expected: Schema, given: Schema) -> None:
    """Check that two schemas are one.

    Raises:
        ConfigError: they are not; the first tensor that differs is named.
    """
    for before, now in zip(expected.tensors, given.tensors, strict=False):
        if before != now:
            raise ConfigError(
                f"{now.name} {list(now.shape)} is given where {before.name} {list(before.shape)} was before:"
                " give the arrays of the first call, in their order"
            )
    if len(expected.tensors) != len(given.tensors):
        raise ConfigError(
            f"{len(given.tensors)} arrays are given where {len(expected.tensors)} were before:"
            " give the arrays of the first call, in their order"
        )


def _fault(values: Flat) -> str | None:
    """Two passes without a temporary array: a NaN is the least and the greatest of what it is among."""
    if not values.size:
        return None
    least, most = values.min(), values.max()
    if least >= -BOUND and most <= BOUND:
        return None
    if np.isnan(most):
        return "NaN"
    return "infinity" if np.isinf(least) or np.isinf(most) else "a value beyond 2^126"
