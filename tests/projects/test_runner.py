"""Running Profiles projects by the operator's command: real processes, no shell, a clean environment, one at a time."""

import json
import os
import stat
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from accounts.actors import PermissionRefused
from projects import runner, tasks
from projects.models import ProfilesRun, Project, RunOrigin, RunStatus
from tests.cast import Member
from tests.contracts.caller import call

NOW = timezone.now()


@pytest.fixture(autouse=True)
def woken(monkeypatch) -> list[int]:
    """No broker is there; which runs a worker was woken for."""
    runs: list[int] = []
    monkeypatch.setattr(tasks.run_profiles, "apply_async", lambda kwargs, **_: runs.append(kwargs["run"]))
    return runs


@pytest.fixture
def command(tmp_path: Path, settings):
    """Configure a runner that is a script with the given lines; what it writes to `$out` is returned by `said`."""

    def configure(*lines: str, timeout: int = 60) -> Path:
        script, said = tmp_path / "run it", tmp_path / "said"
        script.write_text("\n".join(["#!/bin/sh", f"out={said}", *lines]))
        script.chmod(stat.S_IRWXU)
        settings.RUNNER_COMMAND, settings.RUNNER_TIMEOUT = [str(script), "first word"], timeout
        return said

    return configure


def start(project: Project, by: Member, **wanted: Any) -> ProfilesRun:
    return runner.start(project, by=by.actor, now=timezone.now(), **wanted)


def ended(run: ProfilesRun) -> ProfilesRun:
    """Play the runner's worker."""
    assert runner.run(run.pk, now=timezone.now())
    run.refresh_from_db()
    return run


def test_the_command_gets_the_ids_and_parameters_as_words(project, editor, command):
    said = command('printf "%s\\n" "$@" > $out')

    run = ended(start(project, editor, parameters=["--begin_time 2026-01-31T00:00:00Z", "--rebase_incremental"]))

    assert (run.status, run.origin, run.error) == (RunStatus.FINISHED, RunOrigin.RUNNER, "")
    assert run.started_at
    assert run.finished_at
    assert said.read_text().splitlines() == [
        "first word",
        project.public_id,
        run.public_id,
        "--begin_time",
        "2026-01-31T00:00:00Z",
        "--rebase_incremental",
    ]


def test_the_command_sees_none_of_our_environment(project, editor, command, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "ours")
    said = command("env > $out")

    ended(start(project, editor))

    names = {line.partition("=")[0] for line in said.read_text().splitlines()}
    assert {"PATH", "LANG"} <= names
    assert names - {"PATH", "HOME", "LANG", "PWD", "OLDPWD", "SHLVL", "_"} == set()


def test_no_shell_reads_what_a_caller_sends(project, editor, command, tmp_path):
    said = command('printf "%s\\n" "$@" > $out')
    harm = tmp_path / "harm"

    ended(start(project, editor, parameters=[f"--model_refs $(touch {harm});`touch {harm}`"]))

    assert not harm.exists()
    assert f"$(touch {harm});`touch {harm}`" in said.read_text()


def test_a_status_other_than_0_is_a_failed_run(project, editor, command):
    command("echo a secret; exit 3")

    run = ended(start(project, editor))

    assert (run.status, run.error) == (RunStatus.FAILED, "The runner ended with the status 3. Its own logs say why.")


def test_a_program_that_is_not_there_is_a_failed_run(project, editor, settings):
    settings.RUNNER_COMMAND = ["/nowhere/pb"]

    run = ended(start(project, editor))

    assert run.status == RunStatus.FAILED
    assert "RUNNER_COMMAND" in run.error


def test_a_run_that_takes_too_long_is_stopped_with_all_that_it_started(project, editor, command):
    said = command("sleep 600 &", "echo $! > $out", "wait", timeout=1)

    run = ended(start(project, editor))

    assert (run.status, run.error) == (RunStatus.FAILED, "The run had not ended after 1 seconds and was stopped.")
    assert is_gone(int(said.read_text()))


def is_gone(pid: int) -> bool:
    """Tell whether a process has ended, or ends soon; what its parent has not collected has ended too."""
    for _ in range(50):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
            os.kill(pid, 0)
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.1)
    return False


def test_a_doubled_wake_up_runs_it_once(project, editor, command):
    command("exit 0")
    run = ended(start(project, editor))

    assert not runner.run(run.pk, now=timezone.now())


def test_a_project_has_one_run_at_a_time(project, editor, command):
    command("exit 0")
    run = start(project, editor)

    with pytest.raises(runner.RunActive):
        start(project, editor)

    ended(run)
    assert start(project, editor).pk != run.pk


def test_a_run_that_a_worker_was_not_woken_for_is_found_by_the_tick(project, editor, command, woken):
    command("exit 0")
    run = start(project, editor)

    tasks.look_for_runs()

    assert woken == [run.pk]


def test_a_run_whose_worker_went_away_is_given_up_when_its_time_is_over(project, editor, command, settings):
    command("exit 0")
    run = start(project, editor)
    ProfilesRun.objects.update(started_at=NOW)
    over = NOW + timedelta(seconds=settings.RUNNER_TIMEOUT)

    runner.give_up_lost(now=over)
    run.refresh_from_db()
    assert run.status == RunStatus.RUNNING

    runner.give_up_lost(now=over + timedelta(minutes=2))
    run.refresh_from_db()
    assert (run.status, run.finished_at) == (RunStatus.FAILED, over + timedelta(minutes=2))


@pytest.mark.parametrize(
    "parameters",
    [
        ["--exec sh"],
        ["model_refs x"],
        ["--model_refs\n--exec"],
        ["--begin_timex"],
        ["--begin_time " + "9" * 500],
        ["--rebase_incremental"] * 21,
    ],
)
def test_a_parameter_that_the_hosted_product_does_not_know_is_refused(project, editor, command, parameters):
    command("exit 0")

    with pytest.raises(runner.ParametersRefused):
        start(project, editor, parameters=parameters)

    assert not ProfilesRun.objects.exists()


def test_viewers_cannot_start_a_run(project, viewer, command):
    command("exit 0")

    with pytest.raises(PermissionRefused):
        start(project, viewer)


# By API


def ask(method: str, path: str, member: Member, body: object = None) -> tuple[int, dict[str, Any]]:
    raw = b"" if body is None else json.dumps(body).encode()
    answer = call(method, f"/v2/sources/{path}", raw, HTTP_AUTHORIZATION=f"Bearer {member.token()}")
    return answer.status, answer.json


def test_a_run_is_started_and_followed_in_the_hosted_shapes(project, editor, viewer, command, woken):
    command("exit 0")

    status, started = ask("POST", f"{project.public_id}/start", editor)

    run = ProfilesRun.objects.get()
    assert (status, started, woken) == (200, {"runId": run.public_id}, [run.pk])
    path = f"{project.public_id}/runs/{run.public_id}/status"
    assert ask("GET", path, viewer)[1]["status"] == "running"
    assert ask("POST", f"{project.public_id}/start", editor)[1]["code"] == "already_running"
    ended(run)
    told = ask("GET", path, viewer)[1]
    assert told.pop("startedAt").endswith("Z")
    assert told.pop("finishedAt").endswith("Z")
    assert told == {
        "jobId": project.public_id,
        "jobRunId": run.public_id,
        "status": "finished",
        "error": None,
        "tasks": [],
    }


def test_without_a_runner_a_start_is_a_conflict_that_says_what_to_do(project, editor):
    status, answer = ask("POST", f"{project.public_id}/start", editor)

    assert (status, answer["code"]) == (409, "no_runner")
    assert "/v2/projects/{id}/runs" in answer["error"]


@pytest.mark.parametrize("parameters", ["--begin_time x", [1], {"a": 1}, ["--exec sh"]])
def test_parameters_that_are_none_are_refused(project, editor, command, parameters):
    command("exit 0")

    status, answer = ask("POST", f"{project.public_id}/start", editor, {"parameters": parameters})

    assert (status, answer["code"]) == (400, "invalid_request")
    assert "--begin_time" in answer["error"]


def test_another_organisations_project_and_run_look_like_none(project, editor, viewer, outsider, command):
    command("exit 0")
    run = start(project, editor)
    path = f"{project.public_id}/runs/{run.public_id}/status"

    assert ask("POST", f"{project.public_id}/start", outsider)[0] == 404
    assert ask("GET", path, outsider)[0] == 404
    assert ask("GET", f"{project.public_id}/runs/nothing/status", editor)[0] == 404
    assert ask("GET", f"{project.public_id}/runs/\x00/status", editor)[0] == 404
    assert ask("POST", f"{project.public_id}/start", viewer)[0] == 401
    assert ask("GET", path, viewer)[0] == 200


# On the page


def test_the_page_offers_to_run_only_where_a_runner_is_configured(project, editor, command, woken):
    page = f"/o/acme/projects/{project.slug}/history/"
    assert ">Run</button>" not in editor.client.get(page).content.decode()
    refused = editor.client.post(f"{page}run/", follow=True).content.decode()
    assert "No runner is configured here." in refused

    command("exit 0")
    assert ">Run</button>" in editor.client.get(page).content.decode()
    shown = editor.client.post(f"{page}run/", follow=True).content.decode()

    assert f"Started here by {editor.user.email}" in shown
    assert woken == [ProfilesRun.objects.get().pk]
