"""What compiled packages were built with, where their wheels show it and their metadata does not say it."""

from __future__ import annotations

from packaging.version import Version

from autoglm_doctor.domain.wheels import capability, number
from autoglm_doctor.facts import Packages

#: Both put the module sgl_kernel there; the name changed with 0.4.0.
KERNELS = frozenset({"sgl-kernel", "sglang-kernel"})

#: The lines of torch that have every symbol which the kernels ask for, from a release on until the next row: dynamic
#: symbols of common_ops in 37 wheels of PyPI for x86-64, against libc10, libc10_cuda, libtorch_cpu and libtorch_python
#: of torch 2.4.1 to 2.15.0 (2026-11-21). The first row: github.com/sgl-project/sglang/issues/5247 (built with 2.5.1,
#: loads with 2.6, not with 2.7). "Only guaranteed to work with the torch it was built with" is its maintainers' word.
_KERNEL_TORCHES = (
    ("0.0.3.post6", "2.4 2.5 2.6"),
    ("0.1.1", "2.6"),
    ("0.1.7", "2.7"),
    ("0.3.0", "2.8"),
    ("0.3.18.post1", "2.9"),
    ("0.4.2", "2.11"),
    ("0.4.6.post1", "2.13"),
    ("0.4.9", "2.14 2.15"),
)
#: Wheels for Arm ask for the same symbols, but for templates of their own: of 0.3.14 to 0.4.9 six were compared. PyPI
#: had none for 0.3.0. "Across cu130/aarch64 only 2.11.0 imports": github.com/sgl-project/sglang/pull/30562.
FIRST_FOR_ARM = Version("0.3.14")
_NEWEST_KERNEL = Version("0.4.10")
_TORCHES = (2, 4), (2, 15)

#: Before this one PyPI's wheels were built with CUDA 12.4, without code for Blackwell. The project's own for CUDA 12.8,
#: built with a newer torch, bear the same version inside (sgl-kernel/rename_wheels.sh renames the file alone).
_FIRST_FOR_BLACKWELL = Version("0.3.0")
#: With 2.9 and newer those do not load either: they are older.
_LAST_WITH_OTHERS = (2, 8)

#: From here on PyPI's wheels are for CUDA 13. Before, the project's own for CUDA 13 were built with a newer torch
#: (sgl-kernel/build.sh: 2.9.0 beside 2.8.0) and bear the same version inside up to 0.4.1
#: (github.com/sgl-project/sglang issues 14327 and 20953, pull request 21437).
FIRST_FOR_CUDA_13 = Version("0.4.2")
_FIRST_OF_NEW_NAME = Version("0.4.0")
_TORCHES_FOR_CUDA_13 = (2, 8), (2, 10)

#: From here on SGLang asks at its start how old its kernels are (assert_pkg_version in srt/entrypoints/engine.py), and
#: from the second one on SGLANG_SKIP_SGL_KERNEL_VERSION_CHECK keeps it from that: wheels of 0.4.0 to 0.5.23.
_ASKED_FROM, SKIPPABLE_FROM = Version("0.4.6.post1"), Version("0.5.1")
#: It asks for the release that it pins, but for these: github.com/sgl-project/sglang/pull/11242.
_ASKED = {Version("0.5.3"): "0.3.14", Version("0.5.23"): "0.4.9"}

#: CUDA releases that bitsandbytes has a library for, from a release on until the next row: names in its wheels for
#: Linux x86-64, 0.43.0 to 0.50.2.
_BITSANDBYTES = (
    ("0.43.0", "11.7 11.8 12.0 12.1 12.2 12.3"),
    ("0.43.1", "11.7 11.8 12.0 12.1 12.2 12.3 12.4"),
    ("0.43.2", "11.7 11.8 12.0 12.1 12.2 12.3 12.4 12.5"),
    ("0.45.0", "11.7 11.8 12.0 12.1 12.2 12.3 12.4 12.5 12.6"),
    ("0.45.3", "11.7 11.8 12.0 12.1 12.2 12.3 12.4 12.5 12.6 12.8"),
    ("0.46.0", "11.8 12.0 12.1 12.2 12.3 12.4 12.5 12.6 12.8"),
    ("0.46.1", "11.8 12.0 12.1 12.2 12.3 12.4 12.5 12.6 12.8 12.9"),
    ("0.48.0", "11.8 12.0 12.1 12.2 12.3 12.4 12.5 12.6 12.8 12.9 13.0"),
    ("0.50.0", "11.8 12.1 12.4 12.6 12.8 13.0 13.2"),
)
_NEWEST_BITSANDBYTES = Version("0.50.2")
#: From here on it takes another library of the same major (cextension.py of its wheels).
_ANY_OF_A_MAJOR = Version("0.50.0")

#: First and newest release of a kind, and the lines of torch that have every symbol which they ask for: as above, of
#: 20 wheels of torchcodec for x86-64. Wheels with another CUDA (+cu130) are built from the same sources.
_TORCHCODEC = (
    ("0.1.0", "0.1.1", "2.4 2.5 2.6"),
    ("0.2.0", "0.2.1", "2.6"),
    ("0.3.0", "0.7.0", "2.7 2.8 2.9"),
    ("0.8.0", "0.9.1", "2.8 2.9"),
    ("0.10.0", "0.10.0", "2.10"),
    ("0.11.0", "0.17.0", "2.11 2.12 2.13 2.14 2.15"),
)


def is_stated(packages: Packages) -> bool:
    """A list that somebody wrote down, without folders: what it leaves out may be there all the same."""
    return not any(one.location for one in packages.distributions)


def least_kernels(sglang: str, pinned: str) -> str:
    """The oldest kernels that a release of SGLang starts with, by those that it pins; "" where it does not ask."""
    found = number(sglang)
    return "" if found is None or found < _ASKED_FROM else _ASKED.get(found, pinned)


def codec_torches(version: str, torch: str) -> tuple[str, ...]:
    """The lines of torch that a wheel of torchcodec loads with; () where that is not known."""
    found, line = number(version), _line(torch)
    if found is None or found.is_prerelease or found.local or line is None or not _TORCHES[0] <= line <= _TORCHES[1]:
        return ()
    within = (said for first, last, said in _TORCHCODEC if Version(first) <= found <= Version(last))
    return tuple(next(within, "").split())


def codec_for(torch: str) -> str:
    """The newest torchcodec that loads with a torch; "" where none is known."""
    line = ".".join(map(str, _line(torch) or ()))
    return next((last for _, last, said in reversed(_TORCHCODEC) if line in said.split()), "")


def _line(torch: str) -> tuple[int, int] | None:
    return capability(".".join(torch.split(".")[:2]))


def kernel_torches(version: str, torch: str, cuda: str = "", *, older_cards: bool = False) -> tuple[str, ...]:
    """The lines of torch that a wheel of SGLang's kernels loads with ("2.8",); () where that is not known.

    Not for one from elsewhere than PyPI (0.3.16+cu130; but 0.4.2+cu130 is what PyPI has), one before or after the
    table, or a torch that was not read; nor where the project's own wheel for another CUDA may be here, which bears the
    same version.

    Args:
        version: of the kernels.
        torch: its version.
        cuda: that torch was built for, "13.0"; "" where that is not known.
        older_cards: every GPU is known and older than Blackwell.
    """
    found, line = number(version), _line(torch)
    if found is not None and found.local == "cu130" and Version(found.public) >= FIRST_FOR_CUDA_13:
        found = Version(found.public)
    if found is None or found.local or found.is_prerelease or found > _NEWEST_KERNEL or line is None:
        return ()
    # Of torch 2.6 one build (cu126) has the new ABI and the others the old one; the others were read.
    if not _TORCHES[0] <= line <= _TORCHES[1] or ("+cu126" in torch and line == (2, 6)):
        return ()
    if _may_be_for_another_cuda(found, line, cuda, older_cards):
        return ()
    return tuple(_covering(_KERNEL_TORCHES, found).split())


def _may_be_for_another_cuda(kernels: Version, torch: tuple[int, int], cuda: str, older_cards: bool) -> bool:
    major = (capability(cuda) or (0, 0))[0]
    if kernels < _FIRST_FOR_BLACKWELL:
        return torch <= _LAST_WITH_OTHERS and (not older_cards or cuda == "12.8" or major == 11)
    if kernels < FIRST_FOR_CUDA_13:
        first, last = _TORCHES_FOR_CUDA_13
        return major == 13 and (kernels >= _FIRST_OF_NEW_NAME or first <= torch <= last)
    return major not in (0, 13)


def bitsandbytes_lacks(version: str, cuda: str) -> str:
    """The newest CUDA that a wheel of bitsandbytes has a library for, where it has none that this one takes; else "".

    Not for a build of one's own, one before or after the table, or a CUDA that is not known.
    """
    found, wanted = number(version), capability(cuda)
    if found is None or found.local or found.is_prerelease or found > _NEWEST_BITSANDBYTES or wanted is None:
        return ""
    built = [one for one in map(capability, _covering(_BITSANDBYTES, found).split()) if one]
    fitting = [one for one in built if one == wanted or (found >= _ANY_OF_A_MAJOR and one[0] == wanted[0])]
    return "" if fitting or not built else ".".join(map(str, max(built)))


def bitsandbytes_for(cuda: str, releases: list[str]) -> str:
    """The newest of these releases that has a library for a CUDA; "" where none has."""
    return next((one for one in reversed(releases) if not bitsandbytes_lacks(one, cuda)), "")


def _covering(rows: tuple[tuple[str, str], ...], version: Version) -> str:
    return next((said for since, said in reversed(rows) if version >= Version(since)), "")
