"""*Try it*: a real call to the API from a page, with a token of a few minutes that nobody sees."""

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts import tokens, trial_tokens
from accounts.models import AuditEvent, Membership, PersonalAccessToken
from accounts.tokens import RoleTooStrong
from activation import trial_calls
from activation.models import Source, UsageHour
from tests.activation.people import ADA
from tests.cast import Member


@pytest.fixture(autouse=True)
def called_within_the_test(settings) -> None:
    settings.API_APPLICATION = "tests.contracts.caller.api_within_a_page"


@pytest.fixture
def page(synced: Source) -> str:
    return reverse("activation:try_it", args=["acme", synced.destination.public_id])


def text(response: Any) -> str:
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split()))


def try_it(member: Member, page: str, source: Source, value: str = ADA["value"], **more: str) -> Any:
    return member.client.post(page, {"source": source.public_id, "value": value, **more})


def test_the_api_answers_on_the_page(page, synced, ada, admin):
    answer = try_it(admin, page, synced)

    said = text(answer)
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    assert "200 OK" in said
    assert "A profile was found" in said
    assert '"features_by_email": {' in said
    assert "X-Request-ID try-" in said
    assert f'"id": {{"type": "email", "value": "{ADA["value"]}"}}' in said, "the same call is shown to copy"
    assert '"Authorization: Bearer $TOKEN"' in said
    # The page's own addresses are still known after the API's handler has answered in its midst.
    assert "/o/acme/settings/profile/tokens/new/" in answer.content.decode()


def test_an_id_that_nobody_has_is_no_error(page, synced, ada, admin):
    said = text(try_it(admin, page, synced, "nobody@acme.example"))

    assert "No profile has this id" in said
    assert '"data": {}' in said


def test_the_token_reads_one_entity_of_one_destination_for_five_minutes_and_is_never_shown(page, synced, ada, admin):
    answer = try_it(admin, page, synced)

    token = PersonalAccessToken.objects.get()
    assert token.limits == {
        "verbs": ["read"],
        "destinations": [synced.destination.public_id],
        "entities": ["user"],
    }
    assert token.expires_at is not None
    assert timedelta() < token.expires_at - timezone.now() <= timedelta(minutes=5)
    assert f"actv_{token.public_part}_" not in answer.content.decode()
    listed = text(admin.client.get(reverse("accounts:tokens", args=["acme"])))
    assert "Try it" in listed
    assert "Rotate" not in listed
    rotation = reverse("accounts:token_rotate", args=["acme", token.public_part])
    assert admin.client.get(rotation).status_code == 404


def test_one_token_is_kept_however_often_a_person_tries(page, synced, ada, admin):
    for _ in range(3):
        try_it(admin, page, synced)

    assert PersonalAccessToken.objects.count() == 1


def test_a_token_that_has_expired_is_not_listed_and_then_forgotten(synced, admin):
    own = admin.token()
    before = timezone.now() - timedelta(minutes=6)
    trial_tokens.issue(destination=synced.destination.public_id, entity="user", by=admin.actor, now=before)

    assert [token.name for token in tokens.own(admin.actor)] == ["A token"]
    trial_tokens.forget(now=timezone.now())
    assert [token.name for token in PersonalAccessToken.objects.all()] == ["A token"]
    assert own


def test_the_audit_log_tells_of_it_without_the_id(page, synced, ada, admin):
    try_it(admin, page, synced)

    assert list(AuditEvent.objects.filter(action="token_generated").values_list("target", flat=True)) == ["Try it"]
    event = AuditEvent.objects.get(action="api_tried")
    assert event.details == {"entity": "user", "id_type": "email", "status": 200}
    assert not AuditEvent.objects.filter(details__icontains=ADA["value"]).exists()


def test_the_look_up_is_counted_at_once(page, synced, ada, admin):
    try_it(admin, page, synced)

    hour = UsageHour.objects.get()
    assert (hour.requests, hour.hits) == (1, 1)


def test_a_sample_id_is_found_in_redis(page, synced, ada, redis_client, admin):
    redis_client.set("something:else", "1")

    said = admin.client.post(page, {"source": synced.public_id, "value": "", "sample": "1"}).content.decode()

    assert "A profile was found" in said
    assert f'value="{ADA["value"]}"' in said, "the form holds the id that was tried"


def test_an_empty_redis_has_no_sample(page, synced, redis_client, admin):
    said = text(admin.client.post(page, {"source": synced.public_id, "sample": "1"}))

    assert "No profile with an id of the type email was found quickly. Type an id yourself." in said
    assert "optional" not in said
    assert not AuditEvent.objects.filter(action="api_tried").exists()


def test_a_redis_that_is_away_is_told_as_the_api_tells_it(page, synced, admin):
    destination = synced.destination
    destination.settings = {"address": "127.0.0.1:1"}
    destination.version += 1
    destination.save()

    answer = try_it(admin, page, synced)

    assert "503 Service Unavailable" in text(answer)
    assert '"destination_unavailable"' in text(answer)
    sample = admin.client.post(page, {"source": synced.public_id, "sample": "1"})
    assert "cannot be reached at the moment" in text(sample)


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"value": ""}, "Type an id, or press Use a sample id."),
        ({"value": "a\x00b"}, "Null characters are not allowed."),
        ({"value": "a" * 1025}, "at most 1024 characters"),
        ({"source": "another", "value": "a"}, "is not one of the available choices"),
    ],
)
def test_what_cannot_be_asked_is_told_beside_its_field(page, synced, admin, form, told):
    answer = admin.client.post(page, {"source": synced.public_id, **form})

    assert answer.status_code == 422
    assert told in text(answer)


def test_too_many_trials_are_refused(page, synced, ada, admin, monkeypatch):
    monkeypatch.setattr(trial_calls, "MOST_IN_FIVE_MINUTES", 1)
    try_it(admin, page, synced)

    assert "Many calls were tried in the last five minutes" in text(try_it(admin, page, synced))


def test_only_admins_can_try_and_see_where(page, synced, editor, viewer, admin):
    Membership.objects.filter(user=editor.user).update(sees_personal_data=True)
    settings = reverse("activation:destination", args=["acme", synced.destination.public_id])

    assert page in admin.client.get(settings).content.decode()
    for member in (editor, viewer):
        assert member.client.get(page).status_code == 403
        assert try_it(member, page, synced).status_code == 403
        assert page not in member.client.get(settings).content.decode()


def test_no_token_of_a_weaker_person_can_be_made(synced, editor):
    with pytest.raises(RoleTooStrong):
        trial_tokens.issue(destination=synced.destination.public_id, entity="user", by=editor.actor, now=timezone.now())


def test_a_destination_that_serves_nothing_says_what_to_do(destination, admin):
    said = text(admin.client.get(reverse("activation:try_it", args=["acme", destination.public_id])))

    assert "Nothing is served yet" in said
