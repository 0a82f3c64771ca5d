"""Says why an answer is empty: the first thing that is wrong with the question, or with what there is to answer.

Names that are told are those a token may use anyway. Ids are never repeated.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from activation import serving, suppressions
from activation.engine.errors import DestinationError
from activation.handle import Handle
from activation.serving import Profile, ProfileId


@dataclass(frozen=True)
class Diagnosis:
    """`code` is for programs, `message` for people; `known` are names that would have been right."""

    code: str
    message: str
    known: tuple[str, ...] = ()
    invalid: tuple[str, ...] = ()


def of(
    handle: Handle,
    entity: str,
    profile_id: ProfileId,
    profile: Profile,
    *,
    entities: Collection[str] | None = None,
) -> Diagnosis:
    """Diagnose one look-up by who may know these entities (None: all). Raises `DestinationUnavailable`."""
    if profile.features or profile.invalid:
        message = "Some feature views hold no JSON and were left out." if profile.invalid else "A profile was found."
        return Diagnosis("found", message, invalid=profile.invalid)
    return _of_question(_names(handle, entities), entity, profile_id) or _of_empty(handle, entity, profile_id)


def _of_question(names: dict[str, set[str]], entity: str, profile_id: ProfileId) -> Diagnosis | None:
    """Say which of the names is wrong."""
    if entity not in names:
        message = "No source of this destination serves this entity. Names are compared letter by letter."
        return Diagnosis("unknown_entity", message, known=tuple(sorted(names)))
    if profile_id.type not in names[entity]:
        message = "No source serves this id type for the entity. Names are compared letter by letter."
        return Diagnosis("unknown_id_type", message, known=tuple(sorted(names[entity])))
    return None


def _of_empty(handle: Handle, entity: str, profile_id: ProfileId) -> Diagnosis:
    """Say why names that are right lead to nothing."""
    views = handle.synced.get((entity, profile_id.type), {})
    if not any(views.values()):
        message = "The feature views of this id type have not been synced yet."
        return Diagnosis("view_not_synced", message, known=tuple(sorted(views)))
    if suppressions.standing(handle.destination_id, list(serving.written_keys(handle, entity, profile_id))):
        return Diagnosis("suppressed", "The profile was deleted through the API, and syncs do not bring it back.")
    for hint, other in _variants(profile_id):
        if _has_profile(handle, entity, other):
            return Diagnosis("id_not_found", f"There is no profile for this id, but there is one {hint}.")
    return Diagnosis("id_not_found", "There is no profile for this id. Ids are compared letter by letter.")


def _names(handle: Handle, allowed: Collection[str] | None) -> dict[str, set[str]]:
    names: dict[str, set[str]] = {}
    for entity, id_type in handle.names:
        if allowed is None or entity in allowed:
            names.setdefault(entity, set()).add(id_type)
    return names


def _variants(profile_id: ProfileId) -> Iterator[tuple[str, ProfileId]]:
    """Yield what people get wrong with ids, in words, and the id as it may have been meant."""
    bare = profile_id.value.strip()
    seen = {profile_id.value}
    for hint, value in (
        ("without the blanks around it", bare),
        ("in lower case", profile_id.value.lower()),
        ("in upper case", profile_id.value.upper()),
        ("in lower case, without the blanks around it", bare.lower()),
    ):
        if value and value not in seen:
            seen.add(value)
            yield hint, ProfileId(profile_id.type, value)


def _has_profile(handle: Handle, entity: str, profile_id: ProfileId) -> bool:
    keys, otherwise = serving.read_keys(handle, entity, profile_id)
    found = handle.read_each([*keys, *([otherwise] if otherwise else [])], None)
    return any(fields for fields in found if not isinstance(fields, DestinationError))
