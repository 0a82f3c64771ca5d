"""A main feature view that is switched on: its source, its sync from a real file, and who reads it by the main id."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial

import duckdb
import pytest
import redis
from django.test import Client
from django.utils import timezone

from accounts.roles import Role
from activation import cascades, deletions, enabling, handles, reconcile_looks, reconciles, tasks
from activation.models import Activation, Deletion, Reconcile, RedisDestination, RunState, Source, SyncRun
from activation.preconditions import Point, preconditions
from activation.reconciles import View
from config.embedded import EmbeddedServer
from projects import checks, connections, projects, runs
from projects.models import Project, RunStatus
from tests.activation.management.calling import limited
from tests.activation.pages.conftest import SPECIFICATION, VIEWS, new_project
from tests.activation.world import World, destination_of
from tests.cast import Member
from tests.contracts.caller import Called, call

ONE_VIEW = VIEWS.replace("        - {id: salesforce_id, name: features_by_salesforce_id}\n", "")
MAIN = "user_feature_view"
PEOPLE = [("m1", "ada@x"), ("m1", "ada@work"), ("m2", "bob@x"), ("m3", "eve@x")]
LEFT_OUT = "m3"  # not in the main view


@dataclass
class Shop:
    """A project whose file lists a view by email, in a DuckDB file that has the main view as well."""

    project: Project
    destination: RedisDestination
    world: World
    member: Member
    token: str = field(repr=False)

    def serve(self, *, on: bool = True) -> None:
        """Switch the main view, and play the workers that look for it."""
        self.project.refresh_from_db()
        projects.serve_main_view(self.project, "user", served=on, by=self.member.actor, now=timezone.now())
        check = checks.request_check(
            self.project.warehouse, project=self.project, by=self.member.actor, now=timezone.now()
        )
        checks.run_check(check.pk, now=timezone.now())
        check.refresh_from_db()
        assert check.state == "passed", check.steps
        self.project.refresh_from_db()

    def enable(self) -> Activation:
        return enabling.enable(self.project, self.destination, by=self.member.actor, now=timezone.now())

    def tick(self) -> list[SyncRun]:
        """Play the tick, and every worker until all that is queued has ended; return the runs that did."""
        tasks.tick()
        queued = SyncRun.objects.filter(state=RunState.QUEUED).select_related("source")
        ended = [replace(self.world, source=run.source).work(run) for run in queued]
        assert {run.state for run in ended} <= {RunState.SUCCEEDED}, [run.error for run in ended]
        handles.close()
        return ended

    def read(self, value: str, *, token: str = "", id_type: str = "user_main_id") -> Called:
        body = {
            "entity": "user",
            "destinationId": self.destination.public_id,
            "id": {"type": id_type, "value": value},
        }
        bearer = f"Bearer {token or self.token}"
        return call("POST", "/v2/activation", json.dumps(body).encode(), HTTP_AUTHORIZATION=bearer)

    def keys(self) -> set[str]:
        start = f"{self.destination.workspace_id}:{self.destination.public_id}:user:"
        return {bytes.decode(key).removeprefix(start) for key in self.world.redis.scan_iter(f"{start}*")}

    @property
    def client(self) -> Client:
        return self.member.client


def source() -> Source:
    return Source.objects.get(id_type="user_main_id")


@pytest.fixture
def shop(
    admin: Member, server: EmbeddedServer, settings, tmp_path, transactional_db: None, monkeypatch
) -> Iterator[Shop]:
    for name in ("take_snapshot", "load", "finish"):
        monkeypatch.setattr(getattr(tasks, name), "apply_async", lambda **_: None)
    settings.SNAPSHOT_DIR, settings.DUCKDB_DIR = tmp_path / "snapshots", tmp_path / "warehouses"
    settings.DUCKDB_DIR.mkdir()
    file = settings.DUCKDB_DIR / "shop.duckdb"
    with duckdb.connect(file) as connection:
        connection.execute("CREATE SCHEMA profiles")
        connection.execute("CREATE TABLE profiles.people (main VARCHAR, email VARCHAR)")
        connection.executemany("INSERT INTO profiles.people VALUES (?, ?)", PEOPLE)
        connection.execute(
            'CREATE VIEW profiles.USER_FEATURE_VIEW AS SELECT DISTINCT main AS "USER_MAIN_ID", 7 AS "SCORE" '
            f"FROM profiles.people WHERE main <> '{LEFT_OUT}'"
        )
        connection.execute(
            "CREATE VIEW profiles.features_by_email AS SELECT main AS user_main_id, email FROM profiles.people"
        )
    warehouse = connections.connect(
        organisation=admin.organisation,
        name="Shop",
        kind="duckdb",
        settings={"file": file.name},
        password="",
        by=admin.actor,
        now=timezone.now(),
    )
    project = new_project(admin, warehouse, "Shop", SPECIFICATION + ONE_VIEW)
    runs.report(project, status=RunStatus.FINISHED, reference="1", finished_at=None, by=admin.actor, now=timezone.now())
    checks.run_check(project.checks.get().pk, now=timezone.now())
    project.refresh_from_db()
    client = redis.Redis.from_url(server.url())
    world = World(source=Source(), by=admin.actor, owner=partial(duckdb.connect, file), redis=client)
    shop = Shop(project, destination_of(admin.actor, server), world, admin, admin.token(Role.ADMIN))
    yield shop
    handles.close()
    client.close()


def test_a_view_switched_on_later_is_synced_by_the_next_tick_and_read_by_the_main_id(shop: Shop):
    shop.enable()
    shop.tick()
    assert shop.keys() == {f"email:{email}" for _, email in PEOPLE}
    assert shop.read("m1").json["data"] == {}

    shop.serve()
    [run] = shop.tick()

    found = run.source
    assert (found.id_type, found.feature_view, found.relation, found.id_column) == (
        "user_main_id",
        MAIN,
        "USER_FEATURE_VIEW",
        "USER_MAIN_ID",
    )
    assert shop.keys() == {f"email:{email}" for _, email in PEOPLE} | {"user_main_id:m1", "user_main_id:m2"}
    assert shop.read("m1").json == {
        "entity": "user",
        "id": {"type": "user_main_id", "value": "m1"},
        "data": {MAIN: {"USER_MAIN_ID": "m1", "SCORE": 7}},
    }


def test_switching_off_retires_the_source_which_goes_on_being_served_and_comes_back(shop: Shop):
    shop.serve()
    shop.enable()
    shop.tick()

    shop.serve(on=False)
    assert shop.tick() == []
    assert source().status == Source.Status.RETIRED
    assert shop.read("m2").json["data"] == {MAIN: {"USER_MAIN_ID": "m2", "SCORE": 7}}

    shop.serve()
    [run] = shop.tick()
    assert (run.source, source().status) == (source(), Source.Status.ACTIVE)


def test_a_main_view_alone_is_enough_to_turn_the_sync_on(shop: Shop):
    bare = SPECIFICATION
    projects.edit_specification(shop.project, text=bare, revision=1, by=shop.member.actor, now=timezone.now())
    missing = {each.point: each.message for each in preconditions(shop.project) if not each.met}
    assert "lists no ids to serve for `user`" in missing[Point.FEATURE_VIEWS]

    shop.serve()
    points = {each.point: each for each in preconditions(shop.project)}
    assert [points[each].met for each in (Point.FEATURE_VIEWS, Point.PLACES)] == [True, True]
    assert points[Point.FEATURE_VIEWS].message == "user: user_main_id"
    shop.enable()
    shop.tick()
    assert shop.keys() == {"user_main_id:m1", "user_main_id:m2"}


def test_tokens_limited_to_entities_and_profile_lookup_know_the_main_id(shop: Shop):
    shop.enable()
    shop.serve()
    page = shop.client.get("/o/acme/projects/shop/entities/user/profile-lookup").content.decode()
    assert "user_main_id (not served)" in page, "its source is made by the next tick"
    shop.tick()
    assert shop.read("m1", token=limited(shop.member, entities=["user"])).json["data"]
    assert shop.read("m1", token=limited(shop.member, entities=["account"])).status == 401

    page = shop.client.get("/o/acme/projects/shop/entities/user/profile-lookup").content.decode()
    assert '<option value="user_main_id">user_main_id</option>' in page
    answer = shop.client.post(
        "/o/acme/projects/shop/entities/user/profile-lookup", {"id_type": "", "value": "m2", "filter": ""}
    )
    assert "SCORE" in answer.content.decode()
    card = shop.client.get("/o/acme/projects/shop/entities/").content.decode()
    assert card.count("In step") == len(("email", "user_main_id"))


def test_reconcile_counts_who_is_left_by_a_main_id_before_and_after_its_first_sync(shop: Shop):
    shop.enable()
    shop.tick()
    start = f"{shop.destination.workspace_id}:{shop.destination.public_id}:user:user_main_id"
    shop.world.redis.hset(f"{start}:gone", MAIN, "{}")
    assert reconciles.unclaimed(look(shop)) == []
    shop.serve()
    assert reconciles.unclaimed(look(shop)) == [(View("user", "user_main_id", MAIN), 1)]
    shop.tick()
    row = look(shop)
    assert (reconciles.unclaimed(row), reconciles.to_remove(row)) == ([], 1)


def look(shop: Shop) -> Reconcile:
    row = reconciles.request(shop.destination, by=shop.member.actor, now=timezone.now())
    for _ in range(20):
        Reconcile.objects.update(not_before=timezone.now())
        reconcile_looks.look(row.pk, now=timezone.now())
        row.refresh_from_db()
    return row


def delete(shop: Shop, id_type: str, value: str) -> None:
    body = {
        "entity": "user",
        "destinationId": shop.destination.public_id,
        "id": {"type": id_type, "value": value},
        "cascade": True,
    }
    answer = call("DELETE", "/v2/activation", json.dumps(body).encode(), HTTP_AUTHORIZATION=f"Bearer {shop.token}")
    assert answer.status == 200, answer.json
    for _ in range(5):
        Deletion.objects.filter(state=Deletion.State.QUEUED).update(not_before=timezone.now())
        for deletion_id in deletions.waiting(now=timezone.now()):
            cascades.work(deletion_id, now=timezone.now())


@pytest.mark.parametrize(
    ("named", "left"),
    [
        (("email", "ada@x"), {"email:bob@x", "email:eve@x", "user_main_id:m2"}),
        (("user_main_id", "m2"), {"email:ada@x", "email:ada@work", "email:eve@x", "user_main_id:m1"}),
        (
            ("user_main_id", LEFT_OUT),
            {*(f"email:{email}" for _, email in PEOPLE[:3]), "user_main_id:m1", "user_main_id:m2"},
        ),
    ],
)
def test_a_person_is_deleted_with_the_main_id_and_by_it(shop: Shop, named, left):
    shop.serve()
    shop.enable()
    shop.tick()
    delete(shop, *named)
    assert shop.keys() == left
