"""How does a test of one module of the core get a chain, a vote or a peer in one line?

Signatures are keyed hashes, so that thousands of them cost nothing; where Ed25519 itself matters, a test
takes `comind.crypto.identity.Identity`. Everything made here is valid; a test spoils what it is about.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from blake3 import blake3
from msgspec.structs import replace

from comind.p2p.core.chain import Chain, genesis, genesis_committed, schema_hash
from comind.p2p.core.discovery import Discovery
from comind.p2p.core.here import Here, Me
from comind.p2p.core.messages import (
    Admit,
    Block,
    Certificate,
    Change,
    Committed,
    GiveVote,
    Greeting,
    Header,
    Heartbeat,
    Lock,
    SignedHeader,
    ViewChange,
    Vote,
)
from comind.p2p.core.signing import sign_change, sign_header, sign_vote
from comind.p2p.core.wire import block_hash, pack, read
from comind.p2p.core.words import (
    NO_ROOT,
    Incarnation,
    NetworkId,
    NodeId,
    Offer,
    Root,
    Rule,
    RunId,
    Settings,
)

UNSIGNED = bytes(64)
LAYOUT = b"the layout of four values"
BASE = Root(b"\xba" * 32)
SIZE = 4
FAR = 2**63 - 1
"""The greatest number that a message can say."""


@dataclass(frozen=True, slots=True)
class StubSigner:
    """A keyed hash in place of Ed25519: whoever knows a node's id can sign for it, and tests do."""

    node_id: NodeId

    def sign(self, statement: bytes, /) -> bytes:
        return blake3(statement, key=self.node_id).digest(length=64)


def stub_verify(node: NodeId, statement: bytes, signature: bytes) -> bool:
    return StubSigner(node).sign(statement) == signature


def node(number: int) -> NodeId:
    """Return a node's id; their order is that of the numbers."""
    return NodeId(number.to_bytes(2, "big") + bytes([number % 256]) * 30)


def nodes(*numbers: int) -> tuple[NodeId, ...]:
    return tuple(node(number) for number in numbers)


def address(number: int) -> tuple[str, ...]:
    return (f"tcp://10.0.0.{number}:7700",)


def name(number: int) -> str:
    return f"node-{number}"


def incarnation(number: int) -> Incarnation:
    return Incarnation((1 << 32) + number)


# -- chains -------------------------------------------------------------------------------------------------


def founding_block(
    voters: int = 3,
    witnesses: int = 0,
    settings: Settings | None = None,
    base: tuple[Root, int, bytes] | None = (BASE, SIZE, LAYOUT),
) -> bytes:
    """Return a genesis whose members are all there from the start: node(0) to node(voters - 1) vote."""
    settings = settings or Settings()
    plain = read(Block, genesis(node(0), "net", address(0), settings, name(0), base=base))
    members = range(voters + witnesses)
    changes: list[Change] = [Admit(node(one), name(one), address(one), can_lead=True) for one in members]
    changes += [GiveVote(node(one), 0) for one in range(voters)]
    return pack(replace(plain, changes=tuple(changes), present=tuple(node(one) for one in members)))


def founded(
    voters: int = 3,
    witnesses: int = 0,
    settings: Settings | None = None,
    base: tuple[Root, int, bytes] | None = (BASE, SIZE, LAYOUT),
) -> Chain:
    """Return a chain that holds such a genesis alone."""
    wire = founding_block(voters, witnesses, settings, base)
    chain = Chain(NetworkId(block_hash(wire)))
    chain.append(genesis_committed(wire), stub_verify)
    return chain


def copy_of(chain: Chain) -> Chain:
    """Return another chain with the same blocks."""
    again = Chain(chain.network)
    for committed in chain.committed:
        again.append(committed, stub_verify)
    return again


def roster_block(
    chain: Chain, changes: Iterable[Change] = (), by: NodeId | None = None, **fields: Any
) -> Block:
    """Return a next block that carries these roster changes alone; all are present."""
    block = Block(
        network=chain.network,
        height=chain.next,
        previous=chain.head,
        originator=by or chain.roster.nodes()[0],
        rule=Rule.ROSTER,
        codec=chain.settings.codec,
        headers=(),
        root=chain.root,
        size=chain.size,
        changes=tuple(changes),
        skipped=(),
        present=chain.roster.nodes(),
        metrics={},
        arrivals=(),
        duration_ms=5,
        absentees=(),
    )
    return replace(block, **fields)


def header(chain: Chain, who: NodeId, **fields: Any) -> Header:
    """Return what `who` may announce for the next height."""
    first = chain.root == NO_ROOT
    run = RunId(b"run of " + who[:9])
    done = chain.runs.get(run, 0)
    plain = Header(
        height=chain.next,
        node=who,
        incarnation=incarnation(0),
        run=run,
        first_step=0 if first else done,
        last_step=0 if first else done + 10,
        base=chain.root,
        schema=schema_hash(LAYOUT) if first else chain.schema,
        size=SIZE if first else chain.size,
        weight=0 if first else 1,
        metrics={},
    )
    return replace(plain, **fields)


def signed_header(chain: Chain, who: NodeId, **fields: Any) -> SignedHeader:
    return sign_header(StubSigner(who), chain.network, header(chain, who, **fields))


def mean_block(chain: Chain, who: Iterable[NodeId], by: NodeId | None = None, **fields: Any) -> Block:
    """Return a next block that averages what these contributed."""
    contributed = tuple(signed_header(chain, one) for one in who)
    root = Root(blake3(b"average" + chain.head).digest())
    own: dict[str, Any] = {"rule": Rule.MEAN, "headers": contributed, "root": root}
    return roster_block(chain, by=by, **(own | fields))


def initial_block(chain: Chain, who: NodeId, **fields: Any) -> Block:
    """Return a next block that sets the first base."""
    first = (signed_header(chain, who),)
    own: dict[str, Any] = {
        "rule": Rule.INITIAL,
        "headers": first,
        "root": BASE,
        "size": SIZE,
        "layout": LAYOUT,
    }
    return roster_block(chain, **(own | fields))


def certificate(
    chain: Chain, wire: bytes, voters: Iterable[NodeId] | None = None, view: int = 0
) -> Certificate:
    voters = chain.roster.voters() if voters is None else voters
    commits = tuple(vote(chain, "commit", voter, wire, view) for voter in voters)
    return Certificate(height=chain.next, view=view, block=block_hash(wire), commits=commits)


def certified(chain: Chain, block: Block, voters: Iterable[NodeId] | None = None, view: int = 0) -> Committed:
    """Return the block with COMMITs of these (else all) voters."""
    wire = pack(block)
    return Committed(block=wire, certificate=certificate(chain, wire, voters, view))


def append(chain: Chain, block: Block) -> Chain:
    chain.append(certified(chain, block), stub_verify)
    return chain


# -- promises -----------------------------------------------------------------------------------------------


def vote(chain: Chain, kind: str, who: NodeId, wire: bytes, view: int = 0, **fields: Any) -> Vote:
    """Return a signed vote for the block of these bytes at the next height."""
    plain = Vote(
        kind=kind,
        height=chain.next,
        view=view,
        block=block_hash(wire),
        node=who,
        incarnation=incarnation(0),
        promise=min(1 + 2 * view + (kind == "commit"), FAR),
        signature=UNSIGNED,
    )
    return sign_vote(StubSigner(who), chain.network, replace(plain, **fields))


def lock(chain: Chain, wire: bytes, view: int = 0, voters: Iterable[NodeId] | None = None) -> Lock:
    voters = chain.roster.voters() if voters is None else voters
    prepares = tuple(vote(chain, "prepare", voter, wire, view) for voter in voters)
    return Lock(view=view, block=wire, prepares=prepares)


def view_change(chain: Chain, who: NodeId, view: int, held: Lock | None = None, **fields: Any) -> ViewChange:
    plain = ViewChange(
        height=chain.next,
        view=view,
        lock=held,
        node=who,
        incarnation=incarnation(0),
        promise=min(1 + 2 * view, FAR),
        signature=UNSIGNED,
    )
    return sign_change(StubSigner(who), chain.network, replace(plain, **fields))


# -- one member's parts -------------------------------------------------------------------------------------


def me(number: int = 0, **fields: Any) -> Me:
    own: dict[str, Any] = {"addresses": address(number), "incarnation": incarnation(0), "no_lead": False}
    return Me(node=node(number), name=name(number), **(own | fields))


def ground(chain: Chain, number: int = 0, now_ms: int = 1_000, **fields: Any) -> Here:
    """Return the ground of node(number), which holds the base."""
    held = {chain.root} - {NO_ROOT}
    return Here(me(number, **fields), chain, StubSigner(node(number)), stub_verify, held, now_ms)


def greeting(number: int, **fields: Any) -> Greeting:
    own: dict[str, Any] = {
        "name": name(number),
        "addresses": address(number),
        "height": 1,
        "promise": 0,
        "seen_incarnation": 0,
        "seen_promise": 0,
        "no_lead": False,
    }
    return Greeting(**(own | fields))


def heartbeat(**fields: Any) -> Heartbeat:
    own: dict[str, Any] = {
        "height": 1,
        "view": 0,
        "training": True,
        "ready": False,
        "away": False,
        "abstains": "",
        "reached": (),
    }
    return Heartbeat(**(own | fields))


def people_of(here: Here, *linked: int, **beat: Any) -> Discovery:
    """Return who is known where these are linked, greeted and heard from (and train, unless `beat` says)."""
    people = Discovery(here, started_ms=here.now_ms)
    for number in linked:
        meet(people, number, **beat)
    return people


def meet(people: Discovery, number: int, **beat: Any) -> None:
    people.link_up(node(number), incarnation(0), dialled=True)
    people.links[node(number)].greeting = greeting(number, height=people.here.chain.next)
    people.beat(node(number), heartbeat(**({"height": people.here.chain.next} | beat)))


def offer(chain: Chain, **fields: Any) -> Offer:
    """Return what a trainer may offer to the next round."""
    first = chain.root == NO_ROOT
    own: dict[str, Any] = {
        "run": RunId(b"r" * 16),
        "first_step": 0,
        "last_step": 0 if first else 10,
        "base": chain.root,
        "schema": schema_hash(LAYOUT) if first else chain.schema,
        "size": SIZE,
        "weight": 0 if first else 1,
        "layout": LAYOUT if first else b"",
    }
    return Offer(**(own | fields))
