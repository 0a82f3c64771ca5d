"""How a source's rows are compared and its ids read: columns left out of the comparison, the id's normalisation.

Hashes made in another way, or of other columns, cannot be compared with the base's, so a change makes the next sync
full (`run_plans.shape_of` sees it; nothing is noted here).
"""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from accounts import audit
from accounts.actors import Actor
from accounts.roles import Permission
from activation.engine import profiles
from activation.models import Source


class SettingsRefused(Exception):
    """A source cannot be set like this; the message says which column or step is at fault."""


def columns_to_choose(source: Source) -> list[str]:
    """List the columns that may be left out: those of the last sync but the id's, in the view's order.

    One that was left out and has gone from the view since is listed last, so that it can be put back.
    """
    synced = [column["name"] for column in source.columns if column["name"] != source.id_column]
    return synced + [name for name in source.ignored_columns if name not in synced]


def ids_words(source: Source) -> str:
    """Say what is done to the ids of the view."""
    words = [_WORDS[step] for step in profiles.NORMALISATIONS if step in source.normalisation]
    return " and ".join(words) or "as they come"


@transaction.atomic
def configure(
    source: Source, *, ignored_columns: Sequence[str], normalisation: Sequence[str], by: Actor, now: datetime
) -> bool:
    """Set what is left out of the comparison and how ids are normalised; tell whether that was any change.

    `normalisation` names steps of `profiles.NORMALISATIONS`. Raises `PermissionRefused`, `SettingsRefused`.
    """
    by.require(Permission.MANAGE_ACTIVATION)
    present = Source.objects.select_for_update().get(pk=source.pk)
    known = columns_to_choose(present)
    unknown = sorted(set(ignored_columns) - set(known))
    if unknown:
        raise SettingsRefused(f"{unknown[0]} is no column that can be left out of the comparison.")
    if not set(normalisation) <= set(profiles.NORMALISATIONS):
        raise SettingsRefused("An id can be trimmed and put into lower case, nothing else.")
    wanted = {
        "ignored_columns": [name for name in known if name in ignored_columns],
        "normalisation": [step for step in profiles.NORMALISATIONS if step in normalisation],
    }
    if all(getattr(present, name) == value for name, value in wanted.items()):
        return False
    Source.objects.filter(pk=present.pk).update(**wanted)
    audit.record(
        "source_settings_changed",
        by=by,
        target_type="source",
        target_id=present.public_id,
        target=str(present),
        details=dict(wanted),
        now=now,
    )
    return True


_WORDS = {"trim": "without blanks at both ends", "lower": "in lower case"}
