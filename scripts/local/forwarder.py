"""What lies between the nodes when their links are to be cut? A process that carries their connections.

Run as `python -m scripts.local.forwarder NAME:FRONT=BACK...`: what dials port FRONT of the loopback is
carried to port BACK, where the node NAME listens. Orders come on standard input, a line each:

    pids NAME=PID ...     who is who now, so that a connection's dialler is known
    cut A,B|C             carry nothing between these sides, and close nothing: as a cable that is pulled
    heal                  carry on, with what waited
    delay MS              hand everything on so much later

Ends with its standard input. Knows nothing of what it carries. Who dials is read from Linux's /proc.
"""

import os
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

HOST = "127.0.0.1"
READY = "it listens"
_READ_BYTES = 1 << 16
_WAITING_BYTES = 1 << 22
"""Of one direction; with more, its source is not read."""
_RETRY_S = 0.2
"""Between two looks for who dials a connection that nobody was found for."""

Sides = tuple[frozenset[str], ...]


def sides_in(text: str) -> Sides:
    return tuple(frozenset(side.split(",")) for side in text.split("|"))


class Way:
    """One direction of one connection."""

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self.source, self.target = source, target
        self._waits: deque[tuple[float, bytes]] = deque()
        self._bytes = 0
        self._has_ended = False
        self.is_over = False

    @property
    def reads(self) -> bool:
        return not self._has_ended and self._bytes < _WAITING_BYTES

    @property
    def due_s(self) -> float | None:
        return self._waits[0][0] if self._waits else None

    def read(self, delay_s: float) -> None:
        try:
            data = self.source.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._has_ended = not data
        self._waits.append((time.monotonic() + delay_s, data))
        self._bytes += len(data)

    def write(self) -> None:
        """Hand on what is due, as far as the target takes it; the end is handed on, too."""
        while self._waits and self._waits[0][0] <= time.monotonic():
            due_s, data = self._waits.popleft()
            try:
                if not data:
                    self.is_over = True
                    self.target.shutdown(socket.SHUT_WR)
                    return
                sent = self.target.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.is_over = True
                return
            self._bytes -= sent
            if data[sent:]:
                self._waits.appendleft((due_s, data[sent:]))
                return


class Carried:
    """One connection, from a node that is found out to one that is known."""

    def __init__(self, client: socket.socket, server: str, port: int) -> None:
        self.server = server
        self.dialler = ""
        self.inode = _inode_of(client)
        self._client, self._port = client, port
        self.ways: tuple[Way, ...] = ()

    @property
    def is_over(self) -> bool:
        return any(way.is_over for way in self.ways) and all(
            way.is_over or not way.reads for way in self.ways
        )

    def begin(self) -> bool:
        """Connect to whom it is for; False where nobody is there."""
        if self.ways:
            return True
        try:
            server = socket.create_connection((HOST, self._port))
        except OSError:
            return False
        for one in (self._client, server):
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.ways = (Way(self._client, server), Way(server, self._client))
        return True

    def close(self) -> None:
        for one in {self._client, *(way.source for way in self.ways)}:
            one.close()


class Forwarder:
    def __init__(self) -> None:
        self._fronts: dict[int, tuple[socket.socket, str, int]] = {}
        self._carried: list[Carried] = []
        self._pids: dict[int, str] = {}
        self._sides: Sides = ()
        self._delay_s = 0.0
        self._orders = b""
        self._looked_s = 0.0

    def stand_before(self, name: str, front: int, back: int) -> None:
        listener = socket.create_server((HOST, front), backlog=128)
        self._fronts[listener.fileno()] = (listener, name, back)

    def run(self) -> None:
        """Carry until the orders end."""
        while self._turn():
            pass

    def _turn(self) -> bool:
        ways = self._ways()
        poller = select.poll()
        poller.register(sys.stdin.fileno(), select.POLLIN)
        for descriptor in self._fronts:
            poller.register(descriptor, select.POLLIN)
        wanted: dict[int, int] = {}
        for way in ways.values():
            if way.reads:
                wanted[way.source.fileno()] = wanted.get(way.source.fileno(), 0) | select.POLLIN
            if way.due_s is not None and way.due_s <= time.monotonic():
                wanted[way.target.fileno()] = wanted.get(way.target.fileno(), 0) | select.POLLOUT
        for descriptor, events in wanted.items():
            poller.register(descriptor, events)
        for descriptor, _ in poller.poll(self._timeout_ms(ways)):
            if descriptor == sys.stdin.fileno() and not self._take_orders():
                return False
            if descriptor in self._fronts:
                self._accept(descriptor)
            elif descriptor in ways and ways[descriptor].reads:
                ways[descriptor].read(self._delay_s)
        for way in ways.values():
            way.write()
        self._tidy()
        return True

    def _ways(self) -> dict[int, Way]:
        """Return what is carried now, by where it comes from."""
        self._find_diallers()
        ways: dict[int, Way] = {}
        for one in list(self._carried):
            if self._is_cut(one):
                continue
            if not one.begin():
                self._carried.remove(one)
                one.close()
                continue
            ways.update((way.source.fileno(), way) for way in one.ways if not way.is_over)
        return ways

    def _timeout_ms(self, ways: dict[int, Way]) -> float:
        now_s = time.monotonic()
        later = [way.due_s - now_s for way in ways.values() if way.due_s is not None and way.due_s > now_s]
        return 1000 * min([*later, _RETRY_S if self._sides else 60.0])

    def _is_cut(self, one: Carried) -> bool:
        """Between two sides nothing passes; nor, while there are sides, from somebody unknown."""
        if not self._sides:
            return False
        return not any(one.dialler in side and one.server in side for side in self._sides)

    def _accept(self, descriptor: int) -> None:
        listener, name, back = self._fronts[descriptor]
        client, _ = listener.accept()
        self._carried.append(Carried(client, name, back))
        self._looked_s = 0.0

    def _tidy(self) -> None:
        for one in [one for one in self._carried if one.is_over]:
            self._carried.remove(one)
            one.close()

    def _find_diallers(self) -> None:
        unknown = [one for one in self._carried if not one.dialler]
        now_s = time.monotonic()
        if not self._sides or not unknown or now_s - self._looked_s < _RETRY_S:
            return
        self._looked_s = now_s
        owners = {inode: name for pid, name in self._pids.items() for inode in _inodes_of(pid)}
        for one in unknown:
            one.dialler = owners.get(one.inode, "")

    def _take_orders(self) -> bool:
        data = os.read(sys.stdin.fileno(), _READ_BYTES)
        *lines, self._orders = (self._orders + data).split(b"\n")
        for line in lines:
            order, _, rest = line.decode().partition(" ")
            match order:
                case "pids":
                    pairs = [pair.rpartition("=") for pair in rest.split("\t")]
                    self._pids = {int(pid): name for name, _, pid in pairs}
                    self._looked_s = 0.0
                case "cut":
                    self._sides = sides_in(rest)
                    self._looked_s = 0.0
                case "heal":
                    self._sides = ()
                case "delay":
                    self._delay_s = float(rest) / 1000
        return bool(data)


# -- who dials ----------------------------------------------------------------------------------------------


def _inode_of(client: socket.socket) -> str:
    """Return the inode of the socket at the other end of an accepted connection; empty if it is not told."""
    here, there = (f"0100007F:{port:04X}" for port in (client.getsockname()[1], client.getpeername()[1]))
    try:
        lines = Path("/proc/net/tcp").read_text("ascii").splitlines()
    except OSError:
        return ""
    fields = (line.split() for line in lines)
    return next((one[9] for one in fields if len(one) > 9 and (one[1], one[2]) == (there, here)), "")


def _inodes_of(pid: int) -> Iterator[str]:
    try:
        entries = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return
    for entry in entries:
        try:
            target = os.readlink(entry)
        except OSError:
            continue
        if target.startswith("socket:["):
            yield target[8:-1]


def main(*fronts: str) -> None:
    forwarder = Forwarder()
    for one in fronts:
        name, _, ports = one.rpartition(":")
        front, back = map(int, ports.split("="))
        forwarder.stand_before(name, front, back)
    sys.stdout.write(f"{READY}\n")
    forwarder.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
