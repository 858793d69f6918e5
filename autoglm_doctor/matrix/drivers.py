"""Questions about drivers, CUDA releases, PTX and forward compatibility."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from packaging.version import Version

from autoglm_doctor.matrix.numbers import capability, line, number, within
from autoglm_doctor.matrix.rows import Branch, CudaMajor, CudaRelease
from autoglm_doctor.matrix.sections import Sections


@dataclass(frozen=True, slots=True, kw_only=True)
class PciRange:
    """GPUs by their numbers on the PCI bus ("0x1340" to "0x1df6") that newer driver branches have dropped."""

    first: str
    last: str
    last_branch: str  # the newest that drives any of them
    what: str  # their generations, in words


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolkitFault:
    """A fault of some releases of NVIDIA's container toolkit, and where it shows. Releases "1.14.4", branches "555"."""

    fixed: str  # the first release without it
    where: tuple[str, ...]  # "wsl", "kubernetes", "podman", "cgroup2" (of the host), "thor" (the GPU)
    what: str
    source: str
    first: str = ""  # the oldest release with it; "": all before the mended one
    docker_desktop: str = ""  # the first Docker Desktop that brings the mended one; "": not known
    driver: str = ""  # the oldest driver branch that it shows with; "": any
    last_driver: str = ""  # the newest such branch; "": all since
    red: bool = False  # it stops every container there, not only some


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverFunction:
    """A function of libcuda that a package's library cannot be loaded without."""

    package: str
    versions: str  # ">=0.2.6,<0.3.6"
    cuda: str  # the release whose driver first has it
    function: str
    source: str


class Drivers(Sections):
    """The part of the matrix that NVIDIA's drivers are about."""

    @cached_property
    def cuda_majors(self) -> Mapping[str, CudaMajor]:
        """CUDA major -> the oldest driver of all its releases."""
        return self.rows(Mapping[str, CudaMajor], "cuda_majors")  # type: ignore[type-abstract]

    @cached_property
    def cuda_releases(self) -> tuple[CudaRelease, ...]:
        """Releases and the driver that each came with, the newest first."""
        return self.rows(tuple[CudaRelease, ...], "cuda_releases")

    @cached_property
    def branches(self) -> Mapping[str, Branch]:
        """Driver branch -> its row, in ascending order."""
        return self.rows(Mapping[str, Branch], "driver_branches")  # type: ignore[type-abstract]

    @cached_property
    def driver_branches(self) -> Mapping[str, str]:
        """Driver branch -> the newest CUDA that its libcuda knows."""
        return {name: branch.cuda for name, branch in self.branches.items()}

    @cached_property
    def pci_ids(self) -> tuple[PciRange, ...]:
        """GPUs that were dropped, by their numbers on the PCI bus."""
        return self.rows(tuple[PciRange, ...], "pci_ids")

    @cached_property
    def toolkit_faults(self) -> tuple[ToolkitFault, ...]:
        """Releases of the container toolkit that are too old for a driver or a host."""
        return self.rows(tuple[ToolkitFault, ...], "container_toolkit")

    @cached_property
    def driver_functions(self) -> tuple[DriverFunction, ...]:
        """What packages' libraries ask of libcuda, beyond what every driver of their CUDA major has."""
        return self.rows(tuple[DriverFunction, ...], "driver_functions")

    def function_asked(self, package: str, version: str | None) -> DriverFunction | None:
        """The row of a release of a package; None where it asks for nothing that is known."""
        rows = (row for row in self.driver_functions if row.package == package)
        return next((row for row in rows if version and within(version, row.versions)), None)

    @cached_property
    def ptx_isa(self) -> Mapping[str, str]:
        """PTX ISA -> the CUDA release whose driver first compiles it."""
        return self.rows(Mapping[str, str], "ptx_isa")  # type: ignore[type-abstract]

    @cached_property
    def forward_compat(self) -> Mapping[str, Mapping[str, str]]:
        """CUDA release of a cuda-compat package -> driver branch -> C, X or N."""
        return self.rows(Mapping[str, Mapping[str, str]], "forward_compat")  # type: ignore[type-abstract]

    def minimum_driver(self, cuda: str) -> CudaMajor | None:
        """The oldest driver for a CUDA release such as "12.8", by its major; None: a major that is not in the table."""
        return self.cuda_majors.get(cuda.split(".")[0])

    def driver_of(self, cuda: str) -> CudaRelease | None:
        """The driver that came with the first release of a CUDA line ("12.8"): information; None when not known."""
        rows = [row for row in self.cuda_releases if row.cuda == line(cuda) and row.linux]
        return rows[-1] if rows else None

    def branch_of(self, driver: str) -> Branch | None:
        """The row of a driver version's branch, or of the next older one in the table; None for no version."""
        found = number(driver)
        older = [name for name in self.branches if found is not None and int(name) <= found.major]
        return self.branches[max(older, key=int)] if older else None

    def newest_cuda(self, driver: str) -> str:
        """The newest CUDA that a driver's libcuda knows, by its branch; "" when not known."""
        branch = self.branch_of(driver)
        return branch.cuda if branch else ""

    def ptx_cuda(self, isa: str) -> str:
        """The CUDA release that a driver must know to compile PTX of this ISA ("8.8" -> "12.9"); "" when not known."""
        return self.ptx_isa.get(isa, "")

    def compiles_ptx(self, driver: str, isa: str) -> bool | None:
        """A driver (its version) compiles PTX of this ISA; None when one of the two is not known."""
        has, needs = self.newest_cuda(driver), self.ptx_cuda(isa)
        return Version(has) >= Version(needs) if has and needs else None

    def branch_for_cuda(self, cuda: str) -> str:
        """The first driver branch whose libcuda knows a CUDA release ("12.9" -> "575"); "" when none is known."""
        fitting = [name for name, row in self.branches.items() if Version(row.cuda) >= Version(line(cuda))]
        return min(fitting, key=int, default="")

    def drives(self, driver: str, gpu: str) -> bool | None:
        """A driver still drives GPUs of this capability (590 dropped those below 7.5); None when not known."""
        branch, has = self.branch_of(driver), capability(gpu)
        first = capability(branch.first_capability) if branch and branch.first_capability else None
        return has >= first if has and first else None

    def last_branch_for(self, gpu: str) -> str:
        """The newest branch that drives GPUs of this capability, where later ones do not; "" where none dropped it."""
        driving = [name for name in self.branches if self.drives(name, gpu)]
        last = max(driving, key=int, default="")
        return "" if last == max(self.branches, key=int, default="") else last

    def dropped_pci(self, device_id: str) -> PciRange | None:
        """The dropped GPUs that a number on the PCI bus ("0x15f8") is one of; None for any other number."""
        try:
            found = int(device_id, 16)
        except ValueError:
            return None
        return next((row for row in self.pci_ids if int(row.first, 16) <= found <= int(row.last, 16)), None)

    def knows_branch(self, driver: str) -> bool:
        """The table reaches to the branch of this driver: a later one may have dropped more."""
        found = number(driver)
        return found is not None and found.major <= max(map(int, self.branches), default=0)

    def compat_package(self, cuda: str, driver: str) -> Literal["runs", "not", "not needed"] | None:
        """Whether cuda-compat of a CUDA release runs over a driver, on a card that it is for; None: not in the table.

        Data center cards, NGC Server Ready cards and Jetson only: on GeForce it ends in error 804.
        """
        mark = self.forward_compat.get(line(cuda), {}).get(driver.split(".")[0])
        marks: Mapping[str, Literal["runs", "not", "not needed"]] = {"C": "runs", "X": "not", "N": "not needed"}
        return marks.get(mark or "")
