"""How is a member's work carried out?

One incarnation of one daemon: it steps the core, does what the core wants in its order, and lets nothing
leave before what must be on disk is there. Decides nothing.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random

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
    Drop,
    Event,
    Fetch,
    Forget,
    Gone,
    Keep,
    Note,
    Promise,
    Receive,
    Release,
    Send,
    TrainerAttached,
    TrainerOffered,
    Undial,
    Wait,
    Woken,
)
from comind.p2p.core.here import Me
from comind.p2p.core.member import Member
from comind.p2p.core.messages import Message
from comind.p2p.core.picture import Picture
from comind.p2p.core.wire import decode, encode
from comind.p2p.core.words import Incarnation, NetworkId, NodeId, Offer, Root
from tests.scenarios.clock import Clock
from tests.scenarios.disk import Disk, Values
from tests.scenarios.keys import Keys
from tests.scenarios.network import Network
from tests.scenarios.oracles import Oracles
from tests.scenarios.plane import Plane
from tests.scenarios.trainers import Trainer
from tests.scenarios.transcript import Transcript

SPINS = 50
"""So many wake-ups in a row that ask to be woken at once are a member that polls."""


@dataclass(frozen=True, slots=True)
class World:
    """What all processes share."""

    network_id: NetworkId
    clock: Clock
    chance: Random
    keys: Keys
    network: Network
    oracles: Oracles
    transcript: Transcript


@dataclass(frozen=True, slots=True)
class Machine:
    """What a daemon is started with, each time."""

    advertises: tuple[str, ...]
    firewalled: bool = False
    """Nobody can reach it, whatever it advertises."""
    no_lead: bool = False


class Process:
    """A running daemon, until it vanishes."""

    def __init__(self, world: World, city: str, disk: Disk, machine: Machine) -> None:
        signer = world.keys.signer(city)
        self.city = city
        self.node: NodeId = signer.node_id
        self.addresses = () if machine.firewalled else machine.advertises
        self.incarnation: Incarnation = disk.boot(world.chance.getrandbits(32))
        self.alive = True
        self.disk = disk
        self.disk_ms = 0
        """How long a promise or a block takes to reach the disk."""
        self.trainer: Trainer | None = None
        self.plane = Plane(self, disk, world.network, world.clock)
        self.bar = Bar((), None)
        self.expelled = ""
        """By whom and why, if that ended it."""
        self.answers: list[Answer] = []
        """What its operators were told."""
        self._world = world
        self._epoch_ms = world.chance.randrange(1 << 40)
        self._queue: deque[tuple[Action, frozenset[Root]]] = deque()
        self._writing = False
        self._disk_free_ms = 0
        self._adopted_height = -1
        self._wakes = 0
        self._spins = 0
        me = Me(self.node, city, machine.advertises, self.incarnation, machine.no_lead)
        self.member = Member(me, world.network_id, disk.memory(), signer, self.local_ms, world.keys.verify())

    @property
    def local_ms(self) -> int:
        """Its own monotonic clock: no two processes agree on the time (S9)."""
        return self._world.clock.now_ms + self._epoch_ms

    @property
    def is_writing(self) -> bool:
        return self._writing

    def start(self) -> None:
        self._world.network.add(self)
        self._world.oracles.saw_start(self.node, self.disk)
        self.happens(Woken())

    def vanish(self, losing: bool = False) -> None:
        """The process ends here and now; `losing`: with what it had sent and nobody has yet."""
        self.alive = False
        self._world.network.vanish(self, losing)
        if self.trainer is not None:
            self.trainer.detached()

    def picture(self) -> Picture:
        return self.member.picture(self.local_ms)

    # -- events -------------------------------------------------------------------------------------------

    def happens(self, event: Event) -> None:
        if not self.alive:
            return
        self._world.transcript.add(self._world.clock.now_ms, self.city, event)
        step = self.member.step(event, self.local_ms)
        told = self.plane.told()
        self._queue.extend((action, told) for action in step.actions)
        self._set_alarm(step.wake_at_ms, isinstance(event, Woken))
        self._carry_out()

    def link_went_down(self, peer: NodeId) -> None:
        self.plane.lost(peer)

    def _set_alarm(self, wake_at_ms: int | None, woken: bool) -> None:
        self._wakes += 1
        if wake_at_ms is None:
            return
        self._spins = self._spins + 1 if woken and wake_at_ms <= self.local_ms else 0
        assert self._spins < SPINS, f"{self.city} asks to be woken at once, again and again"
        self._world.clock.at(wake_at_ms - self._epoch_ms, partial(self._wake, self._wakes))

    def _wake(self, wakes: int) -> None:
        if wakes == self._wakes:
            self.happens(Woken())

    # -- its trainer --------------------------------------------------------------------------------------

    def attach(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.happens(TrainerAttached())
        self._world.clock.after(0, partial(self._attached, trainer))

    def _attached(self, trainer: Trainer) -> None:
        if self.alive and self.trainer is trainer:
            trainer.attached(self._offered)

    def _offered(self, offer: Offer, values: Values) -> None:
        self._world.clock.after(0, partial(self._offer_arrives, offer, values.copy()))

    def _offer_arrives(self, offer: Offer, values: Values) -> None:
        if self.alive:
            self.plane.offered(offer, values)
            self._world.oracles.saw_offer(self.node, offer, values)
            self.happens(TrainerOffered(offer))

    # -- actions ------------------------------------------------------------------------------------------

    def _carry_out(self) -> None:
        """Do what waits for nothing: a promise holds back what follows it, a block does not."""
        while self._queue and self.alive and not self._writing:
            action, told = self._queue.popleft()
            self._world.transcript.add(self._world.clock.now_ms, self.city, action)
            match action:
                case Promise():
                    self._writing = True
                    self._to_disk(partial(self._promised, action, told))
                case Commit(committed, height):
                    self._world.oracles.saw_commit(self.node, committed, height)
                    self._to_disk(partial(self.disk.append, committed))
                case _:
                    self._do(action, told)

    def _to_disk(self, written: Callable[[], None]) -> None:
        """Write this after all that is being written."""
        now_ms = self._world.clock.now_ms
        if not self.disk_ms and self._disk_free_ms <= now_ms:
            written()
            return
        self._disk_free_ms = max(self._disk_free_ms, now_ms) + self.disk_ms
        self._world.clock.at(self._disk_free_ms, partial(self._written, written))

    def _written(self, written: Callable[[], None]) -> None:
        if self.alive:
            written()
            self._carry_out()

    def _promised(self, action: Promise, told: frozenset[Root]) -> None:
        self._world.oracles.saw_promise(self.node, action.record, self.disk)
        self.disk.promised = action.record
        self._writing = False
        self._queue.extendleft((one, told) for one in reversed(action.then))

    def _do(self, action: Action, told: frozenset[Root]) -> None:
        network = self._world.network
        match action:
            case Send(to, message):
                self._send(to, message)
            case Dial(peer, addresses):
                network.dial(self, peer, addresses)
            case Undial(peer):
                network.undial(self, peer)
            case Drop(peer, because):
                self._world.oracles.saw_drop(self.node, peer, because)
                network.drop(self, peer)
            case Announced(offer):
                self.plane.announced(offer)
            case Contribute():
                self.plane.contribute(action)
            case Average():
                self.plane.average(action)
            case Receive():
                self.plane.receive(action)
            case Fetch():
                self.plane.fetch(action)
            case Forget(open):
                self.plane.forget(open)
            case Keep(roots):
                self.plane.keep(roots, told)
            case Adopt():
                self._adopt(action)
            case Begin() if self.trainer:
                self.trainer.begin()
            case Release(because) if self.trainer:
                self.trainer.release(because)
            case Wait(because) if self.trainer:
                self.trainer.wait(because)
            case CallTrainer() if self.trainer:
                self.trainer.call()
            case Begin() | Release() | Wait() | CallTrainer():
                raise AssertionError(f"{self.city} tells a trainer that it has not: {action}")
            case Bar():
                self.bar = action
                network.barred(self)
            case Answer():
                self.answers.append(action)
            case Note():
                pass
            case Gone(expelled):
                self.expelled = expelled
                self.vanish()
            case Promise() | Commit():
                raise AssertionError("carried out by _carry_out")

    def _send(self, to: tuple[NodeId, ...], message: Message) -> None:
        assert self.node not in to, "a member says something to itself"
        assert len(set(to)) == len(to), "a member says something twice at once"
        self._world.oracles.saw_send(self.node, self.incarnation, message, self.disk)
        as_heard = decode(encode(message))
        for node in to:
            self._world.network.send(self, node, as_heard)

    def _adopt(self, news: Adopt) -> None:
        assert self.trainer is not None, f"{self.city} has no trainer to tell of a base"
        assert news.root in self.disk.snapshots, "a base is to be adopted whose bytes are not held"
        assert news.height >= self._adopted_height, "a daemon tells of an older base than before"
        self._adopted_height = news.height
        self.plane.adopted(news.root)
        if news.height >= self.trainer.height:  # else it was told by a daemon that died before it wrote that
            self._world.oracles.saw_adopt(self.trainer.height, self.trainer.block, news)
            self.trainer.adopt(news, self.disk.snapshots[news.root])
