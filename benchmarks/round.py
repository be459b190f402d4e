"""How long does one round take, next to a plaintext all_reduce of the same size?

    benchmarks/round --members 2,4,8 --values 1000,100000,10000000 --write

For each pair of sizes a network of real daemons is started twice, with its folders on disk and in memory (the
difference is what fsync costs), and the same worker processes take turns between a comind round and a gloo
all_reduce. Everything happens on this machine, so only the ratios travel. Knows nothing of training.
"""

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from comind.crypto.invite import Invite  # noqa: E402
from comind.node.cli.ask import connect  # noqa: E402
from comind.node.daemon.founding import found  # noqa: E402
from comind.node.home import Home  # noqa: E402
from comind.p2p.core.words import Settings  # noqa: E402
from scripts.local.child import Child, end  # noqa: E402
from scripts.local.cities import CITIES  # noqa: E402
from scripts.local.ports import free_pairs  # noqa: E402

PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- made by benchmarks/round: begin -->", "<!-- made by benchmarks/round: end -->"
WARM_UP = 2
READY_S = 60.0


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds of each repetition: from the word to all workers until the last one has the average."""

    comind: list[float]
    gloo: list[float]


def main(arguments: Sequence[str] | None = None) -> int:
    flags = _flags(arguments)
    rows = [_row(members, values, flags.repeat) for values in flags.values for members in flags.members]
    table = "\n".join([_HEAD, *rows])
    print(f"\n{table}\n")
    if flags.write:
        _write(table, flags.repeat)
    return 0


_HEAD = (
    "| members × float32 | round, on disk | round, in memory | fsync | gloo all_reduce | ratio |\n"
    "|---|---|---|---|---|---|"
)


def _row(members: int, values: int, repeat: int) -> str:
    on_disk = _measure(members, values, repeat, Path(tempfile.gettempdir()))
    in_memory = _measure(members, values, repeat, Path("/dev/shm"))  # noqa: S108  a folder of its own is made there
    disk, memory = statistics.median(on_disk.comind), statistics.median(in_memory.comind)
    gloo = statistics.median(on_disk.gloo + in_memory.gloo)
    row = (
        f"| {members} × {_short(values)} | {disk:.1f} ms | {memory:.1f} ms | {disk - memory:+.1f} ms"
        f" | {gloo:.1f} ms | {disk / gloo:.1f} |"
    )
    print(row, flush=True)
    return row


def _measure(members: int, values: int, repeat: int, where: Path) -> Times:
    with _network(members, where) as homes, _workers(homes, values) as workers:
        comind, gloo = [], []
        for turn in range(WARM_UP + repeat):
            one, other = _turn(workers, "round"), _turn(workers, "gloo")
            if turn >= WARM_UP:
                comind.append(one)
                gloo.append(other)
        return Times(comind, gloo)


def _turn(workers: list["subprocess.Popen[str]"], word: str) -> float:
    began = time.perf_counter()
    for worker in workers:
        _say(worker, word)
    for worker in workers:
        _hear(worker, "done")
    return (time.perf_counter() - began) * 1_000


@contextmanager
def _network(members: int, where: Path) -> Iterator[list[Home]]:
    """Start daemons that are all linked and on the roster once their trainers are."""
    folder = Path(tempfile.mkdtemp(prefix="comind-round-", dir=where))
    homes = [Home(folder / city) for city in CITIES[:members]]
    addresses = [f"tcp://127.0.0.1:{port}" for port in free_pairs(members, os.getpid())]
    settings = Settings(start_at=members, min_peers=min(2, members))
    invite = found(homes[0], "benchmark", CITIES[0], settings, (addresses[0],), None)
    children = []
    try:
        for number, (home, address) in enumerate(zip(homes, addresses, strict=True)):
            children.append(_daemon(home, address, None if number == 0 else addresses[0], invite))
        _wait_for_sockets(homes, children)
        yield homes
    finally:
        end(children, patience_s=5)
        shutil.rmtree(folder, ignore_errors=True)


def _daemon(home: Home, address: str, seed: str | None, invite: Invite) -> Child:
    from comind.node.home import prepare, remember_invite

    prepare(home)
    remember_invite(home, Invite(invite.network, invite.key, ()))
    arguments = ["--home", str(home.path), "--name", home.path.name]
    arguments += ["--listen", address, "--advertise", address]
    arguments += ["--seed", seed] if seed else []
    return Child("comind.node.daemon", arguments, home.log_file)


def _wait_for_sockets(homes: list[Home], children: list[Child]) -> None:
    until = time.monotonic() + READY_S
    for home, child in zip(homes, children, strict=True):
        while (channel := connect(home)) is None:
            if child.exit_code() is not None or time.monotonic() > until:
                raise SystemExit(f"a daemon did not start: {child.last_words()}")
            time.sleep(0.02)
        channel.close()


@contextmanager
def _workers(homes: list[Home], values: int) -> Iterator[list["subprocess.Popen[str]"]]:
    store = free_pairs(1, os.getpid() * 7)[0]
    environ = os.environ | {"OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store)}
    workers = [
        subprocess.Popen(
            [sys.executable, __file__, "--worker", str(home.path), str(rank), str(len(homes)), str(values)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environ,
        )
        for rank, home in enumerate(homes)
    ]
    try:
        for worker in workers:
            _hear(worker, "ready")
        yield workers
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def work(home: str, rank: int, members: int, values: int) -> None:
    """Take turns on the coordinator's word: one round of comind, or one all_reduce of gloo."""
    import numpy as np
    import torch
    import torch.distributed as dist

    import comind

    peer = comind.join(home=home)
    weights = [np.full(values, rank + 1, np.float32)]
    dist.init_process_group("gloo", rank=rank, world_size=members)
    tensor = torch.full((values,), float(rank + 1))
    weights = peer.start(weights)
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() == "gloo":
            dist.all_reduce(tensor)
            tensor /= members
        else:
            result = peer.average(weights, weight=rank + 1)
            if not result.counted:
                raise SystemExit(f"not counted: {result.because}")
            weights = list(result.arrays)
        print("done", flush=True)


def _say(worker: "subprocess.Popen[str]", word: str) -> None:
    assert worker.stdin is not None
    worker.stdin.write(word + "\n")
    worker.stdin.flush()


def _hear(worker: "subprocess.Popen[str]", word: str) -> None:
    assert worker.stdout is not None
    while (line := worker.stdout.readline().strip()) != word:
        if not line and worker.poll() is not None:
            raise SystemExit("a worker ended")


def _write(table: str, repeat: int) -> None:
    page = PAGE.read_text("utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    text = (
        f"{BEGIN}\n{_cpu()}, {os.cpu_count()} cores, Python {platform.python_version()};"
        f" medians of {repeat} after {WARM_UP}.\n\n{table}\n{END}"
    )
    PAGE.write_text(before + text + after, "utf-8")


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "a CPU")


def _short(values: int) -> str:
    for unit, name in ((1_000_000, "M"), (1_000, "k")):
        if values >= unit:
            return f"{values // unit} {name}"
    return str(values)


def _flags(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    numbers = {"type": lambda text: [int(one) for one in text.split(",")]}
    parser.add_argument("--members", default=[2, 4, 8], **numbers)  # type: ignore[arg-type]
    parser.add_argument("--values", default=[1_000, 100_000, 10_000_000], **numbers)  # type: ignore[arg-type]
    parser.add_argument("--repeat", type=int, default=10, help="repetitions of each (default 10)")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.name}")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        work(sys.argv[2], *map(int, sys.argv[3:6]))
    else:
        raise SystemExit(main())
