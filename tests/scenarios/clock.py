"""What happens next, and when?

One heap of calls in virtual time. Knows nothing of what is called. Calls are bound methods and partials,
never closures, so that a whole cluster can be copied in mid-flight.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Clock:
    """Virtual time in ms; it stands still while anything happens, and jumps to what happens next."""

    now_ms: int = 0
    _calls: list[tuple[int, int, Callable[[], None]]] = field(default_factory=list)
    _made: int = 0

    def at(self, when_ms: int, call: Callable[[], None]) -> None:
        """Call at this time; calls of one time come in the order in which they were asked for."""
        self._made += 1
        heapq.heappush(self._calls, (max(when_ms, self.now_ms), self._made, call))

    def after(self, ms: int, call: Callable[[], None]) -> None:
        self.at(self.now_ms + ms, call)

    def next_ms(self) -> int | None:
        return self._calls[0][0] if self._calls else None

    def go_on(self) -> None:
        """Let the next thing happen."""
        self.now_ms, _, call = heapq.heappop(self._calls)
        call()
