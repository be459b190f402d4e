"""How quickly does a newcomer catch up, and how much does it slow the rounds that go on meanwhile?

    benchmarks/catchup.py --values 5000000 --blocks 5000 --write

A network of four real daemons takes rounds at a steady pace. In turns of a few rounds each, a reader beside
them does nothing, or fetches the base again and again from one holder, or from three at once: so all three
are measured in one run, on one machine, whose load they share. Then a chain of blocks is
verified (`chain.py`). Knows nothing of training.
"""

import argparse
import os
import platform
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import zmq  # noqa: E402

from benchmarks.chain import chain_line  # noqa: E402
from benchmarks.round import _cpu, _hear, _network, _say, _short, _turn  # noqa: E402
from comind.crypto.identity import Identity, verify  # noqa: E402
from comind.node.attach import Status  # noqa: E402
from comind.node.cli.ask import status_of  # noqa: E402
from comind.node.daemon.outgoing import Ask, Chunk, ChunkList, Grant, Refuse  # noqa: E402
from comind.node.daemon.plane import Plane  # noqa: E402
from comind.node.daemon.snapshots import Snapshots  # noqa: E402
from comind.node.daemon.transfers import Transfers  # noqa: E402
from comind.node.daemon.wakeup import now_ms  # noqa: E402
from comind.node.home import Home, recall_invite  # noqa: E402
from comind.p2p.core.effects import (  # noqa: E402
    DialFailed,
    Fetch,
    FetchFailed,
    Heard,
    Held,
    Knocked,
    LinkDown,
    LinkUp,
)
from comind.p2p.core.words import Incarnation, NetworkId, NodeId, Root  # noqa: E402
from comind.p2p.shell.addresses import parse_listen  # noqa: E402
from comind.p2p.shell.bulk import ChunkCame  # noqa: E402
from comind.p2p.shell.links import Links  # noqa: E402
from comind.p2p.shell.news import Reached, SeedFailed  # noqa: E402
from comind.p2p.shell.sockets import open_context  # noqa: E402
from scripts.local.ports import free_pairs  # noqa: E402

PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- made by benchmarks/catchup: begin -->", "<!-- made by benchmarks/catchup: end -->"
MEMBERS = 4
HOLDERS = (0, 1, 3)
"""How many give the base to the reader, in each kind of turn."""
ROUNDS_A_TURN = 5
WAIT_MS = 50
ENDING_S = 5.0


def main(arguments: Sequence[str] | None = None) -> int:
    flags = _flags(arguments)
    lines = [_HEAD]
    for values in flags.values:
        lines += _rows(values, flags.turns, flags.gap)
    chain = chain_line(flags.blocks)
    text = "\n".join(lines) + "\n\n" + chain
    print(f"\n{text}\n")
    if flags.write:
        _write(text, flags.turns, flags.gap)
    return 0


_HEAD = (
    "| float32 | the reader fetches from | a round | next to nobody | reader, beside rounds | alone |\n"
    "|---|---|---|---|---|---|"
)


# -- rounds, and a reader beside them -----------------------------------------------------------------------


def _rows(values: int, turns: int, gap_s: float) -> Iterator[str]:
    """Take turns of rounds with 0, 1 and 3 holders read from; the order of kinds changes with each turn."""
    rounds: dict[int, list[float]] = {count: [] for count in HOLDERS}
    speeds: dict[int, list[float]] = {count: [] for count in HOLDERS}
    alone: dict[int, float] = {}
    with (
        _network(MEMBERS, Path(tempfile.gettempdir())) as homes,
        _workers(homes, values) as workers,
        _reader(homes, values) as reader,
    ):
        for _ in range(2):
            _turn(workers, "round")
        for turn in range(turns):
            for count in HOLDERS[turn % len(HOLDERS) :] + HOLDERS[: turn % len(HOLDERS)]:
                _say(reader, f"go {count}")
                for _ in range(ROUNDS_A_TURN):
                    time.sleep(gap_s)
                    rounds[count].append(_turn(workers, "round"))
                speeds[count].append(_stop(reader))
        for count in HOLDERS[1:]:
            _say(reader, f"go {count}")
            time.sleep(max(2.0, gap_s))
            alone[count] = _stop(reader)
    before = statistics.median(rounds[0])
    for count in HOLDERS:
        median = statistics.median(rounds[count])
        yield (
            f"| {_short(values)} | {count or 'nobody'} | {median:.0f} ms | {median / before:.2f}"
            f" | {f'{statistics.median(speeds[count]):.0f} MB/s' if count else ''}"
            f" | {f'{alone[count]:.0f} MB/s' if count else ''} |"
        )


def _stop(reader: "subprocess.Popen[str]") -> float:
    """Return with how many MB/s it read since it was told to go."""
    _say(reader, "stop")
    assert reader.stdout is not None
    word, size, seconds = reader.stdout.readline().split()
    assert word == "read"
    return int(size) / 1e6 / float(seconds)


@contextmanager
def _workers(homes: list[Home], values: int) -> Iterator[list["subprocess.Popen[str]"]]:
    with _children([["--worker", str(home.path), str(values)] for home in homes]) as children:
        yield children


@contextmanager
def _reader(homes: list[Home], values: int) -> Iterator["subprocess.Popen[str]"]:
    with _children([["--reader", str(values), *(str(home.path) for home in homes)]]) as children:
        yield children[0]


@contextmanager
def _children(arguments: list[list[str]]) -> Iterator[list["subprocess.Popen[str]"]]:
    children = [
        subprocess.Popen(
            [sys.executable, __file__, *each], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for each in arguments
    ]
    try:
        for child in children:
            _hear(child, "ready")
        yield children
    finally:
        for child in children:
            assert child.stdin is not None
            child.stdin.close()
            try:
                child.wait(ENDING_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def work(home: str, values: int) -> None:
    """Take part in one round on each word of the coordinator."""
    import numpy as np

    import comind

    peer = comind.join(home=home)
    weights = peer.start([np.full(values, 1, np.float32)])
    print("ready", flush=True)
    for _ in sys.stdin:
        result = peer.average(weights, weight=1)
        if not result.counted:
            raise SystemExit(f"not counted: {result.because}")
        weights = list(result.arrays)
        print("done", flush=True)


class Reader:
    """Links and a data plane, and no member: it asks for bytes and says nothing else."""

    def __init__(self, homes: list[Home], values: int, folder: Path) -> None:
        invite = recall_invite(homes[0])
        assert invite is not None
        self._homes, self._values = homes, values
        identity, network = Identity.from_secret(secrets.token_bytes(32)), NetworkId(invite.network)
        self._snapshots = Snapshots(folder)
        self._plane = Plane(Transfers(network, identity, verify, self._snapshots, now_ms))
        listen = parse_listen(f"tcp://127.0.0.1:{free_pairs(1, os.getpid() * 3)[0]}")
        self._links = Links(identity, network, invite.key, Incarnation(1 << 32), open_context(), listen)
        self._poller = zmq.Poller()
        self._links.register(self._poller)
        self._poller.register(self._plane.wakeup.fileno(), zmq.POLLIN)
        self._poller.register(sys.stdin.fileno(), zmq.POLLIN)
        self._linked: dict[NodeId, None] = {}
        self._holders = 0
        self._root: Root | None = None
        self._bytes, self._began_s = 0, 0.0
        for home in homes:
            address = next(one.addresses[0] for one in _status(home).members if one.name == home.path.name)
            self._links.dial_seed(address)

    def run(self) -> None:
        while len(self._linked) < len(self._homes):
            self._turn()
        print("ready", flush=True)
        while True:
            self._turn()

    def _turn(self) -> None:
        wait_ms = self._links.wake_at_ms()
        left = WAIT_MS if wait_ms is None else max(0, wait_ms - now_ms())
        ready = {one for one, _ in self._poller.poll(min(left, WAIT_MS))}
        if sys.stdin.fileno() in ready:
            self._obey(sys.stdin.readline().split())
        for one in self._links.collect(now_ms()):
            match one:
                case LinkUp() | LinkDown():
                    self._linked[one.peer] = None
                    self._plane.link(one)
                case Heard() | DialFailed() | Reached() | Knocked() | SeedFailed():
                    pass
                case _:
                    self._bytes += len(one.sealed) if isinstance(one, ChunkCame) else 0
                    self._plane.hear(one, self._links)
        for output in self._plane.collect():
            match output:
                case Ask() | Grant() | ChunkList() | Chunk() | Refuse():
                    self._plane.say(output, self._links)
                case Held():
                    gone = self._snapshots.held()
                    self._snapshots.forget(gone)
                    self._snapshots.keep(frozenset(), gone)
                    self._begin()
                case FetchFailed():
                    self._begin()

    def _obey(self, words: list[str]) -> None:
        match words:
            case ["go", count]:
                self._holders, self._bytes, self._began_s = int(count), 0, time.perf_counter()
                self._begin()
            case []:  # the coordinator is gone
                raise SystemExit
            case ["stop"]:
                print("read", self._bytes, time.perf_counter() - self._began_s, flush=True)
                self._holders = 0
                self._begin()

    def _begin(self) -> None:
        """Fetch the base of now, anew."""
        if self._root is not None:
            self._plane.do(Fetch(self._root, self._values, ()))
        self._root = None
        if self._holders:
            self._root = Root(bytes.fromhex(_status(self._homes[0]).digest))
            self._plane.do(Fetch(self._root, self._values, tuple(self._linked)[: self._holders]))


def _status(home: Home) -> Status:
    status = status_of(home)
    assert status is not None, "a daemon does not answer"
    return status


def _write(text: str, turns: int, gap_s: float) -> None:
    page = PAGE.read_text("utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    told = (
        f"{BEGIN}\n{_cpu()}, {os.cpu_count()} cores, Python {platform.python_version()}; {MEMBERS} members,"
        f" {turns} turns of {ROUNDS_A_TURN} rounds of each kind, {gap_s:g} s between rounds.\n\n{text}\n{END}"
    )
    PAGE.write_text(before + told + after, "utf-8")


def _numbers(text: str) -> list[int]:
    return [int(one) for one in text.split(",")]


def _flags(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--values", default=[5_000_000], type=lambda text: [int(one) for one in text.split(",")]
    )
    parser.add_argument("--turns", type=int, default=6, help="of each kind (default 6)")
    parser.add_argument("--gap", type=float, default=0.5, help="seconds between two rounds (default 0.5)")
    parser.add_argument("--blocks", type=int, default=5_000, help="of the chain (default 5000)")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.name}")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        work(sys.argv[2], int(sys.argv[3]))
    elif sys.argv[1:2] == ["--reader"]:
        with tempfile.TemporaryDirectory(prefix="comind-reader-") as own:
            Reader([Home(Path(path)) for path in sys.argv[3:]], int(sys.argv[2]), Path(own)).run()
    else:
        raise SystemExit(main())
