"""TOR on the GPUs that are there: whose code a build holds, and which build a GPU is sent to."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_doctor.checks.driver_ptx import driver_compiles_ptx
from autoglm_doctor.checks.engine import engine_installed
from autoglm_doctor.checks.packages import dependency_conflicts
from autoglm_doctor.checks.torch import torch_cuda_build, torch_imports, torch_installed
from autoglm_doctor.checks.torch_gpu import architectures
from autoglm_doctor.checks.torchvision import torchvision_matches
from autoglm_doctor.domain.wheels import runs_on
from autoglm_doctor.facts import (
    Cuda,
    CudaDevice,
    Distribution,
    Driver,
    Environment,
    Facts,
    Packages,
    Reading,
    Torch,
    known,
)
from autoglm_doctor.intent import Launch
from autoglm_doctor.launch import default_intent
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.runner import run_checks
from autoglm_doctor.testing import judge
from tests.checks.torch_cases import (
    ABSENT,
    ARM,
    CPU_TORCH,
    INDEX,
    NEW_DRIVER,
    PIP,
    PIP_LINE,
    PYTHON,
    TORCH,
    WHEEL,
    X86,
    died,
    gpu,
    intent,
    one,
    packages,
)

# --- TOR005 ----------------------------------------------------------------------------------------------------------


RUNS = [
    ("8.9", WHEEL, "sm_86"),
    ("8.0", WHEEL, "sm_80"),
    ("12.1", WHEEL, "sm_120"),
    ("10.3", WHEEL, "sm_100"),
    ("7.2", WHEEL, ""),  # a Xavier runs code of its own only
    ("6.1", WHEEL, ""),
    ("11.0", WHEEL, ""),
    ("8.0", ("sm_86",), ""),
    ("9.0", ("sm_80", "compute_80"), "compute_80"),
    ("9.0", ("compute_80", "sm_90"), "sm_90"),
    ("7.5", ("compute_80",), ""),
    ("9.0", ("sm_90a",), "sm_90a"),
    ("10.0", ("sm_90a", "compute_90a"), ""),
    ("10.3", ("sm_100a",), ""),
    ("10.3", ("sm_100f",), "sm_100f"),
    ("12.0", ("compute_100f",), ""),
    ("8.6", (), ""),
    ("8.6", ("gfx90a", "nonsense"), ""),
]


@pytest.mark.parametrize(("capability", "listed", "wanted"), RUNS)
def test_which_code_runs_on_which_gpu(capability: str, listed: tuple[str, ...], wanted: str) -> None:
    assert runs_on(capability, listed) == wanted


ENTRIES = st.lists(st.sampled_from([*WHEEL, "sm_90a", "compute_80", "compute_90", "sm_100f"]), max_size=5)


@given(ENTRIES, ENTRIES, st.sampled_from(["7.0", "7.5", "8.0", "8.6", "8.9", "9.0", "10.0", "10.3", "12.0"]))
def test_more_code_never_hurts(few: list[str], more: list[str], capability: str) -> None:
    assert not runs_on(capability, few) or runs_on(capability, [*few, *more])


def test_each_gpu_is_judged() -> None:
    both = intent(launch=Launch(tensor_parallel=2))
    found = judge(architectures, torch=TORCH, gpus=(gpu("8.9"), gpu("6.1", 1)), interpreter=PYTHON, intent=both)
    assert [(f.subject, f.status) for f in found] == [("gpu:0", "pass"), ("gpu:1", "fail")]
    assert found[1].cause == "GPU_ARCH_NOT_IN_WHEEL"
    assert found[0].required


def test_a_hidden_display_card_needs_no_code() -> None:
    shown = Cuda(
        library="/x",
        init_code=0,
        devices=(CudaDevice(index=0, name="GPU 8.9", compute_capability="8.9", total_bytes=1),),
    )
    found = judge(architectures, torch=TORCH, gpus=(gpu("6.1"), gpu("8.9", 1)), cuda=shown)
    assert [(f.subject, f.status) for f in found] == [("gpu:1", "pass")]


def test_by_ptx_is_said() -> None:
    ptx = dataclasses.replace(TORCH, architectures=("sm_80", "compute_80"))
    finding = one(architectures, torch=ptx, gpus=(gpu("9.0"),))
    assert finding.status == "pass"
    assert "PTX" in finding.text.template


OTHERS = {
    "a published wheel of which nobody has seen the files": (
        dataclasses.replace(TORCH, architectures=None, location=""),
        (gpu(),),
        "cuda",
        "pass",
    ),
    "a list that could not be read, of what says that it is a published wheel": (
        dataclasses.replace(TORCH, architectures=None),
        (gpu(),),
        "cuda",
        "unknown",
    ),
    "a list that could not be read, of a build of one's own": (
        dataclasses.replace(TORCH, version="2.9.1+gitabc", architectures=None),
        (gpu(),),
        "cuda",
        "unknown",
    ),
    "a build without CUDA": (CPU_TORCH, (gpu(),), "cuda", "fail"),
    "no GPU": (TORCH, (), "cuda", "not_applicable"),
    "on the CPU": (CPU_TORCH, (gpu(),), "cpu", "not_applicable"),
}


@pytest.mark.parametrize(("torch", "gpus", "device", "status"), OTHERS.values(), ids=OTHERS.keys())
def test_architectures_otherwise(torch: Torch, gpus: Any, device: str, status: str) -> None:
    assert one(architectures, torch=torch, gpus=gpus, intent=intent(device=device)).status == status


def test_a_volta_is_sent_to_builds_that_keep_it() -> None:
    new = Torch(version="2.11.0+cu130", cuda="13.0", architectures=WHEEL[1:], location="/v/lib/torch")
    finding = one(architectures, torch=new, gpus=(gpu("7.0"),), driver=NEW_DRIVER, host=X86)
    assert finding.fixes[0].commands[0].startswith(PIP_LINE + "install vllm==0.19.1 ")
    assert finding.fixes[-1].commands[1] == PIP_LINE + f"install {INDEX}cu126 torch==2.11.0+cu126"


@pytest.mark.parametrize(
    ("version", "cuda", "status"),
    [
        pytest.param("2.7.0.dev20250310+cu126", "12.6", "fail", id="no build for CUDA 12.6 has Blackwell"),
        pytest.param("2.7.0.dev20250310+cu128", "12.8", "unknown", id="those for CUDA 12.8 have it, this was not read"),
        pytest.param("2.7.0a0+gitab12cd3", "12.6", "unknown", id="built here"),
        pytest.param("2.7.0.dev20250310", "12.6", "unknown", id="of no index"),
    ],
)
def test_a_nightly_build_is_judged_by_its_cuda(version: str, cuda: str, status: str) -> None:
    unread = Torch(version=version, cuda=cuda, location="/v/lib/torch")
    assert one(architectures, torch=unread, gpus=(gpu("12.0"),), driver=NEW_DRIVER, host=X86).status == status


def test_a_second_gpu_that_is_not_taken_is_not_judged() -> None:
    found = judge(architectures, torch=TORCH, gpus=(gpu("8.9"), gpu("6.1", 1)))
    assert [(f.subject, f.status) for f in found] == [("gpu:0", "pass")]


def test_an_unused_old_card_does_not_choose_the_build() -> None:
    gpus = (gpu("12.0"), gpu("6.1", 1))
    finding = one(torch_cuda_build, torch=Torch(version="2.11.0+cpu"), gpus=gpus, driver=NEW_DRIVER, host=X86)
    assert finding.fixes[0].commands[1] == PIP_LINE + "install torch==2.11.0"


HIDDEN = ("", "-1")


@pytest.mark.parametrize("value", HIDDEN, ids=["empty", "-1"])
def test_hidden_gpus_mean_the_cpu_where_the_cpu_will_do(value: str) -> None:
    given: dict[str, Any] = {
        "torch": CPU_TORCH,
        "gpus": (gpu(),),
        "driver": NEW_DRIVER,
        "environment": Environment(variables={"CUDA_VISIBLE_DEVICES": value}),
    }
    for check in (torch_cuda_build, architectures):
        assert one(check, **given, intent=intent(device="auto")).status == "not_applicable"
        assert one(check, **{**given, "environment": Environment()}, intent=intent(device="auto")).status == "fail"
    assert one(torch_cuda_build, **given, intent=intent(device="cuda")).status == "fail"


NEW_CARD = {
    "no torch": (torch_installed, Reading(outcome="absent", why="not installed")),
    "a torch for the CPU": (torch_cuda_build, Torch(version="2.13.0+cpu")),
    "a torch without its code": (
        architectures,
        Torch(version="2.13.0+cu126", cuda="12.6", architectures=("sm_80", "sm_90"), location="/v"),
    ),
}


@pytest.mark.parametrize(("check", "torch"), NEW_CARD.values(), ids=NEW_CARD.keys())
def test_a_blackwell_on_a_cuda_12_driver_gets_a_build_with_its_code(check: Any, torch: Any) -> None:
    finding = one(
        check,
        torch=torch,
        gpus=(gpu("12.0"),),
        driver=Driver(version="570.124.06", cuda_version="12.8"),
        host=X86,
        intent=intent(engine="transformers"),
    )
    assert finding.status == "fail"
    assert finding.fixes[0].commands[-1] == PIP_LINE + f"install {INDEX}cu129 torch==2.13.0+cu129"


def test_nothing_is_offered_where_nothing_has_code() -> None:
    kepler = one(torch_cuda_build, torch=CPU_TORCH, gpus=(gpu("3.7"),), driver=NEW_DRIVER, host=X86)
    assert not any(" install " in command for fix in kepler.fixes for command in fix.commands)
    assert kepler.fixes[0].effort == "hardware"


def test_a_gpu_that_no_release_of_the_engine_knows_is_not_sent_to_a_new_one() -> None:
    finding = one(architectures, torch=TORCH, gpus=(gpu("6.1"),), driver=NEW_DRIVER, host=X86)
    commands = [command for fix in finding.fixes for command in fix.commands]
    assert commands[0] == "autoglm-doctor check --engine transformers"
    assert not any("vllm" in command for command in commands)


OLD_WHEEL = Torch(version="2.7.0+cu126", cuda="12.6", architectures=WHEEL[:5], location="/v/lib/torch")
DRIVERS = [
    pytest.param("570.133.07", "12.8", id="12.8"),
    pytest.param("575.57.08", "12.9", id="12.9"),
    pytest.param("580.95.05", "13.0", id="13.0"),
]


@pytest.mark.parametrize(("version", "cuda"), DRIVERS)
def test_the_release_that_is_offered_has_kernels_that_the_driver_compiles(version: str, cuda: str) -> None:
    driver = Driver(version=version, cuda_version=cuda)
    finding = one(architectures, torch=OLD_WHEEL, gpus=(gpu("12.0"),), driver=driver, host=X86)
    found = re.search(r" vllm==(\S+)", finding.fixes[0].commands[-1])
    assert found, finding.fixes[0]
    after = one(driver_compiles_ptx, driver=driver, packages=packages(vllm=found[1]), gpus=(gpu("12.0"),))
    assert after.status == "pass"


def test_a_torch_that_an_installer_would_leave_is_removed_first() -> None:
    driver = Driver(version="575.57.08", cuda_version="12.9")
    torch = dataclasses.replace(OLD_WHEEL, version="2.10.0+cu126")
    given: dict[str, Any] = {"gpus": (gpu("12.0"),), "driver": driver, "host": X86}
    same = one(architectures, torch=torch, **given, packages=packages(vllm="0.19.1", torch="2.10.0+cu126"))
    assert same.fixes[0].commands[0] == PIP_LINE + "uninstall -y torch"
    assert same.fixes[0].commands[1].startswith(PIP_LINE + "install vllm==0.19.1")
    assert not any(" install transformers" in line for fix in same.fixes for line in fix.commands)
    other = one(architectures, torch=OLD_WHEEL, **given, packages=packages(vllm="0.9.0", torch="2.7.0+cu126"))
    assert len(other.fixes[0].commands) == 1


def test_all_gpus_of_the_deployment_must_suit() -> None:
    both = intent(launch=Launch(tensor_parallel=2))
    gpus = (gpu("12.0"), gpu("7.0", 1))
    torch = dataclasses.replace(TORCH, version="2.6.0+cu126", architectures=WHEEL[:5])
    found = judge(architectures, torch=torch, gpus=gpus, interpreter=PYTHON, driver=NEW_DRIVER, host=X86, intent=both)
    assert [f.status for f in found] == ["fail", "pass"]
    lines = [line for fix in found[0].fixes for line in fix.commands]
    versions = {match[1] for line in lines if (match := re.search(r"vllm==(\d+\.\d+)", line))}
    assert versions <= {"0.19"}  # later ones have no code for 7.0


def test_a_capability_that_is_not_known_is_no_error() -> None:
    assert one(architectures, torch=TORCH, gpus=(gpu(""),)).status == "unknown"
    assert (
        one(torch_imports, torch_run=died("killed by SIGSEGV"), cuda=ABSENT, torch=TORCH, gpus=(gpu(""),)).status
        == "fail"
    )


def environment_of(vllm: tuple[str, ...], **versions: str) -> Packages:
    rows = [Distribution(name=name, version=version) for name, version in versions.items()]
    return Packages(distributions=(PIP, Distribution(name="vllm", version="0.12.0", requires=vllm), *rows))


def test_a_torch_that_the_engine_forbids_is_not_kept() -> None:
    pins = ("torch==2.9.0", "torchvision==0.24.0")
    facts = Facts(
        packages=known(environment_of(pins, torch="2.8.0", torchvision="0.24.0")),
        torch=known(dataclasses.replace(TORCH, version="2.8.0+cu128")),
        interpreter=known(PYTHON),
    )
    found = run_checks([torchvision_matches, dependency_conflicts], facts, default_intent(), load_matrix())
    assert [(f.code, f.status) for f in found] == [("TOR004", "skipped"), ("PKG001", "fail")]
    assert found[1].fixes[0].commands == (PIP_LINE + "install vllm==0.12.0",)
    (alone,) = run_checks([torchvision_matches], facts, default_intent(), load_matrix())
    assert alone.fixes[0].commands == (PIP_LINE + "install vllm==0.12.0",)


def test_another_conflict_of_the_engine_does_not_hide_a_torchvision() -> None:
    facts = Facts(
        packages=known(environment_of(("transformers<5",), torch="2.9.1", torchvision="0.23.0", transformers="5.1.0")),
        torch=known(TORCH),
        interpreter=known(PYTHON),
    )
    found = run_checks([torchvision_matches, dependency_conflicts], facts, default_intent(), load_matrix())
    assert [(f.code, f.status) for f in found] == [("TOR004", "fail"), ("PKG001", "fail")]


def test_a_missing_engine_explains_the_torch_beside_it() -> None:
    facts = Facts(packages=known(packages(torch="2.9.1+cpu")), torch=known(CPU_TORCH), gpus=known((gpu(),)))
    found = run_checks([torch_cuda_build, engine_installed], facts, default_intent(), load_matrix())
    assert [(f.code, f.status) for f in found] == [("TOR003", "skipped"), ("ENG001", "fail")]


# --- TOR005 without the list of architectures -------------------------------------------------------------------------

UNREAD = [
    pytest.param("", "13.0", "7.0", {}, "fail", id="CUDA 13 and V100: no build can"),
    pytest.param("2.9.0a0+nv25.09", "13.0", "6.1", {}, "fail", id="CUDA 13 and P40: a vendor's build cannot either"),
    pytest.param("2.11.0+cu128", "12.8", "7.0", {}, "fail", id="the wheel of 2.11 has dropped Volta"),
    pytest.param("2.9.1", "12.8", "6.1", {}, "fail", id="the default wheel of 2.9 and GTX 1080"),
    pytest.param("2.6.0+cu126", "12.6", "12.0", {}, "fail", id="RTX 5090 and 2.6"),
    pytest.param("", "12.4", "12.0", {}, "fail", id="RTX 5090: no wheel for CUDA 12.4 has code"),
    pytest.param("2.9.1+cu130", "13.0", "10.3", {}, "pass", id="GB300 runs the code of 10.0"),
    pytest.param("2.9.1+cu128", "12.8", "8.9", {}, "pass", id="Ada runs the code of 8.6"),
    pytest.param("2.9.1+cu128", "12.8", "12.1", {}, "pass", id="GB10 runs the code of 12.0"),
    pytest.param("2.9.1+cu126", "12.6", "6.1", {}, "pass", id="GTX 1080 runs the code of 6.0"),
    pytest.param("2.10.0", "12.8", "7.0", {}, "pass", id="2.10 still has Volta"),
    pytest.param("", "12.8", "7.0", {}, "unknown", id="CUDA 12.8 and V100: it depends on the version"),
    pytest.param("", "13.0", "8.6", {}, "unknown", id="CUDA 13 and RTX 3090, no version"),
    pytest.param("2.9.0a0+nv25.09", "12.9", "7.0", {}, "unknown", id="a vendor's build"),
    pytest.param("9.9.0", "13.0", "8.6", {}, "unknown", id="a version in no table"),
    pytest.param("2.13.0+cu129", "12.9", "13.0", {}, "unknown", id="PTX that nobody looked for"),
    pytest.param("2.9.1+cu130", "13.0", "10.3", {"host": ARM}, "unknown", id="wheels for Arm hold other code"),
    pytest.param(
        "2.11.0", "12.8", "7.0", {"host": dataclasses.replace(X86, container="docker")}, "unknown", id="an image"
    ),
]


@pytest.mark.parametrize(("version", "cuda", "capability", "more", "status"), UNREAD)
def test_without_the_list(version: str, cuda: str, capability: str, more: dict[str, Any], status: str) -> None:
    found = one(architectures, torch=Torch(version=version, cuda=cuda), gpus=(gpu(capability),), **more)
    assert found.status == status


def test_without_the_list_volta_is_sent_to_a_build_that_keeps_it() -> None:
    found = one(
        architectures,
        torch=Torch(version="", cuda="13.0"),
        gpus=(gpu("7.0"),),
        driver=NEW_DRIVER,
        intent=intent(engine="transformers"),
    )
    lines = [line for fix in found.fixes for line in fix.commands]
    assert any("https://download.pytorch.org/whl/cu126" in line for line in lines), lines
