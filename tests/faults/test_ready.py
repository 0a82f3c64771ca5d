"""`manage.py ready`: what a supervisor's health check learns of real workers, of beat, and of a broker that is away."""

from collections.abc import Iterator

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command

from activation import pulse
from config.celery import app
from config.embedded import EmbeddedServer
from config.management.commands import ready
from tests.faults.workers import LoadWorker, wait_for

pytestmark = pytest.mark.xdist_group("up")


@pytest.fixture(scope="module")
def worker(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, broker: EmbeddedServer
) -> Iterator[LoadWorker]:
    with LoadWorker(tmp_path_factory.mktemp("worker"), processes=1) as worker:
        yield worker


@pytest.fixture(autouse=True)
def pulse_of_nobody() -> Iterator[None]:
    cache.delete_many([pulse.KEY, pulse.WELL_KEY])
    yield
    cache.delete_many([pulse.KEY, pulse.WELL_KEY])


def is_ready(*arguments: str) -> bool:
    try:
        call_command("ready", "worker", *arguments)
    except CommandError:
        return False
    return True


def test_a_worker_that_takes_from_the_queue_is_named(worker, capsys):
    # It listens some time after its load processes are there, and a busy machine lets it wait.
    wait_for(lambda: is_ready("--queue", "load"), what="the worker to answer", within=60)

    queue, name = capsys.readouterr().out.strip().split(": ")
    assert (queue, name.startswith("load-")) == ("load", True)
    wait_for(lambda: is_ready("--queue", "load", "--name", name), what="it to answer by its name", within=60)


def test_a_queue_that_nobody_takes_from_is_told(worker):
    with pytest.raises(CommandError, match="No worker answers within 2 seconds for control"):
        call_command("ready", "worker")


def test_a_worker_that_is_not_there_is_told_apart_from_others(worker):
    with pytest.raises(CommandError, match="nobody@nowhere does not answer within 2 seconds for load"):
        call_command("ready", "worker", "--queue", "load", "--name", "nobody@nowhere")


def test_a_broker_that_is_away_is_told(monkeypatch):
    monkeypatch.setattr(ready, "app", type(app)("away", broker="redis://127.0.0.1:1/0", set_as_current=False))

    with pytest.raises(CommandError, match="The broker does not answer"):
        call_command("ready", "worker")


def test_beat_is_ready_while_ticks_run_and_do_their_work(capsys):
    with pytest.raises(CommandError, match="No tick ran for 15 seconds"):
        call_command("ready", "beat")
    pulse.beat()
    with pytest.raises(CommandError, match="none did all of its work"):
        call_command("ready", "beat")
    pulse.went_well()

    call_command("ready", "beat")

    assert capsys.readouterr().out == "beat is ready.\n"
