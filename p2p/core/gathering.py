"""Which contributions are announced for the next height, and whom does the round wait for? (R4, R5)

Keeps the newest header of each member. Knows nothing of views and votes.
"""

from dataclasses import dataclass, field, replace

from comind.p2p.core.chain import schema_hash
from comind.p2p.core.discovery import Discovery
from comind.p2p.core.door import Arrivals, Decision, DoorForAll, Open, Wait, why_no_average
from comind.p2p.core.errors import PeerMisbehaved
from comind.p2p.core.here import Here
from comind.p2p.core.messages import Arrival, Header, Ready, SignedHeader
from comind.p2p.core.words import NO_ROOT, NodeId, View

FIRST_VIEW = View(0)


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
    view: View = FIRST_VIEW

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
        return why_no_average(chain.settings, len(self.people.training()), chain.round)

    def decide(self) -> Decision:
        """Say whether the door opens, for whom, and why (R5)."""
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
        decision = DoorForAll(self.here.list_names).decide(Arrivals(training, ready), self.here.now_ms)
        if isinstance(decision, Open) and len(decision.contributors) < self.here.settings.min_peers:
            return Wait(f"an average takes {self.here.settings.min_peers} contributions")
        return decision

    def headers_of(self, nodes: tuple[NodeId, ...]) -> tuple[SignedHeader, ...]:
        return tuple(self.announced[node].signed for node in nodes)

    def arrivals(self) -> tuple[Arrival, ...]:
        first_ms = min((one.arrived_ms for one in self.announced.values()), default=0)
        return tuple(
            Arrival(node=node, ms=self.announced[node].arrived_ms - first_ms)
            for node in self.here.chain.roster.in_order(frozenset(self.announced))
        )

    def reasons(self) -> dict[NodeId, str]:
        return {node: refusal.because for node, refusal in self.refused.items() if self._is_refused(node)}

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
        refusal, announced = self.refused.get(node), self.announced.get(node)
        if refusal is None or announced is None or refusal.incarnation != announced.header.incarnation:
            return False
        if refusal.upto is None:
            return True
        return self.view <= refusal.upto and not self._needs_all()

    def _needs_all(self) -> bool:
        """Whether no average opens without those whose contribution got lost: they are asked again (L1)."""
        needed = 1 if self.here.chain.root == NO_ROOT else self.here.settings.min_peers
        training = frozenset(self.people.training())
        others = [node for node in self.announced if node in training and node not in self.refused]
        return len(others) < needed
