"""Ids are normalised alike on both sides: by the sync, and by whoever reads, deletes, checks or lifts."""

import json
from typing import Any

import pytest

from activation import handles
from activation.models import Source
from tests.activation.deletions.conftest import Town
from tests.contracts.caller import call

# As the warehouse has them, as Redis does, and in some ways applications may send them.
PEOPLE = {" Ada@Work.example\t": "ada@work.example", "BOB@x": "bob@x", "ÄNNE@x": "Änne@x"}
ASKED = ("ada@work.example", "  ADA@work.EXAMPLE ", "\nAda@Work.example\v")


@pytest.fixture
def normalised(town: Town) -> Town:
    """The town with one source, which trims and lower-cases its ids."""
    for id_type in ("phone", "user_id"):
        town.sources.pop(id_type).delete()
    Source.objects.update(normalisation=["trim", "lower"])
    put(town, *PEOPLE)
    town.sync()
    handles.close()
    return town


def put(town: Town, *emails: str) -> None:
    town.put({f"m{number}": {"email": [email]} for number, email in enumerate(emails)})


def ask(town: Town, path: str, body: dict[str, Any]) -> Any:
    whole = {"entity": "user", "destinationId": town.destination.public_id, **body}
    answer = call("POST", path, json.dumps(whole).encode(), HTTP_AUTHORIZATION=f"Bearer {town.token}")
    assert answer.status == 200, answer.json
    return answer.json


def email(value: str) -> dict[str, str]:
    return {"type": "email", "value": value}


def test_syncs_write_and_the_api_reads_the_same_keys(normalised: Town):
    assert normalised.served() == {"email:ada@work.example", "email:bob@x", "email:Änne@x"}
    for value in ASKED:
        for path in ("/v1/activation", "/v2/activation"):
            answer = ask(normalised, path, {"id": email(value)})
            assert answer["data"]["features_by_email"]["email"] == " Ada@Work.example\t"
            assert answer["id"] == email(value), "the id comes back as it was sent"
    listed = ask(normalised, "/v2/activation", {"id": [email("nobody@x"), email(ASKED[1])], "include": ["freshness"]})
    assert listed["data"]
    batch = ask(normalised, "/v2/activation/batch", {"ids": [email(value) for value in (*ASKED, "nobody@x")]})
    assert [each["status"] for each in batch["results"]] == ["found", "found", "found", "not_found"]


@pytest.mark.parametrize("value", ASKED)
def test_a_delete_by_any_of_them_stays_and_is_lifted_by_any_of_them(normalised: Town, value: str):
    answer = normalised.delete(("email", value), cascade=False)
    assert (answer.status, answer.json["deletedKeys"]) == (200, 1)
    assert not ask(normalised, "/v2/activation", {"id": email("ada@work.example")})["data"]
    Source.objects.update(full_next="requested")
    normalised.sync()
    assert normalised.served() == {"email:bob@x", "email:Änne@x"}

    at = f"/v2/destinations/{normalised.destination.public_id}/suppressions"
    for other in ASKED:
        assert ask(normalised, f"{at}/check", {"id": email(other)})["suppressed"] is True
    lifted = ask(normalised, f"{at}/lift", {"id": email(ASKED[2])})["lifted"]
    normalised.sync()

    # What was sent and what was written are suppressed apart, where they differ.
    assert lifted == (2 if value == ASKED[2] else 1)
    assert "email:ada@work.example" in normalised.served()


def test_an_id_that_no_warehouse_holds_does_not_stop_syncs(normalised: Town):
    """A NUL is fine in JSON and in Redis, and in no warehouse's text."""
    assert normalised.delete(("email", "a\0b"), cascade=True).status == 200
    normalised.work()
    normalised.sync()
    assert len(normalised.served()) == 3
