"""The data both benches use: a view of 20 columns, about 500 bytes of JSON a row, in a DuckDB file or in PostgreSQL."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

import duckdb

VIEW = "features_by_email"
# One row in a hundred: most have another value, some are gone, some are new. Every warehouse here takes these.
_NUMBER = "CAST(substr(email, 7, strpos(email, '@') - 7) AS BIGINT)"
CHANGES = (
    f"UPDATE profiles.people SET visits_0 = visits_0 + 1 WHERE {_NUMBER} % 125 = 0",
    f"DELETE FROM profiles.people WHERE {_NUMBER} % 1000 = 1",
    f"""
    INSERT INTO profiles.people (user_main_id, email, visits_0, segment_0)
    SELECT user_main_id, 'new-' || email, visits_0, segment_0 FROM profiles.people WHERE {_NUMBER} % 1000 = 2
    """,
)


def build(file: Path, *, rows: int) -> None:
    """Write the warehouse file."""
    numbers = ", ".join(f"((n * {7 + i}) % 100000)::INTEGER AS visits_{i}" for i in range(6))
    amounts = ", ".join(f"(((n * {13 + i}) % 1000000) / 100)::DECIMAL(12, 2) AS amount_{i}" for i in range(4))
    texts = ", ".join(f"'segment-' || ((n * {17 + i}) % 997) AS segment_{i}" for i in range(4))
    with duckdb.connect(file) as connection:
        connection.execute("CREATE SCHEMA profiles")
        connection.execute(
            f"""
            CREATE TABLE profiles.people AS
            SELECT 'rid' || md5(n::VARCHAR) AS user_main_id, 'person' || n || '@example.com' AS email,
                {numbers}, {amounts}, {texts},
                n % 2 = 0 AS subscribed,
                CASE WHEN n % 5 > 0 THEN (n % 1000) / 7.0 END AS score,
                TIMESTAMP '2026-01-01' + to_seconds(n % 30000000) AS last_seen,
                CASE WHEN n % 3 = 0 THEN 'pro' END AS plan
            FROM range({rows}) AS t(n)
            """
        )
        connection.execute(f"CREATE VIEW profiles.{VIEW} AS SELECT * FROM profiles.people")


def change_in_file(file: Path) -> None:
    """Change one row in a hundred of the warehouse file."""
    with duckdb.connect(file) as connection:
        for statement in CHANGES:
            connection.execute(statement)


def move_to_postgresql(world, stack: ExitStack, *, rows: int) -> Callable[[Iterable[str]], None]:
    """Start a PostgreSQL server with the same view, and have the world's project read from there.

    Returns what executes statements there.
    """
    from accounts import vault
    from projects.models import Warehouse, WarehouseKind
    from tests.postgres import cluster

    server = stack.enter_context(cluster())
    database = server.create_database()
    numbers = ", ".join(f"((n * {7 + i}) % 100000)::integer AS visits_{i}" for i in range(6))
    amounts = ", ".join(f"(((n * {13 + i}) % 1000000) / 100.0)::numeric(12, 2) AS amount_{i}" for i in range(4))
    texts = ", ".join(f"'segment-' || ((n * {17 + i}) % 997) AS segment_{i}" for i in range(4))

    def execute(statements: Iterable[str]) -> None:
        with server.connect(database) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    execute(
        (
            "CREATE SCHEMA profiles",
            "CREATE SCHEMA _rudderstack",
            f"""
            CREATE TABLE profiles.people AS
            SELECT 'rid' || md5(n::text) AS user_main_id, 'person' || n || '@example.com' AS email,
                {numbers}, {amounts}, {texts},
                n % 2 = 0 AS subscribed,
                CASE WHEN n % 5 > 0 THEN (n % 1000) / 7.0::float8 END AS score,
                TIMESTAMP '2026-01-01' + make_interval(secs => n % 30000000) AS last_seen,
                CASE WHEN n % 3 = 0 THEN 'pro' END AS plan
            FROM generate_series(0::bigint, {rows} - 1) AS t(n)
            """,
            f"CREATE VIEW profiles.{VIEW} AS SELECT * FROM profiles.people",
            "ANALYZE",
        )
    )
    Warehouse.objects.filter(pk=world.source.activation.project.warehouse_id).update(
        kind=WarehouseKind.POSTGRESQL,
        settings={
            "host": server.host,
            "port": server.port,
            "database": database,
            "user": server.user,
            "sslmode": "disable",
        },
        credentials=vault.encrypt(server.password),
    )
    return execute
