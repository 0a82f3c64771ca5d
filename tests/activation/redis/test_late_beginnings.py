"""A worker that slept at the beginning of its run, and wakes when others have gone on with it or are long done."""

from collections.abc import Callable

import pytest

from activation.engine.loader import Claim, FenceMissing, FenceMoved
from tests.activation.redis.conftest import Place
from tests.activation.redis.test_loader import KEYS, LATER_RUN, RUN, VALUES, kinds, open_loader

BEFORE = "1run"


def others(place: Place, *steps: str, run: str, attempt: int) -> Callable[[], bool]:
    """Return what a worker is told that falls asleep right after it: the run is yours."""

    def told() -> bool:
        with open_loader(place.settings) as loader:
            if "begin" in steps:
                loader.begin(run, attempt, 4)
            if "mark" in steps:
                loader.set_marker(run, base=None, witnesses={})
            if "finish" in steps:
                loader.finish(run)
        return True

    return told


@pytest.mark.parametrize("before", [BEFORE, None], ids=["over-a-base", "the-first-run"])
def test_a_run_that_others_have_finished_meanwhile_leaves_nothing_behind(place, before):
    with open_loader(place.settings) as loader:
        if before:
            others(place, "begin", "mark", "finish", run=before, attempt=1)()
        with pytest.raises(FenceMoved):
            loader.begin(RUN, 1, 4, still_ours=others(place, "begin", "mark", "finish", run=RUN, attempt=2))

        assert (kinds(place), loader.marker()) == ({"marker"}, RUN)


@pytest.mark.parametrize(("run", "attempt"), [(RUN, 2), (LATER_RUN, 1)])
def test_who_loads_meanwhile_keeps_the_fences(place, run, attempt):
    with open_loader(place.settings) as loader:
        with pytest.raises(FenceMoved):
            loader.begin(RUN, 1, 4, still_ours=others(place, "begin", run=run, attempt=attempt))

        with pytest.raises(FenceMoved):
            loader.write(Claim(RUN, 1, 0, 1), KEYS, VALUES)
        assert loader.write(Claim(run, attempt, 0, 1), KEYS, VALUES).written == 450
        assert loader.run_key_present(run)


def test_a_run_that_is_not_ours_any_more_sets_up_nothing(place):
    with open_loader(place.settings) as loader, pytest.raises(FenceMoved):
        loader.begin(RUN, 1, 4, still_ours=lambda: False)

    assert kinds(place) == set()


def test_a_destination_that_is_emptied_at_the_beginning_of_a_run_has_lost_its_data(place):
    others(place, "begin", "mark", "finish", run=BEFORE, attempt=1)()

    with open_loader(place.settings) as loader, pytest.raises(FenceMissing):
        loader.begin(RUN, 1, 4, still_ours=lambda: place.flush() is None)

    assert kinds(place) == set()


def test_a_beginning_half_made_is_taken_over_by_the_next_attempt(place):
    with open_loader(place.settings) as loader:
        loader.begin(RUN, 1, 4)
        place.client_for(loader._ledger.key(loader._ledger._tags()[0], "run")).flushall()
        loader.begin(RUN, 2, 4)

        assert loader.run_key_present(RUN)
        assert loader.write(Claim(RUN, 2, 0, 1), KEYS, VALUES).written == 450
