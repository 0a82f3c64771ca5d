"""What must be there before a sync can be turned on, with the call that brings it about."""

from collections.abc import Iterable
from typing import Any

from activation.api.times import as_text
from activation.preconditions import Point, Precondition

# By what each point is met; a Profiles run is also found by itself, in the registry.
_CALLS = {
    Point.PROFILES_RUN: "POST /v2/projects/{projectId}/runs",
    Point.FEATURE_VIEWS: "POST /v2/projects/{projectId}/specification",
    Point.PLACES: "POST /v2/projects/{projectId}/placements",
    Point.GRANTS: "POST /v2/projects/{projectId}/checks",
}


def told(points: Iterable[Precondition]) -> list[dict[str, Any]]:
    """Tell each point; `pending` is being found out just now."""
    return [
        {
            "point": point.point.value,
            "name": point.name,
            "met": point.met,
            "pending": point.pending,
            "message": point.message,
            "cure": point.cure or None,
            "call": None if point.met else _CALLS[point.point],
            "yaml": point.yaml or None,
            "views": list(point.views),
            "at": as_text(point.at),
        }
        for point in points
    ]
