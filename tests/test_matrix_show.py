"""`autoglm-doctor matrix show`: what a person reads."""

from __future__ import annotations

import subprocess
import sys

import pytest

from autoglm_doctor.cli.matrix_answers import answer
from autoglm_doctor.errors import DoctorError
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.matrix.models import LIBRARIES

M = load_matrix()


@pytest.mark.parametrize(
    ("what", "which", "said"),
    [
        pytest.param(
            "torch",
            "2.9.0",
            (
                "default wheel CUDA 12.8",
                "torchvision 0.24.0",
                "cu130 code for 7.5",
                "pinned by vllm 0.11.1, 0.11.2, 0.12.0",
            ),
            id="torch 2.9.0",
        ),
        pytest.param("torch", "2.2.2", ("NumPy 2 no: numpy<2",), id="a torch before NumPy 2"),
        pytest.param(
            "driver",
            "570",
            ("newest CUDA 12.8", "CUDA 12.x runs", "CUDA 13.x does not run (needs 580.65.06)", "PTX ISA up to 8.7"),
            id="driver 570",
        ),
        pytest.param(
            "driver", "580", ("CUDA 13.x runs from 580.65.06 on",), id="a branch whose first drivers are too old"
        ),
        pytest.param("driver", "572.61", ("judged as branch 570",), id="a driver between branches"),
        pytest.param(
            "vllm",
            "0.12.0",
            (
                "torch 2.9.0",
                "glibc, at least 2.31",
                "ISA 8.8 (FlashAttention-2): driver 575",
                "newest transformers 4.57.6",
            ),
            id="vllm 0.12.0",
        ),
        pytest.param("vllm", "v0.12.0", ("vllm 0.12.0, released 2025-12-03",), id="a tag of a container"),
        pytest.param("vllm", "0.12.3", ("judged as 0.12.0",), id="a release that is not in the table"),
        pytest.param(
            "gpu",
            "RTX 4090",
            ("compute capability 8.9", "24 GiB, CUDA counts 23.52 GiB", "1008 GB/s", "165.2 TFLOPS"),
            id="RTX 4090",
        ),
        pytest.param(
            "gpu",
            "P40",
            ("newest torch 2.14.1 (cu126)", "vllm no release has code for it"),
            id="a card that no engine has code for",
        ),
        pytest.param("gpu", "5090", ("vllm 0.9.0 to",), id="a card that the first releases have no code for"),
        pytest.param("transformers", "4.53.1", ("known defect glm4v",), id="a release with a defect"),
        pytest.param(
            "transformers", "4.57.0", ("known defect all models: withdrawn",), id="a release that was withdrawn"
        ),
        pytest.param("transformers", "5.0.0rc0", ("sglang 0.5.6.post1",), id="a pre-release"),
        pytest.param(
            "model", "glm4v", ("transformers 4.53.2 or newer", "but not transformers 4.53.0, 4.53.1"), id="a model type"
        ),
        pytest.param(
            "model",
            "Glm4vForConditionalGeneration",
            ("vllm 0.9.2 or newer", "sglang 0.5.1 or newer"),
            id="an architecture",
        ),
        pytest.param("cuda", "12.9", ("driver, at least 525.60.13", "PTX needs branch 575"), id="a CUDA release"),
        pytest.param(
            "onnxruntime",
            "1.18.1",
            ("built for CUDA 11", "driver, at least 450.80.02", "built for cuDNN 8"),
            id="another server",
        ),
        pytest.param("onnxruntime-gpu", "1.31.1", ("cuda 13.0", "built for CUDA 13"), id="what both tables say"),
        pytest.param(
            "tensorrt-llm",
            "1.0.0",
            (
                "released 2025-09-24",
                "torch <=2.8.0a0,>=2.7.1",
                "transformers 4.53.1",
                "tensorrt ~=10.11.0",
                "wheels for Python 3.10 3.12",
                "built for CUDA 12",
                "GPU, at least compute capability 8.0",
                "told by nvidia.github.io/TensorRT-LLM",
            ),
            id="TensorRT-LLM 1.0",
        ),
        pytest.param(
            "TRTLLM",
            "v1.2.1",
            ("driver, at least 580.65.06", "nccl-package nvidia-nccl-cu13", "note torch 2.9 of the default index"),
            id="TensorRT-LLM for CUDA 13, by its short name",
        ),
        pytest.param(
            "tensorrt_llm",
            "0.16.0",
            ("tensorrt-llm 0.16.0: not in the table of releases; what follows is as of 0.16.0", "built for CUDA 12"),
            id="a release that only the hand knows",
        ),
        pytest.param(
            "tensorrt-llm",
            "9.9",
            ("tensorrt-llm 9.9: not in the table of releases; what follows is as of 1.2.0rc2",),
            id="a release that does not exist",
        ),
        pytest.param(
            "vllm",
            "0.4.2",
            ("newest transformers 4.51.3 (within a year; no upper bound is stated",),
            id="a vLLM that bounds from below alone",
        ),
        pytest.param("torchserve", "0.12.0", ("wheels py3", "pure Python"), id="a server without CUDA of its own"),
    ],
)
def test_answers(what: str, which: str, said: tuple[str, ...]) -> None:
    text = "\n".join(" ".join(line.split()) for line in answer(M, what, which))
    for one in (*said, "source "):
        assert one in text


@pytest.mark.parametrize("what", ["torch", "vllm", "sglang", *LIBRARIES])
def test_without_a_version_the_newest_is_shown(what: str) -> None:
    assert M.newest_release(what) in answer(M, what, "")[0]


@pytest.mark.parametrize(
    ("what", "which", "said"),
    [
        pytest.param("weather", "", "it has driver, cuda, gpu", id="no such table"),
        pytest.param("driver", "", "for example|For example: autoglm-doctor matrix show driver 570", id="which one"),
        pytest.param("driver", "new", "no driver version", id="no version"),
        pytest.param("torch", "0.4", "has no torch", id="no such torch"),
        pytest.param("gpu", "RTX 4091", "near: ", id="no such card"),
        pytest.param("vllm", "0.1", "begins with 0.2.0", id="before the table"),
        pytest.param("transformers", "9.9", "5.23.0", id="no such release"),
        pytest.param("tensorrt-llm", "0.5.0", "it has 0.18.0", id="a server before the tables"),
        pytest.param("tensorrt-llm", "newest", "it has 0.18.0", id="no version of a server"),
        pytest.param("model", "nobodys", "neither a model type nor an architecture", id="no such model"),
        pytest.param("cuda", "7.5", "majors", id="no such CUDA"),
    ],
)
def test_what_is_not_there_says_what_is(what: str, which: str, said: str) -> None:
    with pytest.raises(DoctorError, match=said):
        answer(M, what, which)


@pytest.mark.parametrize("row", M.gpus)
def test_every_card_can_be_shown(row: str) -> None:
    assert answer(M, "gpu", row)[0] == M.gpu_name(row)


def test_the_command() -> None:
    words = [sys.executable, "-m", "autoglm_doctor", "matrix", "show"]
    done = subprocess.run([*words, "driver", "570"], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Matrix of {M.generated}" in done.stdout
    wrong = subprocess.run([*words, "weather"], capture_output=True, text=True, timeout=60, check=False)
    assert (wrong.returncode, wrong.stdout) == (2, "")
