"""What do the blocks of a chain say of each round: who was counted, who was not, and who agreed?

Pure: blocks and certificates in, plain values out, for prose and JSON alike. Knows nothing of files or of how
it is said.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from comind.p2p.core.chain import Chain
from comind.p2p.core.errors import ConfigError, PeerMisbehaved
from comind.p2p.core.messages import (
    Admit,
    Block,
    CanLead,
    Change,
    Committed,
    Decision,
    GiveVote,
    Header,
    Move,
    Remove,
    TakeVote,
)
from comind.p2p.core.roster import Roster
from comind.p2p.core.rotation import chief
from comind.p2p.core.standing import told
from comind.p2p.core.wire import block_hash, read
from comind.p2p.core.words import Height, NetworkId, NodeId, Rule, RunId, View, short_id


class Who(msgspec.Struct, frozen=True):
    """A member, by the name that the chain knew then."""

    id: str
    name: str


class Contribution(msgspec.Struct, frozen=True):
    """What a round counts of one member."""

    who: Who
    weight: int
    share: float
    """Of the average: its weight over the sum of all."""
    run: str
    first_step: int
    last_step: int
    """The steps after the first and up to the last of its run."""
    arrived_ms: int | None
    """When the chief had its announcement, since the first one; None: the block does not say."""
    metrics: dict[str, float]


class Later(msgspec.Struct, frozen=True):
    """The first contribution of a member after a round that did not count it."""

    round: int
    weight: int
    first_step: int
    last_step: int
    since_step: int | None
    """The last step of this run that was counted before; None: it is a run of which nothing was."""
    began_anew: bool
    """Whether it is another run than the one that was counted before."""


class Absence(msgspec.Struct, frozen=True):
    """A member that a round does not count, why, and what became of its work."""

    who: Who
    because: str
    later: Later | None


class Voter(msgspec.Struct, frozen=True):
    """Someone who could vote on a block, and whether its vote is in the certificate."""

    who: Who
    signed: bool


class Round(msgspec.Struct, frozen=True):
    """All that the chain says of one round; `round` is 0 for the block that set the first base."""

    round: int
    height: int
    rule: str
    block: str
    digest: str
    led_by: Who
    made_final_by: Who
    """Who led the view in which the certificate came about."""
    view: int
    duration_ms: int
    counted: tuple[Contribution, ...]
    absent: tuple[Absence, ...]
    voters: tuple[Voter, ...]
    skipped: tuple[Who, ...]
    changes: tuple[str, ...]
    metrics: dict[str, float]

    @property
    def weight(self) -> int:
        return sum(one.weight for one in self.counted)


class History(msgspec.Struct, frozen=True):
    """What the chain of one network says."""

    network: str
    network_id: str
    height: int
    weighted: bool
    """Whether contributions weigh by examples; else all weigh the same."""
    rounds: tuple[Round, ...]
    """The block that set the first base, if one did, and all averages."""

    def averages(self) -> tuple[Round, ...]:
        return tuple(one for one in self.rounds if one.round)


@dataclass(frozen=True, slots=True)
class _Before:
    """A block, and how the chain stood before it."""

    block: Block
    committed: Committed
    roster: Roster
    round: int
    runs: Mapping[RunId, int]
    """The last counted step of the runs that this block counts."""
    counted_run: Mapping[NodeId, RunId]


def history_of(network: NetworkId, blocks: Sequence[Committed]) -> History:
    """Return what these blocks, from genesis on, say.

    Raises:
        ConfigError: they are no chain of this network.
    """
    chain = Chain(network)
    befores = list(_walked(chain, blocks))
    later: dict[NodeId, Later] = {}
    rounds: list[Round] = []
    for before in reversed(befores):
        if before.block.rule in (Rule.MEAN, Rule.INITIAL):
            rounds.append(_round(network, before, later))
        if before.block.rule == Rule.MEAN:
            later |= dict(_next_words(before))
    return History(
        network=chain.name,
        network_id=network.hex(),
        height=chain.height,
        weighted=chain.settings.weight == "examples",
        rounds=tuple(reversed(rounds)),
    )


def _walked(chain: Chain, blocks: Sequence[Committed]) -> Iterator[_Before]:
    for committed in blocks:
        roster, round = chain.roster, chain.round
        try:
            block = read(Block, committed.block)
            headers = [read(Header, signed.header) for signed in block.headers]
            runs = {RunId(one.run): chain.runs[RunId(one.run)] for one in headers if one.run in chain.runs}
            known = [NodeId(one.node) for one in headers if one.node in chain.counted]
            counted = {node: chain.counted[node].run for node in known}
            chain.append(committed, lambda node, statement, signature: True)
        except PeerMisbehaved as why:
            raise ConfigError(
                f"block {chain.next} of this store is not sound ({why}); see: comind verify"
            ) from None
        yield _Before(block, committed, roster, round + (block.rule == Rule.MEAN), runs, counted)


def _next_words(before: _Before) -> Iterator[tuple[NodeId, Later]]:
    """Yield what this block counts, as seen from the rounds before it that did not count its member."""
    for signed in before.block.headers:
        header = read(Header, signed.header)
        run, node = RunId(header.run), NodeId(header.node)
        yield (
            node,
            Later(
                round=before.round,
                weight=header.weight,
                first_step=header.first_step,
                last_step=header.last_step,
                since_step=before.runs.get(run),
                began_anew=before.counted_run.get(node, run) != run,
            ),
        )


def _round(network: NetworkId, before: _Before, later: Mapping[NodeId, Later]) -> Round:
    block, certificate = before.block, before.committed.certificate
    headers = [read(Header, signed.header) for signed in block.headers]
    total = sum(header.weight for header in headers)
    arrived = {one.node: one.ms for one in block.arrivals}
    signed = {vote.node for vote in certificate.commits}
    final = chief(before.roster, network, Height(block.height), View(certificate.view))
    who = _Names(before.roster, block.changes)
    return Round(
        round=before.round if block.rule == Rule.MEAN else 0,
        height=block.height,
        rule=block.rule.value,
        block=block_hash(before.committed.block).hex(),
        digest=block.root.hex(),
        led_by=who(block.originator),
        made_final_by=who(final),
        view=certificate.view,
        duration_ms=block.duration_ms,
        counted=tuple(
            Contribution(
                who=who(header.node),
                weight=header.weight,
                share=header.weight / total if total else 0.0,
                run=header.run.hex(),
                first_step=header.first_step,
                last_step=header.last_step,
                arrived_ms=arrived.get(header.node),
                metrics=dict(header.metrics),
            )
            for header in headers
        ),
        absent=tuple(
            Absence(who(one.node), one.because, later.get(NodeId(one.node))) for one in block.absentees
        ),
        voters=tuple(Voter(who(entry.node), entry.node in signed) for entry in before.roster if entry.voter),
        skipped=tuple(map(who, block.skipped)),
        changes=tuple(_change(change, who, before.roster) for change in block.changes),
        metrics=dict(block.metrics),
    )


class _Names:
    def __init__(self, roster: Roster, changes: Sequence[Change]) -> None:
        self._names = {bytes(entry.node): entry.name for entry in roster}
        self._names |= {one.node: one.name for one in changes if isinstance(one, Admit)}

    def __call__(self, node: bytes) -> Who:
        return Who(short_id(NodeId(node)), self._names.get(node, ""))


def _change(change: Change, who: _Names, roster: Roster) -> str:
    if isinstance(change, Decision):
        return told(change, roster)
    name = who(change.node).name
    match change:
        case Admit():
            return f"{name} joined"
        case Remove():
            return f"{name} is no member any more: {change.because}"
        case GiveVote():
            return f"{name} got a vote"
        case TakeVote():
            return f"{name} lost its vote: {change.because}"
        case CanLead(can_lead=True):
            return f"{name} can lead"
        case CanLead():
            return f"{name} cannot lead for now"
        case Move():
            return (
                f"{name} is called {change.name} and reached at {' '.join(change.addresses) or 'no address'}"
            )
