"""From an empty organisation to the first profile that an application gets: what is done, and what comes next.

Every step looks at records and at nothing else, so none is ticked by hand and none is forgotten. Once applications are
answered there is nothing left to show, whatever is changed or deleted later.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from accounts import tokens
from accounts.actors import Actor
from accounts.roles import Permission, Role
from activation import trial_calls
from activation.models import UsageHour
from activation.overviews import Line
from projects import access
from projects.models import ProfilesRun, RunStatus, Warehouse


@dataclass(frozen=True)
class Step:
    """One step: where it stands, and the page where it is done (an address's name and what it needs; "": none yet).

    `state` is a badge's: ok, working, failed or neutral; `mine` tells whether this person may do it.
    """

    title: str
    state: str
    text: str
    action: str
    page: str = ""
    parts: Sequence[str] = ()
    mine: bool = True

    @property
    def done(self) -> bool:
        return self.state == "ok"


@dataclass(frozen=True)
class FirstSteps:
    """All steps in the order in which they depend on each other."""

    steps: Sequence[Step]

    @property
    def done(self) -> int:
        """How many are done."""
        return sum(step.done for step in self.steps)

    @property
    def next(self) -> Step | None:
        """The first that is not done."""
        return next((step for step in self.steps if not step.done), None)


def of(actor: Actor, lines: Sequence[Line]) -> FirstSteps | None:
    """Tell where the actor's organisation is; None when it has arrived. `lines` are its projects."""
    answered = UsageHour.objects.filter(destination__organisation=actor.organisation, hits__gt=0).exists()
    has_token = tokens.of(actor).filter(role=Role.ADMIN, trial=False).exists()
    if answered and has_token:
        return None
    warehouses = access.warehouses_of(actor)
    steps = [
        *_of_warehouse(actor, warehouses),
        *_of_project(actor, lines),
        *_of_sync(actor, lines),
        Step(
            "Generate a token",
            _done(has_token),
            "Applications call the API with it; reading profiles needs the role Admin.",
            "Generate new token",
            "accounts:token_new",
            mine=actor.may(Permission.CALL_ACTIVATION_API),
        ),
        _of_answer(actor, lines, answered=answered),
    ]
    return FirstSteps(steps)


def _of_warehouse(actor: Actor, warehouses: Sequence[Warehouse]) -> list[Step]:
    mine = actor.may(Permission.MANAGE_CREDENTIALS)
    connect = "projects:warehouse_kinds" if mine else "projects:warehouses"
    first = next((row for row in warehouses if row.check_passed), warehouses[0] if warehouses else None)
    state = "neutral"
    if first is not None:
        state = {True: "ok", False: "failed", None: "working"}[first.check_passed]
    failed = "The check failed. Its page says at which step, and how to put it right."
    return [
        Step(
            "Connect your warehouse",
            _done(bool(warehouses)),
            "Where Profiles has built your feature views.",
            "Connect a warehouse",
            connect,
            mine=mine,
        ),
        Step(
            "Pass the warehouse's check",
            state,
            failed if state == "failed" else "Logging in, reading the catalogue, and writing our own schema.",
            "See the check",
            *_page("projects:warehouse", first.public_id if first else None),
            mine=mine,
        ),
    ]


def _of_project(actor: Actor, lines: Sequence[Line]) -> list[Step]:
    mine = actor.may(Permission.EDIT_PROJECTS)
    finished = ProfilesRun.objects.filter(project__organisation=actor.organisation, status=RunStatus.FINISHED)
    return [
        Step(
            "Create a project",
            _done(bool(lines)),
            "What your pb_project.yaml says: which ids features are served by.",
            "New project",
            "projects:new" if mine else "projects:list",
            mine=mine,
        ),
        Step(
            "Have a Profiles run seen",
            _done(bool(lines) and finished.exists()),
            "Looked for in the warehouse every minute, or reported.",
            "See History",
            *_page("activation:history", _slug(lines, lambda _: True)),
            mine=mine,
        ),
    ]


def _of_sync(actor: Actor, lines: Sequence[Line]) -> list[Step]:
    on = [line for line in lines if line.on]
    synced = any(line.summary and line.summary.synced_at for line in lines)
    state = _done(synced)
    text = "Every profile of your feature views is written to Redis."
    if not synced and any(line.summary and line.summary.active for line in on):
        state, text = "working", "It is under way."
    elif not synced and any(line.summary and line.summary.state == "failed" for line in on):
        state, text = "failed", "It failed. The project's page says why, and what to do."
    return [
        Step(
            "Enable sync to Redis",
            _done(bool(on)),
            "Connects your Redis, with a test that says what is wrong.",
            "Enable sync to Redis",
            *_page("activation:settings", _slug(lines, lambda line: not on or line.on)),
            mine=actor.may(Permission.MANAGE_ACTIVATION),
        ),
        Step(
            "Finish the first sync",
            state,
            text,
            "See how far it is",
            *_page("activation:settings", _slug(on, lambda _: True)),
        ),
    ]


def _of_answer(actor: Actor, lines: Sequence[Line], *, answered: bool) -> Step:
    synced = [line for line in lines if line.on and line.summary and line.summary.synced_at]
    place = synced[0].activation.destination_public_id if synced and synced[0].activation else None
    return Step(
        "Get the first profile from the API",
        _done(answered),
        "Call it from your application, or try it here.",
        "Try it",
        *_page("activation:try_it", place),
        mine=trial_calls.may(actor),
    )


def _done(done: bool) -> str:  # noqa: FBT001 - private, read beside its call
    return "ok" if done else "neutral"


def _page(name: str, part: str | None) -> tuple[str, Sequence[str]]:
    return (name, (part,)) if part is not None else ("", ())


def _slug(lines: Sequence[Line], is_it: Callable[[Line], bool]) -> str | None:
    return next((line.project.slug for line in lines if is_it(line)), None)
