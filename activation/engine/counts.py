"""What the loading of a partition has come to: rows by what became of them, and which ones the destination refused."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

MOST_FAILED_IDS = 10_000


@dataclass
class Counts:
    """What the destination acknowledged, in rows; `failures` counts refused rows by reason.

    `failed_ids` are the ids of the refused rows with the reason, the first 10,000 of them; `too_many_to_list` tells
    that there were more. They are personal data: never in a repr, a log or a message.
    """

    written: int = 0
    deleted: int = 0
    suppressed: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    failed_ids: list[tuple[str, str]] = field(default_factory=list, repr=False)
    too_many_to_list: bool = False

    @property
    def failed(self) -> int:
        """Rows the destination refused."""
        return self.failures.total()

    @property
    def rows(self) -> int:
        """All rows handled."""
        return self.written + self.deleted + self.suppressed + self.failed

    def fail(self, refused: Iterable[tuple[str, str]]) -> None:
        """Count refused rows, given as id and reason."""
        for row_id, reason in refused:
            self.failures[reason] += 1
            if len(self.failed_ids) < MOST_FAILED_IDS:
                self.failed_ids.append((row_id, reason))
            else:
                self.too_many_to_list = True

    def as_fields(self) -> dict[str, int]:
        """Return the counts by the names of the records' columns."""
        return {
            "written": self.written,
            "deleted": self.deleted,
            "suppressed": self.suppressed,
            "failed": self.failed,
        }
