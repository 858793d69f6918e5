"""Ways to damage the folder of a model or a GGUF file, each one fault."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.serving import models
from tests.serving.words import VOCABULARY

Damage = Callable[[Path], None]

SHARD = "model-00002-of-00002.safetensors"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 4915962496\n".format("0" * 64)
PAGE = "<!DOCTYPE html><html><body><h1>401 Unauthorized</h1></body></html>\n"
NAN = b"\xc0\x7f"  # bfloat16


def remove(*names: str) -> Damage:
    def damage(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return damage


def write(name: str, text: str) -> Damage:
    return lambda folder: _write(folder / name, text)


def overwrite(path: Path, text: str) -> None:
    path.write_text(text)


def _write(path: Path, text: str) -> None:
    path.write_text(text)


def cut(name: str, share: float) -> Damage:
    """Keep the first part of a file."""
    return lambda folder: _cut(folder / name, share)


def cut_file(share: float) -> Damage:
    return lambda file: _cut(file, share)


def _cut(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def zeros(name: str) -> Damage:
    """As long as it was, but empty blocks: a disk that was full, or a copy that was cut off."""
    return lambda folder: _zeros(folder / name)


def _zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def change_json(name: str, change: Callable[[dict[str, Any]], object]) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / name
        value = json.loads(path.read_text())
        change(value)
        path.write_text(json.dumps(value))

    return damage


def text_config(**changes: Any) -> Damage:
    return change_json("config.json", lambda config: config["text_config"].update(changes))


def config(**changes: Any) -> Damage:
    return change_json("config.json", lambda config: config.update(changes))


def fill_tensor(name: str, value: bytes) -> Damage:
    """Every number of one tensor (bfloat16) becomes this one; sizes and headers stay."""

    def damage(folder: Path) -> None:
        path, header, start = _find(folder, name)
        first, last = header[name]["data_offsets"]
        with path.open("r+b") as file:
            file.seek(start + first)
            file.write(value * ((last - first) // 2))

    return damage


def _find(folder: Path, name: str) -> tuple[Path, dict[str, Any], int]:
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    path = folder / index["weight_map"][name]
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    return path, json.loads(data[8 : 8 + length]), 8 + length


def leave_out(*names: str) -> Damage:
    """A checkpoint that never had these tensors: neither the shards nor the index know them."""

    def damage(folder: Path) -> None:
        models.write_weights(folder, {n: s for n, s in models.glm4v_shapes().items() if n not in names})

    return damage


def replace_in_file(old: bytes, new: bytes) -> Damage:
    """Overwrite bytes of a GGUF file; lengths stay."""
    assert len(old) == len(new)

    def damage(file: Path) -> None:
        data = file.read_bytes()
        assert old in data
        file.write_bytes(data.replace(old, new))

    return damage


def large_vocabulary(words: int) -> Damage:
    """Two tables of so many rows in a Llama: files with holes, which take no room on the disk."""

    def damage(folder: Path) -> None:
        config(vocab_size=words)(folder)
        shapes = {
            name: (words, *shape[1:]) if shape[0] == VOCABULARY else shape
            for name, shape in models.llama_shapes().items()
        }
        models.write_sparse_weights(folder, shapes)

    return damage
