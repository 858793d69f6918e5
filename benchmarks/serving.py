"""What the measuring client says of a server, beside a plain client with time stamps; they take turns by requests.

    python benchmarks/serving.py --fake [--first-ms 150 --token-ms 8]
    python benchmarks/serving.py --url http://127.0.0.1:8000 --model NAME
    python benchmarks/serving.py --model /models/tiny -- transformers serve /models/tiny --port {port}

The other client shares no code with ours: `plain` is a socket and a clock, `openai` the package of that name. A server
that is noisy from request to request needs many rounds with those; `relay` is a clock between our client and the server
instead, which stamps the very bytes that ours gets. With --fake the server is that of tests/probes/serving, whose times
are known: then the truth is compared as well. Exit 1 when a ratio of medians is off by more than 5 %.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import select
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from autoglm_doctor.probes.serving.ask import Asker
from autoglm_doctor.probes.serving.http import Endpoint, is_ready
from autoglm_doctor.probes.serving.questions import Question

FAKE = Path(__file__).resolve().parent.parent / "tests/probes/serving/fake_server.py"
#: Issue 5, bar 2.
TOLERANCE = 0.05
WORDS = "the river went on and on past the mill and the bridge until nobody remembered how it began".split()  # noqa: SIM905


class Sample(NamedTuple):
    """One request, as one client saw it."""

    first: float  # seconds until the first token
    rate: float  # tokens a second after it


def prompt(number: int) -> str:
    """Never the same twice."""
    words = [WORDS[(number * 7 + i * (number % 5 + 1)) % len(WORDS)] for i in range(60)]
    return f"{number} {time.time_ns()} {' '.join(words)}\nGo on with this story for as long as you can."


def ours(asker: Asker, text: str, tokens: int) -> Sample:
    """Through the client of the final stage."""
    reply = asker.ask(Question("benchmark", ({"role": "user", "content": text},), tokens, fixed=True), 600)
    first, each = reply.ask.first_token_seconds, reply.per_token
    if reply.kind or first is None or each is None:
        raise SystemExit(f"our client: {reply}")
    return Sample(first, 1 / each)


def plain(endpoint: Endpoint, extras: dict[str, Any], text: str, tokens: int) -> Sample:
    """A socket and a clock. The bytes are only stamped while they come, and looked at afterwards."""
    parts = urlsplit(endpoint.url)
    body = json.dumps(_body(endpoint, extras, text, tokens)).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    stamped = []
    with socket.create_connection((parts.hostname or "", parts.port or 80)) as connection:
        start = time.perf_counter()
        connection.sendall(head.encode() + body)
        while data := connection.recv(65536):
            stamped.append((time.perf_counter() - start, data))
            if b"[DONE]" in data:
                break
    return _sample(stamped)


def _body(endpoint: Endpoint, extras: dict[str, Any], text: str, tokens: int) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {
        "model": endpoint.model,
        "messages": messages,
        "max_tokens": tokens,
        "temperature": 0,
        "stream": True,
        **extras,
    }


def _sample(stamped: list[tuple[float, bytes]]) -> Sample:
    """Each event belongs to the piece that its end came with."""
    times, pieces, count, rest = [], 0, None, b""
    for at, data in stamped:
        *events, rest = (rest + data).split(b"\n")
        for event in events:
            if b"data: {" not in event:
                continue
            value = json.loads(event[event.index(b"{") :])
            count = (value.get("usage") or {}).get("completion_tokens", count)
            delta = (value.get("choices") or [{}])[0].get("delta") or {}
            if delta.get("content") or delta.get("reasoning_content"):
                pieces += 1
                times.append(at)
    if len(times) < 2:
        raise SystemExit(f"plain client: {stamped}")
    return Sample(times[0], ((count or pieces) - 1) / (times[-1] - times[0]))


def openai_client(endpoint: Endpoint, extras: dict[str, Any], text: str, tokens: int) -> Sample:
    """The same with the `openai` package."""
    from openai import OpenAI, OpenAIError  # type: ignore[import-not-found,unused-ignore]

    client = OpenAI(base_url=endpoint.url + "/v1", api_key="none")
    more = {name: value for name, value in extras.items() if name == "ignore_eos"}
    options = {"stream_options": extras["stream_options"]} if "stream_options" in extras else {}
    with contextlib.suppress(OpenAIError):  # its connection stands before the clock runs, as a client's in use does
        client.with_options(max_retries=0).models.list()
    start = time.perf_counter()
    stream = client.chat.completions.create(
        model=endpoint.model, messages=[{"role": "user", "content": text}], max_tokens=tokens, temperature=0,
        stream=True, extra_body=more, **options,
    )  # fmt: skip
    times, count = [], None
    for chunk in stream:
        count = chunk.usage.completion_tokens if chunk.usage else count
        if chunk.choices and chunk.choices[0].delta.content:
            times.append(time.perf_counter() - start)
    return Sample(times[0], ((count or len(times)) - 1) / (times[-1] - times[0]))


def compare(
    endpoint: Endpoint, client: Callable[..., Sample], rounds: int, tokens: int
) -> tuple[list[Sample], list[Sample]]:
    """Both clients in turns, each first in every other round; after a warm-up, by which ours learns the extras."""
    asker = Asker(endpoint)
    ours(asker, prompt(0), tokens)
    extras: dict[str, Any] = {"stream_options": {"include_usage": True}} if asker.stream_options else {}
    extras.update({"ignore_eos": True} if asker.ignore_eos else {})
    client(endpoint, extras, prompt(1), tokens)
    mine, other = [], []
    for number in range(2, 2 + rounds):
        turns: list[Callable[[], None]] = [
            lambda: mine.append(ours(asker, prompt(number), tokens)),  # noqa: B023  called at once
            lambda: other.append(client(endpoint, extras, prompt(number), tokens)),  # noqa: B023
        ]
        for turn in turns if number % 2 else reversed(turns):
            turn()
    return mine, other


class Relay:
    """A clock on the wire: passes bytes on, and stamps those from the server, zero when the request came by."""

    def __init__(self, url: str) -> None:
        """Listens on a port of its own, `url`."""
        parts = urlsplit(url)
        self._server = (parts.hostname or "", parts.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.stamped: list[list[tuple[float, bytes]]] = []
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            client, _ = self._listener.accept()
            with client, socket.create_connection(self._server) as server:
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._pass(client, server)

    def _pass(self, client: socket.socket, server: socket.socket) -> None:
        heard: list[tuple[float, bytes]] = []
        start = 0.0
        while True:
            ready, _, _ = select.select([client, server], [], [])
            end = ready[0]
            data = end.recv(65536)
            now = time.perf_counter()
            if not data:
                break
            start = start or now
            if end is server:
                heard.append((now - start, data))
            (client if end is server else server).sendall(data)
        self.stamped.append(heard)


def compare_same(endpoint: Endpoint, rounds: int, tokens: int) -> tuple[list[Sample], list[Sample]]:
    """Our client and the clock on the wire, for the same requests."""
    relay = Relay(endpoint.url)
    asker = Asker(Endpoint(relay.url, endpoint.model))
    ours(asker, prompt(0), tokens)
    mine = [ours(asker, prompt(number), tokens) for number in range(1, 1 + rounds)]
    deadline = time.monotonic() + 5
    while len(relay.stamped) <= rounds and time.monotonic() < deadline:
        time.sleep(0.01)
    return mine, [_sample(stamped) for stamped in relay.stamped[-rounds:]]


@contextmanager
def running(command: list[str], port: int) -> Iterator[Endpoint]:
    """A server from its start to its end."""
    endpoint = Endpoint(f"http://127.0.0.1:{port}")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **quiet) as process:  # type: ignore[call-overload]
        try:
            deadline = time.monotonic() + 600
            while not is_ready(endpoint, 5):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"the server does not start (exit {process.returncode})")
                time.sleep(0.2)
            yield endpoint
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def free_port() -> int:
    """One that nobody had a moment ago."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def report(name: str, mine: float, other: float, unit: str) -> bool:
    """A line; True if it is within the tolerance."""
    ratio = mine / other
    is_good = abs(ratio - 1) <= TOLERANCE
    print(f"{name}: ours {mine:.2f} {unit}, {other:.2f}; ratio {ratio:.4f} {'' if is_good else 'TOO FAR'}", flush=True)
    return is_good


def judged(mine: list[Sample], other: list[Sample], truth: Sample | None) -> bool:
    """All comparisons, of medians."""
    mid = [Sample(*(statistics.median(s[i] for s in samples) for i in (0, 1))) for samples in (mine, other)]
    good = [
        report("first token, ours against plain", 1000 * mid[0].first, 1000 * mid[1].first, "ms"),
        report("tokens/s, ours against plain", mid[0].rate, mid[1].rate, "/s"),
    ]
    if truth is not None:
        good.append(report("first token, ours against the truth", 1000 * mid[0].first, 1000 * truth.first, "ms"))
        good.append(report("tokens/s, ours against the truth", mid[0].rate, truth.rate, "/s"))
    return all(good)


def main() -> None:
    """Exit 0 when all is within the tolerance."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fake", action="store_true")
    parser.add_argument("--first-ms", type=float, default=150)
    parser.add_argument("--token-ms", type=float, default=8)
    parser.add_argument("--url")
    parser.add_argument("--model", default="autoglm-phone-9b")
    parser.add_argument("--client", choices=("plain", "openai", "relay"), default="plain")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("command", nargs="*", help="after --, with {port}")
    words = parser.parse_args()
    clients: dict[str, Callable[..., Sample]] = {"plain": plain, "openai": openai_client}
    truth = Sample(words.first_ms / 1000, 1000 / words.token_ms) if words.fake else None
    port = free_port()
    fake = [
        sys.executable,
        str(FAKE),
        "--port",
        str(port),
        f"--first-ms={words.first_ms}",
        f"--token-ms={words.token_ms}",
    ]
    command = fake if words.fake else [word.replace("{port}", str(port)) for word in words.command]

    def measured(url: str) -> tuple[list[Sample], list[Sample]]:
        endpoint = Endpoint(url, words.model)
        if words.client == "relay":
            return compare_same(endpoint, words.rounds, words.tokens)
        return compare(endpoint, clients[words.client], words.rounds, words.tokens)

    if words.url:
        samples = measured(words.url)
    else:
        with running(command, port) as server:
            samples = measured(server.url)
    sys.exit(0 if judged(*samples, truth) else 1)


if __name__ == "__main__":
    main()
