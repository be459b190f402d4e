"""Where does the node of this home listen, and what does it advertise, when its start does not say?

Where `comind init` was told to: the invite that went out leads there. Knows nothing of what an address is.
"""

import os
from pathlib import Path

import msgspec

from comind.node.home import Home
from comind.p2p.core.errors import ConfigError


class Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """None and () where nothing was said."""

    listen: str | None = None
    advertise: tuple[str, ...] = ()

    def but(self, given: "Kept") -> "Kept":
        """These, with what is given in their place."""
        return Kept(given.listen or self.listen, given.advertise or self.advertise)


def recall(home: Home) -> Kept:
    """Return what is kept in this home.

    Raises:
        ConfigError: the file is damaged.
    """
    try:
        return msgspec.json.decode(_file(home).read_bytes(), type=Kept)
    except FileNotFoundError:
        return Kept()
    except (OSError, msgspec.MsgspecError) as why:
        raise ConfigError(
            f"{_file(home)} cannot be read ({why}): delete it, and give --listen and --advertise if needed"
        ) from None


def remember(home: Home, kept: Kept) -> None:
    """Keep these for every start.

    Raises:
        ConfigError: the file cannot be written.
    """
    file = _file(home)
    beside = file.with_suffix(".new")
    try:
        beside.write_bytes(msgspec.json.encode(kept) + b"\n")
        os.replace(beside, file)
    except OSError as why:
        raise ConfigError(f"{file} cannot be written: {why.strerror}") from None


def _file(home: Home) -> Path:
    return home.path / "start.json"
