"""What is told about an error: a status, a code for programs, a text for people, and facts beside them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Kinds: TypeAlias = type[Exception] | tuple[type[Exception], ...]


@dataclass(frozen=True)
class Problem:
    """What is told about an error. `more` are members of the answer beside `error` and `code`."""

    status: int
    code: str
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)


class Refusal(Exception):
    """An edge refuses a call with what is told about it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.text)
        self.problem = problem


def conflict(code: str, text: str) -> Refusal:
    """Return the refusal of what cannot be done now: 409 with a code that says why."""
    return Refusal(Problem(409, code, text))


class FieldsInvalid(Exception):
    """Members of a body cannot be used. `errors` maps the path of each (`settings.address`) to what is wrong."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__(" ".join(f"{path}: {text}" if path else text for path, text in errors.items()))
        self.errors = dict(errors)
