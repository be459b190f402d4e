"""What happened last? The lines that a failed scenario shows.

Things are kept as they are and described only when somebody reads them. Heartbeats are left out.
"""

from collections import deque
from dataclasses import dataclass, field

from comind.p2p.core.effects import Heard, Keep, Progressed, Send, Woken
from comind.p2p.core.messages import Heartbeat
from scripts.history.wording import What, Wording

LINES_SHOWN = 120
LINES_KEPT = 4_000


@dataclass(slots=True)
class Transcript:
    """The last things that happened to anyone, and what was done about them."""

    names: dict[bytes, str]
    _lines: deque[tuple[int, str, What]] = field(default_factory=lambda: deque(maxlen=LINES_KEPT))

    def add(self, now_ms: int, name: str, what: What) -> None:
        match what:
            case Heard(message=Heartbeat()) | Send(message=Heartbeat()) | Woken() | Progressed() | Keep():
                return
        self._lines.append((now_ms, name, what))

    def last(self, lines: int = LINES_SHOWN) -> str:
        kept, wording = list(self._lines)[-lines:], Wording(self.names)
        return "\n".join(f"{ms:>9} {name:<9} {wording.describe(what)}" for ms, name, what in kept)
