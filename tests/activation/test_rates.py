"""How often a token may call."""

from types import SimpleNamespace

import pytest

from activation.rates import Buckets


@pytest.fixture
def clocked():
    time = [0.0]
    return SimpleNamespace(buckets=Buckets(clock=lambda: time[0]), time=time)


def identity(token_id=1, **limits):
    return SimpleNamespace(token_id=token_id, limits=limits)


def test_without_a_rate_nobody_waits(clocked):
    assert [clocked.buckets.wait_for(identity()) for _ in range(1000)] == [0] * 1000


def test_a_token_may_spend_a_seconds_worth_at_once_and_then_its_rate(clocked):
    token = identity(rate=10)
    assert [clocked.buckets.wait_for(token) for _ in range(11)] == [0] * 10 + [1]
    clocked.time[0] = 0.25
    assert [clocked.buckets.wait_for(token) > 0 for _ in range(3)] == [False, False, True]
    clocked.time[0] = 60
    assert sum(clocked.buckets.wait_for(token) == 0 for _ in range(20)) == 10


def test_a_slow_rate_says_how_long_to_wait_and_tokens_do_not_share(clocked):
    assert clocked.buckets.wait_for(identity(rate=0.1)) == 0
    assert clocked.buckets.wait_for(identity(rate=0.1)) == 10
    assert clocked.buckets.wait_for(identity(token_id=2, rate=0.1)) == 0
