"""Whom do we know, whom are we linked with, and who is heard from?

Seeds answer with the addresses that they know, peers exchange them from then on. Knows nothing of rounds.
"""

from dataclasses import dataclass, field

from comind.p2p.core.effects import Dial, Undial
from comind.p2p.core.here import Here
from comind.p2p.core.messages import MAX_MEMBERS, Addressbook, Greeting, Heartbeat, Join, Leave, TurnedAway
from comind.p2p.core.signing import join_statement, leave_statement, sign_join, sign_leave
from comind.p2p.core.wishes import Wishes
from comind.p2p.core.words import Incarnation, NodeId, full_id

KNOCK_FORGOTTEN_MS = 120_000
"""Who waits at the door knocks far more often."""
MAX_STRANGERS = 64
"""Nodes off the roster that one dials or remembers a wish of."""
JOIN_RIPENS_MS = 2_000
"""How long a joiner's wish waits for somebody to have reached it at its address."""
_UNSIGNED = bytes(64)


@dataclass(slots=True)
class Link:
    """What is known of a peer over its present link."""

    incarnation: Incarnation
    heard_ms: int
    greeting: Greeting | None = None
    heartbeat: Heartbeat | None = None
    changed_ms: int = 0
    """When what its heartbeat says of its height, view or abstaining changed last."""


@dataclass(slots=True)
class Discovery:
    """Links, addresses, and the wishes to join and to leave."""

    here: Here
    wishes: Wishes = field(init=False)
    links: dict[NodeId, Link] = field(default_factory=dict)
    lost_ms: dict[NodeId, int] = field(default_factory=dict)
    reached: set[NodeId] = field(default_factory=set)
    unreachable: set[NodeId] = field(default_factory=set)
    away: dict[NodeId, Incarnation] = field(default_factory=dict)
    """Who said that it stops, and as which incarnation: it is away until it is started again."""
    dialling: dict[NodeId, tuple[str, ...]] = field(default_factory=dict)
    known: dict[NodeId, tuple[str, ...]] = field(default_factory=dict)
    """Addresses of nodes off the roster."""
    joins: dict[NodeId, tuple[Join, int]] = field(default_factory=dict)
    leaves: dict[NodeId, Leave] = field(default_factory=dict)
    knocks: dict[NodeId, int] = field(default_factory=dict)
    """Who proved who it is and got no link, and when last."""
    turned_away: dict[NodeId, TurnedAway] = field(default_factory=dict)
    """Who gave this node no link, and why."""
    skipped_ms: dict[NodeId, int] = field(default_factory=dict)
    """When a block skipped it as a chief: it leads again once it was heard from since (R3)."""
    trains: bool = False
    """Whether an unfinished trainer is attached here."""
    stopping: bool = False
    started_ms: int = 0
    had_quorum: bool = False
    """Whether a quorum of voters has greeted this incarnation, and the others had their time."""

    def __post_init__(self) -> None:
        self.wishes = Wishes(self.here)

    # -- links ----------------------------------------------------------------------------------------------

    def link_up(self, peer: NodeId, incarnation: Incarnation, dialled: bool) -> None:
        self.links[peer] = Link(incarnation, self.here.now_ms, changed_ms=self.here.now_ms)
        if self.away.get(peer) != incarnation:  # the same one only says its last words on another connection
            self.away.pop(peer, None)
        if peer in self.leaves and self.leaves[peer].incarnation != incarnation:
            del self.leaves[peer]
        if dialled:
            self.reach(peer)

    def link_down(self, peer: NodeId) -> None:
        if self.links.pop(peer, None) is not None:
            self.lost_ms[peer] = self.here.now_ms
            self._forget_strangers()

    def knocked(self, peer: NodeId) -> None:
        """It stays outside, and is shown to operators: whoever holds the network key can be many."""
        if peer not in self.knocks and len(self.knocks) >= MAX_STRANGERS:
            del self.knocks[min(self.knocks, key=lambda one: self.knocks[one])]
        self.knocks[peer] = self.here.now_ms

    def at_the_door(self) -> tuple[tuple[NodeId, str], ...]:
        """Return who waits outside, and why it gets no link."""
        return tuple(
            (node, why)
            for node, knocked_ms in sorted(self.knocks.items())
            if self.here.now_ms - knocked_ms < KNOCK_FORGOTTEN_MS
            and node not in self.here.chain.roster
            and (why := self.why_barred(node)) is not None
        )

    def why_barred(self, node: NodeId) -> str | None:
        return self.here.chain.standing.why_barred(node, self.here.settings)

    def was_turned_away(self, peer: NodeId, word: TurnedAway) -> None:
        if peer not in self.turned_away and len(self.turned_away) >= MAX_STRANGERS:
            del self.turned_away[next(iter(self.turned_away))]
        self.turned_away[peer] = word

    def why_outside(self) -> str | None:
        """Say why this node has no link, and what lets it in; None if nobody turned it away."""
        if not self.turned_away or self.greeted():
            return None
        command = f"comind allow {full_id(self.here.me.node)}"
        denials = [word.because for word in self.turned_away.values() if word.denied]
        if denials:
            return f"denied by {denials[-1]}; what lets it in is that a member's operator runs: {command}"
        return f"not allowed into this network yet: ask a member's operator to run: {command}"

    def reach(self, peer: NodeId) -> None:
        self.reached.add(peer)
        self.unreachable.discard(peer)

    def dial_failed(self, peer: NodeId) -> None:
        self.reached.discard(peer)
        self.unreachable.add(peer)

    def heard(self, peer: NodeId) -> Link | None:
        link = self.links.get(peer)
        if link is not None:
            link.heard_ms = self.here.now_ms
        return link

    def beat(self, peer: NodeId, heartbeat: Heartbeat) -> None:
        link = self.links[peer]
        before = link.heartbeat
        if before is None or _standing(before) != _standing(heartbeat):
            link.changed_ms = self.here.now_ms
        link.heartbeat = heartbeat
        if heartbeat.away:
            self.away[peer] = link.incarnation

    def is_heard(self, peer: NodeId) -> bool:
        """Whether it is linked, not away, and something came from it lately; oneself always is."""
        if peer == self.here.me.node:
            return True
        link = self.links.get(peer)
        return (
            link is not None
            and peer not in self.away
            and self.here.now_ms - link.heard_ms <= self.here.settings.silent_after_ms
        )

    def present(self) -> tuple[NodeId, ...]:
        return tuple(node for node in self.here.chain.roster.nodes() if self.is_heard(node))

    def training(self) -> tuple[NodeId, ...]:
        """Return the members that train and are heard from, in roster order."""
        return tuple(node for node in self.present() if self._trains(node))

    def greeted(self) -> frozenset[NodeId]:
        """Who greeted this incarnation over a link that stands."""
        return frozenset(node for node, link in self.links.items() if link.greeting is not None)

    def height_of(self, peer: NodeId) -> int:
        """Return the highest height that this peer has told of, -1 if none."""
        link = self.links.get(peer)
        if link is None:
            return -1
        told = [link.greeting.height if link.greeting else 0, link.heartbeat.height if link.heartbeat else 0]
        return max(told) - 1

    def why_silent(self, node: NodeId) -> str:
        if node in self.away:
            return "away"
        link = self.links.get(node)
        if link is not None:
            return f"silent for {(self.here.now_ms - link.heard_ms) / 1_000:.1f} s"
        lost_ms = self.lost_ms.get(node)
        return (
            "no link to it" if lost_ms is None else f"lost {(self.here.now_ms - lost_ms) / 1_000:.1f} s ago"
        )

    # -- addresses ------------------------------------------------------------------------------------------

    def addressbook(self) -> Addressbook:
        entries = {entry.node: entry.addresses for entry in self.here.chain.roster if entry.addresses}
        entries |= {node: addresses for node, addresses in self.known.items() if node in self.links}
        return Addressbook(entries=tuple(entries.items())[:MAX_MEMBERS])

    def learn(self, node: NodeId, addresses: tuple[str, ...], own_word: bool = False) -> None:
        """Remember where a stranger is said to be; what it says itself (`own_word`) counts more."""
        if not addresses or node == self.here.me.node:
            return
        counts = own_word or node in self.links
        if node in self.known and node in self.links and not own_word:
            return
        if node not in self.known and len(self.known) >= MAX_STRANGERS:
            hearsay = next((one for one in self.known if one not in self.links), None)
            if not counts or hearsay is None:
                return
            del self.known[hearsay]
        self.known[node] = addresses

    def dial_all(self) -> None:
        """Keep a dial to every member and every known joiner; to nobody else."""
        wanted = dict(self.known)
        wanted |= {entry.node: entry.addresses for entry in self.here.chain.roster if entry.addresses}
        wanted.pop(self.here.me.node, None)
        wanted = {
            node: addresses
            for node, addresses in wanted.items()
            if node in self.here.chain.roster or self.why_barred(node) is None
        }
        for node in [node for node in self.dialling if node not in wanted]:
            del self.dialling[node]
            self.here.do(Undial(node))
        for node, addresses in wanted.items():
            if self.dialling.get(node) != addresses:
                self.dialling[node] = addresses
                self.here.do(Dial(node, addresses))

    # -- wishes to join and leave ---------------------------------------------------------------------------

    def ask_to_join(self) -> None:
        me = self.here.me
        join = Join(
            node=me.node,
            name=me.name,
            addresses=me.addresses,
            incarnation=me.incarnation,
            no_lead=me.no_lead,
            signature=_UNSIGNED,
        )
        self.here.send(self.links, sign_join(self.here.signer, self.here.network, join))

    def ask_to_leave(self) -> None:
        me = self.here.me
        leave = Leave(node=me.node, incarnation=me.incarnation, signature=_UNSIGNED)
        self.on_leave(sign_leave(self.here.signer, self.here.network, leave))

    def on_join(self, join: Join) -> None:
        """Remember a wish to join, and pass a new one on."""
        node = NodeId(join.node)
        if node == self.here.me.node or node in self.here.chain.roster or self.why_barred(node):
            return
        if not self._is_newer(join, self.joins.get(node)):
            return
        if node not in self.joins and len(self.joins) >= MAX_STRANGERS and not self._forget_a_vanished_wish():
            return
        if not self.here.verify(node, join_statement(self.here.network, join), join.signature):
            return
        self.joins[node] = (join, self.here.now_ms)
        self.here.names[node] = join.name
        self.leaves.pop(node, None)
        self.learn(node, join.addresses, own_word=True)
        self.here.send(self.links, join)
        self.here.note(f"{join.name} asks to join")

    def on_leave(self, leave: Leave) -> None:
        """Remember a wish to leave of a member that is here to say so: an older one's is long settled."""
        node = NodeId(leave.node)
        if node not in self.here.chain.roster or node in self.leaves:
            return
        if leave.incarnation != self.incarnation_of(node):
            return
        if not self.here.verify(node, leave_statement(self.here.network, leave), leave.signature):
            return
        self.leaves[node] = leave
        self.here.send(self.links, leave)
        self.here.note(f"{self.here.name(node)} asks to leave")

    def ripe_joins(self) -> tuple[Join, ...]:
        """Return the wishes of joiners that are heard from, and known to be reachable or not."""
        return tuple(
            join
            for node, (join, since_ms) in sorted(self.joins.items())
            if self.is_heard(node) and join.incarnation == self.incarnation_of(node)
            if self.somebody_reached(node)
            or join.no_lead
            or not join.addresses
            or node in self.unreachable
            or self.here.now_ms - since_ms >= JOIN_RIPENS_MS
        )

    def incarnation_of(self, node: NodeId) -> int | None:
        """Return the incarnation that is linked now, or one's own; None: there is no link."""
        if node == self.here.me.node:
            return self.here.me.incarnation
        link = self.links.get(node)
        return None if link is None else link.incarnation

    def somebody_reached(self, node: NodeId) -> bool:
        """Whether we, or somebody that is heard from, dialled it successfully at its advertised address."""
        return node in self.reached or any(
            link.heartbeat is not None and node in link.heartbeat.reached
            for peer, link in self.links.items()
            if self.is_heard(peer)
        )

    def worth_telling(self) -> tuple[NodeId, ...]:
        """Return whom we reached and the chain does not know as able to lead."""
        leading = {entry.node for entry in self.here.chain.roster if entry.can_lead}
        return tuple(sorted(self.reached - leading))[:MAX_STRANGERS]

    def forget_settled(self) -> None:
        """Drop the wishes that a block has fulfilled, and what was known of nodes that are members now."""
        roster = self.here.chain.roster
        self.joins = {
            node: wish
            for node, wish in self.joins.items()
            if node not in roster and self.why_barred(node) is None
        }
        self.leaves = {node: leave for node, leave in self.leaves.items() if node in roster}
        self.known = {node: where for node, where in self.known.items() if node not in roster}

    def _forget_a_vanished_wish(self) -> bool:
        vanished = next((node for node in self.joins if node not in self.links), None)
        if vanished is not None:
            del self.joins[vanished]
        return vanished is not None

    def _forget_strangers(self) -> None:
        """Keep what is known of nodes off the roster bounded: whoever holds the network key can be many."""
        strangers = [node for node in self.lost_ms if node not in self.here.chain.roster]
        for node in strangers[: max(0, len(strangers) - MAX_STRANGERS)]:
            self.lost_ms.pop(node)
            self.here.names.pop(node, None)
            self.skipped_ms.pop(node, None)
            self.reached.discard(node)
            self.unreachable.discard(node)
            self.away.pop(node, None)

    def _trains(self, node: NodeId) -> bool:
        if node == self.here.me.node:
            return self.trains and not self.stopping
        link = self.links.get(node)
        return link is not None and link.heartbeat is not None and link.heartbeat.training

    @staticmethod
    def _is_newer(join: Join, before: tuple[Join, int] | None) -> bool:
        return before is None or join.incarnation > before[0].incarnation


def _standing(heartbeat: Heartbeat) -> tuple[int, int, str]:
    return heartbeat.height, heartbeat.view, heartbeat.abstains
