"""How does the daemon run? One thread, one poll.

What comes in becomes events; the member steps; what it wants is carried out, in its order (`orders`). Decides
nothing of a round. Time is monotonic.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from enum import Enum
from typing import assert_never

import zmq

from comind.node.attach import Refused as Declined
from comind.node.attach import Status
from comind.node.daemon.assembly import Parts
from comind.node.daemon.audience import Audience
from comind.node.daemon.orders import Orders
from comind.node.daemon.outgoing import Ask, Chunk, ChunkList, Grant, LookedThrough, Misbehaved, Refuse
from comind.node.daemon.shared import Brought
from comind.node.daemon.status import status_of
from comind.node.daemon.store import KnownAddresses
from comind.node.daemon.telling import facts_of
from comind.node.daemon.trainers import DECIDABLE, Asked, Happening, HungUp
from comind.node.daemon.transfers import Adopted
from comind.node.daemon.wakeup import Wakeup, now_ms
from comind.node.daemon.whom import who_is_meant
from comind.p2p.core.effects import (
    Action,
    Adopt,
    Announced,
    Answer,
    Average,
    Bar,
    Begin,
    CallTrainer,
    Commit,
    Contribute,
    Dial,
    DialFailed,
    Drop,
    Event,
    Fetch,
    Forget,
    Gone,
    Heard,
    Keep,
    Knocked,
    LeaveAsked,
    LinkDown,
    LinkUp,
    Note,
    OperatorAsked,
    Promise,
    Reached,
    Receive,
    Release,
    Send,
    StopAsked,
    Undial,
    Wait,
    Woken,
)
from comind.p2p.core.member import Member
from comind.p2p.core.messages import Greeting
from comind.p2p.core.picture import Picture
from comind.p2p.core.words import NO_ROOT, Incarnation, NodeId, full_id, short_id
from comind.p2p.shell.news import News, SeedFailed
from comind.p2p.shell.reasons import Failure

HIGHEST_BOOT = 1 << 30
"""A count of starts beyond this is made up."""

ORPHANED_MS = 600_000
"""After so long without a trainer, a daemon that a trainer started stops: nobody else would end it."""


class Ending(Enum):
    STOPPED = "stopped"
    LEFT = "left the network"
    EXPELLED = "removed from the network"
    RESTORED = "its disk was restored from a backup"


def expelled_line(by: str, node: NodeId) -> str:
    """What a person is told whose node was removed by an operator, and why it ends."""
    return (
        f"{Ending.EXPELLED.value} by {by}; it gets no link until a member's operator runs:"
        f" comind allow {full_id(node)}"
    )


class Loop:
    """One daemon's life, from its first event to its end."""

    def __init__(self, parts: Parts, log: Callable[[str], None], stop: Wakeup) -> None:
        """`stop` is set when the process is to end (a signal)."""
        self._parts = parts
        self._log = log
        self._stop = stop
        self._journal = parts.journal
        self._member = Member(parts.me, parts.network, parts.memory, self._journal.signer, now_ms())
        self._orders = Orders(parts.disk.put)
        self._sync_first(self._picture())
        self._audience = Audience(parts.trainers)
        self._poller = zmq.Poller()
        self._watched: dict[int, bool] = {}
        self._events: list[Event] = []
        """What happened while actions were carried out."""
        self._wake_at_ms: int | None = None
        self._trained_ms = now_ms()
        """When a trainer was here last."""
        self._noted = False
        """Whether note was taken of the newest block."""
        self._seeking = False
        self._seeds = list(parts.seeds)
        self._unreached = ""
        """Why a seed gave no link, while there is none at all."""
        self._ending: Ending | None = None
        self._over = False
        self.last_words = ""
        """How it ended, for the log."""
        self.expelled = ""
        """With `Ending.EXPELLED`: by whom, and why."""
        self.seen_above: Incarnation | None = None
        """With `Ending.RESTORED`: the highest incarnation that somebody saw of this node."""

    def run(self) -> Ending:
        """Run until it is stopped, has left, or must be put together anew."""
        parts = self._parts
        parts.links.register(self._poller)
        for one in (parts.plane.wakeup, parts.disk.wakeup, self._stop):
            self._poller.register(one.fileno(), zmq.POLLIN)
        self._begin()
        while not self._over:
            self._turn()
        assert self._ending is not None
        self.last_words, as_asked = self._farewell(self._ending)
        self._audience.farewell(self.last_words, as_asked)
        return self._ending

    def _begin(self) -> None:
        parts = self._parts
        self._journal.begin(self._member)
        self._step([Woken()])
        name = self._picture().network
        where = f"{name} ({parts.network.hex()[:8]})" if name else parts.network.hex()[:8]
        self._log(
            f"ready: {parts.me.name} ({short_id(parts.me.node)}) listens on {parts.links.listening}"
            f" in network {where}"
        )

    def _turn(self) -> None:
        """Wait for something, take in all there is, and do what is to be done about it."""
        ready = {descriptor for descriptor, _ in self._poll() if isinstance(descriptor, int)}
        now = now_ms()
        events, self._events = self._events, []
        events += self._take_news(self._parts.links.collect(now))
        events += self._take_outputs()
        for descriptor in ready & self._watched.keys():
            events += self._take_happenings(self._parts.trainers.ready(descriptor))
        if self._stop.fileno() in ready:
            self._stop.clear()
            events += self._end(StopAsked())
        events += self._stop_if_orphaned(now)
        if not events and self._wake_at_ms is not None and now >= self._wake_at_ms:
            events.append(Woken())
        self._step(events)
        self._seek()
        self._show(now)

    # -- waiting --------------------------------------------------------------------------------------------

    def _poll(self) -> list[tuple[object, int]]:
        self._watch_trainers()
        times = [self._wake_at_ms, self._parts.links.wake_at_ms(), self._audience.wake_at_ms]
        if self._events:
            times.append(0)
        wake_at_ms = min((one for one in times if one is not None), default=None)
        timeout = None if wake_at_ms is None else max(0, wake_at_ms - now_ms())
        found: list[tuple[object, int]] = self._poller.poll(timeout)
        return found

    def _watch_trainers(self) -> None:
        wanted = self._parts.trainers.watched()
        for descriptor in self._watched.keys() - wanted.keys():
            self._poller.unregister(descriptor)
        for descriptor, writes in wanted.items():
            if self._watched.get(descriptor) is not writes:
                self._poller.register(descriptor, zmq.POLLIN | (zmq.POLLOUT if writes else 0))
        self._watched = wanted

    # -- what happened --------------------------------------------------------------------------------------

    def _take_news(self, news: Iterable[News]) -> list[Event]:
        events: list[Event] = []
        for one in news:
            match one:
                case LinkUp() | LinkDown():
                    self._parts.plane.link(one)
                    events.append(one)
                case Heard(peer=peer, message=Greeting(seen_incarnation=seen)) if self._was(seen, peer):
                    self._restored(seen)
                    events.append(one)
                case Heard() | DialFailed() | Reached() | Knocked():
                    events.append(one)
                case SeedFailed(address=address, because=because):
                    self._seed_failed(address, because)
                case _:
                    if (misbehaved := self._parts.plane.hear(one, self._parts.links)) is not None:
                        self._drop(misbehaved)
        return events

    def _take_outputs(self) -> list[Event]:
        events: list[Event] = []
        for output in self._parts.plane.collect():
            match output:
                case Ask() | Grant() | ChunkList() | Chunk() | Refuse():
                    self._parts.plane.say(output, self._parts.links)
                case Misbehaved():
                    self._drop(output)
                case LookedThrough(offer=offer, wrong=wrong):
                    events += self._take_happenings(self._parts.trainers.looked_through(offer, wrong))
                case _:
                    events.append(output)
        return events

    def _take_happenings(self, happenings: Iterable[Happening]) -> list[Event]:
        events: list[Event] = []
        for one in happenings:
            match one:
                case Brought():
                    self._parts.plane.do(one)
                case Asked():
                    events += self._answer(one)
                case HungUp(who=who):
                    self._audience.lost(who)
                case LeaveAsked():
                    events += self._end(one)
                case _:
                    events.append(one)
        return events

    def _answer(self, asked: Asked) -> list[Event]:
        match asked.what:
            case "stop":
                self._audience.waits_for_end(asked.who)
                return self._end(StopAsked())
            case "leave":
                self._audience.waits_for_end(asked.who)
                return self._end(LeaveAsked())
            case "watch":
                self._audience.watches(asked.who)
            case what if what in DECIDABLE:
                return self._ask_all(asked)
        return self._take_happenings(self._audience.show(asked.who, self._status()))

    def _ask_all(self, asked: Asked) -> list[Event]:
        """Have the member ask for what a block must decide, if it is clear whom it is about."""
        whom = who_is_meant(asked.what, asked.about, self._picture())
        if isinstance(whom, str):
            return self._take_happenings(self._parts.trainers.say(asked.who, Declined(whom)))
        ticket = self._audience.waits_for_answer(asked.who)
        return [OperatorAsked(ticket, asked.what, asked.because, whom)]

    def _end(self, event: StopAsked | LeaveAsked) -> list[Event]:
        """A stop ends the daemon once it is said; leaving ends it when the member says `Gone`."""
        if isinstance(event, StopAsked):
            self._ending = Ending.STOPPED
        return [event]

    def _stop_if_orphaned(self, now: int) -> list[Event]:
        parts = self._parts
        if parts.trainers.attached or not parts.leaves_with_trainer:
            self._trained_ms = now
        if now - self._trained_ms < ORPHANED_MS or self._ending is not None:
            return []
        self._say("its trainer is gone for good: it stops, and comes back with the next comind.join()")
        return self._end(StopAsked())

    def _was(self, seen: int, peer: NodeId) -> bool:
        """Whether a member, and no stranger, saw this node in a higher incarnation than it is in."""
        members = {one.node for one in self._picture().members if one.state != "joining"}
        return seen > self._parts.me.incarnation and peer in members

    def _restored(self, seen: int) -> None:
        """R14: whoever comes back from a backup takes an incarnation above all that others saw of it."""
        if self._ending is None and seen >> 32 < HIGHEST_BOOT:
            self._say("this node's disk was restored from a backup: it starts again as a new incarnation")
            self._ending, self.seen_above = Ending.RESTORED, Incarnation(seen)

    # -- what is to be done ---------------------------------------------------------------------------------

    def _step(self, events: list[Event]) -> None:
        now = now_ms()  # not before any picture was drawn: so it is the time that the member goes by
        actions: list[Action] = []
        for event in events:
            try:
                step = self._member.step(event, now)
            except Exception as why:
                self._journal.note_failure(event, now, why)
                raise
            self._journal.note(event, now, step)
            actions += step.actions
            self._wake_at_ms = step.wake_at_ms
        if events:
            self._orders.add(actions)
            self._journal.flush(self._member)
            self._audience.stir()
        self._parts.disk.wakeup.clear()
        for action in self._orders.due(self._parts.disk.durable()):
            self._carry_out(action)
        self._take_note_of_blocks()
        if self._ending is not None and not self._orders and not self._events:
            self._over = True

    def _carry_out(self, action: Action) -> None:
        parts = self._parts
        match action:
            case Send(to=to, message=message):
                for peer in to:
                    parts.links.send(peer, message)
            case Commit():
                self._noted = False
            case Contribute() | Average() | Receive() | Fetch() | Forget():
                parts.plane.do(action)
            case Dial(peer=peer, addresses=addresses):
                parts.links.dial(peer, addresses)
                parts.disk.put([KnownAddresses(peer, addresses)])
            case Undial(peer=peer):
                parts.links.undial(peer)
            case Drop(peer=peer, because=because):
                self._drop(Misbehaved(peer, because))
            case Keep(roots=roots, gone=gone):
                parts.snapshots.forget(gone)
                parts.disk.keep(roots, gone)
            case Adopt() | Announced() | Begin() | Release() | Wait() | CallTrainer():
                self._take_note_of_blocks()  # so that a trainer whose model differs hears that, and no more
                if isinstance(action, Adopt):
                    parts.plane.do(Adopted(action.root))
                elif isinstance(action, Announced):
                    parts.plane.do(action)
                told = parts.trainers.tell(action, parts.snapshots.descriptor)
                self._events += self._take_happenings(told)
            case Note(what=what):
                self._say(what)
            case Answer():
                self._events += self._take_happenings(self._audience.answer(action))
            case Gone(expelled=expelled):
                self.expelled = expelled
                self._ending, self._over = Ending.EXPELLED if expelled else Ending.LEFT, True
            case Bar():
                parts.links.bar(action)
            case Promise():
                raise AssertionError("orders carry promises out")
            case _:
                assert_never(action)

    def _take_note_of_blocks(self) -> None:
        """After blocks were committed, be it one or a thousand: what follows for trainer and disk."""
        if self._noted:
            return
        self._noted = True
        picture, parts = self._picture(), self._parts
        self._sync_first(picture)
        if picture.height >= 0:
            facts = facts_of(picture, parts.me, parts.network, parts.leaves_with_trainer)
            self._events += self._take_happenings(parts.trainers.know(facts))
        if picture.root != NO_ROOT:
            parts.disk.settle(picture.root)

    def _sync_first(self, picture: Picture) -> None:
        """R9: as soon as genesis is known, follow its `durability`."""
        if picture.settings.durability == "power" and not self._parts.snapshots.syncs:
            self._parts.snapshots.sync_first()

    def _drop(self, misbehaved: Misbehaved) -> None:
        self._say(f"drops the link with {short_id(misbehaved.peer)}: {misbehaved.because}")
        self._parts.links.drop(misbehaved.peer, misbehaved.because)

    def _seek(self) -> None:
        """Dial the seeds for as long as there is no link at all, or none that lasts."""
        lonely = not self._parts.links.linked() or self._member.is_outside
        if lonely == self._seeking:
            return
        self._seeking = lonely
        self._unreached = ""
        for seed in self._seeds:
            if lonely:
                self._parts.links.dial_seed(seed)
            else:
                self._parts.links.undial_seed(seed)

    def _seed_failed(self, address: str, because: Failure) -> None:
        if because is Failure.ITSELF:
            self._seeds.remove(address)
            self._parts.links.undial_seed(address)
        else:
            self._unreached = f"seed {address}: {because}"
            self._say(f"{self._unreached}; it is tried again")
            self._events += self._take_happenings(self._parts.trainers.unreached(self._unreached))

    # -- what is said ---------------------------------------------------------------------------------------

    def _say(self, line: str) -> None:
        self._log(line)
        self._events += self._take_happenings(self._audience.say(line))

    def _show(self, now: int) -> None:
        if self._audience.is_due(now):
            self._events += self._take_happenings(self._audience.show_all(self._status(), now))

    def _picture(self) -> Picture:
        return self._member.picture(now_ms())

    def _farewell(self, ending: Ending) -> tuple[str, bool]:
        """What whoever asked for the end is told, and whether it is that one: leaving can fail."""
        picture = self._picture()
        stays = any(one.me and one.state != "joining" for one in picture.members)
        if ending is Ending.LEFT and picture.height < 0:
            return "this node had joined no network yet: it stops", True
        if ending is Ending.LEFT and stays:
            return "no block took this node off the roster in time: it is away", False
        if ending is Ending.EXPELLED:
            return expelled_line(self.expelled, self._parts.me.node), False
        return ending.value, True

    def _status(self) -> Status:
        parts = self._parts
        links = parts.links
        picture = self._picture()
        if self._unreached:
            picture = replace(picture, because=f"{picture.because}: {self._unreached}")
        return status_of(
            picture, parts.me, parts.network, links.sent_bytes, links.received_bytes, links.dropped
        )
