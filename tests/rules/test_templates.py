"""Templates and styles keep to the rules of the pages: no inline code, known icons, readable colours, one base."""

import re

import pytest

from accounts.templatetags.components import STATES
from tests.rules.files import ROOT, committed

TEMPLATES = [path for path in committed(".html") if "templates" in path.parts]
PAGES = [path for path in TEMPLATES if "components" not in path.parts and not path.name.startswith("_")]
STYLES = [path for path in committed(".css") if "vendor" not in path.parts and path.name != "vendor.css"]
SCRIPTS = [path for path in committed(".js") if "static" in path.parts and "vendor" not in path.parts]
TOKENS = (ROOT / "static/css/tokens.css").read_text()

# (text, ground): every pair that stands on each other, in both themes.
READABLE = [
    *(
        (ink, ground)
        for ink in ("ink", "ink-soft", "accent")
        for ground in ("surface", "surface-page", "surface-sunken")
    ),
    *((state, ground) for state in STATES for ground in ("surface", f"{state}-tint")),
    *(("ink", f"{state}-tint") for state in STATES),
    ("on-accent", "accent"),
    ("accent-strong", "accent-tint"),
]


def relative(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", TEMPLATES, ids=relative)
def test_a_template_holds_no_code_or_style_of_its_own(path):
    text = path.read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)", text)
    assert not re.search(r"<style\b|\sstyle=", text)
    assert not re.search(r"\son[a-z]+=|javascript:|hx-on", text)
    assert "|safe" not in text
    assert "autoescape off" not in text


@pytest.mark.parametrize("path", TEMPLATES, ids=relative)
def test_every_form_that_changes_something_carries_its_token(path):
    for form in re.findall(r"<form\b.*?</form>", path.read_text(), re.DOTALL):
        if 'method="post"' in form:
            assert "{% csrf_token %}" in form


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_a_page_extends_the_base_and_says_what_it_is(path):
    if path.name == "base.html":
        return
    text = path.read_text()
    assert text.startswith("{% extends ")
    assert "{% block title %}" in text


@pytest.mark.parametrize("path", TEMPLATES, ids=relative)
def test_what_htmx_asks_for_is_also_reached_without_it(path):
    text = path.read_text()
    assert "hx-post" not in text
    if "hx-get" in text:
        assert "<noscript>" in text or path.name == "_probe.html", "a fragment that polls says how to reload"


def test_every_icon_that_is_named_is_drawn():
    drawn = set(re.findall(r'<symbol id="([^"]+)"', (ROOT / "static/icons.svg").read_text()))
    text = "\n".join(path.read_text() for path in TEMPLATES)
    named = set(re.findall(r'{% icon "([^"]+)"', text))
    assert named <= drawn
    assert set(STATES) <= drawn


@pytest.mark.parametrize("path", STYLES, ids=relative)
def test_colours_are_named_in_one_place(path):
    if path.name != "tokens.css":
        assert re.findall(r"#[0-9a-fA-F]{3,8}\b(?=[^{}]*;)", path.read_text()) == []


@pytest.mark.parametrize("path", SCRIPTS, ids=relative)
def test_scripts_evaluate_no_text_and_write_no_html(path):
    assert not re.search(
        r"\beval\(|new Function|innerHTML|outerHTML|insertAdjacentHTML|document\.write", path.read_text()
    )


def _theme(start: str) -> dict[str, str]:
    block = TOKENS[TOKENS.index(start) :]
    block = block[: block.index("}")]
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6});", block))


LIGHT = _theme(":root {")
DARK = _theme(':root[data-theme="dark"] {')


def _luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    if len(digits) == 3:
        digits = "".join(digit * 2 for digit in digits)
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), READABLE)
def test_text_is_readable_on_its_ground(theme, text, ground):
    assert _contrast(theme[text], theme[ground]) >= 4.5


def test_a_system_that_is_dark_shows_the_same_colours_as_the_choice_of_dark():
    assert _theme(':root:not([data-theme="light"]) {') == DARK
    assert LIGHT.keys() == DARK.keys()


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_edges_of_fields_are_seen(theme):
    assert _contrast(theme["line-strong"], theme["surface"]) >= 2.9
