"""Does `join()` find the daemon of its home, or start one, or say in one line why it cannot?"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import comind
from comind.crypto.invite import Invite, encode
from comind.node import home as homes
from comind.node.trainer import join as joining
from comind.node.trainer.join import join
from comind.p2p.core.errors import ConfigError
from tests.unit.trainer.conftest import Lines
from tests.unit.trainer.fake_daemon import FakeDaemon

INVITE = encode(Invite(bytes(32), bytes([1]) * 32, ("tcp://192.0.2.1:7700",)))

LISTENS = """
import os, socket, sys
arguments = sys.argv[1:]
home = arguments[arguments.index("--home") + 1]
with open(os.path.join(home, "arguments"), "w") as file:
    file.write("\\n".join(arguments))
print("the log's own line", flush=True)
listener = socket.socket(socket.AF_UNIX)
listener.bind(os.path.join(home, "attach.sock"))
listener.listen()
kept = []
while True:
    kept.append(listener.accept())
"""

FAILS = """
import sys
print("starting", flush=True)
sys.exit("this folder is damaged: mend it with comind mend")
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in ("COMIND_HOME", "COMIND_INVITE", "RANK", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COMIND_INVITE", INVITE)
    monkeypatch.setattr(joining, "_daemons", [])
    yield tmp_path / "h"
    for daemon in joining._daemons:
        daemon.kill()
        daemon.wait()


def runs(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """Let this be what a daemon is."""
    monkeypatch.setattr(joining, "DAEMON", (sys.executable, "-c", program))


def test_it_attaches_to_the_daemon_that_runs(home: Path, lines: Lines) -> None:
    homes.prepare(homes.Home(home))
    daemon = FakeDaemon(home / "attach.sock", [5.0])
    peer = join(home, on_line=lines.append)
    assert peer.start([np.zeros(1, np.float32)])[0].tolist() == [5]
    assert not joining._daemons
    peer.finish()
    daemon.close()


def test_options_for_a_daemon_that_runs_already_are_said_to_change_nothing(home: Path, lines: Lines) -> None:
    homes.prepare(homes.Home(home))
    daemon = FakeDaemon(home / "attach.sock", [5.0])
    join(home, name="b", on_line=lines.append)
    assert lines == [f"a daemon runs in {home} already: invite, seed, name and listen are as it was started"]
    daemon.close()


def test_it_starts_a_daemon_that_leaves_with_its_trainer_and_says_where_its_log_is(
    home: Path, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs(monkeypatch, LISTENS)
    peer = join(
        home, seed=["tcp://a:1", "tcp://b:2"], name="b", listen="tcp://0.0.0.0:7000", on_line=lines.append
    )
    assert peer.path == home / "attach.sock"
    assert len(lines) == 1
    assert lines[0].startswith(f"started a daemon in {home}, which ends after its training")
    assert lines[0].endswith(f"; its log is {home / 'daemon.log'}")
    assert "the log's own line" in (home / "daemon.log").read_text()
    assert (home / "arguments").read_text().split("\n") == [
        *("--home", str(home), "--leave-with-trainer"),
        *("--seed", "tcp://a:1", "--seed", "tcp://b:2", "--name", "b", "--listen", "tcp://0.0.0.0:7000"),
    ]
    (daemon,) = joining._daemons
    assert os.getsid(daemon.pid) == daemon.pid  # Ctrl-C in this terminal does not reach it
    assert (home / "invite").read_text().strip() == INVITE


def test_a_second_join_in_one_home_starts_no_second_daemon(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs(monkeypatch, LISTENS)
    for _ in range(2):
        join(home, on_line=lambda _: None)
    assert len(joining._daemons) == 1


def test_a_daemon_that_does_not_start_is_one_line_its_own(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs(monkeypatch, FAILS)
    with pytest.raises(ConfigError, match=r"^this folder is damaged: mend it with comind mend$"):
        join(home, on_line=lambda _: None)


def test_a_daemon_that_ends_without_a_word_is_one_line_too(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs(monkeypatch, "raise SystemExit(3)")
    with pytest.raises(ConfigError, match=rf"^the daemon ended with status 3; its log is {home}/daemon.log$"):
        join(home, on_line=lambda _: None)


def test_an_old_log_s_lines_are_not_taken_for_this_daemon_s(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    homes.prepare(homes.Home(home))
    (home / "daemon.log").write_text("an error of yesterday\n")
    runs(monkeypatch, "raise SystemExit(3)")
    with pytest.raises(ConfigError, match="ended with status 3"):
        join(home, on_line=lambda _: None)


def test_a_daemon_that_never_answers_is_given_up(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs(monkeypatch, "import signal; signal.pause()")
    monkeypatch.setattr(joining, "MAX_START_S", 0.05)
    with pytest.raises(ConfigError, match=r"does not answer after 0.05 s; its log is"):
        join(home, on_line=lambda _: None)


def test_without_an_invite_there_is_a_line_that_says_how(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COMIND_INVITE")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    with pytest.raises(ConfigError, match="no invite"):
        join(home)


def test_an_invite_in_a_file_is_remembered(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COMIND_INVITE")
    runs(monkeypatch, LISTENS)
    file = tmp_path / "the.invite"
    file.write_text(INVITE)
    file.chmod(0o600)
    join(home, invite=file, on_line=lambda _: None)
    assert (home / "invite").read_text().strip() == INVITE


def test_an_invite_itself_is_not_taken_for_a_path_and_not_repeated(home: Path) -> None:
    with pytest.raises(ConfigError, match="keep it in a file") as refused:
        join(home, invite=INVITE)
    assert INVITE not in str(refused.value)


def test_at_a_terminal_the_invite_can_be_pasted_unseen(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COMIND_INVITE")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(joining, "getpass", lambda prompt: INVITE)
    runs(monkeypatch, LISTENS)
    join(home, on_line=lambda _: None)
    assert (home / "invite").read_text().strip() == INVITE


@pytest.mark.parametrize("asked", ["torchrun", "torch"])
def test_another_rank_leaves_speaking_to_rank_0(
    home: Path, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    if asked == "torchrun":
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
        monkeypatch.setenv("RANK", "1")
    else:
        monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
        monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    peer = join(home)
    assert peer.path is None
    assert not home.exists()
    with pytest.raises(ConfigError, match="leaves speaking to rank 0"):
        peer.start([np.zeros(1, np.float32)])


def test_rank_0_speaks(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("RANK", "0")
    runs(monkeypatch, LISTENS)
    assert join(home, on_line=lambda _: None).path is not None


def test_lines_go_to_standard_error_unless_told_otherwise(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs(monkeypatch, LISTENS)
    comind.join(home)
    captured = capsys.readouterr()
    assert captured.err.startswith("comind: started a daemon in ")
    assert captured.out == ""
