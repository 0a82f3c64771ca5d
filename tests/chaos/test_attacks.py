"""Single attacks on a sync, each the shortest history in which it could do harm."""

from collections.abc import Callable, Iterator

import pytest

from activation.handle import Deleted, Handle
from activation.models import DeletedProfilesPolicy, RunState, SyncRun
from tests.chaos.actions import EVERYBODY
from tests.chaos.destination import Return
from tests.chaos.history import History
from tests.chaos.lives import Plan, What


@pytest.fixture
def history(begin: Callable[[], History]) -> Iterator[History]:
    """A history in which everybody was synced once."""
    history = begin()
    history.customer.put(EVERYBODY, score=1, plan="silver")
    history.start()
    history.crew.work()
    yield history
    history.clean()


@pytest.mark.parametrize("policy", DeletedProfilesPolicy)
def test_a_backup_does_not_bring_back_who_was_deleted_since(history: History, policy: DeletedProfilesPolicy):
    history.set_policy(policy)
    history.destination.back_up()
    history.delete(["3", "4"])
    history.destination.kill(Return.BACKUP)
    history.destination.come_back()

    history.conclude()


@pytest.mark.parametrize("policy", DeletedProfilesPolicy)
def test_a_delete_that_redis_gets_only_after_the_next_sync_is_followed_by_another_one(
    history: History, monkeypatch: pytest.MonkeyPatch, policy: DeletedProfilesPolicy
):
    delete = Handle.delete

    def late(handle: Handle, keys: list[str]) -> Deleted:
        history.start()
        history.crew.work()
        return delete(handle, keys)

    history.set_policy(policy)
    with monkeypatch.context() as slow:
        slow.setattr(Handle, "delete", late)
        history.delete(["3", "4"])

    history.conclude()


def test_a_worker_that_sleeps_while_it_tidies_up_leaves_the_next_attempt_its_tables(history: History):
    history.customer.put(EVERYBODY[:8], score=2, plan="gold")
    run = history.start()
    history.step(plan=Plan(What.SLEEP, at=1, where="tables"))
    assert history.crew.sleepers
    history.flush()
    while not any(job.name == "snapshot" for job in history.crew.jobs()):
        history.step()
    history.step()

    history.crew.wake(0)

    history.crew.work()
    assert run is not None
    assert SyncRun.objects.get(pk=run.pk).state == RunState.SUCCEEDED
    history.conclude()


def test_the_last_writes_that_a_restart_took_are_made_again(history: History):
    history.customer.put(EVERYBODY[:3], score=2, plan="gold")
    history.start()
    history.step()
    history.destination.back_up()
    history.step()
    history.destination.kill(Return.BACKUP)
    history.destination.come_back()

    history.crew.work()
    history.conclude()
