"""Questions about torch: its builds, its companions, what its wheels hold."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from packaging.version import Version

from autoglm_doctor.matrix.capabilities import Capabilities
from autoglm_doctor.matrix.numbers import capability, covering, cuda_of, line, number
from autoglm_doctor.matrix.rows import TorchBuild, TorchCompanions, TorchFacts, TorchRelease, TritonPtxas

#: Builds that may not exist.
_DOUBTED = frozenset({"contradictory", "unverified"})


class Torches(Capabilities):
    """The part of the matrix that torch is about."""

    @cached_property
    def torch(self) -> Mapping[str, TorchRelease]:
        """Release -> its default wheel, in ascending order."""
        return {row.version: row for row in self.rows(tuple[TorchRelease, ...], "torch")}

    @cached_property
    def torch_builds(self) -> Mapping[str, Mapping[str, TorchBuild]]:
        """Line ("2.9") -> tag ("cu128") -> what the build holds."""
        return self.rows(Mapping[str, Mapping[str, TorchBuild]], "torch_builds")  # type: ignore[type-abstract]

    @cached_property
    def _torch_facts(self) -> tuple[TorchFacts, ...]:
        return self.rows(tuple[TorchFacts, ...], "torch_facts")

    @cached_property
    def _ptxas(self) -> tuple[TritonPtxas, ...]:
        return self.rows(tuple[TritonPtxas, ...], "triton_ptxas")

    def triton_ptxas(self, triton: str, gpu: str = "") -> str:
        """The CUDA release of the ptxas that a triton assembles with for a capability ("12.8"); "" when not known.

        Without a capability the one for GPUs before Blackwell, which is never the newer of the two.
        """
        row, has = covering(self._ptxas, triton), capability(gpu)
        if row is None:
            return ""
        return row.blackwell if row.blackwell and has and has >= (10, 0) else row.ptxas

    def torch_release(self, torch: str) -> TorchRelease | None:
        """The row of exactly this release, its local part aside; None when it is not in the table."""
        return self.torch.get(torch.partition("+")[0])

    def torchvision_for(self, torch: str) -> TorchCompanions | None:
        """The torchvision line that belongs to a torch version, as "major.minor"; None when not known."""
        rows = [row for version, row in self.torch.items() if line(version) == line(torch) and row.torchvision]
        row = self.torch_release(torch)
        found = row if row and row.torchvision else rows[-1] if rows else None
        return TorchCompanions(torchvision=line(found.torchvision), source=_SOURCE) if found else None

    def torch_cuda(self, torch: str) -> str:
        """The CUDA release of the default wheel on PyPI ("2.9.0" -> "12.8"); "" when not known."""
        row, facts = self.torch_release(torch), covering(self._torch_facts, torch)
        if row is None:
            return ""
        return row.cuda or (cuda_of(facts.default) if facts and facts.default else "")

    def torch_variants(self, torch: str, *, sure: bool = True) -> tuple[str, ...]:
        """CUDA builds of a torch for Linux x86-64 as tags, "cu126", the oldest first; () when not known.

        `sure=False` also names those of which the sources disagree whether they exist.
        """
        builds = self.torch_builds.get(line(torch), {})
        return tuple(
            sorted((tag for tag, one in builds.items() if not sure or one.evidence not in _DOUBTED), key=_order)
        )

    def torch_build(self, torch: str, tag: str = "") -> TorchBuild | None:
        """What a build holds: `tag` ("cu128"), else the local part of the version, else the default wheel's."""
        local = torch.partition("+")[2]
        tag = tag or local or "cu" + self.torch_cuda(torch).replace(".", "")
        return self.torch_builds.get(line(torch), {}).get(tag)

    def torch_has_code_for(self, torch: str, gpu: str, tag: str = "") -> bool | None:
        """A torch build holds code that runs on GPUs of capability `gpu`; None when it cannot be told.

        Compiled code of the same major, else PTX of an older capability. PTX that nobody looked for makes it None.
        """
        build, has = self.torch_build(torch, tag), capability(gpu)
        if build is None or has is None:
            return None
        if self.runs_compiled_for(gpu, build.sass):
            return True
        if build.ptx == "unknown":
            return None if has > max(found for one in build.sass if (found := capability(one))) else False
        ptx = capability(build.ptx)
        return ptx is not None and ptx <= has

    def torch_takes_numpy2(self, torch: str) -> bool | None:
        """The wheels were built for NumPy 2 as well (from 2.3 on); None when not known."""
        facts = covering(self._torch_facts, torch)
        return facts.numpy2 if facts else None

    def torch_cxx11_abi(self, torch: str) -> bool | None:
        """The wheels on PyPI use the new C++ ABI (from 2.7 on); other indexes changed earlier. None when not known."""
        facts = covering(self._torch_facts, torch)
        return facts.cxx11_abi if facts else None

    def torch_glibc(self, torch: str) -> str:
        """The oldest glibc that the wheels run with ("2.28"); "" when not known."""
        facts = covering(self._torch_facts, torch)
        return facts.glibc if facts else ""

    def torch_pythons(self, torch: str) -> tuple[str, ...]:
        """Pythons with a wheel ("cp310", "cp313t"): Requires-Python is wider than the files. () when not known."""
        row = self.torch_release(torch)
        return tuple(row.wheels.split()) if row else ()

    def newest_torch_for(self, gpu: str, cuda_major: int | None = None) -> tuple[str, str] | None:
        """The newest (release, tag) with code for a capability, of a CUDA major that the driver runs; None of none."""
        for version in sorted(self.torch, key=Version, reverse=True):
            for tag in reversed(self.torch_variants(version)):
                fits = cuda_major is None or int(cuda_of(tag).split(".")[0]) <= cuda_major
                if fits and self.torch_has_code_for(version, gpu, tag):
                    return version, tag
        return None


_SOURCE = "PyPI metadata of torchvision"


def _order(tag: str) -> Version:
    return number(cuda_of(tag)) or Version("0")
