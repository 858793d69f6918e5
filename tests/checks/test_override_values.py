"""CFG006: values that only some releases and GPUs know."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.checks.override import variables_make_sense
from autoglm_doctor.facts import Environment, Gpu
from autoglm_doctor.intent import Intent
from autoglm_doctor.testing import judge
from tests.checks.package_cases import installed


def status_of(name: str, value: str, engine: Any, capability: str = "", **packages: str) -> str:
    size = {"total_bytes": 1 << 34, "free_bytes": 1 << 34}
    card = Gpu(index=0, name="a GPU", compute_capability=capability, **size)
    (found,) = judge(
        variables_make_sense,
        intent=Intent(model="/m", engine=engine),
        environment=Environment(variables={name: value}),
        packages=installed(**packages),
        gpus=(card,),
    )
    assert bool(found.fixes) == (found.status != "pass")
    return found.status


ATTENTION = [
    pytest.param("XFORMERS", "0.12.0", "9.0", "fail", id="gone with this release"),
    pytest.param("XFORMERS", "0.11.2", "9.0", "pass", id="the last release with it"),
    pytest.param("XFORMERS", "0.10.2", "9.0", "pass", id="long before"),
    pytest.param("FLASHINFER_VLLM_V1", "0.11.1", "9.0", "fail", id="an older name"),
    pytest.param("flashinfer", "0.13.0", "9.0", "fail", id="in small letters"),
    pytest.param("FLASHINFER", "0.13.0", "9.0", "pass", id="a name that it knows"),
    pytest.param("FLASH_ATTN_DIFFKV", "0.14.1", "9.0", "pass", id="a new name"),
    pytest.param("FLASH_ATTN_DIFFKV", "0.13.0", "9.0", "fail", id="before it came"),
    pytest.param("FLASH_ATTN", "0.12.0", "7.5", "fail", id="FlashAttention on Turing"),
    pytest.param("FLASH_ATTN", "0.12.0", "8.0", "pass", id="on Ampere"),
    pytest.param("FLASH_ATTN", "0.12.0", "", "pass", id="on a GPU that is not known"),
    pytest.param("FLASHINFER", "0.12.0", "7.5", "pass", id="FlashInfer on Turing"),
    pytest.param("FLASHINFER", "0.12.0", "7.0", "fail", id="FlashInfer on Volta"),
    pytest.param("FLASH_ATTN", "0.33.0", "7.5", "pass", id="a release that reads it no more"),
    pytest.param("WHATEVER", "0.14.0rc1", "9.0", "pass", id="a build on the way"),
    pytest.param("WHATEVER", "0.1.dev9752+g1a2b3c4", "9.0", "pass", id="a build that does not tell"),
]


@pytest.mark.parametrize(("value", "version", "capability", "status"), ATTENTION)
def test_attention(value: str, version: str, capability: str, status: str) -> None:
    assert status_of("VLLM_ATTENTION_BACKEND", value, "vllm", capability, vllm=version) == status
    assert status_of("VLLM_ATTENTION_BACKEND", value, "sglang", capability, vllm=version) == "pass"


@pytest.mark.parametrize(
    ("value", "version", "status"),
    [
        pytest.param("true", "0.8.5", "fail", id="a word"),
        pytest.param("True", "0.10.2", "fail", id="in capitals"),
        pytest.param("0", "0.8.5", "pass", id="a digit"),
        pytest.param("", "0.8.5", "pass", id="empty"),
        pytest.param("true", "0.20.0", "pass", id="read no more, and V1 is what it is"),
    ],
)
def test_a_word_for_v1(value: str, version: str, status: str) -> None:
    assert status_of("VLLM_USE_V1", value, "vllm", "9.0", vllm=version) == status


@pytest.mark.parametrize(
    ("value", "version", "status"),
    [
        pytest.param("130", "0.45.0", "warn", id="a CUDA that came later"),
        pytest.param("118", "0.45.5", "pass", id="one that it brings"),
        pytest.param("130", "0.48.2", "pass", id="the first that was seen with it"),
        pytest.param("130", "0.48.0", "pass", id="between two that were looked at"),
        pytest.param("117", "0.47.0", "warn", id="one that it dropped"),
        pytest.param("131", "0.50.0", "pass", id="a release that was not looked at"),
        pytest.param("130", "0.45.0+mine", "pass", id="a build of one's own"),
        pytest.param("", "0.45.0", "pass", id="empty"),
    ],
)
def test_libraries_of_bitsandbytes(value: str, version: str, status: str) -> None:
    assert status_of("BNB_CUDA_VERSION", value, "vllm", "9.0", bitsandbytes=version) == status


@pytest.mark.parametrize(
    ("version", "capability", "status"),
    [
        pytest.param("0.43.3", "7.0", "warn", id="a V100, and a release that puts the number in the wrong place"),
        pytest.param("0.43.3", "7.5", "pass", id="a GPU with cuBLASLt"),
        pytest.param("0.43.3", "", "pass", id="a GPU of which nothing is known"),
        pytest.param("0.44.1", "7.0", "pass", id="mended"),
    ],
)
def test_the_file_name_that_bitsandbytes_makes_of_it(version: str, capability: str, status: str) -> None:
    assert status_of("BNB_CUDA_VERSION", "124", "vllm", capability, bitsandbytes=version) == status


LIST = "7.0;7.5;8.0;8.9;9.0;10.0+PTX"


@pytest.mark.parametrize(
    ("value", "engine", "version", "status"),
    [
        pytest.param(LIST, "sglang", "0.2.5", "warn", id="one old GPU among newer ones"),
        pytest.param("Volta Ampere", "sglang", "0.2.14", "warn", id="by name"),
        pytest.param(LIST, "sglang", "0.3.0", "pass", id="a release that looks at the others"),
        pytest.param("8.0 9.0a", "sglang", "0.2.5", "pass", id="newer ones alone"),
        pytest.param("", "sglang", "0.2.5", "pass", id="empty"),
        pytest.param(LIST, "vllm", "0.2.5", "pass", id="vLLM may never build one"),
    ],
)
def test_architectures_of_flashinfer(value: str, engine: str, version: str, status: str) -> None:
    assert status_of("TORCH_CUDA_ARCH_LIST", value, engine, "9.0", flashinfer_python=version) == status
