"""One HTTP request that cannot hold us: bounded in time and bytes, and never through a proxy.

The standard library's http.client knows no proxies (urllib does) and follows no redirects, which is what we want: a
server on the loopback is measured itself. Its time-outs count for one `recv` only, so each request runs in a thread of
its own whose socket is shut down from outside when the time is up. Clocks are `time.perf_counter`.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

#: A listening server takes a connection at once; a firewall that drops packets would hold us for minutes.
CONNECT_SECONDS = 10.0
#: No answer that we ask for comes near it (some hundred tokens of some 300 bytes each).
MAX_BYTES = 16 * 2**20
#: How often a wait looks whether the server still lives.
POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server listens ("http://127.0.0.1:8000", with or without "/v1"), its model's name, its API key."""

    url: str
    model: str = ""
    key: str = ""

    @property
    def base(self) -> str:
        """The part of the path before /v1 and /health, "" for most."""
        try:
            path = urlsplit(self.url).path.rstrip("/")
        except ValueError:
            return ""
        return path.removesuffix("/chat/completions").removesuffix("/v1").rstrip("/")


def endpoint_key() -> str:
    """Of a server that is there: a variable of ours, so that no key of another service is sent to it."""
    return os.environ.get("AUTOGLM_DOCTOR_API_KEY", "")


class Call:
    """A request in a thread. `take(data, at)` gets each piece of the body; it returns False when that is enough.

    After `wait`: `status` (None: no answer), `kind` ("" or the kind of a ServingFailure) and `trouble` in words.
    """

    def __init__(
        self, endpoint: Endpoint, path: str, body: dict[str, Any] | None, take: Callable[[bytes, float], bool]
    ) -> None:
        """Start it: a GET without a body, a POST of JSON with one."""
        self.status: int | None = None
        self.kind = ""
        self.trouble = ""
        self.sent_at: float | None = None  # after the connection stood: as with a client that keeps its connections
        self.ended_at: float | None = None
        self.heard_at: float | None = None  # the last piece
        self.received = 0  # bytes of the body
        self._endpoint = endpoint
        self._path = endpoint.base + path
        self._body = None if body is None else json.dumps(body).encode()
        self._take = take
        self._socket: socket.socket | None = None
        self._given_up = False
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait(self, seconds: float, goes_on: Callable[[], bool] = lambda: True) -> bool:
        """Until it is over (True), or the time is up or `goes_on` says no: then it is given up."""
        until = time.perf_counter() + seconds
        while not self._done.wait(max(0.0, min(POLL_SECONDS, until - time.perf_counter()))):
            if time.perf_counter() >= until or not goes_on():
                self._give_up()
                return False
        return True

    def _give_up(self) -> None:
        self._given_up = True
        if self._socket is not None:
            with suppress(OSError):  # past SSLSocket, whose own shutdown would take its state apart under the reader
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
        self._thread.join(1.0)

    def _run(self) -> None:
        connection: http.client.HTTPConnection | None = None
        try:
            connection = _connection(self._endpoint.url)
            self._exchange(connection)
        except Exception as error:
            if not self._given_up:
                self.kind, self.trouble = self._judge(error)
        finally:
            self.ended_at = time.perf_counter()
            if connection is not None:
                with suppress(OSError):
                    connection.close()
            self._done.set()

    def _exchange(self, connection: http.client.HTTPConnection) -> None:
        connection.connect()
        self._socket = connection.sock
        if self._given_up:
            return
        connection.sock.settimeout(None)  # from here on `wait` holds the clock
        self.sent_at = time.perf_counter()
        connection.request("GET" if self._body is None else "POST", self._path, self._body, self._headers())
        response = connection.getresponse()
        self.status = response.status
        self._read(response)

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "*/*", "Connection": "close", "User-Agent": "autoglm-doctor"}
        if self._body is not None:
            headers["Content-Type"] = "application/json"
        if self._endpoint.key:
            headers["Authorization"] = f"Bearer {self._endpoint.key}"
        return headers

    def _read(self, response: http.client.HTTPResponse) -> None:
        while data := response.read1(65536):
            self.heard_at = time.perf_counter()
            self.received += len(data)
            if self._given_up or not self._take(data, self.heard_at):
                return
            if self.received > MAX_BYTES:
                self.kind, self.trouble = "endless", f"the answer has more than {MAX_BYTES // 2**20} MiB"
                return
        if response.length:  # read1 takes an early end for the end
            raise http.client.IncompleteRead(b"", response.length)

    def _judge(self, error: Exception) -> tuple[str, str]:
        words = str(error) or type(error).__name__
        if self.status is not None or isinstance(error, http.client.IncompleteRead):
            return "cut_off", "the connection ended in the middle of the answer"
        if isinstance(error, (OSError, http.client.RemoteDisconnected)):
            return "no_answer", words
        return "not_openai", f"the answer is no HTTP ({words})"


def _connection(url: str) -> http.client.HTTPConnection:
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError:
        scheme, host, port = "", None, None
    if scheme not in ("http", "https") or not host:
        raise OSError(f"{url} is no http:// or https:// address")
    kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
    return kind(host, port, timeout=CONNECT_SECONDS)


def get(endpoint: Endpoint, path: str, seconds: float) -> tuple[int | None, bytes]:
    """Status and body of a GET (at most 1 MiB of it); (None, b"") when there was no answer in time."""
    parts: list[bytes] = []

    def take(data: bytes, _at: float) -> bool:
        parts.append(data)
        return sum(map(len, parts)) < 2**20

    call = Call(endpoint, path, None, take)
    ended = call.wait(seconds)
    return (call.status, b"".join(parts)) if ended and not call.kind else (None, b"")


#: What a server says that has no /health: it may still have the rest.
_NO_HEALTH = (401, 403, 404, 405, 501)


def is_ready(endpoint: Endpoint, timeout: float) -> bool:
    """GET /health says 200; where there is no such page, GET /v1/models does. `timeout` in seconds, of both."""
    until = time.perf_counter() + timeout
    status, _ = get(endpoint, "/health", timeout)
    if status in _NO_HEALTH:
        status, _ = get(endpoint, "/v1/models", max(0.1, until - time.perf_counter()))
    return status == 200
