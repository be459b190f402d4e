"""How are processes started that cannot outlive the runner, and what do they take?

Each is in a session of its own, so that Ctrl-C reaches the runner alone; the runner ends them, and on Linux
the kernel does where the runner was killed. Knows nothing of what they run.
"""

import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1
_LAST_LINES = 5
_PAUSE_S = 0.01
_PIPE_BYTES = 1 << 16


class Child:
    """One process. What it says goes to its log; standard output can come to the runner instead."""

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        log: Path,
        *,
        reports: bool = False,
        hears: bool = False,
        environ: Mapping[str, str] | None = None,
        inside: Sequence[str] = (),
    ) -> None:
        """Start `python -m module` with these arguments: anyone can read them, so they hold no secret.

        `hears`: what is given to `tell` comes on its standard input. `environ` is added to its environment;
        `inside` is a command that becomes the one after it, such as `ip netns exec NAME`.
        """
        self.log = log
        with open(log, "ab") as file:
            self._process = subprocess.Popen(
                [*inside, sys.executable, "-m", module, *arguments],
                cwd=ROOT,
                env=_environ(os.environ) | dict(environ or {}),
                stdin=subprocess.PIPE if hears else subprocess.DEVNULL,
                stdout=subprocess.PIPE if reports else file,
                stderr=file,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # the runner has one thread
            )
        self._peak_bytes = 0

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def pipe(self) -> int:
        """The file descriptor on which its standard output arrives."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def read(self) -> bytes:
        """Return what came on it; empty at its end."""
        return os.read(self.pipe, _PIPE_BYTES)

    def tell(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        self._process.stdin.flush()

    def send_signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        return self._process.wait()

    def exit_code(self) -> int | None:
        """None while it runs; below 0, the signal that ended it."""
        return self._process.poll()

    def peak_bytes(self) -> int:
        """Return the most memory that it had resident, as far as was seen; 0 if the system does not tell."""
        self._peak_bytes = max(self._peak_bytes, _peak_bytes(self.pid))
        return self._peak_bytes

    def kill(self) -> None:
        """SIGKILL; returns when it is dead."""
        self._process.kill()
        self._process.wait()

    def terminate(self) -> None:
        self._process.terminate()

    def close(self) -> None:
        for pipe in (self._process.stdout, self._process.stdin):
            if pipe is not None:
                pipe.close()

    def last_words(self) -> str:
        """Return the end of its log, on one line."""
        lines = self.log.read_text("utf-8", "replace").splitlines()
        return " | ".join(line.strip() for line in lines[-_LAST_LINES:]) or "it said nothing"


def end(children: Iterable[Child], patience_s: float) -> list[Child]:
    """Ask them all to end, and kill whoever has not in time; return these."""
    running = [child for child in children if child.exit_code() is None]
    for child in running:
        child.terminate()
        child.send_signal(signal.SIGCONT)  # who is stopped hears nothing
    until_s = time.monotonic() + patience_s
    while running and time.monotonic() < until_s:
        time.sleep(_PAUSE_S)
        running = [child for child in running if child.exit_code() is None]
    for child in running:
        child.kill()
    return running


def _environ(ours: Mapping[str, str]) -> dict[str, str]:
    """Nothing of a network that this user may be in, and one thread for each process."""
    environ = {name: value for name, value in ours.items() if not name.startswith("COMIND_")}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return environ | threads | {"PYTHONUNBUFFERED": "1"}


def _die_with_parent() -> None:
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _peak_bytes(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    except OSError:
        return 0  # it ended, or this system has no /proc
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return 1024 * int(found[1]) if found else 0
