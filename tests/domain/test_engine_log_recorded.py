"""Recorded starts: healthy ones give no symptom, failing ones the right root."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoglm_doctor.domain.engine_log import Follower
from autoglm_doctor.domain.signatures import symptoms_of

LOGS = Path(__file__).parents[1] / "logs"
HEALTHY = sorted((LOGS / "healthy").glob("*.log"))

#: Recording -> its root, and a piece of the line that says so.
FAILING = {
    "vllm_0_11_context_too_long_for_memory": ("KV_CACHE_TOO_SMALL", "13104"),
    "vllm_0_8_out_of_memory_while_loading": ("VRAM_TOO_SMALL_FOR_WEIGHTS", "214.00 MiB"),
    "vllm_0_20_out_of_memory_while_profiling_two_gpus": ("KV_CACHE_TOO_SMALL", "2.93 GiB"),
    "vllm_0_11_weights_cut_short": ("MODEL_FILE_TRUNCATED", "not fully covered"),
    "vllm_0_33_unknown_architecture": ("ENGINE_TOO_OLD_FOR_MODEL", "Glm9v"),
    "vllm_0_11_workers_wait_for_each_other": ("P2P_BROKEN_ACS_IOMMU", "600086"),
    "sglang_0_4_not_enough_memory": ("KV_CACHE_TOO_SMALL", "mem-fraction-static"),
    "llamacpp_2026_unknown_architecture": ("ENGINE_TOO_OLD_FOR_MODEL", "glm9v"),
    "llamacpp_2025_out_of_memory": ("VRAM_TOO_SMALL_FOR_WEIGHTS", "17560.12 MiB"),
    "transformers_serve_port_taken": ("PORT_IN_USE", "41234"),
}


def engine_of(path: Path) -> str:
    return "llamacpp" if path.stem.startswith("llama") else path.stem.partition("_")[0]


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def followed(path: Path, engine: str) -> Follower:
    follower = Follower(engine)
    for at, line in enumerate(lines(path)):
        follower.feed(line, float(at))
    return follower


@pytest.mark.parametrize("path", HEALTHY, ids=lambda p: p.stem)
@pytest.mark.parametrize("known", [True, False], ids=["engine known", "engine not known"])
def test_a_healthy_start_has_no_symptom_and_is_not_doomed(path: Path, known: bool) -> None:
    engine = engine_of(path) if known else ""
    assert symptoms_of(lines(path), engine) == ()
    follower = followed(path, engine)
    assert follower.doomed == ""
    assert symptoms_of(follower.kept, engine) == ()


@pytest.mark.parametrize("path", HEALTHY, ids=lambda p: p.stem)
def test_a_healthy_start_gets_ready_and_not_before_its_end(path: Path) -> None:
    follower = Follower(engine_of(path))
    ready_at = None
    for at, line in enumerate(lines(path)):
        follower.feed(line, float(at))
        ready_at = at if follower.ready and ready_at is None else ready_at
    assert ready_at is not None
    final = ("Application startup complete", "Uvicorn running", "fired up", "listening on http")
    assert any(words in lines(path)[ready_at] for words in final)


def test_every_failing_recording_is_in_the_table() -> None:
    assert {p.stem for p in (LOGS / "failing").glob("*.log")} == FAILING.keys()
    assert len(HEALTHY) >= 10


@pytest.mark.parametrize("name", FAILING)
def test_a_failing_start_has_its_root_first(name: str) -> None:
    path = LOGS / "failing" / f"{name}.log"
    cause, piece = FAILING[name]
    root, *rest = symptoms_of(lines(path), engine_of(path))
    assert root.signature.cause == cause
    assert piece in root.line
    assert all(s.signature.consequence for s in rest)


@pytest.mark.parametrize("name", FAILING)
def test_what_is_kept_of_a_failing_start_is_enough(name: str) -> None:
    path = LOGS / "failing" / f"{name}.log"
    follower = followed(path, engine_of(path))
    assert follower.doomed
    assert not follower.ready
    assert symptoms_of(follower.kept, engine_of(path))[0].signature.cause == FAILING[name][0]


@pytest.mark.parametrize("name", FAILING)
def test_a_root_is_found_amid_a_healthy_start_of_great_length(name: str) -> None:
    path = LOGS / "failing" / f"{name}.log"
    noise = [f"(EngineCore pid=1) INFO 11-20 12:00:00 [x.py:1] step {i} without an error" for i in range(3000)]
    warnings = [f"WARNING 11-20 12:00:00 [x.py:1] could not find {i}, falling back" for i in range(300)]
    follower = Follower(engine_of(path))
    for line in (*warnings, *noise, *lines(path), *noise, *warnings):
        follower.feed(line, 0.0)
    assert len(follower.kept) <= 100
    assert symptoms_of(follower.kept, engine_of(path))[0].signature.cause == FAILING[name][0]
