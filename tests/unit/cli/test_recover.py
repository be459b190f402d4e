"""Does `comind recover` ask the network first, and then the person? (R18)"""

import sys
from collections.abc import Callable

import pytest

from comind.node.attach import Done, StatusOf
from comind.node.cli import recover
from comind.node.cli.errors import Exit
from comind.node.daemon import recovering
from comind.node.daemon.founding import found
from comind.node.daemon.snapshots import Snapshots
from comind.node.daemon.store import network_in
from comind.node.home import Home
from comind.p2p.core.words import Settings
from tests.unit.cli.conftest import Comind
from tests.unit.cli.fake_daemon import HANG_UP, Answers, FakeDaemon, a_member, a_status

Daemon = Callable[[Answers], FakeDaemon]
MEMBERS = (
    a_member("berlin", me=True, voter=True),
    a_member("lima", voter=True, state="silent"),
    a_member("oslo", voter=True, state="away"),
)
ALONE = StatusOf(a_status(quorum=False, members=MEMBERS))


@pytest.fixture
def network(home: Home) -> bytes:
    return found(home, "hospitals", "berlin", Settings(), ("tcp://127.0.0.1:7700",)).network


def test_a_home_of_no_network_has_nothing_to_recover(comind: Comind, home: Home) -> None:
    line = f"comind: {home.path} is of no network: there is nothing to recover; comind init founds one\n"
    assert comind("recover", "--yes") == (2, "", line)


def test_it_refuses_while_a_quorum_answers(comind: Comind, daemon: Daemon, network: bytes) -> None:
    asked = daemon({"status": [StatusOf(a_status(quorum=True))]})
    code, _, said = comind("recover", "--yes", "--wait", "1")
    assert (code, said) == (4, "comind: a quorum of the voters answers: there is nothing to recover\n")
    assert "stop" not in asked.asked


def test_only_a_member_recovers(comind: Comind, daemon: Daemon, network: bytes) -> None:
    daemon({"status": [StatusOf(a_status(quorum=False, members=(a_member("lima"),)))]})
    code, _, said = comind("recover", "--yes", "--wait", "1")
    assert (code, said) == (2, "comind: this node is no member of its network: recover on a member\n")


def test_it_says_what_it_means_and_does_nothing_after_a_no(
    daemon: Daemon, home: Home, network: bytes
) -> None:
    questions: list[str] = []

    def no(question: str) -> bool:
        questions.append(question)
        return False

    asked = daemon({"status": [ALONE]})
    assert recover.recover(home, yes=False, wait_s=0.2, ask=no) == Exit.DECLINED
    assert len(questions) == 1
    assert questions[0].startswith(
        "No quorum of the 3 voters answers (lima, oslo missing). Network hospitals is "
    )
    assert "there are two networks from then on" in questions[0]
    assert "stop" not in asked.asked
    assert network_in(home.store_file) == network


def test_it_asks_nobody_where_nobody_is(
    comind: Comind, daemon: Daemon, network: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon({"status": [ALONE]})
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    code, _, said = comind("recover", "--wait", "1")
    assert (code, said) == (2, "comind: nobody is here to be asked whether that is meant: add --yes\n")


def test_it_stops_the_daemon_founds_anew_and_prints_how_the_others_come(
    comind: Comind, daemon: Daemon, home: Home, network: bytes
) -> None:
    asked = daemon({"status": [ALONE], "stop": [Done("stopped"), HANG_UP]})
    code, seen, said = comind("recover", "--yes", "--wait", "1")
    assert (code, said) == (0, "")
    assert asked.asked[-1] == "stop"
    anew = network_in(home.store_file)
    assert anew not in (None, network)
    assert (
        f'Founded network "hospitals" anew ({(anew or b"").hex()[:8]}), from block 0 of the old one,' in seen
    )
    assert str(home.path / f"network-{network.hex()[:8]}") in seen
    assert "comind1-" not in seen


def test_no_base_no_recovery(
    comind: Comind, daemon: Daemon, home: Home, network: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be gone on from is refused, and the home stays as it is."""
    daemon({"status": [ALONE], "stop": [Done("stopped"), HANG_UP]})
    monkeypatch.setattr(Snapshots, "held", lambda self: frozenset())
    monkeypatch.setattr(recovering, "NO_ROOT", b"\x01" * 32)
    code, _, said = comind("recover", "--yes", "--wait", "1")
    assert (code, said) == (
        2,
        "comind: this node lacks the base of block 0: recover on a member that has it\n",
    )
    assert network_in(home.store_file) == network
