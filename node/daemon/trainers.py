"""What does the trainer want of the daemon, and what does the daemon owe it? And who else asks at its socket?

Turns words into a member's events, and a member's actions into words. Knows nothing of rounds, of weights'
values or of other nodes; it never waits for anybody.
"""

import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from comind.node.attach import (
    PROTOCOL,
    Ask,
    Attach,
    Closed,
    Finished,
    FromDaemon,
    Offered,
    Refused,
    Waiting,
    Word,
)
from comind.node.daemon import layout
from comind.node.daemon.connection import Connection
from comind.node.daemon.shared import Brought, what_is_wrong_with_file
from comind.node.daemon.telling import Facts, ForTrainer, welcome, word_for
from comind.p2p.core.chain import schema_hash
from comind.p2p.core.effects import (
    Adopt,
    LeaveAsked,
    TrainerAttached,
    TrainerLeft,
    TrainerOffered,
)
from comind.p2p.core.words import Offer, Root, RunId

MAX_CONNECTIONS = 64
RUN_BYTES = 16
DECIDABLE = ("pause", "resume", "remove", "allow", "deny")
"""What an operator asks to be decided for all: answered when a block decides it."""
ASKABLE = ("status", "stop", "leave", "watch", *DECIDABLE)


@dataclass(frozen=True, slots=True)
class Asked:
    """Somebody at a command line wants something (one of `ASKABLE`)."""

    who: Connection
    what: str
    about: str = ""
    because: str = ""


@dataclass(frozen=True, slots=True)
class HungUp:
    who: Connection


NOT_HEARD = "this node has not heard from its network yet"

Happening = TrainerAttached | TrainerOffered | TrainerLeft | LeaveAsked | Brought | Asked | HungUp


@dataclass(slots=True)
class _Trainer:
    at: Connection
    attach: Attach
    layout: bytes
    given: Root | None = None
    """The base that it was told last."""


class Trainers:
    """The attach socket, everybody at it, and the one trainer among them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._facts: Facts | None = None
        self._connections: dict[int, Connection] = {}
        self._trainer: _Trainer | None = None
        self._early: list[tuple[Connection, Attach]] = []
        """Trainers that came before this node knew its network."""
        self._early_word = NOT_HEARD
        path.unlink(missing_ok=True)  # a dead daemon's: this one holds the home's lock
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(16)
        self._listener.setblocking(False)

    @property
    def attached(self) -> bool:
        return self._trainer is not None

    # -- for the loop ---------------------------------------------------------------------------------------

    def watched(self) -> dict[int, bool]:
        """Return which descriptors are to be read, and whether they are to be written, too."""
        wanted = {one: connection.wants_to_write for one, connection in self._connections.items()}
        return {self._listener.fileno(): False} | wanted

    def ready(self, descriptor: int) -> list[Happening]:
        """Read and write what goes without waiting at a descriptor that is ready."""
        if descriptor == self._listener.fileno():
            self._accept()
            return []
        connection = self._connections.get(descriptor)
        return [] if connection is None else self._guarded(connection, lambda: self._converse(connection))

    def know(self, facts: Facts) -> list[Happening]:
        """Learn of the network, or that its base changed: whose model differs is refused."""
        self._facts = facts
        happened: list[Happening] = []
        early, self._early = self._early, []
        for connection, attach in early:
            happened += self._guarded(connection, lambda who=connection, word=attach: self._attach(who, word))  # type: ignore[misc]
        if (trainer := self._trainer) is not None and (wrong := self._differs(trainer.layout)):
            happened += self._guarded(trainer.at, lambda: self._turn_away(trainer.at, wrong))
        return happened

    def unreached(self, because: str) -> list[Happening]:
        """Tell those who came too early why this node hears nothing."""
        self._early_word = f"{NOT_HEARD}: {because}"
        return [one for who, _ in list(self._early) for one in self.say(who, Waiting(self._early_word), True)]

    def say(self, who: Connection, word: FromDaemon, replace: bool = False) -> list[Happening]:
        """Tell somebody something; it is dropped if it does not listen."""
        return self._guarded(who, lambda: self._said(who, word, None, replace))

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()
        self._listener.close()
        self._path.unlink(missing_ok=True)

    # -- what the member wants its trainer to know ----------------------------------------------------------

    def tell(self, action: ForTrainer, base: Callable[[Root], int | None]) -> list[Happening]:
        """Pass an action on to the trainer, if there is one. `base` opens a snapshot of the store."""
        trainer = self._trainer
        if trainer is None:
            return []
        descriptor = None
        if isinstance(action, Adopt):
            descriptor = base(action.root) if action.root != trainer.given else None
            trainer.given = action.root
        word = word_for(action)
        return self._guarded(trainer.at, lambda: self._said(trainer.at, word, descriptor, True))

    def looked_through(self, offer: Offer, wrong: tuple[int, str] | None) -> list[Happening]:
        """What was brought was looked through: offer it, or say what is wrong, and in which tensor."""
        trainer = self._trainer
        if trainer is None or trainer.attach.run != offer.run:
            return []
        if wrong is None:
            return [TrainerOffered(offer)]
        position, what = wrong
        tensor = layout.tensor_at(trainer.attach.schema, position)
        because = f"{what} in {tensor}: this snapshot would spoil the average of everyone, and is not offered"
        return self.say(trainer.at, Refused(because))

    # -- what is said here ----------------------------------------------------------------------------------

    def _converse(self, who: Connection) -> list[Happening]:
        who.flush()
        happened: list[Happening] = []
        for word, descriptor in who.arrived():
            happened += self._heard(who, word, descriptor)
            if who.fileno() < 0:  # it was turned away: whatever else it said is not heard
                break
        return happened

    def _heard(self, who: Connection, word: Word, descriptor: int | None) -> list[Happening]:
        match word:
            case Offered() if descriptor is not None:
                return self._offered(who, word, descriptor)
            case _ if descriptor is not None:
                os.close(descriptor)
                raise Closed("a descriptor that belongs to no snapshot")
            case Attach():
                return self._attach(who, word)
            case Finished():
                return self._finished(who)
            case Ask(what=what, about=about, because=because) if what in ASKABLE:
                return [Asked(who, what, about, because)]
            case Ask():
                return self.say(
                    who, Refused(f"this daemon knows no such question; it knows {', '.join(ASKABLE)}")
                )
            case _:
                raise Closed("an offer without its snapshot")

    def _attach(self, who: Connection, attach: Attach) -> list[Happening]:
        if refusal := self._why_not(who, attach):
            return self._turn_away(who, refusal)
        if (facts := self._facts) is None:
            self._early.append((who, attach))
            self._said(who, Waiting(self._early_word), None, True)
            return []
        tensors = layout.layout_of(attach.schema)
        if refusal := self._differs(tensors):
            return self._turn_away(who, refusal)
        happened: list[Happening] = [TrainerLeft("it began anew")] if self._trainer else []
        self._trainer = _Trainer(who, attach, tensors)
        self._said(who, welcome(facts), None, False)
        return [*happened, TrainerAttached()]

    def _why_not(self, who: Connection, attach: Attach) -> str | None:
        if attach.protocol != PROTOCOL:
            return "trainer and daemon are of different versions of comind: restart the daemon"
        if self._trainer is not None and self._trainer.at is not who:
            return (
                f"a trainer (process {self._trainer.attach.pid}) is attached to this node;"
                ' give this one a node of its own: comind.join(home="OTHER")'
            )
        if len(attach.run) != RUN_BYTES:
            return "its run has no id of 16 bytes"
        wrong = layout.what_is_wrong_with(attach.schema, attach.size)
        return wrong and f"this is no model that can be averaged: {wrong}"

    def _offered(self, who: Connection, word: Offered, descriptor: int) -> list[Happening]:
        trainer = self._trainer
        if trainer is None or trainer.at is not who:
            os.close(descriptor)
            return []  # it was turned away, and had not heard of it yet
        attach = trainer.attach
        wrong = _what_is_wrong_with_offer(word) or what_is_wrong_with_file(descriptor, attach.size)
        if wrong:
            os.close(descriptor)
            return self.say(who, Refused(f"this snapshot is not offered: {wrong}"))
        assert self._facts is not None
        offer = Offer(
            run=RunId(attach.run),
            first_step=word.first_step,
            last_step=word.last_step,
            base=Root(word.base),
            schema=schema_hash(trainer.layout),
            size=attach.size,
            weight=word.weight,
            metrics=word.metrics,
            layout=b"" if self._facts.layout else trainer.layout,
        )
        return [Brought(offer, descriptor)]

    def _finished(self, who: Connection) -> list[Happening]:
        if self._trainer is None or self._trainer.at is not who:
            return []
        self._trainer = None
        assert self._facts is not None
        leaves = [LeaveAsked()] if self._facts.leaves_with_trainer else []
        return [TrainerLeft("it has finished"), *leaves]

    def _differs(self, tensors: bytes) -> str | None:
        """Say in what this model is not the network's; None if it is, or the network has none yet."""
        base = self._facts.layout if self._facts else b""
        if not base or tensors == base:
            return None
        difference = layout.first_difference(layout.schema_in(tensors) or (), layout.schema_in(base))
        return f"this model is not the network's: {difference}"

    # -- connections ----------------------------------------------------------------------------------------

    def _accept(self) -> None:
        try:
            connected, _ = self._listener.accept()
        except OSError:  # it is gone again, or descriptors are scarce
            return
        if len(self._connections) >= MAX_CONNECTIONS:
            connected.close()
            return
        connection = Connection(connected)
        self._connections[connection.fileno()] = connection

    def _turn_away(self, who: Connection, because: str) -> list[Happening]:
        """Refuse for good, and hang up once that is said."""
        self._said(who, Refused(because, fatal=True), None, False)
        return self._dropped(who, because)

    def _said(
        self, who: Connection, word: FromDaemon, descriptor: int | None, replace: bool
    ) -> list[Happening]:
        who.say(word, descriptor, replace)
        return []

    def _guarded(self, who: Connection, work: Callable[[], Sequence[Happening]]) -> list[Happening]:
        """Do this; who hangs up or speaks something else meanwhile is dropped."""
        try:
            return list(work())
        except Closed as why:
            return self._dropped(who, f"its process is gone ({why})")

    def _dropped(self, who: Connection, because: str) -> list[Happening]:
        if self._connections.pop(who.fileno(), None) is None:
            return []
        who.close()
        self._early = [(early, attach) for early, attach in self._early if early is not who]
        happened: list[Happening] = [HungUp(who)]
        if self._trainer is not None and self._trainer.at is who:
            self._trainer = None
            happened.append(TrainerLeft(because))
        return happened


def _what_is_wrong_with_offer(word: Offered) -> str | None:
    if len(word.base) != 32:
        return "its base is no root"
    if not 0 <= word.weight < 2**63:
        return f"its weight is {word.weight}"
    if not 0 <= word.first_step <= word.last_step < 2**63:
        return f"it says that it holds steps {word.first_step} to {word.last_step}"
    return None
