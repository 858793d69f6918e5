"""Faults of torch."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from tests.faults.fault import Fault
from tests.faults.machine import FAKE_TORCH, Machine
from tests.faults.proofs import met
from tests.faults.torches import SURVIVABLE, TORCHES

#: Before a nuisance, which may take away what is needed to write; and behind it.
WITNESS = """
import os as _os
def _met(open=_os.open, write=_os.write, close=_os.close, flags=_os.O_WRONLY | _os.O_CREAT):
    file = open({path!r}, flags)
    write(file, b"met")
    close(file)
"""

#: torch's limit is 60 s, here 3.
QUICK = ("--timeout", "0.05")
LIMIT = 3.0

HARMLESS = "torch works all the same; what it did stayed in a process of its own"


def with_torch(name: str, *options: str) -> Callable[[Machine], None]:
    """The machine's torch replaced by one of torches.py; behind a mere nuisance stands the healthy one."""

    def break_it(machine: Machine) -> None:
        source = TORCHES[name]
        if name in SURVIVABLE:
            source = f"{WITNESS.format(path=str(machine.witness))}\n{source}\n_met()\n{FAKE_TORCH}"
        (machine.torch / "__init__.py").write_text(source, encoding="utf-8", errors="surrogateescape")
        machine.options += options

    return break_it


def without(*files: str) -> Callable[[Machine], None]:
    """The machine's torch without some of its files."""

    def break_it(machine: Machine) -> None:
        for path in [path for name in files for path in machine.torch.glob(name)]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return break_it


def write(path: str, data: bytes) -> Callable[[Machine], None]:
    """One file of the machine's torch with other content."""

    def break_it(machine: Machine) -> None:
        Path(machine.torch / path).write_bytes(data)

    return break_it


#: What setuptools writes for an editable installation whose sources are no folder to put on sys.path as it is.
FINDER = """
import importlib.util, sys
class Finder:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name == "torch":
            return importlib.util.spec_from_file_location(name, {init!r}, submodule_search_locations=[{folder!r}])
sys.meta_path.append(Finder)
"""


def behind_a_hook(machine: Machine) -> None:
    """The same torch, used where its sources lie: an editable installation."""
    sources = machine.root / "pytorch" / "torch"
    sources.parent.mkdir()
    machine.torch.rename(sources)
    finder = FINDER.format(init=str(sources / "__init__.py"), folder=str(sources))
    (machine.site / "__editable___torch_finder.py").write_text(finder)
    (machine.site / "__editable__.torch.pth").write_text("import __editable___torch_finder\n")


def died(name: str, *says: str, limit: float = 0.0) -> Fault:
    """A torch that does not import: one red, by TOR002."""
    options = QUICK if limit else ()
    return Fault(
        name=f"torch {name}",
        break_it=with_torch(name, *options),
        limit=limit,
        code="TOR002",
        status="fail",
        cause="TORCH_IMPORT_FAILED",
        exit=1,
        says=says,
    )


def raised(name: str, cause: str, *says: str) -> Fault:
    """The same with a cause of its own."""
    return Fault(
        name=f"torch {name}",
        break_it=with_torch(name),
        code="TOR002",
        status="fail",
        cause=cause,
        exit=1,
        says=says,
    )


def survived(name: str) -> Fault:
    """A torch that does odd things and works."""
    return Fault(
        name=f"torch {name}",
        break_it=with_torch(name),
        code="TOR002",
        status="pass",
        exit=0,
        says=("2.9.0+cu128",),
        harmless=HARMLESS,
        took_hold=met,
    )


FATAL = [
    died("segfaults", "SIGSEGV"),
    died("aborts", "SIGABRT"),
    died("is killed", "SIGKILL", "dmesg"),
    died("meets an illegal instruction", "SIGILL", "AVX"),
    died("hangs", "no answer within 3 s", "faulthandler", limit=LIMIT),
    died("hangs and ignores signals", "hangs", limit=LIMIT),
    died("hangs in a busy loop", "hangs", limit=LIMIT),
    died("leaves with 0", "ends the interpreter", "exit code 0"),
    died("forks and the parent leaves", "ends the interpreter"),
]

RAISING = [
    raised("lacks a library", "TORCH_IMPORT_FAILED", "libcudart.so.12"),
    raised("lacks a symbol", "CUDA_LIBS_SHADOWED", "ncclCommWindowRegister", "LD_LIBRARY_PATH"),
    raised("exhausts memory", "RAM_TOO_SMALL", "MemoryError", "free -m"),
    died("raises no Exception", "Odd: odd"),
    died("calls sys.exit(0)", "SystemExit: 0"),
    died("calls sys.exit(3)", "SystemExit: 3"),
    died("recurses without end", "RecursionError"),
    died("raises a megabyte of text", "RuntimeError: long long"),
    died("raises broken text", "half a pair"),
    died("raises what cannot be printed", "Mute"),
    died("has a syntax error", "SyntaxError", "__init__.py"),
    died("is no UTF-8", "utf-8"),
    died("lacks its C library", "No module named 'torch._C'"),
]

SURVIVED = [survived(name) for name in SURVIVABLE]

FILES = [
    Fault(
        name="torch is behind an import hook",
        break_it=behind_a_hook,
        code="TOR001",
        status="pass",
        exit=0,
        harmless="an editable installation: it imports and works",
        took_hold=lambda machine, run: (
            run.report["facts"]["interpreter"]["value"]["torch_folder"] == str(machine.root / "pytorch" / "torch")
        ),
    ),
    Fault(
        name="torch has no version.py",
        break_it=without("version.py"),
        code="TOR002",
        status="fail",
        cause="TORCH_IMPORT_FAILED",
        exit=1,
        says=("torch.version",),
    ),
    Fault(
        name="torch is an empty folder",
        break_it=without("*"),
        code="TOR001",
        status="fail",
        cause="TORCH_NOT_INSTALLED",
        exit=1,
        says=("pip install",),
    ),
    Fault(
        name="torch's version.py is garbage, and it imports",
        break_it=lambda machine: (
            write("version.py", b"\xff\xfe\0garbage(")(machine),
            write("__init__.py", FAKE_TORCH.replace("from .version import", "__version__ = '2.9.0' #").encode())(
                machine
            ),
        ),
        code="TOR001",
        status="unknown",
        exit=4,
        says=("version.py cannot be read",),
    ),
    Fault(
        name="torch's library is garbage",
        break_it=write("lib/libtorch_python.so", b"\x7fELF\x02\x01" + b"\xff" * 4096),
        code="TOR005",
        status="unknown",
        exit=4,
        says=("architectures",),
    ),
    Fault(
        name="torch answers nonsense for its GPUs",
        break_it=write("cuda.py", b"def is_available(): return True\ndef device_count(): return 'many'\n"),
        code="CUD002",
        status="fail",
        cause="CUDA_INIT_FAILED",
        exit=1,
        says=("TypeError",),
    ),
    Fault(
        name="torch hangs when it starts CUDA",
        break_it=lambda machine: (
            write("cuda.py", b"import time\ndef is_available(): time.sleep(3600)\n")(machine),
            machine.options.extend(QUICK),
        ),
        limit=LIMIT,
        code="TOR002",
        status="fail",
        cause="TORCH_IMPORT_FAILED",
        exit=1,
        says=("torch hangs: no answer within 3 s, while starting CUDA",),
    ),
]

FAULTS = [*FATAL, *RAISING, *SURVIVED, *FILES]
