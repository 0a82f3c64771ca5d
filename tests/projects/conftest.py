"""What the tests of projects share: a connection, a project, and a warehouse's catalogue without a warehouse."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from django.utils import timezone
from pytest_django import Settings

from accounts.actors import Actor
from projects import connections, projects
from projects.models import Project, Warehouse
from projects.warehouses.port import Column, GrantMissing, Relation
from tests.cast import Member
from tests.postgres import PostgresServer
from tests.projects.real_warehouses import REGISTRY, VIEWS, DuckDBFile, PostgreSQLDatabase, RealWarehouse

SPECIFICATION = """\
name: shop_profiles
schema_version: 97
connection: warehouse_dev
model_folders: [models]
entities:
  - name: user
    id_types: [email, salesforce_id]
    feature_views:
      using_ids:
        - id: email
          name: features_by_email
        - id: salesforce_id
"""


@dataclass
class Catalogue:
    """The part of a warehouse that a look-up asks: schemas → relations → columns."""

    content: Mapping[str, Mapping[str, Sequence[str]]]
    refused: set[str] = field(default_factory=set)

    def schemas(self) -> list[str]:
        return list(self.content)

    def relations(self, schema: str) -> list[str]:
        return list(self.content[schema])

    def describe(self, relation: Relation) -> list[Column]:
        if relation.name in self.refused:
            raise GrantMissing(f"The user may not read {relation.name}.")
        return [Column(name, "text") for name in self.content[relation.schema][relation.name]]


def connect(by: Actor, *, name: str = "Dev", file: str = "shop.duckdb") -> Warehouse:
    return connections.connect(
        organisation=by.organisation,
        name=name,
        kind="duckdb",
        settings={"file": file},
        password="",
        by=by,
        now=timezone.now(),
    )


@pytest.fixture
def warehouse(admin: Member) -> Warehouse:
    """A DuckDB connection of Acme; there is no file behind it."""
    return connect(admin.actor)


@pytest.fixture
def project(editor: Member, warehouse: Warehouse) -> Project:
    """A project of Acme with two served views."""
    return projects.create(
        name="Shop",
        warehouse=warehouse,
        output_schema="profiles",
        specification_text=SPECIFICATION,
        by=editor.actor,
        now=timezone.now(),
    )


@pytest.fixture
def duckdb_file(tmp_path: Path, settings: Settings) -> DuckDBFile:
    """An empty folder set aside for warehouses, with the name of a file that is not there yet."""
    folder = tmp_path / "warehouses"
    folder.mkdir()
    settings.DUCKDB_DIR = folder
    settings.SNAPSHOT_DIR = tmp_path / "snapshots"
    return DuckDBFile(folder / "shop.duckdb")


@pytest.fixture(params=["duckdb", "postgresql"])
def real(request: pytest.FixtureRequest) -> RealWarehouse:
    """Each kind of warehouse, after a Profiles run; the user we connect as may do what is needed."""
    if request.param == "duckdb":
        warehouse: RealWarehouse = request.getfixturevalue("duckdb_file")
        warehouse.execute([*VIEWS, *REGISTRY])
        return warehouse
    server: PostgresServer = request.getfixturevalue("postgres")
    database: str = request.getfixturevalue("postgres_database")
    warehouse = PostgreSQLDatabase(server, database, server.user, server.password)
    warehouse.execute([*VIEWS, *REGISTRY, "CREATE SCHEMA _rudderstack"])
    return warehouse


@pytest.fixture
def connected(admin: Member, real: RealWarehouse) -> Warehouse:
    """Acme's connection to the real warehouse."""
    return connect_to(admin.actor, real)


@pytest.fixture
def real_project(editor: Member, connected: Warehouse) -> Project:
    """A project that reads the real warehouse."""
    return projects.create(
        name="Shop",
        warehouse=connected,
        output_schema="profiles",
        specification_text=SPECIFICATION,
        by=editor.actor,
        now=timezone.now(),
    )


def connect_to(by: Actor, real: RealWarehouse, **changes: object) -> Warehouse:
    return connections.connect(
        organisation=by.organisation,
        name=f"Real {real.kind}",
        kind=real.kind,
        settings={**real.settings(), **changes},
        password=real.password,
        by=by,
        now=timezone.now(),
    )
