"""How does the newest base leave a home, as a safetensors file that says where it comes from?

Reads the home alone, so it does not matter whether a daemon runs. Knows nothing of models beyond their
tensors' names and shapes: what a network averages are float32 values, and so they are here.
"""

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import prod
from pathlib import Path
from typing import BinaryIO

from comind.node.attach import Tensor
from comind.node.cli.ask import home_flag
from comind.node.cli.chain import ATTEMPTS, Moved, copied
from comind.node.cli.phrases import size as size_in_words
from comind.node.daemon.layout import schema_in
from comind.node.daemon.store import Store, network_in
from comind.node.home import Home
from comind.p2p.core.errors import ConfigError
from comind.p2p.core.messages import Admit, Block, Committed, Header, Move
from comind.p2p.core.snapshot import CHUNK_BYTES, VALUE_BYTES, chunk_hash, root_of
from comind.p2p.core.wire import block_hash, read
from comind.p2p.core.words import NO_ROOT, NodeId, Rule, short_id

_ALIGNMENT = 8


@dataclass(frozen=True, slots=True)
class Base:
    """The newest base of a chain, and where it comes from."""

    network: str
    network_id: bytes
    height: int
    round: int
    block: bytes
    root: bytes
    size: int
    schema: tuple[Tensor, ...]
    contributors: tuple[tuple[str, str, int, int], ...]
    """(short id, name, contributions, their weight) of each whose work is in it."""


def export(home: Home, file: Path) -> str:
    """Write the base to `file`, whole or not at all, and return a line that tells of it.

    Raises:
        ConfigError: no network or base is here, or the file cannot be written.
    """
    for _ in range(ATTEMPTS):
        try:
            base = newest_base(home)
            _write(home, base, file.expanduser())
        except Moved:
            continue
        except OSError as why:
            raise ConfigError(f"{file} cannot be written: {why.strerror or why}") from None
        return (
            f"{file}: the base of network {json.dumps(base.network)} after round {base.round},"
            f" height {base.height}, digest {base.root.hex()[:12]},"
            f" {_tensors(len(base.schema))}, {size_in_words(base.size * VALUE_BYTES)}"
        )
    raise ConfigError(
        f"the newest base is not whole in {home.path} yet: let the daemon fetch it (comind status"
        f"{home_flag(home)}), then try again"
    )


def _tensors(count: int) -> str:
    return f"{count} tensor{'' if count == 1 else 's'}"


# -- the chain ----------------------------------------------------------------------------------------------


def newest_base(home: Home) -> Base:
    """Read the chain of this home and return its newest base.

    Raises:
        ConfigError: no network is here, or it has no base yet.
    """
    if not home.store_file.exists():
        raise ConfigError(f"{home.path} is of no network yet: comind init, or comind node --invite-file PATH")
    with copied(home.store_file) as copy:
        try:
            base = _base_in(copy)
        except ConfigError as why:
            raise ConfigError(str(why).replace(str(copy), str(home.store_file))) from None
    if base is None:
        raise ConfigError(
            "this network has no base yet: the first trainer that attaches anywhere brings it,"
            " or comind init --initial"
        )
    return base


def _base_in(file: Path) -> Base | None:
    network = network_in(file)
    if network is None:
        return None
    store = Store(file, network)
    try:
        return _base_of(network, store.load(frozenset()).chain)
    finally:
        store.close()


def _base_of(network: bytes, chain: Sequence[Committed]) -> Base | None:
    blocks = [read(Block, committed.block) for committed in chain]
    setting = [block for block in blocks if block.rule != Rule.ROSTER and block.root != NO_ROOT]
    if not setting:
        return None
    newest = setting[-1]
    layout = next(block.layout for block in reversed(blocks) if block.layout)
    schema = schema_in(layout)
    assert schema is not None, "the chain holds a layout that is none"
    return Base(
        network=blocks[0].name,
        network_id=network,
        height=newest.height,
        round=sum(block.rule == Rule.MEAN for block in blocks),
        block=block_hash(chain[newest.height].block),
        root=newest.root,
        size=newest.size,
        schema=schema,
        contributors=_contributors(blocks),
    )


def _contributors(blocks: Sequence[Block]) -> tuple[tuple[str, str, int, int], ...]:
    names: dict[bytes, str] = {}
    counted: dict[bytes, tuple[int, int]] = {}
    for block in blocks:
        names |= {change.node: change.name for change in block.changes if isinstance(change, Admit | Move)}
        for signed in block.headers if block.rule == Rule.MEAN else ():
            header = read(Header, signed.header)
            times, weight = counted.get(header.node, (0, 0))
            counted[header.node] = (times + 1, weight + header.weight)
    return tuple((short_id(NodeId(node)), names.get(node, ""), *sums) for node, sums in counted.items())


# -- the file -----------------------------------------------------------------------------------------------


def _write(home: Home, base: Base, file: Path) -> None:
    """Copy the values behind a header, checking each chunk on the way."""
    try:
        values = open(home.snapshots / f"{base.root.hex()}.f32", "rb")  # noqa: SIM115
    except FileNotFoundError:
        raise Moved from None
    beside = tempfile.NamedTemporaryFile(prefix=f".{file.name}.", dir=file.parent, delete=False)  # noqa: SIM115
    with values, beside as written:
        try:
            written.write(header_of(base))
            hashes = list(_copy(values, written, base.size * VALUE_BYTES))
            if root_of(base.size, hashes) != base.root:
                raise Moved
            written.flush()
            os.fsync(written.fileno())
            os.chmod(written.name, 0o666 & ~_umask())
            os.replace(written.name, file)
        except BaseException:
            os.unlink(written.name)
            raise


def _copy(values: BinaryIO, written: "tempfile._TemporaryFileWrapper[bytes]", left: int) -> Iterator[bytes]:
    while left:
        chunk = values.read(min(CHUNK_BYTES, left))
        if not chunk:
            raise Moved
        left -= len(chunk)
        written.write(chunk)
        yield chunk_hash(chunk)


def header_of(base: Base) -> bytes:
    """What a safetensors file begins with: the header's length, and the header in JSON, padded to 8 bytes."""
    ends = list(accumulate(prod(tensor.shape) * VALUE_BYTES for tensor in base.schema))
    fields: dict[str, object] = {"__metadata__": _ancestry(base)}
    for tensor, start, end in zip(base.schema, [0, *ends], ends, strict=False):
        fields[tensor.name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(fields, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def _ancestry(base: Base) -> dict[str, str]:
    contributors = [
        {"id": node, "name": name, "contributions": times, "weight": weight}
        for node, name, times, weight in base.contributors
    ]
    return {
        "format": "pt",
        "comind.network": base.network,
        "comind.network_id": base.network_id.hex(),
        "comind.height": str(base.height),
        "comind.round": str(base.round),
        "comind.block": base.block.hex(),
        "comind.digest": base.root.hex(),
        "comind.contributors": json.dumps(contributors, separators=(",", ":")),
    }


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
