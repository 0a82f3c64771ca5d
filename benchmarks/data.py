"""The data both benches use: a DuckDB file with a view of 20 columns, about 500 bytes of JSON a row."""

from pathlib import Path

import duckdb

VIEW = "features_by_email"


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
