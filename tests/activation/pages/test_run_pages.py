"""What a run's page tells: its counts and why, the rows that failed, and ids only to who may see them."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts import vault
from accounts.actors import PermissionRefused
from accounts.models import AuditEvent
from activation import (
    dirty_ids,
    failed_ids,
    guard,
    run_outcomes,
    run_plans,
    run_snapshots,
    run_words,
    sync_log,
    syncs,
)
from activation.models import Activation, DirtyId, RunState, Source, SyncPartition, SyncRun
from activation.timetables import Manual
from tests.activation.pages.conftest import finished_run

IDS = [f"person{number}@example.com" for number in range(25)]


def text(response) -> str:
    return " ".join(response.content.decode().split())


def address(run: SyncRun, name: str = "run") -> str:
    return reverse(f"activation:{name}", args=["acme", run.public_id])


@pytest.fixture
def run(activation: Activation) -> SyncRun:
    """A run that succeeded but for some rows."""
    found = SyncRun.objects.get(source__id_type="email")
    now = timezone.now()
    SyncRun.objects.filter(pk=found.pk).update(
        state=RunState.SUCCEEDED,
        full_reason="columns_changed",
        warnings=["sync_log_not_written"],
        snapshot_at=now - timedelta(seconds=4),
        loading_at=now - timedelta(seconds=3),
        finishing_at=now - timedelta(seconds=1),
        finished_at=now,
        rows_in_view=140,
        snapshot_rows=130,
        unchanged=30,
        kept_rows=4,
        invalid_ids=5,
        rows_planned=100,
        written=74,
        failed=26,
    )
    SyncPartition.objects.create(
        run=found,
        number=0,
        state="done",
        rows_planned=100,
        written=74,
        failed=26,
        failures={"too_large": 25, "wrong_type": 1},
        started_at=now - timedelta(seconds=3),
        finished_at=now - timedelta(seconds=1),
    )
    Source.objects.filter(pk=found.source_id).update(base_run=found)
    for number, email in enumerate([*IDS, "other@example.com"]):
        reason = "too_large" if number < 25 else "wrong_type"
        DirtyId.objects.create(source=found.source, run=found, reason=reason, encrypted_id=vault.encrypt(email))
    return SyncRun.objects.select_related("source").get(pk=found.pk)


def test_it_tells_every_count_and_why_it_was_full(run, viewer):
    page = text(viewer.client.get(address(run)))
    assert "A full sync: the view&#x27;s columns changed." in page
    assert "The sync log could not be written" in page
    for name, count in (("Unchanged", 30), ("In the snapshot", 130), ("Invalid", 5), ("Kept", 4), ("Failed", 26)):
        told = rf'<th scope="row"> {name} <br> <span [^>]+>[^<]+</span> </th> <td class="right"><span [^>]+>{count}<'
        assert re.search(told, page), name
    assert "Loaded at 50 rows/s." in page
    assert ": 25; The key holds something other than a hash, written by someone else: 1" in page
    assert "2 s" in page


def test_ids_that_failed_are_shown_as_digests_at_most_twenty_for_a_reason(run, viewer):
    page = text(viewer.client.get(address(run)))
    digests = re.findall(r"<code>([0-9a-f]{12})</code>", page)
    assert len(digests) == 21
    assert len(set(digests)) == 21
    assert "@example.com" not in page
    assert "Show ids" not in page


def test_a_digest_is_the_same_in_every_run_and_keyed(run, viewer, settings):
    first = failed_ids.digests(run)
    assert failed_ids.digests(run) == first
    settings.SUPPRESSION_KEYS = {9: b"n" * 32}
    assert failed_ids.digests(run) != first


def test_who_may_see_personal_data_sees_ids_and_that_is_written_down(run, admin, editor):
    assert "Show ids" in text(admin.client.get(address(run)))
    assert not AuditEvent.objects.filter(action="failed_ids_seen").exists()

    answer = admin.client.get(address(run, "failed_ids"))
    page = text(answer)
    assert [email in page for email in IDS] == [True] * 20 + [False] * 5
    assert "other@example.com" in page
    assert "The first 20 of" in page
    assert "no-store" in answer["Cache-Control"]
    [event] = AuditEvent.objects.filter(action="failed_ids_seen")
    assert (event.actor, event.target_id) == ("ada@acme.example", run.public_id)
    assert event.details == {"too_large": 20, "wrong_type": 1}
    assert "@example.com" not in str(event.details)

    assert editor.client.get(address(run, "failed_ids")).status_code == 403
    with pytest.raises(PermissionRefused):
        failed_ids.in_clear(run, by=editor.actor, now=timezone.now())
    assert AuditEvent.objects.filter(action="failed_ids_seen").count() == 1


def test_ids_that_a_later_run_handled_are_gone(run, admin):
    DirtyId.objects.all().delete()
    page = text(admin.client.get(address(run)))
    assert "Handled by a later sync" in page
    assert "Show ids" not in page
    assert "None is kept any more" in text(admin.client.get(address(run, "failed_ids")))


def test_ids_that_cannot_be_decrypted_break_no_page(run, admin, settings):
    settings.ENCRYPTION_KEYS = {9: b"n" * 32}
    assert "Rows that failed" in text(admin.client.get(address(run)))
    assert "cannot be decrypted" in text(admin.client.get(address(run, "failed_ids")))


def test_a_run_that_the_guard_stopped_waits_for_a_confirmation_everywhere(run, project, viewer):
    SyncRun.objects.filter(pk=run.pk).update(
        state=RunState.FAILED, error_code=guard.CODE, error="It would delete 90 of 100 profiles."
    )
    page = text(viewer.client.get(address(run)))
    assert "Needs confirmation" in page
    assert "An Admin decides." in page
    switch = text(viewer.client.get(reverse("activation:settings", args=["acme", project.slug])))
    assert "It would delete 90 of 100 profiles." in switch
    assert address(run) in switch
    overview = text(viewer.client.get(reverse("accounts:overview", args=["acme"])))
    assert "Needs confirmation" in overview


def test_a_source_that_is_behind_says_since_when_and_is_out_of_date_after_a_day(run, project, viewer, activation):
    SyncRun.objects.update(state=RunState.SUCCEEDED, profiles_run=None)
    Source.objects.update(base_run=run)
    Activation.objects.update(enabled_at=timezone.now() - timedelta(days=9))
    SyncRun.objects.update(snapshot_at=timezone.now() - timedelta(days=3))
    newest = finished_run(project, seq_no=99)
    type(newest).objects.filter(seq_no=12).delete()
    page = text(viewer.client.get(reverse("activation:settings", args=["acme", project.slug])))
    assert "Behind" in page
    assert "A sync was due" in page

    type(newest).objects.update(finished_at=timezone.now() - timedelta(hours=25))
    page = text(viewer.client.get(reverse("activation:settings", args=["acme", project.slug])))
    assert "Out of date" in page
    overview = text(viewer.client.get(reverse("accounts:overview", args=["acme"])))
    assert "Out of date" in overview


def test_every_code_of_a_run_has_words():
    asked_for = {syncs.REQUESTED, failed_ids.OWED, dirty_ids.TOO_MANY, run_outcomes.LOST_DATA}
    assert asked_for | {"view_moved", "view_returned"} <= set(run_plans.REASONS)
    assert {sync_log.WARNING, run_snapshots.RECONCILE} <= set(run_words.WARNINGS)
    failing = {DirtyId.Reason.WRONG_TYPE, DirtyId.Reason.TOO_LARGE, DirtyId.Reason.UNENCODABLE}
    assert {str(reason) for reason in failing} == set(run_words.FAILURES)
    longest = SyncRun._meta.get_field("full_reason").max_length or 0
    assert [code for code in run_plans.REASONS if len(code) > longest] == []


def test_a_code_without_words_is_shown_as_it_is():
    assert (run_words.why_full("new_thing"), run_words.failure("new_thing")) == ("new thing", "new thing")
    assert run_words.warning("Said in words.") == "Said in words."


class TestIdsThatNoRunHandledForWeeks:
    LATER = timedelta(days=36)

    def test_go_in_two_steps_so_that_a_full_run_follows(self, run):
        SyncRun.objects.update(state=RunState.SUCCEEDED)
        failed_ids.expire(now=timezone.now() + self.LATER)
        assert Source.objects.get(pk=run.source_id).full_next == failed_ids.OWED
        assert DirtyId.objects.count() == 26
        failed_ids.expire(now=timezone.now() + self.LATER)
        assert not DirtyId.objects.exists()

    def test_stay_while_a_run_is_active(self, run):
        SyncRun.objects.update(state=RunState.SUCCEEDED)
        failed_ids.expire(now=timezone.now() + self.LATER)
        SyncRun.objects.filter(pk=run.pk).update(state=RunState.LOADING)
        failed_ids.expire(now=timezone.now() + self.LATER)
        assert DirtyId.objects.count() == 26

    def test_stay_when_a_run_took_the_note_away(self, run):
        SyncRun.objects.update(state=RunState.SUCCEEDED)
        failed_ids.expire(now=timezone.now() + self.LATER)
        Source.objects.update(full_next="")
        failed_ids.expire(now=timezone.now() + self.LATER)
        assert DirtyId.objects.count() == 26

    def test_stay_before_their_time(self, run):
        Activation.objects.update(schedule=Manual().as_kept())
        SyncRun.objects.update(state=RunState.SUCCEEDED)
        for _ in range(2):
            failed_ids.expire(now=timezone.now() + timedelta(days=34))
        assert DirtyId.objects.count() == 26
        assert Source.objects.get(pk=run.source_id).full_next == ""


def test_a_run_of_thousands_of_partitions_is_shown_in_a_few_queries(run, viewer, django_assert_max_num_queries):
    SyncPartition.objects.bulk_create(SyncPartition(run=run, number=number) for number in range(1, 1000))
    viewer.client.get("/o/acme/")  # a browser's first page of all notes where somebody is logged in
    with django_assert_max_num_queries(20):
        page = text(viewer.client.get(address(run)))
    assert "Partitions (1,000)" in page
    assert "800</span> more are not shown." in page


def test_a_source_is_not_in_step_while_rows_fail_or_profiles_stay_that_the_view_has_not(run, viewer):
    page = reverse(
        "activation:settings", kwargs={"organisation": "acme", "project": run.source.activation.project.slug}
    )
    assert "Rows failed" in text(viewer.client.get(page))
    SyncRun.objects.filter(pk=run.pk).update(failed=0)
    assert "Keeps profiles" in text(viewer.client.get(page))
    SyncRun.objects.filter(pk=run.pk).update(kept_rows=0)
    assert not any(words in text(viewer.client.get(page)) for words in ("Rows failed", "Keeps profiles"))


@pytest.mark.parametrize("state", [RunState.LOADING, RunState.CANCELLED, RunState.FAILED])
def test_what_was_written_is_told_before_a_run_ends_and_also_when_it_ends_early(run, viewer, state):
    SyncRun.objects.filter(pk=run.pk).update(state=state, written=0, failed=0)
    source = reverse("activation:source", kwargs={"organisation": "acme", "source": run.source.public_id})
    assert '<td class="right"><span class="number">74<' in text(viewer.client.get(source))
    assert '<td class="right"><span class="number">74<' in text(viewer.client.get(address(run)))


def test_a_run_that_is_held_up_says_why_in_place_of_how_long_it_will_take(run, viewer):
    SyncRun.objects.filter(pk=run.pk).update(state=RunState.LOADING, loading_at=timezone.now() - timedelta(minutes=1))
    waiting = {"state": "waiting", "rows_planned": 10_000, "written": 500}
    SyncPartition.objects.filter(run=run).update(**waiting, error_code="")
    assert re.search(r"\d (s|min) left", text(viewer.client.get(address(run))))

    SyncPartition.objects.filter(run=run).update(**waiting, error_code="unreachable")

    page = text(viewer.client.get(address(run)))
    assert "Nothing is written at the moment (unreachable). It is tried again by itself." in page
    assert not re.search(r"\d (s|min) left", page)


def test_a_partition_whose_worker_is_silent_says_so(run, admin):
    SyncRun.objects.filter(pk=run.pk).update(state=RunState.LOADING, finishing_at=None, finished_at=None)
    SyncPartition.objects.filter(run=run).delete()
    partition = SyncPartition.objects.create(
        run=run, number=0, state="loading", started_at=timezone.now(), heartbeat_at=timezone.now()
    )
    assert "has not answered" not in text(admin.client.get(address(run)))

    SyncPartition.objects.filter(pk=partition.pk).update(heartbeat_at=timezone.now() - timedelta(seconds=12))
    assert re.search(r"its worker has not answered for 1[2-4] s", text(admin.client.get(address(run))))
    SyncPartition.objects.filter(pk=partition.pk).update(heartbeat_at=None)
    assert "to be loaded again" in text(admin.client.get(address(run)))


def test_a_source_that_was_removed_tells_when_its_last_good_sync_was(run, admin):
    SyncRun.objects.create(
        source=run.source,
        kind=SyncRun.Kind.REMOVAL,
        trigger=SyncRun.Trigger.PERSON,
        state=RunState.SUCCEEDED,
        finished_at=timezone.now(),
    )
    Source.objects.update(status=Source.Status.REMOVED, base_run=None)
    SyncRun.objects.filter(pk=run.pk).update(finished_at=timezone.now() - timedelta(minutes=7))
    page = text(admin.client.get(reverse("activation:settings", args=["acme", run.source.activation.project.slug])))
    assert "7 minutes ago" in page
