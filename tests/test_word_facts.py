"""Words whose cause the facts beside them tell, and words that mean nothing on some GPUs."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.domain.signatures import symptoms_of
from autoglm_doctor.loose.judge import diagnose
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.registry import load_checks

FLASHINFER = "RuntimeError: FlashInfer requires GPUs with sm75 or higher"
NOT_LOADED = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
NO_KERNELS = "Your installed torch==2.13.0+cu130 does not include kernels for this GPU."
RANGE = "Minimum and Maximum cuda capability supported by this version of PyTorch is (8.0) - (12.0)"

PEFT = "ImportError: cannot import name 'EncoderDecoderCache' from 'transformers'"
FX = "ImportError: cannot import name 'is_torch_fx_available' from 'transformers.utils.import_utils'"
SEEN = "ImportError: cannot import name 'AutoModelForVision2Seq' from 'transformers'"
META = "RuntimeError: Tensor.item() cannot be called on meta tensors"
XFORMERS = "WARNING[XFORMERS]: xFormers can't load C++/CUDA extensions. xFormers was built for:\n    PyTorch {} with CUDA 1206 (you have {})\n    Python  3.10.11 (you have 3.10.11)"
FULL = "OSError: [Errno 28] No space left on device"
ASSERTED = "    assert is_fa_version_supported(self.fa_version)\nAssertionError"
HANG = "all_reduce_perf hangs in NCCL"
GEFORCE = [{"name": "NVIDIA GeForce RTX 4090"}] * 4


def tf(version: str, **others: Any) -> dict[str, Any]:
    return {"packages": {"transformers": version, **others.pop("packages", {})}, **others}


OLD, NEW = "TRANSFORMERS_TOO_OLD_FOR_MODEL", "TRANSFORMERS_TOO_NEW_FOR_ENGINE"
NO_CUDA = "torch.cuda.is_available() returns False"
PTX = "CUDA error: the provided PTX was compiled with an unsupported toolchain."
GGML = "ggml_cuda_init: failed to initialize CUDA"
ASSEMBLED = "Command '['/v/bin/ptxas', '--gpu-name=sm_121a', '/tmp/x.ptx']' returned non-zero exit status 255."
SHARED = "ptxas error   : Entry function 'k' uses too much shared data (0x1c000 bytes, 0x18c00 max)"

VIDEO = "torch.OutOfMemoryError: CUDA out of memory in the video tokenizer encode. Tried to allocate 60.00 GiB."

BF16 = "RuntimeError: CUDA error: CUBLAS_STATUS_NOT_SUPPORTED when calling cublasGemmEx(handle, CUDA_R_16BF, lda)"

CASES = [
    pytest.param(PEFT, {}, [NEW], id="a name without a release"),
    pytest.param(PEFT, tf("4.46.3"), [NEW], id="a name that this release has"),
    pytest.param(PEFT, tf("4.39.3", engine="vllm"), ["TRANSFORMERS_TOO_OLD_FOR_ENGINE"], id="an engine asks"),
    pytest.param(PEFT, tf("4.39.3", model="org/m"), [OLD], id="a model asks"),
    pytest.param(f"  File 'x/peft/y.py'\n{PEFT}", tf("4.39.3", model="org/m"), ["HF_LIBS_CONFLICT"], id="peft asks"),
    pytest.param(f"  File 'x/transformers_modules/y.py'\n{PEFT}", tf("4.39.3"), [OLD], id="the model's own code asks"),
    pytest.param(SEEN, tf("5.1.0", engine="vllm"), [NEW], id="an engine asks for what is gone"),
    pytest.param(FX, tf("5.1.0", model="org/m"), ["TRANSFORMERS_TOO_NEW_FOR_MODEL"], id="a model for what is gone"),
    pytest.param(
        f"  File 'x/transformers_modules/y.py'\n{SEEN}",
        tf("5.1.0"),
        ["TRANSFORMERS_TOO_NEW_FOR_MODEL"],
        id="the model's own code for what is gone",
    ),
    pytest.param(VIDEO, {"torch": "2.9.0"}, ["CUDNN_CONV3D_REGRESSION"], id="a video encoder on torch 2.9"),
    pytest.param(VIDEO, {"torch": "2.10.0"}, ["VRAM_TOO_SMALL_FOR_WEIGHTS"], id="on torch 2.10"),
    pytest.param(
        VIDEO,
        {"torch": "2.9.1", "packages": {"nvidia-cudnn-cu12": "9.15.1.9"}},
        ["VRAM_TOO_SMALL_FOR_WEIGHTS"],
        id="on torch 2.9 with a newer cuDNN",
    ),
    pytest.param(BF16, {"gpus": ["Tesla V100"]}, ["BF16_UNSUPPORTED_GPU"], id="bfloat16 on a V100"),
    pytest.param(BF16, {"gpus": ["NVIDIA H100"]}, [], id="on a GPU that multiplies it"),
    pytest.param(META, {}, ["TRANSFORMERS_TOO_NEW_FOR_MODEL"], id="a number out of a model without memory"),
    pytest.param(META, tf("5.0.0"), ["TRANSFORMERS_TOO_NEW_FOR_MODEL"], id="with transformers 5"),
    pytest.param(META, tf("4.57.1"), [], id="before transformers 5 it means something else"),
    pytest.param(f"  File 'x/bitsandbytes/functional.py'\n{META}", {}, [], id="weights in 4 bits left out of the GPU"),
    pytest.param(XFORMERS.format("2.2.1+cu118", "2.2.2+cu121"), {}, ["EXTENSION_ABI_MISMATCH"], id="another torch"),
    pytest.param(XFORMERS.format("2.7.0+cu126", "2.7.1+cpu"), {}, ["CPU_ONLY_TORCH"], id="a torch without CUDA"),
    pytest.param(
        XFORMERS.replace("\n   ", "").format("2.2.0+cu121", "2.2.0+cpu"),
        {},
        ["CPU_ONLY_TORCH"],
        id="the same in one line",
    ),
    pytest.param(XFORMERS.format("2.0.1+cu118", "2.0.1+rocm5.4.2"), {}, [], id="a torch for other GPUs"),
    pytest.param(
        "built for PyTorch 2.4.0+cu121 with CUDA 1201 (you have 2.3.1+cu121)",
        {},
        ["EXTENSION_ABI_MISMATCH"],
        id="one line",
    ),
    pytest.param("built for PyTorch 2.4.0+cu121 with CUDA 1201 (you have 2.4.0+cu121)", {}, [], id="the same torch"),
    pytest.param("built for PyTorch 2.4.0+cu121 (you have 2.4.0+rocm6.1)", {}, [], id="for other GPUs, in one line"),
    pytest.param(FULL, {}, ["DISK_FULL"], id="a full disk"),
    pytest.param(FULL, {"container": "docker"}, ["DISK_FULL", "SHM_TOO_SMALL"], id="or shared memory in a container"),
    pytest.param(
        FULL, {"container": "docker, no --shm-size"}, ["SHM_TOO_SMALL", "DISK_FULL"], id="left at its default"
    ),
    pytest.param(FULL, {"container": "docker --ipc=host"}, ["DISK_FULL"], id="the host's shared memory"),
    pytest.param(FULL, {"container": "docker", "shm": "16 GiB"}, ["DISK_FULL"], id="enough shared memory"),
    pytest.param(f"{FULL}: '/data/x'", {"container": "docker"}, ["DISK_FULL"], id="a file on a disk"),
    pytest.param("[Errno 122] Disk quota exceeded", {"container": "docker"}, ["DISK_FULL"], id="a quota"),
    pytest.param(f"  sl = _multiprocessing.SemLock(\n{FULL}", {}, ["SHM_TOO_SMALL"], id="locks between processes"),
    pytest.param(ASSERTED, {"gpus": ["Tesla V100"]}, ["GPU_TOO_OLD_FOR_ENGINE"], id="V1 on Volta"),
    pytest.param(ASSERTED, {}, ["GPU_TOO_OLD_FOR_ENGINE"], id="V1 on a GPU that is not known"),
    pytest.param(
        ASSERTED, {"gpus": ["RTX 4090"]}, ["ENV_VAR_OVERRIDE_WRONG"], id="another FlashAttention is asked for"
    ),
    pytest.param(HANG, {"gpus": GEFORCE}, ["P2P_UNRELIABLE_GPU_OR_DRIVER"], id="cards without direct copies"),
    pytest.param(HANG, {"gpus": GEFORCE, "acs": True}, [], id="bridges that redirect: the facts tell"),
    pytest.param(
        HANG, {"gpus": GEFORCE, "driver_version": "550.54.14"}, ["P2P_BROKEN_ACS_IOMMU"], id="a driver that says so"
    ),
    pytest.param(
        HANG, {"gpus": [{"name": "NVIDIA RTX 4000 Ada Generation"}] * 2}, ["P2P_BROKEN_ACS_IOMMU"], id="other cards"
    ),
    pytest.param(FLASHINFER, {"gpus": ["RTX 5090"]}, ["NVCC_MISSING_FOR_JIT"], id="FlashInfer on a new GPU"),
    pytest.param(FLASHINFER, {"gpus": ["Tesla T4"]}, ["NVCC_MISSING_FOR_JIT"], id="FlashInfer on Turing"),
    pytest.param(FLASHINFER, {"gpus": ["Tesla V100"]}, ["GPU_TOO_OLD_FOR_ENGINE"], id="FlashInfer on Volta"),
    pytest.param(FLASHINFER, {}, ["GPU_TOO_OLD_FOR_ENGINE"], id="FlashInfer on a GPU that is not known"),
    pytest.param(NOT_LOADED, {}, ["KERNEL_MODULE_NOT_BUILT"], id="a module that is not loaded"),
    pytest.param(NOT_LOADED, {"secure_boot": False}, ["KERNEL_MODULE_NOT_BUILT"], id="without Secure Boot"),
    pytest.param(NOT_LOADED, {"secure_boot": True}, ["SECURE_BOOT_BLOCKS_MODULE"], id="with Secure Boot"),
    pytest.param(
        f"{NOT_LOADED} Secure Boot is enabled", {}, ["SECURE_BOOT_BLOCKS_MODULE"], id="Secure Boot is spoken of"
    ),
    pytest.param(f"Secure Boot is disabled. {NOT_LOADED}", {}, ["KERNEL_MODULE_NOT_BUILT"], id="Secure Boot is off"),
    pytest.param(f"{NOT_LOADED} SecureBoot disabled", {}, ["KERNEL_MODULE_NOT_BUILT"], id="off, as mokutil says it"),
    pytest.param(f"{NOT_LOADED} I turned off Secure Boot", {}, ["KERNEL_MODULE_NOT_BUILT"], id="turned off"),
    pytest.param("bash:/usr/local/cuda/bin/nvcc: No such file", {}, ["NVCC_MISSING_FOR_JIT"], id="a shell's colon"),
    pytest.param("stderr:/usr/local/cuda/bin/nvcc: not found", {}, ["NVCC_MISSING_FOR_JIT"], id="a word's colon"),
    pytest.param("sh: 1: :/opt/cuda/bin/nvcc: not found", {}, ["CUDA_HOME_INVALID"], id="a colon of the path"),
    pytest.param("HTTPError: error 999 for url https://www.linkedin.com", {}, [], id="999 of a web server"),
    pytest.param("cuInit failed: error 999", {}, ["UVM_MODULE_BROKEN"], id="999 of CUDA"),
    pytest.param("Error 999: unknown error", {}, ["UVM_MODULE_BROKEN"], id="999 with its words"),
    pytest.param(f"{ASSEMBLED}", {}, ["GPU_ARCH_NOT_IN_WHEEL"], id="triton's assembler ends"),
    pytest.param(f"{ASSEMBLED}\n{SHARED}", {}, [], id="for too much shared memory, said after it"),
    pytest.param(f"{SHARED}\n{ASSEMBLED}", {}, [], id="for too much shared memory, said before it"),
    pytest.param(
        f"{ASSEMBLED}\nptxas fatal   : Value 'sm_121a' is not defined for option 'gpu-name'",
        {},
        ["GPU_ARCH_NOT_IN_WHEEL"],
        id="for the GPU",
    ),
    pytest.param(NO_KERNELS, {}, ["GPU_ARCH_NOT_IN_WHEEL"], id="torch without kernels"),
    pytest.param(NO_KERNELS, {"gpus": ["GTX 1060 6GB"]}, ["GPU_ARCH_NOT_IN_WHEEL"], id="torch without kernels for it"),
    pytest.param(NO_KERNELS, {"gpus": ["NVIDIA GB10"]}, [], id="what torch says of a GB10"),
    pytest.param(f"Found GPU0 NVIDIA GB10 (CC) 12.1.\n{NO_KERNELS}", {}, [], id="a GB10 by the text"),
    pytest.param(RANGE, {}, [], id="a range of capabilities"),
    pytest.param(NO_CUDA, {}, ["CPU_ONLY_TORCH"], id="torch without CUDA, as far as is known"),
    pytest.param(NO_CUDA, {"torch": "2.8.0+cpu"}, ["CPU_ONLY_TORCH"], id="torch without CUDA, as the facts tell"),
    pytest.param(NO_CUDA, {"torch": "2.3.0+cu121"}, [], id="a build with CUDA that sees none"),
    pytest.param(NO_CUDA, {"torch_cuda": "12.8"}, [], id="a build with CUDA by its CUDA"),
    pytest.param(PTX, {}, ["DRIVER_TOO_OLD"], id="PTX that is newer than the driver"),
    pytest.param(f"[cudaErrorUnsupportedPtxVersion] {PTX}", {}, ["DRIVER_TOO_OLD"], id="PTX by the error's name"),
    pytest.param(
        f'File "triton/runtime/driver.py", line 3\n{PTX}', {}, ["TRITON_PTXAS_NEWER_THAN_DRIVER"], id="Triton's PTX"
    ),
    pytest.param(f"ptxas is 13.1\n{PTX}", {}, ["TRITON_PTXAS_NEWER_THAN_DRIVER"], id="ptxas is named before"),
    pytest.param(f"Using Triton attention.\n{PTX}", {}, ["DRIVER_TOO_OLD"], id="Triton beside, and not in the trace"),
    pytest.param(f"{GGML}: no CUDA-capable device is detected", {}, [], id="llama.cpp without a GPU goes on"),
    pytest.param(f"{GGML}: out of memory", {}, [], id="llama.cpp on a GPU that is full"),
    pytest.param(f"{GGML}: (null)", {}, [], id="llama.cpp with no words at all"),
    pytest.param(f"{GGML}: system not yet initialized", {}, ["FABRIC_MANAGER_MISSING"], id="llama.cpp without fabric"),
    pytest.param(f"{GGML}: unknown error", {}, ["UVM_MODULE_BROKEN"], id="llama.cpp and a broken module"),
    pytest.param(
        f"{GGML}: CUDA driver version is insufficient for CUDA runtime version",
        {},
        ["DRIVER_TOO_OLD"],
        id="llama.cpp and an old driver",
    ),
    pytest.param("Failed to get device capability: SM 12.x requires CUDA >= 12.9.", {}, [], id="only a warning"),
]


@pytest.mark.parametrize(("text", "stated", "causes"), CASES)
def test_causes(text: str, stated: dict[str, Any], causes: list[str]) -> None:
    found = diagnose("x", {"facts": stated, "symptom": text}, load_checks().checks, load_matrix())
    named = [one.cause for one in found.causes if one.check == "text"]
    assert named == causes


@pytest.mark.parametrize(
    "line",
    [
        "2026-05-19 10:00:00,123 - WARNING - compilation_context.py:104 - flashinfer.jit: Failed to get device capability: SM 12.x requires CUDA >= 12.9.",
        "WARNING 08-28 10:00:00 [topk_topp_sampler.py:80] FlashInfer top-p/top-k sampling unavailable: SM 12.x requires CUDA >= 12.9; falling back. Set VLLM_USE_FLASHINFER_SAMPLER=0 to silence.",
        "/bin/sh -c /usr/local/cuda/bin/nvcc --version",
        "ptxas info    : Compiling entry function 'k' for 'sm_103a'",
        "NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  580.95.05",
        "INFO 10-21 09:11:57 [cuda.py:1] CUDA_VISIBLE_DEVICES=GPU-7f57f032 is used",
    ],
)
def test_lines_of_healthy_servers(line: str) -> None:
    assert symptoms_of([line]) == ()


def test_the_warning_before_the_end_tells_why() -> None:
    log = ["WARNING 05-12 10:00:00 [x.py:1] SM 12.x requires CUDA >= 12.9", FLASHINFER]
    assert [one.signature.cause for one in symptoms_of(log)] == ["NVCC_MISSING_FOR_JIT"]
    log = ["SM 12.1+ requires CUDA >= 12.9", "FlashInfer requires sm75+"]
    assert [one.signature.cause for one in symptoms_of(log)] == ["NVCC_MISSING_FOR_JIT"]


def test_a_release_that_lacks_a_name_for_once_is_not_to_be_older() -> None:
    line = "ImportError: cannot import name 'is_torch_greater_or_equal_than_1_13' from 'transformers.pytorch_utils'"
    data = {"facts": {"packages": {"transformers": "4.48.1"}}, "symptom": line}
    found = diagnose("x", data, load_checks().checks, load_matrix())
    assert [one.cause for one in found.causes] == ["TRANSFORMERS_TOO_NEW_FOR_MODEL"]
    (fix,) = found.fixes
    assert fix is not None
    assert fix.commands[-1] == "python3 -m pip install --upgrade 'transformers>=4.48.2'"


GATEWAY = "Error: 502 (request to http://localhost:8000/v1/chat/completions)"


@pytest.mark.parametrize(
    ("env", "text", "status"),
    [
        pytest.param({"http_proxy": "http://p:1"}, GATEWAY, "fail", id="a proxy and its answer"),
        pytest.param({"http_proxy": "http://p:1"}, "", "warn", id="a proxy alone"),
        pytest.param({"http_proxy": "http://p:1"}, "it took 502 ms to http://localhost:8000", "warn", id="a duration"),
        pytest.param({"http_proxy": "http://p:1"}, "Error: 404 http://localhost:8000/x", "warn", id="another answer"),
        pytest.param({"http_proxy": "http://p:1"}, "Error: 502 http://hub.example/x", "warn", id="another server"),
        pytest.param({"http_proxy": "http://p:1", "no_proxy": "localhost,127.0.0.1"}, "", "pass", id="spared"),
    ],
)
def test_a_gateway_between_a_client_and_its_own_machine(env: dict[str, str], text: str, status: str) -> None:
    data = {"facts": {"env": env, "server": "localhost"}, "symptom": text}
    assert diagnose("x", data, load_checks().checks, load_matrix()).status == status
