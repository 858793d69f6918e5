"""The operating system as the deployment sees it, and the variables of its environment that checks look at."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from autoglm_doctor.facts import Environment, Host
from autoglm_doctor.probes.hostlimits import read_interfaces, read_limits, read_own_address
from autoglm_doctor.probes.loader import look_for_libraries

#: Nothing else is ever collected.
_NAMES = frozenset(
    {
        "CUDA_VISIBLE_DEVICES",
        "CUDA_DEVICE_ORDER",
        "NVIDIA_VISIBLE_DEVICES",
        "NVIDIA_DRIVER_CAPABILITIES",
        "LD_LIBRARY_PATH",
        "LD_PRELOAD",
        "CUDA_HOME",
        "CUDA_PATH",
        "NVCC_CCBIN",
        "NVCC_PREPEND_FLAGS",
        "NVCC_APPEND_FLAGS",
        "TRITON_PTXAS_PATH",
        "TRITON_LIBCUDA_PATH",
        "LIBRARY_PATH",
        "GLOO_SOCKET_IFNAME",
        "TP_SOCKET_IFNAME",
        "TRITON_PTXAS_BLACKWELL_PATH",
        "HF_HOME",
        "HF_HUB_CACHE",
        "HF_ENDPOINT",
        "HF_HUB_ENABLE_HF_TRANSFER",
        "HF_HUB_OFFLINE",
        "TRANSFORMERS_OFFLINE",
        "MODELSCOPE_CACHE",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "PYTORCH_CUDA_ALLOC_CONF",
        "PYTORCH_ALLOC_CONF",
        "PYTHONPATH",
        "VIRTUAL_ENV",
        "CONDA_PREFIX",
        "TMPDIR",
        "OMP_NUM_THREADS",
        "CUDA_LAUNCH_BLOCKING",
        "CUDA_DEVICE_MAX_CONNECTIONS",
        "PYTORCH_NO_CUDA_MEMORY_CACHING",
        "BNB_CUDA_VERSION",
        "NVIDIA_DISABLE_REQUIRE",
    }
)
_PREFIXES = ("VLLM_", "NCCL_", "SGLANG_", "FLASHINFER_", "NVIDIA_REQUIRE_")
_SECRET = re.compile(r"key|token|secret|password|passwd|auth|credential", re.IGNORECASE)


def read_environment(environ: Mapping[str, str], overrides: Mapping[str, str], root: Path | None = None) -> Environment:
    """The variables on the list, without secrets, the overrides over them; with `root`, the libraries that they name.

    LD_LIBRARY_PATH and its kind name folders as the deployment sees them; they are looked for under `root`.
    """
    merged = {**environ, **overrides}
    wanted = {k: _without_credentials(v) for k, v in sorted(merged.items()) if _is_wanted(k)}
    return Environment(variables=wanted, libraries=None if root is None else look_for_libraries(merged, root))


def _is_wanted(name: str) -> bool:
    listed = name.upper() in _NAMES if name.lower().endswith("_proxy") else name in _NAMES
    return (listed or name.startswith(_PREFIXES)) and not _SECRET.search(name)


def _without_credentials(value: str) -> str:
    """http://user:password@proxy:3128 -> http://proxy:3128; what is no such URL stays as it is."""
    if "@" not in value or "://" not in value:
        return re.sub(r"^[^/@\s]+:[^/@\s]+@", "", value)  # "user:password@proxy:3128", which curl takes too
    parts = urlsplit(value)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def read_host(root: Path, environ: Mapping[str, str]) -> Host:
    """Files are read under `root`; kernel, machine and CPUs are those of this process."""
    name = platform.uname()
    wsl = "microsoft" in _read(root / "proc/version").lower()
    container = _container(root, environ)
    open_files, processes = read_limits()
    return Host(
        system=name.system,
        machine=name.machine,
        kernel=name.release,
        distribution=_distribution(root),
        os_ids=_os_ids(root),
        glibc=_glibc(),
        tegra=_is_tegra(root),
        wsl=wsl,
        container=container,
        cpus=_cpus(),
        memlock_bytes=_memlock(),
        rdma_devices=_rdma_devices(root),
        interfaces=read_interfaces(root),
        own_address=read_own_address(root),
        open_files=open_files,
        processes=processes,
        secure_boot=_secure_boot(root),
        container_toolkit=None if wsl or container or name.system != "Linux" else _has_toolkit(root),
    )


def _secure_boot(root: Path) -> bool | None:
    """EFI's variable: four bytes of attributes, then 1 or 0 (UEFI specification, 3.3). None without EFI."""
    for path in sorted((root / "sys/firmware/efi/efivars").glob("SecureBoot-*")):
        try:
            value = path.read_bytes()
        except OSError:
            continue
        return value[-1] == 1 if len(value) == 5 else None
    return None


#: What NVIDIA's container toolkit installs, where distributions put programs.
_TOOLKIT = ("nvidia-ctk", "nvidia-container-runtime", "nvidia-container-runtime-hook", "nvidia-container-cli")
_PROGRAMS = ("usr/bin", "usr/local/bin", "usr/local/nvidia/toolkit", "run/current-system/sw/bin")


def _has_toolkit(root: Path) -> bool | None:
    """Its programs, or a CDI specification that it wrote; None where Docker is a snap, which has its own."""
    if any((root / folder / name).exists() for folder in _PROGRAMS for name in _TOOLKIT):
        return True
    if any(path for folder in ("etc/cdi", "run/cdi", "var/run/cdi") for path in (root / folder).glob("*nvidia*")):
        return True
    return None if (root / "snap/docker").exists() else False


def _memlock() -> int | None:
    """The soft limit, which a server inherits as this process did; -1 where there is none."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    return -1 if limit == resource.RLIM_INFINITY else limit


def _rdma_devices(root: Path) -> tuple[str, ...]:
    """Names of the adapters ("mlx5_0"). What is closed to us is closed to NCCL as well."""
    try:
        return tuple(sorted(os.listdir(root / "sys/class/infiniband")))
    except OSError:
        return ()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _is_tegra(root: Path) -> bool:
    """A Jetson: its GPU shares the memory of the machine, and NVML is not there or knows little.

    A container sees no device tree; the folder is what vLLM looks at as well, beside the file.
    """
    signs = (root / "etc/nv_tegra_release", root / "sys/class/tegra-firmware")
    return any(map(os.path.exists, signs)) or bool(re.search("Jetson|Tegra", _read(root / "proc/device-tree/model")))


def _os_release(root: Path) -> str:
    return _read(root / "etc/os-release") or _read(root / "usr/lib/os-release")


def _os_ids(root: Path) -> tuple[str, ...]:
    """ID and then ID_LIKE, the closest relative first (os-release(5))."""
    said = dict(re.findall(r"""^(ID|ID_LIKE)=["']?([^"'\n]*)""", _os_release(root), re.MULTILINE))
    return tuple(dict.fromkeys(f"{said.get('ID', '')} {said.get('ID_LIKE', '')}".lower().split()))


def _distribution(root: Path) -> str:
    text = _os_release(root)
    found = re.search(r"""^PRETTY_NAME=["']?([^"'\n]*)""", text, re.MULTILINE)
    return found[1] if found else ""


def _glibc() -> str | None:
    try:
        words = (os.confstr("CS_GNU_LIBC_VERSION") or "").split()  # "glibc 2.36"
    except (AttributeError, ValueError, OSError):  # Windows, musl, macOS
        return None
    return words[1] if len(words) == 2 else None


def _cpus() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 0


def _container(root: Path, environ: Mapping[str, str]) -> str:
    """The innermost kind that shows; "" when nothing does."""
    if "KUBERNETES_SERVICE_HOST" in environ:
        return "kubernetes"
    groups = _read(root / "proc/1/cgroup")
    if "kubepods" in groups:
        return "kubernetes"
    if (root / "run/.containerenv").exists():
        return "podman"
    if (root / ".dockerenv").exists():
        return "docker"
    named = environ.get("container", "") or _read(root / "run/systemd/container").strip()
    if named and named != "wsl":  # systemd counts WSL as a container; for us it is a host
        return named
    found = re.search(r"docker|libpod|containerd|lxc", groups)
    return {"libpod": "podman"}.get(found[0], found[0]) if found else ""
