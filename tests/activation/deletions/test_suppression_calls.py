"""Suppressions by API: listed without anybody's id, checked and lifted by one, for Admins' tokens within their limits."""

import json
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts import tokens
from accounts.models import AuditEvent, PersonalAccessToken
from accounts.roles import Role
from activation import suppressions
from activation.models import DirtyId, Suppression
from tests.cast import Member
from tests.contracts.caller import Called, call

PERSON = "jane.doe@example.com"


@pytest.fixture
def calls(admin, destination):
    """Call the API about the destination's suppressions, with an Admin's token unless another is given."""
    own = admin.token()

    def calls(method: str, path: str = "", body: Any = None, *, token: str = own, query: str = "") -> Called:
        raw = b"" if body is None else json.dumps(body).encode()
        address = f"/v2/destinations/{destination.public_id}/suppressions{path}"
        return call(method, address, raw, QUERY_STRING=query, HTTP_AUTHORIZATION=f"Bearer {token}")

    return calls


def asked(value: str = PERSON, **changes: Any) -> dict[str, Any]:
    return {"entity": "user", "id": {"type": "email", "value": value}, **changes}


def suppress(destination, *values: str, by: Member, settled: bool = True, **wanted: Any) -> list[Suppression]:
    keys = [f"{destination.workspace_id}:{destination.public_id}:user:email:{value}" for value in values]
    made = suppressions.suppress(destination, keys, by=by.actor, now=timezone.now(), **wanted)
    if settled:
        suppressions.settle(made, written=(), now=timezone.now())
    return list(Suppression.objects.filter(pk__in=made.ids).order_by("sequence"))


def limited(member: Member, **limits: object) -> str:
    issued = tokens.issue(name="Limited", role=Role.ADMIN, by=member.actor, now=timezone.now())
    PersonalAccessToken.objects.filter(pk=issued.token.pk).update(limits=limits)
    return issued.text


def test_they_are_listed_newest_first_and_in_pages(admin, destination, calls):
    first, second, third = suppress(destination, "1@x", "2@x", "3@x", by=admin)

    page = calls("GET", query="per_page=2").json

    assert [row["number"] for row in page["suppressions"]] == [third.sequence, second.sequence]
    assert page["paging"]["total"] == 3
    rest = calls("GET", query=page["paging"]["next"].partition("?")[2]).json
    assert [row["number"] for row in rest["suppressions"]] == [first.sequence]


def test_each_tells_its_state_and_by_whom_and_nobodys_id(synced, admin, destination, calls):
    [row] = suppress(destination, PERSON, by=admin, receipt="3MWm")
    suppress(destination, "waits@x", by=admin, settled=False)
    suppress(destination, "back@x", by=admin)
    calls("POST", "/lift", asked("back@x"))

    listed = calls("GET").json["suppressions"]

    assert [each["state"] for each in listed] == ["lifted", "waiting", "deleted"]
    told = {**listed[2]}
    assert told.pop("requestedAt")
    assert told.pop("deletedAt")
    assert told == {
        "number": row.sequence,
        "digest": row.digest[:12],
        "state": "deleted",
        "requestedBy": admin.user.email,
        "receiptId": "3MWm",
        "liftedAt": None,
    }
    for state, number in (("lifted", 1), ("waiting", 1), ("deleted", 1)):
        assert calls("GET", query=f"state={state}").json["paging"]["total"] == number
    assert calls("GET", query="receiptId=3MWm").json["paging"]["total"] == 1
    refused = [calls("GET", query=query).status for query in ("state=other", "receiptId=a'b", "page=0")]
    assert refused == [400, 400, 400]


def test_an_id_is_checked_as_it_is_and_as_its_source_normalises_it(synced, admin, destination, calls):
    synced.normalisation = ["trim", "lower"]
    synced.save()
    [row] = suppress(destination, PERSON, by=admin)

    answer = calls("POST", "/check", asked(" JANE.doe@example.com "))

    assert (answer.status, answer.json["suppressed"]) == (200, True)
    assert [each["number"] for each in answer.json["suppressions"]] == [row.sequence]
    assert calls("POST", "/check", asked("nobody@x")).json == {"suppressed": False, "suppressions": []}
    events = list(AuditEvent.objects.filter(action="suppression_looked_up").values_list("details", "token"))
    assert sorted(events, key=str) == [({"suppressions": 0}, "A token"), ({"suppressions": 1}, "A token")]
    assert PERSON not in str(answer.json)


def test_lifting_lets_the_profile_return_and_says_how_many_stood(synced, admin, destination, calls):
    suppress(destination, PERSON, by=admin)

    assert calls("POST", "/lift", asked()).json == {"lifted": 1}

    assert DirtyId.objects.get().reason == "lifted"
    assert calls("POST", "/check", asked()).json["suppressed"] is False
    assert calls("POST", "/lift", asked()).json == {"lifted": 0}
    assert AuditEvent.objects.filter(action="suppression_lifted").count() == 1


@pytest.mark.parametrize("path", ["/check", "/lift"])
@pytest.mark.parametrize("body", [[], {}, {"entity": "user"}, {"entity": "user", "id": {"type": "email"}}])
def test_a_body_that_names_nobody_is_refused(calls, path, body):
    answer = calls("POST", path, body)
    assert (answer.status, answer.json["code"]) == (400, "invalid_request")


CALLS = [("GET", "", None), ("POST", "/check", asked()), ("POST", "/lift", asked())]


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
class TestOnlyAdminsWithinTheirLimits:
    def test_a_weaker_token_is_refused(self, admin, destination, calls, method, path, body):
        [row] = suppress(destination, PERSON, by=admin)
        answers = [calls(method, path, body, token=admin.token(role)).status for role in (Role.EDITOR, Role.VIEWER)]
        assert answers == [401, 401]
        row.refresh_from_db()
        assert row.lifted_at is None
        assert calls(method, path, body).status == 200

    def test_another_organisation_sees_no_such_destination(self, outsider, calls, method, path, body):
        answer = calls(method, path, body, token=outsider.token())
        assert (answer.status, answer.json["code"]) == (404, "not_found")

    def test_a_token_for_another_destination_or_entity_is_refused(self, admin, calls, method, path, body):
        for limits in ({"destinations": ["other"]}, {"entities": ["account"]}, {"verbs": ["delete"]}):
            assert calls(method, path, body, token=limited(admin, **limits)).status == 401


def test_reading_and_lifting_are_different_calls_of_a_limited_token(admin, destination, calls):
    for verb, answers in (("read", [200, 200, 401]), ("manage", [401, 401, 200])):
        token = limited(admin, verbs=[verb], destinations=[destination.public_id])
        assert [calls(*each, token=token).status for each in CALLS] == answers
    for_users = limited(admin, entities=["user"])
    assert [calls(*each, token=for_users).status for each in CALLS] == [401, 200, 200]


def test_the_page_and_the_api_say_the_same(synced, admin, destination, calls):
    suppress(destination, PERSON, by=admin, receipt="3MWm")
    page = admin.client.get(reverse("activation:suppressions", args=["acme", destination.public_id])).content.decode()
    [told] = calls("GET").json["suppressions"]
    assert all(each in page for each in (told["digest"], told["receiptId"], told["requestedBy"]))
