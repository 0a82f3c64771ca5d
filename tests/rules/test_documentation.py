"""The documentation is true: every setting, permission, state and recipe is there, every link leads somewhere."""

import re
from functools import cache
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.rules_block.table import escapedSplit
from markdown_it.token import Token

from accounts.roles import DESCRIPTIONS, Permission
from activation.models import RunState
from config import guides
from tests.rules.files import ROOT, committed

OPERATING = ROOT / "docs" / "operating.md"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
PAGES = pytest.mark.parametrize("page", committed(".md"), ids=lambda page: str(page.relative_to(ROOT)))


def test_every_setting_of_the_environment_is_in_the_operating_guide():
    source = "".join((ROOT / "config" / name).read_text() for name in ("settings.py", "supervisor.py"))
    source += (ROOT / "config" / "management" / "commands" / "up.py").read_text()
    names = set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', source)) | set(
        re.findall(r'environ(?:\.get|\.setdefault)?[\[(]"([A-Z_]+)"', source)
    )
    guide = OPERATING.read_text()
    assert len(names) > 15
    assert sorted(name for name in names if f"`{name}`" not in guide) == []


def test_every_permission_is_described_in_words_and_in_the_documentation():
    guide = (ROOT / "docs" / "roles.md").read_text()
    assert set(DESCRIPTIONS) == set(Permission)
    assert [text for text in DESCRIPTIONS.values() if text not in guide] == []


def test_every_state_of_a_sync_run_is_explained():
    text = ARCHITECTURE.read_text()
    assert [state.name for state in RunState if f"`{state.name}`" not in text] == []


def test_every_recipe_of_the_makefile_is_in_its_help_and_the_readme_names_the_two_that_matter():
    makefile = (ROOT / "Makefile").read_text()
    [recipes] = re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    described = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    assert set(recipes.split()) == described
    readme = (ROOT / "README.md").read_text()
    assert "make run" in readme
    assert "make test" in readme


@PAGES
def test_every_relative_link_leads_to_a_file_and_a_heading_that_are_there(page):
    dead = []
    for target in links(rendered(page.read_text())):
        file, _, anchor = target.partition("#")
        there = page.parent / file if file else page
        if not there.exists() or (anchor and anchor not in anchors_of(there)):
            dead.append(target)
    assert dead == []


@PAGES
def test_no_link_and_no_table_is_left_as_plain_text(page):
    assert left_as_text(rendered(page.read_text())) == []


@PAGES
def test_every_row_of_a_table_has_as_many_cells_as_its_header(page):
    assert uneven_rows(page.read_text()) == []


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("| a | b |\n|---|---|\n| 1 | 2 |", []),
        ("| a | b |\n|---|---|\n| 1 | `x \\| y` |\n| 1 | 2 \\| 3 |\n a | b", []),
        ("| a | b |\n|---|---|\n| 1 | `x | y` |", ["| 1 | `x | y` |"]),
        ("| a | b |\n|---|---|\n| 1 |", ["| 1 |"]),
        ("| a | b |\n|---|---|\n| 1 | 2 | 3 |", ["| 1 | 2 | 3 |"]),
        ("| a | b |\n|---|---|\n| 1 | a row\nover two lines |", ["over two lines |"]),
    ],
)
def test_cells_are_counted_as_the_renderer_counts_them(text, rows):
    assert uneven_rows(text) == rows


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see [a\nheading](#a-heading) and ![a picture](a.png)", ["#a-heading", "a.png"]),
        ("| a |\n|---|\n| [b](c.md#d) |", ["c.md#d"]),
        ("`[a](#b)` and [an address](https://a.example/#b)", []),
        ("```\n[a](#b)\n```", []),
    ],
)
def test_links_are_found_where_the_renderer_makes_them(text, found):
    assert links(rendered(text)) == found
    assert left_as_text(rendered(text)) == []


@pytest.mark.parametrize("text", ["see [a](#b-\nc)", "see [a] (#b)", "see [a]\n(#b)", "| a |\n\n|---|\n| b |"])
def test_what_was_meant_as_a_link_or_a_table_and_is_none_is_seen(text):
    assert left_as_text(rendered(text))


def rendered(text: str) -> list[Token]:
    """Parse Markdown as the guides' pages do."""
    return MarkdownIt("commonmark", {"html": False}).enable("table").parse(text)


def links(tokens: list[Token]) -> list[str]:
    """Return where links and pictures lead, but for those to other hosts."""
    children = [child for token in tokens for child in token.children or []]
    targets = [str(child.attrGet("href") or child.attrGet("src") or "") for child in children]
    return [target for target in targets if target and not re.match(r"[a-z]+:", target)]


def left_as_text(tokens: list[Token]) -> list[str]:
    """Return the texts in which a link or a row of a table is still to be seen."""
    texts = ["\n".join(plain(token)) for token in tokens if token.type == "inline"]
    return [text for text in texts if re.search(r"\][\s]?\([#\w./-]*[#.][\w./#-]*|^\|", text, re.MULTILINE)]


def plain(inline: Token) -> list[str]:
    """Return the lines of a paragraph without what is code."""
    text = "".join(
        "\n" if child.type == "softbreak" else child.content * (child.type == "text") for child in inline.children or []
    )
    return text.split("\n")


def uneven_rows(text: str) -> list[str]:
    """Return the rows that have more or fewer cells than their table's header."""
    lines, uneven, width = text.split("\n"), [], 0
    for token in rendered(text):
        if token.type == "thead_open":
            width = 0
        if token.type != "tr_open" or token.map is None:
            continue
        line = lines[token.map[0]].strip()
        count = len(escapedSplit(line)) - line.startswith("|") - (line.endswith("|") and not line.endswith("\\|"))
        width = width or count
        if count != width:
            uneven.append(line)
    return uneven


@cache
def anchors_of(page: Path) -> frozenset[str]:
    """Return the anchors of a page's headings."""
    return frozenset(anchor for _, anchor, _ in guides._name_headings(rendered(page.read_text())))
