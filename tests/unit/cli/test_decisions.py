"""What do the commands say that ask for a decision of all, and with which exit code?"""

import sys
from collections.abc import Callable

import pytest

from comind.node.attach import Done, Refused, Said
from comind.node.cli import decisions
from comind.node.cli.errors import Exit
from comind.node.home import Home
from tests.unit.cli.conftest import Comind
from tests.unit.cli.fake_daemon import HANG_UP, Answers, FakeDaemon

Daemon = Callable[[Answers], FakeDaemon]


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("pause", "done: it is in block 7: no averages are made until somebody says comind resume\n"),
        ("resume", "done: it is in block 7: averages go on\n"),
    ],
)
def test_what_was_decided_is_told(comind: Comind, daemon: Daemon, what: str, told: str) -> None:
    asked = daemon({what: [Said("lima asks for it"), Done("done: it is in block 7")]})
    assert comind(what) == (0, told, "")
    assert asked.asked == [what]


@pytest.mark.parametrize("what", ["pause", "resume"])
def test_what_cannot_be_is_one_line_with_code_4(comind: Comind, daemon: Daemon, what: str) -> None:
    daemon({what: [Refused("the network is paused already, by lima; comind resume ends it")]})
    line = "comind: the network is paused already, by lima; comind resume ends it\n"
    assert comind(what) == (4, "", line)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("remove", "--yes", "oslo"), "oslo is removed"),
        (("allow", "oslo"), "it comes in by itself if it runs"),
        (("deny", "oslo", "--because", "a stranger"), "it gets no link"),
    ],
)
def test_what_was_decided_about_a_node_is_told(
    comind: Comind, daemon: Daemon, command: tuple[str, ...], told: str
) -> None:
    asked = daemon({command[0]: [Done("done: it is in block 7")]})
    assert comind(*command) == (0, f"done: it is in block 7: {told}\n", "")
    assert asked.asked == [command[0]]


def test_remove_asks_first_and_does_nothing_after_a_no(daemon: Daemon, home: Home) -> None:
    questions: list[str] = []

    def no(question: str) -> bool:
        questions.append(question)
        return False

    asked = daemon({"remove": []})
    assert decisions.remove(home, "oslo", "", yes=False, wait_s=1, ask=no) == Exit.DECLINED
    line = "oslo is taken off the roster, and gets no link until somebody allows it again. Remove it?"
    assert questions == [line]
    assert asked.asked == []


def test_remove_asks_nobody_where_nobody_is(
    comind: Comind, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = daemon({"remove": []})
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    line = "comind: nobody is here to be asked whether that is meant: add --yes\n"
    assert comind("remove", "oslo") == (2, "", line)
    assert asked.asked == []


@pytest.mark.parametrize("what", ["pause", "resume"])
def test_only_a_running_node_can_ask(comind: Comind, home: Home, what: str) -> None:
    line = f"comind: only a running node can ask the others: no daemon runs in {home.path};"
    assert comind(what) == (3, "", f"{line} start it with: comind node\n")


def test_what_takes_too_long_is_said_to_go_on(comind: Comind, daemon: Daemon) -> None:
    daemon({"pause": []})
    code, _, said = comind("pause", "--wait", "1")
    assert code == 4
    assert said.startswith(
        "comind: not decided after 1 s: it takes a quorum, and the round that runs ends first;"
    )


def test_a_daemon_that_hangs_up_is_said(comind: Comind, daemon: Daemon) -> None:
    daemon({"pause": [HANG_UP]})
    code, _, said = comind("pause")
    assert (code, said.startswith("comind: the daemon hung up")) == (4, True)


@pytest.mark.parametrize("because", ["two\nlines", "x" * 201])
def test_a_reason_fits_a_line(comind: Comind, daemon: Daemon, because: str) -> None:
    asked = daemon({"pause": []})
    code, _, said = comind("pause", "--because", because)
    assert (code, said) == (2, "comind: --because takes up to 200 printable letters, in one line\n")
    assert asked.asked == []


def test_words_of_the_daemon_cannot_steer_the_terminal(comind: Comind, daemon: Daemon) -> None:
    daemon({"pause": [Refused("paused already, by \x1b[31mlima")]})
    assert "\x1b" not in comind("pause")[2]
