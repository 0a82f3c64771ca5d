"""When a project is synced, as the API reads and tells it: the page's form judges what was sent."""

from datetime import datetime
from typing import Any

from activation import schedules
from activation.api import fields
from activation.api.fields import TEXT, TEXT_OR_NULL, WHOLE, Members
from activation.models import Activation
from activation.schedule_forms import ScheduleForm
from activation.timetables import AfterProfilesRuns, Basic, Cron, Manual, Timetable

MEMBERS: Members = {"kind": TEXT, "minutes": WHOLE, "start": TEXT_OR_NULL, "expression": TEXT}


def asked_for(body: dict[str, Any], *, present: Timetable, now: datetime) -> Timetable:
    """Return the schedule that an object of `MEMBERS` describes. Raises `FieldsInvalid`.

    If it is the present one, that: an interval that a script sets over and over counts from when it was set first.
    """
    form = ScheduleForm(body, present=present, now=now)
    wanted = fields.judge(form, {name: f"schedule.{name}" for name in form.fields}).timetable()
    return present if _members(wanted) == _members(present) else wanted


def told(activation: Activation) -> dict[str, Any]:
    """Tell a project's schedule, with the members that set it."""
    return _members(schedules.of(activation))


def _members(timetable: Timetable) -> dict[str, Any]:
    match timetable:
        case Basic() as basic:
            start = f"{basic.start:%H:%M}" if basic.start else None
            return {"kind": "basic", "minutes": basic.minutes, "start": start}
        case Cron() as cron:
            return {"kind": "cron", "expression": cron.expression}
        case Manual():
            return {"kind": "manual"}
        case AfterProfilesRuns():
            return {"kind": "profiles"}
