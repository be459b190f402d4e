"""What does one member do about one event? (`Member.step`)

It puts the parts together: the chain, who is there (`discovery`), the present `round`, the trainer (`desk`),
promises (`pledges`) and what is missing (`catchup`). Pure: sockets, clock and disk belong to the caller.
"""

from functools import lru_cache
from typing import assert_never

from comind.crypto.identity import verify as verify_ed25519
from comind.p2p.core.catchup import Catchup
from comind.p2p.core.chain import Chain
from comind.p2p.core.desk import Desk
from comind.p2p.core.discovery import Discovery
from comind.p2p.core.effects import (
    Averaged,
    Bar,
    Commit,
    DialFailed,
    Drop,
    Event,
    FetchFailed,
    Forget,
    Gone,
    Heard,
    Held,
    Keep,
    Knocked,
    LeaveAsked,
    LinkDown,
    LinkUp,
    Lost,
    Memory,
    OperatorAsked,
    Progressed,
    Reached,
    Release,
    Step,
    StopAsked,
    TrainerAttached,
    TrainerLeft,
    TrainerOffered,
    Wait,
    Woken,
)
from comind.p2p.core.errors import PeerMisbehaved
from comind.p2p.core.here import Here, Me
from comind.p2p.core.later import Later, RoundMessage
from comind.p2p.core.leading import asks_again_ms, is_due, lead, on_averaged, on_lost
from comind.p2p.core.messages import (
    Addressbook,
    AskBlocks,
    Block,
    Blocks,
    Call,
    Committed,
    Expel,
    GiveVote,
    Greeting,
    Header,
    Heartbeat,
    Join,
    Leave,
    Message,
    Open,
    Propose,
    Ready,
    TurnedAway,
    ViewChanged,
    Voted,
    Wish,
)
from comind.p2p.core.minutes import is_urgent, roster_changes
from comind.p2p.core.patience import ends_at_ms
from comind.p2p.core.phases import Phase
from comind.p2p.core.picture import Picture, draw
from comind.p2p.core.pledges import Pledges
from comind.p2p.core.pulse import Pulse
from comind.p2p.core.round import Opened, Round
from comind.p2p.core.signing import Signer, Verify
from comind.p2p.core.waiting import why_released, why_waiting
from comind.p2p.core.wire import read
from comind.p2p.core.words import NO_ROOT, Height, NetworkId, NodeId, Root, Rule, View

LEAVING_MS = 15_000
"""After so long without a block that removes it, a leaving member goes away instead."""
STALLED_MS = 3_000
"""An average of which nothing came for so long is fetched by its root instead, from whoever holds it."""
STEPS_PER_EVENT = 64
BLOCKS_PER_EVENT = 64
"""Of a chain that is caught up: heartbeats and rounds go on between them."""
SIGNATURES_REMEMBERED = 4_096
"""A header is checked when it comes, in OPEN, block and chain: the key's work is done once."""


class Member:
    """One member of a network: events in, work out."""

    def __init__(
        self,
        me: Me,
        network: NetworkId,
        memory: Memory,
        signer: Signer,
        now_ms: int,
        verify: Verify = verify_ed25519,
    ) -> None:
        chain = Chain(network)
        for committed in memory.chain:
            chain.append(committed, _trust_own_disk)
        self.here = Here(
            me, chain, signer, lru_cache(SIGNATURES_REMEMBERED)(verify), set(memory.held), now_ms
        )
        self.people = Discovery(self.here, started_ms=now_ms)
        self.pledges = Pledges(self.here, memory.promised)
        self.desk = Desk(self.here, self.people)
        self.catchup = Catchup(self.here, self.people)
        self.round = Round(self.here, self.people, self.desk, self.pledges)
        self._later = Later()
        self._last_opened: Opened | None = None
        """Of the height before: slower members may be receiving its average still."""
        self._ready_sent: tuple[Height, View] | None = None
        self._waiting = ("", now_ms)
        self._pulse = Pulse(self.here, self.people, self.desk)
        self._kept_at: int | None = None
        self._fetchable: frozenset[Root] = frozenset()
        self._leaving_since_ms: int | None = None
        self._removed_at: Height | None = None
        self._expelled = ""
        """By whom this node was removed, and why; or what a quorum of voters says of that."""
        self._bar = Bar((), None)
        self._gone = False

    def step(self, event: Event, now_ms: int) -> Step:
        """Take one event, and return what is to be done and when to come back at the latest."""
        self.here.now_ms = max(now_ms, self.here.now_ms)
        self.here.actions = []
        self._take(event)
        self._append_some()
        self._advance()
        self._after()
        return Step(tuple(self.here.actions), None if self._gone else self._wake_at_ms())

    @property
    def is_outside(self) -> bool:
        """Whether whom it knows gave it no link, and nobody else has."""
        return self.people.why_outside() is not None

    def picture(self, now_ms: int) -> Picture:
        """Return what `comind status` tells of this member."""
        self.here.now_ms = max(now_ms, self.here.now_ms)
        return draw(self.here, self.people, self.round, self.desk, *self._waiting)

    # -- one event ------------------------------------------------------------------------------------------

    def _take(self, event: Event) -> None:
        match event:
            case LinkUp():
                self._greet(event)
            case LinkDown():
                self.people.link_down(event.peer)
                self._later.forget(event.peer)
            case Reached():
                self.people.reach(event.peer)
            case DialFailed():
                self.people.dial_failed(event.peer)
            case Heard():
                self._hear(event.peer, event.message)
            case Woken():
                pass
            case TrainerAttached():
                self.desk.attached()
            case TrainerOffered():
                self.desk.offered(event.offer)
            case TrainerLeft():
                self.desk.left()
            case Averaged():
                self.here.held.add(event.root)
                on_averaged(self.round, event.open, event.root)
            case Held():
                self.here.held.add(event.root)
                self.catchup.held(event.root)
                self._received()
            case Progressed():
                self.round.on_progress(event.open)
                for opened in (self.round.opened, self._last_opened):
                    if opened is not None and opened.hash == event.open:
                        opened.moved_ms = self.here.now_ms
            case Lost():
                self.round.on_lost(event.open)
                on_lost(self.round, event)  # R6
                if self._last_opened is not None and self._last_opened.hash == event.open:
                    self._last_opened.receiving = False
            case FetchFailed():
                self.catchup.fetch_failed(event.root, event.peer)
            case StopAsked():
                self._stop()
            case LeaveAsked():
                self._leaving_since_ms = self.here.now_ms
                self.people.ask_to_leave()
            case Knocked():
                self.people.knocked(event.peer)
            case OperatorAsked():
                self.people.wishes.ask(event, self.people.links)
            case _:
                assert_never(event)

    def _greet(self, event: LinkUp) -> None:
        self.people.link_up(event.peer, event.incarnation, event.dialled)
        self._later.forget(event.peer)
        seen_incarnation, seen_promise = self.pledges.seen.get(event.peer, (0, 0))
        me = self.here.me
        greeting = Greeting(
            name=me.name,
            addresses=me.addresses,
            height=self.here.chain.next,
            promise=self.pledges.count,
            seen_incarnation=seen_incarnation,
            seen_promise=seen_promise,
            no_lead=me.no_lead,
        )
        self.here.send((event.peer,), greeting)
        self.here.send((event.peer,), self.people.addressbook())
        self.here.send((event.peer,), self._pulse.heartbeat(self.round))
        self._say_again((event.peer,))
        self.people.wishes.say_again((event.peer,))
        self._ready_sent = None
        if not self.here.is_member and self._removed_at is None:
            self.people.ask_to_join()

    def _hear(self, peer: NodeId, message: Message) -> None:
        if self.people.heard(peer) is None:
            return
        try:
            self._hear_out(peer, message)
        except PeerMisbehaved as why:
            self.people.link_down(peer)
            self.here.do(Drop(peer, str(why)))

    def _hear_out(self, peer: NodeId, message: Message) -> None:
        match message:
            case Greeting():
                self._on_greeting(peer, message)
            case Heartbeat():
                self.people.beat(peer, message)
            case Addressbook():
                for node, addresses in message.entries:
                    if NodeId(node) not in self.here.chain.roster:
                        self.people.learn(NodeId(node), addresses)
            case Join():
                self.people.on_join(message)
            case Leave():
                self.people.on_leave(message)
            case TurnedAway():
                self._on_turned_away(peer, message)
            case Wish():
                self.people.wishes.on_wish(message, self.people.links)
            case AskBlocks():
                self.here.send((peer,), self.catchup.blocks_from(Height(message.first)))
            case Blocks():
                if not self.catchup.answered(peer, message.blocks):
                    for committed in message.blocks:
                        self._on_committed(peer, committed)
                self.catchup.go_on()
            case Committed():
                self._on_committed(peer, message)
            case Ready() | Call() | Open() | Propose() | Voted() | ViewChanged():
                self._on_round_message(peer, message)
            case _:
                assert_never(message)

    def _on_turned_away(self, peer: NodeId, word: TurnedAway) -> None:
        """It gives this node no link. A quorum of voters that deny it are the network (R2)."""
        before = self.people.why_outside()
        self.people.was_turned_away(peer, word)
        denying = frozenset(node for node, one in self.people.turned_away.items() if one.denied)
        if self.here.chain.roster.is_quorum(denying):
            self._expelled = word.because
        if (outside := self.people.why_outside()) is not None and outside != before:
            self.here.note(outside)

    def _on_greeting(self, peer: NodeId, greeting: Greeting) -> None:
        link = self.people.links[peer]
        self.people.turned_away.pop(peer, None)
        link.greeting = greeting
        self.here.names[peer] = greeting.name
        self.people.learn(peer, greeting.addresses, own_word=True)
        self.pledges.saw(peer, link.incarnation, greeting.promise)
        if peer in self.here.chain.roster:
            self.pledges.told(greeting.seen_incarnation, greeting.seen_promise)
        if self.people.height_of(peer) > self.here.chain.height:
            self.catchup.ask(peer)

    def _on_committed(self, peer: NodeId, committed: Committed) -> None:
        height = committed.certificate.height
        if height > self.here.chain.next:
            self.catchup.ask(peer)
        elif height == self.here.chain.next:
            self._commit(committed, tell=False)

    def _on_round_message(self, peer: NodeId, message: RoundMessage) -> None:
        height = _height(message)
        if height < 1:
            raise PeerMisbehaved("a round of height 0")
        if self.here.chain.height < 0:
            return
        if height < self.here.chain.next:
            self._answer_late(peer, height, message)  # R10
        elif height > self.here.chain.next:
            self._later.keep(peer, message)
            if height > self.here.chain.next + 1:
                self.catchup.ask(peer)
        else:
            self._on_present(peer, message)

    def _on_present(self, peer: NodeId, message: RoundMessage) -> None:
        match message:
            case Ready():
                self.round.on_ready(peer, message)  # R4
            case Call():
                self.round.on_call(peer, message)  # R5
            case Open():
                self.round.on_open(peer, message)  # R6
            case Propose():
                self.round.on_propose(peer, message)  # R8
            case Voted():
                self.round.on_vote(message.vote)  # R9, R10
            case ViewChanged():
                self.round.on_change(message.change)  # R12

    def _answer_late(self, peer: NodeId, height: int, message: RoundMessage) -> None:
        """A message for a committed height is answered with its certificate, unless it agrees (R10)."""
        committed = self.here.chain.committed[height]
        if isinstance(message, Voted) and message.vote.block == committed.certificate.block:
            return
        if height > 0:
            self.here.send((peer,), committed)

    def _stop(self) -> None:
        self.people.stopping = True
        self.here.send(self.people.links, self._pulse.heartbeat(self.round))

    def _append_some(self) -> None:
        """Append blocks that came in ranges; who gave one that does not hold is dropped."""
        before = self.here.chain.height
        for _ in range(BLOCKS_PER_EVENT):
            came = self.catchup.take()
            if came is None:
                break
            peer, committed = came
            try:
                self._commit(committed, tell=False, note=False)
            except PeerMisbehaved as why:
                self.catchup.forget(peer)
                self.people.link_down(peer)
                self.here.do(Drop(peer, str(why)))
        if self.here.chain.height > before:
            self.here.note(
                f"caught up {self.here.chain.height - before} blocks, to height {self.here.chain.height}"
            )
            self.catchup.go_on()

    # -- moving on ------------------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Do all that can be done now; each commit opens the next height."""
        for _ in range(STEPS_PER_EVENT):
            before = (self.here.chain.height, self.round.view, self.round.phase, len(self.here.actions))
            self._advance_once()
            now = (self.here.chain.height, self.round.view, self.round.phase, len(self.here.actions))
            if now == before:
                return
        raise AssertionError("a step that never ends")

    def _advance_once(self) -> None:
        if self.here.chain.height < 0:
            return
        round = self.round
        if round.reissue():
            return
        round.climb()
        ready = self.desk.announce(may_average=round.gathering.why_no_average() is None)
        if ready is not None:
            round.on_ready(self.here.me.node, ready)
        self._send_ready()
        if round.phase == Phase.IDLE and self._changes_wait():
            round.work()  # R11
        lead(round)
        round.note_due(is_due(round))
        round.vote()
        committed = round.certificate()
        if committed is not None:
            self._commit(committed, tell=True)
            return
        patience = ends_at_ms(round)
        if patience is not None and self.here.now_ms >= patience[0]:
            round.give_up(patience[1])  # R12

    def _commit(self, committed: Committed, tell: bool, note: bool = True) -> None:
        """R10: store block and certificate, tell everyone if nobody told us, and go on to the next height."""
        here = self.here
        was_member = here.is_member
        block = here.chain.append(committed, here.verify)
        here.do(Commit(committed, here.chain.height))
        if tell:
            here.send(self.people.links, committed)
        for node in block.skipped:
            self.people.skipped_ms[NodeId(node)] = here.now_ms
        for change in block.changes:
            if isinstance(change, GiveVote) and change.node == here.me.node:
                self.pledges.given_vote(change.incarnation)
        if was_member and not here.is_member:
            self._removed_at = here.chain.height
            self._note_expulsion(block)
        self.people.forget_settled()
        self.people.wishes.settle(block)
        for height, line in here.chain.decisions:
            if height == here.chain.height:
                here.note(line)
        if note:
            here.note(_told(here, block))
        self._begin_round()

    def _note_expulsion(self, block: Block) -> None:
        """An operator removed this node: it goes like one that leaves, once its removal is safe (R2)."""
        me = self.here.me.node
        if any(isinstance(change, Expel) and change.node == me for change in block.changes):
            self._expelled = str(self.here.chain.standing.denied[me])
            self._leaving_since_ms = self.here.now_ms

    def _begin_round(self) -> None:
        if self._last_opened is not None:
            self.here.do(Forget(self._last_opened.hash))
        self._last_opened = self.round.opened
        self.round = Round(self.here, self.people, self.desk, self.pledges)
        for peer, message in self._later.take():
            if _height(message) >= self.here.chain.next and peer in self.people.links:
                try:
                    self._on_round_message(peer, message)
                except PeerMisbehaved as why:
                    self.here.note(f"{self.here.name(peer)} sent {why}")

    def _changes_wait(self) -> bool:
        return self.here.is_voter and any(
            is_urgent(change) for change in roster_changes(self.here, self.people, frozenset())
        )

    # -- after each event -----------------------------------------------------------------------------------

    def _after(self) -> None:
        because = why_waiting(self.here, self.people, self.round)
        if because != self._waiting[0]:
            self._waiting = (because, self.here.now_ms)
        if self.here.chain.height >= 0:
            self._get_bytes()
            self._keep()
            self._close_the_door()
            self.desk.settle(self._started())
            self._tell_trainer()
        self._tick()
        self.people.dial_all()
        self._go()

    def _close_the_door(self) -> None:
        """Tell the links who gets none, as often as a block changes that."""
        standing, roster = self.here.chain.standing, self.here.chain.roster
        may = frozenset(standing.allowed) | frozenset(roster.nodes())
        allowed = may if self.here.settings.admission == "list" else None
        denied = sorted((node, str(ruling)) for node, ruling in standing.denied.items())
        bar = Bar(tuple(denied), allowed)
        if bar != self._bar:
            self._bar = bar
            self.here.do(bar)

    def _get_bytes(self) -> None:
        chain, round = self.here.chain, self.round
        if not (self._is_coming(self._last_opened) or self.catchup.is_moving()):
            holders = [node for node in self.people.links if self.people.height_of(node) >= chain.based_at]
            holders.sort(key=lambda node: node == round.chief)  # it has enough to do
            self.catchup.fetch(chain.root, chain.size, tuple(holders))
        proposed = round.proposed
        if proposed is not None and not self._is_coming(round.opened):
            holders = [NodeId(proposed.propose.node), *round.ballots.for_block("prepare", proposed.hash)]
            if not round.holds(proposed.block):
                self.catchup.fetch(Root(proposed.block.root), proposed.block.size, tuple(holders))
        if round.wanted is not None:
            self.catchup.fetch(*round.wanted, tuple(self.people.links))
        self.catchup.let_go()

    def _is_coming(self, opened: Opened | None) -> bool:
        """Whether the average of this OPEN is being received, and moves."""
        if opened is None or not opened.receiving:
            return False
        return self.here.now_ms - max(opened.at_ms, opened.moved_ms) < STALLED_MS

    def _received(self) -> None:
        for opened in (self.round.opened, self._last_opened):
            if opened is not None:
                opened.receiving = False
        self.round.feed()

    def _keep(self) -> None:
        """At each commit, name what is needed, and the base before: somebody may be fetching it."""
        if self._kept_at != self.here.chain.height:
            self._kept_at = self.here.chain.height
            needed = self.round.needed() | self._fetchable
            self._fetchable = frozenset({self.here.chain.root}) - {NO_ROOT}
            gone = frozenset(self.here.held - needed)
            self.here.held -= gone
            self.here.do(Keep(needed, gone))

    def _started(self) -> bool:
        chain = self.here.chain
        return chain.round > 0 or len(self.people.training()) >= chain.settings.start_at

    def _tell_trainer(self) -> None:
        released = self.desk.offer and why_released(self.here, self.people, self.round, self.desk)
        self.desk.tell(Release(released) if released else Wait(self._waiting[0]))

    def _tick(self) -> None:
        """At every heartbeat, look around for what may be lost; then beat, if it is time or worth it."""
        if self._pulse.is_due():
            self.catchup.look_around()
            self.people.wishes.say_again(self.people.links)
            if self.here.now_ms - self.round.began_ms >= self.here.settings.heartbeat_ms:
                self._say_again(tuple(self.people.links))
            if not self.here.is_member and self._removed_at is None and self.people.links:
                self.people.ask_to_join()
        self._pulse.beat(self.round)

    def _say_again(self, to: tuple[NodeId, ...]) -> None:
        if self.here.chain.height >= 0 and self.here.is_member:
            self.round.say_again(to, self.desk.ready())

    def _send_ready(self) -> None:
        """Send the header to the view's chief and the voters: when it is made, and to a later chief (R4)."""
        ready, at = self.desk.ready(), (self.here.chain.next, self.round.view)
        if ready is not None and self._ready_sent != at:
            self._ready_sent = at
            self.here.send(self.round.electors(self.round.view), ready)

    def _go(self) -> None:
        """End when a quorum of the next roster holds the block that removed this member (R2)."""
        here = self.here
        if self._gone:
            return
        if self._leaving_since_ms is None:
            if self._expelled:
                self._gone = True
                here.do(Gone(self._expelled))
            return
        alone = not here.is_member or len(here.chain.roster.entries) == 1
        if self._removed_at is not None:
            holders = {node for node in self.people.links if self.people.height_of(node) >= self._removed_at}
            holders |= self.people.turned_away.keys()  # whoever denies it holds the block that does
            alone = here.chain.roster.is_quorum(frozenset(holders))
        late = here.now_ms - self._leaving_since_ms >= LEAVING_MS
        if alone or late:
            self._gone = True
            if not self._expelled:
                here.note("it leaves" if alone else "no block took it off the roster in time: it goes away")
            self._stop()
            here.do(Gone(self._expelled))

    def _wake_at_ms(self) -> int:
        if self.catchup.has_next():
            return self.here.now_ms
        at_ms = self._pulse.next_ms
        if self.here.chain.height < 0:
            return at_ms
        patience, door_ms = ends_at_ms(self.round), asks_again_ms(self.round)
        patience_ms = None if patience is None else patience[0]
        return min(when_ms for when_ms in (at_ms, patience_ms, door_ms) if when_ms is not None)


def _height(message: RoundMessage) -> int:
    match message:
        case Ready():
            return read(Header, message.header.header).height
        case Voted():
            return message.vote.height
        case ViewChanged():
            return message.change.height
        case Call() | Open() | Propose():
            return message.height


def _told(here: Here, block: Block) -> str:
    who = here.name(NodeId(block.originator))
    if block.rule == Rule.GENESIS:
        return f"height {block.height}: {who} founded {block.name}"
    if block.headers:
        return f"height {block.height} ({block.rule}) led by {who}: {len(block.headers)} counted"
    return f"height {block.height} (roster) led by {who}: {len(block.changes)} changed"


def _trust_own_disk(node: NodeId, statement: bytes, signature: bytes) -> bool:
    """What lies in one's own store was verified before it was written."""
    return True
