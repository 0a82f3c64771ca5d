"""What a page can have to show, for the gallery: an empty organisation, one that has just begun, a large one, one in trouble."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.contrib.sessions.backends.base import SessionBase
from django.utils import timezone

from accounts import tokens
from accounts.models import AuditEvent, PersonalAccessToken
from accounts.roles import Role
from activation import guard, sync_log
from activation.engine.servers import Server
from activation.models import (
    Activation,
    AlertDelivery,
    AlertSettings,
    DestinationProbe,
    DirtyId,
    Preview,
    Reconcile,
    RedisDestination,
    RunState,
    ServerLook,
    Source,
    Suppression,
    SyncPartition,
    SyncRun,
)
from benchmarks import page_rows
from projects.models import CheckState, ProfilesRun, Project, RunOrigin, RunStatus, ViewCount, Warehouse, WarehouseCheck
from tests.activation.pages.test_preview_pages import RESULT
from tests.cast import Member, colleague, founder
from tests.rules.holdings import one_of_everything

STATES = ("empty", "begun", "full", "error")
LONG = "NorthwindOutdoorMountaineeringEquipmentWholesaleAnd"
MB = 1024 * 1024
SAID = f"Redis refused the user or the password. (redis-primary-0.{LONG.lower()}.internal.example.com:6379)"
_STEPS = ("Name resolution", "TCP", "TLS", "AUTH", "Cluster and role", "Write, read and delete", "Scripts")


@dataclass(frozen=True)
class Scene:
    """An organisation, its Admin, and the parts of the addresses that lead to what it has."""

    name: str
    admin: Member
    parts: dict[str, object]


def made(state: str) -> Scene:
    """Make an organisation in one of `STATES`."""
    long = state in {"full", "error"}
    mark = LONG if long else ""
    admin = founder(f"{mark}{state}".title(), f"ada@{state}.example")
    _has_a_password(admin)
    if state == "empty":
        return Scene(state, admin, {"organisation": admin.organisation.slug, "kind": "duckdb"})
    editor = colleague(admin, f"{mark.lower() or 'edith'}@{state}.example", Role.EDITOR)
    parts = one_of_everything(admin, editor, mark=mark)
    if long:
        (_fill if state == "full" else _spoil)(admin, parts)
    admin.token(name=f"{mark}Web shop")
    token = PersonalAccessToken.objects.filter(owner=admin.user).latest("pk")
    tokens.rotate(token.public_part, by=admin.actor, now=timezone.now())
    return Scene(state, admin, {**parts, "public_part": token.public_part})


def just_logged_in(scene: Scene) -> SessionBase:
    """Let the scene's Admin have logged in just now, which some pages ask for; return the session."""
    session = scene.admin.client.session
    session["account_authentication_methods_user"] = str(scene.admin.user.pk)
    session["account_authentication_methods"] = [
        {"method": "password", "at": time.time(), "email": scene.admin.user.email, "reauthenticated": True}
    ]
    session.save()
    return session


def _has_a_password(admin: Member) -> None:
    """Let the Admin have come by a password, which is what their account's pages are about."""
    admin.user.set_password("coffee beans at noon")
    admin.user.save(update_fields=["password"])
    admin.client.force_login(admin.user)


def _fill(admin: Member, parts: Mapping[str, object]) -> None:
    """Give the organisation much of everything, with long names and large numbers."""
    now = timezone.now()
    TOTP.activate(admin.user, generate_totp_secret())
    RecoveryCodes.activate(admin.user)
    run = SyncRun.objects.get(public_id=parts["run"])
    _succeed(run, now=now)
    _look_up(run.source.activation.project, now=now)
    _members(admin)
    _history(run.source, now=now)
    page_rows.usage(run.source.activation)
    _suppressions(run.source.destination, now=now)
    _servers(run.source.destination, now=now, problem="")
    AuditEvent.objects.bulk_create(
        AuditEvent(organisation_id=admin.organisation.pk, actor=f"{LONG.lower()}@full.example", action="sync_started",
                   target_type="project", target=f"{LONG} Customers", at=now - timedelta(minutes=number))
        for number in range(120)
    )  # fmt: skip
    for number in range(12):
        admin.token(name=f"{LONG} {number}")
        _project_like(run.source.activation, number)
    Preview.objects.update_or_create(
        public_id=parts["preview"], defaults={"state": Preview.State.DONE, "result": RESULT, "finished_at": now}
    )
    _reconcile(run.source, now=now, state=Reconcile.State.READY)
    _alerts(run.source.activation, now=now, state=AlertDelivery.State.SENT)
    WarehouseCheck.objects.filter(public_id=parts["check"]).update(
        state=CheckState.PASSED, finished_at=now, steps=_steps(failing=None)
    )


def _spoil(admin: Member, parts: Mapping[str, object]) -> None:
    """Let everything fail that can."""
    now = timezone.now()
    run = SyncRun.objects.get(public_id=parts["run"])
    _succeed(run, now=now)
    _fail(run, "noperm", now=now)
    _look_up(run.source.activation.project, now=now, failed=True)
    _history(run.source, now=now)
    waiting = SyncRun.objects.create(source=run.source, trigger=SyncRun.Trigger.PERSON)
    _fail(waiting, guard.CODE, now=now)
    Preview.objects.filter(public_id=parts["preview"]).update(
        state=Preview.State.FAILED, error_code="unreachable", error=SAID, finished_at=now
    )
    DestinationProbe.objects.filter(organisation=admin.organisation).update(
        state=DestinationProbe.State.FAILED, steps=_steps(failing="AUTH"), finished_at=now
    )
    WarehouseCheck.objects.filter(public_id=parts["check"]).update(
        state=CheckState.FAILED, finished_at=now, steps=_steps(failing="TLS")
    )
    Warehouse.objects.filter(public_id=parts["warehouse"]).update(checked_at=now, check_passed=False)
    _servers(run.source.destination, now=now, problem="unreachable")
    _reconcile(run.source, now=now, state=Reconcile.State.FAILED)
    _alerts(run.source.activation, now=now, state=AlertDelivery.State.GIVEN_UP)
    ProfilesRun.objects.create(
        project=run.source.activation.project, status=RunStatus.FAILED, origin=RunOrigin.API, reference=LONG,
        error="The orchestrator said no.", started_at=now, finished_at=now,
    )  # fmt: skip
    Project.objects.filter(organisation=admin.organisation).update(runs_problem=SAID)


def _succeed(run: SyncRun, *, now: datetime) -> None:
    """Let a run have ended well but for some rows, with many partitions."""
    began = now - timedelta(minutes=3)
    SyncRun.objects.filter(pk=run.pk).update(
        state=RunState.SUCCEEDED, kind=SyncRun.Kind.FULL, full_reason="columns_changed", requested_by="ada@full.example",
        warnings=[sync_log.WARNING, "memory_short"], queued_at=began, snapshot_at=began, loading_at=began,
        finishing_at=now, finished_at=now, rows_in_view=123_456_789, snapshot_rows=123_450_000, unchanged=100_000_000,
        rows_planned=23_450_000, deletes_planned=1_234_567, invalid_ids=4_321, null_ids=12, written=23_449_940, failed=60,
    )  # fmt: skip
    SyncPartition.objects.bulk_create(
        SyncPartition(run=run, number=number, state="done", rows_planned=1_954_166, written=1_954_161, failed=5,
                      failures={"too_large": 3, "wrong_type": 2}, started_at=began, finished_at=now)
        for number in range(12)
    )  # fmt: skip
    DirtyId.objects.create(source=run.source, run=run, reason="too_large", encrypted_id="unreadable")
    Source.objects.filter(pk=run.source_id).update(
        base_run=run, base_rows=123_450_000, relation=f"{LONG}v", id_column="email",
        columns=[{"name": f"{LONG}_{number}", "type": "text"} for number in range(3)],
    )  # fmt: skip


def _fail(run: SyncRun, code: str, *, now: datetime) -> None:
    SyncRun.objects.filter(pk=run.pk).update(
        state=RunState.FAILED, error_code=code, error=SAID, finished_at=now, deletes_planned=98_765_432
    )


def _history(source: Source, *, now: datetime) -> None:
    """Give a source a history of two pages, of every kind and end."""
    ends = (RunState.SUCCEEDED, RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)
    SyncRun.objects.bulk_create(
        SyncRun(source=source, trigger=SyncRun.Trigger.SCHEDULE, state=ends[number % 4], written=1_234_567,
                error=SAID if number % 4 == 2 else "", error_code="wrongpass" if number % 4 == 2 else "",
                queued_at=now - timedelta(hours=number), finished_at=now - timedelta(hours=number, minutes=-3))
        for number in range(1, 61)
    )  # fmt: skip
    ProfilesRun.objects.bulk_create(
        ProfilesRun(project=source.activation.project, status=RunStatus.FINISHED, origin=RunOrigin.REGISTRY,
                    seq_no=number, finished_at=now - timedelta(hours=number, minutes=10))
        for number in range(1, 31)
    )  # fmt: skip


def _look_up(project: Project, *, now: datetime, failed: bool = False) -> None:
    """Let the project's views have been found and counted, or neither."""
    names = [f"features_by_{name}" for name in ("email", "user_id")]
    if not failed:
        placements = {
            name: {"schema": LONG.lower(), "relation": name, "id_column": name.removeprefix("features_by_"), "chosen": []}
            for name in names
        }  # fmt: skip
        Project.objects.filter(pk=project.pk).update(placements=placements, placements_changed_at=now)
    for name in names:
        ViewCount.objects.create(
            project=project, feature_view=name, state=CheckState.FAILED if failed else CheckState.PASSED, error=SAID * failed,
            rows=123_456_789, relation=[LONG.lower(), name], counted_at=now, requested_by="ada@full.example", requested_at=now,
            columns=[{"name": f"{LONG}_{number}", "type": "text", "nulls": 1_234_567} for number in range(12)],
        )  # fmt: skip


def _members(admin: Member) -> None:
    for number in range(12):
        colleague(admin, f"{LONG.lower()}{number}@full.example", Role.VIEWER)


def _project_like(like: Activation, number: int) -> None:
    project = page_rows._copy(like.project, name=f"{LONG} {number}", slug=f"more-{number}")
    project.save()
    page_rows._copy(like, project_id=project.pk).save()


def _suppressions(destination: RedisDestination, *, now: datetime) -> None:
    Suppression.objects.bulk_create(
        Suppression(destination=destination, sequence=number, digest=f"{number:064x}", sealed_checksum=number,
                    key_version=1, requested_by=f"{LONG.lower()}@full.example", created_at=now, deleted_at=now)
        for number in range(1, 61)
    )  # fmt: skip


def _servers(destination: RedisDestination, *, now: datetime, problem: str) -> None:
    where = f"redis-0.{LONG.lower()}.internal.example.com:6379"
    one = Server(where, "Valkey 9.1.0", 98_765 * MB, 131_072 * MB, "noeviction", 123_456_789, 0, 1, 1)
    history = [[now.timestamp() - 60 * ago, (98_765 - ago) * MB, 123_456_789 - ago] for ago in range(60, 0, -1)]
    ServerLook.objects.create(
        destination=destination, servers=[asdict(one)] * 3, history=history, told_at=now, tried_at=now, problem=problem
    )


def _reconcile(source: Source, *, now: datetime, state: Reconcile.State) -> None:
    failed = {"error_code": "timeout", "error": SAID, "finished_at": now} if state == Reconcile.State.FAILED else {}
    Reconcile.objects.create(
        destination=source.destination, state=state, requested_by="ada@full.example", attempt=1, ready_at=now,
        findings={str(source.pk): {"found": 123_456_789, "strays": 1_234_567, "tables": ["a_table"]}},
        unclaimed=[["user", "email", f"{LONG}_{number}", 123_456] for number in range(6)],
        counts={"keys": 123_456_789, "foreign": 1_234}, warnings=["layout_changed"], **failed,
    )  # fmt: skip


def _alerts(activation: Activation, *, now: datetime, state: AlertDelivery.State) -> None:
    settings = AlertSettings.objects.create(activation=activation, addresses=[f"{LONG.lower()}@full.example"])
    AlertDelivery.objects.bulk_create(
        AlertDelivery(settings=settings, channel=AlertDelivery.Channel.EMAIL, to=f"{LONG.lower()}@full.example",
                      summary=f"The sync of {LONG}v by email failed", content={}, state=state, finished_at=now,
                      trouble=SAID if state == AlertDelivery.State.GIVEN_UP else "")
        for number in range(8)
    )  # fmt: skip


def _steps(*, failing: str | None) -> list[dict[str, str]]:
    """Return the steps of a test that failed at one, or passed."""
    at = _STEPS.index(failing) if failing else len(_STEPS)
    states = ["passed"] * at + ["failed"] * (failing is not None) + ["not_reached"] * len(_STEPS)
    return [
        {"name": name, "state": state, "message": SAID if state == "failed" else "", "cure": LONG * (state == "failed")}
        for name, state in zip(_STEPS, states, strict=False)
    ]
