"""Is everything that a peer can say bounded, and does what is in bounds fit together?"""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from comind.p2p.core.messages import (
    MAX_BLOCK_BYTES,
    MAX_LAYOUT_BYTES,
    MAX_MEMBERS,
    Addressbook,
    Arrival,
    Block,
    Header,
    Heartbeat,
    Message,
    Open,
    Propose,
)
from comind.p2p.core.wire import MAX_MESSAGE_BYTES, pack
from comind.p2p.core.words import Rule, Settings
from tests.unit.core.build import (
    SIZE,
    UNSIGNED,
    address,
    founded,
    initial_block,
    lock,
    node,
    roster_block,
    signed_header,
    view_change,
)


def structs_of(kind: Any) -> Iterator[inspect.StructType]:
    """Yield every struct that a message can hold, once."""
    seen: set[Any] = set()
    waiting = [inspect.type_info(kind)]
    while waiting:
        match waiting.pop():
            case inspect.Metadata(type=inner):
                waiting.append(inner)
            case inspect.UnionType(types=types):
                waiting.extend(types)
            case inspect.TupleType(item_types=types):
                waiting.extend(types)
            case inspect.VarTupleType(item_type=inner):
                waiting.append(inner)
            case inspect.DictType(key_type=key, value_type=value):
                waiting += [key, value]
            case inspect.StructType() as struct if struct.cls not in seen:
                seen.add(struct.cls)
                yield struct
                waiting.extend(field.type for field in struct.fields)


STRUCTS = {struct.cls.__name__: struct for one in (Message, Block, Header) for struct in structs_of(one)}


def values_of(kind: inspect.Type) -> Iterator[tuple[str, object, object]]:
    """Yield (bound, a value at it, a value beyond it), also of what a list holds."""
    match kind:
        case inspect.Metadata(type=inner):
            yield from values_of(inner)
        case inspect.IntType(ge=least, le=most):
            assert least is not None
            assert most is not None
            yield "least", least, least - 1
            yield "most", most, most + 1
        case inspect.BytesType(min_length=least, max_length=most):
            assert most is not None
            yield "most", bytes(most), bytes(most + 1)
            if least:
                yield "least", bytes(least), bytes(least - 1)
        case inspect.StrType(pattern=None, min_length=least, max_length=most):
            assert most is not None
            yield "most", "x" * most, "x" * (most + 1)
            if least:
                yield "least", "x" * least, "x" * (least - 1)
        case inspect.VarTupleType(item_type=inner, max_length=most):
            assert most is not None
            item = example_of(inner)
            yield "most", [item] * most, [item] * (most + 1)
            for bound, at, beyond in values_of(inner):
                yield f"item's {bound}", [at], [beyond]
        case inspect.TupleType(item_types=inners):
            for index, inner in enumerate(inners):
                whole = [example_of(one) for one in inners]
                for bound, at, beyond in values_of(inner):
                    yield (
                        f"{index}: {bound}",
                        [*whole[:index], at, *whole[index + 1 :]],
                        [*whole[:index], beyond, *whole[index + 1 :]],
                    )
        case inspect.DictType(key_type=key, max_length=most):
            assert most is not None
            yield "most", {str(one): 0.0 for one in range(most)}, {str(one): 0.0 for one in range(most + 1)}
            for bound, at, beyond in values_of(key):
                yield f"key's {bound}", {at: 0.0}, {beyond: 0.0}


def example_of(kind: inspect.Type) -> object:
    """Return a plain value of this type."""
    match kind:
        case inspect.Metadata(type=inner):
            return example_of(inner)
        case inspect.IntType():
            return 0
        case inspect.BytesType(min_length=least):
            return bytes(least or 0)
        case inspect.StrType(pattern=str()):
            return "prepare"
        case inspect.StrType(min_length=least):
            return "x" * (least or 0)
        case inspect.LiteralType(values=values):
            return values[0]
        case inspect.VarTupleType(min_length=least, item_type=inner):
            return [example_of(inner)] * (least or 0)
        case inspect.TupleType(item_types=inners):
            return [example_of(inner) for inner in inners]
        case inspect.StructType(fields=fields, tag_field=field, tag=tag):
            own = {field: tag} if field else {}
            return own | {one.encode_name: example_of(one.type) for one in fields if one.required}
        case inspect.UnionType(types=types):
            return example_of(types[0])
        case inspect.DictType():
            return {}
        case inspect.EnumType(cls=cls):
            return str(next(iter(cls)))
        case inspect.BoolType():
            return False
    raise AssertionError(f"no example of {kind}")


BOUNDS = [
    pytest.param(struct.cls.__annotations__[field.name], at, beyond, id=f"{owner}.{field.name}, {bound}")
    for owner, struct in STRUCTS.items()
    if struct.cls is not Settings  # bounded by `what_is_wrong_with`, and by the wire's caps
    for field in struct.fields
    for bound, at, beyond in values_of(field.type)
]


@pytest.mark.parametrize(("kind", "at", "beyond"), BOUNDS)
def test_a_bound_is_reached_and_not_passed(kind: Any, at: object, beyond: object) -> None:
    msgspec.convert(at, kind, builtin_types=(bytes,))
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(beyond, kind, builtin_types=(bytes,))


def test_every_message_and_block_was_looked_at() -> None:
    assert {"Greeting", "Blocks", "ViewChange", "Lock", "Block", "Admit", "Header"} <= set(STRUCTS)
    assert len(BOUNDS) > 100


def test_unknown_fields_are_refused_by_every_struct() -> None:
    assert all(struct.forbid_unknown_fields for struct in STRUCTS.values())


# -- what is in bounds fits together ------------------------------------------------------------------------


def test_the_average_of_the_greatest_network_fits_a_block_and_its_open_a_message() -> None:
    chain = founded(voters=1)
    metrics = {"loss": 0.5, "accuracy": 0.25, "examples_per_second": 1e3}
    everybody = tuple(node(number) for number in range(MAX_MEMBERS))
    signed = (signed_header(chain, node(0), metrics=metrics, weight=1 << 52),) * MAX_MEMBERS
    arrivals = tuple(Arrival(one, 100_000) for one in everybody)
    block = roster_block(chain, present=everybody, headers=signed, arrivals=arrivals)
    assert len(pack(block)) <= MAX_BLOCK_BYTES
    open = Open(
        height=1,
        view=0,
        attempt=0,
        rule=Rule.MEAN,
        headers=signed,
        averagers=((node(0), 0, SIZE),),
        codec="float32",
        size=SIZE,
        new_view=(),
        node=node(0),
        incarnation=0,
        signature=UNSIGNED,
    )
    assert len(pack(open)) <= MAX_MESSAGE_BYTES


def test_the_addresses_of_the_greatest_network_fit_a_message() -> None:
    book = Addressbook(tuple((node(number), address(1)) for number in range(MAX_MEMBERS)))
    assert len(pack(book)) <= MAX_MESSAGE_BYTES


def test_r13_a_proposal_fits_a_message_when_every_voter_is_locked_on_the_largest_first_block() -> None:
    """VIEWCHANGEs carry their lock's block, and a NEWVIEW carries them all."""
    chain = founded(voters=Settings().max_voters, base=None)
    layout = bytes(MAX_LAYOUT_BYTES)
    wire = pack(initial_block(chain, node(0), layout=layout))
    held = lock(chain, wire)
    new_view = tuple(view_change(chain, voter, 1, held) for voter in chain.roster.voters())
    propose = Propose(
        height=1, view=1, block=wire, new_view=new_view, node=node(0), incarnation=0, signature=UNSIGNED
    )
    assert len(pack(propose)) <= MAX_MESSAGE_BYTES


def test_a_heartbeat_of_the_greatest_network_is_small() -> None:
    reached = tuple(node(number) for number in range(64))
    beat = Heartbeat(height=1, view=0, training=True, ready=False, away=False, abstains="", reached=reached)
    assert len(pack(beat)) < 4_096
