"""*Profile Lookup*: what is there for a typed id, who sees it, why nothing is, and deleting what was looked up."""

import html
import json
import re
import shlex
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.urls import reverse
from django.utils import timezone

from accounts import members
from accounts.models import AuditEvent, Membership
from accounts.roles import Role
from activation import handles, profile_lookups
from activation.handle import Handle
from activation.models import (
    Activation,
    DeletedProfilesPolicy,
    Deletion,
    RedisDestination,
    RunState,
    Source,
    Suppression,
    SyncRun,
)
from config.embedded import EmbeddedServer
from tests.activation.people import ADA, FEATURES
from tests.cast import Member, colleague

PERSON = ADA["value"]


def text(response) -> str:
    return html.unescape(" ".join(response.content.decode().split()))


def plain(response) -> str:
    """The words of a page's main part, without tags."""
    main = response.content.decode().split("<main", 1)[1]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", main)).split())


@pytest.fixture
def address(activation: Activation) -> str:
    # The sources are made by the tick; here there is one a view, synced by nobody yet.
    handles.close()
    return reverse("activation:profile_lookup", args=["acme", activation.project.slug, "user"])


@pytest.fixture
def by_email(activation: Activation) -> Source:
    """The source by email, synced a minute ago."""
    source = Source.objects.get(id_type="email")
    source.base_run = SyncRun.objects.create(
        source=source,
        trigger=SyncRun.Trigger.PERSON,
        state=RunState.SUCCEEDED,
        finished_at=timezone.now() - timedelta(minutes=1),
    )
    source.save()
    handles.close()
    return source


@pytest.fixture
def write(destination: RedisDestination, redis_client: redis.Redis):
    """Write a profile as a sync does."""

    def write(value: str = PERSON, *, id_type: str = "email", **views: str) -> str:
        key = f"{destination.workspace_id}:{destination.public_id}:user:{id_type}:{value}"
        for view, json_text in (views or {"features_by_email": FEATURES}).items():
            redis_client.hset(key, view, json_text)
        return key

    return write


def look_up(member: Member, address: str, value: str = PERSON, **more: str):
    return member.client.post(address, {"value": value, "id_type": "", **more})


def looked(**wanted: object) -> dict[str, Any]:
    """The details of the one look-up that is in the audit log."""
    [row] = AuditEvent.objects.filter(action="profile_looked_up")
    assert (row.target_type, row.target) == ("project", "Customer 360")
    details: dict[str, Any] = row.details
    return details


class TestAProfileThatIsThere:
    def test_is_shown_with_traits_freshness_run_and_place(self, address, by_email, write, admin, destination):
        key = write()

        answer = look_up(admin, address)

        assert answer.status_code == 200
        assert "no-store" in answer.headers["Cache-Control"]
        page, source = plain(answer), text(answer)
        assert "Found by email · detected" in page
        assert "1 feature view, 4 of 4 traits shown" in page
        assert "PLAN pro text" in page
        assert "SCORE 1.10 number" in page
        assert "BIG 123456789012345678901234567890 number" in page
        assert 'TAGS ["a", {"b": 1e5}] list' in page
        assert "Fresh synced 1 minute ago" in page
        assert reverse("activation:run", args=["acme", by_email.base_run.public_id]) in source
        assert reverse("activation:source", args=["acme", by_email.public_id]) in source
        assert f'data-copy="{key}"' in source
        assert destination.settings["address"] in page
        assert "Read with HGETALL" in page

    def test_is_found_by_the_id_type_that_matches_and_by_each_that_does(self, address, by_email, write, admin):
        write(id_type="salesforce_id", features_by_salesforce_id='{"A":1}')
        page = plain(look_up(admin, address))
        assert "Found by salesforce_id · detected" in page
        assert "Found by email" not in page
        write()
        page = plain(look_up(admin, address))
        assert page.index("Found by email") < page.index("Found by salesforce_id")
        chosen = plain(look_up(admin, address, id_type="email"))
        assert "Found by email 1 feature view" in chosen
        assert "Found by salesforce_id" not in chosen

    def test_comes_with_the_call_that_answers_it(self, address, by_email, write, admin, destination):
        write("o'\"neill@example.com")
        code = html.unescape(look_up(admin, address, "o'\"neill@example.com").content.decode())
        curl = code.split('class="language-bash">')[1].split("</code>")[0]
        arguments = shlex.split(curl.replace("\\\n", " "))
        assert json.loads(arguments[-1]) == {
            "entity": "user",
            "destinationId": destination.public_id,
            "id": {"type": "email", "value": "o'\"neill@example.com"},
        }
        whole = json.loads(code.split('class="language-json">')[1].split("</code>")[0])
        assert whole["id"] == {"type": "email", "value": "o'\"neill@example.com"}
        assert whole["data"]["features_by_email"]["BIG"] == 123456789012345678901234567890

    def test_is_shown_whatever_its_values_are(self, address, by_email, write, admin):
        write(
            features_by_email=json.dumps(
                {
                    "NOTHING": None,
                    "YES": True,
                    "EMPTY": "",
                    "LONG": "x" * 5_000,
                    "HTML": "<script>alert(1)</script>",
                    "SEEN": "2023-08-11T11:32:44.963062Z",
                    "NO_TIME": "2023-13-11T11:32:44Z",
                    "DAY": "2023-08-11",
                    "LIST": list(range(200)),
                    "NONE": {},
                }
            )[:-1]
            + ', "HALF": "\\ud800"}',
            not_json="{",
            no_object='"a text"',
            deep="[" * 900 + "]" * 900,
        )
        answer = look_up(admin, address)
        page = plain(answer)
        for words in (
            "NOTHING null null",
            "YES true boolean",
            "EMPTY empty text text",
            f"LONG {'x' * 240}… Show all of LONG {'x' * 5_000} text",
            "<script>alert(1)</script> text",
            "SEEN 2023-08-11T11:32:44.963062Z 11 Aug 2023, 11:32 UTC time",
            "NO_TIME 2023-13-11T11:32:44Z text",
            "DAY 2023-08-11 date",
            "NONE {} object",
            "HALF ? text",
            'This is no object with traits: "a text"',
            "The feature view not_json holds no JSON in Redis",
        ):
            assert words in page
        assert b"<script>alert" not in answer.content
        assert "LIST [0, 1, 2," in page

    def test_is_shown_as_far_as_a_filter_of_names_leaves_it(self, address, by_email, write, admin):
        write()
        answer = look_up(admin, address, filter="ta")
        assert "1 of 4 traits shown" in plain(answer)
        rows = {
            row.split('"')[0]: row.split(">")[0].endswith(" hidden") for row in text(answer).split('data-trait="')[1:]
        }
        assert rows == {"PLAN": True, "SCORE": True, "BIG": True, "TAGS": False}
        assert 'value="ta"' in text(answer)

    def test_tells_views_that_wait_or_are_nobodys(self, address, by_email, write, admin):
        Source.objects.filter(pk=by_email.pk).update(base_run=None)
        handles.close()
        write(features_by_email="{}", somebody_elses='{"A":1}')
        page = plain(look_up(admin, address))
        assert "features_by_email First sync under way" in page
        assert "somebody_elses Not synced by us" in page


class TestWhoMayLook:
    def test_is_told_to_those_who_may_not(self, address, by_email, write, admin, editor, viewer):
        write()
        for member in (editor, viewer):
            for answer in (member.client.get(address), look_up(member, address)):
                assert answer.status_code == 403
                page = plain(answer)
                assert "Profiles are personal data" in page
                assert "ada@acme.example · Admin" in page
                assert "edith@acme.example" not in page
                assert PERSON not in text(answer)
        assert not AuditEvent.objects.filter(action="profile_looked_up").exists()

    def test_includes_editors_who_were_let_who_still_do_not_delete(
        self, address, by_email, write, admin, editor, viewer
    ):
        write()
        membership = Membership.objects.get(user=editor.user)
        members.change_role(
            membership.public_id, role=Role.EDITOR, sees_personal_data=True, by=admin.actor, now=timezone.now()
        )
        page = plain(look_up(editor, address))
        assert "PLAN pro text" in page
        assert "Delete this profile" not in page
        assert editor.client.post(f"{address}/delete", {"id_type": "email", "value": PERSON}).status_code == 403
        assert "edith@acme.example · Editor" in plain(viewer.client.get(address))

    def test_is_written_down_without_the_id(self, address, by_email, write, admin, caplog, capsys):
        write()
        look_up(admin, address)
        assert looked() == {"entity": "user", "id_type": "detected", "found": "email"}
        AuditEvent.objects.all().delete()
        look_up(admin, address, "nobody@example.com", id_type="email")
        assert looked() == {"entity": "user", "id_type": "email", "found": False}
        told = caplog.text + "".join(capsys.readouterr()) + str(list(AuditEvent.objects.values_list()))
        assert PERSON not in told
        assert "nobody@example.com" not in told

    def test_is_not_for_the_session_either(self, address, by_email, write, admin):
        write()
        look_up(admin, address)
        assert PERSON not in str(dict(admin.client.session))

    def test_looks_only_so_often(self, address, by_email, admin, monkeypatch):
        monkeypatch.setattr(profile_lookups, "MOST_IN_FIVE_MINUTES", 2)
        statuses = [look_up(admin, address).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]
        assert "You looked up many profiles" in plain(look_up(admin, address))
        other = colleague(admin, "bea@acme.example", Role.ADMIN)
        assert look_up(other, address).status_code == 200
        AuditEvent.objects.update(at=timezone.now() - timedelta(minutes=6))
        assert look_up(admin, address).status_code == 200


class TestWhyNothingIsThere:
    def test_is_told_for_each_id_type(self, address, by_email, admin, write):
        write()
        page = plain(look_up(admin, address, "Ada@Example.com"))
        assert "Nothing was found" in page
        assert "by each id type that is served" in page
        assert "email There is no profile for this id, but there is one in lower case." in page
        assert (
            "salesforce_id The feature views of this id type have not been synced yet. "
            "Waits for its first sync: features_by_salesforce_id" in page
        )
        assert "one without the blanks around it" in plain(look_up(admin, address, f" {PERSON}"))

    def test_is_told_of_an_id_type_that_nothing_serves(self, address, by_email, admin):
        Source.objects.exclude(pk=by_email.pk).delete()
        handles.close()
        page = plain(look_up(admin, address, id_type="salesforce_id"))
        assert "No source serves this id type for the entity" in page
        assert "Served: email" in page
        assert "salesforce_id (not served)" in page

    def test_is_told_of_a_suppressed_one(self, address, by_email, admin, write):
        write()
        admin.client.post(f"{address}/delete", {"id_type": "email", "value": PERSON, "confirmed": "on"})
        assert "The profile was deleted through the API" in plain(look_up(admin, address))

    def test_is_that_redis_is_away(self, address, by_email, admin, destination):
        settings = {**destination.settings, "address": "127.0.0.1:1"}
        RedisDestination.objects.update(settings=settings, version=destination.version + 1)
        handles.close()
        answer = look_up(admin, address)
        assert answer.status_code == 503
        assert "Redis does not answer" in plain(answer)
        assert "cannot be reached at the moment" in plain(answer)
        assert looked()["found"] is None

    def test_is_that_nothing_is_served_yet(self, project, admin):
        address = reverse("activation:profile_lookup", args=["acme", project.slug, "user"])
        for answer in (admin.client.get(address), look_up(admin, address)):
            assert answer.status_code == 200
            assert "No profile is served yet" in plain(answer)
        nowhere = reverse("activation:profile_lookup", args=["acme", project.slug, "company"])
        assert admin.client.get(nowhere).status_code == 404

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ({"value": ""}, "This field is required"),
            ({"value": "  "}, "Enter an id"),
            ({"value": "é" * 600}, "An id has at most 1,024 bytes."),
            ({"value": "a\0b"}, "Null characters are not allowed"),
            ({"id_type": "phone"}, "phone is not one of the available choices"),
        ],
    )
    def test_is_that_no_id_was_typed(self, address, admin, given, words):
        answer = look_up(admin, address, **{"value": PERSON, **given})
        assert answer.status_code == 422
        assert words in plain(answer)
        assert not AuditEvent.objects.filter(action="profile_looked_up").exists()


class TestDeleting:
    def test_asks_first_and_tells_the_policy(self, address, by_email, admin, write, redis_client):
        key = write()
        asked = admin.client.post(f"{address}/delete", {"id_type": "email", "value": PERSON})
        assert "no-store" in asked.headers["Cache-Control"]
        assert "It stays deleted" in plain(asked)
        assert PERSON in plain(asked)
        assert redis_client.exists(key)
        Activation.objects.update(deleted_profiles=DeletedProfilesPolicy.MAY_RETURN)
        assert "It may return" in plain(admin.client.post(f"{address}/delete", {"id_type": "email", "value": PERSON}))

    def test_does_what_the_api_does(self, address, by_email, admin, write, redis_client):
        key, other = write(), write("bob@example.com")
        confirmed = {"id_type": "email", "value": PERSON, "confirmed": "on"}
        answer = admin.client.post(f"{address}/delete", confirmed, follow=True)
        assert answer.redirect_chain == [(address, 303)]
        assert "The profile is deleted." in plain(answer)
        assert PERSON not in text(answer)
        assert not redis_client.exists(key)
        assert redis_client.exists(other)
        assert Suppression.objects.filter(lifted_at=None).exclude(deleted_at=None).count() == 1
        [row] = AuditEvent.objects.filter(action="profiles_deleted")
        assert row.details == {"addressed": 1, "deleted": 1, "suppressed": 1}
        assert "There was no profile any more" in plain(admin.client.post(f"{address}/delete", confirmed, follow=True))

    def test_finds_the_persons_other_ids_where_that_is_asked(self, address, by_email, admin, write):
        write()
        confirmed = {"id_type": "email", "value": PERSON, "confirmed": "on", "cascade": "on"}
        answer = admin.client.post(f"{address}/delete", confirmed, follow=True)
        assert f"the receipt is {Deletion.objects.get().public_id}" in plain(answer)

    def test_is_noted_while_redis_is_away(self, address, by_email, admin, destination):
        settings = {**destination.settings, "address": "127.0.0.1:1"}
        RedisDestination.objects.update(settings=settings, version=destination.version + 1)
        handles.close()
        confirmed = {"id_type": "email", "value": PERSON, "confirmed": "on"}
        assert "The delete is noted" in plain(admin.client.post(f"{address}/delete", confirmed, follow=True))
        assert Suppression.objects.filter(lifted_at=None, deleted_at=None).count() == 1
        Activation.objects.update(deleted_profiles=DeletedProfilesPolicy.MAY_RETURN)
        assert "Nothing was deleted" in plain(admin.client.post(f"{address}/delete", confirmed, follow=True))

    def test_of_nothing_leads_back(self, address, admin):
        assert admin.client.post(f"{address}/delete", {"confirmed": "on"}).status_code == 303


def test_several_id_types_are_read_in_one_question(address, by_email, admin, monkeypatch):
    asked: list[list[str]] = []
    read_each = Handle.read_each

    def counted(handle, keys, views):
        asked.append(list(keys))
        return read_each(handle, keys, views)

    monkeypatch.setattr(Handle, "read_each", counted)
    look_up(admin, address)
    assert len(asked[0]) == 2


def test_the_entities_tab_leads_there(activation, admin, address, redis_server: EmbeddedServer):
    entities = reverse("projects:detail", args=["acme", activation.project.slug])
    assert address in text(admin.client.get(entities))
