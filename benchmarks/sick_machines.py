"""The machine of benchmarks/faults_against_peers.py and its faults; what a report must say was written before any ran.

The machine is that of tests/faults, with a torch and an nvidia-smi that also answer what other tools ask: for each of
them it must be healthy before a fault is put into it. It has no CUDA toolkit, like any machine that serves from wheels.
What hangs, hangs for an hour: a driver that is wedged does not come back after a while.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults import packages
from tests.faults.driver_steps import (
    CUDA,
    DEAD_CUDA,
    NVML,
    SMI_MISMATCH,
    SMI_NO_LIBRARY,
    Break,
    damaged,
    each,
    in_container,
    smi,
    stub,
    without,
)
from tests.faults.machine import DRIVER, FAKE_TORCH, FAKE_TORCH_CUDA, Machine, can_mount
from tests.faults.torches import TORCHES

#: nvidia-smi: the list, the two queries, XML, and the banner.
SMI = """
case "$*" in
-L) echo 'GPU 0: NVIDIA GeForce RTX 4090 (UUID: GPU-00000000-stub)' ;;
*-q*-x*) cat <<'END'
<?xml version="1.0" ?>
<nvidia_smi_log>
	<driver_version>{driver}</driver_version>
	<cuda_version>{cuda}</cuda_version>
	<attached_gpus>1</attached_gpus>
	<gpu id="00000000:01:00.0">
		<product_name>NVIDIA GeForce RTX 4090</product_name>
		<fb_memory_usage><total>24564 MiB</total><free>24114 MiB</free></fb_memory_usage>
	</gpu>
</nvidia_smi_log>
END
;;
*--query-gpu=driver_version*) echo {driver} ;;
*--query-gpu=index,name,uuid,*) echo '0, NVIDIA GeForce RTX 4090, GPU-00000000-stub, 24564 MiB, 8.9' ;;
*--query-gpu=*) echo '0, NVIDIA GeForce RTX 4090, 24564 MiB, 8.9' ;;
*) cat <<'END'
+-----------------------------------------------------------------------------------------+
{banner}
|-----------------------------------------+------------------------+----------------------+
|   0  NVIDIA GeForce RTX 4090        Off |   00000000:01:00.0 Off |                  Off |
| 30%   32C    P8             20W /  450W |     450MiB /  24564MiB |      0%      Default |
+-----------------------------------------+------------------------+----------------------+
END
;;
esac
"""
BANNER = f"| NVIDIA-SMI {DRIVER}             Driver Version: {DRIVER}     CUDA Version: 12.8     |"
NEW_DRIVER = "610.43.02"  # the first release with the new words
NEW_BANNER = f"| NVIDIA-SMI {NEW_DRIVER}              KMD Version: {NEW_DRIVER}     CUDA UMD Version: 13.3     |"

#: What nvidia-smi says of a GPU that is no longer on the bus, and its exit code for that.
SMI_LOST = """
echo 'Unable to determine the device handle for GPU0000:01:00.0: GPU is lost.  Reboot the system to recover this GPU'
exit 15
"""

#: What the tools ask torch beyond our own questions.
MORE_CUDA = """
def get_device_name(_=None): return 'NVIDIA GeForce RTX 4090'
def get_arch_list(): return ['sm_70', 'sm_75', 'sm_80', 'sm_86', 'sm_90', 'sm_100', 'sm_120']
"""
MORE_TORCH = """
from . import backends, utils, version, xpu
"""
MODULES = {
    "xpu.py": "def is_available(): return False\n",
    "utils/__init__.py": "",
    "backends/__init__.py": "from . import cudnn\n",
    "backends/cudnn.py": "def version(): return 91002\ndef is_available(): return True\n",
    "backends/xnnpack.py": "enabled = True\n",
}


def healthy(machine: Machine) -> None:
    """What other tools look at, so that they find nothing wrong either."""
    machine.options.clear()  # ours also measures the disk, as it does for users
    smi(SMI.format(driver=DRIVER, cuda="12.8", banner=BANNER))(machine)
    for name, text in MODULES.items():
        (machine.torch / name).parent.mkdir(exist_ok=True)
        (machine.torch / name).write_text(text)
    (machine.torch / "__init__.py").write_text(FAKE_TORCH + MORE_TORCH)
    (machine.torch / "cuda.py").write_text(FAKE_TORCH_CUDA + MORE_CUDA)
    with (machine.torch / "version.py").open("a") as stream:
        stream.write("debug = False\n")
    if Path("/usr/local/cuda").exists() and can_mount():
        machine.mounts.append("mount -t tmpfs none /usr/local")


def torch(name: str, whole: bool = False) -> Break:
    """One of tests/faults/torches.py, before a whole torch or alone."""

    def break_it(machine: Machine) -> None:
        rest = FAKE_TORCH + MORE_TORCH if whole else ""
        (machine.torch / "__init__.py").write_text(f"{TORCHES[name]}\n{rest}")

    return break_it


def no_cuda(code: int) -> Break:
    """CUDA does not start, and torch knows it."""

    def break_it(machine: Machine) -> None:
        machine.environ["STUB_CUINIT"] = str(code)
        (machine.torch / "cuda.py").write_text(FAKE_TORCH_CUDA + MORE_CUDA + DEAD_CUDA)

    return break_it


def read_only_home(machine: Machine) -> None:
    """By a mount where that is allowed; else HOME lies in what is no folder. Root may write anywhere else."""
    if can_mount():
        machine.mounts.append(f"mount -t tmpfs -o ro none {machine.home}")
    else:
        machine.environ["HOME"] = "/dev/null/home"


def new_driver(machine: Machine) -> None:
    """R610 for NVML, CUDA and nvidia-smi."""
    stub(STUB_DRIVER=NEW_DRIVER, STUB_CUDA="13030")(machine)
    smi(SMI.format(driver=NEW_DRIVER, cuda="13.3", banner=NEW_BANNER))(machine)


SMI_HANGS = smi("exec sleep 3600")
NVML_HANGS = each(stub(STUB_HANG="1"), SMI_HANGS)

#: Nothing need be named: what counts is a report with every word of that of the healthy machine.
WHOLE = ""

_HANGS = r"(hang|hung|wedged|time[sd]?.?out|no answer|did not (answer|return|finish|come back)|not respond)"


@dataclass(frozen=True)
class Fault:
    """A fault, and the pattern of a passage that names it. Lines that stand in the healthy report do not count."""

    name: str
    break_it: Callable[[Machine], object] = lambda _: None
    named: str = WHOLE
    how: str = "run"  # or "pipe": nobody reads its output; "interrupt": SIGINT while it hangs
    environ: dict[str, str] = field(default_factory=dict)


FAULTS = [
    Fault("healthy"),
    Fault("torch segfaults", torch("segfaults"), r"SIGSEGV|seg(mentation)? ?fault|signal 11|crash"),
    Fault("torch hangs", torch("hangs"), rf"torch.*{_HANGS}|{_HANGS}.*torch"),
    Fault(
        "torch calls sys.exit(0)",
        torch("calls sys.exit(0)"),
        r"SystemExit|sys\.exit|ends the interpreter|exit(s|ed) (while|during|on|at) import",
    ),
    Fault("torch prints 100 MB", torch("floods standard output", whole=True)),
    Fault("torch lacks libcudart", torch("lacks a library"), r"libcudart\.so\.12"),
    Fault("nvidia-smi hangs, NVML works", SMI_HANGS, rf"nvidia-smi.*{_HANGS}|{_HANGS}.*nvidia-smi"),
    Fault(
        "the library of NVML is missing",
        each(without(NVML), smi(SMI_NO_LIBRARY), in_container),
        r"libnvidia-ml|\bNVML\b",
    ),
    Fault("NVML hangs, and nvidia-smi", NVML_HANGS, rf"(NVML|driver|nvidia-smi|GPU).*{_HANGS}|{_HANGS}.*nvidia-smi"),
    Fault(
        "libcuda is garbage",
        each(damaged(CUDA, b"garbage" * 99), no_cuda(100), in_container),
        r"libcuda\b|cuInit|invalid ELF",
    ),
    Fault(
        "driver and library mismatch",
        each(stub(STUB_INIT="18"), no_cuda(803), smi(SMI_MISMATCH)),
        r"mismatch",
    ),
    Fault("driver R610 and its banner", new_driver, r"610\.43"),
    Fault(
        "the GPU is lost between calls",
        each(stub(STUB_GPU_ERROR="0:15:uuid"), no_cuda(999), smi(SMI_LOST)),
        r"\blost\b|fell off|fallen off",
    ),
    Fault(
        "METADATA of torch is no UTF-8",
        packages.metadata("torch", b"Name: torch\nVersion: 2.9.0\nAuthor: \xff\xfe\n\n"),
        r"(torch|METADATA).*(utf-?8|damaged|broken|corrupt|decode)|(utf-?8|damaged|broken|corrupt|decode).*torch",
    ),
    Fault("HOME is read-only", read_only_home),
    Fault("stdout takes only ASCII", environ={"PYTHONIOENCODING": "ascii"}),
    Fault("the reader of stdout is gone", how="pipe"),
    Fault("Ctrl-C while the driver hangs", NVML_HANGS, r"interrupt|abort|cancel|Ctrl.C|SIGINT", how="interrupt"),
]
