"""Looking through the audit log: by person, action, target and time; and taking it away as CSV or JSON."""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Literal

from django.db.models import Q, QuerySet

from accounts import audit
from accounts.actors import Actor
from accounts.models import AuditEvent
from accounts.roles import Permission

Format = Literal["csv", "json"]
COLUMNS = ("at", "person", "token", "action", "target", "target_type", "target_id", "details", "address", "id")
LONGEST = 254
_ROWS_AT_ONCE = 2000
_LINES_AT_ONCE = 200
_RECENT = 1000
# What a spreadsheet takes for a formula (https://owasp.org/www-community/attacks/CSV_Injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True)
class Search:
    """What is looked for; empty texts and None leave a part out. Texts are found anywhere and in any case.

    `since` belongs to it, `until` does not.
    """

    person: str = ""
    action: str = ""
    target: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def words(self) -> dict[str, object]:
        """Return the parts that are looked for, as an audit row tells them."""
        texts: dict[str, object] = {"person": self.person, "action": self.action, "target": self.target}
        times: dict[str, object] = {
            name: moment.isoformat() for name, moment in (("since", self.since), ("until", self.until)) if moment
        }
        return {**{name: text for name, text in texts.items() if text}, **times}


def find(search: Search, *, by: Actor) -> QuerySet[AuditEvent]:
    """List what happened in the actor's organisation, newest first. Raises `PermissionRefused`."""
    by.require(Permission.SEE_AUDIT_LOG)
    found = audit.of(by)
    if search.person:
        found = found.filter(Q(actor__icontains=search.person) | Q(token__icontains=search.person))
    if search.action:
        found = found.filter(action__icontains=search.action.strip().replace(" ", "_"))
    if search.target:
        within = Q(target__icontains=search.target) | Q(target_id=search.target)
        found = found.filter(within | Q(target_type__icontains=search.target.strip().replace(" ", "_")))
    if search.since:
        found = found.filter(at__gte=search.since)
    if search.until:
        found = found.filter(at__lt=search.until)
    return found


def recent_actions(by: Actor) -> list[str]:
    """List the actions among the newest rows, for people to choose from."""
    return sorted(set(audit.of(by).values_list("action", flat=True)[:_RECENT]))


def export(search: Search, *, format: Format, by: Actor, now: datetime) -> Iterator[str]:  # noqa: A002 - the word for it
    """Return all rows that are found, oldest last, as the parts of a file; that it was taken away is recorded.

    Raises `PermissionRefused`.
    """
    # Not the row of the export itself: a file says what had happened when somebody asked for it.
    last = audit.of(by).order_by("-pk").values_list("pk", flat=True).first() or 0
    rows = find(search, by=by).filter(pk__lte=last).iterator(chunk_size=_ROWS_AT_ONCE)
    audit.record(
        "audit_log_exported",
        by=by,
        target_type="audit_log",
        details={"format": format, **search.words()},
        now=now,
    )
    return _together(_as_csv(rows) if format == "csv" else _as_json(rows))


def told(event: AuditEvent) -> dict[str, Any]:
    """Return a row as the columns of an export."""
    return {
        "at": event.at.isoformat().replace("+00:00", "Z"),
        "person": event.actor,
        "token": event.token,
        "action": event.action,
        "target": event.target,
        "target_type": event.target_type,
        "target_id": event.target_id,
        "details": event.details,
        "address": event.address or "",
        "id": event.public_id,
    }


def _together(lines: Iterator[str]) -> Iterator[str]:
    """Join lines: each part of a file costs its way to the client, which for a single line is more than the line."""
    while part := "".join(islice(lines, _LINES_AT_ONCE)):
        yield part


class _Line:
    """A file of one line, for the csv module to write to."""

    text = ""

    def write(self, text: str) -> None:
        self.text = text


def _as_csv(rows: Iterator[AuditEvent]) -> Iterator[str]:
    line = _Line()
    write: Callable[[list[str]], object] = csv.writer(line, quoting=csv.QUOTE_ALL).writerow
    write(list(COLUMNS))
    yield "\ufeff" + line.text  # spreadsheets read UTF-8 by this mark only
    for event in rows:
        values = told(event)
        values["details"] = json.dumps(values["details"], ensure_ascii=False) if values["details"] else ""
        write([_harmless(str(values[name])) for name in COLUMNS])
        yield line.text


def _as_json(rows: Iterator[AuditEvent]) -> Iterator[str]:
    before = "[\n"
    for event in rows:
        yield before + json.dumps(told(event), ensure_ascii=False)
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def _harmless(text: str) -> str:
    """Have a spreadsheet take for a text what begins like a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text
