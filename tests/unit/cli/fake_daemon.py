"""A daemon that knows only the attach socket: for tests as a thread, for the pty tests as a program.

    python fake_daemon.py --mode MODE --home HOME ...

Modes: `runs` (until SIGINT or SIGTERM), `refuses` (one line, exit code 2), `argues` (prints its arguments).
"""

import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from comind.node.attach import (
    Ask,
    Channel,
    Closed,
    Done,
    FromDaemon,
    MemberLine,
    RoundLine,
    Status,
    StatusOf,
    ToDaemon,
)
from comind.node.home import Home

HANG_UP = None
"""In a list of answers: close the connection."""

Answers = Mapping[str, Sequence[FromDaemon | None]]


def a_member(name: str, **differs: Any) -> MemberLine:
    usual: dict[str, Any] = {
        "id": f"{name}xxxxxxxx"[:8],
        "name": name,
        "addresses": (f"tcp://{name}.example:7700",),
        "state": "training",
        "voter": True,
        "can_lead": True,
        "me": False,
        "heard_ms_ago": 120,
        "rounds_led": 3,
        "counted": 12,
    }
    return MemberLine(**usual | differs)


def a_round(number: int, **differs: Any) -> RoundLine:
    usual: dict[str, Any] = {
        "height": number + 5,
        "round": number,
        "rule": "mean",
        "view": 0,
        "chief": "berlinxx",
        "chief_name": "berlin",
        "contributors": (("berlinxx", "berlin", 512), ("limaxxxx", "lima", 480)),
        "absent": (),
        "seconds": 0.31,
        "metrics": {},
        "root": "ab" * 32,
    }
    return RoundLine(**usual | differs)


def a_status(**differs: Any) -> Status:
    usual: dict[str, Any] = {
        "network": "hospitals",
        "network_id": "7f3a" * 16,
        "name": "berlin",
        "id": "berlinxx",
        "addresses": ("tcp://berlin.example:7700",),
        "pid": 4711,
        "height": 17,
        "round": 12,
        "rounds": 30,
        "view": 0,
        "digest": "5f2c" * 16,
        "chief": "berlinxx",
        "chief_name": "berlin",
        "next_chief": "limaxxxx",
        "next_chief_name": "lima",
        "phase": "gathering",
        "because": "waiting for oslo to reach the interval",
        "since_ms": 2_100,
        "members": (a_member("berlin", me=True, state="ready", heard_ms_ago=0), a_member("lima")),
        "trainer": "ready",
        "settings": {"weight": "examples", "min_peers": 2},
        "bytes_sent": 1_234_567_890,
        "bytes_received": 42,
        "dropped": {},
        "last_rounds": (a_round(12),),
    }
    return Status(**usual | differs)


class FakeDaemon:
    """Answers at a home's attach socket, from a thread of its own, until it is closed."""

    def __init__(self, home: Home, answers: Answers) -> None:
        self.asked: list[str] = []
        self._answers = answers
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(home.socket_path))
        self._listener.listen(8)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        if self._listener.fileno() >= 0:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(Channel(connection, ToDaemon),), daemon=True).start()

    def _answer(self, channel: Channel) -> None:
        try:
            while (heard := channel.receive()) is not None:
                word, _ = heard
                assert isinstance(word, Ask)
                self.asked.append(word.what)
                for answer in self._answers.get(word.what, ()):
                    if answer is HANG_UP:
                        return channel.close()
                    channel.send(answer)
        except Closed:
            channel.close()


def run(mode: str, home: Home) -> int:
    if mode == "refuses":
        sys.stderr.write("comind: port 7700 is taken: give another with --listen\n")
        return 2
    if mode == "argues":
        sys.stdout.write(f"{sys.argv[3:]} {os.environ.get('COMIND_INVITE')}\n")
        return 0
    assert mode == "runs"
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    sys.stderr.write("listening on tcp://*:7700\n")
    status = StatusOf(a_status(pid=os.getpid()))
    FakeDaemon(home, {"watch": [status], "status": [status], "stop": [Done("stopped")]})
    sys.stderr.write(f"it got {signal.Signals(signal.sigwait(signals)).name} and goes away\n")
    return 0


if __name__ == "__main__":
    assert sys.argv[1] == "--mode"
    assert sys.argv[3] == "--home"
    sys.exit(run(sys.argv[2], Home(Path(sys.argv[4]))))
