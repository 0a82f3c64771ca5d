"""Main feature views: served once a person says so for the entity, as any other view, by the main id."""

from typing import Any, cast

import pytest
from django.utils import timezone

from accounts.actors import PermissionRefused
from accounts.models import AuditEvent
from projects import counts, differences, main_views, pb_project, placements, projects, runs
from projects.models import ProfilesRun, Project, RunStatus, WarehouseCheck
from projects.placements import ProjectChanged, ServedView
from projects.problems import SpecificationProblems
from projects.projects import EntityUnknown, MainViewRefused
from projects.specification import missing_feature_views
from projects.warehouses.port import Relation, Warehouse
from tests.cast import Member
from tests.projects.conftest import SPECIFICATION, Catalogue
from tests.projects.test_pages import text_of

WHERE = "/o/acme/projects/shop/entities/"
SWITCH = f"{WHERE}main-view/"
BARE = SPECIFICATION.partition("    feature_views:")[0]
ACCOUNTS = "  - name: account\n    id_types: [domain]\n"
NAMED = SPECIFICATION.replace("feature_views:\n", "feature_views:\n      name: user_360\n")
NO_USER = SPECIFICATION.replace("name: user", "name: person")


def switch(project: Project, by: Member, *, on: bool = True, entity: str = "user") -> bool:
    return projects.serve_main_view(project, entity, served=on, by=by.actor, now=timezone.now())


def edit(project: Project, by: Member, text: str) -> None:
    revision = project.specification_revision
    projects.edit_specification(project, text=text, revision=revision, by=by.actor, now=timezone.now())


def served(project: Project) -> list[tuple[str, str]]:
    return [(view.feature_view, view.id_type) for view in projects.served_views(Project.objects.get(pk=project.pk))]


FILES = [("features_by_email", "email"), ("user_feature_view_using_salesforce_id", "salesforce_id")]
MAIN = ("user_feature_view", "user_main_id")
ENDED, COMPLETE = "TIMESTAMP '2026-11-01 10:00:00'", '{"complete": {"status": 2}}'


def test_only_a_view_that_is_switched_on_is_served_and_the_revision_tells_of_it(editor: Member, project: Project):
    assert served(project) == FILES

    assert switch(project, editor)

    assert served(project) == [*FILES, MAIN]
    assert Project.objects.get(pk=project.pk).specification_revision == 2
    assert switch(project, editor, on=False)
    assert (served(project), Project.objects.get(pk=project.pk).specification_revision) == (FILES, 3)
    rows = AuditEvent.objects.filter(action__startswith="main_view").order_by("pk")
    told = {"entity": "user", "feature_view": "user_feature_view", "id_type": "user_main_id"}
    assert [(row.action, row.details) for row in rows] == [("main_view_served", told), ("main_view_stopped", told)]


def test_switching_to_what_is_so_already_changes_nothing(editor: Member, project: Project):
    assert not switch(project, editor, on=False)
    switch(project, editor)
    assert not switch(project, editor)
    assert Project.objects.get(pk=project.pk).specification_revision == 2


def test_only_who_edits_projects_switches_and_only_what_there_is(editor: Member, viewer: Member, project: Project):
    with pytest.raises(PermissionRefused):
        switch(project, viewer)
    with pytest.raises(EntityUnknown):
        switch(project, editor, entity="account")
    stale = Project.objects.get(pk=project.pk)
    switch(project, editor)
    with pytest.raises(ProjectChanged):
        switch(stale, editor)


def test_the_main_id_column_is_found_in_any_letter_case_and_a_place_may_be_chosen(editor: Member, project: Project):
    switch(project, editor)
    found = Catalogue({"PROFILES": {"USER_FEATURE_VIEW": ["USER_MAIN_ID", "PLAN"], "other": ["rid"]}})
    view = placements.look_up(project, cast("Warehouse", found), now=timezone.now())[2]
    assert view == ServedView("user", MAIN[1], MAIN[0], Relation("PROFILES", "USER_FEATURE_VIEW"), "USER_MAIN_ID")

    choose: dict[str, Any] = {"by": editor.actor, "now": timezone.now()}
    placements.choose(project, "user_feature_view", relation="other", id_column="", **choose)
    placements.look_up(project, cast("Warehouse", found), now=timezone.now())
    placements.choose(project, "user_feature_view", relation="other", id_column="rid", **choose)
    assert placements.served_views(project)[2].id_column == "rid"

    switch(project, editor, on=False)
    assert "user_feature_view" not in Project.objects.get(pk=project.pk).placements


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SPECIFICATION.replace("[email, ", "[user_main_id, email, "), "`user_main_id` is the main id column of `user`"),
        (SPECIFICATION.replace("features_by_email", "user_feature_view"), "is called `user_feature_view` too"),
        (SPECIFICATION + f"    id_column_name: {'x' * 101}\n", "more than 100 characters"),
    ],
)
def test_a_main_view_that_could_not_be_told_from_others_is_refused(editor, project, text, words):
    edit(project, editor, text)
    with pytest.raises(MainViewRefused, match=words):
        switch(project, editor)
    assert len(served(project)) == 2
    page = text_of(editor.client.get(WHERE))
    assert "It cannot be served too" in page
    assert "Serve this view too" not in page

    edit(project, editor, SPECIFICATION)
    switch(project, editor)
    with pytest.raises(SpecificationProblems, match="stop serving the main feature view") as refused:
        edit(project, editor, text)
    assert [problem.line for problem in refused.value.problems] == [6]
    with pytest.raises(SpecificationProblems):
        differences.of(project, pb_project.read(text), text)
    assert served(project) == [*FILES, MAIN]


def test_two_main_views_of_one_name_are_not_both_served(editor: Member, project: Project):
    edit(project, editor, NAMED + ACCOUNTS + "    feature_views: {name: user_360}\n")
    switch(project, editor)
    with pytest.raises(MainViewRefused, match="`user_360`"):
        switch(project, editor, entity="account")


def test_a_new_file_keeps_main_views_served(editor: Member, project: Project):
    switch(project, editor)
    found = Catalogue({"profiles": {"user_feature_view": ["user_main_id"]}})
    placements.look_up(project, cast("Warehouse", found), now=timezone.now())

    edit(project, editor, SPECIFICATION + ACCOUNTS)
    assert (served(project), list(project.placements)) == ([*FILES, MAIN], ["user_feature_view"])

    told = differences.of(project, pb_project.read(NAMED), NAMED)
    assert [each.view for each in (*told.ended, *told.added)] == ["user_feature_view", "user_360"]
    assert "Main feature view of user" in {change.what for change in told.changes}
    edit(project, editor, NAMED)
    assert served(project)[-1] == ("user_360", "user_main_id")


def test_an_entity_that_the_file_leaves_out_takes_its_main_view_along_and_brings_it_back(editor, project):
    switch(project, editor)
    edit(project, editor, NO_USER)
    assert [view for view, _ in served(project)] == ["features_by_email", "person_feature_view_using_salesforce_id"]
    assert main_views.kept(project, pb_project.read(SPECIFICATION)) == ["user"]

    edit(project, editor, SPECIFICATION)
    assert served(project) == [*FILES, MAIN]


def test_an_entity_that_returns_with_names_that_clash_returns_without_its_main_view(editor, project):
    switch(project, editor)
    edit(project, editor, NO_USER)
    edit(project, editor, SPECIFICATION.replace("features_by_email", "user_feature_view"))
    assert served(project) == [("user_feature_view", "email"), FILES[1]]
    edit(project, editor, SPECIFICATION)
    assert served(project) == FILES


def test_a_main_view_that_is_served_is_kept_before_one_that_returns(editor: Member, project: Project):
    accounts = ACCOUNTS + "    feature_views: {name: user_360}\n"
    edit(project, editor, SPECIFICATION + accounts)
    switch(project, editor, entity="account")
    edit(project, editor, NAMED)
    switch(project, editor)
    edit(project, editor, NAMED + accounts)
    assert served(project) == [*FILES, ("user_360", "user_main_id")]


def test_a_file_that_lists_no_ids_is_complete_once_a_main_view_is_served(editor: Member, project: Project):
    edit(project, editor, BARE)
    assert "using_ids" in text_of(editor.client.get(WHERE))
    switch(project, editor)
    assert missing_feature_views(pb_project.read(BARE), project.main_views) is None
    assert "using_ids" not in text_of(editor.client.get(WHERE))


def test_a_run_that_made_the_main_view_is_a_run_of_the_project(editor, real_project, real):
    edit(real_project, editor, BARE)
    switch(real_project, editor)
    real.execute(
        [
            "CREATE VIEW profiles.user_feature_view AS SELECT 'm1' AS user_main_id, 1 AS score",
            f"INSERT INTO profiles.material_registry_4 VALUES (3, 'user_feature_view', {ENDED}, '{COMPLETE}')",
        ]
    )
    runs.detect(real_project, now=timezone.now())

    assert ProfilesRun.objects.get().status == RunStatus.FINISHED
    [view] = placements.served_views(real_project)
    assert (view.relation, view.id_column) == (Relation("profiles", "user_feature_view"), "user_main_id")
    [row] = counts.request(real_project, by=editor.actor, now=timezone.now())
    assert counts.run(row.pk, now=timezone.now())
    row.refresh_from_db()
    assert (row.rows, [column["name"] for column in row.columns]) == (1, ["user_main_id", "score"])


class TestPage:
    def test_an_editor_serves_a_main_view_and_stops_serving_it(self, editor: Member, project: Project):
        assert "Serve this view too" in text_of(editor.client.get(WHERE))

        answer = editor.client.post(SWITCH, {"entity": "user", "served": "yes"})

        assert (answer.status_code, answer["Location"]) == (303, WHERE)
        page = text_of(editor.client.get(WHERE))
        assert "The main feature view is served too" in page
        assert "Stop serving it" in page
        assert WarehouseCheck.objects.get().project == project
        assert served(project) == [*FILES, MAIN]

        editor.client.post(SWITCH, {"entity": "user", "served": "no"})
        page = text_of(editor.client.get(WHERE))
        assert "The main feature view is not synced any more" in page
        assert served(project) == FILES

    def test_a_viewer_is_offered_nothing_and_refused(self, viewer: Member, project: Project):
        assert "Serve this view too" not in text_of(viewer.client.get(WHERE))
        assert viewer.client.post(SWITCH, {"entity": "user", "served": "yes"}).status_code == 403
        assert served(project) == FILES

    def test_what_cannot_be_is_said(self, editor: Member, project: Project):
        assert editor.client.post(SWITCH, {"entity": "nobody", "served": "yes"}).status_code == 303
        assert "no entity of this name" in text_of(editor.client.get(WHERE))
        edit(project, editor, SPECIFICATION.replace("[email, ", "[user_main_id, email, "))
        editor.client.post(SWITCH, {"entity": "user", "served": "yes"})
        assert "one of its id types as well" in text_of(editor.client.get(WHERE))
        assert served(project) == FILES
