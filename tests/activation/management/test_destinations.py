"""Destinations by API: tested before they are stored, changed or only tried; against a real server."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from accounts.models import AuditEvent
from activation import destinations, probes, tasks
from activation.api import waits
from activation.models import Activation, DestinationProbe, RedisDestination
from config.embedded import EmbeddedServer
from tests.activation.conftest import connected
from tests.activation.management.calling import UNAUTHORIZED, ask, limited
from tests.cast import Member

WRONG = "not-the-" + "password"
NOW, AT_ONCE = "wait=0", "wait=5"


def wanted(server: EmbeddedServer, **changes: Any) -> dict[str, Any]:
    body = {
        "name": "Production",
        "settings": {"address": server.address},
        "credentials": {"password": server.password},
    }
    return {**body, **changes}


def connect(member: Member | str, server: EmbeddedServer, query: str = AT_ONCE, **changes: Any):
    return ask(member, "POST", "destinations", wanted(server, **changes), query=query)


class TestConnecting:
    def test_a_redis_whose_test_passes_is_connected(self, worker, admin, redis_server, redis_client):
        answer = connect(admin, redis_server)

        row = RedisDestination.objects.get()
        assert (answer.status, answer.headers["location"]) == (201, f"/v2/destinations/{row.public_id}")
        told = answer.json
        assert (told["id"], told["workspaceId"], told["name"]) == (
            row.public_id,
            admin.organisation.public_id,
            "Production",
        )
        assert (told["settings"]["address"], told["credentialsSet"]) == (redis_server.address, ["password"])
        assert destinations.credentials_of(row) == {"password": redis_server.password}
        [event] = AuditEvent.objects.filter(action="destination_created")
        assert (event.token, event.address) == ("A token", "192.0.2.7")
        assert redis_client.keys("*") == []

    def test_a_redis_whose_test_fails_is_not_and_the_steps_say_why(self, worker, admin, redis_server):
        answer = connect(admin, redis_server, credentials={"password": WRONG})

        assert (answer.status, answer.json["code"]) == (422, "probe_failed")
        steps = {step["name"]: step for step in answer.json["probe"]["steps"]}
        assert steps["AUTH"]["state"] == "failed"
        assert steps["AUTH"]["cure"] in answer.json["error"]
        assert not RedisDestination.objects.exists()

    def test_a_test_that_takes_longer_is_asked_for_again(self, admin, redis_server, db):
        answer = connect(admin, redis_server, NOW)
        probe = answer.json["probe"]
        assert (answer.status, answer.headers["location"]) == (202, f"/v2/destinations/probes/{probe['id']}")
        assert (probe["state"], probe["steps"], probe["destinationId"]) == ("queued", [], None)

        probes.run(DestinationProbe.objects.get().pk, now=timezone.now())
        later = ask(admin, "GET", f"destinations/probes/{probe['id']}")
        assert (later.status, later.json["state"]) == (200, "passed")
        assert later.json["destinationId"] == RedisDestination.objects.get().public_id

    def test_the_call_waits_no_longer_than_it_was_asked_to_and_few_wait_at_once(self, admin, redis_server, db):
        started = timezone.now()
        assert connect(admin, redis_server, "wait=1").status == 202
        assert timedelta(seconds=1) < timezone.now() - started < timedelta(seconds=3)

        held = [waits._slots.acquire(blocking=False) for _ in range(waits.AT_ONCE)]
        try:
            started = timezone.now()
            assert connect(admin, redis_server, "wait=30", name="Another").status == 202
            assert timezone.now() - started < timedelta(seconds=1)
        finally:
            for _ in held:
                waits._slots.release()

    def test_making_the_same_call_twice_connects_one(self, worker, admin, redis_server, monkeypatch):
        assert connect(admin, redis_server).status == 201
        again = connect(admin, redis_server)
        assert (again.status, again.json["code"], list(again.json["fields"])) == (409, "name_taken", ["name"])

        monkeypatch.setattr(tasks, "wake_for_probe", lambda _: None)
        first = connect(admin, redis_server, NOW, name="Another").json["probe"]
        second = connect(admin, redis_server, NOW, name="Another")
        assert (second.status, second.json["code"], second.json["probeId"]) == (409, "already_running", first["id"])
        assert RedisDestination.objects.count() == 1

    def test_data_that_is_there_already_is_adopted(self, worker, admin, redis_server):
        adopted = {"destinationId": "1WhcOCGgj9asZu850HvugU2C3Aq", "workspaceId": "some-workspace-id"}
        told = connect(admin, redis_server, **adopted).json
        assert (told["id"], told["workspaceId"]) == tuple(adopted.values())
        again = connect(admin, redis_server, **adopted, name="Another")
        assert (again.status, list(again.json["fields"])) == (422, ["destinationId"])

    @pytest.mark.parametrize(
        ("changes", "at"),
        [
            ({"name": " "}, {"name"}),
            ({"name": 5}, {"name"}),
            ({"settings": {}}, {"settings.address"}),
            ({"settings": {"address": "no port"}}, {"settings.address"}),
            ({"settings": {"address": "a:1", "secure": "yes"}}, {"settings.secure"}),
            ({"settings": {"address": "a:1", "database": -1}}, {"settings.database"}),
            ({"settings": {"address": "a:1", "password": "x"}}, {"settings.password"}),
            ({"settings": {"address": "a:1", "username": "app"}, "credentials": {}}, {"credentials.password"}),
            ({"settings": {"address": "a:1", "secure": True}, "credentials": {"clientKey": "x"}}, None),
            ({"credentials": {"password": None}}, {"credentials.password"}),
            ({"destinationId": "a b"}, {"destinationId"}),
            ({"workspaceId": "a:b"}, {"workspaceId"}),
            ({"rowsPerSecond": 5}, {"rowsPerSecond"}),
        ],
    )
    def test_what_needs_no_connection_to_be_seen_as_wrong_is_named(self, admin, redis_server, changes, at):
        answer = connect(admin, redis_server, NOW, **changes)
        assert (answer.status, answer.json["code"]) == (422, "invalid_fields")
        assert set(answer.json["fields"]) == (at or {"credentials.clientCertificate"})
        assert not DestinationProbe.objects.exists()

    @pytest.mark.parametrize("query", ["wait=-1", "wait=31", "wait=", "wait=x", "wait=1.5"])
    def test_a_wait_that_makes_no_sense_is_refused(self, admin, redis_server, query):
        assert connect(admin, redis_server, query).status == 400

    def test_nobody_scans_a_network_with_tests(self, admin, redis_server):
        for number in range(probes.MOST_IN_FIVE_MINUTES):
            assert connect(admin, redis_server, NOW, name=f"R {number}").status == 202
        answer = connect(admin, redis_server, NOW, name="One more")
        assert (answer.status, answer.json["code"], answer.headers["retry-after"]) == (429, "rate_limited", "60")


class TestTrying:
    def test_a_redis_is_tested_and_nothing_is_stored(self, worker, admin, redis_server, redis_client):
        body = {name: value for name, value in wanted(redis_server).items() if name != "name"}
        answer = ask(admin, "POST", "destinations/probes", body)
        assert (answer.status, answer.json["state"], answer.json["purpose"]) == (200, "passed", "try")
        assert {step["state"] for step in answer.json["steps"]} <= {"passed", "skipped"}
        assert not RedisDestination.objects.exists()
        assert DestinationProbe.objects.get().credentials == ""
        assert redis_client.keys("*") == []

    def test_a_test_that_failed_is_an_answer_like_one_that_passed(self, worker, admin, redis_server):
        body = {"settings": {"address": redis_server.address}, "credentials": {"password": WRONG}}
        answer = ask(admin, "POST", "destinations/probes", body)
        assert (answer.status, answer.json["state"]) == (200, "failed")
        assert WRONG.encode() not in answer.body

    def test_a_destination_is_tested_as_it_is_and_as_it_would_be(self, worker, admin, redis_server):
        destination = connected(admin, redis_server)
        before = RedisDestination.objects.values().get()
        path = f"destinations/{destination.public_id}/probes"
        as_it_is = ask(admin, "POST", path)
        as_it_would_be = ask(admin, "POST", path, {"credentials": {"password": WRONG}})
        assert (as_it_is.json["state"], as_it_would_be.json["state"]) == ("passed", "failed")
        assert as_it_is.json["destinationId"] == destination.public_id
        assert RedisDestination.objects.values().get() == before


class TestChanging:
    @pytest.fixture
    def there(self, worker, admin, redis_server) -> RedisDestination:
        return connected(admin, redis_server)

    def test_name_and_pace_change_at_once(self, there, admin):
        path = f"destinations/{there.public_id}"
        changed = ask(admin, "PATCH", path, {"name": "Renamed", "rowsPerSecond": 1_000})
        assert (changed.status, changed.json["name"], changed.json["rowsPerSecond"]) == (200, "Renamed", 1_000)
        assert ask(admin, "PATCH", path, {"rowsPerSecond": None}).json["rowsPerSecond"] is None
        assert ask(admin, "PATCH", path, {}).json["name"] == "Renamed"
        assert not DestinationProbe.objects.exists()

    def test_secrets_that_pass_their_test_are_stored_and_others_kept(self, there, admin, redis_server, redis_client):
        redis_client.acl_setuser("app", enabled=True, passwords=[f"+{WRONG}"], keys=["*"], commands=["+@all"])
        try:
            changes = {"settings": {"username": "app"}, "credentials": {"password": WRONG}}
            changed = ask(admin, "PATCH", f"destinations/{there.public_id}", changes)
        finally:
            redis_client.acl_deluser("app")
        assert (changed.status, changed.json["settings"]["username"]) == (200, "app")
        assert changed.json["settings"]["address"] == redis_server.address
        there.refresh_from_db()
        assert destinations.credentials_of(there) == {"password": WRONG}

    def test_secrets_that_fail_their_test_change_nothing(self, there, admin):
        before = RedisDestination.objects.values().get()
        answer = ask(admin, "PATCH", f"destinations/{there.public_id}", {"credentials": {"password": WRONG}})
        assert (answer.status, answer.json["code"]) == (422, "probe_failed")
        assert "Nothing is changed." in answer.json["error"]
        assert RedisDestination.objects.values().get() == before

    def test_a_secret_is_taken_away_by_null(self, there, admin, redis_server):
        secrets = {"password": redis_server.password, "sentinelPassword": WRONG}
        destinations.update_credentials(there, credentials=secrets, by=admin.actor, now=timezone.now())
        changed = ask(admin, "PATCH", f"destinations/{there.public_id}", {"credentials": {"sentinelPassword": None}})
        assert (changed.status, changed.json["credentialsSet"]) == (200, ["password"])

    @pytest.mark.parametrize(
        ("changes", "at"),
        [
            ({"settings": {"address": "other:6379"}}, {"settings.address", "credentials.password"}),
            ({"settings": {"database": 3}}, {"settings.database"}),
            ({"settings": {"clusterMode": True}}, {"settings.clusterMode"}),
            ({"settings": {"useJSONModule": True}}, {"settings.useJSONModule"}),
            ({"settings": {"secure": 1}}, {"settings.secure"}),
            ({"name": "Both", "settings": {"secure": True}}, {"settings"}),
            ({"rowsPerSecond": 5}, {"rowsPerSecond"}),
            ({"rowsPerSecond": 2**62}, {"rowsPerSecond"}),
            ({"name": ""}, {"name"}),
        ],
    )
    def test_what_cannot_be_changed_is_named(self, there, admin, changes, at):
        before = RedisDestination.objects.values().get()
        answer = ask(admin, "PATCH", f"destinations/{there.public_id}", changes)
        assert (answer.status, set(answer.json["fields"])) == (422, at)
        assert RedisDestination.objects.values().get() == before

    def test_a_name_is_given_once(self, there, admin, redis_server):
        connected(admin, redis_server, name="Taken")
        answer = ask(admin, "PATCH", f"destinations/{there.public_id}", {"name": "Taken"})
        assert (answer.status, answer.json["code"]) == (409, "name_taken")

    def test_a_destination_is_forgotten_unless_something_syncs_to_it(self, there, admin, project):
        row = Activation.objects.create(project=project, destination=there, enabled_by="ada")
        answer = ask(admin, "DELETE", f"destinations/{there.public_id}")
        assert (answer.status, answer.json["code"]) == (409, "in_use")
        row.delete()
        assert ask(admin, "DELETE", f"destinations/{there.public_id}").status == 204
        assert ask(admin, "GET", f"destinations/{there.public_id}").status == 404


class TestWho:
    def test_everybody_reads_and_admins_do_the_rest(self, admin, editor, viewer, destination, redis_server):
        path = f"destinations/{destination.public_id}"
        probe = ask(admin, "POST", f"{path}/probes", query=NOW).json["id"]
        for member in (viewer, editor):
            assert [ask(member, "GET", where).status for where in ("destinations", path)] == [200, 200]
            refused = [
                connect(member, redis_server, NOW),
                ask(member, "PATCH", path, {"name": "Mine"}),
                ask(member, "DELETE", path),
                ask(member, "POST", "destinations/probes", wanted(redis_server), query=NOW),
                ask(member, "POST", f"{path}/probes", query=NOW),
                ask(member, "GET", f"destinations/probes/{probe}"),
            ]
            assert [answer.status for answer in refused] == [401] * 6
        assert ask(admin, "GET", f"destinations/probes/{probe}").status == 202
        assert DestinationProbe.objects.count() == 1

    def test_another_organisations_destination_looks_like_none(self, admin, outsider, destination):
        path = f"destinations/{destination.public_id}"
        probe = ask(admin, "POST", f"{path}/probes", query=NOW).json["id"]
        assert ask(outsider, "GET", "destinations").json["destinations"] == []
        for method, where in (
            ("GET", path),
            ("PATCH", path),
            ("DELETE", path),
            ("POST", f"{path}/probes"),
            ("GET", f"destinations/probes/{probe}"),
        ):
            assert (ask(outsider, method, where, {}).status, where) == (404, where)

    def test_a_token_for_other_destinations_neither_sees_nor_changes_nor_makes_one(
        self, admin, destination, redis_server
    ):
        path = f"destinations/{destination.public_id}"
        probe = ask(admin, "POST", f"{path}/probes", query=NOW).json["id"]
        new = connect(admin, redis_server, NOW).json["probe"]["id"]
        others, own = limited(admin, destinations=["another"]), limited(admin, destinations=[destination.public_id])
        assert ask(others, "GET", "destinations").json["destinations"] == []
        assert len(ask(own, "GET", "destinations").json["destinations"]) == 1
        for method, where in (
            ("GET", path),
            ("PATCH", path),
            ("DELETE", path),
            ("POST", f"{path}/probes"),
            ("GET", f"destinations/probes/{probe}"),
        ):
            assert ask(others, method, where, {}).json["code"] == "unauthorized"
        for token in (others, own):
            assert connect(token, redis_server, NOW, name="New").json == UNAUTHORIZED
            assert ask(token, "POST", "destinations/probes", wanted(redis_server)).json == UNAUTHORIZED
            assert ask(token, "GET", f"destinations/probes/{new}").json == UNAUTHORIZED
        assert ask(own, "PATCH", path, {"name": "Mine"}).status == 200
        assert ask(own, "GET", f"destinations/probes/{probe}").status == 202

    def test_an_adopted_id_may_hold_a_slash(self, admin, redis_server):
        destination = connected(admin, redis_server, public_id="eu/main")
        assert ask(admin, "GET", "destinations/eu/main").json["id"] == destination.public_id
        assert ask(admin, "POST", "destinations/eu/main/probes", query=NOW).status == 202


def test_no_answer_holds_a_secret(worker, admin, redis_server):
    made = connect(admin, redis_server)
    path = f"destinations/{made.json['id']}"
    answers = [
        made,
        ask(admin, "GET", path),
        ask(admin, "GET", "destinations"),
        ask(admin, "POST", f"{path}/probes"),
        ask(admin, "PATCH", path, {"credentials": {"password": redis_server.password}}),
        ask(admin, "PATCH", path, {"credentials": {"password": redis_server.password}, "settings": {"database": 9}}),
    ]
    assert [answer.status for answer in answers] == [201, 200, 200, 200, 200, 422]
    assert not [answer for answer in answers if redis_server.password.encode() in answer.body]
    assert redis_server.password not in str(list(AuditEvent.objects.values()))


def test_two_calls_that_wait_see_what_a_worker_made_meanwhile(transactional_db, admin, redis_server):
    token = admin.token()
    answers = []

    def wait_for(name: str) -> None:
        answers.append(connect(token, redis_server, "wait=10", name=name))
        connections.close_all()

    threads = [threading.Thread(target=wait_for, args=(name,)) for name in ("One", "Two")]
    for thread in threads:
        thread.start()
    deadline = timezone.now() + timedelta(seconds=10)
    while len(answers) < 2 and timezone.now() < deadline:
        for probe_id in probes.waiting(now=timezone.now()):
            probes.run(probe_id, now=timezone.now())
    for thread in threads:
        thread.join()
    assert [answer.status for answer in answers] == [201, 201]
    assert set(RedisDestination.objects.values_list("name", flat=True)) == {"One", "Two"}
