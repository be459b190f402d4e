"""How does the command line ask the daemon of a home?

Knows nothing of how answers look. All waits end: a daemon that says nothing is said to say nothing.
"""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from shlex import quote

from comind.node.attach import (
    Ask,
    Channel,
    Closed,
    Done,
    FromDaemon,
    Refused,
    Said,
    Status,
    StatusOf,
    Waiting,
)
from comind.node.cli.errors import NoDaemon, NotDone
from comind.node.cli.phrases import plain
from comind.node.home import Home, find_home

ANSWER_S = 5.0
"""A daemon is one poll loop; it answers in milliseconds unless its machine is stuck."""


def connect(home: Home) -> Channel | None:
    """Reach the daemon of this home; None where none listens (a dead one may leave its socket behind)."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(ANSWER_S)
    try:
        connection.connect(str(home.socket_path))
    except OSError:
        connection.close()
        return None
    return Channel(connection, FromDaemon)


def status_of(home: Home) -> Status | None:
    """Ask for the status; None where no daemon runs.

    Raises:
        NotDone: a daemon is there, but does not answer.
    """
    channel = connect(home)
    if channel is None:
        return None
    with _closing(channel):
        channel.send(Ask("status"))
        for word in _words(channel, time.monotonic() + ANSWER_S):
            if isinstance(word, StatusOf):
                return word.status
    raise NotDone(f"the daemon of {home.path} does not answer: see its log, {home.log_file}")


def carry_out(home: Home, what: str, wait_s: float, say: Callable[[str], None]) -> str:
    """Ask for `stop` or `leave`, tell on the way what the daemon says, and return its last line.

    Returns once the daemon has ended, or could not be waited for any longer.

    Raises:
        NoDaemon: none runs.
        NotDone: the daemon refused, ended before it was done, or was not done in time.
    """
    channel = connect(home)
    if channel is None:
        raise NoDaemon(no_daemon(home))
    done = None
    with _closing(channel):
        channel.send(Ask(what))
        for word in _words(channel, time.monotonic() + wait_s, or_end=what == "stop"):
            match word:
                case Done(line=line):
                    done = line
                case Refused(because=because):
                    raise NotDone(plain(because))
                case Waiting(because=line) | Said(line=line):
                    say(line)
                case None:
                    done = done or "the daemon has ended"
    if done is None:
        raise NotDone(f"not done after {wait_s:.0f} s; the daemon goes on with it: comind status tells")
    return done


def decide(home: Home, ask: Ask, wait_s: float) -> str:
    """Ask for what a block must decide, and return the line that says that it did.

    Raises:
        NoDaemon: none runs.
        NotDone: it cannot be decided, or was not in time; the daemon goes on asking for it then.
    """
    channel = connect(home)
    if channel is None:
        raise NoDaemon(f"only a running node can ask the others: {no_daemon(home)}")
    with _closing(channel):
        channel.send(ask)
        for word in _words(channel, time.monotonic() + wait_s):
            match word:
                case Done(line=line):
                    return line
                case Refused(because=because):
                    raise NotDone(plain(because))
    raise NotDone(
        f"not decided after {wait_s:.0f} s: it takes a quorum, and the round that runs ends first;"
        " the daemon goes on asking for it, and comind status tells"
    )


def no_daemon(home: Home) -> str:
    """The line for who asks where nobody runs."""
    return f"no daemon runs in {home.path}; start it with: comind node{home_flag(home)}"


def home_flag(home: Home) -> str:
    """What to add to a command so that it means this home, from this shell: nothing for the usual one."""
    return "" if home == find_home(None) else f" --home {quote(str(home.path))}"


@contextmanager
def _closing(channel: Channel) -> Iterator[None]:
    try:
        yield
    except Closed as why:
        raise NotDone(f"the daemon hung up: {why}; comind status tells whether it runs") from None
    finally:
        channel.close()


def _words(channel: Channel, until: float, or_end: bool = False) -> Iterator[object]:
    """Each word that comes, until the time is over or the daemon has hung up after `Done`.

    With `or_end`, hanging up is an answer as well: None.
    """
    while (left := until - time.monotonic()) > 0:
        try:
            heard = channel.receive(left)
        except Closed:
            if not or_end:
                raise
            yield None
            return
        if heard is None:
            return
        word, _ = heard
        or_end = or_end or isinstance(word, Done)
        yield word
