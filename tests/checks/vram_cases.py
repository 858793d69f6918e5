"""What the tests of VRM share."""

import dataclasses

from autoglm_doctor.checks.kv_cache import kv_cache_fits
from autoglm_doctor.checks.vram import gpu_memory_free, weights_fit
from autoglm_doctor.facts import (
    Distribution,
    Gpu,
    GpuProcess,
    ModelFiles,
    Packages,
    WeightFile,
)
from autoglm_doctor.launch import default_intent
from autoglm_doctor.testing import judge

GIB = 2**30
README = default_intent()
CHECKS = (gpu_memory_free, weights_fit, kv_cache_fits)


def gpu(
    total=24.0,
    *,
    reserved=0.45,
    free=None,
    name="NVIDIA GeForce RTX 4090",
    capability="8.9",
    index=0,
    processes=(),
    mig=False,
):
    left = total - reserved - 0.05 if free is None else free
    return Gpu(
        index=index,
        name=name,
        compute_capability=capability,
        total_bytes=int(total * GIB),
        reserved_bytes=int(reserved * GIB),
        free_bytes=int(left * GIB),
        uuid=f"GPU-{index}{index}",
        processes=processes,
        mig=mig,
    )


def vllm(version="0.33.0"):
    return Packages(distributions=(Distribution(name="vllm", version=version),))


def h100(**rest):
    return gpu(80.0, name="NVIDIA H100 80GB HBM3", capability="9.0", **rest)


def with_launch(**values):
    return dataclasses.replace(README, launch=dataclasses.replace(README.launch, **values))


def one(check, **given):
    findings = judge(check, **{"packages": vllm(), **given})
    assert len(findings) == 1, findings
    return findings[0]


NOTEBOOK = (GpuProcess(pid=4711, name="jupyter", used_bytes=13 * GIB), GpuProcess(pid=815, name="", used_bytes=None))


def files_of(gib, **config):
    size = int(gib * GIB)
    return ModelFiles(
        path="/models/x",
        config=config,
        weights=(WeightFile(name="model.safetensors", size_bytes=size, tensor_bytes=size),),
        dtype_bytes={"BF16": size},
    )
