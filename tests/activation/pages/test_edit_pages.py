"""How a destination is reached, changed on its page: tested first, secrets kept and never shown; its name; its end."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEvent
from activation import destinations, enabling, handles, moves, probes, removals, suppressions
from activation.models import Activation, DestinationProbe, RedisDestination, Source, Suppression, SyncRun
from tests.activation.conftest import connected

WRONG = "not-the-" + "password"


def text(response) -> str:
    return " ".join(response.content.decode().split())


def address(destination: RedisDestination, name: str = "edit", *args: str) -> str:
    return reverse(f"activation:{name}", args=["acme", destination.public_id, *args])


def try_out(client, destination: RedisDestination, typed: dict[str, str]) -> str:
    """Post the form and let a worker run the test; returns the page that watches it."""
    answer = client.post(address(destination), typed)
    assert answer.status_code == 303, text(answer)
    probes.run(DestinationProbe.objects.latest("pk").pk, now=timezone.now())
    return str(answer.url)


@pytest.fixture
def user(redis_client) -> Iterator[str]:
    """An ACL user of the server; returns the password."""
    password = "the-apps-" + "password"
    redis_client.acl_setuser("app", enabled=True, passwords=[f"+{password}"], keys=["*"], commands=["+@all"])
    yield password
    redis_client.acl_deluser("app")


class TestEditing:
    def test_what_passes_its_test_is_saved_and_used(self, destination, redis_server, user, admin):
        typed = {"address": redis_server.address, "username": "app", "password": user, "readFromReplicas": "on"}
        page = text(admin.client.get(try_out(admin.client, destination, typed), follow=True))
        assert "The connection is tested and saved." in page
        assert user not in page
        destination.refresh_from_db()
        assert destination.settings["username"] == "app"
        assert destinations.credentials_of(destination) == {"password": user}
        handles.close()
        assert handles.get(destination.organisation_id, destination.public_id).read("nothing") == {}
        [row] = AuditEvent.objects.filter(action="destination_changed")
        assert row.target_id == destination.public_id
        assert user not in str(row.details)

    def test_what_fails_its_test_changes_nothing_and_is_corrected_without_typing_it_anew(
        self, destination, redis_server, admin
    ):
        before = RedisDestination.objects.values().get()
        watched = try_out(admin.client, destination, {"address": redis_server.address, "password": WRONG})
        fragment = admin.client.get(watched, headers={"HX-Request": "true"})
        assert fragment.headers["HX-Redirect"] == watched
        page = text(admin.client.get(watched))
        assert "The connection test failed" in page
        assert "press Test and save again" in page
        assert WRONG not in page
        assert RedisDestination.objects.values().get() == before

        earlier = DestinationProbe.objects.get().public_id
        try_out(admin.client, destination, {"address": redis_server.address, "password": "", "earlier": earlier})
        assert probes.typed_secrets(DestinationProbe.objects.latest("pk")) == {"password": WRONG}
        try_out(admin.client, destination, {"address": redis_server.address, "password": ""})
        assert DestinationProbe.objects.latest("pk").state == DestinationProbe.State.PASSED

    def test_an_empty_secret_keeps_the_stored_one_and_a_ticked_one_goes(self, destination, redis_server, admin):
        secrets = {"password": redis_server.password, "clientKey": "KEY-TEXT", "clientCertificate": "PEM-TEXT"}
        destinations.update_credentials(destination, credentials=secrets, by=admin.actor, now=timezone.now())
        page = text(admin.client.get(address(destination)))
        assert "A value is set. Leave this empty to keep it." in page
        assert not [name for name in ("password", "clientKey", "clientCertificate") if secrets[name] in page]

        assert "Remove what is set" in page
        typed = {"address": redis_server.address, "forget": "clientKey"}
        try_out(admin.client, destination, typed)

        destination.refresh_from_db()
        assert destinations.credentials_of(destination) == {
            "password": redis_server.password,
            "clientCertificate": "PEM-TEXT",
        }

    def test_where_nothing_is_set_there_is_nothing_to_remove(self, destination, admin):
        for secrets in ({}, {"password": ""}):
            destinations.update_credentials(destination, credentials=secrets, by=admin.actor, now=timezone.now())
            assert "Remove what is set" not in text(admin.client.get(address(destination)))

    def test_another_place_is_refused_and_gets_no_stored_secret(self, destination, redis_server, admin):
        for typed in (
            {"address": "other.example.com:6379"},
            {"address": redis_server.address, "database": "3"},
            {"address": redis_server.address, "sentinelService": "mine"},
        ):
            answer = admin.client.post(address(destination), typed)
            assert answer.status_code == 422
            assert "Use Move to another place." in text(answer)
        typed = {"address": redis_server.address, "clusterMode": "on", "useJSONModule": "on"}
        try_out(admin.client, destination, typed)
        destination.refresh_from_db()
        assert not destination.settings["clusterMode"]
        assert not destination.settings["useJSONModule"]

    def test_secrets_that_nobody_can_decrypt_any_more_are_typed_anew(self, destination, redis_server, admin):
        RedisDestination.objects.update(credentials="unreadable")
        assert "A value is set." not in text(admin.client.get(address(destination)))
        try_out(admin.client, destination, {"address": redis_server.address, "password": redis_server.password})
        destination.refresh_from_db()
        assert destinations.credentials_of(destination) == {"password": redis_server.password}

    def test_another_persons_failed_try_lends_nobody_its_secrets(self, destination, redis_server, admin):
        probe = DestinationProbe.objects.get(
            public_id=try_out(admin.client, destination, {"address": redis_server.address, "password": WRONG}).split(
                "/"
            )[-1]
        )
        DestinationProbe.objects.update(requested_by_id=admin.user.pk + 1)
        page = text(admin.client.get(address(destination, "edit_probe", probe.public_id)))
        assert "The connection test failed" in page
        assert probe.public_id not in page.split("<form method")[-1].split("</form>")[0].replace(
            f"test/{probe.public_id}", ""
        )
        try_out(admin.client, destination, {"address": redis_server.address, "earlier": probe.public_id})
        assert DestinationProbe.objects.latest("pk").state == DestinationProbe.State.PASSED

    def test_a_try_for_something_else_lends_its_secrets_to_nothing_here(self, destination, redis_server, admin):
        other = connected(admin, redis_server, name="Other")
        try_out(admin.client, other, {"address": redis_server.address, "password": WRONG})
        elsewhere = DestinationProbe.objects.get()
        moving = DestinationProbe.objects.create(
            organisation=admin.organisation,
            destination=destination,
            purpose=DestinationProbe.Purpose.MOVE,
            settings=elsewhere.settings,
            credentials=elsewhere.credentials,
            requested_by_id=admin.user.pk,
            created_at=timezone.now() - timedelta(minutes=1),
        )
        for earlier in (elsewhere.public_id, moving.public_id):
            try_out(admin.client, destination, {"address": redis_server.address, "earlier": earlier})
            assert DestinationProbe.objects.latest("pk").state == DestinationProbe.State.PASSED


class TestRenaming:
    def test_gives_every_page_the_new_name(self, destination, admin, editor):
        assert editor.client.post(address(destination, "destination_name"), {"name": "Mine"}).status_code == 403
        answer = admin.client.post(address(destination, "destination_name"), {"name": " Web shop "}, follow=True)
        assert "Web shop" in text(answer)
        [row] = AuditEvent.objects.filter(action="destination_renamed")
        assert (row.target, row.details) == ("Web shop", {"from": "Customers"})

    def test_refuses_a_name_that_another_one_has(self, destination, redis_server, admin):
        connected(admin, redis_server, name="Other")
        answer = admin.client.post(address(destination, "destination_name"), {"name": "Other"})
        assert answer.status_code == 422
        assert "already has a destination called Other" in text(answer)
        assert 'id="id_name_error"' in text(answer)
        assert admin.client.post(address(destination, "destination_name"), {"name": "Customers"}).status_code == 303
        assert not AuditEvent.objects.filter(action="destination_renamed").exists()

    def test_names_the_other_place_as_well_while_it_moves(self, activation, destination, admin):
        settings = {"address": "elsewhere.example.com:6379"}
        RedisDestination.every_place.create(
            organisation=admin.organisation, name="Customers", settings=settings, other_place_of=destination
        )
        admin.client.post(address(destination, "destination_name"), {"name": "Moved"})
        assert set(RedisDestination.every_place.values_list("name", flat=True)) == {"Moved"}


class TestDeleting:
    def test_names_the_projects_and_sources_that_hold_it(self, activation, project, destination, admin):
        page = text(admin.client.get(address(destination, "destination_delete")))
        assert "Not yet: it is still used" in page
        assert "Its sync is on." in page
        assert reverse("activation:disable", args=["acme", project.slug]) in page
        for source in Source.objects.all():
            assert reverse("activation:source", args=["acme", source.public_id]) in page
        assert "Yes, delete" not in page

        answer = admin.client.post(address(destination, "destination_delete"), {"name": "Customers"})
        assert answer.status_code == 422
        assert "Customers is still used." in text(answer)
        assert RedisDestination.objects.exists()

    def test_a_source_that_is_not_synced_any_more_holds_it_as_well(self, activation, project, destination, admin):
        enabling.disable(project, by=admin.actor, now=timezone.now())
        Source.objects.filter(id_type="email").update(status=Source.Status.REMOVED)
        page = text(admin.client.get(address(destination, "destination_delete")))
        assert "Its sync is on." not in page
        assert "features_by_salesforce_id by salesforce_id" in page
        assert "features_by_email" not in page
        left = Source.objects.get(id_type="salesforce_id")
        assert reverse("activation:remove_source", args=["acme", left.public_id]) in page
        removal = removals.start(left, by=admin.actor, now=timezone.now())
        way_out = reverse("activation:leave_source", args=["acme", left.public_id])
        page = text(admin.client.get(address(destination, "destination_delete")))
        assert "is being removed. Wait until that is done." in page
        assert way_out not in page
        SyncRun.objects.filter(pk=removal.pk).update(state="failed")
        page = text(admin.client.get(address(destination, "destination_delete")))
        assert "Wait until that is done." not in page
        assert way_out in page

    def test_an_open_move_holds_it(self, activation, destination, admin, monkeypatch):
        monkeypatch.setattr(moves, "verify", lambda *_, **__: None)
        elsewhere = {"address": "elsewhere.example.com:6379"}
        moves.start(destination, settings=elsewhere, credentials={}, by=admin.actor, now=timezone.now())
        Activation.objects.update(enabled=False)
        Source.objects.update(status=Source.Status.REMOVED)
        page = text(admin.client.get(address(destination, "destination_delete")))
        assert "Being moved" in page
        assert address(destination, "move") in page

    def test_one_that_nothing_holds_goes_after_its_name_was_typed(self, activation, destination, admin, editor):
        Activation.objects.update(enabled=False)
        Source.objects.update(status=Source.Status.REMOVED)
        suppressions.suppress(destination, ["a:b:user:email:x"], by=admin.actor, now=timezone.now())
        page = text(admin.client.get(address(destination, "destination_delete")))
        assert "1</span> suppression goes with it" in page
        assert editor.client.post(address(destination, "destination_delete")).status_code == 403
        wrong = admin.client.post(address(destination, "destination_delete"), {"name": "Custom"})
        assert "This is not its name." in text(wrong)
        assert RedisDestination.objects.exists()

        answer = admin.client.post(address(destination, "destination_delete"), {"name": "Customers"}, follow=True)

        assert "Customers is deleted." in text(answer)
        assert not RedisDestination.objects.exists()
        assert not Suppression.objects.exists()
        assert AuditEvent.objects.get(action="destination_deleted").target == "Customers"

    def test_its_page_offers_what_the_person_may_do(self, destination, admin, viewer):
        for name in ("edit", "destination_name", "destination_delete"):
            assert address(destination, name) in text(admin.client.get(address(destination, "destination")))
            assert address(destination, name) not in text(viewer.client.get(address(destination, "destination")))
