"""What a body of `POST /v2/activation` asks for beyond the contract: parts of a profile, and facts about it.

A body that asks for nothing of this is answered as the hosted API answers it, to the byte.
"""

from collections.abc import Mapping
from typing import Any

from activation.api.bodies import BodyInvalid
from activation.look_ups import Wanted

MAX_NAMES = 100
MAX_AGE = 10 * 366 * 24 * 3600
INCLUDES = ("freshness", "diagnosis")


def wanted(body: Mapping[str, Any], *, includes: tuple[str, ...] = INCLUDES) -> Wanted:
    """Read the options. Raises `BodyInvalid`."""
    include = _names(body["include"], "include") if "include" in body else ()
    unknown = [name for name in include if name not in includes]
    if unknown:
        raise BodyInvalid(f"include may name {' and '.join(includes)} here.")
    return Wanted(
        views=_names(body["views"], "views") if "views" in body else None,
        traits=_traits(body["traits"]) if "traits" in body else {},
        freshness="freshness" in include,
        max_age=_age(body["maxAgeSeconds"]) if "maxAgeSeconds" in body else None,
        diagnosis="diagnosis" in include,
    )


def _names(given: object, where: str) -> tuple[str, ...]:
    if not isinstance(given, list) or not all(isinstance(name, str) and name.strip() for name in given):
        raise BodyInvalid(f"{where} must be a list of names.")
    if len(given) > MAX_NAMES:
        raise BodyInvalid(f"{where} has more than {MAX_NAMES} names.")
    return tuple(dict.fromkeys(given))


def _traits(given: object) -> dict[str, tuple[str, ...]]:
    if not isinstance(given, dict) or not given:
        raise BodyInvalid('traits must be an object like {"<feature view>": ["<trait>"]}.')
    if len(given) > MAX_NAMES:
        raise BodyInvalid(f"traits has more than {MAX_NAMES} feature views.")
    if not all(view.strip() for view in given):
        raise BodyInvalid("traits has a feature view without a name.")
    return {view: _names(names, f"traits.{number}") for number, (view, names) in enumerate(given.items())}


def _age(given: object) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given <= MAX_AGE:
        raise BodyInvalid("maxAgeSeconds must be a whole number of seconds, from 0 to ten years.")
    return given
