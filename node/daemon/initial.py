"""How do weights from a safetensors file become a network's first base?

Float tensors in the order of their names, as float32; tensors of integers stay out, like integer
buffers. Nothing of the file is believed before it was checked: the header alone may claim 100 MB.
Format: https://github.com/huggingface/safetensors#format
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from comind.node.attach import Tensor
from comind.node.daemon import layout, mean
from comind.node.daemon.slabs import Slabs
from comind.node.daemon.snapshots import Snapshots, read_into
from comind.p2p.core.errors import ConfigError
from comind.p2p.core.messages import MAX_LAYOUT_BYTES
from comind.p2p.core.snapshot import CHUNK_VALUES, VALUE_BYTES, chunk_hash
from comind.p2p.core.words import Root

MAX_HEADER_BYTES = 16 * MAX_LAYOUT_BYTES
"""A header of more is of a model whose names and shapes no block could hold."""
_LENGTH_BYTES = 8
_ITEM_BYTES = {"F32": 4, "F16": 2, "BF16": 2}
_LOCAL = ("BOOL", "I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64")


_Count = Annotated[int, Meta(ge=0, lt=2**48)]


class _Told(msgspec.Struct):
    """What a header tells of one tensor."""

    dtype: str
    shape: Annotated[tuple[_Count, ...], Meta(max_length=64)]
    data_offsets: tuple[_Count, _Count]


@dataclass(frozen=True, slots=True)
class _Entry:
    """One float tensor of the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    """Of its first byte in the file."""

    @property
    def values(self) -> int:
        return prod(self.shape)


def take_in(file: Path, snapshots: Snapshots) -> tuple[Root, int, bytes]:
    """Write the weights of a safetensors file as a snapshot; return its root, size and layout.

    Raises:
        ConfigError: it is no such file, or holds what cannot be averaged, which is named.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as why:
        raise ConfigError(f"--initial {file}: {why.strerror}") from None
    try:
        entries = _entries(file, descriptor)
        schema = tuple(Tensor(entry.name, entry.shape, "float32") for entry in entries)
        size = sum(entry.values for entry in entries)
        if (wrong := layout.what_is_wrong_with(schema, size)) is not None:
            raise ConfigError(f"--initial {file}: {wrong}")
        return _write(file, descriptor, entries, size, snapshots), size, layout.layout_of(schema)
    except OSError as why:
        raise ConfigError(f"--initial {file}: {why.strerror or why}") from None
    finally:
        os.close(descriptor)


# -- the header ---------------------------------------------------------------------------------------------


def _entries(file: Path, descriptor: int) -> list[_Entry]:
    """Return the float tensors, in the order of their names, whose bytes all lie in the file."""
    header, data_at = _header(file, descriptor)
    length = os.fstat(descriptor).st_size - data_at
    entries, spans = [], []
    for name, told in sorted(header.items()):
        if name == "__metadata__":
            continue
        entry, span = _entry(file, name, told, data_at)
        spans.append(span)
        if entry is not None:
            entries.append(entry)
    spans.sort()
    if any(end > start for (_, end), (start, _) in pairwise(spans)) or (spans and spans[-1][1] > length):
        raise ConfigError(f"--initial {file}: it is damaged: its tensors overlap, or it is cut off")
    if not entries:
        raise ConfigError(f"--initial {file}: it holds no tensor of floats")
    return entries


def _header(file: Path, descriptor: int) -> tuple[dict[str, object], int]:
    length = int.from_bytes(os.pread(descriptor, _LENGTH_BYTES, 0), "little")
    if length > os.fstat(descriptor).st_size - _LENGTH_BYTES:
        raise ConfigError(f"--initial {file}: it is no safetensors file")
    if length > MAX_HEADER_BYTES:
        raise ConfigError(f"--initial {file}: its header has {length} bytes, comind reads {MAX_HEADER_BYTES}")
    try:
        header = json.loads(os.pread(descriptor, length, _LENGTH_BYTES))
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise ConfigError(f"--initial {file}: it is no safetensors file")
    return header, _LENGTH_BYTES + length


def _entry(file: Path, name: str, told: object, data_at: int) -> tuple[_Entry | None, tuple[int, int]]:
    """Check what the header tells of one tensor; None for one that is not averaged."""
    try:
        it = msgspec.convert(told, _Told)
    except msgspec.ValidationError:
        raise ConfigError(
            f"--initial {file}: it is damaged: its header tells nonsense of {name[:100]}"
        ) from None
    start, end = it.data_offsets
    if it.dtype in _LOCAL:
        return None, (start, end)
    if it.dtype not in _ITEM_BYTES:
        raise ConfigError(
            f"--initial {file}: {name[:100]} is {it.dtype[:20]}, and what is averaged travels as float32:"
            " convert it to float32, float16 or bfloat16"
        )
    if end - start != prod(it.shape) * _ITEM_BYTES[it.dtype]:
        raise ConfigError(f"--initial {file}: it is damaged: {name[:100]} has another length than its shape")
    return _Entry(name, it.dtype, it.shape, data_at + start), (start, end)


# -- the values ---------------------------------------------------------------------------------------------


def _write(file: Path, descriptor: int, entries: list[_Entry], size: int, snapshots: Snapshots) -> Root:
    writer = snapshots.writer(size)
    hashes: list[bytes] = []
    try:
        for chunk in _chunks(file, descriptor, entries):
            hashes.append(chunk_hash(chunk))
            writer.put(len(hashes) - 1, chunk)
        return writer.finish(hashes)
    finally:
        writer.abandon()


def _chunks(file: Path, descriptor: int, entries: list[_Entry]) -> Iterator[memoryview]:
    """Yield the tensors' values one after the other, cut into chunks; each is good until the next."""
    slabs = Slabs()
    chunk, raw = slabs.take(CHUNK_VALUES * VALUE_BYTES), slabs.take(CHUNK_VALUES * VALUE_BYTES)
    filled = 0
    for entry in entries:
        done = 0
        while done < entry.values:
            count = min(CHUNK_VALUES - filled, entry.values - done)
            part = chunk[filled * VALUE_BYTES : (filled + count) * VALUE_BYTES]
            _read(descriptor, entry, done, raw, mean.values_of(part))
            if (wrong := mean.what_is_wrong(mean.values_of(part))) is not None:
                raise ConfigError(f"--initial {file}: {entry.name} holds {wrong}")
            filled, done = (filled + count) % CHUNK_VALUES, done + count
            if not filled:
                yield chunk
    if filled:
        yield chunk[: filled * VALUE_BYTES]


def _read(descriptor: int, entry: _Entry, done: int, raw: memoryview, out: mean.Values) -> None:
    """Read values from `done` on, as many as `out` holds, as float32."""
    item_bytes = _ITEM_BYTES[entry.dtype]
    raw = raw[: len(out) * item_bytes]
    read_into(descriptor, entry.start + done * item_bytes, raw)
    match entry.dtype:
        case "F32":
            out[:] = np.frombuffer(raw, np.float32)
        case "F16":
            out[:] = np.frombuffer(raw, np.float16)
        case _:
            out.view(np.uint32)[:] = np.frombuffer(raw, np.uint16).astype(np.uint32) << 16
