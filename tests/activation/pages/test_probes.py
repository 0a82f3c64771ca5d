"""Connection tests that create what was tried: against a real server, with the role the person has by then."""

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.actors import PermissionRefused
from accounts.models import AuditEvent, Membership
from accounts.roles import Role
from activation import probes
from activation.engine.redis_settings import SettingsInvalid
from activation.models import Activation, DestinationProbe, RedisDestination, Source, SyncRun
from activation.server_form import ServerForm
from config.embedded import EmbeddedServer
from projects.models import Project
from tests.cast import Member
from tests.sentinels import SENTINEL_PASSWORD, SERVICE, SentinelService

WRONG = "not-the-" + "password"


def asked(member: Member, server: EmbeddedServer | None, project: Project | None, **wanted: object) -> DestinationProbe:
    """Ask for a test as the page does."""
    arguments: dict[str, Any] = {
        "aim": probes.Aim(project=project),
        "name": "Customers",
        "settings": {"address": server.address} if server else {},
        "credentials": {"password": server.password} if server else {},
        "adopted": {},
        "by": member.actor,
        "now": timezone.now(),
    }
    return probes.request(**{**arguments, **wanted})


def ended(probe: DestinationProbe) -> DestinationProbe:
    """Let a worker run it."""
    probes.run(probe.pk, now=timezone.now())
    return DestinationProbe.objects.get(pk=probe.pk)


def test_a_passed_test_creates_the_destination_that_was_tried_and_turns_the_sync_on(
    admin, project, redis_server, redis_client
):
    probe = ended(asked(admin, redis_server, project))

    assert (probe.state, probe.problem) == (DestinationProbe.State.PASSED, "")
    assert {step["state"] for step in probe.steps} <= {"passed", "skipped"}
    destination = RedisDestination.objects.get()
    assert destination == probe.destination
    assert (destination.name, destination.public_id) == ("Customers", probe.public_id)
    assert destination.workspace_id == admin.organisation.public_id
    assert Activation.objects.get().destination == destination
    assert Source.objects.count() == SyncRun.objects.count() == 2
    assert probe.credentials == ""
    assert redis_client.keys("*") == []


def test_a_failed_test_says_which_step_failed_and_creates_nothing(admin, project, redis_server):
    probe = ended(asked(admin, redis_server, project, credentials={"password": WRONG}))

    assert probe.state == DestinationProbe.State.FAILED
    failed = next(step for step in probe.steps if step["state"] == "failed")
    assert failed["name"] == "AUTH"
    assert failed["cure"]
    assert probe.steps[-1]["state"] == "not_reached"
    assert not RedisDestination.objects.exists()
    assert not Activation.objects.exists()


def test_what_was_typed_is_kept_encrypted_for_an_hour_and_no_longer(admin, project, redis_server):
    probe = ended(asked(admin, redis_server, project, credentials={"password": WRONG}))
    assert WRONG not in probe.credentials
    assert WRONG not in str(list(AuditEvent.objects.values()))
    assert probes.typed_secrets(probe) == {"password": WRONG}

    probes.waiting(now=timezone.now() + timedelta(minutes=59))
    assert DestinationProbe.objects.exclude(credentials="").exists()
    probes.waiting(now=timezone.now() + timedelta(minutes=61))
    assert not DestinationProbe.objects.exclude(credentials="").exists()


def test_the_destination_is_adopted_under_the_ids_of_the_data_that_is_there(admin, project, redis_server):
    adopted = {"public_id": "1WhcOCGgj9asZu850HvugU2C3Aq", "workspace_id": "some-workspace-id"}
    ended(asked(admin, redis_server, project, adopted=adopted))
    destination = RedisDestination.objects.get()
    assert (destination.workspace_id, destination.public_id) == (adopted["workspace_id"], adopted["public_id"])


def test_whoever_is_no_admin_any_more_when_the_test_ends_gets_nothing(admin, project, redis_server):
    probe = asked(admin, redis_server, project)
    Membership.objects.filter(user=admin.user).update(role=Role.EDITOR)
    probe = ended(probe)
    assert probe.state == DestinationProbe.State.FAILED
    assert "role" in probe.problem
    assert not RedisDestination.objects.exists()


def test_an_editor_cannot_ask_for_a_test(editor, project, redis_server):
    with pytest.raises(PermissionRefused):
        asked(editor, redis_server, project)
    assert not DestinationProbe.objects.exists()


def test_settings_that_can_never_work_are_refused_before_anything_is_dialled(admin, project, redis_server):
    with pytest.raises(SettingsInvalid):
        asked(admin, redis_server, project, settings={"address": "no port"})
    assert not DestinationProbe.objects.exists()


def test_nobody_scans_a_network_with_tests(admin, project, redis_server):
    for _ in range(probes.MOST_IN_FIVE_MINUTES):
        asked(admin, redis_server, project)
    with pytest.raises(probes.TooManyProbes):
        asked(admin, redis_server, project)
    asked(admin, redis_server, project, now=timezone.now() + timedelta(minutes=6))


def test_a_project_that_lost_a_precondition_meanwhile_keeps_nothing_of_the_test(admin, project, redis_server):
    probe = asked(admin, redis_server, project)
    project.runs.all().delete()
    probe = ended(probe)
    assert probe.state == DestinationProbe.State.FAILED
    assert "cannot be turned on yet" in probe.problem
    assert not RedisDestination.objects.exists()


def test_a_test_is_run_by_one_worker_only(admin, project, redis_server):
    probe = asked(admin, redis_server, project)
    assert probes.waiting(now=timezone.now()) == [probe.pk]
    ended(probe)
    assert probes.waiting(now=timezone.now()) == []
    probes.run(probe.pk, now=timezone.now())
    assert RedisDestination.objects.count() == 1


def test_a_test_whose_worker_died_is_taken_over_and_given_up_after_the_third(admin, project, redis_server):
    probe = asked(admin, redis_server, project)
    long_ago = timezone.now() - timedelta(minutes=2)
    DestinationProbe.objects.update(state=DestinationProbe.State.RUNNING, started_at=long_ago, attempt=1)
    assert probes.waiting(now=timezone.now()) == [probe.pk]

    DestinationProbe.objects.update(attempt=3)
    assert probes.waiting(now=timezone.now()) == []
    probe.refresh_from_db()
    assert probe.state == DestinationProbe.State.FAILED
    assert "could not be finished" in probe.problem


def test_a_service_of_sentinels_becomes_a_destination_without_its_passwords_on_any_page(admin, project, tmp_path):
    with SentinelService(tmp_path) as service:
        form = ServerForm(
            {
                "address": ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in service.sentinels),
                "password": service.servers[0].password,
                "sentinelService": SERVICE,
                "sentinelPassword": SENTINEL_PASSWORD,
            }
        )
        assert form.is_valid(), form.errors
        settings, credentials = form.plain()
        probe = ended(asked(admin, None, project, settings=settings, credentials=credentials))

    assert probe.state == DestinationProbe.State.PASSED
    destination = RedisDestination.objects.get()
    assert destination.settings["sentinelService"] == SERVICE
    where = {"organisation": admin.organisation.slug, "destination": destination.public_id}
    page = admin.client.get(reverse("activation:destination", kwargs=where)).content.decode()
    assert SERVICE in page
    assert not any(secret in page + str(destination.settings) for secret in credentials.values())
