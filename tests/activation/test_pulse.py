"""What the tick leaves for readiness: that it runs, and that it does all of its work."""

import pytest
from django.core.cache import cache

from activation import pulse, recovery, tasks


@pytest.fixture(autouse=True)
def no_pulse_yet():
    cache.delete_many([pulse.KEY, pulse.WELL_KEY])


def test_without_a_tick_the_pulse_is_late_and_nothing_is_said_about_its_work():
    assert (pulse.is_late(), pulse.is_broken()) == (True, False)


def test_a_tick_that_did_all_of_its_work_is_well(db):
    tasks.tick()
    assert (pulse.is_late(), pulse.is_broken()) == (False, False)


def test_a_tick_that_breaks_every_time_is_broken_until_one_goes_well(db, monkeypatch):
    def breaks(**_: object) -> None:
        raise ValueError

    with monkeypatch.context() as patch:
        patch.setattr(recovery, "put_back_stalled", breaks)
        tasks.tick()
        assert (pulse.is_late(), pulse.is_broken()) == (False, True)
    tasks.tick()
    assert not pulse.is_broken()


def test_a_single_tick_that_breaks_is_forgiven(db, monkeypatch):
    def breaks(**_: object) -> None:
        raise ValueError

    tasks.tick()
    monkeypatch.setattr(recovery, "put_back_stalled", breaks)
    tasks.tick()
    assert not pulse.is_broken()
    cache.set(pulse.WELL_KEY, cache.get(pulse.WELL_KEY) - pulse.LATE_AFTER - 1)
    tasks.tick()
    assert pulse.is_broken()
