"""What the trainer's tests share: a fake daemon, and a peer that speaks to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from comind.node.trainer.peer import Peer
from tests.unit.trainer.fake_daemon import FakeDaemon


class Lines(list[str]):
    """What a person was told."""

    def about(self, words: str) -> list[str]:
        return [line for line in self if words in line]


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "attach.sock"


@pytest.fixture
def daemon(path: Path) -> Iterator[FakeDaemon]:
    """A daemon of a network without a base, which weighs examples and counts every offer."""
    daemon = FakeDaemon(path)
    yield daemon
    daemon.close()


@pytest.fixture
def peer(path: Path, lines: Lines) -> Iterator[Peer]:
    peer = Peer(path, on_line=lines.append)
    yield peer
    peer.finish()
