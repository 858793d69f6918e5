"""The GPUs themselves: enough of them are visible, and they take new programs."""

from __future__ import annotations

from dataclasses import dataclass

from autoglm_doctor.api import (
    Cuda,
    Environment,
    Findings,
    Fix,
    Gpu,
    Intent,
    Judgement,
    Text,
    check,
    fail,
    not_applicable,
    ok,
    warn,
)
from autoglm_doctor.domain.launch_line import can_change, changed, line

VARIABLE = "CUDA_VISIBLE_DEVICES"

#: nvmlComputeMode_t (nvml.h).
MODES = {1: "exclusive thread", 2: "prohibited", 3: "exclusive process"}


@dataclass(frozen=True, slots=True)
class Selection:
    """What CUDA_VISIBLE_DEVICES leaves over."""

    gpus: tuple[Gpu, ...]
    unknown: str | None = None  # the first entry that names nothing: CUDA ignores it and all after it


@check("GPU001", "gpus-visible", cause="TOO_FEW_GPUS", explained_by=("DRV001", "CUD001"))
def gpus_visible(gpus: tuple[Gpu, ...], cuda: Cuda | None, environment: Environment | None, intent: Intent) -> Findings:
    """The deployment sees as many GPUs as it takes.

    It takes tensor x pipeline x data parallel GPUs. NVML shows all GPUs of the machine (or container);
    CUDA_VISIBLE_DEVICES may leave fewer: set but empty hides all of them, and from the first entry that names no GPU
    on, CUDA ignores the rest. Where CUDA really started, its own count decides. A GPU in compute mode "prohibited"
    takes no program at all, in an exclusive mode only one.

    ## Fix

    Correct the variable, or lower --tensor-parallel-size to what is there.
    """
    if intent.device == "cpu":
        yield not_applicable(Text("the deployment runs on the CPU"))
        return
    value = environment.variables.get(VARIABLE) if environment else None
    if intent.device == "auto" and value is not None and value.strip() in ("", "-1"):
        yield not_applicable(Text("CUDA_VISIBLE_DEVICES hides the GPUs: everything is judged for the CPU"))
        return
    selection = select(gpus, value)
    counted = len(cuda.devices) if cuda is not None and cuda.init_code == 0 else None
    yield _count(gpus, selection, value, counted, intent)
    for gpu in selection.gpus:
        if gpu.compute_mode in MODES:
            yield _mode(gpu)


def select(gpus: tuple[Gpu, ...], value: str | None) -> Selection:
    """The GPUs that a value of CUDA_VISIBLE_DEVICES leaves, by CUDA's rules; numbers in NVML's order."""
    if value is None:
        return Selection(gpus)
    found: list[Gpu] = []
    for word in value.split(",") if value.strip() else []:
        gpu = _named(gpus, word.strip())
        if gpu is None:
            return Selection(tuple(found), word.strip())
        if gpu not in found:
            found.append(gpu)
    return Selection(tuple(found))


def _named(gpus: tuple[Gpu, ...], word: str) -> Gpu | None:
    if word.isdigit():
        return gpus[int(word)] if int(word) < len(gpus) else None
    if word.startswith("MIG-"):  # UUIDs of slices are not read; one that is wrong shows in CUDA's own count
        return next((gpu for gpu in gpus if gpu.mig), None)
    return next((gpu for gpu in gpus if word and gpu.uuid.startswith(word)), None)


def _count(
    gpus: tuple[Gpu, ...], selection: Selection, value: str | None, counted: int | None, intent: Intent
) -> Judgement:
    needed = intent.gpus_needed
    n = len(selection.gpus) if counted is None else counted
    said = {"n": n, "all": len(gpus), "needed": needed, "value": value, "entry": selection.unknown}
    hidden = value is not None and len(gpus) > n
    if n < needed and hidden:
        text = Text('CUDA_VISIBLE_DEVICES="{value}" leaves {n} of {all} GPU(s), {needed} are needed', said)
        return fail(text, fix=_variable(needed), cause="CUDA_VISIBLE_DEVICES_HIDES_GPUS", observed=n, expected=needed)
    if n < needed:
        text = Text("{needed} GPU(s) are needed, {n} can be seen", said)
        return fail(text, fix=_fewer(n, intent), cause="" if gpus else "NO_GPU", observed=n, expected=needed)
    if selection.unknown is not None and counted is None:
        text = Text('CUDA_VISIBLE_DEVICES names "{entry}", which is not there; CUDA ignores it and all after it', said)
        return warn(text, fix=_variable(needed), cause="CUDA_VISIBLE_DEVICES_HIDES_GPUS", observed=value)
    return ok(Text("{n} GPU(s) can be seen, {needed} needed", said), observed=n, expected=needed)


def _variable(needed: int) -> Fix:
    numbers = ",".join(map(str, range(needed)))
    return Fix(
        text=Text("unset the variable, or name GPUs that exist"),
        commands=("nvidia-smi -L", f"export {VARIABLE}={numbers}"),
    )


def _fewer(n: int, intent: Intent) -> tuple[Fix, ...]:
    find = Fix(
        text=Text("see which GPUs the machine has and which ones answer"),
        commands=("nvidia-smi -L", "lspci -d 10de:", "sudo dmesg | grep -i xid"),
        effort="hardware",
    )
    if not n or not can_change(intent, "tensor_parallel") or intent.gpus_needed != intent.launch.tensor_parallel:
        return (find,)
    size = 1 << (n.bit_length() - 1)  # a power of two, so that it divides the heads
    command = line(changed(intent, {"tensor_parallel": size}))
    return (Fix(text=Text("spread the model over fewer GPUs"), commands=(command,), effort="flag"), find)


def _mode(gpu: Gpu) -> Judgement:
    said = {"mode": MODES[gpu.compute_mode]}
    fix = Fix(
        text=Text("set the default mode"),
        commands=(f"sudo nvidia-smi -i {gpu.index} -c DEFAULT",),
        needs_root=True,
    )
    subject = f"gpu:{gpu.index}"
    busy = any(process.used_bytes for process in gpu.processes)
    if gpu.compute_mode == 2:
        text = Text("compute mode {mode}: no program may use it", said)
        return fail(text, fix=fix, subject=subject, cause="GPU_COMPUTE_MODE")
    if busy:
        text = Text("compute mode {mode}, and another program has it", said)
        return fail(text, fix=fix, subject=subject, cause="GPU_COMPUTE_MODE")
    text = Text("compute mode {mode}: only one process may use it, an engine with several may fail", said)
    return warn(text, fix=fix, subject=subject, cause="GPU_COMPUTE_MODE")
