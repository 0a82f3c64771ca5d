"""The guard on pages: an Admin decides what becomes of a sync that would delete too much."""

import pytest
from django.urls import reverse

from accounts.models import AuditEvent
from activation.models import Activation, GuardChoice, RunState, Source, SyncRun


def text(response) -> str:
    return " ".join(response.content.decode().split())


def address(run: SyncRun, name: str = "run") -> str:
    return reverse(f"activation:{name}", args=["acme", run.public_id])


@pytest.fixture
def stopped(activation: Activation) -> SyncRun:
    """A run that the guard stopped, of a source with 10,000 profiles."""
    run = SyncRun.objects.get(source__id_type="email")
    Source.objects.filter(pk=run.source_id).update(base_snapshot="a_base", base_rows=10_000)
    SyncRun.objects.filter(pk=run.pk).update(
        state=RunState.FAILED,
        error_code="needs_confirmation",
        error="This sync would delete 9,000 of 10,000 profiles (90 %).",
        base_snapshot="a_base",
        rows_in_view=1000,
        deletes_planned=9000,
    )
    return SyncRun.objects.select_related("source").get(pk=run.pk)


def test_an_admin_is_led_to_the_choice_and_nobody_else(stopped, admin, editor):
    assert address(stopped, "confirm") in text(admin.client.get(address(stopped)))
    assert address(stopped, "confirm") not in text(editor.client.get(address(stopped)))
    page = text(admin.client.get(address(stopped, "confirm")))
    assert "This sync would delete 9,000 of 10,000 profiles (90 %)." in page
    assert "9,000" in page
    assert editor.client.post(address(stopped, "confirm"), {"choice": "delete"}).status_code == 403


@pytest.mark.parametrize("choice", GuardChoice)
def test_a_choice_starts_the_sync_that_it_is_for(stopped, admin, choice):
    answer = admin.client.post(address(stopped, "confirm"), {"choice": choice})
    run = SyncRun.objects.latest("pk")
    assert (answer.status_code, answer.url) == (303, address(run))
    assert run.pk != stopped.pk
    source = Source.objects.get(pk=stopped.source_id)
    assert (source.confirmed_choice, source.confirmed_base, source.confirmed_deletes) == (choice, "a_base", 9000)
    assert AuditEvent.objects.get(action="sync.deletes_confirmed").details["choice"] == choice


def test_nothing_is_chosen_by_default(stopped, admin):
    answer = admin.client.post(address(stopped, "confirm"))
    assert answer.status_code == 422
    assert "Choose what to do." in text(answer)
    assert "checked" not in text(answer)
    assert Source.objects.get(pk=stopped.source_id).confirmed_choice == ""


def test_a_choice_that_comes_too_late_changes_nothing(stopped, admin):
    Source.objects.filter(pk=stopped.source_id).update(base_snapshot="a_later_base")
    assert address(stopped, "confirm") not in text(admin.client.get(address(stopped)))
    answer = admin.client.post(address(stopped, "confirm"), {"choice": "delete"}, follow=True)
    assert "does not wait for a confirmation any more" in text(answer)
    assert Source.objects.get(pk=stopped.source_id).confirmed_choice == ""


def test_the_limits_are_shown_to_all_and_changed_by_admins(activation, project, admin, editor):
    page = reverse("activation:guard", args=["acme", project.slug])
    assert "more than 30 % of the profiles" in text(editor.client.get(page))
    assert editor.client.post(page, {"percent": 50, "rows": 10}).status_code == 403
    assert admin.client.post(page, {"percent": 101, "rows": 10}).status_code == 422
    assert admin.client.post(page, {"percent": 50, "rows": 10}).status_code == 303
    changed = Activation.objects.get()
    assert (changed.guard_percent, changed.guard_rows) == (50, 10)
    assert AuditEvent.objects.get(action="guard_changed").details == {"percent": 50, "rows": 10}
    assert "more than 50 %" in text(admin.client.get(reverse("activation:settings", args=["acme", project.slug])))


def test_a_sync_that_was_stopped_afterwards_does_not_hide_the_choice(stopped, admin):
    SyncRun.objects.create(source=stopped.source, trigger=SyncRun.Trigger.PERSON, state=RunState.CANCELLED)

    page = text(admin.client.get(reverse("activation:settings", args=["acme", stopped.source.activation.project.slug])))

    assert "Needs confirmation" in page
    assert address(stopped) in page
    assert address(stopped, "confirm") in text(admin.client.get(address(stopped)))
    admin.client.post(address(stopped, "confirm"), {"choice": "delete"})
    confirmed = SyncRun.objects.latest("pk")
    SyncRun.objects.filter(pk=confirmed.pk).update(state=RunState.CANCELLED)
    page = text(admin.client.get(reverse("activation:settings", args=["acme", stopped.source.activation.project.slug])))
    assert "Needs confirmation" not in page  # it was decided; what was decided was stopped
