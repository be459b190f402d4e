"""A daemon as a trainer sees it: a thread behind a real Unix socket that averages with members of its mind.

What it does with an offer is one of a few things (`count`, `miss`, `release`, `hold`, `die`); a test can tell
the trainer anything at any time, too. Its chain is a height, a base, and what it counts of the trainer.
"""

import os
import queue
import select
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from comind.node.attach import (
    Attach,
    Channel,
    Closed,
    Finished,
    FromDaemon,
    News,
    Offered,
    Refused,
    Released,
    Started,
    ToDaemon,
    Waiting,
    Welcome,
)
from comind.node.trainer import shared
from comind.node.trainer.rebase import Flat
from comind.p2p.core.words import NO_ROOT

PATIENCE_S = 20.0
"""A test that waits longer for a word has failed."""

ALONE = "no other member is training"


@dataclass(frozen=True)
class Offer:
    """What a trainer offered, and the values that came with it."""

    word: Offered
    values: Flat


class FakeDaemon:
    """One daemon after another at one path: `stop` and `start` make it go and come back."""

    def __init__(
        self,
        path: Path,
        base: Sequence[float] | Flat | None = None,
        *,
        weight_unit: str = "examples",
        rounds: int = 0,
        started: bool = True,
    ) -> None:
        self.path = path
        self.heard: queue.Queue[ToDaemon] = queue.Queue()
        self.attaches: list[Attach] = []
        self.offers: list[Offer] = []
        self.starts: list[Offer] = []
        """Starting weights that were offered."""
        self.finished = threading.Event()
        self.alone = threading.Event()
        """Set while no trainer is attached."""
        self.height, self.round, self.rounds = 0, 0, rounds
        self.base = None if base is None else np.asarray(base, np.float32)
        self.counted = (b"", 0)
        self.others: list[tuple[Flat, int]] = []
        """(values, weight) of the members with whom an offer is averaged."""
        self.on_offer: Callable[[Offer], None] = self.count
        self.refusal: str | None = None
        self.weight_unit, self.started = weight_unit, started
        self.network, self.network_id, self.parent = "net", b"", b""
        self.welcomes = True
        """False: it lets a trainer attach, but does not take it yet."""
        self.early_word = ""
        """What it says then."""
        self.after_welcome: Callable[[], None] | None = None
        self._early: tuple[Channel, Attach] | None = None
        self.on_start: Callable[[Offer], None] | None = self.take_start
        self.trouble: BaseException | None = None
        self._thread: threading.Thread | None = None
        self.start()

    # -- what a test tells it to do -------------------------------------------------------------------------

    def start(self) -> None:
        if self._thread is not None:
            self._thread.join(PATIENCE_S)  # it may be stopping itself
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.path))
        self._listener.listen()
        self._trainer: Channel | None = None
        self._strangers: list[Channel] = []
        self._wake, self._woken = os.pipe()
        self._thread = threading.Thread(target=self._run, args=(self._wake,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End as if killed."""
        wake, self._wake = self._wake, -1
        if wake < 0:
            return  # it dies already
        if self._thread is not None and self._thread is not threading.current_thread():
            os.write(self._woken, b"x")
            self._thread.join(PATIENCE_S)
            assert not self._thread.is_alive()
        self._listener.close()
        self.path.unlink(missing_ok=True)
        for channel in (self._trainer, *self._strangers):
            if channel is not None:
                channel.close()
        self._trainer = None
        os.close(wake)
        os.close(self._woken)

    def close(self) -> None:
        self.stop()
        if self.trouble is not None:
            raise self.trouble

    def wait_for(self, kind: type[Attach | Offered | Finished]) -> ToDaemon:
        """Return the next word of this kind that the trainer says."""
        while True:
            word = self.heard.get(timeout=PATIENCE_S)
            if isinstance(word, kind):
                return word

    def wait_until_alone(self) -> None:
        """Return when the trainer that hung up is not attached any more."""
        assert self.alone.wait(PATIENCE_S)

    def say(self, word: FromDaemon, values: Flat | None = None) -> None:
        """Tell the trainer something; it lies in its socket when this returns."""
        assert self._trainer is not None
        if values is None:
            self._trainer.send(word)
            return
        flat, descriptor = shared.create(len(values))
        flat[:] = values
        try:
            self._trainer.send(word, descriptor)
        finally:
            os.close(descriptor)

    def say_raw(self, content: bytes) -> None:
        """Send what is no word."""
        assert self._trainer is not None
        socket.socket(fileno=os.dup(self._trainer.fileno())).sendall(content)

    # -- what it does with an offer -------------------------------------------------------------------------

    def count(self, offer: Offer) -> None:
        """A round comes, and this trainer is in it."""
        self.count_silently(offer)
        self.tell("counted")

    def count_silently(self, offer: Offer) -> None:
        """A round comes with this trainer in it, but nobody tells it."""
        run = self.attaches[-1].run
        weight = offer.word.weight
        parts = [(offer.values, weight), *self.others]
        total = sum(part_weight for _, part_weight in parts)
        mean = sum(values.astype(np.float64) * part_weight / total for values, part_weight in parts)
        self._commit(np.asarray(mean, np.float32), (run, offer.word.last_step))

    def miss(self, offer: Offer | None = None) -> None:
        """A round comes without this trainer."""
        self.miss_silently(offer)
        self.tell("it came after the door had closed")

    def miss_silently(self, offer: Offer | None = None) -> None:
        assert self.base is not None
        self._commit(self.base + np.float32(1.0), self.counted)

    def release(self, offer: Offer | None = None) -> None:
        self.say(Released(ALONE))

    def hold(self, offer: Offer | None = None) -> None:
        """Say for what it waits, and no more."""
        self.say(Waiting("waiting for b"))

    def die(self, offer: Offer | None = None) -> None:
        self.stop()

    def tell(self, because: str, *, rule: str = "mean", give: bool = True) -> None:
        """Tell the trainer where the chain stands."""
        assert self.base is not None
        root = self.root
        counted = because == "counted"
        news = News(
            height=self.height,
            block=bytes([self.height]) * 32,
            round=self.round,
            root=root,
            size=len(self.base),
            rule=rule,
            started=self.started,
            counted=counted,
            counted_run=self.counted[0],
            counted_last_step=self.counted[1],
            because=because,
            contributors=(("aaaaaaaa", "a", 7) if counted else ("bbbbbbbb", "b", 9),),
            absent=() if counted else (("aaaaaaaa", "a", because),),
            chief="b (bbbbbbbb)",
            view=0,
            seconds=0.25,
            finished=0 < self.rounds <= self.round,
        )
        self.say(news, self.base if give else None)

    @property
    def root(self) -> bytes:
        """Stands for the base's root; any bytes that differ where the base does will do."""
        return NO_ROOT if self.base is None else hash(self.base.tobytes()).to_bytes(32, "big", signed=True)

    def _commit(self, base: Flat, counted: tuple[bytes, int]) -> None:
        self.base, self.counted = base, counted
        self.height, self.round = self.height + 1, self.round + 1

    # -- the thread -----------------------------------------------------------------------------------------

    def _run(self, wake: int) -> None:
        try:
            self._serve(wake)
        except BaseException as trouble:  # noqa: BLE001  told by `close`, in the test's own thread
            self.trouble = trouble

    def _serve(self, wake: int) -> None:
        while True:
            channels = [one for one in (self._trainer, *self._strangers) if one is not None]
            watched: list[int | socket.socket | Channel] = [wake, self._listener, *channels]
            ready, _, _ = select.select(watched, [], [])
            if wake in ready:
                return
            if self._listener in ready:
                connection, _ = self._listener.accept()
                self._strangers.append(Channel(connection, ToDaemon))
            for channel in channels:
                if channel in ready and not self._converse(channel):
                    return

    def _converse(self, channel: Channel) -> bool:
        """Hear what was said; False if that made this daemon stop."""
        try:
            words = list(channel.arrived())
        except Closed:
            channel.close()
            self._strangers = [one for one in self._strangers if one is not channel]
            if channel is self._trainer:
                self._trainer = None
                self.alone.set()
            return True
        for word, descriptor in words:
            self._answer(channel, word, descriptor)
            self.heard.put(word)  # type: ignore[arg-type]  # the channel hears nothing else
            if self._wake < 0:
                return False
        return True

    def _answer(self, channel: Channel, word: object, descriptor: int | None) -> None:
        match word:
            case Attach():
                self._welcome(channel, word)
            case Offered():
                assert descriptor is not None
                values = shared.take(descriptor, self.attaches[-1].size)
                assert values is not None
                self._offered(Offer(word, values))
            case Finished():
                self.finished.set()

    def _welcome(self, channel: Channel, attach: Attach) -> None:
        if not self.welcomes:
            self._early = (channel, attach)
            if self.early_word:
                channel.send(Waiting(self.early_word))
            return
        self._strangers = [one for one in self._strangers if one is not channel]
        if self._trainer is not None:
            channel.send(Refused('a trainer is attached; comind.join(home="OTHER")', fatal=True))
            channel.close()
            return
        if self.refusal is not None:
            channel.send(Refused(self.refusal, fatal=True))
            channel.close()
            return
        self._trainer = channel
        self.alone.clear()
        self.attaches.append(attach)
        self.say(
            Welcome(
                network=self.network,
                node="a",
                node_id=bytes(32),
                weight_unit=self.weight_unit,
                rounds=self.rounds,
                start_at=1,
                has_base=self.base is not None,
                started_by_join=False,
                network_id=self.network_id,
                parent=self.parent,
            )
        )
        if self.base is not None:
            self.tell("it has just come")
        if self.after_welcome is not None:
            self.after_welcome()

    def welcome_late(self) -> None:
        assert self._early is not None
        self.welcomes = True
        self._welcome(*self._early)

    def _offered(self, offer: Offer) -> None:
        if self.base is None:
            self.starts.append(offer)
            if self.on_start is not None:
                self.on_start(offer)
        else:
            self.offers.append(offer)
            self.on_offer(offer)

    def take_start(self, offer: Offer) -> None:
        """These starting weights become the first base."""
        self.base = offer.values.copy()
        self.height += 1
        self.tell("it set the first base", rule="initial")

    def begin(self) -> None:
        self.started = True
        self.say(Started())
