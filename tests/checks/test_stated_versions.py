"""PKG009 to PKG013, HST004 and ENG003 on versions that are only stated: quiet neighbours of each rule."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pytest

from autoglm_doctor.checks.companions import torch_companions
from autoglm_doctor.checks.cuda_packages import cuda_packages
from autoglm_doctor.checks.hf_libraries import transformers_libraries
from autoglm_doctor.checks.known_bad import known_bad_release
from autoglm_doctor.checks.numpy_abi import numpy_abi
from autoglm_doctor.facts import Distribution, ModelFiles, Packages, Torch, TorchRun
from autoglm_doctor.intent import Intent
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.testing import judge
from tests.restraint.judged import judged

GLM = "zai-org/GLM-4.1V-9B-Thinking"


def packages(requires: dict[str, tuple[str, ...]] | None = None, **versions: str) -> Packages:
    said = requires or {}
    return Packages(
        distributions=tuple(
            Distribution(name=name.replace("_", "-"), version=version, requires=said.get(name, ()))
            for name, version in versions.items()
        )
    )


QUIET: dict[str, dict[str, Any]] = {
    "torch 2.3 with NumPy 2": {"packages": {"torch": "2.3.1", "numpy": "2.0.1"}},
    "torch 2.2 with NumPy 1": {"packages": {"torch": "2.2.2", "numpy": "1.26.4"}},
    "a vendor's torch 2.3 before its release": {"packages": {"torch": "2.3.0a0+ebedce2", "numpy": "2.0.0"}},
    "NumPy 2 alone": {"packages": {"numpy": "2.3.0"}},
    "SciPy and scikit-learn of NumPy 2": {
        "packages": {"transformers": "4.57.1", "numpy": "2.2.6", "scipy": "1.13.0", "scikit-learn": "1.4.2"}
    },
    "an old SciPy with NumPy 1": {"packages": {"transformers": "4.57.1", "numpy": "1.26.4", "scipy": "1.10.1"}},
    "an old SciPy that nothing imports": {"packages": {"torch": "2.9.1", "numpy": "2.2.6", "scipy": "1.11.0"}},
    "transformers 5 imports scikit-learn later": {
        "packages": {"transformers": "5.2.0", "numpy": "2.2.6", "scikit-learn": "1.3.2", "scipy": "1.15.0"}
    },
    "the last Python of an engine": {"python": "3.13.1", "engine": "vllm 0.11.0"},
    "Python 3.14 and an engine for it": {"python": "3.14.0", "engine": "vllm 0.20.2"},
    "Python 3.14 and an engine without a version": {"python": "3.14.0", "engine": "vllm"},
    "Python 3.14 and a build of one's own": {"python": "3.14.0", "packages": {"vllm": "0.11.0rc2.dev7+g1a2b3c4"}},
    "Python 3.14 and plain transformers": {"python": "3.14.0", "packages": {"transformers": "5.2.0"}},
    "Ubuntu 20.04 and vLLM for it": {"os": "Ubuntu 20.04", "engine": "vllm 0.19.1"},
    "Ubuntu 20.04 and vLLM after 0.20": {"os": "Ubuntu 20.04", "engine": "vllm 0.22.0"},
    "Ubuntu 22.04 and vLLM 0.20": {"os": "Ubuntu 22.04", "engine": "vllm 0.20.0"},
    "a container with a system of its own": {"os": "Ubuntu 20.04", "container": "vllm/vllm-openai:v0.20.0"},
    "vLLM 0.20 of one's own on an old system": {"os": "Ubuntu 20.04", "packages": {"vllm": "0.20.1.dev3+g1a2b3c4"}},
    "Windows has no glibc": {"os": "Windows 11", "packages": {"torch": "2.9.1", "transformers": "4.57.1"}},
    "the release after the withdrawn one": {"packages": {"transformers": "4.57.1"}},
    "the withdrawn release that SGLang names": {
        "engine": "sglang 0.5.3",
        "packages": {"sglang": "0.5.3", "transformers": "4.57.0"},
    },
    "a release that fails on another model": {
        "model": "Qwen/Qwen2.5-7B-Instruct",
        "packages": {"transformers": "4.53.1"},
    },
    "the release after the one that fails": {
        "model": GLM,
        "engine": "vllm 0.10.0",
        "packages": {"vllm": "0.10.0", "transformers": "4.54.1"},
    },
    "torchaudio of this torch": {"packages": {"torch": "2.9.1", "torchaudio": "2.9.0"}},
    "torchaudio 2.11 serves later torches": {"packages": {"torch": "2.13.0", "torchaudio": "2.11.0"}},
    "a torchaudio from after the table": {"packages": {"torch": "2.15.0", "torchaudio": "2.16.0"}},
    "a torch from after the table": {"packages": {"torch": "2.99.0", "torchaudio": "2.99.0", "torchvision": "0.99.0"}},
    "a vendor's torch": {"packages": {"torch": "2.9.0a0+50eac811a6.nv25.09", "torchvision": "0.24.0a0+98f8b375"}},
    "torchvision of this torch": {"packages": {"torch": "2.9.1", "torchvision": "0.24.1"}, "container": "docker"},
    "xformers of this torch": {"packages": {"torch": "2.8.0+cu128", "xformers": "0.0.32.post2"}},
    "xformers for a range": {"packages": {"torch": "2.11.0", "xformers": "0.0.35"}},
    "bitsandbytes for a range": {"packages": {"torch": "2.9.1", "bitsandbytes": "0.48.1"}},
    "huggingface-hub within the range": {"packages": {"transformers": "4.57.1", "huggingface-hub": "0.36.0"}},
    "huggingface-hub 1 with transformers 5": {"packages": {"transformers": "5.2.0", "huggingface-hub": "1.4.0"}},
    "tokenizers within the range": {"packages": {"transformers": "4.57.1", "tokenizers": "0.22.1"}},
    "an old transformers": {
        "packages": {"transformers": "4.30.0", "huggingface-hub": "0.36.0", "tokenizers": "0.13.3"}
    },
    "transformers before the table": {"packages": {"transformers": "4.25.1", "huggingface-hub": "0.8.1"}},
    "accelerate with the first hub that has its import": {
        "packages": {"accelerate": "0.32.1", "huggingface-hub": "0.21.4"}
    },
    "accelerate before that import": {"packages": {"accelerate": "0.31.0", "huggingface-hub": "0.17.3"}},
    "kernels before they asked for versions": {"packages": {"transformers": "5.6.0", "kernels": "0.14.1"}},
    "a transformers that names versions": {"packages": {"transformers": "5.13.0", "kernels": "0.15.2"}},
    "kernels beside a transformers from source": {"packages": {"transformers": "5.12.0.dev0", "kernels": "0.15.2"}},
    "kernels beside transformers 4": {"packages": {"transformers": "4.57.1", "kernels": "0.9.0"}},
    "libraries of a transformers that was withdrawn": {
        "engine": "sglang 0.5.3",
        "packages": {"transformers": "4.57.0", "huggingface-hub": "0.35.3", "tokenizers": "0.22.1"},
    },
    "a transformers that the table has not seen yet": {
        "packages": {"transformers": "4.57.99", "huggingface-hub": "1.3.0", "tokenizers": "0.21.0"}
    },
    "a line of transformers that never was": {
        "packages": {"transformers": "4.58.0", "huggingface-hub": "1.3.0", "tokenizers": "0.21.0"}
    },
    "transformers from source": {"packages": {"transformers": "5.3.0.dev0", "huggingface-hub": "1.9.0"}},
    "tokenizers alone": {"packages": {"tokenizers": "0.13.3"}},
    "CUDA libraries of one major": {
        "packages": {"torch": "2.9.1", "nvidia-cudnn-cu12": "9.15.0.57", "nvidia-nccl-cu12": "2.27.5"}
    },
    "cuBLAS of two majors": {
        "packages": {"torch": "2.9.1", "nvidia-cublas-cu12": "12.8.4.1", "nvidia-cublas-cu11": "11.11.3.6"}
    },
    "two majors, and torch sees CUDA": {
        "packages": {"torch": "2.11.0", "nvidia-cudnn-cu12": "9.10.2.21", "nvidia-cudnn-cu13": "9.19.0.56"},
        "cuda_available": True,
    },
    "cuDNN 8 beside 9": {
        "packages": {"torch": "2.9.1", "nvidia-cudnn-cu11": "8.9.6.50", "nvidia-cudnn-cu12": "9.10.2.21"}
    },
    "cuDNN without a torch": {"packages": {"nvidia-cudnn-cu13": "9.15.0.57"}},
}


@pytest.mark.parametrize("facts", [pytest.param(facts, id=name) for name, facts in QUIET.items()])
def test_quiet(facts: dict[str, Any]) -> None:
    assert [(one.cause, one.check) for one in judged(facts).causes] == []


def test_one_red_where_the_model_asks_for_a_newer_transformers_too() -> None:
    facts = {"model": GLM, "engine": "vllm 0.10.0", "packages": {"vllm": "0.10.0", "transformers": "4.53.0"}}
    assert [(one.cause, one.check) for one in judged(facts).causes] == [("KNOWN_BAD_RELEASE", "ENG002")]


def test_one_red_where_the_metadata_says_so() -> None:
    facts = {
        "model": GLM,
        "python": "3.11.9",
        "packages": {"vllm": "0.10.0", "transformers": "4.53.0"},
        "requires": {"vllm": ["transformers>=4.53.2"]},
    }
    assert [(one.cause, one.check) for one in judged(facts).causes] == [("KNOWN_BAD_RELEASE", "ENG002")]


def test_too_new_for_the_engine_stays_red_beside_the_model() -> None:
    facts = {"engine": "vllm 0.10.0", "model": GLM, "packages": {"vllm": "0.10.0", "transformers": "5.1.0"}}
    assert [one.cause for one in judged(facts).causes] == ["TRANSFORMERS_TOO_NEW_FOR_ENGINE"]


#: Versions alone are stated, and they do not go together.
ILL = {
    "torch 2.2 with NumPy 2": (numpy_abi, packages(torch="2.2.2", numpy="2.0.1"), "fail", "NUMPY2_ABI", "numpy<2"),
    "an old SciPy with NumPy 2": (
        numpy_abi,
        packages(transformers="4.57.1", numpy="2.2.6", scipy="1.11.0"),
        "fail",
        "NUMPY2_ABI",
        "scipy>=1.13",
    ),
    "torchaudio of another torch": (
        torch_companions,
        packages(torch="2.9.1", torchaudio="2.7.0"),
        "warn",
        "TORCH_COMPANION_MISMATCH",
        "torchaudio==2.9.*",
    ),
    "torchvision of another torch": (
        torch_companions,
        packages(torch="2.9.1", torchvision="0.22.0"),
        "fail",
        "TORCH_COMPANION_MISMATCH",
        "torchvision==0.24.*",
    ),
    "xformers of another torch": (
        torch_companions,
        packages(torch="2.9.0", xformers="0.0.30"),
        "warn",
        "EXTENSION_ABI_MISMATCH",
        "xformers==0.0.33",
    ),
    "huggingface-hub 1 under transformers 4": (
        transformers_libraries,
        packages(transformers="4.57.1", huggingface_hub="1.3.0"),
        "fail",
        "HF_LIBS_CONFLICT",
        "huggingface-hub<1.0",
    ),
    "huggingface-hub 1 under a transformers that was withdrawn": (
        transformers_libraries,
        packages(transformers="4.57.0", huggingface_hub="1.3.0"),
        "fail",
        "HF_LIBS_CONFLICT",
        "huggingface-hub<1.0",
    ),
    "tokenizers under a transformers that was withdrawn": (
        transformers_libraries,
        packages(transformers="4.57.0", tokenizers="0.21.4"),
        "fail",
        "HF_LIBS_CONFLICT",
        "tokenizers<=0.23.0,>=0.22.0",
    ),
    "huggingface-hub before an old transformers' range": (
        transformers_libraries,
        packages(transformers="4.26.0", huggingface_hub="0.8.1"),
        "fail",
        "HF_LIBS_CONFLICT",
        "huggingface-hub<1.0,>=0.11.0",
    ),
    "huggingface-hub before accelerate's range": (
        transformers_libraries,
        packages(accelerate="0.34.2", huggingface_hub="0.20.3"),
        "fail",
        "HF_LIBS_CONFLICT",
        "huggingface-hub>=0.21.0",
    ),
    "an accelerate that does not say what it imports": (
        transformers_libraries,
        packages(accelerate="0.32.0", huggingface_hub="0.17.3"),
        "fail",
        "HF_LIBS_CONFLICT",
        "huggingface-hub>=0.21",
    ),
    "kernels that ask for versions": (
        transformers_libraries,
        packages(transformers="5.6.0", kernels="0.15.2"),
        "fail",
        "HF_LIBS_CONFLICT",
        "kernels<0.15",
    ),
}


@pytest.mark.parametrize(
    ("check", "there", "status", "cause", "wanted"), [pytest.param(*row, id=name) for name, row in ILL.items()]
)
def test_ill(check: Any, there: Packages, status: str, cause: str, wanted: str) -> None:
    (finding,) = judge(check, packages=there)
    assert (finding.status, finding.cause or check.cause) == (status, cause)
    assert wanted in finding.fixes[0].commands[0]


@pytest.mark.parametrize(
    ("in_part", "once_installed", "status"),
    [
        pytest.param(False, False, "fail", id="it does not work"),
        pytest.param(True, False, "warn", id="it works, but should go"),
        pytest.param(True, True, "not_applicable", id="only its installation did not"),
    ],
)
def test_a_withdrawn_release(in_part: bool, once_installed: bool, status: str) -> None:
    (row,) = (one for one in load_matrix().known_bad if one.versions == "==4.57.0")
    matrix = copy.copy(load_matrix())
    matrix.__dict__["known_bad"] = (dataclasses.replace(row, in_part=in_part, once_installed=once_installed),)
    (finding,) = judge(known_bad_release, packages=packages(transformers="4.57.0"), matrix=matrix)
    assert finding.status == status
    if status != "not_applicable":
        assert "transformers~=4.57.1" in finding.fixes[0].commands[0]


BROKEN = [
    pytest.param("0.8.4", "zai-org/GLM-4-32B-0414", "vllm", "fail", id="a model that this release does not start"),
    pytest.param("0.8.5", "zai-org/GLM-4-32B-0414", "vllm", "pass", id="the next release"),
    pytest.param("0.8.4", "Qwen/Qwen2.5-7B-Instruct", "vllm", "not_applicable", id="another model"),
    pytest.param(
        "0.8.4", "zai-org/GLM-4-32B-0414", "sglang", "not_applicable", id="another engine, which has vLLM beside"
    ),
    pytest.param("0.8.4.dev3", "zai-org/GLM-4-32B-0414", "vllm", "pass", id="a build from its sources"),
]


@pytest.mark.parametrize(("version", "model", "engine", "status"), BROKEN)
def test_an_engine_that_does_not_start_one_kind_of_model(version: str, model: str, engine: Any, status: str) -> None:
    files = ModelFiles(path="", found_by="config", config={"model_type": "glm4" if "GLM" in model else "qwen2"})
    intent = Intent(model=model, engine=engine)
    [found] = judge(known_bad_release, packages=packages(vllm=version), model_files=files, intent=intent)
    assert found.status == status
    assert status != "fail" or "vllm~=0.8.5" in found.fixes[0].commands[0]


#: Their own metadata was read: PKG001 speaks of them.
READ = {
    "torchaudio": (torch_companions, packages({"torchaudio": ("torch==2.7.0",)}, torch="2.9.1", torchaudio="2.7.0")),
    "xformers": (torch_companions, packages({"xformers": ("torch==2.7.0",)}, torch="2.9.1", xformers="0.0.30")),
    "huggingface-hub": (
        transformers_libraries,
        packages({"transformers": ("huggingface-hub<1.0",)}, transformers="4.57.1", huggingface_hub="1.3.0"),
    ),
    "an engine that names the withdrawn release": (
        known_bad_release,
        packages({"server": ("transformers==4.57.0",)}, transformers="4.57.0", server="1.0"),
    ),
}


@pytest.mark.parametrize(("check", "there"), [pytest.param(*row, id=name) for name, row in READ.items()])
def test_what_the_metadata_says_is_not_said_twice(check: Any, there: Packages) -> None:
    (finding,) = judge(check, packages=there)
    assert finding.status == "not_applicable"


def test_a_vendors_build_may_ask_for_something_else() -> None:
    (finding,) = judge(transformers_libraries, packages=packages(transformers="4.57.0+amd", huggingface_hub="1.3.0"))
    assert finding.status == "not_applicable"


def test_torch_itself_knows_more_than_its_metadata() -> None:
    there = packages(torch="2.9.1", torchaudio="2.7.0")
    (finding,) = judge(torch_companions, packages=there, torch=Torch(version="2.7.1+cu128", cuda="12.8"))
    assert finding.status == "pass"


LEFT_OVER = packages(torch="2.11.0", nvidia_cudnn_cu12="9.10.2.21", nvidia_cudnn_cu13="9.19.0.56")
FOREIGN = packages(torch="2.9.1", nvidia_cudnn_cu13="9.19.0.56")
FROM_PYPI = Packages(
    distributions=(
        Distribution(name="torch", version="2.9.1", requires=("nvidia-cudnn-cu12==9.10.2.21",)),
        Distribution(name="nvidia-cudnn-cu13", version="9.19.0.56"),
    )
)
CU12, CU13 = Torch(version="2.9.1+cu128", cuda="12.8"), Torch(version="2.11.0+cu130", cuda="13.0")
MIXED = {
    "left over, torch not tried": (LEFT_OVER, CU13, None, "warn"),
    "left over, torch works": (LEFT_OVER, CU13, TorchRun(cuda_available=True), "pass"),
    "left over, torch without CUDA": (LEFT_OVER, CU13, TorchRun(cuda_available=False), "warn"),
    "for another CUDA than torch's": (FROM_PYPI, CU12, None, "warn"),
    "for another CUDA than that of a torch that brings its own": (FOREIGN, CU12, None, "pass"),
    "torch's CUDA not known": (FOREIGN, None, None, "pass"),
}


@pytest.mark.parametrize(
    ("there", "torch", "run", "status"), [pytest.param(*row, id=name) for name, row in MIXED.items()]
)
def test_libraries_of_two_majors(there: Packages, torch: Torch | None, run: TorchRun | None, status: str) -> None:
    (finding,) = judge(cuda_packages, packages=there, torch=torch, torch_run=run)
    assert finding.status == status


def test_the_shared_files_are_put_back() -> None:
    (finding,) = judge(cuda_packages, packages=LEFT_OVER, torch=CU13)
    remove, install = finding.fixes[0].commands
    assert remove.endswith("uninstall -y nvidia-cudnn-cu12")
    assert install.endswith("--force-reinstall --no-deps nvidia-cudnn-cu13==9.19.0.56")


def test_nothing_to_compare_is_no_pass() -> None:
    for check in (numpy_abi, known_bad_release, transformers_libraries, torch_companions, cuda_packages):
        (finding,) = judge(check, packages=packages(pip="25.0"))
        assert finding.status == "not_applicable", check.code
