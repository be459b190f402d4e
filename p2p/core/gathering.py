"""Which contributions are announced for the next height, and whom does the round wait for? (R4, R5)

Keeps the newest header of each member. Knows nothing of views and votes.
"""

from dataclasses import dataclass, field, replace

from comind.p2p.core.chain import Chain, schema_hash
from comind.p2p.core.discovery import Discovery
from comind.p2p.core.door import (
    AdaptiveDoor,
    Arrivals,
    Decision,
    Door,
    DoorForAll,
    Open,
    Wait,
    deadline_ms,
    why_no_average,
)
from comind.p2p.core.errors import PeerMisbehaved
from comind.p2p.core.here import Here
from comind.p2p.core.messages import Arrival, Header, Ready, SignedHeader
from comind.p2p.core.wire import read
from comind.p2p.core.words import NO_ROOT, NodeId, Rule, View

FIRST_VIEW = View(0)
LATE = "it was called, and its step did not end before the door's deadline"
RECENT_ROUNDS = 8
"""So many averages tell an adaptive door how late members come."""


@dataclass(frozen=True, slots=True)
class Announced:
    """A header that is here, since when, and (with starting weights) the schema."""

    signed: SignedHeader
    header: Header
    arrived_ms: int
    layout: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """A contribution of this incarnation is not asked for again in this round, or up to a view."""

    incarnation: int
    because: str
    upto: View | None


@dataclass(slots=True)
class Gathering:
    """The headers of one height."""

    here: Here
    people: Discovery
    announced: dict[NodeId, Announced] = field(default_factory=dict)
    refused: dict[NodeId, Refusal] = field(default_factory=dict)
    """Whose contribution could not be had or used."""
    called: dict[NodeId, int] = field(default_factory=dict)
    """Whom this member, as the chief, has called, and when."""
    view: View = FIRST_VIEW
    _deadline_ms: int | None = None
    """Of an adaptive door: the chain says it, once for the height."""

    def add(self, ready: Ready) -> bool:
        """Keep a header; False if it says nothing new. A higher incarnation's supersedes a lower one's.

        Of two headers of one incarnation the first stays: who signed both is not who brings the second.

        Raises:
            PeerMisbehaved: it is not a valid header for this height.
        """
        header = self.here.chain.check_header(ready.header, self.here.verify)
        if ready.layout and schema_hash(ready.layout) != header.schema:
            raise PeerMisbehaved("starting weights with another schema than their header's")
        node = NodeId(header.node)
        before = self.announced.get(node)
        if before is not None and before.header.incarnation >= header.incarnation:
            if before.signed == ready.header and not before.layout:  # an OPEN had told the header alone
                self.announced[node] = replace(before, layout=ready.layout)
            return False
        self.announced[node] = Announced(ready.header, header, self.here.now_ms, ready.layout)
        return True

    def refuse(self, node: NodeId, because: str, upto: View | None = None) -> None:
        """Leave this contribution out, to the end of the round or up to a view (one's own next turn)."""
        if node in self.announced:
            self.refused[node] = Refusal(self.announced[node].header.incarnation, because, upto)

    def why_no_average(self) -> str | None:
        chain = self.here.chain
        if chain.root == NO_ROOT:
            return "there is no first base yet"
        if (paused := chain.standing.why_paused()) is not None and not chain.finished:
            return paused
        return why_no_average(chain.settings, len(self.people.training()), chain.round)

    def decide(self, since_ms: int = 0) -> Decision:
        """Say whether the door opens, for whom, and why (R5).

        `since_ms`: its deadline is not counted from before. Whoever judges a chief cannot know since when
        that has the first header, but since when it could lead.
        """
        if self.here.chain.root == NO_ROOT:
            known = [node for node in self._usable() if self._has_layout(node)]
            first = min(known, key=lambda node: (self.announced[node].arrived_ms, node), default=None)
            return Open((first,), "the first starting weights") if first else Wait("no trainer yet")
        if (because := self.why_no_average()) is not None:
            return Wait(because)
        twice = self._counted_twice()
        training = tuple(
            node for node in self.people.training() if node not in twice and not self._is_refused(node)
        )
        ready = self.here.chain.roster.in_order(frozenset(self._usable()) - twice)
        first_ms = min((one.arrived_ms for one in self.announced.values()), default=0)
        arrivals = Arrivals(training, ready, max(first_ms, since_ms))
        decision = self.door.decide(arrivals, self.here.now_ms)
        if isinstance(decision, Open) and len(decision.contributors) < self.here.settings.min_peers:
            return Wait(f"an average takes {self.here.settings.min_peers} contributions")
        return decision

    @property
    def door(self) -> Door:
        """The network's door; an adaptive one has its deadline from the chain, alike for all."""
        here = self.here
        if here.settings.door != "adaptive":
            return DoorForAll(here.list_names)
        if self._deadline_ms is None:
            self._deadline_ms = deadline_ms(_recent_arrivals(here.chain))
        return AdaptiveDoor(here.list_names, here.settings.min_peers, self._deadline_ms)

    def call(self, whom: tuple[NodeId, ...]) -> tuple[NodeId, ...]:
        """Note that these are called; return those who were not before."""
        new = tuple(node for node in whom if node not in self.called)
        self.called |= dict.fromkeys(new, self.here.now_ms)
        return new

    def still_called(self) -> tuple[NodeId, ...]:
        """Return who was called and has not come."""
        return tuple(node for node in self.called if node not in self.announced)

    def left_of(self, headers: tuple[SignedHeader, ...]) -> tuple[NodeId, ...]:
        """Return whose contributions of an OPEN can still be had, in roster order (R6)."""
        opened = frozenset(NodeId(read(Header, signed.header).node) for signed in headers)
        usable = opened.intersection(self._usable()) - self._counted_twice()
        return self.here.chain.roster.in_order(frozenset(one for one in usable if not self._is_lost(one)))

    def headers_of(self, nodes: tuple[NodeId, ...]) -> tuple[SignedHeader, ...]:
        return tuple(self.announced[node].signed for node in nodes)

    def arrivals(self) -> tuple[Arrival, ...]:
        """Return when those came that came uncalled, in roster order."""
        first_ms = min((one.arrived_ms for one in self.announced.values()), default=0)
        return tuple(
            Arrival(node=node, ms=self.announced[node].arrived_ms - first_ms)
            for node in self.here.chain.roster.in_order(frozenset(self.announced))
            if self.announced[node].arrived_ms <= self.called.get(node, self.announced[node].arrived_ms)
        )

    def reasons(self) -> dict[NodeId, str]:
        """Return why those are absent of whom this member knows more than that they are not ready."""
        training = self.people.training()
        called = {node: LATE for node in self.still_called() if node in training}
        refused = self.refused.items()
        return called | {node: refusal.because for node, refusal in refused if self._is_refused(node)}

    def _usable(self) -> list[NodeId]:
        """Whose header can be in an average now: it trains, is heard from, and was not refused."""
        training = frozenset(self.people.training())
        return [
            node
            for node in self.announced
            if node in training and not self._is_refused(node) and self._is_current(node)
        ]

    def _counted_twice(self) -> frozenset[NodeId]:
        """Whose header is of a run that an earlier member offers, too: a checkpoint resumed twice (R16)."""
        runs: dict[bytes, NodeId] = {}
        for node in self.here.chain.roster.in_order(frozenset(self._usable())):
            runs.setdefault(self.announced[node].header.run, node)
        first = frozenset(runs.values())
        return frozenset(node for node in self._usable() if node not in first)

    def _has_layout(self, node: NodeId) -> bool:
        announced = self.announced[node]
        return schema_hash(announced.layout) == announced.header.schema

    def _is_current(self, node: NodeId) -> bool:
        """Whether the header is of the incarnation that is linked; an older one's chunks cannot come."""
        return self.announced[node].header.incarnation == self.people.incarnation_of(node)

    def _is_refused(self, node: NodeId) -> bool:
        return self._is_lost(node) and (self.refused[node].upto is None or not self._needs_all())

    def _is_lost(self, node: NodeId) -> bool:
        """Whether this view has lost it, or found it of no use."""
        refusal, announced = self.refused.get(node), self.announced.get(node)
        if refusal is None or announced is None or refusal.incarnation != announced.header.incarnation:
            return False
        return refusal.upto is None or self.view <= refusal.upto

    def _needs_all(self) -> bool:
        """Whether no average opens without those whose contribution got lost: they are asked again (L1)."""
        needed = 1 if self.here.chain.root == NO_ROOT else self.here.settings.min_peers
        training = frozenset(self.people.training())
        others = [node for node in self.announced if node in training and node not in self.refused]
        return len(others) < needed


def _recent_arrivals(chain: Chain) -> list[int | None]:
    """Return when each contribution to the last averages came, in ms after the first; None: it was called."""
    found: list[int | None] = []
    left = RECENT_ROUNDS
    for block in reversed(chain.blocks):
        if block.rule != Rule.MEAN:
            continue
        came_ms = {arrival.node: arrival.ms for arrival in block.arrivals}
        found += [came_ms.get(read(Header, signed.header).node) for signed in block.headers]
        left -= 1
        if not left:
            break
    return found
