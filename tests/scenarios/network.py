"""Who can say what to whom, and when does it arrive?

Links as the shell keeps them: ordered, replaced by a newer one, closed by the kernel when a process vanishes.
Knows nothing of what is said, and of members only that things happen to them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from random import Random
from typing import Protocol

from comind.p2p.core.effects import Bar, DialFailed, Event, Heard, Knocked, LinkDown, LinkUp, Reached
from comind.p2p.core.messages import Message, TurnedAway
from comind.p2p.core.words import Incarnation, NodeId
from tests.scenarios.clock import Clock

Pair = tuple[NodeId, NodeId]
Matches = Callable[[NodeId, NodeId, Message], bool]


class Cut(Enum):
    """What becomes of what is said across a cut."""

    LOSES = "loses"
    """It is lost, and no end notices."""
    DELAYS = "delays"
    """It arrives after the cut is healed, as TCP would have it."""
    BREAKS = "breaks"
    """Both ends see their link go down."""


class End(Protocol):
    """One process, as the network sees it."""

    node: NodeId
    incarnation: Incarnation
    addresses: tuple[str, ...]
    """At which it can be reached; what it advertises may be others."""
    alive: bool
    bar: Bar

    def happens(self, event: Event) -> None: ...
    def link_went_down(self, peer: NodeId) -> None: ...


@dataclass(frozen=True, slots=True)
class Pace:
    """The fault-free network's times, in ms."""

    latency_ms: tuple[int, int] = (1, 5)
    redial_ms: int = 200
    dial_timeout_ms: int = 1_000


@dataclass(eq=False, slots=True)
class Link:
    """One greeted connection between two processes."""

    ends: tuple[End, End]
    dialler: NodeId
    open: dict[NodeId, bool] = field(default_factory=dict)
    arrives_ms: dict[NodeId, int] = field(default_factory=dict)
    """When the last message to each end arrives: none overtakes it."""
    delayed: list[tuple[NodeId, Message]] = field(default_factory=list)

    def other(self, node: NodeId) -> End:
        return self.ends[1] if self.ends[0].node == node else self.ends[0]


@dataclass(eq=False, slots=True)
class Rule:
    """A fault on demand: what to do with the messages that match."""

    matches: Matches
    does: str
    """`hold` until released, `lose`, or `duplicate`: deliver again some time later."""
    held: list[tuple[Link, NodeId, Message]] = field(default_factory=list)


def pair(one: NodeId, other: NodeId) -> Pair:
    return (one, other) if one < other else (other, one)


class Network:
    """All links, and what can go wrong with them."""

    def __init__(self, clock: Clock, chance: Random, pace: Pace) -> None:
        self.pace = pace
        self.rules: list[Rule] = []
        self._clock = clock
        self._chance = chance
        self._links: dict[Pair, Link] = {}
        self._cuts: dict[Pair, Cut] = {}
        self._running: dict[NodeId, End] = {}
        self._dials: dict[tuple[NodeId, NodeId], tuple[str, ...]] = {}
        self._reached: dict[tuple[NodeId, NodeId], Incarnation] = {}

    # -- processes ----------------------------------------------------------------------------------------

    def add(self, end: End) -> None:
        self._running[end.node] = end

    def vanish(self, end: End, losing: bool) -> None:
        """The kernel closes what the process had open; `losing` drops what it had sent and nobody has."""
        del self._running[end.node]
        for dial in [dial for dial in self._dials if dial[0] == end.node]:
            del self._dials[dial]
        for link in [link for link in self._links.values() if end in link.ends]:
            link.open[end.node] = False
            peer = link.other(end.node)
            if losing:
                self._close_end(link, peer.node)
            elif not self._is_cut(end.node, peer.node):
                self._deliver_at(link, peer.node, partial(self._close_end, link, peer.node))

    # -- links --------------------------------------------------------------------------------------------

    def peer(self, end: End, node: NodeId) -> End | None:
        """Return the process at the other end of a link that works, if there is one."""
        link = self._links.get(pair(end.node, node))
        if link is None or end not in link.ends or not (link.open[end.node] and link.open[node]):
            return None
        return link.other(end.node)

    def is_stalled(self, one: NodeId, other: NodeId) -> bool:
        """Whether a cut keeps these two from hearing each other though their link is up."""
        return self._is_cut(one, other)

    def dial(self, end: End, peer: NodeId, addresses: tuple[str, ...]) -> None:
        if self._dials.get((end.node, peer)) != addresses:
            self._dials[end.node, peer] = addresses
            self._clock.after(0, partial(self._try, end, peer, addresses))

    def undial(self, end: End, peer: NodeId) -> None:
        self._dials.pop((end.node, peer), None)

    def dial_seed(self, end: End, address: str) -> None:
        """Try this address until somebody answers, and again whenever there is no link left at all."""
        if not end.alive:
            return
        found = next((one for one in self._running.values() if address in one.addresses), None)
        if found is not None and found is not end and not self._is_cut(end.node, found.node):
            known = self._reached.get((end.node, found.node)) == found.incarnation
            alone = not any(link.open.get(end.node) for link in self._links.values())
            if alone or not known:
                self._clock.after(self._round_trip(), partial(self._connect, end, found))
        self._clock.after(self.pace.redial_ms, partial(self.dial_seed, end, address))

    def drop(self, end: End, peer: NodeId) -> None:
        link = self._links.get(pair(end.node, peer))
        if link is not None and end in link.ends:
            for one in link.ends:
                self._clock.after(0, partial(self._close_end, link, one.node))

    def barred(self, end: End) -> None:
        """This end has another bar: links with those that it denies end, once they were told why."""
        for link in [link for link in self._links.values() if end in link.ends and link.open[end.node]]:
            peer = link.other(end.node)
            word = _why_barred(end, peer.node, dialled=link.dialler == end.node)
            if word is not None:
                self._post(link, peer.node, word)
                self._deliver_at(link, peer.node, partial(self._close_end, link, peer.node))
                self._clock.after(0, partial(self._close_end, link, end.node))

    def _turn_away(self, end: End, found: End, word: TurnedAway) -> None:
        """The greeting is complete, so each knows who the other is; then one of them says no."""
        found.happens(Knocked(end.node))
        if end.alive and self.peer(end, found.node) is None:
            end.happens(LinkUp(found.node, found.incarnation, dialled=True))
            end.happens(Heard(found.node, word))
            end.happens(LinkDown(found.node))

    def _try(self, end: End, peer: NodeId, addresses: tuple[str, ...]) -> None:
        if not end.alive or self._dials.get((end.node, peer)) != addresses:
            return
        again = partial(self._try, end, peer, addresses)
        found = self._running.get(peer)
        reached = self._reached.get((end.node, peer))
        if found is not None and reached == found.incarnation and self.peer(end, peer) is found:
            self._clock.after(self.pace.redial_ms, again)
        elif found is None or not set(addresses) & set(found.addresses):
            self._clock.after(self._round_trip(), partial(end.happens, DialFailed(peer)))
            self._clock.after(self.pace.redial_ms, again)
        elif self._is_cut(end.node, peer):
            self._clock.after(self.pace.dial_timeout_ms, partial(end.happens, DialFailed(peer)))
            self._clock.after(self.pace.dial_timeout_ms + self.pace.redial_ms, again)
        else:
            self._clock.after(self._round_trip(), partial(self._connect, end, found))
            self._clock.after(self.pace.dial_timeout_ms, again)

    def _connect(self, end: End, found: End) -> None:
        """A greeting is complete. Where both dialled, the dial of the smaller NodeId survives."""
        if not (end.alive and found.alive) or self._is_cut(end.node, found.node):
            return
        if _why_barred(end, found.node, dialled=True) is not None:
            return
        if (word := _why_barred(found, end.node, dialled=False)) is not None:
            self._clock.after(0, partial(self._turn_away, end, found, word))
            return
        self._reached[end.node, found.node] = found.incarnation
        old = self._links.get(pair(end.node, found.node))
        if old is not None and self.peer(end, found.node) is found and not (old.dialler > end.node):
            self._clock.after(0, partial(end.happens, Reached(found.node)))
            return
        if old is not None:
            self._replace(old)
        link = Link((end, found), end.node, {end.node: True, found.node: True})
        self._links[pair(end.node, found.node)] = link
        for one in link.ends:
            other = link.other(one.node)
            reached = self._reached.get((one.node, other.node)) == other.incarnation
            up = LinkUp(other.node, other.incarnation, reached)
            self._clock.after(0, partial(one.happens, up))
        self._clock.after(0, partial(end.happens, Reached(found.node)))

    def _replace(self, link: Link) -> None:
        for end in link.ends:
            peer = link.other(end.node)
            if link.open[end.node] and not peer.alive:  # it restarted before this end heard that it was gone
                end.link_went_down(peer.node)
        link.open = dict.fromkeys(link.open, False)

    def _close_end(self, link: Link, node: NodeId) -> None:
        if not link.open[node]:
            return
        link.open[node] = False
        peer = link.other(node).node
        end = link.other(peer)
        end.link_went_down(peer)
        end.happens(LinkDown(peer))

    # -- messages -----------------------------------------------------------------------------------------

    def send(self, end: End, to: NodeId, message: Message) -> None:
        link = self._links.get(pair(end.node, to))
        if link is None or end not in link.ends or not link.open[end.node]:
            return
        for rule in self.rules:
            if rule.matches(end.node, to, message):
                if rule.does == "duplicate":
                    for later_ms in (0, self._chance.randint(1, 400), self._chance.randint(400, 4_000)):
                        self._clock.after(later_ms, partial(self._post, link, to, message))
                elif rule.does == "hold":
                    rule.held.append((link, to, message))
                    return
                else:
                    return
        self._post(link, to, message)

    def release(self, rule: Rule) -> None:
        """Deliver what was held, in order, and hold no more."""
        self.rules.remove(rule)
        for link, to, message in rule.held:
            self._post(link, to, message)

    def _post(self, link: Link, to: NodeId, message: Message) -> None:
        self._deliver_at(link, to, partial(self._deliver, link, to, message))

    def _deliver_at(self, link: Link, to: NodeId, deliver: Callable[[], None]) -> None:
        arrives_ms = self._clock.now_ms + self._chance.randint(*self.pace.latency_ms)
        link.arrives_ms[to] = max(arrives_ms, link.arrives_ms.get(to, 0))
        self._clock.at(link.arrives_ms[to], deliver)

    def _deliver(self, link: Link, to: NodeId, message: Message) -> None:
        sender = link.other(to).node
        match self._cuts.get(pair(sender, to)):
            case None if link.open[to]:
                link.other(sender).happens(Heard(sender, message))
            case Cut.DELAYS:
                link.delayed.append((to, message))

    # -- cuts ---------------------------------------------------------------------------------------------

    def cut(self, one: NodeId, other: NodeId, how: Cut) -> None:
        self._cuts[pair(one, other)] = how
        link = self._links.get(pair(one, other))
        if how is Cut.BREAKS and link is not None:
            for end in link.ends:
                self._clock.after(0, partial(self._close_end, link, end.node))

    def heal(self) -> None:
        self._cuts.clear()
        for link in self._links.values():
            for to, message in link.delayed:
                self._post(link, to, message)
            link.delayed.clear()
            for end in link.ends:  # the kernel's news of a vanished process comes through at last
                if not link.other(end.node).alive:
                    self._clock.after(0, partial(self._close_end, link, end.node))

    def _is_cut(self, one: NodeId, other: NodeId) -> bool:
        return pair(one, other) in self._cuts

    def _round_trip(self) -> int:
        return 2 * self._chance.randint(*self.pace.latency_ms)


def _why_barred(end: End, peer: NodeId, dialled: bool) -> TurnedAway | None:
    """What this end says to a peer to which it gives no link."""
    if (because := dict(end.bar.denied).get(peer)) is not None:
        return TurnedAway(denied=True, because=because)
    if not dialled and end.bar.allowed is not None and peer not in end.bar.allowed:
        return TurnedAway(denied=False, because="")
    return None
