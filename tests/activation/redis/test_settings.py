"""Settings as a form or a record holds them, and what is said about wrong ones."""

import pytest

from activation.engine.connection import RedisSettings, SettingsInvalid


def test_settings_are_read_by_the_hosted_products_names(certificates):
    settings = RedisSettings.from_plain(
        {
            "address": "a.example.com:6379, b.example.com:6380,a.example.com:6379",
            "clusterMode": True,
            "secure": "on",
            "skipVerify": "true",
            "username": "profiles",
            "database": "0",
        },
        {"password": "p", "caCertificate": certificates.pem},
    )

    assert settings == RedisSettings(
        addresses=(("a.example.com", 6379), ("b.example.com", 6380)),
        username="profiles",
        password="p",
        cluster_mode=True,
        secure=True,
        skip_verify=True,
        ca_certificate=certificates.pem,
    )
    assert settings.address == "a.example.com:6379, b.example.com:6380"


def test_only_the_address_is_needed():
    assert RedisSettings.from_plain({"address": "[::1]:6379"}, {}) == RedisSettings(addresses=(("::1", 6379),))


def test_what_belongs_to_tls_is_left_out_without_it(certificates):
    settings = RedisSettings.from_plain(
        {"address": "localhost:1", "skipVerify": True}, {"caCertificate": certificates.pem}
    )

    assert (settings.skip_verify, settings.ca_certificate) == (False, "")


@pytest.mark.parametrize(
    ("settings", "credentials", "field"),
    [
        ({}, {}, "address"),
        ({"address": ""}, {}, "address"),
        ({"address": 6379}, {}, "address"),
        ({"address": "localhost"}, {}, "address"),
        ({"address": "a.example:1,b.example:1"}, {}, "address"),
        ({"address": "a.example:1," * 200, "clusterMode": True}, {}, "address"),
        ({"address": "localhost:1", "database": "one"}, {}, "database"),
        ({"address": "localhost:1", "database": -1}, {}, "database"),
        ({"address": "localhost:1", "database": 1.5}, {}, "database"),
        ({"address": "localhost:1", "database": True}, {}, "database"),
        ({"address": "localhost:1", "database": 1, "clusterMode": True}, {}, "database"),
        ({"address": "localhost:1", "secure": "perhaps"}, {}, "secure"),
        ({"address": "localhost:1", "username": "profiles"}, {}, "password"),
        ({"address": "localhost:1"}, {"password": 1}, "password"),
        ({"address": "localhost:1", "secure": True}, {"caCertificate": "not PEM"}, "caCertificate"),
        ({"address": "localhost:1", "secure": True}, {"caCertificate": "näh"}, "caCertificate"),
        (
            {"address": "localhost:1", "secure": True},
            {"clientCertificate": "näh", "clientKey": "x"},
            "clientCertificate",
        ),
    ],
)
def test_what_is_wrong_is_said_by_field(settings, credentials, field):
    with pytest.raises(SettingsInvalid) as caught:
        RedisSettings.from_plain(settings, credentials)

    assert set(caught.value.errors) == {field}
    assert caught.value.errors[field].endswith(".")


def test_every_problem_is_said_at_once():
    with pytest.raises(SettingsInvalid) as caught:
        RedisSettings.from_plain({"address": "x", "database": "y"}, {})

    assert set(caught.value.errors) == {"address", "database"}


def test_no_secret_is_in_the_repr(certificates):
    secret = "typed-" + "secret"
    settings = RedisSettings.from_plain(
        {"address": "localhost:1", "secure": True}, {"password": secret, "caCertificate": certificates.pem}
    )

    assert secret not in repr(settings)
    assert "BEGIN" not in repr(settings)
