"""Does the forwarder carry, cut and hold? Real sockets on the loopback; who dials is a real process."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.local.child import Child, end
from scripts.local.forwarder import READY, sides_in
from scripts.local.ports import free_pairs

CEILING_S = 30
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="who dials is told by Linux alone")
_DIALLER = """
import socket, sys
link = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
for line in sys.stdin:
    link.sendall(line.encode())
    sys.stdout.write(link.makefile().readline())
    sys.stdout.flush()
"""


class Stage:
    """A server B behind the forwarder, and a process A that dials it and says what is answered."""

    def __init__(self, folder: Path) -> None:
        front, back = free_pairs(2, os.getpid() % 5_000)
        self.server = socket.create_server(("127.0.0.1", back))
        self.server.settimeout(CEILING_S)
        log = folder / "forwarder.log"
        self.forwarder = Child("scripts.local.forwarder", [f"B:{front}={back}"], log, hears=True)
        until_s = time.monotonic() + CEILING_S
        while READY not in log.read_text():
            assert time.monotonic() < until_s
            time.sleep(0.01)
        self.dialler = subprocess.Popen(
            [sys.executable, "-c", _DIALLER, str(front)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.forwarder.tell(f"pids A={self.dialler.pid}\tB={os.getpid()}")
        self.link, _ = self.server.accept()

    def say(self, line: str) -> None:
        assert self.dialler.stdin is not None
        self.dialler.stdin.write(f"{line}\n")
        self.dialler.stdin.flush()

    def hears(self, within_s: float = CEILING_S) -> str | None:
        """Return what came to B; None if nothing does in this time."""
        self.link.settimeout(within_s)
        try:
            return self.link.recv(1000).decode()
        except TimeoutError:
            return None

    def close(self) -> None:
        self.dialler.kill()
        self.dialler.communicate()
        end([self.forwarder], patience_s=5)
        self.forwarder.close()
        self.link.close()
        self.server.close()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.close()


def test_what_is_said_is_carried_both_ways(stage: Stage) -> None:
    stage.say("one")
    assert stage.hears() == "one\n"
    stage.link.sendall(b"two\n")
    assert stage.dialler.stdout is not None
    assert stage.dialler.stdout.readline() == "two\n"


def test_between_two_sides_nothing_passes_until_the_links_are_back(stage: Stage) -> None:
    stage.say("before")
    assert stage.hears() == "before\n"
    stage.forwarder.tell("cut A|B,C")
    stage.link.sendall(b"so that it speaks again\n")
    stage.say("held")
    assert stage.hears(within_s=0.5) is None
    stage.forwarder.tell("heal")
    assert stage.hears() == "held\n"


def test_on_one_side_all_goes_on(stage: Stage) -> None:
    stage.forwarder.tell("cut A,B|C")
    stage.say("still here")
    assert stage.hears() == "still here\n"


def test_sides_are_read() -> None:
    assert sides_in("A,B|C") == (frozenset("AB"), frozenset("C"))
