"""What the body of a request to `/v1/activation` and `/v2/activation` says, told apart from how it came.

Knows neither Django nor DRF. Nothing a client can send is an error of ours: whatever the bytes are, the outcome is a
request or `BodyInvalid`, whose text says what is wrong and where, and never repeats what was sent.
"""

import json
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import orjson

from activation.engine import profiles
from activation.serving import ProfileId

MAX_BODY_BYTES = 64 * 1024
MAX_ID_BYTES = 1024
_LARGE = 18  # digits: no number of fewer is beyond 64 bits
_SURELY_SHORT = MAX_ID_BYTES // 4  # characters: UTF-8 has up to four bytes for one
MAX_IDS = 100
MAX_BATCH_IDS = 1_000
MAX_BATCH_BYTES = 2 * 1024 * 1024
# What a body of POST may ask for beyond the contract (`activation.api.options`).
OPTIONS = frozenset({"views", "traits", "include", "maxAgeSeconds"})
TOO_DEEP = "The body is nested too deeply."
NO_ID = "id should have at least one item"
Echo: TypeAlias = dict[str, object]  # an id as the answer repeats it


class BodyInvalid(Exception):
    """The body is not what the contract asks for."""

    code = "invalid_request"


class BodyTooLarge(BodyInvalid):
    """The body is larger than anything the contract asks for."""

    code = "too_large"

    def __init__(self, most: int = MAX_BODY_BYTES) -> None:
        super().__init__(f"The body is larger than {most // 1024} KiB.")


@dataclass(frozen=True)
class FetchRequest:
    """A body of POST. `destination` is whatever was sent; `echo` is the id as the answer repeats it."""

    destination: object
    entity: str
    id: ProfileId
    echo: Echo


class Item(NamedTuple):
    """An id that was asked for, and as the answer repeats it."""

    id: ProfileId
    echo: Echo


@dataclass(frozen=True)
class ManyRequest:
    """A body of POST with several ids, of which the first that has a profile is answered, or with options."""

    destination: object
    entity: str
    items: tuple[Item, ...]
    options: dict[str, Any]


@dataclass(frozen=True)
class BatchRequest:
    """A body of a batch: the ids that can be read, and each item as the answer repeats it, or what is wrong with it."""

    destination: object
    entity: str
    ids: list[ProfileId]
    echoes: list[Echo | BodyInvalid]
    options: dict[str, Any]


@dataclass(frozen=True)
class DeleteRequest:
    """A body of DELETE; `ids` has at least one item. With `cascade` the person's other ids are meant too."""

    destination: object
    entity: str
    ids: tuple[ProfileId, ...]
    cascade: bool = False


def fetch_request(raw: bytes) -> FetchRequest:
    """Read a body of POST. Raises `BodyInvalid`."""
    return asked_by(_object(raw))


def asked_by(body: dict[str, Any]) -> FetchRequest:
    """Tell what a parsed body of POST asks for. Raises `BodyInvalid`."""
    entity = _entity(body)
    if "id" not in body:
        raise BodyInvalid("id is missing.")
    if not isinstance(body["id"], dict):
        raise BodyInvalid('id must be an object with "type" and "value".')
    item = _item(body["id"], "id")
    return FetchRequest(destination=body.get("destinationId"), entity=entity, id=item.id, echo=item.echo)


def question(raw: bytes) -> FetchRequest | ManyRequest:
    """Read a body of POST that may ask for more than the contract. Raises `BodyInvalid`."""
    body = _object(raw)
    options = {name: body[name] for name in OPTIONS & body.keys()}
    given = body.get("id")
    if not options and not isinstance(given, list):
        return asked_by(body)
    if isinstance(given, list):
        entity = _entity(body)
        items = tuple(_item(item, "id", number) for number, item in enumerate(_bounded(given, "id", MAX_IDS)))
        return ManyRequest(body.get("destinationId"), entity, items, options)
    asked = asked_by(body)
    return ManyRequest(asked.destination, asked.entity, (Item(asked.id, asked.echo),), options)


def batch_request(raw: bytes) -> BatchRequest:
    """Read a body of a batch. Raises `BodyInvalid` for what is wrong with the whole of it."""
    body = _object(raw, most=MAX_BATCH_BYTES)
    entity = _entity(body)
    if not isinstance(body.get("ids"), list):
        raise BodyInvalid('ids must be a list of objects with "type" and "value".')
    ids, echoes = _ids_and_echoes(_bounded(body["ids"], "ids", MAX_BATCH_IDS))
    options = {name: body[name] for name in OPTIONS & body.keys()}
    return BatchRequest(body.get("destinationId"), entity, ids, echoes, options)


def delete_request(raw: bytes) -> DeleteRequest:
    """Read a body of DELETE, whose `id` is an object or a list of them. Raises `BodyInvalid`."""
    body = _object(raw)
    given = body.get("id")
    if given is None or given in ({}, []):
        raise BodyInvalid(NO_ID)
    entity = _entity(body)
    if isinstance(given, dict):
        ids: tuple[ProfileId, ...] = (_profile_id(given, "id"),)
    elif isinstance(given, list):
        if len(given) > MAX_IDS:
            raise BodyInvalid(f"id has more than {MAX_IDS} items.")
        ids = tuple(_profile_id(item, "id", number) for number, item in enumerate(given))
    else:
        raise BodyInvalid('id must be an object with "type" and "value", or a list of such objects.')
    cascade = body.get("cascade", False)
    if not isinstance(cascade, bool):
        raise BodyInvalid("cascade must be true or false.")
    return DeleteRequest(destination=body.get("destinationId"), entity=entity, ids=ids, cascade=cascade)


def read_json(raw: bytes, *, most: int = MAX_BODY_BYTES) -> Any:
    """Parse a body of at most `most` bytes. Raises `BodyInvalid`, `BodyTooLarge`."""
    if len(raw) > most:
        raise BodyTooLarge(most)
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        if "infinity" in error.msg:
            return _with_exact_numbers(raw)
        if "depth limit" in error.msg:
            raise BodyInvalid(TOO_DEEP) from None
        raise BodyInvalid(f"The body is not valid JSON (line {error.lineno}, column {error.colno}).") from None


def _item(given: object, name: str, number: int | None = None) -> Item:
    """Read an id; the answer repeats its value of the type that was sent."""
    usual = _usual_id(given)
    if usual is not None:
        return Item(usual, {"type": usual.type, "value": usual.value})
    profile_id = _profile_id(given, name, number)
    assert isinstance(given, dict)
    value = given["value"]
    echo = orjson.Fragment(profile_id.value) if isinstance(value, _LargeNumber) else value
    return Item(profile_id, {"type": profile_id.type, "value": echo})


def _ids_and_echoes(given: list[Any]) -> tuple[list[ProfileId], list[Echo | BodyInvalid]]:
    """Read the ids of a batch; what is wrong with one stands in the place of its echo."""
    ids: list[ProfileId] = []
    echoes: list[Echo | BodyInvalid] = []
    for number, one in enumerate(given):
        usual = _usual_id(one)
        if usual is not None:  # as `_item` does it, without an `Item` for each
            ids.append(usual)
            echoes.append({"type": usual.type, "value": usual.value})
            continue
        try:
            item = _item(one, "ids", number)
        except BodyInvalid as problem:
            echoes.append(problem)
        else:
            ids.append(item.id)
            echoes.append(item.echo)
    return ids, echoes


def _usual_id(given: object) -> ProfileId | None:
    """Read an id of two texts of a usual length, as nearly all are; the rest must be looked at more closely."""
    if type(given) is dict:
        id_type, value = given.get("type"), given.get("value")
        if (
            type(id_type) is str
            and type(value) is str
            and len(value) <= _SURELY_SHORT
            and id_type.strip()
            and value.strip()
        ):
            return ProfileId(id_type, value)
    return None


def _bounded(given: list[Any], where: str, most: int) -> list[Any]:
    if not given:
        raise BodyInvalid(f"{where} should have at least one item")
    if len(given) > most:
        raise BodyInvalid(f"{where} has more than {most:,} items.")
    return given


def _object(raw: bytes, *, most: int = MAX_BODY_BYTES) -> dict[str, Any]:
    body = read_json(raw, most=most)
    if not isinstance(body, dict):
        raise BodyInvalid("The body must be a JSON object.")
    # Whole numbers beyond 64 bits come as floats, with digits lost; the id may be one of them.
    large = _has_float_id(body.get("id")) or _has_float_id(body.get("ids"))
    exact: dict[str, Any] = _with_exact_numbers(raw) if large else body
    return exact


def _has_float_id(given: object) -> bool:
    items = given if isinstance(given, list) else [given]
    return float in {type(item.get("value")) for item in items if isinstance(item, dict)}


class _LargeNumber(str):
    """A whole number of any size as its digits."""

    __slots__ = ()


def _exact(digits: str) -> "int | _LargeNumber":
    return int(digits) if len(digits) < _LARGE else _LargeNumber(digits)


def _with_exact_numbers(raw: bytes) -> Any:
    """Parse with the standard library, which knows numbers of any size but is lenient about other things."""
    try:
        body = json.loads(raw.decode(), parse_int=_exact)
        # Refuses what no answer could repeat: lone surrogates, and depths that only one of the two parsers takes.
        orjson.dumps(body)
    except (ValueError, TypeError, RecursionError) as error:
        raise BodyInvalid(TOO_DEEP if "recursion" in str(error).lower() else "The body is not valid JSON.") from None
    return body


def _entity(body: dict[str, Any]) -> str:
    """Read `entity`. The sync's own keys live where an entity `_activation` would be, with anything behind it."""
    try:
        entity = _name(body, "entity")
    except _Wrong as wrong:
        raise BodyInvalid(str(wrong).removeprefix(".")) from None
    if f"{entity}:".startswith(f"{profiles.RESERVED_ENTITY}:"):
        raise BodyInvalid(f"entity must not be {profiles.RESERVED_ENTITY}: this name is kept for the sync's own keys.")
    return entity


class _Wrong(Exception):
    """Something is wrong with a member; where it stands is said by who knows, and only then: ids come by hundreds."""


def _profile_id(item: object, name: str, number: int | None = None) -> ProfileId:
    try:
        return _read_id(item)
    except _Wrong as wrong:
        where = name if number is None else f"{name}[{number}]"
        raise BodyInvalid(where + str(wrong)) from None


def _read_id(item: object) -> ProfileId:
    if not isinstance(item, dict):
        raise _Wrong(' must be an object with "type" and "value".')
    return ProfileId(type=_name(item, "type"), value=_value(item))


def _name(holder: dict[str, Any], member: str) -> str:
    if member not in holder:
        raise _Wrong(f".{member} is missing.")
    name = holder[member]
    if not isinstance(name, str) or isinstance(name, _LargeNumber):
        raise _Wrong(f".{member} must be a text.")
    if not name.strip():
        raise _Wrong(f".{member} must not be blank.")
    return name


def _value(item: dict[str, Any]) -> str:
    """Read an id's value: text as it is, a whole number as its decimal text."""
    if "value" not in item:
        raise _Wrong(".value is missing.")
    value = item["value"]
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _Wrong(".value must be a text or a whole number.")
    text = _decimal(value) if isinstance(value, _LargeNumber | int) else value
    if not text.strip():
        raise _Wrong(".value must not be blank.")
    if len(text.encode()) > MAX_ID_BYTES:
        raise _Wrong(f".value is longer than {MAX_ID_BYTES:,} bytes.")
    return text


def _decimal(number: int | str) -> str:
    """Return the decimal text of a whole number; JSON knows a minus zero, people do not."""
    text = str(number)
    return "0" if text == "-0" else text
