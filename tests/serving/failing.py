"""Starts that fail, each for one reason, and the cause that the doctor must name.

`real` servers fail by themselves. What they cannot be brought to show is shown by a server of ours under a real one's name
(tests/probes/serving/fake_server.py), in the words and with the faults of the real ones.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.serving.damage import (
    NAN,
    PAGE,
    POINTER,
    SHARD,
    Damage,
    config,
    cut,
    cut_file,
    fill_tensor,
    large_vocabulary,
    leave_out,
    overwrite,
    remove,
    replace_in_file,
    text_config,
    write,
    zeros,
)
from tests.serving.running import LLAMA_SERVER, TRANSFORMERS, Place
from tests.serving.words import WITH_PICTURES

Words = Callable[[str], list[str]]  # the model's path -> the command after `--`

FAKE_SERVER = Path(__file__).parents[1] / "probes" / "serving" / "fake_server.py"
_LAYER = "model.language_model.layers.0."


@dataclass(frozen=True, kw_only=True)
class Start:
    """One row."""

    name: str
    cause: str  # the first one of the verdict
    model: str = "glm4v"  # "glm4v", "llama" or "gguf"
    damage: Damage | None = None
    words: Words
    alone: str = ""  # what the stage calls it when no other check is asked
    mistaken: str = ""  # what the doctor still gets wrong about it
    status: str = "fail"  # "warn" where the doctor may not be sure
    prepare: Callable[[Place], None] | None = None
    options: tuple[str, ...] = ()
    sample: bool = False  # also in the fast suite


def _transformers(path: str) -> list[str]:
    return [str(TRANSFORMERS), "serve", path, "--device", "cpu"]


def _llama(path: str) -> list[str]:
    return [str(LLAMA_SERVER), "-m", path, "-ngl", "0", "--threads", "1"]


def _with(words: Words, *more: str) -> Words:
    return lambda path: [*words(path), *more]


def _under(words: Words, *wrapper: str) -> Words:
    return lambda path: [*wrapper, *words(path)]


def _broken(name: str, cause: str, damage: Damage, sample: bool = False, alone: str = "", mistaken: str = "") -> Start:
    return Start(
        name=name, cause=cause, damage=damage, words=_transformers, alone=alone, sample=sample, mistaken=mistaken
    )


def _gguf(name: str, cause: str, damage: Damage | None, words: Words = _llama, sample: bool = False) -> Start:
    return Start(name=name, cause=cause, model="gguf", damage=damage, words=words, sample=sample)


FOLDERS = (
    _broken("a shard is cut off", "MODEL_FILE_TRUNCATED", cut(SHARD, 0.5), sample=True),
    _broken("a shard lacks its last byte", "MODEL_FILE_TRUNCATED", cut(SHARD, 0.999999)),
    _broken("a shard is missing", "MODEL_SHARD_MISSING", remove(SHARD)),
    _broken("a shard is an LFS pointer", "MODEL_FILES_LFS_POINTER", write(SHARD, POINTER)),
    _broken("a shard is a web page", "MODEL_FILES_LFS_POINTER", write(SHARD, PAGE)),
    _broken("a shard has no bytes", "MODEL_FILE_TRUNCATED", write(SHARD, "")),
    _broken("a shard is all zeros", "MODEL_FILE_TRUNCATED", zeros(SHARD)),
    _broken(
        "no weights at all",
        "MODEL_SHARD_MISSING",
        remove(SHARD, SHARD.replace("2-of", "1-of"), "model.safetensors.index.json"),
    ),
    _broken("no config.json", "MODEL_CONFIG_BROKEN", remove("config.json"), alone="MODEL_CONFIG_WRONG"),
    _broken("config.json is cut off", "MODEL_CONFIG_BROKEN", cut("config.json", 0.5), alone="MODEL_FILES_INCOMPLETE"),
    _broken("an unknown model type", "TRANSFORMERS_TOO_OLD_FOR_MODEL", config(model_type="glm9v"), sample=True),
    _broken("another vocabulary than the weights'", "MODEL_CONFIG_WRONG", text_config(vocab_size=1024)),
    _broken("another inner size than the weights'", "MODEL_CONFIG_WRONG", text_config(intermediate_size=128)),
    _broken("a type of numbers that torch has not", "MODEL_CONFIG_WRONG", config(dtype="bfloat17")),
    _broken(
        "tensors are missing",
        "MODEL_TENSORS_MISSING",
        leave_out(f"{_LAYER}self_attn.q_proj.weight", f"{_LAYER}mlp.down_proj.weight"),
    ),
    _broken("NaN in the weights", "MODEL_OUTPUT_WRONG", fill_tensor(f"{_LAYER}mlp.down_proj.weight", NAN)),
    _broken("a head of zeros", "MODEL_OUTPUT_WRONG", fill_tensor("lm_head.weight", bytes(2))),
    _broken(
        "no tokenizer",
        "MODEL_TOKENIZER_MISSING",
        remove("tokenizer.json", "tokenizer_config.json"),
        alone="MODEL_FILES_INCOMPLETE",
    ),
    _broken(
        "the tokenizer is cut off", "MODEL_CONFIG_BROKEN", cut("tokenizer.json", 0.5), alone="MODEL_FILES_INCOMPLETE"
    ),
    _broken(
        "the tokenizer is an LFS pointer",
        "MODEL_FILES_LFS_POINTER",
        write("tokenizer.json", POINTER),
        alone="MODEL_FILES_INCOMPLETE",
    ),
    _broken(
        "no preprocessor", "MODEL_PROCESSOR_MISSING", remove("preprocessor_config.json"), alone="MODEL_FILES_INCOMPLETE"
    ),
    _broken("no chat template", "CHAT_TEMPLATE_MISSING", remove("chat_template.jinja")),
    _broken("a chat template with a syntax error", "CHAT_TEMPLATE_WRONG", write("chat_template.jinja", "{% for %}")),
    _broken(
        "a chat template without pictures",
        "CHAT_TEMPLATE_WRONG",
        write("chat_template.jinja", WITH_PICTURES.replace("<|image|>", "")),
    ),
)

GGUFS = (
    _gguf("a GGUF file is cut off", "MODEL_FILE_TRUNCATED", cut_file(0.5), sample=True),
    _gguf("a GGUF file is a pointer", "MODEL_FILES_LFS_POINTER", lambda file: overwrite(file, POINTER)),
    _gguf("a GGUF file has no bytes", "MODEL_FILE_TRUNCATED", cut_file(0.0)),
    _gguf(
        "a GGUF file of an unknown architecture",
        "ENGINE_TOO_OLD_FOR_MODEL",
        replace_in_file(b"\x05\0\0\0\0\0\0\0llama\x0c\0\0\0", b"\x05\0\0\0\0\0\0\0lamma\x0c\0\0\0"),
    ),
    _gguf(
        "a tensor of a GGUF file is missing",
        "MODEL_TENSORS_MISSING",
        replace_in_file(b"blk.1.ffn_down.weight", b"blk.1.ffn_dawn.weight"),
    ),
    _gguf("a flag that llama.cpp has not", "UNKNOWN_FLAG", None, _with(_llama, "--enforce-eager"), sample=True),
    _gguf("a value that llama.cpp does not take", "UNKNOWN_FLAG", None, _with(_llama, "--cache-type-k", "q9_9")),
)


def _stubborn(place: Place) -> None:
    """A start script that passes on everything but the port, for which it has one of its own that is taken."""
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    holder.listen()
    place.holders.append(holder)
    script = f"""#!/bin/sh
words=
while [ $# -gt 0 ]; do
  case $1 in --port) shift ;; *) words="$words $1" ;; esac
  shift
done
exec $words --port {holder.getsockname()[1]}
"""
    place.program("keep-port", script)


#: Enough to import torch, and not for two tables of 1 GB.
LITTLE_MEMORY = 2_500_000_000

LIMITS = (
    Start(
        name="too little memory",
        cause="RAM_TOO_SMALL",
        words=_under(_transformers, "prlimit", f"--as={LITTLE_MEMORY}"),
        damage=large_vocabulary(8_000_000),
        model="llama",
    ),
    Start(
        name="killed while it starts",
        cause="RAM_TOO_SMALL",
        words=_under(_transformers, "timeout", "-s", "KILL", "2"),
    ),
    Start(
        name="the port of transformers serve is taken",
        cause="PORT_IN_USE",
        words=_under(_transformers, "keep-port"),
        prepare=_stubborn,
    ),
    Start(
        name="the port of llama.cpp is taken",
        cause="PORT_IN_USE",
        model="gguf",
        words=_under(_llama, "keep-port"),
        prepare=_stubborn,
        sample=True,
    ),
    Start(
        name="a flag that transformers serve has not",
        cause="UNKNOWN_FLAG",
        words=_with(_transformers, "--max-model-len", "4096"),
    ),
    Start(
        name="a program that is not there",
        cause="COMMAND_NOT_FOUND",
        words=lambda path: ["/opt/nowhere/bin/transformers", "serve", path, "--device", "cpu"],
    ),
)


def _fake(*words: str) -> Callable[[Place], None]:
    """`transformers serve` is a server of ours in this interpreter, started with these words."""

    def prepare(place: Place) -> None:
        script = f"""#!{sys.executable}
import runpy, sys
sys.argv = [{str(FAKE_SERVER)!r}, "--model", sys.argv[2], *{list(words)!r}, *sys.argv[3:]]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
        place.program("transformers", script)

    return prepare


def _said(
    name: str,
    cause: str,
    mode: str,
    *more: str,
    options: tuple[str, ...] = (),
    sample: bool = False,
    status: str = "fail",
) -> Start:
    prepare = _fake("--mode", mode, "--image-tokens", "12", *more)
    return Start(
        name=name,
        cause=cause,
        words=lambda path: ["transformers", "serve", path, "--device", "cpu"],
        prepare=prepare,
        options=options,
        sample=sample,
        status=status,
    )


#: The limits of a server that hangs, made short.
_HURRY = ("--timeout", "0.05")

FAKES = (
    _said("answers !!!! to everything", "MODEL_OUTPUT_WRONG", "bangs", sample=True),
    _said("answers 500", "SERVER_REFUSES_REQUESTS", "http500"),
    _said("gives everybody the same answer", "MODEL_OUTPUT_WRONG", "constant"),
    # The same answer to two pictures may be the model's: the count of tokens says that it was shown them.
    _said("counts pictures and ignores them", "MODEL_IGNORES_IMAGE", "ignores-pictures", status="warn"),
    _said("drops pictures", "MODEL_IGNORES_IMAGE", "drops-pictures"),
    _said("refuses pictures", "MODEL_REFUSES_PICTURES", "refuses-pictures"),
    _said("has no chat template", "CHAT_TEMPLATE_MISSING", "no-template"),
    _said("dies in the middle of a request", "SERVER_DIED", "die-after"),
    _said("never ends its stream", "SERVER_REFUSES_REQUESTS", "endless", options=_HURRY),
    _said("takes requests and never answers", "SERVER_DOES_NOT_ANSWER", "hang", options=_HURRY),
    _said("is never ready", "SERVER_NOT_READY", "slow-start", "--start-seconds", "9999", options=_HURRY),
    _said("a web page instead of answers", "NOT_OPENAI", "html"),
    _said("closes the connection in an answer", "SERVER_REFUSES_REQUESTS", "cut-off"),
)

ALL = (*FOLDERS, *GGUFS, *LIMITS, *FAKES)
