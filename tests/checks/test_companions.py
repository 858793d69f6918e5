"""PKG011 on bitsandbytes' libraries, PKG009 on Windows."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.checks.companions import torch_companions
from autoglm_doctor.checks.numpy_abi import numpy_abi
from autoglm_doctor.facts import Distribution, Environment, Host, Packages, Torch
from autoglm_doctor.intent import Intent
from autoglm_doctor.testing import judge
from tests.checks.package_cases import installed
from tests.restraint.judged import judged

#: bitsandbytes, torch, its CUDA, whether it has a library.
LIBRARIES = [
    pytest.param("0.47.0", "2.9.1+cu130", "13.0", False, id="CUDA 13 before 0.48"),
    pytest.param("0.48.0", "2.9.1+cu130", "13.0", True, id="CUDA 13 from 0.48 on"),
    pytest.param("0.49.2", "2.15.0", "13.2", False, id="CUDA 13.2 before 0.50"),
    pytest.param("0.50.2", "2.15.0", "13.2", True, id="CUDA 13.2 from 0.50 on"),
    pytest.param("0.50.2", "2.8.0+cu129", "12.9", True, id="another release of the same major, from 0.50 on"),
    pytest.param("0.46.0", "2.8.0+cu129", "12.9", False, id="CUDA 12.9 before 0.46.1"),
    pytest.param("0.45.5", "2.7.1+cu128", "12.8", True, id="CUDA 12.8"),
    pytest.param("0.99.0", "2.15.0+cu140", "14.0", True, id="a release that nobody read"),
    pytest.param("0.46.0.dev0", "2.9.1+cu130", "13.0", True, id="a development version"),
    pytest.param("0.47.0", "2.9.1+cpu", None, True, id="torch without CUDA"),
]


@pytest.mark.parametrize(("version", "torch", "cuda", "has"), LIBRARIES)
def test_bitsandbytes(version: str, torch: str, cuda: str | None, has: bool) -> None:
    there = installed(bitsandbytes=version, torch=torch)
    found = judge(torch_companions, packages=there, torch=Torch(version=torch, cuda=cuda))
    assert [one.cause for one in found if one.status == "warn"] == ([] if has else ["EXTENSION_ABI_MISMATCH"])
    if not has:
        assert "bitsandbytes==0.50.2" in found[-1].fixes[0].commands[0]


TOO_OLD: dict[str, Any] = {
    "packages": installed(bitsandbytes="0.47.0", torch="2.9.1+cu130"),
    "torch": Torch(version="2.9.1+cu130", cuda="13.0"),
}
QUIET: dict[str, dict[str, Any]] = {
    "a variable names another library": {"environment": Environment(variables={"BNB_CUDA_VERSION": "128"})},
    "Windows": {"host": Host(system="Windows", kernel="", machine="AMD64")},
    "Arm": {"host": Host(system="Linux", kernel="", machine="aarch64")},
    "an editable one": {
        "packages": Packages(
            distributions=(
                Distribution(name="torch", version="2.9.1+cu130"),
                Distribution(name="bitsandbytes", version="0.47.0", editable=True),
            )
        )
    },
    "of torch's CUDA no more than the architectures is known": {
        "torch": Torch(version="2.9.1", cuda="13.0", architectures=("sm_90", "sm_100"))
    },
}


@pytest.mark.parametrize("given", [pytest.param(given, id=name) for name, given in QUIET.items()])
def test_bitsandbytes_is_not_judged(given: dict[str, Any]) -> None:
    assert {one.status for one in judge(torch_companions, **{**TOO_OLD, **given})} <= {"pass", "not_applicable"}


#: torchcodec, torch, whether it loads.
CODECS = [
    pytest.param("0.7.0", "2.10.0", False, id="a codec of torch 2.7 to 2.9"),
    pytest.param("0.10.0", "2.11.0", False, id="the last before the stable ABI"),
    pytest.param("0.17.0", "2.9.1+cu128", False, id="a new one with an old torch"),
    pytest.param("0.17.0", "2.15.0", True, id="from 0.11 on every later torch does"),
    pytest.param("0.11.1", "2.13.0", True, id="also the first of them"),
    pytest.param("0.7.0", "2.8.0", True, id="its torch"),
    pytest.param("0.18.0", "2.9.1", True, id="a release that nobody read"),
    pytest.param("0.7.0+cu128", "2.10.0", True, id="not from PyPI"),
    pytest.param("0.7.0", "2.99.0", True, id="a torch that nobody read"),
    pytest.param("0.7.0", "2.10.0a0+nv25.10", True, id="a vendor's torch"),
]


@pytest.mark.parametrize(("codec", "torch", "loads"), CODECS)
def test_torchcodec(codec: str, torch: str, loads: bool) -> None:
    found = judge(torch_companions, packages=installed(torchcodec=codec, torch=torch))
    assert [one.subject for one in found if one.status == "warn"] == ([] if loads else ["torchcodec"])


@pytest.mark.parametrize(
    ("torch", "wanted"),
    [
        pytest.param("2.10.0", "torchcodec==0.10.0 torch==2.10.0", id="the only one"),
        pytest.param("2.12.1", "torchcodec==0.17.0 torch==2.12.1", id="the newest"),
    ],
)
def test_the_codec_of_a_torch(torch: str, wanted: str) -> None:
    (found,) = judge(torch_companions, packages=installed(torchcodec="0.7.0", torch=torch))
    assert found.fixes[0].commands[0].endswith(wanted)


#: What is stated, and whether NumPy 2 is red.
WINDOWS = [
    pytest.param({"os": "Windows", "torch": "2.4.0", "packages": {"numpy": "2.1.0"}}, True, id="torch 2.4.0"),
    pytest.param({"os": "Windows 11", "torch": "2.3.1+cu118", "packages": {"numpy": "2.0.0"}}, True, id="torch 2.3.1"),
    pytest.param({"os": "Windows 10", "torch": "2.4.1", "packages": {"numpy": "2.1.0"}}, False, id="mended in 2.4.1"),
    pytest.param({"os": "Windows 10", "torch": "2.4.0", "packages": {"numpy": "1.26.4"}}, False, id="NumPy 1"),
    pytest.param({"os": "Ubuntu 22.04", "torch": "2.4.0", "packages": {"numpy": "2.1.0"}}, False, id="Linux"),
    pytest.param({"os": "Ubuntu on WSL2", "torch": "2.3.1", "packages": {"numpy": "2.1.0"}}, False, id="WSL is Linux"),
    pytest.param({"torch": "2.4.0", "packages": {"numpy": "2.1.0"}}, False, id="no system is stated"),
    pytest.param({"os": "macOS 14", "torch": "2.4.0", "packages": {"numpy": "2.1.0"}}, False, id="macOS"),
    pytest.param({"os": "Windows", "torch": "2.4.0a0+git1a2b", "packages": {"numpy": "2.1.0"}}, False, id="own build"),
]


@pytest.mark.parametrize(("facts", "red"), WINDOWS)
def test_numpy_2_on_windows(facts: dict[str, Any], red: bool) -> None:
    assert ("NUMPY2_ABI" in [one.cause for one in judged(facts).causes]) is red


def test_the_way_out_on_windows() -> None:
    (finding,) = judge(
        numpy_abi,
        packages=installed(torch="2.4.0", numpy="2.1.0"),
        host=Host(system="Windows", machine="x86_64", kernel=""),
    )
    assert "numpy<2" in finding.fixes[0].commands[0]


def test_one_sentence_for_a_torch_that_is_too_old_everywhere() -> None:
    there = installed(torch="2.1.2", numpy="2.1.0")
    (windows,) = judge(numpy_abi, packages=there, host=Host(system="Windows", machine="x86_64", kernel=""))
    (linux,) = judge(numpy_abi, packages=there, host=Host(system="Linux", machine="x86_64", kernel=""))
    assert windows.text == linux.text


#: What else is there, and whether bitsandbytes is refused.
TRITON_OPS = [
    pytest.param({"bitsandbytes": "0.45.0", "triton": "3.2.0", "torch": "2.6.0"}, True, id="triton.ops is gone"),
    pytest.param({"bitsandbytes": "0.42.0", "triton": "3.3.1", "torch": "2.7.1"}, True, id="an older one"),
    pytest.param({"bitsandbytes": "0.44.1", "triton_windows": "3.2.0.post12", "torch": "2.6.0"}, True, id="Windows"),
    pytest.param({"bitsandbytes": "0.45.0", "torch": "2.6.0", "vllm": "0.8.4"}, True, id="triton came with torch"),
    pytest.param({"bitsandbytes": "0.45.1", "triton": "3.2.0", "torch": "2.6.0"}, False, id="mended"),
    pytest.param({"bitsandbytes": "0.45.0", "triton": "3.1.0", "torch": "2.5.1"}, False, id="triton.ops is there"),
    pytest.param({"bitsandbytes": "0.45.0", "torch": "2.5.1", "vllm": "0.6.6"}, False, id="it came with torch 2.5"),
    pytest.param({"bitsandbytes": "0.45.0", "torch": "2.6.0"}, False, id="Windows or Linux, nobody says"),
    pytest.param({"bitsandbytes": "0.45.0", "torch": "2.6.0+cpu", "vllm": "0.8.4"}, False, id="torch without triton"),
    pytest.param({"bitsandbytes": "0.45.0.dev0+abc", "torch": "2.5.1", "triton": "3.1.0"}, False, id="an own build"),
    pytest.param({"triton": "3.2.0", "torch": "2.6.0"}, False, id="no bitsandbytes"),
]


@pytest.mark.parametrize(("versions", "is_bad"), TRITON_OPS)
def test_bitsandbytes_and_triton(versions: dict[str, str], is_bad: bool) -> None:
    found = [one for one in judge(torch_companions, packages=installed(**versions)) if one.status == "warn"]
    assert [(one.subject, one.cause) for one in found] == [("bitsandbytes", "EXTENSION_ABI_MISMATCH")] * is_bad
    assert not found or "'bitsandbytes>=0.45.1'" in found[0].fixes[0].commands[0]


AWQ = "TheBloke/Mistral-7B-OpenOrca-AWQ"
KERNELS_FOR_AWQ = [
    pytest.param({"autoawq": "0.1.5", "torch": "2.2.0+cu118"}, AWQ, "transformers", "fail", id="kernels for torch 2.0"),
    pytest.param({"autoawq": "0.1.8+cu118", "torch": "2.0.1+cu118"}, AWQ, "transformers", "fail", id="for torch 2.1"),
    pytest.param({"autoawq-kernels": "0.0.6", "torch": "2.3.1"}, AWQ, "transformers", "warn", id="for torch 2.2"),
    pytest.param(
        {"autoawq-kernels": "0.0.6", "torch": "2.3.0"}, AWQ, "transformers", "", id="no kernels for this torch"
    ),
    pytest.param({"autoawq": "0.1.5", "torch": "2.2.0"}, "a/b", "transformers", "warn", id="a model that needs none"),
    pytest.param({"autoawq": "0.1.5", "torch": "2.2.0"}, AWQ, "vllm", "", id="vLLM has its own"),
    pytest.param({"autoawq": "0.1.5", "torch": "2.0.1"}, AWQ, "transformers", "", id="its torch"),
    pytest.param({"autoawq": "0.1.8", "torch": "2.1.2"}, AWQ, "transformers", "", id="its torch, the next one"),
    pytest.param({"autoawq": "0.2.9", "autoawq-kernels": "0.0.9", "torch": "2.6.0"}, AWQ, "transformers", "", id="new"),
    pytest.param({"autoawq": "0.1.5.dev2", "torch": "2.2.0a0+nv24"}, AWQ, "transformers", "", id="a vendor's torch"),
]


@pytest.mark.parametrize(("versions", "model", "engine", "status"), KERNELS_FOR_AWQ)
def test_kernels_for_awq(versions: dict[str, str], model: str, engine: Any, status: str) -> None:
    found = judge(torch_companions, packages=installed(**versions), intent=Intent(model=model, engine=engine))
    assert {one.status for one in found} - {"pass", "not_applicable"} == ({status} if status else set())


def test_a_machine_without_triton_has_no_triton_ops_to_miss() -> None:
    there = tuple(
        Distribution(name=name, version=version, location="/v")
        for name, version in {"bitsandbytes": "0.45.0", "torch": "2.6.0", "vllm": "0.8.4"}.items()
    )
    found = judge(torch_companions, packages=Packages(distributions=there))
    assert not [one for one in found if one.status == "warn"]


@pytest.mark.parametrize(
    ("version", "torch", "status"),
    [
        pytest.param("0.0.20", "2.1.0+cu121", "warn", id="of torch 2.0"),
        pytest.param("0.0.16", "2.0.1", "warn", id="of torch 1.13"),
        pytest.param("0.0.20", "2.0.1+cu118", "pass", id="its torch"),
        pytest.param("0.0.13", "2.1.0", "not_applicable", id="before the table"),
    ],
)
def test_an_old_xformers(version: str, torch: str, status: str) -> None:
    (finding,) = judge(torch_companions, packages=installed(xformers=version, torch=torch))
    assert finding.status == status
