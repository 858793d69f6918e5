"""Main memory: enough of it is free to load the model."""

from __future__ import annotations

from dataclasses import dataclass

from autoglm_doctor.api import (
    SMOKE,
    Driver,
    Findings,
    Fix,
    Host,
    Intent,
    Memory,
    ModelFiles,
    Text,
    Threshold,
    check,
    fail,
    ok,
    unknown,
    warn,
)
from autoglm_doctor.domain.model import weight_bytes

GIB = 2**30

#: Python, torch, CUDA and an engine's processes before the first weight; our own number.
BASE_BYTES = 4 * GIB

#: The usual size of a shard (the default of save_pretrained), where the real ones are not known.
SHARD_BYTES = 5 * GIB

#: torch and transformers with the smoke model.
SMOKE_BYTES = 2 * GIB


@dataclass(frozen=True, slots=True)
class Need:
    """How much loading takes, and why."""

    total: int
    why: str


@check("MEM001", "ram-for-loading", cause="RAM_TOO_SMALL", required=True)
def ram_for_loading(
    memory: Memory, model_files: ModelFiles | None, driver: Driver | None, host: Host | None, intent: Intent
) -> Findings:
    """There is enough free main memory to load the model.

    Weights pass through main memory on their way to the GPU, one file at a time. With too little the kernel kills the
    server (exit code 137) while it loads. What counts is the smaller of the memory that the kernel can give and what
    the control group (container, pod, service) still allows; the page cache counts as free in both.

    Threshold: the largest weight file (5 GiB when it is not known) + 4 GiB for the engine itself; on the CPU all
    weights + 4 GiB, since they stay; with --cpu-offload-gb that much more; 2 GiB for the smoke model. These are our
    own numbers. If swap makes up for the rest, it is yellow: it will load, slowly.

    ## Fix

    Raise the container's limit or stop other programs; add swap; on WSL raise `memory` in .wslconfig.
    """
    need = needed(intent, model_files, on_cpu=intent.device == "cpu" or (intent.device == "auto" and driver is None))
    if need is None:
        yield unknown(Text("how much the weights take is not known"))
        return
    room, limited = _room(memory)
    said = {"room": room, "need": need.total, "why": need.why, "limit": memory.cgroup_limit_bytes}
    threshold = Threshold(value=need.total, unit="bytes", source=need.why)
    if room >= need.total:
        text = Text("{room:GiB} of memory are free, loading takes {need:GiB} ({why})", said)
        yield ok(text, observed=room, expected=need.total, threshold=threshold)
        return
    cause = "CGROUP_MEMORY_LIMIT" if limited else "RAM_TOO_SMALL"
    words = "the control group's limit of {limit:GiB} leaves {room:GiB}" if limited else "{room:GiB} of memory are free"
    text = Text(words + ", loading takes {need:GiB} ({why})", said)
    swap = 0 if limited else memory.swap_free_bytes
    judge = warn if room + swap >= need.total else fail
    yield judge(
        text,
        fix=_fixes(limited, host, need.total),
        cause=cause,
        observed=room,
        expected=need.total,
        threshold=threshold,
    )


def needed(intent: Intent, files: ModelFiles | None, *, on_cpu: bool) -> Need | None:
    """Bytes of main memory that loading takes; None when the model runs on the CPU and its size is not known."""
    if intent.model == SMOKE:
        return Need(SMOKE_BYTES, "the smoke model")
    if on_cpu:
        weights = weight_bytes(intent, files)
        return None if weights is None else Need(int(weights) + BASE_BYTES, "all weights and 4 GiB for the engine")
    sizes = [file.size_bytes for file in files.weights if file.size_bytes] if files else []
    offload = int(intent.launch.cpu_offload_gib * GIB) * intent.launch.tensor_parallel
    part = "the largest weight file" if sizes else "a weight file of 5 GiB"
    why = f"{part} and 4 GiB for the engine" + (", and what --cpu-offload-gb keeps" if offload else "")
    return Need(max(sizes, default=SHARD_BYTES) + BASE_BYTES + offload, why)


def _room(memory: Memory) -> tuple[int, bool]:
    """(bytes that we can have, whether the control group is what binds)."""
    if memory.cgroup_limit_bytes is None:
        return memory.available_bytes, False
    left = max(0, memory.cgroup_limit_bytes - (memory.cgroup_used_bytes or 0))
    return min(left, memory.available_bytes), left < memory.available_bytes


def _fixes(limited: bool, host: Host | None, need: int) -> tuple[Fix, ...]:
    gib = -(-need // GIB)
    if limited and host is not None and host.container == "kubernetes":
        patch = f"kubectl set resources deployment NAME --limits=memory={gib + 4}Gi"
        return (Fix(text=Text("raise the pod's memory limit"), commands=(patch,), effort="restart"),)
    if limited and host is not None and host.container:
        line = f"docker update --memory {gib + 4}g --memory-swap {gib + 4}g CONTAINER"
        return (Fix(text=Text("raise the container's memory limit"), commands=(line,)),)
    if limited:
        line = f"sudo systemctl set-property --runtime UNIT MemoryMax={gib + 4}G"
        return (Fix(text=Text("raise the memory limit of the service or slice"), commands=(line,), needs_root=True),)
    if host is not None and host.wsl:
        write = f'printf \'[wsl2]\\nmemory={gib + 4}GB\\n\' >> "$(wslpath "$(wslvar USERPROFILE)")/.wslconfig"'
        text = Text("give WSL more memory (half of the machine's is the default), then restart it")
        return (Fix(text=text, commands=(write, "wsl.exe --shutdown"), effort="restart"),)
    stop = Fix(text=Text("see what takes the memory, and stop it"), commands=("ps aux --sort=-rss | head",))
    swap = Fix(
        text=Text("add swap: loading gets slow, but it ends"),
        commands=(
            f"sudo fallocate -l {gib}G /swapfile",
            "sudo chmod 600 /swapfile",
            "sudo mkswap /swapfile",
            "sudo swapon /swapfile",
        ),
        needs_root=True,
    )
    return (stop, swap)
