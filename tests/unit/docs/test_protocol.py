"""Is docs/protocol.md true of the code: domains, messages, bounds, settings, rules?"""

import ast
import importlib
import re

import msgspec
import pytest

from comind.p2p.core import messages
from comind.p2p.core.words import CHOICES, RANGES, Settings
from tests.unit.docs.pages import ROOT, in_code_type, modules, read_page, rules_in

PAGE = read_page("protocol.md")
DOMAIN_AT = {"statement": 0, "digest": 0, "derive_key": 1}
"""Which argument of these functions is a domain."""
STRUCTS = {
    name: struct
    for name, struct in vars(messages).items()
    if isinstance(struct, type) and issubclass(struct, msgspec.Struct) and not name.startswith("_")
    if struct.__module__ == messages.__name__
}
LAST_RULE = 18


def domains_in_code() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {name: set() for name in DOMAIN_AT}
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in DOMAIN_AT:
                at = DOMAIN_AT[node.func.id]
                domain = node.args[at] if len(node.args) > at else None
                if isinstance(domain, ast.Constant) and isinstance(domain.value, str):
                    found[node.func.id].add(domain.value)
    found["statement"] |= {"prepare", "commit"}  # a vote's kind is its domain
    return found


@pytest.mark.parametrize(
    ("section", "function", "column"),
    [("Encodings", "digest", 0), ("Keys", "derive_key", 0), ("Signed statements", "statement", 1)],
)
def test_every_domain_is_listed(section: str, function: str, column: int) -> None:
    cells = [row[column] for row in PAGE.section(section).rows()]
    listed = {word for cell in cells for word in in_code_type(cell) if len(word) > 1}  # one letter: a tag
    assert listed == domains_in_code()[function]


def described() -> dict[str, str]:
    """Return what the tables say of each struct, by its name."""
    found = {}
    for row in PAGE.rows():
        if (name := row[0].strip("`")) in STRUCTS:
            assert name not in found, f"{name} is described twice"
            found[name] = " ".join(row[1:3])
    return found


def test_every_struct_is_described() -> None:
    shared = {"Rule", "Settings"}  # from `words`
    assert described().keys() == STRUCTS.keys() - shared


@pytest.mark.parametrize("name", sorted(STRUCTS.keys() - {"Settings"}))
def test_every_field_of_a_struct_is_described_and_no_other(name: str) -> None:
    words = in_code_type(described()[name])
    fields = {field.name for field in msgspec.structs.fields(STRUCTS[name])}
    tag = STRUCTS[name].__struct_config__.tag
    values = {"prepare", "commit"} if name == "Vote" else set()
    said = {"training", "ready", "away", "abstains", "view"}
    assert fields - set(words) == set()
    assert set(words) - fields - {tag} - values - (said if name == "Heartbeat" else set()) == set()
    assert tag is None or tag in words


def test_bounds_are_those_of_the_code() -> None:
    rows = list(PAGE.section("Bounds").rows())
    assert len(rows) > 10
    for what, value, where in rows:
        path, name = in_code_type(where)
        module = importlib.import_module("comind." + path.removesuffix(".py").replace("/", "."))
        assert int(value.replace(",", "")) == getattr(module, name), what


def test_settings_are_those_of_the_code() -> None:
    rows = {row[0].strip("`"): row[1:3] for row in PAGE.section("Settings").rows()}
    wanted = {}
    for field in msgspec.structs.fields(Settings):
        if field.name in CHOICES:
            wanted[field.name] = (str(field.default), " or ".join(CHOICES[field.name]))
        else:
            least, most = RANGES[field.name]
            wanted[field.name] = (f"{field.default:,}", f"{least:,} to {most:,}")
    assert rows == wanted


# -- rules --------------------------------------------------------------------------------------------------


def rule_table() -> dict[int, tuple[list[str], list[str]]]:
    """Return code and tests of each rule, as the table names them."""
    rows = PAGE.section("Rules, code and tests").rows()
    return {
        int(rule.removeprefix("R")): (in_code_type(code), in_code_type(tests)) for rule, code, tests in rows
    }


def names_rule(path: str, rule: int) -> bool:
    return rule in rules_in((ROOT / path).read_text(encoding="utf-8"))


def test_every_rule_is_told_and_in_the_table() -> None:
    rules = list(range(1, LAST_RULE + 1))
    told = re.findall(r"^\*\*R(\d+) ", PAGE.section("Rules").text, re.MULTILINE)
    assert list(map(int, told)) == rules
    assert list(rule_table()) == rules


def test_every_rule_that_the_code_names_is_told() -> None:
    for path in modules():
        assert rules_in(path.read_text(encoding="utf-8")) <= set(range(1, LAST_RULE + 1)), path


@pytest.mark.parametrize("rule", range(1, LAST_RULE + 1))
def test_a_rule_is_in_the_files_that_the_table_names(rule: int) -> None:
    code, tests = rule_table()[rule]
    assert code
    assert tests
    for path in (*code, *tests):
        assert names_rule(path, rule), f"{path} does not name R{rule}"
    assert all(path.startswith("tests/") for path in tests)
