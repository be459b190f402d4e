"""What do the blocks and signatures say, read by other eyes than the core's?

Shares no code with `comind.p2p.core`'s roster, chain and signing, so that it can judge them.
"""

from dataclasses import dataclass, field

from comind.p2p.core.messages import (
    Admit,
    Allow,
    Block,
    CanLead,
    Deny,
    Expel,
    GiveVote,
    Move,
    Pause,
    Remove,
    Resume,
    TakeVote,
)
from comind.p2p.core.words import Rule


@dataclass(slots=True)
class Reading:
    """Who is a member and who votes after the blocks that were applied."""

    admitted: dict[bytes, int] = field(default_factory=dict)
    voting: dict[bytes, int] = field(default_factory=dict)
    """Since which height."""
    able: dict[bytes, bool] = field(default_factory=dict)
    averages: int = 0
    paused: bool = False

    def after(self, block: Block) -> "Reading":
        """Return the reading after this block; this one stays as it is."""
        later = Reading(dict(self.admitted), dict(self.voting), dict(self.able), self.averages, self.paused)
        later.averages += block.rule is Rule.MEAN
        later.able |= dict.fromkeys(block.skipped, False)
        for change in block.changes:
            match change:
                case Admit():
                    later.admitted[change.node] = block.height
                    later.able[change.node] = change.can_lead
                case Remove() | Expel():
                    for known in (later.admitted, later.voting, later.able):
                        known.pop(change.node, None)
                case GiveVote():
                    later.voting[change.node] = block.height
                case TakeVote():
                    later.voting.pop(change.node, None)
                case CanLead():
                    later.able[change.node] = change.can_lead
                case Move() | Allow() | Deny():
                    pass
                case Pause() | Resume():
                    later.paused = isinstance(change, Pause)
        return later

    def members(self) -> list[bytes]:
        """In roster order: by height of admission, then id."""
        return sorted(self.admitted, key=lambda node: (self.admitted[node], node))

    def voters(self) -> list[bytes]:
        return [node for node in self.members() if node in self.voting]

    def decides(self, signers: set[bytes]) -> bool:
        """Whether these outnumber the other voters, or match them with the first voter among them (R1)."""
        voters = self.voters()
        ours = [node for node in voters if node in signers]
        others = len(voters) - len(ours)
        return len(ours) > others or (len(ours) == others > 0 and ours[0] == voters[0])


def fields_of(statement: bytes) -> list[bytes | int | str]:
    """Return domain and fields of a signed statement: tag, 8-byte length, content, again and again."""
    prefix = b"comind/1"
    assert statement.startswith(prefix), "signed something that is no statement"
    fields: list[bytes | int | str] = []
    at = len(prefix)
    while at < len(statement):
        tag, length = statement[at : at + 1], int.from_bytes(statement[at + 1 : at + 9], "big")
        content = statement[at + 9 : at + 9 + length]
        at += 9 + length
        match tag:
            case b"b":
                fields.append(content)
            case b"s":
                fields.append(content.decode())
            case b"i":
                fields.append(int.from_bytes(content, "big"))
            case _:
                raise AssertionError(f"a statement with a field of kind {tag!r}")
    return fields
