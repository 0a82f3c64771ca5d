"""Fills the demo with the rows of a large organisation: what the pages are measured with.

Run inside the product's own environment (`manage.py shell`); nothing it makes is ever due, so no worker touches it.
"""

import math
from datetime import timedelta
from importlib import import_module
from typing import Any, TypeVar

from django.conf import settings
from django.contrib.auth import SESSION_KEY, get_user_model
from django.db import models
from django.utils import timezone

from accounts.models import AuditEvent, PersonalAccessToken
from activation.models import Activation, RunState, Source, SyncRun, UsageHour
from projects.models import ProfilesRun, Project
from projects.models import RunOrigin as Origin
from projects.models import RunStatus as Status

Row = TypeVar("Row", bound=models.Model)
HOURS = 24 * 30
AUDIT_EVENTS = 2_000
TOKENS = 60


def fill(*, projects: int, runs: int) -> str:
    """Make the rows; returns the key of a session in which the demo's Admin is logged in."""
    project = Project.objects.get()
    now = timezone.now()
    never = now + timedelta(days=365)
    made = [
        _copy(project, name=f"Project {number:03}", slug=f"project-{number:03}", runs_looked_for_at=never)
        for number in range(1, projects)
    ]
    Project.objects.bulk_create(made)
    _profiles_runs([project, *made])
    sources = [source for each in made for source in _sources(each, project.activation)]
    Source.objects.bulk_create(sources)
    _runs([*project.activation.sources.all()] * 20 + sources, runs)
    usage(project.activation)
    tokens = [
        PersonalAccessToken(
            organisation=project.organisation, owner=project.organisation.memberships.get().user, name=f"Token {number}",
            role="admin", public_part=f"bench{number:07}", digest=b"0" * 32, pepper_version=1,
        )
        for number in range(TOKENS)
    ]  # fmt: skip
    PersonalAccessToken.objects.bulk_create(tokens)
    AuditEvent.objects.bulk_create(
        AuditEvent(
            organisation_id=project.organisation_id, actor="ada@example.com", action="sync_started",
            target_type="project", target=project.name, at=now - timedelta(minutes=number),
        )
        for number in range(AUDIT_EVENTS)
    )  # fmt: skip
    return _session()


def _copy(row: Row, **changes: Any) -> Row:
    """Return a row like another, not saved, with ids of its own."""
    values = {
        field.attname: getattr(row, field.attname)
        for field in row._meta.concrete_fields
        if not field.primary_key and field.attname != "public_id"
    }
    return type(row)(**{**values, **changes})


def _profiles_runs(projects: list[Project]) -> None:
    now = timezone.now()
    ProfilesRun.objects.bulk_create(
        ProfilesRun(
            project=project, status=Status.FINISHED, origin=Origin.API, reference=f"bench-{number}",
            finished_at=now - timedelta(days=2, hours=number),
        )
        for project in projects
        for number in range(3)
    )  # fmt: skip


def _sources(project: Project, like: Activation) -> list[Source]:
    activation = _copy(
        like,
        project_id=project.pk,
        schedule={"kind": "manual"},
        next_sync_at=None,
        seen_revision=project.specification_revision,
    )
    activation.save()
    newest = ProfilesRun.objects.filter(project=project).latest("finished_at")
    return [
        _copy(
            source,
            activation_id=activation.pk,
            feature_view=f"{source.feature_view}_{project.pk}",
            base_run_id=None,  # until `_runs`
            seen_profiles_run_id=newest.pk,
        )
        for source in like.sources.all()
    ]


def _runs(sources: list[Source], count: int) -> None:
    now = timezone.now()
    made = []
    for number in range(count):
        began = now - timedelta(minutes=7 * (number + 30))
        failed = number % 17 == 0
        made.append(
            SyncRun(
                source=sources[number % len(sources)], trigger=SyncRun.Trigger.SCHEDULE, attempt=1,
                state=RunState.FAILED if failed else RunState.SUCCEEDED,
                error_code="unreachable" if failed else "", error="Redis did not answer." if failed else "",
                rows_in_view=50_000, snapshot_rows=50_000, unchanged=49_000, rows_planned=1_000, deletes_planned=12,
                written=1_000, deleted=12, queued_at=began, snapshot_at=began, loading_at=began + timedelta(seconds=4),
                finishing_at=began + timedelta(seconds=9), finished_at=began + timedelta(seconds=10),
            )
        )  # fmt: skip
    SyncRun.objects.bulk_create(made)
    newest_good = {run.source_id: run for run in reversed(made) if run.state == RunState.SUCCEEDED}
    copies = [source for source in sources if source.base_run_id is None]
    for source in copies:
        source.base_run = newest_good.get(source.pk)
    Source.objects.bulk_update(copies, ["base_run"])


def usage(activation: Activation) -> None:
    """Make a month of usage, more by day than by night."""
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    rows = []
    for back in range(1, HOURS + 1):
        at = hour - timedelta(hours=back)
        share = 2 + math.sin((at.hour - 8) * math.pi / 12)  # of a thousand, by the hour of the day
        for token in range(1, 6):
            for id_type in ("email", "user_id"):
                requests = int(1_000 * share / token)
                misses, errors = requests // 28, requests // 500
                rows.append(
                    UsageHour(
                        destination=activation.destination, token=token, entity="user", id_type=id_type, hour=at,
                        requests=requests, hits=requests - misses - errors, misses=misses, errors=errors,
                        latency_1=requests - requests // 10, latency_2=requests // 12, latency_5=requests // 60,
                    )
                )  # fmt: skip
    UsageHour.objects.bulk_create(rows)


def _session() -> str:
    user = get_user_model().objects.get()
    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session["_auth_user_backend"] = settings.AUTHENTICATION_BACKENDS[0]
    session["_auth_user_hash"] = user.get_session_auth_hash()
    session.create()
    return str(session.session_key)
