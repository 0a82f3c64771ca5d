"""Wake-ups for the worker: each does one domain call. A lost or doubled one is harmless."""

import structlog
from celery import shared_task
from django.utils import timezone
from kombu.exceptions import OperationalError

from projects import checks, counts, runner, runs
from projects.models import ProfilesRun, ViewCount, WarehouseCheck

_EXPIRES = 60

log = structlog.get_logger(__name__)


def wake(check: WarehouseCheck) -> None:
    """Wake a worker for a check. A broker that cannot be reached costs some seconds only: the tick finds the row."""
    try:
        check_warehouse.apply_async(kwargs={"check": check.pk}, expires=_EXPIRES, retry=False)
    except OperationalError:
        log.warning("wake_up_lost", task="projects.check_warehouse")


@shared_task(name="projects.check_warehouse")
def check_warehouse(*, check: int, **_: object) -> None:
    """Run one check of a warehouse; a project that passes has its registry read at once, not within a minute."""
    checks.run_check(check, now=timezone.now(), when_passed=runs.look_again)


def wake_runner(run: ProfilesRun) -> None:
    """Wake the runner's worker for a run; as `wake` is, made up for by the tick."""
    try:
        run_profiles.apply_async(kwargs={"run": run.pk}, expires=_EXPIRES, retry=False)
    except OperationalError:
        log.warning("wake_up_lost", task="projects.run_profiles")


def wake_counter(count: ViewCount) -> None:
    """Wake a worker for a count; as `wake` is, made up for by the tick."""
    try:
        count_view.apply_async(kwargs={"count": count.pk}, expires=_EXPIRES, retry=False)
    except OperationalError:
        log.warning("wake_up_lost", task="projects.count_view")


@shared_task(name="projects.count_view")
def count_view(*, count: int, **_: object) -> None:
    """Count a feature view's rows and NULLs."""
    counts.run(count, now=timezone.now())


@shared_task(name="projects.look_for_runs")
def look_for_runs(**_: object) -> None:
    """Send out a look at every project's registry that is due, and the checks and runs that nobody has taken."""
    now = timezone.now()
    for project in runs.due(now=now):
        look_at_registry.apply_async(kwargs={"project": project}, expires=_EXPIRES)
    for check in checks.waiting(now=now):
        check_warehouse.apply_async(kwargs={"check": check}, expires=_EXPIRES)
    for count in counts.waiting(now=now):
        count_view.apply_async(kwargs={"count": count}, expires=_EXPIRES)
    runner.give_up_lost(now=now)
    for run in runner.waiting():
        run_profiles.apply_async(kwargs={"run": run}, expires=_EXPIRES)


@shared_task(name="projects.look_at_registry")
def look_at_registry(*, project: int, **_: object) -> None:
    """Look at one project's registry."""
    runs.look(project, now=timezone.now())


@shared_task(name="projects.run_profiles")
def run_profiles(*, run: int, **_: object) -> None:
    """Run the operator's command for a Profiles run, for as long as it takes."""
    runner.run(run, now=timezone.now())
