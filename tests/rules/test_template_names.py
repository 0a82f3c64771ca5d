"""No page shows a name that nobody gave it: a template shows nothing in its place, and a link leads nowhere."""

import re
import time

import pytest
from django.template import Engine

from tests.browser import scenes
from tests.browser.test_gallery import paths

MARK = "nobody gave this name: "


@pytest.mark.parametrize("state", scenes.STATES)
def test_every_name_that_a_page_shows_was_given(db, monkeypatch, state):
    monkeypatch.setattr(Engine.get_default(), "string_if_invalid", f"{MARK}%s;")
    scene = scenes.made(state)
    client = scene.admin.client
    session = client.session
    session["account_authentication_methods"] = [{"method": "password", "at": time.time(), "email": "ada@acme.example"}]
    session.save()

    missing = {
        (page, name)
        for page, path in paths(scene)
        for name in re.findall(f"{MARK}([^;]*);", client.get(path, follow=True).content.decode())
    }

    assert missing == set()
