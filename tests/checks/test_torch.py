"""TOR: torch as its files and its import show it, on the GPUs that are there."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from autoglm_doctor.checks.host import glibc_new_enough
from autoglm_doctor.checks.torch import torch_cuda_build, torch_imports, torch_installed
from autoglm_doctor.checks.torchvision import torchvision_matches
from autoglm_doctor.facts import (
    Cuda,
    Distribution,
    Driver,
    Facts,
    Gpu,
    Host,
    ModelFiles,
    Packages,
    Reading,
    Torch,
    TorchRun,
    known,
)
from autoglm_doctor.intent import SMOKE
from autoglm_doctor.launch import default_intent
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.runner import run_checks
from tests.checks.torch_cases import (
    ABSENT,
    ARM,
    CPU_TORCH,
    INDEX,
    NEW_DRIVER,
    OLD_DRIVER,
    PIP,
    PIP_LINE,
    TORCH,
    X86,
    died,
    gpu,
    intent,
    one,
    packages,
)

# --- TOR001 ----------------------------------------------------------------------------------------------------------


def test_installed() -> None:
    assert one(torch_installed, torch=TORCH).status == "pass"
    assert one(torch_installed, torch=Reading(outcome="failed", why="no version.py")).status == "unknown"
    assert one(torch_installed).status == "unknown"


def test_missing_torch_comes_back_with_the_engine_that_is_there() -> None:
    absent: Reading[Torch] = Reading(outcome="absent", why="torch is not installed for this Python")
    with_engine = one(torch_installed, torch=absent, packages=packages(vllm="0.12.0"))
    assert (with_engine.status, with_engine.cause) == ("fail", "TORCH_NOT_INSTALLED")
    assert with_engine.fixes[0].commands == (PIP_LINE + "install vllm==0.12.0",)
    without = one(torch_installed, torch=absent, driver=NEW_DRIVER, gpus=(gpu(),))
    assert without.fixes[0].commands[0].startswith(PIP_LINE + "install torch")


def test_a_torch_that_imports_is_installed_whatever_its_files_say() -> None:
    """An editable installation behind an import hook lies in no folder of sys.path."""
    absent: Reading[Torch] = Reading(outcome="absent", why="torch is not installed for this Python")
    run = TorchRun(version="2.10.0a0+gitdef", file="/home/me/pytorch/torch/__init__.py")
    finding = one(torch_installed, torch=absent, torch_run=run)
    assert finding.status == "pass"
    assert "/home/me/pytorch" in str(finding.text.params)
    empty = TorchRun(import_error="AttributeError: module 'torch' has no attribute '__version__'")
    assert one(torch_installed, torch=absent, torch_run=empty).status == "fail"


# --- TOR002 ----------------------------------------------------------------------------------------------------------


ERRORS = {
    "a CUDA library is gone": ("ImportError: libcudart.so.12: cannot open shared object file", "TORCH_IMPORT_FAILED"),
    "NCCL is gone": ("ImportError: libnccl.so.2: cannot open shared object file", "TORCH_IMPORT_FAILED"),
    "cuFFT has a number of its own": ("ImportError: libcufft.so.11: cannot open shared object", "TORCH_IMPORT_FAILED"),
    "the runtime of CUDA 13": ("ImportError: libcudart.so.13: cannot open shared object", "CUDA_MAJOR_MIXED_PACKAGES"),
    "cuBLAS of CUDA 11": ("OSError: libcublasLt.so.11: cannot open shared object file", "CUDA_MAJOR_MIXED_PACKAGES"),
    "another nvJitLink": (
        "ImportError: libcusparse.so.12: undefined symbol: __nvJitLinkComplete_12_4, version libnvJitLink.so.12",
        "CUDA_LIBS_SHADOWED",
    ),
    "another ABI": ("ImportError: libtorch_python.so: undefined symbol: _ZN5torch3jit", "EXTENSION_ABI_MISMATCH"),
    "an old glibc": ("ImportError: /lib/libc.so.6: version `GLIBC_2.28' not found", "GLIBC_TOO_OLD"),
    "an old libstdc++": ("ImportError: libstdc++.so.6: version `GLIBCXX_3.4.29' not found", "LIBSTDCXX_TOO_OLD"),
    "numpy 2": ("AttributeError: _ARRAY_API not found", "NUMPY2_ABI"),
    "something else": ("SystemExit: 3", "TORCH_IMPORT_FAILED"),
}


@pytest.mark.parametrize(("error", "cause"), ERRORS.values(), ids=ERRORS.keys())
def test_import_errors_name_their_cause(error: str, cause: str) -> None:
    finding = one(torch_imports, torch_run=TorchRun(import_error=error), torch=TORCH, cuda=Cuda(library="/x"))
    assert (finding.status, finding.cause) == ("fail", cause)
    assert finding.fixes


GONE = "ImportError: libcudart.so.12: cannot open shared object file: No such file or directory"
INSTALLED = {
    "NVIDIA's packages of one major": (("nvidia-cuda-runtime-cu12", "nvidia-nccl-cu12"), TORCH, "TORCH_IMPORT_FAILED"),
    "of two majors": (("nvidia-cuda-runtime-cu11", "nvidia_nccl_cu12"), TORCH, "CUDA_MAJOR_MIXED_PACKAGES"),
    "names without a number": (("nvidia-cuda-runtime", "nvidia-nccl-cu12"), TORCH, "TORCH_IMPORT_FAILED"),
    "other makers' packages": (("cupy-cuda11x", "jax-cuda12-plugin"), TORCH, "TORCH_IMPORT_FAILED"),
    "a torch that was not read": ((), None, "TORCH_IMPORT_FAILED"),
    "a torch for the CPU": ((), CPU_TORCH, "TORCH_IMPORT_FAILED"),
    "a torch for CUDA 13": ((), Torch(version="2.11.0+cu130", cuda="13.0"), "CUDA_MAJOR_MIXED_PACKAGES"),
}


@pytest.mark.parametrize(("names", "torch", "cause"), INSTALLED.values(), ids=INSTALLED.keys())
def test_a_mixture_is_seen_before_it_is_said(names: tuple[str, ...], torch: Torch | None, cause: str) -> None:
    there = packages(**dict.fromkeys(names, "1"))
    more: dict[str, Any] = {"torch": torch} if torch else {}
    finding = one(torch_imports, torch_run=TorchRun(import_error=GONE), cuda=Cuda(library="/x"), packages=there, **more)
    assert finding.cause == cause


PINS = (
    'nvidia-cuda-runtime-cu12==12.8.90; platform_system == "Linux"',
    "nvidia-nccl-cu12 == 2.27.5",
    "nvidia-cusparselt-cu12==0.7.1",
    "nvidia-cusparse-cu12==12.5.8.93",
    "nonsense===",
)
AGAIN = PIP_LINE + "install --force-reinstall --no-deps "
LIBRARIES = {
    "the runtime": ("libcudart.so.12", AGAIN + "nvidia-cuda-runtime-cu12==12.8.90"),
    "NCCL": ("libnccl.so.2", AGAIN + "nvidia-nccl-cu12==2.27.5"),
    "a name that begins like another": ("libcusparseLt.so.0", AGAIN + "nvidia-cusparselt-cu12==0.7.1"),
    "the shorter one": ("libcusparse.so.12", AGAIN + "nvidia-cusparse-cu12==12.5.8.93"),
    "one that torch does not ask for": ("libcudnn.so.9", PIP_LINE + "uninstall -y torch"),
    "the driver's": ("libcuda.so.1", PIP_LINE + "uninstall -y torch"),
}


@pytest.mark.parametrize(("library", "command"), LIBRARIES.values(), ids=LIBRARIES.keys())
def test_the_package_of_a_missing_library_comes_back(library: str, command: str) -> None:
    there = Packages(distributions=(PIP, Distribution(name="torch", version="2.9.1", requires=PINS)))
    run = TorchRun(import_error=f"ImportError: {library}: cannot open shared object file")
    finding = one(torch_imports, torch_run=run, cuda=Cuda(library="/x"), torch=TORCH, packages=there)
    assert finding.fixes[0].commands[0] == command
    assert finding.fixes[-1].commands[-1].startswith(PIP_LINE + "install")


LEFT_ALONE: Reading[Any] = Reading(outcome="not_run", why="the driver hangs, and CUDA would hang with it")
DEATHS = {
    "a crash": (died("killed by SIGSEGV: Fatal Python error"), ABSENT, "fail"),
    "an exit": (died("ended with exit code 0 and no answer"), ABSENT, "fail"),
    "a hang": (died("no answer within 60 s", "timeout"), Cuda(library="/x", init_code=0), "fail"),
    "an interpreter that does not start": (died("[Errno 2] No such file or directory"), ABSENT, "unknown"),
    "a crash before torch, in libcuda": (died("killed by SIGSEGV"), died("killed by SIGSEGV"), "unknown"),
    "a crash behind a driver that hangs": (died("killed by SIGSEGV"), LEFT_ALONE, "fail"),
    "a hang behind a driver that hangs": (died("no answer within 60 s", "timeout"), LEFT_ALONE, "fail"),
    "a hang in libcuda": (died("no answer within 60 s", "timeout"), died("no answer", "timeout"), "unknown"),
    "stopped by somebody": (died("killed by SIGTERM"), ABSENT, "unknown"),
    "no memory to start it": (
        died("ended with exit code 127 and no answer: /v/bin/python: Cannot allocate memory"),
        ABSENT,
        "unknown",
    ),
    "not looked at": (Reading(outcome="not_run"), Reading(outcome="not_run"), "skipped"),
    "no torch": (Reading(outcome="absent", why="torch is not installed"), ABSENT, "unknown"),
    "an import that works": (TorchRun(version="2.9.1+cu128", import_seconds=1.5), ABSENT, "pass"),
}


@pytest.mark.parametrize(("run", "cuda", "status"), DEATHS.values(), ids=DEATHS.keys())
def test_a_torch_that_dies(run: Any, cuda: Any, status: str) -> None:
    finding = one(torch_imports, torch_run=run, cuda=cuda, torch=TORCH)
    assert finding.status == status
    if status == "fail":
        assert finding.cause == "TORCH_IMPORT_FAILED"
        assert run.why in finding.text.params["why"]


NO_DRIVER: Reading[Any] = Reading(outcome="absent", why="there is no NVIDIA driver")
ON_CPU = {
    "a crash without any driver": (died("killed by SIGSEGV"), NO_DRIVER, "cpu", "fail"),
    "a hang without any driver": (died("no answer within 60 s", "timeout"), NO_DRIVER, "cpu", "fail"),
    "the same, where the CPU is what there is": (died("killed by SIGSEGV"), NO_DRIVER, "auto", "fail"),
    "a crash with a driver: it may be libcuda's": (died("killed by SIGSEGV"), OLD_DRIVER, "cpu", "unknown"),
    "no driver, and a GPU is meant: DRV001 says it": (died("killed by SIGSEGV"), NO_DRIVER, "cuda", "unknown"),
}


@pytest.mark.parametrize(("run", "driver", "device", "status"), ON_CPU.values(), ids=ON_CPU.keys())
def test_a_death_before_libcuda_was_done_with(run: Any, driver: Any, device: str, status: str) -> None:
    given: dict[str, Any] = {"torch_run": run, "cuda": run, "driver": driver, "intent": intent(device=device)}
    if driver is NO_DRIVER:
        given["gpus"] = NO_DRIVER
    finding = one(torch_imports, **given, torch=TORCH)
    assert (finding.status, finding.required) == (status, True)


DEATH_WORDS = {
    "a crash": (died("killed by SIGSEGV"), "crashes"),
    "an exit": (died("ended with exit code 0 and no answer"), "ends the interpreter"),
    "a hang": (died("no answer within 60 s", "timeout"), "hangs"),
}


@pytest.mark.parametrize(("run", "word"), DEATH_WORDS.values(), ids=DEATH_WORDS.keys())
def test_a_death_is_called_by_its_name(run: Any, word: str) -> None:
    assert one(torch_imports, torch_run=run, cuda=ABSENT, torch=TORCH).text.template == f"import torch {word}: {{why}}"


FIRST_FIX = {
    "killed, as by the kernel": (died("killed by SIGKILL"), "oom"),
    "an old CPU": (died("killed by SIGILL"), "avx2"),
    "a hang": (died("no answer within 60 s", "timeout"), "/v/bin/python -X faulthandler -v -c 'import torch'"),
    "a crash": (died("killed by SIGSEGV"), "pip install "),
    "no memory": (TorchRun(import_error="MemoryError: "), "ulimit -v"),
}


@pytest.mark.parametrize(("run", "command"), FIRST_FIX.values(), ids=FIRST_FIX.keys())
def test_the_first_fix_goes_by_the_manner_of_the_death(run: Any, command: str) -> None:
    fixes = one(torch_imports, torch_run=run, cuda=ABSENT, torch=TORCH).fixes
    assert command in "\n".join(fixes[0].commands)
    assert "pip install" in fixes[-1].commands[-1]


def test_an_old_glibc_is_one_red() -> None:
    facts = Facts(
        host=known(Host(system="Linux", machine="x86_64", kernel="4", glibc="2.17")),
        torch=known(TORCH),
        torch_run=known(TorchRun(import_error="ImportError: /lib/libc.so.6: version `GLIBC_2.28' not found")),
        cuda=ABSENT,
    )
    found = run_checks([torch_imports, glibc_new_enough], facts, default_intent(), load_matrix())
    assert [(f.code, f.status) for f in found] == [("TOR002", "skipped"), ("HST002", "fail")]


# --- TOR003 ----------------------------------------------------------------------------------------------------------


BUILDS = {
    "the default build runs": ("2.9.1+cpu", OLD_DRIVER, X86, gpu(), "install torch==2.9.1"),
    "also on a new driver": ("2.9.1+cpu", NEW_DRIVER, X86, gpu(), "install torch==2.9.1"),
    "a CUDA 13 default on a CUDA 12 driver": (
        "2.13.0+cpu",
        OLD_DRIVER,
        X86,
        gpu(),
        f"install {INDEX}cu126 torch==2.13.0+cu126",
    ),
    "a CUDA 13 default on its driver": ("2.13.0+cpu", NEW_DRIVER, X86, gpu(), "install torch==2.13.0"),
    "Blackwell needs 12.8 at least": (
        "2.11.0+cpu",
        Driver(version="570.1", cuda_version="12.8"),
        X86,
        gpu("12.0"),
        f"install {INDEX}cu128 torch==2.11.0+cu128",
    ),
    "a Volta": ("2.11.0+cpu", NEW_DRIVER, X86, gpu("7.0"), f"install {INDEX}cu126 torch==2.11.0+cu126"),
    "a driver for CUDA 11": (
        "2.9.1+cpu",
        Driver(version="470.82.01"),
        X86,
        gpu(),
        f"install {INDEX}cu118 torch==2.7.1+cu118",
    ),
    "an Arm machine": ("2.9.1", NEW_DRIVER, ARM, gpu("9.0"), f"install {INDEX}cu128 torch==2.9.1+cu128"),
    "no driver known": ("2.9.1+cpu", None, X86, gpu(), "install torch==2.9.1"),
    "a line that no table knows": ("3.1.0+cpu", NEW_DRIVER, X86, gpu(), "install torch==3.1.0"),
}


@pytest.mark.parametrize(("version", "driver", "host", "card", "line"), BUILDS.values(), ids=BUILDS.keys())
def test_cpu_only_torch(version: str, driver: Driver | None, host: Host, card: Gpu, line: str) -> None:
    given: dict[str, Any] = {"driver": driver} if driver else {}
    finding = one(torch_cuda_build, torch=Torch(version=version), gpus=(card,), host=host, **given)
    assert (finding.status, finding.cause) == ("fail", "CPU_ONLY_TORCH")
    assert finding.fixes[0].commands == (PIP_LINE + "uninstall -y torch", PIP_LINE + line)


def test_an_environment_of_uv_gets_lines_of_uv() -> None:
    some = Packages(distributions=(Distribution(name="torch", version="2.9.1+cpu"),))
    finding = one(torch_cuda_build, torch=CPU_TORCH, gpus=(gpu(),), packages=some)
    assert finding.fixes[0].commands == (
        "uv pip uninstall --python /v/bin/python torch",
        "uv pip install --python /v/bin/python torch==2.9.1",
    )


DEVICES = {
    "cuda, even without a visible GPU": ("cuda", (), CPU_TORCH, "fail"),
    "auto with a GPU": ("auto", (gpu(),), CPU_TORCH, "fail"),
    "auto without a GPU": ("auto", (), CPU_TORCH, "not_applicable"),
    "cpu": ("cpu", (gpu(),), CPU_TORCH, "not_applicable"),
    "a CUDA build": ("cuda", (gpu(),), TORCH, "pass"),
    "a ROCm build on an AMD machine": ("cuda", (), Torch(version="2.9.1+rocm6.4", hip="6.4"), "not_applicable"),
    "a ROCm build beside an NVIDIA GPU": ("cuda", (gpu(),), Torch(version="2.9.1+rocm6.4", hip="6.4"), "fail"),
}


@pytest.mark.parametrize(("device", "gpus", "torch", "status"), DEVICES.values(), ids=DEVICES.keys())
def test_cuda_build_by_device(device: str, gpus: Any, torch: Torch, status: str) -> None:
    assert one(torch_cuda_build, torch=torch, gpus=gpus, intent=intent(device=device)).status == status


# --- TOR004 ----------------------------------------------------------------------------------------------------------


PAIRS = {
    "a pair": ("0.24.1", "2.9.1+cu128", "pass"),
    "a pair of builds": ("0.24.1+cu128", "2.9.1+cu128", "pass"),
    "a container's own build": ("0.24.0a0+094e7af5", "2.9.0a0+145a3a7bda.nv25.10", "pass"),
    "two nightlies of one index": ("0.22.0.dev20250516+cu128", "2.8.0.dev20250515+cu128", "unknown"),
    "a release beside a container's own torch": ("0.20.1", "2.9.0a0+145a3a7bda.nv25.10", "fail"),
    "one too old": ("0.23.0", "2.9.1+cu128", "fail"),
    "one too new": ("0.25.0", "2.9.1+cu128", "fail"),
    "a torch that no table knows": ("0.99.0", "3.7.0", "unknown"),
    "one that is newer than the table": ("0.99.0", "2.15.0", "unknown"),
    "of a line that goes with two torches": ("0.29.2", "2.15.0", "pass"),
    "the first of that line goes with one": ("0.29.0", "2.15.0", "fail"),
}


@pytest.mark.parametrize(("vision", "torch", "status"), PAIRS.values(), ids=PAIRS.keys())
def test_torchvision(vision: str, torch: str, status: str) -> None:
    one_torch = dataclasses.replace(TORCH, version=torch)
    finding = one(torchvision_matches, torch=one_torch, packages=packages(torchvision=vision, torch=torch))
    assert finding.status == status
    if status == "fail":
        assert finding.cause == "TORCH_COMPANION_MISMATCH"
        (line,) = finding.fixes[0].commands
        assert f" torch=={torch}" in line
        assert "'torchvision==0." in line
        assert ("whl/cu128" in line) is ("+cu128" in torch)


def test_a_torch_that_pip_lists_plainly_is_not_fetched_again() -> None:
    finding = one(torchvision_matches, torch=TORCH, packages=packages(torchvision="0.20", torch="2.9.1"))
    assert finding.fixes[0].commands == (PIP_LINE + "install 'torchvision==0.24.*' torch==2.9.1",)


def test_no_torchvision() -> None:
    sees = ModelFiles(path="/m", config={"vision_config": {"depth": 24}})
    given: dict[str, Any] = {"torch": TORCH, "model_files": sees}
    assert one(torchvision_matches, **given).status == "not_applicable"  # vLLM's metadata asks for it: PKG001
    assert one(torchvision_matches, **given, intent=intent(engine="transformers")).status == "warn"
    assert (
        one(torchvision_matches, **given, intent=intent(engine="transformers", model=SMOKE)).status == "not_applicable"
    )
    blind = {**given, "model_files": ModelFiles(path="/m", config={})}
    assert one(torchvision_matches, **blind, intent=intent(engine="transformers")).status == "not_applicable"
