"""Limits of the kernel and of the container: shared memory."""

from __future__ import annotations

from autoglm_doctor.api import (
    Findings,
    Fix,
    Host,
    Intent,
    SharedMemory,
    Text,
    Threshold,
    check,
    fail,
    not_applicable,
    ok,
    warn,
)

GIB = 2**30
RED_BYTES, YELLOW_BYTES = 1 * GIB, 8 * GIB


@check("LIM001", "shared-memory", cause="SHM_TOO_SMALL")
def shared_memory_large_enough(shared_memory: SharedMemory, host: Host | None, intent: Intent) -> Findings:
    """Shared memory is large enough for the processes of a model that is spread over GPUs.

    NCCL and the engines' workers exchange data through /dev/shm. Docker's default is 64 MiB; with that, tensor parallel
    servers die with a bus error or "unhandled system error" while they start. One process per GPU group of one does not
    depend on it.

    Thresholds: red below 1 GiB, yellow below 8 GiB. The engines' documentation names the mechanism and no number;
    these are our own.

    ## Fix

    `--shm-size=16g` for a container (private, unlike --ipc=host); an emptyDir of medium Memory for a pod.
    """
    ranks = intent.launch.tensor_parallel * intent.launch.pipeline_parallel
    size = shared_memory.total_bytes
    if ranks < 2:
        yield not_applicable(Text("the model is on one GPU"))
        return
    said = {"size": size, "ranks": ranks, "red": RED_BYTES, "yellow": YELLOW_BYTES}
    limit = RED_BYTES if size < RED_BYTES else YELLOW_BYTES
    threshold = Threshold(value=limit, unit="bytes", source="our own number")
    if size < RED_BYTES:
        text = Text("shared memory (/dev/shm) has {size:MiB}; {ranks} GPUs together need {red:GiB} at least", said)
        yield fail(text, fix=_fix(host), observed=size, expected=RED_BYTES, threshold=threshold)
    elif size < YELLOW_BYTES:
        text = Text("shared memory (/dev/shm) has {size:GiB}; {yellow:GiB} are safe for {ranks} GPUs together", said)
        yield warn(text, fix=_fix(host), observed=size, expected=YELLOW_BYTES, threshold=threshold)
    else:
        text = Text("shared memory (/dev/shm) has {size:GiB}", said)
        yield ok(text, observed=size, expected=YELLOW_BYTES, threshold=threshold)


def _fix(host: Host | None) -> tuple[Fix, ...]:
    kind = host.container if host is not None else ""
    if kind == "kubernetes":
        patch = (
            "kubectl patch deployment NAME --type=json -p '["
            '{"op":"add","path":"/spec/template/spec/volumes/-",'
            '"value":{"name":"shm","emptyDir":{"medium":"Memory","sizeLimit":"16Gi"}}},'
            '{"op":"add","path":"/spec/template/spec/containers/0/volumeMounts/-",'
            '"value":{"name":"shm","mountPath":"/dev/shm"}}]\''
        )
        return (Fix(text=Text("mount a larger /dev/shm in the pod"), commands=(patch,), effort="restart"),)
    if kind:
        program = "podman" if kind == "podman" else "docker"
        line = f"{program} run --gpus all --shm-size=16g IMAGE"
        return (Fix(text=Text("start the container with more shared memory"), commands=(line,), effort="restart"),)
    remount = Fix(
        text=Text("make it larger now; a line in /etc/fstab keeps it so"),
        commands=("sudo mount -o remount,size=16G /dev/shm",),
        needs_root=True,
    )
    return (remount,)
