"""What a person does next with a project: the one obvious step that its page offers."""

from collections.abc import Sequence
from dataclasses import dataclass

from projects import runs
from projects.checks import ACTIVE
from projects.models import CheckState, Project, WarehouseCheck
from projects.placements import ServedView


@dataclass(frozen=True)
class NextStep:
    """`state` is the colour; `url_name` a page of the project, or empty where the page itself has the button."""

    state: str
    text: str
    url_name: str = ""
    action: str = ""


_LIST_IDS = NextStep(
    "attention", "List the ids to serve in pb_project.yaml.", "projects:specification", "Change the specification"
)
_CHECKING = NextStep("working", "The warehouse is being checked. The steps are shown below.")
_CHECK = NextStep("attention", "Check that the warehouse and the views can be read.")
_CHOOSE = NextStep("attention", "Some views were not found. Run the project, or choose each of them below.")
_FAILED = NextStep("failed", "The check failed. Follow what it says below, then check again.")
_RUN = NextStep(
    "attention",
    "No finished Profiles run is known yet. Run the project; runs are found in its registry, or reported.",
    "activation:history",
    "See History",
)
_TURN_ON = NextStep(
    "ok",
    "Everything can be read. The sync to Redis is switched on and off under Settings.",
    "activation:settings",
    "Activation API",
)


def next_step(project: Project, *, views: Sequence[ServedView], check: WarehouseCheck | None) -> NextStep:
    """Say what to do next, in the order in which things depend on each other."""
    steps = (
        (not views, _LIST_IDS),
        (check is not None and check.state in ACTIVE, _CHECKING),
        (check is None, _CHECK),
        (any(view.relation is None or view.id_column is None for view in views), _CHOOSE),
        (check is not None and check.state == CheckState.FAILED, _FAILED),
        (runs.latest_finished(project) is None, _RUN),
    )
    return next((step for applies, step in steps if applies), _TURN_ON)
