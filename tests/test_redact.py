"""Values are redacted, keys never; what only looks like a secret stays."""

from __future__ import annotations

import json
import re

import pytest

from autoglm_doctor.redact import Redactor

ENVIRON = {"USER": "maria.keller", "MY_SERVICE_TOKEN": "correct-horse-battery", "HOME": "/home/maria.keller"}
TOKEN = re.compile(r"<\w+:[0-9a-f]{8}>")


def redact(value: object, name: str = "") -> object:
    return Redactor(ENVIRON, salt="s").data(value, name)


@pytest.mark.parametrize(
    ("value", "secret"),
    [
        pytest.param("hf_AbCdEfGhIjKlMnOpQrStUv", "hf_AbCd", id="a hub token"),
        pytest.param("using sk-proj-abcdefghijklmnop1234", "abcdefghijkl", id="an API key"),
        pytest.param("http://bob:pass@proxy:3128", "bob:pass", id="credentials in a URL"),
        pytest.param("http://10.1.2.3:8080/v1", "10.1.2.3", id="an address in a URL"),
        pytest.param("node 192.168.7.9 is down", "192.168.7.9", id="a private address"),
        pytest.param("/home/maria.keller/models", "maria", id="the home folder"),
        pytest.param("/home/somebody.else/x", "somebody", id="another one's home folder"),
        pytest.param("GPU-1f2e3d4c-1111-2222-3333-444455556666", "1f2e3d4c", id="the id of a GPU"),
        pytest.param("de:ad:be:ef:00:01", "de:ad:be", id="a network card"),
        pytest.param("it said correct-horse-battery", "horse", id="the value of a secret variable"),
        pytest.param(["serve", "--api-key", "abc"], '"abc"', id="a secret flag"),
        pytest.param(["serve", "--api-key=abc"], "=abc", id="a secret flag with an equals sign"),
        pytest.param(["--api-key", "k1-first", "k2-second", "--port", "8"], "k2-second", id="several values of a flag"),
        pytest.param("vllm serve m --port 8001 --api-key abc", "abc", id="a flag in a pasted line"),
        pytest.param("--hf-token=abc is wrong", "abc", id="a flag in a sentence"),
        pytest.param(["--override", '{"api_key": "abc", "n": 1}'], "abc", id="a key inside of a flag's JSON"),
        pytest.param("""x '{"api_key":"abc"}' y""", "abc", id="the same in a quoted line"),
        pytest.param(["MY_TOKEN=abc", "vllm"], "=abc", id="a secret assignment"),
        pytest.param({"AWS_SECRET_ACCESS_KEY": "zzz"}, "zzz", id="a secret key of an object"),
    ],
)
def test_secrets_go(value: object, secret: str) -> None:
    text = json.dumps(redact(value))
    assert secret not in text
    assert TOKEN.search(text)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("nvidia-cudnn-cu12==9.10.2.21", id="a version of four numbers in a requirement"),
        pytest.param("cuDNN 9.10.2.21 is installed", id="and in a sentence"),
        pytest.param("http://127.0.0.1:8000", id="the loopback address"),
        pytest.param("0.0.0.0", id="any address"),
        pytest.param(["--max-num-batched-tokens", "2048"], id="a flag that counts tokens"),
        pytest.param(["--tokenizer", "org/m"], id="the tokenizer"),
        pytest.param("vllm serve m --max-num-batched-tokens 2048 --tokenizer org/m", id="and in a line"),
        pytest.param("the --api-key --port 8", id="a secret flag without a value"),
        pytest.param({"image_token_id": 151343, "max_tokens": 5}, id="numbers"),
        pytest.param("/usr/lib/x86_64-linux-gnu/libcuda.so.1", id="a system path"),
        pytest.param("", id="nothing"),
    ],
)
def test_the_rest_stays(value: object) -> None:
    assert redact(value) == value


def test_keys_are_never_touched() -> None:
    value = {"maria.keller": 1, "canonical_root": {"10.1.2.3:80": "x"}}
    assert redact(value) == value


def test_a_value_has_one_token_per_machine() -> None:
    first, second = redact("http://10.1.2.3:1"), redact("to http://10.1.2.3:2")
    assert TOKEN.search(str(first))[0] == TOKEN.search(str(second))[0]  # type: ignore[index]
    assert Redactor(ENVIRON, salt="other").text("http://10.1.2.3:1") != first


def test_redacting_twice_changes_nothing() -> None:
    once = redact(["http://bob:pw@h:1/v1", "--api-key", "abc", "/home/maria.keller"])
    assert redact(once) == once


def test_what_a_command_says_is_secret_everywhere() -> None:
    redactor = Redactor(ENVIRON, salt="s")
    redactor.learn(["vllm", "serve", "m", "--api-key", "alpha-1", "beta-2", "--port", "80"], host="203.0.113.77")
    text = redactor.text("KeyError: 'beta-2' at 203.0.113.77, not alpha-1; port 80")
    assert "beta" not in text
    assert "alpha" not in text
    assert "203" not in text
    assert "port 80" in text
