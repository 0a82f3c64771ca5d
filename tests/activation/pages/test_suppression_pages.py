"""Suppressions on pages: listed without anybody's id, looked up by a typed one, lifted; and the projects' policy."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEvent
from activation import suppressions
from activation.models import Activation, DeletedProfilesPolicy, DirtyId, RedisDestination, Source, Suppression
from tests.activation.conftest import connected

PERSON = "jane.doe@example.com"


def text(response) -> str:
    return " ".join(response.content.decode().split())


def address(destination: RedisDestination) -> str:
    return reverse("activation:suppressions", args=["acme", destination.public_id])


def asked(value: str = PERSON, **more: str) -> dict[str, str]:
    return {"entity": "user", "id_type": "email", "value": value, **more}


def suppress(destination: RedisDestination, *values: str, by, **wanted) -> list[Suppression]:
    keys = [f"{destination.workspace_id}:{destination.public_id}:user:email:{value}" for value in values]
    now = wanted.get("now", timezone.now())
    made = suppressions.suppress(destination, keys, by=by.actor, now=now)
    if wanted.get("settled", True):
        suppressions.settle(made, written=(), now=now)
    return list(Suppression.objects.filter(pk__in=made.ids).order_by("sequence"))


@pytest.mark.usefixtures("activation")
class TestTheList:
    def test_is_empty_at_first_and_says_when_it_will_not_be(self, destination, admin):
        page = text(admin.client.get(address(destination)))
        assert "None yet" in page
        assert "<table" not in page

    def test_tells_state_time_and_person_and_nobodys_id(self, destination, admin):
        [done] = suppress(destination, PERSON, by=admin, now=timezone.now() - timedelta(minutes=3))
        [waiting] = suppress(destination, "john@example.com", by=admin, settled=False)
        [lifted] = suppress(destination, "joan@example.com", by=admin)
        Suppression.objects.filter(pk=lifted.pk).update(lifted_at=timezone.now())

        page = text(admin.client.get(address(destination)))

        rows = page.split("<tbody>")[1].split("<tr>")[1:]
        for row, suppression, word in zip(
            rows, (lifted, waiting, done), ("Lifted", "Waits for Redis", "Deleted"), strict=True
        ):
            assert suppression.digest[:12] in row
            assert word in row
            assert admin.actor.name in row
        assert "3 minutes ago" in rows[2]
        assert '2</span> profiles kept out, <span class="number">1</span> of them still to be deleted' in page
        assert "example.com:" not in page
        assert PERSON not in page
        assert done.digest not in page

    def test_has_pages(self, destination, admin):
        suppress(destination, *(f"person{number}" for number in range(51)), by=admin)
        first = text(admin.client.get(address(destination)))
        assert "1–50 of" in first  # noqa: RUF001 - as shown
        assert first.count("<code>") == 50
        assert text(admin.client.get(address(destination), {"page": 2})).count("<code>") == 1

    def test_is_for_admins_and_its_tab_too(self, destination, admin, editor):
        assert editor.client.get(address(destination)).status_code == 403
        sources = reverse("activation:destination_sources", args=["acme", destination.public_id])
        assert address(destination) in text(admin.client.get(sources))
        assert address(destination) not in text(editor.client.get(sources))


@pytest.mark.usefixtures("activation")
class TestLookingUp:
    def test_says_that_a_profile_is_suppressed_and_since_when(self, destination, admin):
        [suppression] = suppress(destination, PERSON, by=admin, now=timezone.now() - timedelta(minutes=3))
        answer = admin.client.post(address(destination), asked())
        assert answer.status_code == 200
        page = text(answer)
        assert "Suppressed" in page
        assert suppression.digest[:12] in page
        assert "Since" in page
        assert "no-store" in answer.headers["Cache-Control"]

    def test_says_that_a_profile_is_not_suppressed(self, destination, admin):
        suppress(destination, PERSON, by=admin)
        for other in (asked("john@example.com"), asked(id_type="salesforce_id"), asked(f" {PERSON}")):
            page = text(admin.client.post(address(destination), other))
            assert "Not suppressed" in page
            assert "Yes, lift it" not in page

    def test_finds_an_id_as_sources_normalise_it(self, destination, admin):
        suppress(destination, PERSON, by=admin)
        Source.objects.filter(id_type="email").update(normalisation=["trim", "lower"])
        assert "Yes, lift it" in text(admin.client.post(address(destination), asked(f" {PERSON.title()}")))

    def test_leaves_the_typed_id_nowhere_but_in_the_field_it_was_typed_into(self, destination, admin, caplog, capsys):
        suppress(destination, PERSON, by=admin)
        page = text(admin.client.post(address(destination), asked()))
        assert page.count(PERSON) == 1
        assert f'value="{PERSON}"' in page
        assert PERSON not in caplog.text
        assert PERSON not in "".join(capsys.readouterr())
        [row] = AuditEvent.objects.filter(action="suppression_looked_up")
        assert row.details == {"suppressions": 1}
        assert PERSON not in str(AuditEvent.objects.values_list())
        # As an address it is nothing: an id in one would be in logs and histories.
        assert PERSON not in text(admin.client.get(address(destination), asked()))

    def test_wants_all_three_and_says_so_at_the_field(self, destination, admin):
        answer = admin.client.post(address(destination), {"entity": "user", "id_type": "", "value": ""})
        assert answer.status_code == 422
        page = text(answer)
        assert 'id="id_id_type_error"' in page
        assert 'id="id_value_error"' in page
        assert not AuditEvent.objects.filter(action="suppression_looked_up").exists()

    def test_another_destinations_suppressions_do_not_count(self, destination, redis_server, admin):
        other = connected(admin, redis_server, name="Other")
        suppress(other, PERSON, by=admin)
        assert "Not suppressed" in text(admin.client.post(address(destination), asked()))


@pytest.mark.usefixtures("activation")
class TestLifting:
    def lift(self, client, destination: RedisDestination, typed: dict[str, str]):
        """Press the button that a look-up of the person showed, with what is in the form by then."""
        page = client.post(address(destination), asked()).content.decode()
        name = page.split('name="lift"')[1].split('value="')[1].split('"')[0]
        return client.post(address(destination), {**typed, "lift": name})

    def test_lets_the_profile_return_with_the_next_sync(self, destination, admin):
        suppress(destination, PERSON, by=admin)

        answer = self.lift(admin.client, destination, asked())

        assert (answer.status_code, answer.url) == (303, address(destination))
        assert Suppression.objects.get().lifted_at is not None
        assert DirtyId.objects.get().reason == DirtyId.Reason.LIFTED
        page = text(admin.client.get(answer.url))
        assert "The suppression is lifted." in page
        assert PERSON not in page
        [row] = AuditEvent.objects.filter(action="suppression_lifted")
        assert row.details == {"suppressions": 1}

    def test_lifts_only_what_was_shown(self, destination, admin):
        suppress(destination, PERSON, by=admin)
        suppress(destination, "john@example.com", by=admin)

        answer = self.lift(admin.client, destination, asked("john@example.com"))

        assert answer.status_code == 200
        assert "Suppressed" in text(answer)
        assert not Suppression.objects.exclude(lifted_at=None).exists()

    def test_is_not_for_editors(self, destination, admin, editor):
        suppress(destination, PERSON, by=admin)
        assert editor.client.post(address(destination), asked(lift="1")).status_code == 403
        assert Suppression.objects.get().lifted_at is None


class TestThePolicy:
    @pytest.fixture
    def page(self, project) -> str:
        return reverse("activation:deleted_profiles", args=["acme", project.slug])

    def test_is_shown_to_all_and_changed_by_admins(self, activation, project, page, admin, editor):
        assert "Deleted profiles stay deleted." in text(editor.client.get(page))
        assert editor.client.post(page, {"policy": "may_return"}).status_code == 403
        assert admin.client.post(page, {"policy": "never"}).status_code == 422

        assert admin.client.post(page, {"policy": "may_return"}).status_code == 303

        assert Activation.objects.get().deleted_profiles == DeletedProfilesPolicy.MAY_RETURN
        assert not suppressions.stand(activation.destination_id)
        [row] = AuditEvent.objects.filter(action="deleted_profiles_changed")
        assert (row.target, row.details) == (project.name, {"policy": "may_return"})
        settings = reverse("activation:settings", args=["acme", project.slug])
        assert "Deleted profiles may return with the next sync" in text(admin.client.get(settings))

    def test_says_which_other_project_keeps_them_deleted(self, activation, bare_project, page, admin):
        Activation.objects.update(deleted_profiles=DeletedProfilesPolicy.MAY_RETURN)
        assert "all the same" not in text(admin.client.get(page))
        Activation.objects.create(project=bare_project, destination=activation.destination, enabled_by="Ada")
        shown = text(admin.client.get(page))
        assert "Deleted profiles stay deleted all the same" in shown
        assert reverse("activation:deleted_profiles", args=["acme", bare_project.slug]) in shown

    def test_leads_back_to_the_switch_where_nothing_was_turned_on(self, bare_project, admin):
        answer = admin.client.get(reverse("activation:deleted_profiles", args=["acme", bare_project.slug]))
        assert (answer.status_code, answer.url) == (
            303,
            reverse("activation:settings", args=["acme", bare_project.slug]),
        )
