"""Whose fault is it?

    Exception
    ├── PeerMisbehaved   a peer's: drop it, count why, go on
    ├── LinkFailed       the network's: try again
    └── ConfigError      the user's: one line with its mend, exit code 2

What is ours is an `assert`. Crypto has one error of its own, `CannotOpen`.
"""


class PeerMisbehaved(Exception):
    """A peer sent what no honest peer sends; the text is the reason that is counted."""


class LinkFailed(Exception):
    """A connection broke or could not be made."""


class ConfigError(Exception):
    """What a person gave cannot work; the text is one line that says what is wrong and how to mend it."""
