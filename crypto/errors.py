"""What can go wrong with keys and sealed bytes, and whose fault is it?

Does not know what the caller does about it.

    Exception
     ├── CannotOpen           the other side's: drop it
     ├── UnusableKeyFile      the operator's: one line, with the command that mends it
     └── ValueError
          └── InvalidInvite   whoever typed or made the invite
"""


class CannotOpen(Exception):
    """Sealed bytes, or a greeting, did not verify. Never says why: an attacker would read it too."""


class InvalidInvite(ValueError):
    """This is no invite, or none that can be used; the message says which, and holds no secret."""


class UnusableKeyFile(Exception):
    """A file that holds a secret cannot be used; the message is one line: what is wrong and what mends it."""
