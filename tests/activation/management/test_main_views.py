"""An entity's main feature view is switched by API as on its page."""

from accounts.models import AuditEvent
from projects import projects
from projects.models import Project, WarehouseCheck
from tests.activation.management.calling import UNAUTHORIZED, ask, limited
from tests.activation.pages.conftest import SPECIFICATION, VIEWS

ON, OFF = {"entity": "user", "served": True}, {"entity": "user", "served": False}


def test_a_main_view_is_served_too_and_no_longer(editor, viewer, project):
    path = f"projects/{project.public_id}"
    [before] = ask(viewer, "GET", f"{path}/entities").json["entities"]
    assert (before["mainViewServed"], len(before["views"])) == (False, 2)

    answer = ask(editor, "POST", f"{path}/main-views", ON)

    main = {
        "name": "user_feature_view",
        "idType": "user_main_id",
        "schema": None,
        "relation": None,
        "idColumn": None,
        "columns": None,
    }
    check = WarehouseCheck.objects.latest("pk")
    after = {**before, "mainViewServed": True, "views": [*before["views"], main]}
    assert (answer.status, answer.json) == (200, {**after, "checkId": check.public_id})
    assert check.state == "queued"
    assert ask(viewer, "GET", f"{path}/entities").json["entities"] == [after]
    assert AuditEvent.objects.get(action="main_view_served").token == "A token"

    again = ask(editor, "POST", f"{path}/main-views", ON)
    assert again.json == after, "what is so already is left as it is"
    assert ask(editor, "POST", f"{path}/main-views", OFF).json["mainViewServed"] is False
    assert ask(viewer, "GET", f"{path}/entities").json["entities"] == [before]


def test_what_cannot_be_served_is_refused_in_words(editor, project):
    path = f"projects/{project.public_id}/main-views"
    clash = (SPECIFICATION + VIEWS).replace("[email, ", "[user_main_id, email, ")
    projects.edit_specification(project, text=clash, revision=1, by=editor.actor, now=project.created_at)
    for body, at in (
        (ON, "entity"),
        ({**ON, "entity": "account"}, "entity"),
        ({"entity": "user"}, "served"),
        ({**ON, "served": "yes"}, "served"),
    ):
        refused = ask(editor, "POST", path, body)
        assert (refused.status, refused.json["code"], list(refused.json["fields"])) == (422, "invalid_fields", [at])
    assert "one of its id types as well" in ask(editor, "POST", path, ON).json["error"]
    assert Project.objects.get(pk=project.pk).main_views == []


def test_a_file_that_stands_in_the_way_of_a_main_view_that_is_served_is_refused_with_its_place(editor, project):
    path = f"projects/{project.public_id}"
    ask(editor, "POST", f"{path}/main-views", ON)
    clash = {"text": (SPECIFICATION + VIEWS).replace("features_by_email", "user_feature_view")}
    for query in ("dry_run=true", ""):
        refused = ask(editor, "POST", f"{path}/specification", clash, query=query)
        assert (refused.status, refused.json["code"]) == (422, "invalid_specification")
        assert [each["line"] for each in refused.json["problems"]] == [6]
    renamed = {"text": (SPECIFICATION + VIEWS).replace("feature_views:", "feature_views:\n      name: user_360")}
    told = ask(editor, "POST", f"{path}/specification", renamed, query="dry_run=true").json
    assert told["added"] == [{"entity": "user", "idType": "user_main_id", "view": "user_360"}]
    assert told["ended"] == [{"entity": "user", "idType": "user_main_id", "view": "user_feature_view"}]


def test_only_who_edits_projects_may_and_within_a_tokens_limits(admin, editor, viewer, project):
    path = f"projects/{project.public_id}/main-views"
    others = limited(admin, entities=["account"])
    for caller in (viewer, others):
        assert ask(caller, "POST", path, ON).json == UNAUTHORIZED
    assert ask(limited(editor, entities=["user"]), "POST", path, ON).status == 200
