"""What must not leave the machine, replaced in values (never in keys) by stable tokens.

The token of a value is the same in every report of one machine, so that two reports can be compared, and cannot be
guessed back without that machine: it is salted with the machine's own id.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

SECRET_NAME = re.compile(r"key|token|secret|passw|auth|credential", re.IGNORECASE)

#: Names that look like secrets and are none: counts of tokens, the tokenizer.
_HARMLESS_NAME = re.compile(r"tokens|tokenizer|authors|keys$|max_|num_|image_token|video_token", re.IGNORECASE)

_TOKENS = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}"
    r"|AKIA[0-9A-Z]{16}|xox[abpr]-[\w-]{10,}|ms-[0-9a-f]{8}-[0-9a-f-]{20,}|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*)"
)
_URL_CREDENTIALS = re.compile(r"(?<=://)(?!<credentials:)[^/\s:@]+(?::[^/\s@]*)?@")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}")
_UUID = re.compile(r"\b(?:GPU|MIG)-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE)
_MAC = re.compile(r"\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b", re.IGNORECASE)
# Four numbers are also a version ("cudnn 9.10.2.21"): only where the context says address, or in a private range.
_IP = re.compile(
    r"(?<![\w.=])(?:(?<=://)|(?<=@)|(?=192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.|10\.\d+\.\d+\.\d+:\d)|(?=\d+\.\d+\.\d+\.\d+:\d))"
    r"(?!127\.|0\.0\.0\.0)(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}(?![\w.])"
)
#: `--api-key VALUE` and `--api-key=VALUE` inside a sentence or a command line.
_FLAG_IN_TEXT = re.compile(
    r"(?P<head>(?<!\S)--?(?P<name>[\w-]+)(?:=|\s+))(?P<value>'[^']*'|\"[^\"]*\"|[^\s'\"-][^\s]*)"
)

#: `"api_key": "VALUE"` inside a flag's JSON, with its quotes escaped or not.
_JSON_SECRET = re.compile(r"""(?P<head>\\?["'](?P<name>[\w-]+)\\?["']\s*:\s*\\?["'])(?P<value>[^"'\\]+)""")

_FLAG = re.compile(r"^--?[\w-]*(?:key|token|secret|passw|auth)[\w-]*$", re.IGNORECASE)


class Redactor:
    """Replaces values and counts which rules hit."""

    def __init__(self, environ: Mapping[str, str] | None = None, salt: str | None = None) -> None:
        """Learn the names and secrets of an environment (the process's own by default)."""
        environ = os.environ if environ is None else environ
        self._salt = _machine_salt() if salt is None else salt
        self.hits: dict[str, int] = {}
        self._words = _known_words(environ)
        self._secrets = sorted(
            {v for k, v in environ.items() if is_secret_name(k) and len(v) >= 8}, key=len, reverse=True
        )

    def learn(self, words: Sequence[str], host: str = "") -> None:
        """Remember the secrets of a command line, so that they are found wherever they are quoted.

        A flag may take several (`--api-key A B`); a value under four characters would hit ordinary words and is only
        replaced beside its flag. `host` is an address of this machine, hidden unless it is the loopback or any address.
        """
        secret = False
        for word in words:
            flag, equals, value = word.partition("=")
            if word.startswith("-"):
                secret = is_secret_name(flag) and bool(_FLAG.match(flag))
                self._remember(value if secret and equals else "")
            elif equals and re.fullmatch(r"\w+", flag) and is_secret_name(flag):
                self._remember(value)
            elif secret:
                self._remember(word)
        if re.fullmatch(r"\d+(\.\d+){3}", host) and not host.startswith(("127.", "0.")):
            self._words.append(("ip", re.compile(rf"(?<![\d.]){re.escape(host)}(?![\d.])")))

    def _remember(self, value: str) -> None:
        if len(value) >= 4 and value not in self._secrets:
            self._secrets = sorted([*self._secrets, value], key=len, reverse=True)

    def data(self, value: Any, name: str = "") -> Any:
        """A JSON tree with its string values redacted; keys and everything that is no string stay."""
        if isinstance(value, dict):
            return {key: self.data(item, key) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return self._words_of_command([self.data(item, name) for item in value])
        if isinstance(value, str):
            if value and is_secret_name(name):
                return self._token("secret", value)
            return self.text(value, versions="version" in name or name in ("requires", "requires_python"))
        return value

    def text(self, text: str, *, versions: bool = False) -> str:
        """One string. `versions`: it holds version numbers, which may look like addresses."""
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, self._token("secret", secret))
        text = _FLAG_IN_TEXT.sub(self._named, text)
        text = _JSON_SECRET.sub(self._named, text)
        text = self._sub("token", _TOKENS, text)
        text = self._sub("credentials", _URL_CREDENTIALS, text, suffix="@")
        text = _BEARER.sub(lambda m: f"{m[1]} {self._token('token', m[0])}", text)
        text = self._sub("gpu", _UUID, text)
        text = self._sub("mac", _MAC, text)
        if not versions:
            text = self._sub("ip", _IP, text)
        for kind, pattern in self._words:
            text = self._sub(kind, pattern, text)
        return text

    def _words_of_command(self, words: list[Any]) -> list[Any]:
        """`--api-key A B`, `--api-key=A` and `TOKEN=A` in a list of words."""
        done: list[Any] = []
        secret = False
        for word in words:
            if not isinstance(word, str):
                done.append(word)
                continue
            flag, equals, value = word.partition("=")
            named = is_secret_name(flag) and bool(_FLAG.match(flag) or re.fullmatch(r"\w+", flag))
            if word.startswith("-"):
                secret = named and not equals
            if equals and named and value:
                done.append(f"{flag}={self._token('secret', value)}")
            else:
                done.append(self._token("secret", word) if secret and not word.startswith("-") else word)
        return done

    def _named(self, match: re.Match[str]) -> str:
        """A value that stands behind the name of a secret."""
        if not is_secret_name(match["name"]) or match["value"].startswith("<secret:"):
            return match[0]
        return match["head"] + self._token("secret", match["value"])

    def _sub(self, kind: str, pattern: re.Pattern[str], text: str, suffix: str = "") -> str:
        replace: Callable[[re.Match[str]], str] = lambda m: self._token(kind, m[0]) + suffix  # noqa: E731
        return pattern.sub(replace, text)

    def _token(self, kind: str, value: str) -> str:
        if re.fullmatch(r"<\w+:[0-9a-f]{8}>", value):
            return value  # redacted before: a report judged again keeps its tokens
        self.hits[kind] = self.hits.get(kind, 0) + 1
        return f"<{kind}:{hashlib.sha256(f'{self._salt}/{kind}/{value}'.encode()).hexdigest()[:8]}>"


def is_secret_name(name: str) -> bool:
    """Whether a variable, flag or key of that name holds something secret."""
    return bool(SECRET_NAME.search(name)) and not _HARMLESS_NAME.search(name.replace("-", "_"))


def _machine_salt() -> str:
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        try:
            return Path(path).read_text(encoding="ascii", errors="replace").strip() or socket.gethostname()
        except OSError:
            continue
    return socket.gethostname()


def _known_words(environ: Mapping[str, str]) -> list[tuple[str, re.Pattern[str]]]:
    """Home folders, the user's and the host's name. Short and common names would hit ordinary words: left alone."""
    rules: list[tuple[str, re.Pattern[str]]] = [
        # The part of a path that names a person, whoever it is: reports also show other users' processes.
        ("user", re.compile(r"(?<=/home/)[^/\s:'\"<>]+")),
        ("user", re.compile(r"(?<=/Users/)[^/\s:'\"<>]+")),
    ]
    try:
        user = environ.get("USER") or environ.get("LOGNAME") or getpass.getuser()
    except (KeyError, OSError):
        user = ""
    for kind, word in (("user", user), ("host", socket.gethostname())):
        if len(word) >= 4 and word not in ("root", "user", "localhost", "ubuntu", "admin"):
            rules.append((kind, re.compile(rf"(?<![\w.-]){re.escape(word)}(?![\w-])")))
    return rules
