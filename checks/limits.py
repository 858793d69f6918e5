"""Limits of the kernel and of the container: shared memory, and memory that may be locked."""

from __future__ import annotations

from autoglm_doctor.api import (
    Environment,
    Findings,
    Fix,
    Gpu,
    Host,
    Intent,
    SharedMemory,
    Text,
    Threshold,
    check,
    fail,
    not_applicable,
    ok,
    unknown,
    warn,
)
from autoglm_doctor.domain.deployment import variables_of
from autoglm_doctor.intent import UNNAMED

GIB = 2**30
#: NCCL registers 4 MiB a channel and neighbour with the adapter, and up to 32 channels.
MEMLOCK_BYTES = 1 * GIB
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


@check("LIM002", "locked-memory", cause="MEMLOCK_LIMIT_LOW")
def locked_memory_unlimited(
    host: Host, gpus: tuple[Gpu, ...] | None, environment: Environment | None, intent: Intent
) -> Findings:
    """A process may lock as much memory as an RDMA adapter wants.

    InfiniBand and RoCE adapters work on memory that is locked in place, and what they register counts against
    RLIMIT_MEMLOCK (`ulimit -l`). With the usual 8 MiB, NCCL and UCX end with "Cannot allocate memory" or warn that the
    limit is to be unlimited. A container inherits the limit of the daemon that starts it, not of your shell. GPUs
    within one machine and its pinned memory do not need it: the driver locks that by itself.

    Judged where there is an RDMA adapter and the model takes more GPUs than this machine has, and where only the limit
    is known. NCCL_IB_DISABLE=1 keeps NCCL from the adapter. Yellow below 1 GiB (ours), never red.

    ## Fix

    `--ulimit memlock=-1` for a container, LimitMEMLOCK=infinity for a service, limits.conf for a login.
    """
    ranks = intent.launch.tensor_parallel * intent.launch.pipeline_parallel
    limit, adapters = host.memlock_bytes, host.rdma_devices
    said = {"limit": max(limit or 0, 0), "adapters": ", ".join(adapters or ())}
    several = (host.machines or 1) > 1
    is_told = adapters is not None or intent.model != UNNAMED or intent.engine != "transformers"
    on_one = ranks < 2 and is_told
    if not several and (on_one or (gpus and ranks <= len(gpus))):
        yield not_applicable(Text("the model stays on this machine"))
    elif variables_of(environment, intent).get("NCCL_IB_DISABLE", "").strip() == "1":
        yield not_applicable(Text("NCCL_IB_DISABLE=1 keeps NCCL from any RDMA adapter"))
    elif adapters is not None and not adapters:
        yield not_applicable(Text("no RDMA adapter"))
    elif limit is None:
        yield (
            not_applicable(Text("nothing is known of RDMA here"))
            if adapters is None
            else unknown(Text("the limit of locked memory was not read"))
        )
    elif limit < 0 or limit >= MEMLOCK_BYTES:
        yield ok(Text("enough memory may be locked"), observed=limit)
    else:
        of = " for {adapters}" if adapters else " for an RDMA adapter"
        yield warn(
            Text("a process may lock {limit:MiB} of memory, too little" + of, said),
            fix=_memlock_fixes(host),
            observed=limit,
            expected="unlimited",
            threshold=Threshold(value=MEMLOCK_BYTES, unit="bytes", source="our own number"),
        )


def _memlock_fixes(host: Host) -> tuple[Fix, ...]:
    docker = Fix(
        text=Text("start the container without that limit"),
        commands=("docker run --gpus all --ulimit memlock=-1 --ulimit stack=67108864 IMAGE",),
        effort="restart",
    )
    if host.container == "podman":
        docker = Fix(
            text=Text("start the container without that limit (rootless: raise your own first)"),
            commands=("podman run --device nvidia.com/gpu=all --ulimit memlock=-1 IMAGE",),
            effort="restart",
        )
    service = "containerd" if host.container == "kubernetes" else "docker"
    folder = f"/etc/systemd/system/{service}.service.d"
    lift = Fix(
        text=Text("lift it for the service that starts the deployment (on the host; its containers stop meanwhile)"),
        commands=(
            f"sudo mkdir -p {folder}",
            f"printf '[Service]\\nLimitMEMLOCK=infinity\\n' | sudo tee {folder}/memlock.conf",
            "sudo systemctl daemon-reload",
            f"sudo systemctl restart {service}",
        ),
        effort="restart",
        needs_root=True,
    )
    login = Fix(
        text=Text("lift it for logins, then log in again"),
        commands=("printf '%s - memlock unlimited\\n' '*' root | sudo tee /etc/security/limits.d/90-memlock.conf",),
        effort="restart",
        needs_root=True,
    )
    if host.container == "kubernetes":
        return (lift,)
    return (docker, lift) if host.container else (login,)
