"""Projects by API: created from a file, changed, scheduled, their specification replaced and its views placed."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import AuditEvent
from activation.api.times import as_text
from activation.models import Activation, Source
from projects import placements
from projects.models import Project, WarehouseCheck
from projects.yaml_document import MAX_BYTES
from tests.activation.management.calling import UNAUTHORIZED, ask, limited
from tests.activation.pages.conftest import SPECIFICATION, VIEWS

FILE = SPECIFICATION + VIEWS
ONE_VIEW = VIEWS.replace("        - {id: salesforce_id, name: features_by_salesforce_id}\n", "")
BROKEN = FILE.replace("schema_version: 88", "schema_version: old").replace("id: email,", "id: phone,")


def create(member, warehouse, **changes):
    body = {"warehouseId": warehouse.public_id, "outputSchema": "profiles", "specification": FILE}
    return ask(member, "POST", "projects", {**body, **changes})


def names(listed: Sequence[dict[str, str]]) -> list[str]:
    return [each["view"] for each in listed]


class TestCreating:
    def test_a_project_is_made_from_its_file_and_its_views_are_checked(self, editor, warehouse):
        answer = create(editor, warehouse)

        project, check = Project.objects.get(), WarehouseCheck.objects.get()
        assert (answer.status, answer.headers["location"]) == (201, f"/v2/projects/{project.public_id}")
        assert answer.json == {
            "id": project.public_id,
            "name": "customer_360",
            "warehouseId": warehouse.public_id,
            "outputSchema": "profiles",
            "revision": 1,
            "entities": ["user"],
            "enabled": False,
            "destinationId": None,
            "schedule": None,
            "nextSyncAt": None,
            "createdAt": answer.json["createdAt"],
            "checkId": check.public_id,
        }
        assert check.project == project
        assert AuditEvent.objects.get(action="project_created").token == "A token"

    def test_making_the_same_call_twice_creates_one(self, editor, warehouse):
        statuses = [create(editor, warehouse, name="Shop") for _ in range(2)]
        assert [answer.status for answer in statuses] == [201, 409]
        assert statuses[1].json["code"] == "name_taken"
        assert Project.objects.count() == 1

    def test_every_fault_of_the_file_is_told_with_its_line_and_column(self, editor, warehouse):
        answer = create(editor, warehouse, specification=BROKEN)

        assert (answer.status, answer.json["code"]) == (422, "invalid_specification")
        assert [(each["line"], each["column"]) for each in answer.json["problems"]] == [(2, 17), (10, 11)]
        assert "phone" in answer.json["problems"][1]["message"]
        assert not Project.objects.exists()

    @pytest.mark.parametrize(
        ("changes", "at"),
        [
            ({"warehouseId": "2" * 27}, {"warehouseId"}),
            ({"warehouseId": "\x00"}, {"warehouseId"}),
            ({"outputSchema": " "}, {"outputSchema"}),
            ({"outputSchema": "x" * 256}, {"outputSchema"}),
            ({"specification": ""}, {"specification"}),
            ({"specification": {}}, {"specification"}),
            ({"name": "x" * 101}, {"name"}),
            ({"colour": "red"}, {"colour"}),
        ],
    )
    def test_what_cannot_be_used_is_named(self, editor, warehouse, changes, at):
        answer = create(editor, warehouse, **changes)
        assert (answer.status, answer.json["code"], set(answer.json["fields"])) == (422, "invalid_fields", at)
        assert not Project.objects.exists()

    def test_a_large_file_is_taken_and_one_that_is_larger_than_any_is_not(self, editor, warehouse):
        comment = "# " + "x" * (MAX_BYTES - len(FILE) - 10) + "\n"
        assert create(editor, warehouse, specification=comment + FILE).status == 201
        assert create(editor, warehouse, specification=comment * 3).status == 413

    def test_another_organisations_warehouse_is_none_to_read_from(self, outsider, warehouse):
        answer = create(outsider, warehouse)
        assert (answer.status, list(answer.json["fields"])) == (422, ["warehouseId"])


class TestChanging:
    def test_what_is_not_named_stays(self, editor, project):
        changed = ask(editor, "PATCH", f"projects/{project.public_id}", {"name": "Shop"}).json
        assert (changed["name"], changed["outputSchema"], "checkId" in changed) == ("Shop", "profiles", False)

    def test_another_place_of_the_views_is_checked(self, editor, project):
        changed = ask(editor, "PATCH", f"projects/{project.public_id}", {"outputSchema": "other"}).json
        assert (changed["outputSchema"], changed["revision"]) == ("other", 2)
        assert WarehouseCheck.objects.latest("pk").public_id == changed["checkId"]

    @pytest.mark.parametrize(
        ("schedule", "words"),
        [
            ({"kind": "manual"}, "when somebody starts it"),
            ({"kind": "basic", "minutes": 30, "start": "03:30"}, "every 30 minutes, counted from 03:30 UTC"),
            ({"kind": "cron", "expression": "30 3 * * 1-5"}, "at 30 3 * * 1-5 (UTC)"),
        ],
    )
    def test_a_schedule_is_set_and_told_as_it_was_set(self, editor, activation, project, schedule, words):
        changed = ask(editor, "PATCH", f"projects/{project.public_id}", {"schedule": schedule})
        assert (changed.status, changed.json["schedule"]) == (200, schedule)
        assert (changed.json["nextSyncAt"] is None) == (schedule["kind"] == "manual")
        assert AuditEvent.objects.get(action="schedule_changed").details == {"schedule": words}
        assert ask(editor, "GET", f"projects/{project.public_id}").json["schedule"] == schedule
        assert ask(editor, "PATCH", f"projects/{project.public_id}", {"schedule": {"kind": "profiles"}}).status == 200

    @pytest.mark.parametrize(
        "schedule",
        [
            {"kind": "basic", "minutes": 30},
            {"kind": "basic", "minutes": 30, "start": "03:10"},
            {"kind": "cron", "expression": "30 3 * * *"},
        ],
    )
    def test_a_schedule_that_is_sent_over_and_over_is_not_put_off(self, editor, activation, project, schedule):
        path, body = f"projects/{project.public_id}", {"schedule": schedule}
        ask(editor, "PATCH", path, body)
        earlier = timezone.now() - timedelta(minutes=40)
        kept = {
            **Activation.objects.get().schedule,
            **({"since": earlier.isoformat()} if "minutes" in schedule else {}),
        }
        Activation.objects.update(schedule=kept, next_sync_at=earlier)

        assert ask(editor, "PATCH", path, body).json["nextSyncAt"] == as_text(earlier)

        assert Activation.objects.get().schedule == kept
        assert AuditEvent.objects.filter(action="schedule_changed").count() == 1
        changed = {"schedule": {"kind": "basic", "minutes": 60}}
        assert ask(editor, "PATCH", path, changed).json["nextSyncAt"] > as_text(timezone.now())

    @pytest.mark.parametrize(
        ("schedule", "at"),
        [
            ({"kind": "basic", "minutes": 7}, "schedule.minutes"),
            ({"kind": "basic", "minutes": 30, "start": "noon"}, "schedule.start"),
            ({"kind": "cron", "expression": "* * * * *"}, "schedule.expression"),
            ({"kind": "hourly"}, "schedule.kind"),
            ({}, "schedule.kind"),
            ({"kind": "manual", "colour": 1}, "schedule.colour"),
        ],
    )
    def test_a_schedule_that_cannot_be_kept_changes_nothing_at_all(self, editor, activation, project, schedule, at):
        changed = ask(editor, "PATCH", f"projects/{project.public_id}", {"name": "Shop", "schedule": schedule})
        assert (changed.status, list(changed.json["fields"])) == (422, [at])
        project.refresh_from_db()
        assert project.name == "Customer 360"

    @pytest.mark.parametrize(
        ("schedule", "said"),
        [
            ({"kind": "basic", "minutes": 0}, "Choose one of 5, 10, 15, 30, 60, 180, 360, 720, 1440."),
            ({"kind": "basic"}, "Choose one of 5, 10, 15, 30, 60, 180, 360, 720, 1440."),
            ({"kind": "hunter2"}, "Choose one of profiles, basic, cron, manual."),
            ({}, "Choose one of profiles, basic, cron, manual."),
        ],
    )
    def test_what_may_be_chosen_is_said_and_what_was_sent_is_not(self, editor, activation, project, schedule, said):
        changed = ask(editor, "PATCH", f"projects/{project.public_id}", {"schedule": schedule})
        assert list(changed.json["fields"].values()) == [said]

    def test_what_was_never_synced_has_no_schedule(self, editor, project):
        answer = ask(editor, "PATCH", f"projects/{project.public_id}", {"schedule": {"kind": "manual"}})
        assert (answer.status, answer.json["code"]) == (409, "never_enabled")

    def test_a_project_is_deleted_unless_its_profiles_are_in_redis(self, admin, activation, project, bare_project):
        in_use = ask(admin, "DELETE", f"projects/{project.public_id}")
        assert (in_use.status, in_use.json["code"]) == (409, "in_use")
        assert ask(admin, "DELETE", f"projects/{bare_project.public_id}").status == 204
        assert ask(admin, "GET", f"projects/{bare_project.public_id}").status == 404


class TestSpecification:
    def test_a_new_text_is_stored_and_what_it_changes_is_told(self, editor, project):
        path = f"projects/{project.public_id}/specification"
        answer = ask(editor, "POST", path, {"text": SPECIFICATION + ONE_VIEW})

        told = answer.json
        assert (answer.status, told["changed"], told["applied"], told["revision"]) == (200, True, True, 2)
        assert (names(told["added"]), names(told["ended"])) == ([], ["features_by_salesforce_id"])
        assert "-        - {id: salesforce_id, name: features_by_salesforce_id}" in told["diff"].splitlines()
        assert WarehouseCheck.objects.latest("pk").public_id == told["checkId"]
        assert ask(editor, "GET", path).json == {"text": SPECIFICATION + ONE_VIEW, "revision": 2}

    def test_the_file_itself_may_be_sent(self, editor, project):
        path = f"projects/{project.public_id}/specification"
        file = (SPECIFICATION + ONE_VIEW).replace("\n", "\r\n").encode("utf-8-sig")
        answer = ask(editor, "POST", path, file, CONTENT_TYPE="application/yaml; charset=utf-8")
        assert (answer.status, answer.json["applied"]) == (200, True)
        assert ask(editor, "GET", path).json["text"] == SPECIFICATION + ONE_VIEW
        refused = ask(editor, "POST", path, b"\xff\xfe", CONTENT_TYPE="text/yaml")
        assert (refused.status, refused.json["problems"][0]["line"]) == (422, 1)

    def test_a_trial_tells_and_stores_nothing(self, editor, project):
        path = f"projects/{project.public_id}/specification"
        told = ask(editor, "POST", path, {"text": SPECIFICATION + ONE_VIEW}, query="dry_run=true").json
        assert (told["changed"], told["applied"], told["revision"], told["checkId"]) == (True, False, 1, None)
        assert names(told["ended"]) == ["features_by_salesforce_id"]
        assert ask(editor, "GET", path).json["text"] == FILE

    def test_the_same_text_changes_nothing(self, editor, project):
        told = ask(editor, "POST", f"projects/{project.public_id}/specification", {"text": FILE}).json
        assert (told["changed"], told["applied"], told["revision"], told["diff"]) == (False, False, 1, "")

    def test_a_change_made_on_an_older_revision_is_refused(self, editor, project):
        path = f"projects/{project.public_id}/specification"
        assert ask(editor, "POST", path, {"text": SPECIFICATION + ONE_VIEW}, query="revision=1").status == 200
        answer = ask(editor, "POST", path, {"text": FILE}, query="revision=1")
        assert (answer.status, answer.json["code"]) == (409, "changed_meanwhile")

    def test_faults_are_told_with_line_and_column_and_nothing_changes(self, editor, project):
        path = f"projects/{project.public_id}/specification"
        answer = ask(editor, "POST", path, {"text": BROKEN})
        assert (answer.status, len(answer.json["problems"])) == (422, 2)
        assert ask(editor, "GET", path).json == {"text": FILE, "revision": 1}

    @pytest.mark.parametrize("query", ["dry_run=yes", "revision=-1", "revision=x", "revision="])
    def test_a_query_that_makes_no_sense_is_refused(self, editor, project, query):
        path = f"projects/{project.public_id}/specification"
        assert ask(editor, "POST", path, {"text": FILE}, query=query).status == 400

    def test_texts_too_long_to_compare_line_by_line_are_stored_all_the_same(self, editor, project):
        path = f"projects/{project.public_id}/specification"
        told = ask(editor, "POST", path, {"text": FILE + "# more\n" * 1_000}).json
        assert (told["applied"], told["diff"]) == (True, None)


class TestEntities:
    def test_views_are_told_with_their_places_and_columns(self, viewer, project):
        catalogue = {"schema": "profiles", "relations": ["a", "b"], "columns": {"features_by_email": ["EMAIL", "PLAN"]}}
        Project.objects.update(catalogue=catalogue)
        told = ask(viewer, "GET", f"projects/{project.public_id}/entities").json
        [entity] = told["entities"]
        assert (entity["name"], entity["idTypes"], told["missing"], told["relations"]) == (
            "user",
            ["email", "salesforce_id"],
            None,
            ["a", "b"],
        )
        assert entity["views"][0] == {
            "name": "features_by_email",
            "idType": "email",
            "schema": "profiles",
            "relation": "features_by_email",
            "idColumn": "email",
            "columns": ["EMAIL", "PLAN"],
        }

    def test_what_must_be_added_to_the_file_is_told(self, viewer, bare_project):
        told = ask(viewer, "GET", f"projects/{bare_project.public_id}/entities").json
        assert "using_ids:\n        - id: email\n" in told["missing"]["yaml"]

    def test_a_view_is_placed_among_what_the_catalogue_holds(self, editor, project):
        Project.objects.update(catalogue={"schema": "profiles", "relations": ["other"], "columns": {}})
        path = f"projects/{project.public_id}/placements"
        placed = ask(editor, "POST", path, {"view": "features_by_email", "relation": "other"}).json
        assert (placed["relation"], placed["idColumn"]) == ("other", None)
        assert WarehouseCheck.objects.latest("pk").public_id == placed["checkId"]

        for body, at in (
            ({"view": "nothing"}, "view"),
            ({"view": "features_by_email", "relation": "nothing"}, "relation"),
            ({"view": "features_by_email", "relation": "other", "idColumn": "nothing"}, "idColumn"),
            ({}, "view"),
        ):
            refused = ask(editor, "POST", path, body)
            assert (refused.status, list(refused.json["fields"])) == (422, [at])
        project.refresh_from_db()
        view = placements.served_views(project)[0]
        assert view.relation is not None
        assert view.relation.name == "other"


class TestWho:
    def test_everybody_reads_editors_change_and_admins_delete(self, admin, editor, viewer, bare_project):
        path = f"projects/{bare_project.public_id}"
        changes = [
            ("PATCH", path, {"name": "Another"}),
            ("POST", f"{path}/specification", {"text": FILE}),
            ("POST", f"{path}/checks", None),
        ]
        for where in ("projects", path, f"{path}/specification", f"{path}/entities", f"{path}/activation"):
            assert ask(viewer, "GET", where).status == 200
        assert [ask(viewer, *change).status for change in changes] == [401, 401, 401]
        assert [ask(editor, *change).status for change in changes] == [200, 200, 202]
        assert ask(editor, "DELETE", path).json == {**UNAUTHORIZED}
        assert ask(admin, "DELETE", path).status == 204

    def test_another_organisations_project_looks_like_none(self, outsider, project):
        path = f"projects/{project.public_id}"
        assert ask(outsider, "GET", "projects").json["projects"] == []
        for method, where in (
            ("GET", path),
            ("PATCH", path),
            ("DELETE", path),
            ("GET", f"{path}/specification"),
            ("POST", f"{path}/specification"),
            ("GET", f"{path}/entities"),
            ("POST", f"{path}/placements"),
            ("POST", f"{path}/main-views"),
            ("POST", f"{path}/checks"),
            ("GET", f"{path}/checks/{project.checks.get().public_id}"),
            ("GET", f"{path}/activation"),
            ("POST", f"{path}/activation"),
        ):
            assert (ask(outsider, method, where, {}).status, where) == (404, where)

    def test_a_token_for_other_destinations_or_entities_sees_and_changes_nothing_of_it(
        self, admin, activation, project, bare_project
    ):
        path = f"projects/{project.public_id}"
        elsewhere, others = limited(admin, destinations=["another"]), limited(admin, entities=["account"])
        here = limited(admin, destinations=[activation.destination.public_id], entities=["user"])
        assert [each["id"] for each in ask(elsewhere, "GET", "projects").json["projects"]] == [bare_project.public_id]
        assert ask(others, "GET", "projects").json["projects"] == []
        assert len(ask(here, "GET", "projects").json["projects"]) == 2
        for token in (elsewhere, others):
            for method, where in (("GET", path), ("PATCH", path), ("POST", f"{path}/specification"), ("DELETE", path)):
                assert ask(token, method, where, {"name": "Mine"}).status == 401
        assert ask(here, "PATCH", path, {"name": "Mine"}).status == 200
        assert Source.objects.count() == 2

    def test_a_token_for_some_entities_brings_no_others_into_a_project(self, admin, project, warehouse):
        own = limited(admin, entities=["user"])
        more = FILE.replace("name: user", "name: account")
        assert ask(own, "POST", f"projects/{project.public_id}/specification", {"text": more}).status == 401
        assert create(own, warehouse, specification=more).status == 401
        assert create(own, warehouse).status == 201
        assert not Activation.objects.exists()
