"""Does whoever sits on the wire between two nodes learn anything but sizes and times?

Every byte between two real nodes goes through a proxy that records it. In the records are searched the values
of the contributions and of their average, and the names of tensor, nodes and network. That the search finds
what is there is shown by daemons that go without their layers of secrecy.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from comind.p2p.core.words import Settings
from scripts.local.child import Child, end
from scripts.local.ports import free_pairs
from tests.e2e.real_network import RealNetwork
from tests.e2e.recorder import TO_CLIENT, TO_SERVER, records

VALUES = 300_000
"""Two chunks."""
ROUNDS = 3
LEAST_BYTES = ROUNDS * VALUES * 4
"""A snapshot goes to the chief in each round, and the average comes back."""

TENSOR = "encoder.layers.0.attention"
NETWORK = "hospitals-of-the-north"
NODES = ("clinic-by-the-fjord", "clinic-on-the-hill")
FOUND_OPENLY = {"values", "tensor's name", "network's name", "nodes' names"}
NAMES = FOUND_OPENLY - {"values"}

LAYERS_OFF = {
    "gate": set[str](),
    "link bulk": set[str](),
    "gate link": NAMES,
    "gate link bulk": FOUND_OPENLY,
}
"""Without these layers of secrecy, what is found: the gate hides all, and so do the other two together."""


def test_the_wire_shows_no_value_and_no_name(tmp_path: Path) -> None:
    with recorded(tmp_path) as (network, folder):
        run_rounds(network, folder)
    assert found_in(folder) == set()


@pytest.mark.parametrize("layers", LAYERS_OFF)
def test_what_is_searched_is_found_when_the_layers_are_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layers: str
) -> None:
    monkeypatch.setenv("NAKED_WITHOUT", layers)
    with recorded(tmp_path, "tests.e2e.naked_daemon") as (network, folder):
        run_rounds(network, folder)
    assert found_in(folder) == LAYERS_OFF[layers]


# -- a network whose nodes meet through the recorder --------------------------------------------------------


def contributions() -> list[NDArray[np.float32]]:
    """What the two trainers contribute, in each round."""
    return [np.random.default_rng(seed).standard_normal(VALUES, np.float32) for seed in range(2)]


@contextmanager
def recorded(place: Path, daemon_module: str = "comind.node.daemon") -> Iterator[tuple[RealNetwork, Path]]:
    """Two nodes with trainers, and the folder of the records."""
    folder = place / "records"
    folder.mkdir()
    fronts = iter(free_pairs(2, 6_000 + hash(str(place)) % 5_000))
    ports: dict[int, int] = {}

    def behind(address: str) -> str:
        front = next(fronts)
        ports[front] = int(address.rpartition(":")[2])
        return f"tcp://127.0.0.1:{front}"

    settings = Settings(start_at=2, rounds=ROUNDS)
    with RealNetwork(place, 2, settings, daemon_module, name=NETWORK, names=NODES, behind=behind) as network:
        recorder = Child(
            "tests.e2e.recorder",
            [str(folder), *(f"{front}={port}" for front, port in ports.items())],
            place / "recorder.log",
        )
        try:
            network.start_daemons()
            for node, pattern in zip(network.nodes, contributions(), strict=True):
                file = place / f"{node.name}.values"
                file.write_bytes(pattern.tobytes())
                network.train(node, str(file), TENSOR, module="tests.e2e.pattern_trainer")
            yield network, folder
        finally:
            end([recorder], patience_s=10)


def run_rounds(network: RealNetwork, folder: Path) -> None:
    """Run some rounds, and see that all that the nodes said is in the records."""
    network.wait_for_round(ROUNDS)
    for node in network.nodes:
        status = node.status()
        assert status is not None
        assert status.last_rounds[-1].contributors
    said = sum(status.bytes_sent for node in network.nodes if (status := node.status()))
    network.wait(lambda: sum(map(len, records(folder))) >= said, "all that was said is recorded")
    for direction in (TO_SERVER, TO_CLIENT):
        assert sum(map(len, records(folder, direction))) > LEAST_BYTES // 2
    assert sum(map(len, records(folder))) > LEAST_BYTES


# -- the search ---------------------------------------------------------------------------------------------


def found_in(folder: Path) -> set[str]:
    """Return what of all that must stay hidden is in the records."""
    both = records(folder)
    sought = {"tensor's name": [TENSOR], "network's name": [NETWORK], "nodes' names": NODES}
    found = {
        what for what, names in sought.items() if any(name.encode() in one for one in both for name in names)
    }
    return found | ({"values"} if any(map(hidden_values().are_in, both)) else set())


@cache
def hidden_values() -> "Values":
    """Of both contributions, and of their average."""
    here, there = contributions()
    half = np.float32(0.5)
    return Values([here, there, here * half + there * half])


class Values:
    """Searches any two neighbours among hidden values: in either byte order, wherever they begin.

    They are a million of the 2^64 things that eight bytes can be, so chance finds none.
    """

    def __init__(self, hidden: list[NDArray[np.float32]]) -> None:
        pairs = np.concatenate([np.lib.stride_tricks.sliding_window_view(one, 2) for one in hidden])
        both_orders = np.concatenate([pairs, pairs.byteswap()])
        self._sought = np.unique(both_orders.view(np.uint64))
        self._mask = np.uint64(2**24 - 1)
        self._likely = np.zeros(2**24, bool)
        self._likely[self._sought & self._mask] = True

    def are_in(self, record: bytes) -> bool:
        for start in range(8):
            words = np.frombuffer(record[start : start + (len(record) - start) // 8 * 8], np.uint64)
            words = words[self._likely[words & self._mask]]
            at = np.minimum(np.searchsorted(self._sought, words), self._sought.size - 1)
            if (self._sought[at] == words).any():
                return True
        return False
