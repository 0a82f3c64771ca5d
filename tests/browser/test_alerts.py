"""Alerts as an Admin sets them up, with real workers that bring them."""

import re

import pytest
from playwright.sync_api import expect

from tests.activation.alerts.receiver import Receiver
from tests.browser import journey
from tests.rules.files import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("up")]


def test_a_webhook_is_set_up_tried_and_verified_as_the_documentation_says(installation, visitor):
    site, page = installation.site, visitor.page
    journey.create_project(visitor, "Alerted")
    journey.connect_redis(visitor, site.redis_address, site.redis_password)
    journey.see_the_sync_on(visitor)
    visitor.press("Alerts")
    visitor.look()

    with Receiver() as receiver:
        page.get_by_label("Webhook URL").fill(receiver.url())
        visitor.press("Save webhook")
        secret = page.get_by_text(re.compile("^whsec_")).inner_text()
        visitor.look()
        visitor.press("I have copied it")
        assert secret not in page.content()

        visitor.press("Send a test")
        visitor.wait_for(page.get_by_role("row", name="A test of alerts").get_by_text("Sent", exact=True))
    visitor.look()

    names: dict[str, object] = {}
    [code] = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "watching.md").read_text(), re.DOTALL)
    exec(code, names)  # our own documentation
    [got] = receiver.received
    assert names["is_genuine"](secret, got.headers["X-Activation-Signature"], got.body)  # type: ignore[operator]  # a function of the documentation's
    expect(page.get_by_role("button", name="Make a new secret")).to_be_visible()
