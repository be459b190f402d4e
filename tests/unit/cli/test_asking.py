"""What do `status`, `stop` and `leave` say, and with which exit code, when the daemon answers thus?"""

import json
import sys
from collections.abc import Callable

import msgspec
import pytest

from comind.node.attach import Done, Refused, Said, Status, StatusOf, Waiting
from comind.node.cli import farewell
from comind.node.cli.errors import Exit, NotDone
from comind.node.home import Home
from tests.unit.cli.conftest import Comind
from tests.unit.cli.fake_daemon import HANG_UP, Answers, FakeDaemon, a_member, a_status

Daemon = Callable[[Answers], FakeDaemon]
STATUS = StatusOf(a_status())


def test_status_without_a_daemon_says_the_line_that_starts_one(comind: Comind, home: Home) -> None:
    assert comind("status") == (3, "", f"comind: no daemon runs in {home.path}; start it with: comind node\n")


def test_the_line_names_a_home_that_is_not_the_usual_one(comind: Comind, home: Home) -> None:
    other = home.path / "an other"
    code, _, said = comind("status", "--home", other)
    assert code == 3
    assert said.endswith(f"comind node --home '{other}'\n")


def test_status_in_a_pipe_shows_the_picture(comind: Comind, daemon: Daemon) -> None:
    daemon({"status": [STATUS]})
    code, seen, said = comind("status")
    assert (code, said) == (0, "")
    assert "waiting for oslo to reach the interval, since 2.1 s" in seen
    assert "\x1b" not in seen


def test_status_as_json_is_the_whole_status_and_reads_back(comind: Comind, daemon: Daemon) -> None:
    daemon({"status": [STATUS]})
    code, seen, _ = comind("status", "--json")
    assert code == 0
    assert msgspec.convert(json.loads(seen), Status) == STATUS.status


def test_the_keys_of_the_json_are_stable(comind: Comind, daemon: Daemon) -> None:
    daemon({"status": [STATUS]})
    told = json.loads(comind("status", "--json")[1])
    assert {
        "network": "hospitals",
        "height": 17,
        "round": 12,
        "digest": "5f2c" * 16,
        "because": "waiting for oslo to reach the interval",
        "since_ms": 2_100,
    }.items() <= told.items()
    assert {"id", "name", "state", "voter", "can_lead", "me", "heard_ms_ago", "counted"} <= told["members"][
        0
    ].keys()
    assert {"height", "round", "chief", "contributors", "absent", "seconds"} <= told["last_rounds"][0].keys()


def test_json_for_a_terminal_is_plain_ascii(comind: Comind, daemon: Daemon) -> None:
    daemon({"status": [StatusOf(a_status(members=(a_member("\x1b\x9bé"),)))]})
    assert all(" " <= letter <= "~" or letter == "\n" for letter in comind("status", "--json")[1])


def test_a_daemon_that_hangs_up_is_no_traceback(comind: Comind, daemon: Daemon) -> None:
    daemon({"status": [HANG_UP]})
    code, _, said = comind("status")
    assert code == 4
    assert said.startswith("comind: the daemon hung up")
    assert said.count("\n") == 1


def test_a_daemon_that_says_nothing_is_not_waited_for_for_ever(
    comind: Comind, daemon: Daemon, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon({"status": []})
    monkeypatch.setattr("comind.node.cli.ask.ANSWER_S", 0.05)
    code, _, said = comind("status")
    assert code == 4
    assert str(home.log_file) in said


def test_a_socket_that_a_dead_daemon_left_is_no_daemon(comind: Comind, daemon: Daemon) -> None:
    daemon({}).close()
    assert comind("status")[0] == 3


def test_stop_returns_when_the_daemon_has_hung_up(comind: Comind, daemon: Daemon) -> None:
    asked = daemon({"stop": [Said("telling the others"), Done("berlin is away"), HANG_UP]})
    assert comind("stop") == (0, "telling the others\nberlin is away; it comes back with: comind node\n", "")
    assert asked.asked == ["stop"]


def test_stop_takes_a_daemon_that_just_ends_for_stopped(comind: Comind, daemon: Daemon) -> None:
    daemon({"stop": [HANG_UP]})
    assert comind("stop")[0] == 0


@pytest.mark.parametrize("command", ["stop", "leave"])
def test_without_a_daemon_there_is_nobody_to_go(comind: Comind, command: str) -> None:
    code, _, said = comind(command)
    assert code == 3
    assert "no daemon runs" in said


def test_leave_tells_what_it_waits_for(comind: Comind, daemon: Daemon) -> None:
    daemon({"status": [STATUS], "leave": [Waiting("waiting for a block"), Done("berlin has left"), HANG_UP]})
    assert comind("leave", "--yes") == (0, "waiting for a block\nberlin has left\n", "")


def test_leave_that_is_refused_is_exit_code_4_with_the_reason(comind: Comind, daemon: Daemon) -> None:
    daemon({"status": [STATUS], "leave": [Refused("too few voters are heard from: oslo missing")]})
    assert comind("leave", "--yes") == (4, "", "comind: too few voters are heard from: oslo missing\n")


def test_leave_that_takes_too_long_says_that_it_goes_on(comind: Comind, daemon: Daemon, home: Home) -> None:
    daemon({"status": [STATUS], "leave": []})
    with pytest.raises(NotDone, match="not done after 0 s; the daemon goes on with it"):
        farewell.leave(home, yes=True, wait_s=0.05)


def test_leave_asks_first_and_does_nothing_after_a_no(daemon: Daemon, home: Home) -> None:
    questions: list[str] = []

    def no(question: str) -> bool:
        questions.append(question)
        return False

    asked = daemon({"status": [STATUS]})
    assert farewell.leave(home, yes=False, wait_s=1, ask=no) == Exit.DECLINED
    assert questions == ['berlin leaves network "hospitals" and is no member until it joins again. Leave?']
    assert asked.asked == ["status"]


def test_leave_asks_nobody_where_nobody_is(
    comind: Comind, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = daemon({"status": [STATUS]})
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    code, _, said = comind("leave")
    assert (code, said) == (2, "comind: nobody is here to be asked whether to leave: add --yes\n")
    assert asked.asked == ["status"]
