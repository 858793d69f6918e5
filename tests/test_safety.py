"""Production is never at risk: when a model is run on a GPU, and when not."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from autoglm_doctor.facts import (
    Cuda,
    CudaDevice,
    Distribution,
    Environment,
    Facts,
    Gpu,
    GpuProcess,
    Interpreter,
    Packages,
    Reading,
    TorchRun,
    known,
)
from autoglm_doctor.intent import SMOKE, Intent
from autoglm_doctor.options import Options
from autoglm_doctor.safety import busy_gpus, final_stage_arguments
from tests.machines.build import small_model

GIB = 1 << 30
SERVER = GpuProcess(pid=7, name="vllm", used_bytes=GIB)
DESKTOP = GpuProcess(pid=8, name="Xorg", used_bytes=GIB, compute=False)


def gpu(index: int = 0, free: float = 22, *processes: GpuProcess) -> Gpu:
    return Gpu(
        index=index,
        name=f"card {index}",
        compute_capability="8.9",
        total_bytes=24 * GIB,
        free_bytes=int(free * GIB),
        processes=processes,
    )


def unread(*processes: GpuProcess) -> Gpu:
    """One whose memory NVML does not tell."""
    return dataclasses.replace(gpu(0, 0, *processes), total_bytes=0)


def facts(*gpus: Gpu, shown: int = 0, **changes: Any) -> Facts:
    device = CudaDevice(index=0, name=f"card {shown}", compute_capability="8.9", total_bytes=24 * GIB)
    readings: dict[str, Any] = {
        "gpus": known(gpus),
        "cuda": known(Cuda(library="x", init_code=0, devices=(device,))),
        "torch_run": known(TorchRun(cuda_available=True)),
        "interpreter": known(Interpreter(executable="/p", version="3.12.1")),
        "packages": known(
            Packages(distributions=tuple(Distribution(name=n, version="1") for n in ("torch", "transformers")))
        ),
        "environment": known(Environment()),
        "model_files": known(small_model()),
    }
    return Facts(**{**readings, **changes})


def decide(some: Facts, intent: Intent | None = None, **options: Any) -> Any:
    return final_stage_arguments(some, intent or Intent(model="/srv/models/x"), Options(environ={}, **options))


@pytest.mark.parametrize(
    ("some", "options", "expected"),
    [
        pytest.param(facts(gpu()), {}, "cuda", id="an idle GPU"),
        pytest.param(facts(gpu(0, 22, DESKTOP)), {}, "cuda", id="a desktop only draws"),
        pytest.param(facts(gpu(0, 22, SERVER)), {}, "in use by vllm (7)", id="somebody computes"),
        pytest.param(facts(gpu(0, 22, SERVER)), {"force": True}, "cuda", id="forced"),
        pytest.param(facts(gpu(0, 9.5)), {}, "the run would take", id="need above free minus 1 GiB"),
        pytest.param(
            facts(gpu(0, 2.5)), {"final_stage": "smoke"}, "the run would take", id="too little even for smoke"
        ),
        pytest.param(facts(gpu(0, 22, SERVER), gpu(1), shown=1), {}, "cuda", id="the busy one is not ours"),
        pytest.param(facts(), {}, "not known", id="memory unknown"),
        pytest.param(facts(gpu()), {"final_stage": "none"}, "--final-stage none", id="not asked for"),
    ],
)
def test_a_gpu_in_use_is_left_alone(some: Facts, options: dict[str, Any], expected: str) -> None:
    found = decide(some, **options)
    if expected == "cuda":
        assert not isinstance(found, Reading), found.why
        assert found["device"] == "cuda"
    else:
        assert isinstance(found, Reading)
        assert expected in found.why


@pytest.mark.parametrize(
    ("some", "intent", "options", "model"),
    [
        pytest.param(facts(gpu()), None, {}, small_model().path, id="the real one when it is whole"),
        pytest.param(facts(gpu()), Intent(model=SMOKE), {}, SMOKE, id="smoke was asked for"),
        pytest.param(facts(gpu()), None, {"final_stage": "smoke"}, SMOKE, id="smoke instead"),
        pytest.param(facts(gpu(), model_files=Reading(outcome="absent")), None, {}, SMOKE, id="no weights yet"),
    ],
)
def test_which_model_is_run(some: Facts, intent: Intent | None, options: dict[str, Any], model: str) -> None:
    assert decide(some, intent, **options)["model"] == model


def test_no_model_on_a_gpu_whose_memory_was_not_read() -> None:
    found = decide(facts(unread()))
    assert isinstance(found, Reading)
    assert found.why == "the free memory of GPU 0 is not known; --force runs the model all the same"
    assert not isinstance(decide(facts(unread()), force=True), Reading)


def test_without_transformers_nothing_is_run() -> None:
    found = decide(facts(gpu(), packages=known(Packages())))
    assert isinstance(found, Reading)
    assert "torch is not installed in /p" in found.why


@pytest.mark.parametrize(
    ("gpus", "environ", "busy"),
    [
        pytest.param((gpu(),), {}, False, id="idle"),
        pytest.param((gpu(0, 22, SERVER),), {}, True, id="somebody computes"),
        pytest.param((gpu(0, 22, DESKTOP),), {}, False, id="a desktop"),
        pytest.param((gpu(0, 1.2),), {}, True, id="hardly anything free"),
        pytest.param((gpu(0, 22, SERVER), gpu(1)), {"CUDA_VISIBLE_DEVICES": "1"}, False, id="the busy one is hidden"),
        pytest.param((unread(),), {}, False, id="its memory was not read"),
        pytest.param((unread(SERVER),), {}, True, id="its memory was not read, and somebody computes"),
    ],
)
def test_no_product_on_a_gpu_in_use(gpus: tuple[Gpu, ...], environ: dict[str, str], busy: bool) -> None:
    assert busy_gpus(facts(*gpus), environ) is busy
