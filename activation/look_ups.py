"""Look-ups beyond the plain one: several ids, parts of a profile, how fresh it is, why it is empty.

Whoever asks for nothing of this uses `activation.serving.read`. Ids are read in one pipeline for each server.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain

from accounts.identities import TokenIdentity
from activation import diagnoses, handles, serving, usage
from activation.diagnoses import Diagnosis
from activation.engine import traits
from activation.engine.errors import DestinationError
from activation.handle import DestinationUnavailable, Fields, Handle
from activation.serving import Profile, ProfileId


@dataclass(frozen=True)
class Wanted:
    """What of a profile is asked for, and what about it.

    `views` are the feature views to answer (None: all), `traits` the columns of some of them. `max_age` in seconds
    marks views that were synced longer ago.
    """

    views: tuple[str, ...] | None = None
    traits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    freshness: bool = False
    max_age: int | None = None
    diagnosis: bool = False


@dataclass(frozen=True)
class Freshness:
    """When a feature view was last brought in step, in seconds ago; `stale` only where an age was asked for."""

    synced_at: datetime
    age: int
    run: str
    stale: bool | None = None


@dataclass(slots=True, repr=False)  # as `serving.ProfileId`
class LookUp:
    """What was found for one id, `id` as it was sent. `unavailable` tells that its server did not answer.

    `features` and `invalid` are its profile's. `keys` are those that were read; where some hold the profile, only
    these.
    """

    id: ProfileId
    features: Mapping[str, bytes]
    invalid: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    freshness: Mapping[str, Freshness] | None = None
    diagnosis: Diagnosis | None = None
    unavailable: bool = False

    @property
    def found(self) -> bool:
        """Whether there is anything of the profile."""
        return bool(self.features or self.invalid)

    @property
    def profile(self) -> Profile:
        """The profile by itself, which batches need not make hundreds of."""
        return Profile(self.features, self.invalid)


def first(
    identity: TokenIdentity, *, destination: str, entity: str, ids: Sequence[ProfileId], wanted: Wanted, now: datetime
) -> tuple[int, LookUp]:
    """Read the first of the ids that has a profile; return its position and what was found (the first, if none has).

    Raises `InvalidDestination`, `AccessRefused`, `DestinationUnavailable`, `ServiceUnavailable`.
    """
    handle = serving.opened_for(identity, destination=destination, verb="read", entity=entity, ids=ids)
    found = _counted(identity, handle, entity, ids, wanted, now=now)
    position = next((number for number, each in enumerate(found) if each.found or each.unavailable), 0)
    chosen = found[position]
    if chosen.unavailable:  # the ids before it have none, and nobody knows whether this one has
        raise DestinationUnavailable("busy")
    if wanted.diagnosis:
        diagnosis = diagnoses.of(handle, entity, chosen.id, chosen.profile, entities=identity.limits.get("entities"))
        chosen = replace(chosen, diagnosis=diagnosis)
    return position, chosen


def each(
    identity: TokenIdentity, *, destination: str, entity: str, ids: Sequence[ProfileId], wanted: Wanted, now: datetime
) -> list[LookUp]:
    """Read every id, in order; those whose server does not answer are marked.

    Raises `InvalidDestination`, `AccessRefused`, `ServiceUnavailable`, and `DestinationUnavailable` when no server
    answered.
    """
    handle = handles.get(identity.actor.organisation.pk, destination)
    return each_through(handle, identity, entity=entity, ids=ids, wanted=wanted, now=now)


def each_through(
    handle: Handle, identity: TokenIdentity, *, entity: str, ids: Sequence[ProfileId], wanted: Wanted, now: datetime
) -> list[LookUp]:
    """Read every id from a destination that is at hand, as `each` does, without asking our own database.

    Raises `AccessRefused`, and `DestinationUnavailable` when no server answered.
    """
    serving.require(identity, handle, verb="read", entity=entity, ids=ids)
    found = _counted(identity, handle, entity, ids, wanted, now=now)
    if found and all(look_up.unavailable for look_up in found):
        raise DestinationUnavailable("busy")
    return found


def _counted(
    identity: TokenIdentity, handle: Handle, entity: str, ids: Sequence[ProfileId], wanted: Wanted, *, now: datetime
) -> list[LookUp]:
    """Read every id, and count each with the time that all of them took."""
    started = time.perf_counter()
    found: list[LookUp] = []
    try:
        found = read_through(handle, entity, ids, wanted, now=now)
        return found
    finally:
        seconds = time.perf_counter() - started
        for outcome, times_of in _outcomes(ids, found).items():
            for id_type, times in times_of.items():
                usage.look_up(handle, identity.token_id, entity, id_type, outcome, seconds, times=times)


def _outcomes(ids: Sequence[ProfileId], found: Sequence[LookUp]) -> dict[usage.Outcome, Counter[str]]:
    """Count how often each id type was hit or missed, or not answered, as all are when nothing is found at all."""
    asked = Counter([each.type for each in ids])
    if not found:
        return {"error": asked}
    hits = Counter([each.id.type for each in found if each.found])
    errors = Counter([each.id.type for each in found if each.unavailable])
    return {"hit": hits, "miss": asked - hits - errors, "error": errors}


_NOTHING: Mapping[str, bytes] = {}


def read_through(
    handle: Handle, entity: str, ids: Sequence[ProfileId], wanted: Wanted, *, now: datetime
) -> list[LookUp]:
    """Read every id, in order, for who may see profiles; counts nothing, and diagnoses nothing.

    Raises `DestinationUnavailable` when nothing can be asked at all.
    """
    views = _views(wanted)
    keys = serving.read_keys_of(handle, entity, ids)
    replies = _answers(handle, chain.from_iterable([own for own, _ in keys]), views)
    again = [other for own, other in keys if other and not any(replies[key] for key in own)]
    if again:
        replies |= _answers(handle, again, views)
    plain = wanted == Wanted(views=wanted.views)
    found = []
    for profile_id, (own, other) in zip(ids, keys, strict=True):
        one = other is None and len(own) == 1
        fields, read = (replies[own[0]], own) if one else _together(replies, own, other)
        if isinstance(fields, DestinationError):
            found.append(LookUp(profile_id, _NOTHING, (), read, unavailable=True))
        elif plain:
            features, invalid = serving.only_json(fields)
            found.append(LookUp(profile_id, features, invalid, read))
        else:
            found.append(replace(_look_up(handle, entity, profile_id, fields, wanted, now=now), keys=read))
    return found


def _together(
    replies: Mapping[str, Fields | DestinationError], own: tuple[str, ...], other: str | None
) -> tuple[Fields | DestinationError, tuple[str, ...]]:
    """Return what the keys of one id hold, or the first error among them, and the keys that hold it."""
    fields: Fields = {}
    read = own if other is None or other not in replies else (*own, other)
    keys = tuple(key for key in read if replies[key]) or read
    for key in read:
        reply = replies[key]
        if isinstance(reply, DestinationError):
            return reply, keys
        fields |= reply
    return fields, keys


def _answers(handle: Handle, keys: Iterable[str], views: Sequence[str] | None) -> dict[str, Fields | DestinationError]:
    once = list(dict.fromkeys(keys))
    return dict(zip(once, handle.read_each(once, views), strict=True))


def _look_up(
    handle: Handle,
    entity: str,
    profile_id: ProfileId,
    fields: Fields,
    wanted: Wanted,
    *,
    now: datetime,
) -> LookUp:
    features, invalid = serving.only_json(fields)
    if wanted.traits:
        features = {
            view: traits.only(text, wanted.traits[view]) if view in wanted.traits else text
            for view, text in features.items()
        }
    freshness = None
    if wanted.freshness or wanted.max_age is not None:
        freshness = _freshness(handle, entity, profile_id, features, wanted, now=now)
    return LookUp(profile_id, features, invalid, freshness=freshness)


def _views(wanted: Wanted) -> tuple[str, ...] | None:
    if wanted.views is None:
        return tuple(wanted.traits) if wanted.traits else None
    return tuple(dict.fromkeys((*wanted.views, *wanted.traits)))


def _freshness(
    handle: Handle,
    entity: str,
    profile_id: ProfileId,
    views: Iterable[str],
    wanted: Wanted,
    *,
    now: datetime,
) -> dict[str, Freshness]:
    """Tell of each view in the answer when it was last synced; of those that no source writes nothing is known."""
    synced = handle.synced.get((entity, profile_id.type), {})
    found = {}
    for view in views:
        last = synced.get(view)
        if last is not None:
            age = max(0, int((now - last.at).total_seconds()))
            stale = None if wanted.max_age is None else age > wanted.max_age
            found[view] = Freshness(last.at, age, last.run, stale)
    return found
