"""How does a scenario read like sentences?

    cluster = Cluster.founded(trainers=3, witnesses=1)
    cluster.run_until(locked(round=3))
    cluster.kill(cluster.chief)
    cluster.run_until(committed(round=3))

Verbs over a whole network in virtual time. Knows nothing of how members decide; what they may not do is the
oracles' to say, and every step of every scenario runs under them.
"""

import copy
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import lru_cache, partial
from random import Random

from comind.p2p.core.chain import Chain, genesis, genesis_committed
from comind.p2p.core.effects import Heard, LeaveAsked, OperatorAsked, StopAsked, TrainerLeft
from comind.p2p.core.messages import Message
from comind.p2p.core.recovery import founded_anew
from comind.p2p.core.wire import block_hash
from comind.p2p.core.words import Height, NetworkId, NodeId, Root, Settings
from tests.scenarios.clock import Clock
from tests.scenarios.disk import Disk
from tests.scenarios.keys import Keys, Statements
from tests.scenarios.moments import Moment, committed, on_roster, voting
from tests.scenarios.network import Cut, Network, Pace, Rule
from tests.scenarios.oracles import Oracles
from tests.scenarios.process import Machine, Process, World
from tests.scenarios.trainers import Saved, Trainer
from tests.scenarios.transcript import Transcript
from tests.scenarios.watched import Watched

CITIES = ("lima", "berlin", "hanoi", "quito", "accra", "turin", "davao", "perth", "cairo", "malmo")
"""The first one founds."""
CEILING_MS = 180_000
"""Virtual time after which a scenario has failed."""
STOPPING_MS = 100
"""From SIGTERM to the end of the process."""


class Cluster(Watched):
    """A network of members, each with a disk, perhaps a process and perhaps a trainer."""

    def __init__(
        self,
        settings: Settings | None = None,
        founder: str = CITIES[0],
        seed: int = 0,
        real_keys: bool = False,
        pace: Pace | None = None,
        train_ms: int = 200,
        first_block: bytes | None = None,
    ) -> None:
        settings, statements, chance, clock = settings or Settings(), Statements(), Random(seed), Clock()
        keys = Keys(statements, real_keys)
        node = keys.signer(founder).node_id
        first = first_block or genesis(node, f"network {seed}", (address_of(founder),), settings, founder)
        network_id = NetworkId(block_hash(first))
        network, oracles = Network(clock, chance, pace or Pace()), Oracles(network_id, statements)
        names: dict[bytes, str] = {}
        world = World(network_id, clock, chance, keys, network, oracles, Transcript(names))
        super().__init__(world, settings, names)
        self.founder = founder
        self._train_ms = train_ms
        self._tickets = 0
        self._parent: Cluster | None = None
        self._machines: dict[str, Machine] = {}
        self._seeds: dict[str, tuple[str, ...]] = {}
        self._meet(founder)
        oracles.saw_commit(node, genesis_committed(first), Height(0))
        self.disk(founder).append(genesis_committed(first))

    # -- building -----------------------------------------------------------------------------------------

    @classmethod
    def founded(
        cls,
        trainers: int = 3,
        witnesses: int = 0,
        settings: Settings | None = None,
        seed: int = 0,
        real_keys: bool = False,
        train_ms: int = 200,
    ) -> "Cluster":
        """Return a network whose members are all on the roster; its trainers are attached just now."""
        cluster = cls(settings, seed=seed, real_keys=real_keys, train_ms=train_ms)
        cities = CITIES[: trainers + witnesses]
        cluster.start(cluster.founder, trains=False)
        for city in cities[1:]:
            cluster.join(city, through=cluster.founder, trains=False)
        cluster.run_until(on_roster(*cities))
        for city in cities[:trainers]:
            cluster.attach(city)
        return cluster

    @classmethod
    def anew(cls, parent: "Cluster", survivor: str) -> "Cluster":
        """`comind recover`: return the network that this survivor founds from its disk; nobody runs yet.

        Its oracles know what the parent counted, so a step that is counted again breaks S4.
        """
        chain = Chain(NetworkId(block_hash(parent.disk(survivor).chain[0].block)))
        for committed_ in parent.disk(survivor).chain:
            chain.append(committed_, parent._world.keys.verify())
        wire = founded_anew(chain, parent.node(survivor), survivor, (address_of(survivor),))
        cluster = cls(parent.settings, survivor, first_block=wire)
        cluster._parent = parent
        cluster._world.oracles.go_on_from(parent._world.oracles)
        cluster._take_base(survivor)
        return cluster

    def move_over(self, city: str, through: str) -> None:
        """A node of the parent is started with the new invite: it holds the first block, and its base."""
        self._meet(city)
        self.disk(city).append(self.disk(self.founder).chain[0])
        self._take_base(city)
        self.start(city, trains=False, through=(through,))

    def bring_trainer(self, city: str) -> None:
        """The trainer of the parent network goes on at this daemon, with its run."""
        assert self._parent is not None
        self.attach(city, replace(self._parent.trainer(city).saved(), height=-1))

    def _take_base(self, city: str) -> None:
        assert self._parent is not None
        self.disk(city).snapshots |= self._parent.disk(city).snapshots

    @classmethod
    def grown(
        cls, trainers: int = 3, witnesses: int = 0, settings: Settings | None = None, seed: int = 0
    ) -> "Cluster":
        """Return a network in which all that may vote do, at the end of a round."""
        original = _grown(trainers, witnesses, settings or Settings(), seed)
        return copy.deepcopy(original, {id(said): said for said in original.immutable()})

    def start(
        self,
        city: str,
        trains: bool = True,
        through: Collection[str] = (),
        no_lead: bool = False,
        firewalled: bool = False,
        advertises: bool = True,
    ) -> None:
        """Start a daemon, and its trainer, on a machine that may be new to the network."""
        self._meet(city)
        self._seeds[city] = tuple(address_of(seed) for seed in through)
        addresses = (address_of(city),) if advertises else ()
        self._machines[city] = Machine(addresses, firewalled, no_lead)
        self.restart(city)
        if trains:
            self.attach(city)

    def join(self, city: str, through: str, trains: bool = True) -> None:
        self.start(city, trains, through=(through,))

    def attach(self, city: str, saved: Saved | None = None) -> None:
        """Start a trainer on this machine: a new one, or one that goes on from its checkpoint."""
        trainer = Trainer(
            index=self._indexes[city],
            clock=self._world.clock,
            chance=self._world.chance,
            equal_weights=self.settings.weight == "equal",
            train_ms=self._train_ms,
        )
        if saved is not None:
            trainer.restore(saved)
        self._trainers[city] = trainer
        if city in self._processes:
            self._processes[city].attach(trainer)

    def _meet(self, city: str) -> None:
        if city not in self._disks:
            self._disks[city] = Disk()
            self._indexes[city] = len(self._indexes)
            self.names[self.node(city)] = city

    # -- time ---------------------------------------------------------------------------------------------

    def run_until(self, moment: Moment, within_ms: int = CEILING_MS) -> None:
        """Let things happen until this moment; it comes, or the scenario has failed."""
        ends_ms = self.now_ms + within_ms
        while not moment.has_come(self):
            next_ms = self._world.clock.next_ms()
            if next_ms is None or next_ms > ends_ms:
                raise AssertionError(f"in {within_ms} ms it did not come that {moment.says}\n{self.report()}")
            self._go_on()

    def run_for(self, ms: int) -> None:
        ends_ms = self.now_ms + ms
        while (next_ms := self._world.clock.next_ms()) is not None and next_ms <= ends_ms:
            self._go_on()
        self._world.clock.now_ms = ends_ms

    def run_while(self, moment: Moment, ms: int) -> None:
        """Let this much time pass; the moment must last."""
        ends_ms = self.now_ms + ms
        while (next_ms := self._world.clock.next_ms()) is not None and next_ms <= ends_ms:
            self._go_on()
            assert moment.has_come(self), f"it is over that {moment.says}\n{self.report()}"

    def _go_on(self) -> None:
        try:
            self._world.clock.go_on()
        except Exception as why:
            why.add_note(self.report())
            raise

    # -- faults: processes --------------------------------------------------------------------------------

    def kill(self, city: str, losing: bool = False) -> None:
        """The process vanishes, and its disk stays; `losing`: what nobody has heard yet is lost."""
        self._note(city, "is killed")
        self.process(city).vanish(losing)

    def restart(self, city: str) -> None:
        """Start the daemon on what its disk holds; a trainer that outlived it attaches again."""
        assert city not in self.running, f"{city} runs"
        self._note(city, "starts")
        process = Process(self._world, city, self.disk(city), self._machines[city])
        self._processes.pop(city, None)
        self._processes[city] = process
        process.start()
        for seed in self._seeds.get(city, ()):
            self.network.dial_seed(process, seed)
        if city in self._trainers and self._trainers[city].state != "is dead":
            process.attach(self._trainers[city])

    def forget_seeds(self) -> None:
        """Nobody is told of a seed again: what a node finds, it finds by what it remembers."""
        self._seeds.clear()

    def stop(self, city: str) -> None:
        """SIGTERM: it says that it is away, and ends."""
        self._note(city, "is asked to stop")
        self.process(city).happens(StopAsked())
        self.run_for(STOPPING_MS)
        self.kill(city)

    def leave(self, city: str) -> None:
        """`comind leave`: it ends when a quorum of the others holds the block that removes it."""
        self._note(city, "is asked to leave")
        self.process(city).happens(LeaveAsked())

    def ask(self, city: str, what: str, because: str = "", about: str | None = None) -> int:
        """This node's operator asks for a decision; return the ticket of the answer."""
        self._note(city, f"is asked to {what} {about or ''}")
        self._tickets += 1
        self.process(city).happens(
            OperatorAsked(self._tickets, what, because, self.node(about) if about else None)
        )
        return self._tickets

    def kill_trainer(self, city: str) -> Saved:
        """The trainer vanishes; return what its checkpoint of this moment would hold."""
        saved = self.trainer(city).saved()
        self.trainer(city).die()
        self.process(city).trainer = None
        self.process(city).happens(TrainerLeft("its process ended"))
        return saved

    def slow(self, city: str, train_ms: int) -> None:
        """From its next interval on this trainer takes so long for one."""
        self.trainer(city).train_ms = train_ms

    def slow_disk(self, city: str, disk_ms: int) -> None:
        self.process(city).disk_ms = disk_ms

    def slow_upload(self, city: str, piece_ms: int) -> None:
        """Each half of a snapshot that this process sends takes so long."""
        self.process(city).plane.upload_ms = piece_ms

    def slow_download(self, city: str, piece_ms: int) -> None:
        """Each half of a snapshot that this process gets takes so long."""
        self.process(city).plane.download_ms = piece_ms

    def forget_snapshot(self, city: str, root: Root) -> None:
        """What a power cut may do to a file that was not synced; the process is down."""
        assert city not in self.running
        self._note(city, f"has lost snapshot {root.hex()[:6]}")
        self.disk(city).snapshots.pop(root, None)

    # -- faults: the network ------------------------------------------------------------------------------

    def cut(self, one: str, other: str, how: Cut = Cut.LOSES) -> None:
        self._note(one, f"is cut from {other}: {how.value}")
        self.network.cut(self.node(one), self.node(other), how)

    def partition(self, *sides: Collection[str], how: Cut = Cut.LOSES) -> None:
        """Nobody hears anyone on another side."""
        for at, side in enumerate(sides):
            for other_side in sides[at + 1 :]:
                for one in side:
                    for other in other_side:
                        self.cut(one, other, how)

    def unplug(self, city: str, how: Cut = Cut.LOSES) -> None:
        """Its machine is off the network; no end of any link notices."""
        self.partition([city], [other for other in self._disks if other != city], how=how)

    def heal(self) -> None:
        self._note("", "the network is whole again")
        self.network.heal()

    def hold(
        self,
        kind: type[Message],
        to: str | None = None,
        by: str | None = None,
        where: Callable[[Message], bool] | None = None,
    ) -> Rule:
        """Keep messages like this on their way until `release`."""
        return self._rule("hold", kind, to, by, where)

    def lose(
        self,
        kind: type[Message],
        to: str | None = None,
        by: str | None = None,
        where: Callable[[Message], bool] | None = None,
    ) -> Rule:
        """Let messages like this never arrive."""
        return self._rule("lose", kind, to, by, where)

    def lose_all(self, by: str, to: str) -> Rule:
        """Let nothing that one says reach the other; the other way it goes."""
        return self._rule("lose", None, to, by, None)

    def duplicate(self, kind: type[Message] | None = None) -> Rule:
        """Deliver messages like this three times more: at once, late, and very late."""
        return self._rule("duplicate", kind, None, None, None)

    def release(self, rule: Rule) -> None:
        self.network.release(rule)

    def _rule(
        self,
        does: str,
        kind: type[Message] | None,
        to: str | None,
        by: str | None,
        where: Callable[[Message], bool] | None,
    ) -> Rule:
        receiver = None if to is None else self.node(to)
        sender = None if by is None else self.node(by)
        rule = Rule(partial(_matches, kind, sender, receiver, where), does)
        self.network.rules.append(rule)
        return rule

    def say(self, city: str, to: str, message: Message) -> None:
        """Let `to` hear what this node never said by itself; from now on the others may drop it."""
        self._world.oracles.impostors.add(self.node(city))
        self.process(to).happens(Heard(self.node(city), message))

    def _note(self, city: str, what: str) -> None:
        self._world.transcript.add(self.now_ms, city, f"!! {what}")


def address_of(city: str) -> str:
    return f"tcp://{city}:7700"


def _matches(
    kind: type[Message] | None,
    sender: NodeId | None,
    receiver: NodeId | None,
    where: Callable[[Message], bool] | None,
    by: NodeId,
    to: NodeId,
    message: Message,
) -> bool:
    return (
        (kind is None or isinstance(message, kind))
        and sender in (None, by)
        and receiver in (None, to)
        and (where is None or where(message))
    )


@lru_cache(maxsize=32)
def _grown(trainers: int, witnesses: int, settings: Settings, seed: int) -> Cluster:
    cluster = Cluster.founded(trainers, witnesses, settings, seed)
    cities = CITIES[: trainers + witnesses][: settings.max_voters]
    cluster.run_until(Moment("all votes are given", partial(_votes_are_given, len(cities))))
    cluster.run_until(voting(*cluster.voters))
    cluster.run_until(committed(round=cluster.rounds + 1))
    return cluster


def _votes_are_given(votes: int, cluster: Cluster) -> bool:
    return len(cluster.last_reading.voting) == votes
