"""A server with an OpenAI-compatible API and a fault, in the standard library alone, so that any Python starts it.

    python fake_server.py --port 8000 --mode healthy [--first-ms 20 --token-ms 2 ...]

Its token times are exact (sleeps until a time, not for one), its prompt tokens are words plus --image-tokens a picture,
and greedy answers depend on the words and on the bytes of the picture. `Settings` and `serve` are for tests that import
it. See MODES for the faults.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import signal
import socketserver
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

MODES = {
    "healthy": "answers as AutoGLM does to prompts of its kind, and differently to different pictures",
    "bangs": "says ! for every token with status 200, as vLLM does with NaN in the weights",
    "constant": "gives everybody the same answer",
    "http500": "answers 500 to every chat",
    "hang": "takes connections to the chat and never answers",
    "drip": "sends a byte of its headers a second",
    "slow-start": "503 until --start-seconds have passed",
    "die-after": "exits with --code in the middle of the request after --requests",
    "ignores-pictures": "counts their tokens but answers the same to all",
    "drops-pictures": "neither counts nor sees them",
    "refuses-pictures": "400 in vLLM's words",
    "no-template": "400 in vLLM's words",
    "endless": "sends tokens for ever",
    "no-end": "finishes its answer and leaves the stream open",
    "stall": "sends five tokens, then nothing",
    "cut-off": "closes the connection after five tokens",
    "no-usage": "no usage in the stream, as llama-cpp-python",
    "no-usage-at-all": "no usage, streamed or not",
    "no-done": "no [DONE], usage in the last chunk, as transformers serve",
    "no-stream-options": "400 to stream_options",
    "no-extras": "422 to ignore_eos, as transformers serve",
    "no-stream": "one JSON object, streaming asked for or not",
    "html": "an HTML page with status 200",
    "empty": "status 200 and no body",
    "broken-json": "every data line is cut off",
    "bad-utf8": "bytes that are no UTF-8 between the tokens",
    "huge": "one line of 100 MB",
    "error-in-stream": "status 200, then an error as the first event",
    "not-http": "speaks another protocol",
    "no-names": "an empty list of models; answers to --model only",
    "random": "answers with other words each time",
}
ACTION = (
    '<think>This is the home screen, so I start the app.</think><answer>do(action="Launch", app="Settings")</answer>'
)
STORY = "once there was a king who had seven sons and a lake full of fish and no boat".split()  # noqa: SIM905

NO_TEMPLATE = (
    "As of transformers v4.44, default chat template is no longer allowed, so you must provide a chat template "
    "if the tokenizer does not define one. None"
)
PAGES = {
    "http500": (500, b'{"error": {"message": "Internal Server Error", "code": 500}}', "application/json"),
    "html": (200, b"<!DOCTYPE html><html><body><h1>Welcome to nginx!</h1></body></html>", "text/html"),
    "empty": (200, b"", "text/event-stream"),
}


@dataclass
class Settings:
    """Times are milliseconds unless they say otherwise."""

    mode: str = "healthy"
    port: int = 0
    model: str = "autoglm-phone-9b"
    first_ms: float = 5.0
    picture_ms: float = 0.0  # more until the first token, for each picture
    prompt_token_ms: float = 0.0  # more until the first token, for each prompt token
    token_ms: float = 1.0
    tokens_per_chunk: int = 1
    image_tokens: int = 100
    context: int = 0  # tokens that fit, prompt and answer; more is refused in vLLM's words; 0: any
    reasoning: int = 0  # so many tokens at the beginning are reasoning_content
    role_ms: float = -1.0  # a chunk with the role alone, so long after the request; negative: none
    crlf: bool = False
    comments: bool = False  # keep-alives between the chunks
    at_once: int = 0  # requests computed at the same time; the others wait; 0: all
    start_seconds: float = 5.0
    requests: int = 3
    code: int = 1
    log: str = ""  # a file whose lines are printed before the port opens
    log_delay: float = 0.0  # seconds between the lines
    die_at_start: str = ""  # a file whose lines are printed before it exits with `code` (negative: by that signal)


class Server(socketserver.ThreadingMixIn, HTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, settings: Settings, host: str = "127.0.0.1") -> None:
        self.settings = settings
        self.started = time.monotonic()
        self.chats: list[dict[str, Any]] = []  # the bodies of all chats, in their order
        self.gate = threading.Semaphore(settings.at_once or 10_000)
        super().__init__((host, settings.port), Handler)

    def handle_error(self, *_: Any) -> None: ...  # a client that leaves is no news

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        print(f"INFO:     127.0.0.1 - {format % args}", file=sys.stderr)

    def do_GET(self) -> None:
        mode = self.server.settings.mode
        if mode == "slow-start" and time.monotonic() - self.server.started < self.server.settings.start_seconds:
            self._json(503, {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}})
        elif self.path == "/health":
            self._json(200, {})
        elif self.path == "/v1/models":
            names = [] if mode == "no-names" else [self.server.settings.model]
            self._json(200, {"object": "list", "data": [{"id": name, "object": "model"} for name in names]})
        else:
            self._json(404, {"detail": "Not Found"})

    def do_POST(self) -> None:
        arrived = time.perf_counter()
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.chats.append(body)
        settings = self.server.settings
        if self.path != "/v1/chat/completions":
            self._json(404, {"detail": "Not Found"})
            return
        if settings.mode == "die-after" and len(self.server.chats) > settings.requests:
            sys.stderr.flush()
            os._exit(settings.code)
        if settings.mode in PAGES:
            self._whole(*PAGES[settings.mode])
            return
        before = getattr(self, "_" + settings.mode.replace("-", "_"), None)
        if (before is not None and before(body)) or self._too_long(body):
            return
        with self.server.gate:
            self._answer(body, arrived if not settings.at_once else time.perf_counter())

    def _too_long(self, body: dict[str, Any]) -> bool:
        settings = self.server.settings
        wanted = _prompt_tokens(settings, body) + body["max_tokens"]
        words = (
            f"This model's maximum context length is {settings.context} tokens. However, you requested {wanted} tokens"
        )
        return 0 < settings.context < wanted and self._refuse(words)

    def _hang(self, body: dict[str, Any]) -> bool:
        time.sleep(3600)
        return True

    def _drip(self, body: dict[str, Any]) -> bool:
        for byte in b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n":
            self.wfile.write(bytes([byte]))
            time.sleep(1)
        return True

    def _refuses_pictures(self, body: dict[str, Any]) -> bool:
        return bool(_pictures(body)) and self._refuse(f"{self.server.settings.model} is not a multimodal model")

    def _no_template(self, body: dict[str, Any]) -> bool:
        return self._refuse(NO_TEMPLATE)

    def _no_stream_options(self, body: dict[str, Any]) -> bool:
        return "stream_options" in body and self._refuse("Unrecognized request argument supplied: stream_options")

    def _no_extras(self, body: dict[str, Any]) -> bool:
        return "ignore_eos" in body and self._json(422, {"detail": "Unexpected fields in the request: {'ignore_eos'}"})

    def _no_names(self, body: dict[str, Any]) -> bool:
        model = self.server.settings.model
        return body["model"] != model and self._refuse(f"Server is pinned to '{model}'")

    def _huge(self, body: dict[str, Any]) -> bool:
        self._head("text/event-stream")
        with contextlib.suppress(OSError):
            for _ in range(100):
                self._piece(b"x" * 2**20)
        return True

    def _error_in_stream(self, body: dict[str, Any]) -> bool:
        self._head("text/event-stream")
        self._piece(
            b'data: {"error": {"message": "EngineCore encountered an issue.", "code": 500}}\n\ndata: [DONE]\n\n'
        )
        self._piece(b"")
        return True

    def _not_http(self, body: dict[str, Any]) -> bool:
        self.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        self.close_connection = True
        return True

    def _answer(self, body: dict[str, Any], start: float) -> None:
        settings = self.server.settings
        tokens, finish = _tokens(settings, body)
        prompt = _prompt_tokens(settings, body)
        usage = {"prompt_tokens": prompt, "completion_tokens": len(tokens)}
        first = (
            start
            + (settings.first_ms + settings.picture_ms * len(_pictures(body)) + settings.prompt_token_ms * prompt)
            / 1000
        )
        if not body.get("stream") or settings.mode == "no-stream":
            _until(first + (len(tokens) - 1) * settings.token_ms / 1000)
            message = {"role": "assistant", "content": "".join(tokens)}
            counted = {} if settings.mode == "no-usage-at-all" else {"usage": usage}
            self._json(200, {"choices": [{"index": 0, "message": message, "finish_reason": finish}], **counted})
            return
        self._head("text/event-stream; charset=utf-8")
        with contextlib.suppress(OSError):
            self._stream(body, tokens, finish, usage, start, first)

    def _stream(
        self, body: dict[str, Any], tokens: list[str], finish: str, usage: dict[str, int], start: float, first: float
    ) -> None:
        settings, mode, each = self.server.settings, self.server.settings.mode, self.server.settings.tokens_per_chunk
        if settings.role_ms >= 0:
            _until(start + settings.role_ms / 1000)
            self._event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
        done = 0
        for part in (tokens[i : i + each] for i in range(0, len(tokens), each)):
            done += len(part)
            # A chunk of several tokens is there when its last one is; the first chunk counts as the first token.
            _until(first + (0 if done == len(part) else done - 1) * settings.token_ms / 1000)
            field = "reasoning_content" if done <= settings.reasoning else "content"
            self._event({"choices": [{"index": 0, "delta": {field: "".join(part)}, "finish_reason": None}]})
            if done >= 5 and mode == "stall":
                time.sleep(3600)
            if done >= 5 and mode == "cut-off":
                self.connection.close()
                return
        counted = {"usage": usage} if mode == "no-done" else {}
        self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}], **counted})
        if mode not in ("no-done", "no-usage", "no-usage-at-all") and body.get("stream_options"):
            self._event({"choices": [], "usage": usage})
        if mode == "no-end":
            time.sleep(3600)
        if mode != "no-done":
            self._line(b"data: [DONE]")
        self._piece(b"")

    def _event(self, event: dict[str, Any]) -> None:
        if self.server.settings.comments:
            self._line(b": keep-alive")
        if self.server.settings.mode == "bad-utf8":
            self._line(b"\xff\xfe: \xc3\x28")
        whole = json.dumps({"object": "chat.completion.chunk", **event}).encode()
        self._line(b"data: " + (whole[:-5] if self.server.settings.mode == "broken-json" else whole))

    def _line(self, line: bytes) -> None:
        self._piece(line + (b"\r\n\r\n" if self.server.settings.crlf else b"\n\n"))

    def _refuse(self, words: str) -> bool:
        error = {"message": words, "type": "BadRequestError", "param": None, "code": 400}
        return self._json(400, {"error": error})

    def _json(self, status: int, value: Any) -> bool:
        return self._whole(status, json.dumps(value).encode(), "application/json")

    def _whole(self, status: int, body: bytes, kind: str) -> bool:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        return True

    def _head(self, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _piece(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()


def _until(when: float) -> None:
    """A sleep may end late, but never so that the next one begins late."""
    if (left := when - time.perf_counter()) > 0:
        time.sleep(left)


def _contents(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for message in body["messages"]:
        content = message["content"]
        yield from [{"type": "text", "text": content}] if isinstance(content, str) else content


def _text(body: dict[str, Any]) -> str:
    return "\n".join(part["text"] for part in _contents(body) if part["type"] == "text")


def _pictures(body: dict[str, Any]) -> list[str]:
    return [part["image_url"]["url"] for part in _contents(body) if part["type"] == "image_url"]


def _prompt_tokens(settings: Settings, body: dict[str, Any]) -> int:
    seen = 0 if settings.mode == "drops-pictures" else len(_pictures(body))
    return len(_text(body).split()) + 4 + seen * settings.image_tokens


def _tokens(settings: Settings, body: dict[str, Any]) -> tuple[list[str], str]:
    """The answer and why it ends."""
    most = body["max_tokens"]
    if settings.mode == "endless":
        return ["and "] * 10**6, "length"
    if settings.mode == "bangs":
        return ["!"] * most, "length"
    whole = _words(settings, body)
    if body.get("ignore_eos"):
        whole = [whole[i % len(whole)] for i in range(most)]
    return whole[:most], "length" if len(whole) >= most else "stop"


def _words(settings: Settings, body: dict[str, Any]) -> list[str]:
    text, pictures = _text(body), _pictures(body)
    if settings.mode == "constant":
        return [word + " " for word in STORY]
    if "do(action=" in text:
        return [ACTION[i : i + 4] for i in range(0, len(ACTION), 4)]
    seed = hashlib.sha256(text.encode())
    if pictures and settings.mode not in ("ignores-pictures", "drops-pictures"):
        seed.update("".join(pictures).encode())
    seed.update(os.urandom(8) if settings.mode == "random" else b"")
    digest = seed.digest()
    if pictures:
        return [STORY[byte % len(STORY)] + " " for byte in digest]
    if "capital of France" in text:
        return ["Paris ", "is ", "the ", "capital ", "of ", "France, ", "and ", "2 ", "+ ", "2 ", "is ", "4", "."]
    return [STORY[byte % len(STORY)] + " " for byte in digest * 8]


@contextlib.contextmanager
def serve(settings: Settings | None = None, **changes: Any) -> Iterator[Server]:
    """In a thread of this process, on a free port; `server.url`, `server.chats`."""
    with Server(settings or Settings(**changes)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        server.server_close()


def _print_file(path: str, delay: float) -> None:
    for line in Path(path).read_text(encoding="utf-8", errors="replace").splitlines():
        print(line, flush=True)
        time.sleep(delay)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for field in fields(Settings):
        option = "--" + field.name.replace("_", "-")
        kind: dict[str, Any] = {"action": "store_true"}
        if not isinstance(field.default, bool):
            kind = {"type": type(field.default), "choices": sorted(MODES) if field.name == "mode" else None}
        parser.add_argument(option, default=field.default, **kind)
    parser.add_argument("--host", default="127.0.0.1")
    known, _ = parser.parse_known_args()  # command lines of real engines have more words
    settings = Settings(**{name: value for name, value in vars(known).items() if name != "host"})
    if settings.log:
        _print_file(settings.log, settings.log_delay)
    if settings.die_at_start:
        _print_file(settings.die_at_start, settings.log_delay)
        if settings.code < 0:
            os.kill(os.getpid(), -settings.code)
        sys.exit(settings.code)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    with contextlib.suppress(KeyboardInterrupt), Server(settings, known.host) as server:
        print(f"INFO:     Uvicorn running on {server.url} (Press CTRL+C to quit)", flush=True)
        server.serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    main()
