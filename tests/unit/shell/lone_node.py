"""A node in a process of its own, for tests to kill: `lone_node.py [seed]`. Prints its address and its id."""

import sys
import time

import zmq

from comind.crypto.identity import Identity
from comind.p2p.core.words import Incarnation, NetworkId
from comind.p2p.shell.addresses import Listen
from comind.p2p.shell.links import Links
from comind.p2p.shell.sockets import open_context


def main() -> None:
    identity = Identity.generate()
    links = Links(
        identity,
        NetworkId(b"n" * 32),
        b"k" * 32,
        Incarnation(1),
        open_context(),
        Listen("127.0.0.1", (0,)),
    )
    for seed in sys.argv[1:]:
        links.dial_seed(seed)
    poller = zmq.Poller()
    links.register(poller)
    sys.stdout.write(f"{links.listening} {identity.node_id.hex()}\n")
    sys.stdout.flush()
    while True:
        links.collect(time.monotonic_ns() // 1_000_000)
        poller.poll(20)


if __name__ == "__main__":
    main()
