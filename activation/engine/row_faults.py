"""How many refused rows a run bears: a few are tried again by the next one, with too many something is wrong.

A run fails by more than one refused row in a hundred, which nobody can tell of fewer than 10,000 rows, and by refused
rows only: the first hundred, or all of fewer. Rows that the destination holds as they are count with the others: few
changes with some bad rows among them are no reason to stop, or those rows would hold every later change up.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from activation.engine.counts import Counts

_ONE_IN = 100
_ENOUGH_TO_TELL = 10_000
_FROM_THE_START = 100


class TooManyRowFaults(Exception):
    """So many rows were refused that something is wrong with all of them."""

    def __init__(self, code: str) -> None:
        super().__init__(
            f"The destination refused too many rows ({code}). Look at the failed rows' reasons on the run's page; "
            "nothing else was changed by them."
        )
        self.code = code


def too_many(failed: int, *, of: int) -> bool:
    """Tell whether so many refused rows are more than a run of `of` rows bears."""
    return of >= _ENOUGH_TO_TELL and failed * _ONE_IN > of


@dataclass
class FaultLimit:
    """What the loading of one partition bears.

    `of` counts all rows that the whole run is about, `unchanged` those among them that the destination holds already.
    """

    of: int = 0
    unchanged: int = 0
    # The rows that were refused before any was taken, and whether none has been taken yet.
    _refused_first: int = field(default=0, init=False)
    _none_taken: bool = field(default=True, init=False)

    def look(self, counts: Counts, refused: Collection[int], *, rows: int) -> None:
        """Look at a write of some rows, those at the positions `refused` in vain. Raises `TooManyRowFaults`."""
        if self._none_taken:
            taken = next((position for position in range(rows) if position not in refused), rows)
            self._refused_first += taken
            self._none_taken = taken == rows
        from_the_start = self._refused_first >= _FROM_THE_START and not self.unchanged
        if from_the_start or too_many(counts.failed, of=self.of):
            raise TooManyRowFaults(_most_common(counts))

    def look_back(self, counts: Counts) -> None:
        """Look at the whole partition once it is written. Raises `TooManyRowFaults`."""
        if counts.failed and counts.failed == counts.rows and not self.unchanged:
            raise TooManyRowFaults(_most_common(counts))


def _most_common(counts: Counts) -> str:
    return counts.failures.most_common(1)[0][0]
