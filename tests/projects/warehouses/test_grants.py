"""The grants a person runs do what the check needs, on a real server, whatever the names are."""

from contextlib import closing

import pytest

from projects.warehouses import grants
from projects.warehouses.port import Relation
from projects.warehouses.postgresql import PostgreSQLSettings, PostgreSQLWarehouse
from tests.postgres import PostgresServer, forget

NAMES = {
    "plain": ("profiles", "rudder_plain", "maker_plain"),
    "odd": ('Prof"iles; DROP SCHEMA public', "rud'der -- x", 'ma"ker\nx'),
}


@pytest.mark.parametrize("case", NAMES)
def test_who_has_run_the_grants_passes_the_check(case: str, postgres: PostgresServer, postgres_database: str) -> None:
    schema, user, creator = NAMES[case]
    quoted_schema, quoted_creator = (f'"{name.replace(chr(34), chr(34) * 2)}"' for name in (schema, creator))
    text = grants.statements("postgresql", schema=schema, database=postgres_database, user=user, creator=creator)
    password = "only-for-" + "this-test"
    with closing(postgres.connect(postgres_database)) as owner:
        owner.execute(f"CREATE ROLE {quoted_creator}; CREATE SCHEMA {quoted_schema} AUTHORIZATION {quoted_creator}")
        owner.execute(f"CREATE VIEW {quoted_schema}.now AS SELECT 1 AS a")
        try:
            owner.execute(text.replace(grants.PASSWORD_PLACE, password))
            owner.execute(f"SET ROLE {quoted_creator}; CREATE VIEW {quoted_schema}.later AS SELECT 1 AS a; RESET ROLE")
            settings = PostgreSQLSettings(postgres.host, postgres.port, postgres_database, user, password, "disable")
            with PostgreSQLWarehouse(settings) as warehouse:
                steps = list(warehouse.check([Relation(schema, "now"), Relation(schema, "later")]))
            assert {step.name: step.message for step in steps if step.state != "passed"} == {}
            assert len(steps) == 5
            assert owner.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'public'").fetchone() == (1,)
        finally:
            forget(owner, user, creator)


def test_the_grants_hold_a_place_for_the_password_and_never_one() -> None:
    text = grants.statements("postgresql", schema="profiles", database="shop", user="rudder", creator="profiles_role")
    assert "PASSWORD '<strong_unique_password>'" in text
    for line in (
        'CREATE SCHEMA IF NOT EXISTS "_rudderstack";',
        'GRANT ALL ON SCHEMA "_rudderstack" TO "rudder";',
        'GRANT USAGE ON SCHEMA "profiles" TO "rudder";',
        'GRANT SELECT ON ALL TABLES IN SCHEMA "profiles" TO "rudder";',
        'ALTER DEFAULT PRIVILEGES FOR USER "profiles_role" IN SCHEMA "profiles" GRANT SELECT ON TABLES TO "rudder";',
    ):
        assert line in text


def test_a_database_name_cannot_end_the_comment_it_stands_in() -> None:
    text = grants.statements("postgresql", schema="a", database="x\nDROP TABLE y", user="u")
    comment, *_ = text.splitlines()
    assert comment.startswith("--")
    assert "x DROP TABLE y" in comment


def test_duckdb_needs_no_grants_and_other_kinds_are_unknown() -> None:
    assert grants.statements("duckdb", schema="profiles", database="", user="") == ""
    with pytest.raises(ValueError, match="oracle"):
        grants.statements("oracle", schema="a", database="b", user="c")
