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
    """Return the schedule that an object of `MEMBERS` describes. Raises `FieldsInvalid`."""
    form = ScheduleForm(body, present=present, now=now)
    return fields.judge(form, {name: f"schedule.{name}" for name in form.fields}).timetable()


def told(activation: Activation) -> dict[str, Any]:
    """Tell a project's schedule, with the members that set it."""
    match schedules.of(activation):
        case Basic() as basic:
            start = f"{basic.start:%H:%M}" if basic.start else None
            return {"kind": "basic", "minutes": basic.minutes, "start": start}
        case Cron() as cron:
            return {"kind": "cron", "expression": cron.expression}
        case Manual():
            return {"kind": "manual"}
        case AfterProfilesRuns():
            return {"kind": "profiles"}
