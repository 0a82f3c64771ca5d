"""Starting Profiles runs by the operator's own command, where one is configured (`RUNNER_COMMAND`).

The row is the queue: `start` inserts a run that is RUNNING and not started, a worker of the queue `runner` claims it
and waits for the command. Its exit status decides; what it prints is not read, because it may hold data. It sees none
of our environment but PATH and HOME, and no shell.
"""

import os
import re
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts import audit
from accounts.actors import Actor
from accounts.identifiers import new_public_id
from accounts.roles import Permission
from projects.models import ProfilesRun, Project, RunOrigin, RunStatus

log = structlog.get_logger(__name__)

# Those that the hosted product passes on.
_PARAMETER = re.compile(r"--(?:model_refs|begin_time|end_time|rebase_incremental)(?:[ =][^\x00-\x1f]*)?")
_MOST_PARAMETERS, _LONGEST_PARAMETER = 20, 500
_ENDS_WITHIN = 10.0
# How long after its time a run whose worker went away is given up.
_GRACE = timedelta(minutes=1)


class NoRunner(Exception):
    """No command is configured to start Profiles runs with."""

    def __init__(self) -> None:
        super().__init__(
            "No runner is configured here. Run the project with your own tools and report the run "
            "by POST /v2/projects/{id}/runs, or ask whoever operates this installation to set RUNNER_COMMAND."
        )


class RunActive(Exception):
    """The project has a run that has not ended."""

    def __init__(self, project: Project) -> None:
        super().__init__(f"{project.name} is running already. Wait until the run has ended.")
        self.project = project


class ParametersRefused(ValueError):
    """A parameter that is not passed on; the message says which there are."""

    def __init__(self) -> None:
        super().__init__(
            "`parameters` is a list of at most 20 texts, each one of --model_refs, --begin_time, --end_time and "
            '--rebase_incremental with its value, such as "--begin_time 2026-01-31T00:00:00Z".'
        )


def configured() -> bool:
    """Tell whether runs can be started here."""
    return bool(settings.RUNNER_COMMAND)


def start(project: Project, *, parameters: Sequence[str] = (), by: Actor, now: datetime) -> ProfilesRun:
    """Queue a run of a project.

    Raises `PermissionRefused`, `NoRunner`, `ParametersRefused`, `RunActive`.
    """
    by.require(Permission.REPORT_RUNS)
    if not configured():
        raise NoRunner
    if len(parameters) > _MOST_PARAMETERS or not all(_is_passed_on(parameter) for parameter in parameters):
        raise ParametersRefused
    if project.runs.filter(status=RunStatus.RUNNING).exists():
        raise RunActive(project)
    run = ProfilesRun(
        project=project,
        status=RunStatus.RUNNING,
        origin=RunOrigin.RUNNER,
        reference=new_public_id(),
        parameters=list(parameters),
        reported_by=by.name,
        created_at=now,
    )
    try:
        with transaction.atomic():
            run.save()
            audit.record(
                "profiles_run_started",
                by=by,
                target_type="project",
                target_id=project.public_id,
                target=project.name,
                details={"run": run.public_id},
                now=now,
            )
    except IntegrityError:
        raise RunActive(project) from None
    return run


def waiting() -> list[int]:
    """List the runs that no worker has taken."""
    return list(_active().filter(started_at=None).values_list("pk", flat=True))


def run(run_id: int, *, now: datetime) -> bool:
    """Run the command for a waiting run and record how it ended; tell whether the run was there to take."""
    row = _active().filter(pk=run_id, started_at=None).select_related("project").first()
    if row is None or not _active().filter(pk=run_id, started_at=None).update(started_at=now):
        return False
    words = [word for parameter in row.parameters for word in parameter.split(maxsplit=1)]
    problem = _run_command([*settings.RUNNER_COMMAND, row.project.public_id, row.public_id, *words])
    _end(row, problem, now=timezone.now())
    return True


def give_up_lost(*, now: datetime) -> None:
    """Fail the runs whose worker went away: their time is over and nobody has said how they ended."""
    begun_before = now - timedelta(seconds=settings.RUNNER_TIMEOUT) - _GRACE
    for row in _active().filter(started_at__lt=begun_before).select_related("project"):
        _end(row, "The worker that waited for the run went away, so how it ended is not known.", now=now)


def _active() -> QuerySet[ProfilesRun]:
    return ProfilesRun.objects.filter(origin=RunOrigin.RUNNER, status=RunStatus.RUNNING)


def _end(row: ProfilesRun, problem: str, *, now: datetime) -> None:
    state = RunStatus.FAILED if problem else RunStatus.FINISHED
    if _active().filter(pk=row.pk).update(status=state, error=problem, finished_at=now):
        log.info("profiles_run_ended", project=row.project.public_id, run=row.public_id, status=state.value)


def _is_passed_on(parameter: str) -> bool:
    return len(parameter) <= _LONGEST_PARAMETER and _PARAMETER.fullmatch(parameter) is not None


def _run_command(command: Sequence[str]) -> str:
    """Run a command for as long as it may take; return what went wrong, or nothing."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    try:
        process = subprocess.Popen(
            command,
            cwd="/",
            env={**environment, "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return "The runner could not be started: RUNNER_COMMAND names a program that is not there or may not be run."
    try:
        status = process.wait(settings.RUNNER_TIMEOUT)
    except subprocess.TimeoutExpired:
        _stop(process)
        return f"The run had not ended after {settings.RUNNER_TIMEOUT:,} seconds and was stopped."
    return f"The runner ended with the status {status}. Its own logs say why." if status else ""


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End a process and what it started: first asked, then told."""
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal_number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_ENDS_WITHIN)
            return
