"""Words whose cause the facts beside them tell, and words that mean nothing on some GPUs."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.domain.signatures import symptoms_of
from autoglm_doctor.loose.judge import diagnose
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.registry import load_checks

FLASHINFER = "RuntimeError: FlashInfer requires GPUs with sm75 or higher"
NOT_LOADED = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
NO_KERNELS = "Your installed torch==2.13.0+cu130 does not include kernels for this GPU."
RANGE = "Minimum and Maximum cuda capability supported by this version of PyTorch is (8.0) - (12.0)"

CASES = [
    pytest.param(FLASHINFER, {"gpus": ["RTX 5090"]}, ["NVCC_MISSING_FOR_JIT"], id="FlashInfer on a new GPU"),
    pytest.param(FLASHINFER, {"gpus": ["Tesla T4"]}, ["NVCC_MISSING_FOR_JIT"], id="FlashInfer on Turing"),
    pytest.param(FLASHINFER, {"gpus": ["Tesla V100"]}, ["GPU_TOO_OLD_FOR_ENGINE"], id="FlashInfer on Volta"),
    pytest.param(FLASHINFER, {}, ["GPU_TOO_OLD_FOR_ENGINE"], id="FlashInfer on a GPU that is not known"),
    pytest.param(NOT_LOADED, {}, ["KERNEL_MODULE_NOT_BUILT"], id="a module that is not loaded"),
    pytest.param(NOT_LOADED, {"secure_boot": False}, ["KERNEL_MODULE_NOT_BUILT"], id="without Secure Boot"),
    pytest.param(NOT_LOADED, {"secure_boot": True}, ["SECURE_BOOT_BLOCKS_MODULE"], id="with Secure Boot"),
    pytest.param(
        f"{NOT_LOADED} Secure Boot is enabled", {}, ["SECURE_BOOT_BLOCKS_MODULE"], id="Secure Boot is spoken of"
    ),
    pytest.param(NO_KERNELS, {}, ["GPU_ARCH_NOT_IN_WHEEL"], id="torch without kernels"),
    pytest.param(NO_KERNELS, {"gpus": ["GTX 1060 6GB"]}, ["GPU_ARCH_NOT_IN_WHEEL"], id="torch without kernels for it"),
    pytest.param(NO_KERNELS, {"gpus": ["NVIDIA GB10"]}, [], id="what torch says of a GB10"),
    pytest.param(f"Found GPU0 NVIDIA GB10 (CC) 12.1.\n{NO_KERNELS}", {}, [], id="a GB10 by the text"),
    pytest.param(RANGE, {}, [], id="a range of capabilities"),
    pytest.param("Failed to get device capability: SM 12.x requires CUDA >= 12.9.", {}, [], id="only a warning"),
]


@pytest.mark.parametrize(("text", "stated", "causes"), CASES)
def test_causes(text: str, stated: dict[str, Any], causes: list[str]) -> None:
    found = diagnose("x", {"facts": stated, "symptom": text}, load_checks().checks, load_matrix())
    named = [one.cause for one in found.causes if one.check == "text"]
    assert named == causes


@pytest.mark.parametrize(
    "line",
    [
        "2026-05-19 10:00:00,123 - WARNING - compilation_context.py:104 - flashinfer.jit: Failed to get device capability: SM 12.x requires CUDA >= 12.9.",
        "WARNING 08-28 10:00:00 [topk_topp_sampler.py:80] FlashInfer top-p/top-k sampling unavailable: SM 12.x requires CUDA >= 12.9; falling back. Set VLLM_USE_FLASHINFER_SAMPLER=0 to silence.",
        "/bin/sh -c /usr/local/cuda/bin/nvcc --version",
        "ptxas info    : Compiling entry function 'k' for 'sm_103a'",
        "NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  580.95.05",
        "INFO 10-21 09:11:57 [cuda.py:1] CUDA_VISIBLE_DEVICES=GPU-7f57f032 is used",
    ],
)
def test_lines_of_healthy_servers(line: str) -> None:
    assert symptoms_of([line]) == ()


def test_the_warning_before_the_end_tells_why() -> None:
    log = ["WARNING 05-12 10:00:00 [x.py:1] SM 12.x requires CUDA >= 12.9", FLASHINFER]
    assert [one.signature.cause for one in symptoms_of(log)] == ["NVCC_MISSING_FOR_JIT"]
    log = ["SM 12.1+ requires CUDA >= 12.9", "FlashInfer requires sm75+"]
    assert [one.signature.cause for one in symptoms_of(log)] == ["NVCC_MISSING_FOR_JIT"]
