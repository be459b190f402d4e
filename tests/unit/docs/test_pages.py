"""Do the pages name what is there, and is what is drawn in them current?"""

import ast
import re
import subprocess
import sys
from functools import cache

import pytest

from comind.node.cli.errors import EXIT_CODES
from comind.p2p.core.words import Settings
from tests.unit.docs.pages import DOCS, ROOT, Page, all_pages, in_code_type, modules, read_page

PAGES = all_pages()
NOT_OURS = {"--cov"}

_PATH = re.compile(r"(?:comind|crypto|p2p|node|tests|scripts|docs|examples|benchmarks)/[\w./-]*")
_NAME = re.compile(r"[A-Z][A-Za-z]+[a-z_]\w*(?:\.\w+)*|[A-Z]{3,}(?:_[A-Z0-9]+)+")
"""Of a class, with an attribute perhaps, or of a constant."""


def each(pages: list[Page]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", pages, ids=lambda page: page.name)


@cache
def sources() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in modules())


@cache
def strings() -> tuple[str, ...]:
    """Every string in the code; where a value is put into one, it ends, and another begins."""
    found = set()
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return tuple(found)


@each(PAGES)
def test_links_lead_somewhere(page: Page) -> None:
    for link in page.links:
        if link.startswith(("https://", "http://")):
            continue
        target, _, anchor = link.partition("#")
        path = (page.path.parent / target).resolve() if target else page.path
        assert path.exists(), f"{page.name} links to {link}"
        if anchor:
            assert anchor in read_page(path.relative_to(DOCS).as_posix()).headings, f"{page.name}: {link}"


@each(PAGES)
def test_files_that_are_named_exist(page: Page) -> None:
    for word in in_code_type(page.text):
        if _PATH.fullmatch(word):
            assert (ROOT / word).exists(), f"{page.name} names {word}"


@each(PAGES)
def test_names_of_the_code_are_in_the_code(page: Page) -> None:
    for word in in_code_type(page.text):
        name = word.partition("(")[0]
        if _NAME.fullmatch(name) and name.partition("_")[0] != "COMIND":
            assert all(re.search(rf"\b{part}\b", sources()) for part in name.split(".")), (
                f"{page.name}: {word}"
            )


@each(PAGES)
def test_commands_and_flags_exist(page: Page) -> None:
    settings = {"--" + name.replace("_", "-") for name in Settings.__struct_fields__}
    commands = set(re.findall(r"^def (\w+)\(", (ROOT / "node/cli/commands.py").read_text(), re.MULTILINE))
    for word in in_code_type(page.text):
        if word.startswith("comind ") and "…" not in word:
            assert word.split()[1] in commands, f"{page.name}: {word}"
        for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+", word):
            known = flag in settings or flag.removeprefix("--").replace("-", "_") + ":" in sources()
            assert known or flag in sources() or flag in NOT_OURS or _is_of_a_script(flag), (
                f"{page.name}: {flag}"
            )


def _is_of_a_script(flag: str) -> bool:
    return any(
        flag in path.read_text(encoding="utf-8") for path in (ROOT / "scripts").iterdir() if path.is_file()
    )


def test_the_phases_are_drawn_as_they_are() -> None:
    ran = subprocess.run(
        [sys.executable, "scripts/draw_rounds.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


def test_decisions_are_numbered_without_gaps() -> None:
    names = sorted(path.name for path in (DOCS / "decisions").glob("*.md"))
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))
    for name in names:
        assert read_page(f"decisions/{name}").text.startswith(f"# {name[:4]} "), name


def test_exit_codes_are_the_command_line_s() -> None:
    rows = read_page("errors.md").section("Exit codes").rows()
    assert list(rows) == [(str(int(code)), meaning) for code, meaning in EXIT_CODES.items()]


def test_what_is_said_is_what_the_code_says() -> None:
    """`…` stands for what differs from case to case."""
    missing: list[str] = []
    for row in read_page("errors.md").rows():
        for line in in_code_type(row[-1]) if " " in row[-1] else []:
            missing += [
                part
                for part in filter(None, map(str.strip, line.split("…")))
                if not any(part in said for said in strings())
            ]
    assert not missing
