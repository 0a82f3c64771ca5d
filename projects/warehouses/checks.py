"""The named steps of a warehouse check, in the order in which they depend on each other."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from projects.warehouses.port import CheckStep, Relation, WarehouseError

CONNECTION = "Connection"
SCHEMAS = "Schemas"
OWN_SCHEMA = "Write, read and drop a table"


def reads(relation: Relation) -> str:
    """Return the name of the step that reads a view."""
    return f"View {relation.schema}.{relation.name}"


@dataclass(frozen=True)
class Action:
    """One step: `run` returns what the person reads when it passed, or raises `WarehouseError`.

    The step's cure is what `cure` returns for that error. After a step that is `needed` failed, the rest is not tried.
    """

    name: str
    run: Callable[[], str]
    cure: Callable[[WarehouseError], str]
    needed: bool = True


def run(actions: Sequence[Action]) -> Iterator[CheckStep]:
    """Run the steps in order and yield every one, also those that are not reached."""
    stopped = False
    for action in actions:
        if stopped:
            yield CheckStep(action.name, "not_reached")
            continue
        try:
            message = action.run()
        except WarehouseError as error:
            stopped = action.needed
            yield CheckStep(action.name, "failed", str(error), action.cure(error))
        else:
            yield CheckStep(action.name, "passed", message)
