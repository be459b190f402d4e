"""What is a connection, whoever made it?

Knows nothing of who is at its other end, nor what is said.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import zmq

from comind.p2p.shell.bulk import Buffer

FRAME_OVERHEAD_BYTES = 64
"""At least what ZMTP and CURVE add to a frame."""


class Connection(Protocol):
    over: bool
    """It has ended, or was cut: what it still brings is not read."""

    def send(self, frames: Sequence[Buffer]) -> bool:
        """Send one message, not copied, without waiting. False: there is no room now, try again later.

        To a connection that has ended nothing goes, which its end will tell.
        """

    def cut(self, linger_ms: int = 0) -> None:
        """End it; what was sent has `linger_ms` to get out."""


@dataclass(frozen=True, slots=True)
class Arrived:
    connection: Connection
    frames: list[zmq.Frame]
