"""How does an operator go on whose network lost its quorum for good? (R18)

It asks first whether a quorum answers, through the daemon, which is started if none runs; then it asks the
person; then the network is founded anew. Knows nothing of blocks.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from comind.node.attach import Status
from comind.node.cli.ask import carry_out, home_flag, status_of
from comind.node.cli.decisions import confirmed
from comind.node.cli.errors import Exit, NoDaemon, NotDone
from comind.node.cli.farewell import STOP_S
from comind.node.cli.invites import for_the_others
from comind.node.cli.phrases import plain, several
from comind.node.cli.start import DAEMON
from comind.node.home import Home, prepare, recall_invite
from comind.p2p.core.errors import ConfigError

START_S = 20.0
LOOK_EVERY_S = 0.1


def recover(home: Home, yes: bool, wait_s: float, ask: Callable[[str], bool] | None = None) -> Exit:
    """Found the network anew from what this home has, if no quorum answers and that is meant.

    Raises:
        ConfigError: this home is of no network or no member's, the base is not here, or nobody is there to be
            asked and --yes was not given.
        NotDone: a quorum answers, or the daemon does not.
    """
    if not home.store_file.exists() or recall_invite(home) is None:
        founds = f"comind init{home_flag(home)}"
        raise ConfigError(f"{home.path} is of no network: there is nothing to recover; {founds} founds one")
    with _daemon(home) as daemon:
        status = _without_quorum(home, wait_s)
        if not yes and not (ask or confirmed)(_question(status)):
            return Exit.DECLINED
        daemon.stop()
    from comind.node.daemon.recovering import found_anew

    done = found_anew(home, status.name, status.addresses)
    name, number = plain(done.network), done.invite.network.hex()[:8]
    sys.stdout.write(
        f'Founded network "{name}" anew ({number}), from block {done.height} of the old one,'
        f" which is kept in {done.aside}\n\n"
        f"Start it here:\n\n  comind node{home_flag(home)}\n\n"
        "A node of the old network moves over in its own folder, with all that it has: stop it, and start\n"
        f"it with the new invite, which is in {home.invite_file}\n\n"
        f"{for_the_others(home.invite_file, done.network, done.invite.seeds)}"
    )
    return Exit.OK


def _question(status: Status) -> str:
    silent = [plain(one.name) for one in status.members if one.voter and one.state in ("silent", "away")]
    voters = sum(one.voter for one in status.members)
    missing = f" ({several(silent, 4)} missing)" if silent else ""
    return (
        f"No quorum of the {voters} voters answers{missing}. Network {plain(status.network)} is founded anew"
        f" from block {status.height}, with this node alone. If the others are alive somewhere, there are two"
        " networks from then on, whose averages never meet again. Recover?"
    )


@dataclass(slots=True)
class _Daemon:
    """The daemon through which is asked: one that ran, or one of one's own."""

    home: Home
    own: "subprocess.Popen[bytes] | None"

    def stop(self) -> None:
        if self.own is not None:
            self._end_own(self.own)
            return
        try:
            carry_out(self.home, "stop", STOP_S, lambda line: None)
        except NoDaemon:
            pass  # it has ended by itself meanwhile

    def end(self) -> None:
        if self.own is not None:
            self._end_own(self.own)

    def _end_own(self, own: "subprocess.Popen[bytes]") -> None:
        own.terminate()
        try:
            own.wait(STOP_S)
        except subprocess.TimeoutExpired:
            own.kill()
            own.wait()


@contextmanager
def _daemon(home: Home) -> Iterator[_Daemon]:
    """See to it that a daemon runs for as long as this lasts; one that ran before goes on."""
    own = None
    if status_of(home) is None:
        prepare(home)
        with open(home.log_file, "ab") as log:
            command = [*DAEMON, "--home", str(home.path)]
            own = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    daemon = _Daemon(home, own)
    try:
        if own is not None:
            _await_answer(home, own)
        yield daemon
    finally:
        daemon.end()


def _await_answer(home: Home, own: "subprocess.Popen[bytes]") -> None:
    ends_s = time.monotonic() + START_S
    while own.poll() is None and time.monotonic() < ends_s:
        if status_of(home) is not None:
            return
        time.sleep(LOOK_EVERY_S)
    raise NotDone(f"the daemon of {home.path} does not start: see its log, {home.log_file}")


def _without_quorum(home: Home, wait_s: float) -> Status:
    """Watch for so long whether a quorum answers; return how it stands if none did.

    Raises:
        ConfigError: this node is no member.
        NotDone: a quorum answers, or the daemon does not.
    """
    ends_s = time.monotonic() + wait_s
    sys.stdout.write(f"asking for {wait_s:g} s whether a quorum of the voters answers ...\n")
    sys.stdout.flush()
    while True:
        status = status_of(home)
        if status is None:
            raise NotDone(f"the daemon has ended: see its log, {home.log_file}")
        if not any(member.me and member.state != "joining" for member in status.members):
            raise ConfigError("this node is no member of its network: recover on a member")
        if status.quorum:
            raise NotDone("a quorum of the voters answers: there is nothing to recover")
        if time.monotonic() >= ends_s:
            return status
        time.sleep(LOOK_EVERY_S)
