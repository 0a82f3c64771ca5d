"""Seeding the demo while somebody else does, or before there is anything to seed into."""

import threading
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from activation import enabling
from activation.preconditions import Point, Precondition
from config import demo, local_state


def test_a_second_seeding_waits_for_the_first(monkeypatch):
    order = []
    monkeypatch.setattr(demo, "_seed", lambda: order.append("second"))
    second = threading.Thread(target=demo.seed)
    with local_state.only_one_seeds():
        second.start()
        second.join(0.3)
        order.append("first")
    second.join(5)
    assert order == ["first", "second"]


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
