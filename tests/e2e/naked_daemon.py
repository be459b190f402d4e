"""The daemon with layers of its secrecy turned off: what `test_privacy` searches must be found here.

Run like `comind.node.daemon`; `NAKED_WITHOUT` names the layers: gate, link and bulk. The product has no such
switch: names of its modules are bound to other things here, before it runs.
"""

import os
import sys
from typing import Any
from unittest.mock import patch

import zmq

from comind.crypto.gate import Gate
from comind.crypto.sealing import TAG_BYTES
from comind.node.daemon.__main__ import main
from comind.p2p.shell import sockets
from comind.p2p.shell.sockets import ZmqContext, ZmqSocket

_NO_TAG = bytes(TAG_BYTES)


def without_gate() -> None:
    """Have the sockets speak ZMTP's NULL mechanism, not CURVE."""
    gate_socket, dial_socket = sockets.gate_socket, sockets.dial_socket

    def open_gate(context: ZmqContext, gate: Gate, host: str) -> ZmqSocket:
        return _plain(gate_socket(context, gate, host))

    def dial_openly(context: ZmqContext, gate: Gate, address: str) -> ZmqSocket:
        return _plain(dial_socket(context, gate, address))

    patch("comind.p2p.shell.listener.gate_socket", open_gate).start()
    patch("comind.p2p.shell.dial.dial_socket", dial_openly).start()


def without_link() -> None:
    """Have what two nodes say to each other go as it is."""

    def seal(sealer: object, plaintext: bytes) -> bytes:
        return bytes(plaintext) + _NO_TAG

    def open_(opener: object, sealed: bytes) -> bytes:
        return bytes(sealed)[:-TAG_BYTES]

    patch("comind.crypto.sealing.MessageSealer.seal", seal).start()
    patch("comind.crypto.sealing.MessageOpener.open", open_).start()


def without_bulk() -> None:
    """Have chunks go as they are."""

    def seal_into(sealer: object, index: int, chunk: Any, out: Any, associated: bytes = b"") -> None:
        memoryview(out)[:-TAG_BYTES] = memoryview(chunk)
        memoryview(out)[-TAG_BYTES:] = _NO_TAG

    def open_into(opener: object, index: int, sealed: Any, out: Any, associated: bytes = b"") -> None:
        memoryview(out)[:] = memoryview(sealed)[:-TAG_BYTES]

    patch("comind.crypto.sealing.ChunkSealer.seal_into", seal_into).start()
    patch("comind.crypto.sealing.ChunkOpener.open_into", open_into).start()


def _plain(one: ZmqSocket) -> ZmqSocket:
    one.set(zmq.CURVE_SERVER, 0)  # which makes the mechanism NULL, at either end
    return one


LAYERS = {"gate": without_gate, "link": without_link, "bulk": without_bulk}

if __name__ == "__main__":
    for layer in os.environ.get("NAKED_WITHOUT", "").split():
        LAYERS[layer]()
    sys.exit(main(sys.argv[1:]))
