"""Look-ups beyond the plain one: several ids, parts of a profile, how fresh it is, why it is empty.

Whoever asks for nothing of this uses `activation.serving.read`. Ids are read in one pipeline for each server.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from accounts.identities import TokenIdentity
from activation import diagnoses, handles, serving, usage
from activation.diagnoses import Diagnosis
from activation.engine import traits
from activation.engine.errors import DestinationError
from activation.handles import Fields, Handle
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


@dataclass(frozen=True)
class LookUp:
    """What was found for one id, `id` as it was sent. `unavailable` tells that its server did not answer.

    `keys` are those that were read; where some hold the profile, only these.
    """

    id: ProfileId
    profile: Profile
    freshness: Mapping[str, Freshness] | None = None
    diagnosis: Diagnosis | None = None
    unavailable: bool = False
    keys: tuple[str, ...] = ()

    @property
    def found(self) -> bool:
        """Whether there is anything of the profile."""
        return bool(self.profile.features or self.profile.invalid)


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
        raise handles.DestinationUnavailable("busy")
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
    handle = serving.opened_for(identity, destination=destination, verb="read", entity=entity, ids=ids)
    found = _counted(identity, handle, entity, ids, wanted, now=now)
    if found and all(look_up.unavailable for look_up in found):
        raise handles.DestinationUnavailable("busy")
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
        outcomes = Counter((each.id.type, _outcome(each)) for each in found) or Counter(
            (each.type, _NO_ANSWER) for each in ids
        )
        for (id_type, outcome), times in outcomes.items():
            usage.look_up(handle, identity.token_id, entity, id_type, outcome, seconds, times=times)


def _outcome(found: LookUp) -> usage.Outcome:
    if found.unavailable:
        return _NO_ANSWER
    return "hit" if found.found else "miss"


_NO_ANSWER: usage.Outcome = "error"


def read_through(
    handle: Handle, entity: str, ids: Sequence[ProfileId], wanted: Wanted, *, now: datetime
) -> list[LookUp]:
    """Read every id, in order, for who may see profiles; counts nothing, and diagnoses nothing.

    Raises `DestinationUnavailable` when nothing can be asked at all.
    """
    views = _views(wanted)
    keys = [serving.read_keys(handle, entity, profile_id) for profile_id in ids]
    replies = _answers(handle, (key for own, _ in keys for key in own), views)
    again = [other for own, other in keys if other and not any(replies[key] for key in own)]
    if again:
        replies |= _answers(handle, again, views)
    found = []
    for profile_id, (own, other) in zip(ids, keys, strict=True):
        own_replies = {key: replies[key] for key in (*own, other) if key in replies}
        found.append(_look_up(handle, entity, profile_id, own_replies, wanted, now=now))
    return found


def _answers(handle: Handle, keys: Iterable[str], views: Sequence[str] | None) -> dict[str, Fields | DestinationError]:
    once = list(dict.fromkeys(keys))
    return dict(zip(once, handle.read_each(once, views), strict=True))


def _look_up(
    handle: Handle,
    entity: str,
    profile_id: ProfileId,
    replies: Mapping[str, Fields | DestinationError],
    wanted: Wanted,
    *,
    now: datetime,
) -> LookUp:
    fields: Fields = {}
    keys = tuple(key for key, reply in replies.items() if reply) or tuple(replies)
    for reply in replies.values():
        if isinstance(reply, DestinationError):
            return LookUp(profile_id, Profile({}), unavailable=True, keys=keys)
        fields |= reply
    profile = serving.profile_of(fields)
    if wanted.traits:
        features = {
            view: traits.only(text, wanted.traits[view]) if view in wanted.traits else text
            for view, text in profile.features.items()
        }
        profile = replace(profile, features=features)
    freshness = None
    if wanted.freshness or wanted.max_age is not None:
        freshness = _freshness(handle, entity, profile_id, profile, wanted, now=now)
    return LookUp(profile_id, profile, freshness, keys=keys)


def _views(wanted: Wanted) -> tuple[str, ...] | None:
    if wanted.views is None:
        return tuple(wanted.traits) if wanted.traits else None
    return tuple(dict.fromkeys((*wanted.views, *wanted.traits)))


def _freshness(
    handle: Handle,
    entity: str,
    profile_id: ProfileId,
    profile: Profile,
    wanted: Wanted,
    *,
    now: datetime,
) -> dict[str, Freshness]:
    """Tell of each view in the answer when it was last synced; of those that no source writes nothing is known."""
    synced = handle.synced.get((entity, profile_id.type), {})
    found = {}
    for view in profile.features:
        last = synced.get(view)
        if last is not None:
            age = max(0, int((now - last.at).total_seconds()))
            stale = None if wanted.max_age is None else age > wanted.max_age
            found[view] = Freshness(last.at, age, last.run, stale)
    return found
