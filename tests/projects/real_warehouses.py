"""Real warehouses with what a Profiles run leaves behind: two feature views and the registry."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import duckdb

from tests.postgres import PostgresServer

VIEWS = (
    "CREATE SCHEMA profiles",
    "CREATE VIEW profiles.features_by_email AS SELECT 'ada@acme.example' AS email, 3 AS visits",
    "CREATE VIEW profiles.user_feature_view_using_salesforce_id AS SELECT 'sf1' AS \"SALESFORCE_ID\", 3 AS visits",
)
REGISTRY = (
    "CREATE TABLE profiles.material_registry_4 (seq_no BIGINT, model_name VARCHAR, end_ts TIMESTAMP, metadata VARCHAR)",
)
BY_EMAIL, BY_SALESFORCE_ID = "features_by_email", "user_feature_view_using_salesforce_id"


class RealWarehouse(Protocol):
    """A warehouse whose content a test changes as its owner does."""

    @property
    def kind(self) -> str: ...

    @property
    def password(self) -> str: ...

    def settings(self) -> dict[str, object]: ...

    def execute(self, statements: Sequence[str]) -> None: ...


@dataclass(frozen=True)
class DuckDBFile:
    file: Path
    kind: str = "duckdb"
    password: str = ""

    def settings(self) -> dict[str, object]:
        return {"file": self.file.name}

    def execute(self, statements: Sequence[str]) -> None:
        with duckdb.connect(str(self.file), config={"python_enable_replacements": False}) as connection:
            for statement in statements:
                connection.execute(statement)


@dataclass(frozen=True)
class PostgreSQLDatabase:
    """A database of a private server, reached as its superuser or as another user."""

    server: PostgresServer
    database: str
    user: str
    password: str
    kind: str = "postgresql"

    def settings(self) -> dict[str, object]:
        return {
            "host": "127.0.0.1",
            "port": self.server.port,
            "database": self.database,
            "user": self.user,
            "sslmode": "disable",
        }

    def execute(self, statements: Sequence[str]) -> None:
        with self.server.connect(self.database) as connection:
            for statement in statements:
                connection.execute(statement.encode())


def complete(seq_no: int, *models: str, at: str = "2026-01-31 08:00:00", status: int = 2) -> list[str]:
    """What Profiles writes to the registry when a run has completed models."""
    metadata = f'{{"complete": {{"status": {status}}}}}'
    return [
        f"INSERT INTO profiles.material_registry_4 VALUES ({seq_no}, '{model}', TIMESTAMP '{at}', '{metadata}')"
        for model in models
    ]
