"""Seeding the demo while somebody else does, or before there is anything to seed into."""

import threading
from concurrent.futures import ThreadPoolExecutor
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from activation import enabling
from activation.models import Activation
from activation.preconditions import Point, Precondition
from config import demo, local_state


def test_a_second_seeding_waits_for_the_first(monkeypatch):
    order = []
    monkeypatch.setattr(demo, "_seed", lambda: order.append("second"))
    second = threading.Thread(target=demo.seed)
    with local_state.alone("demo"):
        second.start()
        second.join(0.3)
        order.append("first")
    second.join(5)
    assert order == ["first", "second"]


def test_processes_that_begin_together_agree_on_the_secrets(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    read, begin_together = local_state.read, threading.Barrier(4, timeout=5)
    met = threading.local()

    def first_look_is_at_once(name: str) -> dict[str, object]:
        found = read(name)
        if not getattr(met, "yes", False):
            met.yes = True
            begin_together.wait()
        return found

    monkeypatch.setattr(local_state, "read", first_look_is_at_once)
    with ThreadPoolExecutor(4) as pool:
        made = [each.result() for each in [pool.submit(local_state.secrets_of_up) for _ in range(4)]]
    assert all(each == made[0] for each in made)
    assert read(local_state.SECRETS_FILE) == made[0]


def raising(error: Exception):
    def seed() -> None:
        raise error

    return seed


def test_the_command_says_what_to_do_where_the_demo_cannot_be_made(monkeypatch):
    unmet = Precondition(Point.GRANTS, "Grants", met=False, message="Check the warehouse first.")
    monkeypatch.setattr(demo, "_seed", raising(enabling.NotReady([unmet])))
    with pytest.raises(CommandError, match=r"The demo cannot be made: .*Check the warehouse first\."):
        call_command("demo", "--json", stdout=StringIO())


def test_the_command_says_to_start_up_first_where_there_is_no_database(monkeypatch):
    monkeypatch.setattr(demo, "_seed", raising(OperationalError("no such table")))
    with pytest.raises(CommandError, match=r"Start `manage\.py up` first"):
        call_command("demo", stdout=StringIO())


def test_the_demo_is_where_up_says_it_is_by_now(tmp_path, monkeypatch, settings):
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    made = demo.Demo(password="", token="", activation=Activation())
    assert made.url == settings.PUBLIC_URL
    local_state.write(local_state.UP_FILE, {"url": "http://localhost:18123"})
    assert made.url == "http://localhost:18123"
