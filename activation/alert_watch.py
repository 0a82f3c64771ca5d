"""Notices what somebody should know about the syncs: compares how runs ended with what was told before.

It learns by looking, like everything above the runs: no run calls it. A problem is told once, again when its cause
changes, and as a reminder at most daily; the end of it is told once. What is new and the messages about it are
committed together, so that a lost worker neither forgets a message nor sends it twice as often.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from django.db import IntegrityError, transaction
from django.db.models import OuterRef, Q, Subquery

from activation import alert_deliveries, freshness, guard, hit_rates
from activation.alert_texts import RECOVERED, News
from activation.hit_rates import HitRate
from activation.models import Alert, AlertSettings, Problem, RunState, Source, SyncRun
from activation.run_faults import place_of

REMINDED_AFTER = timedelta(days=1)
# A cause that changes back and forth is told at most this often.
CHANGE_TOLD_AFTER = timedelta(hours=1)
# A hit rate that stays low for so long is how it is now.
RATE_IS_USUAL_AFTER = timedelta(days=7)
_ENDED = (RunState.SUCCEEDED, RunState.FAILED)

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Found:
    """A problem that a source has now: its error's code and the run that shows it, or what a hit rate was before."""

    code: str
    run: SyncRun | None
    rate_before: float | None = None


def look(*, now: datetime) -> None:
    """Look at every project that wants alerts and queue the messages about what is new."""
    _forget_what_is_off(now=now)
    rows = AlertSettings.objects.all()
    for row in rows.select_related("activation__project__organisation"):
        try:
            with transaction.atomic():
                _look_at(row, now=now)
        except Exception as error:  # noqa: BLE001 - one project that breaks must not silence the others
            name, at = type(error).__name__, place_of(error)
            log.error("alerts_broke", project=row.activation.project.public_id, error=name, at=at)  # noqa: TRY400 - no text


def _look_at(row: AlertSettings, *, now: datetime) -> None:
    news: list[News] = []
    open_ones: dict[int, list[Alert]] = {}
    for alert in Alert.objects.filter(source__activation=row.activation_id, closed_at=None):
        open_ones.setdefault(alert.source_id, []).append(alert)
    sources = _sources(row)
    for source, last in sources:
        found = problems(source, last, stale_after=timedelta(hours=row.stale_hours), now=now)
        of_syncs = [alert for alert in open_ones.get(source.pk, []) if alert.problem != Problem.HIT_RATE]
        news += _compare(row, source, last, found, of_syncs, now=now)
    fallen = [alert for alerts in open_ones.values() for alert in alerts if alert.problem == Problem.HIT_RATE]
    news += _compare_rates(row, [source for source, _ in sources], fallen, now=now)
    alert_deliveries.queue(row, news, now=now)


def problems(source: Source, last: SyncRun | None, *, stale_after: timedelta, now: datetime) -> dict[Problem, Found]:
    """Tell what is wrong with a source whose newest ended run is `last`.

    One that is being removed can only fail to be.
    """
    found = {}
    if last is not None and last.state == RunState.FAILED:
        problem = Problem.NEEDS_CONFIRMATION if last.error_code == guard.CODE else Problem.FAILED
        found[problem] = Found(last.error_code, last)
    if source.status == Source.Status.REMOVING:
        return found if last is not None and last.kind == SyncRun.Kind.REMOVAL else {}
    due_since = freshness.due_since(source)
    if due_since is not None and due_since + stale_after < now:
        found[Problem.STALE] = Found("", source.base_run)
    return found


def _compare(
    row: AlertSettings,
    source: Source,
    last: SyncRun | None,
    found: dict[Problem, Found],
    open_ones: Iterable[Alert],
    *,
    now: datetime,
) -> list[News]:
    """Bring the source's open alerts in step with what is wrong, and return what is to be told."""
    wanted = {problem: each for problem, each in found.items() if getattr(row, f"on_{problem.value}")}
    if len(wanted) > 1:
        wanted.pop(Problem.STALE, None)  # the failure says why
    known = {Problem(alert.problem): alert for alert in open_ones}
    news = [told for problem, each in wanted.items() if (told := _tell(source, problem, each, known.get(problem), now))]
    closed = [alert for problem, alert in known.items() if problem not in wanted and _close(alert, now=now)]
    well = not found and last is not None and last.state == RunState.SUCCEEDED
    if closed and well and row.on_recovered:
        news.append(News(RECOVERED, source, last, "", since=now))
    return news


def _compare_rates(
    row: AlertSettings, sources: Iterable[Source], fallen: Iterable[Alert], *, now: datetime
) -> list[News]:
    """Bring the alerts about hit rates in step, each with the first source of its entity and id type."""
    rates = hit_rates.measure(row.activation.destination_id, now=now) if row.on_hit_rate else {}
    first: dict[tuple[str, str], Source] = {}
    for source in sources:
        if source.status == Source.Status.ACTIVE:
            first.setdefault((source.entity, source.id_type), source)
    known = {alert.source_id: alert for alert in fallen}
    told = []
    for of, source in first.items():
        news = _tell_rate(row, source, rates.get(of), known.pop(source.pk, None), now=now)
        told += [news] if news else []
    for alert in known.values():  # its source is not the first any more
        _close(alert, now=now)
    return told


def _tell_rate(
    row: AlertSettings, source: Source, rate: HitRate | None, alert: Alert | None, *, now: datetime
) -> News | None:
    """Tell of a hit rate that fell, once, or is back; with too little asked to say anything, nothing changes."""
    if alert is None:
        before = rate.before if rate is not None and rate.fell else None
    elif not row.on_hit_rate or now - alert.opened_at > RATE_IS_USUAL_AFTER:
        _close(alert, now=now)
        return None
    else:
        before = alert.rate_before
    if rate is None or before is None:
        return None
    if alert is not None and rate.is_back(before):
        back = News(RECOVERED, source, None, "", since=now, rate=rate, rate_before=before)
        return back if _close(alert, now=now) and row.on_recovered else None
    news = _tell(source, Problem.HIT_RATE, Found("", None, rate_before=before), alert, now)
    return replace(news, rate=rate, rate_before=before) if news else None


def _tell(source: Source, problem: Problem, found: Found, alert: Alert | None, now: datetime) -> News | None:
    """Open an alert, or tell of an open one again where that is due; None where there is nothing to tell."""
    if alert is None:
        try:
            with transaction.atomic():
                Alert.objects.create(
                    source=source,
                    problem=problem,
                    code=found.code,
                    run=found.run,
                    rate_before=found.rate_before,
                    opened_at=now,
                    told_at=now,
                )
        except IntegrityError:
            return None  # another worker looks at the same time
        return News(problem.value, source, found.run, found.code, since=now)
    changed = alert.code != found.code
    if now - alert.told_at < (CHANGE_TOLD_AFTER if changed else REMINDED_AFTER):
        return None
    told = Alert.objects.filter(pk=alert.pk, told_at=alert.told_at, closed_at=None).update(
        told_at=now, code=found.code, run=found.run
    )
    reminder = not changed
    return (
        News(problem.value, source, found.run, found.code, since=alert.opened_at, reminder=reminder) if told else None
    )


def _close(alert: Alert, *, now: datetime) -> bool:
    return bool(Alert.objects.filter(pk=alert.pk, closed_at=None).update(closed_at=now))


def _sources(row: AlertSettings) -> list[tuple[Source, SyncRun | None]]:
    """Return the activation's present sources, each with its newest run that ended by itself.

    While the destination moves, that is the one at the place that is not served if it failed and the other did not.
    """
    ended = SyncRun.objects.filter(state__in=_ENDED).order_by("-finished_at", "-pk")
    here, there = ended.filter(source=OuterRef("pk")), ended.filter(source__other_place_of=OuterRef("pk"))
    sources = list(
        Source.objects.filter(_PRESENT, activation=row.activation_id)
        .select_related("base_run", "activation__project__organisation")
        .annotate(last_run=Subquery(here.values("pk")[:1]), last_elsewhere=Subquery(there.values("pk")[:1]))
        .order_by("pk")
    )
    named = {pk for source in sources for pk in (source.last_run, source.last_elsewhere) if pk}
    runs = SyncRun.objects.in_bulk(named)
    return [(source, _telling(runs.get(source.last_run), runs.get(source.last_elsewhere))) for source in sources]


def _telling(here: SyncRun | None, elsewhere: SyncRun | None) -> SyncRun | None:
    failed = elsewhere is not None and elsewhere.state == RunState.FAILED
    return elsewhere if failed and (here is None or here.state != RunState.FAILED) else here


def _forget_what_is_off(*, now: datetime) -> None:
    """Close the alerts of sources and projects that are not synced any more, without a word."""
    present = Source.objects.filter(_PRESENT)
    Alert.objects.filter(closed_at=None).exclude(source__in=present).update(closed_at=now)


# A removal that fails is somebody's business also once the sync is off.
_PRESENT = Q(status=Source.Status.ACTIVE, activation__enabled=True) | Q(status=Source.Status.REMOVING)
