"""PKG005: compiled packages and torch."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.checks.extensions import extensions_match
from autoglm_doctor.facts import Distribution, Gpu, Host, Packages, Torch
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


KERNELS = [
    pytest.param("2.7.0+cu128", "sgl-kernel", "0.1.2", "fail", id="kernels of torch 2.6"),
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
    (finding,) = judge(extensions_match, packages=there)
    assert finding.status == status


def both(torch: dict[str, Any] | None = None, kernels: dict[str, Any] | None = None) -> Packages:
    """Kernels of torch 2.6 beside torch 2.7, with more said of them."""
    one = Distribution(name="torch", version="2.7.0", **(torch or {}))
    return Packages(distributions=(one, Distribution(name="sgl-kernel", version="0.1.2", **(kernels or {}))))


BLACKWELL = (Gpu(index=0, name="NVIDIA B200", compute_capability="10.0", total_bytes=1, free_bytes=1),)
QUIET_KERNELS: dict[str, dict[str, Any]] = {
    "the project's wheel for Blackwell bears the same version": {"gpus": BLACKWELL, "packages": both()},
    "PyPI had none for Arm": {"host": Host(system="Linux", kernel="", machine="aarch64"), "packages": both()},
    "an editable torch": {"packages": both({"editable": True})},
    "a torch of conda": {"packages": both({"requires": ("filelock",)})},
    "editable kernels": {"packages": both(None, {"editable": True})},
    "kernels whose own metadata speaks of torch": {"packages": both(None, {"requires": ("torch==2.6.0",)})},
    "no torch is stated": {"packages": installed(sgl_kernel="0.1.2")},
}


def test_kernels_of_another_torch_but_for_what_keeps_them_quiet() -> None:
    (finding,) = judge(extensions_match, packages=both())
    assert finding.status == "fail"


@pytest.mark.parametrize("given", [pytest.param(given, id=name) for name, given in QUIET_KERNELS.items()])
def test_kernels_that_are_not_judged(given: dict[str, Any]) -> None:
    (finding,) = judge(extensions_match, **given)
    assert finding.status == "not_applicable"


def test_the_way_out_is_what_sglang_pins() -> None:
    there = installed(torch="2.10.0", sgl_kernel="0.3.21", sglang="0.5.9")
    (finding,) = judge(extensions_match, packages=there)
    assert finding.fixes[0].commands[0].endswith("sglang==0.5.9 torch==2.9.1 sgl-kernel==0.3.21")


@pytest.mark.parametrize(
    ("torch", "wanted"),
    [
        pytest.param("2.9.1+cu130", "sglang-kernel==0.4.1 torch==2.9.1", id="the kernels of this torch"),
        pytest.param("2.10.0", "'sgl-kernel==0.1.2' 'torch==2.6.*'", id="or the torch of these kernels"),
    ],
)
def test_the_way_out_without_sglang(torch: str, wanted: str) -> None:
    (finding,) = judge(extensions_match, packages=installed(torch=torch, sgl_kernel="0.1.2"))
    assert finding.fixes[0].commands[0].replace("'", "").endswith(wanted.replace("'", ""))


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
