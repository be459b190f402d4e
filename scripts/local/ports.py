"""Which pairs of ports are free on the loopback? Knows nothing of who will take them."""

import socket
from itertools import islice

_FIRST, _LAST = 20_000, 32_000
"""Below the range from which systems give outgoing connections theirs."""


def free_pairs(count: int, start: int) -> list[int]:
    """Return the control ports of `count` pairs that are free now, looked for from `start` on, around.

    Raises:
        OSError: there are not so many.
    """
    wheel = (_FIRST + (start + 2 * step) % (_LAST - _FIRST) for step in range((_LAST - _FIRST) // 2))
    found = list(islice((port for port in wheel if _is_free(port) and _is_free(port + 1)), count))
    if len(found) < count:
        raise OSError(f"{count} pairs of ports are not free between {_FIRST} and {_LAST}")
    return found


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as a node does
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
