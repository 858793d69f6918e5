"""Published container images: what they ask of the driver, told from the image's name alone."""

from __future__ import annotations

from typing import Any

import pytest
from packaging.version import Version

from autoglm_doctor.domain.requirement import Offer, holds
from autoglm_doctor.loose.judge import diagnose
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.registry import load_checks

GEFORCE, CARD = "NVIDIA GeForce RTX 4090", "NVIDIA A100-SXM4-80GB"
VLLM = "vllm/vllm-openai:v"


def causes(container: str, driver: str, gpu: str, **more: Any) -> list[str]:
    facts = {"container": container, "driver_version": driver, "gpus": [{"name": gpu}], **more}
    return [one.cause for one in diagnose("one", facts, load_checks().checks, load_matrix()).causes]


@pytest.mark.parametrize(
    ("container", "driver", "gpu"),
    [
        pytest.param(f"{VLLM}0.12.0", "570.133.20", GEFORCE, id="CUDA 12.9 on 12.8"),
        pytest.param(f"docker, {VLLM}0.14.1 with --gpus all", "550.54.14", GEFORCE, id="named in a sentence"),
        pytest.param(f"{VLLM}0.9.0", "550.54.14", GEFORCE, id="CUDA 12.8 on 12.4"),
        pytest.param(f"{VLLM}0.20.0", "575.51.03", GEFORCE, id="CUDA 13 on 12.9"),
        pytest.param(f"{VLLM}0.12.0", "530.30.02", CARD, id="a branch that passes for no family"),
        pytest.param("nvidia/cuda:12.9.1-base-ubuntu22.04", "550.54.14", GEFORCE, id="an image of NVIDIA's"),
        pytest.param("docker run --gpus all vllm/vllm-openai:v0.12.0", "570.124.06", GEFORCE, id="by its flag"),
    ],
)
def test_refused(container: str, driver: str, gpu: str) -> None:
    assert causes(container, driver, gpu) == ["CONTAINER_REQUIRES_NEWER_CUDA"]


@pytest.mark.parametrize(
    ("container", "driver", "gpu", "more"),
    [
        pytest.param(f"{VLLM}0.12.0", "575.51.03", GEFORCE, {}, id="a driver of the image's CUDA"),
        pytest.param(f"{VLLM}0.12.0", "535.161.08", CARD, {}, id="a branch that passes for data-centre cards"),
        pytest.param(f"{VLLM}0.20.0", "570.86.15", "NVIDIA L40S", {}, id="CUDA 13 by forward compatibility"),
        pytest.param(f"{VLLM}0.20.0-cu129", "575.51.03", GEFORCE, {}, id="the tag names another CUDA"),
        pytest.param(f"{VLLM}0.12.0", "570.133.20", GEFORCE, {"packages": {"vllm": "0.12.0"}}, id="seen from inside"),
        pytest.param(f"{VLLM}0.12.0", "570.133.20", GEFORCE, {"cuda_available": True}, id="torch ran in it"),
        pytest.param(
            f"{VLLM}0.12.0", "570.133.20", GEFORCE, {"env": {"NVIDIA_DISABLE_REQUIRE": "1"}}, id="not asked to compare"
        ),
        pytest.param(f"{VLLM}latest", "550.54.14", GEFORCE, {}, id="no version"),
        pytest.param(f"{VLLM}0.8.5", "535.161.08", GEFORCE, {}, id="an image that is in no table"),
        pytest.param("nvcr.io/nvidia/pytorch:25.09-py3", "550.54.14", GEFORCE, {}, id="another maker's image"),
        pytest.param(f"podman, {VLLM}0.12.0", "570.124.06", GEFORCE, {}, id="podman goes by CDI"),
        pytest.param(f"docker --device nvidia.com/gpu=all {VLLM}0.12.0", "570.124.06", GEFORCE, {}, id="a CDI device"),
        pytest.param(f"apptainer run --nv docker://{VLLM}0.12.0", "570.124.06", GEFORCE, {}, id="apptainer"),
        pytest.param(f"k8s, {VLLM}0.12.0", "570.124.06", GEFORCE, {}, id="Kubernetes, of which nobody says how"),
        pytest.param(f"FROM {VLLM}0.12.0, ENV NVIDIA_DISABLE_REQUIRE=1", "570.124.06", GEFORCE, {}, id="switched off"),
        pytest.param(f"none, {VLLM}0.12.0 was tried", "570.124.06", GEFORCE, {}, id="no container"),
        pytest.param(f"{VLLM}0.12.0", "570.124.06", GEFORCE, {"shm": "64 MB"}, id="somebody looked inside"),
        pytest.param(
            f"docker --runtime nvidia {VLLM}0.12.0", "570.124.06", GEFORCE, {"container_toolkit": "1.18.0"}, id="1.18"
        ),
        pytest.param(
            "nvidia/cuda:12.9.1-devel-ubuntu22.04",
            "570.124.06",
            GEFORCE,
            {"engine": "vllm 0.11.0"},
            id="installed in it",
        ),
    ],
)
def test_quiet(container: str, driver: str, gpu: str, more: dict[str, Any]) -> None:
    assert causes(container, driver, gpu, **more) == []


@pytest.mark.parametrize(
    ("text", "check"),
    [
        pytest.param("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB", False, id="no memory"),
        pytest.param("16.00 GiB KV cache is needed, which is larger than the available", False, id="a small cache"),
        pytest.param("requirement error: unsatisfied condition: cuda>=12.9", True, id="the refusal itself"),
        pytest.param("", True, id="no text"),
    ],
)
def test_a_text_of_the_engine_shows_that_its_image_has_started(text: str, check: bool) -> None:
    facts = {"container": f"{VLLM}0.12.0", "driver_version": "570.133.20", "gpus": [{"name": GEFORCE}]}
    found = diagnose("one", {"facts": facts, "symptom": text}, load_checks().checks, load_matrix())
    assert ("CUD005" in [one.check for one in found.causes]) == check


def test_what_the_card_is_decides_and_is_open_where_no_card_is_named() -> None:
    demand = load_matrix().image_demand("12.9")
    answers = [holds(demand, Offer("12.4", "550.54.14", names=names)) for names in ((GEFORCE,), (CARD,), ())]
    assert answers == [False, True, None]


@pytest.mark.parametrize("cuda", [row.cuda for row in load_matrix().images.cuda])
def test_a_newer_driver_is_never_refused_where_its_cuda_suffices(cuda: str) -> None:
    demand, branches = load_matrix().image_demand(cuda), load_matrix().branches.items()
    known = [(name, row.cuda) for name, row in branches if Version(row.cuda) >= Version(cuda)]
    assert known
    assert all(holds(demand, Offer(has, f"{name}.1", names=(GEFORCE,))) for name, has in known)


def test_every_image_of_an_engine_has_a_demand() -> None:
    matrix = load_matrix()
    assert all(matrix.image_demand(row.cuda) for row in matrix.images.vllm)
