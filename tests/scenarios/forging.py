"""What would a member say that is no longer honest, or has lost its mind?

Signed with real keys of members, so that only what a message says can give it away.
"""

from collections.abc import Sequence
from typing import Literal

from msgspec.structs import replace

from comind.p2p.core.messages import Block, Header, Lock, Open, Propose, Ready, ViewChange, Vote, Voted
from comind.p2p.core.signing import sign_change, sign_header, sign_open, sign_propose, sign_vote
from comind.p2p.core.wire import pack, read
from tests.scenarios.cluster import Cluster
from tests.scenarios.keys import FORGED

PROMISE = 900
Kind = Literal["prepare", "commit"]


def change(
    cluster: Cluster, city: str, view: int, lock: Lock | None = None, promise: int = PROMISE
) -> ViewChange:
    """A VIEWCHANGE for the height that all work on."""
    unsigned = ViewChange(
        height=cluster.last_height + 1,
        view=view,
        lock=lock,
        node=cluster.node(city),
        incarnation=cluster.process(city).incarnation,
        promise=promise,
        signature=FORGED,
    )
    return sign_change(cluster.keys.signer(city), cluster.network_id, unsigned)


def reopened(
    cluster: Cluster, by: str, view: int, new_view: Sequence[ViewChange] = (), **changed: object
) -> Open:
    """The last OPEN that anyone said, as this member would say it for this view."""
    last = cluster.history.opens[-1]
    node = cluster.node(by)
    mine = replace(
        last,
        view=view,
        new_view=tuple(new_view),
        node=node,
        averagers=((node, 0, last.size),),
        incarnation=cluster.process(by).incarnation,
    )
    return sign_open(cluster.keys.signer(by), cluster.network_id, replace(mine, **changed))


def envelope(
    cluster: Cluster, by: str, view: int, block: bytes, new_view: Sequence[ViewChange] = ()
) -> Propose:
    """A PROPOSE of this block in this view."""
    unsigned = Propose(
        height=cluster.last_height + 1,
        view=view,
        block=block,
        new_view=tuple(new_view),
        node=cluster.node(by),
        incarnation=cluster.process(by).incarnation,
        signature=FORGED,
    )
    return sign_propose(cluster.keys.signer(by), cluster.network_id, unsigned)


def altered(cluster: Cluster, by: str, **changed: object) -> bytes:
    """The last proposed block with something else in it."""
    block = read(Block, cluster.history.proposals[-1].block)
    return pack(replace(block, originator=cluster.node(by), **changed))


def vote(cluster: Cluster, city: str, block: bytes, kind: Kind = "commit", view: int = 0) -> Voted:
    """A vote of the height that all work on, signed by this node, voter or not."""
    unsigned = Vote(
        kind=kind,
        height=cluster.last_height + 1,
        view=view,
        block=block,
        node=cluster.node(city),
        incarnation=cluster.process(city).incarnation,
        promise=PROMISE,
        signature=FORGED,
    )
    return Voted(sign_vote(cluster.keys.signer(city), cluster.network_id, unsigned))


def header(cluster: Cluster, like: str, signed_by: str, **changed: object) -> Ready:
    """The last READY of a member with something else in it, signed by another or by itself."""
    node = cluster.node(like)
    last = next(one for one in reversed(cluster.history.readies) if one.node == node)
    different: Header = replace(last, **changed)
    return Ready(sign_header(cluster.keys.signer(signed_by), cluster.network_id, different))
