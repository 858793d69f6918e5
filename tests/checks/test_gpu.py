"""GPU: enough of them visible, and open to new programs."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_doctor.checks.gpu import Selection, gpus_answer, gpus_visible, select
from autoglm_doctor.checks.torch_gpu import architectures
from autoglm_doctor.checks.vram import weights_fit
from autoglm_doctor.facts import Cuda, CudaDevice, Driver, Environment, Facts, Gpu, GpuProcess, Reading, Torch, known
from autoglm_doctor.intent import Device, Intent
from autoglm_doctor.launch import default_intent, parse_command
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.runner import run_checks
from autoglm_doctor.testing import judge

NOT_RUN: Reading[Any] = Reading(outcome="not_run")


def gpu(index: int, **rest: Any) -> Gpu:
    uuid = f"GPU-{index}0000000-abcd"
    values = {"name": "RTX", "compute_capability": "8.9", "total_bytes": 1, "free_bytes": 1, "uuid": uuid, **rest}
    return Gpu(index=index, **values)


TWO = (gpu(0), gpu(1))


def counted(n: int) -> Cuda:
    device = CudaDevice(index=0, name="RTX", compute_capability="8.9", total_bytes=1)
    return Cuda(library="libcuda.so.1", init_code=0, devices=(device,) * n)


def wants(n: int, device: Device = "cuda") -> Intent:
    intent = default_intent()
    return dataclasses.replace(intent, device=device, launch=dataclasses.replace(intent.launch, tensor_parallel=n))


HIDES = "CUDA_VISIBLE_DEVICES_HIDES_GPUS"
CASES = {
    "one of two": (TWO, None, None, wants(1), "pass", ""),
    "two of two": (TWO, None, None, wants(2), "pass", ""),
    "two of one": (TWO[:1], None, None, wants(2), "fail", "TOO_FEW_GPUS"),
    "none at all": ((), None, None, wants(1), "fail", "NO_GPU"),
    "variable leaves enough": (TWO, "1", None, wants(1), "pass", ""),
    "variable by UUID": (TWO, "GPU-1", None, wants(1), "pass", ""),
    "variable leaves too few": (TWO, "1", None, wants(2), "fail", HIDES),
    "variable is empty": (TWO, "", None, wants(1), "fail", HIDES),
    "variable is -1": (TWO, "-1", None, wants(1), "fail", HIDES),
    "variable is empty, the CPU will do": (TWO, "", None, wants(1, "auto"), "not_applicable", ""),
    "variable names a GPU that is not there": (TWO, "7", None, wants(1), "fail", HIDES),
    "variable ends in one that is not there": (TWO, "0,7", None, wants(1), "warn", HIDES),
    "one named twice counts once": (TWO, "0,0", None, wants(2), "fail", HIDES),
    "CUDA's own count decides": (TWO, None, counted(1), wants(2), "fail", "TOO_FEW_GPUS"),
    "CUDA's own count of hidden ones": (TWO, "1", counted(1), wants(2), "fail", HIDES),
    "CUDA counts other names": (TWO, "MIG-1234", counted(1), wants(1), "pass", ""),
    "for the CPU nothing is asked": (TWO, "", None, wants(1, "cpu"), "not_applicable", ""),
}


@pytest.mark.parametrize(("gpus", "variable", "cuda", "intent", "status", "cause"), CASES.values(), ids=CASES)
def test_enough(
    gpus: tuple[Gpu, ...], variable: str | None, cuda: Cuda | None, intent: Intent, status: str, cause: str
) -> None:
    environment = Environment(variables={} if variable is None else {"CUDA_VISIBLE_DEVICES": variable})
    (found,) = judge(gpus_visible, intent=intent, gpus=gpus, environment=environment, cuda=cuda or NOT_RUN)
    assert (found.status, found.cause) == (status, cause)


@pytest.mark.parametrize(
    ("flags", "n", "status"),
    [
        pytest.param("--tensor-parallel-size 2 --pipeline-parallel-size 2 --nnodes 2", 2, "pass", id="half of four"),
        pytest.param("--tensor-parallel-size 2 --pipeline-parallel-size 2 --nnodes 2", 1, "fail", id="less than half"),
        pytest.param("--tensor-parallel-size 2 --pipeline-parallel-size 2", 2, "fail", id="one machine"),
        pytest.param("-tp 4 --distributed-executor-backend ray", 2, "unknown", id="Ray brings the rest"),
        pytest.param("-tp 2 --distributed-executor-backend ray", 2, "pass", id="Ray, and enough here"),
        pytest.param("-dp 4 --data-parallel-size-local 2", 2, "pass", id="its share of the copies"),
        pytest.param("-tp 2 --nnodes 0", 2, "pass", id="no number of machines"),
    ],
)
def test_a_machine_brings_its_share(flags: str, n: int, status: str) -> None:
    intent = parse_command(["vllm", "serve", "/m", *flags.split()])
    (found,) = judge(gpus_visible, intent=intent, gpus=TWO[:n], environment=Environment(), cuda=NOT_RUN)
    assert found.status == status


def test_fewer_gpus_is_offered_as_a_line_to_paste() -> None:
    (found,) = judge(gpus_visible, intent=wants(4), gpus=(gpu(0), gpu(1), gpu(2)))
    (command,) = found.fixes[0].commands
    assert "vllm" in command
    assert "--tensor-parallel-size 2" in command


MODES = {
    "default": (0, (), []),
    "prohibited": (2, (), ["fail"]),
    "exclusive process, idle": (3, (), ["warn"]),
    "exclusive process, taken": (3, (GpuProcess(pid=1, used_bytes=5),), ["fail"]),
    "exclusive thread": (1, (), ["warn"]),
}


@pytest.mark.parametrize(("mode", "processes", "statuses"), MODES.values(), ids=MODES)
def test_compute_modes(mode: int, processes: tuple[GpuProcess, ...], statuses: list[str]) -> None:
    first, *rest = judge(gpus_visible, gpus=(gpu(0, compute_mode=mode, processes=processes),))
    assert first.status == "pass"
    assert [(f.status, f.cause, f.subject) for f in rest] == [(s, "GPU_COMPUTE_MODE", "gpu:0") for s in statuses]


def test_the_mode_of_a_gpu_that_is_not_used_does_not_matter() -> None:
    gpus = (gpu(0), gpu(1, compute_mode=2))
    (found,) = judge(gpus_visible, gpus=gpus, environment=Environment(variables={"CUDA_VISIBLE_DEVICES": "0"}))
    assert found.status == "pass"


def test_the_mode_of_the_second_of_two_does_not_matter_to_one() -> None:
    gpus = (gpu(0), gpu(1, compute_mode=2))
    assert [f.status for f in judge(gpus_visible, gpus=gpus, intent=wants(1))] == ["pass"]
    assert [f.status for f in judge(gpus_visible, gpus=gpus, intent=wants(2))] == ["pass", "fail"]


def test_the_variable_in_the_command_counts() -> None:
    intent = dataclasses.replace(wants(1), environment={"CUDA_VISIBLE_DEVICES": "-1"})
    (found,) = judge(gpus_visible, gpus=TWO, intent=intent)
    assert (found.status, found.cause) == ("fail", HIDES)


BUS = "GPU 1 fell off the bus (GPU is lost)"
LOST: Reading[Any] = Reading(outcome="failed", why=BUS.replace("1", "0"))
HALF: Reading[Any] = Reading(outcome="known", value=TWO[:1], why=BUS)
CLOSED = "GPU 0 may not be opened by this user (code 4)"
ANSWERS = {
    "all answer": (known(TWO), wants(2), {}, "pass", ""),
    "the only one is lost": (LOST, wants(1), {}, "fail", "gpu:0"),
    "one of two that are taken": (HALF, wants(2), {}, "fail", "gpu:1"),
    "one that is not taken": (HALF, wants(1), {}, "warn", "gpu:1"),
    "one that the variable names": (HALF, wants(1), {"CUDA_VISIBLE_DEVICES": "1"}, "fail", "gpu:1"),
    "one of another job": (Reading(outcome="known", value=TWO[1:], why=CLOSED), wants(1), {}, "pass", ""),
    "one of another job, and one is lost": (
        Reading(outcome="known", value=TWO[:1], why=f"{CLOSED}; {BUS}"), wants(2), {}, "fail", "gpu:1"
    ),
    "needs a reset": (Reading(outcome="failed", why="GPU 3 needs a reset"), wants(1), {}, "fail", "gpu:3"),
    "not read": (Reading(outcome="timeout", why="no answer within 30 s"), wants(1), {}, "unknown", ""),
    "no driver": (Reading(outcome="absent", why="there is no NVIDIA driver"), wants(1), {}, "not_applicable", ""),
    "no GPU": (known(()), wants(1), {}, "not_applicable", ""),
    "for the CPU": (LOST, wants(1, "cpu"), {}, "not_applicable", ""),
}  # fmt: skip


@pytest.mark.parametrize(("gpus", "intent", "variables", "status", "subject"), ANSWERS.values(), ids=ANSWERS)
def test_answers(gpus: Any, intent: Intent, variables: dict[str, str], status: str, subject: str) -> None:
    (found,) = judge(gpus_answer, gpus=gpus, intent=intent, environment=Environment(variables=variables))
    assert (found.status, found.subject) == (status, subject)
    if status in ("fail", "warn"):
        assert found.cause == "GPU_FELL_OFF_BUS"
        assert f"sudo nvidia-smi --gpu-reset -i {subject[-1]}" in found.fixes[0].commands


STARTED = Driver(version="570.26", nvml_code=0)
LATE = "no answer within 60 s, while asking NVML about GPU {}: the driver does not answer"
UNREAD = {
    "hangs": ("timeout", "no answer within 60 s", STARTED, "fail", "DRIVER_HANGS", "", "--gpu-reset"),
    "hangs at the first GPU": ("timeout", LATE.format(0), STARTED, "fail", "DRIVER_HANGS", "gpu:0", "--gpu-reset -i 0"),
    "hangs at a GPU after others answered at once": (
        "timeout", LATE.format("3 (after 0.9 s)"), STARTED, "fail", "DRIVER_HANGS", "gpu:3", "--gpu-reset -i 3"
    ),
    "hangs at a GPU after others took long": (
        "timeout", LATE.format("2 (after 9.0 s)"), STARTED, "fail", "DRIVER_HANGS", "gpu:2", "dmesg"
    ),
    "slow": ("timeout", LATE.format("6 (after 52.0 s)"), STARTED, "warn", "DRIVER_SLOW", "", "--timeout 4"),
    "slow from the second GPU on": (
        "timeout", LATE.format("1 (after 20.0 s)"), STARTED, "warn", "DRIVER_SLOW", "", "nvidia-smi -pm 1"
    ),
    "slow, in a reading that tells no times": (
        "timeout", LATE.format(3), STARTED, "warn", "DRIVER_SLOW", "", "--timeout 4"
    ),
    "crashes": ("failed", "killed by SIGSEGV", STARTED, "fail", "DRIVER_LIBRARY_BROKEN", "", "--reinstall"),
    "killed by another": ("failed", "killed by SIGKILL", STARTED, "unknown", "", "", ""),
    "refused": (
        "failed", "GPU 1 cannot be read through NVML: Unknown Error (code 999)", STARTED,
        "fail", "GPU_NOT_READABLE", "gpu:1", "--gpu-reset -i 1",
    ),
    "not permitted, and CUDA was not tried": (
        "failed", "GPU 0 cannot be read through NVML: Insufficient Permissions (code 4)", STARTED,
        "unknown", "", "", "",
    ),
    "not counted": (
        "failed", "NVML does not tell the number of GPUs: Unknown Error (code 999)", STARTED,
        "fail", "GPU_NOT_READABLE", "", "dmesg",
    ),
    "an integrated GPU without memory of its own": (
        "failed", "GPU 0 cannot be read through NVML: Not Supported (code 3)", STARTED, "unknown", "", "", ""
    ),
    "nonsense": ("failed", "GPU 0 cannot be read through NVML: it tells nonsense", STARTED, "unknown", "", "", ""),
    "NVML did not start": (
        "failed", "NVML does not start: Unknown Error (code 999)", Driver(version=None, nvml_code=999),
        "unknown", "", "", "",
    ),
    "the driver said nothing either": ("timeout", "no answer within 30 s", NOT_RUN, "unknown", "", "", ""),
}  # fmt: skip


@pytest.mark.parametrize(
    ("outcome", "why", "driver", "status", "cause", "subject", "helps"), UNREAD.values(), ids=UNREAD
)
def test_gpus_that_nvml_does_not_tell(
    outcome: Any, why: str, driver: Any, status: str, cause: str, subject: str, helps: str
) -> None:
    gpus: Reading[Any] = Reading(outcome=outcome, why=why)
    (found,) = judge(gpus_answer, gpus=gpus, driver=driver)
    assert (found.status, found.cause, found.subject) == (status, cause, subject)
    assert helps in str([fix.commands for fix in found.fixes])


CUDA = {
    "does not start": (Cuda(library="libcuda.so.1", init_code=100), "fail"),
    "starts and shows nothing": (Cuda(library="libcuda.so.1", init_code=0), "fail"),
    "starts": (counted(1), "unknown"),
}


@pytest.mark.parametrize(("cuda", "status"), CUDA.values(), ids=CUDA)
def test_gpus_that_may_not_be_opened_are_red_where_cuda_may_not_either(cuda: Cuda, status: str) -> None:
    gpus: Reading[Any] = Reading(outcome="failed", why=CLOSED)
    (found,) = judge(gpus_answer, gpus=gpus, driver=STARTED, cuda=cuda)
    assert found.status == status
    if status == "fail":
        assert (found.cause, found.subject) == ("GPU_DEVICE_FILES_CLOSED", "gpu:0")
        assert "ls -l /dev/nvidia*" in found.fixes[0].commands


def test_cuda_counts_only_the_gpus_that_it_may_open() -> None:
    """Behind a cgroup NVML's GPU 3 is CUDA's GPU 0, and the variable speaks CUDA's numbers."""
    assert select((gpu(3),), "0") == Selection((gpu(3),))
    assert select((gpu(3),), "3").unknown == "3"


def test_cuda_that_does_not_start_makes_a_lost_gpu_red() -> None:
    failed = Cuda(library="libcuda.so.1", init_code=999)
    assert judge(gpus_answer, gpus=HALF, cuda=failed, intent=wants(1))[0].status == "fail"
    assert judge(gpus_answer, gpus=HALF, cuda=counted(1), intent=wants(1))[0].status == "warn"
    shared = parse_command(["vllm", "serve", "/m", "-pp", "2", "--nnodes", "2"])  # the other stands elsewhere
    assert judge(gpus_answer, gpus=HALF, cuda=counted(1), intent=shared)[0].status == "warn"


def test_a_lost_gpu_is_one_red() -> None:
    facts = Facts(gpus=LOST, driver=known(Driver(version="570.26", nvml_code=0)), torch=known(Torch(version="2.9.1")))
    checks = [architectures, weights_fit, gpus_visible, gpus_answer]
    found = run_checks(checks, facts, default_intent(), load_matrix())
    assert [(f.code, f.status, f.because) for f in found] == [
        ("TOR005", "skipped", "GPU002"),
        ("VRM002", "skipped", "GPU002"),
        ("GPU001", "skipped", "GPU002"),
        ("GPU002", "fail", ""),
    ]


def test_gpus_that_could_not_be_read_are_no_pass() -> None:
    (found,) = judge(gpus_visible, gpus=Reading(outcome="failed", why="GPU 1 fell off the bus"))
    assert found.status == "unknown"


@given(st.lists(st.sampled_from(["0", "1", "2", "9", "-1", "GPU-0", "x", ""]), max_size=5))
def test_a_longer_variable_never_shows_fewer(words: list[str]) -> None:
    gpus = (gpu(0), gpu(1), gpu(2))
    sizes = [len(select(gpus, ",".join(words[:n])).gpus) for n in range(1, len(words) + 1)]
    assert sizes == sorted(sizes)
