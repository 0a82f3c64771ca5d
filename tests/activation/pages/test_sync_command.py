"""`manage.py sync`: which runs it starts, takes part in and waits for, and what it prints."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from activation import tasks
from activation.models import Activation, RunState, Source, SyncRun
from tests.cast import Member

FULL, INCREMENTAL = SyncRun.Kind.FULL, SyncRun.Kind.INCREMENTAL


@pytest.fixture(autouse=True)
def woken(monkeypatch) -> list[bool]:
    """Workers are not there; how often they were woken."""
    calls: list[bool] = []
    monkeypatch.setattr(tasks, "wake", lambda: calls.append(True))
    return calls


@pytest.fixture
def while_waiting(monkeypatch):
    """Does something instead of waiting, and fails when the command waits for longer."""

    def instead(*happenings):
        left = list(happenings)
        monkeypatch.setattr("activation.management.commands.sync.time.sleep", lambda _: left.pop(0)())

    return instead


def run_command(*arguments: str) -> Any:
    out = StringIO()
    call_command("sync", *arguments, stdout=out)
    return out.getvalue()


def end_all(state: RunState = RunState.SUCCEEDED, **fields: object) -> None:
    SyncRun.objects.filter(finished_at=None).update(state=state, finished_at=timezone.now(), **fields)


@pytest.fixture
def source(project, activation) -> Source:
    """One of the project's two sources; both have their first sync behind them."""
    end_all()
    return Source.objects.get(id_type="email")


def started() -> list[SyncRun]:
    return list(SyncRun.objects.filter(trigger=SyncRun.Trigger.COMMAND).order_by("source_id", "pk"))


def test_every_source_is_synced_and_workers_are_woken(source, woken):
    printed = run_command("customer-360")

    assert [run.kind for run in started()] == [INCREMENTAL, INCREMENTAL]
    assert "features_by_email by email: Queued" in printed
    assert woken == [True]


def test_full_writes_every_row_anew(source):
    run_command("customer-360", "--full")

    assert {(run.kind, run.full_reason) for run in started()} == {(FULL, "requested")}


def test_a_run_that_has_not_begun_is_taken_part_in(source):
    run_command("customer-360")
    first = started()

    told = json.loads(run_command("customer-360", "--json"))

    assert started() == first
    assert [run["id"] for run in told["runs"]] == [run.public_id for run in first]


def test_a_run_that_has_begun_is_waited_for(source, while_waiting):
    SyncRun.objects.create(source=source, trigger=SyncRun.Trigger.PERSON, state=RunState.LOADING)
    while_waiting(end_all)

    run_command("customer-360")

    assert len(started()) == 2


def test_full_takes_part_in_a_full_run_only(source, while_waiting):
    run_command("customer-360")
    while_waiting(end_all)

    run_command("customer-360", "--full")
    run_command("customer-360", "--full")

    assert [run.kind for run in started()] == [INCREMENTAL, FULL, INCREMENTAL, FULL]


def test_waiting_returns_when_all_runs_have_ended(source, while_waiting):
    while_waiting(lambda: end_all(written=7))

    told = json.loads(run_command("customer-360", "--wait", "--json"))

    assert {(run["state"], run["written"], run["idType"]) for run in told["runs"]} == {
        ("succeeded", 7, "email"),
        ("succeeded", 7, "salesforce_id"),
    }


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.CANCELLED])
def test_waiting_fails_unless_every_run_succeeded(source, while_waiting, state):
    def one_goes_wrong() -> None:
        SyncRun.objects.filter(source=source, finished_at=None).update(state=state, finished_at=timezone.now())
        end_all()

    while_waiting(one_goes_wrong)

    with pytest.raises(CommandError, match="Not every run succeeded"):
        run_command("customer-360", "--wait")


def test_a_project_that_is_not_there_or_off_is_named(source, admin: Member):
    with pytest.raises(CommandError, match="There is no project 'nothing'"):
        run_command("nothing")
    Activation.objects.update(enabled=False)

    with pytest.raises(CommandError, match="Enable sync to Redis is off"):
        run_command("customer-360")
