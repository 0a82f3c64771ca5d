"""Counts what histories did, so that a run can show that it tried everything; printed at the end of the tests."""

import json
import statistics
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest

from tests.chaos.lives import Life

PROPERTY = "chaos"


@dataclass
class Tally:
    """Histories that were compared at their end: how long they were, and in how many each action took part.

    `ends` counts the places where workers crashed or fell asleep.
    """

    lengths: list[int] = field(default_factory=list)
    actions: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    _steps: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """Begin a history."""
        self._steps = []

    def step(self, action: str) -> None:
        """Count a step."""
        self._steps.append(action)

    def end(self, lives: Iterable[Life]) -> None:
        """Count a history that came to its end."""
        self.lengths.append(len(self._steps))
        self.actions.update(set(self._steps))
        self.ends.update(life.end for life in lives if life.end)

    @property
    def histories(self) -> int:
        return len(self.lengths)

    @property
    def median(self) -> float:
        """Steps of the median history."""
        return statistics.median(self.lengths) if self.lengths else 0

    def share(self, action: str) -> float:
        """The share of histories in which an action took part."""
        return self.actions[action] / self.histories if self.histories else 0

    def as_text(self) -> str:
        """Write it down for another process."""
        return json.dumps([self.lengths, self.actions, self.ends])

    def add(self, text: str) -> None:
        """Add what another process wrote down."""
        lengths, actions, ends = json.loads(text)
        self.lengths += lengths
        self.actions.update(actions)
        self.ends.update(ends)

    def lines(self) -> list[str]:
        """Say it in a few lines."""
        shares = ", ".join(f"{name} {self.share(name):.0%}" for name, _ in self.actions.most_common())
        places = ", ".join(f"{count} at the {side}" for side, count in self._by_side().most_common())
        return [
            f"{self.histories} histories, median {self.median:g} steps, all exact",
            f"of the histories had: {shares}",
            f"workers ended or slept at {len(self.ends)} places: {places}",
        ]

    def _by_side(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for place, count in self.ends.items():
            found[place.partition(":")[0]] += count
        return found


def told(reporter: pytest.TerminalReporter) -> None:
    """Print what the histories of all test processes did."""
    tally = Tally()
    for report in reporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name == PROPERTY:
                tally.add(value)
    if tally.histories:
        reporter.section("chaos")
        for line in tally.lines():
            reporter.line(line)
