"""The situations of benchmarks/verdicts_against_env_doctor.py: what is true, with source, and the word that names it.

Ten in which env-doctor was found wrong by hand before this was written, more of the same hand-made list, and controls
in which it was expected to be right. `named` is one pattern for both tools.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from benchmarks.verdict_machines import NO_CUDA_BUILD, NO_DRIVER, TOO_OLD, Simulated
from tests.faults.driver_steps import SMI_MISMATCH
from tests.faults.torches import TORCHES

MINOR = "https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A situation. `causes` are the codes that we may name first; `named`, what any text that finds the fault holds."""

    name: str
    machine: Simulated
    runs: bool
    truth: str
    source: str
    causes: tuple[str, ...] = ()
    named: str = ""
    more: tuple[tuple[str, ...], ...] = ()  # further commands of env-doctor that bear on it
    remark: str = ""
    kind: Literal["ten", "more", "control"] = "ten"


VLLM_CU12 = Simulated(vllm="0.19.1")
A100 = replace(VLLM_CU12, card="A100")
MISMATCH = (("STUB_INIT", "18"), ("STUB_CUINIT", "803"))
TRANSFORMERS_CU130 = Simulated(torch="2.11.0+cu130")
NO_DRIVER_CAUSES = ("DRIVER_NOT_INSTALLED", "CONTAINER_WITHOUT_GPU")  # these run in containers and outside
NO_DRIVER_NAMED = r"no NVIDIA driver|sees no GPU: it was started without"
GB10 = Simulated(card="GB10", vllm="0.20.2", torch="2.11.0+cu130")  # later ones want nvcc, which is another matter
SM_86 = "https://github.com/pytorch/pytorch/issues/95648"

TEN = (
    Row(
        name="RTX 4090, driver 535, vLLM 0.19.1 on torch 2.10.0+cu128",
        machine=replace(VLLM_CU12, driver="535.183.01", cuda="12.2"),
        runs=True,
        truth="runs: any CUDA 12.x program runs on a driver from 525 on, and sm_86 code runs on 8.9",
        source=MINOR,
    ),
    Row(
        name="RTX 4090, driver 580, the same packages",
        machine=VLLM_CU12,
        runs=True,
        truth="runs: wheels carry sm_86 and not sm_89, which is the same for a card of 8.9",
        source=SM_86,
    ),
    Row(
        name="GB10 (DGX Spark), driver 580, vLLM 0.20.2 on torch 2.11.0+cu130",
        machine=GB10,
        runs=True,
        truth="runs: sm_120 code runs on 12.1 (of the same major capability)",
        source="https://github.com/flashinfer-ai/flashinfer/issues/3170",
    ),
    Row(
        name="driver 535, torch 2.11.0+cu130, transformers",
        machine=replace(TRANSFORMERS_CU130, driver="535.183.01", cuda="12.2", error=TOO_OLD),
        runs=False,
        truth="fails: CUDA 13 needs driver 580",
        source="https://github.com/pytorch/pytorch/pull/162531",
        causes=("DRIVER_TOO_OLD",),
        named=r"CRITICAL CONFLICT: torch|needs driver 580",
    ),
    Row(
        name="no NVIDIA driver, torch 2.11.0+cu130, transformers",
        machine=replace(TRANSFORMERS_CU130, driver="", error=NO_DRIVER),
        runs=False,
        truth="fails: there is no driver, and a GPU build of torch that wants one",
        source="by construction",
        causes=NO_DRIVER_CAUSES,
        named=NO_DRIVER_NAMED,
    ),
    Row(
        name="V100, driver 580, vLLM 0.30.0 on torch 2.13.0+cu130",
        machine=Simulated(
            card="V100",
            vllm="0.30.0",
            torch="2.13.0+cu130",
            transformers="5.17.0",
            kernels=False,
            options=("--dtype", "half"),
        ),
        runs=False,
        truth="fails: CUDA 13 has no code for capability 7.0, in torch and in vLLM",
        source="https://github.com/vllm-project/vllm/pull/39878",
        causes=("GPU_TOO_OLD_FOR_ENGINE", "GPU_ARCH_NOT_IN_WHEEL"),
        named=r"ARCHITECTURE MISMATCH|no code for|holds code",
    ),
    Row(
        name="RTX 4090, driver 580, torch 2.10.0+cpu under vLLM 0.19.1",
        machine=replace(VLLM_CU12, torch="2.10.0+cpu", error=NO_CUDA_BUILD),
        runs=False,
        truth="fails: this torch was built without CUDA",
        source="https://github.com/opendatalab/MinerU/issues/240",
        causes=("CPU_ONLY_TORCH",),
        named=r"CPU.?only|without CUDA|built for the CPU|CPU build",
    ),
    Row(
        name="RTX 4090, driver 610.43.02 with its new banner, vLLM 0.19.1",
        machine=replace(VLLM_CU12, driver="610.43.02", cuda="13.3", new_banner=True),
        runs=True,
        truth="runs: nvidia-smi only says KMD Version where it said Driver Version",
        source="https://github.com/sgl-project/sglang/issues/27487",
    ),
    Row(
        name="A100, driver 580 with NVML and no nvidia-smi on PATH, vLLM 0.19.1",
        machine=replace(A100, nvidia_smi=False),
        runs=True,
        truth="runs: vLLM and torch use NVML and libcuda, never nvidia-smi",
        source="by construction; NVML answers as on the control",
    ),
    Row(
        name="A100, driver 580, torch 2.10.0+cu128 that cannot find libcudart.so.12",
        machine=replace(A100, torch_source=TORCHES["lacks a library"]),
        runs=False,
        truth="fails: torch is installed, and its import ends with ImportError: libcudart.so.12",
        source="by construction",
        causes=("TORCH_IMPORT_FAILED",),
        named=r"libcudart",
    ),
)

MORE = (
    Row(
        name="the same GB10 whose NVML and nvidia-smi tell no GPU memory",
        machine=replace(GB10, memory_told=False),
        remark="(env-doctor leaves out a GPU without a figure for its memory, so that it compares nothing)",
        runs=True,
        truth="runs: CPU and GPU share main memory, so that there is none to tell",
        source="https://github.com/kubernetes-sigs/dra-driver-nvidia-gpu/issues/1073",
        kind="more",
    ),
    Row(
        name="A100, driver 580, Python 3.13, vLLM 0.19.1 on torch 2.10.0+cu128",
        machine=replace(A100, python="python3.13"),
        runs=True,
        truth="runs: torch 2.10.0 and vLLM 0.19.1 have wheels for 3.13",
        source="their files on the package index (matrix, 2026-11-21)",
        kind="more",
    ),
    Row(
        name="A100, kernel module and libraries of two driver versions",
        machine=replace(
            VLLM_CU12,
            card="A100",
            error=NO_DRIVER,
            smi=SMI_MISMATCH,
            environ=(("STUB_INIT", "18"), ("STUB_CUINIT", "803")),
        ),
        runs=False,
        truth="fails until a reboot (or a reload of the module); a driver is installed",
        source="https://github.com/NVIDIA/nvidia-container-toolkit/issues/394",
        causes=("NVML_DRIVER_LIBRARY_MISMATCH",),
        named=r"version mismatch",
        kind="more",
    ),
    Row(
        name="A100 with 9 of 80 GiB free, vLLM 0.19.1 with its default 90 %",
        machine=replace(A100, free_mib=9216),
        runs=False,
        truth="fails: vLLM claims 90 % of the card at its start, and somebody else has it",
        source="https://github.com/vllm-project/vllm/issues/20305",
        causes=("GPU_MEMORY_TAKEN_BY_OTHERS",),
        more=(("model", "llama-3-8b", "--precision", "bf16"),),
        named=r"taken by|in use|GiB of .* free",
        kind="more",
    ),
    Row(
        name="A100, driver 580, a torch that segfaults at import",
        machine=replace(A100, torch_source=TORCHES["segfaults"]),
        runs=False,
        truth="fails: import torch dies with SIGSEGV",
        source="by construction",
        causes=("TORCH_IMPORT_FAILED",),
        named=r"SIGSEGV|segfault|crash",
        kind="more",
    ),
)

CONTROLS = (
    Row(
        name="A100, driver 580, vLLM 0.19.1 on torch 2.10.0+cu128",
        machine=A100,
        runs=True,
        truth="runs",
        source="by construction",
        kind="control",
    ),
    Row(
        name="A100, driver 535, vLLM 0.20.2 on torch 2.11.0+cu130",
        machine=Simulated(
            card="A100", driver="535.183.01", cuda="12.2", vllm="0.20.2", torch="2.11.0+cu130", error=TOO_OLD
        ),
        runs=False,
        truth="fails: CUDA 13 needs driver 580",
        source=MINOR,
        causes=("DRIVER_TOO_OLD",),
        named=r"built for CUDA 13.0, but the driver|CRITICAL CONFLICT: torch|needs driver 580",
        kind="control",
    ),
    Row(
        name="no NVIDIA driver, vLLM 0.20.2 on torch 2.11.0+cu130",
        machine=Simulated(driver="", vllm="0.20.2", torch="2.11.0+cu130", error=NO_DRIVER),
        runs=False,
        truth="fails: there is no driver",
        source="by construction",
        causes=NO_DRIVER_CAUSES,
        named=NO_DRIVER_NAMED,
        kind="control",
    ),
)

ROWS = (*TEN, *MORE, *CONTROLS)
