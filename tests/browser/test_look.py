"""The pieces and the guides, in every way a reader may look at them."""

import pytest

_SAME_COLOURS = """() => [...document.querySelectorAll("main button, main [role=button], main .badge, main input")]
    .filter((element) => getComputedStyle(element).color === getComputedStyle(element).backgroundColor)
    .map((element) => element.outerHTML)"""


@pytest.mark.parametrize("path", ["/styleguide/", "/help/", "/help/troubleshooting/"])
def test_a_page_that_shows_pieces_or_a_guide_is_accessible_in_every_theme(visitor, path):
    visitor.goto(path)
    visitor.look()


def test_forced_colours_leave_every_control_readable(visitor):
    visitor.goto("/styleguide/")
    for scheme in ("light", "dark"):
        visitor.page.emulate_media(forced_colors="active", color_scheme=scheme)
        unreadable = visitor.page.evaluate(_SAME_COLOURS)
        assert unreadable == [], scheme


def test_a_page_prints_without_what_is_pressed(visitor):
    visitor.goto("/styleguide/")
    visitor.page.emulate_media(media="print")
    assert not visitor.page.get_by_role("navigation", name="Main").first.is_visible()
    assert not visitor.page.get_by_role("button", name="Stop Now").is_visible()
    assert visitor.page.get_by_role("heading", name="Style guide").is_visible()
