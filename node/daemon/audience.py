"""Who at a command line is told what, and when?

Watchers get each line of the log, and the status when it changed, at most ten times a second; who asked for
the end gets the lines on the way and the last word; who asked for a decision, what became of it. Knows
nothing of what a status says.
"""

from comind.node.attach import Done, Refused, Said, Status, StatusOf
from comind.node.daemon.connection import Connection
from comind.node.daemon.status import standing
from comind.node.daemon.trainers import Happening, Trainers
from comind.p2p.core.effects import Answer

SHOW_EVERY_MS = 100


class Audience:
    """Everybody at the attach socket who is told something later."""

    def __init__(self, trainers: Trainers) -> None:
        self._trainers = trainers
        self._watchers: list[Connection] = []
        self._waiting: list[Connection] = []
        self._tickets: dict[int, Connection] = {}
        self._last_ticket = 0
        self._shown: Status | None = None
        self._shown_ms = 0
        self._stirred = False

    @property
    def wake_at_ms(self) -> int | None:
        """When the watchers are to be shown what has changed."""
        return self._shown_ms + SHOW_EVERY_MS if self._watchers and self._stirred else None

    def watches(self, who: Connection) -> None:
        self._watchers.append(who)

    def waits_for_end(self, who: Connection) -> None:
        self._waiting.append(who)

    def waits_for_answer(self, who: Connection) -> int:
        """Return the ticket under which the answer comes."""
        self._last_ticket += 1
        self._tickets[self._last_ticket] = who
        return self._last_ticket

    def answer(self, answer: Answer) -> list[Happening]:
        """Tell who asked for a decision what became of it, if that one is still there."""
        who = self._tickets.pop(answer.ticket, None)
        if who is None:
            return []
        return self._trainers.say(who, Done(answer.line) if answer.done else Refused(answer.line))

    def lost(self, who: Connection) -> None:
        self._tickets = {ticket: one for ticket, one in self._tickets.items() if one is not who}
        for group in (self._watchers, self._waiting):
            while who in group:
                group.remove(who)

    def stir(self) -> None:
        """Something happened: the status may have changed."""
        self._stirred = True

    def is_due(self, now_ms: int) -> bool:
        at_ms = self.wake_at_ms
        return at_ms is not None and now_ms >= at_ms

    def show(self, who: Connection, status: Status) -> list[Happening]:
        return self._trainers.say(who, StatusOf(status), replace=True)

    def show_all(self, status: Status, now_ms: int) -> list[Happening]:
        """Show the watchers this status, if it is news."""
        self._stirred, self._shown_ms = False, now_ms
        now_stands = standing(status)
        if now_stands == self._shown:
            return []
        self._shown = now_stands
        return [one for who in list(self._watchers) for one in self.show(who, status)]

    def say(self, line: str) -> list[Happening]:
        """Tell a line of the log to whoever wants to know."""
        everybody = dict.fromkeys((*self._watchers, *self._waiting))
        return [one for who in everybody for one in self._trainers.say(who, Said(line))]

    def farewell(self, line: str, as_asked: bool = True) -> None:
        """Tell whoever waited for the end that it came, and whether it is the one that was asked for."""
        for who in self._waiting:
            self._trainers.say(who, Done(line) if as_asked else Refused(line))
