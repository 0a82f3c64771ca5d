"""The PostgreSQL warehouse against a real server: grants, errors, streams, cancelling, and what may be said."""

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from projects.warehouses import port, postgresql
from projects.warehouses.port import CheckStep, Column, Relation, WarehouseError
from projects.warehouses.postgresql import PostgreSQLSettings, PostgreSQLWarehouse, numbered
from tests.postgres import PostgresServer, empty, forget

VIEW = Relation("profiles", "people")
SECRET = "someone@private.example"
TABLE = "activation_0a1b2c3d_s1_r1_a1_snapshot"
GRANTS = (
    "GRANT USAGE ON SCHEMA _rudderstack TO {user}",
    "GRANT CREATE ON SCHEMA _rudderstack TO {user}",
    "GRANT USAGE ON SCHEMA profiles TO {user}",
    "GRANT SELECT ON profiles.people TO {user}",
)


@dataclass
class Place:
    """A database with a view, its owner's connection, and a user who may do only what he is granted."""

    owner: psycopg.Connection
    user: str
    settings: PostgreSQLSettings

    def execute(self, *statements: str) -> None:
        for statement in statements:
            self.owner.execute(statement.replace("{user}", self.user).encode())

    @contextmanager
    def open(self, **changes: object) -> Iterator[PostgreSQLWarehouse]:
        with PostgreSQLWarehouse(replace(self.settings, **changes)) as warehouse:  # type: ignore[arg-type]  # the caller names fields
            yield warehouse


@pytest.fixture
def place(postgres: PostgresServer, shared_database: str) -> Iterator[Place]:
    user, password = f"rudder_{secrets.token_hex(4)}", "p w'\"%/?#@:&=\\é"
    with postgres.connect(shared_database) as owner:
        owner.execute(
            psycopg.sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                psycopg.sql.Identifier(user), psycopg.sql.Literal(password)
            )
        )
        empty(owner, "profiles", "_rudderstack")
        made = Place(owner, user, PostgreSQLSettings("127.0.0.1", postgres.port, shared_database, user, password))
        made.execute(
            "CREATE TABLE profiles.materialised (email varchar(100), plan text)",
            f"INSERT INTO profiles.materialised VALUES ('{SECRET}', '1')",
            "CREATE VIEW profiles.people AS SELECT email, plan FROM profiles.materialised",
        )
        yield made
        forget(owner, user)


@pytest.fixture
def granted(place: Place) -> Place:
    place.execute(*GRANTS)
    return place


def states(steps: list[CheckStep]) -> list[tuple[str, str]]:
    return [(step.name, step.state) for step in steps]


def test_a_check_passes_its_steps_in_their_order_and_leaves_nothing_behind(granted: Place) -> None:
    with granted.open() as warehouse:
        steps = list(warehouse.check([VIEW]))
        assert states(steps) == [
            ("Connection", "passed"),
            ("Schemas", "passed"),
            ("Write, read and drop a table", "passed"),
            ("View profiles.people", "passed"),
        ]
        assert warehouse.tables("activation_") == []


@pytest.mark.parametrize(
    ("missing", "step", "named"),
    [
        (0, "Write, read and drop a table", "schema _rudderstack"),
        (1, "Write, read and drop a table", "schema _rudderstack"),
        (2, "View profiles.people", "USAGE on the schema profiles"),
        (3, "View profiles.people", "SELECT on profiles.people"),
    ],
)
def test_a_check_names_the_one_grant_that_is_missing(place: Place, missing: int, step: str, named: str) -> None:
    place.execute(*(grant for number, grant in enumerate(GRANTS) if number != missing))
    with place.open() as warehouse:
        failed = [found for found in warehouse.check([VIEW]) if found.state == "failed"]
    assert [found.name for found in failed] == [step]
    assert named in failed[0].message
    assert "grants SQL" in failed[0].cure


def test_steps_that_are_not_reached_are_told_too(place: Place) -> None:
    place.execute("DROP SCHEMA _rudderstack")
    with place.open() as warehouse:
        steps = list(warehouse.check([VIEW]))
    assert [step.state for step in steps] == ["passed", "passed", "failed", "not_reached"]
    assert "no schema _rudderstack" in steps[2].message
    with place.open(password="wrong") as warehouse:
        steps = list(warehouse.check([VIEW]))
    assert [step.state for step in steps] == ["failed", "not_reached", "not_reached", "not_reached"]
    assert "password" in steps[0].cure


def test_one_unreadable_view_does_not_keep_the_others_from_being_tried(granted: Place) -> None:
    with granted.open() as warehouse:
        steps = list(warehouse.check([Relation("profiles", "nothing"), VIEW]))
    assert [step.state for step in steps[3:]] == ["failed", "passed"]


def test_a_view_over_a_table_that_its_owner_may_not_read_names_the_table(granted: Place) -> None:
    granted.execute(
        "CREATE ROLE nobody_in_particular",
        "ALTER VIEW profiles.people OWNER TO nobody_in_particular",
    )
    try:
        with granted.open() as warehouse:
            [step] = [step for step in warehouse.check([VIEW]) if step.state == "failed"]
        assert "materialised" in step.message or "profiles" in step.message
    finally:
        granted.execute("DROP OWNED BY nobody_in_particular CASCADE", "DROP ROLE nobody_in_particular")


def test_schemas_and_relations_are_listed_and_a_missing_one_is_said(granted: Place) -> None:
    with granted.open() as warehouse:
        assert {"_rudderstack", "profiles", "public"} <= set(warehouse.schemas())
        assert not [name for name in warehouse.schemas() if name.startswith("pg_") or name == "information_schema"]
        assert warehouse.relations("profiles") == ["materialised", "people"]
        with pytest.raises(port.RelationMissing, match="no schema elsewhere"):
            warehouse.relations("elsewhere")
        with pytest.raises(port.RelationMissing, match=r"profiles\.nothing"):
            warehouse.describe(Relation("profiles", "nothing"))


def test_a_view_is_described_in_its_own_order_with_the_types_below_domains(granted: Place) -> None:
    granted.execute(
        "CREATE DOMAIN profiles.price AS numeric(12, 2)",
        "CREATE DOMAIN profiles.net AS profiles.price",
        "CREATE TYPE profiles.address AS (street text)",
        "CREATE TYPE profiles.mood AS ENUM ('ok')",
        'CREATE TABLE profiles.types (z profiles.net, "A b" varchar(3), t timestamp(3), a profiles.address, m profiles.mood, l int[], gone int)',
        "ALTER TABLE profiles.types DROP COLUMN gone",
        "GRANT SELECT ON profiles.types TO {user}",
    )
    with granted.open() as warehouse:
        assert warehouse.describe(Relation("profiles", "types")) == [
            Column("z", "numeric(12,2)"),
            Column("A b", "character varying(3)"),
            Column("t", "timestamp(3) without time zone"),
            Column("a", 'row("street" text)'),
            Column("m", "profiles.mood"),
            Column("l", "integer[]"),
        ]


def test_a_session_does_not_depend_on_how_the_server_or_the_user_is_set(granted: Place) -> None:
    granted.execute(
        "ALTER ROLE {user} SET TimeZone = 'Asia/Tokyo'",
        "ALTER ROLE {user} SET DateStyle = 'German, DMY'",
        "ALTER ROLE {user} SET IntervalStyle = 'iso_8601'",
        "ALTER ROLE {user} SET bytea_output = 'escape'",
        "ALTER ROLE {user} SET extra_float_digits = -5",
        "ALTER ROLE {user} SET search_path = profiles",
        "ALTER ROLE {user} SET standard_conforming_strings = off",
    )
    query = (
        "SELECT timestamptz '2023-01-31 00:00:00+00'::text, date '2023-01-31'::text, interval '1 day'::text, "
        "'\\x00'::bytea::text, (0.1::float8 + 0.2::float8)::text, to_regclass('people')::text"
    )
    with granted.open() as warehouse:
        assert warehouse.fetch(query) == [
            ("2023-01-31 00:00:00+00", "2023-01-31", "1 day", "\\x00", "0.30000000000000004", None)
        ]


def test_parameters_are_bound_and_question_marks_in_quotes_are_left_alone(granted: Place) -> None:
    assert numbered("""SELECT '?', "?", 'it''s ?', ? || ?""") == """SELECT '?', "?", 'it''s ?', $1 || $2"""
    with granted.open() as warehouse:
        assert warehouse.fetch("SELECT '?', ?::text, ?::bigint, ?::text", ("'; DROP", 5, None)) == [
            ("?", "'; DROP", 5, None)
        ]


def test_a_table_appears_whole_or_not_at_all(granted: Place) -> None:
    with granted.open() as warehouse:
        assert (
            warehouse.create(TABLE, "SELECT '' AS _id, i AS _part FROM generate_series(1, 5) i", partitioned=True) == 5
        )
        with pytest.raises(port.QueryFailed):
            warehouse.create(
                TABLE, "SELECT '' AS _id, 1 / (i - 3) AS _part FROM generate_series(1, 5) i", partitioned=True
            )
        assert warehouse.fetch(f"SELECT count(*) FROM {warehouse.dialect.snapshot(TABLE)}") == [(5,)]
        assert warehouse.create(TABLE, "SELECT 1 AS _part WHERE false") == 0
        assert warehouse.tables("activation_0a1b2c3d_") == [TABLE]
        warehouse.drop(TABLE)
        warehouse.drop(TABLE)
        assert warehouse.tables("activation_") == []


def test_rows_of_a_large_view_are_shared_among_the_server_s_processes(granted: Place) -> None:
    granted.execute(
        "CREATE FUNCTION public.made_by(text) RETURNS integer LANGUAGE plpgsql STABLE PARALLEL SAFE COST 20 "
        "AS 'BEGIN RETURN pg_catalog.pg_backend_pid(); END'",
        "INSERT INTO profiles.materialised SELECT n || repeat('x', 80), '1' FROM generate_series(1, 200000) AS t(n)",
        "ANALYZE profiles.materialised",
    )
    cost = "SELECT current_setting('parallel_tuple_cost')"
    with granted.open() as warehouse:
        before = warehouse.fetch(cost)
        warehouse.create(TABLE, "SELECT public.made_by(email) AS pid FROM profiles.people")
        assert warehouse.fetch(cost) == before
        [(shared,)] = warehouse.fetch(f'SELECT count(DISTINCT pid) > 1 FROM "_rudderstack"."{TABLE}"')
    granted.execute("DROP FUNCTION public.made_by(text)")
    assert shared


def test_tables_of_others_in_the_shared_schema_are_never_touched(granted: Place) -> None:
    granted.execute("CREATE TABLE _rudderstack.rudder_table (a int)")
    with granted.open() as warehouse:
        for refused in (warehouse.drop, lambda name: warehouse.create(name, "SELECT 1 AS a")):
            with pytest.raises(ValueError, match="table of ours"):
                refused("rudder_table")
        assert warehouse.tables("") == ["rudder_table"]


def test_a_stream_comes_in_batches_of_at_most_the_rows_asked_for(granted: Place) -> None:
    with granted.open() as warehouse:
        batches = list(warehouse.stream("SELECT i, repeat('x', 200) FROM generate_series(1, 12345) i", batch_rows=1000))
    assert sum(batch.num_rows for batch in batches) == 12345
    assert max(batch.num_rows for batch in batches) <= 1000


def test_a_stream_that_is_left_early_leaves_the_connection_usable(granted: Place) -> None:
    with granted.open() as warehouse:
        stream = warehouse.stream("SELECT i, repeat('x', 200) FROM generate_series(1, 5000000) i")
        next(stream)
        began = time.monotonic()
        stream.close()
        assert warehouse.fetch("SELECT 1") == [(1,)]
        assert time.monotonic() - began < 5


def test_a_fault_in_the_middle_of_a_stream_is_told_and_says_nothing_of_the_rows(granted: Place) -> None:
    rows = "SELECT CASE WHEN i < 200000 THEN '1' ELSE 'someone@private.example' END::int, repeat('x', 50) FROM generate_series(1, 200001) i"
    with granted.open() as warehouse:
        with pytest.raises(port.QueryFailed) as failed:
            list(warehouse.stream(rows))
        assert warehouse.fetch("SELECT 1") == [(1,)]
    assert silent(failed.value)


def test_a_statement_is_cancelled_from_another_thread(granted: Place) -> None:
    with granted.open() as warehouse:
        timer = threading.Timer(0.3, warehouse.cancel)
        timer.start()
        began = time.monotonic()
        with pytest.raises(port.QueryCancelled):
            warehouse.fetch("SELECT pg_sleep(30)::text")
        timer.join()
        assert time.monotonic() - began < 10
        stream = warehouse.stream("SELECT i, repeat('x', 200) FROM generate_series(1, 5000000) i")
        next(stream)
        warehouse.cancel()
        with pytest.raises(port.QueryCancelled):
            list(stream)
        assert warehouse.fetch("SELECT 1") == [(1,)]


def test_a_connection_that_breaks_is_a_transient_fault(granted: Place) -> None:
    end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{granted.user}'"
    with granted.open() as warehouse:
        stream = warehouse.stream("SELECT i, repeat('x', 200) FROM generate_series(1, 5000000) i")
        next(stream)
        granted.execute(end)
        with pytest.raises(port.WarehouseUnreachable) as failed:
            list(stream)
        assert failed.value.transient
        with pytest.raises(port.WarehouseUnreachable):
            warehouse.fetch("SELECT 1")
        warehouse.close()


def silent(error: WarehouseError) -> bool:
    """Whether nothing about an error, chained errors included, gives a row or a password away."""
    told = f"{error!s} {error!r} {error.args} {error.detail} {error.__cause__!r}"
    return SECRET not in told and "private" not in told and error.__suppress_context__


@pytest.mark.parametrize(
    ("sql", "kind", "detail"),
    [
        (f"SELECT CAST('{SECRET}' AS integer)", port.QueryFailed, "22P02"),
        ("SELECT email::integer FROM profiles.people", port.QueryFailed, "22P02"),
        ("SELECT 1 FROM profiles.nothing", port.RelationMissing, "42P01"),
        ("SELECT nothing FROM profiles.people", port.QueryFailed, "42703"),
        ("SELECT 1 FROM profiles.materialised", port.GrantMissing, "42501"),
        ('SELECT \'{"secret": ' + SECRET + "'::jsonb", port.QueryFailed, "22P02"),
    ],
)
def test_a_failed_statement_is_told_by_its_class_and_never_in_the_driver_s_words(
    granted: Place, sql: str, kind: type[WarehouseError], detail: str
) -> None:
    with granted.open() as warehouse, pytest.raises(kind) as failed:
        warehouse.fetch(sql)
    assert (type(failed.value), failed.value.detail) == (kind, detail)
    assert silent(failed.value)


def test_a_lock_that_stands_in_the_way_is_a_transient_fault(granted: Place) -> None:
    with granted.open() as warehouse:
        warehouse.fetch("SELECT set_config('lock_timeout', '100ms', false)")
        granted.execute("BEGIN", "LOCK TABLE profiles.materialised")
        with pytest.raises(port.WarehouseBusy) as failed:
            warehouse.fetch("SELECT count(*) FROM profiles.people")
        granted.execute("ROLLBACK")
    assert failed.value.transient


def test_a_table_that_somebody_reads_for_hours_is_not_waited_for(granted: Place, monkeypatch) -> None:
    monkeypatch.setattr(postgresql, "_DROPS_WITHIN", "100ms")
    with granted.open() as warehouse:
        warehouse.create(TABLE, "SELECT 1 AS _id")
        granted.execute("BEGIN", f"LOCK TABLE _rudderstack.{TABLE} IN ACCESS SHARE MODE")
        with pytest.raises(port.WarehouseBusy) as failed:
            warehouse.drop(TABLE)
        granted.execute("ROLLBACK")
        assert failed.value.transient
        assert warehouse.fetch("SELECT current_setting('lock_timeout')") == [("0",)]
        warehouse.drop(TABLE)
        assert warehouse.tables(TABLE) == []


def test_a_read_only_user_is_told_so(granted: Place) -> None:
    granted.execute("ALTER ROLE {user} SET default_transaction_read_only = on")
    with granted.open() as warehouse, pytest.raises(port.GrantMissing, match="read-only"):
        warehouse.create(TABLE, "SELECT 1 AS a")


@pytest.mark.parametrize(
    ("changes", "kind", "detail"),
    [
        ({"password": "wrong"}, port.WarehouseRefused, "authentication"),
        ({"password": ""}, port.WarehouseRefused, "authentication"),
        ({"user": "nobody"}, port.WarehouseRefused, "authentication"),
        ({"database": "nothing"}, port.RelationMissing, "database"),
        ({"port": 1}, port.WarehouseUnreachable, "refused"),
        ({"host": "nowhere.invalid"}, port.WarehouseUnreachable, "name_resolution"),
        ({"sslmode": "require"}, port.WarehouseUnreachable, "tls"),
        ({"sslmode": "verify-full"}, port.WarehouseUnreachable, "tls"),
    ],
)
def test_a_failed_connection_is_told_by_its_class(
    granted: Place, changes: dict[str, object], kind: type[WarehouseError], detail: str
) -> None:
    with granted.open(**changes) as warehouse, pytest.raises(kind) as failed:
        warehouse.schemas()
    assert (type(failed.value), failed.value.detail) == (kind, detail)
    assert granted.settings.password not in str(failed.value)
    assert granted.user not in str(failed.value)


def test_the_address_that_was_resolved_is_the_one_dialled(granted: Place) -> None:
    with granted.open(host="warehouse.invalid", hostaddr="127.0.0.1") as warehouse:
        assert "profiles" in warehouse.schemas()


@pytest.mark.parametrize("text", ["x&sslmode=disable", "a b", "x=y host=evil", "postgres://evil/x", "é/?#%20", "a'b"])
def test_no_setting_reaches_beyond_its_own_field(granted: Place, text: str) -> None:
    settings = replace(granted.settings, database=text, user=text, password=text)
    fields = parse_qs(urlsplit(settings.uri()).query, strict_parsing=True)
    assert (fields["dbname"], fields["user"], fields["password"]) == ([text], [text], [text])
    assert fields["host"] == ["127.0.0.1"]
    with granted.open(database=text) as warehouse, pytest.raises(port.RelationMissing):
        warehouse.schemas()


@pytest.mark.parametrize(
    "changes",
    [
        {"host": "/var/run/postgresql"},
        {"host": ""},
        {"host": "a,b"},
        {"host": "a b"},
        {"host": "a?x=1"},
        {"host": "@abstract"},
        {"hostaddr": "name.example"},
        {"port": 0},
        {"sslmode": "none"},
        {"user": "a\0b"},
    ],
)
def test_a_setting_that_is_no_host_port_or_mode_is_refused(granted: Place, changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        replace(granted.settings, **changes)  # type: ignore[arg-type]  # wrong on purpose


def test_the_password_is_in_no_repr(granted: Place) -> None:
    with granted.open() as warehouse:
        assert granted.settings.password not in f"{granted.settings!r} {warehouse!r} {vars(warehouse)!r}"


def test_closing_ends_a_stream_that_nobody_has_closed(granted: Place) -> None:
    with granted.open() as warehouse:
        stream = warehouse.stream("SELECT i, repeat('x', 200) FROM generate_series(1, 5000000) i")
        next(stream)
    deadline = time.monotonic() + 5
    count = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s"
    while granted.owner.execute(count, [granted.user]).fetchone() != (0,):
        assert time.monotonic() < deadline, "the session is still there"
        time.sleep(0.02)
    stream.close()


def test_closing_twice_is_fine(granted: Place) -> None:
    with granted.open() as warehouse:
        warehouse.schemas()
        warehouse.close()
        warehouse.close()


def test_a_registry_entry_is_complete_when_its_status_is_2(granted: Place) -> None:
    cases = {'{"complete": {"status": 2}}': True, '{"complete": {"status": 1}}': False, "{}": None, "[]": None}
    with granted.open() as warehouse:
        for type_name in ("text", "json", "jsonb"):
            for text, expected in cases.items():
                predicate = warehouse.dialect.registry_complete(f"'{text}'::{type_name}")
                assert warehouse.fetch(f"SELECT {predicate}") == [(expected,)]
