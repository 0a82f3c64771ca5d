"""Warehouses by API: what is connected, changed, checked and forgotten, by whom, and that no secret comes back."""

import pytest

from accounts import vault
from accounts.models import AuditEvent
from projects import checks
from projects.models import CheckState, Project, Warehouse, WarehouseCheck
from tests.activation.management.calling import UNAUTHORIZED, ask, limited

SECRET = "swordfish-" + "in-the-pond"
POSTGRESQL = {"host": "db.example.com", "database": "analytics", "user": "rudder"}


def connect(member, **changes):
    body = {"name": "Analytics", "kind": "postgresql", "settings": POSTGRESQL, "credentials": {"password": SECRET}}
    return ask(member, "POST", "warehouses", {**body, **changes})


@pytest.fixture
def connected(admin) -> Warehouse:
    assert connect(admin).status == 201
    return Warehouse.objects.get()


def test_a_warehouse_is_connected_and_checked_and_its_secret_is_kept(admin):
    answer = connect(admin)

    warehouse, check = Warehouse.objects.get(), WarehouseCheck.objects.get()
    assert answer.status == 201
    assert answer.headers["location"] == f"/v2/warehouses/{warehouse.public_id}"
    told = answer.json
    assert told["settings"] == {**POSTGRESQL, "port": 5432, "sslmode": "require"}
    assert (told["id"], told["credentialsSet"], told["checkId"]) == (
        warehouse.public_id,
        ["password"],
        check.public_id,
    )
    assert vault.decrypt(warehouse.credentials) == SECRET
    assert AuditEvent.objects.get(action="warehouse_connected").token == "A token"


def test_no_answer_holds_a_secret(admin, connected):
    path = f"warehouses/{connected.public_id}"
    answers = [
        ask(admin, "GET", "warehouses"),
        ask(admin, "GET", path),
        ask(admin, "PATCH", path, {"credentials": {"password": SECRET}}),
        ask(admin, "PATCH", path, {"credentials": {"password": SECRET}, "settings": {"port": SECRET}}),
        connect(admin),
    ]
    assert [answer.status for answer in answers] == [200, 200, 200, 422, 409]
    assert not [answer for answer in answers if SECRET.encode() in answer.body]
    assert SECRET not in str(list(AuditEvent.objects.values()))


def test_making_the_same_call_twice_connects_one(admin, connected):
    again = connect(admin)

    assert (again.status, again.json["code"]) == (409, "name_taken")
    assert "name" in again.json["fields"]
    assert Warehouse.objects.count() == 1
    found = ask(admin, "GET", "warehouses", query="name=Analytics").json["warehouses"]
    assert [each["id"] for each in found] == [connected.public_id]
    assert ask(admin, "GET", "warehouses", query="name=Others").json == {
        "warehouses": [],
        "paging": {"total": 0, "next": None},
    }


@pytest.mark.parametrize(
    ("changes", "at"),
    [
        ({"name": ""}, {"name"}),
        ({"name": "x" * 101}, {"name"}),
        ({"name": None}, {"name"}),
        ({"kind": "oracle"}, {"kind"}),
        ({"kind": ["duckdb"]}, {"kind"}),
        ({"settings": {}}, {"settings.host", "settings.database", "settings.user"}),
        ({"settings": {**POSTGRESQL, "port": True}}, {"settings.port"}),
        ({"settings": {**POSTGRESQL, "port": 65_536}}, {"settings.port"}),
        ({"settings": {**POSTGRESQL, "host": "/var/run"}}, {"settings.host"}),
        ({"settings": {**POSTGRESQL, "host": ["db"]}}, {"settings.host"}),
        ({"settings": {**POSTGRESQL, "sslmode": "maybe"}}, {"settings.sslmode"}),
        ({"settings": {**POSTGRESQL, "password": SECRET}}, {"settings.password"}),
        ({"settings": []}, {"settings"}),
        ({"credentials": {"password": 5}}, {"credentials.password"}),
        ({"kind": "duckdb", "settings": {"file": "../x"}, "credentials": {}}, {"settings.file"}),
        ({"passwort": SECRET}, {"passwort"}),
    ],
)
def test_what_cannot_be_used_is_named_by_its_path_and_nothing_is_stored(admin, changes, at):
    answer = connect(admin, **changes)

    assert (answer.status, answer.json["code"], set(answer.json["fields"])) == (422, "invalid_fields", at)
    assert all(answer.json["fields"].values())
    assert not Warehouse.objects.exists()


def test_a_change_keeps_what_it_does_not_name(admin, connected):
    changed = ask(admin, "PATCH", f"warehouses/{connected.public_id}", {"name": "Renamed"})

    assert (changed.status, changed.json["name"], changed.json["settings"]["host"]) == (
        200,
        "Renamed",
        "db.example.com",
    )
    connected.refresh_from_db()
    assert vault.decrypt(connected.credentials) == SECRET


def test_a_stored_password_is_not_sent_to_another_server(admin, connected):
    path = f"warehouses/{connected.public_id}"

    refused = ask(admin, "PATCH", path, {"settings": {"host": "elsewhere.example.com"}})
    assert (refused.status, list(refused.json["fields"])) == (422, ["credentials.password"])

    changes = {"settings": {"host": "elsewhere.example.com"}, "credentials": {"password": SECRET}}
    assert ask(admin, "PATCH", path, changes).json["settings"]["host"] == "elsewhere.example.com"


def test_a_warehouse_is_forgotten_unless_a_project_reads_from_it(admin, project, warehouse):
    in_use = ask(admin, "DELETE", f"warehouses/{warehouse.public_id}")
    assert (in_use.status, in_use.json["code"]) == (409, "in_use")
    assert project.name in in_use.json["message"]

    project.delete()
    assert ask(admin, "DELETE", f"warehouses/{warehouse.public_id}").status == 204
    assert ask(admin, "DELETE", f"warehouses/{warehouse.public_id}").status == 404


def test_a_check_is_started_and_tells_its_steps_once_a_worker_made_it(admin, viewer, settings, tmp_path):
    settings.DUCKDB_DIR = tmp_path
    made = connect(admin, kind="duckdb", settings={"file": "nothing.duckdb"}, credentials={}).json
    path = f"warehouses/{made['id']}/checks"
    checks.run_check(WarehouseCheck.objects.get().pk, now=WarehouseCheck.objects.get().created_at)
    first = ask(viewer, "GET", f"{path}/{made['checkId']}")
    assert (first.status, first.json["state"]) == (200, CheckState.FAILED)
    assert {"name", "state", "message", "cure"} == set(first.json["steps"][0])

    second = ask(admin, "POST", path)
    assert (second.status, second.json["state"], second.json["steps"]) == (202, "queued", [])
    assert second.headers["location"] == f"/v2/{path}/{second.json['id']}"
    assert ask(admin, "POST", path).json["id"] == second.json["id"]
    assert ask(viewer, "POST", path).json == UNAUTHORIZED
    assert ask(viewer, "GET", f"{path}/unknown").status == 404


class TestWho:
    def test_everybody_reads_and_admins_connect_change_and_forget(self, admin, editor, viewer, connected):
        path = f"warehouses/{connected.public_id}"
        for member in (viewer, editor):
            assert [ask(member, "GET", each).status for each in ("warehouses", path)] == [200, 200]
            refused = [
                connect(member, name="Another"),
                ask(member, "PATCH", path, {"name": "Mine"}),
                ask(member, "POST", f"{path}/checks"),
                ask(member, "DELETE", path),
            ]
            assert [answer.status for answer in refused] == [401] * 4
        assert Warehouse.objects.get().name == "Analytics"
        assert ask(admin, "DELETE", path).status == 204

    def test_another_organisations_warehouse_looks_like_none(self, connected, outsider):
        path = f"warehouses/{connected.public_id}"
        assert ask(outsider, "GET", "warehouses").json["warehouses"] == []
        for method, where in (("GET", path), ("PATCH", path), ("POST", f"{path}/checks"), ("DELETE", path)):
            theirs = ask(outsider, method, where, {})
            nobodys = ask(outsider, method, where.replace(connected.public_id, "2" * 27), {})
            assert (theirs.status, theirs.body) == (404, nobodys.body)
        assert Warehouse.objects.exists()

    def test_a_token_changes_what_there_is_only_with_the_call_manage(self, admin, connected):
        path = f"warehouses/{connected.public_id}"
        reads, manages = limited(admin, verbs=["read"]), limited(admin, verbs=["manage"])
        assert (ask(reads, "GET", path).status, ask(reads, "PATCH", path, {"name": "B"}).status) == (200, 401)
        assert (ask(manages, "GET", path).status, ask(manages, "PATCH", path, {"name": "B"}).status) == (401, 200)

    def test_a_token_for_some_entities_leaves_alone_what_others_read_from(self, admin, project, warehouse):
        path = f"warehouses/{warehouse.public_id}"
        assert Project.objects.get().specification["entities"][0]["name"] == "user"
        others, own = limited(admin, entities=["account"]), limited(admin, entities=["user"])
        assert ask(others, "GET", path).status == 200
        assert ask(others, "PATCH", path, {"name": "B"}).json == UNAUTHORIZED
        assert ask(own, "PATCH", path, {"name": "B"}).status == 200


@pytest.mark.parametrize("path", ["warehouses/\x00", "warehouses/a b", "warehouses/'", "warehouses/\xff/checks/x"])
def test_ids_that_nothing_has_are_not_found(admin, path):
    assert ask(admin, "GET", path).status == 404


def test_a_rate_holds_for_these_calls_too(admin, connected):
    slow = limited(admin, rate=1)
    assert [ask(slow, "GET", "warehouses").status for _ in range(3)][-1] == 429
