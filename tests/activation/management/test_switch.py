"""The switch by API: what must be there first and how it is met, turning on and off, and where each source stands."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import AuditEvent
from activation.models import Activation, RunState, Source, SyncRun
from projects.models import Project
from tests.activation.conftest import connected
from tests.activation.management.calling import UNAUTHORIZED, ask, limited
from tests.activation.pages.conftest import SPECIFICATION, VIEWS, finished_run, new_project


def switch(member, project, **body):
    return ask(member, "POST", f"projects/{project.public_id}/activation", body)


def state(member, project):
    return ask(member, "GET", f"projects/{project.public_id}/activation").json


def test_a_project_that_is_ready_is_synced(admin, project, destination):
    answer = switch(admin, project, enabled=True, destinationId=destination.public_id)

    assert answer.status == 200
    told = answer.json
    assert (told["enabled"], told["destinationId"], told["state"]["level"]) == (True, destination.public_id, "working")
    sources = {source.public_id: source for source in Source.objects.all()}
    assert {each["connectionId"] for each in told["sources"]} == set(sources)
    assert {each["syncState"] for each in told["sources"]} == {"queued"}
    assert {each["syncedAt"] for each in told["sources"]} == {None}
    assert SyncRun.objects.count() == 2
    assert AuditEvent.objects.get(action="sync_enabled").token == "A token"


def test_turning_on_what_is_on_changes_nothing(admin, activation, project):
    events = AuditEvent.objects.count()
    again = [
        switch(admin, project, enabled=True),
        switch(admin, project, enabled=True, destinationId=activation.destination.public_id),
    ]
    assert [answer.status for answer in again] == [200, 200]
    assert SyncRun.objects.count() == 2
    assert AuditEvent.objects.exclude(action="token_generated").count() == events


def test_every_unmet_precondition_is_told_with_the_call_that_meets_it(admin, bare_project, destination):
    answer = switch(admin, bare_project, enabled=True, destinationId=destination.public_id)

    assert (answer.status, answer.json["code"]) == (409, "not_ready")
    unmet = {point["point"]: point for point in answer.json["preconditions"]}
    assert {name: point["call"].rpartition("/")[2] for name, point in unmet.items()} == {
        "profiles_run": "runs",
        "feature_views": "specification",
        "grants": "checks",
    }
    assert "using_ids" in unmet["feature_views"]["yaml"]
    assert all(point["message"] and not point["met"] for point in unmet.values())
    told = state(admin, bare_project)
    assert (told["ready"], told["enabled"], told["state"], told["sources"]) == (False, False, None, [])
    assert [point["point"] for point in told["preconditions"] if not point["met"]] == list(unmet)
    assert not Activation.objects.exists()


def test_each_source_tells_how_fresh_it_is(viewer, activation, project):
    source = Source.objects.order_by("pk")[0]
    ended = timezone.now() - timedelta(minutes=5)
    run = SyncRun.objects.get(source=source)
    SyncRun.objects.filter(pk=run.pk).update(state=RunState.SUCCEEDED, finished_at=ended, snapshot_at=ended)
    Source.objects.filter(pk=source.pk).update(base_run=run, base_rows=7, seen_profiles_run=run.profiles_run)

    [told] = [each for each in state(viewer, project)["sources"] if each["connectionId"] == source.public_id]

    assert (told["syncState"], told["syncId"], told["profiles"]) == ("succeeded", run.public_id, 7)
    assert 300 <= told["ageSeconds"] < 310
    assert told["state"] == {"level": "ok", "words": "In step"}
    assert (told["entity"], told["idType"], told["view"], told["status"]) == (
        "user",
        source.id_type,
        source.feature_view,
        "active",
    )


def test_turning_off_keeps_the_profiles_unless_they_are_to_go(admin, activation, project):
    SyncRun.objects.update(state=RunState.SUCCEEDED)
    off = switch(admin, project, enabled=False)
    assert (off.status, off.json["enabled"], off.json["state"]["words"]) == (200, False, "Off")
    assert set(Source.objects.values_list("status", flat=True)) == {Source.Status.ACTIVE}
    assert switch(admin, project, enabled=False).status == 200
    assert AuditEvent.objects.filter(action="sync_disabled").count() == 1

    gone = switch(admin, project, enabled=False, removeProfiles=True).json
    assert {each["status"] for each in gone["sources"]} == {"removing"}
    assert SyncRun.objects.filter(kind=SyncRun.Kind.REMOVAL).count() == 2


def test_what_cannot_be_removed_is_left_once_that_was_tried(admin, editor, activation, project):
    SyncRun.objects.update(state=RunState.SUCCEEDED)
    early = switch(admin, project, enabled=False, leaveProfiles=True)
    assert (early.status, early.json["code"]) == (409, "removal_not_tried")
    assert Activation.objects.get().enabled
    switch(admin, project, enabled=False, removeProfiles=True)
    assert switch(admin, project, enabled=False, leaveProfiles=True).status == 409
    first, second = SyncRun.objects.filter(kind=SyncRun.Kind.REMOVAL).order_by("pk")
    SyncRun.objects.filter(pk=first.pk).update(state=RunState.FAILED)
    assert switch(admin, project, enabled=False, leaveProfiles=True).status == 409
    assert set(Source.objects.values_list("status", flat=True)) == {Source.Status.REMOVING}, "all of it or nothing"

    SyncRun.objects.filter(pk=second.pk).update(retries=1)
    assert switch(editor, project, enabled=False, leaveProfiles=True).json == UNAUTHORIZED
    for _ in range(2):
        left = switch(admin, project, enabled=False, leaveProfiles=True)
        assert left.status == 200
        assert {each["status"] for each in left.json["sources"]} == {"removed"}
        assert {each["state"]["words"] for each in left.json["sources"]} == {"Left in Redis"}
    assert AuditEvent.objects.filter(action="source_left_behind").count() == 2
    assert SyncRun.objects.get(pk=second.pk).state == RunState.CANCELLED


def test_turning_off_what_was_never_on_is_fine(admin, project):
    assert (switch(admin, project, enabled=False).status, Activation.objects.count()) == (200, 0)


@pytest.mark.parametrize(
    ("body", "at"),
    [
        ({}, "enabled"),
        ({"enabled": "yes"}, "enabled"),
        ({"enabled": True}, "destinationId"),
        ({"enabled": True, "destinationId": 5}, "destinationId"),
        ({"enabled": True, "destinationId": "x", "removeProfiles": True}, "removeProfiles"),
        ({"enabled": True, "destinationId": "x", "leaveProfiles": True}, "leaveProfiles"),
        ({"enabled": False, "removeProfiles": True, "leaveProfiles": True}, "leaveProfiles"),
        ({"enabled": False, "leaveProfiles": "yes"}, "leaveProfiles"),
        ({"enabled": True, "schedule": {}}, "schedule"),
    ],
)
def test_what_makes_no_sense_is_named(admin, project, body, at):
    answer = switch(admin, project, **body)
    assert (answer.status, list(answer.json["fields"])) == (422, [at])


@pytest.mark.parametrize("destination_id", ["", "a:b", "2" * 27, "\u2603"])
def test_a_destination_that_is_not_there_is_said_to_be_unknown(admin, project, destination_id):
    answer = switch(admin, project, enabled=True, destinationId=destination_id)
    assert (answer.status, answer.json["code"]) == (404, "invalid_destination")


def test_profiles_stay_in_one_destination_and_a_field_belongs_to_one_project(
    admin, activation, project, warehouse, redis_server
):
    elsewhere = connected(admin, redis_server, name="Another")
    Activation.objects.update(enabled=False)
    refused = switch(admin, project, enabled=True, destinationId=elsewhere.public_id)
    assert (refused.status, refused.json["code"]) == (409, "destination_refused")
    assert "Customers" in refused.json["error"]

    second = new_project(admin, warehouse, "Copy", SPECIFICATION + VIEWS)
    Project.objects.filter(pk=second.pk).update(placements=project.placements)
    finished_run(second, seq_no=1)
    check = project.checks.get()
    check.pk, check.public_id, check.project = None, "3" * 27, second
    check.save()
    taken = switch(admin, second, enabled=True, destinationId=activation.destination.public_id)
    assert (taken.status, taken.json["code"]) == (409, "destination_refused")
    assert Source.objects.count() == 2


class TestWho:
    @pytest.mark.parametrize("role", ["viewer", "editor"])
    def test_only_admins_turn_it_on_and_off(self, request, role, admin, project, destination):
        member = request.getfixturevalue(role)
        body = {"enabled": True, "destinationId": destination.public_id}
        assert switch(member, project, **body).json == UNAUTHORIZED
        assert ask(member, "GET", f"projects/{project.public_id}/activation").status == 200
        assert switch(admin, project, **body).status == 200
        assert switch(member, project, enabled=False).json == UNAUTHORIZED

    def test_another_organisations_destination_is_unknown(self, admin, outsider, project, redis_server):
        theirs = connected(outsider, redis_server)
        assert switch(admin, project, enabled=True, destinationId=theirs.public_id).status == 404

    def test_a_token_turns_on_only_what_its_limits_name(self, admin, project, destination):
        body = {"enabled": True, "destinationId": destination.public_id}
        for limits in (
            {"destinations": ["another"]},
            {"entities": ["account"]},
            {"verbs": ["read", "sync", "delete"]},
        ):
            assert switch(limited(admin, **limits), project, **body).json == UNAUTHORIZED
        assert not Activation.objects.exists()
        own = limited(admin, destinations=[destination.public_id], entities=["user"], verbs=["manage"])
        assert switch(own, project, **body).status == 200
        other = limited(admin, destinations=["another"])
        assert ask(other, "GET", f"projects/{project.public_id}/activation").json == UNAUTHORIZED
        assert switch(other, project, enabled=False).json == UNAUTHORIZED
