"""Profiles runs: detected from the registry in the output schema, or reported by a person or a token.

One run is one `seq_no` of the registry. Views are completed one after the other, so a run that has completed only
some of ours is kept as running until the rest is there, or until a second look finds nothing new.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Max, OuterRef, Q, QuerySet

from accounts import audit
from accounts.actors import Actor
from accounts.identifiers import new_public_id
from accounts.roles import Permission
from accounts.vault import SecretUnreadable
from projects import placements
from projects.checks import request_check
from projects.dialling import open_warehouse
from projects.models import ProfilesRun, Project, RunOrigin, RunStatus
from projects.placements import ProjectChanged, served_views, views_of
from projects.specification import candidate_relations
from projects.warehouses.port import Warehouse, WarehouseError

KEPT_RUNS = 100


class ReportRefused(Exception):
    """A report cannot be used; the message tells which field and why."""


def due(*, now: datetime) -> list[int]:
    """List the projects whose registry is to be looked at again."""
    before = now - timedelta(seconds=settings.PROFILES_RUNS_EVERY)
    never_or_long_ago = Q(runs_looked_for_at__isnull=True) | Q(runs_looked_for_at__lte=before)
    return list(
        Project.objects.filter(never_or_long_ago).order_by("runs_looked_for_at", "pk").values_list("pk", flat=True)
    )


def look(project_id: int, *, now: datetime) -> list[ProfilesRun]:
    """Look at a project's registry if that is due and nobody else does; return the runs that are new.

    A warehouse that cannot be asked is no error here: the reason is kept on the project, and the next look tries again.
    """
    before = now - timedelta(seconds=settings.PROFILES_RUNS_EVERY)
    never_or_long_ago = Q(runs_looked_for_at__isnull=True) | Q(runs_looked_for_at__lte=before)
    if not Project.objects.filter(never_or_long_ago, pk=project_id).update(runs_looked_for_at=now):
        return []
    project = Project.objects.select_related("warehouse").get(pk=project_id)
    return detect(project, now=now)


def look_again(project: Project, now: datetime) -> list[ProfilesRun]:
    """Look at a project's registry now, due or not; return the runs that are new."""
    Project.objects.filter(pk=project.pk).update(runs_looked_for_at=now)
    return detect(project, now=now)


def detect(project: Project, *, now: datetime) -> list[ProfilesRun]:
    """Read the registry and record the runs it tells of; return those that were not known before.

    Views are looked up with the same connection when that was never done, and when a run is new that may have made
    those that were not found. A warehouse that cannot be asked leaves its reason in `project.runs_problem`.
    """
    new: list[ProfilesRun] = []
    problem = ""
    try:
        with open_warehouse(project.warehouse) as warehouse:
            if not project.catalogue:
                placements.look_up(project, warehouse, now=now)
            new = _recorded(project, warehouse, now=now)
            if new and _is_unplaced(project):
                placements.look_up(project, warehouse, now=now)
    except (WarehouseError, SecretUnreadable) as error:
        problem = str(error)[:500]
    except ProjectChanged:
        pass  # the look-up that follows the change finds the views
    if problem != project.runs_problem:
        Project.objects.filter(pk=project.pk).update(runs_problem=problem)
        project.runs_problem = problem
    return new


def report(
    project: Project, *, status: str, reference: str, finished_at: datetime | None, by: Actor, now: datetime
) -> tuple[ProfilesRun, bool]:
    """Record a run that an orchestrator or a person says has ended; tell whether it is new.

    Idempotent by reference: a second report of the same reference returns the first. A blank reference makes a new
    run. While the place of a view is unknown, a check of the project is queued: the run may have made the view.
    Raises `ReportRefused`.
    """
    by.require(Permission.REPORT_RUNS)
    if status not in {RunStatus.FINISHED, RunStatus.FAILED}:
        raise ReportRefused("`status` must be `finished` or `failed`.")
    reference = reference.strip() or new_public_id()
    if len(reference) > 200 or "\x00" in reference:  # noqa: PLR2004 - the column's length
        raise ReportRefused("`reference` must be a text of at most 200 characters without control characters.")
    if finished_at is not None and finished_at > now + timedelta(minutes=5):
        raise ReportRefused("`finishedAt` lies in the future.")
    run = ProfilesRun(
        project=project,
        status=status,
        origin=RunOrigin.API if by.token else RunOrigin.PAGE,
        reference=reference,
        reported_by=by.name,
        finished_at=finished_at or now,
        created_at=now,
    )
    try:
        with transaction.atomic():
            run.save()
            _record_report(run, by=by, now=now)
            if _is_unplaced(project):
                request_check(project.warehouse, project=project, by=by, now=now)
    except IntegrityError:
        return ProfilesRun.objects.get(project=project, reference=reference), False
    return run, True


def latest_finished(project: Project) -> ProfilesRun | None:
    """Return the newest successful run, or None."""
    return newest_finished(project.pk).first()


def newest_finished(project: int | OuterRef) -> QuerySet[ProfilesRun]:
    """Return a project's successful runs, newest first; the project may be a column of another query."""
    finished = ProfilesRun.objects.filter(project_id=project, status=RunStatus.FINISHED)
    return finished.order_by("-finished_at", "-pk")


def _is_unplaced(project: Project) -> bool:
    return any(view.relation is None or view.id_column is None for view in served_views(project))


def _recorded(project: Project, warehouse: Warehouse, *, now: datetime) -> list[ProfilesRun]:
    from projects.warehouses.registry import RegistryMissing, find_runs  # loads the drivers' types; workers only

    models = _models(project)
    if not models:
        return []
    known = project.runs.aggregate(seq=Max("seq_no"))["seq"]
    schema = _schema(project)
    try:
        # The newest known run is read again: it may have completed more of our views meanwhile.
        found = find_runs(warehouse, schema, models=models, since_seq=known - 1 if known is not None else None)
    except RegistryMissing:
        return []
    new = []
    for run in sorted(found, key=lambda run: run.seq_no)[-KEPT_RUNS:]:
        recorded = _record_found(project, run.seq_no, sorted(run.models), run.finished_at, now=now)
        new += [recorded] if recorded is not None else []
    _settle(project, now=now)
    return new


def _record_found(
    project: Project, seq_no: int, models: Sequence[str], finished_at: datetime, *, now: datetime
) -> ProfilesRun | None:
    """Insert a run, or move on one that has completed more views; the insert that loses a race is no new run."""
    run, created = ProfilesRun.objects.get_or_create(
        project=project,
        seq_no=seq_no,
        defaults={
            "status": RunStatus.RUNNING,
            "origin": RunOrigin.REGISTRY,
            "models_seen": list(models),
            "models_grew_at": now,
            "finished_at": finished_at,
            "created_at": now,
        },
    )
    if created:
        return run
    if len(models) > len(run.models_seen) or (run.finished_at is not None and finished_at > run.finished_at):
        ProfilesRun.objects.filter(pk=run.pk).update(
            models_seen=list(models), models_grew_at=now, finished_at=finished_at
        )
    return None


def _settle(project: Project, *, now: datetime) -> None:
    """Call a run finished when all our views are done, a newer run is there, or a look later nothing was added."""
    expected = len(views_of(project))
    newest = project.runs.aggregate(seq=Max("seq_no"))["seq"]
    quiet_since = now - timedelta(seconds=settings.PROFILES_RUNS_EVERY)
    for run in project.runs.filter(status=RunStatus.RUNNING, origin=RunOrigin.REGISTRY):
        quiet = run.models_grew_at is not None and run.models_grew_at <= quiet_since
        if len(run.models_seen) >= expected or run.seq_no != newest or quiet:
            ProfilesRun.objects.filter(pk=run.pk, status=RunStatus.RUNNING).update(status=RunStatus.FINISHED)


def _models(project: Project) -> list[str]:
    """Name the models whose completion makes a run ours: declared names, known relations, likely names for the rest."""
    names: dict[str, None] = {}
    for entity, view in views_of(project):
        placed = project.placements.get(view.name, {}).get("relation")
        names |= dict.fromkeys([*([placed] if placed else []), *candidate_relations(entity.name, view)])
    return list(names)


def _schema(project: Project) -> str:
    """Return the output schema as the catalogue spells it, once it was looked up."""
    return str(project.catalogue.get("schema") or project.output_schema)


def _record_report(run: ProfilesRun, *, by: Actor, now: datetime) -> None:
    audit.record(
        "profiles_run_reported",
        by=by,
        target_type="project",
        target_id=run.project.public_id,
        target=run.project.name,
        details={"status": run.status, "reference": run.reference},
        now=now,
    )
