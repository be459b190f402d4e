"""Which flag of `comind init` sets which genesis setting?

The settings, their defaults, choices and ranges are the core's: a setting that is added there is a flag here.
"""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated

import msgspec
import typer

from comind.p2p.core.errors import ConfigError
from comind.p2p.core.words import CHOICES, RANGES, Settings, what_is_wrong_with

MEANINGS = {
    "quorum": "What a quorum of the voters is.",
    "averagers": "Who averages the snapshots.",
    "strategy": "How the averages become the next base.",
    "weight": "What a contribution weighs: its training examples, or all alike.",
    "codec": "What a model's value is sent as.",
    "arithmetic": "What a model's value is added as.",
    "door": "When a round opens: 'all' waits for everyone that is training; 'adaptive' calls latecomers.",
    "admission": "Who may join: whoever holds the invite, or of those only whom a member allowed.",
    "durability": "What an average outlives when it is voted for: any 'process', or a 'power' cut (fsync).",
    "min_peers": "No average with fewer members training.",
    "start_at": "The first average waits until so many members are training.",
    "rounds": "The training ends after so many averages; 0: no end.",
    "max_voters": "At most so many members vote.",
    "passive_after": "A voter loses its vote after so many rounds of silence.",
    "heartbeat_ms": "How often members say that they are there.",
    "silent_after_ms": "A member of which nothing was heard for so long is silent.",
    "patience_ms": "Without progress for so long, the next chief takes over.",
    "max_patience_ms": "Patience doubles with each chief that fails, up to this.",
    "round_limit_ms": "No chief's try takes longer than this.",
}


def flag(setting: str) -> str:
    return "--" + setting.replace("_", "-")


def takes_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one flag for each genesis setting; it gets them checked, as `settings`."""

    @wraps(command)
    def with_flags(**given: object) -> None:
        chosen = {name: given.pop(name) for name in Settings.__struct_fields__}
        command(**given, settings=checked(msgspec.convert(chosen, Settings)))

    own = inspect.signature(command)
    parameters = [each for each in own.parameters.values() if each.name != "settings"] + _flags()
    with_flags.__dict__.pop("__wrapped__")
    with_flags.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    with_flags.__annotations__ = {each.name: each.annotation for each in parameters}
    return with_flags


def checked(settings: Settings) -> Settings:
    """Return the settings.

    Raises:
        ConfigError: one is out of its range or choice; the line names its flag.
    """
    wrong = what_is_wrong_with(settings)
    if wrong is not None:
        name, _, rest = wrong.partition(" ")
        raise ConfigError(f"{flag(name)} {rest}")
    return settings


def _flags() -> list[inspect.Parameter]:
    return [_flag(field) for field in msgspec.structs.fields(Settings)]


def _flag(field: msgspec.structs.FieldInfo) -> inspect.Parameter:
    option = typer.Option(
        flag(field.name),
        help=f"{MEANINGS.get(field.name, '')} [{_allowed(field)}]",
        metavar="MS" if field.name.endswith("_ms") else "N" if field.type is int else "WORD",
        show_default=False,
    )
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=field.default,
        annotation=Annotated[field.type, option],
    )


def _allowed(field: msgspec.structs.FieldInfo) -> str:
    choices = CHOICES.get(field.name)
    if choices is None:
        least, most = RANGES[field.name]
        return f"{least} to {most}; default {field.default}"
    return f"{' or '.join(choices)}; default {field.default}" if len(choices) > 1 else choices[0]
