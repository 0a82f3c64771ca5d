"""Times in the API: ISO 8601 in UTC with milliseconds out, any ISO 8601 in."""

from datetime import UTC, datetime

from django.http import QueryDict

from activation.api.bodies import BodyInvalid


def as_text(moment: datetime | None) -> str | None:
    """Write a time: "2026-03-10T10:00:00.000Z"."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def asked_for(asked: QueryDict, name: str) -> datetime | None:
    """Read a time of a query; without a zone it is UTC. Raises `BodyInvalid`."""
    text = asked.get(name)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BodyInvalid(f"{name} must be a time in ISO 8601, such as 2026-01-31T08:00:00Z.") from None
