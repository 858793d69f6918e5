"""The rows of the matrix. Versions and capabilities are strings; "" means: not said, or not known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

#: What CUDA counts of a card's nominal memory where the table does not say: 23.5 of 24 GiB on an RTX 4090.
USABLE_SHARE = 0.98


@dataclass(frozen=True, slots=True, kw_only=True)
class CudaMajor:
    """The oldest driver that runs every release of one CUDA major (minor-version compatibility)."""

    minimum_driver: str
    source: str
    minimum_driver_windows: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CudaRelease:
    """The driver that came with a CUDA release: information, never a minimum. A bare branch ("615") from 13.4 on."""

    cuda: str
    update: str
    linux: str
    source: str
    windows: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A driver branch: the newest CUDA that its libcuda knows, and the oldest GPU that it drives."""

    cuda: str
    designation: str = ""
    end: str = ""  # month in which NVIDIA stops to mend it, "2026-02"
    first_capability: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CapabilityRow:
    """A compute capability, and the CUDA releases that compile for it."""

    architecture: str
    first_cuda: str = ""  # "": before 10.0
    last_cuda: str = ""  # "": the newest still does
    examples: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuModel:
    """A card that a user may assume. A real one's memory is read from the driver, never from here."""

    capability: str
    memory_gib: float  # nominal
    cuda_gib: float | None = None  # what CUDA counts as total, the least that was seen; None: not known
    source: str = ""  # of cuda_gib
    bandwidth_gb_s: float | None = None  # of its memory, 10^9 bytes per second
    bf16_tflops: float | None = None  # dense, sums in 32 bits; None: no bf16 (below 8.0), or not published
    fp16_tflops: float | None = None  # only where there is no bf16
    figures: str = ""  # where bandwidth and TFLOPS come from
    called: tuple[str, ...] = ()  # other names that the driver gives it
    note: str = ""

    @property
    def total_bytes(self) -> int:
        """What CUDA will count as total, as far as is known."""
        usable = self.memory_gib * USABLE_SHARE if self.cuda_gib is None else self.cuda_gib
        return int(usable * (1 << 30))


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One release of a library on PyPI. Pins are versions ("2.9.0") or specifiers (">=5.5.3")."""

    version: str
    released: str = ""  # the day of its first file
    python: str = ""  # Requires-Python
    wheels: str = ""  # Pythons that have a Linux x86-64 wheel: "cp310 cp311 cp313t", "cp38-abi3", "py3"
    glibc: str = ""  # by the wheel's tag; "": the tag says nothing
    torch: str = ""
    numpy: str = ""
    tokenizers: str = ""
    huggingface_hub: str = ""
    cuda: str = ""
    cudnn: str = ""
    transformers: str = ""
    tensorrt: str = ""
    flashinfer: str = ""
    nccl_package: str = ""  # "nvidia-nccl-cu13 2.27.7": its name tells the CUDA


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchRelease:
    """The default wheel of a torch release, and its companions."""

    version: str
    torchvision: str = ""  # the newest that belongs to it
    torchaudio: str = ""
    triton: str = ""
    cuda: str = ""  # "12.8"; "": the metadata says nothing (1.12)
    cudnn: str = ""
    nccl: str = ""
    released: str = ""
    python: str = ""
    wheels: str = ""
    glibc: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchCompanions:
    """The companions of a torch line."""

    torchvision: str  # its line, "0.24"
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchBuild:
    """One CUDA build of a torch line for Linux x86-64."""

    sass: tuple[str, ...]
    ptx: str  # a capability; "none"; "unknown"
    evidence: str  # measured, build scripts, not measured, unverified (perhaps no such wheel), contradictory


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchFacts:
    """What the metadata does not say, from `since` until the next row."""

    since: str
    numpy2: bool
    cxx11_abi: bool
    glibc: str
    default: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TritonPtxas:
    """The CUDA release of the assembler in triton's wheel, from `since` until the next row."""

    since: str
    ptxas: str  # "12.8"
    blackwell: str = ""  # of the second one, for capability 10.0 and up; "": there is none


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineBinary:
    """What an engine's own libraries hold, from `since` until the next row."""

    since: str
    cuda_major: int
    minimum_capability: str
    sass: str = ""
    sass_aarch64: str = ""
    fa2_ptx: str = ""
    fa2_ptx_aarch64: str = ""
    measured: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineBuild:
    """A wheel of one release for another CUDA than the default index has, on the project's own release page."""

    version: str
    cuda: str  # "12.9"
    platform: str  # of its tag, without the machine: "manylinux_2_28"
    glibc: str  # that its libraries need, where the tag says less
    machines: tuple[str, ...]  # "x86_64", "aarch64"
    source: str

    @property
    def tag(self) -> str:
        """ "cu129"."""
        return "cu" + self.cuda.replace(".", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPages:
    """Where such wheels lie: engine -> address without "https://", with {version}, {tag}, {platform}, {machine}."""

    pages: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnginePins:
    """What the metadata of one release of an engine says."""

    version: str
    released: str = ""
    python: str = ""
    glibc: str = ""
    torch: str = ""
    torchvision: str = ""
    torchaudio: str = ""
    transformers: str = ""
    tokenizers: str = ""
    numpy: str = ""
    xformers: str = ""
    flashinfer: str = ""
    kernel: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRelease:
    """What one release of an engine demands; a version between two rows is judged as the older."""

    since: str  # the release itself
    cuda_major: int
    torch: str  # its pin, "2.9.0"; "" where it pins none (SGLang before 0.4.3.post3)
    python: str  # Requires-Python
    minimum_capability: str
    source: str
    released: str = ""
    glibc: str = ""
    torchvision: str = ""
    torchaudio: str = ""
    transformers: str = ""
    tokenizers: str = ""
    numpy: str = ""
    xformers: str = ""
    flashinfer: str = ""
    torch_range: str = ""  # ">=2.1.0", where it pins none
    kernel: str = ""  # "sgl-kernel 0.3.19"
    sass: str = ""  # capabilities that its binaries have compiled code for, on x86-64; "10.0a": for 10.0 alone
    sass_aarch64: str = ""  # the same of the wheels for Arm; "": not read
    fa2_ptx: str = ""  # PTX ISA of FlashAttention-2, which a GPU from 9.0 on must have compiled by the driver
    fa2_ptx_aarch64: str = ""  # where the wheel for Arm holds another
    measured: bool = False  # this release's own binaries were read; else those of its neighbours


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSupport:
    """Where a model type first works."""

    transformers: str
    vllm: str = ""  # "" : not known
    sglang: str = ""
    bad_transformers: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownBad:
    """Releases of a package with a defect, for some model types or for all."""

    package: str
    versions: str
    what: str
    instead: str
    source: str
    models: tuple[str, ...] = ()
    in_part: bool = False  # the rest of the model works
    once_installed: bool = False  # it runs where it is installed: the fault was in its installation


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPair:
    """Packages that do not go together."""

    packages: Mapping[str, str]
    what: str
    instead: str
    source: str
    models: str = ""  # "multimodal": only for models with pictures; else model types: "qwen2_vl qwen2_5_vl"


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherServer:
    """What another server's wheels are built for, from `since` until the next row."""

    server: str
    since: str
    cuda_major: int  # 0: its wheels hold no CUDA
    cudnn_major: int  # 0: none of its own
    source: str
    minimum_capability: str = ""
    pythons: str = ""  # that it has wheels for, where no index tells: "3.10 3.12"
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a section comes from."""

    source: str
    verified: str
    hand: bool
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """What single sections say beside their rows."""

    only_for: tuple[str, ...] = ()
    own_code_only: tuple[str, ...] = field(default=())
