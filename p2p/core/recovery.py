"""How does a network go on whose quorum is gone for good? (R18)

A survivor founds a new one from its newest block. Knows nothing of whether that is wise: it asked whether a
quorum answers before, and a person said yes.
"""

from comind.p2p.core.chain import Chain, genesis
from comind.p2p.core.errors import ConfigError
from comind.p2p.core.messages import (
    MAX_PAST,
    Allow,
    Block,
    Change,
    Deny,
    Header,
    Past,
    Recovers,
)
from comind.p2p.core.wire import read
from comind.p2p.core.words import NO_ROOT, Height, NodeId, Rule

MAX_DECIDED = 250
"""Of who is let in and who is not, as many as a first block holds beside its founder."""
_UNSIGNED = bytes(64)


def founded_anew(chain: Chain, founder: NodeId, node_name: str, addresses: tuple[str, ...]) -> bytes:
    """Return the first block of a network that goes on from this chain's newest block, with this founder.

    It has the parent's name and settings, its base, its averages and what it counted, and who was denied;
    where there is a list, all who were members or allowed are on it.

    Raises:
        ConfigError: the founder is no member.
    """
    if founder not in chain.roster:
        raise ConfigError("this node is no member of its network: recover on a member")
    others = [node for node in chain.roster.voters() if node != founder]
    recovers = Recovers(
        network=chain.network,
        height=chain.height,
        block=chain.head,
        round=chain.round,
        voters=(founder, *others),
        counted=past_of(chain),
    )
    base = None if chain.root == NO_ROOT else (chain.root, chain.size, chain.layout)
    return genesis(
        founder,
        chain.name,
        addresses,
        chain.settings,
        node_name,
        can_lead=bool(addresses),
        base=base,
        recovers=recovers,
        decided=_decided(chain, founder),
    )


def past_of(chain: Chain) -> tuple[Past, ...]:
    """Return the last step that is counted of each run, newest first, as many as a block may hold."""
    found: dict[bytes, Past] = {}
    for block in reversed(chain.blocks):
        if len(found) >= MAX_PAST:
            break
        for past in _counted_in(block):
            found.setdefault(past.run, past)
    return tuple(found.values())[:MAX_PAST]


def why_not_moving(genesis: Block, chain: Chain) -> str | None:
    """Say why the node of this chain cannot move to the network of this first block; None if it can."""
    parent = genesis.recovers
    if parent is None or parent.network != chain.network:
        return "it does not go on from this home's network"
    if parent.height > chain.height:
        return f"it goes on from block {parent.height}, and this node has blocks up to {chain.height} only"
    if chain.hash_of(Height(parent.height)) != parent.block:
        return f"it goes on from another block {parent.height} than this node's"
    return None


def _counted_in(block: Block) -> tuple[Past, ...]:
    if block.recovers is not None:
        return block.recovers.counted
    if block.rule != Rule.MEAN:
        return ()
    headers = [read(Header, signed.header) for signed in block.headers]
    return tuple(Past(node=one.node, run=one.run, last_step=one.last_step) for one in headers)


def _decided(chain: Chain, founder: NodeId) -> tuple[Change, ...]:
    """What of who is let in goes along; the founder's word, in a block whose hash is the network's id."""
    decided: list[Change] = [
        Deny(node=node, by=founder, because=str(ruling)[:400], after=0, signature=_UNSIGNED)
        for node, ruling in chain.standing.denied.items()
        if node != founder
    ]
    if chain.settings.admission == "list":
        known = dict.fromkeys((*chain.roster.nodes(), *chain.standing.allowed))
        known.pop(founder, None)
        decided += [Allow(node=node, by=founder, after=0, signature=_UNSIGNED) for node in known]
    return tuple(decided[:MAX_DECIDED])
