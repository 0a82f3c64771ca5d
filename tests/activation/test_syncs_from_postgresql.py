"""Syncs from a real PostgreSQL, as the user whom the page's grants make: whole, incremental, broken off and taken again.

The warehouse's schema of ours must hold nothing in the end but what is meant to stay there.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import psycopg
import pytest
from django.utils import timezone

from accounts import vault
from activation import dirty_ids, enabling, partitions, run_states, run_steps
from activation.engine import synchronise
from activation.models import Activation, DirtyId, Installation, RunState, Source, SyncLogContent, SyncRun
from config.embedded import EmbeddedServer, free_port
from projects import connections
from projects.models import Warehouse, WarehouseKind
from projects.warehouses import grants
from projects.warehouses.postgresql import PostgreSQLWarehouse
from tests.activation.world import VIEW, Owner, World, expected, upon
from tests.cast import Member
from tests.postgres import empty, forget

USER, PASSWORD = "rudder_of_syncs", "only-for-" + "these-tests"
PEOPLE = [(f"person{number:03}@example.com", number) for number in range(250)]


@dataclass
class Shop(World):
    """A world whose warehouse is a database; `database` is its owner's connection."""

    database: psycopg.Connection

    def one_round(self) -> SyncRun:
        """Start a run, have workers try once, and read it anew."""
        return self.again(self.work(self.start(), rounds=1))

    def view(self) -> dict[str, dict[str, object]]:
        """Read what the view shows: what Redis must hold."""
        rows = self.database.execute(f"SELECT email, score FROM profiles.{VIEW}".encode()).fetchall()
        return expected(rows)

    def tables(self) -> set[str]:
        """List all there is in our schema, whatever it is called."""
        kept = "SELECT relname FROM pg_class WHERE relnamespace = '_rudderstack'::regnamespace AND relkind NOT IN ('i', 't')"
        return {name for (name,) in self.database.execute(kept)}

    def kept(self) -> set[str]:
        """Name the tables that are meant to stay: the base snapshot and the ids deleted in the last 35 days."""
        source = Source.objects.get(pk=self.source.pk)
        return {source.base_snapshot, *(tombstone["table"] for tombstone in source.tombstones)}

    def break_off(self) -> int:
        """End all sessions of ours, as an administrator or a failover does; tells how many there were."""
        ended = self.database.execute(
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE usename = %s", [USER]
        ).fetchone()
        return int(ended[0]) if ended else 0

    def move_away(self) -> Callable[[], object]:
        """Have nothing listen where the warehouse was; returns what brings it back."""
        warehouse = Warehouse.objects.get()
        Warehouse.objects.update(settings={**warehouse.settings, "port": free_port()})
        return lambda: Warehouse.objects.update(settings=warehouse.settings)


def log_of_syncs() -> str:
    """Name the table of the sync log, which is there once there was something to log."""
    return f"activation_{Installation.own_code()}_sync_log"


@pytest.fixture
def shop(
    admin: Member, redis_server: EmbeddedServer, postgres, shared_database: str, settings, transactional_db
) -> Iterator[Shop]:
    settings.PARTITION_ROWS = 100
    where = {
        "host": postgres.host,
        "port": postgres.port,
        "database": shared_database,
        "user": USER,
        "sslmode": "disable",
    }
    warehouse = Warehouse.objects.create(
        organisation=admin.organisation,
        name="Warehouse",
        kind=WarehouseKind.POSTGRESQL,
        settings=where,
        credentials=vault.encrypt(PASSWORD),
    )
    with postgres.connect(shared_database) as connection:

        @contextmanager
        def owner() -> Iterator[Owner]:
            yield psycopg.RawCursor(connection)

        empty(connection, "profiles", "_rudderstack")
        world = upon(warehouse, owner, admin.actor, redis_server)
        shop = Shop(world.source, world.by, owner, world.redis, connection)
        text = connections.grants_of(warehouse, "profiles")
        text = text.replace(grants.CREATOR_PLACE, postgres.user).replace(grants.PASSWORD_PLACE, PASSWORD)
        connection.execute(text.encode())
        try:
            shop.put(PEOPLE)
            yield shop
        finally:
            forget(connection, USER)
    shop.redis.flushall()
    shop.redis.close()


def test_a_full_sync_brings_every_row_of_the_view(shop):
    run = shop.sync()

    assert (run.state, run.error) == (RunState.SUCCEEDED, "")
    assert (run.kind, run.written, run.rows_in_view, run.partitions.count()) == ("full", 250, 250, 3)
    assert shop.served() == shop.view() == expected(PEOPLE)
    assert shop.bookkeeping() == {"marker"}
    assert shop.tables() == shop.kept() == {run.snapshot}


def test_values_arrive_as_the_layout_wants_them(shop):
    extra = (
        ", 12.50::numeric(10, 2) AS price, 9007199254740993::bigint AS big, 0.1::float8 AS share, 'NaN'::float8 AS none"
        ", '2023-08-11T11:32:44.963062+02'::timestamptz AS seen, DATE '2024-02-29' AS day, '{1,2}'::int[] AS list"
        """, '{"b": 1.10, "a": null}'::json AS stored, '\\x00ff'::bytea AS bytes, E'é"\\n'::text AS text"""
    )
    shop.put([("ada@example.com", None)], extra=extra)

    assert shop.sync().state == RunState.SUCCEEDED

    [text] = shop.fields(shop.key("ada@example.com")).values()
    assert text.decode() == (
        '{"user_main_id":"m-ada@example.com","email":"ada@example.com","score":null,"price":12.50,'
        '"big":9007199254740993,"share":0.1,"none":null,"seen":"2023-08-11T09:32:44.963062Z","day":"2024-02-29",'
        '"list":[1,2],"stored":{"b": 1.10, "a": null},"bytes":"AP8=","text":"é\\"\\n"}'
    )


def test_an_incremental_sync_writes_what_changed_and_came_and_deletes_what_left_and_nothing_else(shop):
    shop.sync()
    stays = shop.key("person100@example.com")
    shop.redis.hset(stays, VIEW, '{"not": "written again"}')
    shop.put([("person001@example.com", 1_000), ("new@example.com", None), *PEOPLE[2:]])

    run = shop.sync()

    assert (run.state, run.kind) == (RunState.SUCCEEDED, "incremental")
    assert (run.written, run.deleted, run.unchanged) == (2, 1, 248)
    assert shop.fields(stays) == {VIEW.encode(): b'{"not": "written again"}'}
    assert shop.served() == {**shop.view(), "person100@example.com": {VIEW: {"not": "written again"}}}
    assert shop.tables() == shop.kept() | {log_of_syncs()}
    assert len(shop.kept()) == 2


def test_a_sync_without_changes_writes_nothing(shop):
    shop.sync()

    run = shop.sync()

    assert (run.kind, run.written, run.deleted, run.partitions.count()) == ("incremental", 0, 0, 0)
    assert shop.tables() == shop.kept() == {run.snapshot}


def test_ids_that_are_null_come_twice_or_differ_are_counted_and_who_differs_keeps_the_row(shop):
    shop.sync()
    shop.put(
        [*PEOPLE, (None, 1), ("", 2), ("  ", 3), PEOPLE[0], ("person001@example.com", 99), ("two@x", 1), ("two@x", 2)]
    )

    run = shop.sync()

    assert run.state == RunState.SUCCEEDED
    assert (run.null_ids, run.duplicate_ids, run.invalid_ids, run.rows_in_view) == (3, 1, 2, 257)
    assert shop.served() == expected(PEOPLE)
    assert shop.tables() == shop.kept()


def test_a_removal_takes_out_every_profile_and_every_table_but_of_the_ids_it_deleted(shop):
    shop.sync()
    shop.put(PEOPLE[1:])
    shop.sync()
    shop.redis.hset(shop.key("person002@example.com"), "another_view", "{}")

    enabling.disable(shop.source.activation.project, by=shop.by, now=timezone.now(), remove=True)
    run = shop.work(SyncRun.objects.get(kind="removal"))

    assert (run.state, run.deleted) == (RunState.SUCCEEDED, 250)
    assert shop.served() == {"person002@example.com": {"another_view": {}}}
    assert shop.bookkeeping() == set()
    assert shop.tables() == {log_of_syncs()} | shop.kept() - {""}


def view_of(score: str) -> str:
    """Return the SQL that makes the view anew, with its score by another expression."""
    columns = f"'m-' || email AS user_main_id, email, {score} AS score"
    return f"CREATE OR REPLACE VIEW profiles.{VIEW} AS SELECT {columns} FROM profiles.people"


CHANGED = [("person001@example.com", 1_000), ("new@example.com", 7), *PEOPLE[3:]]


def a_sync_breaks_off(shop: Shop) -> SyncRun:
    """Play one round of a sync in which the warehouse breaks off, and see that it goes back."""
    run = shop.one_round()
    assert (run.state, run.error_code, run.retries) == (RunState.QUEUED, "warehouse_unreachable", 1)
    assert shop.served() == expected(PEOPLE)
    return run


def goes_on(shop: Shop, run: SyncRun) -> None:
    """Take the run again, to its end, and see that nothing is left of what broke."""
    run = shop.work(run)
    assert (run.state, run.error, run.attempt) == (RunState.SUCCEEDED, "", 2)
    assert (run.kind, run.written, run.deleted) == ("incremental", 2 + 1, 2)
    assert shop.served() == shop.view() == expected(CHANGED)
    assert shop.tables() == shop.kept() | {log_of_syncs()}
    assert shop.bookkeeping() == {"marker"}


@pytest.mark.parametrize("kind", ["snapshot", "chosen", "upserts", "deletes"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_warehouse_that_breaks_off_between_two_tables_of_a_snapshot_costs_an_attempt(shop, monkeypatch, kind, moment):
    prepared(shop)
    create = PostgreSQLWarehouse.create
    ended: list[int] = []

    def breaking(warehouse, name, *arguments, **named):
        if not name.endswith(f"_{kind}") or ended:
            return create(warehouse, name, *arguments, **named)
        if moment == "before":
            ended.append(shop.break_off())
            return create(warehouse, name, *arguments, **named)
        rows = create(warehouse, name, *arguments, **named)
        ended.append(shop.break_off())
        return rows

    monkeypatch.setattr(PostgreSQLWarehouse, "create", breaking)

    run = a_sync_breaks_off(shop)
    assert ended == [1]
    goes_on(shop, run)


def prepared(shop: Shop) -> None:
    """Sync once, list an id as out of step, and change the view."""
    shop.sync()
    named = [("user", "email", "person200@example.com")]
    dirty_ids.add_profiles(shop.source.destination_id, named, reason=DirtyId.Reason.DELETED, now=timezone.now())
    shop.put(CHANGED)


def test_a_warehouse_that_breaks_off_while_it_takes_ids_costs_an_attempt(shop, monkeypatch):
    prepared(shop)
    execute = PostgreSQLWarehouse._execute
    ended: list[int] = []

    def breaking(warehouse, sql):
        # The table of ids is there, in a transaction that is open, and the ids come next.
        done = execute(warehouse, sql)
        if sql.startswith("CREATE TABLE") and "_queued_new" in sql and not ended:
            ended.append(shop.break_off())
        return done

    monkeypatch.setattr(PostgreSQLWarehouse, "_execute", breaking)

    run = a_sync_breaks_off(shop)
    assert ended == [1]
    goes_on(shop, run)


def test_a_warehouse_that_breaks_off_while_the_view_is_copied_costs_an_attempt(shop):
    """The view itself ends the session that copies it, at its fiftieth row."""
    prepared(shop)
    shop.database.execute(
        """
        CREATE FUNCTION profiles.score(email text, score int) RETURNS int SECURITY DEFINER LANGUAGE plpgsql AS $$
        BEGIN
            IF email = 'person050@example.com' AND current_query() LIKE 'CREATE TABLE%' THEN
                PERFORM pg_terminate_backend(pg_backend_pid());
            END IF;
            RETURN score;
        END $$
        """
    )
    shop.database.execute(view_of("profiles.score(email, score)").encode())

    run = a_sync_breaks_off(shop)
    assert shop.tables() - {each for each in shop.tables() if each.endswith("_queued")} == shop.kept()
    shop.database.execute(view_of("score").encode())
    goes_on(shop, run)


@pytest.mark.parametrize("broken", ["upserts", "deletes"])
def test_a_warehouse_that_breaks_off_between_two_pages_of_a_partition_costs_that_partition_an_attempt(
    shop, monkeypatch, settings, broken
):
    settings.PARTITION_ROWS = 400
    monkeypatch.setattr(synchronise, "WRITE_ROWS", 50)
    people = [(f"p{number:04}@x", number) for number in range(1_000)]
    shop.put(people)
    if broken == "deletes":
        Activation.objects.update(guard_percent=100)
        shop.sync()
        people = people[:1]
        shop.put(people)
    run = shop.start()
    assert run_steps.take_snapshot(run.pk, now=timezone.now())
    first, second, *_ = partitions.waiting(now=timezone.now()).values_list("pk", flat=True)
    assert run_steps.load_partition(first, now=timezone.now())
    stream = PostgreSQLWarehouse.stream
    ended: list[int] = []

    def breaking(warehouse, sql, **named):
        if "convert_from" in sql and not ended:  # a page that begins after the last id of the one before
            ended.append(shop.break_off())
        return stream(warehouse, sql, **named)

    monkeypatch.setattr(PostgreSQLWarehouse, "stream", breaking)

    assert run_steps.load_partition(second, now=timezone.now()) is None

    assert ended == [1]
    assert shop.again(run).state == RunState.LOADING
    given_up = run.partitions.get(pk=second)
    assert (given_up.state, given_up.heartbeat_at, given_up.error_code) == ("loading", None, "warehouse_unreachable")
    run = shop.work(run)
    assert (run.state, run.error, run.attempt) == (RunState.SUCCEEDED, "", 1)
    assert sorted(part.attempt for part in run.partitions.all()) == [1] * (run.partitions.count() - 1) + [2]
    assert (run.written, run.deleted) == ((1_000, 0) if broken == "upserts" else (0, 999))
    assert shop.served() == shop.view() == expected(people)
    assert shop.tables() - {log_of_syncs()} == shop.kept()


def test_a_warehouse_that_breaks_off_while_the_sync_log_is_written_costs_the_log_only(shop, monkeypatch):
    shop.sync()
    shop.put(CHANGED)
    append = PostgreSQLWarehouse.append

    def breaking(warehouse, *arguments, **named):
        warehouse.schemas()
        assert shop.break_off() == 1
        return append(warehouse, *arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(PostgreSQLWarehouse, "append", breaking)
        run = shop.sync()

    assert (run.state, run.warnings) == (RunState.SUCCEEDED, ["sync_log_not_written"])
    assert shop.served() == shop.view()
    assert shop.tables() == shop.kept()


def test_a_warehouse_that_is_away_when_a_sync_is_to_end_leaves_tables_to_the_next_one(shop, monkeypatch):
    shop.sync()
    shop.put(CHANGED)
    drop = PostgreSQLWarehouse.drop

    def breaking(warehouse, name):
        if run_is_over():
            shop.break_off()
        drop(warehouse, name)

    def run_is_over() -> bool:
        return not SyncRun.objects.exclude(state=RunState.SUCCEEDED).exists()

    with monkeypatch.context() as patched:
        patched.setattr(PostgreSQLWarehouse, "drop", breaking)
        assert shop.sync().state == RunState.SUCCEEDED
    assert shop.tables() - {log_of_syncs()} > shop.kept()
    assert shop.served() == shop.view()

    shop.sync()

    assert shop.tables() - {log_of_syncs()} == shop.kept()


def test_a_sync_of_a_warehouse_that_stays_away_waits_and_fails_in_the_end_and_the_base_stays(shop, monkeypatch):
    base = shop.sync()
    shop.put(CHANGED)
    come_back = shop.move_away()
    monkeypatch.setattr(run_states, "MOST_RETRIES", 2)
    before = timezone.now()

    run = shop.one_round()
    assert (run.state, run.error_code, run.retries) == (RunState.QUEUED, "warehouse_unreachable", 1)
    assert run.not_before >= before + run_states.wait_before(0)
    run = shop.work(run)

    assert (run.state, run.error_code) == (RunState.FAILED, "warehouse_unreachable")
    is_as_before(shop, base)
    come_back()
    is_in_step_again(shop)


def test_a_sync_whose_warehouse_goes_away_for_good_while_it_loads_fails_in_the_end_and_the_base_stays(
    shop, monkeypatch
):
    base = shop.sync()
    shop.put(CHANGED)
    monkeypatch.setattr(run_states, "MOST_RETRIES", 2)
    run = shop.start()
    assert run_steps.take_snapshot(run.pk, now=timezone.now())
    come_back = shop.move_away()

    run = shop.work(run)

    assert (run.state, run.error_code) == (RunState.FAILED, "warehouse_unreachable")
    is_as_before(shop, base)
    come_back()
    is_in_step_again(shop)


SPOILT = {
    "log_in": (f"ALTER ROLE {USER} NOLOGIN", f"ALTER ROLE {USER} LOGIN", "warehouse_refused"),
    "select": (
        f"REVOKE SELECT ON profiles.{VIEW} FROM {USER}",
        f"GRANT SELECT ON profiles.{VIEW} TO {USER}",
        "grant_missing",
    ),
    "create": (
        f"REVOKE CREATE ON SCHEMA _rudderstack FROM {USER}",
        f"GRANT CREATE ON SCHEMA _rudderstack TO {USER}",
        "grant_missing",
    ),
    "view": (
        f"ALTER VIEW profiles.{VIEW} RENAME TO other",
        f"ALTER VIEW profiles.other RENAME TO {VIEW}",
        "relation_missing",
    ),
    "id_column": (
        f"ALTER VIEW profiles.{VIEW} RENAME email TO mail",
        f"ALTER VIEW profiles.{VIEW} RENAME mail TO email",
        "view_unusable",
    ),
    "cast": (
        view_of("CASE WHEN score = 50 THEN email::int ELSE score END"),
        view_of("score"),
        "query_failed",
    ),
}


@pytest.mark.parametrize(("spoil", "mend", "code"), SPOILT.values(), ids=SPOILT)
def test_what_waiting_does_not_mend_fails_a_sync_at_once_by_its_code(shop, spoil, mend, code):
    base = shop.sync()
    shop.put(CHANGED)
    shop.database.execute(spoil.encode())

    run = shop.one_round()

    assert (run.state, run.error_code, run.retries) == (RunState.FAILED, code, 0)
    assert "person" not in run.error
    is_as_before(shop, base)
    assert shop.tables() == {base.snapshot}
    shop.database.execute(mend.encode())
    is_in_step_again(shop)


def is_as_before(shop: Shop, base: SyncRun) -> None:
    """See that a run that failed has moved nothing."""
    source = Source.objects.get()
    assert (source.base_run_id, source.base_snapshot) == (base.pk, base.snapshot)
    assert base.snapshot in shop.tables()
    assert shop.served() == expected(PEOPLE)


def is_in_step_again(shop: Shop) -> None:
    run = shop.sync()
    assert (run.state, run.kind, run.written, run.deleted) == (RunState.SUCCEEDED, "incremental", 2, 2)
    assert shop.served() == shop.view() == expected(CHANGED)
    assert shop.tables() == shop.kept() | {log_of_syncs()}


def test_a_base_snapshot_that_somebody_dropped_makes_the_next_sync_full(shop):
    base = shop.sync()
    shop.database.execute(f"DROP TABLE _rudderstack.{base.snapshot}".encode())
    shop.put(CHANGED[1:])

    run = shop.sync()

    assert (run.state, run.kind, run.full_reason) == (RunState.SUCCEEDED, "full", "base_lost")
    assert run.warnings == ["reconcile_advised"]
    assert shop.view().items() <= shop.served().items()


def test_a_snapshot_that_somebody_dropped_in_mid_load_is_taken_again(shop):
    run = shop.start()
    run_steps.take_snapshot(run.pk, now=timezone.now())
    run_steps.load_partition(run.partitions.order_by("number")[0].pk, now=timezone.now())
    shop.database.execute(f"DROP TABLE _rudderstack.{shop.again(run).snapshot}".encode())

    run = shop.work(run)

    assert (run.state, run.kind, run.attempt, run.error) == (RunState.SUCCEEDED, "full", 2, "")
    assert shop.served() == shop.view() == expected(PEOPLE)
    assert shop.tables() == shop.kept() == {run.snapshot}


def test_tables_of_others_in_our_schema_are_left_alone(shop):
    others = {"activation_ffffffff_s1_r1_a1_snapshot", "rudder_of_somebody"}
    for name in others:
        shop.database.execute(f"CREATE TABLE _rudderstack.{name} AS SELECT 1 AS a".encode())
    shop.sync()
    shop.put(CHANGED)

    shop.sync()

    assert shop.tables() == shop.kept() | others | {log_of_syncs()}


def test_the_sync_log_has_the_columns_of_the_hosted_product_and_a_row_for_all_that_was_done(shop):
    Activation.objects.update(sync_log=SyncLogContent.EVERYTHING)
    first = shop.sync()
    shop.put(CHANGED)
    shop.redis.delete(shop.key("new@example.com"))
    shop.redis.set(shop.key("new@example.com"), "of somebody else")
    second = shop.sync()

    columns = shop.database.execute(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s ORDER BY ordinal_position",
        [log_of_syncs()],
    ).fetchall()
    assert columns == [
        ("connection_id", "character varying"),
        ("sync_run_id", "character varying"),
        ("primary_key", "text"),
        ("operation", "text"),
        ("status", "text"),
        ("error_reason", "character varying"),
        ("sync_started_at", "timestamp without time zone"),
        ("sync_finished_at", "timestamp without time zone"),
    ]
    assert done_by(shop, first) == [(email, "insert", "succeeded", None) for email, _ in PEOPLE]
    assert done_by(shop, second) == [
        ("new@example.com", "insert", "failed", "wrong_type"),
        ("person000@example.com", "delete", "succeeded", None),
        ("person001@example.com", "update", "succeeded", None),
        ("person002@example.com", "delete", "succeeded", None),
    ]
    times = shop.database.execute(
        f"SELECT DISTINCT sync_run_id, sync_started_at, sync_finished_at FROM _rudderstack.{log_of_syncs()}".encode()
    ).fetchall()
    assert {run: (began, ended) for run, began, ended in times} == {
        run.public_id: (in_utc(run.snapshot_at), in_utc(run.finished_at)) for run in map(shop.again, (first, second))
    }
    assert shop.tables() == shop.kept() | {log_of_syncs()}


def done_by(shop: Shop, run: SyncRun) -> list[tuple[object, ...]]:
    """Read what the log says a run of the source did."""
    return shop.database.execute(
        f"SELECT primary_key, operation, status, error_reason FROM _rudderstack.{log_of_syncs()} "
        "WHERE connection_id = %s AND sync_run_id = %s ORDER BY primary_key".encode(),
        [shop.source.public_id, run.public_id],
    ).fetchall()


def in_utc(at: datetime | None) -> datetime | None:
    return at and at.replace(tzinfo=None)
