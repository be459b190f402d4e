"""Does a network that is founded anew go on where its parent ended, and count nothing twice? (R16, R18)"""

import pytest
from msgspec.structs import replace

from comind.p2p.core.chain import Chain, genesis_committed
from comind.p2p.core.errors import ConfigError
from comind.p2p.core.messages import MAX_BLOCK_BYTES, MAX_PAST, Block, Past
from comind.p2p.core.recovery import founded_anew, past_of, why_not_moving
from comind.p2p.core.wire import block_hash, pack, read
from comind.p2p.core.words import NetworkId, Rule, RunId, Settings
from tests.unit.core.build import (
    address,
    append,
    certified,
    copy_of,
    founded,
    header,
    name,
    node,
    roster_block,
    signed_header,
    stub_verify,
)
from tests.unit.core.test_chain import refusal
from tests.unit.core.test_standing import allow, decide, deny


def average(chain: Chain, *who: int, root: bytes = b"\x01" * 32) -> Chain:
    headers = tuple(signed_header(chain, node(number)) for number in who)
    return append(chain, roster_block(chain, rule=Rule.MEAN, headers=headers, root=root))


def anew(chain: Chain, founder: int = 2) -> Chain:
    """Return the chain of the network that this member founds from here."""
    wire = founded_anew(chain, node(founder), name(founder), address(founder))
    again = Chain(NetworkId(block_hash(wire)))
    again.append(genesis_committed(wire), stub_verify)
    return again


def test_r18_it_has_its_parent_s_name_settings_base_and_averages_and_one_voter() -> None:
    chain = average(average(founded(settings=Settings(rounds=9)), 0, 1, 2), 0, 1, root=b"\x02" * 32)
    again = anew(chain)
    assert (again.name, again.settings, again.round) == (chain.name, chain.settings, 2)
    assert (again.root, again.size, again.schema, again.layout) == (
        (chain.root, chain.size, chain.schema, chain.layout)
    )
    assert again.roster.nodes() == again.roster.voters() == (node(2),)
    assert again.network != chain.network
    assert again.parent is not None
    assert (again.parent.network, again.parent.height, again.parent.block) == (chain.network, 2, chain.head)
    assert again.parent.voters == (node(2), node(0), node(1))


def test_r16_what_the_parent_counted_is_not_counted_again() -> None:
    chain = average(founded(settings=Settings(min_peers=1)), 0, 1, 2)
    again = anew(chain)
    assert dict(again.runs) == dict(chain.runs)
    assert {one: (it.run, it.last_step) for one, it in again.counted.items()} == (
        {one: (it.run, it.last_step) for one, it in chain.counted.items()}
    )
    run = RunId(header(chain, node(2)).run)
    twice = signed_header(again, node(2), run=run, first_step=0, last_step=chain.runs[run])
    block = roster_block(again, rule=Rule.MEAN, headers=(twice,), root=b"\x03" * 32)
    assert "counts steps again" in refusal(again, certified(again, block))
    average(again, 2)


def test_r18_a_network_that_was_founded_anew_twice_still_knows_all_runs() -> None:
    chain = average(founded(settings=Settings(min_peers=1)), 0, 1, 2)
    once = average(anew(chain), 2)
    twice = anew(once)
    assert dict(twice.runs) == dict(once.runs)
    assert twice.round == 2
    assert twice.runs[RunId(header(chain, node(0)).run)] > 0


def test_the_newest_runs_go_along_and_fit_a_block() -> None:
    chain = average(average(founded(settings=Settings(min_peers=1)), 0), 1)
    assert [past.node for past in past_of(chain)] == [node(1), node(0)]
    again = anew(chain)
    many = tuple(Past(node(1), number.to_bytes(16), 2**53) for number in range(MAX_PAST))
    assert again.parent is not None
    genesis = replace(again.blocks[0], recovers=replace(again.parent, counted=many))
    wire = pack(genesis)
    assert len(wire) < MAX_BLOCK_BYTES
    assert read(Block, wire) == genesis


def test_who_is_let_in_goes_along() -> None:
    chain = founded(settings=Settings(admission="list"))
    decide(chain, deny(chain, 8))
    decide(chain, allow(chain, 9))
    again = anew(chain)
    barred = {number: again.standing.why_barred(node(number), again.settings) for number in (0, 1, 7, 8, 9)}
    assert barred == {0: None, 1: None, 7: "not allowed yet", 8: barred[8], 9: None}
    assert str(barred[8]).startswith("denied by ")
    assert again.decisions == []


def test_only_a_member_founds_anew() -> None:
    with pytest.raises(ConfigError, match="no member"):
        founded_anew(founded(), node(9), name(9), ())


def test_only_a_first_block_goes_on_from_a_network() -> None:
    chain = founded()
    parent = anew(chain).parent
    block = roster_block(chain, [allow(chain, 9)], recovers=parent)
    assert "says what only genesis can" in refusal(chain, certified(chain, block))


def test_r18_who_has_the_parent_block_can_move_and_nobody_else() -> None:
    chain = average(founded(), 0, 1, 2)
    ahead, behind = average(copy_of(chain), 0, 1), founded()
    genesis = anew(chain).blocks[0]
    assert why_not_moving(genesis, chain) is None
    assert why_not_moving(genesis, ahead) is None
    assert why_not_moving(genesis, behind) == (
        "it goes on from block 1, and this node has blocks up to 0 only"
    )
    forked = average(founded(), 0, 1)
    assert why_not_moving(genesis, forked) == "it goes on from another block 1 than this node's"
    for other in (founded(settings=Settings(rounds=3)), chain):
        unrelated = other.blocks[0]
        assert why_not_moving(unrelated, chain) == "it does not go on from this home's network"
