"""Rotated suppression keys and a process that was not restarted: it refuses, and never takes anybody for not deleted."""

import json

import pytest
from django.urls import reverse
from django.utils import timezone

from activation import cures, diagnoses, handles, lifts, run_states, serving, suppressions
from activation.engine.partition_writer import PartitionWriter
from activation.models import RunState, Suppression
from activation.serving import Profile, ProfileId
from tests.activation.test_sync_runs import PEOPLE, suppress, world
from tests.activation.world import expected
from tests.contracts.caller import call

__all__ = ["world"]
GONE = "person3@example.com"
REST = [person for person in PEOPLE if person[0] != GONE]
ASKED = {"entity": "user", "id_type": "email", "value": GONE}


@pytest.fixture
def rotated(settings):
    """The keys before and after a second version was put in front."""
    old = settings.SUPPRESSION_KEYS
    return old, {2: b"n" * 32, **old}


def test_a_worker_without_the_key_writes_nobody_back_and_another_finishes_its_sync(world, settings, rotated):
    old, new = rotated
    settings.SUPPRESSION_KEYS = new
    suppress(world, GONE)

    settings.SUPPRESSION_KEYS = old
    run = world.work(world.start(), rounds=3)
    assert run.state == RunState.LOADING
    assert world.served() == {}

    settings.SUPPRESSION_KEYS = new
    assert world.work(run).state == RunState.SUCCEEDED
    assert world.served() == expected(REST)


def test_a_delete_under_a_new_key_during_a_load_is_honoured_by_whoever_has_it(world, settings, rotated, monkeypatch):
    old, new = rotated
    write = PartitionWriter.write

    def deleted_just_before(self, rows):
        if world.key(GONE) in set(rows.keys()) and not Suppression.objects.exists():
            settings.SUPPRESSION_KEYS = new
            suppress(world, GONE)
            settings.SUPPRESSION_KEYS = old
        return write(self, rows)

    monkeypatch.setattr(PartitionWriter, "write", deleted_just_before)
    run = world.work(world.start(), rounds=3)
    assert run.state == RunState.LOADING
    assert GONE in world.served()

    settings.SUPPRESSION_KEYS = new
    assert world.work(run).state == RunState.SUCCEEDED
    assert world.served() == expected(REST)


def test_a_sync_that_finds_no_worker_with_the_key_says_so_in_the_end(world, settings, rotated, monkeypatch, caplog):
    monkeypatch.setattr(run_states, "MOST_RETRIES", 2)
    settings.SUPPRESSION_KEYS = rotated[1]
    suppress(world, GONE)
    settings.SUPPRESSION_KEYS = rotated[0]

    run = world.sync()

    assert (run.state, run.error_code) == (RunState.FAILED, "suppression_key_missing")
    assert "restart all its processes with the same SUPPRESSION_KEYS" in cures.of_run(run)
    assert {"event": "suppression_key_missing", "version": 2}.items() <= caplog.records[0].msg.items()


def test_a_suppression_that_was_lifted_needs_no_key(world, settings, rotated):
    settings.SUPPRESSION_KEYS = rotated[1]
    suppress(world, GONE)
    lifts.lift(world.source.destination, **ASKED, by=world.by, now=timezone.now())

    settings.SUPPRESSION_KEYS = rotated[0]

    assert suppressions.since(world.source.destination.pk, 0) == (1, [])
    assert world.sync().state == RunState.SUCCEEDED
    assert world.served() == expected(PEOPLE)


def test_what_is_deleted_without_the_new_key_is_kept_out_and_lifted_by_whoever_has_it(world, settings, rotated):
    settings.SUPPRESSION_KEYS = rotated[1]
    suppress(world, GONE)
    settings.SUPPRESSION_KEYS = rotated[0]
    suppress(world, GONE)

    settings.SUPPRESSION_KEYS = rotated[1]
    assert world.sync().state == RunState.SUCCEEDED
    assert world.served() == expected(REST)
    assert lifts.lift(world.source.destination, **ASKED, by=world.by, now=timezone.now()) == 2


@pytest.fixture
def stale(admin, destination, synced, settings, rotated):
    """A process without the key under which somebody was deleted."""
    settings.SUPPRESSION_KEYS = rotated[1]
    key = f"{destination.workspace_id}:{destination.public_id}:user:email:{GONE}"
    suppressions.suppress(destination, [key], by=admin.actor, now=timezone.now())
    settings.SUPPRESSION_KEYS = rotated[0]
    return destination


@pytest.mark.parametrize("asked", ["check", "lift"])
def test_the_api_neither_checks_nor_lifts_what_it_cannot_read(admin, stale, settings, rotated, asked):
    address = f"/v2/destinations/{stale.public_id}/suppressions/{asked}"
    body = json.dumps({"entity": "user", "id": {"type": "email", "value": GONE}}).encode()
    bearer = f"Bearer {admin.token()}"

    refused = call("POST", address, body, HTTP_AUTHORIZATION=bearer)
    settings.SUPPRESSION_KEYS = rotated[1]
    answered = call("POST", address, body, HTTP_AUTHORIZATION=bearer)

    assert (refused.status, refused.json["code"]) == (503, "service_unavailable")
    assert "version 2 of SUPPRESSION_KEYS" in refused.json["error"]
    assert answered.status == 200
    assert answered.json.get("lifted", 1) == 1


def test_the_page_says_what_it_cannot_read(admin, stale):
    address = reverse("activation:suppressions", args=["acme", stale.public_id])

    page = admin.client.post(address, ASKED)

    assert page.status_code == 422
    assert "version 2 of SUPPRESSION_KEYS" in page.content.decode()
    assert "Not suppressed" not in page.content.decode()


def test_a_read_is_answered_without_it(stale, redis_client):
    handle = handles.get(stale.organisation_id, stale.public_id)
    profile = ProfileId("email", GONE)

    assert diagnoses.of(handle, "user", profile, Profile({}, ())).code == "id_not_found"


def test_a_delete_is_done_without_it(admin, stale, redis_client):
    handle = handles.get(stale.organisation_id, stale.public_id)
    key = f"{stale.workspace_id}:{stale.public_id}:user:email:{GONE}"
    redis_client.hset(key, "features_by_email", "{}")
    ids = [ProfileId("email", GONE)]

    done = serving.delete_through(handle, entity="user", ids=ids, by=admin.actor, now=timezone.now())

    assert done.deleted == 1
    assert not redis_client.exists(key)
