"""Whether a deployment runs on GPUs and which, how much memory each has for it, and which engine version serves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from autoglm_doctor.domain.launch_line import stated_flag
from autoglm_doctor.domain.memory.fits import Card, Estimate, estimates
from autoglm_doctor.facts import Cuda, CudaDevice, Driver, Environment, Gpu, ModelFiles, Packages
from autoglm_doctor.intent import Intent

#: CUDA counts a little less or more than the kernel of the same main memory.
_SAME = 1.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One GPU that the deployment takes."""

    gpu: Gpu
    total_bytes: int  # as CUDA counts it: without what the driver keeps for itself
    free_bytes: int | None  # None: not known, as of a MIG slice, which NVML's figures of the whole GPU do not tell

    @property
    def subject(self) -> str:
        """As findings name it."""
        return f"gpu:{self.gpu.index}"

    @property
    def used_bytes(self) -> int:
        """Taken by others, whoever they are."""
        return max(0, self.total_bytes - (self.free_bytes or 0))


#: Engine -> the variable that says how many layers each pipeline stage gets.
_PARTITION = {"vllm": "VLLM_PP_LAYER_PARTITION", "sglang": "SGLANG_PP_LAYER_PARTITION"}


def variables_of(environment: Environment | None, intent: Intent) -> Mapping[str, str]:
    """The deployment's variables: assignments in front of its command win."""
    return {**(environment.variables if environment else {}), **intent.environment}


def visible_gpus(gpus: tuple[Gpu, ...], variables: Mapping[str, str]) -> tuple[Gpu, ...]:
    """The GPUs that CUDA_VISIBLE_DEVICES leaves, in its order; it ends at the first that does not exist, as in CUDA.

    MIG slices stand for the GPU that they are on; which one that is, only their UUIDs' owner knows: all with MIG count.
    """
    said = variables.get("CUDA_VISIBLE_DEVICES")
    if said is None:
        return gpus
    chosen: list[Gpu] = []
    for word in (w.strip() for w in said.split(",")):
        if word.startswith("MIG-"):
            found = next((g for g in gpus if g.mig and g not in chosen), None)
        elif is_number(word):
            found = gpus[int(word)] if int(word) < len(gpus) else None  # CUDA numbers those that it may open
        else:
            found = next((g for g in gpus if word and g.uuid.startswith(word)), None)
        if found is None:
            break
        chosen.append(found)
    return tuple(chosen)


def is_number(word: str) -> bool:
    """Plain digits: "²" is a digit to Python, and no number."""
    return word.isascii() and word.isdecimal()


def runs_on_cpu(
    intent: Intent,
    environment: Environment | None,
    driver: Driver | None,
    gpus: tuple[Gpu, ...] | None,
    cuda: Cuda | None = None,
) -> str:
    """Why this deployment runs on the CPU; "" when it is to run on a GPU.

    With `--device auto` that is so where the variables hide every GPU and where there is none. A GPU that is there and
    does not work is no reason: then something is broken.
    """
    if intent.device == "cpu":
        return "the deployment runs on the CPU"
    if intent.device != "auto":
        return ""
    said = variables_of(environment, intent).get("CUDA_VISIBLE_DEVICES")
    if said is not None and said.strip() in ("", "-1"):
        return "CUDA_VISIBLE_DEVICES hides the GPUs: everything is judged for the CPU"
    nothing_read = driver is None if gpus is None else not gpus
    return "there is no NVIDIA GPU here: everything is judged for the CPU" if nothing_read and _shows_none(cuda) else ""


def _shows_none(cuda: Cuda | None) -> bool:
    """Does libcuda know of no GPU either? 34 is a stub of it, 100 "no device"; another code is a fault."""
    return cuda is None or (cuda.init_code in (None, 0, 34, 100) and not cuda.devices)


def order_is_open(gpus: tuple[Gpu, ...], cuda: Cuda | None, environment: Environment | None, intent: Intent) -> bool:
    """Whether it hangs on an order that nobody told which of different GPUs are taken.

    CUDA counts the fastest first, NVML by the bus, and vLLM asks both.
    """
    told = cuda is not None and bool(cuda.devices)
    told = told or not {"CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"}.isdisjoint(variables_of(environment, intent))
    return not told and intent.gpus_needed < len(gpus) and len({gpu.compute_capability for gpu in gpus}) > 1


def taken_gpus(
    gpus: tuple[Gpu, ...], cuda: Cuda | None, environment: Environment | None, intent: Intent
) -> tuple[Taken, ...]:
    """The first visible GPUs, as many as the deployment needs (fewer where there are not so many)."""
    devices = cuda.devices if cuda is not None else ()
    visible = _as_cuda_shows(visible_gpus(gpus, variables_of(environment, intent)), gpus, devices)
    matched = devices if len(devices) == len(visible) else ()
    return tuple(
        _taken(gpu, matched[i] if matched and _is_shown(gpu, matched[i], len(devices)) else _slice_of(gpu, devices))
        for i, gpu in enumerate(visible[: intent.gpus_needed])
    )


def gpus_of(
    gpus: tuple[Gpu, ...] | None, cuda: Cuda | None, environment: Environment | None, intent: Intent
) -> tuple[Gpu, ...] | None:
    """The GPUs that what is installed must suit: those taken; where none can be told, all; None when not known."""
    if gpus is None:
        return None
    return tuple(one.gpu for one in taken_gpus(gpus, cuda, environment, intent)) or gpus


def _as_cuda_shows(visible: tuple[Gpu, ...], gpus: tuple[Gpu, ...], devices: tuple[CudaDevice, ...]) -> tuple[Gpu, ...]:
    """CUDA counts the fastest GPU first, NVML by PCI address, and a number in the variable is one of CUDA's: by name.

    What the variable leaves comes first; where CUDA shows others than that, its word counts. A MIG slice has a name of
    its own, and more devices than the variable leaves were read under other variables: then the variable decides.
    """
    if len(devices) > len(visible):
        return visible
    for pool in (visible, gpus):
        ordered = _by_name(pool, devices)
        if ordered:
            return ordered
    return visible


def _by_name(pool: tuple[Gpu, ...], devices: tuple[CudaDevice, ...]) -> tuple[Gpu, ...]:
    """One GPU for every device, in their order; () where a name is missing."""
    left = list(pool)
    ordered = []
    for device in devices:
        match = next((g for g in left if g.name == device.name), None)
        if match is None:
            return ()
        left.remove(match)
        ordered.append(match)
    return tuple(ordered)


def _is_shown(gpu: Gpu, device: CudaDevice, count: int) -> bool:
    """By name. A GPU that tells NVML no memory may tell it another name as well (Jetson): then an only one is it."""
    only = count == 1 and (gpu.unified or not gpu.memory_read) and not gpu.mig
    return device.name == gpu.name or (only and device.compute_capability == gpu.compute_capability)


def _slice_of(gpu: Gpu, devices: tuple[CudaDevice, ...]) -> CudaDevice | None:
    return min(devices, key=lambda d: d.total_bytes, default=None) if gpu.mig else None


def _taken(gpu: Gpu, device: CudaDevice | None) -> Taken:
    if gpu.mig:
        total = device.total_bytes if device else 0
        return Taken(gpu=gpu, total_bytes=total, free_bytes=None)
    total = device.total_bytes if device else gpu.total_bytes - gpu.reserved_bytes
    free = min(gpu.free_bytes, total) if _free_is_told(gpu, total) else None
    return Taken(gpu=gpu, total_bytes=total, free_bytes=free)


def _free_is_told(gpu: Gpu, total: int) -> bool:
    """Whether what is free of it was read. /proc/meminfo of some containers tells less than the GPU has (lxcfs)."""
    return gpu.memory_read and not (gpu.unified and total > _SAME * gpu.total_bytes)


def card_of(taken: tuple[Taken, ...], visible: int) -> Card | None:
    """The smallest one decides; None when its memory is not known (a MIG slice that CUDA did not show)."""
    smallest = min(taken, key=lambda t: t.total_bytes, default=None)
    if smallest is None or smallest.total_bytes <= 0:
        return None
    return Card(name=smallest.gpu.name, total_bytes=smallest.total_bytes, count=max(visible, len(taken)))


def engine_version(packages: Packages | None, intent: Intent) -> str | None:
    """The installed version of the engine; None when it is not installed or not known."""
    found = packages.distributions if packages else ()
    return next((d.version for d in found if d.name.lower() == intent.engine), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A deployment on its GPUs, ready to be judged."""

    intent: Intent
    files: ModelFiles | None
    taken: tuple[Taken, ...]
    version: str | None  # of the engine
    card: Card | None  # the smallest GPU; None: its memory is not known
    estimates: tuple[Estimate, ...]  # () when the model or the card is not known
    layers: str = ""  # the layers of each pipeline stage, where a variable deals them out unevenly ("16,32")

    @property
    def capability(self) -> str:
        """The lowest compute capability among the GPUs."""
        return min((t.gpu.compute_capability for t in self.taken), key=_number, default="")


def read_case(
    gpus: tuple[Gpu, ...],
    intent: Intent,
    files: ModelFiles | None,
    packages: Packages | None,
    environment: Environment | None,
    cuda: Cuda | None,
) -> Case:
    """Put the facts of a deployment together."""
    taken = taken_gpus(gpus, cuda, environment, intent)
    card = card_of(taken, len(visible_gpus(gpus, variables_of(environment, intent))))
    version = engine_version(packages, intent)
    found = estimates(intent, files, card, version) if card else ()
    layers = uneven_stages(intent, variables_of(environment, intent))
    return Case(intent=intent, files=files, taken=taken, version=version, card=card, estimates=found, layers=layers)


def uneven_stages(intent: Intent, variables: Mapping[str, str]) -> str:
    """The layers of each pipeline stage, where a variable of the engine does not deal them out equally; "" otherwise.

    (get_pp_indices in vllm/distributed/utils.py and in SGLang's copy of it.)
    """
    said = variables.get(_PARTITION.get(intent.engine, ""), "")
    is_even = len({word.strip() for word in said.split(",")}) == 1
    return "" if is_even or intent.launch.pipeline_parallel < 2 else said


def _number(capability: str) -> float:
    try:
        return float(capability)
    except ValueError:
        return 0.0


def gpus_here(intent: Intent) -> int:
    """How many of the deployment's GPUs this machine has to bring: all of them, or its share (--nnodes)."""
    nodes = stated_flag(intent.command, "nnodes") or "1"
    local = stated_flag(intent.command, "data-parallel-size-local", "dpl") or ""
    needed = intent.gpus_needed
    if is_number(local) and int(local) and intent.launch.data_parallel > 1:
        return intent.launch.tensor_parallel * intent.launch.pipeline_parallel * int(local)
    return -(-needed // int(nodes)) if is_number(nodes) and int(nodes) else needed


def over_ray(intent: Intent) -> bool:
    """Whether a Ray cluster deals out the GPUs, those of other machines too."""
    return stated_flag(intent.command, "distributed-executor-backend", "data-parallel-backend", "dpb") == "ray"
