"""EMAIL_URL is read strictly: what is not understood stops the start, and nothing is sent in the clear by mistake."""

import smtplib

import pytest
from django.core import mail
from django.core.exceptions import ImproperlyConfigured

from config import email_urls
from config.environment import Environment

PASSWORD = "p%40ss-word"


def test_smtp_means_starttls_on_the_submission_port():
    service = email_urls.read(f"smtp://me:{PASSWORD}@mail.example")

    assert service.backend.endswith("smtp.EmailBackend")
    assert (service.host, service.port, service.user, service.password) == ("mail.example", 587, "me", "p@ss-word")
    assert (service.starttls, service.tls, service.sends) == (True, False, True)


def test_smtps_means_tls_from_the_first_byte():
    service = email_urls.read("smtps://mail.example")
    assert (service.port, service.starttls, service.tls) == (465, False, True)


def test_a_relay_without_tls_must_be_asked_for():
    service = email_urls.read("smtp://relay.internal:25?starttls=0")
    assert (service.host, service.port, service.starttls, service.tls) == ("relay.internal", 25, False, False)


@pytest.mark.parametrize(("text", "name"), [("console:", "console"), ("memory:", "locmem")])
def test_e_mail_can_stay_here(text, name):
    service = email_urls.read(text)
    assert (service.backend, service.sends) == (f"django.core.mail.backends.{name}.EmailBackend", True)


def test_a_folder_is_named_by_its_whole_path():
    service = email_urls.read("file:///var/spool/our%20mail")
    assert (service.backend.split(".")[-2], service.folder) == ("filebased", "/var/spool/our mail")


def test_without_an_address_nothing_is_sent():
    assert not email_urls.read("").sends


@pytest.mark.parametrize(
    "text",
    [
        "smtp:",
        "smtp://",
        "smtp://user@host",
        f"smtp://:{PASSWORD}@",
        "smtp://host:notaport",
        "smtp://host:0",
        "smtp://host/folder",
        "smtp://host?tls=1",
        "smtp://host?starttls=no",
        "smtp://host?starttls=0&starttls=1",
        "smtps://host?starttls=0",
        "smtp://host#part",
        "smtp://ho st",
        "file:relative",
        "file://host/folder",
        "file:///",
        "file:///folder?x=1",
        "console:now",
        "https://mail.example",
        "mail.example",
    ],
)
def test_what_is_not_understood_stops_the_start_and_is_not_repeated(text):
    env = Environment({"EMAIL_URL": text})
    env.email("EMAIL_URL")
    with pytest.raises(ImproperlyConfigured) as refused:
        env.verify()
    assert "EMAIL_URL must look like smtp://" in str(refused.value)
    assert PASSWORD not in str(refused.value)


def test_django_connects_as_the_address_says(settings, monkeypatch):
    asked: list[object] = []

    class Server:
        def __init__(self, host, port, timeout, local_hostname):
            asked.append((host, port, timeout))

        def starttls(self, *, context):
            asked.append(context.check_hostname)

        def login(self, user, password):
            asked.append((user, password))

        def quit(self):
            pass

    monkeypatch.setattr(smtplib, "SMTP", Server)
    service = email_urls.read(f"smtp://me:{PASSWORD}@mail.example")
    connection = mail.get_connection(
        service.backend,
        host=service.host,
        port=service.port,
        username=service.user,
        password=service.password,
        use_tls=service.starttls,
        use_ssl=service.tls,
        timeout=settings.EMAIL_TIMEOUT,
    )
    connection.open()
    connection.close()

    assert asked == [("mail.example", 587, 10), True, ("me", "p@ss-word")]
