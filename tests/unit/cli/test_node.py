"""Does `comind node` become the daemon in a pipe, and show and steer it in a terminal?"""

import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from comind.crypto.invite import Invite, encode
from comind.node.cli.ask import status_of
from comind.node.cli.start import Start, settled
from comind.node.home import Home, recall_invite, remember_invite
from comind.node.remembered import Kept, recall, remember
from comind.p2p.core.errors import ConfigError
from tests.unit.cli.conftest import Comind
from tests.unit.cli.fake_daemon import Answers, FakeDaemon
from tests.unit.cli.terminal import DEADLINE_S, Terminal, launched, terminal

INVITE = Invite(bytes(range(32)), bytes(range(32)), ("tcp://10.0.0.4:7700",))
Opened = Callable[..., AbstractContextManager[Terminal]]


@pytest.fixture
def joined(home: Home) -> Home:
    remember_invite(home, INVITE)
    return home


def piped(mode: str, *arguments: str, stdin: str = "", **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        launched(mode, "node", *arguments),
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environ},
    )


# -- in a pipe ----------------------------------------------------------------------------------------------


def test_in_a_pipe_it_becomes_the_daemon_and_hands_its_flags_on(joined: Home) -> None:
    ran = piped("argues", "--seed", "10.0.0.5", "--listen", "*:7800", "--no-lead", "--name", "oslo")
    assert (ran.returncode, ran.stderr) == (0, "")
    flags = [
        "--home",
        str(joined.path),
        "--seed",
        "tcp://10.0.0.5:7700",
        "--listen",
        "*:7800",
        "--name",
        "oslo",
    ]
    assert ran.stdout == f"{[*flags, '--no-lead']} None\n"


def test_the_daemons_error_line_and_exit_code_are_its_own(joined: Home) -> None:
    ran = piped("refuses")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == "comind: port 7700 is taken: give another with --listen\n"


@pytest.mark.parametrize("way", ["environment", "file", "standard input"])
def test_the_invite_is_remembered_and_goes_no_further(home: Home, way: str) -> None:
    text = encode(INVITE)
    match way:
        case "environment":
            ran = piped("argues", COMIND_INVITE=text)
        case "file":
            file = home.path / "given"
            file.write_text(text)
            file.chmod(0o600)
            ran = piped("argues", "--invite-file", str(file))
        case _:
            ran = piped("argues", "--invite-file", "-", stdin=f"{text}\n")
    assert (ran.returncode, ran.stdout) == (0, f"{['--home', str(home.path)]} None\n")
    assert recall_invite(home) == INVITE
    assert home.invite_file.stat().st_mode & 0o077 == 0


def test_a_terminal_that_can_draw_nothing_gets_plain_lines(joined: Home) -> None:
    environ = {**os.environ, "TERM": "dumb"}
    with terminal(["env", "TERM=dumb", *launched("argues", "node")], environ) as shown:
        assert shown.ended() == 0
    assert shown.seen.split() == f"{['--home', str(joined.path)]} None".split()


def test_a_second_node_in_one_home_is_told_how_to_run_elsewhere(
    comind: Comind, joined: Home, daemon: Callable[[Answers], FakeDaemon]
) -> None:
    daemon({})
    code, seen, said = comind("node")
    assert (code, seen) == (2, "")
    assert said == (
        f"comind: a node runs in {joined.path} already (comind status);"
        " start a second one in its own folder: comind node --home OTHER\n"
    )


# -- in a terminal ------------------------------------------------------------------------------------------


@pytest.fixture
def watched(joined: Home) -> Opened:
    def open_terminal(mode: str, *arguments: str) -> AbstractContextManager[Terminal]:
        return terminal(launched(mode, "node", *arguments), os.environ)

    return open_terminal


def test_a_terminal_shows_the_log_and_the_picture(watched: Opened) -> None:
    with watched("runs") as shown:
        shown.read_until("listening on tcp://*:7700")
        shown.read_until("waiting for oslo to reach the interval, since ")
        shown.read_until("lima")
        shown.press("\x03")
        assert shown.ended() == 0
        assert "Traceback" not in shown.seen


def test_ctrl_c_reaches_the_daemon_once_and_its_last_line_is_shown(watched: Opened) -> None:
    with watched("runs") as shown:
        shown.read_until("waiting for oslo")
        shown.press("\x03")
        shown.read_until("it got SIGINT and goes away")
        assert shown.ended() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_view_ends_the_daemon(watched: Opened, number: signal.Signals) -> None:
    with watched("runs") as shown:
        shown.read_until("waiting for oslo")
        shown.process.send_signal(number)
        shown.read_until("it got SIGTERM and goes away")
        assert shown.ended() == 0


def test_a_terminal_that_is_closed_takes_the_daemon_along(watched: Opened, joined: Home) -> None:
    with watched("runs") as shown:
        shown.read_until("waiting for oslo")
        shown.close()
        shown.process.wait(DEADLINE_S)
    assert status_of(joined) is None
    assert "it got SIGTERM and goes away" in joined.log_file.read_text()


def test_a_daemon_that_cannot_start_shows_its_own_line_and_code(watched: Opened, joined: Home) -> None:
    with watched("refuses") as shown:
        assert shown.ended() == 2
    said = " ".join(shown.seen.split())
    assert "comind: port 7700 is taken: give another with --listen" in said
    assert f"the daemon ended with exit code 2; its log: {joined.log_file}" in shown.seen.replace("\r\n", "")
    assert "Traceback" not in shown.seen


def test_a_stopped_view_leaves_the_daemon_alone_and_comes_back(watched: Opened, joined: Home) -> None:
    with watched("runs") as shown:
        shown.read_until("waiting for oslo")
        shown.press("\x1a")
        stopped, status = os.waitpid(shown.process.pid, os.WUNTRACED)
        assert stopped == shown.process.pid
        assert os.WIFSTOPPED(status)
        assert status_of(joined) is not None
        shown.seen = ""
        shown.process.send_signal(signal.SIGCONT)
        shown.read_until("waiting for oslo")
        shown.press("\x03")
        assert shown.ended() == 0


def test_a_killed_view_leaves_the_daemon_running(watched: Opened, joined: Home) -> None:
    with watched("runs") as shown:
        shown.read_until("waiting for oslo")
        shown.process.kill()
        shown.process.wait()
    status = status_of(joined)
    assert status is not None
    os.kill(status.pid, signal.SIGTERM)


def test_the_invite_can_be_pasted_and_is_not_shown(home: Home) -> None:
    with terminal(launched("refuses", "node"), os.environ) as shown:
        shown.read_until("invite: ")
        shown.press(f"{encode(INVITE)}\n")
        assert shown.ended() == 2
    assert recall_invite(home) == INVITE
    assert encode(INVITE)[:20] not in shown.seen


# -- what is remembered -------------------------------------------------------------------------------------


def test_where_init_was_told_to_listen_holds_for_every_start(joined: Home) -> None:
    remember(joined, Kept("*:7800", ("tcp://clinic.example:7800",)))
    flags = ["--listen", "*:7800", "--advertise", "tcp://clinic.example:7800"]
    assert settled(joined, Start()) == ["--home", str(joined.path), *flags]


def test_what_a_start_says_itself_holds_for_it_alone(joined: Home) -> None:
    remember(joined, Kept("*:7800", ("tcp://clinic.example:7800",)))
    flags = ["--listen", "*:7900", "--advertise", "tcp://clinic.example:7800"]
    assert settled(joined, Start(kept=Kept("*:7900"))) == ["--home", str(joined.path), *flags]
    assert recall(joined).listen == "*:7800"


def test_a_mistake_in_a_flag_is_found_before_anything_is_kept(home: Home, tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.write_text(encode(INVITE))
    given.chmod(0o600)
    with pytest.raises(ConfigError, match="--advertise takes an address"):
        settled(home, Start(invite_file=str(given), kept=Kept(advertise=("tcp://*",))))
    assert recall_invite(home) is None


def test_a_damaged_memory_says_what_to_delete(joined: Home) -> None:
    (joined.path / "start.json").write_text("{")
    with pytest.raises(ConfigError, match="delete it, and give --listen and --advertise"):
        settled(joined, Start())
