"""How a network begins, with and without weights: and that nothing of a file is believed unchecked."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from comind.node.attach import Tensor
from comind.node.daemon.founding import found, identity_of
from comind.node.daemon.initial import MAX_HEADER_BYTES
from comind.node.daemon.layout import schema_in
from comind.node.daemon.snapshots import Snapshots
from comind.node.daemon.store import Store, network_in
from comind.node.home import Home, lock, recall_invite
from comind.p2p.core.chain import Chain
from comind.p2p.core.errors import ConfigError
from comind.p2p.core.snapshot import CHUNK_VALUES
from comind.p2p.core.words import NO_ROOT, NetworkId, NodeId, Root, Settings

ADDRESSES = ("tcp://10.0.0.1:7700",)


def never(node: NodeId, statement: bytes, signature: bytes) -> bool:
    raise AssertionError("genesis has no signature")


def chain_in(home: Home, network: NetworkId) -> Chain:
    store = Store(home.store_file, network)
    chain = Chain(network)
    for committed in store.load(frozenset()).chain:
        chain.append(committed, never)
    store.close()
    return chain


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_a_founder_is_the_one_member_with_the_one_vote(home: Home) -> None:
    invite = found(home, "hospital", "ada", Settings(rounds=7), ADDRESSES)
    assert recall_invite(home) == invite
    assert invite.seeds == ADDRESSES
    assert network_in(home.store_file) == invite.network
    chain = chain_in(home, NetworkId(invite.network))
    (entry,) = chain.roster
    assert entry.node == identity_of(home).node_id
    assert (entry.name, entry.addresses, entry.voter, entry.can_lead) == ("ada", ADDRESSES, True, True)
    assert (chain.name, chain.settings.rounds, chain.root, chain.height) == ("hospital", 7, NO_ROOT, 0)


def test_a_founder_that_nobody_can_dial_does_not_lead(home: Home) -> None:
    invite = found(home, "hospital", "ada", Settings(), ())
    (entry,) = chain_in(home, NetworkId(invite.network)).roster
    assert not entry.can_lead


def test_two_networks_of_one_name_are_two(tmp_path: Path) -> None:
    one = found(Home(tmp_path / "a"), "hospital", "ada", Settings(), ADDRESSES)
    other = found(Home(tmp_path / "b"), "hospital", "ada", Settings(), ADDRESSES)
    assert one.network != other.network
    assert one.key != other.key


def test_a_home_with_a_network_is_refused(home: Home) -> None:
    before = found(home, "hospital", "ada", Settings(), ADDRESSES)
    with pytest.raises(ConfigError, match=r"is of a network already.*comind init --home OTHER"):
        found(home, "hospital", "ada", Settings(), ADDRESSES)
    assert recall_invite(home) == before


def test_a_founding_that_crashed_is_begun_anew(home: Home) -> None:
    found(home, "hospital", "ada", Settings(), ADDRESSES)
    for file in home.path.glob("store.db*"):
        file.unlink()
    again = found(home, "hospital", "ada", Settings(rounds=1), ADDRESSES)
    assert recall_invite(home) == again


def test_a_home_in_use_is_refused(home: Home) -> None:
    found(home, "hospital", "ada", Settings(), ADDRESSES)
    with lock(home), pytest.raises(ConfigError, match="a node runs in"):
        found(home, "hospital", "ada", Settings(), ADDRESSES)


@pytest.mark.parametrize(
    ("network", "node", "settings", "addresses", "line"),
    [
        ("", "ada", Settings(), ADDRESSES, "network's name"),
        ("x" * 65, "ada", Settings(), ADDRESSES, "network's name"),
        ("hospital", "a\nb", Settings(), ADDRESSES, "node's name"),
        ("hospital", "ada", Settings(min_peers=0), ADDRESSES, "min_peers is 0"),
        ("hospital", "ada", Settings(door="ajar"), ADDRESSES, "door is 'ajar'"),
        ("hospital", "ada", Settings(), ("10.0.0.1",), "tcp://host:port"),
        ("hospital", "ada", Settings(), ADDRESSES * 9, "at most 8"),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_no_network(
    home: Home, network: str, node: str, settings: Settings, addresses: tuple[str, ...], line: str
) -> None:
    with pytest.raises(ConfigError, match=line):
        found(home, network, node, settings, addresses)
    assert network_in(home.store_file) is None


# -- with weights -------------------------------------------------------------------------------------------


def safetensors(file: Path, tensors: dict[str, tuple[str, list[int], bytes]], **more: Any) -> Path:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header | more).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return file


def base_of(home: Home, file: Path) -> tuple[bytes, tuple[Tensor, ...] | None]:
    invite = found(home, "hospital", "ada", Settings(), ADDRESSES, file)
    chain = chain_in(home, NetworkId(invite.network))
    snapshots = Snapshots(home.snapshots)
    assert snapshots.check() == []
    descriptor = snapshots.descriptor(Root(chain.root))
    assert descriptor is not None
    with open(descriptor, "rb") as opened:
        content = opened.read()
    assert len(content) == chain.size * 4
    return content, schema_in(chain.layout)


def test_weights_of_a_file_become_the_first_base_in_the_order_of_names(home: Home, tmp_path: Path) -> None:
    wide = np.array([[1.5, -2.0], [0.0, 1e-40]], np.float32)
    half = np.array([0.1, 65504.0, -0.0], np.float16)
    brain = np.array([0x3F80, 0xC000, 0x0001], np.uint16)
    file = safetensors(
        tmp_path / "model.safetensors",
        {
            "z.wide": ("F32", [2, 2], wide.tobytes()),
            "steps": ("I64", [], bytes(8)),
            "half": ("F16", [3], half.tobytes()),
            "a.brain": ("BF16", [3, 1], brain.tobytes()),
            "empty": ("F32", [0, 7], b""),
        },
    )
    content, schema = base_of(home, file)
    expected = (brain.astype(np.uint32) << 16).tobytes() + half.astype(np.float32).tobytes() + wide.tobytes()
    assert content == expected
    assert schema == (
        Tensor("a.brain", (3, 1), "float32"),
        Tensor("empty", (0, 7), "float32"),
        Tensor("half", (3,), "float32"),
        Tensor("z.wide", (2, 2), "float32"),
    )


def test_tensors_across_chunks_are_written_without_gaps(home: Home, tmp_path: Path) -> None:
    values = np.random.default_rng(1).standard_normal(2 * CHUNK_VALUES + 5).astype(np.float32)
    first, second = values[: CHUNK_VALUES - 3], values[CHUNK_VALUES - 3 :]
    file = safetensors(
        tmp_path / "model.safetensors",
        {"a": ("F32", [len(first)], first.tobytes()), "b": ("F32", [len(second)], second.tobytes())},
    )
    assert base_of(home, file)[0] == values.tobytes()


def test_what_the_safetensors_library_writes_is_read(home: Home, tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.numpy")
    tensors = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.array([7.0], np.float32)}
    library.save_file(tensors, tmp_path / "model.safetensors")
    content, schema = base_of(home, tmp_path / "model.safetensors")
    assert schema is not None
    assert {tensor.name for tensor in schema} == {"a", "b"}
    assert content == b"".join(tensors[tensor.name].tobytes() for tensor in schema)


F32 = np.zeros(2, np.float32).tobytes()


@pytest.mark.parametrize(
    ("tensors", "more", "line"),
    [
        ({"w": ("F64", [1], bytes(8))}, {}, "w is F64, and what is averaged travels as float32"),
        ({"w": ("C64", [1], bytes(8))}, {}, "w is C64"),
        ({"w": ("F8_E4M3", [1], bytes(1))}, {}, "w is F8_E4M3"),
        ({"i": ("I64", [1], bytes(8))}, {}, "no tensor of floats"),
        ({}, {}, "no tensor of floats"),
        ({"w": ("F32", [3], F32)}, {}, "w has another length than its shape"),
        ({"w": ("F32", [-2], F32)}, {}, "nonsense of w"),
        ({"w": ("F32", [2], F32)}, {"v": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}}, "overlap"),
        ({"w": ("F32", [2], F32)}, {"v": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}}, "cut off"),
        ({"w": ("F32", [2], F32)}, {"v": 3}, "nonsense of v"),
        ({"w": ("F32", [1], np.array([np.nan], np.float32).tobytes())}, {}, "w holds NaN"),
        ({"a": ("F32", [2], F32), "w": ("F16", [1], np.float16(np.inf).tobytes())}, {}, "w holds an inf"),
        ({"w": ("F32", [1], np.array([3e38], np.float32).tobytes())}, {}, "w holds a value beyond"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_a_base_is_one_line_that_names_the_tensor(
    home: Home, tmp_path: Path, tensors: dict[str, Any], more: dict[str, Any], line: str
) -> None:
    file = safetensors(tmp_path / "model.safetensors", tensors, **more)
    with pytest.raises(ConfigError, match=line) as refused:
        found(home, "hospital", "ada", Settings(), ADDRESSES, file)
    assert "\n" not in str(refused.value)
    assert network_in(home.store_file) is None
    found(home, "hospital", "ada", Settings(), ADDRESSES)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "no safetensors file"),
        (b"PK\x03\x04 a zip file", "no safetensors file"),
        ((10).to_bytes(8, "little") + b"not json!!", "no safetensors file"),
        ((2).to_bytes(8, "little") + b"[]", "no safetensors file"),
        ((4000).to_bytes(8, "little") + b"[" * 4000, "no safetensors file"),
        ((MAX_HEADER_BYTES + 1).to_bytes(8, "little") + bytes(MAX_HEADER_BYTES + 1), "its header has"),
    ],
)
def test_a_file_of_another_kind_is_one_line(home: Home, tmp_path: Path, content: bytes, line: str) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=line):
        found(home, "hospital", "ada", Settings(), ADDRESSES, file)
    with pytest.raises(ConfigError, match="No such file"):
        found(home, "hospital", "ada", Settings(), ADDRESSES, tmp_path / "absent")
    with pytest.raises(ConfigError, match="Is a directory"):
        found(home, "hospital", "ada", Settings(), ADDRESSES, tmp_path)
