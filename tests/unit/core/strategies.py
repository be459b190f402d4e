"""Which values does a message's type allow? Hypothesis strategies, read off the struct types themselves.

A field that is added to a message is fuzzed from then on, without a word here.
"""

from typing import Any

from hypothesis import strategies as st
from msgspec import inspect

from comind.p2p.core.messages import Message

BIG = (0, 1, 2, 2**31, 2**32, 2**53, 2**62, 2**63 - 1)
MOST_IN_A_LIST = 2


def of(kind: Any) -> st.SearchStrategy[Any]:
    """Return all values of a message's, struct's or field's type, with few in each list."""
    return _of(inspect.type_info(kind))


def _of(kind: inspect.Type) -> st.SearchStrategy[Any]:
    match kind:
        case inspect.Metadata(type=inner):
            return _of(inner)
        case inspect.IntType(ge=None, le=None):
            return st.integers(-(2**63), 2**64 - 1)
        case inspect.IntType(ge=least, le=most):
            return st.one_of(st.sampled_from(BIG), st.integers(least, most), st.integers(0, 3))
        case inspect.FloatType():
            return st.floats()
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
        case inspect.BytesType(min_length=least, max_length=most):
            return st.binary(min_size=least or 0, max_size=min(most or 0, max(least or 0, 40)))
        case inspect.StrType(pattern=str(pattern), min_length=least, max_length=most):
            text = st.from_regex(pattern, fullmatch=True).map(lambda one: one[:most])
            return text.filter(lambda one: len(one) >= (least or 0))
        case inspect.StrType(min_length=least, max_length=most):
            letters = st.characters(codec="utf-8")
            return st.text(letters, min_size=least or 0, max_size=min(40 if most is None else most, 40))
        case inspect.LiteralType(values=values):
            return st.sampled_from(values)
        case inspect.EnumType(cls=cls):
            return st.sampled_from(list(cls))
        case inspect.TupleType(item_types=items):
            return st.tuples(*map(_of, items))
        case inspect.VarTupleType(item_type=item, min_length=least, max_length=most):
            few = min(MOST_IN_A_LIST if most is None else most, MOST_IN_A_LIST)
            return st.lists(_of(item), min_size=least or 0, max_size=few).map(tuple)
        case inspect.DictType(key_type=key, value_type=value):
            return st.dictionaries(_of(key), _of(value), max_size=MOST_IN_A_LIST)
        case inspect.StructType(cls=cls, fields=fields):
            return st.builds(cls, **{field.name: _of(field.type) for field in fields})
        case inspect.UnionType(types=types):
            return st.one_of(*map(_of, types))
        case _:
            raise AssertionError(f"a message has a field of a type that no strategy knows: {kind}")


MESSAGE_KINDS: tuple[type[Any], ...] = Message.__args__
messages = st.one_of(*map(of, MESSAGE_KINDS))
