"""A project that is ready to be synced: a finished run, two views by two id types, a warehouse that was checked."""

import pytest
from django.utils import timezone

from activation import enabling
from activation.models import Activation, RedisDestination
from projects import projects
from projects.models import (
    CheckState,
    ProfilesRun,
    Project,
    RunOrigin,
    RunStatus,
    Warehouse,
    WarehouseCheck,
    WarehouseKind,
)
from tests.cast import Member

SPECIFICATION = """name: customer_360
schema_version: 88
connection: warehouse
model_folders: [models]
entities:
  - name: user
    id_types: [email, salesforce_id]
"""
VIEWS = """    feature_views:
      using_ids:
        - {id: email, name: features_by_email}
        - {id: salesforce_id, name: features_by_salesforce_id}
"""
PLACEMENTS: dict[str, dict[str, object]] = {
    f"features_by_{name}": {
        "schema": "profiles",
        "relation": f"features_by_{name}",
        "id_column": name,
        "chosen": [],
    }
    for name in ("email", "salesforce_id")
}


@pytest.fixture
def warehouse(admin: Member) -> Warehouse:
    """A DuckDB file of Acme's; no test here opens it."""
    return Warehouse.objects.create(
        organisation=admin.organisation, name="Analytics", kind=WarehouseKind.DUCKDB, settings={"file": "acme.duckdb"}
    )


@pytest.fixture
def bare_project(admin: Member, warehouse: Warehouse) -> Project:
    """A project that lists no ids, never ran and was never checked."""
    return new_project(admin, warehouse, "Bare", SPECIFICATION)


@pytest.fixture
def project(admin: Member, warehouse: Warehouse) -> Project:
    """A project that meets every precondition."""
    row = new_project(admin, warehouse, "Customer 360", SPECIFICATION + VIEWS)
    now = timezone.now()
    Project.objects.filter(pk=row.pk).update(placements=PLACEMENTS, placements_changed_at=now)
    row.refresh_from_db()
    finished_run(row, seq_no=12)
    WarehouseCheck.objects.create(
        warehouse=warehouse, project=row, state=CheckState.PASSED, requested_by="ada@acme.example", finished_at=now
    )
    return row


@pytest.fixture
def activation(project: Project, destination: RedisDestination, admin: Member) -> Activation:
    """The project's sync, turned on."""
    return enabling.enable(project, destination, by=admin.actor, now=timezone.now())


def new_project(admin: Member, warehouse: Warehouse, name: str, text: str) -> Project:
    """Create a project from the text of its file."""
    return projects.create(
        name=name,
        warehouse=warehouse,
        output_schema="profiles",
        specification_text=text,
        by=admin.actor,
        now=timezone.now(),
    )


def finished_run(project: Project, *, seq_no: int) -> ProfilesRun:
    """Let a Profiles run be found in the registry."""
    return ProfilesRun.objects.create(
        project=project,
        status=RunStatus.FINISHED,
        origin=RunOrigin.REGISTRY,
        seq_no=seq_no,
        finished_at=timezone.now(),
    )
