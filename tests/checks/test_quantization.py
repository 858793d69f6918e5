"""CFG007: quantized weights on GPUs of all ages."""

from __future__ import annotations

import re
from typing import Any

import pytest

from autoglm_doctor.checks.quantization import quantization_runs
from autoglm_doctor.domain.quantized import SUPPORT, answers, form_of
from autoglm_doctor.facts import Distribution, Driver, Gpu, Host, Interpreter, ModelFiles, Packages
from autoglm_doctor.finding import Finding
from autoglm_doctor.intent import Intent, Launch
from autoglm_doctor.testing import judge

FP8: dict[str, Any] = {"quant_method": "fp8"}
BLOCK: dict[str, Any] = {"quant_method": "fp8", "weight_block_size": [128, 128]}
AWQ: dict[str, Any] = {"quant_method": "awq", "bits": 4}
GPTQ: dict[str, Any] = {"quant_method": "gptq", "bits": 4}
NVFP4: dict[str, Any] = {"quant_method": "modelopt", "quant_algo": "NVFP4"}
MXFP4: dict[str, Any] = {"quant_method": "mxfp4"}


def compressed(bits: int, kind: str, activations: bool, **more: Any) -> dict[str, Any]:
    group = {"weights": {"num_bits": bits, "type": kind, **more}}
    if activations:
        group["input_activations"] = {"num_bits": bits, "type": kind}
    return {"quant_method": "compressed-tensors", "config_groups": {"group_0": group}}


def ask(
    said: dict[str, Any] | None,
    gpu: str,
    version: str | None,
    *,
    engine: Any = "vllm",
    flag: str | None = None,
    driver: str = "580.95.05",
    python: str = "3.12.3",
) -> Finding:
    config = {"model_type": "llama"} | ({"quantization_config": said} if said else {})
    cards = (Gpu(index=0, name="card", compute_capability=gpu, total_bytes=1 << 34, free_bytes=1 << 34),)
    packages = Packages(distributions=(Distribution(name=engine, version=version),) if version else ())
    (finding,) = judge(
        quantization_runs,
        gpus=cards,
        driver=Driver(version=driver, nvml_code=0),
        host=Host(system="Linux", machine="x86_64", kernel="6.8.0", glibc="2.35"),
        interpreter=Interpreter(executable="/srv/env/bin/python", version=python),
        model_files=ModelFiles(path="/models/m", config=config),
        packages=packages,
        intent=Intent(model="/models/m", engine=engine, device="cuda", launch=Launch(quantization=flag)),
    )
    return finding


ILL = [
    pytest.param(AWQ, "7.0", "0.4.0.post1", "fail", id="AWQ on a V100"),
    pytest.param(AWQ, "7.0", None, "fail", id="which no release does"),
    pytest.param(FP8, "8.6", "0.5.0", "fail", id="FP8 on Ampere before Marlin"),
    pytest.param(FP8, "8.6", "0.11.0", "warn", id="FP8 on Ampere with Marlin"),
    pytest.param(FP8, "8.6", None, "warn", id="FP8 on Ampere, release unknown"),
    pytest.param(FP8, "7.5", "0.11.0", "fail", id="FP8 on Turing before 0.14"),
    pytest.param(FP8, "7.5", "0.14.0", "warn", id="FP8 on Turing from 0.14 on"),
    pytest.param(FP8, "7.0", "0.14.0", "fail", id="FP8 on Volta"),
    pytest.param(BLOCK, "8.0", "0.8.5", "fail", id="DeepSeek's FP8 on Ampere before 0.9"),
    pytest.param(BLOCK, "8.0", "0.9.0", "warn", id="DeepSeek's FP8 on Ampere from 0.9 on"),
    pytest.param(NVFP4, "8.9", "0.8.5", "fail", id="NVFP4 on Ada before 0.9"),
    pytest.param(NVFP4, "9.0", "0.12.0", "warn", id="NVFP4 on Hopper"),
    pytest.param(MXFP4, "7.5", "0.15.0", "fail", id="MXFP4 on Turing"),
    pytest.param(compressed(4, "int", False), "7.5", "0.11.0", "fail", id="W4A16 on Turing before 0.12"),
    pytest.param(compressed(8, "float", True), "8.0", "0.12.0", "warn", id="FP8 of compressed-tensors on Ampere"),
    pytest.param(compressed(8, "int", True), "7.0", "0.12.0", "fail", id="INT8 on Volta"),
    pytest.param(FP8, "8.0", "0.1.dev9752+g1a2b3c4", "warn", id="FP8 on Ampere, a build that does not tell its age"),
    pytest.param(FP8, "7.5", "0.14.0rc1.dev500+g1a2b3c4", "warn", id="FP8 on Turing, on the way to 0.14"),
    pytest.param(FP8, "7.5", "0.13.0rc2.dev5+g1a2b3c4", "fail", id="FP8 on Turing, on the way to 0.13"),
    pytest.param(FP8, "7.5", "0.14.1.dev3+g1a2b3c4", "warn", id="FP8 on Turing, after 0.14"),
    pytest.param(FP8, "7.0", "0.1.dev9752+g1a2b3c4", "fail", id="FP8 on Volta, which no build does"),
]

HEALTHY = [
    pytest.param(None, "7.0", "0.8.5", "not_applicable", id="not quantized"),
    pytest.param(AWQ, "7.5", "0.8.5", "pass", id="AWQ on Turing"),
    pytest.param(AWQ, "12.0", "0.25.0", "pass", id="AWQ on Blackwell"),
    pytest.param(GPTQ, "7.0", "0.8.5", "pass", id="GPTQ on Volta"),
    pytest.param(FP8, "8.9", "0.11.0", "pass", id="FP8 on Ada"),
    pytest.param(FP8, "9.0", None, "pass", id="FP8 on Hopper, release unknown"),
    pytest.param(FP8, "9.0", "0.1.dev9752+g1a2b3c4", "pass", id="FP8 on Hopper, a build from source"),
    pytest.param(AWQ, "7.5", "0.1.dev1+g1a2b3c4", "pass", id="AWQ on Turing, a build from source"),
    pytest.param(NVFP4, "12.0", "0.9.0rc1", "pass", id="NVFP4 on Blackwell, on the way to 0.9"),
    pytest.param(BLOCK, "8.9", "0.8.5", "pass", id="DeepSeek's FP8 on Ada"),
    pytest.param(NVFP4, "12.0", "0.14.0", "pass", id="NVFP4 on Blackwell"),
    pytest.param(MXFP4, "8.0", "0.11.0", "pass", id="MXFP4 on Ampere"),
    pytest.param(compressed(4, "int", False), "8.6", "0.8.5", "pass", id="W4A16 on Ampere"),
    pytest.param({"quant_method": "quark"}, "7.0", "0.8.5", "not_applicable", id="a form of which nothing is known"),
    pytest.param(
        {"quant_method": "compressed-tensors"}, "7.0", "0.8.5", "not_applicable", id="groups that say nothing"
    ),
    pytest.param(AWQ, "", "0.8.5", "unknown", id="a GPU of which nothing is known"),
    pytest.param({}, "7.0", "0.8.5", "not_applicable", id="an empty configuration"),
]


@pytest.mark.parametrize(("said", "gpu", "version", "status"), [*ILL, *HEALTHY])
def test_forms(said: dict[str, Any] | None, gpu: str, version: str | None, status: str) -> None:
    finding = ask(said, gpu, version)
    assert finding.status == status
    assert bool(finding.fixes) == (status in ("fail", "warn"))


def test_the_flag_quantizes_a_plain_checkpoint() -> None:
    assert ask(None, "8.0", "0.5.0", flag="fp8").status == "fail"
    assert ask(None, "8.9", "0.5.0", flag="fp8").status == "pass"


def test_the_flag_chooses_the_kernel() -> None:
    assert ask(AWQ, "7.5", "0.8.5", flag="awq_marlin").status == "fail"
    assert ask(AWQ, "7.5", "0.8.5", flag="awq").status == "pass"


def test_sglang_has_rows_of_its_own() -> None:
    assert ask(BLOCK, "8.0", "0.4.10", engine="sglang").status == "fail"
    assert ask(BLOCK, "8.0", "0.5.9", engine="sglang").status == "warn"


FBGEMM: dict[str, Any] = {"quant_method": "fbgemm_fp8"}


@pytest.mark.parametrize(
    ("said", "gpu", "version", "status"),
    [
        pytest.param(FBGEMM, "8.0", None, "fail", id="FBGEMM's FP8 on Ampere, which no release does"),
        pytest.param(FBGEMM, "8.9", "4.57.6", "fail", id="FBGEMM's FP8 on Ada"),
        pytest.param(FBGEMM, "9.0", None, "pass", id="FBGEMM's FP8 on Hopper"),
        pytest.param(BLOCK, "8.9", "4.50.3", "fail", id="blocks on Ada before 4.51"),
        pytest.param(BLOCK, "8.9", "4.51.0", "pass", id="blocks on Ada from 4.51 on"),
        pytest.param(BLOCK, "8.0", "4.57.6", "fail", id="blocks on Ampere before 5.0"),
        pytest.param(BLOCK, "7.5", "5.0.0", "warn", id="blocks on Turing from 5.0 on"),
        pytest.param(BLOCK, "8.0", None, "unknown", id="blocks on Ampere, release unknown"),
        pytest.param(BLOCK, "9.0", "4.49.0", "pass", id="blocks on Hopper"),
        pytest.param(FP8, "7.0", None, "not_applicable", id="another FP8"),
        pytest.param(compressed(8, "float", True), "8.0", "4.51.3", "not_applicable", id="compressed-tensors"),
        pytest.param(AWQ, "7.0", "4.51.3", "not_applicable", id="AWQ asks for no capability"),
        pytest.param(GPTQ, "6.1", "5.5.0", "not_applicable", id="nor does GPTQ"),
        pytest.param({"quant_method": "bitsandbytes"}, "6.1", "4.51.3", "not_applicable", id="nor does bitsandbytes"),
        pytest.param(MXFP4, "7.0", "4.56.2", "not_applicable", id="MXFP4 is unpacked"),
    ],
)
def test_plain_transformers(said: dict[str, Any], gpu: str, version: str | None, status: str) -> None:
    found = ask(said, gpu, version, engine="transformers")
    assert found.status == status
    assert bool(found.fixes) == (status in ("fail", "warn"))


def commands(finding: Finding) -> str:
    return "\n".join(command for fix in finding.fixes for command in fix.commands)


@pytest.mark.parametrize(
    ("gpus", "count", "status"),
    [
        pytest.param("7.0 8.9", 1, "unknown", id="which of two unlike GPUs is taken is open"),
        pytest.param("7.0 8.9", 2, "fail", id="both are taken"),
        pytest.param("7.0 7.0", 1, "fail", id="two of a kind"),
    ],
)
def test_gpus_of_several_kinds(gpus: str, count: int, status: str) -> None:
    (found,) = judge(
        quantization_runs,
        gpus=tuple(
            Gpu(index=i, name="card", compute_capability=one, total_bytes=1 << 34, free_bytes=1 << 34)
            for i, one in enumerate(gpus.split())
        ),
        model_files=ModelFiles(path="/models/m", config={"model_type": "llama", "quantization_config": AWQ}),
        packages=Packages(distributions=(Distribution(name="vllm", version="0.8.5"),)),
        intent=Intent(model="/models/m", engine="vllm", device="cuda", launch=Launch(tensor_parallel=count)),
    )
    assert found.status == status


def test_a_release_that_takes_it_is_named() -> None:
    """A newer vLLM for Ampere; for Volta, which newer ones dropped, none."""
    assert re.search(r"vllm==0\.(2\d|3\d)", commands(ask(FP8, "8.6", "0.5.0")))
    assert "vllm==" not in commands(ask(AWQ, "7.0", "0.8.5"))


@pytest.mark.parametrize(
    ("driver", "said"),
    [
        pytest.param("550.54.15", r"vllm==0\.(1[4-9])\.", id="the newest for CUDA 12"),
        pytest.param("580.95.05", r"vllm==0\.[23]\d", id="the newest of all"),
    ],
)
def test_the_release_is_one_that_the_driver_runs(driver: str, said: str) -> None:
    found = commands(ask(FP8, "7.5", "0.10.2", driver=driver))
    assert re.search(said, found)
    assert "vllm>=" not in found


def test_a_release_that_is_too_old_for_it_is_not_offered() -> None:
    """Python 3.9 ends at vLLM 0.11, and FP8 on Turing begins with 0.14."""
    found = commands(ask(FP8, "7.5", "0.10.2", python="3.9.18"))
    assert "vllm==" not in found
    assert "OTHER-CHECKPOINT" in found


@pytest.mark.parametrize("version", ["0.13.0rc2.dev5+g1a2b3c4", "0.1.dev9752+g1a2b3c4", "0.10.2+mine"])
def test_a_build_of_ones_own_is_not_replaced(version: str) -> None:
    found = ask(FP8, "7.5", version)
    assert found.fixes
    assert "vllm==" not in commands(found)


def test_the_other_checkpoint_takes_the_place_of_the_model_alone() -> None:
    assert "vllm serve OTHER-CHECKPOINT --port" in commands(ask(FP8, "8.6", "0.11.0"))


def test_sglang_of_a_branch_tells_no_release() -> None:
    assert ask(FP8, "8.0", "0.0.0.dev0", engine="sglang").status == "warn"


def test_a_newer_release_never_refuses_more() -> None:
    for row in SUPPORT:
        later = [one for one in SUPPORT if (one.engine, one.form) == (row.engine, row.form)]
        assert [float(one.least) for one in later] == sorted((float(one.least) for one in later), reverse=True)


def test_decoder_of_a_vision_model() -> None:
    assert form_of({"text_config": {"quantization_config": AWQ}}, None) == "awq"
    assert answers("vllm", "0.8.5", "awq", "7.0") == {"refused"}
    assert answers("vllm", "0.8.5", "nothing", "7.0") == frozenset()
