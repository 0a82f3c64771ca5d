"""Working ahead in a side thread: in order, bounded, with every error arriving, and gone when nobody needs it."""

import threading
from collections.abc import Generator

import pytest

from activation.engine.ahead import Ahead


def nothing() -> None:
    """Nothing to cancel."""


def numbers(made: list[int], *, upto: int = 10) -> Generator[int, None, None]:
    for number in range(upto):
        made.append(number)
        yield number


def test_items_come_in_order_and_their_thread_is_gone_at_the_end():
    made: list[int] = []
    with Ahead(numbers(made), cancel=nothing) as items:
        assert list(items) == list(range(10))

    assert "ahead" not in {thread.name for thread in threading.enumerate()}


def test_it_works_ahead_but_not_without_bounds():
    made: list[int] = []
    far_enough = threading.Event()

    def watched() -> Generator[int, None, None]:
        for number in numbers(made):
            if number == 2:
                far_enough.set()
            yield number

    with Ahead(watched(), cancel=nothing) as items:
        first = next(iter(items))
        assert far_enough.wait(5)  # one waits, one is made; nothing more before the next is taken
        assert (first, made) == (0, [0, 1, 2])


class Crash(BaseException):
    """What nothing may catch."""


@pytest.mark.parametrize("error", [KeyError("k"), Crash()])
def test_what_breaks_in_the_thread_is_raised_where_the_items_are_used(error):
    def breaks() -> Generator[int, None, None]:
        yield 1
        raise error

    seen: list[int] = []
    with pytest.raises(type(error)) as caught, Ahead(breaks(), cancel=nothing) as items:
        seen.extend(items)
    assert caught.value is error


def test_leaving_early_stops_what_the_thread_waits_for_and_closes_the_generator():
    waiting, cancelled, closed = threading.Event(), threading.Event(), threading.Event()

    def waits() -> Generator[int, None, None]:
        try:
            yield 1
            waiting.set()
            assert cancelled.wait(5)
            yield 2
        finally:
            closed.set()

    with pytest.raises(KeyError):
        use_one(Ahead(waits(), cancel=cancelled.set), then=waiting)
    assert closed.is_set()
    assert "ahead" not in {thread.name for thread in threading.enumerate()}


def test_leaving_early_does_not_wait_for_a_thread_that_waits_for_a_free_place():
    made: list[int] = []
    with pytest.raises(KeyError):
        use_one(Ahead(numbers(made, upto=1_000), cancel=nothing))
    assert len(made) < 10


def use_one(ahead: Ahead[int], *, then: threading.Event | None = None) -> None:
    """Take the first item, wait for something, and break."""
    with ahead as items:
        next(iter(items))
        assert then is None or then.wait(5)
        raise KeyError
