"""What was read from the machine: plain frozen types, no I/O and no judgement.

Every top-level fact is a `Reading`: a value, or the reason why there is none. Quantities carry their unit in the
name; bytes are ints, versions are strings. A new fact is one class and one field of `Facts` here, and one probe
that fills it (see CONTRIBUTING.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Generic, Literal, TypeVar

from autoglm_doctor.facts_gpu import Cuda as Cuda
from autoglm_doctor.facts_gpu import CudaDevice as CudaDevice
from autoglm_doctor.facts_gpu import DeviceRun as DeviceRun
from autoglm_doctor.facts_gpu import Driver as Driver
from autoglm_doctor.facts_gpu import Gpu as Gpu
from autoglm_doctor.facts_gpu import GpuProcess as GpuProcess
from autoglm_doctor.facts_gpu import KernelLibrary as KernelLibrary
from autoglm_doctor.facts_gpu import PciGpu as PciGpu
from autoglm_doctor.facts_gpu import Product as Product
from autoglm_doctor.facts_gpu import TorchRun as TorchRun
from autoglm_doctor.facts_model import ModelFiles as ModelFiles
from autoglm_doctor.facts_model import WeightFile as WeightFile
from autoglm_doctor.facts_serving import Ask as Ask
from autoglm_doctor.facts_serving import Burst as Burst
from autoglm_doctor.facts_serving import Ending as Ending
from autoglm_doctor.facts_serving import EngineFigures as EngineFigures
from autoglm_doctor.facts_serving import GpuUnderLoad as GpuUnderLoad
from autoglm_doctor.facts_serving import Phase as Phase
from autoglm_doctor.facts_serving import Serving as Serving
from autoglm_doctor.facts_serving import ServingFailure as ServingFailure
from autoglm_doctor.facts_serving import Speed as Speed

T = TypeVar("T")

Outcome = Literal["known", "absent", "failed", "timeout", "not_run"]

#: Changed when an old reading can no longer be decoded.
SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading(Generic[T]):
    """One look at the world.

    `known` has a value. `absent` means that we looked and it is not there (no driver, no torch). `failed` and
    `timeout` mean that we tried and do not know; `not_run` that nobody tried. Only `known` may lead to a pass.
    """

    outcome: Outcome
    value: T | None = None
    why: str = ""
    source: str = ""
    seconds: float = 0.0


def known(value: T, *, source: str = "", seconds: float = 0.0) -> Reading[T]:
    """A reading that succeeded."""
    return Reading(outcome="known", value=value, source=source, seconds=seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The operating system as the deployment sees it (inside a container: the container's)."""

    system: str  # "Linux", "Windows", "Darwin"
    machine: str  # "x86_64", "aarch64"
    kernel: str
    distribution: str = ""  # PRETTY_NAME of os-release
    os_ids: tuple[str, ...] = ()  # ID and ID_LIKE of os-release: "rocky", "rhel", "centos"
    glibc: str | None = None  # None on musl and outside Linux
    wsl: bool = False
    container: str = ""  # "docker", "podman", "kubernetes", ...; "" outside of one
    cpus: int = 0  # CPUs that this process may use (affinity, not the machine's total)
    tegra: bool = False  # a Jetson: the GPU shares main memory, NVML is missing or knows little
    memlock_bytes: int | None = None  # how much a process may lock into memory (soft limit); -1: any; None: not read
    rdma_devices: tuple[str, ...] | None = None  # InfiniBand and RoCE adapters; None: not read
    acs: bool | None = None  # PCIe bridges send what GPUs tell each other to the CPU first; None: not read
    iommu: bool | None = None  # it translates the addresses of devices; None: not read
    nvlink: bool | None = None  # the GPUs have a link of their own; None: not read
    secure_boot: bool | None = None  # the firmware lets only signed kernel modules in; None: not read
    container_toolkit: bool | None = None  # NVIDIA's, which hands GPUs to containers; None: not read
    interfaces: tuple[str, ...] | None = None  # names of the network interfaces; None: not read
    own_address: str = ""  # what the machine's own name stands for in /etc/hosts; "": not there
    machines: int | None = None  # over how many the deployment is spread; None: not stated
    open_files: tuple[int, int] | None = None  # soft and hard limit of one process; -1: any; None: not read
    processes: int | None = None  # how many processes and threads the user may have; -1: any; None: not read
    container_toolkit_version: str | None = None  # "1.14.3", "Docker Desktop 4.30.0" (brings one); None: not read


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """The Python that the deployment will use, and why we think so."""

    executable: str
    version: str  # "3.11.7"
    implementation: str = "cpython"
    prefix: str = ""
    base_prefix: str = ""
    sys_path: tuple[str, ...] = ()  # as the deployment will see it, without the script's own folder
    purelib: str = ""
    chosen_by: str = ""  # one sentence for the report
    # What the intended command starts and is not there; "": found, or no command; None: nobody looked.
    missing_program: str | None = None
    torch_folder: str | None = None  # where `import torch` would find it; "": nowhere; None: not asked
    externally_managed: bool | None = None  # pip and uv refuse to install into it (PEP 668); None: not read


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """One installed distribution, from its METADATA header."""

    name: str  # as written; compare with packaging.utils.canonicalize_name
    version: str
    location: str = ""  # the sys.path entry
    requires_python: str | None = None
    requires: tuple[str, ...] = ()  # raw Requires-Dist lines
    editable: bool | None = None  # its sources are used where they lie (direct_url.json); None: not asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Packages:
    """The installed distributions in sys.path order; the first of a name is the one that imports."""

    distributions: tuple[Distribution, ...] = ()
    faults: tuple[str, ...] = ()  # metadata that cannot be read, one sentence each
    shadowed: tuple[Distribution, ...] = ()  # later copies of a name, in another folder or the same one


@dataclass(frozen=True, slots=True, kw_only=True)
class Torch:
    """torch as its files describe it; nothing is imported."""

    version: str  # from torch/version.py, with the local part: "2.9.1+cu128"
    cuda: str | None = None  # "12.8"; None: built without CUDA
    hip: str | None = None
    architectures: tuple[str, ...] | None = None  # ("sm_80", "sm_86", "compute_90"); None: could not be read
    location: str = ""  # folder of the package


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolchain:
    """What kernels are built with at run time, as the deployment would find it. "" is not there, None was not read."""

    cc: str | None = None  # path of $CC, gcc or clang: what Triton starts
    cc_version: str = ""
    nvcc: str | None = None  # path; under $CUDA_HOME or $CUDA_PATH alone where one is set, as FlashInfer looks
    nvcc_version: str = ""  # "12.8"
    flashinfer_nvcc: str | None = None  # what $FLASHINFER_NVCC names, which only FlashInfer takes; None: not set
    nvcc_in_packages: str | None = None  # of the package nvidia-cuda-nvcc, which not every engine looks for
    cuda_home: str = ""  # folder of the toolkit that the nvcc belongs to, or that a variable names
    cuda_home_there: bool | None = None  # the folder that a variable names exists; None: not read
    libcuda_link: bool | None = None  # libcuda.so lies beside libcuda.so.1, for the linker; None: not read
    python_headers: bool | None = None  # Python.h of the deployment's Python
    ninja: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Main memory, as the kernel and as our control group see it."""

    total_bytes: int
    available_bytes: int
    swap_free_bytes: int = 0
    cgroup_limit_bytes: int | None = None  # the tightest limit up the tree; None: no limit
    cgroup_used_bytes: int | None = None  # what counts against that limit and cannot be reclaimed


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedMemory:
    """The file system of /dev/shm."""

    total_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """The file system that holds the model, or will hold it."""

    path: str  # nearest existing folder
    wanted: str  # where the weights are or will be downloaded to
    why: str = ""  # "the model's folder", "HF_HOME", ...
    fs_type: str = ""
    mount_point: str = ""
    total_bytes: int = 0
    free_bytes: int = 0  # for an ordinary user
    free_inodes: int | None = None  # None: the file system has no such limit
    read_only: bool = False
    writable: bool = True
    write_error: str = ""  # why a small test write failed, "Disk quota exceeded"; "": it went through or was not tried


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskSpeed:
    """Reads measured on the storage of the model, past the page cache unless `cached` says otherwise."""

    sample: str  # "weights" (a real file, only read) or "scratch" (a file of ours, removed again)
    fs_type: str = ""
    method: str = ""  # "libaio, O_DIRECT", "preadv, O_DIRECT", "preadv, buffered"
    cached: bool = False  # True: O_DIRECT was refused, or the file system lives in memory: the figures are RAM's
    random_iops: float | None = None  # 4 KiB random reads, queue depth 32
    random_latency_us: float | None = None  # mean of one 4 KiB read at queue depth 1
    sequential_bytes_per_s: float | None = None  # 1 MiB reads, queue depth 8
    sample_bytes: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """The TCP port that the server is to listen on."""

    host: str
    port: int
    free: bool
    error: str | None = None
    holder_pid: int | None = None
    holder_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A download of the model that the user allowed (`--allow-download`)."""

    repository: str
    path: str | None = None  # the folder in the cache; None: it failed
    error: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An exception of the final stage."""

    stage: str  # "import", "make", "load", "inputs", "warm-up", "generate", "audit"
    exception: str  # class name
    message: str  # first 2,000 characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference:
    """A model really loaded and run by the target interpreter."""

    model: str  # "smoke" or the folder
    device: str  # "cuda:0", "cpu"
    device_name: str = ""
    dtype: str = ""
    torch_version: str = ""
    transformers_version: str = ""
    parameters: int = 0
    weight_bytes: int = 0
    load_seconds: float | None = None
    load_bytes_per_s: float | None = None
    missing_tensors: int = 0  # weights that the checkpoint lacks and the library filled with random numbers
    prompt_tokens: int = 0
    image_tokens: int = 0
    new_tokens: int = 0
    first_token_cold_seconds: float | None = None
    first_token_seconds: float | None = None  # warm, with the image
    prefill_tokens_per_s: float | None = None
    decode_tokens_per_s: float | None = None
    peak_bytes: int | None = None  # torch's peak on the GPU; the process's peak resident memory on a CPU
    peak_host_bytes: int | None = None  # the process's peak resident memory
    logits_finite: bool | None = None
    logits_std: float | None = None
    distinct_tokens: int | None = None
    repeatable: bool | None = None
    image_logit_change: float | None = None  # max |first logits with picture A - with picture B|; None: no vision
    reference_error: float | None = None  # smoke: max |logits - the same on the CPU in float32| / max |the latter|
    answer: str = ""  # what a trained model said, cut at 200 characters
    random_weights: bool = False  # the full-size architecture ran, the checkpoint did not; `model` is its name
    failure: Failure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderLibrary:
    """A CUDA library in a folder of LD_LIBRARY_PATH or of cuda-compat."""

    path: str  # under the name that programs ask for, "/usr/local/cuda/lib64/libcudart.so.12"
    version: str  # in the name of the file that it links to, "12.4.127"


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The variables of the deployment that checks look at; secrets are never collected."""

    variables: Mapping[str, str] = field(default_factory=dict)
    libraries: tuple[LoaderLibrary, ...] | None = None  # None: nobody looked


def _not_run() -> Reading[Any]:
    return Reading(outcome="not_run", why="no probe read this")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that a judgement may rest on. A check names the field it needs as a parameter."""

    schema: int = SCHEMA
    host: Reading[Host] = field(default_factory=_not_run)
    environment: Reading[Environment] = field(default_factory=_not_run)
    pci_gpus: Reading[tuple[PciGpu, ...]] = field(default_factory=_not_run)
    driver: Reading[Driver] = field(default_factory=_not_run)
    gpus: Reading[tuple[Gpu, ...]] = field(default_factory=_not_run)
    cuda: Reading[Cuda] = field(default_factory=_not_run)
    interpreter: Reading[Interpreter] = field(default_factory=_not_run)
    packages: Reading[Packages] = field(default_factory=_not_run)
    torch: Reading[Torch] = field(default_factory=_not_run)
    kernels: Reading[tuple[KernelLibrary, ...]] = field(default_factory=_not_run)
    torch_run: Reading[TorchRun] = field(default_factory=_not_run)
    toolchain: Reading[Toolchain] = field(default_factory=_not_run)
    memory: Reading[Memory] = field(default_factory=_not_run)
    shared_memory: Reading[SharedMemory] = field(default_factory=_not_run)
    storage: Reading[Storage] = field(default_factory=_not_run)
    disk_speed: Reading[DiskSpeed] = field(default_factory=_not_run)
    port: Reading[Port] = field(default_factory=_not_run)
    download: Reading[Download] = field(default_factory=_not_run)
    model_files: Reading[ModelFiles] = field(default_factory=_not_run)
    inference: Reading[Inference] = field(default_factory=_not_run)
    serving: Reading[Serving] = field(default_factory=_not_run)


def fact_names() -> tuple[str, ...]:
    """The names of all facts, in the order of the report."""
    return tuple(f.name for f in fields(Facts) if f.name != "schema")


def with_readings(facts: Facts, readings: Mapping[str, Reading[Any]]) -> Facts:
    """The facts with some of them replaced, by name."""
    changes: dict[str, Any] = dict(readings)
    return replace(facts, **changes)
