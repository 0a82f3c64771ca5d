"""What a WSGI callable is told of a request, and what of its answer a client gets; over a real connection."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import Any

import pytest

from config import body_lengths
from config.embedded import free_port
from config.front import SENT_AT_ONCE
from tests.config import echo_app
from tests.processes import ROOT

BEGINS_WITHIN = 60.0


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-m", "config.serve", "--application", "tests.config.echo_app:application"]
    command += ["--port", str(port), "--unready-for", "0", "--drain-for", "1", "--log-level", "critical"]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ)
    until = time.monotonic() + BEGINS_WITHIN
    try:
        while True:
            with suppress(OSError):
                assert ask(port, "GET", "/").status == 201
                break
            assert time.monotonic() < until, "it did not begin"
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def ask(port: int, method: str, path: str, *, body: Any = None, headers: dict[str, str] | None = None) -> Any:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        answer.text = answer.read()  # type: ignore[attr-defined]  # kept for the test
        return answer


def sent(port: int, *lines: str, body: bytes = b"") -> dict[str, str]:
    """Send lines as they are, and return the environment that the callable got."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + body)
        received = b""
        while piece := client.recv(65_536):
            received += piece
    environ: dict[str, str] = json.loads(received.partition(b"\r\n\r\n")[2])
    return environ


def test_a_request_is_told_as_wsgi_says(port):
    environ = sent(
        port,
        "POST /a%20b/%C3%A9%3F?q=%20y&z HTTP/1.1",
        f"Host: example.com:{port}",
        "Content-Type: text/plain",
        "Content-Length: 2",
        "X-Own: 1",
        "x-own: 2",
        "Cookie: a=1",
        "Cookie: b=2",
        "X-Empty:",
        body=b"{}",
    )
    assert environ["REQUEST_METHOD"] == "POST"
    assert environ["PATH_INFO"].encode("latin-1").decode() == "/a b/é?"
    assert environ["QUERY_STRING"] == "q=%20y&z"
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("127.0.0.1", str(port))
    assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]) == ("127.0.0.1", "http")
    assert environ["HTTP_HOST"] == f"example.com:{port}"
    assert (environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"]) == ("text/plain", "2")
    assert (environ["HTTP_X_OWN"], environ["HTTP_COOKIE"], environ["HTTP_X_EMPTY"]) == ("1,2", "a=1; b=2", "")


def test_a_header_does_not_pass_for_another_one(port):
    environ = sent(port, "GET / HTTP/1.1", "Host: x", "X_Forwarded_For: 192.0.2.1", "Content_Length: 5")
    assert not {"HTTP_X_FORWARDED_FOR", "CONTENT_LENGTH", "HTTP_CONTENT_LENGTH"} & environ.keys()


@pytest.mark.parametrize("query", ["", "?taken"])
@pytest.mark.parametrize("length", [0, 1, body_lengths.SHORT, body_lengths.SHORT + 1, 3_000_000])
def test_a_body_of_any_length_comes_whole(port, length, query):
    assert json.loads(ask(port, "POST", f"/body{query}", body=b"x" * length).text) == length


def test_a_body_of_unknown_length_comes_whole(port):
    pieces = [b"x" * 100_000, b"y", b"z" * 70_000]
    assert json.loads(ask(port, "POST", "/body", body=iter(pieces)).text) == 170_001
    assert json.loads(ask(port, "POST", "/body", body=iter([])).text) == 0


def test_a_long_body_that_breaks_off_is_none_that_ended(port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nabc")
        time.sleep(0.2)
    until = time.monotonic() + 10
    while "body" not in json.loads(ask(port, "GET", "/closed").text):
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize("path", ["/", "/short", "/large", "/slow"])
def test_a_head_has_no_body_by_http_2_either(port, path):
    command = [
        "curl",
        "--silent",
        "--show-error",
        "--http2-prior-knowledge",
        "--head",
        f"http://127.0.0.1:{port}{path}",
    ]
    told = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
    assert told.startswith("HTTP/2 20")


def test_an_answer_comes_as_it_was_given(port):
    answer = ask(port, "GET", "/")
    assert (answer.status, answer.getheader("content-type")) == (201, "application/json")
    assert answer.headers.get_all("x-two") == ["1", "2"]
    assert answer.getheader("content-length") == str(len(answer.text))
    head = ask(port, "HEAD", "/")
    assert (head.status, head.text) == (201, b"")
    assert int(head.getheader("content-length")) > 100


def test_a_large_answer_of_told_length_comes_whole(port):
    answer = ask(port, "GET", "/large")
    assert len(answer.text) == echo_app.PIECES * len(echo_app.PIECE) > SENT_AT_ONCE
    assert answer.getheader("content-length") == str(len(answer.text))


def test_pieces_are_sent_when_they_are_there(port):
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", "/slow?whole")
        answer = connection.getresponse()
        assert answer.read1() == b"first,"
        began = time.monotonic()
        assert answer.read() == b"last"
        assert time.monotonic() - began > echo_app.BETWEEN / 2
    assert "whole" in json.loads(ask(port, "GET", "/closed").text)


def test_an_answer_whose_client_left_is_closed(port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"GET /slow?left HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(1000)
    until = time.monotonic() + 10
    while "left" not in json.loads(ask(port, "GET", "/closed").text):
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize("how", ["RuntimeError", "StopIteration", "SystemExit"])
def test_a_callable_that_fails_costs_one_answer(port, how):
    assert ask(port, "GET", f"/fails?{how}").status == 500
    assert ask(port, "GET", "/").status == 201


def test_many_requests_are_at_work_at_once(port):
    with ThreadPoolExecutor(8) as callers:
        began = time.monotonic()
        answers = list(callers.map(lambda number: ask(port, "GET", f"/slow?{number}").text, range(8)))
        assert answers == [b"first,last"] * 8
        assert time.monotonic() - began < 8 * echo_app.BETWEEN


def test_the_loop_answers_first(port):
    assert ask(port, "GET", "/loop").text == b"loop"
