"""PKG005: compiled packages and torch."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.checks.extensions import extensions_match
from autoglm_doctor.facts import Distribution, Environment, Gpu, Host, Packages, Toolchain, Torch
from autoglm_doctor.intent import Intent
from autoglm_doctor.testing import judge
from autoglm_doctor.wording import render
from tests.checks.package_cases import installed
from tests.restraint.judged import judged

CASES = [
    pytest.param("2.2.0", "11.8", "2.5.5+cu118torch2.2cxx11abiTRUE", "fail", id="the other ABI"),
    pytest.param("2.2.0", "11.8", "2.5.5+cu118torch2.2cxx11abiFALSE", "pass", id="all of it right"),
    pytest.param("2.8.0+cu128", "12.8", "2.8.3+cu12torch2.7cxx11abiTRUE", "fail", id="another line of torch"),
    pytest.param("2.8.0+cu128", "12.8", "2.8.3+cu12torch2.8cxx11abiTRUE", "pass", id="CUDA as a major"),
    pytest.param("2.9.0+cu130", "13.0", "2.8.3+cu12torch2.9cxx11abiTRUE", "fail", id="another CUDA"),
    pytest.param("2.6.0", "12.6", "2.7.4+cu12torch2.6cxx11abiTRUE", "pass", id="2.6 has both ABIs"),
    pytest.param("2.7.0", "12.6", "2.7.4.post1", "not_applicable", id="no mark"),
    pytest.param("2.6.0", "12.6", "2.7.4+cxx11abiTRUE", "not_applicable", id="2.6 has both, and nothing else is said"),
    pytest.param("2.7.1", None, "2.7.4+cu118", "not_applicable", id="a CUDA, and nobody read torch's"),
    pytest.param("2.9.0a0+nv25.10", "13.0", "2.8.3+cu12torch2.8cxx11abiTRUE", "not_applicable", id="a vendor's torch"),
]


@pytest.mark.parametrize(("torch", "cuda", "flash", "status"), CASES)
def test_flash_attn(torch: str, cuda: str, flash: str, status: str) -> None:
    given: Any = {"packages": installed(flash_attn=flash, torch=torch), "torch": Torch(version=torch, cuda=cuda)}
    (finding,) = judge(extensions_match, **given)
    assert finding.status == status
    assert (finding.subject == "torch") == (status == "fail")


def test_a_torch_of_conda_has_the_new_abi() -> None:
    torch = Distribution(name="torch", version="2.2.0", requires=("filelock",))
    flash = Distribution(name="flash-attn", version="2.5.5+cu118torch2.2cxx11abiTRUE")
    (finding,) = judge(extensions_match, packages=Packages(distributions=(torch, flash)))
    assert finding.status == "pass"


def test_a_cuda_that_was_concluded_from_architectures_refuses_no_package() -> None:
    torch = Torch(version="2.6.0", cuda="11.8", architectures=("sm_80", "sm_90"))
    flash = Distribution(name="flash-attn", version="2.7.4+cu12torch2.6cxx11abiFALSE")
    (finding,) = judge(extensions_match, packages=Packages(distributions=(flash,)), torch=torch)
    assert finding.status == "pass"


SGLANG = Intent(model="/m", engine="sglang")


def cards(name: str, capability: str) -> tuple[Gpu, ...]:
    return (Gpu(index=0, name=name, compute_capability=capability, total_bytes=1, free_bytes=1),)


HOPPER = cards("NVIDIA H100 80GB HBM3", "9.0")
KERNELS = [
    pytest.param("2.7.0+cu126", "sgl-kernel", "0.1.2", "fail", id="kernels of torch 2.6"),
    pytest.param("2.7.1+cu128", "sgl-kernel", "0.1.4", "not_applicable", id="the project's own for CUDA 12.8"),
    pytest.param("2.9.0+cu130", "sgl-kernel", "0.3.16.post3", "not_applicable", id="the project's own for CUDA 13"),
    pytest.param("2.9.1+cu130", "sgl-kernel", "0.3.17.post1", "not_applicable", id="the same of the next release"),
    pytest.param("2.9.1+cu130", "sgl-kernel", "0.3.21", "not_applicable", id="nothing was compared"),
    pytest.param("2.9.0+cu128", "sgl-kernel", "0.3.16.post3", "fail", id="of that age, for CUDA 12"),
    pytest.param("2.11.0+cu130", "sgl-kernel", "0.3.21", "fail", id="no kernels of that name were built for it"),
    pytest.param("2.11.0+cu129", "sglang-kernel", "0.4.6.post1", "not_applicable", id="the project's own for CUDA 12"),
    pytest.param("2.6.0", "sgl-kernel", "0.1.2", "pass", id="their torch"),
    pytest.param("2.6.0", "sgl-kernel", "0.1.0", "pass", id="kernels of 2.5 load with 2.6"),
    pytest.param("2.7.1", "sgl-kernel", "0.0.9.post2", "fail", id="but not with 2.7"),
    pytest.param("2.11.0", "sglang-kernel", "0.4.6.post1", "fail", id="kernels of torch 2.13"),
    pytest.param("2.13.0", "sglang-kernel", "0.4.6.post1", "pass", id="their torch, by the new name"),
    pytest.param("2.10.0", "sgl-kernel", "0.3.21", "fail", id="a torch that no kernels were built for"),
    pytest.param("2.8.0+cu129", "sgl-kernel", "0.3.16.post5", "pass", id="torch's build for another CUDA"),
    pytest.param("2.15.0", "sglang-kernel", "0.4.10", "pass", id="kernels of 2.14 load with 2.15"),
    pytest.param("2.7.0+cu128", "sgl-kernel", "0.1.2+cu128", "pass", id="not from PyPI: its CUDA is all that it tells"),
    pytest.param("2.7.0+cu128", "sgl-kernel", "0.1.3.dev4+g1a2b3c4", "not_applicable", id="a build of one's own"),
    pytest.param("2.9.0a0+nv25.10", "sgl-kernel", "0.1.2", "not_applicable", id="a vendor's torch, and kernels"),
    pytest.param("2.6.0+cu126", "sgl-kernel", "0.1.2", "not_applicable", id="the build of 2.6 with the new ABI"),
    pytest.param("2.99.0", "sglang-kernel", "0.4.10", "not_applicable", id="a torch that nobody read"),
    pytest.param("2.11.0", "sglang-kernel", "0.9.0", "not_applicable", id="kernels that nobody read"),
    pytest.param("2.3.1", "sgl-kernel", "0.1.2", "not_applicable", id="a torch from before"),
]


@pytest.mark.parametrize(("torch", "name", "version", "status"), KERNELS)
def test_kernels_of_sglang(torch: str, name: str, version: str, status: str) -> None:
    there = installed(torch=torch, **{name.replace("-", "_"): version})
    (finding,) = judge(extensions_match, packages=there, gpus=HOPPER, intent=SGLANG)
    assert finding.status == status


def test_the_cuda_of_a_torch_without_a_tag() -> None:
    there: Any = {"packages": installed(torch="2.9.1", sgl_kernel="0.3.17.post1"), "gpus": HOPPER, "intent": SGLANG}
    found = [judge(extensions_match, torch=Torch(version="2.9.1", cuda=cuda), **there)[0] for cuda in ("13.0", "12.8")]
    assert [one.status for one in found] == ["not_applicable", "fail"]


def both(torch: dict[str, Any] | None = None, kernels: dict[str, Any] | None = None) -> Packages:
    """Kernels of torch 2.6 beside torch 2.7, with more said of them."""
    one = Distribution(name="torch", version="2.7.0", **(torch or {}))
    return Packages(distributions=(one, Distribution(name="sgl-kernel", version="0.1.2", **(kernels or {}))))


BLACKWELL = cards("NVIDIA B200", "10.0")
QUIET_KERNELS: dict[str, dict[str, Any]] = {
    "vLLM serves, and the kernels are left over": {"intent": Intent(model="/m", engine="vllm"), "packages": both()},
    "plain transformers": {"intent": Intent(model="/m", engine="transformers"), "packages": both()},
    "nobody knows whether a GPU is of Blackwell": {"gpus": None, "packages": both()},
    "a GPU that no table knows": {"gpus": (*HOPPER, *cards("a GPU", "")), "packages": both()},
    "Grace Hopper, and nothing of the machine": {"gpus": cards("NVIDIA GH200 480GB", "9.0"), "packages": both()},
    "the same where only the system is stated": {
        "gpus": cards("NVIDIA GH200 480GB", "9.0"),
        "host": Host(system="Linux", kernel="", machine=""),
        "packages": both(),
    },
    "the project's wheel for Blackwell bears the same version": {"gpus": BLACKWELL, "packages": both()},
    "PyPI had none for Arm": {"host": Host(system="Linux", kernel="", machine="aarch64"), "packages": both()},
    "a Jetson, whose torch is another": {
        "host": Host(system="Linux", kernel="", machine="aarch64", tegra=True),
        "packages": installed(torch="2.8.0", sgl_kernel="0.3.21"),
    },
    "the same by its GPU": {
        "gpus": cards("Jetson AGX Orin", "8.7"),
        "packages": installed(torch="2.8.0", sgl_kernel="0.3.21"),
    },
    "an editable torch": {"packages": both({"editable": True})},
    "a torch of conda": {"packages": both({"requires": ("filelock",)})},
    "editable kernels": {"packages": both(None, {"editable": True})},
    "kernels whose own metadata speaks of torch": {"packages": both(None, {"requires": ("torch==2.6.0",)})},
    "no torch is stated": {"packages": installed(sgl_kernel="0.1.2")},
}


def test_kernels_of_another_torch_but_for_what_keeps_them_quiet() -> None:
    (finding,) = judge(extensions_match, packages=both(), gpus=HOPPER, intent=SGLANG)
    assert finding.status == "fail"


@pytest.mark.parametrize("given", [pytest.param(given, id=name) for name, given in QUIET_KERNELS.items()])
def test_kernels_that_are_not_judged(given: dict[str, Any]) -> None:
    (finding,) = judge(extensions_match, **{"gpus": HOPPER, "intent": SGLANG, **given})
    assert finding.status == "not_applicable"


ARM = Host(system="Linux", kernel="", machine="aarch64")
GB10 = cards("NVIDIA GB10", "12.1")
ON_ARM = [
    pytest.param("2.12.1+cu130", "sglang-kernel", "0.4.4+cu130", "fail", id="of torch 2.11, from the project's index"),
    pytest.param("2.12.1+cu130", "sglang-kernel", "0.4.4", "fail", id="of torch 2.11, from PyPI"),
    pytest.param("2.11.0+cu130", "sglang-kernel", "0.4.4+cu130", "pass", id="their torch"),
    pytest.param("2.13.0", "sglang-kernel", "0.4.6.post1", "pass", id="of torch 2.13, from PyPI"),
    pytest.param("2.8.0+cu129", "sgl-kernel", "0.3.21", "fail", id="of torch 2.9, for CUDA 12"),
    pytest.param("2.9.1+cu129", "sgl-kernel", "0.3.21", "pass", id="their torch, for CUDA 12"),
    pytest.param("2.9.1+cu130", "sgl-kernel", "0.3.21", "not_applicable", id="may be the project's own for CUDA 13"),
    pytest.param("2.7.1+cu128", "sgl-kernel", "0.3.9", "not_applicable", id="a wheel for Arm that nobody read"),
    pytest.param("2.10.0a0+nv25.12", "sglang-kernel", "0.4.4", "not_applicable", id="a vendor's torch"),
    pytest.param("2.9.1+cu129", "sgl-kernel", "0.3.21+cu130", "unknown", id="CUDA 13 is there on a DGX Spark"),
]


@pytest.mark.parametrize(("torch", "name", "version", "status"), ON_ARM)
def test_kernels_on_arm(torch: str, name: str, version: str, status: str) -> None:
    there = installed(torch=torch, **{name.replace("-", "_"): version})
    for host in (ARM, None):
        (finding,) = judge(extensions_match, packages=there, gpus=GB10, host=host, intent=SGLANG)
        assert finding.status == status


OF_13 = Toolchain(nvcc="/usr/local/cuda/bin/nvcc", nvcc_version="13.0")
NEWER = [
    pytest.param("0.3.21+cu130", {}, None, "warn", id="nothing has the libraries of CUDA 13"),
    pytest.param("0.3.21+cu130", {}, OF_13, "pass", id="a toolkit has them"),
    pytest.param("0.3.21+cu130", {}, Toolchain(cuda_home="/usr/local/cuda-13.0"), "pass", id="one without its nvcc"),
    pytest.param("0.3.21+cu130", {"nvidia_cuda_runtime": "13.0.96"}, None, "unknown", id="a package has a runtime"),
    pytest.param("0.3.21+cu130", {}, Toolchain(nvcc="nvcc"), "unknown", id="a toolkit of which no release is told"),
    pytest.param("0.3.21+cu130", {}, Toolchain(nvcc="", nvcc_version="12.9"), "warn", id="another toolkit"),
    pytest.param("0.3.21+cu128", {}, None, "pass", id="kernels for the same major"),
    pytest.param("0.3.21+cu126", {}, OF_13, "pass", id="the same beside a newer toolkit"),
]


@pytest.mark.parametrize(("version", "more", "toolchain", "status"), NEWER)
def test_kernels_for_a_newer_cuda(version: str, more: dict[str, str], toolchain: Any, status: str) -> None:
    there = installed(torch="2.9.1+cu128", sgl_kernel=version, **more)
    (finding,) = judge(extensions_match, packages=there, gpus=HOPPER, intent=SGLANG, toolchain=toolchain)
    assert finding.status == status
    if status == "warn":
        assert finding.fixes[0].commands[0].endswith("--force-reinstall --no-deps sgl-kernel==0.3.21")


@pytest.mark.parametrize(
    ("more", "status"),
    [
        pytest.param({}, "warn", id="nothing more is known"),
        pytest.param({"LD_LIBRARY_PATH": "/usr/local/cuda-13.0/lib64"}, "unknown", id="a folder of that CUDA"),
        pytest.param({"LD_LIBRARY_PATH": "/v/nvidia/cu13/lib"}, "unknown", id="that of the packages"),
        pytest.param({"LD_LIBRARY_PATH": "/x:/usr/local/cuda/lib64"}, "unknown", id="a toolkit of any release"),
        pytest.param({"LD_LIBRARY_PATH": "/usr/local/cuda-12.8/lib64"}, "warn", id="one of torch's CUDA"),
        pytest.param({"container": "docker"}, "unknown", id="an image"),
        pytest.param({"engine": "vllm"}, "not_applicable", id="left over beside vLLM"),
        pytest.param({"engine": "transformers"}, "warn", id="no engine is named"),
    ],
)
def test_what_may_bring_the_newer_cuda(more: dict[str, Any], status: str) -> None:
    host = Host(system="Linux", kernel="", machine="x86_64", container=more.pop("container", ""))
    serves = Intent(model="/m", engine=more.pop("engine", "sglang"))
    there = installed(torch="2.9.1+cu128", sgl_kernel="0.3.21+cu130")
    variables = Environment(variables=more)
    (finding,) = judge(extensions_match, packages=there, gpus=HOPPER, intent=serves, host=host, environment=variables)
    assert finding.status == status


def test_kernels_for_an_older_cuda_stay_red() -> None:
    there = installed(torch="2.9.1+cu130", sgl_kernel="0.3.21+cu129")
    (finding,) = judge(extensions_match, packages=there, gpus=HOPPER, intent=SGLANG, toolchain=OF_13)
    assert finding.status == "fail"


def test_newer_kernels_want_the_torch_of_their_cuda() -> None:
    there = installed(torch="2.11.0+cu129", sglang_kernel="0.4.5+cu130")
    (finding,) = judge(extensions_match, packages=there, gpus=HOPPER, intent=SGLANG)
    gone, again = finding.fixes[0].commands
    assert finding.status == "warn"
    assert gone.endswith("uninstall -y torch")
    assert again.endswith("install torch==2.11.0")


def test_the_torch_of_kernels_from_the_project_s_index() -> None:
    there = installed(torch="2.12.1+cu130", sglang_kernel="0.4.4+cu130")
    (finding,) = judge(extensions_match, packages=there, gpus=GB10, host=ARM, intent=SGLANG)
    assert finding.fixes[0].commands[0].endswith("sglang-kernel==0.4.4 'torch==2.11.*'")


def test_the_way_out_is_what_sglang_pins() -> None:
    there = installed(torch="2.10.0", sgl_kernel="0.3.21", sglang="0.5.9")
    (finding,) = judge(extensions_match, packages=there, intent=SGLANG)
    pins, again = finding.fixes[0].commands
    assert pins.endswith("sglang==0.5.9 torch==2.9.1 sgl-kernel==0.3.21")
    # A wheel for another CUDA has the same number, and pip would leave it.
    assert again.endswith("--force-reinstall --no-deps sgl-kernel==0.3.21")


@pytest.mark.parametrize(
    ("torch", "wanted"),
    [
        pytest.param(
            "2.9.1", ("uninstall -y sgl-kernel", "sglang-kernel==0.4.1 torch==2.9.1"), id="the kernels of this torch"
        ),
        pytest.param(
            "2.10.0",
            ("sgl-kernel==0.1.2 'torch==2.6.*'", "--no-deps sgl-kernel==0.1.2"),
            id="or the torch of these kernels",
        ),
    ],
)
def test_the_way_out_without_sglang(torch: str, wanted: tuple[str, ...]) -> None:
    (finding,) = judge(extensions_match, packages=installed(torch=torch, sgl_kernel="0.1.2"), intent=SGLANG)
    lines = finding.fixes[0].commands
    assert len(lines) == len(wanted)
    assert all(line.endswith(end) for line, end in zip(lines, wanted, strict=True)), lines


def test_kernels_by_both_names() -> None:
    there = installed(torch="2.11.0", sgl_kernel="0.3.14", sglang_kernel="0.4.5", sglang="0.5.16")
    (finding,) = judge(extensions_match, packages=there, intent=SGLANG)
    gone, _, *again = finding.fixes[0].commands
    assert gone.endswith("uninstall -y sgl-kernel")
    assert all("--force-reinstall --no-deps sglang-kernel==" in one for one in again), "the other took its files along"


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        pytest.param({"torch": "2.10.0"}, "this is torch 2.10.0", id="its CUDA is not stated, and no matter"),
        pytest.param({"torch": "2.10.0+cu128"}, "this is torch 2.10.0+cu128 for CUDA 12.8", id="stated by its tag"),
        pytest.param({"torch": "2.11.0"}, "torch 2.11.0, by default built for CUDA 13.0", id="concluded, and said so"),
    ],
)
def test_no_cuda_is_told_that_nobody_stated(facts: dict[str, Any], said: str) -> None:
    found = judged({**facts, "packages": {"flash-attn": "2.8.3+cu12torch2.7"}})
    assert [one.check for one in found.causes] == ["PKG005"]
    assert render(found.causes[0].text).endswith(said)
