"""TOR: torch as its files and its import show it, on the GPUs that are there."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_doctor.checks.engine import engine_installed
from autoglm_doctor.checks.host import glibc_new_enough
from autoglm_doctor.checks.packages import dependency_conflicts
from autoglm_doctor.checks.torch import (
    torch_cuda_build,
    torch_imports,
    torch_installed,
    torchvision_matches,
)
from autoglm_doctor.checks.torch_gpu import architectures
from autoglm_doctor.domain.wheels import runs_on
from autoglm_doctor.facts import (
    Cuda,
    CudaDevice,
    Distribution,
    Driver,
    Environment,
    Facts,
    Gpu,
    Host,
    Interpreter,
    ModelFiles,
    Packages,
    Reading,
    Torch,
    TorchRun,
    known,
)
from autoglm_doctor.finding import Finding
from autoglm_doctor.intent import SMOKE, Intent, Launch
from autoglm_doctor.launch import default_intent
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.runner import run_checks
from autoglm_doctor.testing import judge

PYTHON = Interpreter(executable="/v/bin/python", version="3.11.7")
PIP = Distribution(name="pip", version="25.0")
PIP_LINE = "/v/bin/python -m pip "
WHEEL = ("sm_70", "sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120")
TORCH = Torch(version="2.9.1+cu128", cuda="12.8", architectures=WHEEL, location="/v/lib/torch")
CPU_TORCH = Torch(version="2.9.1+cpu", location="/v/lib/torch")
OLD_DRIVER, NEW_DRIVER = (
    Driver(version="550.54.14", cuda_version="12.4"),
    Driver(version="580.95.05", cuda_version="13.0"),
)


def gpu(capability: str = "8.9", index: int = 0) -> Gpu:
    return Gpu(
        index=index, name=f"GPU {capability}", compute_capability=capability, total_bytes=1 << 34, free_bytes=1 << 34
    )


def packages(**versions: str) -> Packages:
    return Packages(distributions=(PIP, *(Distribution(name=n, version=v) for n, v in versions.items())))


def one(check: Any, **given: Any) -> Finding:
    (finding,) = judge(check, **{"interpreter": PYTHON, "packages": packages(), **given})
    return finding


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


# --- TOR002 ----------------------------------------------------------------------------------------------------------


ERRORS = {
    "a CUDA library is gone": (
        "ImportError: libcudart.so.12: cannot open shared object file",
        "CUDA_MAJOR_MIXED_PACKAGES",
    ),
    "NCCL is gone": ("ImportError: libnccl.so.2: cannot open shared object file", "CUDA_MAJOR_MIXED_PACKAGES"),
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


def died(why: str, outcome: Any = "failed") -> Reading[Any]:
    return Reading(outcome=outcome, why=why)


ABSENT: Reading[Any] = Reading(outcome="absent", why="there is no libcuda.so.1")
DEATHS = {
    "a crash": (died("killed by SIGSEGV: Fatal Python error"), ABSENT, "fail"),
    "an exit": (died("ended with exit code 0 and no answer"), ABSENT, "fail"),
    "a hang": (died("no answer within 60 s", "timeout"), Cuda(library="/x", init_code=0), "fail"),
    "an interpreter that does not start": (died("[Errno 2] No such file or directory"), ABSENT, "unknown"),
    "a crash before torch, in libcuda": (died("killed by SIGSEGV"), died("killed by SIGSEGV"), "unknown"),
    "not looked at": (Reading(outcome="not_run"), Reading(outcome="not_run"), "unknown"),
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


DEATH_WORDS = {
    "a crash": (died("killed by SIGSEGV"), "crashes"),
    "an exit": (died("ended with exit code 0 and no answer"), "ends the interpreter"),
    "a hang": (died("no answer within 60 s", "timeout"), "hangs"),
}


@pytest.mark.parametrize(("run", "word"), DEATH_WORDS.values(), ids=DEATH_WORDS.keys())
def test_a_death_is_called_by_its_name(run: Any, word: str) -> None:
    assert one(torch_imports, torch_run=run, cuda=ABSENT, torch=TORCH).text.template == f"import torch {word}: {{why}}"


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


INDEX = "--index-url https://download.pytorch.org/whl/"
X86, ARM = (Host(system="Linux", machine=m, kernel="6") for m in ("x86_64", "aarch64"))
BUILDS = {
    "the default build runs": ("2.9.1+cpu", OLD_DRIVER, X86, gpu(), "install torch==2.9.1"),
    "also on a new driver": ("2.9.1+cpu", NEW_DRIVER, X86, gpu(), "install torch==2.9.1"),
    "a CUDA 13 default on a CUDA 12 driver": (
        "2.13.0+cpu",
        OLD_DRIVER,
        X86,
        gpu(),
        f"install {INDEX}cu126 torch==2.13.0",
    ),
    "a CUDA 13 default on its driver": ("2.13.0+cpu", NEW_DRIVER, X86, gpu(), "install torch==2.13.0"),
    "Blackwell needs 12.8 at least": (
        "2.11.0+cpu",
        Driver(version="570.1", cuda_version="12.8"),
        X86,
        gpu("12.0"),
        f"install {INDEX}cu128 torch==2.11.0",
    ),
    "a Volta": ("2.11.0+cpu", NEW_DRIVER, X86, gpu("7.0"), f"install {INDEX}cu126 torch==2.11.0"),
    "a driver for CUDA 11": (
        "2.9.1+cpu",
        Driver(version="470.82.01"),
        X86,
        gpu(),
        f"install {INDEX}cu118 'torch==2.7.*'",
    ),
    "an Arm machine": ("2.9.1", NEW_DRIVER, ARM, gpu("9.0"), f"install {INDEX}cu128 torch==2.9.1"),
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


def intent(**values: Any) -> Intent:
    return Intent(**{"model": "zai-org/AutoGLM-Phone-9B", "profile": "autoglm-phone-9b", **values})


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
    "one too old": ("0.23.0", "2.9.1+cu128", "fail"),
    "one too new": ("0.25.0", "2.9.1+cu128", "fail"),
    "a torch that no table knows": ("0.99.0", "3.7.0", "unknown"),
}


@pytest.mark.parametrize(("vision", "torch", "status"), PAIRS.values(), ids=PAIRS.keys())
def test_torchvision(vision: str, torch: str, status: str) -> None:
    one_torch = dataclasses.replace(TORCH, version=torch)
    finding = one(torchvision_matches, torch=one_torch, packages=packages(torchvision=vision, torch=torch))
    assert finding.status == status
    if status == "fail":
        assert finding.cause == "TORCH_COMPANION_MISMATCH"
        (line,) = finding.fixes[0].commands
        assert "'torchvision==0.24.*' torch==2.9.1+cu128" in line
        assert "whl/cu128" in line


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


# --- TOR005 ----------------------------------------------------------------------------------------------------------


RUNS = [
    ("8.9", WHEEL, "sm_86"),
    ("8.0", WHEEL, "sm_80"),
    ("12.1", WHEEL, "sm_120"),
    ("10.3", WHEEL, "sm_100"),
    ("7.2", WHEEL, "sm_70"),
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
    "a list that could not be read": (dataclasses.replace(TORCH, architectures=None), (gpu(),), "cuda", "unknown"),
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
    assert finding.fixes[0].commands == (PIP_LINE + "install --upgrade 'vllm<0.20'",)
    assert finding.fixes[1].commands[1] == PIP_LINE + f"install {INDEX}cu126 torch==2.11.0"


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
    assert finding.fixes[0].commands[-1] == PIP_LINE + f"install {INDEX}cu128 'torch==2.11.*'"


def test_nothing_is_offered_where_nothing_has_code() -> None:
    kepler = one(torch_cuda_build, torch=CPU_TORCH, gpus=(gpu("3.7"),), driver=NEW_DRIVER, host=X86)
    assert not any(" install " in command for fix in kepler.fixes for command in fix.commands)
    assert kepler.fixes[0].effort == "hardware"


def test_a_gpu_that_no_release_of_the_engine_knows_is_not_sent_to_a_new_one() -> None:
    finding = one(architectures, torch=TORCH, gpus=(gpu("6.1"),), driver=NEW_DRIVER, host=X86)
    commands = [command for fix in finding.fixes for command in fix.commands]
    assert commands[0] == "autoglm-doctor check --engine transformers"
    assert not any("vllm" in command for command in commands)


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
