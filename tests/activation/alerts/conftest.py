"""A project with one source whose runs end as a test says, and the alerts about it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from activation import alert_deliveries, alert_watch, alerts
from activation.alerts import EVENTS, Wanted
from activation.models import Activation, AlertDelivery, AlertSettings, RedisDestination, RunState, Source, SyncRun
from projects.models import ProfilesRun, Project, RunOrigin, RunStatus, Warehouse, WarehouseKind
from tests.cast import Member

Ends = Callable[..., SyncRun]


@dataclass
class Clock:
    """The time that looks and messages are at; it goes on as a test says."""

    now: datetime

    def on(self, **length: float) -> datetime:
        self.now += timedelta(**length)
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock(timezone.now())


@pytest.fixture
def project(admin: Member) -> Project:
    warehouse = Warehouse.objects.create(
        organisation=admin.organisation, name="Files", kind=WarehouseKind.DUCKDB, settings={}
    )
    return Project.objects.create(
        organisation=admin.organisation, warehouse=warehouse, output_schema="s", name="Customers", slug="customers"
    )


@pytest.fixture
def activation(project: Project, admin: Member) -> Activation:
    place = RedisDestination.objects.create(
        organisation=admin.organisation, workspace_id="w", name="Redis", settings={"address": "r:6379"}
    )
    return Activation.objects.create(
        project=project, destination=place, enabled_by=admin.user.email, enabled_at=timezone.now() - timedelta(days=1)
    )


@pytest.fixture
def source(activation: Activation) -> Source:
    return new_source(activation, "features_by_email")


def new_source(activation: Activation, view: str) -> Source:
    return Source.objects.create(
        activation=activation,
        destination=activation.destination,
        entity="user",
        id_type="email",
        feature_view=view,
        relation=view,
        id_column="email",
    )


@pytest.fixture
def ends(source: Source, clock: Clock) -> Ends:
    """Let a run of the source end now: successfully, or with an error's code."""

    def end(code: str = "", *, of: Source = source, profiles_run: ProfilesRun | None = None) -> SyncRun:
        state = RunState.FAILED if code else RunState.SUCCEEDED
        run = SyncRun.objects.create(
            source=of,
            trigger=SyncRun.Trigger.PERSON,
            state=state,
            error_code=code,
            error=f"It failed because of {code}." if code else "",
            queued_at=clock.now,
            snapshot_at=clock.now,
            finished_at=clock.now,
            profiles_run=profiles_run,
        )
        if not code:
            Source.objects.filter(pk=of.pk).update(base_run=run)
        return run

    return end


@pytest.fixture
def told(activation: Activation, admin: Member, clock: Clock) -> AlertSettings:
    """Alerts about everything, to one address."""
    wanted = Wanted(members=(), addresses=("oncall@acme.example",), events=frozenset(EVENTS), stale_hours=24)
    return alerts.change(activation, wanted, by=admin.actor, now=clock.now)


@pytest.fixture
def look(clock: Clock) -> Callable[[], list[str]]:
    """Look once, and return the summaries of the messages that this queued."""

    def once() -> list[str]:
        before = set(AlertDelivery.objects.values_list("pk", flat=True))
        alert_watch.look(now=clock.now)
        made = AlertDelivery.objects.exclude(pk__in=before).order_by("pk")
        return [f"{row.channel}: {row.summary}" for row in made]

    return once


@pytest.fixture
def send(clock: Clock) -> Callable[[], int]:
    """Try every message that is due, as a worker does; return how many were tried."""

    def all_due() -> int:
        due = alert_deliveries.due(now=clock.now)
        for delivery_id in due:
            alert_deliveries.deliver(delivery_id, now=clock.now)
        return len(due)

    return all_due


def finished_run(project: Project, at: datetime, reference: str) -> ProfilesRun:
    return ProfilesRun.objects.create(
        project=project, status=RunStatus.FINISHED, origin=RunOrigin.API, reference=reference, finished_at=at
    )
