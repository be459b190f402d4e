"""How quickly does a joiner verify and append a chain of blocks, without sockets or disk?

    benchmarks/chain.py --blocks 5000

The blocks are averages of four members, three of whom certify each. Knows nothing of snapshots.
"""

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from msgspec.structs import replace  # noqa: E402

from comind.crypto.identity import Identity, verify  # noqa: E402
from comind.p2p.core.chain import Chain, genesis, genesis_committed  # noqa: E402
from comind.p2p.core.effects import Heard, LinkUp, Memory, Send, Woken  # noqa: E402
from comind.p2p.core.here import Me  # noqa: E402
from comind.p2p.core.member import Member  # noqa: E402
from comind.p2p.core.messages import (  # noqa: E402
    Admit,
    AskBlocks,
    Block,
    Blocks,
    Certificate,
    Committed,
    GiveVote,
    Greeting,
    Header,
    SignedHeader,
    Vote,
)
from comind.p2p.core.signing import sign_header, sign_vote  # noqa: E402
from comind.p2p.core.wire import block_hash, pack, read  # noqa: E402
from comind.p2p.core.words import (  # noqa: E402
    Incarnation,
    NetworkId,
    NodeId,
    Root,
    Rule,
    RunId,
    SchemaHash,
    Settings,
)

MEMBERS = 4


def chain_line(blocks: int) -> str:
    """Let a joiner append such a chain, and say how long it took."""
    founders = [Identity.from_secret(bytes([number]) * 32) for number in range(1, MEMBERS + 1)]
    chain = _chain(founders, blocks)
    joiner = Identity.from_secret(bytes([99]) * 32)
    me = Me(joiner.node_id, "joiner", (), Incarnation(1 << 32), False)
    member = Member(me, chain.network, Memory((), None, frozenset()), joiner, 0, verify)
    began_s, now = time.process_time(), 1
    asked: list[tuple[NodeId, int]] = []

    def step(event: LinkUp | Heard | Woken) -> None:
        for action in member.step(event, now).actions:
            if isinstance(action, Send) and isinstance(action.message, AskBlocks):
                asked.extend((peer, action.message.first) for peer in action.to)

    for founder in founders:
        step(LinkUp(founder.node_id, Incarnation(1), True))
        greeting = Greeting(
            name="x",
            addresses=(),
            height=chain.next,
            promise=0,
            seen_incarnation=0,
            seen_promise=0,
            no_lead=False,
        )
        step(Heard(founder.node_id, greeting))
    while member.here.chain.height < chain.height:
        now += 1
        if asked:
            peer, first = asked.pop(0)
            step(Heard(peer, Blocks(tuple(chain.committed[first : first + 256]))))
        else:
            step(Woken())
    took_s = time.process_time() - began_s
    return (
        f"A chain of {blocks} averages (4 headers and 3 votes each): {took_s:.1f} CPU seconds,"
        f" {blocks / took_s:.0f} blocks/s. One Ed25519 signature takes {_verify_us(founders[0]):.0f} µs to"
        " check, and each block has seven."
    )


def _chain(founders: list[Identity], blocks: int) -> Chain:
    by_node = {founder.node_id: founder for founder in founders}
    plain = read(
        Block,
        genesis(founders[0].node_id, "net", (), Settings(), "n", base=(Root(bytes([1]) * 32), 4, b"layout")),
    )
    admits = [Admit(node=one, name=one.hex()[:8], addresses=(), can_lead=True) for one in by_node]
    votes = [GiveVote(node=one, incarnation=0) for one in by_node]
    first = pack(replace(plain, changes=(*admits, *votes), present=tuple(sorted(by_node))))
    chain = Chain(NetworkId(block_hash(first)))
    chain.append(genesis_committed(first), lambda *_: True)
    for number in range(1, blocks + 1):
        order = chain.roster.nodes()
        headers = tuple(_header(chain, by_node[NodeId(node)]) for node in order)
        block = Block(
            network=chain.network,
            height=chain.next,
            previous=chain.head,
            originator=order[number % MEMBERS],
            rule=Rule.MEAN,
            codec=chain.settings.codec,
            headers=headers,
            root=Root(number.to_bytes(32, "big")),
            size=chain.size,
            changes=(),
            skipped=(),
            present=order,
            metrics={},
            arrivals=(),
            duration_ms=5,
            absentees=(),
        )
        wire = pack(block)
        commits = tuple(_commit(chain, by_node[NodeId(node)], wire) for node in order[:3])
        certificate = Certificate(height=chain.next, view=0, block=block_hash(wire), commits=commits)
        chain.append(Committed(block=wire, certificate=certificate), lambda *_: True)
    return chain


def _header(chain: Chain, signer: Identity) -> SignedHeader:
    run = RunId(signer.node_id[:16])
    done = chain.runs.get(run, 0)
    header = Header(
        height=chain.next,
        node=signer.node_id,
        incarnation=1,
        run=run,
        first_step=done,
        last_step=done + 10,
        base=chain.root,
        schema=SchemaHash(chain.schema),
        size=chain.size,
        weight=1,
        metrics={},
    )
    return sign_header(signer, chain.network, header)


def _commit(chain: Chain, signer: Identity, wire: bytes) -> Vote:
    vote = Vote(
        kind="commit",
        height=chain.next,
        view=0,
        block=block_hash(wire),
        node=signer.node_id,
        incarnation=1,
        promise=2 * chain.next,
        signature=bytes(64),
    )
    return sign_vote(signer, chain.network, vote)


def _verify_us(signer: Identity) -> float:
    said = bytes(200)
    signature = signer.sign(said)
    began_s = time.process_time()
    for _ in range(500):
        verify(signer.node_id, said, signature)
    return (time.process_time() - began_s) / 500 * 1e6


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--blocks", type=int, default=5_000)
    print(chain_line(parser.parse_args().blocks))
