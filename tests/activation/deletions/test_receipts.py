"""Who may read the receipt of a cascading delete, and what it says while nobody has worked on it yet."""

import json

import pytest
from django.utils import timezone

from accounts import tokens
from accounts.models import PersonalAccessToken
from accounts.roles import Role
from activation import deletions
from activation.models import Deletion
from tests.contracts.caller import call

NOT_FOUND = {"error": "Nothing is here. Check the path and the ids in it.", "code": "not_found"}


@pytest.fixture
def receipt(admin, destination) -> Deletion:
    return deletions.request(
        destination, entity="user", named=[("email", "ada@x")], keys=1, by=admin.actor, now=timezone.now()
    )


def ask(token: str, receipt: object):
    return call("GET", f"/v2/deletions/{receipt}", HTTP_AUTHORIZATION=f"Bearer {token}")


def limited(member, **limits: object) -> str:
    issued = tokens.issue(name="Limited", role=Role.ADMIN, by=member.actor, now=timezone.now())
    PersonalAccessToken.objects.filter(pk=issued.token.pk).update(limits=limits)
    return issued.text


def test_the_receipt_tells_where_it_stands(admin, destination, receipt):
    answer = ask(admin.token(), receipt.public_id)
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
    told = answer.json
    assert told.pop("requestedAt").endswith("Z")
    assert told == {
        "receiptId": receipt.public_id,
        "status": "running",
        "entity": "user",
        "destinationId": destination.public_id,
        "finishedAt": None,
        "idsFound": 0,
        "actualKeys": 1,
        "deletedKeys": 0,
        "notLookedAt": [],
        "errorCode": None,
        "error": None,
    }


def test_another_organisations_receipt_looks_like_none(outsider, receipt):
    answer = ask(outsider.token(), receipt.public_id)
    assert (answer.status, answer.json) == (404, NOT_FOUND)
    assert answer.json == ask(outsider.token(), "nothing").json == ask(outsider.token(), "..%2F").json


@pytest.mark.parametrize("role", [Role.EDITOR, Role.VIEWER])
def test_a_token_that_may_not_delete_sees_no_receipt(admin, receipt, role):
    assert ask(admin.token(role), receipt.public_id).status == 404


def test_a_token_sees_a_receipt_within_its_limits_only(admin, destination, receipt):
    def status(**limits):
        return ask(limited(admin, **limits), receipt.public_id).status

    assert status(verbs=["delete"], destinations=[destination.public_id], entities=["user"]) == 200
    assert [status(verbs=["read"]), status(destinations=["other"]), status(entities=["account"])] == [404, 404, 404]


def test_without_a_token_nothing_is_told(receipt):
    assert call("GET", f"/v2/deletions/{receipt.public_id}").status == 401


def test_a_token_that_may_not_delete_asks_for_no_cascade(admin, destination):
    body = {
        "entity": "user",
        "destinationId": destination.public_id,
        "id": {"type": "e", "value": "x"},
        "cascade": True,
    }
    answer = call(
        "DELETE",
        "/v2/activation",
        json.dumps(body).encode(),
        HTTP_AUTHORIZATION=f"Bearer {limited(admin, verbs=['read'])}",
    )
    assert answer.status == 401
    assert not Deletion.objects.exists()
