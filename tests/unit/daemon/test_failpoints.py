"""Does a daemon die where a test asks for it, and live where nobody does?"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from comind.node.daemon.failpoints import WRITES, Point, arm, armed_in, sends
from comind.node.daemon.founding import found
from comind.node.daemon.store import KnownAddresses, Store
from comind.node.home import Home, prepare
from comind.p2p.core.effects import Promised
from comind.p2p.core.errors import ConfigError
from comind.p2p.core.words import NetworkId, NodeId, Settings

CEILING_S = 60


def test_nothing_is_armed_unless_the_environment_says_so() -> None:
    assert armed_in({}) is None
    assert armed_in({"COMIND_FAILPOINT": ""}) is None


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("before-send:propose", Point("before", "send", "propose")),
        ("after-write:block@3", Point("after", "write", "block", nth=3)),
        ("chief/before-send:prepare@2", Point("before", "send", "prepare", "chief", 2)),
        (
            "contributor/after-send:average-chunk-list",
            Point("after", "send", "average-chunk-list", "contributor"),
        ),
    ],
)
def test_a_point_is_read(text: str, point: Point) -> None:
    assert armed_in({"COMIND_FAILPOINT": text}) == point
    assert armed_in({"COMIND_FAILPOINT": str(point)}) == point


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("propose", "COMIND_FAILPOINT=propose is no failpoint: write before-send:propose"),
        ("before-send:propose@0", "is no failpoint"),
        ("voter/before-send:propose", "is no failpoint"),
        ("before-send:proposal", "there is no send of proposal; there are greeting, addressbook"),
        (
            "after-write:propose",
            "there is no write of propose; there are block, promise, addresses, snapshot",
        ),
    ],
)
def test_what_is_no_point_is_one_clear_line(text: str, line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        armed_in({"COMIND_FAILPOINT": text})


def test_all_of_a_round_can_be_named() -> None:
    of_a_round = {
        "ready",
        "open",
        "propose",
        "prepare",
        "commit",
        "viewchange",
        "committed",
        "contribution-chunk",
        "average-ask",
    }
    assert of_a_round < set(sends())
    assert set(WRITES) > {"block", "promise", "snapshot"}


class Killed(Exception):
    """What a process cannot survive."""


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Have SIGKILL to this process be an exception; returns the signals that were sent."""
    signals: list[int] = []

    def kill(pid: int, number: int) -> None:
        assert pid == os.getpid()
        signals.append(number)
        raise Killed

    monkeypatch.setattr(os, "kill", kill)
    yield signals
    assert set(signals) <= {signal.SIGKILL}


@pytest.mark.parametrize(("when", "written"), [("before", 1), ("after", 2)])
def test_it_dies_at_the_second_promise(tmp_path: Path, killed: list[int], when: str, written: int) -> None:
    lines: list[str] = []
    with closing(Store(tmp_path / "store.db", NetworkId(bytes(32)))) as store:
        arm(Point(when, "write", "promise", nth=2), lines.append, (store,))
        store.write([Promised(1, 0, 1), KnownAddresses(NodeId(bytes(32)), ())])
        assert lines == [f"armed for a test: this daemon kills itself {when}-write:promise@2"]
        with pytest.raises(Killed):
            store.write([Promised(1, 0, 2)])
        promised = store.load(frozenset()).promised
    assert promised is not None
    assert promised.count == written
    assert killed == [signal.SIGKILL]
    assert lines[1:] == [f"killed by its failpoint {when}-write:promise@2"]


def test_a_part_that_is_not_armed_is_as_it_was(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "store.db", NetworkId(bytes(32)))) as store:
        assert "write" not in vars(store)


def test_a_daemon_refuses_a_point_that_is_none(tmp_path: Path) -> None:
    home = Home(tmp_path / "Lima")
    prepare(home)
    found(home, "test", "Lima", Settings(), ("tcp://127.0.0.1:7700",))
    ran = _daemon(home, {"COMIND_FAILPOINT": "lunch"})
    assert (ran.returncode, ran.stderr.count("\n")) == (2, 1)
    assert "COMIND_FAILPOINT=lunch is no failpoint" in ran.stderr


def _daemon(home: Home, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("COMIND_")}
    return subprocess.run(
        [sys.executable, "-m", "comind.node.daemon", "--home", str(home.path), "--listen", "127.0.0.1:0"],
        env=ours | dict(environ),
        capture_output=True,
        text=True,
        timeout=CEILING_S,
        check=False,
    )
