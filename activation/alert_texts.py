"""The words of alerts: an e-mail's subject and text, and a webhook's body.

Nothing here names a person's id, a trait or a secret: an alert leaves the installation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.urls import reverse

from activation import cures
from activation.hit_rates import HitRate
from activation.models import Problem, Source, SyncRun
from activation.usage_totals import share_words
from projects.models import Project

RECOVERED = "recovered"
TEST = "test"


@dataclass(frozen=True)
class News:
    """One thing to tell about a source: a problem, or that it is gone (`event` is then `recovered`).

    `since` is when the problem was noticed; `reminder` tells that it was told before. `rate` is there if it is about
    a hit rate, and `rate_before` is what that was before it fell.
    """

    event: str
    source: Source
    run: SyncRun | None
    code: str
    since: datetime
    reminder: bool = False
    rate: HitRate | None = None
    rate_before: float = 0.0


# A failure of another kind of run.
_REMOVAL, _ELSEWHERE = "failed removal", "failed elsewhere"
_RATE_BACK = "hit rate is back"
_HEADLINES = {
    Problem.FAILED.value: "The sync of {source} failed",
    Problem.NEEDS_CONFIRMATION.value: "The sync of {source} needs confirmation",
    Problem.STALE.value: "{source} is out of date",
    _REMOVAL: "The removal of {source} failed",
    _ELSEWHERE: "The move of {source} waits: a sync at the place that is not served failed",
    Problem.HIT_RATE.value: "The hit rate of {entity} by {id_type} fell from {before} to {now}",
    RECOVERED: "{source} is in step again",
    _RATE_BACK: "The hit rate of {entity} by {id_type} is back at {now}",
}
_EXPLANATIONS = {
    Problem.FAILED.value: "Until a sync succeeds, the profiles of the last good one are served.",
    _REMOVAL: "What it wrote is served until a removal succeeds. An Admin starts the next one on the source's page.",
    _ELSEWHERE: "Applications are not affected. Once the cause is mended, press Try again on the destination's page.",
    Problem.NEEDS_CONFIRMATION.value: (
        "It would delete more profiles than the guard lets pass, so nothing was deleted. "
        "An Admin decides on the run's page."
    ),
    Problem.STALE.value: "Syncs were due, but none has succeeded for longer than the project's limit.",
    Problem.HIT_RATE.value: (
        "Applications find far fewer of the people they ask for than the day before. Perhaps they send ids in another "
        "form, or the view lost people: look at the newest sync, and ask the API for a diagnosis of one id."
    ),
    RECOVERED: "The last sync succeeded.",
    _RATE_BACK: "Applications find about as many of the people they ask for as before.",
}


def headline(news: News) -> str:
    """Say it in one line."""
    line = _HEADLINES[_kind_of(news)].format(
        source=news.source,
        entity=news.source.entity,
        id_type=news.source.id_type,
        before=share_words(news.rate_before),
        now=share_words(news.rate.now if news.rate else 0.0),
    )
    return f"Reminder: {line[0].lower()}{line[1:]}" if news.reminder and line.startswith("The ") else line


def _kind_of(news: News) -> str:
    """Return what the words are about: an event, or a failure of another kind of run than a sync."""
    if news.event == RECOVERED and news.rate is not None:
        return _RATE_BACK
    if news.event != Problem.FAILED.value or news.run is None:
        return news.event
    if news.run.source_id != news.source.pk:
        return _ELSEWHERE
    return _REMOVAL if news.run.kind == SyncRun.Kind.REMOVAL else news.event


def email(project: Project, news: Sequence[News]) -> dict[str, str]:
    """Write the e-mail about what is new in a project: `subject` and `text`."""
    subject = headline(news[0]) if len(news) == 1 else f"{len(news)} of its syncs have news"
    parts = [_paragraph(each) for each in news]
    where = f"Project {project.name}: {page_of_project(project)}"
    foot = f"Who gets these e-mails is set under Alerts: {_address('alerts', project)}"
    return {"subject": _line(f"[{project.name}] {subject}"), "text": "\n\n".join([*parts, where, foot]) + "\n"}


def webhook(project: Project, news: News) -> dict[str, Any]:
    """Write the webhook's body about one thing; the fields are described in docs/watching.md."""
    body = {
        "event": news.event,
        "reminder": news.reminder,
        "since": _iso(news.since),
        "message": headline(news),
        "project": _project(project),
        "source": {
            "connectionId": news.source.public_id,
            "entity": news.source.entity,
            "idType": news.source.id_type,
            "featureView": news.source.feature_view,
        },
        "run": _run(news.run),
        "url": _page(news, project),
    }
    return body if news.rate is None else {**body, "hitRate": _rate(news.rate, news.rate_before)}


def trial_email(project: Project) -> dict[str, str]:
    """Write the e-mail that a press of Send a test asks for."""
    said = f"This is a test. Alerts about the syncs of {project.name} come to this address."
    text = f"{said}\n\n{_address('alerts', project)}\n"
    return {"subject": _line(f"[{project.name}] A test of alerts"), "text": text}


def trial_webhook(project: Project) -> dict[str, Any]:
    """Write the webhook's body that a press of Send a test asks for."""
    return {
        "event": TEST,
        "message": "This is a test.",
        "project": _project(project),
        "url": _address("alerts", project),
    }


def page_of_project(project: Project) -> str:
    """Return the whole URL of the page where the project's syncs stand."""
    return _address("settings", project)


def _paragraph(news: News) -> str:
    lines = [headline(news) + ".", _EXPLANATIONS[_kind_of(news)]]
    if news.run is not None and news.run.error and news.event != RECOVERED:
        lines.append(news.run.error)
        if news.event == Problem.FAILED:
            lines.append(f"What to do: {cures.of_run(news.run)}")
    if news.rate is not None:
        hours = "hour" if news.rate.hours == 1 else f"{news.rate.hours} hours"
        lines.append(f"{news.rate.look_ups:,} look-ups of the last {hours} were answered.")
    if news.event != RECOVERED:
        lines.append(f"Since {news.since.astimezone(UTC):%Y-%m-%d %H:%M} UTC.")
    lines.append(_page(news, news.source.activation.project))
    return "\n".join(lines)


def _rate(rate: HitRate, before: float) -> dict[str, float]:
    return {"before": round(before, 4), "now": round(rate.now, 4), "lookUps": rate.look_ups, "hours": rate.hours}


def _run(run: SyncRun | None) -> dict[str, Any] | None:
    if run is None:
        return None
    return {
        "id": run.public_id,
        "state": run.state,
        "code": run.error_code,
        "error": run.error,
        "finishedAt": _iso(run.finished_at) if run.finished_at else None,
    }


def _project(project: Project) -> dict[str, str]:
    return {"id": project.public_id, "name": project.name}


def _page(news: News, project: Project) -> str:
    if news.run is not None:
        return settings.PUBLIC_URL + reverse("activation:run", args=[project.organisation.slug, news.run.public_id])
    return settings.PUBLIC_URL + reverse("activation:source", args=[project.organisation.slug, news.source.public_id])


def _address(name: str, project: Project) -> str:
    return settings.PUBLIC_URL + reverse(f"activation:{name}", args=[project.organisation.slug, project.slug])


def _iso(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _line(text: str) -> str:
    """Fit for a header: one line, not endless."""
    return " ".join(text.split())[:200]
