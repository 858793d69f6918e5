"""Main memory: enough of it is free to load the model."""

from __future__ import annotations

from autoglm_doctor.api import (
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
from autoglm_doctor.domain.launch_line import stated_flag
from autoglm_doctor.domain.memory.loading import needed
from autoglm_doctor.domain.spans import GIB
from autoglm_doctor.intent import UNNAMED


@check("MEM001", "ram-for-loading", cause="RAM_TOO_SMALL", required=True)
def ram_for_loading(
    memory: Memory, model_files: ModelFiles | None, driver: Driver | None, host: Host | None, intent: Intent
) -> Findings:
    """There is enough free main memory to load the model.

    Weights pass through main memory on their way to the GPU, one file at a time. With too little the kernel kills the
    server (exit code 137) while it loads. What counts is the smaller of the memory that the kernel can give and what
    the control group (container, pod, service) still allows; the page cache counts as free in both.

    Threshold: the largest weight file (not known: 5 GiB, or all weights of a smaller model) + 4 GiB for the engine
    itself; on the CPU all weights + 4 GiB, since they stay; with --cpu-offload-gb that much more; with
    --data-parallel-size 4 GiB for each copy, which read the same file; 2 GiB for the smoke model. These are our own
    numbers. If swap makes up for the rest, it is yellow: it will load, slowly.

    ## Fix

    Raise the container's limit or stop other programs; add swap; on WSL raise `memory` in .wslconfig.
    """
    if intent.model == UNNAMED:
        yield unknown(Text("which model is to be loaded is not known"))
        return
    on_cpu = intent.device == "cpu" or (intent.device == "auto" and driver is None)
    need = needed(intent, model_files, on_cpu=on_cpu, replicas=replicas_here(intent))
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


def replicas_here(intent: Intent) -> int:
    """Copies of the model that this machine runs."""
    said = stated_flag(intent.command, "data-parallel-size-local", "dpl") or ""
    return int(said) if said.isdecimal() and int(said) > 0 else intent.launch.data_parallel


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
