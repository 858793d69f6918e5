"""DRV: present, matching itself, new enough for torch's CUDA."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from autoglm_doctor.checks.cuda import cuda_initialises
from autoglm_doctor.checks.driver import driver_libraries_match, driver_present
from autoglm_doctor.checks.driver_torch import driver_runs_torch_cuda
from autoglm_doctor.checks.gpu import gpus_answer
from autoglm_doctor.checks.host import os_supported
from autoglm_doctor.checks.torch import torch_cuda_build
from autoglm_doctor.facts import (
    Cuda,
    CudaDevice,
    DeviceRun,
    Distribution,
    Driver,
    Environment,
    Facts,
    Gpu,
    Host,
    Packages,
    PciGpu,
    Product,
    Reading,
    Torch,
    TorchRun,
    known,
)
from autoglm_doctor.finding import Finding
from autoglm_doctor.intent import Device
from autoglm_doctor.launch import default_intent
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.runner import run_checks
from autoglm_doctor.testing import judge
from autoglm_doctor.wording import render

HOST = Host(system="Linux", machine="x86_64", kernel="6.8")
DOCKER = dataclasses.replace(HOST, container="docker")
POD = dataclasses.replace(HOST, container="kubernetes")
WSL = dataclasses.replace(HOST, wsl=True)
ABSENT: Reading[Any] = Reading(outcome="absent", why="nothing found")
FAILED: Reading[Any] = Reading(outcome="timeout", why="no answer within 30 s")
GOOD = Driver(version="570.124.06", nvml_code=0, cuda_version="12.8", read_by=("NVML",))


def pci(driver: str | None = None) -> tuple[PciGpu, ...]:
    return (PciGpu(address="0000:01:00.0", device_id="0x2684", driver=driver),)


def nvml(code: int, **rest: Any) -> Driver:
    words = rest.pop("error", "some words")
    return Driver(version=rest.pop("version", None), nvml_code=code, nvml_error=words, **rest)


def one(found: list[Finding]) -> Finding:
    (finding,) = found
    if finding.status in ("warn", "fail"):
        assert finding.fixes
        assert all(fix.commands for fix in finding.fixes)
    return finding


SILENT = Driver(version="570.26", kernel_version="570.26", nvml_error="NVML did not answer")

DRV001 = {
    "NVML answers": (GOOD, pci("nvidia"), HOST, "cuda", "pass", ""),
    "NVML answers in a container": (GOOD, None, DOCKER, "cuda", "pass", ""),
    "assumed by the user": (Driver(version="570.26"), None, None, "cuda", "pass", ""),
    "for the CPU nothing is asked": (ABSENT, (), HOST, "cpu", "not_applicable", ""),
    "mismatch is DRV002's": (nvml(18, kernel_version="570.26"), pci("nvidia"), HOST, "cuda", "pass", ""),
    "nvidia-smi answers": (nvml(12, version="535.1.1", read_by=("nvidia-smi",)), None, WSL, "cuda", "pass", ""),
    "NVML gave no answer, and why is not told": (SILENT, None, HOST, "cuda", "unknown", ""),
    "probe timed out": (FAILED, None, HOST, "cuda", "fail", "DRIVER_HANGS"),
    "probe timed out, the CPU will do": (FAILED, None, HOST, "auto", "warn", "DRIVER_HANGS"),
    "probe timed out, for the CPU": (FAILED, None, HOST, "cpu", "not_applicable", ""),
    "module not loaded": (nvml(9), pci(), HOST, "cuda", "fail", "KERNEL_MODULE_NOT_BUILT"),
    "damaged library": (nvml(12), pci(), HOST, "cuda", "fail", "KERNEL_MODULE_NOT_BUILT"),
    "libraries missing": (
        nvml(12, kernel_version="570.26"),
        pci("nvidia"),
        HOST,
        "cuda",
        "fail",
        "DRIVER_NOT_INSTALLED",
    ),
    "module without nodes": (nvml(12, kernel_version="570.26"), None, DOCKER, "cuda", "fail", "CONTAINER_WITHOUT_GPU"),
    "lost in a container": (nvml(999), None, DOCKER, "cuda", "fail", "CONTAINER_GPU_CGROUP_LOST"),
    "unknown error": (nvml(999, kernel_version="570.26"), None, HOST, "cuda", "fail", "DRIVER_DOES_NOT_START"),
    "a code of the future": (nvml(4242), None, DOCKER, "cuda", "fail", "DRIVER_DOES_NOT_START"),
    "no permission": (nvml(4), None, HOST, "cuda", "fail", "GPU_DEVICE_FILES_CLOSED"),
    "an old library": (nvml(13), None, HOST, "cuda", "fail", "DRIVER_LIBRARY_BROKEN"),
    "a lost GPU": (nvml(15), None, HOST, "cuda", "fail", "GPU_FELL_OFF_BUS"),
    "a GPU that needs a reset": (nvml(16), None, HOST, "cuda", "fail", "GPU_FELL_OFF_BUS"),
    "nvidia-smi answers, NVML refuses": (
        nvml(17, version="535.1.1", read_by=("nvidia-smi",)), None, HOST, "cuda", "fail", "DRIVER_DOES_NOT_START"
    ),
    "nouveau and libraries": (nvml(9), pci("nouveau"), HOST, "cuda", "fail", "NOUVEAU_OR_NOVA_HOLDS_GPU"),
    "no GPU": (ABSENT, (), HOST, "cuda", "fail", "NO_GPU"),
    "no GPU, the CPU will do": (ABSENT, (), HOST, "auto", "not_applicable", ""),
    "GPU without driver": (ABSENT, pci(), HOST, "cuda", "fail", "DRIVER_NOT_INSTALLED"),
    "GPU without driver, the CPU will do": (ABSENT, pci(), HOST, "auto", "warn", "DRIVER_NOT_INSTALLED"),
    "GPU of a virtual machine": (ABSENT, pci("vfio-pci"), HOST, "cuda", "fail", "DRIVER_NOT_INSTALLED"),
    "nouveau": (ABSENT, pci("nouveau"), HOST, "cuda", "fail", "NOUVEAU_OR_NOVA_HOLDS_GPU"),
    "bus not readable": (ABSENT, None, HOST, "cuda", "fail", "DRIVER_NOT_INSTALLED"),
    "bus not readable, the CPU will do": (ABSENT, None, HOST, "auto", "not_applicable", ""),
    "container without devices": (ABSENT, pci("nvidia"), DOCKER, "cuda", "fail", "CONTAINER_WITHOUT_GPU"),
    "pod without devices": (ABSENT, (), POD, "cuda", "fail", "CONTAINER_WITHOUT_GPU"),
    "WSL without driver": (ABSENT, None, WSL, "cuda", "fail", "DRIVER_NOT_INSTALLED"),
}  # fmt: skip


@pytest.mark.parametrize(("driver", "bus", "host", "device", "status", "cause"), DRV001.values(), ids=DRV001)
def test_present(driver: Any, bus: Any, host: Host | None, device: Device, status: str, cause: str) -> None:
    intent = dataclasses.replace(default_intent(), device=device)
    given = {"driver": driver, "pci_gpus": FAILED if bus is None else bus, "host": FAILED if host is None else host}
    finding = one(judge(driver_present, intent=intent, **given))
    assert (finding.status, finding.cause) == (status, cause)


CRASHED: Reading[Any] = Reading(outcome="failed", why="killed by SIGSEGV: last words")
KILLED: Reading[Any] = Reading(outcome="failed", why="killed by SIGKILL")
DEBIAN = dataclasses.replace(HOST, distribution="Debian GNU/Linux 12 (bookworm)")
ROCKY = dataclasses.replace(HOST, distribution="Rocky Linux 9.4 (Blue Onyx)")
BROKEN = "DRIVER_LIBRARY_BROKEN"
HUNG = ("dmesg", "nvidia-smi -pm 1 autoglm-doctor check --timeout 4", "nvidia-smi --gpu-reset")
SILENCE = {
    "hangs": (FAILED, FAILED, HOST, "DRIVER_HANGS", HUNG),
    "hangs, the module is known": (known(SILENT), FAILED, HOST, "DRIVER_HANGS", HUNG),
    "crashes": (CRASHED, CRASHED, HOST, BROKEN, ("--reinstall -y libnvidia-compute-580", "find /", "reboot")),
    "crashes, the module is known": (known(SILENT), CRASHED, HOST, BROKEN, ("--reinstall -y libnvidia-compute-570",)),
    "crashes on Debian": (CRASHED, CRASHED, DEBIAN, BROKEN, ("libnvidia-ml1",)),
    "crashes on Rocky Linux": (CRASHED, CRASHED, ROCKY, BROKEN, ("dnf reinstall",)),
    "crashes in WSL": (CRASHED, CRASHED, WSL, BROKEN, ("wsl.exe",)),
    "crashes in a container": (known(SILENT), CRASHED, DOCKER, BROKEN, ("docker restart", "find /", "reboot")),
    "crashes in a pod": (known(SILENT), CRASHED, POD, BROKEN, ("kubectl rollout",)),
    "killed by another": (KILLED, KILLED, HOST, "", ()),
    "killed by another, the module is known": (known(SILENT), KILLED, HOST, "", ()),
}


@pytest.mark.parametrize(("driver", "gpus", "host", "cause", "helps"), SILENCE.values(), ids=SILENCE)
def test_nvml_that_says_nothing(driver: Any, gpus: Any, host: Host, cause: str, helps: tuple[str, ...]) -> None:
    finding = one(judge(driver_present, driver=driver, gpus=gpus, host=host, pci_gpus=()))
    assert (finding.status, finding.cause) == ("fail" if cause else "unknown", cause)
    commands = [" ".join(fix.commands) for fix in finding.fixes]
    assert all(word in command for word, command in zip(helps, commands, strict=False)), "best first"


def test_a_driver_that_hangs_is_one_red() -> None:
    facts = Facts(driver=known(SILENT), gpus=FAILED, cuda=FAILED, torch=known(Torch(version="2.9.1", cuda="12.8")))
    checks = [driver_present, driver_libraries_match, driver_runs_torch_cuda, gpus_answer, cuda_initialises]
    found = run_checks(checks, facts, default_intent(), load_matrix())
    assert [f.code for f in found if f.status == "fail"] == ["DRV001"]
    assert {f.because for f in found if f.status == "skipped"} == {"DRV001"}
    assert "30 s" in render(found[0].text)


def test_a_driver_that_hangs_is_one_red_where_the_cpu_would_do() -> None:
    """Whoever asks whether there is a GPU hangs as well; nothing says that there is none."""
    facts = Facts(driver=known(SILENT), gpus=FAILED, cuda=FAILED, torch=known(Torch(version="2.9.1+cpu")))
    auto = dataclasses.replace(default_intent(), device="auto")
    checks = [torch_cuda_build, driver_present, driver_libraries_match, driver_runs_torch_cuda, cuda_initialises]
    found = run_checks(checks, facts, auto, load_matrix())
    assert [f.code for f in found if f.status not in ("skipped", "not_applicable")] == ["DRV001"]
    (red,) = (f for f in found if f.code == "DRV001")
    assert (red.status, red.cause) == ("fail", "DRIVER_HANGS")
    assert red.fixes[-1].commands == ("autoglm-doctor check --device cpu",)


def test_an_ill_driver_is_yellow_where_its_gpus_are_hidden() -> None:
    hidden = Environment(variables={"CUDA_VISIBLE_DEVICES": "-1"})
    auto = dataclasses.replace(default_intent(), device="auto")
    given: dict[str, Any] = {"driver": known(SILENT), "gpus": FAILED, "intent": auto}
    assert one(judge(driver_present, environment=hidden, **given)).status == "warn"
    assert one(judge(driver_present, **given)).status == "fail"


DAMAGE = {
    "empty": "/usr/lib/libnvidia-ml.so.1: file too short",
    "garbage": "/usr/lib/libnvidia-ml.so.1: invalid ELF header",
    "32-bit": "libnvidia-ml.so.1: wrong ELF class: ELFCLASS32",
    "a folder": "/usr/lib/libnvidia-ml.so.1: cannot read file data: Is a directory",
    "unreadable": "/usr/lib/libnvidia-ml.so.1: cannot open shared object file: Permission denied",
}


@pytest.mark.parametrize("words", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("cuda", ["works", "not asked"])
def test_a_damaged_library_is_not_a_missing_one(words: str, cuda: str) -> None:
    damaged = Driver(version="570.26", nvml_code=12, nvml_error=words, kernel_version="570.26")
    given: dict[str, Any] = {"driver": damaged, "cuda": WORKS if cuda == "works" else FAILED, "pci_gpus": ()}
    outside = one(judge(driver_present, host=HOST, **given))
    assert (outside.status, outside.cause) == ("fail", BROKEN)
    assert "libnvidia-compute-570" in outside.fixes[0].commands[0]
    inside = one(judge(driver_present, host=DOCKER, **given))
    assert (inside.status, inside.cause) == ("fail", "CONTAINER_IMAGE_BUNDLES_DRIVER")
    assert "find /" in inside.fixes[0].commands[0]


def test_what_nvidia_smi_says_is_evidence_and_no_verdict() -> None:
    words = "libnvidia-ml.so.1: cannot open shared object file: No such file or directory; nvidia-smi: file too short"
    finding = one(judge(driver_present, driver=nvml(12, error=words), cuda=WORKS, host=HOST, pci_gpus=()))
    assert finding.cause == "NVML_LIBRARY_MISSING"
    assert "too short" not in render(finding.text)
    assert "too short" in str(finding.evidence)


def test_a_pod_is_not_told_to_run_docker() -> None:
    finding = one(judge(driver_present, driver=ABSENT, pci_gpus=(), host=POD))
    assert "docker" not in str(finding.fixes)


DRV002 = {
    "NVML started": (GOOD, "pass"),
    "NVML started, both known": (
        dataclasses.replace(GOOD, kernel_version="570.124.06", library_version="570.124.06"),
        "pass",
    ),
    "code 18": (nvml(18, kernel_version="535.1", library_version="570.26"), "fail"),
    "code 18, versions hidden": (nvml(18), "fail"),
    "files disagree": (nvml(4, kernel_version="535.1", library_version="570.26"), "fail"),
    "files agree": (nvml(4, kernel_version="570.26", library_version="570.26"), "pass"),
    "same number, other spelling": (nvml(4, kernel_version="570.86.10", library_version="570.86.10"), "pass"),
    "another copy on the path": (dataclasses.replace(GOOD, kernel_version="570.26", library_version="535.1"), "pass"),
    "only one known": (nvml(12, kernel_version="570.26"), "unknown"),
}


@pytest.mark.parametrize(("driver", "status"), DRV002.values(), ids=DRV002)
def test_libraries(driver: Driver, status: str) -> None:
    finding = one(judge(driver_libraries_match, driver=driver))
    assert finding.status == status
    assert finding.cause == ("NVML_DRIVER_LIBRARY_MISMATCH" if status == "fail" else "")
    assert ("driver/library version mismatch" in render(finding.text)) is (status == "fail"), "as NVML itself says it"


def test_no_driver_skips_the_comparison() -> None:
    assert one(judge(driver_libraries_match, driver=ABSENT)).status == "skipped"


def ran(error: str | None = None) -> TorchRun:
    product = Product(dtype="float16", error=error, relative_error=None if error else 0.001)
    return TorchRun(cuda_available=True, devices=(DeviceRun(index=0, products=(product,)),))


def torch(version: str, cuda: str | None) -> Torch:
    return Torch(version=version, cuda=cuda)


DRV003 = {
    "12.8 on 570": (Driver(version="570.26"), torch("2.9.1+cu128", "12.8"), None, "pass"),
    "12.8 on 535: minor-version compatibility": (
        Driver(version="535.129.03"),
        torch("2.9.1+cu128", "12.8"),
        None,
        "pass",
    ),
    "12.8 on 525.60.13: just enough": (Driver(version="525.60.13"), torch("2.9.1+cu128", "12.8"), None, "pass"),
    "12.8 on 525.60.11: just not": (Driver(version="525.60.11"), torch("2.9.1+cu128", "12.8"), None, "fail"),
    "13.0 on 535": (Driver(version="535.129.03"), torch("2.13.0+cu130", "13.0"), None, "fail"),
    "13.0 on 580": (Driver(version="580.65.06"), torch("2.13.0+cu130", "13.0"), None, "pass"),
    "11.8 on 470": (Driver(version="470.82.01"), torch("2.3.0+cu118", "11.8"), None, "pass"),
    "13.0 on 535, but it computes": (Driver(version="535.1"), torch("2.13.0+cu130", "13.0"), ran(), "pass"),
    "13.0 on 535, and it does not": (Driver(version="535.1"), torch("2.13.0+cu130", "13.0"), ran("boom"), "fail"),
    "libcuda knows 13 (compat)": (Driver(version="535.1", cuda_version="13.0"), torch("2.13", "13.0"), None, "pass"),
    "only libcuda answers": (Driver(version=None, cuda_version="12.8"), torch("2.13.0+cu130", "13.0"), None, "fail"),
    "nothing known": (Driver(version=None), torch("2.13.0+cu130", "13.0"), None, "unknown"),
    "a CUDA of the future": (Driver(version="900.1"), torch("3.0", "19.0"), None, "unknown"),
    "torch for the CPU": (Driver(version="570.26"), torch("2.13.0+cpu", None), None, "not_applicable"),
}


@pytest.mark.parametrize(("driver", "installed", "run", "status"), DRV003.values(), ids=DRV003)
def test_new_enough(driver: Driver, installed: Torch, run: TorchRun | None, status: str) -> None:
    finding = one(judge(driver_runs_torch_cuda, driver=driver, torch=installed, torch_run=run or FAILED))
    assert finding.status == status
    if status == "fail":
        assert finding.cause == "DRIVER_TOO_OLD"
        assert finding.threshold is not None


def commands(**given: Any) -> list[str]:
    finding = one(judge(driver_runs_torch_cuda, **given))
    assert finding.status == "fail"
    assert finding.fixes[-1].reboot
    return [command for fix in finding.fixes for command in fix.commands]


def test_another_wheel_comes_before_another_driver() -> None:
    first = commands(driver=Driver(version="535.129.03"), torch=torch("2.9.1+cu130", "13.0"))[0]
    assert "torch==2.9.1 " in first
    assert "download.pytorch.org/whl/cu126" in first or "--index-url" not in first


def test_an_engine_brings_its_torch_with_it() -> None:
    packages = Packages(distributions=(Distribution(name="vllm", version="0.27.0"),))
    found = commands(driver=Driver(version="535.129.03"), torch=torch("2.13.0+cu130", "13.0"), packages=packages)
    assert found[0] == "python3 -m pip install vllm==0.19.1 transformers==5.5.4"


def test_a_new_gpu_is_not_sent_to_a_wheel_without_code_for_it() -> None:
    gpu = Gpu(index=0, name="RTX 5090", compute_capability="12.0", total_bytes=1, free_bytes=1)
    found = commands(driver=Driver(version="570.26"), torch=torch("2.9.1+cu130", "13.0"), gpus=(gpu,))
    assert not any(index in found[0] for index in ("cu118", "cu121", "cu124", "cu126"))


def test_a_driver_for_no_known_cuda_gets_a_new_driver_only() -> None:
    found = commands(driver=Driver(version="390.1"), torch=torch("2.13.0+cu130", "13.0"))
    assert all("pip" not in command for command in found)


def test_a_mac_is_one_red() -> None:
    facts = Facts(host=known(dataclasses.replace(HOST, system="Darwin")), driver=ABSENT, pci_gpus=known(()))
    found = run_checks([driver_present, os_supported], facts, default_intent(), load_matrix())
    assert [(f.code, f.status) for f in found] == [("DRV001", "skipped"), ("HST001", "fail")]


def test_hidden_gpus_ask_nothing_of_the_driver_where_the_cpu_will_do() -> None:
    old, new = Driver(version="535.129.03"), torch("2.13.0+cu130", "13.0")
    hidden = Environment(variables={"CUDA_VISIBLE_DEVICES": "-1"})
    auto = dataclasses.replace(default_intent(), device="auto")
    given: dict[str, Any] = {"driver": old, "torch": new, "environment": hidden}
    assert one(judge(driver_runs_torch_cuda, **given, intent=auto)).status == "not_applicable"
    assert one(judge(driver_runs_torch_cuda, **given)).status == "fail"


def test_the_cpu_needs_no_libraries_that_match() -> None:
    mismatch = Driver(version="570.26", nvml_code=18)
    cpu = dataclasses.replace(default_intent(), device="cpu")
    assert one(judge(driver_libraries_match, driver=mismatch, intent=cpu)).status == "not_applicable"


def test_no_older_engine_is_offered_to_a_gpu_that_none_supports() -> None:
    packages = Packages(distributions=(Distribution(name="vllm", version="0.27.0"),))
    gpu = Gpu(index=0, name="P40", compute_capability="6.1", total_bytes=1, free_bytes=1)
    found = commands(
        driver=Driver(version="535.129.03"), torch=torch("2.13.0+cu130", "13.0"), packages=packages, gpus=(gpu,)
    )
    assert not any("vllm" in command for command in found)


DEVICE = CudaDevice(index=0, name="L4", compute_capability="8.9", total_bytes=1)
WORKS = Cuda(library="/x/libcuda.so.1", init_code=0, devices=(DEVICE,))
NO_NVML = nvml(12, kernel_version="570.26")
WITHOUT_NVML = {
    "a container without utility": (NO_NVML, WORKS, DOCKER, "fail", "CONTAINER_WITHOUT_NVML", "compute,utility"),
    "nothing but libcuda in it": (ABSENT, WORKS, DOCKER, "fail", "CONTAINER_WITHOUT_NVML", "compute,utility"),
    "a pod": (NO_NVML, WORKS, POD, "fail", "CONTAINER_WITHOUT_NVML", "kubectl"),
    "outside": (NO_NVML, WORKS, HOST, "fail", "NVML_LIBRARY_MISSING", "libnvidia-compute-570"),
    "WSL": (NO_NVML, WORKS, WSL, "fail", "NVML_LIBRARY_MISSING", "wsl.exe"),
    "libcuda does not start": (NO_NVML, Cuda(library="/x", init_code=100), DOCKER, "fail", "CONTAINER_WITHOUT_GPU", ""),
    "no device": (NO_NVML, Cuda(library="/x", init_code=0), DOCKER, "fail", "CONTAINER_WITHOUT_GPU", ""),
    "not asked": (NO_NVML, FAILED, DOCKER, "fail", "CONTAINER_WITHOUT_GPU", ""),
    "NVML answers": (GOOD, WORKS, DOCKER, "pass", "", ""),
    "nvidia-smi finds what Python does not": (
        nvml(12, version="570.26", read_by=("nvidia-smi",)), WORKS, HOST, "fail", "NVML_LIBRARY_MISSING", "ldconfig"
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("driver", "cuda", "host", "status", "cause", "helps"), WITHOUT_NVML.values(), ids=WITHOUT_NVML
)
def test_only_nvml_is_missing(driver: Any, cuda: Any, host: Host, status: str, cause: str, helps: str) -> None:
    finding = one(judge(driver_present, driver=driver, cuda=cuda, host=host, pci_gpus=()))
    assert (finding.status, finding.cause) == (status, cause)
    assert helps in str(finding.fixes)
    assert ("CUDA works" in render(finding.text)) is ("NVML" in cause)


AGREE = {
    "both": ({"kernel_version": "570.26", "library_version": "570.26"}, "libraries and kernel module agree"),
    "no kernel module's version": ({"library_version": "570.26"}, "NVML started, which it refuses to"),
    "no library's version": ({"kernel_version": "570.26"}, "NVML started, which it refuses to"),
}


@pytest.mark.parametrize(("versions", "says"), AGREE.values(), ids=AGREE)
def test_agreement_is_only_said_of_what_was_compared(versions: Any, says: str) -> None:
    finding = one(judge(driver_libraries_match, driver=dataclasses.replace(GOOD, **versions)))
    assert finding.status == "pass"
    assert render(finding.text).startswith(says)
