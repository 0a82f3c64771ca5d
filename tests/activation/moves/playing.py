"""Plays the tick, workers and applications while a destination moves."""

from datetime import timedelta

from django.utils import timezone

from accounts.identities import TokenIdentity
from activation import move_steps, recovery, serving
from activation import suppressions as suppressed
from activation.models import DestinationMove, SyncRun
from activation.serving import ProfileId
from tests.activation.world import World

PEOPLE = [(f"person{n}@example.com", n) for n in range(25)]
MORE = [*PEOPLE[1:], ("new@example.com", 100)]


def tick(world: World, *, later: float = 0) -> None:
    """Let the tick and workers do what there is to do now; runs may wait no longer."""
    now = timezone.now() + timedelta(seconds=later)
    move_steps.carry_on(now=now)
    recovery.close_left_fences(now=now)
    suppressed.retry_pending(now=now + timedelta(minutes=1))
    for run in SyncRun.objects.filter(state__in=("queued", "snapshot", "loading", "finishing")):
        world.work(run, rounds=5)


def until(world: World, move: DestinationMove, state: str, *, rounds: int = 20) -> DestinationMove:
    """Tick until the move is in the state."""
    for number in range(rounds):
        move = DestinationMove.objects.get(pk=move.pk)
        if move.state == state:
            return move
        tick(world, later=10 * number)
    raise AssertionError(f"the move is {move.state}")


class Caller:
    """An application that deletes people."""

    def __init__(self, world: World) -> None:
        self.identity = TokenIdentity(actor=world.by, token_id=1)

    def delete(self, world: World, email: str) -> serving.Deletion:
        destination = world.source.destination.public_id
        ids = [ProfileId("email", email)]
        return serving.delete(self.identity, destination=destination, entity="user", ids=ids, now=timezone.now())
