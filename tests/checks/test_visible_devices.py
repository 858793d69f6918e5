"""GPU003: names in CUDA_VISIBLE_DEVICES that vLLM reads, and GPU001 where no UUID was read."""

from __future__ import annotations

import dataclasses
import shlex
from typing import Any

import pytest

from autoglm_doctor.checks.gpu import select
from autoglm_doctor.checks.visible_devices import engine_reads_device_names
from autoglm_doctor.domain.deployment import visible_gpus
from autoglm_doctor.facts import Distribution, Environment, Gpu, Host, Packages
from autoglm_doctor.intent import Intent, Launch
from autoglm_doctor.launch import parse_command
from autoglm_doctor.loose.judge import diagnose
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.registry import load_checks
from autoglm_doctor.testing import judge

SLICE, CARD = "MIG-377e0049-554c-540b-93c6-d0976f8426cb", "GPU-7f57f032-34ab-a064-c37c-7a4f75601cc5"
MIG, HIDES = "MIG_UNSUPPORTED_BY_ENGINE", "CUDA_VISIBLE_DEVICES_HIDES_GPUS"

CASES = [
    pytest.param(SLICE, "vllm", "0.20.1", "fail", MIG, id="a slice"),
    pytest.param(SLICE + ",1", "vllm", "0.9.2", "fail", MIG, id="a slice before a number"),
    pytest.param("MIG-GPU-8932f937/1/2", "vllm", "0.8.5", "fail", MIG, id="the old name of a slice"),
    pytest.param(CARD, "vllm", "0.23.0", "fail", HIDES, id="a whole GPU"),
    pytest.param(CARD, "vllm", "0.5.2", "fail", HIDES, id="the first that takes numbers"),
    pytest.param(CARD, "vllm", "0.4.2", "unknown", "", id="one that reads none of it"),
    pytest.param(SLICE, "vllm", "0.5.0.post1", "unknown", "", id="a slice, with one that reads none of it"),
    pytest.param(CARD, "vllm", "0.24.0", "pass", "", id="a release that looks UUIDs up"),
    pytest.param(SLICE, "vllm", "0.24.0", "unknown", "", id="a slice, with a release that looks UUIDs up"),
    pytest.param(SLICE, "vllm", "", "warn", MIG, id="a slice, and no release is known"),
    pytest.param(CARD, "vllm", "", "unknown", "", id="a whole GPU, and no release is known"),
    pytest.param(SLICE, "vllm", "0.24.0rc1.dev9+g1a2b3c4", "unknown", "", id="a build on the way to it"),
    pytest.param("0", "vllm", "0.20.1", "not_applicable", "", id="a number"),
    pytest.param("2,3", "vllm", "0.20.1", "not_applicable", "", id="numbers"),
    pytest.param("", "vllm", "0.20.1", "not_applicable", "", id="nothing"),
    pytest.param(None, "vllm", "0.20.1", "not_applicable", "", id="the variable is not set"),
    pytest.param("0," + CARD, "vllm", "0.20.1", "not_applicable", "", id="a UUID that vLLM does not look at"),
    pytest.param(SLICE, "sglang", "0.5.9", "not_applicable", "", id="SGLang"),
    pytest.param(SLICE, "transformers", "4.57.1", "not_applicable", "", id="plain transformers"),
]


def ask(
    value: str | None,
    engine: Any,
    version: str,
    *,
    device: Any = "cuda",
    tegra: bool = False,
    uuids: tuple[str, ...] = ("",),
) -> Any:
    (finding,) = judge(
        engine_reads_device_names,
        environment=Environment(variables={} if value is None else {"CUDA_VISIBLE_DEVICES": value}),
        packages=Packages(distributions=(Distribution(name=engine, version=version),) if version else ()),
        gpus=tuple(
            Gpu(index=i, name="card", compute_capability="9.0", total_bytes=1, free_bytes=1, uuid=uuid)
            for i, uuid in enumerate(uuids)
        ),
        host=Host(system="Linux", machine="aarch64" if tegra else "x86_64", kernel="6.8", tegra=tegra),
        intent=Intent(model="m", engine=engine, device=device),
    )
    return finding


@pytest.mark.parametrize(("value", "engine", "version", "status", "cause"), CASES)
def test_names(value: str | None, engine: Any, version: str, status: str, cause: str) -> None:
    found = ask(value, engine, version)
    assert found.status == status
    assert bool(found.fixes) == (status in ("fail", "warn"))
    if cause:
        assert found.cause == cause


@pytest.mark.parametrize(
    ("value", "uuids", "numbers"),
    [
        pytest.param(CARD, (CARD,), "0", id="the only one"),
        pytest.param(CARD, ("GPU-1", CARD), "1", id="the second of two"),
        pytest.param(f"{CARD},GPU-1", ("GPU-1", "GPU-2", CARD), "2,0", id="two of three, in their order"),
        pytest.param("GPU-7f57", ("GPU-1", CARD), "1", id="the beginning of one"),
        pytest.param(
            "GPU-7", ("GPU-1", ""), "$(nvidia-smi -i GPU-7 --query-gpu=index --format=csv,noheader)", id="not read"
        ),
    ],
)
def test_the_number_of_the_gpu_that_is_named(value: str, uuids: tuple[str, ...], numbers: str) -> None:
    command = ask(value, "vllm", "0.20.1", uuids=uuids).fixes[0].commands[-1]
    assert command.startswith(f"CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES={numbers} ")


@pytest.mark.parametrize("word", ["²", "٣", "1²"])
def test_what_python_calls_a_digit_names_no_gpu(word: str) -> None:
    cards = tuple(Gpu(index=i, name="card", compute_capability="9.0", total_bytes=1, free_bytes=1) for i in range(5))
    assert select(cards, word).unknown == word
    assert visible_gpus(cards, {"CUDA_VISIBLE_DEVICES": word}) == ()


def test_a_jetson_and_the_cpu_are_not_judged() -> None:
    assert ask(SLICE, "vllm", "0.20.1", tegra=True).status == "not_applicable"
    assert ask(SLICE, "vllm", "0.20.1", device="cpu").status == "not_applicable"


def test_a_uuid_names_a_gpu_whose_uuid_was_not_read() -> None:
    card = Gpu(index=0, name="card", compute_capability="9.0", total_bytes=1, free_bytes=1)
    assert select((card,), CARD).unknown is None
    assert select((card,), SLICE).gpus == (card,)
    assert select((card,), f"{CARD},GPU-1").unknown == "GPU-1"  # there is no second one
    read = Gpu(index=0, name="card", compute_capability="9.0", total_bytes=1, free_bytes=1, uuid="GPU-1")
    assert select((read,), CARD).unknown == CARD


@pytest.mark.parametrize(
    ("stated", "causes"),
    [
        pytest.param({"engine": "vllm 0.12.0", "env": {"CUDA_VISIBLE_DEVICES": SLICE}}, [MIG], id="vLLM"),
        pytest.param({"engine": "sglang 0.5.3", "env": {"CUDA_VISIBLE_DEVICES": SLICE}}, [], id="SGLang"),
        pytest.param({"env": {"CUDA_VISIBLE_DEVICES": CARD}}, [], id="no engine"),
        pytest.param({"engine": "vllm 0.12.0", "env": {"CUDA_VISIBLE_DEVICES": "0"}}, [], id="a container with one"),
        pytest.param({"engine": "vllm 0.12.0", "env": {"NVIDIA_VISIBLE_DEVICES": SLICE}}, [], id="the other variable"),
    ],
)
def test_stated(stated: dict[str, Any], causes: list[str]) -> None:
    gpus = [{"name": "NVIDIA H100 80GB HBM3", "mig_mode": "enabled"}]
    found = diagnose("x", {"facts": {**stated, "gpus": gpus}}, load_checks().checks, load_matrix())
    assert [one.cause for one in found.causes] == causes


@pytest.mark.parametrize(
    ("value", "engine", "size", "mig", "status"),
    [
        pytest.param(f"{SLICE},{SLICE}", "vllm", 2, (True,), "fail", id="two slices by name"),
        pytest.param(f"{SLICE},{SLICE}", "sglang", 2, (True,), "fail", id="with SGLang"),
        pytest.param(None, "vllm", 2, (True, True), "fail", id="nothing but slices"),
        pytest.param(None, "vllm", 2, (False, False), "not_applicable", id="whole GPUs"),
        pytest.param("0,1", "vllm", 2, (False, False, True), "not_applicable", id="whole GPUs beside a cut one"),
        pytest.param(None, "vllm", 1, (True,), "not_applicable", id="one slice"),
        pytest.param(SLICE, "sglang", 1, (True,), "not_applicable", id="one slice by name, with SGLang"),
        pytest.param(None, "vllm", 2, (), "not_applicable", id="no GPU read"),
        pytest.param(SLICE, "transformers", 2, (True,), "not_applicable", id="plain transformers"),
    ],
)
def test_a_model_over_slices(value: str | None, engine: Any, size: int, mig: tuple[bool, ...], status: str) -> None:
    (found,) = judge(
        engine_reads_device_names,
        environment=Environment(variables={} if value is None else {"CUDA_VISIBLE_DEVICES": value}),
        packages=Packages(distributions=()),
        gpus=tuple(
            Gpu(index=i, name="card", compute_capability="8.0", total_bytes=1, free_bytes=1, mig=one)
            for i, one in enumerate(mig)
        ),
        host=Host(system="Linux", machine="x86_64", kernel="6.8"),
        intent=Intent(model="m", engine=engine, device="cuda", launch=Launch(tensor_parallel=size)),
    )
    assert found.status == status
    assert bool(found.fixes) == (status == "fail")


@pytest.mark.parametrize(
    ("engine", "version", "value", "said"),
    [
        pytest.param("vllm", "0.11.0", f"{SLICE},{SLICE}", f"docker run --rm --gpus '\"device={SLICE}\"'", id="vLLM"),
        pytest.param("vllm", "", f"{SLICE},{SLICE}", "docker run --rm --gpus", id="vLLM of which nothing is known"),
        pytest.param("sglang", "0.5.5", f"{SLICE},{SLICE}", f"CUDA_VISIBLE_DEVICES={SLICE} ", id="SGLang reads names"),
        pytest.param("vllm", "0.24.0", f"{SLICE},{SLICE}", f"CUDA_VISIBLE_DEVICES={SLICE} ", id="a vLLM that may"),
        pytest.param("vllm", "0.11.0", None, "--tensor-parallel-size", id="no name to take out"),
    ],
)
def test_one_of_two_slices_is_named_in_a_way_that_the_engine_reads(
    engine: Any, version: str, value: str | None, said: str
) -> None:
    start = "vllm serve m --tensor-parallel-size 2"
    if engine == "sglang":
        start = f"CUDA_VISIBLE_DEVICES={value} python3 -m sglang.launch_server --model-path m --tp 2"
    (found,) = judge(
        engine_reads_device_names,
        environment=Environment(variables={} if value is None else {"CUDA_VISIBLE_DEVICES": value}),
        packages=Packages(distributions=(Distribution(name=engine, version=version),) if version else ()),
        gpus=(Gpu(index=0, name="card", compute_capability="8.0", total_bytes=1, free_bytes=1, mig=True),),
        host=Host(system="Linux", machine="x86_64", kernel="6.8"),
        intent=dataclasses.replace(parse_command(shlex.split(start)), device="cuda"),
    )
    assert said in found.fixes[0].commands[-1]
    assert f"{SLICE},{SLICE}" not in found.fixes[0].commands[-1]


def test_slices_explain_why_gpus_are_missing() -> None:
    facts = {
        "engine": "vllm",
        "engine_args": {"tensor_parallel_size": 2},
        "env": {"CUDA_VISIBLE_DEVICES": f"{SLICE},{SLICE}"},
        "gpus": [{"name": "NVIDIA A100-SXM4-80GB", "mig_mode": "enabled"}],
    }
    found = diagnose("a machine", {"facts": facts}, load_checks().checks, load_matrix())
    assert [one.cause for one in found.causes] == [MIG]
