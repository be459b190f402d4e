"""Is who trains 20 x slower called and counted at an adaptive door, and waited for at one for all? (R5)"""

from pathlib import Path

import pytest

from comind.p2p.core.messages import Block, Header
from comind.p2p.core.wire import read
from comind.p2p.core.words import Rule, Settings
from tests.e2e.interval_trainer import EXAMPLES, INTERVAL_STEPS
from tests.e2e.real_network import RealNetwork

STEP_S, SLOW_STEP_S = "0.004", "0.08"
WHOLE = EXAMPLES * INTERVAL_STEPS


@pytest.mark.parametrize(("door", "rounds"), [("adaptive", 8), ("all", 3)])
def test_who_trains_20_times_slower_is_counted_in_every_round_and_never_blamed(
    tmp_path: Path, door: str, rounds: int
) -> None:
    with RealNetwork(tmp_path, 4, Settings(door=door, start_at=4, rounds=rounds)) as network:
        network.start_daemons()
        *prompt, slow = network.nodes
        for node in prompt:
            network.train(node, STEP_S, module="tests.e2e.interval_trainer")
        network.train(slow, SLOW_STEP_S, module="tests.e2e.interval_trainer")
        network.wait_for_round(rounds)
        network.wait(lambda: len(network.agree()) == 1, "all nodes agree")
        status = slow.status()
        assert status is not None
        network.stop_daemons()
        chain = network.memory(slow).chain
    blocks = [block for one in chain if (block := read(Block, one.block)).rule == Rule.MEAN]
    assert len(blocks) == rounds
    mine = next(member.id for member in status.members if member.me)
    counted = [line.counted for line in status.members]
    assert counted == [rounds] * 4
    last_steps: dict[bytes, int] = {}
    for block, line in zip(blocks, [one for one in status.last_rounds if one.rule == "mean"], strict=True):
        headers = [read(Header, signed.header) for signed in block.headers]
        assert [absent.because for absent in block.absentees] == []
        weights = {short: weight for short, _, weight in line.contributors}
        came = {arrival.node for arrival in block.arrivals}
        for header in headers:
            assert header.weight == EXAMPLES * (header.last_step - header.first_step)
            assert header.first_step == last_steps.get(header.run, 0)
            last_steps[header.run] = header.last_step
        if door == "all":
            assert set(weights.values()) == {WHOLE}
            assert len(came) == len(headers) == 4
        else:
            assert 0 < weights[mine] < WHOLE
            assert len(headers) == 4
            assert {header.weight for header in headers if header.node in came} <= {WHOLE}
            assert next(header.node for header in headers if header.weight == weights[mine]) not in came
