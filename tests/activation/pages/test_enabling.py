"""Turning the sync on and off, and sources that follow the specification."""

import pytest
from django.utils import timezone

from accounts.actors import PermissionRefused
from accounts.models import AuditEvent
from activation import enabling
from activation.models import Activation, RedisDestination, RunState, Source, SyncRun
from activation.preconditions import Point, preconditions
from config.embedded import EmbeddedServer
from projects import pb_project
from projects.models import CheckState, Project, Warehouse, WarehouseCheck
from projects.specification import to_plain
from tests.activation.conftest import connected
from tests.activation.pages.conftest import PLACEMENTS, SPECIFICATION, VIEWS, finished_run, new_project
from tests.cast import Member

ONE_VIEW = VIEWS.replace("        - {id: salesforce_id, name: features_by_salesforce_id}\n", "")


def respecify(project: Project, text: str, **fields: object) -> None:
    """Change a project's file as its page does: the revision grows."""
    project.specification = to_plain(pb_project.read(text))
    project.specification_revision += 1
    for name, value in fields.items():
        setattr(project, name, value)
    project.save()


def unmet(project: Project) -> dict[Point, str]:
    return {
        point.point: f"{point.message} {point.cure} {point.yaml}" for point in preconditions(project) if not point.met
    }


def test_a_bare_project_is_told_everything_that_is_missing_and_how_to_get_it(bare_project):
    missing = unmet(bare_project)
    assert set(missing) == {Point.PROFILES_RUN, Point.FEATURE_VIEWS, Point.GRANTS}
    assert "Run the project in Profiles" in missing[Point.PROFILES_RUN]
    assert "for `user`" in missing[Point.FEATURE_VIEWS]
    assert "using_ids:\n        - id: email\n" in missing[Point.FEATURE_VIEWS]
    assert "Check now" in missing[Point.GRANTS]


def test_a_view_that_is_not_in_the_warehouse_is_named(project):
    Project.objects.filter(pk=project.pk).update(placements={"features_by_email": PLACEMENTS["features_by_email"]})
    project.refresh_from_db()
    assert "features_by_salesforce_id: not found in profiles" in unmet(project)[Point.PLACES]


def test_a_failed_check_says_which_step_and_what_to_do(project):
    step = {"name": "Schemas", "state": "failed", "message": "_rudderstack is missing.", "cure": "Run the SQL."}
    WarehouseCheck.objects.create(
        warehouse=project.warehouse, project=project, state=CheckState.FAILED, steps=[step], finished_at=timezone.now()
    )
    assert unmet(project)[Point.GRANTS].strip() == "Schemas: _rudderstack is missing. Run the SQL."


def test_enabling_makes_a_source_for_each_view_and_starts_their_first_syncs(project, destination, admin):
    activation = enabling.enable(project, destination, by=admin.actor, now=timezone.now())

    fields = activation.sources.values_list("entity", "id_type", "feature_view", "relation", "id_column")
    assert set(fields) == {
        ("user", "email", "features_by_email", "features_by_email", "email"),
        ("user", "salesforce_id", "features_by_salesforce_id", "features_by_salesforce_id", "salesforce_id"),
    }
    runs = SyncRun.objects.filter(source__activation=activation)
    assert {run.state for run in runs} == {RunState.QUEUED}
    assert {run.trigger for run in runs} == {SyncRun.Trigger.ENABLED}
    assert runs.count() == 2
    assert AuditEvent.objects.filter(action="sync_enabled", target_id=project.public_id).count() == 1


def test_an_editor_cannot_enable_and_nothing_is_made(project, destination, editor):
    with pytest.raises(PermissionRefused):
        enabling.enable(project, destination, by=editor.actor, now=timezone.now())
    assert not Activation.objects.exists()


def test_a_project_that_is_not_ready_cannot_be_enabled(bare_project, destination, admin):
    with pytest.raises(enabling.NotReady) as refusal:
        enabling.enable(bare_project, destination, by=admin.actor, now=timezone.now())
    assert [point.point for point in refusal.value.unmet] == [Point.PROFILES_RUN, Point.FEATURE_VIEWS, Point.GRANTS]
    assert not Activation.objects.exists()


def test_two_projects_cannot_write_the_same_field(activation, admin, warehouse, destination):
    second = new_project(admin, warehouse, "Copy", SPECIFICATION + VIEWS)
    Project.objects.filter(pk=second.pk).update(placements=PLACEMENTS)
    second.refresh_from_db()
    finished_run(second, seq_no=1)
    WarehouseCheck.objects.create(warehouse=warehouse, project=second, state=CheckState.PASSED, requested_by="ada")
    with pytest.raises(enabling.FieldTaken, match="features_by_email"):
        enabling.enable(second, destination, by=admin.actor, now=timezone.now())
    assert Source.objects.count() == 2


def test_turning_off_keeps_everything_and_turning_on_again_goes_on_where_it_was(
    activation, project, destination, admin: Member, redis_server: EmbeddedServer
):
    SyncRun.objects.update(state=RunState.SUCCEEDED)
    assert enabling.disable(project, by=admin.actor, now=timezone.now())
    assert not enabling.disable(project, by=admin.actor, now=timezone.now())
    assert Source.objects.filter(status=Source.Status.ACTIVE).count() == 2

    elsewhere = connected(admin, redis_server, name="Another")
    with pytest.raises(enabling.DestinationFixed, match="Customers"):
        enabling.enable(project, elsewhere, by=admin.actor, now=timezone.now())

    enabling.enable(project, destination, by=admin.actor, now=timezone.now())
    assert Source.objects.count() == 2
    assert SyncRun.objects.filter(state=RunState.QUEUED).count() == 2


def test_a_view_that_leaves_the_specification_is_retired_and_comes_back_with_a_full_sync(activation, project):
    respecify(project, SPECIFICATION + ONE_VIEW)
    enabling.follow_specifications(now=timezone.now())
    retired = Source.objects.get(status=Source.Status.RETIRED)
    assert retired.feature_view == "features_by_salesforce_id"

    respecify(project, SPECIFICATION + VIEWS)
    enabling.follow_specifications(now=timezone.now())
    returned = Source.objects.get(pk=retired.pk)
    assert (returned.status, returned.full_next, returned.seen_profiles_run) == (
        Source.Status.ACTIVE,
        "view_returned",
        None,
    )
    actions = AuditEvent.objects.filter(target_id=retired.public_id).values_list("action", flat=True)
    assert {"source_retired", "source_returned"} <= set(actions)


def test_a_new_view_gets_a_source_once_it_is_known_where_it_is(admin, warehouse, project, destination):
    respecify(project, SPECIFICATION + ONE_VIEW)
    activation = enabling.enable(project, destination, by=admin.actor, now=timezone.now())
    assert activation.sources.count() == 1

    respecify(project, SPECIFICATION + VIEWS, placements={"features_by_email": PLACEMENTS["features_by_email"]})
    enabling.follow_specifications(now=timezone.now())
    assert activation.sources.count() == 1

    Project.objects.filter(pk=project.pk).update(placements=PLACEMENTS, placements_changed_at=timezone.now())
    enabling.follow_specifications(now=timezone.now())
    assert activation.sources.count() == 2


def test_a_view_that_moved_is_read_from_its_new_place_by_a_full_sync(activation, project):
    moved = {**PLACEMENTS, "features_by_email": {**PLACEMENTS["features_by_email"], "relation": "renamed"}}
    Project.objects.filter(pk=project.pk).update(placements=moved, placements_changed_at=timezone.now())
    enabling.follow_specifications(now=timezone.now())
    source = Source.objects.get(feature_view="features_by_email")
    assert (source.relation, source.full_next, source.seen_profiles_run) == ("renamed", "view_moved", None)
    assert not Source.objects.get(feature_view="features_by_salesforce_id").full_next


def test_following_changes_nothing_when_nothing_changed(activation, django_assert_num_queries):
    with django_assert_num_queries(1):
        assert enabling.follow_specifications(now=timezone.now()) == []


def test_sources_of_a_project_that_is_off_are_left_alone(activation, project, admin):
    enabling.disable(project, by=admin.actor, now=timezone.now())
    respecify(project, SPECIFICATION)
    assert enabling.follow_specifications(now=timezone.now()) == []
    assert Source.objects.filter(status=Source.Status.ACTIVE).count() == 2


def test_a_destination_of_another_organisation_is_not_written_to(project, outsider, redis_server, admin):
    theirs: RedisDestination = connected(outsider, redis_server)
    with pytest.raises(enabling.DestinationForeign):
        enabling.enable(project, theirs, by=admin.actor, now=timezone.now())


def test_a_warehouse_without_grants_needs_no_sql(project: Project, warehouse: Warehouse):
    assert [point.name for point in preconditions(project)][-1] == "A warehouse that can be read"
