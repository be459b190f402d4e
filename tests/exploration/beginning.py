"""How large is a world, and who is in it when it begins?

Its members are taken from a network that grew in the scenarios' virtual time: all vote, and all hold the same
chain and base. Knows nothing of what happens to them.
"""

from dataclasses import dataclass

from comind.p2p.core.words import NodeId, Root, Settings
from tests.exploration.copies import copy_of
from tests.exploration.ground import Ground
from tests.exploration.seat import Seat
from tests.scenarios.cluster import CITIES, Cluster, address_of
from tests.scenarios.moments import caught_up
from tests.scenarios.trainers import INTERVAL_STEPS

INTERVALS = 12
"""No trainer of these worlds gets further."""
PERIOD_MS = 1_000
"""Heartbeats and patience take the same time: whoever is woken beats, and has run out of patience."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How large a world is."""

    members: int = 3
    heights: int = 1
    max_view: int = 1
    fires: int = 1
    """Of each member's timer; `patience`: of all together."""
    patience: int = 99
    eager: bool = False
    """Whether snapshots arrive as soon as they can, before anything else happens."""
    crashes: int = 0
    who: int | None = None
    """Who may crash; None: anyone."""
    faults: int = 0
    """Failures of the data plane that nothing explains."""
    begins: str = "ready"
    """`training`: no trainer has reached its interval; `offered`: all have; `ready`: all heard so."""


def members_of(bounds: Bounds) -> list[Seat]:
    """The members of a grown cluster, all at the end of the same height, as their disks hold them."""
    settings = Settings(
        heartbeat_ms=PERIOD_MS,
        patience_ms=PERIOD_MS,
        max_patience_ms=PERIOD_MS,
        silent_after_ms=600_000,
    )
    cluster = Cluster.grown(trainers=bounds.members, settings=settings)
    cluster.run_until(caught_up())
    cities = CITIES[: bounds.members]
    height = cluster.last_height
    base = Root(cluster.last_block.root)
    nodes: dict[NodeId, str] = {cluster.node(city): city for city in cities}
    ground = Ground(
        cluster.network_id,
        nodes,
        {node: at for at, node in enumerate(nodes)},
        cluster.keys.verify(),
        height + 1,
        height + bounds.heights,
    )
    seats = []
    for city in cities:
        disk = cluster.disk(city)
        disk.snapshots = {base: disk.snapshots[base]}
        ground.values.update(disk.snapshots)
        judge = copy_of(cluster.oracles)
        for node in nodes:
            for intervals in range(1, INTERVALS + 1):
                offer = ground.offer(node, 0, intervals * INTERVAL_STEPS, base)
                judge.saw_offer(node, offer, ground.weights(node, offer.last_step))
        seats.append(Seat(ground, cluster.keys.signer(city), (address_of(city),), disk, judge))
    return seats
