"""What all scenarios share: a collector of garbage that does not look through whole clusters all the time."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def rare_collections() -> Iterator[None]:
    """A cluster is many small objects that live long: looking for garbage takes a tenth of the time."""
    before = gc.get_threshold()
    gc.set_threshold(50_000, 20, 20)
    yield
    gc.set_threshold(*before)
