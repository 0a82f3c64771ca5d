"""The circuit breaker by itself, with a clock that stands still."""

import pytest

from activation.engine.circuit import Circuit
from activation.engine.errors import DestinationUnreachable


class Clock:
    def __init__(self):
        self.seconds = 100.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def circuit(clock):
    """One that three failures open, for 0.1 s at first and for half a second at most."""
    return Circuit(3, rest=0.5, first_rest=0.1, clock=clock)


def refuses(circuit):
    try:
        circuit.enter("redis:6379")
    except DestinationUnreachable:
        return True
    return False


def fail(circuit, times):
    for _ in range(times):
        assert not refuses(circuit)
        circuit.failed()


def test_failures_in_a_row_open_it_and_a_success_between_them_does_not(circuit):
    fail(circuit, 2)
    circuit.succeeded()
    fail(circuit, 3)
    assert refuses(circuit)


def test_one_caller_at_a_time_finds_out_and_the_others_are_told_at_once(circuit, clock):
    fail(circuit, 3)
    clock.seconds += 0.1
    assert not refuses(circuit)
    clock.seconds += 0.4
    assert refuses(circuit)
    circuit.succeeded()
    assert not refuses(circuit)


def test_each_try_that_fails_doubles_the_rest_up_to_a_limit(circuit, clock):
    fail(circuit, 3)
    for rest in (0.1, 0.2, 0.4, 0.5, 0.5):
        clock.seconds += rest - 0.01
        assert refuses(circuit)
        clock.seconds += 0.02
        fail(circuit, 1)


def test_who_only_looks_is_told_the_same_and_leaves_the_turn_to_who_tries(circuit, clock):
    circuit.look("redis:6379")
    fail(circuit, 3)
    with pytest.raises(DestinationUnreachable, match="redis:6379"):
        circuit.look("redis:6379")
    clock.seconds += 0.11
    circuit.look("redis:6379")
    assert not refuses(circuit)
    with pytest.raises(DestinationUnreachable):
        circuit.look("redis:6379")


def test_after_a_success_it_rests_shortly_again(circuit, clock):
    fail(circuit, 3)
    for _ in range(3):
        clock.seconds += 1
        fail(circuit, 1)
    circuit.succeeded()
    fail(circuit, 3)
    clock.seconds += 0.11
    assert not refuses(circuit)


def test_calls_that_were_under_way_do_not_lengthen_the_rest(circuit, clock):
    fail(circuit, 3)
    for _ in range(64):
        circuit.failed()
    clock.seconds += 0.11
    assert not refuses(circuit)


def test_a_try_that_never_ends_lets_another_one_try(circuit, clock):
    fail(circuit, 3)
    clock.seconds += 0.11
    assert not refuses(circuit)
    clock.seconds += 0.51
    assert not refuses(circuit)


def test_without_a_limit_it_never_opens(clock):
    never = Circuit(0, rest=0.5, first_rest=0.1, clock=clock)
    fail(never, 100)
    assert not refuses(never)
