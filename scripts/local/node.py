"""What is one node on this machine? A folder, a daemon, a trainer, and a view of the daemon's state.

Starts, kills and reads them. Knows nothing of why.
"""

import selectors
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from comind.crypto.invite import Invite
from comind.node.attach import Ask, Channel, Closed, Status, StatusOf
from comind.node.cli.ask import connect
from comind.node.home import Home, prepare, remember_invite
from scripts.local.child import Child
from scripts.local.reports import Lines, Report

Selector = selectors.BaseSelector


class Node:
    """`hear_status` and `hear_report` are called with what it tells, while the selector is turned."""

    def __init__(
        self,
        name: str,
        folder: Path,
        port: int,
        selector: Selector,
        *,
        hear_status: Callable[["Node", Status], None],
        hear_report: Callable[["Node", Report], None],
    ) -> None:
        self.name = name
        self.home = Home(folder)
        self.address = f"tcp://127.0.0.1:{port}"
        """What it listens on."""
        self.advertised = self.address
        """What it tells others, and what they join by."""
        self.is_paused = False
        self.daemon: Child | None = None
        self.trainer: Child | None = None
        self.daemon_peak_bytes = 0
        self.trainer_peak_bytes = 0
        self._selector = selector
        self._channel: Channel | None = None
        self._lines = Lines()
        self._hear_status = hear_status
        self._hear_report = hear_report

    @property
    def is_watched(self) -> bool:
        return self._channel is not None

    # -- the daemon -----------------------------------------------------------------------------------------

    def prepare(self) -> None:
        prepare(self.home)

    def invite(self, invite: Invite) -> None:
        """Put the invite where the daemon finds it: a file of the home that its owner alone can read."""
        self.prepare()
        remember_invite(self.home, Invite(invite.network, invite.key, ()))

    def start_daemon(self, seed: str | None) -> None:
        arguments = ["--home", str(self.home.path), "--name", self.name, "--listen", self.address]
        arguments += ["--advertise", self.advertised]
        arguments += ["--seed", seed] if seed is not None else []
        self.daemon = Child("comind.node.daemon", arguments, self.home.log_file)

    def kill_daemon(self) -> None:
        assert self.daemon is not None
        self.measure()
        self.daemon.kill()
        self.daemon = None
        self._hang_up()

    def watch(self) -> bool:
        """Ask the daemon to tell its status whenever it changes; False while it does not listen yet."""
        channel = connect(self.home)
        if channel is None:
            return False
        try:
            channel.send(Ask("watch"))
        except Closed:
            channel.close()
            return False
        self._channel = channel
        self._selector.register(channel.fileno(), selectors.EVENT_READ, self._read_status)
        return True

    def _read_status(self) -> None:
        if self._channel is None:
            return  # hung up since the selector saw it
        try:
            for word, _ in self._channel.arrived():
                if isinstance(word, StatusOf):
                    self._hear_status(self, word.status)
        except Closed:
            self._hang_up()  # it is dead, which its exit code tells, or is watched again

    def _hang_up(self) -> None:
        if self._channel is not None:
            self._selector.unregister(self._channel.fileno())
            self._channel.close()
            self._channel = None

    # -- the trainer ----------------------------------------------------------------------------------------

    def start_trainer(self, flags: Mapping[str, object]) -> None:
        arguments = ["--home", str(self.home.path)]
        arguments += [str(word) for flag in flags.items() for word in flag]
        self._lines = Lines()
        self.trainer = Child("scripts.local.trainer", arguments, self.home.path / "trainer.log", reports=True)
        self._selector.register(self.trainer.pipe, selectors.EVENT_READ, self._read_reports)

    def kill_trainer(self) -> None:
        assert self.trainer is not None
        self.measure()
        self.trainer.kill()
        self._let_trainer_go()
        self.trainer = None

    def _read_reports(self) -> None:
        assert self.trainer is not None
        data = self.trainer.read()
        if not data:
            self._let_trainer_go()
            return
        try:
            reports = self._lines.read(data)
        except msgspec.MsgspecError as why:
            raise AssertionError(f"{self.name}'s trainer reports what is no report: {why}") from None
        for report in reports:
            self._hear_report(self, report)

    def _let_trainer_go(self) -> None:
        assert self.trainer is not None
        if self.trainer.pipe in self._selector.get_map():
            self._selector.unregister(self.trainer.pipe)
        self.trainer.close()

    @property
    def has_trained(self) -> bool:
        """Whether its trainer has ended, and well."""
        return self.trainer is not None and self.trainer.exit_code() == 0

    # -- both -----------------------------------------------------------------------------------------------

    def pause(self) -> None:
        """SIGSTOP both, until `go_on`."""
        self.is_paused = True
        for child in self.children:
            child.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.is_paused = False
        for child in self.children:
            child.send_signal(signal.SIGCONT)

    @property
    def children(self) -> list[Child]:
        return [child for child in (self.trainer, self.daemon) if child is not None]

    def measure(self) -> None:
        """Note the memory that both have taken; what is dead cannot be asked any more."""
        if self.daemon is not None:
            self.daemon_peak_bytes = max(self.daemon_peak_bytes, self.daemon.peak_bytes())
        if self.trainer is not None:
            self.trainer_peak_bytes = max(self.trainer_peak_bytes, self.trainer.peak_bytes())
