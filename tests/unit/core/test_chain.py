"""May this block come next? Every way in which it may not, with its reason (R1, R2, R8, R15, R16, S4)."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from comind.crypto.identity import Identity
from comind.crypto.identity import verify as verify_ed25519
from comind.p2p.core.chain import Chain, Counted, genesis, genesis_committed, schema_hash
from comind.p2p.core.errors import PeerMisbehaved
from comind.p2p.core.messages import (
    Absentee,
    Admit,
    Block,
    CanLead,
    Certificate,
    Committed,
    GiveVote,
    Move,
    Remove,
    SignedHeader,
    TakeVote,
)
from comind.p2p.core.signing import sign_header, sign_vote
from comind.p2p.core.snapshot import CHUNK_VALUES
from comind.p2p.core.wire import block_hash, pack, read
from comind.p2p.core.words import (
    GENESIS_PARENT,
    NO_ROOT,
    NO_SCHEMA,
    Height,
    NetworkId,
    NodeId,
    Rule,
    RunId,
    Settings,
)
from tests.unit.core.build import (
    BASE,
    FAR,
    LAYOUT,
    SIZE,
    UNSIGNED,
    address,
    append,
    certified,
    copy_of,
    founded,
    founding_block,
    header,
    initial_block,
    mean_block,
    name,
    node,
    nodes,
    roster_block,
    signed_header,
    stub_verify,
    vote,
)


def state_of(chain: Chain) -> tuple[object, ...]:
    """Return all that a chain says, so that two can be compared."""
    return (
        chain.height,
        chain.next,
        chain.head,
        chain.roster,
        chain.settings,
        chain.name,
        chain.round,
        chain.root,
        chain.size,
        chain.schema,
        chain.layout,
        dict(chain.runs),
        dict(chain.counted),
        chain.based_at,
        len(chain.committed),
    )


def refusal(chain: Chain, committed: Committed) -> str:
    """Return why the chain refuses this, having made sure that it is as it was."""
    before = state_of(chain)
    with pytest.raises(PeerMisbehaved) as refused:
        chain.append(committed, stub_verify)
    assert state_of(chain) == before
    return str(refused.value)


CHANGE = CanLead(node(1), can_lead=False)
STRANGER = node(99)


# -- what may come next -------------------------------------------------------------------------------------


def test_r15_a_block_without_an_average_changes_the_roster_and_keeps_the_base() -> None:
    chain = founded()
    append(chain, roster_block(chain, [Admit(node(7), "new", address(7), can_lead=False)]))
    assert chain.roster.nodes() == nodes(0, 1, 2, 7)
    assert (chain.height, chain.round, chain.root, chain.based_at) == (1, 0, BASE, 0)


def test_an_average_sets_the_base_and_counts_its_headers() -> None:
    chain = founded()
    block = mean_block(chain, nodes(0, 2), by=node(2))
    append(chain, block)
    assert (chain.height, chain.round, chain.root, chain.based_at) == (1, 1, block.root, 1)
    assert [(one.counted, one.led, one.led_at) for one in chain.roster] == [(1, 0, -1), (0, 0, -1), (1, 1, 1)]
    assert chain.runs == {RunId(b"run of " + one[:9]): 10 for one in nodes(0, 2)}
    assert set(chain.counted) == set(nodes(0, 2))
    assert chain.head == block_hash(pack(block)) == chain.hash_of(Height(1))


def test_r15_the_first_base_comes_with_its_schema_and_is_no_average() -> None:
    chain = founded(base=None)
    assert (chain.root, chain.schema) == (NO_ROOT, NO_SCHEMA)
    append(chain, initial_block(chain, node(2)))
    assert (chain.root, chain.size, chain.layout) == (BASE, SIZE, LAYOUT)
    assert chain.schema == schema_hash(LAYOUT)
    assert (chain.round, chain.based_at, chain.runs) == (0, 1, {})


def test_r15_the_first_bases_schema_is_its_headers_whatever_its_layout() -> None:
    """Else no trainer's header would ever be of this network's model."""
    chain = founded(base=None)
    first = (signed_header(chain, node(2), schema=schema_hash(b"")),)
    committed = certified(chain, initial_block(chain, node(2), headers=first, layout=b""))
    try:
        chain.append(committed, stub_verify)
    except PeerMisbehaved:
        return
    assert chain.schema == schema_hash(b"")


def test_r3_whom_a_block_skips_can_lead_no_more() -> None:
    chain = founded(voters=3)
    append(chain, mean_block(chain, nodes(0, 1), skipped=nodes(1, 2)))
    assert [one.can_lead for one in chain.roster] == [True, False, False]


def test_a_block_may_be_first_made_by_any_member_that_is_present() -> None:
    chain = founded(voters=2, witnesses=1)
    append(chain, roster_block(chain, [CHANGE], by=node(2)))
    assert chain.height == 1


def test_many_blocks_follow_each_other_and_replay_to_the_same_chain() -> None:
    chain = founded(voters=3, witnesses=1)
    append(chain, mean_block(chain, nodes(0, 1, 3)))
    append(chain, roster_block(chain, [Admit(node(8), "new", (), can_lead=False)]))
    append(chain, mean_block(chain, nodes(1, 2), by=node(1)))
    append(chain, roster_block(chain, [GiveVote(node(3), 7), Remove(node(8), "it left")]))
    append(chain, mean_block(chain, nodes(0, 1, 2, 3), by=node(3)))
    assert state_of(copy_of(chain)) == state_of(chain)
    assert chain.round == 3


def test_the_chain_verifies_with_ed25519_itself() -> None:
    founder = Identity.from_secret(b"f" * 32)
    wire = genesis(founder.node_id, "net", (), Settings(min_peers=1), "founder", base=(BASE, SIZE, LAYOUT))
    chain = Chain(NetworkId(block_hash(wire)))
    chain.append(genesis_committed(wire), verify_ed25519)
    signed = sign_header(founder, chain.network, header(chain, founder.node_id))
    block = roster_block(chain, rule=Rule.MEAN, headers=(signed,), root=b"\x01" * 32)
    commit = sign_vote(founder, chain.network, vote(chain, "commit", founder.node_id, pack(block)))
    certificate = Certificate(1, 0, block_hash(pack(block)), (commit,))
    spoilt = replace(certificate, commits=(replace(commit, signature=UNSIGNED),))
    with pytest.raises(PeerMisbehaved, match="forged"):
        chain.append(Committed(pack(block), spoilt), verify_ed25519)
    chain.append(Committed(pack(block), certificate), verify_ed25519)
    assert chain.round == 1


# -- what may not -------------------------------------------------------------------------------------------

Spoil = Callable[[Chain], Block]


def plain(**fields: Any) -> Spoil:
    return lambda chain: roster_block(chain, [CHANGE], **fields)


def averaging(*who: int, **fields: Any) -> Spoil:
    return lambda chain: mean_block(chain, nodes(*who), **fields)


def with_headers(*headers: Callable[[Chain], SignedHeader]) -> Spoil:
    return lambda chain: mean_block(chain, (), headers=tuple(make(chain) for make in headers))


def says(number: int, **fields: Any) -> Callable[[Chain], SignedHeader]:
    return lambda chain: signed_header(chain, node(number), **fields)


def forged(number: int) -> Callable[[Chain], SignedHeader]:
    return lambda chain: replace(signed_header(chain, node(number)), signature=UNSIGNED)


def respelt(number: int) -> Callable[[Chain], SignedHeader]:
    return lambda chain: replace(signed_header(chain, node(number)), header=b"\xc0")


def changing(*changes: Any) -> Spoil:
    return lambda chain: roster_block(chain, changes)


def new(number: int) -> Admit:
    return Admit(node(number), name(number), address(number), can_lead=True)


REFUSED: dict[str, tuple[Spoil, str]] = {
    # where it stands
    "of another network": (plain(network=bytes(32)), "is of another network"),
    "on another block": (plain(previous=bytes(32)), "does not follow the chain"),
    "on genesis' parent": (plain(previous=GENESIS_PARENT), "does not follow the chain"),
    "at the height before": (plain(height=0), "block 0 where 1 is next"),
    "at the height after": (plain(height=2), "block 2 where 1 is next"),
    "at the farthest height": (plain(height=FAR), f"block {FAR} where 1 is next"),
    "by a stranger": (plain(originator=STRANGER), "has an originator off the roster"),
    # what only genesis says
    "with settings": (plain(settings=Settings()), "says what only genesis can"),
    "with a name": (plain(name="net"), "says what only genesis can"),
    "a second genesis": (plain(rule=Rule.GENESIS), "a second genesis"),
    "with another codec": (plain(codec="int8"), "has another codec"),
    # who was there
    "with a stranger present": (plain(present=nodes(0, 1, 2, 99)), "lists the present wrongly"),
    "with the present out of order": (plain(present=nodes(1, 0)), "lists the present wrongly"),
    "with one present twice": (plain(present=nodes(0, 0)), "lists the present wrongly"),
    "by an absent originator": (plain(present=nodes(1, 2)), "has an absent originator"),
    "with nobody present": (plain(present=()), "has an absent originator"),
    "that skips a stranger": (plain(skipped=(STRANGER,)), "skips a stranger"),
    # R2
    "that admits a member": (changing(new(0)), "cannot be: it is on the roster already"),
    "that admits one twice": (changing(new(8), new(8)), "cannot be: it is on the roster already"),
    "that removes a stranger": (changing(Remove(STRANGER, "")), "cannot be: it is not on the roster"),
    "that removes one twice": (changing(Remove(node(3), ""), Remove(node(3), "")), "not on the roster"),
    "that gives a vote too early": (changing(GiveVote(node(3), 1)), "it was present for 1 blocks of 3"),
    "that gives a vote twice": (changing(GiveVote(node(0), 1)), "cannot be: it has a vote"),
    "that gives a newcomer a vote": (changing(new(8), GiveVote(node(8), 1)), "present for 0 blocks of 3"),
    "that takes a vote too early": (changing(TakeVote(node(2), "")), "no more than 3 vote"),
    "that takes two votes": (
        changing(Remove(node(1), ""), Remove(node(2), "")),
        "changes more than one vote",
    ),
    "that changes one member twice": (
        changing(CanLead(node(1), can_lead=False), CanLead(node(1), can_lead=True)),
        "changes a member twice",
    ),
    "that moves one member twice": (
        changing(Move(node(1), "a", ()), Move(node(1), "b", ())),
        "changes a member twice",
    ),
    # R15
    "that says nothing": (changing(), "says nothing"),
    "that changes the base": (plain(root=b"\x01" * 32), "changes the base without an average"),
    "that changes the size": (plain(size=SIZE + 1), "changes the base without an average"),
    "that brings a layout": (plain(layout=LAYOUT), "changes the base without an average"),
    "with headers and no average": (
        lambda chain: roster_block(chain, [CHANGE], headers=(signed_header(chain, node(0)),)),
        "changes the base without an average",
    ),
    # averages
    "of one, where two are the least": (averaging(0), "averages fewer than min_peers"),
    "of nobody": (averaging(), "averages fewer than min_peers"),
    "of another size": (averaging(0, 1, size=SIZE + 1), "changes the model"),
    "with a layout": (averaging(0, 1, layout=LAYOUT), "changes the model"),
    "out of roster order": (averaging(1, 0), "has contributions out of order"),
    "of one member twice": (averaging(0, 0), "has contributions out of order"),
    "of a stranger": (averaging(0, 99), "has a header of a node off the roster"),
    "of a forged header": (with_headers(says(0), forged(1)), "is forged"),
    "of a header that is none": (with_headers(says(0), respelt(1)), "not well formed"),
    "of one run twice": (
        with_headers(says(0, run=b"r" * 16), says(1, run=b"r" * 16)),
        "counts a run twice",
    ),
    # S4
    "of a header of an earlier height": (
        with_headers(says(0), says(1, height=0)),
        "header of another height",
    ),
    "of a header of a later height": (with_headers(says(0), says(1, height=2)), "header of another height"),
    "of a stale base": (with_headers(says(0), says(1, base=b"\x01" * 32)), "has a header of a stale base"),
    "of no base": (with_headers(says(0), says(1, base=NO_ROOT)), "has a header of a stale base"),
    "of another size of model": (with_headers(says(0), says(1, size=SIZE + 1)), "another model's header"),
    "of another schema": (with_headers(says(0), says(1, schema=b"\x01" * 32)), "another model's header"),
    "of no steps": (with_headers(says(0), says(1, first_step=3, last_step=3)), "has a header of no steps"),
    "of steps backwards": (with_headers(says(0), says(1, first_step=4, last_step=3)), "header of no steps"),
    "of no weight": (with_headers(says(0), says(1, weight=0)), "has a header without weight"),
    "of a weight that float64 has not": (with_headers(says(0), says(1, weight=1 << 53)), "without weight"),
    # the first base
    "that sets the first base again": (
        lambda chain: initial_block(chain, node(0)),
        "sets a first base again",
    ),
}


@pytest.mark.parametrize("wrong", REFUSED)
def test_a_block_is_refused(wrong: str) -> None:
    chain = founded(voters=3, witnesses=1)
    spoil, because = REFUSED[wrong]
    assert because in refusal(chain, certified(chain, spoil(chain)))


REFUSED_FIRST_BASES: dict[str, tuple[dict[str, Any], str]] = {
    "without a header": ({"headers": ()}, "sets a first base again"),
    "of another size than its header": ({"size": SIZE + 1}, "has another size than its header"),
    "of another schema than its header": ({"layout": b"other"}, "has another schema than its header"),
    "without a layout": ({"layout": b""}, "has another schema than its header"),
}
REFUSED_FIRST_HEADERS: dict[str, tuple[dict[str, Any], str]] = {
    "with a weight": ({"weight": 1}, "has a header of no starting weights"),
    "with steps": ({"first_step": 0, "last_step": 10}, "has a header of no starting weights"),
    "of a base": ({"base": BASE}, "has a header of no starting weights"),
    "of no values": ({"size": 0}, "has a header of no starting weights"),
    "of another height": ({"height": 3}, "has a header of another height"),
    "of a stranger": ({"node": STRANGER}, "has a header of a node off the roster"),
    "in another's name": ({"node": node(1)}, "is forged"),
}


@pytest.mark.parametrize("wrong", REFUSED_FIRST_BASES)
def test_r15_a_first_base_is_refused(wrong: str) -> None:
    chain = founded(base=None)
    fields, because = REFUSED_FIRST_BASES[wrong]
    assert because in refusal(chain, certified(chain, initial_block(chain, node(0), **fields)))


@pytest.mark.parametrize("wrong", REFUSED_FIRST_HEADERS)
def test_r15_a_first_base_is_refused_for_its_header(wrong: str) -> None:
    chain = founded(base=None)
    fields, because = REFUSED_FIRST_HEADERS[wrong]
    first = (signed_header(chain, node(0), **fields),)
    block = initial_block(chain, node(0), headers=first, size=fields.get("size", SIZE))
    assert because in refusal(chain, certified(chain, block))


def test_r15_two_first_headers_are_one_too_many() -> None:
    chain = founded(base=None)
    both = tuple(signed_header(chain, one) for one in nodes(0, 1))
    block = initial_block(chain, node(0), headers=both)
    assert "sets a first base again" in refusal(chain, certified(chain, block))


def test_there_is_no_average_before_the_first_base() -> None:
    chain = founded(base=None)
    assert "averages without a base" in refusal(chain, certified(chain, mean_block(chain, nodes(0, 1))))


def test_no_model_is_larger_than_its_chunks_can_be_named() -> None:
    """§7: bounded before it is read. 2^17 chunks of 2^18 values are the most that the wire can carry."""
    chain = founded(base=None)
    for size in (CHUNK_VALUES * (1 << 17) + 1, FAR):
        first = (signed_header(chain, node(0), size=size),)
        refusal(chain, certified(chain, initial_block(chain, node(0), headers=first, size=size)))


def test_after_the_last_round_nothing_is_averaged_but_the_roster_still_changes() -> None:
    chain = founded(settings=Settings(rounds=1))
    append(chain, mean_block(chain, nodes(0, 1)))
    assert chain.finished
    assert "after the last round" in refusal(chain, certified(chain, mean_block(chain, nodes(0, 1))))
    append(chain, roster_block(chain, [CHANGE]))


def test_under_equal_every_contribution_weighs_one() -> None:
    chain = founded(settings=Settings(weight="equal"))
    two = tuple(
        signed_header(chain, one, weight=weight) for one, weight in zip(nodes(0, 1), (1, 2), strict=True)
    )
    block = mean_block(chain, (), headers=two)
    assert "weighs what weighs equal" in refusal(chain, certified(chain, block))
    append(chain, mean_block(chain, nodes(0, 1)))


def test_who_is_counted_need_not_be_present_and_absentees_are_as_the_originator_saw_them() -> None:
    chain = founded()
    absentees = (Absentee(STRANGER, "it is a stranger"),)
    append(chain, mean_block(chain, nodes(1, 2), present=nodes(0), absentees=absentees))
    assert [one.silent for one in chain.roster] == [0, 1, 1]


@pytest.mark.parametrize("wire", [b"", b"\xc0", b"\x80", b"nonsense", bytes(2_000)])
def test_what_is_no_block_is_refused(wire: bytes) -> None:
    chain = founded()
    commits = tuple(vote(chain, "commit", voter, wire) for voter in chain.roster.voters())
    refusal(chain, Committed(wire, Certificate(1, 0, block_hash(wire), commits)))


def test_a_block_in_a_second_spelling_is_refused_though_a_quorum_signed_it() -> None:
    chain = founded()
    wire = pack(roster_block(chain, [CHANGE])).replace(b"\xa6height\x01", b"\xa6height\xcc\x01")
    commits = tuple(vote(chain, "commit", voter, wire) for voter in chain.roster.voters())
    assert "second spelling" in refusal(chain, Committed(wire, Certificate(1, 0, block_hash(wire), commits)))


# -- R16: counting ------------------------------------------------------------------------------------------

RUN = b"r" * 16


def counted_to(last_step: int) -> Chain:
    """Return a chain that counts steps (0, last_step] of RUN, by node(0)."""
    chain = founded(settings=Settings(min_peers=1))
    first = signed_header(chain, node(0), run=RUN, first_step=0, last_step=last_step)
    return append(chain, mean_block(chain, (), headers=(first,)))


@pytest.mark.parametrize(
    ("first_step", "last_step", "counts"),
    [(0, 10, False), (9, 19, False), (10, 20, True), (15, 20, True), (0, 30, False), (10, FAR, True)],
)
def test_r16_a_step_is_counted_once(first_step: int, last_step: int, counts: bool) -> None:
    chain = counted_to(10)
    after = signed_header(chain, node(0), run=RUN, first_step=first_step, last_step=last_step)
    committed = certified(chain, mean_block(chain, (), headers=(after,)))
    if counts:
        chain.append(committed, stub_verify)
        assert chain.runs[RunId(RUN)] == last_step
    else:
        assert "counts steps again" in refusal(chain, committed)


def test_r16_another_run_begins_at_its_own_first_step() -> None:
    chain = counted_to(10)
    other = signed_header(chain, node(0), run=b"s" * 16, first_step=3, last_step=5)
    append(chain, mean_block(chain, (), headers=(other,)))
    assert chain.runs == {RunId(RUN): 10, RunId(b"s" * 16): 5}
    assert chain.counted[node(0)] == Counted(RunId(b"s" * 16), 5, Height(2))


@pytest.mark.parametrize(("last_step", "counted"), [(0, False), (1, True), (10, True), (11, False)])
def test_r16_what_was_counted_is_read_from_the_chain(last_step: int, counted: bool) -> None:
    chain = counted_to(10)
    assert chain.is_counted(RunId(RUN), last_step) == counted
    assert not chain.is_counted(RunId(b"s" * 16), last_step)


def test_s4_a_header_does_not_cross_heights() -> None:
    chain = founded()
    early = tuple(signed_header(chain, one) for one in nodes(0, 1))
    append(chain, roster_block(chain, [CHANGE]))
    block = mean_block(chain, (), headers=early)
    assert "has a header of another height" in refusal(chain, certified(chain, block))


# -- genesis ------------------------------------------------------------------------------------------------


def empty_chain(wire: bytes) -> Chain:
    return Chain(NetworkId(block_hash(wire)))


def test_a_network_is_its_genesis() -> None:
    wire = genesis(node(0), "net", address(0), Settings(rounds=3), "founder", can_lead=False)
    chain = empty_chain(wire)
    assert (chain.height, chain.next, chain.finished) == (-1, 0, False)
    chain.append(genesis_committed(wire), stub_verify)
    assert (chain.height, chain.name, chain.settings) == (0, "net", Settings(rounds=3))
    assert (chain.root, chain.size, chain.round) == (NO_ROOT, 0, 0)
    [founder] = chain.roster
    assert (founder.node, founder.name, founder.addresses) == (node(0), "founder", address(0))
    assert (founder.voter, founder.can_lead, founder.admitted) == (True, False, 0)
    assert chain.roster.is_quorum(frozenset(nodes(0)))


def test_a_network_can_be_founded_with_a_base() -> None:
    wire = genesis(node(0), "net", (), Settings(), "founder", base=(BASE, SIZE, LAYOUT))
    chain = empty_chain(wire)
    chain.append(genesis_committed(wire), stub_verify)
    assert (chain.root, chain.size, chain.layout, chain.based_at) == (BASE, SIZE, LAYOUT, 0)
    assert chain.schema == schema_hash(LAYOUT)


def spoilt_genesis(**fields: Any) -> bytes:
    return pack(replace(read(Block, founding_block()), **fields))


@pytest.mark.parametrize(
    ("fields", "because"),
    [
        ({"rule": Rule.ROSTER}, "is no genesis"),
        ({"rule": Rule.MEAN}, "is no genesis"),
        ({"settings": None}, "is no genesis"),
        ({"height": 1}, "block 1 where 0 is next"),
        ({"settings": Settings(quorum="byzantine")}, "cannot join: quorum is 'byzantine'"),
        ({"settings": Settings(codec="int8")}, "cannot join: codec is 'int8'"),
        ({"settings": Settings(door="lottery")}, "cannot join: door is 'lottery'"),
        ({"settings": Settings(patience_ms=0)}, "cannot join: patience_ms is 0"),
        ({"settings": Settings(max_voters=2**64 - 1)}, "cannot join: max_voters is"),
        ({"settings": Settings(min_peers=-(2**63))}, "cannot join: min_peers is"),
    ],
)
def test_a_genesis_that_this_version_cannot_live_with_is_refused(
    fields: dict[str, Any], because: str
) -> None:
    wire = spoilt_genesis(**fields)
    assert because in refusal(empty_chain(wire), genesis_committed(wire))


def test_another_networks_genesis_is_refused() -> None:
    chain = empty_chain(founding_block())
    assert "another network's genesis" in refusal(chain, genesis_committed(founding_block(voters=2)))


@pytest.mark.parametrize("changes", [(), (new(0),), (GiveVote(node(0), 0),)])
def test_a_genesis_without_a_voter_is_refused(changes: tuple[Any, ...]) -> None:
    """With nobody on the roster there is no chief, with nobody that votes there is no second block."""
    wire = spoilt_genesis(changes=changes)
    refusal(empty_chain(wire), genesis_committed(wire))


def test_the_first_block_is_a_genesis() -> None:
    chain = founded()
    committed = certified(chain, roster_block(chain, [CHANGE]))
    fresh = Chain(chain.network)
    assert "block 1 where 0 is next" in refusal(fresh, committed)


# -- S2: certificates ---------------------------------------------------------------------------------------

Commits = Callable[[Chain, bytes], tuple[Any, ...]]


def commits(*who: int, kind: str = "commit", **fields: Any) -> Commits:
    return lambda chain, wire: tuple(vote(chain, kind, node(one), wire, **fields) for one in who)


def both(*parts: Commits) -> Commits:
    return lambda chain, wire: tuple(one for part in parts for one in part(chain, wire))


def spoilt(make: Commits, **fields: Any) -> Commits:
    return lambda chain, wire: tuple(replace(one, **fields) for one in make(chain, wire))


CERTIFICATES: dict[str, tuple[Commits, str]] = {
    "nothing": (commits(), "votes that are no quorum"),
    "one of three": (commits(0), "votes that are no quorum"),
    "one signer twice": (commits(1, 1), "votes that are no quorum"),
    "one signer twice, in two incarnations": (
        both(commits(1), commits(1, incarnation=7, promise=9)),
        "votes that are no quorum",
    ),
    "a member without a vote": (commits(0, 3), "votes that are no quorum"),
    "a stranger": (commits(0, 99), "votes that are no quorum"),
    "only those without a vote": (commits(3, 4), "votes that are no quorum"),
    "a quorum and one stranger's forgery": (
        both(commits(0, 1), spoilt(commits(99), signature=UNSIGNED)),
        "a forged vote",
    ),
    "two views": (both(commits(0), commits(1, view=1)), "a vote for something else"),
    "another view than it says": (commits(0, 1, view=1), "a vote for something else"),
    "PREPAREs": (commits(0, 1, kind="prepare"), "a vote for something else"),
    "PREPAREs passed off as COMMITs": (
        spoilt(commits(0, 1, kind="prepare"), kind="commit"),
        "a forged vote",
    ),
    "one PREPARE": (both(commits(0), commits(1, kind="prepare")), "a vote for something else"),
    "another height": (commits(0, 1, height=2), "a vote for something else"),
    "another block": (commits(0, 1, block=bytes(32)), "a vote for something else"),
    "another block, said to be this": (
        lambda chain, wire: tuple(
            replace(one, block=block_hash(wire)) for one in commits(0, 1, block=bytes(32))(chain, wire)
        ),
        "a forged vote",
    ),
    "forgeries": (spoilt(commits(0, 1), signature=UNSIGNED), "a forged vote"),
    "one forgery": (both(commits(0), spoilt(commits(1), signature=UNSIGNED)), "a forged vote"),
    "one forgery above a quorum": (
        both(commits(0, 1), spoilt(commits(2), signature=UNSIGNED)),
        "a forged vote",
    ),
    "another's signature": (
        lambda chain, wire: (
            vote(chain, "commit", node(0), wire),
            replace(vote(chain, "commit", node(0), wire), node=node(1)),
        ),
        "a forged vote",
    ),
    "another incarnation than was signed": (spoilt(commits(0, 1), incarnation=7), "a forged vote"),
    "another count than was signed": (spoilt(commits(0, 1), promise=77), "a forged vote"),
}


@pytest.mark.parametrize("of", CERTIFICATES)
def test_s2_a_certificate_is_refused_that_is_of(of: str) -> None:
    chain = founded(voters=3, witnesses=2)
    make, because = CERTIFICATES[of]
    wire = pack(roster_block(chain, [CHANGE]))
    certificate = Certificate(1, 0, block_hash(wire), make(chain, wire))
    assert because in refusal(chain, Committed(wire, certificate))


@pytest.mark.parametrize(
    "make",
    [
        commits(0, 1),
        commits(1, 2),
        commits(2, 1),
        commits(0, 1, 2),
        both(commits(0, 1), commits(1, incarnation=7, promise=9)),
        commits(0, 1, incarnation=FAR, promise=FAR),
    ],
)
def test_s2_a_quorum_commits_in_any_order_and_incarnation(make: Commits) -> None:
    chain = founded(voters=3)
    wire = pack(roster_block(chain, [CHANGE]))
    chain.append(Committed(wire, Certificate(1, 0, block_hash(wire), make(chain, wire))), stub_verify)
    assert chain.height == 1


@pytest.mark.parametrize("view", [0, 1, 5, FAR])
def test_s2_a_block_can_be_committed_in_any_view(view: int) -> None:
    chain = founded(voters=3)
    chain.append(certified(chain, roster_block(chain, [CHANGE]), view=view), stub_verify)
    assert chain.height == 1


def test_s2_a_certificate_names_its_block_and_height() -> None:
    chain = founded(voters=3)
    committed = certified(chain, roster_block(chain, [CHANGE]))
    other = certified(chain, roster_block(chain, [CanLead(node(2), can_lead=False)]))
    for certificate in (
        other.certificate,
        replace(committed.certificate, height=2),
        replace(committed.certificate, block=bytes(32)),
    ):
        assert "another block" in refusal(chain, replace(committed, certificate=certificate))


def test_s2_a_certificate_of_another_network_is_worth_nothing() -> None:
    chain, other = founded(voters=3), founded(voters=3, settings=Settings(rounds=9))
    block = roster_block(chain, [CHANGE])
    foreign = tuple(vote(other, "commit", one, pack(block)) for one in nodes(0, 1, 2))
    certificate = Certificate(1, 0, block_hash(pack(block)), foreign)
    assert "a forged vote" in refusal(chain, Committed(pack(block), certificate))


def test_s2_the_roster_before_a_block_certifies_it() -> None:
    """Who loses its vote by a block may still have signed it; whom it admits may not."""
    chain = founded(voters=2, witnesses=1)
    for _ in range(3):
        append(chain, mean_block(chain, nodes(0, 1)))
    block = roster_block(chain, [GiveVote(node(2), 1)])
    assert "no quorum" in refusal(chain, certified(chain, block, nodes(1, 2)))
    append(chain, block)
    leaving = roster_block(chain, [Remove(node(0), "it left")])
    chain.append(certified(chain, leaving, nodes(0, 1)), stub_verify)
    assert chain.roster.voters() == nodes(1, 2)


def test_a_header_is_checked_alone_as_in_a_block() -> None:
    chain = founded()
    good = signed_header(chain, node(1))
    assert chain.check_header(good, stub_verify).node == node(1)
    with pytest.raises(PeerMisbehaved, match="is forged"):
        chain.check_header(replace(good, signature=UNSIGNED), stub_verify)


def test_the_roster_that_a_block_leaves_is_told_before_it_is_committed() -> None:
    chain = founded(voters=3, witnesses=1)
    block = mean_block(
        chain,
        nodes(0, 1),
        by=node(1),
        skipped=nodes(2),
        changes=(Remove(node(3), "it left"),),
        present=nodes(0, 1),
    )
    told = chain.roster_after(block)
    assert chain.roster.nodes() == nodes(0, 1, 2, 3)
    append(chain, block)
    assert chain.roster == told
    assert NodeId(block.originator) in told
