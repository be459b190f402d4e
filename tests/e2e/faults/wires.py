"""How do nodes on machines of their own see a network that drops, delays or cuts? Namespaces on one machine.

Each member has a network namespace with one cable to a bridge, which lies in a namespace of its own: nothing
touches the machine's own network. Needs root, ip, tc and iptables. Knows nothing of nodes.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from types import TracebackType
from typing import Self

PORT = 7700
_SOMETIMES = ("-m", "statistic", "--mode", "random", "--probability")


def why_not() -> str:
    """Say why this machine can make no namespaces; empty if it can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if missing := [name for name in ("ip", "tc", "iptables") if shutil.which(name) is None]:
        return f"not installed: {', '.join(missing)}"
    probe = f"comind-{os.getpid()}-probe"
    try:
        _run("ip", "netns", "add", probe)
        try:
            _run("ip", "netns", "exec", probe, "iptables", "-A", "INPUT", *_SOMETIMES, "0.1", "-j", "DROP")
        finally:
            _run("ip", "netns", "del", probe)
    except RuntimeError as why:
        return f"this machine lends none: {why}"
    return ""


class Wires:
    """`with Wires(4) as wires:` the namespaces end with the block, when all that ran in them has."""

    def __init__(self, members: int) -> None:
        self._hub = f"comind-{os.getpid()}-hub"
        self._spaces = [f"comind-{os.getpid()}-{number}" for number in range(members)]

    def __enter__(self) -> Self:
        try:
            self._lay()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._remove()

    @property
    def places(self) -> list[tuple[str, tuple[str, ...]]]:
        """For each member, where it listens, and the command in which it runs."""
        return [
            (f"tcp://{self._address(number)}:{PORT}", ("ip", "netns", "exec", space))
            for number, space in enumerate(self._spaces)
        ]

    def cut(self, *sides: Sequence[int]) -> None:
        """Drop every packet between two sides."""
        for side in sides:
            for number in side:
                for other in (other for another in sides if another is not side for other in another):
                    self._filter(number, "-s", self._address(other))

    def lose(self, share: float) -> None:
        """Drop this share of all packets."""
        for number in range(len(self._spaces)):
            self._filter(number, "-i", "eth0", *_SOMETIMES, str(share))

    def slow(self, kbit: int) -> None:
        """Let each member send so much in a second, and no more."""
        for number in range(len(self._spaces)):
            self._in(number, "tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", f"{kbit}kbit",
                     "burst", "16kb", "latency", "400ms")  # fmt: skip

    def heal(self) -> None:
        for number in range(len(self._spaces)):
            self._in(number, "iptables", "-F", "INPUT")
            try:
                self._in(number, "tc", "qdisc", "del", "dev", "eth0", "root")
            except RuntimeError:
                pass  # it was not slow

    def _lay(self) -> None:
        _run("ip", "netns", "add", self._hub)
        _run("ip", "-n", self._hub, "link", "add", "bridge", "type", "bridge")
        _run("ip", "-n", self._hub, "link", "set", "bridge", "up")
        for number, space in enumerate(self._spaces):
            _run("ip", "netns", "add", space)
            _run("ip", "-n", space, "link", "add", "eth0", "type", "veth",
                 "peer", "name", f"m{number}", "netns", self._hub)  # fmt: skip
            _run("ip", "-n", self._hub, "link", "set", f"m{number}", "master", "bridge", "up")
            _run("ip", "-n", space, "addr", "add", f"{self._address(number)}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                _run("ip", "-n", space, "link", "set", device, "up")

    def _remove(self) -> None:
        for space in (*self._spaces, self._hub):
            try:
                _run("ip", "netns", "del", space)
            except RuntimeError:
                pass  # it was not made

    def _filter(self, number: int, *what: str) -> None:
        self._in(number, "iptables", "-A", "INPUT", *what, "-j", "DROP")

    def _in(self, number: int, *command: str) -> None:
        _run("ip", "netns", "exec", self._spaces[number], *command)

    def _address(self, number: int) -> str:
        return f"10.77.0.{number + 1}"


def _run(*command: str) -> None:
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"{' '.join(command)}: {ran.stderr.strip()}")
