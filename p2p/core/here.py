"""What do all parts of a member share? Who it is, its chain, the time, and the list of what it wants done.

Knows nothing of rounds.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from comind.p2p.core.chain import Chain
from comind.p2p.core.effects import Action, Note, Send
from comind.p2p.core.messages import Message
from comind.p2p.core.signing import Signer, Verify
from comind.p2p.core.words import Incarnation, NetworkId, NodeId, Root, Settings, short_id


@dataclass(frozen=True, slots=True)
class Me:
    """This node, in this incarnation."""

    node: NodeId
    name: str
    addresses: tuple[str, ...]
    """What it advertises; empty: it can only dial out."""
    incarnation: Incarnation
    no_lead: bool


@dataclass(slots=True)
class Here:
    """The ground on which a member's parts stand."""

    me: Me
    chain: Chain
    signer: Signer
    verify: Verify
    held: set[Root]
    """Snapshots that lie whole in the store."""
    now_ms: int
    actions: list[Action] = field(default_factory=list)
    names: dict[NodeId, str] = field(default_factory=dict)
    """What nodes off the roster call themselves."""

    @property
    def network(self) -> NetworkId:
        return self.chain.network

    @property
    def settings(self) -> Settings:
        return self.chain.settings

    @property
    def is_member(self) -> bool:
        return self.me.node in self.chain.roster

    @property
    def is_voter(self) -> bool:
        return self.me.node in self.chain.roster.voters()

    def do(self, action: Action) -> None:
        self.actions.append(action)

    def send(self, to: Iterable[NodeId], message: Message) -> None:
        """Send to each of these but oneself, each once."""
        others = tuple(dict.fromkeys(node for node in to if node != self.me.node))
        if others:
            self.do(Send(others, message))

    def note(self, what: str) -> None:
        self.do(Note(what))

    def name(self, node: NodeId) -> str:
        """Return what a person calls this node; its short id where it has told no name."""
        entry = self.chain.roster.get(node)
        return entry.name if entry else self.names.get(node) or self.chain.names.get(node, short_id(node))

    def list_names(self, nodes: Iterable[NodeId]) -> str:
        names = [self.name(node) for node in nodes]
        if len(names) > 4:
            names = [*names[:3], f"{len(names) - 3} others"]
        return (
            names[0]
            if len(names) == 1
            else ", ".join(names[:-1]) + " and " + names[-1]
            if names
            else "nobody"
        )
