"""What the tests of the command line share: a home, and a daemon that is none."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from comind.node.cli.main import run
from comind.node.home import Home, find_home, prepare
from tests.unit.cli.fake_daemon import Answers, FakeDaemon

Comind = Callable[..., tuple[int, str, str]]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """The home that commands use when no other is given: made, and empty."""
    monkeypatch.setenv("COMIND_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("COMIND_INVITE", raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("COLUMNS", raising=False)
    found = find_home(None)
    prepare(found)
    return found


@pytest.fixture
def comind(home: Home, capsys: pytest.CaptureFixture[str]) -> Comind:
    """Run a command in this process; gives its exit code, standard output and standard error."""

    def command(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return int(code), said.out, said.err

    return command


@pytest.fixture
def daemon(home: Home) -> Iterator[Callable[[Answers], FakeDaemon]]:
    """Start a fake daemon with these answers in the home."""
    started: list[FakeDaemon] = []

    def start(answers: Answers) -> FakeDaemon:
        started.append(FakeDaemon(home, answers))
        return started[-1]

    yield start
    for each in started:
        each.close()
