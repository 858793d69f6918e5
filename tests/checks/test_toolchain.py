"""PKG007 and PKG008: compilers for what is compiled when the server starts."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.checks.toolchain import c_compiler, cuda_compiler
from autoglm_doctor.facts import (
    Distribution,
    Environment,
    Gpu,
    Host,
    Interpreter,
    ModelFiles,
    Packages,
    Toolchain,
    Torch,
)
from autoglm_doctor.finding import Finding
from autoglm_doctor.intent import Intent, Launch
from autoglm_doctor.loose.read import read_facts
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.testing import judge
from autoglm_doctor.wording import render

THERE = Toolchain(cc="/usr/bin/gcc", nvcc="/usr/local/cuda/bin/nvcc", nvcc_version="12.8", python_headers=True)
BARE = Toolchain(cc="", nvcc="", python_headers=False)


def host(name: str = "Ubuntu 22.04.4 LTS", container: str = "", system: str = "Linux", ids: str = "") -> Host:
    return Host(
        system=system,
        machine="x86_64",
        kernel="6.1",
        distribution=name,
        container=container,
        os_ids=tuple(ids.split()),
    )


def python(version: str = "3.12.3", base: str = "/usr") -> Interpreter:
    return Interpreter(executable="/srv/env/bin/python", version=version, base_prefix=base)


def ask(
    check: Any,
    tools: Toolchain,
    engine: Any,
    versions: dict[str, str] | None = None,
    *,
    gpu: str = "8.9",
    eager: bool = False,
    variables: dict[str, str] | None = None,
    machine: Host | None = None,
    device: Any = "cuda",
    interpreter: Interpreter | None = None,
    flags: str = "",
    architectures: tuple[str, ...] = (),
    pooling: bool | None = None,
) -> Finding:
    rows = (Distribution(name=n, version=v) for n, v in (versions or {}).items())
    (finding,) = judge(
        check,
        toolchain=tools,
        packages=Packages(distributions=tuple(rows)),
        gpus=(Gpu(index=0, name="card", compute_capability=gpu, total_bytes=1, free_bytes=1),),
        environment=Environment(variables=variables or {}),
        torch=Torch(version="2.9.1+cu128", cuda="12.8"),
        host=machine or host(),
        interpreter=interpreter,
        model_files=ModelFiles(path="/m", config={"architectures": list(architectures)}, pooling=pooling)
        if architectures
        else None,
        intent=Intent(
            model="m",
            engine=engine,
            device=device,
            launch=Launch(enforce_eager=eager),
            command=("vllm", "serve", "m", *flags.split()) if flags else (),
        ),
    )
    return finding


NO_CC = Toolchain(cc="", python_headers=True)
NO_HEADERS = Toolchain(cc="/usr/bin/gcc", python_headers=False)

C_CASES = [
    pytest.param(NO_CC, "vllm", "0.9.2", False, "fail", id="vLLM without a compiler"),
    pytest.param(NO_CC, "vllm", None, False, "fail", id="a vLLM of unknown release"),
    pytest.param(NO_HEADERS, "vllm", "0.11.0", False, "fail", id="vLLM without headers"),
    pytest.param(NO_CC, "vllm", "0.9.2", True, "warn", id="vLLM with --enforce-eager"),
    pytest.param(NO_CC, "vllm", "0.6.3", False, "warn", id="a vLLM that does not compile the model"),
    pytest.param(NO_CC, "sglang", "0.5.3", False, "fail", id="SGLang without a compiler"),
    pytest.param(NO_HEADERS, "sglang", "0.5.3", True, "fail", id="SGLang without headers or graphs"),
    pytest.param(THERE, "vllm", "0.9.2", False, "pass", id="both are there"),
    pytest.param(THERE, "sglang", "0.5.3", False, "pass", id="both are there for SGLang"),
    pytest.param(Toolchain(cc="/usr/bin/clang", python_headers=True), "vllm", "0.9.2", False, "pass", id="clang"),
    pytest.param(Toolchain(cc="gcc"), "vllm", "0.9.2", False, "unknown", id="nothing is known of the headers"),
    pytest.param(Toolchain(nvcc=""), "vllm", "0.9.2", False, "unknown", id="only nvcc is spoken of"),
    pytest.param(BARE, "transformers", None, False, "not_applicable", id="plain transformers"),
    pytest.param(BARE, "llamacpp", None, False, "not_applicable", id="llama.cpp"),
]


@pytest.mark.parametrize(("tools", "engine", "version", "eager", "status"), C_CASES)
def test_c_compiler(tools: Toolchain, engine: Any, version: str | None, eager: bool, status: str) -> None:
    finding = ask(c_compiler, tools, engine, {engine: version} if version else {}, eager=eager)
    assert finding.status == status
    assert bool(finding.fixes) == (status in ("fail", "warn"))


APT, DNF = "apt-get install -y gcc libc6-dev python3-dev", "dnf install -y gcc python3-devel"

FIXES = [
    pytest.param(host(), f"sudo {APT}", id="Ubuntu"),
    pytest.param(host("Rocky Linux 9.4"), f"sudo {DNF}", id="Rocky"),
    pytest.param(host("SLES 15"), "sudo zypper install -y gcc python3-devel", id="SUSE"),
    pytest.param(host("Debian 12", "docker"), APT, id="a container"),
    pytest.param(host("Rocky Linux 9.7", "docker"), DNF, id="a container of another family"),
    pytest.param(host("Alibaba Cloud Linux 3 (Soaring Falcon)"), f"sudo {DNF}", id="Alibaba Cloud"),
    pytest.param(host("Anolis OS 8.9"), f"sudo {DNF}", id="Anolis"),
    pytest.param(host("openEuler 22.03 (LTS-SP3)"), f"sudo {DNF}", id="openEuler"),
    pytest.param(host("Kylin Linux Advanced Server V10 (Lance)", ids="kylin"), f"sudo {DNF}", id="Kylin's server"),
    pytest.param(host("Kylin V10 SP1", ids="kylin debian"), f"sudo {APT}", id="Kylin's desktop"),
    pytest.param(host("Ubuntu Kylin 24.04", ids="ubuntu debian"), f"sudo {APT}", id="Ubuntu Kylin"),
    pytest.param(host("UnionTech OS Server 20"), f"sudo {DNF}", id="UnionTech's server"),
    pytest.param(host("UnionTech OS Desktop 20 Pro"), f"sudo {APT}", id="UnionTech's desktop"),
    pytest.param(host("TencentOS Server 3.1 (Final)"), f"sudo {DNF}", id="TencentOS"),
    pytest.param(host("CentOS Linux 7 (Core)"), "sudo yum install -y gcc python3-devel", id="before dnf"),
    pytest.param(host("Amazon Linux 2"), "sudo yum install -y gcc python3-devel", id="Amazon Linux 2"),
    pytest.param(host("Amazon Linux 2023.6.20241212"), f"sudo {DNF}", id="Amazon Linux 2023"),
    pytest.param(
        host("CBL-Mariner/Linux", ids="mariner"),
        "sudo tdnf install -y gcc glibc-devel kernel-headers binutils python3-devel",
        id="Mariner",
    ),
    pytest.param(host("Arch Linux", ids="arch"), "sudo pacman -S --noconfirm gcc python", id="Arch"),
    pytest.param(host("Alpine Linux v3.20", "docker"), "apk add gcc musl-dev python3-dev", id="Alpine"),
    pytest.param(host("Something of ours 4", ids="ours rhel fedora"), f"sudo {DNF}", id="an unknown name of a family"),
    pytest.param(host("Something of ours 4"), f"sudo {APT}", id="an unknown name"),
]


@pytest.mark.parametrize(("machine", "command"), FIXES)
def test_fix_of_the_distribution(machine: Host, command: str) -> None:
    (fix,) = ask(c_compiler, BARE, "vllm", machine=machine).fixes
    assert fix.commands[-1] == command


def test_an_image_has_no_lists_of_packages_and_no_sudo() -> None:
    (fix,) = ask(c_compiler, BARE, "vllm", machine=host(container="docker")).fixes
    assert fix.commands == ("apt-get update", APT)


def test_a_distribution_that_is_not_known_is_said_to_be() -> None:
    (fix,) = ask(c_compiler, BARE, "vllm", machine=host("Something of ours 4")).fixes
    assert "names are those of Debian" in render(fix.text)


HEADERS = [
    pytest.param(host(), python(), "sudo apt-get install -y python3.12-dev", id="3.12 on Ubuntu 22.04"),
    pytest.param(host(), python("3.10.12"), "sudo apt-get install -y python3.10-dev", id="the distribution's first"),
    pytest.param(host(), None, "sudo apt-get install -y python3-dev", id="a Python that is not known"),
    pytest.param(host("Rocky Linux 9.4"), python(), "sudo dnf install -y python3.12-devel", id="3.12 on Rocky"),
    pytest.param(host("Rocky Linux 9.4"), python("3.9.18"), "sudo dnf install -y python3-devel", id="3.9 on Rocky"),
    pytest.param(host("SLES 15"), python("3.11.5"), "sudo zypper install -y python311-devel", id="3.11 on SUSE"),
    pytest.param(
        host(),
        python(base="/home/u/.local/share/uv/python/cpython-3.12.3-linux-x86_64-gnu"),
        "uv python install --reinstall 3.12",
        id="uv's",
    ),
    pytest.param(host(), python(base="/home/u/.pyenv/versions/3.12.3"), "pyenv install --force 3.12.3", id="pyenv's"),
    pytest.param(
        host(),
        python(base="/opt/miniconda3/envs/serve"),
        "conda install -y --prefix /opt/miniconda3/envs/serve --force-reinstall python=3.12",
        id="conda's",
    ),
    pytest.param(host(), python(base="/opt/python312"), "uv venv --python 3.12 serve", id="one of its own"),
]


@pytest.mark.parametrize(("machine", "interpreter", "command"), HEADERS)
def test_headers_of_the_deployments_python(machine: Host, interpreter: Interpreter | None, command: str) -> None:
    (fix,) = ask(c_compiler, NO_HEADERS, "vllm", machine=machine, interpreter=interpreter).fixes
    assert fix.commands == (command,)


def test_a_compiler_of_the_distribution_and_headers_of_conda() -> None:
    found = ask(c_compiler, BARE, "vllm", interpreter=python(base="/opt/miniconda3"))
    assert [fix.commands[0].split()[0] for fix in found.fixes] == ["sudo", "conda"]


def test_windows_and_cpu_are_not_judged() -> None:
    assert ask(c_compiler, BARE, "vllm", machine=host("Windows 11", system="Windows")).status == "not_applicable"
    assert ask(c_compiler, BARE, "vllm", device="cpu").status == "not_applicable"
    assert ask(cuda_compiler, BARE, "vllm", {"vllm": "0.24.0"}, device="cpu").status == "not_applicable"


NO_NVCC = Toolchain(nvcc="")

CUDA_CASES = [
    pytest.param("vllm", {"vllm": "0.24.0", "flashinfer-python": "0.6.12"}, "8.9", "fail", id="vLLM 0.24"),
    pytest.param("vllm", {"vllm": "0.33.0"}, "8.9", "warn", id="a vLLM that asks FlashInfer first"),
    pytest.param("vllm", {"vllm": "0.34.0"}, "8.9", "not_applicable", id="a vLLM that samples by itself without"),
    pytest.param("vllm", {"vllm": "0.33.1rc1.dev9+g1a2b3c4"}, "8.9", "unknown", id="a build on the way to it"),
    pytest.param("vllm", {"vllm": "0.21.0rc1.dev9+g1a2b3c4"}, "8.9", "unknown", id="a build on the way to 0.21"),
    pytest.param("vllm", {"vllm": "0.22.0rc1.dev9+g1a2b3c4"}, "8.9", "fail", id="a build after 0.21"),
    pytest.param("vllm", {"vllm": "0.1.dev9752+g1a2b3c4"}, "8.9", "unknown", id="a build that does not tell its age"),
    pytest.param("vllm", {"vllm": "0.22.0"}, "7.5", "fail", id="vLLM 0.22 on a T4"),
    pytest.param("vllm", {"vllm": "0.24.0"}, "7.5", "not_applicable", id="Turing, which vLLM 0.24 leaves out"),
    pytest.param("vllm", {"vllm": "0.22.0"}, "7.0", "not_applicable", id="Volta, for which FlashInfer has nothing"),
    pytest.param("sglang", {"sglang": "0.0.0.dev0"}, "9.0", "unknown", id="SGLang of a branch"),
    pytest.param("sglang", {"sglang": "0.5.9rc1"}, "9.0", "warn", id="SGLang on the way to 0.5.9"),
    pytest.param(
        "vllm", {"vllm": "0.10.2", "flashinfer-python": "0.3.0"}, "8.0", "warn", id="FlashInfer put to vLLM 0.10"
    ),
    pytest.param("vllm", {}, "8.9", "warn", id="a vLLM of unknown release"),
    pytest.param("sglang", {"sglang": "0.5.9"}, "9.0", "fail", id="SGLang 0.5.9"),
    pytest.param("sglang", {"sglang": "0.5.3"}, "8.0", "warn", id="SGLang with FlashInfer's attention"),
    pytest.param("sglang", {"sglang": "0.5.3"}, "9.0", "not_applicable", id="SGLang with FlashAttention-3"),
    pytest.param("vllm", {"vllm": "0.12.0", "flashinfer-python": "0.5.3"}, "8.9", "not_applicable", id="vLLM 0.12"),
    pytest.param("vllm", {"vllm": "0.10.2"}, "8.9", "not_applicable", id="vLLM 0.10 alone"),
    pytest.param("vllm", {"vllm": "0.8.5"}, "7.0", "not_applicable", id="vLLM 0.8"),
    pytest.param(
        "vllm", {"vllm": "0.24.0", "flashinfer-jit-cache": "0.6.12"}, "8.9", "not_applicable", id="precompiled"
    ),
    pytest.param("transformers", {}, "8.9", "not_applicable", id="plain transformers"),
]


@pytest.mark.parametrize(("engine", "versions", "gpu", "status"), CUDA_CASES)
def test_cuda_compiler(engine: Any, versions: dict[str, str], gpu: str, status: str) -> None:
    finding = ask(cuda_compiler, NO_NVCC, engine, versions, gpu=gpu)
    assert finding.status == status
    assert bool(finding.fixes) == (status in ("fail", "warn"))


def test_nvcc_that_is_there_or_elsewhere_or_unread() -> None:
    new = {"vllm": "0.24.0"}
    assert ask(cuda_compiler, THERE, "vllm", new).status == "pass"
    elsewhere = Toolchain(nvcc="", nvcc_in_packages="/venv/nvidia/cu13/bin/nvcc")
    assert ask(cuda_compiler, elsewhere, "vllm", new).status == "unknown"
    assert ask(cuda_compiler, Toolchain(cc="gcc"), "vllm", new).status == "unknown"


#: Flags, architecture, status of vLLM 0.22 without nvcc.
SERVERS = [
    pytest.param("--max-model-len 4096", "Qwen3ForCausalLM", "fail", id="a server of text"),
    pytest.param("--runner pooling", "", "not_applicable", id="a pooling runner"),
    pytest.param("--runner=pooling", "Qwen3ForCausalLM", "not_applicable", id="an embedding model of a decoder"),
    pytest.param("--task embed", "", "not_applicable", id="embeddings"),
    pytest.param("--task score", "", "not_applicable", id="scores"),
    pytest.param("--task classify", "", "not_applicable", id="classes"),
    pytest.param("--task reward", "", "not_applicable", id="rewards"),
    pytest.param("--convert embed", "Qwen3ForCausalLM", "not_applicable", id="converted"),
    pytest.param("--convert none", "Qwen3ForCausalLM", "fail", id="not converted"),
    pytest.param("--task generate", "Qwen3ForCausalLM", "fail", id="text, said"),
    pytest.param("--port 8000", "XLMRobertaModel", "not_applicable", id="an encoder"),
    pytest.param("--port 8000", "BertForSequenceClassification", "not_applicable", id="a reranker"),
    pytest.param("--port 8000", "Qwen2ForRewardModel", "not_applicable", id="a reward model"),
    pytest.param("--port 8000", "Glm4vForConditionalGeneration", "fail", id="text of pictures"),
    pytest.param("--port 8000", "InternVLChatModel", "fail", id="a chat model"),
    pytest.param("--port 8000", "ChatGLMModel", "fail", id="a decoder that is named like an encoder"),
    pytest.param("--runner generate", "XLMRobertaModel", "fail", id="the runner decides"),
    pytest.param("--logprobs-mode processed_logprobs", "Qwen3ForCausalLM", "not_applicable", id="processed"),
    pytest.param("--logprobs-mode processed_logits", "Qwen3ForCausalLM", "not_applicable", id="processed logits"),
    pytest.param("--logprobs-mode raw_logprobs", "Qwen3ForCausalLM", "fail", id="raw"),
]


@pytest.mark.parametrize(("flags", "architecture", "status"), SERVERS)
def test_only_what_samples_needs_the_sampler(flags: str, architecture: str, status: str) -> None:
    names = (architecture,) if architecture else ()
    assert ask(cuda_compiler, NO_NVCC, "vllm", {"vllm": "0.22.0"}, flags=flags, architectures=names).status == status


#: Architecture, what modules.json says, flags, status of vLLM 0.22 without nvcc.
POOLING = [
    pytest.param("Qwen3ForCausalLM", True, "", "not_applicable", id="an embedding model made of a decoder"),
    pytest.param("Qwen3ForCausalLM", True, "--runner generate", "fail", id="as which it is not to run"),
    pytest.param("Qwen3ForCausalLM", False, "", "fail", id="the decoder itself"),
    pytest.param("Qwen3ForCausalLM", None, "", "fail", id="a reading of before"),
    pytest.param("Qwen2VLForConditionalGeneration", True, "", "not_applicable", id="one of pictures"),
    pytest.param("XLMRobertaModel", False, "", "not_applicable", id="an encoder without the file"),
]


@pytest.mark.parametrize(("architecture", "pooling", "flags", "status"), POOLING)
def test_modules_of_sentence_transformers(architecture: str, pooling: bool | None, flags: str, status: str) -> None:
    names = (architecture,)
    found = ask(cuda_compiler, NO_NVCC, "vllm", {"vllm": "0.22.0"}, flags=flags, architectures=names, pooling=pooling)
    assert found.status == status


@pytest.mark.parametrize(
    ("version", "status"),
    [
        pytest.param("0.14.0", "warn", id="before 0.21 it has to be asked for"),
        pytest.param("0.34.0", "warn", id="told so, a release that falls back ends"),
        pytest.param("0.24.0", "fail", id="as without"),
    ],
)
def test_the_sampler_may_be_asked_for(version: str, status: str) -> None:
    packages, on = {"vllm": version, "flashinfer-python": "0.5.3"}, {"VLLM_USE_FLASHINFER_SAMPLER": "1"}
    assert ask(cuda_compiler, NO_NVCC, "vllm", packages, variables=on).status == status


@pytest.mark.parametrize(
    ("tools", "engine", "status"),
    [
        pytest.param(Toolchain(nvcc="", flashinfer_nvcc="/o/nvcc", cuda_home="/o"), "vllm", "pass", id="with a folder"),
        pytest.param(Toolchain(nvcc="", flashinfer_nvcc="/o/nvcc"), "vllm", "unknown", id="without one"),
        pytest.param(Toolchain(nvcc="", flashinfer_nvcc="", cuda_home="/o"), "vllm", "fail", id="naming nothing"),
        pytest.param(
            Toolchain(nvcc="", flashinfer_nvcc="/o/nvcc", cuda_home="/o"), "sglang", "fail", id="SGLang's own"
        ),
    ],
)
def test_flashinfer_may_have_a_compiler_of_its_own(tools: Toolchain, engine: str, status: str) -> None:
    assert ask(cuda_compiler, tools, engine, {"vllm": "0.24.0", "sglang": "0.5.9"}).status == status


def test_the_sampler_may_be_off() -> None:
    off = {"VLLM_USE_FLASHINFER_SAMPLER": "0"}
    assert ask(cuda_compiler, NO_NVCC, "vllm", {"vllm": "0.24.0"}, variables=off).status == "not_applicable"


def test_the_fixes() -> None:
    vllm = ask(cuda_compiler, NO_NVCC, "vllm", {"vllm": "0.24.0"})
    assert vllm.fixes[0].commands[0].startswith("VLLM_USE_FLASHINFER_SAMPLER=0 vllm serve m")
    assert "cuda-nvcc-12-8" in vllm.fixes[1].commands[0]
    assert len(ask(cuda_compiler, NO_NVCC, "sglang", {"sglang": "0.5.9"}).fixes) == 1


TOOLKITS = [
    pytest.param(host(), "sudo apt-get install -y cuda-nvcc-12-8 cuda-cudart-dev-12-8 libcurand-dev-12-8", id="Ubuntu"),
    pytest.param(
        host("Rocky Linux 9.4"),
        "sudo dnf install -y cuda-nvcc-12-8 cuda-cudart-devel-12-8 libcurand-devel-12-8",
        id="Rocky",
    ),
    pytest.param(
        host("Rocky Linux 9.4", "docker"),
        "dnf install -y cuda-nvcc-12-8 cuda-cudart-devel-12-8 libcurand-devel-12-8",
        id="a container of Rocky",
    ),
    pytest.param(
        host(container="docker"),
        "apt-get update; apt-get install -y cuda-nvcc-12-8 cuda-cudart-dev-12-8 libcurand-dev-12-8",
        id="a container of Ubuntu",
    ),
    pytest.param(
        host("openSUSE Leap 15.6"),
        "sudo zypper install -y cuda-nvcc-12-8 cuda-cudart-devel-12-8 libcurand-devel-12-8",
        id="SUSE",
    ),
]


@pytest.mark.parametrize(("machine", "commands"), TOOLKITS)
def test_the_toolkit_of_the_distribution(machine: Host, commands: str) -> None:
    (fix,) = ask(cuda_compiler, NO_NVCC, "sglang", {"sglang": "0.5.9"}, machine=machine).fixes
    assert "; ".join(fix.commands[:-1]) == commands
    assert fix.commands[-1] == "export CUDA_HOME=/usr/local/cuda-12.8"
    assert ("into the image" in render(fix.text)) == bool(machine.container)


LOOSE = [
    pytest.param({"gcc": "missing"}, Toolchain(cc=""), id="no compiler"),
    pytest.param({"gcc": "11.4.0"}, Toolchain(cc="gcc", cc_version="11.4.0"), id="a compiler's version"),
    pytest.param({"nvcc": "not found"}, Toolchain(nvcc=""), id="no nvcc"),
    pytest.param({"cuda_toolkit": "11.8"}, Toolchain(nvcc="nvcc"), id="a toolkit, or torch's CUDA"),
    pytest.param({"nvcc": "11.8"}, Toolchain(nvcc="nvcc", nvcc_version="11.8"), id="nvcc itself"),
    pytest.param({"cuda_toolkit": "not installed"}, Toolchain(nvcc=""), id="no toolkit"),
    pytest.param({"python_headers": False}, Toolchain(python_headers=False), id="no headers"),
    pytest.param({"nvcc": "/opt/cuda/bin/nvcc"}, Toolchain(nvcc="/opt/cuda/bin/nvcc"), id="a path"),
    pytest.param({"gcc": "who knows"}, None, id="nothing clear"),
    pytest.param({"python": "3.11.2"}, None, id="nothing stated"),
]


@pytest.mark.parametrize(("stated", "tools"), LOOSE)
def test_loose_facts(stated: dict[str, Any], tools: Toolchain | None) -> None:
    assert read_facts(stated, load_matrix())[0].toolchain.value == tools
