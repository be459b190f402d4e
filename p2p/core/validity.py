"""What makes an OPEN or a PROPOSE for the next height valid? (R6, R8, R13)

All that signatures, chain and NEWVIEW can show; whose turn it is to say it, `round` knows. Changes nothing.
"""

from comind.p2p.core.effects import OpenHash
from comind.p2p.core.errors import PeerMisbehaved
from comind.p2p.core.here import Here
from comind.p2p.core.messages import Block, Header, Open, Propose
from comind.p2p.core.signing import open_hash, open_statement, propose_statement
from comind.p2p.core.succession import check_new_view
from comind.p2p.core.wire import read
from comind.p2p.core.words import NO_ROOT, NodeId, Rule, View

MAX_ATTEMPT = 3
"""How often the chief of a view may open again without who was lost (R6)."""


def check_open(here: Here, open: Open) -> OpenHash:
    """Check an OPEN for the next height, and return the hash that names it (R6).

    Raises:
        PeerMisbehaved: with what is wrong.
    """
    name = open_hash(open)
    if not here.verify(NodeId(open.node), open_statement(here.network, open), open.signature):
        raise PeerMisbehaved("a forged OPEN")
    if open.attempt > MAX_ATTEMPT:
        raise PeerMisbehaved(f"an OPEN that is attempt {open.attempt} of its view")
    if open.averagers != ((open.node, 0, open.size),):
        raise PeerMisbehaved("an OPEN with averagers that this network has not")
    if check_new_view(open.new_view, View(open.view), here.chain, here.verify) is not None:
        raise PeerMisbehaved("an OPEN where a lock binds")
    if open.rule == Rule.MEAN and here.chain.standing.paused is not None:
        raise PeerMisbehaved("an OPEN while the network is paused")
    headers = [here.chain.check_header(signed, here.verify) for signed in open.headers]
    nodes = tuple(NodeId(header.node) for header in headers)
    if nodes != here.chain.roster.in_order(frozenset(nodes)):
        raise PeerMisbehaved("an OPEN with contributors out of order")
    if len({header.run for header in headers}) != len(headers):
        raise PeerMisbehaved("an OPEN that counts a run twice")
    if any(header.size != open.size for header in headers):
        raise PeerMisbehaved("an OPEN of another size than its headers")
    first = here.chain.root == NO_ROOT
    if open.rule != (Rule.INITIAL if first else Rule.MEAN) or (first and len(headers) != 1):
        raise PeerMisbehaved("an OPEN with another rule than its base")
    return name


def check_propose(here: Here, propose: Propose, opened: Open | None) -> Block:
    """Check a PROPOSE, and return its block (R8, R13). `opened`: the OPEN that is followed, if any.

    Raises:
        PeerMisbehaved: with what is wrong.
    """
    if not here.verify(NodeId(propose.node), propose_statement(here.network, propose), propose.signature):
        raise PeerMisbehaved("a forged PROPOSE")
    block = read(Block, propose.block)
    lock = check_new_view(propose.new_view, View(propose.view), here.chain, here.verify)
    here.chain.check(block, here.verify)
    if lock is not None:
        if propose.block != lock.block:
            raise PeerMisbehaved("a PROPOSE of another block than the highest lock's")
    elif block.originator != propose.node:
        raise PeerMisbehaved("a PROPOSE of somebody else's block")
    if opened is not None and lock is None and block.rule != Rule.ROSTER:
        same = (opened.view, opened.incarnation) == (propose.view, propose.incarnation)
        if same and block.headers != opened.headers and not _nodes(block) < _nodes(opened):
            raise PeerMisbehaved("a PROPOSE of other contributions than its OPEN's")
    return block


def _nodes(of: Open | Block) -> frozenset[bytes]:
    """Return whose contributions these are; a further attempt has fewer of them than the OPEN before it."""
    return frozenset(read(Header, signed.header).node for signed in of.headers)
