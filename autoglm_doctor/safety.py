"""Production is never at risk: when, and on what, the final stage may load a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autoglm_doctor.domain.deployment import taken_gpus, visible_gpus
from autoglm_doctor.domain.model import checkpoint_bytes, model_config, preprocessor_config
from autoglm_doctor.domain.native import is_native
from autoglm_doctor.facts import Facts, Gpu, GpuProcess, Reading
from autoglm_doctor.intent import SMOKE, Intent
from autoglm_doctor.limits import FINAL_STAGE_SECONDS
from autoglm_doctor.options import Options

_GIB = 1 << 30

#: Left free on the GPU for whoever else is there.
SPARE_BYTES = _GIB

#: A CUDA context with the kernels of one matrix product (seen: 0.5 GiB on H100 and L40S).
CONTEXT_BYTES = _GIB // 2

#: What the smoke model takes on a GPU: the CUDA context, cuBLAS workspaces and a few MiB of tensors.
SMOKE_BYTES = 2 * _GIB

#: Weights, plus activations and workspaces of one sequence with one picture (transformers keeps no KV pool).
OVERHEAD = 1.15


def busy_gpus(facts: Facts, environ: Mapping[str, str]) -> bool:
    """Whether even a CUDA context and a small product would be unkind: GPUs in use, or with hardly anything free.

    Only the GPUs that the deployment can see: torch touches no other.
    """
    visible = visible_gpus(facts.gpus.value or (), environ)
    return any(computing(gpu) or (gpu.memory_read and gpu.free_bytes < CONTEXT_BYTES + SPARE_BYTES) for gpu in visible)


def computing(gpu: Gpu) -> list[GpuProcess]:
    """The processes that compute on it: a desktop does not count."""
    return [process for process in gpu.processes if process.compute]


def final_stage_arguments(facts: Facts, intent: Intent, options: Options) -> Mapping[str, Any] | Reading[Any]:
    """The arguments of the load probe, or the reason why no model is run."""
    if options.final_stage == "none":
        return Reading(outcome="not_run", why="--final-stage none")
    if is_native(intent):
        return Reading(outcome="not_run", why="llama.cpp is a program: torch would prove nothing about it")
    if facts.interpreter.value is None:
        return Reading(outcome="absent", why="there is no interpreter to run a model with")
    missing = _missing_packages(facts)
    if missing:
        return Reading(outcome="absent", why=f"{missing} is not installed in {facts.interpreter.value.executable}")
    model = _model(facts, intent, options)
    if isinstance(model, Reading):
        return model
    device = _device(facts, intent)
    if isinstance(device, Reading):
        return device
    refusal = _refusal(facts, intent, model, device, options)
    if refusal:
        return Reading(outcome="not_run", why=refusal)
    return {
        **(_random(facts, intent, options) if model != SMOKE else {}),
        "model": model,
        "device": device,
        "dtype": None,
        "new_tokens": 32,
        "seconds": FINAL_STAGE_SECONDS * options.timeout_scale,
        "allow_remote_code": options.allow_remote_code,
    }


def _random(facts: Facts, intent: Intent, options: Options) -> Mapping[str, Any]:
    """What random weights are made from."""
    if options.weights != "random":
        return {}
    files = facts.model_files.value
    return {
        "weights": "random",
        "config": model_config(intent, files),
        "preprocessor": dict(preprocessor_config(intent, files)),
    }


def _missing_packages(facts: Facts) -> str:
    packages = facts.packages.value
    installed = {d.name.lower() for d in packages.distributions} if packages else set()
    return next((name for name in ("torch", "transformers") if name not in installed), "")


def _model(facts: Facts, intent: Intent, options: Options) -> str | Reading[Any]:
    files = facts.model_files.value
    if options.weights == "random" and intent.model != SMOKE:
        if model_config(intent, files) is None:
            return Reading(outcome="not_run", why=f"random weights need the config.json of {intent.model}")
        return intent.model
    # transformers could run GGUF, but in other numbers than llama.cpp does: that would prove nothing.
    whole = files is not None and files.found_by != "gguf" and bool(files.weights)
    whole = whole and files is not None and not any(w.fault for w in files.weights)
    if intent.model == SMOKE or options.final_stage == "smoke":
        return SMOKE
    if whole and files is not None:
        return files.path
    if options.final_stage == "transformers":
        return Reading(outcome="not_run", why="--final-stage transformers needs the whole model on this machine")
    return SMOKE


def _device(facts: Facts, intent: Intent) -> str | Reading[Any]:
    run = facts.torch_run.value
    if intent.device == "cpu":
        return "cpu"
    if run is not None and run.cuda_available:
        return "cuda"
    if intent.device == "auto" and not facts.gpus.value:
        return "cpu"
    return Reading(outcome="absent", why="torch cannot use a GPU here")


def _refusal(facts: Facts, intent: Intent, model: str, device: str, options: Options) -> str:
    """Why it would be unkind to load now; "" when nothing speaks against it."""
    if device != "cuda" or options.force:
        return ""
    gpu = _first_visible(facts, intent)
    if gpu is None:
        return "the memory of the GPU is not known; --force runs the model all the same"
    if computing(gpu):
        names = ", ".join(f"{p.name or 'process'} ({p.pid})" for p in computing(gpu)[:3])
        return f"GPU {gpu.index} is in use by {names}; --force runs the model all the same"
    weights = SMOKE_BYTES if model == SMOKE else checkpoint_bytes(intent, facts.model_files.value)
    need = weights if model == SMOKE or weights is None else int(weights * OVERHEAD) + SMOKE_BYTES
    if not gpu.memory_read:
        return f"the free memory of GPU {gpu.index} is not known; --force runs the model all the same"
    if need is None or need > gpu.free_bytes - SPARE_BYTES:
        size = "an unknown amount" if need is None else f"{need / _GIB:.1f} GiB"
        return f"the run would take {size} of {gpu.free_bytes / _GIB:.1f} GiB free on GPU {gpu.index}"
    return ""


def _first_visible(facts: Facts, intent: Intent) -> Gpu | None:
    """The GPU that cuda:0 is for the deployment."""
    taken = taken_gpus(facts.gpus.value or (), facts.cuda.value, facts.environment.value, intent)
    return taken[0].gpu if taken else None
