"""Builds the readings of this folder that no machine of ours could record. `python -m tests.machines.build` writes them.

One healthy deployment (an RTX 4090 with vLLM 0.12) is the base; every ill machine changes what is ill about it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from autoglm_doctor.facts import (
    Cuda,
    CudaDevice,
    DeviceRun,
    DiskSpeed,
    Distribution,
    Driver,
    Environment,
    Facts,
    Gpu,
    GpuProcess,
    Host,
    Interpreter,
    KernelLibrary,
    Memory,
    ModelFiles,
    Packages,
    PciGpu,
    Port,
    Product,
    Reading,
    SharedMemory,
    Storage,
    Toolchain,
    Torch,
    TorchRun,
    WeightFile,
    known,
    with_readings,
)
from autoglm_doctor.intent import Intent
from autoglm_doctor.jsonio import encode
from autoglm_doctor.launch import default_intent, parse_command
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.reading import Saved

FOLDER = Path(__file__).parent
GIB = 1 << 30
MIB = 1 << 20
SITE = "/srv/env/lib/python3.11/site-packages"

#: What NVML reports of a 24 GiB RTX 4090, and what the driver keeps of it: CUDA shows the difference, 23.57 GiB.
TOTAL_4090 = 24_564 * MIB
RESERVED_4090 = 430 * MIB


def packages(**versions: str) -> Packages:
    """An environment that vLLM 0.12.0 resolves to; keyword arguments replace versions."""
    requires = {
        "vllm": ("torch==2.9.0", "transformers<5,>=4.56.0", "torchvision==0.24.0", "numpy"),
        "transformers": (
            "huggingface-hub<1.0,>=0.34.0",
            "tokenizers<=0.23.0,>=0.22.0",
            "safetensors>=0.4.3",
            "numpy>=1.17",
        ),
        "torchvision": ("torch==2.9.0", "numpy"),
    }
    installed = {
        "vllm": "0.12.0",
        "torch": "2.9.0",
        "torchvision": "0.24.0",
        "transformers": "4.57.1",
        "huggingface-hub": "0.36.0",
        "tokenizers": "0.22.1",
        "safetensors": "0.6.2",
        "numpy": "2.2.6",
        "pillow": "12.0.0",
        **{name.replace("_", "-"): version for name, version in versions.items()},
    }
    if installed["transformers"].startswith("5"):
        requires["transformers"] = ("huggingface-hub<2.0,>=1.3.0", "tokenizers<=0.23.0,>=0.22.0", "numpy>=1.17")
    if "torch" in versions:  # a consistent environment around another torch
        torch, vision = installed["torch"].split("+")[0], installed["torchvision"]
        requires["vllm"] = (f"torch=={torch}", "transformers>=4.56.0", f"torchvision=={vision}", "numpy")
        requires["torchvision"] = (f"torch=={torch}", "numpy")
    return Packages(
        distributions=tuple(
            Distribution(name=name, version=version, location=SITE, requires=requires.get(name, ()))
            for name, version in installed.items()
        )
    )


def small_model() -> ModelFiles:
    """Qwen2.5-3B-Instruct as a complete folder: its published config.json and sizes."""
    config = {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_size": 2048,
        "intermediate_size": 11008,
        "max_position_embeddings": 32768,
        "num_attention_heads": 16,
        "num_hidden_layers": 36,
        "num_key_value_heads": 2,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "vocab_size": 151936,
    }
    tensor_bytes = 6_171_877_376
    return ModelFiles(
        path="/srv/models/Qwen2.5-3B-Instruct",
        found_by="path",
        config=config,
        weights=(
            WeightFile(
                name="model.safetensors", size_bytes=tensor_bytes + 50_000, tensor_bytes=tensor_bytes, tensors=434
            ),
        ),
        dtype_bytes={"BF16": tensor_bytes},
        has_chat_template=True,
    )


#: vLLM's wheel, as probes/kernels.py reads it.
KERNELS = (
    KernelLibrary(
        package="vllm",
        name="vllm/_C.abi3.so",
        common=("sm_70", "sm_75", "sm_80", "sm_89", "sm_90", "sm_100", "sm_120"),
        others=("sm_90a", "sm_100a", "sm_120a", "compute_80", "compute_90"),
        glibc="2.14",
        libstdcxx="3.4.21",
    ),
    KernelLibrary(
        package="vllm", name="vllm/vllm_flash_attn/_vllm_fa2_C.abi3.so", common=("sm_80", "compute_80"), ptx="8.8"
    ),
)


def healthy() -> dict[str, Reading[Any]]:
    """Every reading of a healthy RTX 4090 host."""
    products = tuple(Product(dtype=d, relative_error=0.001) for d in ("bfloat16", "float16"))
    return {
        "host": known(
            Host(
                system="Linux", machine="x86_64", kernel="6.8.0-60-generic", distribution="Ubuntu 22.04.5 LTS", glibc="2.35", cpus=16,
                memlock_bytes=8 * GIB, rdma_devices=(),
            )
        ),
        "environment": known(Environment()),
        "pci_gpus": known((PciGpu(address="0000:01:00.0", device_id="0x2684", driver="nvidia"),)),
        "driver": known(driver("570.124.06", "12.8")),
        "gpus": known((gpu(),)),
        "cuda": known(cuda("570.124.06", "12.8")),
        "interpreter": known(
            Interpreter(executable="/srv/env/bin/python", version="3.11.9", prefix="/srv/env", sys_path=(SITE,), purelib=SITE, chosen_by="named by --python", missing_program="")
        ),
        "packages": known(packages()),
        "kernels": known(KERNELS),
        "toolchain": known(Toolchain(cc="/usr/bin/gcc", cc_version="11.4.0", python_headers=True, nvcc="/usr/local/cuda/bin/nvcc", nvcc_version="12.8", cuda_home="/usr/local/cuda")),
        "torch": known(
            Torch(
                version="2.9.0+cu128",
                cuda="12.8",
                architectures=("sm_70", "sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"),
                location=f"{SITE}/torch",
            )
        ),
        "torch_run": known(
            TorchRun(version="2.9.0+cu128", file=f"{SITE}/torch/__init__.py", import_seconds=2.1, cuda_available=True, devices=(DeviceRun(index=0, products=products),), libstdcxx="/usr/lib/x86_64-linux-gnu/libstdc++.so.6.0.30")
        ),
        "memory": known(Memory(total_bytes=64 * GIB, available_bytes=58 * GIB)),
        "shared_memory": known(SharedMemory(total_bytes=32 * GIB, free_bytes=32 * GIB)),
        "storage": known(
            Storage(path="/srv", wanted="/srv/models", why="HF_HOME", fs_type="ext4", mount_point="/srv", total_bytes=900 * GIB, free_bytes=400 * GIB)
        ),
        "disk_speed": known(
            DiskSpeed(sample="scratch", fs_type="ext4", method="libaio, O_DIRECT", random_iops=310_000, random_latency_us=70, sequential_bytes_per_s=3.1e9, sample_bytes=256 * MIB, seconds=1)
        ),
        "port": known(Port(host="0.0.0.0", port=8000, free=True)),
        "model_files": Reading(outcome="absent", why="zai-org/AutoGLM-Phone-9B is not on this machine"),
    }  # fmt: skip


def driver(version: str, cuda: str) -> Driver:
    """A driver whose parts agree."""
    return Driver(
        version=version,
        kernel_version=version,
        library_version=version,
        cuda_version=cuda,
        nvml_code=0,
        read_by=("NVML",),
    )


def cuda(driver: str, release: str) -> Cuda:
    """What the driver's libcuda says of itself and of the 4090."""
    card = CudaDevice(
        index=0,
        name="NVIDIA GeForce RTX 4090",
        compute_capability="8.9",
        total_bytes=TOTAL_4090 - RESERVED_4090,
    )
    library = f"/usr/lib/x86_64-linux-gnu/libcuda.so.{driver}"
    return Cuda(library=library, init_code=0, driver_cuda_version=release, devices=(card,))


def gpu(**changes: Any) -> Gpu:
    """An idle RTX 4090; NVML counts half a gigabyte of it as the driver's own."""
    values: dict[str, Any] = {
        "index": 0,
        "name": "NVIDIA GeForce RTX 4090",
        "compute_capability": "8.9",
        "total_bytes": TOTAL_4090,
        "free_bytes": TOTAL_4090 - 450 * MIB,
        "reserved_bytes": RESERVED_4090,
        "uuid": "GPU-11111111-2222-3333-4444-555555555555",
        "pci_bus_id": "00000000:01:00.0",
    }
    return Gpu(**{**values, **changes})


SMALL = parse_command(["vllm", "serve", "/srv/models/Qwen2.5-3B-Instruct", "--max-model-len", "16384"])
SMALL_FILES = {"model_files": known(small_model())}


def absent(why: str) -> Reading[Any]:
    """Looked for and not there."""
    return Reading(outcome="absent", why=why)


NO_DRIVER = {
    "driver": absent("no trace of an NVIDIA driver"),
    "gpus": absent("there is no NVIDIA driver"),
    "cuda": absent("libcuda.so.1: cannot open shared object file"),
    "pci_gpus": known((PciGpu(address="0000:01:00.0", device_id="0x2684"),)),
    "torch_run": known(TorchRun(version="2.9.0+cu128", cuda_error="Found no NVIDIA driver on your system.")),
}

CUDA13 = {
    "packages": known(packages(vllm="0.23.0", torch="2.11.0", torchvision="0.26.0", transformers="5.5.3", huggingface_hub="1.9.0")),
    "torch": known(
        Torch(version="2.11.0+cu130", cuda="13.0", architectures=("sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"), location=f"{SITE}/torch")
    ),
    "driver": known(driver("535.183.01", "12.2")),
    "cuda": known(cuda("535.183.01", "12.2")),
    "torch_run": known(
        TorchRun(version="2.11.0+cu130", cuda_error="The NVIDIA driver on your system is too old (found version 12020).")
    ),
}  # fmt: skip

CPU_TORCH = {
    "torch": known(Torch(version="2.9.0+cpu", architectures=(), location=f"{SITE}/torch")),
    "torch_run": known(TorchRun(version="2.9.0+cpu", cuda_error="Torch not compiled with CUDA enabled")),
}

HELD = {
    "gpus": known((gpu(free_bytes=3 * GIB, processes=(GpuProcess(pid=4242, name="python3", used_bytes=20 * GIB),)),))
}

#: name -> intent, what differs from the healthy host
MACHINES: dict[str, tuple[Intent, dict[str, Reading[Any]]]] = {
    "4090-small-model": (SMALL, SMALL_FILES),
    "4090-autoglm-documented-flags": (default_intent(), {}),
    "no-driver": (SMALL, {**SMALL_FILES, **NO_DRIVER}),
    "535-cuda13-wheel": (SMALL, {**SMALL_FILES, **CUDA13}),
    "535-cuda128-wheel": (
        SMALL,
        {**SMALL_FILES, "driver": known(driver("535.183.01", "12.2")), "cuda": known(cuda("535.183.01", "12.2"))},
    ),
    "cpu-only-torch": (SMALL, {**SMALL_FILES, **CPU_TORCH}),
    "gpu-held-by-another": (SMALL, {**SMALL_FILES, **HELD}),
}


def write() -> None:
    """Write every reading; the recorded ones of real machines are left alone."""
    for name, (intent, changes) in MACHINES.items():
        facts = with_readings(Facts(), {**healthy(), **changes})
        saved = Saved(facts=facts, intent=intent, matrix_date=load_matrix().generated)
        (FOLDER / f"{name}.json").write_text(json.dumps(encode(saved), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
