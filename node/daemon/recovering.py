"""How does a survivor found the network anew, and how do the others come after it? (R18)

Knows nothing of whether a quorum answers: that was asked before.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import zmq

from comind.crypto.identity import Identity, NodeId
from comind.crypto.invite import Invite
from comind.crypto.keyfile import new_network_key
from comind.node.daemon.founding import identity_of
from comind.node.daemon.moving import finish, move
from comind.node.daemon.snapshots import Snapshots
from comind.node.daemon.store import Store, network_in
from comind.node.daemon.wakeup import now_ms
from comind.node.home import Home, lock, prepare
from comind.p2p.core.chain import Chain, genesis_committed
from comind.p2p.core.effects import Heard, LinkUp
from comind.p2p.core.errors import ConfigError
from comind.p2p.core.messages import AskBlocks, Block, Blocks, TurnedAway
from comind.p2p.core.recovery import founded_anew, why_not_moving
from comind.p2p.core.wire import block_hash
from comind.p2p.core.words import NO_ROOT, Incarnation, NetworkId, full_id
from comind.p2p.shell.addresses import Listen
from comind.p2p.shell.links import Links
from comind.p2p.shell.sockets import open_context

ASK_MS = 10_000
"""How long a node that is to move asks the new network for its first block."""


@dataclass(frozen=True, slots=True)
class FoundAnew:
    """What came of it."""

    invite: Invite
    network: str
    height: int
    """Of the parent block."""
    aside: Path


def found_anew(home: Home, node_name: str, addresses: tuple[str, ...]) -> FoundAnew:
    """Found a network that goes on from the newest block of this home's, and make this home its first.

    Raises:
        ConfigError: a daemon runs in the home, it is no member's, or the base's bytes are not here.
    """
    prepare(home)
    with lock(home):
        finish(home)
        old, chain, _ = _chain_of(home)
        identity = identity_of(home)
        snapshots = Snapshots(home.snapshots)
        snapshots.check()
        if chain.root != NO_ROOT and chain.root not in snapshots.held():
            raise ConfigError(
                f"this node lacks the base of block {chain.based_at}: recover on a member that has it"
            )
        wire = founded_anew(chain, identity.node_id, node_name, addresses)
        committed = genesis_committed(wire)
        invite = Invite(committed.certificate.block, new_network_key(), addresses)
        aside = move(home, old, invite, [committed])
        return FoundAnew(invite, chain.name, chain.height, aside)


def move_over(
    home: Home, invite: Invite, seeds: Sequence[str], log: Callable[[str], None], ask_ms: int = ASK_MS
) -> None:
    """Make this home one of the invite's network, which goes on from the home's; the home is locked.

    Raises:
        ConfigError: nobody of that network answers, or it does not go on from what this node has.
    """
    old, chain, incarnation = _chain_of(home)
    log(f"asks network {invite.network.hex()[:8]} whether it goes on from {old.hex()[:8]}")
    wire = _ask_for_genesis(identity_of(home), invite, incarnation, seeds, ask_ms)
    if wire is None:
        here, there = old.hex()[:8], invite.network.hex()[:8]
        raise ConfigError(
            f"{home.path} belongs to network {here}, this invite to {there}, of which nobody answered in"
            f" {ask_ms / 1_000:.0f} s to tell whether it goes on from {here}: start a member of it first,"
            " or take another folder for it: comind node --home OTHER"
        )
    if (wrong := why_not_moving(_checked(wire, invite), chain)) is not None:
        raise ConfigError(
            f"this invite's network is another one: {wrong};"
            " take another folder for it: comind node --home OTHER"
        )
    aside = move(home, old, invite, [genesis_committed(wire)], incarnation)
    log(f"moved over to network {invite.network.hex()[:8]}; what belonged to the old one is in {aside}")


def _chain_of(home: Home) -> tuple[NetworkId, Chain, Incarnation]:
    """Return the home's network, its chain, and an incarnation that was never used."""
    network = network_in(home.store_file)
    if network is None:
        raise ConfigError(f"{home.path} is of no network: there is nothing to recover")
    with closing(Store(home.store_file, network)) as store:
        memory, incarnation = store.load(frozenset()), store.next_incarnation()
        store.checkpoint()
    chain = Chain(network)
    for committed in memory.chain:
        chain.append(committed, _trust_own_disk)
    if chain.height < 0:
        raise ConfigError(f"{home.path} has no block of its network yet: there is nothing to go on from")
    return network, chain, incarnation


def _checked(wire: bytes, invite: Invite) -> Block:
    """Return the first block: its hash is in the invite, so whoever sent it could not choose it."""
    chain = Chain(NetworkId(invite.network))
    return chain.append(genesis_committed(wire), _trust_own_disk)


def _ask_for_genesis(
    identity: Identity, invite: Invite, incarnation: Incarnation, seeds: Sequence[str], ask_ms: int
) -> bytes | None:
    """Return the first block of the invite's network; None if nobody answers in time.

    Raises:
        ConfigError: it does not let this node in.
    """
    context = open_context()
    try:
        network, listen = NetworkId(invite.network), Listen("127.0.0.1", (0,))
        links = Links(identity, network, invite.key, incarnation, context, listen)
        try:
            return _first_block(links, invite, identity, seeds, ask_ms)
        finally:
            links.close()
    finally:
        context.destroy(linger=0)


def _first_block(
    links: Links, invite: Invite, identity: Identity, seeds: Sequence[str], ask_ms: int
) -> bytes | None:
    poller = zmq.Poller()
    links.register(poller)
    for seed in dict.fromkeys((*seeds, *invite.seeds)):
        links.dial_seed(seed)
    ends_ms = now_ms() + ask_ms
    while (now := now_ms()) < ends_ms:
        wake_at_ms = links.wake_at_ms()
        poller.poll(max(0, (ends_ms if wake_at_ms is None else min(ends_ms, wake_at_ms)) - now))
        for one in links.collect(now_ms()):
            match one:
                case LinkUp(peer=peer):
                    links.send(peer, AskBlocks(first=0))
                case Heard(message=Blocks(blocks=blocks)) if blocks:
                    if block_hash(blocks[0].block) == invite.network:
                        return blocks[0].block
                case Heard(message=TurnedAway()):
                    raise ConfigError(
                        "the invite's network does not let this node in: ask a member's operator to run:"
                        f" comind allow {full_id(identity.node_id)}"
                    )
    return None


def _trust_own_disk(node: NodeId, statement: bytes, signature: bytes) -> bool:
    return True
