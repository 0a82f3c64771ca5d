"""The overview: what needs somebody, where each project stands and what is asked of it, and the first steps."""

import html
import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts import tokens, trial_tokens
from accounts.models import PersonalAccessToken
from accounts.roles import Role
from activation import overviews
from activation.models import (
    Activation,
    AlertSettings,
    RedisDestination,
    RunState,
    Source,
    Suppression,
    SyncPartition,
    SyncRun,
    UsageHour,
)
from projects.models import ProfilesRun, Project, RunOrigin, RunStatus, Warehouse
from tests.activation.pages.conftest import finished_run
from tests.cast import Member

OVERVIEW = reverse("accounts:overview", kwargs={"organisation": "acme"})
HIDE = reverse("activation:first_steps", kwargs={"organisation": "acme"})


def text(response: Any) -> str:
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split()))


def see(member: Member, query: str = "") -> str:
    return text(member.client.get(OVERVIEW + query))


def synced(source: Source, **values: Any) -> SyncRun:
    """Let the newest run of a source have ended, well unless told otherwise."""
    now = timezone.now()
    SyncRun.objects.filter(source=source).delete()
    ended: dict[str, Any] = {"state": RunState.SUCCEEDED, "finished_at": now, "snapshot_at": now, **values}
    run = SyncRun.objects.create(source=source, trigger=SyncRun.Trigger.PERSON, **ended)
    if run.state == RunState.SUCCEEDED:
        newest = ProfilesRun.objects.filter(project=source.activation.project).order_by("-finished_at").first()
        Source.objects.filter(pk=source.pk).update(base_run=run, base_rows=100, seen_profiles_run=newest)
    return run


def asked(destination: RedisDestination, *, at: datetime | None = None, **counts: int) -> None:
    """Let applications have asked for users by e-mail."""
    hour = (at or timezone.now()).replace(minute=0, second=0, microsecond=0)
    UsageHour.objects.create(destination=destination, token=1, entity="user", id_type="email", hour=hour, **counts)


def sources(activation: Activation) -> list[Source]:
    return list(activation.sources.order_by("pk"))


@pytest.fixture
def in_step(activation: Activation) -> Activation:
    """The project's two sources were synced just now."""
    for source in sources(activation):
        synced(source)
    return activation


class TestTheProjects:
    def test_one_in_step_shows_its_state_profiles_and_what_was_asked_in_the_last_day(self, in_step, viewer):
        asked(in_step.destination, requests=8, hits=6, misses=2)
        asked(in_step.destination, at=timezone.now() - timedelta(days=2), requests=1000, hits=1000)

        page = see(viewer)

        assert "Customer 360 In step 200 just now 8 75 % Customers" in page
        assert "Profiles served 200 Requests, last day 8 Found a profile 75 %" in page

    def test_one_that_was_never_turned_on_leads_to_the_switch(self, bare_project, admin):
        page = admin.client.get(OVERVIEW).content.decode()

        assert f'href="/o/acme/projects/{bare_project.slug}/settings/activation">Enable sync to Redis' in page

    def test_those_of_another_organisation_are_not_on_it(self, in_step, outsider):
        path = reverse("accounts:overview", kwargs={"organisation": outsider.organisation.slug})
        page = text(outsider.client.get(path))

        assert "Customer 360" not in page
        assert "0 of 8 are done" in page

    def test_are_found_by_name_state_and_destination(self, in_step, bare_project, admin):
        assert "Customer 360 In step" in see(admin, "?q=customers")
        assert "Bare Off" not in see(admin, "?q=in+STEP")
        assert "No project was found" in see(admin, "?q=elsewhere")

    def test_are_sorted_by_a_column_both_ways(self, in_step, bare_project, admin):
        lines = overviews.of(admin.actor, now=timezone.now()).lines
        for sort in overviews.SORTS:
            up = [line.project.name for line in overviews.found(lines, query="", sort=sort)]
            assert up == [line.project.name for line in overviews.found(lines, query="", sort=f"-{sort}")][::-1]
        assert [line.project.name for line in overviews.found(lines, query="", sort="state")] == [
            "Customer 360",
            "Bare",
        ]

    def test_come_twenty_five_a_page(self, warehouse, admin):
        many_projects(warehouse, 60)

        assert "1–25 of 60" in see(admin)  # noqa: RUF001 - as it is written
        assert "26–50 of 60" in see(admin, "?page=2")  # noqa: RUF001 - as it is written
        assert "51–60 of 60" in see(admin, "?page=99&sort=nonsense")  # noqa: RUF001 - as it is written


def many_projects(warehouse: Warehouse, count: int, *, destination: RedisDestination | None = None) -> None:
    """Create projects; with a destination, synced ones of which every kind of trouble befalls some."""
    now = timezone.now()
    for number in range(count):
        project = Project.objects.create(
            organisation=warehouse.organisation,
            warehouse=warehouse,
            output_schema="s",
            name=f"Project {number:03}",
            slug=f"project-{number:03}",
        )
        if destination is None:
            continue
        activation = Activation.objects.create(project=project, destination=destination, enabled_by="a@acme.example")
        AlertSettings.objects.create(
            activation=activation, webhook_url="https://a.example", webhook_secret="x", webhook_broken_since=now
        )
        source = Source.objects.create(
            activation=activation, destination=destination, entity=f"e{number}", id_type="email", feature_view="v"
        )
        old = now - timedelta(days=3)
        state = [RunState.SUCCEEDED, RunState.FAILED, RunState.LOADING][number % 3]
        synced(source, state=state, snapshot_at=old, queued_at=old, finished_at=old, loading_at=old)
        Activation.objects.filter(pk=activation.pk).update(enabled_at=old - timedelta(days=1))
        SyncPartition.objects.create(run=source.runs.get(), number=0, rows_planned=10)
        ProfilesRun.objects.create(
            project=project,
            status=RunStatus.FINISHED,
            origin=RunOrigin.REGISTRY,
            seq_no=1,
            finished_at=now - timedelta(days=2),
        )


def test_two_or_thirty_projects_cost_the_same_queries(
    warehouse, destination, admin, django_assert_max_num_queries, django_assert_num_queries
):
    many_projects(warehouse, 3, destination=destination)
    see(admin)  # the first request of a session writes it down
    with django_assert_max_num_queries(30) as few:
        see(admin)
    Source.objects.all().delete()
    Activation.objects.all().delete()
    Project.objects.all().delete()
    many_projects(warehouse, 30, destination=destination)

    with django_assert_num_queries(len(few)):
        page = see(admin)

    assert "A sync failed" in page
    assert "Out of date" in page


class TestWhatNeedsAttention:
    def test_is_nothing_while_all_is_well(self, in_step, admin):
        asked(in_step.destination, requests=1, hits=1)
        admin.token(Role.ADMIN)

        page = see(admin)

        assert "Nothing needs attention" in page
        assert "Needs attention" not in page
        assert "First steps" not in page

    def test_is_a_sync_that_failed_with_its_reason(self, in_step, viewer):
        run = synced(sources(in_step)[0], state=RunState.FAILED, error_code="auth", error="Redis refused the password.")

        page = viewer.client.get(OVERVIEW)

        assert "A sync failed Customer 360 features_by_email: Redis refused the password. just now" in text(page)
        assert reverse("activation:run", args=["acme", run.public_id]) in page.content.decode()

    def test_tells_of_sources_with_the_same_trouble_once(self, in_step, viewer):
        for source in sources(in_step):
            synced(source, state=RunState.FAILED, error_code="auth", error="Redis refused the password.")

        assert see(viewer).count("2 feature views: Redis refused the password.") == 1

    def test_is_a_sync_that_waits_for_an_admin(self, in_step, admin, viewer):
        run = synced(
            sources(in_step)[0], state=RunState.FAILED, error_code="needs_confirmation", error="It would delete 90 %."
        )
        confirm = reverse("activation:confirm", args=["acme", run.public_id])

        assert "Needs confirmation Customer 360 features_by_email: It would delete 90 %." in see(viewer)
        assert confirm in admin.client.get(OVERVIEW).content.decode()
        assert confirm not in viewer.client.get(OVERVIEW).content.decode()

    def test_is_a_sync_that_was_due_a_day_ago(self, in_step, viewer):
        old = timezone.now() - timedelta(days=3)
        Activation.objects.update(enabled_at=old - timedelta(days=1))
        SyncRun.objects.update(snapshot_at=old, queued_at=old, finished_at=old)
        ProfilesRun.objects.update(finished_at=old)
        run = finished_run(in_step.project, seq_no=13)
        ProfilesRun.objects.filter(pk=run.pk).update(finished_at=timezone.now() - timedelta(hours=25))

        assert "Out of date Customer 360 2 feature views: A sync was due and has not been done." in see(viewer)

    def test_are_rows_that_redis_refused(self, in_step, viewer):
        synced(sources(in_step)[0], failed=1200)

        assert "Rows failed Customer 360 Redis refused 1,200 rows." in see(viewer)

    def test_is_a_feature_view_that_left_the_specification(self, in_step, viewer):
        Source.objects.filter(pk=sources(in_step)[0].pk).update(status=Source.Status.RETIRED)

        assert "Left behind Customer 360 features_by_email: Not in pb_project.yaml any more" in see(viewer)

    def test_is_a_redis_that_applications_get_no_answer_from(self, in_step, viewer):
        asked(in_step.destination, requests=10, hits=7, errors=3)

        assert "Look-ups fail Customers 3 of 10 look-ups of the last two hours got no answer" in see(viewer)

    def test_is_no_redis_that_was_away_for_a_moment(self, in_step, viewer):
        asked(in_step.destination, requests=1_000, hits=991, errors=9)

        assert "Look-ups fail" not in see(viewer)

    def test_are_deletes_that_redis_does_not_take(self, in_step, viewer):
        Suppression.objects.create(
            destination=in_step.destination,
            sequence=1,
            digest="d",
            sealed_checksum=1,
            key_version=1,
            pending_key="x",
            requested_by="app",
            created_at=timezone.now() - timedelta(hours=1),
        )

        assert "Deletes wait Customers 1 deleted profiles are still in Redis" in see(viewer)

    def test_are_alerts_that_nobody_gets_for_those_who_set_them_up(self, in_step, admin, viewer):
        AlertSettings.objects.create(
            activation=in_step,
            webhook_url="https://a.example",
            webhook_secret="x",
            webhook_broken_since=timezone.now(),
        )

        assert "Alerts do not arrive Customer 360 The webhook does not take alerts." in see(admin)
        assert "Alerts do not arrive" not in see(viewer)

    def test_is_a_warehouse_that_cannot_be_asked(self, in_step, viewer):
        Project.objects.update(runs_problem="The warehouse refused the password.")

        assert "Warehouse not read Analytics The warehouse refused the password." in see(viewer)

    def test_is_a_profiles_run_that_failed(self, in_step, viewer):
        ProfilesRun.objects.create(
            project=in_step.project,
            status=RunStatus.FAILED,
            origin=RunOrigin.API,
            reference="r",
            finished_at=timezone.now() + timedelta(seconds=1),
        )

        assert "Profiles run failed Customer 360" in see(viewer)

    def test_is_a_project_that_is_on_and_lists_nothing(self, in_step, viewer):
        Source.objects.all().delete()

        assert "Nothing to sync Customer 360" in see(viewer)

    def test_is_ones_own_token_that_ends_and_everyones_for_admins(self, in_step, admin, editor):
        tokens.issue(
            name="Nightly job",
            role=Role.EDITOR,
            expires_at=timezone.now() + timedelta(days=3),
            by=editor.actor,
            now=timezone.now() - timedelta(days=80),
        )
        PersonalAccessToken.objects.update(created_at=timezone.now() - timedelta(days=80))

        assert "Token expires Nightly job" in see(editor)
        assert "Generate a new one : Nightly job" in see(editor)
        assert "See whose : Nightly job" in see(admin)
        PersonalAccessToken.objects.update(expires_at=timezone.now() - timedelta(days=1))
        assert "Nightly job" not in see(admin), "nobody used it"
        PersonalAccessToken.objects.update(last_used_at=timezone.now() - timedelta(days=2))
        assert "Token expired Nightly job What uses it is refused." in see(admin)

    def test_comes_worst_first_and_the_rest_is_folded(self, in_step, admin):
        Project.objects.update(runs_problem="The warehouse is away.")
        AlertSettings.objects.create(
            activation=in_step, webhook_url="https://a.example", webhook_secret="x", webhook_broken_since=timezone.now()
        )
        asked(in_step.destination, requests=1, errors=1)
        one, two = sources(in_step)
        synced(one, state=RunState.FAILED, error_code="needs_confirmation", error="Many deletes.")
        synced(two, state=RunState.FAILED, error_code="auth", error="Refused.")
        ProfilesRun.objects.create(
            project=in_step.project,
            status=RunStatus.FAILED,
            origin=RunOrigin.API,
            reference="r",
            finished_at=timezone.now() + timedelta(seconds=1),
        )

        words = [item.word for item in overviews.of(admin.actor, now=timezone.now()).items]

        assert words == [
            "Needs confirmation",
            "A sync failed",
            "Look-ups fail",
            "Warehouse not read",
            "Alerts do not arrive",
            "Profiles run failed",
        ]
        assert "Show 1 more" in see(admin)


class TestTheFirstSteps:
    def test_begin_with_the_warehouse(self, admin):
        page = see(admin)

        assert "0 of 8 are done" in page
        assert "Connect your warehouse next" in page

    def test_tick_themselves_one_by_one(self, admin, project, destination):
        def done() -> tuple[str, str]:
            [(count, following)] = re.findall(r"(\d) of 8 are done.*?([A-Z][^.]*?) next", see(admin))
            return count, following.split("done ")[-1]

        assert done() == ("3", "Pass the warehouse's check")
        Warehouse.objects.update(check_passed=True)
        assert done() == ("4", "Enable sync to Redis")
        activation = Activation.objects.create(project=project, destination=destination, enabled_by="a@acme.example")
        source = Source.objects.create(
            activation=activation, destination=destination, entity="user", id_type="email", feature_view="v"
        )
        assert done() == ("5", "Finish the first sync")
        synced(source)
        assert done() == ("6", "Generate a token")
        trial_tokens.issue(destination=destination.public_id, entity="user", by=admin.actor, now=timezone.now())
        assert done() == ("6", "Generate a token")
        admin.token(Role.ADMIN)
        assert done() == ("7", "Get the first profile from the API")
        assert (
            reverse("activation:try_it", args=["acme", destination.public_id])
            in admin.client.get(OVERVIEW).content.decode()
        )
        asked(destination, requests=1, misses=1)
        assert done() == ("7", "Get the first profile from the API")
        UsageHour.objects.update(hits=1)
        assert "First steps" not in see(admin)

    def test_say_who_does_what_ones_role_does_not_allow(self, viewer):
        page = see(viewer)

        assert "Your role does not allow it; ask an Admin." in page

    def test_say_that_a_check_failed(self, warehouse, admin):
        Warehouse.objects.update(check_passed=False)

        assert "The check failed. Its page says at which step" in see(admin)

    def test_are_hidden_and_shown_again_for_oneself(self, admin, viewer):
        answer = admin.client.post(HIDE, {"show": "0"}, follow=True)

        assert "of 8 are done" not in text(answer)
        assert "First: a warehouse" in text(answer)
        assert "of 8 are done" in see(viewer)
        assert "of 8 are done" in text(admin.client.post(HIDE, {"show": "1"}, follow=True))

    def test_a_connected_warehouse_is_followed_by_a_project_once_they_are_hidden(self, warehouse, admin):
        assert "Next: a project" in text(admin.client.post(HIDE, follow=True))
