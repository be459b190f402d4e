"""What every test can rely on, wherever the suite is started."""

import signal
from collections.abc import Iterator

import pytest

# Started in the background, a process is deaf to Ctrl-C, and so would be all that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _signals_are_as_before() -> Iterator[None]:
    """A daemon's main that ran in this process has left its handlers."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        if signal.getsignal(number) is not handler:
            signal.signal(number, handler)
