"""Memory and keys on a destination's pages: what is known, what is not, and what needs attention."""

import re
from dataclasses import asdict
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from activation.engine.servers import Server
from activation.models import RedisDestination, ServerLook
from tests.cast import Member

MB = 1024 * 1024
FULL = Server("r:6379", "Valkey 9.1.0", 40 * MB, 256 * MB, "noeviction", 52_318, 0, 1, 1)


def seen(destination: RedisDestination, *servers: Server, **values: object) -> None:
    """Let a control worker have seen this 40 seconds ago."""
    at = timezone.now() - timedelta(seconds=40)
    row = {"servers": [asdict(server) for server in servers], "told_at": at, "tried_at": at, **values}
    ServerLook.objects.update_or_create(destination=destination, defaults=row)


def page(member: Member, destination: RedisDestination, name: str = "destination") -> str:
    url = reverse(f"activation:{name}", kwargs={"organisation": "acme", "destination": destination.public_id})
    answer = member.client.get(url)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


@pytest.mark.parametrize("name", ["destination", "usage"])
def test_a_viewer_sees_memory_and_keys_and_when_they_were_checked(viewer, destination, name):
    history = [[1_000, 38 * MB, 50_000], [1_900, 40 * MB, 52_318]]
    seen(destination, FULL, history=history)
    text = page(viewer, destination, name)
    for words in (
        "40.0 MB of 256.0 MB (16 %)",
        "52,318",
        "noeviction",
        "Valkey 9.1.0",
        "One server",
        "1, last heard of 1 s ago",
        "Memory in use in the last day: from 38.0 MB to 40.0 MB, now 40.0 MB",
        "Keys in the last day: from 50,000 to 52,318, now 52,318",
    ):
        assert words in text
    assert re.search(r"Checked <time [^>]+>4\d seconds ago", text)
    assert "alert attention" not in text


def test_one_that_was_not_looked_at_yet_says_so(viewer, destination):
    assert "it has not looked at this one yet" in page(viewer, destination)


def test_what_a_user_may_not_ask_is_unknown_and_no_error(viewer, destination):
    seen(destination, Server("r:6379", keys=7), history=[[1, None, 7], [2, None, 7]])
    text = page(viewer, destination)
    assert text.count("<dd> unknown </dd>") == 5
    assert "+info" in text
    assert "Not reached" not in text
    assert "alert " not in text


def test_one_that_is_away_shows_what_it_told_before(viewer, destination):
    seen(destination, FULL, problem="unreachable", tried_at=timezone.now())
    text = page(viewer, destination)
    assert "Not reached" in text
    assert "Below is what it told before" in text
    assert "52,318" in text
    ServerLook.objects.update(servers=[], told_at=None)
    text = page(viewer, destination)
    assert "Not reached" in text
    assert "told before" not in text


@pytest.mark.parametrize(
    ("server", "title"),
    [
        ({"used": 250 * MB}, "Memory is nearly full"),
        ({"policy": "allkeys-lru"}, "Redis may drop profiles"),
        ({"evicted": 12}, "Redis dropped keys"),
    ],
)
def test_what_needs_attention_is_said(viewer, destination, server, title):
    seen(destination, Server(**{**asdict(FULL), **server}))
    assert title in page(viewer, destination)


def test_an_accepted_policy_is_no_news(viewer, destination):
    destination.settings["acceptEviction"] = True
    destination.save()
    seen(destination, Server(**{**asdict(FULL), "policy": "allkeys-lru"}))
    assert "may drop" not in page(viewer, destination)


def test_a_cluster_is_added_up_and_each_server_is_listed(viewer, destination):
    destination.settings["clusterMode"] = True
    destination.save()
    second = Server(**{**asdict(FULL), "where": "s:6379", "keys": 1})
    seen(destination, FULL, second)
    text = page(viewer, destination)
    assert "80.0 MB of 512.0 MB (16 %)" in text
    assert "52,319" in text
    assert "Cluster, 2 primaries" in text
    assert "s:6379" in text
    seen(destination, FULL, Server("t:6379"))
    text = page(viewer, destination)
    assert "<dt>Keys</dt> <dd> unknown" in text
