"""Why did a dial fail, and why were links dropped?

Knows nothing of who acts on it. What peers say may end up in here, so it is bounded, and made one line.
"""

from enum import StrEnum

MAX_REASON_LENGTH = 120
MAX_REASONS = 64


class Failure(StrEnum):
    """Why nobody completed a greeting at an address."""

    UNKNOWN_NAME = "its name is not known here"
    UNREACHABLE = "nobody answers there"
    SILENT = "something there takes connections and says nothing"
    STRANGER = "what answers there is no comind node"
    WRONG_GATE = "another network answers there, or the invite's network key is not this network's"
    REFUSED = "it ended the greeting: it runs another version, denies this node, or is overloaded"
    ANOTHER_NODE = "another node answers there"
    OLDER = "an older run of that node is there"
    DENIED = "the node there is denied"
    UNPROVEN = "the node there did not prove who it is"
    NO_ADDRESS = "it has no address that can be dialled"
    NO_ROOM = "this node has too many connections of its own"
    ITSELF = "it is this node's own address"


class Reasons:
    """Counts reasons, at most `MAX_REASONS` different ones: what a peer says cannot make this grow."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def count(self, because: str) -> None:
        reason = one_line(because)[:MAX_REASON_LENGTH]
        if reason not in self.counts and len(self.counts) >= MAX_REASONS:
            reason = "other reasons"
        self.counts[reason] = self.counts.get(reason, 0) + 1


def one_line(text: str) -> str:
    """Replace what would move the cursor, ring the bell or start a new line where it is printed."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
