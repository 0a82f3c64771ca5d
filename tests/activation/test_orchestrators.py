"""The step for orchestrators in the documentation, run as it stands there, against the product and a played worker."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from django.utils import timezone

from activation import watching
from activation.models import Source, SyncRun
from config import demo_warehouse, wsgi
from config.embedded import EmbeddedServer
from projects import pb_project
from projects.models import ProfilesRun, Project
from projects.specification import to_plain
from tests.activation.world import World, build, expected
from tests.cast import Member

GUIDE = Path(__file__).resolve().parent.parent.parent / "docs" / "api.md"
PEOPLE = [(f"person{n}@example.com", n) for n in range(5)]


class Quiet(WSGIRequestHandler):
    """Writes no line a request."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def world(admin: Member, redis_server: EmbeddedServer, settings, tmp_path, transactional_db: None) -> Iterator[World]:
    settings.SNAPSHOT_DIR = tmp_path
    world = build(admin.actor, redis_server)
    world.redis.flushall()
    world.put(PEOPLE)
    Project.objects.update(specification=to_plain(pb_project.read(demo_warehouse.PB_PROJECT)))
    yield world
    world.redis.close()


@contextmanager
def served() -> Iterator[str]:
    """Serve pages and API on a port of this machine."""
    with make_server("127.0.0.1", 0, wsgi.application, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def run_step(world: World, url: str, token: str, reference: str) -> subprocess.Popen[str]:
    [step] = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    source = world.source
    environment = {
        "ACTIVATION_URL": url,
        "ACTIVATION_TOKEN": token,
        "PROJECT_ID": source.activation.project.public_id,
        "CONNECTION_ID": source.public_id,
        "RUN_REFERENCE": reference,
        "PATH": os.environ["PATH"],
    }
    return subprocess.Popen([sys.executable, "-c", step], env=environment, stdout=subprocess.PIPE, text=True)


def work_until_it_ends(world: World, step: subprocess.Popen[str]) -> tuple[int, dict[str, object]]:
    """Play the tick and the workers until the step has ended; its exit status and what it printed."""
    for _ in range(200):
        for run in watching.start_syncs_of_new_runs(now=timezone.now()):
            world.work(run)
        try:
            printed, _ = step.communicate(timeout=0.1)
        except subprocess.TimeoutExpired:
            continue
        return step.returncode, json.loads(printed)
    step.kill()
    raise AssertionError("The step did not end.")


def test_the_documented_step_reports_a_run_and_waits_for_the_sync_that_follows(world, editor):
    with served() as url:
        first = work_until_it_ends(world, run_step(world, url, editor.token(), "airflow-1"))
        world.put(PEOPLE[:3])
        second = work_until_it_ends(world, run_step(world, url, editor.token(), "airflow-2"))

    assert (first[0], first[1]["status"]) == (0, "succeeded")
    assert (second[0], second[1]["status"]) == (0, "succeeded")
    assert world.served() == expected(PEOPLE[:3])
    assert list(SyncRun.objects.order_by("pk").values_list("profiles_run__reference", flat=True)) == [
        "airflow-1",
        "airflow-2",
    ]
    assert ProfilesRun.objects.count() == 2


def test_the_documented_step_fails_with_the_sync(world, editor):
    Source.objects.update(id_column="gone")

    with served() as url:
        status, sync = work_until_it_ends(world, run_step(world, url, editor.token(), "airflow-1"))

    assert (status, sync["status"]) == (1, "failed")
    assert "'gone'" in str(sync["error"])
