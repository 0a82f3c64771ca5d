"""Connection tests of a Redis: asked for on a page or by API, run by a control task, told step by step.

A probe that passed creates the destination exactly as it was tried, and turns on the sync of the project it was asked
for; or it changes, or begins to move, the destination it was asked for; or it was a test and no more. The person's
role is looked at again then. No secret is ever shown again: what was typed is kept encrypted, so that a failed probe
is corrected without typing it anew, and goes within the hour.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings as django_settings
from django.db import transaction
from django.db.models import F, QuerySet

from accounts import audit, vault
from accounts.actors import Actor, PermissionRefused
from accounts.models import Membership
from accounts.roles import Permission, Role
from activation import destinations, enabling, moves
from activation.destinations import DestinationInvalid
from activation.engine.probe import Step, probe
from activation.engine.redis_settings import RedisSettings
from activation.models import DestinationProbe, RedisDestination
from projects.models import Project

MOST_IN_FIVE_MINUTES = 20
_STALLED_AFTER = timedelta(seconds=60)
_SECRETS_KEPT_FOR = timedelta(hours=1)
_MOST_ATTEMPTS = 3
_State = DestinationProbe.State


@dataclass(frozen=True)
class Aim:
    """What a test is for: to connect a Redis, for a project or alone, to edit or move a destination, or to know."""

    purpose: DestinationProbe.Purpose = DestinationProbe.Purpose.CONNECT
    project: Project | None = None
    destination: RedisDestination | None = None


class TooManyProbes(Exception):
    """The organisation has tested more connections in a few minutes than a person does."""

    def __init__(self) -> None:
        super().__init__("Many connections were tested in the last five minutes. Wait a little, then try again.")


@transaction.atomic
def request(
    *,
    aim: Aim,
    name: str,
    settings: Mapping[str, Any],
    credentials: Mapping[str, str],
    adopted: Mapping[str, str],
    by: Actor,
    now: datetime,
) -> DestinationProbe:
    """Ask for a connection test; the edge sends the wake-up. `settings` are named as on screen, without secrets.

    `adopted` holds `public_id` and `workspace_id` of data already in Redis. Raises `PermissionRefused`,
    `TooManyProbes`, `SettingsInvalid` for what needs no connection to be seen as wrong.
    """
    by.require(Permission.MANAGE_CREDENTIALS)
    recent = DestinationProbe.objects.filter(organisation=by.organisation, created_at__gt=now - timedelta(minutes=5))
    if recent.count() >= MOST_IN_FIVE_MINUTES:
        raise TooManyProbes
    RedisSettings.from_plain(settings, credentials)
    row = DestinationProbe.objects.create(
        organisation=by.organisation,
        project=aim.project,
        destination=aim.destination,
        purpose=aim.purpose,
        name=name,
        settings=dict(settings),
        credentials=vault.encrypt(json.dumps(dict(credentials))),
        adopted=dict(adopted),
        requested_by=by.name,
        requested_by_id=by.user_id,
        token=by.token,
        address=by.address,
        created_at=now,
    )
    audit.record(
        "destination_probed",
        by=by,
        target_type="destination",
        target=name,
        details={"settings": dict(settings), "probe": row.public_id},
        now=now,
    )
    return row


def typed_secrets(row: DestinationProbe) -> dict[str, str]:
    """Return the secrets typed for an earlier probe, for the one that corrects it. Raises `SecretUnreadable`."""
    secrets: dict[str, str] = json.loads(vault.decrypt(row.credentials)) if row.credentials else {}
    return secrets


def waiting(*, now: datetime) -> list[int]:
    """List the probes that nobody is at; give up those that ended workers thrice, and drop old secrets."""
    DestinationProbe.objects.filter(state=_State.FAILED, finished_at__lt=now - _SECRETS_KEPT_FOR).exclude(
        credentials=""
    ).update(credentials="")
    _stalled(now).filter(attempt__gte=_MOST_ATTEMPTS).update(
        state=_State.FAILED, problem="The test could not be finished. Try again.", finished_at=now
    )
    return list(_claimable(now).values_list("pk", flat=True))


def run(probe_id: int, *, now: datetime) -> None:
    """Test the connection, writing each step as it is known; after the last, create what was asked for."""
    row = _claim(probe_id, now=now)
    if row is None:
        return
    steps: list[dict[str, str]] = []
    for step in _steps(row):
        steps.append(step)
        if not _still_ours(row).update(steps=steps):
            return
    if any(step["state"] == "failed" for step in steps):
        _still_ours(row).update(state=_State.FAILED, finished_at=now)
    else:
        _conclude(row, now=now)


def _steps(row: DestinationProbe) -> Iterator[dict[str, str]]:
    """Yield the engine's steps as the plain values that pages read."""
    workspace_id = row.adopted.get("workspace_id") or row.organisation.public_id
    destination_id = row.adopted.get("public_id") or row.public_id
    if row.destination is not None:
        workspace_id, destination_id = row.destination.workspace_id, row.destination.public_id
    settings = RedisSettings.from_plain(row.settings, typed_secrets(row))
    steps = probe(
        settings,
        key_prefix=f"{workspace_id}:{destination_id}:",
        allow_private=django_settings.ALLOW_PRIVATE_ADDRESSES,
        forbidden=destinations.forbidden_addresses(),
    )
    failed = False
    for step in steps:
        failed = failed or step.state == "failed"
        yield {name: str(value) for name, value in asdict(step).items()}
    if row.purpose == DestinationProbe.Purpose.MOVE and row.destination is not None:
        step = Step("The new place", "not_reached") if failed else _look_at(settings, row.destination)
        yield {name: str(value) for name, value in asdict(step).items()}


def _look_at(settings: RedisSettings, destination: RedisDestination) -> Step:
    problem = moves.problem_with(settings, destination)
    return Step("The new place", "failed" if problem else "passed", problem or "Nothing of this destination is there.")


def _conclude(row: DestinationProbe, *, now: datetime) -> None:
    """Do what the test was asked for, exactly as it was tried: all of it or nothing."""
    try:
        with transaction.atomic():
            by = _requester(row)
            if row.purpose == DestinationProbe.Purpose.TRY:
                _pass(row, row.destination, now=now)
                return
            if row.destination is None:
                _pass(row, _create(row, by=by, now=now), now=now)
                return
            given = {"settings": row.settings, "credentials": typed_secrets(row), "by": by, "now": now}
            if row.purpose == DestinationProbe.Purpose.MOVE:
                moves.start(row.destination, **given)
            else:
                destinations.update_credentials(row.destination, **given)
            _pass(row, row.destination, now=now)
    except _REFUSALS as refusal:
        _still_ours(row).update(state=_State.FAILED, problem=str(refusal)[:500], finished_at=now)
    except _ProbeLost:
        return


def _create(row: DestinationProbe, *, by: Actor, now: datetime) -> RedisDestination:
    """Create the destination under the id that was tried, and turn the project's sync on."""
    destination = destinations.create(
        organisation=row.organisation,
        name=row.name,
        settings=row.settings,
        credentials=typed_secrets(row),
        public_id=row.adopted.get("public_id") or row.public_id,
        workspace_id=row.adopted.get("workspace_id"),
        by=by,
        now=now,
    )
    if row.project is not None:
        enabling.enable(row.project, destination, by=by, now=now)
    return destination


_REFUSALS = (
    PermissionRefused,
    DestinationInvalid,
    enabling.NotReady,
    enabling.FieldTaken,
    enabling.DestinationFixed,
    moves.MoveRefused,
)


class _ProbeLost(Exception):
    """Another worker took the probe over; what this one made is rolled back."""


def _pass(row: DestinationProbe, destination: RedisDestination | None, *, now: datetime) -> None:
    if not _still_ours(row).update(state=_State.PASSED, destination=destination, credentials="", finished_at=now):
        raise _ProbeLost


def _requester(row: DestinationProbe) -> Actor:
    """Return who asked, with the role they have now. Raises `PermissionRefused` once they have left."""
    membership = Membership.objects.filter(user=row.requested_by_id, organisation=row.organisation).first()
    if membership is None:
        raise PermissionRefused(Permission.MANAGE_CREDENTIALS)
    return Actor(
        organisation=row.organisation,
        role=Role(membership.role),
        name=row.requested_by,
        user_id=row.requested_by_id,
        token=row.token,
        address=row.address,
    )


def _claim(probe_id: int, *, now: datetime) -> DestinationProbe | None:
    rows = DestinationProbe.objects.select_related(
        "organisation", "project__organisation", "project__warehouse", "destination"
    )
    row = rows.filter(pk=probe_id).first()
    if row is None:
        return None
    claimed = _claimable(now).filter(pk=row.pk, attempt=row.attempt)
    if not claimed.update(state=_State.RUNNING, attempt=F("attempt") + 1, started_at=now, steps=[]):
        return None
    row.attempt += 1
    return row


def _claimable(now: datetime) -> QuerySet[DestinationProbe]:
    return DestinationProbe.objects.filter(state=_State.QUEUED) | _stalled(now)


def _stalled(now: datetime) -> QuerySet[DestinationProbe]:
    return DestinationProbe.objects.filter(state=_State.RUNNING, started_at__lt=now - _STALLED_AFTER)


def _still_ours(row: DestinationProbe) -> QuerySet[DestinationProbe]:
    return DestinationProbe.objects.filter(pk=row.pk, state=_State.RUNNING, attempt=row.attempt)
