"""Machines for benchmarks/verdicts_against_env_doctor.py that two doctors see with their own probes.

Each is that of tests/faults (stand-ins for NVML and libcuda, a venv with metadata, a model folder) with another card,
driver and set of packages. What the packages pin, and which architectures a torch wheel holds, comes from the matrix.
The torch is a stand-in that answers like the real one on such a machine: `get_arch_list()` is empty where CUDA is not
available, and a wheel without code for the card fails at its first kernel.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from autoglm_doctor.facts import Distribution
from autoglm_doctor.matrix import EngineRelease, Matrix, load_matrix
from benchmarks.sick_machines import MODULES, MORE_TORCH
from tests.faults.driver_steps import no_smi
from tests.faults.machine import FAKE_TORCH, Machine, can_mount, write_distribution
from tests.stubs import build_stubs, fake_tool

#: nvidia-smi: the list, the queries that the tools make, and the banner.
SMI = """
case "$*" in
-L) echo 'GPU 0: {name} (UUID: GPU-00000000-stub)' ;;
*--query-gpu=driver_version*) echo {driver} ;;
*--query-gpu=index,name,memory.total,compute_cap*) echo '0, {name}, {memory}, {capability}' ;;
*--query-gpu=*) echo '{name}, {memory}, {capability}' ;;
*) echo '{banner}' ;;
esac
"""
OLD_BANNER = "| NVIDIA-SMI {driver}   Driver Version: {driver}   CUDA Version: {cuda}   |"
NEW_BANNER = "| NVIDIA-SMI {driver}   KMD Version: {driver}   CUDA UMD Version: {cuda}   |"

CUDA_WORKS = """
def is_available(): return True
def device_count(): return 1
def init(): pass
def get_device_capability(_=0): return {capability}
def get_device_name(_=None): return {name!r}
def get_arch_list(): return {architectures!r}
"""
CUDA_DEAD = """
def is_available(): return False
def device_count(): return 0
def get_arch_list(): return []
def init(): raise {error}
"""
TOO_OLD = 'RuntimeError("The NVIDIA driver on your system is too old (found version {number}).")'
NO_DRIVER = 'RuntimeError("Found no NVIDIA driver on your system.")'
NO_CUDA_BUILD = 'AssertionError("Torch not compiled with CUDA enabled")'
NO_KERNEL = """
def ones(*shape, device=None):
    raise RuntimeError("CUDA error: no kernel image is available for execution on the device")
"""

#: transformers with what it pins, before and after its fifth major version.
TRANSFORMERS = {
    "4.57.6": {"huggingface-hub": ("0.36.0", "<1.0,>=0.34.0"), "tokenizers": ("0.22.1", "<=0.23.0,>=0.22.0")},
    "5.17.0": {"huggingface-hub": ("1.5.0", "<2.0,>=1.5.0"), "tokenizers": ("0.23.1", "<0.24.0,>=0.23.1")},
}

#: Packages whose versions nothing here hangs on.
PLAIN = (("accelerate", "1.12.0"), ("safetensors", "0.6.2"), ("numpy", "2.2.6"), ("pillow", "12.0.0"))

#: name, capability, MiB in all.
CARDS = {
    "RTX 4090": ("NVIDIA GeForce RTX 4090", "8.9", 24564),
    "A100": ("NVIDIA A100-SXM4-80GB", "8.0", 81920),
    "V100": ("Tesla V100-PCIE-16GB", "7.0", 16384),
    "RTX 5090": ("NVIDIA GeForce RTX 5090", "12.0", 32607),
    "GB10": ("NVIDIA GB10", "12.1", 124610),
}


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """What is true of the machine. `torch` is its `__version__`; without `vllm` the deployment is transformers."""

    card: str = "RTX 4090"
    driver: str = "580.95.05"  # "": none is installed
    cuda: str = "13.0"  # the driver's
    vllm: str = ""
    torch: str = "2.10.0+cu128"
    transformers: str = "4.57.6"
    options: tuple[str, ...] = ()  # of the engine
    torch_source: str = ""  # in place of a torch that works
    error: str = ""  # why CUDA does not start in torch
    kernels: bool = True  # torch has code for the card
    free_mib: int = 0  # all but what an idle card takes
    nvidia_smi: bool = True
    smi: str = ""  # what nvidia-smi does instead
    new_banner: bool = False
    memory_told: bool = True
    python: str = ""  # path of another interpreter for the deployment
    others: tuple[tuple[str, str], ...] = ()  # more packages
    environ: tuple[tuple[str, str], ...] = ()

    @property
    def cuda_number(self) -> int:
        """12020 for 12.2."""
        major, minor = self.cuda.split(".")
        return int(major) * 1000 + int(minor) * 10


def simulate(what: Simulated, root: Path) -> Machine:
    """Build it in a new folder."""
    root.mkdir(parents=True)
    machine = Machine(root=root / "machine", stubs=build_stubs(root, what.driver or "none"))
    machine.options.clear()
    _driver(machine, what)
    _packages(machine, what)
    _torch(machine, what)
    if what.python:
        _other_python(machine, what.python)
    _intent(machine, what)
    machine.environ |= {"COLUMNS": "300", "PYTHONDONTWRITEBYTECODE": "1", **dict(what.environ)}
    if Path("/usr/local/cuda").exists() and can_mount():
        machine.mounts.append("mount -t tmpfs none /usr/local")
    return machine


def matrix() -> Matrix:
    """The matrix of this checkout."""
    return load_matrix()


def _driver(machine: Machine, what: Simulated) -> None:
    name, capability, mib = CARDS[what.card]
    if not what.driver:
        no_smi(machine)
        machine.environ["LD_LIBRARY_PATH"] = str(machine.tools)
        return
    free = what.free_mib or mib - 450
    machine.environ |= {
        "STUB_DRIVER": what.driver,
        "STUB_CUDA": str(what.cuda_number),
        "STUB_GPUS": f"{name}|{capability}|{mib}|{free}|430",
        "STUB_CUDA_MIB": str(mib - 430),
        "STUB_CAPABILITY": capability.replace(".", ""),
    }
    if not what.memory_told:
        machine.environ["STUB_UNSUPPORTED"] = "memory v2"
        _main_memory(machine, mib, free)
    banner = (NEW_BANNER if what.new_banner else OLD_BANNER).format(driver=what.driver, cuda=what.cuda)
    memory = f"{mib} MiB" if what.memory_told else "[N/A]"
    script = SMI.format(name=name, capability=capability, memory=memory, driver=what.driver, banner=banner)
    fake_tool(machine.tools, "nvidia-smi", what.smi or script)
    if not what.nvidia_smi:
        no_smi(machine)


def _main_memory(machine: Machine, total: int, free: int) -> None:
    """A GPU that tells no memory works in the machine's, which is as large."""
    if can_mount():
        file = machine.root / "meminfo"
        file.write_text(f"MemTotal: {total * 1024} kB\nMemAvailable: {free * 1024} kB\nSwapFree: 0 kB\n")
        machine.mounts.append(f"mount --bind {file} /proc/meminfo")


def _packages(machine: Machine, what: Simulated) -> None:
    """The metadata of a set that agrees with itself, as far as the row does not say otherwise."""
    for folder in machine.site.glob("*.dist-info"):
        shutil.rmtree(folder)
    known, release = matrix(), what.torch.split("+")[0]
    torch, engine = known.torch_release(release), known.engine_release("vllm", what.vllm) if what.vllm else None
    if torch is None:
        raise ValueError(f"the matrix does not know torch {release}")
    pins = TRANSFORMERS[what.transformers]
    cuda = "+cu" in what.torch  # wheels of the package index have no local part
    found = [
        ("torch", release if cuda else what.torch, (f"triton=={torch.triton}",) if cuda else ()),
        ("torchvision", engine.torchvision if engine else torch.torchvision, (f"torch=={release}", "numpy")),
        ("transformers", what.transformers, tuple(f"{name}{wanted}" for name, (_, wanted) in pins.items())),
        *((name, version, ()) for name, (version, _) in pins.items()),
        *((name, version, ()) for name, version in (*PLAIN, *what.others)),
    ]
    found += [("triton", torch.triton, ())] if cuda else []
    found += [("vllm", what.vllm, _pins(engine))] if engine else []
    for name, version, requires in found:
        write_distribution(machine.site, Distribution(name=name, version=version, requires=requires))


def _pins(engine: EngineRelease) -> tuple[str, ...]:
    return (f"torch=={engine.torch}", f"torchvision=={engine.torchvision}", f"transformers{engine.transformers}")


def _torch(machine: Machine, what: Simulated) -> None:
    for name, text in MODULES.items():
        (machine.torch / name).parent.mkdir(exist_ok=True)
        (machine.torch / name).write_text(text)
    local = what.torch.partition("+")[2]
    cuda = f"{local[2:-1]}.{local[-1]}" if local.startswith("cu") else None
    build = matrix().torch_build(what.torch) if cuda else None
    architectures = [f"sm_{one.replace('.', '')}" for one in build.sass] if build else []
    (machine.torch / "__init__.py").write_text(
        what.torch_source or FAKE_TORCH + MORE_TORCH + ("" if what.kernels else NO_KERNEL)
    )
    (machine.torch / "cuda.py").write_text(_cuda(what, architectures))
    (machine.torch / "version.py").write_text(
        f"__version__ = {what.torch!r}\ncuda: 'str | None' = {cuda!r}\nhip = None\ndebug = False\n"
    )
    (machine.torch / "lib" / "libtorch_python.so").write_bytes(f"\0{' '.join(architectures)}\0".encode())


def _cuda(what: Simulated, architectures: list[str]) -> str:
    if what.error:
        return CUDA_DEAD.format(error=what.error.format(number=what.cuda_number))
    name, capability, _ = CARDS[what.card]
    major, minor = (int(part) for part in capability.split("."))
    return CUDA_WORKS.format(capability=(major, minor), name=name, architectures=architectures)


def _other_python(machine: Machine, python: str) -> None:
    """The same venv for another interpreter; `machine.site` leads to its packages."""
    packages = machine.root / "packages"
    machine.site.rename(packages)
    shutil.rmtree(machine.venv)
    subprocess.run([python, "-m", "venv", "--without-pip", machine.venv], check=True, timeout=60)
    [site] = machine.venv.glob("lib/python3.*/site-packages")
    shutil.rmtree(site)
    packages.rename(site)
    if site != machine.site:
        machine.site.parent.mkdir(parents=True)
        machine.site.symlink_to(site)
    program = machine.venv / "bin" / "vllm"
    program.write_text(f"#!{machine.venv}/bin/python\nraise SystemExit('the doctor must not start this')\n")
    program.chmod(0o755)


def _intent(machine: Machine, what: Simulated) -> None:
    """The line after `--`; without vLLM our options in its place. The disk is this machine's own: not judged."""
    machine.options += ["--skip", "DSK"]
    if what.vllm:
        machine.command += what.options
        return
    machine.command.clear()
    python = str(machine.venv / "bin" / "python")
    machine.options += ["--engine", "transformers", "--model", str(machine.model), "--python", python]
