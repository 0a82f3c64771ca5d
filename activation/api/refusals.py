"""What the use cases refuse to the calls that set things up, in the API's one shape.

Where a member of the body is at fault its path is in `fields`; what must be done first is told with its cure.
"""

from collections.abc import Callable
from typing import Any

from activation import destinations, enabling, probes, removals
from activation.api import preconditions
from activation.api.problems import FieldsInvalid, Kinds, Problem, Refusal
from projects import connections, placements, projects
from projects.problems import SpecificationProblems

INVALID = 422
CONFLICT = 409
TRY_CONNECTIONS_AGAIN_AFTER = 60


def _as_it_says(error: Refusal) -> Problem:
    return error.problem


def _fields(error: FieldsInvalid) -> Problem:
    return Problem(INVALID, "invalid_fields", str(error), more={"fields": error.errors})


def _name_taken(error: projects.NameTaken) -> Problem:
    return Problem(CONFLICT, "name_taken", str(error), more={"fields": {"name": str(error)}})


def _specification(error: SpecificationProblems) -> Problem:
    found = [{"line": each.line, "column": each.column, "message": each.message} for each in error.problems]
    return Problem(INVALID, "invalid_specification", str(error), more={"problems": found})


def _changed_meanwhile(_: Exception) -> Problem:
    return Problem(CONFLICT, "changed_meanwhile", "Somebody changed it meanwhile. Read it again, then change it.")


def _in_use(error: Exception) -> Problem:
    return Problem(CONFLICT, "in_use", str(error))


def _not_ready(error: enabling.NotReady) -> Problem:
    return Problem(CONFLICT, "not_ready", str(error), more={"preconditions": preconditions.told(error.unmet)})


def _not_there(error: Exception) -> Problem:
    return Problem(CONFLICT, "destination_refused", str(error), more={"fields": {"destinationId": str(error)}})


def _not_stuck(error: removals.NotStuck) -> Problem:
    return Problem(CONFLICT, "removal_not_tried", str(error))


def _too_many(error: Exception) -> Problem:
    return Problem(429, "rate_limited", str(error), {"Retry-After": str(TRY_CONNECTIONS_AGAIN_AFTER)})


PROBLEMS: tuple[tuple[Kinds, Callable[[Any], Problem]], ...] = (
    (Refusal, _as_it_says),
    (FieldsInvalid, _fields),
    (projects.NameTaken, _name_taken),
    (SpecificationProblems, _specification),
    (placements.ProjectChanged, _changed_meanwhile),
    ((projects.ProjectInUse, connections.WarehouseInUse, destinations.DestinationInUse), _in_use),
    (enabling.NotReady, _not_ready),
    ((enabling.FieldTaken, enabling.DestinationFixed), _not_there),
    (removals.NotStuck, _not_stuck),
    (probes.TooManyProbes, _too_many),
)
