"""Machines with one fault each, in loose facts: what `diagnose` must call it, and what becomes of it after the cure.

The cure is the first fix that our own report offers, done to the facts by `cure.py`; where no line of it changes facts
(a reboot, a power supply, a bigger disk) `by_hand` says what it changes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Facts = dict[str, Any]


@dataclass(frozen=True)
class Ill:
    name: str
    cause: str
    facts: Facts
    by_hand: Facts = field(default_factory=dict)  # keys that the cure changes; None takes a key away


def _ill(name: str, cause: str, by_hand: Facts | None = None, **facts: Any) -> Ill:
    return Ill(name, cause, facts, by_hand or {})


_SM_OLD = ["sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90"]
_SM_NEW = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"]
_SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
_4090 = {"name": "RTX 4090", "memory_gb": 24}
_CUDNN = {"torch": "2.9.1", "transformers": "4.57.1", "nvidia-cudnn-cu12": "9.10.2.21"}
_IN_13 = {"torch": "2.11.0", "transformers": "5.6.0"}

DRIVER = (
    _ill("a wheel for CUDA 13, a driver of 12", "DRIVER_TOO_OLD", driver_version="565.57.01", torch="2.12.0", gpus=["L40S"]),
    _ill("a vLLM for CUDA 13, a driver of 12", "DRIVER_TOO_OLD", driver_version="550.163.01", gpus=["A100 PCIe 80GB"], engine="vllm 0.23.0", packages={"vllm": "0.23.0", **_IN_13}, torch="2.11.0", python="3.12.4", os="Ubuntu 22.04"),
    _ill("an SGLang for CUDA 13, a driver of 12", "DRIVER_TOO_OLD", driver_version="535.183.06", gpus=["H100 SXM"], engine="sglang 0.5.12", packages={"sglang": "0.5.12", **_IN_13}, torch="2.11.0", python="3.12.4", os="Ubuntu 22.04"),
    _ill("a wheel for CUDA 12, a driver of 11", "DRIVER_TOO_OLD", driver_version="470.256.02", torch="2.4.1+cu121", gpus=["T4"], os="Ubuntu 20.04"),
    _ill("a Pascal under a driver that dropped it", "DRIVER_DROPPED_GPU", driver_version="590.48.01", gpus=["P40"], torch="2.7.1+cu118"),
    _ill("a Blackwell under a driver from before it", "DRIVER_TOO_OLD", driver_version="550.163.01", gpus=["RTX 5090"], torch="2.8.0+cu128", python="3.12.1"),
    _ill("kernels in PTX that the driver does not know", "DRIVER_TOO_OLD", driver_version="570.172.08", gpus=["RTX 5090"], engine="vllm 0.13.0", python="3.12.3", packages={"vllm": "0.13.0", "torch": "2.9.0"}, torch="2.9.0+cu128"),
    _ill("an engine's wheel for CUDA 13, torch not stated", "DRIVER_TOO_OLD", driver_version="560.35.05", gpus=["A40"], engine="vllm 0.21.0", python="3.12.3"),
    _ill("cuda-compat over a driver that is newer", "CUDA_COMPAT_LIB_SHADOWS_DRIVER", gpus=["RTX A6000"], driver_version="580.105.08", cuda_driver_version="13.0", env={"VLLM_ENABLE_CUDA_COMPATIBILITY": "1"}, engine="vllm 0.15.0"),
    _ill("an old cuDNN before torch's", "CUDA_LIBS_SHADOWED", torch="1.12.1+cu116", env={"LD_LIBRARY_PATH": "/opt/modules/cudnn-8.0.5/lib64:/srv/lib"}, python="3.9.7", gpus=["A100 PCIe"]),
    _ill("an old cuDNN and an old CUDA before torch's", "CUDA_LIBS_SHADOWED", torch="1.12.1+cu116", env={"LD_LIBRARY_PATH": "/sw/cudnn/8.0.5/lib64:/sw/cuda/11.0/lib64:/usr/local/cuda/lib64"}, python="3.9.7"),
    _ill("expandable segments in WSL", "WSL_EXPANDABLE_SEGMENTS", os="Ubuntu 24.04 on WSL2", driver_version="576.88", gpus=["RTX 4080"], env={"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}, torch="2.8.0+cu128"),
    _ill("an address for a port", "ENV_VAR_OVERRIDE_WRONG", env={"VLLM_PORT": "tcp://10.96.0.12:8000"}, engine="vllm 0.12.0"),
    _ill("a word for a size", "ENV_VAR_OVERRIDE_WRONG", env={"NCCL_BUFFSIZE": "many"}, engine="vllm 0.12.0", gpus=["L4"] * 2, engine_args={"tensor_parallel_size": 2}),
    _ill("locked memory of 64 KiB", "MEMLOCK_LIMIT_LOW", ulimit_memlock_kib=64, gpus=["H100 SXM"] * 8, engine="vllm 0.12.0", engine_args={"tensor_parallel_size": 8, "pipeline_parallel_size": 2, "nnodes": 2}, container="docker"),
    _ill("ACS between two cards", "P2P_BROKEN_ACS_IOMMU", acs=True, gpus=["L4"] * 2, engine="vllm 0.12.0", engine_args={"tensor_parallel_size": 2}),
    _ill("libraries of one driver, the module of another", "NVML_DRIVER_LIBRARY_MISMATCH", {"kernel_module_version": "550.163.01"}, kernel_module_version="550.90.07", driver_library_version="550.163.01", gpus=["RTX 4090"]),
    _ill("NVSwitches without their manager", "FABRIC_MANAGER_MISSING", fabric_state="in progress", gpus=["H200"] * 8, driver_version="570.172.08"),
    _ill("an image for a newer CUDA", "CONTAINER_REQUIRES_NEWER_CUDA", {"env": {"NVIDIA_REQUIRE_CUDA": "cuda>=12.9", "NVIDIA_DISABLE_REQUIRE": "1"}}, env={"NVIDIA_REQUIRE_CUDA": "cuda>=12.9 brand=unknown,driver>=535,driver<536 brand=tesla,driver>=535,driver<536"}, driver_version="550.144.03", gpus=["RTX 4090"], container="docker"),
    _ill("a module without an enrolled key", "SECURE_BOOT_BLOCKS_MODULE", {"mok_enrolled": True}, secure_boot="enabled", mok_enrolled="no", os="Ubuntu 24.04"),
    _ill("no container toolkit", "CONTAINER_TOOLKIT_MISSING", {"nvidia_container_toolkit": "1.17.4"}, nvidia_container_toolkit="missing", driver_version="570.172.08", container="docker"),
    _ill("a GPU that fell off the bus", "GPU_FELL_OFF_BUS", {"xid": None}, xid=79, gpus=["RTX 3090"] * 2),
    _ill("a variable that names a GPU too many", "CUDA_VISIBLE_DEVICES_HIDES_GPUS", env={"CUDA_VISIBLE_DEVICES": "1"}, gpus=["RTX 4090"]),
    _ill("a variable that hides all GPUs", "CUDA_VISIBLE_DEVICES_HIDES_GPUS", env={"CUDA_VISIBLE_DEVICES": ""}, gpus=["A10"], engine="vllm 0.12.0"),
)  # fmt: skip

WHEELS = (
    _ill("a Blackwell, a wheel from before it", "GPU_ARCH_NOT_IN_WHEEL", torch="2.6.0+cu124", gpus=["RTX 5080"], driver_version="575.64.03", python="3.11.2", torch_arch_list=_SM_OLD),
    _ill("a Blackwell under vLLM, a wheel from before it, a driver of CUDA 12.8", "GPU_ARCH_NOT_IN_WHEEL", torch="2.7.1+cu126", gpus=["RTX 5070 Ti"], driver_version="570.153.02", python="3.12.2", torch_arch_list=_SM_OLD, engine="vllm 0.9.2.dev12"),
    _ill("a Volta, a wheel that dropped it", "GPU_ARCH_NOT_IN_WHEEL", torch="2.11.0+cu128", gpus=["V100 SXM2"], driver_version="570.172.08", python="3.11.2", torch_arch_list=_SM_NEW),
    _ill("an Ampere, CUDA 10.2", "GPU_ARCH_NOT_IN_WHEEL", torch="1.12.1", torch_cuda="10.2", gpus=["RTX 3060"], driver_version="535.183.01", torch_arch_list=["sm_37", "sm_50", "sm_60", "sm_70"], python="3.10.4"),
    _ill("vLLM on a Pascal", "GPU_TOO_OLD_FOR_ENGINE", engine="vllm 0.9.2", gpus=["P40"], torch="2.7.0"),
    _ill("SGLang on a Turing", "GPU_TOO_OLD_FOR_ENGINE", engine="sglang 0.5.6", gpus=["T4"], torch="2.9.1"),
    _ill("vLLM 0.22 on a Volta", "GPU_TOO_OLD_FOR_ENGINE", engine="vllm 0.22.0", gpus=["V100 PCIe"], driver_version="580.95.05"),
    _ill("a wheel for the CPU", "CPU_ONLY_TORCH", torch="2.10.0+cpu", gpus=["RTX 3090"], driver_version="570.172.08", python="3.12.1", os="Ubuntu 24.04"),
    _ill("a torchvision of another torch", "TORCH_COMPANION_MISMATCH", torch="2.8.0+cu128", packages={"torch": "2.8.0", "torchvision": "0.21.0"}, gpus=["RTX 4090"]),
    _ill("a flash-attn of another torch", "EXTENSION_ABI_MISMATCH", torch="2.8.0+cu128", packages={"torch": "2.8.0+cu128", "flash-attn": "2.8.3+cu12torch2.6cxx11abiFALSE"}),
    _ill("torch replaced under vLLM", "VLLM_TORCH_MISMATCH", engine="vllm 0.11.0", packages={"vllm": "0.11.0", "torch": "2.9.1", "transformers": "4.57.1"}, python="3.12.3"),
    _ill("torch and transformers replaced under vLLM", "VLLM_TORCH_MISMATCH", engine="vllm 0.15.1", packages={"vllm": "0.15.1", "torch": "2.10.0", "transformers": "5.2.0"}, python="3.12.3"),
    _ill("torch for another CUDA than vLLM", "VLLM_CUDA_VARIANT_MISMATCH", engine="vllm 0.22.0", torch="2.11.0+cu128", driver_version="580.95.05", python="3.12.3", gpus=["L4"]),
    _ill("torch for CUDA 11, a vLLM from before the tables", "VLLM_CUDA_VARIANT_MISMATCH", engine="vllm 0.3.0", packages={"vllm": "0.3.0"}, torch_cuda="11.8", torch="2.1.2+cu118"),
    _ill("torch for another CUDA, an old driver", "VLLM_CUDA_VARIANT_MISMATCH", engine="vllm 0.22.0", torch="2.11.0+cu128", driver_version="550.163.01", python="3.12.3", gpus=["L4"]),
    _ill("slow pictures of torch 2.9", "CUDNN_CONV3D_REGRESSION", torch="2.9.1", model="Qwen/Qwen3-VL-8B-Instruct", packages=_CUDNN, gpus=["A100 PCIe 80GB"]),
    _ill("SGLang refuses torch 2.9.1", "CUDNN_CONV3D_REGRESSION", engine="sglang 0.5.8", torch="2.9.1", model="Qwen/Qwen3-VL-8B-Instruct", packages={"sglang": "0.5.8", **_CUDNN}, gpus=["A100 PCIe 80GB"]),
    _ill("a triton of another torch", "TRITON_TORCH_MISMATCH", engine="vllm 0.11.0", packages={"torch": "2.8.0", "triton": "3.2.0", "vllm": "0.11.0"}, os="Ubuntu 22.04"),
)  # fmt: skip

PACKAGES = (
    _ill("a package that asks for NumPy 1", "NUMPY2_ABI", packages={"numpy": "2.2.0", "thinc": "8.2.5"}, requires={"thinc": ["numpy<2"]}, python="3.11.9"),
    _ill("torch from before NumPy 2", "NUMPY2_ABI", packages={"torch": "2.1.2+cu121", "numpy": "2.2.1"}, driver_version="550.163.01", gpus=["A10"]),
    _ill("a SciPy from before NumPy 2", "NUMPY2_ABI", packages={"transformers": "4.57.1", "numpy": "2.2.1", "scipy": "1.11.4"}),
    _ill("a scikit-learn from before NumPy 2", "NUMPY2_ABI", packages={"transformers": "4.55.4", "numpy": "2.0.2", "scikit-learn": "1.3.2"}),
    _ill("a huggingface-hub outside the table's range", "HF_LIBS_CONFLICT", packages={"transformers": "4.56.2", "huggingface-hub": "1.5.0"}),
    _ill("a tokenizers outside the table's range", "HF_LIBS_CONFLICT", packages={"transformers": "4.53.3", "tokenizers": "0.22.1"}),
    _ill("a release that fails on the model and is too old for the engine", "KNOWN_BAD_RELEASE", model="zai-org/GLM-4.1V-9B-Thinking", packages={"transformers": "4.53.0", "vllm": "0.10.0"}, engine="vllm 0.10.0", python="3.11.9"),
    _ill("a torchaudio of another torch", "TORCH_COMPANION_MISMATCH", packages={"torch": "2.8.0", "torchaudio": "2.6.0"}),
    _ill("a torchvision of another torch, whatever its CUDA", "TORCH_COMPANION_MISMATCH", packages={"torch": "2.9.1", "torchvision": "0.22.1"}, container="docker"),
    _ill("an xformers of another torch", "EXTENSION_ABI_MISMATCH", packages={"torch": "2.9.1", "xformers": "0.0.30"}),
    _ill("cuDNN for two majors of CUDA", "CUDA_MAJOR_MIXED_PACKAGES", packages={"torch": "2.9.1+cu128", "nvidia-cudnn-cu12": "9.10.2.21", "nvidia-cudnn-cu13": "9.15.0.57"}),
    _ill("a Python too new for the engine", "PYTHON_UNSUPPORTED", python="3.14.0", engine="vllm 0.11.0"),
    _ill("an old glibc for the engine", "GLIBC_TOO_OLD", os="Ubuntu 20.04", engine="vllm 0.20.0", python="3.12.3", driver_version="580.95.05", gpus=["L4"]),
    _ill("an old glibc for SGLang's kernels", "GLIBC_TOO_OLD", libc="glibc-2.31", engine="sglang 0.5.12", python="3.12.3"),
    _ill("a huggingface-hub of the other world", "HF_LIBS_CONFLICT", packages={"transformers": "4.57.1", "huggingface-hub": "1.3.0"}, requires={"transformers": ["huggingface-hub<1.0,>=0.34.0"]}, python="3.11.9"),
    _ill("transformers 5, vLLM 0.12", "TRANSFORMERS_TOO_NEW_FOR_ENGINE", engine="vllm 0.12.0", packages={"vllm": "0.12.0", "transformers": "5.0.0rc0"}, python="3.11.9"),
    _ill("transformers 5, vLLM 0.10", "TRANSFORMERS_TOO_NEW_FOR_ENGINE", engine="vllm 0.10.0", packages={"vllm": "0.10.0", "transformers": "5.1.0"}, python="3.11.9"),
    _ill("a newer transformers than SGLang's", "TRANSFORMERS_TOO_NEW_FOR_ENGINE", engine="sglang 0.5.7", packages={"sglang": "0.5.7", "transformers": "5.2.0"}, python="3.11.9"),
    _ill("an older transformers than vLLM's", "TRANSFORMERS_TOO_OLD_FOR_ENGINE", engine="vllm 0.24.0", packages={"vllm": "0.24.0", "transformers": "4.57.1"}, python="3.11.9"),
    _ill("transformers from before the model", "TRANSFORMERS_TOO_OLD_FOR_MODEL", model="zai-org/AutoGLM-Phone-9B", packages={"transformers": "4.51.3"}, engine="transformers", python="3.11.9"),
    _ill("an engine from before the model", "ENGINE_TOO_OLD_FOR_MODEL", model="zai-org/AutoGLM-Phone-9B", engine="vllm 0.9.0", packages={"vllm": "0.9.0", "transformers": "4.53.2"}, python="3.11.9", driver_version="570.172.08"),
    _ill("a release that fails on the model", "KNOWN_BAD_RELEASE", model="zai-org/GLM-4.1V-9B-Thinking", packages={"transformers": "4.53.0"}, engine="transformers", python="3.11.9"),
    _ill("a release that fails on the model, under vLLM", "KNOWN_BAD_RELEASE", model="zai-org/GLM-4.1V-9B-Thinking", packages={"transformers": "4.53.1"}, engine="vllm 0.9.2", python="3.11.9"),
    _ill("Open-AutoGLM's two demands", "TRANSFORMERS_TOO_NEW_FOR_ENGINE", engine="vllm 0.12.0", packages={"vllm": "0.12.0", "transformers": "5.0.0rc0"}, model="zai-org/AutoGLM-Phone-9B", python="3.11.9"),
    _ill("a model that needs what the engine refuses", "TRANSFORMERS_TOO_NEW_FOR_ENGINE", engine="sglang 0.5.7", packages={"sglang": "0.5.7", "transformers": "5.0.0"}, model="zai-org/GLM-Image", python="3.11.9"),
    _ill("no nvcc for SGLang", "NVCC_MISSING_FOR_JIT", nvcc="not found", engine="sglang 0.5.9", gpus=["RTX 4090"]),
    _ill("no compiler for Triton", "COMPILER_OR_HEADERS_MISSING", gcc="not found", engine="vllm 0.12.0", gpus=["RTX 4090"]),
    _ill("a ptxas of CUDA 12 on a driver of 11", "TRITON_PTXAS_NEWER_THAN_DRIVER", driver_version="470.199.02", torch="2.1.2+cu118", packages={"torch": "2.1.2+cu118", "triton": "2.1.0"}, gpus=["A100 PCIe"]),
    _ill("a Python without wheels for the engine", "PYTHON_UNSUPPORTED", {"python": "3.12.4"}, python="3.8.10", engine="vllm", packages={"torch": "2.4.1"}, gpus=["L4"]),
    _ill("vLLM on Windows", "OS_UNSUPPORTED_BY_ENGINE", os="Windows 11", engine="vllm 0.12.0"),
    _ill("an old glibc", "GLIBC_TOO_OLD", {"os": "Ubuntu 22.04", "libc": "glibc-2.35"}, os="CentOS 7", libc="glibc-2.17", torch="2.8.0+cu128", engine="vllm 0.11.0"),
)  # fmt: skip

MEMORY = (
    _ill("bfloat16 on a Turing", "BF16_UNSUPPORTED_GPU", gpus=["T4"], engine="vllm 0.11.0", model="Qwen/Qwen2.5-3B-Instruct", model_dtype="bfloat16", engine_args={"dtype": "bfloat16", "max_model_len": 4096}),
    _ill("AWQ on a Volta", "QUANT_UNSUPPORTED_GPU", gpus=["V100 PCIe"], engine="vllm 0.10.0", model="Qwen/Qwen2.5-7B-Instruct-AWQ", engine_args={"dtype": "float16", "max_model_len": 4096}),
    _ill("weights larger than the card", "VRAM_TOO_SMALL_FOR_WEIGHTS", gpus=[_4090] * 2, engine="vllm 0.11.0", model="Qwen/Qwen2.5-14B-Instruct", engine_args={"max_model_len": 8192, "tensor_parallel_size": 1}, ram_gib=128),
    _ill("no room for the KV cache", "KV_CACHE_TOO_SMALL", gpus=[_4090], engine="vllm 0.12.0", model="zai-org/AutoGLM-Phone-9B", engine_args={"max_model_len": 25480, "limit_mm_per_prompt": {"image": 10}}, ram_gib=128),
    _ill("memory taken by others", "GPU_MEMORY_TAKEN_BY_OTHERS", {"gpus": [_4090]}, gpus=[{"name": "RTX 4090", "total_gpu_memory_gib": 23.6, "free_gib": 9.0}], engine="vllm 0.11.0", model="Qwen/Qwen2.5-3B-Instruct", engine_args={"max_model_len": 8192}),
    _ill("main memory too small", "RAM_TOO_SMALL", {"ram_gib": 64}, ram_gib=4, gpus=[_4090], engine="sglang 0.5.5", model="Qwen/Qwen2.5-7B-Instruct"),
    _ill("shared memory of a container", "SHM_TOO_SMALL", shm="64M", gpus=["A100 PCIe 80GB"] * 2, engine="vllm 0.12.0", container="docker", engine_args={"tensor_parallel_size": 2}),
    _ill("a longer context than the model has", "CONTEXT_TOO_LONG_FOR_MODEL", model="Qwen/Qwen2.5-7B-Instruct", engine="vllm 0.11.0", engine_args={"max_model_len": 200000}, gpus=[{"name": "H200", "memory_gb": 141}]),
    _ill("heads that do not divide", "TENSOR_PARALLEL_DOES_NOT_DIVIDE", model="Qwen/Qwen2.5-7B-Instruct", engine="vllm 0.11.0", engine_args={"tensor_parallel_size": 3}, gpus=["L40S"] * 3),
    _ill("fewer GPUs than the split", "TOO_FEW_GPUS", model="Qwen/Qwen2.5-7B-Instruct", engine="vllm 0.11.0", engine_args={"tensor_parallel_size": 4}, gpus=["L40S"] * 2),
)  # fmt: skip

FILES = (
    _ill("a full disk", "DISK_FULL", {"disk": {"free_gib": 200}}, disk="no space left on device", model="zai-org/AutoGLM-Phone-9B"),
    _ill("no way to the hub", "HUB_UNREACHABLE", network="huggingface.co is blocked", model="zai-org/AutoGLM-Phone-9B"),
    _ill("a proxy for localhost", "PROXY_INTERCEPTS_LOCALHOST", env={"http_proxy": "http://proxy:3128"}),
    _ill("pointers instead of weights", "MODEL_FILES_LFS_POINTER", model_files=dict.fromkeys(_SHARDS, 134), model_path="/srv/model"),
    _ill("a shard that is missing", "MODEL_SHARD_MISSING", model_files={_SHARDS[0]: 4_000_000_000, _SHARDS[1]: "missing"}, model_path="/srv/model"),
    _ill("a slow disk", "SLOW_MODEL_STORAGE", {"disk": {"sequential_mb_s": 2500}}, disk={"sequential_mb_s": 40}, model="zai-org/AutoGLM-Phone-9B"),
    _ill("a chat template that is missing", "CHAT_TEMPLATE_MISSING", {"chat_template": True}, model="Qwen/Qwen2.5-3B", chat_template=False, engine="vllm 0.11.0", config={"model_type": "qwen2"}),
)  # fmt: skip

CASES = (*DRIVER, *WHEELS, *PACKAGES, *MEMORY, *FILES)
