"""The script of the guide about automating, run as it stands there, against the product and played workers."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from django.utils import timezone

from activation import handles, partitions, probes, run_steps
from activation.models import RunState, SyncRun
from config.embedded import EmbeddedServer
from projects import checks
from projects.models import CheckState, WarehouseCheck
from tests.activation.test_orchestrators import served
from tests.cast import Member

GUIDE = Path(__file__).resolve().parent.parent.parent.parent / "docs" / "automating.md"
FILE = """name: customer_360
schema_version: 88
connection: warehouse
model_folders: [models]
entities:
  - name: user
    id_types: [email]
    feature_views:
      using_ids:
        - {id: email, name: features_by_email}
"""


@pytest.fixture
def folder(settings, tmp_path: Path, transactional_db: None) -> Iterator[Path]:
    """An empty product, and beside it a warehouse in which Profiles has run."""
    settings.DUCKDB_DIR, settings.SNAPSHOT_DIR = tmp_path / "warehouses", tmp_path / "snapshots"
    settings.DUCKDB_DIR.mkdir()
    with duckdb.connect(settings.DUCKDB_DIR / "shop.duckdb") as connection:
        connection.execute("CREATE SCHEMA profiles")
        connection.execute(
            "CREATE VIEW profiles.features_by_email AS "
            "SELECT 'm-1' AS user_main_id, 'jane@example.com' AS email, 'pro' AS PLAN"
        )
    (tmp_path / "pb_project.yaml").write_text(FILE)
    yield tmp_path
    handles.close()


def work() -> None:
    """Take one round of everything that workers do."""
    now = timezone.now()
    for check in WarehouseCheck.objects.filter(state=CheckState.QUEUED):
        checks.run_check(check.pk, now=now)
    for probe in probes.waiting(now=now):
        probes.run(probe, now=now)
    for run in SyncRun.objects.exclude(state__in=(RunState.SUCCEEDED, RunState.FAILED)):
        run_steps.take_snapshot(run.pk, now=timezone.now())
        for partition in partitions.waiting(now=timezone.now()).values_list("pk", flat=True):
            run_steps.load_partition(partition, now=timezone.now())
        run_steps.finish(run.pk, now=timezone.now())


def test_the_script_of_the_guide_leads_from_nothing_to_a_served_profile(
    folder: Path, admin: Member, redis_server: EmbeddedServer
):
    [script] = re.findall(r"```bash\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    with served() as url:
        environment = {
            "URL": url,
            "TOKEN": admin.token(),
            "WAREHOUSE_FILE": "shop.duckdb",
            "REDIS_ADDRESS": redis_server.address,
            "REDIS_PASSWORD": redis_server.password,
            "PATH": os.environ["PATH"],
        }
        process = subprocess.Popen(
            ["bash", "-c", script],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(200):
            work()
            try:
                printed, complained = process.communicate(timeout=0.1)
                break
            except subprocess.TimeoutExpired:
                continue
        else:
            process.kill()
            printed, complained = process.communicate()
    assert process.returncode == 0, printed + complained
    assert json.loads(printed)["data"] == {
        "features_by_email": {"user_main_id": "m-1", "email": "jane@example.com", "PLAN": "pro"}
    }
