"""How does a person in a terminal follow a daemon that runs as a child?

The daemon is in a session of its own, so that Ctrl-C reaches it once, from here, and a view that is stopped
or killed leaves it alone; what it says goes to the log in its home, and from there to the screen. Knows
nothing of rounds: the newest `Status` is drawn when it comes, and each second, since durations grow.
"""

import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from comind.node.attach import Ask, Channel, Closed, Status, StatusOf
from comind.node.cli.ask import connect
from comind.node.cli.phrases import plain
from comind.node.cli.picture import fitting
from comind.node.home import Home
from comind.node.logfile import rotate

REDRAW_S = 1.0
MIN_REDRAW_S = 0.25
"""However fast rounds go: nobody reads faster, and the machine has a model to train."""
STALE_S = 1.0
"""A status of this age is asked for anew: what changed may be only how long ago a member was heard."""
PATIENCE_OF_PEOPLE = 3
"""So many Ctrl-C end a daemon that does not end by itself."""
_MAX_LINE_BYTES = 4_096


def follow(command: Sequence[str], environ: Mapping[str, str], home: Home, console: Console) -> int:
    """Run the daemon, draw what it does until it ends, and return its exit code (128 + n for signal n)."""
    log = _Log(home.log_file)
    child = subprocess.Popen(
        command,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=log.file,
        stderr=log.file,
        start_new_session=True,
    )
    with _signals_to(child) as signals:
        try:
            with Live(console=console, auto_refresh=False, transient=True) as live:
                _draw_until_end(child, _Screen(live, log, _View(home)), signals)
        except OSError:  # the terminal is gone
            if not signals.stopping:
                child.terminate()
            return child.wait()
    code = child.returncode if child.returncode >= 0 else 128 - child.returncode
    if code:
        console.print(Text(f"the daemon ended with exit code {code}; its log: {home.log_file}", "bold"))
    return code


def _draw_until_end(child: "subprocess.Popen[bytes]", screen: "_Screen", signals: "_Signals") -> None:
    while child.poll() is None:
        screen.draw(stopping=signals.stopping > 0)
        rung = signals.wait(MIN_REDRAW_S, None)
        if not rung and (words := screen.view.fileno()) is not None:
            signals.wait(REDRAW_S - MIN_REDRAW_S, words)
        if signals.suspended:
            _suspend(screen.live)
            signals.suspended = False
    screen.clear()


@dataclass(frozen=True, slots=True)
class _Screen:
    """The terminal: the log scrolls by, the picture stays below it."""

    live: Live
    log: "_Log"
    view: "_View"

    def draw(self, stopping: bool) -> None:
        self._scroll()
        self.view.read()
        picture = self.view.picture(self.live.console)
        self.live.update(Text("stopping, and telling the others …") if stopping else picture, refresh=True)

    def clear(self) -> None:
        self._scroll()
        self.live.update(Text(""), refresh=True)

    def _scroll(self) -> None:
        if lines := list(self.log.lines()):
            self.live.console.print(Text("\n".join(lines), "dim"))


class _Log:
    """The file to which the daemon writes, and what of it was not shown yet."""

    def __init__(self, path: Path) -> None:
        rotate(path)
        self.file = open(path, "ab", opener=_private)  # noqa: SIM115  the child's for its life
        self._reading: IO[bytes] = open(path, "rb")  # noqa: SIM115
        self._reading.seek(0, os.SEEK_END)
        self._begun = b""

    def lines(self) -> Iterator[str]:
        if self._reading.tell() > os.fstat(self._reading.fileno()).st_size:
            self._reading.seek(0)  # it was long, and begins anew
        *whole, self._begun = (self._begun + self._reading.read()).split(b"\n")
        for line in whole:
            yield plain(line[:_MAX_LINE_BYTES].decode("utf-8", "replace").replace("\t", "    "))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


class _View:
    """The channel to the daemon, as soon as it listens, and the newest status with its age."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._channel: Channel | None = None
        self._status: Status | None = None
        self._heard_s = time.monotonic()
        self._asked_s = 0.0

    def fileno(self) -> int | None:
        return None if self._channel is None else self._channel.fileno()

    def read(self) -> None:
        """Take what came; connect, or connect again, where there is no channel."""
        try:
            if self._channel is None:
                self._connect()
            if self._channel is not None:
                self._take(self._channel)
        except Closed:
            self._hang_up()

    def picture(self, console: Console) -> RenderableType:
        age_s = time.monotonic() - self._heard_s
        if self._status is None:
            return Text(f"the daemon starts{'' if age_s < 3 else f', since {age_s:.0f} s'} …")
        return Group("", fitting(_aged(self._status, round(age_s * 1000)), console, console.height - 2))

    def _connect(self) -> None:
        self._channel = connect(self._home)
        if self._channel is not None:
            self._channel.send(Ask("watch"))

    def _take(self, channel: Channel) -> None:
        for word, _ in channel.arrived():
            if isinstance(word, StatusOf):
                self._status, self._heard_s = word.status, time.monotonic()
        now_s = time.monotonic()
        if now_s - max(self._heard_s, self._asked_s) > STALE_S:
            self._asked_s = now_s
            channel.send(Ask("status"))

    def _hang_up(self) -> None:
        if self._channel is not None:
            self._channel.close()
        self._channel = None


def _aged(status: Status, ms: int) -> Status:
    """The status as it is by now, when nothing was heard of since."""
    members = tuple(
        msgspec.structs.replace(member, heard_ms_ago=member.heard_ms_ago + ms)
        if member.heard_ms_ago is not None
        else member
        for member in status.members
    )
    opens_in_ms = None if status.opens_in_ms is None else max(0, status.opens_in_ms - ms)
    return msgspec.structs.replace(
        status, since_ms=status.since_ms + ms, opens_in_ms=opens_in_ms, members=members
    )


# -- signals ------------------------------------------------------------------------------------------------


class _Signals:
    """What a person pressed: stopping goes to the daemon, suspending only stops the view."""

    def __init__(self, child: "subprocess.Popen[bytes]", bell: socket.socket) -> None:
        self._child = child
        self._bell = bell
        self.stopping = 0
        self.suspended = False

    def wait(self, timeout_s: float, readable: int | None) -> bool:
        """Sleep until a signal came (True), this descriptor is readable, or the time is over."""
        watched = [self._bell.fileno()] + ([readable] if readable is not None else [])
        select.select(watched, [], [], timeout_s)
        try:
            return bool(self._bell.recv(4_096))
        except BlockingIOError:
            return False

    def forward(self, number: int, frame: FrameType | None) -> None:
        self.stopping += 1
        if self.stopping >= PATIENCE_OF_PEOPLE:
            self._child.kill()
        else:
            self._child.send_signal(signal.SIGTERM if number == signal.SIGHUP else number)

    def suspend(self, number: int, frame: FrameType | None) -> None:
        self.suspended = True

    def ignore(self, number: int, frame: FrameType | None) -> None:
        """Nothing but the wake-up."""


@contextmanager
def _signals_to(child: "subprocess.Popen[bytes]") -> Iterator[_Signals]:
    """Route this process's signals to the child; its end is a signal as well."""
    bell, rung = socket.socketpair()
    bell.setblocking(False)
    rung.setblocking(False)
    signals = _Signals(child, bell)
    handlers: dict[signal.Signals, Callable[[int, FrameType | None], None]] = {
        signal.SIGINT: signals.forward,
        signal.SIGTERM: signals.forward,
        signal.SIGHUP: signals.forward,
        signal.SIGTSTP: signals.suspend,
        signal.SIGCHLD: signals.ignore,
        signal.SIGWINCH: signals.ignore,
    }
    before_fd = signal.set_wakeup_fd(rung.fileno(), warn_on_full_buffer=False)
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(before_fd)
        bell.close()
        rung.close()


def _suspend(live: Live) -> None:
    """Ctrl-Z: give the terminal back as it was; the daemon goes on, and is shown again after `fg`."""
    live.stop()
    os.kill(os.getpid(), signal.SIGSTOP)
    live.start(refresh=True)
