"""How the driver of a machine is broken: the steps of which the rows in drivers.py are made.

Rows whose cause depends on being inside a container say so with `in_container`: these tests run in either. A driver
that is broken for one of its libraries is mostly broken for CUDA as well (`no_cuda`); where a row leaves CUDA working,
that is part of the illness.
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path

from tests.faults.fault import Fault
from tests.faults.machine import Machine
from tests.stubs import SOURCES, build_library, fake_tool

NVML, CUDA = "libnvidia-ml.so.1", "libcuda.so.1"

#: Time limits of the probes `nvml` and `cuda` with the factor of `short`.
NVML_LIMIT, CUDA_LIMIT = 3.0, 3.0

#: What nvidia-smi says without its library, without the module, and with the module of another driver.
SMI_NO_LIBRARY = """
echo "NVIDIA-SMI couldn't find libnvidia-ml.so library in your system."
echo "Please make sure that the NVIDIA Display Driver is properly installed and present in your system."
exit 12
"""
SMI_NO_MODULE = """
echo "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA"
echo "driver is installed and running."
exit 9
"""
SMI_MISMATCH = """
echo "Failed to initialize NVML: Driver/library version mismatch"
echo "NVML library version: 570.124"
exit 18
"""

#: A torch on which CUDA does not start, as the real one says it.
DEAD_CUDA = """
def is_available(): return False
def device_count(): return 0
def init(): raise RuntimeError("No CUDA GPUs are available")
"""

#: The header of a 32-bit shared library for i386 without any content.
ELF32 = b"\x7fELF\x01\x01\x01" + bytes(9) + struct.pack("<HHIIIIIHHHHHH", 3, 3, 1, 0, 52, 0, 0, 52, 32, 0, 40, 0, 0)

Break = Callable[[Machine], object]


def each(*steps: Break) -> Break:
    """One after the other."""

    def break_it(machine: Machine) -> None:
        for step in steps:
            step(machine)

    return break_it


def stub(**variables: str) -> Break:
    """Variables of tests/stubs."""
    return lambda machine: machine.environ.update(variables)


def short(machine: Machine) -> None:
    """Time limits of a twentieth: NVML and CUDA 3 s, the others 0.5 s."""
    machine.options += ["--timeout", "0.05"]


def in_container(machine: Machine) -> None:
    """Wherever this runs, the variable that podman and systemd set makes it a container (see probes/osinfo.py)."""
    machine.environ["container"] = "oci"


def no_cuda(code: int = 100) -> Break:
    """CUDA does not start either, and torch knows it."""

    def break_it(machine: Machine) -> None:
        machine.environ["STUB_CUINIT"] = str(code)
        (machine.torch / "cuda.py").write_text(DEAD_CUDA)

    return break_it


def cpu_would_do(machine: Machine) -> None:
    """--device auto, and a torch that cannot use a GPU."""
    machine.options += ["--device", "auto"]
    (machine.torch / "version.py").write_text("__version__ = '2.9.0+cpu'\ncuda = None\nhip = None\n")


def libraries(machine: Machine) -> Path:
    """The machine's own copy of the driver's libraries, to be broken."""
    folder = machine.root / "driver"
    if not folder.exists():
        shutil.copytree(machine.stubs, folder, symlinks=True)
        machine.environ["LD_LIBRARY_PATH"] = str(folder)
    return folder


def without(name: str) -> Break:
    """A library that is not there. nvidia-smi needs NVML, too."""

    def break_it(machine: Machine) -> None:
        (libraries(machine) / name).unlink()
        if name == NVML:
            smi(SMI_NO_LIBRARY)(machine)

    return break_it


def damaged(name: str, content: bytes) -> Break:
    """A library with this content."""

    def break_it(machine: Machine) -> None:
        without(name)(machine)
        (libraries(machine) / name).write_bytes(content)

    return break_it


def cut_off(machine: Machine) -> None:
    """The library ends where its code begins, as after a full disk: the loader itself dies of it."""
    link = libraries(machine) / NVML
    whole = link.resolve().read_bytes()
    link.resolve().write_bytes(whole[:4096])


def a_folder(machine: Machine) -> None:
    """Docker makes a folder where a file to be mounted does not exist."""
    without(NVML)(machine)
    (libraries(machine) / NVML).mkdir()


def dangling(machine: Machine) -> None:
    """The link to a driver that was removed, beside nothing."""
    (libraries(machine) / NVML).symlink_to("libnvidia-ml.so.535.129.03")


def lacking(macro: str) -> Break:
    """NVML of an older driver."""

    def break_it(machine: Machine) -> None:
        folder = libraries(machine)
        (folder / NVML).resolve().unlink()
        build_library(SOURCES / "nvml.c", folder, NVML, "570.124.06", macro)

    return break_it


def smi(script: str) -> Break:
    """Another nvidia-smi."""
    return lambda machine: fake_tool(machine.tools, "nvidia-smi", script)


def no_smi(machine: Machine) -> None:
    (machine.tools / "nvidia-smi").unlink()


def smi_may_not_run(machine: Machine) -> None:
    (machine.tools / "nvidia-smi").chmod(0o644)


def smi_is_a_folder(machine: Machine) -> None:
    no_smi(machine)
    (machine.tools / "nvidia-smi").mkdir()


def ill_smi(name: str, script: str, *says: str, limit: float = 0.0) -> Fault:
    """nvidia-smi is asked last, where NVML is not there: its own illness must not hide that."""
    steps = (smi(script), short) if limit else (smi(script),)
    return without_nvml(f"nvidia-smi {name}, without NVML", each(*steps), *says, limit=limit)


def without_nvml(name: str, break_it: Break, *says: str, limit: float = 0.0) -> Fault:
    """CUDA works and there is no NVML: transformers would run, but vLLM knows its platform by NVML."""
    return red(
        name,
        each(without(NVML), in_container, break_it),
        "DRV001",
        "CONTAINER_WITHOUT_NVML",
        "compute,utility",
        *says,
        limit=limit,
    )


def red(name: str, break_it: Break, code: str, cause: str, *says: str, limit: float = 0.0) -> Fault:
    return Fault(name=name, break_it=break_it, code=code, status="fail", cause=cause, exit=1, says=says, limit=limit)


def yellow(name: str, break_it: Break, code: str, cause: str, *says: str, exit: int, limit: float = 0.0) -> Fault:
    return Fault(name=name, break_it=break_it, code=code, status="warn", cause=cause, exit=exit, says=says, limit=limit)


def green(name: str, break_it: Break, why: str, code: str = "DRV001") -> Fault:
    """A fault that takes nothing from the deployment, and why."""
    return Fault(name=name, break_it=break_it, code=code, status="pass", exit=0, harmless=why)


def open_question(name: str, break_it: Break, code: str, *says: str) -> Fault:
    """What cannot be believed is not judged: the verdict is "incomplete"."""
    return Fault(name=name, break_it=break_it, code=code, status="unknown", exit=4, says=says)
