"""DRV005 and DRV006: the driver against the CUDA and the PTX of the engine."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.checks.driver_engine import driver_runs_engine_cuda
from autoglm_doctor.checks.driver_ptx import driver_compiles_ptx
from autoglm_doctor.checks.driver_torch import driver_runs_torch_cuda
from autoglm_doctor.facts import (
    Cuda,
    Distribution,
    Driver,
    Environment,
    Facts,
    Gpu,
    Host,
    ModelFiles,
    Packages,
    Reading,
    Torch,
    TorchRun,
    known,
    with_readings,
)
from autoglm_doctor.finding import Finding
from autoglm_doctor.intent import Engine, Intent
from autoglm_doctor.launch import parse_command
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.runner import run_checks
from autoglm_doctor.testing import judge

#: A model of text that no profile knows.
NAME = "nobody/text"


def packages(versions: dict[str, str]) -> Packages:
    return Packages(distributions=tuple(Distribution(name=name, version=one) for name, one in versions.items()))


def host(**more: Any) -> Host:
    return Host(**{"system": "Linux", "machine": "x86_64", "kernel": "6", **more})


def of(engine: Engine, versions: dict[str, str], version: str, **more: Any) -> Finding:
    given = {"driver": Driver(version=version), "packages": packages(versions), **more}
    (found,) = judge(driver_runs_engine_cuda, intent=Intent(model=NAME, engine=engine), **given)
    return found


@pytest.mark.parametrize(
    ("engine", "versions", "version"),
    [
        pytest.param("vllm", {"vllm": "0.21.0"}, "550.54.14", id="vLLM of CUDA 13 on 550"),
        pytest.param("vllm", {"vllm": "0.12.0"}, "470.57.02", id="vLLM of CUDA 12 on 470"),
        pytest.param("vllm", {"vllm": "0.5.4"}, "470.57.02", id="before the table, for CUDA 12"),
        pytest.param("sglang", {"sglang": "0.5.11"}, "535.161.08", id="SGLang of CUDA 13 on 535"),
        pytest.param(
            "sglang", {"sglang": "0.5.9", "sgl-kernel": "0.3.21+cu130"}, "535.161.08", id="the kernels' tag decides"
        ),
        pytest.param("vllm", {"vllm": "0.19.0+cu130"}, "570.26", id="the tag of vLLM decides"),
    ],
)
def test_too_old(engine: Engine, versions: dict[str, str], version: str) -> None:
    found = of(engine, versions, version)
    assert (found.status, found.cause) == ("fail", "DRIVER_TOO_OLD")
    assert found.fixes[-1].reboot


QUIET = [
    pytest.param("vllm", {"vllm": "0.21.0"}, "580.65.06", {}, "pass", id="vLLM of CUDA 13 on 580"),
    pytest.param("vllm", {"vllm": "0.19.1"}, "535.54.03", {}, "pass", id="any 12.x runs on 535"),
    pytest.param("vllm", {"vllm": "0.21.0+cu129"}, "535.54.03", {}, "pass", id="the tag cu129 on 535"),
    pytest.param(
        "sglang", {"sglang": "0.5.11", "sgl-kernel": "0.4.2+cu129"}, "535.54.03", {}, "pass", id="kernels for CUDA 12"
    ),
    pytest.param("vllm", {"vllm": "0.21.1.dev7"}, "535.54.03", {}, "unknown", id="a development version"),
    pytest.param("vllm", {"vllm": "0.21.0+gabc1234"}, "535.54.03", {}, "unknown", id="a build of one's own"),
    pytest.param("vllm", {"vllm": "0.21.0"}, "535.54.03", {"host": host(container="docker")}, "unknown", id="an image"),
    pytest.param("vllm", {"vllm": "0.21.0"}, "535.54.03", {"host": host(machine="aarch64")}, "unknown", id="Arm"),
    pytest.param(
        "vllm", {"vllm": "0.21.0", "torch": "2.11.0"}, "535.54.03", {}, "unknown", id="a torch from elsewhere"
    ),
    pytest.param(
        "vllm", {"vllm": "0.21.0", "nvidia-cublas-cu12": "12.9"}, "535.54.03", {}, "unknown", id="libraries of CUDA 12"
    ),
    pytest.param("vllm", {}, "535.54.03", {}, "unknown", id="the engine's version is not stated"),
    pytest.param("sglang", {"sglang": "0.3.0"}, "470.57.02", {}, "unknown", id="SGLang before the table"),
    pytest.param(
        "vllm",
        {"vllm": "0.21.0"},
        "535.54.03",
        {"torch": Torch(version="2.11.0+cu129", cuda="12.9")},
        "not_applicable",
        id="torch's CUDA is known",
    ),
    pytest.param(
        "vllm",
        {"vllm": "0.21.0"},
        "535.54.03",
        {"torch": Reading(outcome="absent", why="no torch")},
        "not_applicable",
        id="no torch is installed",
    ),
    pytest.param(
        "vllm",
        {"vllm": "0.21.0"},
        "535.54.03",
        {"torch_run": TorchRun(cuda_available=True)},
        "not_applicable",
        id="CUDA works",
    ),
    pytest.param(
        "vllm",
        {"vllm": "0.21.0"},
        "535.54.03",
        {"cuda": Cuda(library="/usr/local/cuda-13.0/compat/libcuda.so.1", init_code=0)},
        "unknown",
        id="cuda-compat is loaded",
    ),
    pytest.param(
        "vllm",
        {"vllm": "0.21.0"},
        "535.54.03",
        {"environment": Environment(variables={"LD_LIBRARY_PATH": "/usr/local/cuda/compat"})},
        "unknown",
        id="cuda-compat is on the path",
    ),
    pytest.param(
        "vllm",
        {"vllm": "0.21.0"},
        "535.54.03",
        {"driver": Driver(version="535.54.03", cuda_version="13.0")},
        "pass",
        id="libcuda knows CUDA 13",
    ),
    pytest.param("transformers", {"vllm": "0.21.0"}, "535.54.03", {}, "not_applicable", id="plain transformers"),
]


@pytest.mark.parametrize(("engine", "versions", "version", "more", "status"), QUIET)
def test_quiet(engine: Engine, versions: dict[str, str], version: str, more: dict[str, Any], status: str) -> None:
    assert of(engine, versions, version, **more).status == status


def test_where_torch_is_known_there_is_one_red() -> None:
    facts = with_readings(
        Facts(),
        {
            "driver": known(Driver(version="550.54.14")),
            "torch": known(Torch(version="2.11.0+cu130", cuda="13.0")),
            "packages": known(packages({"vllm": "0.21.0", "torch": "2.11.0+cu130"})),
            "gpus": known((card("12.0"),)),
        },
    )
    checks = (driver_runs_torch_cuda, driver_runs_engine_cuda, driver_compiles_ptx)
    found = run_checks(checks, facts, Intent(model=NAME), load_matrix())
    assert [one.status for one in found] == ["fail", "not_applicable", "skipped"]


# --- DRV006 ----------------------------------------------------------------------------------------------------------


def card(capability: str) -> Gpu:
    return Gpu(
        index=0, name=f"GPU {capability}", compute_capability=capability, total_bytes=1 << 35, free_bytes=1 << 35
    )


def ptx(vllm: str, driver: Driver, capability: str, **more: Any) -> Finding:
    given = {"intent": Intent(model=NAME), "packages": packages({"vllm": vllm}), **more}
    (found,) = judge(driver_compiles_ptx, driver=driver, gpus=(card(capability),), **given)
    return found


OF_570, OF_575, OF_580 = (Driver(version=one) for one in ("570.124.06", "575.51.03", "580.95.05"))
PICTURES = ModelFiles(path="m", config={"model_type": "glm4v", "vision_config": {"depth": 24}})
QWEN = ModelFiles(
    path="m",
    config={"model_type": "qwen2_vl", "vision_config": {"embed_dim": 1280, "hidden_size": 3584, "num_heads": 16}},
)
OTHER = ModelFiles(
    path="m", config={"model_type": "llava", "vision_config": {"hidden_size": 1024, "num_attention_heads": 16}}
)
SINKS = ModelFiles(path="m", config={"model_type": "gpt_oss"})
LATENT = ModelFiles(path="m", config={"model_type": "deepseek_v3", "kv_lora_rank": 512})


def served(*flags: str) -> Intent:
    return parse_command(["vllm", "serve", NAME, *flags])


AUTOGLM = Intent(model="zai-org/AutoGLM-Phone-9B")
OF_550 = Driver(version="550.54.14")
FA2 = Environment(variables={"VLLM_FLASH_ATTN_VERSION": "2"})


@pytest.mark.parametrize(
    ("vllm", "driver", "capability", "more", "status"),
    [
        pytest.param("0.12.0", OF_570, "12.0", {}, "fail", id="RTX 5090, vLLM 0.12, driver 570"),
        pytest.param("0.19.1", OF_570, "12.1", {}, "fail", id="GB10"),
        pytest.param("0.20.0+cu129", OF_570, "12.0", {}, "fail", id="a tag tells the PTX"),
        pytest.param("0.12.0", OF_570, "10.0", {}, "unknown", id="B200 with text: FlashInfer by default"),
        pytest.param("0.12.0", OF_570, "11.0", {}, "unknown", id="a Jetson Thor: not seen"),
        pytest.param(
            "0.12.0",
            OF_570,
            "10.0",
            {"environment": Environment(variables={"VLLM_ATTENTION_BACKEND": "FLASH_ATTN"})},
            "fail",
            id="B200 that is made to take FlashAttention",
        ),
        pytest.param("0.12.0", OF_570, "10.0", {"model_files": PICTURES}, "fail", id="B200 with a vision tower"),
        pytest.param("0.12.0", OF_570, "9.0", {"environment": FA2}, "fail", id="H100 made to take FlashAttention-2"),
        pytest.param("0.12.0", OF_570, "9.0", {}, "not_applicable", id="H100 takes FlashAttention-3"),
        pytest.param("0.12.0", OF_570, "9.0", {"intent": AUTOGLM}, "fail", id="H100: AutoGLM's vision tower takes 2"),
        pytest.param("0.13.0", OF_575, "9.0", {"intent": AUTOGLM}, "pass", id="H100 with a driver that compiles it"),
        pytest.param("0.14.0", OF_570, "9.0", {"intent": AUTOGLM}, "not_applicable", id="0.14 takes 3 for pictures"),
        pytest.param("0.10.2", OF_550, "9.0", {"intent": AUTOGLM}, "not_applicable", id="before, another package"),
        pytest.param("0.11.2", OF_550, "9.0", {"intent": AUTOGLM}, "fail", id="0.11 with a driver of CUDA 12.4"),
        pytest.param("0.11.2", OF_550, "9.0", {"model_files": QWEN}, "not_applicable", id="heads of 80 in 0.11"),
        pytest.param("0.12.0", OF_550, "9.0", {"model_files": QWEN}, "fail", id="heads of 80 in 0.12"),
        pytest.param("0.12.0", OF_570, "9.0", {"model_files": PICTURES}, "unknown", id="heads of an unknown size"),
        pytest.param("0.12.0", OF_570, "9.0", {"model_files": OTHER}, "unknown", id="a tower that was not read"),
        pytest.param(
            "0.12.0",
            OF_570,
            "9.0",
            {"intent": parse_command(["vllm", "serve", AUTOGLM.model, "--mm-encoder-attn-backend", "TORCH_SDPA"])},
            "not_applicable",
            id="pictures by another backend",
        ),
        pytest.param("0.11.2", OF_550, "10.0", {"model_files": PICTURES}, "unknown", id="B200: torch's own in 0.11"),
        pytest.param(
            "0.19.1", OF_570, "10.0", {"model_files": PICTURES}, "unknown", id="B200: FlashAttention-4 by then"
        ),
        pytest.param(
            "0.19.1", OF_570, "9.0", {"environment": FA2}, "not_applicable", id="a variable that is read no more"
        ),
        pytest.param(
            "0.19.1", OF_570, "12.0", {"intent": served("--kv-cache-dtype", "fp8")}, "unknown", id="a cache of 8 bits"
        ),
        pytest.param(
            "0.19.1", OF_570, "12.0", {"intent": served("--attention_backend=FLASHINFER")}, "unknown", id="underscores"
        ),
        pytest.param(
            "0.19.1", OF_570, "12.0", {"intent": served("-ac.backend", "TRITON_ATTN")}, "unknown", id="by its config"
        ),
        pytest.param("0.19.1", OF_570, "12.0", {"model_files": SINKS}, "unknown", id="attention with sinks"),
        pytest.param("0.19.1", OF_570, "12.0", {"model_files": LATENT}, "unknown", id="latent attention"),
        pytest.param("0.12.0", OF_570, "8.9", {}, "not_applicable", id="RTX 4090 has compiled code"),
        pytest.param("0.12.0", OF_575, "12.0", {}, "pass", id="575 compiles PTX of 12.9"),
        pytest.param("0.11.2", OF_570, "12.0", {}, "pass", id="vLLM 0.11 has PTX of 12.8"),
        pytest.param("0.20.0", OF_580, "12.0", {}, "pass", id="580 compiles PTX of 13.0"),
        pytest.param("0.21.0+cu129", OF_575, "12.0", {}, "pass", id="a tag tells older PTX"),
        pytest.param(
            "0.12.0", Driver(version="570.124.06", cuda_version="12.9"), "12.0", {}, "pass", id="a newer libcuda"
        ),
        pytest.param(
            "0.12.0",
            Driver(version="580.95.05", cuda_version="12.8"),
            "12.0",
            {},
            "pass",
            id="the newer of the two counts",
        ),
        pytest.param("0.12.1.dev3", OF_570, "12.0", {}, "not_applicable", id="a development version"),
        pytest.param("0.12.0+gabc123", OF_570, "12.0", {}, "not_applicable", id="a build of one's own"),
        pytest.param(
            "0.12.0",
            OF_570,
            "12.0",
            {"environment": Environment(variables={"VLLM_ATTENTION_BACKEND": "TRITON_ATTN"})},
            "unknown",
            id="another backend",
        ),
        pytest.param(
            "0.12.0",
            OF_570,
            "12.0",
            {"intent": parse_command(["vllm", "serve", NAME, "--attention-backend", "FLASHINFER"])},
            "unknown",
            id="another backend by a flag",
        ),
        pytest.param(
            "0.12.0", OF_570, "12.0", {"intent": Intent(model=NAME, engine="sglang")}, "not_applicable", id="SGLang"
        ),
        pytest.param("0.12.0", Driver(version=None), "12.0", {}, "unknown", id="no version of the driver"),
    ],
)
def test_ptx(vllm: str, driver: Driver, capability: str, more: dict[str, Any], status: str) -> None:
    found = ptx(vllm, driver, capability, **more)
    assert found.status == status
    if status in ("fail", "warn"):
        assert found.cause == "DRIVER_TOO_OLD"


def test_the_ways_out_of_ptx_run_there() -> None:
    older, newer = ptx("0.12.0", OF_570, "12.0").fixes
    assert any("vllm==0.11.2" in line for line in older.commands)
    assert newer.commands[0] == "sudo apt-get install -y nvidia-driver-580-open"
    assert ptx("0.11.2", OF_570, "12.0").status == "pass"


def test_on_hopper_the_way_out_is_another_vllm() -> None:
    """AutoGLM's pictures take FlashAttention-3 from vLLM 0.14 on: no newer driver is needed for that."""
    first, *_, last = ptx("0.12.0", OF_550, "9.0", intent=AUTOGLM).fixes
    lines = " ".join(first.commands)
    (version,) = {word.strip("'\"").removeprefix("vllm==") for word in lines.split() if "vllm==" in word}
    assert not first.reboot
    assert ptx(version, OF_550, "9.0", intent=AUTOGLM).status == "not_applicable"
    assert last.reboot


def test_the_ways_out_of_the_engine_s_cuda_compile_ptx() -> None:
    """The newest vLLM for CUDA 12 is no way out of driver 570 on this GPU: DRV006 calls it red."""
    found = of("vllm", {"vllm": "0.20.0"}, "570.124.06", gpus=(card("12.0"),))
    lines = [line for fix in found.fixes if not fix.reboot for line in fix.commands]
    versions = {word.removeprefix("vllm==") for line in lines for word in line.split() if word.startswith("vllm==")}
    assert versions
    assert {ptx(one, OF_570, "12.0").status for one in versions} <= {"pass", "not_applicable"}
    assert "nvidia-driver-580-open" in found.fixes[-1].commands[0]
