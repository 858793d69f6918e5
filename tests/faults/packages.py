"""Faults of site-packages: metadata that is damaged, twice there, endless or no metadata at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from autoglm_doctor.facts import Distribution
from tests.faults.fault import Fault
from tests.faults.machine import FAKE_TORCH, FAKE_TORCH_CUDA, Machine, write_distribution
from tests.faults.proofs import Proof, faulty, holds, listed
from tests.faults.running import Run
from tests.probes.gpu_code import elf, fatbin

Break = Callable[[Machine], object]

OTHERS = "none of the packages that a server needs: pip itself goes on with a warning"


def info(machine: Machine, name: str) -> Path:
    """The .dist-info folder of an installed package."""
    return next(machine.site.glob(f"{name}-*.dist-info"))


def metadata(name: str, data: bytes) -> Break:
    return lambda machine: (info(machine, name) / "METADATA").write_bytes(data)


def added(name: str, version: str, *requires: str) -> Break:
    one = Distribution(name=name, version=version, requires=requires)
    return lambda machine: write_distribution(machine.site, one)


def without_metadata(name: str) -> Break:
    return lambda machine: (info(machine, name) / "METADATA").unlink()


def metadata_is_a_folder(machine: Machine) -> None:
    (info(machine, "torch") / "METADATA").unlink()
    (info(machine, "torch") / "METADATA").mkdir()


def metadata_is_a_fifo(machine: Machine) -> None:
    (info(machine, "torch") / "METADATA").unlink()
    os.mkfifo(info(machine, "torch") / "METADATA")
    machine.options += ["--timeout", "0.05"]


def info_is_a_file(machine: Machine) -> None:
    folder = info(machine, "numpy")
    shutil.rmtree(folder)
    folder.write_text("no folder")


def two_torches(machine: Machine) -> None:
    """A torch of another release that hides the installed one, as a forgotten PYTHONPATH does."""
    folder = machine.root / "other" / "torch"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(FAKE_TORCH)
    (folder / "cuda.py").write_text(FAKE_TORCH_CUDA)
    (folder / "version.py").write_text("__version__ = '2.6.0+cu124'\ncuda = '12.4'\nhip = None\n")
    machine.command = ["env", f"PYTHONPATH={folder.parent}", *machine.command]


def long_description(machine: Machine) -> None:
    path = info(machine, "transformers") / "METADATA"
    with path.open("ab") as stream:
        stream.write(b"word " * 10_000_000)


def long_header(machine: Machine) -> None:
    path = info(machine, "transformers") / "METADATA"
    path.write_bytes(path.read_bytes().rstrip() + b"\n" + b"Classifier: Odd\n" * 3_000_000)


def many_damaged(machine: Machine) -> None:
    for number in range(300):
        (machine.site / f"odd{number}-1.0.dist-info").mkdir()


def link_loop(machine: Machine) -> None:
    loop = machine.site / "loop"
    loop.symlink_to(loop)
    (machine.site / "loop-1.0.dist-info").symlink_to(loop)
    (machine.site / "back").symlink_to(machine.site)  # a folder that holds itself
    (machine.site / "loop.pth").write_text(f"{loop}\n{machine.root}/nowhere\n")


def damaged(name: str, break_it: Break, *says: str, cause: str = "PACKAGE_METADATA_BROKEN") -> Fault:
    """Yellow: the server may run, and the next pip will not do what is meant."""
    return Fault(name=name, break_it=break_it, code="PKG002", status="warn", cause=cause, exit=0, says=says)


def unnoticed(name: str, break_it: Break, proof: Proof, *says: str, why: str = OTHERS) -> Fault:
    return Fault(
        name=name,
        break_it=break_it,
        code="PKG002",
        status="pass",
        exit=0,
        says=says,
        harmless=why,
        took_hold=proof,
    )


def read_no_kernels(_: Machine, run: Run) -> bool:
    """The fact is there, and empty."""
    reading = run.report["facts"]["kernels"]
    return reading["outcome"] == "known" and reading["value"] == []


def site(machine: Machine) -> Path:
    return machine.site


FAULTS = [
    damaged(
        "METADATA is not UTF-8",
        metadata("transformers", b"Name: transformers\nVersion: 4.57.1\nAuthor: \xff\xfe\n\n"),
        "UTF-8",
        "--force-reinstall",
    ),
    damaged("torch has no METADATA", without_metadata("torch"), "has no METADATA"),
    damaged("METADATA is a folder", metadata_is_a_folder, "Is a directory"),
    damaged("METADATA of torch is empty", metadata("torch", b""), "names no name"),
    damaged("the version of the engine is none", metadata("vllm", b"Name: vllm\nVersion: our-own\n\n"), "no version"),
    damaged(
        "a requirement of the engine is none",
        metadata("vllm", b"Name: vllm\nVersion: 0.12.0\nRequires-Dist: torch (>=2,,<<3\n\n"),
        "torch (>=2,,<<3",
    ),
    damaged("pip was interrupted", lambda machine: (machine.site / "~umpy").mkdir(), "~umpy", "numpy"),
    damaged("the engine is installed twice", added("vllm", "0.8.0"), "installed twice", "0.8.0"),
    Fault(
        name="the engine's library is made for another GPU",
        break_it=lambda machine: machine.kernels.write_bytes(elf(fatbin("sm_90 sm_90a") * 9)),
        code="ENG004",
        status="fail",
        cause="GPU_ARCH_NOT_IN_WHEEL",
        exit=1,
        says=("vllm/_C.abi3.so", "8.9"),
    ),
    Fault(
        name="the engine's library is cut short",
        break_it=lambda machine: os.truncate(machine.kernels, 200),
        code="ENG004",
        status="pass",
        exit=0,
        says=("7.0 is enough",),
        harmless="what the published wheel holds is known without it; a server that cannot load it says so at once",
        took_hold=read_no_kernels,
    ),
    Fault(
        name="the engine's library is a FIFO",
        break_it=lambda machine: (machine.kernels.unlink(), os.mkfifo(machine.kernels)),
        code="ENG004",
        status="pass",
        exit=0,
        harmless="what the published wheel holds is known without it",
        took_hold=read_no_kernels,
    ),
    Fault(
        name="another torch hides the installed one",
        break_it=two_torches,
        code="PKG002",
        status="fail",
        cause="DUPLICATE_TORCH_INSTALL",
        exit=1,
        says=("2.6.0+cu124", "other/torch", "unset PYTHONPATH"),
    ),
    Fault(
        name="the engine has no METADATA",
        break_it=without_metadata("vllm"),
        code="ENG001",
        status="fail",
        cause="ENGINE_NOT_INSTALLED",
        exit=1,
        says=("damaged", "has no METADATA"),
    ),
    Fault(
        name="every METADATA is garbage",
        break_it=lambda machine: [
            (folder / "METADATA").write_bytes(b"\xff\0" * 999) for folder in machine.site.glob("*.dist-info")
        ],
        code="ENG001",
        status="fail",
        cause="ENGINE_NOT_INSTALLED",
        exit=1,
        says=("damaged",),
    ),
    Fault(
        name="a .dist-info is a file",
        break_it=info_is_a_file,
        code="PKG001",
        status="fail",
        cause="DEPENDENCY_CONFLICT",
        exit=1,
        says=("numpy", "not installed"),
    ),
    damaged("METADATA is a FIFO", metadata_is_a_fifo, "no regular file"),
    unnoticed("a requirement of some package is none", added("odd", "1.0", "%%%", "numpy; odd == 'x'"), listed("odd")),
    unnoticed("the version of some package is none", added("odd", "the newest"), listed("odd")),
    unnoticed("300 damaged packages", many_damaged, faulty("odd299-1.0.dist-info"), "300 faults"),
    unnoticed(
        "links that lead to themselves", link_loop, faulty("loop-1.0.dist-info"), why="no package is behind them"
    ),
    unnoticed(
        "a description of 50 MB",
        long_description,
        holds(site, "transformers-*/METADATA", 50_000_000),
        why="it is a whole METADATA, and only its head is read",
    ),
    unnoticed(
        "a METADATA head of 50 MB",
        long_header,
        holds(site, "transformers-*/METADATA", 45_000_000),
        why="all that matters stands in its first lines",
    ),
]
