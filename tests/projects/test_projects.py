"""Creating, changing and deleting projects, and who may."""

import pytest
from django.http import Http404
from django.utils import timezone

from accounts.actors import PermissionRefused
from accounts.models import AuditEvent
from projects import access, placements, projects
from projects.models import Project, Warehouse
from projects.placements import ProjectChanged
from projects.problems import SpecificationProblems
from tests.cast import Member
from tests.projects.conftest import SPECIFICATION, Catalogue, connect

OTHER_NAME = SPECIFICATION.replace("features_by_email", "by_email")


def create(by: Member, warehouse: Warehouse, name: str = "", text: str | bytes = SPECIFICATION) -> Project:
    return projects.create(
        name=name,
        warehouse=warehouse,
        output_schema="profiles",
        specification_text=text,
        by=by.actor,
        now=timezone.now(),
    )


def test_a_project_takes_its_name_from_the_file(editor: Member, warehouse: Warehouse) -> None:
    project = create(editor, warehouse)

    assert (project.name, project.slug) == ("shop_profiles", "shop_profiles")
    assert [view.feature_view for view in projects.served_views(project)] == [
        "features_by_email",
        "user_feature_view_using_salesforce_id",
    ]
    assert AuditEvent.objects.get(action="project_created").actor == editor.user.email


def test_an_uploaded_file_is_stored_as_text(editor: Member, warehouse: Warehouse) -> None:
    project = create(editor, warehouse, text=b"\xef\xbb\xbf" + SPECIFICATION.encode())

    assert project.specification_text == SPECIFICATION


def test_a_wrong_file_creates_nothing(editor: Member, warehouse: Warehouse) -> None:
    with pytest.raises(SpecificationProblems):
        create(editor, warehouse, text="name: x")

    assert not Project.objects.exists()


def test_a_viewer_creates_no_project(viewer: Member, editor: Member, warehouse: Warehouse) -> None:
    with pytest.raises(PermissionRefused):
        create(viewer, warehouse)
    assert create(editor, warehouse).pk


def test_names_are_unique_in_an_organisation_only(editor: Member, outsider: Member, warehouse: Warehouse) -> None:
    create(editor, warehouse, "Shop")
    with pytest.raises(projects.NameTaken):
        create(editor, warehouse, "Shop")
    assert create(outsider, connect(outsider.actor), "Shop").slug == "shop"


@pytest.mark.parametrize(("name", "slug"), [("New", "new-2"), ("小店", "project"), ("A" * 100, "a" * 55)])
def test_every_name_gets_an_address(editor: Member, warehouse: Warehouse, name: str, slug: str) -> None:
    assert create(editor, warehouse, name).slug == slug


def test_a_renamed_project_is_known_by_its_former_address(editor: Member, project: Project) -> None:
    projects.rename(project, name="Store", by=editor.actor, now=timezone.now())

    assert access.project_for(editor.actor, "store") == project
    assert access.moved_to(editor.actor, "shop") == "store"
    with pytest.raises(Http404):
        access.project_for(editor.actor, "shop")


def test_a_former_address_is_not_given_to_another_project(editor: Member, project: Project) -> None:
    projects.rename(project, name="Store", by=editor.actor, now=timezone.now())

    assert create(editor, project.warehouse, "Shop").slug == "shop-2"


def test_a_project_may_be_renamed_back(editor: Member, project: Project) -> None:
    projects.rename(project, name="Store", by=editor.actor, now=timezone.now())
    projects.rename(project, name="Shop", by=editor.actor, now=timezone.now())

    assert project.slug == "shop"
    assert access.moved_to(editor.actor, "store") == "shop"


def test_an_outsider_cannot_tell_a_project_from_none(editor: Member, outsider: Member, project: Project) -> None:
    actor = outsider.actor
    with pytest.raises(Http404):
        access.project_for(actor, project.slug)
    with pytest.raises(Http404):
        access.project_by_public_id(actor, project.public_id)
    with pytest.raises(Http404):
        access.warehouse_for(actor, project.warehouse.public_id)
    assert access.moved_to(actor, project.slug) is None
    assert [*access.projects_of(actor), *access.warehouses_of(actor)] == []
    assert access.project_by_public_id(editor.actor, project.public_id) == project


def test_a_changed_specification_moves_the_revision_and_keeps_what_still_fits(editor: Member, project: Project) -> None:
    catalogue = Catalogue(
        {"profiles": {"features_by_email": ["email"], "feature_view_using_salesforce_id": ["SALESFORCE_ID"]}}
    )
    placements.look_up(project, catalogue, now=timezone.now())  # type: ignore[arg-type]  # the part of the port it asks

    projects.edit_specification(project, text=OTHER_NAME, revision=1, by=editor.actor, now=timezone.now())

    stored = Project.objects.get(pk=project.pk)
    assert stored.specification_revision == 2
    assert list(stored.placements) == ["user_feature_view_using_salesforce_id"]
    assert projects.served_views(stored)[0].feature_view == "by_email"


def test_the_same_text_is_no_change(editor: Member, project: Project) -> None:
    projects.edit_specification(project, text=SPECIFICATION, revision=1, by=editor.actor, now=timezone.now())

    assert Project.objects.get(pk=project.pk).specification_revision == 1


def test_a_specification_that_somebody_else_changed_is_not_overwritten(editor: Member, project: Project) -> None:
    projects.edit_specification(project, text=OTHER_NAME, revision=1, by=editor.actor, now=timezone.now())
    with pytest.raises(ProjectChanged):
        projects.edit_specification(project, text=SPECIFICATION, revision=1, by=editor.actor, now=timezone.now())

    assert Project.objects.get(pk=project.pk).specification_text == OTHER_NAME


def test_a_moved_project_forgets_where_its_views_were(admin: Member, editor: Member, project: Project) -> None:
    catalogue = Catalogue({"profiles": {"features_by_email": ["email"]}})
    placements.look_up(project, catalogue, now=timezone.now())  # type: ignore[arg-type]  # the part of the port it asks
    other = connect(admin.actor, name="Prod", file="prod.duckdb")

    projects.move(project, warehouse=other, output_schema="profiles", by=editor.actor, now=timezone.now())

    stored = Project.objects.get(pk=project.pk)
    assert (stored.warehouse, stored.placements, stored.specification_revision) == (other, {}, 2)


def test_only_an_admin_deletes_a_project(admin: Member, editor: Member, project: Project) -> None:
    with pytest.raises(PermissionRefused):
        projects.delete(project, by=editor.actor, now=timezone.now())
    projects.delete(project, by=admin.actor, now=timezone.now())

    assert not Project.objects.exists()
    assert AuditEvent.objects.get(action="project_deleted").target == "Shop"
