"""The lines of a `pb_project.yaml` that its problems are about, for the page that shows them."""

from collections.abc import Sequence
from dataclasses import dataclass

from projects.problems import Problem

_BEFORE = 2
_WIDTH = 110


@dataclass(frozen=True)
class Excerpt:
    """A problem with its line, those before it, and a caret under its column."""

    problem: Problem
    text: str


def excerpts(text: str, problems: Sequence[Problem]) -> list[Excerpt]:
    """Cut out what each problem is about."""
    lines = text.split("\n")
    return [Excerpt(problem, _excerpt(lines, problem)) for problem in problems]


def _excerpt(lines: list[str], problem: Problem) -> str:
    """Number the lines; a long line is cut around the problem's column."""
    numbers = range(max(1, problem.line - _BEFORE), min(problem.line, len(lines)) + 1)
    start = max(0, problem.column - _WIDTH)
    shown = [f"{number:>5}  {_cut(lines[number - 1], start)}" for number in numbers]
    return "\n".join([*shown, " " * (6 + problem.column - start) + "^"])


def _cut(line: str, start: int) -> str:
    cut = line[start : start + _WIDTH]
    # A tab would move the caret; it is shown as one blank-wide sign.
    return cut.replace("\t", "→")
