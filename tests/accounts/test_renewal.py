"""One thread looks up again what is known, before all must."""

from accounts.renewal import FRESH_FOR, RENEWED_AFTER, Renewal
from tests.threads import elsewhere


def test_nobody_looks_up_what_is_new() -> None:
    assert not Renewal().is_due(RENEWED_AFTER)


def test_the_first_that_comes_later_does_and_goes_on_doing_so() -> None:
    renewal = Renewal()
    assert renewal.is_due(RENEWED_AFTER + 0.1)
    assert renewal.is_due(RENEWED_AFTER + 0.1)
    assert not elsewhere(lambda: renewal.is_due(FRESH_FOR))


def test_everybody_does_once_it_is_too_old() -> None:
    renewal = Renewal()
    assert renewal.is_due(FRESH_FOR + 0.1)
    assert elsewhere(lambda: renewal.is_due(FRESH_FOR + 0.1))


def test_who_hands_on_leaves_one_to_another_thread_which_then_does() -> None:
    renewal = Renewal()
    assert not renewal.is_due(RENEWED_AFTER, hands_on=True)
    assert renewal.is_due(RENEWED_AFTER + 0.1, hands_on=True)
    assert not renewal.is_due(RENEWED_AFTER + 0.1, hands_on=True)
    assert elsewhere(lambda: renewal.is_due(RENEWED_AFTER + 0.1))
    assert not renewal.is_due(RENEWED_AFTER + 0.1)
    assert not renewal.is_due(FRESH_FOR, hands_on=True)
    assert renewal.is_due(FRESH_FOR + 0.1, hands_on=True)
