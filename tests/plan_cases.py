"""What the tests of `plan` share: a config, cards, and a reading of a machine with such a card."""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import pytest

from autoglm_doctor.cli.app import run
from autoglm_doctor.domain.capacity.place import Place
from autoglm_doctor.domain.memory.fits import Card
from autoglm_doctor.facts import Cuda, CudaDevice, Facts, ModelFiles, known, with_readings
from autoglm_doctor.finding import Finding
from autoglm_doctor.intent import Intent
from autoglm_doctor.launch import default_intent, parse_command
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.profiles import PROFILES
from autoglm_doctor.registry import load_checks
from autoglm_doctor.runner import run_checks
from tests.machines.build import gpu, healthy, packages

GIB = 1 << 30
README = default_intent()
AUTOGLM = PROFILES["autoglm-phone-9b"]

#: A decoder without pictures, small enough for every card.
SMALL: dict[str, Any] = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_size": 2048,
    "intermediate_size": 11008,
    "max_position_embeddings": 32768,
    "num_attention_heads": 16,
    "num_hidden_layers": 36,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "vocab_size": 151936,
}


def config_file(folder: Path, config: Any = None) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(dict(AUTOGLM.config if config is None else config)))
    return path


def planned(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    code = run(["plan", "--format", "json", *words])
    said = capsys.readouterr()
    assert said.out, said.err
    return code, json.loads(said.out)


def place(
    gib: float = 23.52,
    *,
    count: int = 1,
    version: str | None = "0.33.0",
    capability: str = "8.9",
    free: float | None = None,
    name: str = "NVIDIA GeForce RTX 4090",
    intent: Intent = README,
    config: dict[str, Any] | None = None,
) -> Place:
    return Place(
        intent=intent,
        files=ModelFiles(path="/m", found_by="config", config=config) if config else None,
        card=Card(name=name, total_bytes=int(gib * GIB), count=count),
        version=version,
        capability=capability,
        free_bytes=None if free is None else int(free * GIB),
        origin="named",
    )


def vllm(flags: str = "", model: str = "/m") -> Intent:
    return parse_command(["vllm", "serve", model, *flags.split()])


@functools.cache
def memory_checks() -> tuple[Any, ...]:
    return tuple(check for check in load_checks().checks if check.code.startswith(("VRM", "CFG", "VIS")))


def checked(where: Place, intent: Intent) -> dict[str, list[Finding]]:
    """The findings of `check` on GPU memory and flags, on a machine with the card of a plan."""
    assert where.card is not None
    total, card = where.card.total_bytes, where.card
    cards = tuple(
        gpu(
            index=i,
            name=card.name,
            compute_capability=where.capability,
            total_bytes=total,
            free_bytes=where.free_bytes or total,
            reserved_bytes=0,
        )
        for i in range(max(card.count, intent.gpus_needed))
    )
    devices = tuple(
        CudaDevice(index=g.index, name=g.name, compute_capability=g.compute_capability, total_bytes=total)
        for g in cards
    )
    cuda = Cuda(library="libcuda.so.1", init_code=0, driver_cuda_version="12.8", devices=devices)
    readings = {**healthy(), "gpus": known(cards), "cuda": known(cuda)}
    if where.files is not None:
        readings["model_files"] = known(where.files)
    if where.version is not None:
        readings["packages"] = known(packages(vllm=where.version))
    facts = with_readings(Facts(), readings)
    found: dict[str, list[Finding]] = {}
    for finding in run_checks(memory_checks(), facts, dataclasses.replace(intent, device="cuda"), load_matrix()):
        found.setdefault(finding.status, []).append(finding)
    return found
