"""A process that goes away in the middle of a move, at any statement and any command: whoever goes on ends it exactly."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from activation import moves
from activation.engine.channel import Channel
from activation.models import DestinationMove, RedisDestination, RunState, Source, Suppression, SyncPartition, SyncRun
from config.embedded import EmbeddedServer
from tests.activation.moves.playing import PEOPLE, tick
from tests.activation.world import World, expected


class Gone(BaseException):
    """The process is gone; nothing may catch this."""


class Crash:
    """Counts what this thread asks of our database and of Redis; at the given number, nothing more is asked."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.asked = 0
        self._thread = threading.get_ident()

    def step(self) -> None:
        if threading.get_ident() == self._thread:
            self.asked += 1
            if self.asked >= self.at:
                raise Gone

    @contextmanager
    def armed(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        send = Channel.send

        def counted(channel: Channel, *arguments: object, **options: object) -> None:
            self.step()
            send(channel, *arguments, **options)  # type: ignore[arg-type]  # passed on as they come

        def wrapper(execute: Callable[..., object], sql: str, *arguments: object) -> object:
            if "SAVEPOINT" not in sql:  # Django's own book-keeping has to come to its end
                self.step()
            return execute(sql, *arguments)

        with ExitStack() as stack, monkeypatch.context() as patch:
            patch.setattr(Channel, "send", counted)
            stack.enter_context(connection.execute_wrapper(wrapper))
            yield


def a_lease_passes() -> None:
    """Let whoever is gone be found out."""
    long_ago = timezone.now() - timedelta(hours=1)
    for rows in (SyncRun.objects, SyncPartition.objects):
        rows.exclude(heartbeat_at=None).update(heartbeat_at=long_ago)


def go_on(world: World, move: DestinationMove) -> str:
    """Tick as processes do that know nothing of the one that is gone, until the move has ended."""
    for number in range(25):
        state: str = DestinationMove.objects.values_list("state", flat=True).get(pk=move.pk)
        if state in {"done", "cancelled"}:
            return state
        a_lease_passes()
        tick(world, later=10 * number)
    return state


def check_the_end(served: World, other: World, settings, *, people) -> None:
    """Compare both places, our rows and the warehouse's tables with what the view and one place need."""
    assert served.sync().state == RunState.SUCCEEDED
    assert served.served() == expected(people)
    assert served.bookkeeping() == {"marker"}
    assert list(other.redis.scan_iter()) == []
    source = Source.every_place.get()
    assert RedisDestination.every_place.count() == 1
    kept = {source.base_snapshot, *(kept["table"] for kept in source.tombstones)}
    tables = {path.stem for path in settings.SNAPSHOT_DIR.rglob("*.duckdb")}
    assert {name for name in tables if "sync_log" not in name} == kept
    assert not SyncRun.objects.filter(fences_open=True).exists()
    assert not Suppression.objects.exclude(pending_key="").exists()


@pytest.fixture
def crash_at(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[[DestinationMove, int], bool]:
    def until_it_crashes(begun: DestinationMove, at: int) -> bool:
        """Play a move until this many questions were asked; tell whether it came so far."""
        crash = Crash(at)
        try:
            with crash.armed(monkeypatch):
                go_on(world, begun)
        except Gone:
            connection.close()
            return True
        return False

    return until_it_crashes


def begin(world: World, server: EmbeddedServer) -> DestinationMove:
    return moves.start(
        RedisDestination.objects.get(),
        settings={"address": server.address},
        credentials={"password": server.password},
        by=world.by,
        now=timezone.now(),
    )


# Every so many-th question of a move back and forth; the questions of one move are a little under 400.
POINTS = range(*map(int, os.environ.get("CRASH_POINTS", "5,400,47").split(",")))


def test_a_move_goes_on_exactly_after_a_crash_at_any_point(world, there, servers, identity, crash_at, settings):
    world.sync()
    people, places = dict(PEOPLE), [(world, servers[0]), (there, servers[1])]
    crashed = 0
    for at in POINTS:
        places.reverse()
        (served, server), (other, _) = places
        begun = begin(world, server)
        crashed += crash_at(begun, at)
        people[f"new{at}@example.com"] = at
        world.put(people.items())
        identity.delete(world, gone := next(iter(people)))
        del people[gone]
        if not DestinationMove.objects.filter(pk=begun.pk, state__in=("done", "cancelled")).exists():
            assert go_on(world, begun) == "done", at
        world.put([(gone, 1), *people.items()])  # it stays deleted although the view still has it
        check_the_end(served, other, settings, people=people.items())
    assert crashed > len(POINTS) // 2


@pytest.mark.parametrize("at", [40, 120])
def test_a_cancelled_move_leaves_nothing_after_a_crash(world, there, servers, crash_at, settings, at):
    world.sync()
    begun = begin(world, servers[1])
    assert crash_at(begun, at)
    moves.cancel(begun, by=world.by, now=timezone.now())
    crash_at(begun, 60)

    assert go_on(world, begun) == "cancelled"
    check_the_end(world, there, settings, people=PEOPLE)
