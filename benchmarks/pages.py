"""The pages of a large organisation: how long the server takes for each, and what each weighs.

200 projects, 1,000 syncs, a month of usage, in the demo under `manage.py up` (SQLite, one web process). Every kind of
page that links lead to is asked for over one connection, as often as told; the time is until the last byte.
"""

import html
import http.client
import re
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from django.urls import Resolver404, resolve

from tests.processes import Up

PROJECTS, RUNS = 200, 1_000
TIMES = 20
OVERVIEW = "/o/northwind-outdoor/"
EACH_KIND = 2  # addresses of a kind of page
_HREF = re.compile(r'<a [^>]*?href="(/[^"#]*)')
_NOT_PAGES = ("/static/", "/help/", "/docs/", "/v1/", "/v2/")


@dataclass
class Kind:
    """One kind of page, by the name of its address."""

    name: str
    paths: list[str] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)
    bytes: int = 0

    @property
    def p95(self) -> float:
        return statistics.quantiles(self.ms, n=20)[-1]


class Visitor:
    """The Admin's browser, without a cache and without pictures."""

    def __init__(self, url: str, session: str) -> None:
        address = urlsplit(url)
        self._connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=30)
        self._headers = {
            "Host": address.netloc,
            "Cookie": f"activation_session={session}",
            "Accept-Encoding": "gzip",
        }

    def get(self, path: str, *, plain: bool = False) -> tuple[int, bytes, float]:
        """Return status, body and the milliseconds until its last byte."""
        headers = {**self._headers, "Accept-Encoding": "identity"} if plain else self._headers
        began = time.perf_counter()
        self._connection.request("GET", path, headers=headers)
        answer = self._connection.getresponse()
        body = answer.read()
        return answer.status, body, (time.perf_counter() - began) * 1_000


def run(folder: Path) -> None:
    """Print each kind of page with its p50 and p95, slowest first, and the p95 of all."""
    with Up(folder / "pages") as up:
        up.facts()  # returns once the demo answers
        filled = up.manage(
            "shell", "-v", "0", "-c",
            f"from benchmarks import page_rows; print(page_rows.fill(projects={PROJECTS}, runs={RUNS}))",
        )  # fmt: skip
        assert filled.returncode == 0, filled.stderr
        visitor = Visitor(up.url, filled.stdout.split()[-1])
        kinds = list(_kinds(visitor, OVERVIEW))
        for _ in range(TIMES):
            for kind in kinds:
                for path in kind.paths:
                    status, body, ms = visitor.get(path)
                    assert status == 200, (status, path)
                    kind.ms.append(ms)
                    kind.bytes = max(kind.bytes, len(body))
    _report(kinds)


def _kinds(visitor: Visitor, start: str) -> Iterator[Kind]:
    """Follow links from the overview until no new kind of page comes."""
    found: dict[str, Kind] = {}
    todo, seen = [start], {start}
    while todo:
        path = todo.pop(0)
        status, body, _ = visitor.get(path, plain=True)
        if status != 200 or not body.lstrip().startswith(b"<!DOCTYPE"):
            continue
        name = resolve(urlsplit(path).path).view_name
        kind = found.setdefault(name, Kind(name))
        kind.paths.append(path)
        for href in _HREF.findall(html.unescape(body.decode())):
            if href not in seen and not href.startswith(_NOT_PAGES) and _wanted(href, found):
                seen.add(href)
                todo.append(href)
    yield from found.values()


def _wanted(href: str, found: dict[str, Kind]) -> bool:
    try:
        name = resolve(urlsplit(href).path).view_name
    except Resolver404:
        return False
    return name not in found or len(found[name].paths) < EACH_KIND


def _report(kinds: list[Kind]) -> None:
    everything = [ms for kind in kinds for ms in kind.ms]
    print(f"\npages of {PROJECTS} projects and {RUNS:,} syncs, {len(kinds)} kinds, {TIMES} times each, one connection")
    print(f"  all: p50 {statistics.median(everything):.0f} ms, p95 {statistics.quantiles(everything, n=20)[-1]:.0f} ms")
    for kind in sorted(kinds, key=lambda each: -each.p95)[:12]:
        print(
            f"  {kind.name:40} p50 {statistics.median(kind.ms):6.1f} ms  p95 {kind.p95:6.1f} ms  "
            f"{kind.bytes / 1_000:5.1f} KB"
        )
