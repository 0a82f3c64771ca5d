"""Where views are: looked up in the catalogue, chosen by a person where the names do not tell."""

from typing import cast

import pytest
from django.utils import timezone

from accounts.actors import PermissionRefused
from projects import placements, projects
from projects.models import Project
from projects.placements import ChoiceUnknown, ProjectChanged, ServedView
from projects.warehouses.port import Relation, RelationMissing, Warehouse
from tests.cast import Member
from tests.projects.conftest import SPECIFICATION, Catalogue


def look_up(project: Project, content: dict[str, dict[str, list[str]]]) -> list[ServedView]:
    return placements.look_up(project, cast("Warehouse", Catalogue(content)), now=timezone.now())


def choose(project: Project, by: Member, *, view: str, relation: str = "", id_column: str = "") -> None:
    placements.choose(project, view, relation=relation, id_column=id_column, by=by.actor, now=timezone.now())


def test_views_are_found_whatever_the_letter_case(project: Project) -> None:
    by_email, by_salesforce = look_up(
        project,
        {
            "public": {"features_by_email": ["email"]},
            "PROFILES": {
                "FEATURES_BY_EMAIL": ["USER_MAIN_ID", "EMAIL"],
                "USER_FEATURE_VIEW_USING_SALESFORCE_ID": ["SALESFORCE_ID"],
            },
        },
    )

    assert (by_email.relation, by_email.id_column) == (Relation("PROFILES", "FEATURES_BY_EMAIL"), "EMAIL")
    assert by_salesforce.relation == Relation("PROFILES", "USER_FEATURE_VIEW_USING_SALESFORCE_ID")


@pytest.mark.parametrize("name", ["feature_view_using_salesforce_id", "salesforce_id_user_default_entity_serve_360"])
def test_an_unnamed_view_is_found_under_each_known_name(project: Project, name: str) -> None:
    view = look_up(project, {"profiles": {name: ["salesforce_id"]}})[1]

    assert view.relation == Relation("profiles", name)
    assert view.feature_view == "user_feature_view_using_salesforce_id"


def test_names_that_differ_by_case_only_are_left_to_a_person(project: Project) -> None:
    view = look_up(project, {"profiles": {"Features_by_email": ["email"], "FEATURES_BY_EMAIL": ["email"]}})[0]

    assert view.relation is None


def test_a_missing_output_schema_is_said(project: Project) -> None:
    with pytest.raises(RelationMissing, match="no schema profiles"):
        look_up(project, {"public": {}})


def test_a_view_that_cannot_be_read_stands_in_the_way_of_no_other(project: Project) -> None:
    content = {"profiles": {"features_by_email": ["email"], "feature_view_using_salesforce_id": ["salesforce_id"]}}
    catalogue = Catalogue(content, refused={"features_by_email"})
    unread, other = placements.look_up(project, cast("Warehouse", catalogue), now=timezone.now())

    assert (unread.relation, unread.id_column) == (Relation("profiles", "features_by_email"), None)
    assert other.id_column == "salesforce_id"
    assert [placements.columns_known(project, view) for view in (unread, other)] == [False, True]

    known, _ = look_up(project, content)
    still, _ = placements.look_up(project, cast("Warehouse", catalogue), now=timezone.now())
    assert still == known
    assert known.id_column == "email"


def test_a_person_chooses_a_view_and_then_its_column(editor: Member, project: Project) -> None:
    content = {"profiles": {"odd": ["main", "mail"], "features_by_email": ["email"]}}
    look_up(project, content)
    choose(project, editor, view="user_feature_view_using_salesforce_id", relation="odd")
    assert look_up(project, content)[1].id_column is None

    choose(project, editor, view="user_feature_view_using_salesforce_id", relation="odd", id_column="main")

    chosen = look_up(project, content)[1]
    assert (chosen.relation, chosen.id_column) == (Relation("profiles", "odd"), "main")
    assert projects.served_views(Project.objects.get(pk=project.pk))[1] == chosen


def test_a_choice_gives_way_when_the_view_is_gone(editor: Member, project: Project) -> None:
    look_up(project, {"profiles": {"odd": ["email"], "features_by_email": ["email"]}})
    choose(project, editor, view="features_by_email", relation="odd")
    assert look_up(project, {"profiles": {"odd": ["email"], "features_by_email": ["email"]}})[0].relation == Relation(
        "profiles", "odd"
    )

    found = look_up(project, {"profiles": {"features_by_email": ["email"]}})[0]

    assert found.relation == Relation("profiles", "features_by_email")


@pytest.mark.parametrize(
    "choice",
    [
        {"view": "nobody's", "relation": "odd"},
        {"view": "features_by_email", "relation": 'x"; DROP TABLE y'},
        {"view": "features_by_email", "id_column": "not there"},
    ],
)
def test_only_names_of_the_catalogue_can_be_chosen(editor: Member, project: Project, choice: dict[str, str]) -> None:
    look_up(project, {"profiles": {"odd": ["email"], "features_by_email": ["email"]}})

    with pytest.raises(ChoiceUnknown):
        choose(project, editor, **choice)
    choose(project, editor, view="features_by_email", relation="odd")


def test_a_viewer_chooses_nothing(viewer: Member, editor: Member, project: Project) -> None:
    look_up(project, {"profiles": {"odd": ["email"]}})

    with pytest.raises(PermissionRefused):
        choose(project, viewer, view="features_by_email", relation="odd")
    choose(project, editor, view="features_by_email", relation="odd")


def test_a_look_up_that_a_change_overtook_stores_nothing(editor: Member, project: Project) -> None:
    stale = Project.objects.get(pk=project.pk)
    text = SPECIFICATION.replace("features_by_email", "by_email")
    projects.edit_specification(project, text=text, revision=1, by=editor.actor, now=timezone.now())

    with pytest.raises(ProjectChanged):
        look_up(stale, {"profiles": {"features_by_email": ["email"]}})

    assert Project.objects.get(pk=project.pk).placements == {}


def test_two_look_ups_that_find_the_same_do_not_stand_in_each_others_way(project: Project) -> None:
    stale = Project.objects.get(pk=project.pk)
    found = look_up(project, {"profiles": {"features_by_email": ["email"]}})

    assert look_up(stale, {"profiles": {"features_by_email": ["email"]}}) == found
    assert stale.placements == project.placements
    assert stale.placements_changed_at == project.placements_changed_at


def test_a_look_up_does_not_undo_a_choice_made_meanwhile(editor: Member, project: Project) -> None:
    content = {"profiles": {"odd": ["email"], "features_by_email": ["email"]}}
    look_up(project, content)
    stale = Project.objects.get(pk=project.pk)
    choose(project, editor, view="features_by_email", relation="odd")

    with pytest.raises(ProjectChanged):
        look_up(stale, {"profiles": {"features_by_email": ["email"]}})
