"""What was read of driver, GPUs and CUDA. Part of `facts`, which re-exports these types: import them from there."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PciGpu:
    """An NVIDIA display or 3D controller on the PCI bus, seen without any driver."""

    address: str  # "0000:01:00.0"
    device_id: str  # "0x2684"
    driver: str | None = None  # kernel driver bound to it: "nvidia", "nouveau", "vfio-pci", None


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """The NVIDIA driver, from the best of NVML, libcuda, /proc and nvidia-smi that answered."""

    version: str | None  # "570.124.06"; of the user-space libraries when NVML answered, else of the kernel module
    kernel_version: str | None = None  # of the loaded kernel module (/proc/driver/nvidia/version)
    library_version: str | None = None  # in the file name that libnvidia-ml.so.1 or libcuda.so.1 resolves to
    cuda_version: str | None = None  # newest CUDA that the driver's libcuda knows, "12.8"
    nvml_code: int | None = None  # return code of nvmlInit: 0 is success, 18 a library/kernel mismatch
    nvml_error: str | None = None  # its text, or the dynamic loader's
    read_by: tuple[str, ...] = ()  # the sources that answered, best first
    open_module: bool | None = None  # the flavour of the kernel module, open or proprietary; None: not read


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuProcess:
    """A process that holds GPU memory; its bytes are None where the driver does not tell (WSL, containers)."""

    pid: int
    name: str = ""
    used_bytes: int | None = None
    compute: bool = True  # False: only draws (a desktop); it is not disturbed by a small computation


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU as NVML sees it (all GPUs of the machine, whatever CUDA_VISIBLE_DEVICES says)."""

    index: int
    name: str
    compute_capability: str  # "8.9"
    total_bytes: int  # 0: NVML does not tell
    free_bytes: int
    reserved_bytes: int = 0  # held by the driver itself
    uuid: str = ""
    pci_bus_id: str = ""
    mig: bool = False
    compute_mode: int = 0  # 0 default, 1 exclusive thread, 2 prohibited, 3 exclusive process
    processes: tuple[GpuProcess, ...] = ()
    unified: bool = False  # it has no memory of its own: the figures are those of main memory

    @property
    def memory_read(self) -> bool:
        """Whether its memory is known."""
        return self.total_bytes > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CudaDevice:
    """One device as the CUDA driver API shows it to the deployment (after CUDA_VISIBLE_DEVICES)."""

    index: int
    name: str
    compute_capability: str
    total_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cuda:
    """What libcuda says when it is really initialised in the deployment's environment."""

    library: str | None  # path that libcuda.so.1 resolved to; None: it could not be loaded
    load_error: str | None = None  # the dynamic loader's text
    init_code: int | None = None  # cuInit's return code; 0 is success
    init_error: str | None = None  # its name, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"
    driver_cuda_version: str | None = None  # cuDriverGetVersion, "12.8"
    devices: tuple[CudaDevice, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One small matrix product on a GPU, held against the same product on the CPU."""

    dtype: str  # "bfloat16", "float16"
    error: str | None = None  # the exception's text
    relative_error: float | None = None  # max |gpu - cpu| / max |cpu|; NaN where the result is not finite
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRun:
    """What happened when torch used one visible GPU."""

    index: int
    allocation_error: str | None = None
    products: tuple[Product, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchRun:
    """torch really imported by the target interpreter, in a child process."""

    version: str = ""
    file: str = ""
    import_error: str | None = None  # "ImportError: libcudart.so.12: cannot open shared object file ..."
    import_seconds: float = 0.0
    cuda_available: bool = False
    cuda_error: str | None = None  # why torch cannot use CUDA, in its own words
    cuda_tried: bool = True  # False: torch was imported, and CUDA left alone behind a driver that hangs
    devices: tuple[DeviceRun, ...] = ()
    libstdcxx: str = ""  # path of the C++ library that was loaded with it


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelLibrary:
    """GPU code that a package brings for itself, by the headers of its libraries; nothing is loaded.

    A library is made of many source files. The kernels of the greatest number of them, made for the same
    architectures, are its common ones, without which nothing runs; others are special to some GPUs.
    """

    package: str  # "vllm", "sgl-kernel", "flash-attn"
    name: str  # below the folder of packages, "vllm/_C.abi3.so"; of several that are one set, the first
    common: tuple[str, ...]  # architectures of the common kernels, ("sm_80", "sm_90a", "compute_80")
    others: tuple[str, ...] = ()  # further ones, in at least a twentieth of the source files: fewer are strays
    ptx: str = ""  # the newest PTX ISA among the common kernels, "8.8"; "": they hold no PTX
    cuda_major: int | None = None  # of the CUDA runtime that it is linked with; None: with none, or with several
    glibc: str = ""  # the newest that its symbols ask for, "2.34"
    libstdcxx: str = ""  # likewise, "3.4.30" of GLIBCXX_3.4.30
