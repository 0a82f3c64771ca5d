"""Checks of a warehouse, or of a project's views in it: a row that a page inserts and a worker fills, step by step.

The row is the queue: a lost wake-up is made good by `waiting`, a doubled one is harmless, because claiming is a
conditional UPDATE, and every later write holds only for the attempt that was claimed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from accounts import audit
from accounts.actors import Actor
from accounts.roles import Permission
from accounts.vault import SecretUnreadable
from projects import placements
from projects.dialling import open_warehouse
from projects.models import CheckState, Project, Warehouse, WarehouseCheck
from projects.placements import ProjectChanged, ServedView, served_views
from projects.warehouses import port
from projects.warehouses.checks import reads
from projects.warehouses.port import CheckStep, WarehouseError

ACTIVE = (CheckState.QUEUED, CheckState.RUNNING)
STUCK_AFTER = timedelta(minutes=5)
WAKE_AFTER = timedelta(seconds=10)
MAX_ATTEMPTS = 3
MOST_IN_FIVE_MINUTES = 30

_SEE_LOG = "Check again. If it happens again, the worker's log tells why."
_STOPPED = CheckStep("Check", "failed", "The check was interrupted three times.", _SEE_LOG)
_BROKEN = CheckStep("Check", "failed", "The check met an error of its own.", _SEE_LOG)

_TOO_MANY = CheckStep(
    "Connection",
    "failed",
    "Many connections were checked in the last five minutes, so this one was not tried.",
    "Wait a little, then check again.",
)


def request_check(warehouse: Warehouse, *, project: Project | None = None, by: Actor, now: datetime) -> WarehouseCheck:
    """Queue a check of a warehouse, with `project` also of its views; one that is queued is returned instead.

    The caller sends the wake-up `projects.check_warehouse` on commit. Checking a warehouse is for Admins. A check dials
    an address that a person typed and tells what answered, so beyond `MOST_IN_FIVE_MINUTES` of an organisation it
    fails at once and nothing is dialled.
    """
    by.require(Permission.EDIT_PROJECTS if project is not None else Permission.MANAGE_CREDENTIALS)
    with transaction.atomic():
        Warehouse.objects.select_for_update().get(pk=warehouse.pk)
        under_way = WarehouseCheck.objects.filter(warehouse=warehouse, project=project, state=CheckState.QUEUED).first()
        if under_way is not None:
            return under_way
        check = WarehouseCheck(warehouse=warehouse, project=project, requested_by=by.name, created_at=now)
        if _too_many(by, now=now):
            check.state, check.steps, check.finished_at = CheckState.FAILED, [asdict(_TOO_MANY)], now
        check.save()
        audit.record(
            "warehouse_check_requested",
            by=by,
            target_type="warehouse",
            target_id=warehouse.public_id,
            target=warehouse.name,
            details={"project": project.name} if project is not None else {},
            now=now,
        )
    return check


def latest_check(warehouse: Warehouse, *, project: Project | None = None) -> WarehouseCheck | None:
    """Return the newest check of the warehouse itself, or of a project's views in it."""
    return WarehouseCheck.objects.filter(warehouse=warehouse, project=project).order_by("-created_at", "-pk").first()


def waiting(*, now: datetime) -> list[int]:
    """List checks whose wake-up was lost or whose worker was."""
    lost = Q(state=CheckState.QUEUED, created_at__lt=now - WAKE_AFTER)
    stuck = Q(state=CheckState.RUNNING, started_at__lt=now - STUCK_AFTER)
    return list(WarehouseCheck.objects.filter(lost | stuck).order_by("created_at").values_list("pk", flat=True)[:20])


def run_check(
    check_id: int, *, now: datetime, when_passed: Callable[[Project, datetime], object] | None = None
) -> bool:
    """Run a check that is queued or stuck, writing each step as it is known; tell whether this call ran it.

    `when_passed` is called for a project whose steps have all passed, before the check ends: what it finds is there
    when the page that watches the check is loaded anew.
    """
    claimable = Q(state=CheckState.QUEUED) | Q(state=CheckState.RUNNING, started_at__lt=now - STUCK_AFTER)
    claimed = WarehouseCheck.objects.filter(claimable, pk=check_id).update(
        state=CheckState.RUNNING, started_at=now, attempt=F("attempt") + 1, steps=[]
    )
    if not claimed:
        return False
    check = WarehouseCheck.objects.select_related("warehouse", "project").get(pk=check_id)
    steps: list[CheckStep] = []
    try:
        for step in _steps(check, now=now):
            steps.append(step)
            if not _write(check, steps):
                return False
        passed = all(step.state == "passed" for step in steps)
        if passed and check.project is not None and when_passed is not None:
            when_passed(check.project, now)
    except Exception:
        # A fault of ours: the page says so instead of waiting, and the worker's log has the story.
        _write(check, [*steps, _BROKEN])
        _end(check, passed=False)
        raise
    _end(check, passed=passed)
    return True


def _too_many(by: Actor, *, now: datetime) -> bool:
    """Tell whether people of the organisation had as many checks run as they may; refused ones were never claimed."""
    recent = WarehouseCheck.objects.filter(
        warehouse__organisation=by.organisation, created_at__gt=now - timedelta(minutes=5)
    ).exclude(state=CheckState.FAILED, attempt=0)
    return by.user_id is not None and recent.count() >= MOST_IN_FIVE_MINUTES


def _steps(check: WarehouseCheck, *, now: datetime) -> Iterator[CheckStep]:
    if check.attempt > MAX_ATTEMPTS:
        yield _STOPPED
        return
    try:
        with open_warehouse(check.warehouse) as warehouse:
            if check.project is None:
                yield from warehouse.check()
            else:
                yield from _project_steps(check.project, warehouse, now=now)
    except (WarehouseError, SecretUnreadable) as error:
        yield CheckStep("Connection", "failed", str(error), "Correct the connection and check again.")


def _project_steps(project: Project, warehouse: port.Warehouse, *, now: datetime) -> Iterator[CheckStep]:
    """The warehouse's own steps first; then the views are looked up, and each that was found is read."""
    own_steps = 0
    failed = False
    for step in warehouse.check():
        own_steps += 1
        failed = failed or step.state == "failed"
        yield step
    views = served_views(project)
    if failed:
        yield from (CheckStep(_step_of(view), "not_reached") for view in views)
        return
    try:
        views = placements.look_up(project, warehouse, now=now)
    except WarehouseError as error:
        cure = "Correct the output schema under Settings, or grant the user the use of it."
        yield CheckStep(f"Look up the feature views in {project.output_schema}", "failed", str(error), cure)
        return
    except ProjectChanged as error:
        yield CheckStep("Look up the feature views", "failed", str(error), "Check again.")
        return
    for view in views:
        if view.relation is None or (view.id_column is None and placements.columns_known(project, view)):
            yield _unplaced(project, view)
    relations = [
        view.relation
        for view in views
        if view.relation and (view.id_column is not None or not placements.columns_known(project, view))
    ]
    yield from list(warehouse.check(relations))[own_steps:]


def _unplaced(project: Project, view: ServedView) -> CheckStep:
    if view.relation is None:
        message = f"No view of that name is in {project.output_schema}."
        cure = "Run the Profiles project once, or choose the view on the project's Entities tab."
    else:
        message = f"{view.relation.name} has no column called {view.id_type}."
        cure = "Choose the column that holds the id on the project's Entities tab."
    return CheckStep(_step_of(view), "failed", message, cure)


def _step_of(view: ServedView) -> str:
    return reads(view.relation) if view.relation else f"View {view.feature_view}"


def _write(check: WarehouseCheck, steps: Sequence[CheckStep]) -> bool:
    return bool(_still_ours(check).update(steps=[asdict(step) for step in steps]))


def _end(check: WarehouseCheck, *, passed: bool) -> None:
    # A check takes seconds, so its end is told by the clock and not by the time it was claimed.
    finished_at = timezone.now()
    state = CheckState.PASSED if passed else CheckState.FAILED
    with transaction.atomic():
        if _still_ours(check).update(state=state, finished_at=finished_at) and check.project is None:
            Warehouse.objects.filter(pk=check.warehouse_id).update(checked_at=finished_at, check_passed=passed)


def _still_ours(check: WarehouseCheck) -> QuerySet[WarehouseCheck]:
    return WarehouseCheck.objects.filter(pk=check.pk, state=CheckState.RUNNING, attempt=check.attempt)
