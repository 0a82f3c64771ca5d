"""The guides of `docs/` as pages of the product, so that the words a person needs are where the work is.

The files are ours and part of a release, never anything a person typed; HTML in them is shown as text all the same.
Anchors are made as code hosts make them, except that a heading that begins with a code (`refused`) has that for its
anchor: pages link to what explains an error by its code.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from django.conf import settings
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.token import Token

FOLDER = settings.BASE_DIR / "docs"
IMAGES = "guides"  # where static files have docs/images
_LANGUAGES = {"json": "JSON", "yaml": "YAML", "sql": "SQL", "sh": "Shell", "text": "Example"}


@dataclass(frozen=True)
class Shelf:
    """Guides for one kind of reader, by the names of their files."""

    title: str
    slugs: tuple[str, ...]


SHELVES = (
    Shelf(
        "For those who configure it",
        ("enabling", "syncing", "profile-lookup", "watching", "usage", "troubleshooting", "people", "roles"),
    ),
    Shelf("For those who call it", ("api",)),
    Shelf("For those who automate it", ("automating",)),
    Shelf("For those who run it", ("operating", "scaling", "benchmarks", "architecture")),
)
SLUGS = tuple(slug for shelf in SHELVES for slug in shelf.slugs)


@dataclass(frozen=True)
class Section:
    """A heading of a guide that its list of contents shows."""

    anchor: str
    title: str


@dataclass(frozen=True)
class Guide:
    """A guide, ready to be shown: `body` is HTML without the title; `codes` tells which section explains a code."""

    slug: str
    title: str
    body: SafeString
    sections: tuple[Section, ...]
    anchors: frozenset[str]
    codes: Mapping[str, str]


@dataclass(frozen=True)
class Entry:
    slug: str
    title: str


def shelves() -> list[tuple[str, list[Entry]]]:
    """Return the guides' titles by kind of reader."""
    return [(shelf.title, [Entry(slug, guide(slug).title) for slug in shelf.slugs]) for shelf in SHELVES]


@cache
def guide(slug: str) -> Guide:
    """Read and render a guide. `slug` is one of `SLUGS`."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse((FOLDER / f"{slug}.md").read_text(encoding="utf-8"))
    headings = _name_headings(tokens)
    [title] = [_text(tokens[at + 1]) for at, token in enumerate(tokens) if token.tag == "h1" and token.nesting == 1]
    body = parser.renderer.render(_adapt(tokens[3:]), parser.options, {})
    sections = tuple(Section(anchor, text) for tag, anchor, text in headings if tag == "h2")
    anchors = frozenset(anchor for _, anchor, _ in headings)
    safe = mark_safe(body)  # noqa: S308 - rendered from our own files, HTML in them escaped
    return Guide(slug, title, safe, sections, anchors, _codes(tokens))


def _adapt(tokens: Sequence[Token]) -> list[Token]:
    """Make of a file's tokens those of a page: code in its component, tables that scroll, links into the product."""
    adapted: list[Token] = []
    for at, token in enumerate(tokens):
        for child in token.children or []:
            _lead_into_the_product(child)
        if token.type == "table_open":
            adapted.append(_html('<div class="table" role="group" aria-label="Table">'))
        adapted.append(_html(_code(token, f"code-{at}")) if token.type == "fence" else token)
        if token.type == "table_close":
            adapted.append(_html("</div>"))
    return adapted


def _html(text: str) -> Token:
    return Token("html_block", "", 0, content=text)


def _code(token: Token, name: str) -> str:
    language = token.info.strip() or "text"
    label = _LANGUAGES.get(language, language.capitalize())
    values = {"text": token.content.rstrip("\n"), "language": language, "label": label, "id": name}
    return render_to_string("components/code.html", values)


def _lead_into_the_product(token: Token) -> None:
    if token.type == "image":
        token.attrSet("src", static(f"{IMAGES}/{str(token.attrGet('src')).removeprefix('images/')}"))
        token.attrSet("loading", "lazy")
    elif token.type == "link_open":
        token.attrSet("href", address(str(token.attrGet("href"))))


def _name_headings(tokens: Sequence[Token]) -> list[tuple[str, str, str]]:
    """Give every heading its anchor; returns (tag, anchor, text) of each but the title."""
    found: list[tuple[str, str, str]] = []
    taken: dict[str, int] = {}
    for at, token in enumerate(tokens):
        if token.type != "heading_open" or token.tag == "h1":
            continue
        inline = tokens[at + 1]
        anchor = _anchor(inline)
        count = taken.get(anchor, 0)
        taken[anchor] = count + 1
        anchor = f"{anchor}-{count}" if count else anchor
        token.attrSet("id", anchor)
        found.append((token.tag, anchor, _text(inline)))
    return found


def _codes(tokens: Sequence[Token]) -> dict[str, str]:
    """Find the section of every code: the one whose heading begins with it, else the first such that names it."""
    found: dict[str, str] = {}
    section = ""
    for before, token in pairwise(tokens):
        if token.type != "inline":
            continue
        named = [child.content for child in token.children or [] if child.type == "code_inline"]
        if before.type == "heading_open":
            section = str(before.attrGet("id") or "") if named else ""
        found |= {code: section for code in named if section and (code == section or code not in found)}
    return found


def _anchor(inline: Token) -> str:
    first = (inline.children or [inline])[0]
    if first.type == "code_inline":
        return first.content
    words = re.sub(r"[^\w\- ]", "", _text(inline).lower())
    return words.replace(" ", "-")


def _text(inline: Token) -> str:
    return "".join(child.content for child in inline.children or [])


def address(href: str) -> str:
    """Return where a link of a guide leads in the product: for a file that is not shown here, to the list of guides."""
    file, _, anchor = href.partition("#")
    if not file or re.match(r"[a-z]+:", file):
        return href
    slug = file.removesuffix(".md")
    if slug not in SLUGS:
        return reverse("guides")
    return reverse("guide", args=[slug]) + (f"#{anchor}" if anchor else "")
