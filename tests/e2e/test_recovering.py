"""Does a network of real processes go on whose quorum is gone for good? (R18)"""

from pathlib import Path

from comind.crypto.invite import Invite, encode
from comind.crypto.keyfile import write_secret_file
from comind.node.home import recall_invite
from comind.p2p.core.words import Settings
from scripts.local.child import Child
from tests.e2e.command import comind, status_json
from tests.e2e.real_network import Node, RealNetwork
from tests.e2e.test_joining import start, status_of


def test_a_survivor_founds_the_network_anew_and_another_comes_after_it(tmp_path: Path) -> None:
    with RealNetwork(tmp_path, 2, Settings(start_at=2)) as network:
        first, second = network.nodes
        start(network, first, second)
        network.wait(lambda: all(one.voter for one in status_of(second).members), "both vote")
        refused = comind("recover", "--yes", "--wait", "2", "--home", second.home.path)
        line = "comind: a quorum of the voters answers: there is nothing to recover\n"
        assert (refused.code, refused.err) == (4, line)
        assert second.status() is not None, "its daemon goes on"

        assert first.trainer is not None
        assert second.trainer is not None
        first.trainer.kill()
        first.trainer.wait()
        network.wait(lambda: len(network.agree()) == 1, "both hold the same")
        lose(first)
        before = status_of(second)
        lose(second)
        ran = comind("recover", "--yes", "--wait", "1", "--home", second.home.path)
        assert (ran.code, ran.err) == (0, "")
        assert 'Founded network "test" anew' in ran.out
        invite = recall_invite(second.home)
        assert invite is not None
        assert invite.network != network.invite.network
        assert invite.key != network.invite.key
        kept = second.home.path / f"network-{network.invite.network.hex()[:8]}"
        assert {one.name for one in kept.iterdir()} >= {"store.db", "invite", "snapshots"}

        run(second)
        network.wait(lambda: second.status() is not None, "it is back")
        told = status_json(second.home)
        assert (told["network_id"], told["parent"]) == (invite.network.hex(), network.invite.network.hex())
        assert (told["round"], told["digest"]) == (before.round, before.digest)
        assert [one["name"] for one in told["members"]] == [second.name]

        run(first)
        network.wait(lambda: first.status() is not None, "the founder is back, in the old network")
        assert status_of(first).network_id == network.invite.network.hex()
        lose(first)
        handed = tmp_path / "handed.invite"
        wire = encode(Invite(invite.network, invite.key, (second.address,))) + "\n"
        write_secret_file(handed, wire.encode())
        run(first, "--invite-file", str(handed))
        network.wait(lambda: len(status_of(second).members) == 2, "it has moved over")
        network.train(first, "0.1")
        network.wait_for_round(before.round + 2)
        assert [one.counted for one in status_of(second).members] == [2, 2]
        assert second.trainer.exit_code() is None, "it has gone on with its run"
        log = (second.home.path / "trainer.log").read_text()
        assert "dropped" not in log


def run(node: Node, *arguments: str) -> None:
    """Start a node's daemon as its folder has it."""
    given = ["--home", str(node.home.path), "--listen", node.address, "--advertise", node.advertised]
    node.daemon = Child("comind.node.daemon", [*given, *arguments], node.home.log_file)


def lose(node: Node) -> None:
    assert node.daemon is not None
    node.daemon.kill()
    node.daemon.wait()
    node.daemon = None
