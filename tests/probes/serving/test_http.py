"""Requests are bounded in time and bytes, and go to the server itself."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoglm_doctor.probes.serving.http import Call, Endpoint, get, is_ready
from autoglm_doctor.probes.serving.names import model_name
from tests.probes.serving.fake_server import serve


@pytest.fixture
def raw() -> Iterator[tuple[str, list[bytes]]]:
    """A server that answers every request with the given pieces, and leaves the connection open after them."""
    pieces: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))
    held = []

    def run() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            held.append(connection)
            connection.recv(65536)
            for piece in pieces:
                connection.sendall(piece)

    threading.Thread(target=run, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}", pieces
    for connection in (*held, listener):
        connection.close()


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([], id="takes the request and says nothing"),
        pytest.param([b"HTTP/1.1 200 OK\r\n"], id="stops in its headers"),
        pytest.param([b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"], id="stops in its body"),
        pytest.param([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"], id="stops between chunks"),
    ],
)
def test_the_time_is_bounded(raw: tuple[str, list[bytes]], pieces: list[bytes]) -> None:
    url, answer = raw
    answer.extend(pieces)
    started = time.monotonic()
    assert get(Endpoint(url), "/health", 0.3) == (None, b"")
    assert not is_ready(Endpoint(url), 0.3)
    assert time.monotonic() - started < 3


def test_no_thread_is_left(raw: tuple[str, list[bytes]]) -> None:
    before = threading.active_count()
    for _ in range(5):
        get(Endpoint(raw[0]), "/health", 0.05)
    assert threading.active_count() <= before


def test_headers_byte_by_byte_are_bounded() -> None:
    """Each byte comes in time, all of them do not: a time-out of the socket would never see it."""
    with serve(mode="drip") as server:
        started = time.monotonic()
        call = Call(Endpoint(server.url), "/v1/chat/completions", {"messages": []}, lambda *_: True)
        assert not call.wait(1.5)
        assert time.monotonic() - started < 3


def test_a_dead_process_ends_the_wait() -> None:
    with serve(mode="hang") as server:
        started = time.monotonic()
        call = Call(Endpoint(server.url), "/v1/chat/completions", {"messages": []}, lambda *_: True)
        assert not call.wait(30, lambda: time.monotonic() - started < 0.2)
        assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    ("pieces", "kind"),
    [
        pytest.param([b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"], "cut_off", id="fewer bytes than promised"),
        pytest.param([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"], "cut_off", id="in a chunk"),
        pytest.param([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"], "cut_off", id="no chunk"),
        pytest.param([b"hello, who is there?\r\n"], "not_openai", id="another protocol"),
        pytest.param([], "no_answer", id="closed without a word"),
    ],
)
def test_what_is_wrong_has_a_kind(pieces: list[bytes], kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                for piece in pieces:
                    connection.sendall(piece)

        threading.Thread(target=answer, daemon=True).start()
        call = Call(Endpoint(f"http://127.0.0.1:{listener.getsockname()[1]}"), "/health", None, lambda *_: True)
        assert call.wait(5)
        assert call.kind == kind
        assert call.trouble


@pytest.mark.parametrize("url", ["ftp://x", "127.0.0.1:80", "http://", "http://127.0.0.1:notaport", "http://[::1"])
def test_addresses_that_are_none(url: str) -> None:
    call = Call(Endpoint(url), "/health", None, lambda *_: True)
    assert call.wait(5)
    assert call.status is None
    assert call.kind


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://h:1", ""), ("http://h:1/", ""), ("http://h:1/v1", ""), ("http://h:1/v1/", ""),
        ("http://h:1/proxy/8000", "/proxy/8000"), ("https://h/a/v1", "/a"), ("http://h:1/v1/chat/completions", ""),
    ],
)  # fmt: skip
def test_the_address_may_end_as_clients_write_it(url: str, base: str) -> None:
    assert Endpoint(url).base == base


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_never_through_a_proxy(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    with serve() as server:
        assert is_ready(Endpoint(server.url), 5)


def test_the_key_is_sent(raw: tuple[str, list[bytes]]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        seen = []

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                seen.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        assert is_ready(Endpoint(f"http://127.0.0.1:{listener.getsockname()[1]}", key="sk-1"), 5)
    assert b"Authorization: Bearer sk-1\r\n" in seen[0]


def test_https(tmp_path: Path) -> None:
    """An address with TLS is understood; a certificate that nobody signed is refused, in words."""
    import ssl

    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key", "-out", "cert", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
        cwd=tmp_path, capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("no openssl")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    with serve() as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        url = server.url.replace("http:", "https:")
        call = Call(Endpoint(url), "/health", None, lambda *_: True)
        assert call.wait(5)
        assert "CERTIFICATE" in call.trouble.upper()


def test_ready_when_health_says_so() -> None:
    with serve(mode="slow-start", start_seconds=0.5) as server:
        assert not is_ready(Endpoint(server.url), 5)
        time.sleep(0.6)
        assert is_ready(Endpoint(server.url), 5)


def test_ready_without_a_health_page(raw: tuple[str, list[bytes]]) -> None:
    url, answer = raw
    answer.append(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    assert not is_ready(Endpoint(url), 1), "neither page is there"


def test_nobody_listens() -> None:
    assert not is_ready(Endpoint("http://127.0.0.1:1"), 1)


@pytest.mark.parametrize(
    ("mode", "candidates", "name"),
    [
        pytest.param("healthy", [], "autoglm-phone-9b", id="from the list"),
        pytest.param("healthy", ["other"], "autoglm-phone-9b", id="the list is right"),
        pytest.param("no-names", ["wrong", "autoglm-phone-9b"], "autoglm-phone-9b", id="an empty list: the one that answers"),
        pytest.param("no-names", ["a", "b"], "a", id="none answers"),
        pytest.param("no-names", [], "", id="nothing to try"),
    ],
)  # fmt: skip
def test_model_name(mode: str, candidates: list[str], name: str) -> None:
    with serve(mode=mode) as server:
        assert model_name(Endpoint(server.url), candidates, 5) == name


def test_model_name_of_a_server_that_hangs_is_bounded() -> None:
    with serve(mode="hang", model="x") as server:
        started = time.monotonic()
        server.settings.mode = "hang"
        assert model_name(Endpoint(server.url), ["a", "b"], 0.5) == "x"
        assert time.monotonic() - started < 3
