"""What exactly does a member sign, and is this signature its?

Signatures cover (network, height, kind, view, hash, incarnation), and promises their count. Knows nothing of
whether what is signed makes sense.
"""

from collections.abc import Callable
from typing import Protocol

from msgspec.structs import replace

from comind.crypto.statement import digest, statement
from comind.p2p.core.messages import (
    Decision,
    Header,
    Join,
    Leave,
    Lock,
    NewView,
    Open,
    Propose,
    SignedHeader,
    ViewChange,
    Vote,
)
from comind.p2p.core.wire import block_hash, pack
from comind.p2p.core.words import NetworkId, NodeId

Verify = Callable[[NodeId, bytes, bytes], bool]
"""(node, statement, signature) -> whether it is the node's."""

_UNSIGNED = bytes(64)


class Signer(Protocol):
    """Who holds the node's key."""

    @property
    def node_id(self) -> NodeId: ...

    def sign(self, statement: bytes, /) -> bytes: ...


def header_statement(network: NetworkId, header: bytes) -> bytes:
    return statement("header", network, header)


def sign_header(signer: Signer, network: NetworkId, header: Header) -> SignedHeader:
    wire = pack(header)
    return SignedHeader(header=wire, signature=signer.sign(header_statement(network, wire)))


def vote_statement(network: NetworkId, vote: Vote) -> bytes:
    return statement(
        vote.kind, network, vote.height, vote.view, vote.block, vote.node, vote.incarnation, vote.promise
    )


def sign_vote(signer: Signer, network: NetworkId, vote: Vote) -> Vote:
    return replace(vote, signature=signer.sign(vote_statement(network, vote)))


def _lock_digest(lock: Lock | None) -> bytes:
    if lock is None:
        return b""
    return digest("lock", lock.view, block_hash(lock.block), *(pack(vote) for vote in lock.prepares))


def change_statement(network: NetworkId, change: ViewChange) -> bytes:
    return statement(
        "view-change",
        network,
        change.height,
        change.view,
        _lock_digest(change.lock),
        change.node,
        change.incarnation,
        change.promise,
    )


def sign_change(signer: Signer, network: NetworkId, change: ViewChange) -> ViewChange:
    return replace(change, signature=signer.sign(change_statement(network, change)))


def new_view_digest(new_view: NewView) -> bytes:
    return digest("new-view", *(pack(change) for change in new_view))


def open_hash(open: Open) -> bytes:
    """Return the hash that names this attempt: of all that the OPEN says, without its signature."""
    return digest("open", pack(replace(open, signature=_UNSIGNED)))


def open_statement(network: NetworkId, open: Open) -> bytes:
    return statement("open", network, open.height, open.view, open_hash(open), open.node, open.incarnation)


def sign_open(signer: Signer, network: NetworkId, open: Open) -> Open:
    return replace(open, signature=signer.sign(open_statement(network, open)))


def propose_statement(network: NetworkId, propose: Propose) -> bytes:
    return statement(
        "propose",
        network,
        propose.height,
        propose.view,
        block_hash(propose.block),
        new_view_digest(propose.new_view),
        propose.node,
        propose.incarnation,
    )


def sign_propose(signer: Signer, network: NetworkId, propose: Propose) -> Propose:
    return replace(propose, signature=signer.sign(propose_statement(network, propose)))


def join_statement(network: NetworkId, join: Join) -> bytes:
    return statement(
        "join", network, join.node, join.name, pack(join.addresses), join.incarnation, int(join.no_lead)
    )


def sign_join(signer: Signer, network: NetworkId, join: Join) -> Join:
    return replace(join, signature=signer.sign(join_statement(network, join)))


def leave_statement(network: NetworkId, leave: Leave) -> bytes:
    return statement("leave", network, leave.node, leave.incarnation)


def sign_leave(signer: Signer, network: NetworkId, leave: Leave) -> Leave:
    return replace(leave, signature=signer.sign(leave_statement(network, leave)))


def decision_statement(network: NetworkId, decision: Decision) -> bytes:
    return statement("decision", network, pack(replace(decision, signature=_UNSIGNED)))


def sign_decision(signer: Signer, network: NetworkId, decision: Decision) -> Decision:
    return replace(decision, signature=signer.sign(decision_statement(network, decision)))
