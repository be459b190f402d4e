"""How is a member written down whole, so that it can be made again and go on as if nothing had been?

A walk over plain values, and over the objects of `comind.p2p.core` alone: nothing else can be written, and
nothing else can come of reading. Not written are the chain (its blocks lie in the store), whoever signs and
verifies, and the actions of the last step. Knows nothing of what the values mean.
"""

import dataclasses
import importlib
import pkgutil
from collections import deque
from collections.abc import Iterable, Mapping
from enum import Enum
from functools import cache
from typing import Any

import msgpack
import msgspec

import comind.p2p.core
from comind.p2p.core.chain import Chain
from comind.p2p.core.here import Here
from comind.p2p.core.member import Member

MAX_FROZEN_BYTES = 32 << 20
_PLAIN = (type(None), bool, int, float, str, bytes)
_SEVERAL: dict[str, type] = {"tuple": tuple, "list": list, "set": set, "frozenset": frozenset, "deque": deque}


class CannotFreeze(Exception):
    """A member holds something that is no plain value and no object of the core, or too much of it."""


class CannotThaw(Exception):
    """These bytes are of no member, or of another version's."""


def freeze(member: Member) -> bytes:
    """Return all that `member` knows but its chain, as MessagePack.

    Raises:
        CannotFreeze: it holds what has no place in a journal, or more than `MAX_FROZEN_BYTES`.
    """
    here = member.here
    outside = {id(here.chain): "chain", id(here.signer): "signer", id(here.verify): "verify"}
    frozen: bytes = msgpack.packb(_Freezer(outside).frozen(member), use_bin_type=True)
    if len(frozen) > MAX_FROZEN_BYTES:
        raise CannotFreeze(f"a member of {len(frozen)} bytes")
    return frozen


def thaw(frozen: bytes, chain: Chain, signer: object, verify: object) -> Member:
    """Return the member that was frozen, with its chain as it was then.

    Raises:
        CannotThaw: these are no bytes of a member, or of a member of another version.
    """
    outside = {"chain": chain, "signer": signer, "verify": verify}
    try:
        tree = msgpack.unpackb(frozen, raw=False, strict_map_key=False)
        member = _Thawer(outside).thawed(tree)
    except Exception as why:  # whatever bytes come: they are no member
        raise CannotThaw(f"no member of this version of comind: {why}") from why
    if not isinstance(member, Member):
        raise CannotThaw("no member")
    return member


class _Freezer:
    """Plain values stay as they are; all else is a list that says what it is, or where it was before."""

    def __init__(self, outside: Mapping[int, str]) -> None:
        self._outside = outside
        self._seen: dict[int, int] = {}
        self._alive: list[object] = []
        """What was seen, so that no other object takes its id."""

    def frozen(self, value: Any) -> Any:
        if type(value) in _PLAIN:
            return value
        if (name := self._outside.get(id(value))) is not None:
            return ["outside", name]
        if isinstance(value, Enum):
            return ["enum", _name(value), value.value]
        if isinstance(value, msgspec.Struct):
            return ["struct", _name(value), msgspec.to_builtins(value, builtin_types=(bytes,))]
        if (at := self._seen.get(id(value))) is not None:
            return ["again", at]
        self._seen[id(value)] = len(self._seen)
        self._alive.append(value)
        if isinstance(value, dict):
            return ["dict", [[self.frozen(key), self.frozen(one)] for key, one in value.items()]]
        if isinstance(value, tuple | list | set | frozenset | deque):
            ordered = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
            return [_kind(value), [self.frozen(one) for one in ordered]]
        return ["object", _name(value), [[name, self.frozen(one)] for name, one in _fields(value)]]


class _Thawer:
    def __init__(self, outside: Mapping[str, object]) -> None:
        self._outside = outside
        self._made: list[Any] = []

    def thawed(self, tree: Any) -> Any:
        match tree:
            case [*_]:
                return self._one(tree)
        return tree

    def _one(self, tree: list[Any]) -> Any:
        match tree:
            case ["outside", name]:
                return self._outside[name]
            case ["enum", name, value]:
                return _classes()[name](value)
            case ["struct", name, value]:
                return msgspec.convert(value, _classes()[name], builtin_types=(bytes,))
            case ["again", at]:
                return self._made[at]
        at = len(self._made)
        self._made.append(None)
        match tree:
            case ["dict", pairs]:
                made: Any = {}
                self._made[at] = made
                made.update((self.thawed(key), self.thawed(one)) for key, one in pairs)
            case ["object", name, fields]:
                made = object.__new__(_classes()[name])
                self._made[at] = made
                for field, one in fields:
                    object.__setattr__(made, field, self.thawed(one))
            case [str(kind), values]:
                made = _SEVERAL[kind](self.thawed(one) for one in values)
                self._made[at] = made
            case _:
                raise CannotThaw(f"a part that is called {tree[:1]}")
        return made


def _kind(several: object) -> str:
    kind = type(several)
    if _SEVERAL.get(kind.__name__) is not kind:
        raise CannotFreeze(f"a member holds a {kind.__module__}.{kind.__qualname__}")
    return kind.__name__


def _fields(value: object) -> Iterable[tuple[str, Any]]:
    if isinstance(value, Here):
        value = dataclasses.replace(value, actions=[])
    if dataclasses.is_dataclass(value):
        return [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    return list(vars(value).items())


def _name(value: object) -> str:
    kind = type(value)
    name = f"{kind.__module__.rpartition('.')[2]}.{kind.__qualname__}"
    if _classes().get(name) is not kind:
        raise CannotFreeze(f"a member holds a {kind.__module__}.{kind.__qualname__}")
    return name


@cache
def _classes() -> dict[str, type]:
    """Return every class that a module of the core defines, by module and name."""
    found: dict[str, type] = {}
    for module in pkgutil.iter_modules(comind.p2p.core.__path__):
        for one in vars(importlib.import_module(f"comind.p2p.core.{module.name}")).values():
            if isinstance(one, type) and one.__module__ == f"comind.p2p.core.{module.name}":
                found[f"{module.name}.{one.__qualname__}"] = one
    return found
