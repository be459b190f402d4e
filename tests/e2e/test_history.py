"""Can what a real network did be looked into afterwards?"""

from pathlib import Path

from comind.node.daemon.founding import identity_of
from comind.node.daemon.journal import Start, encode, read, segments_in
from comind.node.daemon.replaying import replay
from comind.p2p.core.effects import Commit, Heard
from comind.p2p.core.words import Settings
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
