"""What do members' operators want decided, and was it? (R15)

A wish is signed, told to all, and told again until a block decides it, or one that came before makes it moot.
Knows nothing of who writes blocks.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from comind.p2p.core.effects import Answer, OperatorAsked
from comind.p2p.core.here import Here
from comind.p2p.core.messages import Allow, Block, Decision, Deny, Expel, Pause, Resume, Wish
from comind.p2p.core.signing import decision_statement, sign_decision
from comind.p2p.core.standing import told
from comind.p2p.core.words import NodeId

MAX_WISHES = 64
MAX_WISHES_OF_ONE = 8
MAX_REASON_LETTERS = 400
_UNSIGNED = bytes(64)


@dataclass(slots=True)
class Wishes:
    """What is wanted and not decided yet, by anyone."""

    here: Here
    pending: list[Decision] = field(default_factory=list)
    """In the order in which they came here; the own ones too."""
    asked: dict[int, Decision] = field(default_factory=dict)
    """Own wishes, by the ticket under which somebody waits for the answer."""

    def ask(self, event: OperatorAsked, to: Iterable[NodeId]) -> None:
        """Make a wish of what the operator of this node asks for, or say at once why it cannot be."""
        here = self.here
        if here.chain.height < 0 or not here.is_member:
            here.do(
                Answer(
                    event.ticket,
                    done=False,
                    line="this node is no member yet: comind status tells what it waits for",
                )
            )
            return
        decision = sign_decision(here.signer, here.network, self._decision(event))
        if (objection := here.chain.objection(decision)) is not None:
            here.do(Answer(event.ticket, done=False, line=objection))
            return
        self.asked[event.ticket] = decision
        self.on_wish(Wish(decision=decision), to)

    def on_wish(self, wish: Wish, to: Iterable[NodeId]) -> None:
        """Remember what a member wants, and pass it on when it is new; what cannot be is late, no offence."""
        here, decision = self.here, wish.decision
        if decision in self.pending or here.chain.height < 0 or here.chain.objection(decision) is not None:
            return
        of_one = sum(one.by == decision.by for one in self.pending)
        if len(self.pending) >= MAX_WISHES or of_one >= MAX_WISHES_OF_ONE:
            return
        asker = NodeId(decision.by)
        if not here.verify(asker, decision_statement(here.network, decision), decision.signature):
            return
        self.pending.append(decision)
        here.send(to, wish)
        here.note(f"{here.name(asker)} asks for a decision: {told(decision, here.chain.roster)}")

    def say_again(self, to: Iterable[NodeId]) -> None:
        """Tell these what is wanted here and not decided yet: it may have been lost."""
        for decision in self.pending:
            if decision.by == self.here.me.node:
                self.here.send(to, Wish(decision=decision))

    def settle(self, block: Block) -> None:
        """A block was committed: answer whose wish is in it, or can never be now, and forget both."""
        decided = [change for change in block.changes if isinstance(change, Decision)]
        for ticket, decision in list(self.asked.items()):
            objection = self.here.chain.objection(decision)
            if decision in decided:
                line = f"done: it is in block {block.height}"
                self._answer(ticket, Answer(ticket, done=True, line=line))
            elif objection is not None:
                self._answer(ticket, Answer(ticket, done=False, line=objection))
        self.pending = [one for one in self.pending if self.here.chain.objection(one) is None]

    def _answer(self, ticket: int, answer: Answer) -> None:
        del self.asked[ticket]
        self.here.do(answer)

    def _decision(self, event: OperatorAsked) -> Decision:
        me, after, because = self.here.me.node, self.here.chain.height, _plain(event.because)
        match event.what:
            case "pause":
                return Pause(by=me, because=because, after=after, signature=_UNSIGNED)
            case "resume":
                return Resume(by=me, after=after, signature=_UNSIGNED)
            case "allow" if event.node is not None:
                return Allow(node=event.node, by=me, after=after, signature=_UNSIGNED)
            case "remove" if event.node is not None:
                return Expel(node=event.node, by=me, because=because, after=after, signature=_UNSIGNED)
            case "deny" if event.node is not None:
                return Deny(node=event.node, by=me, because=because, after=after, signature=_UNSIGNED)
            case _:
                raise AssertionError(f"no operator can ask for {event.what}")


def _plain(because: str) -> str:
    """A reason as a block can hold it."""
    return "".join(letter if letter.isprintable() else "?" for letter in because)[:MAX_REASON_LETTERS]
