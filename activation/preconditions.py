"""What must be there before the sync to Redis can be turned on, each point with how to meet it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from projects import runs
from projects.models import CheckState, Project, WarehouseCheck, WarehouseKind
from projects.placements import ServedView, columns_known, views_of
from projects.projects import served_views
from projects.specification import from_plain, missing_feature_views
from projects.warehouses import grants


class Point(StrEnum):
    """What a precondition is about; pages offer the fitting way out."""

    PROFILES_RUN = "profiles_run"
    FEATURE_VIEWS = "feature_views"
    PLACES = "places"
    GRANTS = "grants"


@dataclass(frozen=True)
class Precondition:
    """One point: whether it is met, and in words what is there or what is missing and what to do.

    `yaml` is what to add to the project's `pb_project.yaml`. `pending` tells that it is being found out just now;
    `views` names the feature views whose place a person may choose.
    """

    point: Point
    name: str
    met: bool
    message: str
    cure: str = ""
    yaml: str = ""
    at: datetime | None = None
    pending: bool = False
    check: WarehouseCheck | None = None
    views: tuple[str, ...] = ()


def preconditions(project: Project) -> list[Precondition]:
    """List every point in the order a person meets them."""
    points = [_profiles_run(project), _feature_views(project)]
    if points[-1].met:
        points.append(_places(project))
    points.append(_grants(project))
    return points


def _profiles_run(project: Project) -> Precondition:
    name = "A successful Profiles run"
    run = runs.latest_finished(project)
    if run is not None:
        what = f"seq {run.seq_no}" if run.seq_no is not None else "reported as finished"
        return Precondition(Point.PROFILES_RUN, name, met=True, message=what, at=run.finished_at)
    message = project.runs_problem or f"No finished run was found in {project.output_schema} yet."
    cure = (
        "Run the project in Profiles; a finished run is found here within a minute. If your warehouse keeps no "
        "registry of runs, report the run under History."
    )
    return Precondition(Point.PROFILES_RUN, name, met=False, message=message, cure=cure)


def _feature_views(project: Project) -> Precondition:
    name = "Feature views in pb_project.yaml"
    specification = from_plain(project.specification)
    missing = missing_feature_views(specification, project.main_views)
    if missing is not None:
        return Precondition(
            Point.FEATURE_VIEWS,
            name,
            met=False,
            message=missing.message,
            cure="Once your project has it, change the specification here too.",
            yaml=missing.yaml,
        )
    served: dict[str, list[str]] = {}
    for entity, view in views_of(project):
        served.setdefault(entity.name, []).append(view.id_type)
    message = " · ".join(f"{entity}: {', '.join(id_types)}" for entity, id_types in served.items())
    return Precondition(Point.FEATURE_VIEWS, name, met=True, message=message)


def _places(project: Project) -> Precondition:
    name = "Every view found in the warehouse"
    views = served_views(project)
    lost = [view.feature_view for view in views if view.relation is None]
    blind = [view for view in views if view.relation is not None and view.id_column is None]
    if not lost and not blind:
        return Precondition(Point.PLACES, name, met=True, message=f"{len(views)} of {len(views)}")
    told = [f"{', '.join(lost)}: not found in {project.output_schema}."] if lost else []
    told += [f"{view.feature_view}: {_why_blind(project, view)}." for view in blind]
    return Precondition(
        Point.PLACES,
        name,
        met=False,
        message=" ".join(told),
        cure="Run the project so that its views are made, then check again; or choose where they are.",
        views=tuple(view.feature_view for view in views if view.relation is None or view.id_column is None),
    )


def _why_blind(project: Project, view: ServedView) -> str:
    return f"no column is called {view.id_type}" if columns_known(project, view) else "could not be read"


def _grants(project: Project) -> Precondition:
    duckdb = project.warehouse.kind == WarehouseKind.DUCKDB
    name = "A warehouse that can be read" if duckdb else "The RudderStack schema and its grants"
    check = project.checks.order_by("-created_at", "-pk").first()
    if check is None:
        return Precondition(Point.GRANTS, name, met=False, message="Not checked yet.", cure="Press Check now.")
    if check.state == CheckState.PASSED:
        return Precondition(Point.GRANTS, name, met=True, message="checked", at=check.finished_at, check=check)
    if check.state == CheckState.FAILED:
        failed = next((step for step in check.steps if step["state"] == "failed"), None)
        message = f"{failed['name']}: {failed['message']}" if failed else "The last check did not pass."
        cure = failed.get("cure", "") if failed else ""
        return Precondition(
            Point.GRANTS, name, met=False, message=message, cure=cure, at=check.finished_at, check=check
        )
    return Precondition(Point.GRANTS, name, met=False, message="Being checked now.", pending=True, check=check)


def grants_sql(project: Project) -> str:
    """Return the SQL a person runs once in the project's warehouse, filled in; empty where none is needed."""
    given = project.warehouse.settings
    return grants.statements(
        project.warehouse.kind,
        schema=str(project.catalogue.get("schema") or project.output_schema),
        database=str(given.get("database", "")),
        user=str(given.get("user", "")),
        creator="",
    )
