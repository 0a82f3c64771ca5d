"""The pages of a large organisation: how long the server takes for each, and what each weighs.

200 projects, 1,000 syncs, a month of usage, in the demo under `manage.py up` (SQLite, one web process). Every kind of
page that links lead to is asked for over one connection, as often as told; the time is until the last byte, the CPU
that of all threads of the web process meanwhile, which tells more than the time while other programs work.
"""

import html
import http.client
import re
import statistics
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from django.urls import Resolver404, resolve

from benchmarks import machine
from tests.processes import Up

PROJECTS, RUNS = 200, 1_000
TIMES = 20
LIMIT = 100.0  # milliseconds of p95
SHOWN = 12  # kinds of page, those that take most CPU
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
    cpu: list[float] = field(default_factory=list)
    bytes: int = 0


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
        web = _web_process(up)
        for turn in range(TIMES):
            for kind in kinds:
                path = kind.paths[turn % len(kind.paths)]
                before = machine.cpu_ms(web)
                status, body, ms = visitor.get(path)
                assert status == 200, (status, path)
                kind.ms.append(ms)
                kind.cpu.append(machine.cpu_ms(web) - before)
                kind.bytes = max(kind.bytes, len(body))
    _report(kinds)


def _web_process(up: Up) -> int:
    """Find the process that answers: the one behind the parent that listens."""
    [parent] = [pid for pid in up.children() if "config.serve" in machine.command(pid)]
    return max(machine.children(parent), key=machine.cpu_ms)


def _kinds(visitor: Visitor, start: str) -> Iterator[Kind]:
    """Follow links from the overview until no new kind of page comes."""
    found: dict[str, Kind] = {}
    todo, seen = deque([start]), {start}
    while todo:
        path = todo.popleft()
        name = _name(path)
        if name is None or (name in found and len(found[name].paths) == EACH_KIND):
            continue  # a page links to hundreds of a kind
        status, body, _ = visitor.get(path, plain=True)
        if status != 200 or not body.lstrip().startswith(b"<!DOCTYPE"):
            continue
        found.setdefault(name, Kind(name)).paths.append(path)
        links = {href for href in _HREF.findall(html.unescape(body.decode())) if not href.startswith(_NOT_PAGES)}
        todo.extend(sorted(links - seen))
        seen |= links
    yield from found.values()


def _name(path: str) -> str | None:
    try:
        return str(resolve(urlsplit(path).path).view_name)
    except Resolver404:
        return None


def _report(kinds: list[Kind]) -> None:
    print(f"\npages of {PROJECTS} projects and {RUNS:,} syncs, {len(kinds)} kinds, {TIMES} times each, one connection")
    print(f"  {'':32} {'p50':>9}  {'p95':>9}  {'CPU p50':>9}  {'CPU p95':>9}  {'gzipped':>8}")
    everything = Kind("all", ms=[ms for kind in kinds for ms in kind.ms], cpu=[ms for kind in kinds for ms in kind.cpu])
    everything.bytes = max(kind.bytes for kind in kinds)
    for kind in [everything, *sorted(kinds, key=lambda kind: -statistics.median(kind.cpu))[:SHOWN]]:
        times = (statistics.median(kind.ms), _p95(kind.ms), statistics.median(kind.cpu), _p95(kind.cpu))
        told = "  ".join(f"{ms:6.1f} ms" for ms in times)
        print(f"  {kind.name:32} {told}  {kind.bytes / 1_000:5.1f} KB")
    for what, over in (
        ("time", [kind.name for kind in kinds if _p95(kind.ms) > LIMIT]),
        ("CPU", [kind.name for kind in kinds if _p95(kind.cpu) > LIMIT]),
    ):
        print(f"  p95 of {what} above {LIMIT:.0f} ms: {len(over)} kinds {', '.join(over)}")


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]
