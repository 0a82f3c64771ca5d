"""`manage.py up` and its demo, with real processes: workers, beat, web and two Valkeys."""

import json
import os
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

import duckdb
import pytest
import redis

from config.embedded import EmbeddedServer
from tests.faults.workers import wait_for
from tests.processes import Up

# One `up` at a time: two would only wait for each other's processors.
pytestmark = pytest.mark.xdist_group("up")

KEYS = {
    "url", "email", "password", "token", "destinationId", "workspaceId", "project", "redisUrl", "warehouse", "example",
    "curl", "sources",
}  # fmt: skip


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    with Up(tmp_path_factory.mktemp("up")) as up:
        yield up


@pytest.fixture(scope="module")
def facts(up):
    return up.facts()


def test_the_printed_curl_line_answers_with_the_persons_traits(up, facts):
    printed = next(line.strip() for line in up.output.splitlines() if line.strip().startswith("curl"))
    assert printed == facts["curl"]

    answer = subprocess.run(printed, shell=True, capture_output=True, check=True).stdout

    envelope = json.loads(answer)
    assert envelope["id"] == facts["example"]["id"]
    assert any(traits for traits in envelope["data"].values())


def test_the_demo_tells_everything_its_users_need(facts):
    assert set(facts) == KEYS
    assert {"entity", "idType", "view", "relation", "idColumn", "connectionId"} == set(facts["sources"][0])
    assert len({source["entity"] for source in facts["sources"]}) == 2
    assert len({source["idType"] for source in facts["sources"]}) >= 3


def test_telling_the_demo_again_changes_nothing(up, facts):
    assert up.facts() == facts


def test_the_destination_holds_exactly_the_demos_views(facts):
    client = redis.Redis.from_url(facts["redisUrl"])
    with duckdb.connect(facts["warehouse"], read_only=True) as warehouse:
        for source in facts["sources"]:
            [(people,)] = warehouse.execute(
                f'SELECT count(*) FROM (SELECT "{source["idColumn"]}" AS id FROM {source["relation"]} '
                "WHERE id IS NOT NULL AND trim(id::VARCHAR) <> '' GROUP BY id)"
            ).fetchall()
            start = f"{facts['workspaceId']}:{facts['destinationId']}:{source['entity']}:{source['idType']}:"
            keys = sum(1 for _ in client.scan_iter(f"{start}*", count=5_000))
            assert people >= 500
            assert people - 10 <= keys <= people
    client.close()


def test_a_sync_by_command_waits_and_tells_its_counts(up, facts):
    done = up.manage("sync", facts["project"], "--full", "--wait", "--json")

    assert done.returncode == 0, done.stderr
    runs = json.loads(done.stdout)["runs"]
    assert {run["state"] for run in runs} == {"succeeded"}
    assert {run["connectionId"] for run in runs} == {source["connectionId"] for source in facts["sources"]}
    assert sum(run["written"] for run in runs) > 50_000
    assert "Using the secrets of" in done.stderr


def test_a_sync_of_an_unknown_project_says_what_to_give(up):
    done = up.manage("sync", "nothing-here")

    assert done.returncode == 1
    assert "There is no project 'nothing-here'" in done.stderr


def test_a_child_that_dies_is_started_again(up):
    before = set(up.children())
    victim = up.children()[1]
    os.kill(victim, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while set(up.children()) == before and time.monotonic() < deadline:
        time.sleep(0.1)

    assert len(set(up.children()) - before) == 1


def test_a_valkey_that_dies_is_started_again_and_syncs_go_on(up, facts):
    for name in ("broker", "destination"):
        os.kill(int((up.folder / name / "valkey.pid").read_text()), signal.SIGKILL)

    printed = up.folder / "printed"
    wait_for(lambda: printed.read_text().count("ended; starting it again.\n") == 2, what="both are started", within=10)
    done = up.manage("sync", facts["project"], "--full", "--wait", "--json")

    assert done.returncode == 0, done.stderr
    assert {run["state"] for run in json.loads(done.stdout)["runs"]} == {"succeeded"}


def test_a_second_up_in_the_same_folder_is_refused(up):
    done = up.manage("up")

    assert done.returncode == 1
    assert "Another `manage.py up` is running" in done.stderr


def test_what_up_keeps_is_readable_by_its_owner_only(up):
    for name in ("secrets.json", "demo.json", "broker/valkey.conf", "destination/valkey.conf"):
        assert (up.folder / name).stat().st_mode & 0o077 == 0, name


def test_logs_hold_no_secret(up, facts):
    kept = json.loads((up.folder / "secrets.json").read_text())
    secrets = [facts["token"], facts["password"], kept["SECRET_KEY"], kept["destination"]["password"]]
    logs = "".join(log.read_text() for log in (up.folder / "logs").glob("*.log"))
    assert logs
    assert [place for place, secret in enumerate(secrets) if secret in logs] == []
    assert facts["example"]["id"]["value"] not in logs


def test_ctrl_c_ends_every_process_and_the_data_is_there_the_next_time(tmp_path):
    up = Up(tmp_path / "data")
    with up:
        children = up.children()
        facts = up.facts()
        assert up.stop() == 0
    alive = [pid for pid in children if _alive(pid)]
    assert alive == []

    started = time.monotonic()
    with up:
        assert time.monotonic() - started < 60
        assert up.facts() == facts
        with urllib.request.urlopen(f"{up.url}/healthz", timeout=5) as answer:
            assert answer.status == 200


def test_without_the_demo_it_prints_the_code_of_the_set_up_page(tmp_path):
    with Up(tmp_path / "data", demo=False) as up:
        assert "Set-up code" in up.output
        done = up.manage("demo", "--json")
        assert done.returncode == 0
        assert json.loads(done.stdout)["email"]


def test_an_embedded_server_left_over_by_a_killed_parent_is_ended(tmp_path):
    first = EmbeddedServer(tmp_path / "server").start()
    left_over = first.pid
    process, first._process = first._process, None
    assert process is not None

    with EmbeddedServer(tmp_path / "server"):
        assert left_over is not None
        deadline = time.monotonic() + 5
        while _alive(left_over) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not _alive(left_over)
    process.wait()


def _alive(pid: int) -> bool:
    try:
        with Path(f"/proc/{pid}/stat").open() as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
