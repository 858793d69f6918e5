"""The model probe says how far it is: storage that is slow is not storage that hangs."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from autoglm_doctor.probes import model as probe
from autoglm_doctor.probes.safetensors_header import Header, read_header


def folder(tmp_path: Path, shards: int) -> Path:
    names = [f"model-{n:05d}-of-{shards:05d}.safetensors" for n in range(1, shards + 1)]
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / probe.INDEX).write_text(json.dumps({"weight_map": {f"t{i}": name for i, name in enumerate(names)}}))
    return tmp_path


def told(tmp_path: Path) -> list[str]:
    answers = list(probe.probe({"model": str(tmp_path)}))
    assert [name for name, _ in answers][-1] == "model_files"
    assert all(name == "progress" for name, _ in answers[:-1])
    assert [file.name for file in answers[-1][1].value.weights] == sorted(
        json.loads((tmp_path / probe.INDEX).read_text())["weight_map"].values()
    )
    return [reading.why for _, reading in answers[:-1]]


def test_slow_storage_is_told_as_it_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(path: Path, name: str) -> Header:
        time.sleep(0.02)
        return read_header(path, name)

    monkeypatch.setattr(probe, "read_header", slow)
    monkeypatch.setattr(probe, "TELL_SECONDS", 0.01)
    assert told(folder(tmp_path, 3)) == [f"reading weight files, {n} of 3 done" for n in (1, 2)]


def test_slow_small_files_count_as_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = probe._load

    def slow(path: Path) -> Any:
        time.sleep(0.1)
        return load(path)

    monkeypatch.setattr(probe, "_load", slow)
    monkeypatch.setattr(probe, "TELL_SECONDS", 0.1)
    assert told(folder(tmp_path, 2))[0] == "reading weight files, 0 of 2 done"


def test_quick_storage_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "TELL_SECONDS", 60.0)
    assert told(folder(tmp_path, 300)) == []
