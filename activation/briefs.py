"""Sources, runs and activations in brief: what pages about hundreds of them read of each, as values, not records.

A record costs many times its row. The rows come from the database in the order of their fields, so a field that is
added to a brief is added to its query beside it.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Case, F, OuterRef, QuerySet, Subquery, When
from django.db.models.functions import Coalesce

from activation.models import Activation, RunState, Source, SyncRun
from projects import runs


class ActivationBrief(NamedTuple):
    """A project's switch; `newest_profiles_run` is the project's newest that finished."""

    pk: int
    project_id: int
    project_name: str
    project_slug: str
    destination_id: int
    destination_public_id: str
    destination_name: str
    enabled: bool
    enabled_at: datetime
    schedule: Mapping[str, object]
    newest_profiles_run: int | None


class RunBrief(NamedTuple):
    """How a sync ended, or where it is."""

    pk: int
    public_id: str
    state: str
    error_code: str
    error: str
    failed: int
    kept_rows: int
    finished_at: datetime | None


class SourceBrief(NamedTuple):
    """A source; `base_run` is the sync that its base is from, `newest_run` the one that was asked for last.

    `began_at` is when the base's sync began, or when the source was made while there is no base. `synced_at` is when
    the last good sync ended, also once its profiles were removed.
    """

    pk: int
    public_id: str
    activation_id: int
    destination_id: int
    entity: str
    id_type: str
    feature_view: str
    status: str
    base_rows: int
    seen_profiles_run_id: int | None
    left_at: datetime | None
    began_at: datetime
    synced_at: datetime | None
    newest_run: int | None
    base_run: RunBrief | None

    @property
    def active(self) -> bool:
        """Tell whether it is in the specification and synced."""
        return self.status == Source.Status.ACTIVE


_OF_RUN = ("pk", "public_id", "state", "error_code", "error", "failed", "kept_rows", "finished_at")
_OF_SOURCE = SourceBrief._fields[:11]


def of_activations(activations: QuerySet[Activation]) -> dict[int, ActivationBrief]:
    """Return the activations by their primary keys, in the order of their projects' names. One query."""
    newest = runs.newest_finished(OuterRef("project_id")).values("pk")[:1]
    rows = activations.order_by("project__name").values_list(
        "pk",
        "project_id",
        "project__name",
        "project__slug",
        "destination_id",
        "destination__public_id",
        "destination__name",
        "enabled",
        "enabled_at",
        "schedule",
        Subquery(newest),
    )
    return {row[0]: ActivationBrief(*row) for row in rows}


def of_sources(sources: QuerySet[Source]) -> list[SourceBrief]:
    """Return the sources by status, entity and feature view. One query."""
    its_runs = SyncRun.objects.filter(source=OuterRef("pk")).order_by("-queued_at", "-pk")
    good = its_runs.filter(state=RunState.SUCCEEDED).exclude(kind=SyncRun.Kind.REMOVAL)
    rows = sources.order_by("status", "entity", "feature_view", "pk").values_list(
        *_OF_SOURCE,
        Coalesce("base_run__snapshot_at", "base_run__queued_at", "created_at"),
        Case(When(base_run=None, then=Subquery(good.values("finished_at")[:1])), default=F("base_run__finished_at")),
        Subquery(its_runs.values("pk")[:1]),
        *(f"base_run__{name}" for name in _OF_RUN[:-1]),
    )
    return [SourceBrief._make((*row[:14], _base(row))) for row in rows]


def of_runs(keys: Collection[int]) -> dict[int, RunBrief]:
    """Return the runs of those primary keys. One query, or none for none."""
    rows = SyncRun.objects.filter(pk__in=keys).values_list(*_OF_RUN) if keys else ()
    return {row[0]: RunBrief(*row) for row in rows}


def _base(row: tuple[Any, ...]) -> RunBrief | None:
    """Return the run of the base: it is joined, and its end stands among the source's own."""
    return RunBrief._make((*row[14:], row[12])) if row[14] is not None else None
