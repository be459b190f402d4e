"""What does a heartbeat say, and when is one due?

At every interval, and at once when something in it changes that others wait for. Knows nothing of links.
"""

from comind.p2p.core.desk import Desk
from comind.p2p.core.discovery import Discovery
from comind.p2p.core.here import Here
from comind.p2p.core.leading import why_not_leading
from comind.p2p.core.messages import Heartbeat
from comind.p2p.core.round import Round


class Pulse:
    """The heartbeats of one member."""

    def __init__(self, here: Here, people: Discovery, desk: Desk) -> None:
        self._here = here
        self._people = people
        self._desk = desk
        self._last: Heartbeat | None = None
        self.next_ms = here.now_ms
        """When the next one is due."""

    def is_due(self) -> bool:
        return self._here.now_ms >= self.next_ms

    def heartbeat(self, round: Round) -> Heartbeat:
        """Return what this member would say of itself now."""
        here, people = self._here, self._people
        leads = here.chain.height >= 0 and round.chief == here.me.node
        return Heartbeat(
            height=here.chain.next,
            view=round.view,
            training=people.trains and not people.stopping,
            ready=self._desk.ready() is not None,
            away=people.stopping,
            abstains=why_not_leading(round)[:400] if leads else "",
            reached=people.worth_telling(),
        )

    def beat(self, round: Round) -> None:
        """Send a heartbeat to everyone that is linked, if it is due or says what others wait for."""
        heartbeat, due = self.heartbeat(round), self.is_due()
        if due or _pressing(heartbeat) != _pressing(self._last):
            self._here.send(self._people.links, heartbeat)
            self._last = heartbeat
        if due:
            self.next_ms = self._here.now_ms + self._here.settings.heartbeat_ms


def _pressing(heartbeat: Heartbeat | None) -> tuple[object, ...]:
    """What others wait for; the rest can wait for the next one."""
    if heartbeat is None:
        return ()
    return heartbeat.training, heartbeat.away, heartbeat.abstains, heartbeat.view
