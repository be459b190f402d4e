"""Which commands are there, and what can be given to each?

Reads the command line and calls what does the work; that is imported when it is called, since `comind node`
must start at once. Knows nothing of daemons, invites or tensors.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, cast

import typer

import comind
from comind.node.cli.errors import EXIT_CODES
from comind.node.cli.genesis import takes_settings
from comind.node.home import find_home
from comind.p2p.core.errors import ConfigError
from comind.p2p.core.words import Settings

_USAGE: type[Exception] = typer.BadParameter.__mro__[2]
"""What typer raises for any misuse; typer itself names it differently from version to version."""
_CODES = "\n".join(f"  {code:<4} {meaning}" for code, meaning in EXIT_CODES.items())
_EPILOG = f"\b\nExit codes:\n{_CODES}"

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    pretty_exceptions_show_locals=False,
    rich_markup_mode=None,
    epilog=_EPILOG,
    help="Train one PyTorch model together, without a parameter server.",
)

HomeOption = Annotated[
    str | None,
    typer.Option("--home", metavar="FOLDER", help="The node's folder; else COMIND_HOME, else this user's."),
]
ListenOption = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="What to bind: tcp://host:port. The port after it is kept free."),
]
AdvertiseOption = Annotated[
    list[str] | None,
    typer.Option(metavar="ADDRESS", help="Where others reach this node: tcp://host:port; else it is found."),
]
NameOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="What this node is called; else the host's name.")
]

WaitOption = Annotated[float, typer.Option(metavar="SECONDS", min=1, help="For the others' agreement.")]
BecauseOption = Annotated[str, typer.Option(metavar="TEXT", help="Why, for everyone to read.")]


def dispatch(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code.

    Raises:
        ConfigError: there is no such command or flag, or a value is none.
    """
    command = typer.main.get_command(app)
    try:
        code = command.main(list(arguments) or ["--help"], prog_name="comind", standalone_mode=False)
    except _USAGE as why:
        said = " ".join(cast(Any, why).format_message().split()).rstrip(".")
        raise ConfigError(f"{said}; `{_helpful(arguments)}` tells what there is") from None
    except typer.Abort:
        raise KeyboardInterrupt from None
    return int(code or 0)


def _helpful(arguments: Sequence[str]) -> str:
    known = [each.name or cast(Any, each.callback).__name__ for each in app.registered_commands]
    return f"comind {arguments[0]} --help" if arguments and arguments[0] in known else "comind --help"


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"comind {comind.__version__}")
        raise typer.Exit


@app.callback()
def _comind(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Say it, and no more.")
    ] = False,
) -> None:
    pass


@app.command()
@takes_settings
def init(
    settings: Settings,
    network: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of the network; else the host's.")
    ] = None,
    name: NameOption = None,
    home: HomeOption = None,
    listen: ListenOption = None,
    advertise: AdvertiseOption = None,
    initial: Annotated[
        Path | None,
        typer.Option(metavar="SAFETENSORS", help="The first base; else the first trainer brings it."),
    ] = None,
    invite_out: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Where to write the invite a second time.")
    ] = None,
) -> None:
    """Found a network, and write its invite.

    The settings are fixed for all of its members; each flag says what it can be, and what it is else.
    """
    from comind.node.cli.found import Wishes, found

    wishes = Wishes(network, name, listen, tuple(advertise or ()), initial, invite_out)
    found(find_home(home), wishes, settings)


@app.command()
def node(
    seed: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDRESS", help="Of any member: tcp://host:port; repeatable."),
    ] = None,
    invite_file: Annotated[
        str | None, typer.Option(metavar="PATH", help="The invite; - reads it from standard input.")
    ] = None,
    listen: ListenOption = None,
    advertise: AdvertiseOption = None,
    name: NameOption = None,
    home: HomeOption = None,
    no_lead: Annotated[bool, typer.Option("--no-lead", help="Never lead a round.")] = False,
) -> None:
    """Run this machine's node.

    Of the network that was founded here, or the one that it is invited to, until Ctrl-C. What was given to
    `comind init` for --listen and --advertise holds here too, unless it is given anew.
    """
    from comind.node.cli.start import Start, start
    from comind.node.remembered import Kept

    kept = Kept(listen, tuple(advertise or ()))
    raise typer.Exit(start(find_home(home), Start(tuple(seed or ()), invite_file, kept, name, no_lead)))


@app.command()
def status(
    home: HomeOption = None,
    json: Annotated[bool, typer.Option("--json", help="All of it, for programs.")] = False,
) -> None:
    """Show who is there and what is waited for."""
    from comind.node.cli.report import report

    report(find_home(home), json)


@app.command()
def rounds(
    home: HomeOption = None,
    last: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Only the last so many; else all.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="All of it, for programs.")] = False,
) -> None:
    """List the rounds: who led, who was counted with which weight, who was not and why.

    They are read from this node's store, whether its daemon runs or not.
    """
    from comind.node.cli.look import rounds

    rounds(find_home(home), last, json)


@app.command()
def show(
    number: Annotated[int, typer.Argument(metavar="ROUND", min=1, help="As comind rounds numbers them.")],
    home: HomeOption = None,
    json: Annotated[bool, typer.Option("--json", help="All of it, for programs.")] = False,
) -> None:
    """Tell all of one round.

    Who was counted with which share and steps, who was not, why, and what became of its work, and who agreed.
    """
    from comind.node.cli.look import show

    show(find_home(home), number, json)


@app.command()
def verify(
    home: HomeOption = None,
    json: Annotated[bool, typer.Option("--json", help="All of it, for programs.")] = False,
) -> None:
    """Check every hash and signature from genesis to the model on this disk.

    Says what that proves and what it does not; exit code 1 where something is not sound.
    """
    from comind.node.cli.verify import verify

    raise typer.Exit(0 if verify(find_home(home), json) else 1)


@app.command()
def invite(
    home: HomeOption = None,
    out: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Where to write it; else in the home.")
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Print the secret itself.")] = False,
) -> None:
    """Write an invite for another machine.

    It carries the members' present addresses and the network's key: whoever holds it can join.
    """
    from comind.node.cli.invites import hand_out

    hand_out(find_home(home), out, show)


@app.command()
def stop(home: HomeOption = None) -> None:
    """Stop the daemon for a while.

    The others hear that it is away; it stays a member, and comes back with `comind node`.
    """
    from comind.node.cli.farewell import stop

    stop(find_home(home))


@app.command()
def leave(
    home: HomeOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    wait: WaitOption = 60,
) -> None:
    """Leave the network, and end the daemon.

    A block takes the node off the roster; it comes back by joining again.
    """
    from comind.node.cli.farewell import leave

    raise typer.Exit(leave(find_home(home), yes, wait))


@app.command()
def pause(home: HomeOption = None, because: BecauseOption = "", wait: WaitOption = 60) -> None:
    """Pause the network: no averages until somebody says `comind resume`.

    A block decides it, after the round that runs. Trainers train on alone; members come and go as ever.
    """
    from comind.node.cli.decisions import pause

    pause(find_home(home), because, wait)


@app.command()
def resume(home: HomeOption = None, wait: WaitOption = 60) -> None:
    """End a pause: averages go on by themselves."""
    from comind.node.cli.decisions import resume

    resume(find_home(home), wait)


@app.command()
def remove(
    node: Annotated[str, typer.Argument(metavar="NODE", help="Its name, or its id.")],
    home: HomeOption = None,
    because: BecauseOption = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    wait: WaitOption = 60,
) -> None:
    """Remove another member.

    A block takes it off the roster, every member cuts its links, and it is denied until somebody says
    `comind allow`. Any member can remove any other.
    """
    from comind.node.cli.decisions import remove

    raise typer.Exit(remove(find_home(home), node, because, yes, wait))


@app.command()
def allow(
    node: Annotated[str, typer.Argument(metavar="NODE", help="Its id, as it shows it while it waits.")],
    home: HomeOption = None,
    wait: WaitOption = 60,
) -> None:
    """Let a node in.

    Where the network was founded with --admission list, and wherever it was removed or denied.
    """
    from comind.node.cli.decisions import allow

    allow(find_home(home), node, wait)


@app.command()
def deny(
    node: Annotated[str, typer.Argument(metavar="NODE", help="Its id.")],
    home: HomeOption = None,
    because: BecauseOption = "",
    wait: WaitOption = 60,
) -> None:
    """Give a node no link, whatever keys it holds: one that is no member.

    `comind remove` does the same to a member.
    """
    from comind.node.cli.decisions import deny

    deny(find_home(home), node, because, wait)


@app.command()
def recover(
    home: HomeOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    wait: Annotated[
        float, typer.Option(metavar="SECONDS", min=1, help="For a quorum of the voters to answer.")
    ] = 10,
) -> None:
    """Found the network anew on a survivor, when its quorum is gone for good.

    From the newest block and base that this node has, under a new id and key. It refuses while a quorum
    answers. If the others are alive somewhere, there are two networks from then on.
    """
    from comind.node.cli.recover import recover

    raise typer.Exit(recover(find_home(home), yes, wait))


@app.command()
def export(
    file: Annotated[Path, typer.Argument(metavar="MODEL.safetensors")],
    home: HomeOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if there is one.")] = False,
) -> None:
    """Write the newest model as safetensors.

    The file says which network, height and block it comes from, and who contributed to it.
    """
    from comind.node.cli.export import export

    if file.exists() and not force:
        raise ConfigError(f"{file} is there already: take another name, or --force to replace it")
    sys.stdout.write(export(find_home(home), file) + "\n")
