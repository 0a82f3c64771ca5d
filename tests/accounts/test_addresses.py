"""The client's address: X-Forwarded-For counts only as far as trusted proxies vouch for it."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from accounts.addresses import client_address
from config.environment import Environment

PROXY, CLIENT, FORGED = "10.0.0.1", "203.0.113.9", "198.51.100.1"


@pytest.mark.parametrize(
    ("trusted", "remote", "forwarded", "expected"),
    [
        ([], PROXY, CLIENT, PROXY),
        ([PROXY], PROXY, CLIENT, CLIENT),
        ([PROXY], CLIENT, FORGED, CLIENT),
        ([PROXY], PROXY, f"{FORGED}, {CLIENT}", CLIENT),
        (["10.0.0.0/8"], PROXY, f"{FORGED}, {CLIENT}, 10.2.3.4", CLIENT),
        ([PROXY], PROXY, "", PROXY),
        ([PROXY], PROXY, f"{FORGED}, unknown", PROXY),
        ([PROXY], PROXY, f"{PROXY}, {PROXY}", PROXY),
        (["10.0.0.0/8"], "::ffff:10.0.0.1", "2001:db8::5", "2001:db8::5"),
        ([], "", "", None),
        ([], "unix:", "", None),
    ],
)
def test_the_address_is_the_nearest_one_no_proxy_of_ours(
    settings: Settings, trusted: list[str], remote: str, forwarded: str, expected: str | None
) -> None:
    settings.TRUSTED_PROXIES = trusted
    assert client_address({"REMOTE_ADDR": remote, "HTTP_X_FORWARDED_FOR": forwarded}) == expected


def test_a_proxy_that_is_no_address_stops_the_start() -> None:
    good = Environment({"TRUSTED_PROXIES": "10.0.0.0/8, ::1"})
    assert good.networks("TRUSTED_PROXIES") == ["10.0.0.0/8", "::1"]
    good.verify()
    bad = Environment({"TRUSTED_PROXIES": "10.0.0.0/8, proxy.example"})
    assert bad.networks("TRUSTED_PROXIES") == []
    with pytest.raises(ImproperlyConfigured, match="TRUSTED_PROXIES is a comma-separated list"):
        bad.verify()
