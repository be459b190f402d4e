"""What are a network and a node called, and what can they be called?"""

import socket

from comind.p2p.core.errors import ConfigError

MAX_LETTERS = 64


def name_or_host(given: str | None, flag: str) -> str:
    """Return what was given, else this host's name.

    Raises:
        ConfigError: it is empty or too long, or has letters that cannot be shown.
    """
    name = given if given is not None else socket.gethostname().split(".")[0][:MAX_LETTERS] or "localhost"
    if not 1 <= len(name) <= MAX_LETTERS or not name.isprintable() or name != name.strip():
        raise ConfigError(f"{flag} takes 1 to {MAX_LETTERS} printable letters, unlike {name[:MAX_LETTERS]!r}")
    return name
