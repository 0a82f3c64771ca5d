"""A small product that serves a profile, for calls that are made from outside of it."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
from django.utils import timezone

from activation import enabling, handles, probes, tasks
from activation.models import Activation, Source, SyncRun
from config.embedded import EmbeddedServer
from projects import checks
from projects.models import Warehouse, WarehouseKind
from tests.activation.conftest import connected
from tests.activation.management.test_guide import FILE, work
from tests.activation.pages.conftest import finished_run, new_project
from tests.activation.test_orchestrators import served
from tests.cast import Member

PROFILE = {"user_main_id": "m-1", "email": "jane@example.com", "PLAN": "pro"}


@dataclass(frozen=True)
class Product:
    """A running product, and the environment of who calls it."""

    url: str
    environment: Mapping[str, str]


@pytest.fixture
def source(settings, tmp_path: Path, transactional_db: None, admin: Member, redis_server: EmbeddedServer) -> Source:
    """A source that was synced: Jane's profile is in Redis."""
    settings.DUCKDB_DIR, settings.SNAPSHOT_DIR = tmp_path / "warehouses", tmp_path / "snapshots"
    settings.DUCKDB_DIR.mkdir()
    with duckdb.connect(settings.DUCKDB_DIR / "shop.duckdb") as connection:
        connection.execute("CREATE SCHEMA profiles")
        for view in ("features_by_email", "features_by_email_v2"):
            connection.execute(
                f"CREATE VIEW profiles.{view} AS SELECT 'm-1' AS user_main_id, 'jane@example.com' AS email, 'pro' AS PLAN"
            )
    warehouse = Warehouse.objects.create(
        organisation=admin.organisation, name="Shop", kind=WarehouseKind.DUCKDB, settings={"file": "shop.duckdb"}
    )
    project = new_project(admin, warehouse, "Shop", FILE)
    finished_run(project, seq_no=1)
    checks.request_check(warehouse, project=project, by=admin.actor, now=timezone.now())
    work()
    project.refresh_from_db()
    activation: Activation = enabling.enable(
        project, connected(admin, redis_server), by=admin.actor, now=timezone.now()
    )
    work()
    return Source.objects.select_related("activation__project", "destination").get(activation=activation)


@pytest.fixture
def product(
    settings, source: Source, admin: Member, redis_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Product]:
    """The product with Jane's profile, whose worker makes connection tests at once."""
    monkeypatch.setattr(tasks, "wake_for_probe", lambda probe: probes.run(probe, now=timezone.now()))
    settings.RUNNER_COMMAND = "true"
    assert source.destination is not None
    project = source.activation.project
    run = SyncRun.objects.get(source=source)
    with served() as url:
        yield Product(
            url=url,
            environment={
                "PATH": os.environ["PATH"],
                "ACTIVATION_URL": url,
                "ACTIVATION_TOKEN": admin.token(),
                "DESTINATION_ID": source.destination.public_id,
                "CONNECTION_ID": source.public_id,
                "SYNC_ID": run.public_id,
                "WAREHOUSE_ID": project.warehouse.public_id,
                "PROJECT_ID": project.public_id,
                "PROFILES_ID": project.public_id,
                "REDIS_ADDRESS": redis_server.address,
                "PASSWORD": redis_server.password,
            },
        )
    handles.close()
