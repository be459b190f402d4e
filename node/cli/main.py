"""What happens between `comind ...` in a shell and an exit code?

    0    done
    1    you answered no (nothing was changed), or verify found a mistake
    2    what was given cannot work; the line says how to mend it
    3    no daemon runs in this home
    4    the network refused, removed this node, or did not answer in time
    70   a mistake of comind's own
    130  interrupted (Ctrl-C)

`comind node` passes on the exit code of its daemon. Knows nothing of what the commands do: `commands`.
"""

import re
import sys
from collections.abc import Sequence

from comind.crypto.errors import UnusableKeyFile
from comind.node.cli.errors import Exit, NoDaemon, NotDone
from comind.p2p.core.errors import ConfigError

_INVITE = re.compile(r"comind[0-9]{1,4}-[a-z2-7]{16}", re.IGNORECASE)
_FLAGS_OF_SECRETS = ("--invite", "--key", "--network-key", "--secret")
_THE_WAYS_IN = (
    "an invite is a secret, and what is typed here is read by others (ps) and kept in the shell's history:"
    " delete it there, and give the invite in a file (--invite-file PATH, or - for standard input),"
    " in COMIND_INVITE, or at the prompt of `comind node`"
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and end the process with its exit code: the entry point."""
    sys.exit(run(sys.argv[1:] if arguments is None else list(arguments)))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code. What a person can mend is one line on standard error."""
    try:
        refuse_secrets(arguments)
        from comind.node.cli.commands import dispatch

        return dispatch(arguments)
    except (ConfigError, UnusableKeyFile) as why:
        return _told(why, Exit.USAGE)
    except NoDaemon as why:
        return _told(why, Exit.NO_DAEMON)
    except NotDone as why:
        return _told(why, Exit.NOT_DONE)
    except KeyboardInterrupt:
        sys.stderr.write("\n" if sys.stderr.isatty() else "")  # the shell's prompt after ^C
        return Exit.INTERRUPTED
    except BrokenPipeError:  # `comind status | head -1`
        sys.stderr.close()
        return Exit.OK
    except Exception:  # noqa: BLE001  the last frame: what arrives here is ours
        return _confess()


def refuse_secrets(arguments: Sequence[str]) -> None:
    """Refuse an invite or a key among the arguments, before anything repeats them.

    Raises:
        ConfigError: there is one; the line holds nothing of it.
    """
    for argument in arguments:
        if _INVITE.search(argument) or argument.partition("=")[0] in _FLAGS_OF_SECRETS:
            raise ConfigError(_THE_WAYS_IN)


def _told(why: Exception, code: Exit) -> int:
    sys.stderr.write(f"comind: {why}\n")
    return code


def _confess() -> int:
    """Tell where it went wrong, without the values of variables: they can hold secrets."""
    import traceback

    traceback.print_exc()
    sys.stderr.write("comind: this is a mistake of comind's own; please report the lines above\n")
    return Exit.BUG


if __name__ == "__main__":
    main()
