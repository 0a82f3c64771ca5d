"""*Profile Lookup*: somebody of the organisation looks at one person's profile, as applications are served it.

The same reads as the API's, with the same time limits, but not counted as usage. That somebody looked is in the audit
log: who, which entity and id type, found or not; never the id, never a trait.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from accounts import audit
from accounts.actors import Actor
from accounts.roles import Permission
from activation import diagnoses, handles, look_ups, serving
from activation.handle import DestinationUnavailable, Handle
from activation.look_ups import LookUp, Wanted
from activation.models import Activation, Source
from activation.serving import ProfileId

MOST_IN_FIVE_MINUTES = 60
ACTION = "profile_looked_up"
DETECTED = "detected"


class TooManyLookUps(Exception):
    """The person has looked up more profiles in a few minutes than people do by hand."""

    def __init__(self) -> None:
        super().__init__("You looked up many profiles in the last five minutes. Wait a little, or ask the API.")


@dataclass(frozen=True, repr=False)
class Question:
    """An id that somebody typed; without an id type all that are served for the entity are asked. Personal data."""

    entity: str
    value: str
    id_type: str = ""


def id_types(activation: Activation, entity: str) -> list[str]:
    """List the id types by which the project's sources serve an entity, in the order in which they were made."""
    sources = Source.objects.filter(activation=activation, entity=entity).exclude(status=Source.Status.REMOVED)
    return list(dict.fromkeys(sources.order_by("pk").values_list("id_type", flat=True)))


def look_up(activation: Activation, question: Question, *, by: Actor, now: datetime) -> list[LookUp]:
    """Read what is there for the id, by each id type that is asked, in one pipeline a server.

    Those that found nothing tell why, unless another found a profile. Raises `PermissionRefused`, `TooManyLookUps`,
    `InvalidDestination`, `DestinationUnavailable`, `ServiceUnavailable`.
    """
    by.require(Permission.SEE_PERSONAL_DATA)
    if _too_many(by, now=now):
        raise TooManyLookUps
    asked = [question.id_type] if question.id_type else id_types(activation, question.entity)
    ids = [ProfileId(id_type, question.value) for id_type in asked]
    found: list[LookUp] | None = None
    try:
        handle = handles.get(by.organisation.pk, activation.destination.public_id)
        found = look_ups.read_through(handle, question.entity, ids, Wanted(freshness=True), now=now)
        if found and all(each.unavailable for each in found):
            found = None
            raise DestinationUnavailable("busy")
        if any(each.found for each in found):
            return found
        return [_diagnosed(handle, question.entity, each) for each in found]
    finally:
        _record(activation, question, found, by=by, now=now)


def delete(
    activation: Activation, question: Question, *, cascade: bool = False, by: Actor, now: datetime
) -> serving.Deletion:
    """Delete the profile of an id of one type as the API does, for somebody who may; the edge sends the wake-up.

    Raises `PermissionRefused`, `InvalidDestination`, `DestinationUnavailable`, `ServiceUnavailable`, `DeletePending`.
    """
    by.require(Permission.CALL_ACTIVATION_API)
    handle = handles.get(by.organisation.pk, activation.destination.public_id)
    ids = [ProfileId(question.id_type, question.value)]
    return serving.delete_through(handle, entity=question.entity, ids=ids, cascade=cascade, by=by, now=now)


def _diagnosed(handle: Handle, entity: str, found: LookUp) -> LookUp:
    if found.unavailable:
        return found
    return replace(found, diagnosis=diagnoses.of(handle, entity, found.id, found.profile))


def _too_many(by: Actor, *, now: datetime) -> bool:
    recent = audit.of(by).filter(actor_id=by.user_id, action=ACTION, at__gt=now - timedelta(minutes=5))
    return recent.count() >= MOST_IN_FIVE_MINUTES


def _record(
    activation: Activation, question: Question, found: Iterable[LookUp] | None, *, by: Actor, now: datetime
) -> None:
    """Write down that somebody looked, also when Redis did not answer: `found` is null then."""
    by_types = None if found is None else [each.id.type for each in found if each.found]
    audit.record(
        ACTION,
        by=by,
        target_type="project",
        target_id=activation.project.public_id,
        target=activation.project.name,
        details={
            "entity": question.entity,
            "id_type": question.id_type or DETECTED,
            "found": by_types if by_types is None else ", ".join(by_types) or False,
        },
        now=now,
    )
