"""The GPUs themselves: they answer, enough of them are visible, and they take new programs."""

from __future__ import annotations

import re
from dataclasses import dataclass

from autoglm_doctor.api import (
    Cuda,
    Driver,
    Environment,
    Findings,
    Fix,
    Gpu,
    Host,
    Intent,
    Judgement,
    Reading,
    Text,
    check,
    fail,
    not_applicable,
    ok,
    unknown,
    warn,
)
from autoglm_doctor.domain.deployment import gpus_here, is_number, over_ray, runs_on_cpu, taken_gpus, variables_of
from autoglm_doctor.domain.driver.faults import NO_PERMISSION, gpu_in, refused, slow_driver, unread_gpus
from autoglm_doctor.domain.launch_line import can_change, changed, line

VARIABLE = "CUDA_VISIBLE_DEVICES"

#: nvmlComputeMode_t (nvml.h).
MODES = {1: "exclusive thread", 2: "prohibited", 3: "exclusive process"}


@dataclass(frozen=True, slots=True)
class Selection:
    """What CUDA_VISIBLE_DEVICES leaves over."""

    gpus: tuple[Gpu, ...]
    unknown: str | None = None  # the first entry that names nothing: CUDA ignores it and all after it


@check(
    "GPU001",
    "gpus-visible",
    cause="TOO_FEW_GPUS",
    explained_by=("DRV001", "DRV002", "DRV004", "GPU002", "GPU003", "CUD001"),
)
def gpus_visible(
    gpus: tuple[Gpu, ...],
    cuda: Cuda | None,
    driver: Driver | None,
    environment: Environment | None,
    intent: Intent,
) -> Findings:
    """The deployment sees as many GPUs as it takes.

    It takes tensor x pipeline x data parallel GPUs, of which this machine brings its share where the command names
    several machines (`--nnodes`, `--data-parallel-size-local`); with Ray others may bring any number. NVML shows all
    GPUs of the machine (or container); CUDA_VISIBLE_DEVICES may leave fewer: set but empty hides all of them, and from
    the first entry that names no GPU on, CUDA ignores the rest. Where CUDA really started, its own count decides. A GPU
    in compute mode "prohibited" takes no program at all, in an exclusive mode only one.

    ## Fix

    Correct the variable, or lower --tensor-parallel-size to what is there.
    """
    on_cpu = runs_on_cpu(intent, environment, driver, gpus, cuda)
    if on_cpu:
        yield not_applicable(Text(on_cpu))
        return
    value = variables_of(environment, intent).get(VARIABLE)
    selection = select(gpus, value)
    counted = len(cuda.devices) if cuda is not None and cuda.init_code == 0 else None
    yield _count(gpus, selection, value, counted, intent)
    for one in taken_gpus(gpus, cuda, environment, intent):
        if one.gpu.compute_mode in MODES:
            yield _mode(one.gpu)


def select(gpus: tuple[Gpu, ...], value: str | None) -> Selection:
    """The GPUs that a value of CUDA_VISIBLE_DEVICES leaves, by CUDA's rules; numbers count those that answer."""
    if value is None:
        return Selection(gpus)
    found: list[Gpu] = []
    for word in value.split(",") if value.strip() else []:
        gpu = _named(gpus, word.strip())
        if gpu is None and re.match(r"(GPU|MIG)-", word.strip()) and not any(one.uuid for one in gpus):
            gpu = next((one for one in gpus if one not in found), None)  # no UUID was read: it may be any of them
        if gpu is None:
            return Selection(tuple(found), word.strip())
        if gpu not in found:
            found.append(gpu)
    return Selection(tuple(found))


def _named(gpus: tuple[Gpu, ...], word: str) -> Gpu | None:
    if is_number(word):  # CUDA counts the GPUs that it may open, NVML also those of others
        return gpus[int(word)] if int(word) < len(gpus) else None
    if word.startswith("MIG-"):  # UUIDs of slices are not read; one that is wrong shows in CUDA's own count
        return next((gpu for gpu in gpus if gpu.mig), None)
    return next((gpu for gpu in gpus if word and gpu.uuid.startswith(word)), None)


def _count(
    gpus: tuple[Gpu, ...], selection: Selection, value: str | None, counted: int | None, intent: Intent
) -> Judgement:
    needed = gpus_here(intent)
    n = len(selection.gpus) if counted is None else counted
    said = {"n": n, "all": len(gpus), "needed": needed, "value": value, "entry": selection.unknown}
    hidden = value is not None and len(gpus) > n
    if n < needed and hidden:
        text = Text('CUDA_VISIBLE_DEVICES="{value}" leaves {n} of {all} GPU(s), {needed} are needed', said)
        return fail(text, fix=_variable(needed), cause="CUDA_VISIBLE_DEVICES_HIDES_GPUS", observed=n, expected=needed)
    if 0 < n < needed and over_ray(intent):
        return unknown(Text("{needed} GPU(s) are needed, {n} can be seen here; Ray may bring others", said))
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
    alone = gpus_here(intent) == intent.gpus_needed == intent.launch.tensor_parallel
    if not n or not can_change(intent, "tensor_parallel") or not alone:
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


@check("GPU002", "gpus-answer", cause="GPU_FELL_OFF_BUS", explained_by=("DRV001", "DRV002"))
def gpus_answer(
    gpus: Reading[tuple[Gpu, ...]],
    driver: Driver | None,
    host: Host | None,
    cuda: Cuda | None,
    environment: Environment | None,
    intent: Intent,
) -> Findings:
    """Every GPU answers the driver.

    A GPU that has lost its connection ("fell off the bus", Xid 79) or that waits for a reset stays in the list and
    answers nothing; programs on it die, and often nothing new starts on the others. Power, a riser or heat is behind
    it more often than software.

    Measured by asking NVML for the name, the memory and the programs of each GPU (nvml.h: 15 is a lost GPU, 16 one
    that needs a reset). Red where the deployment needs it, or where no GPU could be read; yellow where the GPUs that
    it takes are others. Red as well where NVML hangs or crashes while it is asked, or refuses the answer: an engine
    asks it the same. GPUs that this user may not open (4: those of other jobs, behind Slurm or a cgroup) are left out,
    and are no fault as long as one is left or CUDA starts.

    NVML that does not end within its time limit (docs/sick-machines.md tells the limits, `--timeout` multiplies them)
    is DRIVER_HANGS: most likely the GPU that it was asked about is wedged. Where it answered for some GPUs and needed
    long for each, it is DRIVER_SLOW and yellow: without persistence mode every look starts each GPU anew.

    ## Fix

    Look for the Xid in the kernel's log, reset the GPU, reboot. If it comes back, look at power, cabling and heat. For
    a slow driver: persistence mode, and `--timeout 4`.
    """
    lost = re.findall(r"GPU (\d+) (fell off the bus|needs a reset)", gpus.why)
    found = gpus.value or ()
    if intent.device == "cpu":
        yield not_applicable(Text("the deployment runs on the CPU"))
    elif gpus.outcome == "absent":
        yield not_applicable(Text("{why}", {"why": gpus.why or "there is no GPU"}))
    elif lost:
        served = gpus.outcome == "known" and _serves(found, [int(i) for i, _ in lost], cuda, environment, intent)
        for index, words in lost:
            yield _lost(index, words, served)
    elif gpus.outcome != "known":
        yield _unread(gpus, driver, host, cuda)
    elif not found:
        yield not_applicable(Text("there is no GPU"))
    else:
        words = "{n} GPU(s) answer; left out: {others}" if gpus.why else "{n} GPU(s) answer"
        yield ok(Text(words, {"n": len(found), "others": gpus.why}), observed=len(found))


def _unread(gpus: Reading[tuple[Gpu, ...]], driver: Driver | None, host: Host | None, cuda: Cuda | None) -> Judgement:
    late = slow_driver(gpus)
    if late is not None:
        return warn(late.text, fix=late.fixes, cause=late.cause, evidence={"why": gpus.why})
    fault = unread_gpus(gpus, driver, host, cuda)
    if fault is None:
        closed = refused(gpus.why) == NO_PERMISSION and cuda is not None
        words = "{why}; CUDA starts all the same, an engine that asks NVML may not" if closed else "{why}"
        return unknown(Text(words, {"why": gpus.why or "the GPUs were not read"}))
    index = gpu_in(gpus.why)
    subject = f"gpu:{index}" if index else ""
    return fail(fault.text, fix=fault.fixes, cause=fault.cause, subject=subject, evidence={"why": gpus.why})


def _serves(
    found: tuple[Gpu, ...], lost: list[int], cuda: Cuda | None, environment: Environment | None, intent: Intent
) -> bool:
    """Would the deployment take the GPUs that are left, and none of the lost ones?"""
    if len(taken_gpus(found, cuda, environment, intent)) < gpus_here(intent):
        return False
    if cuda is not None and cuda.init_code is not None:  # CUDA leaves lost ones out, or does not start at all
        return cuda.init_code == 0 and len(cuda.devices) >= gpus_here(intent)
    value = variables_of(environment, intent).get(VARIABLE, "")
    named = {int(word) for word in value.split(",") if is_number(word.strip())}
    return not named & set(lost) if value else min(lost) >= gpus_here(intent)


def _lost(index: str, words: str, served: bool) -> Judgement:
    fix = Fix(
        text=Text("look for the Xid, stop what runs on the GPU, reset it; reboot if that fails, then check its power"),
        commands=("sudo dmesg | grep -i xid", f"sudo nvidia-smi --gpu-reset -i {index}", "sudo reboot"),
        effort="reboot",
        needs_root=True,
        reboot=True,
    )
    judge = warn if served else fail
    other = "; the deployment takes others" if served else ""
    return judge(Text(f"it {words}{other}"), fix=fix, subject=f"gpu:{index}")
