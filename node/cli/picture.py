"""What does a `Status` look like to a person?

Knows nothing of where it came from, or how often it is drawn again. Every word that another node chose
(names, reasons) goes through `plain`, and none is read as markup.
"""

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from comind.node.attach import MemberLine, RoundLine, Status
from comind.node.cli.phrases import duration, plain, several, size
from comind.p2p.core.door import AT_DEADLINE

STATE_STYLES = {
    "ready": "green",
    "training": "cyan",
    "joining": "magenta",
    "away": "yellow",
    "silent": "bold red",
    "witness": "",
}
TOLD_RULES = ("mean", "initial")
"""Blocks that only change the roster show in the members' lines."""
ROUNDS_SHOWN = 5
DOOR_SHOWN = 4
_WIDTH_FOR_ADDRESSES = 110
_DIGEST_LETTERS = 12


def picture(status: Status, members: int | None = None, rounds: int = ROUNDS_SHOWN) -> RenderableType:
    """All of a status, with the newest rounds; at most so many member lines, where the room is limited."""
    parts: list[RenderableType] = [
        _who(status),
        _leads(status),
        _waits(status),
        "",
        _Members(_most_telling(status, members), len(status.members), status.chief),
    ]
    if status.at_the_door:
        parts += ["", _door(status)]
    averages = [line for line in status.last_rounds if line.rule in TOLD_RULES]
    if told := averages[max(0, len(averages) - rounds) :]:
        parts += ["", rounds_table(told, weighted=status.settings.get("weight") != "equal")]
    parts += ["", _traffic(status)]
    return Group(*parts)


def fitting(status: Status, console: Console, room: int) -> RenderableType:
    """As much of a status as so many lines can show: rounds go first, then members."""
    wanted = min(len(status.members), room)
    for rounds in (4, 3, 2, 1):
        tall = len(console.render_lines(picture(status, wanted, rounds), pad=False)) - room
        if tall <= 0:
            return picture(status, wanted, rounds)
        members = wanted - tall - (wanted == len(status.members))  # "and so many more" takes a line
        if members >= min(wanted, 8 if rounds > 1 else 3):
            return picture(status, members, rounds)
    return picture(status, min(wanted, 3), 0)


class _Flow:
    """Phrases with three spaces between, broken into lines only between phrases where that is possible."""

    def __init__(self, *phrases: Text | str) -> None:
        self._phrases = [phrase if isinstance(phrase, Text) else Text(phrase) for phrase in phrases if phrase]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        line = Text()
        for phrase in self._phrases:
            if line and line.cell_len + 3 + phrase.cell_len > options.max_width:
                yield line
                line = Text("  ")
            elif line:
                line.append("   ")
            line.append_text(phrase)
        yield line


def _door(status: Status) -> Group:
    """Who waits outside, and the line that lets it in: on a line of its own, to be copied."""
    shown, rest = status.at_the_door[:DOOR_SHOWN], status.at_the_door[DOOR_SHOWN:]
    lines = [
        Text(f"outside, {plain(why)}; what lets it in:\n  comind allow {plain(node)}") for node, why in shown
    ]
    more = [Text(f"and {len(rest)} more outside: comind status --json", "dim")] if rest else []
    return Group(*lines, *more)


def _who(status: Status) -> _Flow:
    called = f'"{plain(status.network)}" ' if status.network else ""  # a newcomer has not heard it yet
    network = f"network {called}({plain(status.network_id[:8])})"
    digest = plain(status.digest[:_DIGEST_LETTERS])
    return _Flow(
        Text(plain(status.name), "bold"),
        network,
        round_of(status),
        f"height {status.height}",
        f"digest {digest}" if digest else "no base yet",
    )


def round_of(status: Status) -> str:
    """How far the averages are."""
    if not status.rounds:
        return f"round {status.round}"
    return f"round {status.round} of {status.rounds}"


def _leads(status: Status) -> _Flow:
    if not status.chief:
        return _Flow(Text("nobody leads yet"))
    if status.rounds and status.round >= status.rounds:
        return _Flow(Text("nobody leads any more"))
    return _Flow(
        Text.assemble("leads now  ", (plain(status.chief_name), "bold")),
        f"next  {plain(status.next_chief_name)}" if status.next_chief else "",
        f"view {status.view}: the chiefs before did not finish" if status.view else "",
    )


def _waits(status: Status) -> Text:
    """What is waited for, in the daemon's own words, and since when."""
    because = plain(status.because or status.phase)
    if status.opens_in_ms is not None:
        because = because.replace(AT_DEADLINE, f"in {duration(status.opens_in_ms)}", 1)
    return Text(f"{because}, since {duration(status.since_ms)}")


# -- members ------------------------------------------------------------------------------------------------


def _most_telling(status: Status, members: int | None) -> Sequence[MemberLine]:
    """In roster order; where not all fit, first those whom somebody would look for."""
    if members is None or len(status.members) <= members:
        return status.members

    def dullness(line: MemberLine) -> int:
        if line.me or line.id in (status.chief, status.next_chief):
            return 0
        return 1 if line.state in ("silent", "away", "joining") else 2

    chosen = sorted(status.members, key=dullness)[:members]
    return [line for line in status.members if line in chosen]


class _Members:
    def __init__(self, members: Sequence[MemberLine], of: int, chief: str) -> None:
        self._members = members
        self._of = of
        self._chief = chief

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wide = options.max_width >= _WIDTH_FOR_ADDRESSES
        yield Padding(self._table(wide), (0, 0, 0, 2))
        if unseen := self._of - len(self._members):
            yield Text(f"  and {unseen} more: comind status shows all", "dim")

    def _table(self, wide: bool) -> Table:
        table = _bare_table()
        table.add_column("name", max_width=28 if wide else 16, no_wrap=True)
        for heading in ("id", "state", "vote", "leads"):
            table.add_column(heading, no_wrap=True)
        for heading in ("led", "counted"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("heard", no_wrap=True)
        if wide:
            table.add_column("at", no_wrap=True)
        for member in self._members:
            cells = self._cells(member)
            table.add_row(*cells, *([Text(plain(" ".join(member.addresses)))] if wide else []))
        return table

    def _cells(self, member: MemberLine) -> list[Text | str]:
        leads_now = member.id == self._chief
        return [
            Text(plain(member.name), "bold" if leads_now or member.me else ""),
            Text(plain(member.id)),
            Text(plain(member.state), STATE_STYLES.get(member.state, "")),
            "yes" if member.voter else "-",
            "now" if leads_now else "yes" if member.can_lead else "-",
            str(member.rounds_led),
            str(member.counted),
            heard(member),
        ]


def heard(member: MemberLine) -> str:
    """When something was last received from a member."""
    if member.me:
        return "here"
    if member.heard_ms_ago is None:
        return "no link"
    return f"{duration(max(member.heard_ms_ago, 100))} ago"


# -- rounds -------------------------------------------------------------------------------------------------


def rounds_table(rounds: Sequence[RoundLine], weighted: bool) -> Padding:
    """A row for each round; `weighted`: with the contributions' weights."""
    table = _bare_table()
    table.add_column("round", no_wrap=True)
    table.add_column("led by", max_width=16, no_wrap=True)
    table.add_column("took", justify="right", no_wrap=True)
    table.add_column("counted")
    table.add_column("not counted")
    measured = any(line.metrics for line in rounds)
    if measured:
        table.add_column("metrics", max_width=16)
    for line in rounds:
        cells = round_cells(line, weighted)
        table.add_row(*map(Text, cells if measured else cells[:-1]))
    return Padding(table, (0, 0, 0, 2))


def round_cells(line: RoundLine, weighted: bool) -> tuple[str, str, str, str, str, str]:
    """A row: which round, who led it, how long it took, who was counted, who was not and why, metrics."""
    if line.rule == "mean":
        counted = [f"{name} {weight}" if weighted else name for _, name, weight in line.contributors]
        absent = [f"{name}: {why}" for _, name, why in line.absent]
    else:
        counted = [f"starting weights of {name}" for _, name, _ in line.contributors]
        absent = []
    metrics = [f"{name} {value:.4g}" for name, value in line.metrics.items()]
    return (
        str(line.round) if line.rule == "mean" else "-",
        plain(line.chief_name) + (f", view {line.view}" if line.view else ""),
        duration(line.seconds * 1000),
        plain(several(counted, 6)),
        plain(several(absent, 3)) or "-",
        plain(several(metrics, 3)),
    )


# -- the rest -----------------------------------------------------------------------------------------------


def _traffic(status: Status) -> _Flow:
    dropped = [f"{plain(why)} {count}" for why, count in sorted(status.dropped.items())]
    return _Flow(
        f"sent {size(status.bytes_sent)}",
        f"received {size(status.bytes_received)}",
        "no trainer here" if status.trainer == "none" else f"trainer {plain(status.trainer)}",
        Text(f"turned away: {several(dropped, 3)}", "yellow") if dropped else "",
    )


def _bare_table() -> Table:
    """Headings and columns, no lines: it reads alike with colours and without."""
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
