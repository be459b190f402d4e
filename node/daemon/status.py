"""How does what a member, its links and its trainer are become a `Status` for the command line?

Knows nothing of how it is shown.
"""

import os
from collections.abc import Mapping

import msgspec

from comind.node.attach import MemberLine, RoundLine, Status
from comind.p2p.core.here import Me
from comind.p2p.core.picture import MemberPicture, Picture, RoundPicture
from comind.p2p.core.words import NO_ROOT, NetworkId, NodeId, full_id, short_id


def status_of(
    picture: Picture, me: Me, network: NetworkId, sent: int, received: int, dropped: Mapping[str, int]
) -> Status:
    """Put together what `comind status` asks for; `sent` and `received` are bytes."""
    return Status(
        network=picture.network,
        network_id=network.hex(),
        name=me.name,
        id=short_id(me.node),
        addresses=me.addresses,
        pid=os.getpid(),
        height=max(0, picture.height),
        round=picture.round,
        rounds=picture.rounds,
        view=picture.view,
        digest="" if picture.root == NO_ROOT else picture.root.hex(),
        chief=_id(picture.chief),
        chief_name=picture.chief_name,
        next_chief=_id(picture.next_chief),
        next_chief_name=picture.next_chief_name,
        phase=str(picture.phase.value),
        because=picture.because,
        since_ms=picture.since_ms,
        opens_in_ms=picture.opens_in_ms,
        members=tuple(_member(member) for member in picture.members),
        trainer=picture.trainer,
        settings=msgspec.to_builtins(picture.settings),
        bytes_sent=sent,
        bytes_received=received,
        dropped=dict(dropped),
        last_rounds=tuple(_round(one) for one in picture.last_rounds),
        quorum=picture.quorum,
        parent=picture.parent.hex(),
        paused=picture.paused,
        at_the_door=tuple((full_id(node), why) for node, why in picture.at_the_door),
        decisions=picture.decisions,
    )


def standing(status: Status) -> Status:
    """Return a status without what changes all the time, to tell whether it is news."""
    members = tuple(msgspec.structs.replace(member, heard_ms_ago=None) for member in status.members)
    opens = None if status.opens_in_ms is None else 0
    return msgspec.structs.replace(
        status, members=members, since_ms=0, opens_in_ms=opens, bytes_sent=0, bytes_received=0
    )


def _member(member: MemberPicture) -> MemberLine:
    return MemberLine(
        id=short_id(member.node),
        name=member.name,
        addresses=member.addresses,
        state=member.state,
        voter=member.voter,
        can_lead=member.can_lead,
        me=member.me,
        heard_ms_ago=member.heard_ms_ago,
        rounds_led=member.rounds_led,
        counted=member.counted,
    )


def _round(one: RoundPicture) -> RoundLine:
    return RoundLine(
        height=one.height,
        round=one.round,
        rule=str(one.rule.value),
        view=one.view,
        chief=short_id(one.chief),
        chief_name=one.chief_name,
        contributors=tuple((short_id(node), name, weight) for node, name, weight in one.contributors),
        absent=tuple((short_id(node), name, because) for node, name, because in one.absent),
        seconds=one.duration_ms / 1_000,
        metrics=one.metrics,
        root=one.root.hex(),
    )


def _id(node: NodeId | None) -> str:
    return "" if node is None else short_id(node)
