"""Can what a real network did be looked into afterwards?"""

import re
import subprocess
import sys
import zlib
from pathlib import Path

import msgspec

from comind.node.daemon.founding import identity_of
from comind.node.daemon.journal import MAGIC, Start, Stepped, encode, read, segments_in
from comind.node.daemon.replaying import replay
from comind.p2p.core.effects import Commit, Heard
from comind.p2p.core.words import Settings
from scripts.local.child import ROOT
from tests.e2e.real_network import RealNetwork


def test_what_real_daemons_did_the_core_does_again(tmp_path: Path) -> None:
    with RealNetwork(tmp_path, 3, Settings(start_at=3)) as network:
        network.start_all()
        network.wait_for_round(3)
        victim = network.nodes[1]
        assert victim.daemon is not None
        victim.daemon.kill()
        victim.daemon.wait()
        network.wait_for_round(network.round_of(network.nodes[0]) + 2, network.nodes[0], network.nodes[2])
        network.start(victim)
        network.wait_for_round(network.round_of(network.nodes[0]) + 2)
        network.end_training()
        network.stop_daemons()
        for node in network.nodes:
            segments = segments_in(node.home.journal)
            assert len(segments) == (2 if node is victim else 1)
            blocks = network.memory(node).chain
            played = [one for segment in segments for one in replay(read(segment), blocks)]
            assert sum(isinstance(one.event, Heard) for one in played) > 50
            heights = [
                action.height for one in played for action in one.step.actions if isinstance(action, Commit)
            ]
            assert heights == list(range(heights[0], len(blocks)))
            noted = b"".join(encode(record) for segment in segments for record in read(segment))
            assert network.invite.key not in noted
            assert identity_of(node.home).secret() not in noted
            start = next(read(segments[-1]))
            assert isinstance(start, Start)
            assert start.me.name == node.name
        homes = [node.home.path for node in network.nodes]
        told = replayed(*homes)
        assert (told.returncode, told.stderr) == (0, "")
        assert told.stdout.startswith("3 nodes, 4 starts, ")
        for node in network.nodes:
            assert f"{node.name}  " in told.stdout
        last = replayed("--last", "5", *homes).stdout.rstrip().split("\n")
        assert last[-5:] == told.stdout.rstrip().split("\n")[-5:]
        of_three = replayed("--height", "3", *homes).stdout.split("\n")[4:-1]
        assert {line.split()[1] for line in of_three} == {"3"}

        segment = segments_in(network.nodes[0].home.journal)[0]
        start, *steps = read(segment)
        spoilt = [msgspec.structs.replace(one, wake_at_ms=1) for one in steps if isinstance(one, Stepped)]
        segment.write_bytes(MAGIC + zlib.compress(b"".join(map(encode, [start, *spoilt]))))
        told = replayed(*homes)
        assert told.returncode == 1
        assert re.fullmatch(r"replay: Lima: \S+, record 1, Woken: it would be woken at .*\n", told.stderr)
        for given, line in {
            tmp_path / "nowhere": "holds no journal: give a node's folder",
            network.nodes[0].home.store_file: "no journal of this version",
        }.items():
            told = replayed(given)
            assert (told.returncode, told.stdout, told.stderr.count("\n")) == (2, "", 1)
            assert line in told.stderr


def replayed(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scripts.history.main", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
