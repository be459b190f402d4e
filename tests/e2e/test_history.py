"""Can what a real network did be looked into afterwards?"""

import json
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
from tests.e2e.command import comind
from tests.e2e.real_network import Node, RealNetwork


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
            assert heights == sorted(set(heights))
            missing = set(range(heights[0], len(blocks))) - set(heights)
            assert len(missing) <= (2 if node is victim else 0)  # a killed process loses its last turn
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
        of_three = replayed("--height", "3", *homes).stdout.partition("\n\n")[2].splitlines()
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


def test_rounds_are_told_and_verified_beside_running_daemons_and_without(tmp_path: Path) -> None:
    with RealNetwork(tmp_path, 3, Settings(start_at=3)) as network:
        first, victim, last = network.nodes
        network.start_daemons()
        for node in network.nodes:
            network.train(node, "0.1")
        network.wait_for_round(2)
        assert victim.daemon is not None
        victim.daemon.kill()
        victim.daemon.wait()
        gone = network.round_of(first) + 2
        network.wait_for_round(gone, first, last)
        network.start(victim)
        network.wait(lambda: victim.name in counted(first)[-1], "it is counted again")
        for command in (("verify",), ("rounds",), ("show", "1")):
            ran = comind(*command, "--home", first.home.path)
            assert (ran.code, ran.err) == (0, ""), ran.out
        network.end_training()
        network.stop_daemons()

        for node in network.nodes:
            ran = comind("verify", "--home", node.home.path)
            assert (ran.code, ran.err) == (0, ""), ran.out
            assert "is the one in this node's invite" in " ".join(ran.out.split())
        told = {comind("rounds", "--home", node.home.path).out for node in network.nodes}
        assert len({text.replace(str(tmp_path), "").split("comind show")[0] for text in told}) == 1
        absent = next(number for number, names in enumerate(counted(first), 1) if victim.name not in names)
        seen = [comind("show", str(absent), "--home", node.home.path).out for node in network.nodes]
        assert all("Counted next in round " in text for text in seen)
        assert all("No step since it was last counted is missing." in " ".join(text.split()) for text in seen)


def counted(node: Node) -> list[set[str]]:
    """Return the names that each round counts, by `comind rounds --json`."""
    ran = comind("rounds", "--json", "--home", node.home.path)
    assert (ran.code, ran.err) == (0, "")
    return [
        {one["who"]["name"] for one in round["counted"]}
        for round in json.loads(ran.out)["rounds"]
        if round["round"]
    ]


def replayed(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scripts.history.main", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
