"""What passes on a TCP connection? A proxy that passes everything on, and keeps a copy of every byte.

Run as `python -m tests.e2e.recorder FOLDER PORT=PORT...`: what arrives at the first port goes to the second,
both of the loopback. Each direction of each connection is a file of its own in the folder, and a byte is in
it before it goes on. Knows nothing of what it carries.
"""

import socket
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector

HOST = "127.0.0.1"
TO_SERVER, TO_CLIENT = "to-server", "to-client"
READY = "it listens"
_READ_BYTES = 1 << 18


class Recorder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count()
        self._selector = DefaultSelector()

    def stand_before(self, port: int, target: int) -> None:
        listener = socket.create_server((HOST, port), backlog=128)
        self._selector.register(listener, EVENT_READ, lambda: self._connect(listener, target))

    def run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj in self._selector.get_map():
                    work: Callable[[], None] = key.data
                    work()

    def _connect(self, listener: socket.socket, target: int) -> None:
        client, _ = listener.accept()
        try:
            server = socket.create_connection((HOST, target))
        except OSError:
            client.close()  # nobody is there
            return
        number = next(self._numbers)
        self._carry(client, server, self._folder / f"{number}-{TO_SERVER}")
        self._carry(server, client, self._folder / f"{number}-{TO_CLIENT}")

    def _carry(self, source: socket.socket, target: socket.socket, file: Path) -> None:
        file.touch()
        self._selector.register(source, EVENT_READ, lambda: self._pass_on(source, target, file))

    def _pass_on(self, source: socket.socket, target: socket.socket, file: Path) -> None:
        try:
            data = source.recv(_READ_BYTES)
        except OSError:
            data = b""
        with file.open("ab") as record:
            record.write(data)
        try:
            target.sendall(data) if data else target.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it is gone; the other direction will tell
        if not data:
            self._selector.unregister(source)
            if target not in self._selector.get_map():  # the other direction has ended, too
                source.close()
                target.close()


def records(folder: Path, direction: str = "*") -> list[bytes]:
    """Return what was recorded so far: of each connection, in the order in which they were made."""
    files = sorted(folder.glob(f"*-{direction}"), key=lambda file: int(file.name.split("-")[0]))
    return [file.read_bytes() for file in files]


def main(folder: str, *fronts: str) -> None:
    recorder = Recorder(Path(folder))
    for front in fronts:
        recorder.stand_before(*map(int, front.split("=")))
    sys.stdout.write(f"{READY}\n")
    recorder.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
