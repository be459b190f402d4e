"""When are two members in the same state, and how is one of them kept while the other goes on?

`copy_of` gives a member (with all that is beside it) a second life; `portrait` says in plain values what
there is of it that can decide anything. Both walk over whatever fields there are: a field that is new in the
core is copied, and tells states apart, until somebody says here that it decides nothing.
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

import msgspec

from comind.p2p.core.chain import Chain
from comind.p2p.core.member import Member
from comind.p2p.core.messages import Heartbeat, Lock, Open, Propose, ViewChange, ViewChanged, Vote, Voted
from comind.p2p.core.phases import Phase
from tests.scenarios.keys import RecordingSigner, Statements
from tests.scenarios.readings import Reading
from tests.scenarios.transcript import Transcript

SHARED: tuple[type, ...] = (Statements, RecordingSigner, Reading, Transcript, Enum, msgspec.Struct)
"""What is never changed once it is made, or only added to, alike by all."""

Copier = Callable[[Any, dict[int, Any]], Any]

DECIDES_NOTHING: dict[str, frozenset[str]] = {
    "Here": frozenset({"me", "signer", "verify", "now_ms", "actions", "names"}),
    "Discovery": frozenset({"lost_ms", "dialling", "known", "started_ms"}),
    "Link": frozenset({"heard_ms", "changed_ms", "greeting"}),
    "Catchup": frozenset({"asked", "ranges", "moved_ms", "named"}),
    "Pledges": frozenset({"_record", "seen"}),
    "Desk": frozenset({"told"}),
    "Round": frozenset({"began_ms", "fed_ms", "due_ms", "blocks", "ballots", "order"}),
    "Opened": frozenset({"at_ms", "hash"}),
    "Proposed": frozenset({"at_ms", "block", "hash"}),
    "Announced": frozenset({"arrived_ms", "header"}),
    "Member": frozenset({"_waiting"}),
    "Pulse": frozenset({"_last", "next_ms"}),
}
"""By class: what is derived from the rest, is said to people alone, or is a time that decides nothing where
time is as in `seat`. What of these decides something after all, `_remainder` adds."""

GROUND = frozenset({"here", "_here", "people", "_people", "desk", "_desk", "pledges", "_pledges"})
"""Fields by which the parts of a member know each other; each part is drawn once."""


def copy_of(thing: Any, known: dict[int, Any] | None = None) -> Any:
    """Return a copy of all that can change; what cannot is shared."""
    kind = type(thing)
    if kind not in _copiers:
        _copiers[kind] = _copier(kind)
    copier = _copiers[kind]
    return thing if copier is None else copier(thing, {} if known is None else known)


def portrait(member: Member, with_counts: bool) -> Hashable:
    """Return what can decide what this member does next; equal portraits are equal members.

    `with_counts`: also the promise counts of what it heard, which only a start reads (R14).
    """
    parts = [drawn(getattr(member, name)) for name in _drawn_names(member)]
    counts = frozenset(_counts(member)) if with_counts else None
    return (*parts, counts, *_remainder(member))


def _remainder(member: Member) -> Iterator[Hashable]:
    here, people, catchup = member.here, member.people, member.catchup
    period_ms = here.settings.patience_ms
    yield here.me.incarnation
    yield frozenset((node, incarnation) for node, (incarnation, _) in member.pledges.seen.items())
    yield frozenset(catchup.asked.items())
    yield tuple(
        (one.first, one.end, one.peer, one.blocks is None, min(here.now_ms - one.asked_ms, period_ms))
        for one in catchup.ranges
    )
    yield None if people.had_quorum else min(here.now_ms - people.started_ms, period_ms)
    yield frozenset(
        node for node, link in people.links.items() if link.heard_ms > people.skipped_ms.get(node, -1)
    )
    yield frozenset(
        (node, people.height_of(node), bool(link.greeting)) for node, link in people.links.items()
    )
    yield frozenset(member.round.blocks)
    yield frozenset(_living_votes(member))


def _living_votes(member: Member) -> Iterator[Hashable]:
    """Yield the votes that can still complete a quorum: COMMITs, and PREPAREs of a view that may yet lock.

    The others tell only whom to ask for bytes.
    """
    round = member.round
    for kept in round.ballots.votes.values():
        for (kind, view), vote in kept.items():
            if kind == "commit" or view > round.view or (view == round.view and round.phase != Phase.LOCKED):
                yield _drawn_vote(vote)


def _counts(member: Member) -> Iterator[Hashable]:
    """Yield the promise counts of what it heard: where nobody starts again, they decide nothing (R14)."""
    yield frozenset(member.pledges.seen.items())
    for kept in member.round.ballots.votes.values():
        yield from ((vote.kind, vote.view, vote.node, vote.promise) for vote in kept.values())
    for changes in member.round.succession.changes.values():
        yield from ((change.view, change.node, change.promise) for change in changes.values())


def drawn(thing: Any) -> Hashable:
    """Return in plain values what of a thing can decide anything."""
    kind = type(thing)
    if kind in _PLAIN:
        return thing  # type: ignore[no-any-return]
    if kind not in _drawers:
        _drawers[kind] = _drawer(kind)
    return _drawers[kind](thing)


def _drawer(kind: type) -> Callable[[Any], Hashable]:
    if kind in _DRAWERS:
        return _DRAWERS[kind]
    if issubclass(kind, msgspec.Struct):
        return atom
    if issubclass(kind, Enum):
        return _drawn_enum
    if issubclass(kind, dict):
        return _drawn_dict
    if issubclass(kind, (set, frozenset)):
        return frozenset
    if issubclass(kind, (list, tuple, deque)):
        return _drawn_list
    assert _is_ours(kind), f"how is a {kind.__name__} drawn?"
    return _drawn_fields


def _drawn_enum(thing: Enum) -> Hashable:
    return thing.value  # type: ignore[no-any-return]


def _drawn_dict(thing: dict[Any, Any]) -> Hashable:
    return frozenset((drawn(key), drawn(value)) for key, value in thing.items())


def _drawn_list(thing: Sequence[Any]) -> Hashable:
    return tuple([drawn(one) for one in thing])


def _drawn_fields(thing: object) -> Hashable:
    return tuple([drawn(getattr(thing, name)) for name in _drawn_names(thing)])


def _drawn_heartbeat(beat: Heartbeat) -> Hashable:
    """Its view and its readiness end patience early, and are shown: no more."""
    return (beat.height, beat.training, beat.away, beat.abstains, beat.reached)


def _drawn_lock(lock: Lock) -> Hashable:
    """Whose PREPAREs prove it makes no difference: they are a quorum."""
    return (lock.view, lock.block)


def _drawn_change(change: ViewChange) -> Hashable:
    return (change.height, change.view, drawn(change.lock), change.node, change.incarnation)


def _drawn_changed(changed: ViewChanged) -> Hashable:
    return _drawn_change(changed.change)


def _drawn_vote(vote: Vote) -> Hashable:
    return (vote.kind, vote.height, vote.view, vote.block, vote.node, vote.incarnation)


def _drawn_voted(voted: Voted) -> Hashable:
    return _drawn_vote(voted.vote)


def _drawn_open(open: Open) -> Hashable:
    """Whose VIEWCHANGEs it carries makes no difference: they are a quorum, and none binds."""
    headers = tuple(atom(signed) for signed in open.headers)
    return (open.height, open.view, open.attempt, open.rule, headers, open.node, open.incarnation)


def _drawn_propose(propose: Propose) -> Hashable:
    return (propose.height, propose.view, propose.block, propose.node, propose.incarnation)


def _drawn_chain(chain: Chain) -> Hashable:
    return chain.head


def _drawn_names(thing: object) -> tuple[str, ...]:
    kind = type(thing)
    if kind not in _drawn_names_of:
        ground = frozenset() if kind is Member else GROUND
        without = DECIDES_NOTHING.get(kind.__name__, frozenset()) | ground
        _drawn_names_of[kind] = tuple(name for name in _names(thing) if name not in without)
    return _drawn_names_of[kind]


def _names(thing: object) -> tuple[str, ...]:
    kind = type(thing)
    if not is_dataclass(kind):
        return tuple(vars(thing))
    if kind not in _names_of:
        _names_of[kind] = tuple(field.name for field in fields(kind))
    return _names_of[kind]


def _is_ours(kind: type) -> bool:
    return kind.__module__.startswith(("comind.", "tests."))


def atom(thing: msgspec.Struct) -> int:
    """Return a number that equal structs share, whatever they hold."""
    known = _atoms_by_id.get(id(thing))
    if known is None:
        wire = (type(thing), msgspec.msgpack.encode(thing))
        known = _atoms_by_id[id(thing)] = (_atoms.setdefault(wire, len(_atoms)), thing)
    return known[0]


def _copier(kind: type) -> Copier | None:
    """Return how things of this kind are copied; None: they never change, and are shared."""
    if kind in _PLAIN or issubclass(kind, (*SHARED, tuple, frozenset)):
        return None
    if issubclass(kind, dict):
        return _copied_dict
    if issubclass(kind, (list, deque)):
        return _copied_list
    if issubclass(kind, set):
        return _copied_set
    if not _is_ours(kind):
        return None
    if is_dataclass(kind) and kind.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        return None
    return _copied_fields


def _copied_fields(thing: Any, known: dict[int, Any]) -> Any:
    twin = known.get(id(thing))
    if twin is None:
        kind = type(thing)
        twin = known[id(thing)] = object.__new__(kind)
        for name in _names(thing):
            value = getattr(thing, name)
            setattr(twin, name, value if type(value) in _PLAIN else copy_of(value, known))
    return twin


def _copied_dict(thing: dict[Any, Any], known: dict[int, Any]) -> Any:
    """The values of one dict are all of one kind."""
    twin = thing.copy()
    for key, value in twin.items():
        copied = copy_of(value, known)
        if copied is value:
            break
        twin[key] = copied
    return twin


def _copied_list(thing: Any, known: dict[int, Any]) -> Any:
    """So are those of one list."""
    if not thing or copy_of(thing[0], known) is thing[0]:
        return thing.copy()
    twin = type(thing)()
    twin.extend(copy_of(one, known) for one in thing)
    return twin


def _copied_set(thing: Any, known: dict[int, Any]) -> Any:
    return thing.copy()


_PLAIN = frozenset({int, str, bytes, bool, float, type(None)})
_DRAWERS: dict[type, Callable[[Any], Hashable]] = {
    Heartbeat: _drawn_heartbeat,
    Lock: _drawn_lock,
    ViewChange: _drawn_change,
    ViewChanged: _drawn_changed,
    Vote: _drawn_vote,
    Voted: _drawn_voted,
    Open: _drawn_open,
    Propose: _drawn_propose,
    Chain: _drawn_chain,
}
_copiers: dict[type, Copier | None] = {}
_drawers: dict[type, Callable[[Any], Hashable]] = {}
_names_of: dict[type, tuple[str, ...]] = {}
_drawn_names_of: dict[type, tuple[str, ...]] = {}
_atoms: dict[tuple[type, bytes], int] = {}
_atoms_by_id: dict[int, tuple[int, msgspec.Struct]] = {}
