"""What is wrong with a `pb_project.yaml`: every problem with its place in the text and what to do about it."""

from dataclasses import dataclass

MAX_PROBLEMS = 50


@dataclass(frozen=True, order=True)
class Problem:
    """One problem. `line` and `column` count from 1, in characters."""

    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.message}"


class SpecificationProblems(Exception):
    """The text is no specification that can be used; `problems` lists what was found, in the order of the text."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = tuple(sorted(set(problems))[:MAX_PROBLEMS])
        super().__init__("; ".join(str(problem) for problem in self.problems))
