"""Which CUDA a stated torch was built for, where null or false is said beside it; and whose plain number it is."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.loose.read import read_facts
from autoglm_doctor.matrix import load_matrix
from tests.restraint.judged import judged

NOT_SEEN: dict[str, Any] = {"gpus": ["RTX 4090"], "torch_cuda": None, "cuda_available": False}
WITHOUT = "CPU_ONLY_TORCH"


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param({**NOT_SEEN, "torch": "2.2.2"}, id="null, a plain release and no GPU seen"),
        pytest.param({**NOT_SEEN, "torch": "2.2.2", "os": "Windows 11"}, id="the same on Windows"),
        pytest.param({"gpus": ["RTX 4090"], "torch": "2.8.0", "torch_cuda": "None"}, id="as collect_env prints it"),
        pytest.param({"gpus": ["RTX 4090"], "torch": "2.8.0+cpu"}, id="its tag"),
        pytest.param({"gpus": ["RTX 4090"], "torch": "2.8.0+rocm6.4"}, id="a build for AMD beside a GPU of NVIDIA"),
        pytest.param({"gpus": ["GH200"], "arch": "aarch64", "torch": "2.8.0"}, id="a server with Arm"),
    ],
)
def test_torch_without_cuda(facts: dict[str, Any]) -> None:
    assert WITHOUT in [one.cause for one in judged(facts).causes]


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param({**NOT_SEEN, "torch": "2.8.0+cu128"}, id="a tag beside null"),
        pytest.param({**NOT_SEEN, "torch": "2.8.0+cu128", "torch_cuda": "n/a"}, id="a tag beside a word"),
        pytest.param({**NOT_SEEN, "torch": "2.8.0a0+34c6371d24.nv25.08"}, id="a vendor's build"),
        pytest.param({**NOT_SEEN, "torch": "2.9.0.dev20250801"}, id="a nightly build"),
        pytest.param({**NOT_SEEN, "torch": "2.8.0", "container": "nvcr.io/nvidia/pytorch:25.08-py3"}, id="an image"),
        pytest.param({**NOT_SEEN, "torch": "2.5.1", "python_distribution": "conda"}, id="conda"),
        pytest.param({**NOT_SEEN, "torch": "2.8.0", "cuda_init_code": 803}, id="cuInit tells why nothing is seen"),
        pytest.param({"gpus": ["MI300X"], "torch": "2.8.0+rocm6.4", "engine": "vllm 0.11.0"}, id="a GPU of AMD"),
        pytest.param({"gpus": ["Orin"], "arch": "aarch64", "torch": "2.8.0"}, id="a Jetson's own build"),
        pytest.param({"arch": "aarch64", "os": "JetPack 6.2", "torch": "2.8.0", "gpus": ["a GPU"]}, id="by its system"),
        pytest.param({"arch": "aarch64", "kernel": "5.15.148-tegra", "torch": "2.8.0", "gpus": ["a GPU"]}, id="kernel"),
    ],
)
def test_nothing_says_so(facts: dict[str, Any]) -> None:
    assert WITHOUT not in [one.cause for one in judged(facts).causes]


@pytest.mark.parametrize(
    ("facts", "tegra"),
    [
        pytest.param({"gpus": ["NVIDIA Thor"]}, True, id="Thor"),
        pytest.param({"gpus": [{"name": "Jetson AGX Orin"}]}, True, id="Orin"),
        pytest.param({"os": "Ubuntu 22.04 (L4T R36.4)"}, True, id="L4T"),
        pytest.param({"container": "dustynv/vllm:r36.4"}, True, id="an image for it"),
        pytest.param(
            {"gpus": ["Orin"], "torch_origin": "download.pytorch.org (SBSA wheel)"}, False, id="another's wheel"
        ),
        pytest.param({"os": "Ubuntu 24.04", "gpus": ["NVIDIA GB10"]}, False, id="a DGX Spark"),
        pytest.param({"os": "Ubuntu 24.04", "gpus": ["NVIDIA GH200 480GB"]}, False, id="Grace Hopper"),
        pytest.param({"os": "author: Thorsten", "gpus": ["RTX 4090"]}, False, id="half a word"),
    ],
)
def test_a_jetson_by_its_names(facts: dict[str, Any], tegra: bool) -> None:
    host = read_facts(facts, load_matrix())[0].host.value
    assert bool(host and host.tegra) == tegra


@pytest.mark.parametrize(
    ("engine", "container", "is_red"),
    [
        pytest.param("vllm 0.9.1", None, True, id="the project's release"),
        pytest.param("vllm 0.9.1", "docker vllm/vllm-openai:v0.9.1", True, id="its image"),
        pytest.param("vllm 0.9.1", "ghcr.io/sasha0552/vllm:latest", False, id="an image for Pascal, without a release"),
        pytest.param("vllm 0.9.1", "own image with pascal patches", False, id="patches"),
        pytest.param("vllm 0.9.1 (pascal fork)", None, False, id="a fork"),
    ],
)
def test_builds_for_gpus_that_the_project_has_dropped(engine: str, container: str | None, is_red: bool) -> None:
    facts = {"gpus": ["Tesla P40"], "engine": engine, "container": container}
    assert ("GPU_TOO_OLD_FOR_ENGINE" in [one.cause for one in judged(facts).causes]) == is_red
