"""How is the status of a home's daemon told, once?"""

import os
import sys

import msgspec

from comind.node.cli.ask import no_daemon, status_of
from comind.node.cli.errors import NoDaemon
from comind.node.home import Home

WIDTH_IN_A_PIPE = 120


def report(home: Home, as_json: bool) -> None:
    """Print the status.

    Raises:
        NoDaemon: none runs.
        NotDone: it does not answer.
    """
    status = status_of(home)
    if status is None:
        raise NoDaemon(no_daemon(home))
    if as_json:
        import json  # its output is ASCII, and so steers no terminal

        sys.stdout.write(json.dumps(msgspec.to_builtins(status), indent=2) + "\n")
        return
    from rich.console import Console

    from comind.node.cli.picture import picture

    narrow = sys.stdout.isatty() or "COLUMNS" in os.environ
    Console(width=None if narrow else WIDTH_IN_A_PIPE).print(picture(status))
