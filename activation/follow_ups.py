"""What was asked for while a run of a source was active: one sync after it, kept on the source's row.

However many ask, their requests merge into one. Every change is a conditional UPDATE on what was read.
"""

from dataclasses import dataclass

from django.db.models import Exists

from activation.models import Source, SyncRun


class Taken(Exception):
    """The follow-up was changed or started meanwhile; what was begun here is undone."""


@dataclass(frozen=True)
class FollowUp:
    """What was asked for while a run was active: one sync after it, full if anyone asked for that."""

    trigger: SyncRun.Trigger
    full: bool
    by: str

    @classmethod
    def of(cls, source: Source) -> "FollowUp | None":
        """Return what the source's row says."""
        kept = source.follow_up
        return cls(SyncRun.Trigger(kept["trigger"]), bool(kept["full"]), str(kept["by"])) if kept else None

    def joined(self, later: "FollowUp") -> "FollowUp":
        """Merge a later request: who asked first is named, unless the later one asks for more."""
        return later if later.full and not self.full else self

    def as_kept(self) -> dict[str, object]:
        """Return it as the source's row keeps it."""
        return {"trigger": self.trigger.value, "full": self.full, "by": self.by}


def take(source: Source) -> None:
    """Remove the follow-up that was read. Raises `Taken`."""
    if not replace(source, None):
        raise Taken


def replace(source: Source, follow_up: FollowUp | None, *conditions: Exists) -> bool:
    """Change the source's follow-up if it still is what was read; tell whether it was."""
    kept = follow_up.as_kept() if follow_up else {}
    return bool(Source.every_place.filter(*conditions, pk=source.pk, follow_up=source.follow_up).update(follow_up=kept))
