"""Serving: what a token may read and delete, whichever edge asks.

Nothing here knows HTTP. Checks come in the order of the wire contract: destination, then access, then the look-up;
the edge has told who is asking and what for. Nothing here asks the broker or the cache.
"""

import json
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple, NoReturn, TypeVar

import orjson
from prometheus_client import Counter

from accounts.actors import Actor
from accounts.identities import TokenIdentity
from accounts.roles import Permission
from activation import deletions, dirty_ids, erasures, handles, models, usage
from activation.engine import profiles
from activation.engine.connection import NotAtHand
from activation.handle import DestinationUnavailable, Fields, Handle
from activation.models import DirtyId, RedisDestination

INVALID_VALUES = Counter("activation_invalid_values", "Fields left out of answers because they hold no JSON")
KNOWN_LIMITS = frozenset({"verbs", "destinations", "entities", "networks", "rate"})
# What a token can be limited to; "sync" is starting and stopping syncs, "manage" changing what there is.
Verb = Literal["read", "delete", "sync", "manage"]
Answer = TypeVar("Answer")
NOT_NORMALISED: set[tuple[str, ...]] = {()}


class AccessRefused(Exception):
    """The token may not do this with this destination."""

    def __init__(self) -> None:
        super().__init__("Unauthorized request. Please check your access token")


# They come by hundreds in a batch: making a frozen one takes nearly three times as long.
@dataclass(slots=True, repr=False)
class ProfileId:
    """One id of a person: its type and its value as text, as they were sent."""

    type: str
    value: str


class Profile(NamedTuple):
    """A person's feature views: name → JSON text, in Redis's order; `invalid` names fields that hold no JSON."""

    features: Mapping[str, bytes]
    invalid: tuple[str, ...] = ()


@dataclass(frozen=True)
class Deletion:
    """How many keys existed and were removed, and how many were addressed; `cascading` is what goes on after that."""

    deleted: int
    addressed: int
    cascading: models.Deletion | None = None


def read(identity: TokenIdentity, *, destination: str, entity: str, id: ProfileId) -> Profile:  # noqa: A002 - the contract's word
    """Read a person's profile; a person Redis does not know has no features.

    Raises `InvalidDestination`, `AccessRefused`, `DestinationUnavailable`, `ServiceUnavailable`.
    """
    return read_through(handles.get(identity.actor.organisation.pk, destination), identity, entity=entity, id=id)


def read_through(handle: Handle, identity: TokenIdentity, *, entity: str, id: ProfileId) -> Profile:  # noqa: A002 - as above
    """Read a person's profile from a destination that is at hand, without asking our own database.

    Raises `AccessRefused`, `DestinationUnavailable`.
    """

    async def read_key(key: str) -> Fields:
        return handle.read(key)

    return at_once(read_by(read_key, handle, identity, entity=entity, id=id))


async def read_by(
    read_key: Callable[[str], Awaitable[Fields]],
    handle: Handle,
    identity: TokenIdentity,
    *,
    entity: str,
    id: ProfileId,  # noqa: A002 - as above
) -> Profile:
    """Read a person's profile as `read_through` does, each key by `read_key`: `Handle.read_soon`, or one that waits.

    Raises what that raises too; a `NotAtHand` is not counted, as somebody else will answer.
    """
    require(identity, handle, verb="read", entity=entity, ids=(id,))
    started = time.perf_counter()
    try:
        profile = profile_of(await _fields(read_key, handle, entity, id))
    except NotAtHand:
        raise
    except BaseException:
        usage.look_up(handle, identity.token_id, entity, id.type, "error", time.perf_counter() - started)
        raise
    outcome: usage.Outcome = "hit" if profile.features else "miss"
    usage.look_up(handle, identity.token_id, entity, id.type, outcome, time.perf_counter() - started)
    return profile


def at_once(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Run a coroutine that waits for nothing but what its thread waits for."""
    try:
        work.send(None)
    except StopIteration as done:
        answer: Answer = done.value
        return answer
    raise AssertionError("it gave its turn away outside of an event loop")


def opened_for(
    identity: TokenIdentity, *, destination: str, verb: Verb, entity: str, ids: Sequence[ProfileId]
) -> Handle:
    """Return the destination's handle for a token that may do this.

    Raises `InvalidDestination`, `AccessRefused`, `ServiceUnavailable`.
    """
    handle = handles.get(identity.actor.organisation.pk, destination)
    require(identity, handle, verb=verb, entity=entity, ids=ids)
    return handle


def delete(
    identity: TokenIdentity,
    *,
    destination: str,
    entity: str,
    ids: Sequence[ProfileId],
    cascade: bool = False,
    now: datetime,
) -> Deletion:
    """Delete profiles, each once however often it is named, so that no sync brings them back (unless it may).

    With `cascade` the same person's other ids are deleted later (`activation.cascades`); the edge sends the wake-up.
    Raises `InvalidDestination`, `AccessRefused`, `DestinationUnavailable`, `ServiceUnavailable`, and `DeletePending`
    when the suppression stands and only Redis has not done its part yet.
    """
    handle = opened_for(identity, destination=destination, verb="delete", entity=entity, ids=ids)
    for each in ids:
        usage.delete(handle, identity.token_id, entity, each.type)
    return delete_through(handle, entity=entity, ids=ids, cascade=cascade, by=identity.actor, now=now)


def delete_through(
    handle: Handle, *, entity: str, ids: Sequence[ProfileId], cascade: bool = False, by: Actor, now: datetime
) -> Deletion:
    """Delete profiles as `delete` does, for somebody who may, with a destination that is at hand.

    Raises `PermissionRefused`, `DestinationUnavailable`, and `DeletePending` as `delete` does.
    """
    by.require(Permission.CALL_ACTIVATION_API)
    keys = list(dict.fromkeys(key for each in ids for key in written_keys(handle, entity, each)))
    cascading = _cascading(handle, entity, ids, keys=len(keys), by=by, now=now) if cascade else None
    # The next sync looks after them though their rows did not change: it writes those that may return, and deletes the
    # others once more, for a destination that loses its last writes, or is restored from a backup, has them again.
    named = [(entity, each.type, each.value) for each in ids]
    dirty_ids.add_profiles(handle.destination_id, named, reason=DirtyId.Reason.DELETED, now=now)
    receipt = cascading.public_id if cascading else ""
    try:
        deleted = erasures.erase(handle, keys, by=by, receipt=receipt, now=now)
    except DestinationUnavailable:
        if cascading:
            deletions.withdraw(cascading)
        raise
    return Deletion(deleted=deleted, addressed=len(keys), cascading=cascading)


def _cascading(
    handle: Handle, entity: str, ids: Sequence[ProfileId], *, keys: int, by: Actor, now: datetime
) -> models.Deletion:
    row = RedisDestination.objects.get(pk=handle.destination_id)
    named = [(each.type, each.value) for each in ids]
    return deletions.request(row, entity=entity, named=named, keys=keys, by=by, now=now)


def _key(handle: Handle, entity: str, id_type: str, value: str) -> str:
    return profiles.key(handle.workspace_id, handle.public_id, entity, id_type, value)


async def _fields(
    read_key: Callable[[str], Awaitable[Fields]], handle: Handle, entity: str, profile_id: ProfileId
) -> Fields:
    """Read what sources wrote for this id, normalised as each of them does it.

    Until the first sync after a source's normalisation changed, its profiles are under their ids as they came.
    """
    keys, otherwise = read_keys(handle, entity, profile_id)
    fields: Fields = {}
    for key in keys:
        fields |= await read_key(key)
    if not fields and otherwise is not None:
        fields = await read_key(otherwise)
    return fields


def read_keys(handle: Handle, entity: str, profile_id: ProfileId) -> tuple[tuple[str, ...], str | None]:
    """Return the keys to read for this id, and the one to read when none of them holds anything."""
    id_type, value = profile_id.type, profile_id.value
    as_sent = _key(handle, entity, id_type, value)
    steps = handle.names.get((entity, id_type), NOT_NORMALISED)
    if steps == NOT_NORMALISED:
        return (as_sent,), None
    keys = tuple(sorted({_key(handle, entity, id_type, profiles.normalise(value, each)) for each in steps}))
    return keys, None if as_sent in keys else as_sent


def read_keys_of(handle: Handle, entity: str, ids: Sequence[ProfileId]) -> list[tuple[tuple[str, ...], str | None]]:
    """Return what `read_keys` returns of each id."""
    plain = {
        id_type: _key(handle, entity, id_type, "")
        for id_type in {each.type for each in ids}
        if handle.names.get((entity, id_type), NOT_NORMALISED) == NOT_NORMALISED
    }
    return [
        ((plain[each.type] + each.value,), None) if each.type in plain else read_keys(handle, entity, each)
        for each in ids
    ]


def written_keys(handle: Handle, entity: str, profile_id: ProfileId) -> Iterator[str]:
    """Yield the keys under which sources may have written this id: as it was sent, and normalised as they do it."""
    yield _key(handle, entity, profile_id.type, profile_id.value)
    for steps in handle.names.get((entity, profile_id.type), ()):
        yield _key(handle, entity, profile_id.type, profiles.normalise(profile_id.value, steps))


def require(identity: TokenIdentity, handle: Handle, *, verb: Verb, entity: str, ids: Sequence[ProfileId]) -> None:
    """Raise `AccessRefused` unless the token's role and limits allow it.

    Keys are not escaped: an entity or id type that holds a colon can spell another entity's key. A token without
    limits may read every profile of the destination anyway; a limited one may only use names that sources declare.
    """
    if not identity.actor.may(Permission.CALL_ACTIVATION_API):
        raise AccessRefused
    if identity.limits and not (
        within_limits(identity, verb=verb, destination=handle.public_id, entity=entity)
        and all((entity, each.type) in handle.names for each in ids)
    ):
        raise AccessRefused


def within_limits(identity: TokenIdentity, *, verb: Verb, destination: str, entity: str) -> bool:
    """Tell whether the limits of a token let it do that. A limit nobody here knows cannot be kept to: nothing is."""
    limits = identity.limits
    return (
        limits.keys() <= KNOWN_LIMITS
        and verb in limits.get("verbs", (verb,))
        and destination in limits.get("destinations", (destination,))
        and entity in limits.get("entities", (entity,))
    )


def profile_of(fields: Mapping[str, bytes]) -> Profile:
    """Return a profile's fields without those that hold no JSON."""
    return Profile(*only_json(fields))


def only_json(fields: Mapping[str, bytes]) -> tuple[Mapping[str, bytes], tuple[str, ...]]:
    """Return the fields that hold JSON, and the names of the others."""
    try:
        for value in fields.values():
            orjson.loads(value)
    except orjson.JSONDecodeError:
        return _without_invalid(fields)
    return fields, ()


def _without_invalid(fields: Mapping[str, bytes]) -> tuple[Mapping[str, bytes], tuple[str, ...]]:
    invalid = tuple(name for name, value in fields.items() if not _is_json(value))
    if not invalid:
        return fields, ()
    INVALID_VALUES.inc(len(invalid))
    return {name: value for name, value in fields.items() if name not in invalid}, invalid


def _is_json(value: bytes) -> bool:
    """Tell whether the text may be spliced into an answer."""
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError:
        return _is_unusual_json(value)
    return True


def _is_unusual_json(value: bytes) -> bool:
    """Accept what orjson cannot hold though it is JSON: numbers beyond a double, lone surrogates written as escapes."""
    try:
        json.loads(value.decode(), parse_int=str, parse_float=str, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(constant: str) -> NoReturn:
    """NaN and the infinities are no JSON."""
    raise ValueError(constant)
