"""When a project is due: intervals, CRON expressions, and the errors that say what to write instead."""

from datetime import UTC, datetime, time, timedelta

import pytest

from activation import timetables
from activation.timetables import AfterProfilesRuns, Basic, Cron, ExpressionRefused, Manual

NOW = datetime(2026, 3, 10, 10, 3, 27, tzinfo=UTC)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize("minutes", timetables.INTERVALS)
def test_an_interval_without_a_start_counts_from_when_it_was_set(minutes):
    basic = Basic(minutes=minutes, since=NOW)

    assert timetables.coming(basic, after=NOW, count=3) == [NOW + timedelta(minutes=minutes * n) for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("minutes", "start", "first", "second"),
    [
        (5, time(0, 2), "2026-03-10 10:07", "2026-03-10 10:12"),
        (60, time(3, 30), "2026-03-10 10:30", "2026-03-10 11:30"),
        (720, time(22, 0), "2026-03-10 22:00", "2026-03-11 10:00"),
        (1440, time(3, 0), "2026-03-11 03:00", "2026-03-12 03:00"),
        (1440, time(23, 0), "2026-03-10 23:00", "2026-03-11 23:00"),
    ],
)
def test_an_interval_with_a_start_counts_from_that_time_of_day(minutes, start, first, second):
    basic = Basic(minutes=minutes, since=NOW, start=start)

    assert timetables.coming(basic, after=NOW, count=2) == [at(first), at(second)]


def test_a_time_that_is_due_right_now_is_not_due_again():
    basic = Basic(minutes=60, since=NOW, start=time(10, 0))

    assert basic.next_after(at("2026-03-10 11:00")) == at("2026-03-10 12:00")


@pytest.mark.parametrize(
    ("expression", "first", "second"),
    [
        ("30 3 * * *", "2026-03-11 03:30", "2026-03-12 03:30"),
        ("*/15 * * * *", "2026-03-10 10:15", "2026-03-10 10:30"),
        (" 0   6  * * mon-fri ", "2026-03-11 06:00", "2026-03-12 06:00"),
        ("0 0 29 2 *", "2028-02-29 00:00", "2032-02-29 00:00"),
        ("0,59 0,23 1 * *", "2026-04-01 00:00", "2026-04-01 00:59"),
    ],
)
def test_an_expression_is_read_as_cron_reads_it(expression, first, second):
    cron = timetables.cron(expression, now=NOW)

    assert timetables.coming(cron, after=NOW, count=2) == [at(first), at(second)]


def test_a_change_of_clocks_moves_nothing():
    cron = timetables.cron("30 2 * * *", now=NOW)

    times = timetables.coming(cron, after=at("2026-03-28 00:00"), count=5)

    assert {(moment.hour, moment.minute, moment.tzinfo) for moment in times} == {(2, 30, UTC)}


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("* * * * *", "again at 10:05, 1 minute later"),
        ("*/4 * * * *", "4 minutes later"),
        ("0,1 * * * *", "10 Mar 2026 at 11:00 and again at 11:01, 1 minute later"),
        ("0,7,11 * * * *", "4 minutes later"),
        ("58 3 * * *", ""),
        ("*/7 * * * *", "at 10:56 and again at 11:00, 4 minutes later"),
        ("0,59 0,23 * * *", "at 23:59 and again at 00:00, 1 minute later"),
        ("0,59 0,23 1,31 * *", "31 Mar 2026 at 23:59"),
        ("0-50/5,58 0-20/2,23 1-31/2 * *", "31 Mar 2026 at 23:58 and again at 00:00, 2 minutes later"),
        ("0-50/5,58 0-20/2,23 1-29/2 * *", "29 Feb 2028 at 23:58 and again at 00:00, 2 minutes later"),
        ("0-50/5,58 0-20/2,23 2-30/2 * *", ""),
        ("2,58 9,10 * * 1", "16 Mar 2026 at 09:58 and again at 10:02, 4 minutes later"),
    ],
)
def test_an_expression_that_comes_too_often_anywhere_is_refused_with_the_place(expression, said):
    if not said:
        assert timetables.cron(expression, now=NOW)
        return
    with pytest.raises(ExpressionRefused, match=said):
        timetables.cron(expression, now=NOW)


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("", "This one has 0"),
        ("0 3 * *", "This one has 4"),
        ("0 0 3 * * *", "This one has 6"),
        ("@hourly", "This one has 1"),
        ("61 * * * *", "The minute cannot be '61'. Use 0 to 59"),
        ("0 24 * * *", "The hour cannot be '24'"),
        ("0 0 0 * *", "The day of month cannot be '0'"),
        ("0 0 1 13 *", "The month cannot be '13'"),
        ("0 0 * * FRY", "The day of week cannot be 'FRY'"),
        ("0 0 * * 5#3", "The day of week cannot be '5#3'"),
        ("R * * * *", "The minute cannot be 'R'"),
        ("H 3 * * *", "The minute cannot be 'H'"),
        ("0 0 L * *", "The day of month cannot be 'L'"),
        ("*/0 * * * *", "The minute cannot be"),
        ("1, * * * *", "The minute cannot be"),
        ("0 0 31 2 *", "No day matches"),
        (f"0 {','.join(['1'] * 60)} * * *", "longer than 100"),
        ("٣ * * * *", "The minute cannot be"),
    ],
)
def test_an_expression_that_cannot_be_used_is_refused_with_what_to_write(expression, said):
    with pytest.raises(ExpressionRefused, match=said):
        timetables.cron(expression, now=NOW)


@pytest.mark.parametrize(
    ("timetable", "words"),
    [
        (AfterProfilesRuns(), "after each Profiles run"),
        (Manual(), "when somebody starts it"),
        (Basic(minutes=60, since=NOW), "every hour"),
        (Basic(minutes=30, since=NOW, start=time(3, 10)), "every 30 minutes, counted from 03:10 UTC"),
        (Cron("30 3 * * 1-5"), "at 30 3 * * 1-5 (UTC)"),
    ],
)
def test_every_timetable_is_kept_as_it_is_and_says_what_it_means(timetable, words):
    assert timetables.from_kept(timetable.as_kept()) == timetable
    assert timetable.words == words


@pytest.mark.parametrize("timetable", [AfterProfilesRuns(), Manual()])
def test_what_does_not_go_by_the_clock_is_never_due(timetable):
    assert timetables.coming(timetable, after=NOW) == []
