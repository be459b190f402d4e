"""What does a daemon take to start, and at rest?

    benchmarks/daemon.py --nodes 3 --seconds 20

Starts a network of daemons without trainers through the command line, as a person would, and prints the
time from `comind node` to its ready line, the resident memory, and the share of a core that each takes while
nothing happens. Knows nothing of rounds.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from scripts.local.cities import CITIES  # noqa: E402
from scripts.local.ports import free_pairs  # noqa: E402

COMIND = [sys.executable, "-m", "comind.node.cli.main"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20)
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="comind-daemon-") as folder:
        _measure(Path(folder), flags.nodes, flags.seconds)


def _measure(folder: Path, nodes: int, seconds: float) -> None:
    homes = [folder / city for city in CITIES[:nodes]]
    addresses = [f"tcp://127.0.0.1:{port}" for port in free_pairs(nodes, os.getpid())]
    _run("init", "--home", str(homes[0]), "--name", homes[0].name, "--listen", addresses[0])
    daemons, starts = [], []
    try:
        for home, address in zip(homes, addresses, strict=True):
            daemon, start_s = _start(home, address, homes[0] / "invite")
            daemons.append(daemon)
            starts.append(start_s)
        time.sleep(3)  # they link and are admitted
        before = [_cpu_s(daemon.pid) for daemon in daemons]
        time.sleep(seconds)
        shares = [
            (_cpu_s(daemon.pid) - began) / seconds for daemon, began in zip(daemons, before, strict=True)
        ]
        memory = [_rss_mb(daemon.pid) for daemon in daemons]
    finally:
        for daemon in daemons:
            daemon.send_signal(signal.SIGTERM)
        for daemon in daemons:
            daemon.wait()
    print(f"from `comind node` to ready: {_spread(starts)} s")
    print(f"memory at rest, with {nodes - 1} links: {_spread(memory)} MB")
    print(f"a core at rest: {_spread([100 * share for share in shares])} %")


def _start(home: Path, address: str, invite: Path) -> tuple["subprocess.Popen[str]", float]:
    arguments = ["node", "--home", str(home), "--name", home.name, "--listen", address]
    arguments += [] if home == invite.parent else ["--invite-file", str(invite)]
    began = time.perf_counter()
    daemon = subprocess.Popen([*COMIND, *arguments], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert daemon.stdout is not None
    for line in daemon.stdout:
        if line.startswith("ready"):
            return daemon, time.perf_counter() - began
    raise SystemExit("a daemon did not start")


def _run(*arguments: str) -> None:
    subprocess.run([*COMIND, *arguments], check=True, stdout=subprocess.DEVNULL, cwd=ROOT)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
