"""The members of a body that sets something up: which there are, and of which kind; and the pages' forms as judges.

A member nobody knows is refused, so that a misspelt one is not passed over. Nothing that was sent is repeated, but for
the names of members.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeAlias, TypeVar, cast

from django import forms

from activation.api import bodies
from activation.api.bodies import BodyInvalid
from activation.api.problems import FieldsInvalid
from activation.destinations import DestinationInvalid
from activation.engine.redis_settings import SettingsInvalid
from projects.connection_settings import SettingRefused

_LONGEST_NAME_TOLD = 60
_LARGEST = 2**63
# A body of many members that nobody knows gets no answer of its size.
MOST_TOLD = 50
_UNKNOWN = "There is no such member. Check how it is written."
_MISSING = "This is missing."


@dataclass(frozen=True)
class Kind:
    """A kind of value; `words` complete "This must be …"."""

    words: str
    fits: Callable[[object], bool]


Members: TypeAlias = Mapping[str, "Kind | Members"]
Form = TypeVar("Form", bound=forms.Form)

TEXT = Kind("a text without control characters", lambda value: isinstance(value, str) and "\x00" not in value)
TEXT_OR_NULL = Kind("a text, or null", lambda value: value is None or TEXT.fits(value))
FLAG = Kind("true or false", lambda value: isinstance(value, bool))
WHOLE = Kind(
    "a whole number",
    lambda value: isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST,
)
WHOLE_OR_NULL = Kind("a whole number, or null", lambda value: value is None or WHOLE.fits(value))


def read(raw: bytes, members: Members, *, required: tuple[str, ...] = ()) -> dict[str, Any]:
    """Read a body that is an object of `members`, some of them objects themselves; an empty one has none.

    Raises `BodyInvalid`, `BodyTooLarge`, and `FieldsInvalid` with every member at fault.
    """
    return checked(object_in(raw), members, required=required)


def object_in(raw: bytes, *, most: int = bodies.MAX_BODY_BYTES) -> dict[str, Any]:
    """Read a body that is any object. Raises `BodyInvalid`, `BodyTooLarge`."""
    body = bodies.read_json(raw, most=most) if raw.strip() else {}
    if not isinstance(body, dict):
        raise BodyInvalid("The body must be a JSON object.")
    return body


def checked(body: dict[str, Any], members: Members, *, required: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a body that has no other members than these, each of its kind. Raises `FieldsInvalid`."""
    errors = dict(islice(_errors(body, members), MOST_TOLD))
    errors |= {name: _MISSING for name in required if name not in body}
    if errors:
        raise FieldsInvalid(errors)
    return body


def judge(form: Form, paths: Mapping[str, str] | None = None) -> Form:
    """Return a valid form. Raises `FieldsInvalid`; `paths` maps names of the form to paths of members."""
    if form.is_valid():
        return form
    known = paths or {}
    raise FieldsInvalid({known.get(name, name): _words(form, name) for name in form.errors})


@contextmanager
def refused_at(paths: Mapping[str, str]) -> Iterator[None]:
    """Turn what a use case refuses by field into `FieldsInvalid` with the paths of a body's members."""
    try:
        yield
    except (DestinationInvalid, SettingsInvalid) as error:
        raise FieldsInvalid({paths.get(name, name): text for name, text in error.errors.items()}) from None
    except SettingRefused as error:
        raise FieldsInvalid({paths.get(error.field, error.field): str(error)}) from None


def _words(form: forms.Form, name: str) -> str:
    """Say what a form finds wrong: of a choice what may be chosen, where the form would repeat what was sent."""
    field = form.fields.get(name)
    if isinstance(field, forms.ChoiceField) and not isinstance(field, forms.ModelChoiceField):
        return f"Choose one of {', '.join(map(str, dict(cast('list[tuple[object, str]]', field.choices))))}."
    return " ".join(map(str, form.errors[name]))


def _errors(body: Mapping[str, object], members: Members, before: str = "") -> Iterator[tuple[str, str]]:
    for name, value in body.items():
        path = before + name
        kind = members.get(name)
        if kind is None:
            yield before + name[:_LONGEST_NAME_TOLD], _UNKNOWN
        elif isinstance(kind, Kind):
            if not kind.fits(value):
                yield path, f"This must be {kind.words}."
        elif isinstance(value, dict):
            yield from _errors(value, kind, f"{path}.")
        else:
            yield path, "This must be an object."
