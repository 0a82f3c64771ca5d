"""What of an organisation needs somebody, the worst first, each with the one page where it is put right.

Reads only, in a fixed number of queries however many projects there are. A person sees what they could do something
about: others' tokens and undelivered alerts are for Admins.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Min, Q

from accounts import token_expiries
from accounts.actors import Actor
from accounts.roles import Permission
from activation import standings, usage_totals
from activation.briefs import ActivationBrief
from activation.models import AlertDelivery, AlertSettings, RedisDestination, Source, Suppression
from activation.standings import Standing, Synced
from projects.access import ListedProject
from projects.models import RunStatus

# A delete waits for a moment in any case; later than this Redis does not take it.
_DELETES_WAIT_AFTER = timedelta(minutes=5)
_UNANSWERED_HOURS = 2
_UNANSWERED_PERCENT = 1  # fewer are what a restart costs
_GIVEN_UP_SINCE = timedelta(days=1)


@dataclass(frozen=True)
class Item:
    """One thing: how bad, in a word, about what, what is known of it, since when, and the page that comes next.

    `page` is an address's name and `parts` what it needs beyond the organisation.
    """

    state: str
    word: str
    subject: str
    text: str
    page: str
    parts: Sequence[str]
    action: str
    at: datetime | None = None


_RANK = (
    "Needs confirmation",
    "A sync failed",
    "Look-ups fail",
    "Deletes wait",
    "Warehouse not read",
    "Token expired",
    "Alerts do not arrive",
    "Out of date",
    "Profiles run failed",
    "Rows failed",
    "Nothing to sync",
    "Token expires",
    "Left behind",
)


def of(actor: Actor, projects: Sequence[ListedProject], synced: Iterable[Synced], *, now: datetime) -> list[Item]:
    """List what needs somebody, given the organisation's projects and where those that are synced stand."""
    on = [(activation, rows) for activation, rows in synced if activation.enabled]
    found = [
        *_of_sources(actor, on),
        *_of_projects(projects),
        *_of_nothing(on),
        *_of_destinations(actor, now=now),
        *_of_alerts(actor, now=now),
        *_of_tokens(actor, now=now),
    ]
    return sorted(found, key=lambda item: (_RANK.index(item.word), item.subject))


def _of_sources(actor: Actor, on: Iterable[Synced]) -> Iterator[Item]:
    """Tell of a project's sources together where the same is wrong with several."""
    for activation, rows in on:
        by_word: dict[str, list[Standing]] = {}
        for row in rows:
            by_word.setdefault(row.word, []).append(row)
        for word, same in by_word.items():
            yield from _of_same(actor, activation, word, same)


def _of_same(actor: Actor, activation: ActivationBrief, word: str, same: Sequence[Standing]) -> Iterator[Item]:
    name, first, run = activation.project_name, same[0], same[0].run
    if first.state == "failed" and run is not None:
        yield Item("failed", "A sync failed", name, _told(same, run.error), *_run(first), run.finished_at)
    elif first.confirms and run is not None:
        confirm = actor.may(Permission.MANAGE_ACTIVATION)
        page = ("activation:confirm", (run.public_id,), "Look and decide") if confirm else _run(first)
        yield Item("attention", word, name, _told(same, run.error), *page, run.finished_at)
    elif word == standings.ROWS_FAILED and run is not None:
        failed = sum(row.run.failed for row in same if row.run)
        yield Item("attention", word, name, f"Redis refused {failed:,} rows.", *_run(first), run.finished_at)
    elif word == standings.OUT_OF_DATE:
        since = min(row.due_since for row in same if row.due_since)
        settings = (activation.project_slug,)
        text = _told(same, "A sync was due and has not been done.")
        yield Item("attention", word, name, text, "activation:settings", settings, "See its sources", since)
    elif first.source.status == Source.Status.RETIRED:
        text = _told(same, "Not in pb_project.yaml any more, and still served.")
        source = (first.source.public_id,)
        yield Item("attention", "Left behind", name, text, "activation:source", source, "Remove it")


def _run(row: Standing) -> tuple[str, Sequence[str], str]:
    assert row.run is not None
    return "activation:run", (row.run.public_id,), "See the sync"


def _told(same: Sequence[Standing], text: str) -> str:
    """Say which feature view it is, or how many."""
    which = same[0].source.feature_view if len(same) == 1 else f"{len(same)} feature views"
    return f"{which}: {text}"


def _of_projects(projects: Sequence[ListedProject]) -> Iterator[Item]:
    unread = {project.warehouse_public_id: project for project in projects if project.runs_problem}
    for key, project in unread.items():
        text, page = project.runs_problem, "projects:warehouse"
        yield Item("failed", "Warehouse not read", project.warehouse_name, text, page, (key,), "Check it")
    for project in projects:
        if project.newest_run_status == RunStatus.FAILED:
            text = "The newest Profiles run failed, so there is nothing newer to sync."
            page = "activation:history"
            yield Item("attention", "Profiles run failed", project.name, text, page, (project.slug,), "See History")


def _of_nothing(on: Iterable[Synced]) -> Iterator[Item]:
    for activation, rows in on:
        if any(row.source.active for row in rows):
            continue
        text = "The sync is on, but pb_project.yaml lists no ids to serve."
        page = "projects:specification"
        yield Item(
            "attention", "Nothing to sync", activation.project_name, text, page, (activation.project_slug,), "Change it"
        )


def _of_destinations(actor: Actor, *, now: datetime) -> Iterator[Item]:
    places = RedisDestination.objects.filter(organisation=actor.organisation)
    by_id = {place.pk: place for place in places.only("name", "public_id")}
    asked = usage_totals.by_destination(by_id, since=usage_totals.hours_back(_UNANSWERED_HOURS, now=now))
    for key, totals in asked.items():
        if totals.errors * 100 >= totals.requests * _UNANSWERED_PERCENT and totals.errors:
            place = by_id[key]
            text = f"{totals.errors:,} of {totals.requests:,} look-ups of the last two hours got no answer from Redis."
            page, action = "activation:destination", "Check the connection"
            yield Item("failed", "Look-ups fail", place.name, text, page, (place.public_id,), action)
    waiting = Suppression.objects.filter(
        destination__in=list(by_id), deleted_at=None, lifted_at=None, created_at__lt=now - _DELETES_WAIT_AFTER
    ).exclude(pending_key="")
    suppressions = actor.may(Permission.MANAGE_SUPPRESSIONS)
    for row in waiting.values("destination").annotate(count=Count("pk"), since=Min("created_at")).order_by():
        place = by_id[row["destination"]]
        text = f"{row['count']:,} deleted profiles are still in Redis, which does not take the deletes."
        page = "activation:suppressions" if suppressions else "activation:destination"
        yield Item(
            "failed", "Deletes wait", place.name, text, page, (place.public_id,), "See the destination", row["since"]
        )


def _of_alerts(actor: Actor, *, now: datetime) -> Iterator[Item]:
    if not actor.may(Permission.MANAGE_ALERTS):
        return
    since = now - _GIVEN_UP_SINCE
    lost = Q(deliveries__state=AlertDelivery.State.GIVEN_UP, deliveries__finished_at__gt=since)
    rows = AlertSettings.objects.filter(activation__project__organisation=actor.organisation).annotate(
        lost=Count("deliveries", filter=lost)
    )
    columns = ("activation__project__name", "activation__project__slug", "webhook_broken_since", "lost")
    for name, slug, broken, count in rows.filter(Q(lost__gt=0) | Q(webhook_broken_since__isnull=False)).values_list(
        *columns
    ):
        text = "The webhook does not take alerts." if broken else f"{count:,} messages of the last day were given up."
        page, action = "activation:alerts", "See the alerts"
        yield Item("attention", "Alerts do not arrive", name, text, page, (slug,), action, broken)


def _of_tokens(actor: Actor, *, now: datetime) -> Iterator[Item]:
    for token in token_expiries.soon(actor, now=now):
        own = token.owner_id == actor.user_id
        over = token.expires_at is not None and token.expires_at <= now
        state, word = ("failed", "Token expired") if over else ("attention", "Token expires")
        text = "What uses it is refused." if over else "What uses it is refused from then on."
        page = ("accounts:token_new", "Generate a new one") if own else ("accounts:everyones_tokens", "See whose")
        yield Item(state, word, token.name, text, page[0], (), page[1], token.expires_at)
