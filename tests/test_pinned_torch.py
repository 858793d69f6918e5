"""TOR005 where nobody states torch: the line that the engine pins, in the project's image and elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.loose.container import image_engine, official_engine
from tests.restraint.judged import judged

BLACKWELL = [{"name": "NVIDIA GeForce RTX 5090", "compute_capability": "12.0"}]
OLD = {"engine": "vllm 0.8.5.post1", "gpus": BLACKWELL}
IMAGE = "docker vllm/vllm-openai:v0.8.5.post1"


def cause(facts: dict[str, Any]) -> tuple[str, str]:
    """Status and check of what is said of missing code."""
    found = [one for one in judged(facts).causes if one.cause == "GPU_ARCH_NOT_IN_WHEEL"]
    return (found[0].status, found[0].check) if found else ("", "")


JUDGED = [
    pytest.param({"container": IMAGE, "gpus": BLACKWELL}, "fail", id="the project's image"),
    pytest.param({**OLD, "container": f"{IMAGE} --ipc=host", "torch": "2.6.0"}, "fail", id="its torch stated as well"),
    pytest.param({**OLD, "container": f"mirror.example/{IMAGE.split()[1]}"}, "fail", id="the image from a mirror"),
    pytest.param({"container": "lmsysorg/sglang:v0.4.6.post1-cu124", "gpus": BLACKWELL}, "fail", id="SGLang's image"),
    pytest.param({"engine": "vllm 0.6.3", "gpus": BLACKWELL}, "fail", id="a plain installation of an old release"),
    pytest.param({"engine": "sglang 0.4.5", "gpus": [{"name": "NVIDIA B200"}]}, "fail", id="SGLang on a B200"),
    pytest.param({"engine": "vllm 0.7.3", "gpus": [{"name": "NVIDIA B300"}]}, "fail", id="vLLM on a B300"),
    pytest.param({**OLD, "container": "docker someserver v0.6.1"}, "warn", id="somebody's image"),
    pytest.param({"torch": "2.5.1", "container": "docker app", "gpus": BLACKWELL}, "warn", id="torch, in an image"),
    pytest.param(
        {"container": f"docker run --gpus all -v /c:/c {IMAGE.split()[1]} --model X", "gpus": BLACKWELL},
        "fail",
        id="run",
    ),
]


@pytest.mark.parametrize(("facts", "status"), JUDGED)
def test_a_line_of_torch_without_code(facts: dict[str, Any], status: str) -> None:
    assert cause(facts)[0] == status


QUIET = [
    pytest.param({**OLD, "container": "nvcr.io/nvidia/vllm:25.09-py3"}, id="NVIDIA's image"),
    pytest.param({**OLD, "container": "NGC PyTorch 25.03"}, id="NVIDIA's, by its name"),
    pytest.param({**OLD, "container": "rocm/vllm-dev:nightly"}, id="a vendor's image"),
    pytest.param({**OLD, "container": "docker", "torch": "2.7.0+cu128"}, id="torch was exchanged"),
    pytest.param({**OLD, "container": "docker", "torch": "2.7.0"}, id="exchanged for a line with such code"),
    pytest.param({**OLD, "container": "docker", "torch": "2.6.0a0+nv25.01"}, id="a vendor's torch"),
    pytest.param({**OLD, "container": "docker", "torch_cuda": "12.8"}, id="its CUDA is stated, and can"),
    pytest.param({**OLD, "container": "docker", "packages": {"torchvision": "0.22.0"}}, id="a torchvision of 2.7"),
    pytest.param({**OLD, "container": "docker", "packages": {"nvidia-cuda-runtime-cu12": "12.8.57"}}, id="cu128"),
    pytest.param({"engine": "vllm 0.8.5 (built from source)", "gpus": BLACKWELL}, id="a build of one's own"),
    pytest.param({"engine": "vllm 0.8.5.dev3+g1a2b3c4d", "gpus": BLACKWELL}, id="a commit"),
    pytest.param({"container": "vllm/vllm-openai:v0.9.0", "gpus": BLACKWELL}, id="the first image for Blackwell"),
    pytest.param({"container": "vllm/vllm-openai:v0.12.0", "gpus": [{"name": "NVIDIA B300"}]}, id="10.0 runs on 10.3"),
    pytest.param({"container": IMAGE, "gpus": [{"name": "NVIDIA H100 80GB HBM3"}]}, id="a GPU that it knows"),
    pytest.param({"container": IMAGE, "gpus": [{"name": "NVIDIA GeForce RTX 4090"}]}, id="8.6 runs on 8.9"),
    pytest.param({"container": "vllm/vllm-openai:v0.8.5-custom", "gpus": BLACKWELL}, id="another tag"),
    pytest.param({"container": "lmsysorg/sglang:v0.4.6.post1-cu128", "gpus": BLACKWELL}, id="SGLang's for Blackwell"),
    pytest.param({**OLD, "python_distribution": "conda", "container": "docker"}, id="conda's builds have PTX"),
    pytest.param({"engine": "sglang 0.4.5", "gpus": [{"name": "NVIDIA GB200"}], "container": "docker"}, id="Arm"),
    pytest.param({"engine": "vllm 0.6.3", "gpus": [{"name": "Jetson AGX Thor"}]}, id="a Jetson"),
    pytest.param({"engine": "sglang 0.4.5", "container": "lmsysorg/sglang:blackwell", "gpus": BLACKWELL}, id="for it"),
    pytest.param({**OLD, "container": "docker my/vllm-cu128"}, id="an image for CUDA 12.8"),
    pytest.param({**OLD, "container": "lmsysorg/sglang:dev"}, id="a tag that is no release"),
    pytest.param({"container": f"{IMAGE}, modified Dockerfile", "gpus": BLACKWELL}, id="a Dockerfile of one's own"),
    pytest.param({"container": f"{IMAGE} + torch 2.7.0 cu128", "gpus": BLACKWELL}, id="another torch put into it"),
    pytest.param(
        {"torch": "2.7.0.dev20250206+cu128", "gpus": ["GTX 1080 Ti"]}, id="a nightly build of the first weeks"
    ),
    pytest.param({"torch": "2.3.0", "gpus": ["Orin"], "os": "Ubuntu 22.04 L4T"}, id="a Jetson's own torch"),
    pytest.param({"engine": "vllm 0.6.3", "arch": "aarch64", "gpus": BLACKWELL}, id="Arm, as it is stated"),
]


@pytest.mark.parametrize("facts", QUIET)
def test_nothing_is_concluded(facts: dict[str, Any]) -> None:
    assert cause(facts)[1] != "TOR005"


@pytest.mark.parametrize(
    ("said", "engine"),
    [
        pytest.param("docker vllm/vllm-openai:v0.8.5.post1", ("vllm", "0.8.5.post1"), id="vLLM's"),
        pytest.param("docker.io/lmsysorg/sglang:v0.4.5-cu124", ("sglang", "0.4.5"), id="SGLang's"),
        pytest.param("vllm/vllm-openai:v0.19.0-cu130", ("", ""), id="for another CUDA"),
        pytest.param("vllm/vllm-openai:v0.8.5 with `pip install -U torch`", ("", ""), id="changed"),
        pytest.param("vllm/vllm-openai:v0.8.5 with torch 2.7.0", ("", ""), id="changed, in other words"),
        pytest.param("docker run --gpus all vllm/vllm-openai:v0.8.5 --model X", ("vllm", "0.8.5"), id="with its flags"),
        pytest.param("lmcache/vllm-openai:v0.8.5", ("", ""), id="of the same name, by others"),
        pytest.param("ghcr.io/sasha0552/vllm:v0.8.1", ("", ""), id="others"),
        pytest.param("vllm/vllm-openai:latest", ("", ""), id="no release"),
        pytest.param(None, ("", ""), id="none"),
    ],
)
def test_images_of_the_projects(said: Any, engine: tuple[str, str]) -> None:
    assert official_engine(said) == engine


def test_an_image_for_gpus_that_the_project_has_dropped() -> None:
    assert image_engine("revolver/vllm-pascal:0.9.1") == ("vllm", "0.9.1+pascal")
    assert image_engine("vllm-v100:v0.21.0") == ("vllm", "0.21.0+v100")
    assert image_engine("vllm-v100:cu128") == ("vllm", "")
    assert image_engine("docker ghcr.io/sasha0552/vllm:v0.8.1") == ("vllm", "0.8.1+pascal")
    pascal = [{"name": "Tesla P40", "compute_capability": "6.1"}]
    facts = {"container": "docker ghcr.io/sasha0552/vllm:v0.8.1", "engine": "vllm 0.8.1", "gpus": pascal}
    assert not judged(facts).causes
    facts["container"] = "docker vllm/vllm-openai:v0.8.1"
    assert [one.cause for one in judged(facts).causes] == ["GPU_TOO_OLD_FOR_ENGINE"]
