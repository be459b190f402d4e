"""Of what does a daemon consist, and in which order is it put together?

What can fail by the user's hand comes first, and says so in one line; the attach socket comes last, since who
reaches it takes the daemon for ready. Knows nothing of what the parts do together: that is `loop`.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import msgpack

from comind.crypto.identity import Identity, verify
from comind.crypto.invite import Invite
from comind.node.daemon import failpoints
from comind.node.daemon.disk import Disk
from comind.node.daemon.founding import identity_of
from comind.node.daemon.journal import Journal, JournalFile
from comind.node.daemon.moving import finish
from comind.node.daemon.options import Options, host_name
from comind.node.daemon.plane import Plane
from comind.node.daemon.recovering import move_over
from comind.node.daemon.snapshots import Snapshots
from comind.node.daemon.store import Store
from comind.node.daemon.trainers import Trainers
from comind.node.daemon.transfers import Transfers
from comind.node.daemon.wakeup import now_ms
from comind.node.home import (
    Home,
    find_home,
    lock,
    prepare,
    recall_invite,
    remember_invite,
    resolve_invite,
    take_next_invite,
)
from comind.node.remembered import recall
from comind.p2p.core.effects import Memory
from comind.p2p.core.here import Me
from comind.p2p.core.messages import Committed
from comind.p2p.core.words import Incarnation, NetworkId, NodeId
from comind.p2p.shell.addresses import Listen, advertise, parse_listen
from comind.p2p.shell.links import Links
from comind.p2p.shell.sockets import open_context

MAX_SEEDS = 32


@dataclass(frozen=True, slots=True)
class Parts:
    """A daemon's parts, ready to run."""

    home: Home
    network: NetworkId
    me: Me
    identity: Identity
    memory: Memory
    store: Store
    snapshots: Snapshots
    disk: Disk
    plane: Plane
    links: Links
    trainers: Trainers
    journal: Journal
    seeds: tuple[str, ...]
    """Whom to dial while there is no link at all."""
    leaves_with_trainer: bool


@contextmanager
def assembled(
    options: Options,
    log: Callable[[str], None],
    above: Incarnation | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Iterator[Parts]:
    """Put a daemon together, and take it apart afterwards. Its incarnation is `above` one that others saw.

    Raises:
        ConfigError: something that was given, or the home, cannot be used; the line says how to mend it.
    """
    home = find_home(options.home, environ)
    prepare(home)
    with ExitStack() as stack:
        stack.enter_context(lock(home))
        finish(home)
        invite = _invite(home, options, environ, log)
        identity = identity_of(home)
        network = NetworkId(invite.network)
        store = Store(home.store_file, network)
        snapshots = Snapshots(home.snapshots)
        for line in snapshots.check():
            log(line)
        memory = store.load(snapshots.held())
        incarnation = store.next_incarnation(above)
        known = store.addresses() if not memory.chain else {}
        segments = JournalFile(home.journal, incarnation)
        disk = Disk(store, snapshots, journal=segments)
        stack.callback(disk.close)
        links = _links(stack, _listen(home, options), invite, identity, incarnation)
        addresses = _advertised(home, options, links, log)
        name = options.name or _name_in(memory.chain, identity.node_id) or host_name()
        plane = Plane(Transfers(network, identity, verify, snapshots, now_ms))
        stack.callback(plane.close)
        trainers = Trainers(home.socket_path)
        stack.callback(trainers.close)
        if (point := failpoints.armed_in(environ)) is not None:
            failpoints.arm(point, log, (store, snapshots, plane, links))
        seeds = [*options.seeds, *invite.seeds, *(one for several in known.values() for one in several)]
        me = Me(identity.node_id, name, addresses, incarnation, options.no_lead)
        yield Parts(
            home=home,
            network=network,
            me=me,
            identity=identity,
            memory=memory,
            store=store,
            snapshots=snapshots,
            disk=disk,
            plane=plane,
            links=links,
            trainers=trainers,
            journal=Journal(segments, disk.journal, me, identity, log),
            seeds=tuple(dict.fromkeys(seed for seed in seeds if seed not in addresses))[:MAX_SEEDS],
            leaves_with_trainer=options.leave_with_trainer,
        )


def _invite(home: Home, options: Options, environ: Mapping[str, str], log: Callable[[str], None]) -> Invite:
    """Return the invite; one of a network that goes on from the home's has the home move over first (R18)."""
    invite = take_next_invite(home) or resolve_invite(home, options.invite_file, environ, may_move=True)
    remembered = recall_invite(home)
    if remembered is not None and remembered.network != invite.network:
        move_over(home, invite, options.seeds, log)
    elif invite != remembered:
        remember_invite(home, invite)
    return invite


def _links(
    stack: ExitStack, listen: Listen, invite: Invite, identity: Identity, incarnation: Incarnation
) -> Links:
    context = open_context()
    stack.callback(context.term)
    network = NetworkId(invite.network)
    try:
        links = Links(identity, network, invite.key, incarnation, context, listen)
    except BaseException:
        context.destroy(linger=0)
        raise
    stack.callback(links.close)
    return links


def _listen(home: Home, options: Options) -> Listen:
    kept = recall(home).listen
    return options.listen or (parse_listen(kept) if kept else Listen())


def _advertised(home: Home, options: Options, links: Links, log: Callable[[str], None]) -> tuple[str, ...]:
    if advertised := options.advertise or recall(home).advertise:
        return advertised
    found = advertise(links.listening)
    log(f"advertises {' '.join(found.addresses)}: {found.because}")
    return found.addresses


def _name_in(chain: tuple[Committed, ...], node: NodeId) -> str | None:
    """Return what the chain calls this node: blocks of one's own disk, so only looked into."""
    for committed in reversed(chain):
        for change in msgpack.unpackb(committed.block)["changes"]:
            if change.get("node") == node and "name" in change:
                return str(change["name"])
    return None
