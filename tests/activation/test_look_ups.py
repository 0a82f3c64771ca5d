"""What an application may ask for beyond the plain look-up, over HTTP, against a real Valkey."""

from typing import Any

import pytest
from django.utils import timezone

from accounts.models import PersonalAccessToken
from accounts.roles import Role
from activation import handles, serving
from activation.engine import traits
from activation.models import Source
from activation.serving import ProfileId
from tests.activation.people import ADA, BOB, NOBODY
from tests.activation.test_serving import identity, key_of


def test_the_first_id_that_has_a_profile_wins(ask, ada):
    found = ask(id=[NOBODY, ADA, BOB])

    assert found.status == 200
    assert found.json["id"] == ADA
    assert list(found.json) == ["entity", "id", "data"]
    assert b'"SCORE": 1.10' in found.body
    nobody = ask(id=[NOBODY, BOB])
    assert (nobody.json["id"], nobody.json["data"]) == (NOBODY, {})


def test_the_plain_look_up_is_what_it_was(ask, ada):
    assert ask(id=ADA, something="else").body == ask("/v1/activation", id=ADA, views=["another"]).body
    assert ask(id=[ADA]).body == ask(id=ADA).body


def test_only_the_views_and_traits_that_were_asked_for_are_answered(ask, ada):
    assert ask(id=ADA, views=["another"]).json["data"] == {"another": {"X": 1}}
    assert ask(id=ADA, views=[]).json["data"] == {}
    assert ask(id=ADA, views=["unknown"]).json["data"] == {}
    cut = ask(id=ADA, traits={"features_by_email": ["BIG", "TAGS", "unknown"]})
    assert cut.body.endswith(
        b'"data":{"features_by_email":{"BIG": 123456789012345678901234567890,"TAGS": ["a", {"b": 1e5}]}}}'
    )
    both = ask(id=ADA, views=["another"], traits={"features_by_email": ["PLAN"]})
    assert both.json["data"] == {"another": {"X": 1}, "features_by_email": {"PLAN": "pro"}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", "{}"),
        (" { } ", "{}"),
        ('{"A":1}', '{"A":1}'),
        ('{"B":{"A":2},"A" : {"B":[1,{"A":3}]} , "C":"},\\"A\\":4"}', '{"A" : {"B":[1,{"A":3}]}}'),
        ('{"\\u0041":-0.0e5,"B":null}', '{"\\u0041":-0.0e5}'),
        ('{"A":"\\ud800","Ä":"ä"}', '{"A":"\\ud800"}'),
        ('[{"A":1}]', '[{"A":1}]'),
        ('"text"', '"text"'),
        ('{"A":1,"A":2}', '{"A":1,"A":2}'),
    ],
)
def test_a_trait_is_cut_out_with_its_own_text(text: str, expected: str):
    assert traits.only(text.encode(), {"A"}).decode() == expected


def test_what_nests_too_deeply_to_be_cut_is_left_whole():
    text = b'{"B":' + b"[" * 100_000 + b"]" * 100_000 + b',"A":1}'
    assert traits.only(text, {"A"}) == text


def test_freshness_tells_when_each_view_was_synced(ask, ada, synced):
    found = ask(id=ADA, include=["freshness"]).json

    assert found["data"]["another"] == {"X": 1}
    [(view, told)] = found["freshness"].items()
    assert view == "features_by_email"
    assert told["syncRunId"] == synced.base_run.public_id
    assert told["syncedAt"].endswith("Z")
    assert 59 <= told["ageSeconds"] <= 70
    assert "stale" not in told
    assert ask(id=ADA, maxAgeSeconds=30).json["freshness"]["features_by_email"]["stale"] is True
    assert ask(id=ADA, maxAgeSeconds=3600).json["freshness"]["features_by_email"]["stale"] is False


def test_a_diagnosis_says_why_the_answer_is_empty(ask, ada, synced, admin, destination, redis_client):
    def told(**changes: Any) -> dict[str, Any]:
        found: dict[str, Any] = ask(**{"include": ["diagnosis"], "id": NOBODY, **changes}).json["diagnosis"]
        return found

    assert told(id=ADA)["code"] == "found"
    assert told(entity="User") == {
        "code": "unknown_entity",
        "message": "No source of this destination serves this entity. Names are compared letter by letter.",
        "known": ["user"],
    }
    wrong_type = told(id={"type": "e-mail", "value": "ada@example.com"})
    assert (wrong_type["code"], wrong_type["known"]) == ("unknown_id_type", ["email"])
    assert told()["code"] == "id_not_found"
    assert "in lower case" in told(id={"type": "email", "value": "Ada@Example.com"})["message"]
    assert "without the blanks" in told(id={"type": "email", "value": " ada@example.com"})["message"]
    serving.delete(
        identity(admin),
        destination=destination.public_id,
        entity="user",
        ids=[ProfileId(**BOB)],
        now=timezone.now(),
    )
    assert told(id=BOB)["code"] == "suppressed"
    redis_client.hset(key_of(destination, ProfileId(**BOB)), "features_by_email", "no json")
    broken = told(id=BOB)
    assert (broken["code"], broken["invalid"]) == ("found", ["features_by_email"])
    Source.objects.update(base_run=None)
    handles.close()
    waiting = told()
    assert (waiting["code"], waiting["known"]) == ("view_not_synced", ["features_by_email"])


def test_a_diagnosis_names_only_what_a_limited_token_may_use(ask, synced, admin):
    Source.objects.create(
        activation=synced.activation,
        destination=synced.destination,
        entity="account",
        id_type="domain",
        feature_view="accounts",
    )
    handles.close()
    assert ask(id=NOBODY, entity="nothing", include=["diagnosis"]).json["diagnosis"]["known"] == ["account", "user"]

    limited = admin.token(Role.ADMIN)
    PersonalAccessToken.objects.order_by("-pk").update(limits={"entities": ["user"]})
    assert ask(id=NOBODY, entity="account", include=["diagnosis"], token=limited).status == 401
    assert ask(id=NOBODY, include=["diagnosis"], token=limited).json["diagnosis"]["code"] == "id_not_found"


def test_a_batch_answers_each_id_in_order(ask, ada, synced):
    batch = ask("/v2/activation/batch", ids=[NOBODY, ADA, {"type": "email"}, ADA, {"type": "email", "value": 7}])

    assert batch.status == 200
    assert batch.json["entity"] == "user"
    assert [result["status"] for result in batch.json["results"]] == [
        *("not_found", "found", "invalid", "found", "not_found")
    ]
    assert batch.json["results"][1]["id"] == ADA
    assert batch.json["results"][2] == {"id": None, "status": "invalid", "error": "ids[2].value is missing."}
    assert batch.json["results"][4]["id"]["value"] == 7
    assert batch.body.count(b'"SCORE": 1.10') == 2
    fresh = ask("/v2/activation/batch", ids=[ADA], views=["features_by_email"], include=["freshness"]).json["results"]
    assert list(fresh[0]["data"]) == list(fresh[0]["freshness"]) == ["features_by_email"]


def test_a_batch_of_a_thousand_ids_is_answered_and_of_more_refused(ask, ada):
    ids = [{"type": "email", "value": f"{'x' * 900}{number}"} for number in range(1_000)]

    assert len(ask("/v2/activation/batch", ids=ids).json["results"]) == 1_000
    refused = ask("/v2/activation/batch", ids=[*ids, ADA])
    assert (refused.status, refused.json["error"]) == (400, "ids has more than 1,000 items.")
    large = ask("/v2/activation/batch", ids=[ADA], more="x" * 2_100_000)
    assert (large.status, large.json) == (413, {"error": "The body is larger than 2048 KiB.", "code": "too_large"})


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"views": "another"}, "views must be a list of names."),
        ({"views": [1]}, "views must be a list of names."),
        ({"views": [" "]}, "views must be a list of names."),
        ({"views": ["x"] * 101}, "views has more than 100 names."),
        ({"traits": {}}, 'traits must be an object like {"<feature view>": ["<trait>"]}.'),
        ({"traits": {"view": "PLAN"}}, "traits.0 must be a list of names."),
        ({"traits": {"": ["PLAN"]}}, "traits has a feature view without a name."),
        ({"include": ["everything"]}, "include may name freshness and diagnosis here."),
        ({"include": None}, "include must be a list of names."),
        ({"maxAgeSeconds": -1}, "maxAgeSeconds must be a whole number of seconds, from 0 to ten years."),
        ({"maxAgeSeconds": True}, "maxAgeSeconds must be a whole number of seconds, from 0 to ten years."),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(ask, changes: dict[str, Any], problem: str):
    refused = ask(id=ADA, **changes)
    assert (refused.status, refused.json) == (400, {"error": problem, "code": "invalid_request"})


def test_a_batch_takes_no_diagnosis_and_wants_ids(ask):
    assert (
        ask("/v2/activation/batch", ids=[ADA], include=["diagnosis"]).json["error"]
        == "include may name freshness here."
    )
    assert ask("/v2/activation/batch", id=ADA).json["error"] == 'ids must be a list of objects with "type" and "value".'
    assert ask("/v2/activation/batch", ids=[]).json["error"] == "ids should have at least one item"


def test_a_destination_that_is_away_is_no_empty_profile(ask, destination):
    destination.settings = {"address": "127.0.0.1:1"}
    destination.version += 1
    destination.save()
    handles.close()

    assert ask(id=[ADA, BOB]).status == 503
    assert ask("/v2/activation/batch", ids=[ADA, BOB]).status == 503
    assert ask(id=ADA, include=["freshness"]).json["code"] == "destination_unavailable"
