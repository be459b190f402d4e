"""Is an exported model the base, with its names, and does it say where it comes from?"""

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors import safe_open

from comind.crypto.identity import Identity
from comind.node.attach import Tensor
from comind.node.daemon.layout import layout_of
from comind.node.daemon.snapshots import Snapshots
from comind.node.daemon.store import Store
from comind.node.home import Home
from comind.p2p.core.chain import genesis, genesis_committed, schema_hash
from comind.p2p.core.messages import Admit, Block, Certificate, Committed, Header, SignedHeader
from comind.p2p.core.snapshot import CHUNK_VALUES, chunk_hash
from comind.p2p.core.wire import block_hash, pack
from comind.p2p.core.words import NetworkId, Root, Rule, Settings, short_id
from tests.unit.cli.conftest import Comind

SCHEMA = (
    Tensor("layers.0.weight", (3, 2), "torch.float32"),
    Tensor("layers.0.bias", (3,), "torch.bfloat16"),
    Tensor("scale", (), "torch.float32"),
    Tensor("none", (0, 4), "torch.float32"),
)
VALUES = np.arange(10, dtype=np.float32)
FOUNDER = Identity.from_secret(bytes(32)).node_id
OTHER = Identity.from_secret(bytes([1]) * 32).node_id


class Network:
    """A home with a store, and blocks in it as a daemon leaves them."""

    def __init__(
        self, home: Home, schema: Sequence[Tensor] = SCHEMA, values: NDArray[np.float32] = VALUES
    ) -> None:
        self._snapshots = Snapshots(home.snapshots)
        self._schema = tuple(schema)
        self._size = values.size
        self.root = self._kept(values)
        layout = layout_of(self._schema)
        base = (self.root, values.size, layout)
        block = genesis(FOUNDER, "hospitals", (), Settings(), "berlin", base=base)
        self.id = NetworkId(block_hash(block))
        self.store = Store(home.store_file, self.id)
        self.blocks = [block]
        self.store.write([genesis_committed(block)])

    def average(self, values: NDArray[np.float32], **weights: int) -> None:
        self.root = self._kept(values)
        nodes = {"berlin": FOUNDER, "oslo": OTHER}
        headers = [self._header(nodes[name], weight) for name, weight in weights.items()]
        self._append(Rule.MEAN, headers=tuple(headers))

    def admit(self, name: str) -> None:
        self._append(Rule.ROSTER, changes=(Admit(node=OTHER, name=name, addresses=(), can_lead=True),))

    def _append(self, rule: Rule, **differs: object) -> None:
        before = msgspec.msgpack.decode(self.blocks[-1], type=Block)
        changes = {"settings": None, "name": "", "layout": b"", "headers": (), "changes": ()} | differs
        block = pack(
            msgspec.structs.replace(
                before,
                network=self.id,
                height=before.height + 1,
                previous=block_hash(self.blocks[-1]),
                rule=rule,
                root=self.root,
                **changes,
            )
        )
        certificate = Certificate(height=before.height + 1, view=0, block=block_hash(block), commits=())
        self.blocks.append(block)
        self.store.write([Committed(block=block, certificate=certificate)])

    def _header(self, node: bytes, weight: int) -> SignedHeader:
        header = Header(
            height=len(self.blocks),
            node=node,
            incarnation=1,
            run=bytes(16),
            first_step=0,
            last_step=1,
            base=bytes(32),
            schema=schema_hash(layout_of(self._schema)),
            size=self._size,
            weight=weight,
            metrics={},
        )
        return SignedHeader(header=pack(header), signature=bytes(64))

    def _kept(self, values: NDArray[np.float32]) -> Root:
        writer = self._snapshots.writer(values.size)
        hashes = []
        for index in range(-(-values.size // CHUNK_VALUES)):
            chunk = values[index * CHUNK_VALUES : (index + 1) * CHUNK_VALUES].tobytes()
            writer.put(index, memoryview(chunk))
            hashes.append(chunk_hash(chunk))
        return writer.finish(hashes)


@pytest.fixture
def network(home: Home) -> Network:
    return Network(home)


def metadata(file: Path) -> dict[str, str]:
    with safe_open(file, "np") as opened:
        return dict(opened.metadata())


def test_the_tensors_are_the_base_by_name_and_shape(comind: Comind, network: Network, tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    code, seen, said = comind("export", file)
    assert (code, said) == (0, "")
    assert seen.startswith(f'{file}: the base of network "hospitals" after round 0, height 0, digest ')
    with safe_open(file, "np") as opened:
        assert set(opened.keys()) == {tensor.name for tensor in SCHEMA}
        tensors = {tensor.name: opened.get_tensor(tensor.name) for tensor in SCHEMA}
    np.testing.assert_array_equal(tensors["layers.0.weight"], VALUES[:6].reshape(3, 2), strict=True)
    np.testing.assert_array_equal(tensors["layers.0.bias"], VALUES[6:9], strict=True)
    np.testing.assert_array_equal(tensors["scale"], VALUES[9], strict=True)
    assert tensors["none"].shape == (0, 4)


def test_the_file_says_where_it_comes_from(comind: Comind, network: Network, tmp_path: Path) -> None:
    network.admit("oslo")
    network.average(VALUES + 1, berlin=512)
    network.average(VALUES + 2, berlin=512, oslo=100)
    network.admit("lima")
    assert comind("export", tmp_path / "m.safetensors")[0] == 0
    told = metadata(tmp_path / "m.safetensors")
    assert json.loads(told.pop("comind.contributors")) == [
        {"id": short_id(FOUNDER), "name": "berlin", "contributions": 2, "weight": 1_024},
        {"id": short_id(OTHER), "name": "lima", "contributions": 1, "weight": 100},
    ]
    assert told == {
        "format": "pt",
        "comind.network": "hospitals",
        "comind.network_id": network.id.hex(),
        "comind.height": "3",
        "comind.round": "2",
        "comind.block": block_hash(network.blocks[3]).hex(),
        "comind.digest": network.root.hex(),
    }


def test_it_reads_the_home_of_a_running_daemon_too(comind: Comind, network: Network, tmp_path: Path) -> None:
    """The store is locked by its daemon (here: by this process), and what is newest lies in its log only."""
    for number in range(20):
        network.average(VALUES + number, berlin=1)
        file = tmp_path / f"{number}.safetensors"
        assert comind("export", file)[0] == 0
        assert metadata(file)["comind.round"] == str(number + 1)
        if number % 3 == 0:
            network.store.checkpoint()


@pytest.mark.parametrize("size", [CHUNK_VALUES - 1, CHUNK_VALUES, CHUNK_VALUES + 1])
def test_a_snapshot_of_several_chunks_is_whole(comind: Comind, home: Home, tmp_path: Path, size: int) -> None:
    values = np.arange(size, dtype=np.float32)
    Network(home, [Tensor("w", (size,), "torch.float32")], values)
    assert comind("export", tmp_path / "m.safetensors")[0] == 0
    with safe_open(tmp_path / "m.safetensors", "np") as opened:
        np.testing.assert_array_equal(opened.get_tensor("w"), values, strict=True)


def test_a_file_that_is_there_is_not_replaced_unless_that_is_said(
    comind: Comind, network: Network, tmp_path: Path
) -> None:
    file = tmp_path / "m.safetensors"
    file.write_text("mine")
    code, _, said = comind("export", file)
    assert (code, said) == (
        2,
        f"comind: {file} is there already: take another name, or --force to replace it\n",
    )
    assert file.read_text() == "mine"
    assert comind("export", file, "--force")[0] == 0
    assert metadata(file)["comind.network"] == "hospitals"


def test_a_network_without_a_base_has_nothing_to_export(comind: Comind, home: Home, tmp_path: Path) -> None:
    block = genesis(FOUNDER, "hospitals", (), Settings(), "berlin")
    store = Store(home.store_file, NetworkId(block_hash(block)))
    store.write([genesis_committed(block)])
    code, _, said = comind("export", tmp_path / "m.safetensors")
    assert code == 2
    assert said.startswith("comind: this network has no base yet: the first trainer that attaches")


def test_a_base_whose_bytes_are_not_here_yet_is_not_made_up(
    comind: Comind, network: Network, home: Home, tmp_path: Path
) -> None:
    (home.snapshots / f"{network.root.hex()}.f32").unlink()
    code, _, said = comind("export", tmp_path / "m.safetensors")
    assert code == 2
    assert "the newest base is not whole" in said
    assert list(tmp_path.glob("*m.safetensors*")) == []


def test_a_damaged_snapshot_is_never_exported(
    comind: Comind, network: Network, home: Home, tmp_path: Path
) -> None:
    file = home.snapshots / f"{network.root.hex()}.f32"
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    assert comind("export", tmp_path / "m.safetensors")[0] == 2
    assert list(tmp_path.glob("*m.safetensors*")) == []


def test_a_damaged_store_is_named_by_its_own_path(comind: Comind, home: Home, tmp_path: Path) -> None:
    home.store_file.write_bytes(b"x" * 200)
    code, _, said = comind("export", tmp_path / "m.safetensors")
    assert code == 2
    assert f"comind: {home.store_file} is damaged" in said
    assert ".export-" not in said


def test_nothing_of_the_store_is_left_behind(
    comind: Comind, network: Network, home: Home, tmp_path: Path
) -> None:
    before = sorted(home.path.iterdir())
    comind("export", tmp_path / "m.safetensors")
    assert sorted(home.path.iterdir()) == before


def test_a_folder_that_is_not_there_is_one_line(comind: Comind, network: Network) -> None:
    code, _, said = comind("export", "/nowhere/m.safetensors")
    assert (code, said.count("\n")) == (2, 1)
    assert "/nowhere/m.safetensors cannot be written" in said
