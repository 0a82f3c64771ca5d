"""The pieces and the guides, in every way a reader may look at them."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from tests.browser.visitor import NARROW, WIDE

TOKYO = "Asia/Tokyo"
# As a page arrives over a slow line: its upper parts are seen before the rest is there.
_SLOWLY = {"offline": False, "latency": 20, "downloadThroughput": 6000, "uploadThroughput": 50_000}  # ms, bytes/s
STILL = 0.01  # of what Web Vitals call a good page, a tenth
# How much of the page jumped since it was opened, as a browser counts it.
_JUMPED = """() => new Promise((done) => {
    let sum = 0;
    const add = (list) => { for (const shift of list.getEntries()) sum += shift.value; };
    new PerformanceObserver(add).observe({ type: "layout-shift", buffered: true });
    setTimeout(() => done(sum), 300);
})"""
# A page of which a part arrives, and the rest once the script has settled what is there.
_IN_PARTS = """async ([script, before, after]) => {
    document.open();
    document.write(`<!DOCTYPE html><script src="${script}"></script>`);
    while (!document.documentElement?.matches(".js")) await new Promise((done) => setTimeout(done, 10));
    document.write(before);
    await new Promise((done) => setTimeout(done, 50));
    document.write(after);
    document.close();
}"""
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


def test_times_are_told_in_the_readers_zone_with_utc_on_hover(installation):
    site = installation.site
    with site.browser.new_context(timezone_id=TOKYO, storage_state=installation.logged_in) as context:
        page = context.new_page()
        page.goto(f"{site.up.url}/styleguide/")
        long_ago = page.locator("time[data-relative]").filter(has_text="20").first
        exact = datetime.fromisoformat(str(long_ago.get_attribute("datetime")))
        local = exact.astimezone(ZoneInfo(TOKYO))
        said = long_ago.inner_text().replace("\u202f", " ")
        assert said == f"{local:%b} {local.day}, {local.year}, {local:%I:%M %p}".replace(", 0", ", ")
        title = str(long_ago.get_attribute("title"))
        assert "GMT+9" in title
        assert title.endswith(f"({exact:%Y-%m-%d %H:%M:%S} UTC)")


def test_no_page_jumps_once_it_is_seen(served, visitor):
    home = "/o/northlight"
    there = f"{home}/destinations/{served.destination}"
    line = visitor.page.context.new_cdp_session(visitor.page)
    line.send("Network.enable")
    line.send("Network.emulateNetworkConditions", _SLOWLY)
    for size in (WIDE, NARROW):
        visitor.page.set_viewport_size(size)
        for path in (
            *(f"{home}/", f"{home}/projects/", f"{home}/settings/members/", f"{home}/audit-log/"),
            *(served.entities, served.settings, served.settings.replace("settings/activation", "history/")),
            *(f"{there}/settings", f"{there}/sources", f"{there}/usage", "/help/syncing/", "/styleguide/"),
        ):
            visitor.goto(path)
            jumped = visitor.page.evaluate(_JUMPED)
            assert jumped < STILL, f"{path} jumps by {jumped} at {size['width']} px"


def test_a_time_that_arrives_in_two_parts_is_told_once(visitor):
    page = visitor.page
    script = page.locator("script[src*=app]").first.get_attribute("src")
    for kind, told in (("data-moment=day", "28 Nov"), ("data-relative", "Nov 28, 2025")):
        start = f'<time datetime="2025-11-28T12:00:00Z" title="2025-11-28 12:00 UTC" {kind}>'
        for before, after in ((start, "28 November</time>"), (f"{start}28 Nov", "ember</time>")):
            visitor.goto("/")
            page.evaluate(_IN_PARTS, [script, before, after])
            shown = page.locator("time")
            assert shown.inner_text().partition(", 12")[0] == told
            assert str(shown.get_attribute("title")).count("UTC)") == 1
