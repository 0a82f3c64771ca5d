"""No page shows a name that nobody gave it: a template shows nothing in its place, and a link leads nowhere."""

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest
from django.template import Engine

from tests.browser import scenes
from tests.browser.test_gallery import paths

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Answer

MARK = "nobody gave this name: "


@pytest.mark.parametrize("state", scenes.STATES)
def test_every_name_that_a_page_shows_was_given(db, monkeypatch, state):
    monkeypatch.setattr(Engine.get_default(), "string_if_invalid", f"{MARK}%s;")
    scene = scenes.made(state)
    scenes.just_logged_in(scene)

    wrong = [
        problem for page, path in paths(scene) for problem in judge(page, scene.admin.client.get(path, follow=True))
    ]

    assert wrong == []


def judge(page: str, answer: "Answer") -> list[str]:
    """What is wrong with a page: it was not shown, or it shows names that nobody gave it."""
    if answer.status_code != HTTPStatus.OK:
        return [f"{page} was answered {answer.status_code}"]
    if "/account/confirm/" in answer.request["PATH_INFO"] and "reauthenticate" not in page:
        return [f"{page} was not shown: the password was asked for first"]
    return [f"{page} shows {name}" for name in sorted(set(re.findall(f"{MARK}([^;]*);", answer.content.decode())))]
