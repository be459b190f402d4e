"""What do the runner's children tell it? One JSON object a line, on their standard output.

Knows nothing of who reads it.
"""

import sys

import msgspec

MAX_LINE_BYTES = 1 << 16


class Interval(msgspec.Struct, frozen=True, tag="interval"):
    """A trainer came back from an interval's end."""

    round: int
    """The newest average that it holds."""
    counted: bool
    """Whether that average counts this interval: then its model is exactly the average."""
    because: str
    loss: float
    """Mean of its batches' losses."""
    accuracy: float
    """On the held-out pictures, after the average."""
    trained: int
    """Examples so far."""


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """A trainer holds the network's last average."""

    accuracy: float
    digest: str
    """Root of its own weights, in hex: the base's, if the two are bit for bit one."""
    trained: int


class Learned(msgspec.Struct, frozen=True, tag="learned"):
    """A baseline has trained as long as the network for so many rounds."""

    node: int
    """`POOLED` for all data."""
    round: int
    accuracy: float


Report = Interval | Finished | Learned

_decoder = msgspec.json.Decoder(Report)


def tell(report: Report) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    sys.stdout.buffer.flush()


class Lines:
    """Makes reports of the bytes that come from a pipe, however they are cut."""

    def __init__(self) -> None:
        self._begun = b""

    def read(self, data: bytes) -> list[Report]:
        """Raises msgspec.MsgspecError: a line is no report."""
        *whole, self._begun = (self._begun + data).split(b"\n")
        if len(self._begun) > MAX_LINE_BYTES:
            raise msgspec.DecodeError("a line without end")
        return [_decoder.decode(line) for line in whole]
