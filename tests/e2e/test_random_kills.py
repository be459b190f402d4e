"""Any process may be killed at any time: training goes on, nothing is lost or counted twice (R16, S1, S4)."""

import os
from collections import defaultdict
from pathlib import Path
from random import Random

from comind.node.trainer.rebase import MAX_CARRY
from comind.p2p.core.effects import Memory
from comind.p2p.core.messages import Block, Header
from comind.p2p.core.wire import read
from comind.p2p.core.words import Settings
from tests.e2e.numpy_trainer import EXAMPLES
from tests.e2e.real_network import Node, RealNetwork

KILLS = int(os.environ.get("COMIND_KILLS", "6"))


def test_random_processes_are_killed_and_training_goes_on(tmp_path: Path) -> None:
    chance = Random(KILLS)
    with RealNetwork(tmp_path, 4, Settings(start_at=4)) as network:
        network.start_all()
        network.wait(lambda: _voters(network.nodes[0]) >= 3, "three members vote")
        network.wait_for_round(1)
        for _ in range(KILLS):
            _kill_one(network, chance.choice(network.nodes), chance)
        network.end_training()
        network.stop_daemons()
        memories = [network.memory(node) for node in network.nodes]
    assert len({tuple(one.block for one in memory.chain) for memory in memories}) == 1
    no_step_is_lost_or_counted_twice(memories[0])


def test_the_founder_is_killed_for_good_and_training_goes_on(tmp_path: Path) -> None:
    with RealNetwork(tmp_path, 4, Settings(start_at=4)) as network:
        network.start_all()
        founder, *others = network.nodes
        network.wait(lambda: _voters(others[0]) >= 3, "three members vote")
        network.wait_for_round(1)
        assert founder.daemon is not None
        founder.daemon.kill()
        founder.daemon = None
        now = max(network.round_of(node) for node in others)
        network.wait_for_round(now + 3, *others)
        network.end_training()


def test_a_daemon_that_is_killed_before_training_began_finds_its_trainer_waiting(tmp_path: Path) -> None:
    with RealNetwork(tmp_path, 3, Settings(start_at=3)) as network:
        network.start_daemons()
        first, second, third = network.nodes
        network.train(first)
        network.train(second)
        network.wait(lambda: _trains(first) and _trains(second), "two trainers wait for the third")
        assert second.daemon is not None
        second.daemon.kill()
        network.start(second)
        network.train(third)
        network.wait_for_round(2)
        network.end_training()


def no_step_is_lost_or_counted_twice(memory: Memory) -> None:
    """Within a run, each counted contribution begins where the one before ended, and weighs what it trained.

    Of a long absence it weighs the newest steps alone: its own interval's, and those that may be carried.
    """
    last: dict[bytes, int] = defaultdict(int)
    for committed in memory.chain:
        block = read(Block, committed.block)
        for signed in block.headers if block.rule == "mean" else ():
            header = read(Header, signed.header)
            assert header.first_step == last[header.run]
            steps = header.last_step - header.first_step
            assert header.weight == EXAMPLES * min(steps, 1 + MAX_CARRY)
            last[header.run] = header.last_step
    assert last


def _kill_one(network: RealNetwork, node: Node, chance: Random) -> None:
    others = [one for one in network.nodes if one is not node]
    before = max(network.round_of(one) for one in others)
    if chance.random() < 0.7:
        assert node.daemon is not None
        node.daemon.kill()
        network.wait_for_round(before + 1, *others)
        network.start(node)
    else:
        assert node.trainer is not None
        node.trainer.kill()
        network.wait_for_round(before + 1, *others)
        network.train(node)
    network.wait_for_round(before + 2)
    network.wait(lambda: _trains(node), f"{node.name} trains again")


def _voters(node: Node) -> int:
    status = node.status()
    return 0 if status is None else sum(member.voter for member in status.members)


def _trains(node: Node) -> bool:
    status = node.status()
    return status is not None and status.trainer in ("training", "ready")
