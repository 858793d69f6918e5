"""Faults of the model's files."""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

from tests.faults.fault import Fault
from tests.faults.machine import Machine

Break = Callable[[Machine], object]

#: Whoever waits for such a file meets the limit of 1.5 s.
QUICK = ("--timeout", "0.05")


def config(text: str) -> Break:
    return lambda machine: (machine.model / "config.json").write_text(text)


def weights(data: bytes) -> Break:
    return lambda machine: (machine.model / "model.safetensors").write_bytes(data)


def header(text: str, size: int = 0) -> Break:
    """A safetensors file with this header and so many bytes of numbers."""
    return weights(struct.pack("<Q", len(text)) + text.encode() + bytes(size))


def tensor(offsets: str, size: int = 0) -> Break:
    return header(f'{{"a": {{"dtype": "BF16", "shape": [1], "data_offsets": {offsets}}}}}', size)


def instead(name: str, make: Callable[[Path], object]) -> Break:
    """Something else under the name of a file."""

    def break_it(machine: Machine) -> None:
        (machine.model / name).unlink()
        make(machine.model / name)
        machine.options += QUICK

    return break_it


def cut_off(machine: Machine) -> None:
    os.truncate(machine.model / "model.safetensors", 500_000_000)


def link_to_itself(machine: Machine) -> None:
    shutil.rmtree(machine.model)
    machine.model.symlink_to(machine.model)


def bad(name: str, break_it: Break, cause: str, *says: str) -> Fault:
    return Fault(name=name, break_it=break_it, code="MDL001", status="fail", cause=cause, exit=1, says=says)


CONFIG = "MODEL_CONFIG_BROKEN"
NO_FILE = "it is no regular file"
OTHER = "MODEL_FILES_LFS_POINTER"
CUT = "MODEL_FILE_TRUNCATED"

FAULTS = [
    bad("config.json is no JSON", config("{oops"), CONFIG, "config.json"),
    bad("config.json is a list", config("[]"), CONFIG, "no JSON object"),
    bad("config.json is nested without end", config('{"a":' * 100_000 + "1" + "}" * 100_000), CONFIG, "config.json"),
    bad("config.json holds a number of 5,000 digits", config('{"vocab_size": ' + "9" * 5000 + "}"), CONFIG),
    bad("config.json is a folder", instead("config.json", Path.mkdir), CONFIG, "Is a directory"),
    bad("config.json is a FIFO", instead("config.json", os.mkfifo), CONFIG, NO_FILE),
    bad("config.json is endless", instead("config.json", lambda path: path.symlink_to("/dev/zero")), CONFIG, NO_FILE),
    bad("the weights are a FIFO", instead("model.safetensors", os.mkfifo), "MODEL_FILE_UNREADABLE", NO_FILE),
    Fault(
        name="config.json holds nonsense",
        break_it=config('{"model_type": ["x"], "hidden_size": "many", "num_hidden_layers": -3, "vocab_size": NaN}'),
        code="VRM002",
        status="unknown",
        exit=4,
        says=("does not know",),
    ),
    Fault(
        name="tokenizer.json is cut off",
        break_it=lambda machine: (machine.model / "tokenizer.json").write_text('{"version":'),
        code="MDL002",
        status="fail",
        cause=CONFIG,
        exit=1,
        says=("tokenizer.json",),
    ),
    bad(
        "the weights are an LFS pointer", weights(b"version https://git-lfs.github.com/spec/v1\noid x\n"), OTHER, "lfs"
    ),
    bad("the weights are cut off", cut_off, CUT, "500000000 bytes instead of"),
    bad("the weights are empty", weights(b""), CUT, "empty"),
    bad("the weights are zeros", weights(bytes(1000)), CUT, "zeros"),
    bad("the weights are a web page", weights(b"<!DOCTYPE html><html>" + b" " * 99), OTHER, "web page"),
    bad("the weights are a folder", instead("model.safetensors", Path.mkdir), "MODEL_FILE_UNREADABLE"),
    bad(
        "a weights link leads nowhere",
        instead("model.safetensors", lambda path: path.symlink_to("/nowhere/x")),
        "MODEL_SHARD_MISSING",
        "link",
    ),
    bad(
        "a header of 2^60 bytes",
        weights(struct.pack("<Q", 1 << 60) + b'{"a": ' + bytes(99)),
        CUT,
        "1152921504606846984",
    ),
    bad("a header that is no JSON", header("{not json" + " " * 99), OTHER, "no JSON"),
    bad("a header nested without end", header('{"a":' * 50_000 + "1" + "}" * 50_000), OTHER, "no JSON"),
    bad("a header with NaN", tensor("[NaN, Infinity]"), OTHER, "offsets"),
    bad("a header with fractions", tensor("[0.5, 2.5]", 2), OTHER, "offsets"),
    bad("a header with negative offsets", tensor("[-5, -3]"), OTHER, "offsets"),
    bad("a header with a number of 40 digits", tensor(f"[0, {'9' * 40}]"), OTHER, "offsets"),
    bad("a header without dtypes", header('{"a": {"dtype": [], "shape": [1], "data_offsets": [0, 2]}}', 2), OTHER),
    bad("the model folder is a link to itself", link_to_itself, "MODEL_PATH_WRONG"),
    bad(
        "the index names a file elsewhere",
        lambda machine: (machine.model / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../x"}}'),
        "MODEL_SHARD_MISSING",
        "outside",
    ),
]
