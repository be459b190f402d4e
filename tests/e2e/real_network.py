"""A network of real processes on the loopback, for tests: start, kill, look, and wait for what must come.

Waits for events with a generous ceiling, never for a time. Knows nothing of what a test is about.
"""

import json
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Self

from comind.crypto.invite import Invite
from comind.node.attach import Status
from comind.node.cli.ask import status_of
from comind.node.cli.errors import NotDone
from comind.node.daemon.founding import found
from comind.node.daemon.store import Store
from comind.node.home import Home, prepare, remember_invite
from comind.p2p.core.effects import Memory
from comind.p2p.core.words import NetworkId, Settings
from scripts.local.child import Child, end
from scripts.local.ports import free_pairs

CEILING_S = 60.0
CITIES = ("Lima", "Oslo", "Quito", "Hanoi", "Accra", "Turin", "Perth", "Cairo")


class Node:
    """One node: its folder, its daemon, its trainer."""

    def __init__(self, name: str, folder: Path, port: int) -> None:
        self.name = name
        self.home = Home(folder / name)
        self.address = f"tcp://127.0.0.1:{port}"
        """What it listens on."""
        self.advertised = self.address
        """What it tells others, and what they join by."""
        self.inside: tuple[str, ...] = ()
        """The command in which its daemon runs, such as `ip netns exec NAME`."""
        self.daemon: Child | None = None
        self.trainer: Child | None = None

    def status(self) -> Status | None:
        try:
            return status_of(self.home)
        except NotDone:
            return None


class RealNetwork:
    """`with RealNetwork(tmp_path, 3) as network:` everything that it started ends with the block."""

    def __init__(
        self,
        folder: Path,
        members: int,
        settings: Settings | None = None,
        daemon_module: str = "comind.node.daemon",
        *,
        name: str = "test",
        names: Sequence[str] = CITIES,
        behind: Callable[[str], str] | None = None,
        places: Sequence[tuple[str, tuple[str, ...]]] = (),
    ) -> None:
        """`behind` tells, for the address at which a node listens, the one that it advertises.

        `places`: for each node the address at which it listens, and the command in which its daemon runs;
        else all are on the loopback.
        """
        ports = free_pairs(members, hash(str(folder)) % 5_000)
        self.nodes = [Node(names[number], folder, port) for number, port in enumerate(ports)]
        for node, place in zip(self.nodes, places, strict=False):
            node.address, node.inside = place
        for node in self.nodes:
            node.advertised = behind(node.address) if behind else node.address
        self.daemon_module = daemon_module
        first = self.nodes[0]
        prepare(first.home)
        self.invite = found(first.home, name, first.name, settings or Settings(), (first.advertised,))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        end([child for node in self.nodes for child in (node.trainer, node.daemon) if child], patience_s=10)

    # -- processes ------------------------------------------------------------------------------------------

    def start(self, node: Node, through: Node | None = None, *, failpoint: str = "") -> None:
        """Start a node's daemon; its first start takes the address of the member that it joins through.

        `failpoint`: where it is to kill itself (`comind.node.daemon.failpoints`).
        """
        prepare(node.home)
        if node is not self.nodes[0]:
            remember_invite(node.home, Invite(self.invite.network, self.invite.key, ()))
        arguments = ["--home", str(node.home.path), "--name", node.name, "--listen", node.address]
        arguments += ["--advertise", node.advertised]
        arguments += ["--seed", through.advertised] if through else []
        environ = {"COMIND_FAILPOINT": failpoint} if failpoint else {}
        log = node.home.log_file
        node.daemon = Child(self.daemon_module, arguments, log, environ=environ, inside=node.inside)

    def train(self, node: Node, *arguments: str, module: str = "tests.e2e.numpy_trainer") -> None:
        node.trainer = Child(module, [str(node.home.path), *arguments], node.home.path / "trainer.log")

    def start_all(self) -> None:
        self.start_daemons()
        for node in self.nodes:
            self.train(node)

    def start_daemons(self) -> None:
        """Start all daemons, and wait until each answers."""
        self.start(self.nodes[0])
        for node in self.nodes[1:]:
            self.start(node, through=self.nodes[0])
        for node in self.nodes:
            self.wait(lambda node=node: node.status() is not None, f"{node.name} answers")  # type: ignore[misc]

    # -- looking --------------------------------------------------------------------------------------------

    def wait(self, holds: Callable[[], bool], what: str) -> None:
        """Wait until it holds; fail with everybody's last words otherwise."""
        until_s = time.monotonic() + CEILING_S
        while not holds():
            if time.monotonic() > until_s:
                raise AssertionError(f"it never came that {what}\n{self.last_words()}")
            time.sleep(0.02)

    def round_of(self, node: Node) -> int:
        status = node.status()
        return -1 if status is None else status.round

    def wait_for_round(self, number: int, *nodes: Node) -> None:
        for node in nodes or tuple(self.nodes):
            self.wait(
                lambda node=node: self.round_of(node) >= number,  # type: ignore[misc]
                f"{node.name} holds round {number}",
            )

    def agree(self) -> set[tuple[int, str, tuple[str, ...]]]:
        """Return the (height, digest, roster) that the running nodes tell: one, where they agree."""
        statuses = [node.status() for node in self.nodes if node.daemon is not None]
        return {
            (-1, "", ()) if one is None else (one.height, one.digest, tuple(each.id for each in one.members))
            for one in statuses
        }

    def end_training(self) -> None:
        """End all trainers, and wait until all daemons agree."""
        end([node.trainer for node in self.nodes if node.trainer], patience_s=10)
        for node in self.nodes:
            node.trainer = None
        self.wait(lambda: len(self.agree()) == 1 and (-1, "", ()) not in self.agree(), "all nodes agree")

    def stop_daemons(self) -> None:
        end([node.daemon for node in self.nodes if node.daemon], patience_s=10)
        for node in self.nodes:
            node.daemon = None

    def memory(self, node: Node) -> Memory:
        """Return what a stopped node's disk holds."""
        with closing(Store(node.home.store_file, NetworkId(self.invite.network))) as store:
            return store.load(frozenset())

    def last_words(self) -> str:
        words = []
        for node in self.nodes:
            words.append(f"-- {node.name}: {_tell(node.status())}")
            words += [f"   {child.last_words()}" for child in (node.daemon, node.trainer) if child]
        return "\n".join(words)


def _tell(status: Status | None) -> str:
    if status is None:
        return "no answer"
    told = {"height": status.height, "round": status.round, "view": status.view, "because": status.because}
    return json.dumps(told | {member.name: member.state for member in status.members})
