"""Profiles runs by API keep to a token's limits and rate, as every other call."""

import pytest

from projects.models import ProfilesRun, RunStatus
from tests.activation.management.calling import UNAUTHORIZED, ask, limited


@pytest.fixture
def calls(activation, project):
    run = ProfilesRun.objects.get()
    return [
        ("POST", f"projects/{project.public_id}/runs", {"status": "finished", "reference": "nightly"}),
        ("POST", f"sources/{project.public_id}/start", {}),
        ("GET", f"sources/{project.public_id}/runs/{run.public_id}/status", None),
    ]


@pytest.mark.parametrize(
    ("limits", "statuses"),
    [
        ({"verbs": ["sync"]}, [201, 409, 401]),
        ({"verbs": ["read"]}, [401, 401, 200]),
        ({"verbs": ["manage", "delete"]}, [401, 401, 401]),
        ({"entities": ["user"]}, [201, 409, 200]),
        ({"entities": ["account"]}, [401, 401, 401]),
        ({"destinations": ["another"]}, [401, 401, 401]),
    ],
)
def test_a_token_does_only_what_its_limits_name(editor, calls, limits, statuses):
    token = limited(editor, **limits)
    answers = [ask(token, *call) for call in calls]
    assert [answer.status for answer in answers] == statuses
    assert {answer.body for answer in answers if answer.status == 401} <= {ask("", *calls[0]).body}
    assert ask("", *calls[0]).json == UNAUTHORIZED
    assert ProfilesRun.objects.filter(reference="nightly", status=RunStatus.FINISHED).exists() == (201 in statuses)


def test_a_rate_holds(editor, calls):
    slow = limited(editor, rate=1)
    assert [ask(slow, *calls[2]).status for _ in range(3)][-1] == 429
