"""Where in a snapshot does each tensor lie, and in what do two models differ?

A schema is what a trainer tells of its model; a layout is its bytes, as they stand in the chain. Knows
nothing of weights or of who holds which model.
"""

from collections.abc import Sequence
from itertools import zip_longest
from math import prod

import msgspec

from comind.node.attach import Tensor
from comind.p2p.core.messages import MAX_LAYOUT_BYTES

Schema = tuple[Tensor, ...]

MAX_VALUES = 1 << 32
"""Of one snapshot: 16 GiB."""


def layout_of(schema: Schema) -> bytes:
    """Return the one encoding of a schema: its tensors as MessagePack, in the snapshot's order."""
    return msgspec.msgpack.encode(schema)


def schema_in(layout: bytes) -> Schema | None:
    """Read a layout, which another node may have written; None where it is no schema."""
    try:
        return msgspec.msgpack.decode(layout, type=Schema)
    except msgspec.MsgspecError:
        return None


def what_is_wrong_with(schema: Schema, size: int) -> str | None:
    """Say why this is no schema of a snapshot of `size` values; None if it is one."""
    names = {tensor.name for tensor in schema}
    if len(names) != len(schema):
        return "two tensors have one name"
    if any(length < 0 for tensor in schema for length in tensor.shape):
        return "a tensor has a negative length"
    if (there := sum(prod(tensor.shape) for tensor in schema)) != size:
        return f"its tensors hold {there} values, its snapshots {size}"
    if size > MAX_VALUES:
        return f"it has {size} values, and comind averages at most {MAX_VALUES}"
    if len(layout_of(schema)) > MAX_LAYOUT_BYTES:
        return f"its tensors' names and shapes take more than {MAX_LAYOUT_BYTES} bytes"
    return None


def first_difference(here: Schema, network: Schema | None) -> str:
    """Name the first tensor in which a model differs from the network's, here and there."""
    for ours, theirs in zip_longest(here, network or ()):
        if ours != theirs and network is not None:
            return f"here {_describe(ours)}, in the network {_describe(theirs)}"
    return f"here {len(here)} tensors, in the network others"


def tensor_at(schema: Sequence[Tensor], position: int) -> str:
    """Return the name of the tensor that holds value `position` of a snapshot."""
    for tensor in schema:
        position -= prod(tensor.shape)
        if position < 0:
            return tensor.name
    return "?"


def _describe(tensor: Tensor | None) -> str:
    if tensor is None:
        return "no further tensor"
    return f"{tensor.name} is {tensor.dtype} {list(tensor.shape)}"
