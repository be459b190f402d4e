"""How do facts and a member's actions become the words that a trainer hears?

Knows nothing of who hears them.
"""

from dataclasses import dataclass

from comind.node.attach import Announced as AnnouncedStep
from comind.node.attach import Called, FromDaemon, News, Released, Started, Waiting, Welcome
from comind.p2p.core.effects import Adopt, Announced, Begin, CallTrainer, Release, Wait
from comind.p2p.core.here import Me
from comind.p2p.core.picture import Picture
from comind.p2p.core.words import NetworkId, NodeId, Settings, short_id


@dataclass(frozen=True, slots=True)
class Facts:
    """What a trainer is told of its network, and judged by."""

    network: str
    node: str
    node_id: NodeId
    settings: Settings
    layout: bytes
    """Of the base; empty while there is none."""
    leaves_with_trainer: bool
    network_id: bytes = b""
    parent: bytes = b""
    """Id of the network that this one goes on from (R18)."""


def facts_of(picture: Picture, me: Me, network: NetworkId, leaves_with_trainer: bool) -> Facts:
    return Facts(
        network=picture.network,
        node=me.name,
        node_id=me.node,
        settings=picture.settings,
        layout=picture.layout,
        leaves_with_trainer=leaves_with_trainer,
        network_id=network,
        parent=picture.parent,
    )


def welcome(facts: Facts) -> Welcome:
    return Welcome(
        network=facts.network,
        node=facts.node,
        node_id=facts.node_id,
        weight_unit=facts.settings.weight,
        rounds=facts.settings.rounds,
        start_at=facts.settings.start_at,
        has_base=bool(facts.layout),
        started_by_join=facts.leaves_with_trainer,
        network_id=facts.network_id,
        parent=facts.parent,
    )


ForTrainer = Adopt | Announced | Begin | Release | Wait | CallTrainer


def word_for(action: ForTrainer) -> FromDaemon:
    match action:
        case Adopt():
            return _news(action)
        case Announced(offer=offer):
            return AnnouncedStep(offer.last_step)
        case Begin():
            return Started()
        case Release(because=because):
            return Released(because)
        case Wait(because=because):
            return Waiting(because)
        case CallTrainer():
            return Called()


def _news(adopt: Adopt) -> News:
    names = {node: name for node, name, _ in (*adopt.contributors, *adopt.absent)}
    chief = short_id(adopt.chief)
    return News(
        height=adopt.height,
        block=adopt.block,
        round=adopt.round,
        root=adopt.root,
        size=adopt.size,
        rule=adopt.rule,
        started=adopt.started,
        counted=adopt.counted,
        counted_run=adopt.counted_run,
        counted_last_step=adopt.counted_last_step,
        because=adopt.because,
        contributors=tuple((short_id(node), name, weight) for node, name, weight in adopt.contributors),
        absent=tuple((short_id(node), name, why) for node, name, why in adopt.absent),
        chief=f"{names[adopt.chief]} ({chief})" if adopt.chief in names else chief,
        view=adopt.view,
        seconds=adopt.duration_ms / 1_000,
        finished=adopt.finished,
    )
