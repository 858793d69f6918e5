"""CUD: libcuda starts, and every GPU computes right."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from autoglm_doctor.checks.cuda import cuda_initialises, gpus_compute, limit
from autoglm_doctor.checks.vram import gpu_memory_free
from autoglm_doctor.facts import (
    Cuda,
    CudaDevice,
    DeviceRun,
    Driver,
    Environment,
    Facts,
    Gpu,
    Host,
    Product,
    Reading,
    Torch,
    TorchRun,
    known,
)
from autoglm_doctor.intent import Device
from autoglm_doctor.launch import default_intent
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.runner import run_checks
from autoglm_doctor.testing import judge

HOST = Host(system="Linux", machine="x86_64", kernel="6.8")
DOCKER = dataclasses.replace(HOST, container="docker")
DRIVER = Driver(version="570.124.06", nvml_code=0)
NONE: Reading[Any] = Reading(outcome="absent", why="nothing found")
TIMEOUT: Reading[Any] = Reading(outcome="timeout", why="no answer within 30 s")
GPU = CudaDevice(index=0, name="RTX", compute_capability="8.9", total_bytes=1)
LIBRARY = "/usr/lib/x86_64-linux-gnu/libcuda.so.570.124.06"
COMPAT = "/usr/local/cuda-12.9/compat/libcuda.so.575.57.08"


def code(number: int | None, library: str = LIBRARY, **rest: Any) -> Cuda:
    return Cuda(library=library, init_code=number, init_error="NAME", **rest)


EMPTY = Cuda(library=None, load_error="/usr/lib/libcuda.so.1: file too short")
CRASHED: Reading[Any] = Reading(outcome="failed", why="killed by SIGABRT")
DIED: Reading[Any] = Reading(outcome="failed", why="ended with exit code 1 and no answer: no space left on device")
STARTED = code(0, devices=(GPU,), driver_cuda_version="12.8")

CUD001 = {
    "starts": (STARTED, DRIVER, HOST, {}, "cuda", "pass", ""),
    "for the CPU nothing is asked": (NONE, NONE, HOST, {}, "cpu", "not_applicable", ""),
    "no library, the CPU will do": (NONE, NONE, HOST, {}, "auto", "not_applicable", ""),
    "no device and no driver, the CPU will do": (code(100), NONE, HOST, {}, "auto", "not_applicable", ""),
    "a driver but no library": (NONE, DRIVER, HOST, {}, "cuda", "fail", "CUDA_INIT_FAILED"),
    "a driver but no library in a container": (NONE, DRIVER, DOCKER, {}, "auto", "fail", "CONTAINER_WITHOUT_GPU"),
    "library does not load": (
        Cuda(library=None, load_error="libelf.so: cannot open"), DRIVER, HOST, {}, "cuda", "fail", "CUDA_INIT_FAILED"
    ),
    "library is empty": (EMPTY, DRIVER, HOST, {}, "cuda", "fail", "DRIVER_LIBRARY_BROKEN"),
    "library is empty in a container": (EMPTY, DRIVER, DOCKER, {}, "cuda", "fail", "CONTAINER_IMAGE_BUNDLES_DRIVER"),
    "hangs": (TIMEOUT, DRIVER, HOST, {}, "cuda", "fail", "DRIVER_HANGS"),
    "hangs, for the CPU": (TIMEOUT, DRIVER, HOST, {}, "cpu", "not_applicable", ""),
    "crashes": (CRASHED, DRIVER, HOST, {}, "cuda", "fail", "DRIVER_LIBRARY_BROKEN"),
    "probe died of something else": (DIED, DRIVER, HOST, {}, "cuda", "unknown", ""),
    "cuInit gave no answer": (code(None), DRIVER, HOST, {}, "cuda", "unknown", ""),
    "34 stub": (code(34, "/usr/lib/stubs/libcuda.so"), DRIVER, HOST, {}, "cuda", "fail", "CUDA_STUB_LIBRARY"),
    "46 busy": (code(46), DRIVER, HOST, {}, "cuda", "fail", "CUDA_INIT_FAILED"),
    "100 no device": (code(100), DRIVER, HOST, {}, "cuda", "fail", "CUDA_INIT_FAILED"),
    "100 hidden": (
        code(100), DRIVER, HOST, {"CUDA_VISIBLE_DEVICES": ""}, "cuda", "fail", "CUDA_VISIBLE_DEVICES_HIDES_GPUS"
    ),
    "100 in a container": (code(100), DRIVER, DOCKER, {}, "cuda", "fail", "CONTAINER_WITHOUT_GPU"),
    "0 and no device": (code(0), DRIVER, HOST, {}, "cuda", "fail", "CUDA_INIT_FAILED"),
    "802 fabric": (code(802), DRIVER, HOST, {}, "cuda", "fail", "FABRIC_MANAGER_MISSING"),
    "803 compat": (code(803, COMPAT), DRIVER, DOCKER, {}, "cuda", "fail", "CUDA_COMPAT_LIB_SHADOWS_DRIVER"),
    "803 no compat": (code(803), DRIVER, HOST, {}, "cuda", "fail", "NVML_DRIVER_LIBRARY_MISMATCH"),
    "804 compat": (code(804, COMPAT), DRIVER, HOST, {}, "cuda", "fail", "CUDA_FORWARD_COMPAT_UNSUPPORTED_GPU"),
    "999 UVM": (code(999), DRIVER, HOST, {}, "cuda", "fail", "UVM_MODULE_BROKEN"),
    "3 UVM": (code(3), DRIVER, HOST, {}, "cuda", "fail", "UVM_MODULE_BROKEN"),
    "another code": (code(304), DRIVER, HOST, {}, "cuda", "fail", "CUDA_INIT_FAILED"),
}  # fmt: skip


@pytest.mark.parametrize(("cuda", "driver", "host", "env", "device", "status", "cause"), CUD001.values(), ids=CUD001)
def test_initialises(
    cuda: Any, driver: Any, host: Host, env: dict[str, str], device: Device, status: str, cause: str
) -> None:
    intent = dataclasses.replace(default_intent(), device=device)
    (found,) = judge(
        cuda_initialises, intent=intent, cuda=cuda, driver=driver, host=host, environment=Environment(variables=env)
    )
    assert (found.status, found.cause) == (status, cause)
    if status == "fail":
        assert all(fix.commands for fix in found.fixes)


SHOWN = Gpu(index=0, name="RTX", compute_capability="8.9", total_bytes=1, free_bytes=1)
DOCKERED = dataclasses.replace(HOST, container="docker")
SEEN = {
    "none": ((), code(100), "fail", "NO_GPU"),
    "none, and CUDA starts": ((), code(0), "fail", "NO_GPU"),
    "one that CUDA does not show": ((SHOWN,), code(100), "fail", "CUDA_INIT_FAILED"),
    "the same": ((SHOWN,), STARTED, "pass", ""),
    "one of two": ((dataclasses.replace(SHOWN, compute_capability="7.5"), SHOWN), STARTED, "pass", ""),
    "another capability": ((dataclasses.replace(SHOWN, compute_capability="7.5"),), STARTED, "unknown", ""),
}


@pytest.mark.parametrize(("gpus", "cuda", "status", "cause"), SEEN.values(), ids=SEEN)
def test_what_nvml_shows_beside_it(gpus: tuple[Gpu, ...], cuda: Cuda, status: str, cause: str) -> None:
    (found,) = judge(cuda_initialises, cuda=cuda, driver=DRIVER, gpus=gpus, host=HOST)
    assert (found.status, found.cause) == (status, cause)


def test_a_container_without_gpus_is_no_broken_card() -> None:
    """The driver of the host answers in it, and its GPUs stand on the bus."""
    (found,) = judge(cuda_initialises, cuda=code(100), driver=DRIVER, gpus=(), host=DOCKERED)
    assert (found.status, found.cause) == ("fail", "CONTAINER_WITHOUT_GPU")


def test_a_cuda_that_hangs_is_helped_by_the_log_first() -> None:
    (found,) = judge(cuda_initialises, cuda=TIMEOUT, driver=DRIVER, host=HOST)
    first, *_, last = found.fixes
    assert "dmesg" in first.commands[0]
    assert "sudo nvidia-smi --gpu-reset" in last.commands
    assert found.evidence is not None
    assert "30 s" in str(found.evidence["error"])


def test_the_fabric_manager_has_the_version_of_the_driver() -> None:
    (found,) = judge(cuda_initialises, cuda=code(802), driver=DRIVER)
    assert "nvidia-fabricmanager-570" in found.fixes[0].commands[0]


def product(dtype: str = "bfloat16", error: float | None = 0.002, text: str | None = None) -> Product:
    return Product(dtype=dtype, relative_error=error, error=text)


def run(*products: Product, allocation: str | None = None) -> TorchRun:
    return TorchRun(cuda_available=True, devices=(DeviceRun(index=0, allocation_error=allocation, products=products),))


NAN = float("nan")
KERNEL = "RuntimeError: CUDA error: no kernel image is available for execution on the device"
OOM = "OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 MiB"

CUD002 = {
    "right": (run(product(), product("float16", 0.0003)), "pass", ""),
    "bf16 at the limit": (run(product(error=limit("bfloat16"))), "pass", ""),
    "bf16 over the limit": (run(product(error=0.07)), "fail", "GPU_HARDWARE_ERROR"),
    "fp16 over the limit": (run(product(), product("float16", 0.01)), "fail", "GPU_HARDWARE_ERROR"),
    "not finite": (run(product(error=NAN)), "fail", "GPU_HARDWARE_ERROR"),
    "no code for the GPU": (run(product(error=None, text=KERNEL)), "fail", "GPU_ARCH_NOT_IN_WHEEL"),
    "no code, seen when allocating": (run(allocation=KERNEL), "fail", "GPU_ARCH_NOT_IN_WHEEL"),
    "memory full": (run(allocation=OOM), "fail", "GPU_MEMORY_TAKEN_BY_OTHERS"),
    "anything else": (run(product(error=None, text="CUBLAS_STATUS_NOT_INITIALIZED")), "fail", "GPU_COMPUTE_FAILED"),
    "nothing computed": (run(), "unknown", ""),
    "a type that nobody knows": (run(product("float3", 0.001)), "unknown", ""),
    "import fails": (TorchRun(import_error="ImportError: boom"), "unknown", ""),
    "no CUDA": (TorchRun(cuda_error="CUDA driver initialization failed"), "fail", "CUDA_INIT_FAILED"),
    "GPUs left alone": (TorchRun(cuda_available=True), "unknown", ""),
}


@pytest.mark.parametrize(("torch_run", "status", "cause"), CUD002.values(), ids=CUD002)
def test_computes(torch_run: TorchRun, status: str, cause: str) -> None:
    torch = Torch(version="2.9.1+cu128", cuda="12.8")
    (found,) = judge(gpus_compute, torch_run=torch_run, torch=torch, driver=DRIVER)
    assert (found.status, found.cause) == (status, cause)


def test_every_gpu_has_its_own_finding() -> None:
    devices = (DeviceRun(index=0, products=(product(),)), DeviceRun(index=1, products=(product(error=NAN),)))
    intent = default_intent()
    two = dataclasses.replace(intent, launch=dataclasses.replace(intent.launch, tensor_parallel=2))
    torch_run = TorchRun(cuda_available=True, devices=devices)
    found = judge(gpus_compute, torch_run=torch_run, driver=DRIVER, intent=two)
    assert [(f.subject, f.status) for f in found] == [("gpu:0", "pass"), ("gpu:1", "fail")]


@pytest.mark.parametrize(
    ("device", "torch", "driver"),
    [
        ("cuda", Torch(version="2.13.0+cpu"), DRIVER),
        ("cpu", Torch(version="2.9.1", cuda="12.8"), DRIVER),
        ("auto", Torch(version="2.9.1", cuda="12.8"), NONE),
    ],
    ids=["torch for the CPU", "runs on the CPU", "no GPU, the CPU will do"],
)
def test_not_asked(device: Device, torch: Torch, driver: Any) -> None:
    intent = dataclasses.replace(default_intent(), device=device)
    (found,) = judge(gpus_compute, intent=intent, torch_run=TorchRun(), torch=torch, driver=driver)
    assert found.status == "not_applicable"


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_real_product_stays_far_below_the_limit(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(256, 256, generator=generator).to(getattr(torch, dtype)) for _ in range(2))
    exact = left.double() @ right.double()
    error = float(((left @ right).double() - exact).abs().max() / exact.abs().max())
    assert 0 < error < limit(dtype) / 5


CARD = Gpu(index=0, name="RTX", compute_capability="8.9", total_bytes=1 << 35, free_bytes=1 << 20)


@pytest.mark.parametrize("value", ["", "-1"], ids=["empty", "-1"])
def test_hidden_gpus_mean_the_cpu_where_the_cpu_will_do(value: str) -> None:
    environment = Environment(variables={"CUDA_VISIBLE_DEVICES": value})
    for device, status in (("auto", "not_applicable"), ("cuda", "fail")):
        given: dict[str, Any] = {
            "cuda": code(100),
            "driver": DRIVER,
            "gpus": (CARD,),
            "environment": environment,
            "torch_run": TorchRun(cuda_error="no CUDA GPUs are available"),
            "torch": Torch(version="2.9.1+cu128", cuda="12.8"),
            "intent": dataclasses.replace(default_intent(), device=device),
        }
        for check in (cuda_initialises, gpus_compute):
            (found,) = judge(check, **given)
            assert found.status == status


def test_a_gpu_that_the_deployment_does_not_take_is_not_judged() -> None:
    devices = (DeviceRun(index=0, products=(product(),)), DeviceRun(index=1, allocation_error=OOM))
    (found,) = judge(gpus_compute, torch_run=TorchRun(cuda_available=True, devices=devices), driver=DRIVER)
    assert (found.subject, found.status) == ("gpu:0", "pass")


def test_a_gpu_has_the_same_name_as_in_the_other_checks() -> None:
    """torch counts the visible ones, the rest of the report like nvidia-smi."""
    gpus = (dataclasses.replace(CARD, name="GT"), dataclasses.replace(CARD, index=1))
    (found,) = judge(gpus_compute, torch_run=run(product(error=NAN)), driver=DRIVER, gpus=gpus, cuda=STARTED)
    assert found.subject == "gpu:1"
    assert found.fixes[0].commands[-1].endswith("-i 1")


def test_a_full_gpu_is_one_red() -> None:
    facts = Facts(driver=known(DRIVER), gpus=known((CARD,)), torch_run=known(run(allocation=OOM)))
    found = run_checks([gpus_compute, gpu_memory_free], facts, default_intent(), load_matrix())
    assert [(f.code, f.status) for f in found] == [("CUD002", "skipped"), ("VRM001", "fail")]
