"""What ends a command early, and with which exit code?

ConfigError  2   what a person gave cannot work (p2p.core.errors)
NoDaemon     3   no daemon runs in this home
NotDone      4   the network, or the daemon that speaks for it, refused or did not answer in time
"""

from enum import IntEnum


class Exit(IntEnum):
    """The exit codes of `comind`; the daemon's own codes are passed on."""

    OK = 0
    DECLINED = 1
    USAGE = 2
    NO_DAEMON = 3
    NOT_DONE = 4
    BUG = 70
    INTERRUPTED = 130


EXIT_CODES = {
    Exit.OK: "done",
    Exit.DECLINED: "you answered no (nothing was changed), or verify found a mistake",
    Exit.USAGE: "what was given cannot work; the line says how to mend it",
    Exit.NO_DAEMON: "no daemon runs in this home",
    Exit.NOT_DONE: "the network refused, removed this node, or did not answer in time",
    Exit.BUG: "a mistake of comind's own",
    Exit.INTERRUPTED: "interrupted (Ctrl-C)",
}


class NoDaemon(Exception):
    """No daemon runs in this home; the text is the line that starts one."""


class NotDone(Exception):
    """What was asked of the network was refused or did not happen in time; the text is the reason."""
