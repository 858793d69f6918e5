"""`torch`, `torch_cuda`, `torch_arch_list`, `cuda_available` -> torch's build, and that it was imported."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from packaging.version import Version

from autoglm_doctor.domain.published import published
from autoglm_doctor.domain.wheels import capability, line, number
from autoglm_doctor.facts import Host, Reading, Torch, TorchRun, known
from autoglm_doctor.loose.pinned import pinned_torch
from autoglm_doctor.loose.values import answer, as_list, table, text, version, words
from autoglm_doctor.matrix import Matrix

#: Chips that torch was ever built for: a stated range ("7.0 - 12.0") counts as all of them that lie in it.
CHIPS = (37, 50, 52, 60, 61, 70, 72, 75, 80, 86, 87, 89, 90, 100, 103, 110, 120, 121)

#: The first CUDA that compiles for a chip (release notes of CUDA): a build that holds such code is no older.
_FIRST_CUDA = ((100, "12.8"), (90, "11.8"), (86, "11.1"), (80, "11.0"), (75, "10.0"), (0, "9.0"))

#: torch's default wheel for Arm was one for the CPU before this line.
_ARM_GPU = (2, 11)


def torch_version(facts: Mapping[str, Any]) -> str:
    """The version with its local part; "" when not stated."""
    if listed_torch(facts):
        return text(facts.get("torch"))
    packages = table(facts.get("packages"))
    wheel = re.search(r"torch-(\d[\w.+]*)-", text(facts.get("torch_wheel")))
    found = [wheel[1]] if wheel else []
    found += [v for v in (version(facts.get("torch")), version(packages.get("torch"))) if v]
    return next((v for v in found if "+" in v), found[0] if found else "")


def listed_torch(facts: Mapping[str, Any]) -> str:
    """The torch among the packages where that is another release than the one that is stated alone; else "".

    Both must be whole and nothing else: "2.6" or "2.6.0, then 2.8.0" contradicts nothing, nor does a local part.
    """
    stated, listed = text(facts.get("torch")), text(table(facts.get("packages")).get("torch"))
    one, other = (number(said) if said.count(".") > 1 else None for said in (stated, listed))
    if one is None or other is None or facts.get("torch_wheel"):
        return ""
    return "" if Version(one.base_version) == Version(other.base_version) else listed


def read_torch(facts: Mapping[str, Any], host: Host | None, matrix: Matrix) -> Reading[Torch] | None:
    """torch's build; None when not even the CUDA that it was built for can be told."""
    said = torch_version(facts)
    built = _cuda(facts, said, host, matrix)
    if built is None:
        pinned = pinned_torch(facts, said, host, matrix)
        return known(pinned, source="stated") if pinned else None
    cuda, hip = built
    return known(Torch(version=said, cuda=cuda, hip=hip, architectures=_architectures(facts)), source="stated")


def _cuda(
    facts: Mapping[str, Any], said: str, host: Host | None, matrix: Matrix
) -> tuple[str | None, str | None] | None:
    """CUDA and ROCm of the build; None when it cannot be told."""
    stated = facts.get("torch_cuda")
    if version(stated):
        return version(stated), None
    tag = said.partition("+")[2]
    match = re.match(r"cu(\d+)(\d)(?:\D|$)", tag)
    if match:
        return f"{match[1]}.{match[2]}", None
    if tag.startswith("rocm"):
        return None, tag.removeprefix("rocm")
    if tag.startswith("cpu") or _says_no_cuda(facts, said, host):
        return None, None
    default = _default_build(facts, said, host, matrix)
    if default is not None:
        return default or None, None
    oldest = _oldest_cuda(_architectures(facts) or ())
    return (oldest, None) if oldest else None


def _says_no_cuda(facts: Mapping[str, Any], said: str, host: Host | None) -> bool:
    """As collect_env says it of a build without CUDA: None, or null and that no GPU is seen.

    null alone may mean that nobody looked, and so it may beside a code of cuInit or a version of a vendor's build.
    """
    stated = facts.get("torch_cuda")
    if isinstance(stated, str) and stated.strip().lower() in ("none", "cpu", "n/a"):
        return True
    if "torch_cuda" not in facts or stated is not None or answer(facts.get("cuda_available")) is not False:
        return False
    return published(said) and not (_is_foreign(facts, host) or facts.get("cuda_init_code"))


def _is_foreign(facts: Mapping[str, Any], host: Host | None) -> bool:
    """Where a plain number is no wheel of the default index: conda, an image, a Jetson."""
    is_conda = "conda" in text(facts.get("python_distribution")).lower()
    return is_conda or facts.get("container") is not None or (host is not None and host.tegra)


def _oldest_cuda(architectures: tuple[str, ...]) -> str:
    """The oldest CUDA that a build with code for these chips can be of; "" without any."""
    newest = max((int(m[1]) for m in (re.match(r"sm_(\d+)", one) for one in architectures) if m), default=None)
    return "" if newest is None else next(cuda for chip, cuda in _FIRST_CUDA if newest >= chip)


def _default_build(facts: Mapping[str, Any], said: str, host: Host | None, matrix: Matrix) -> str | None:
    """The CUDA of the wheel that a plain `pip install` takes, "" for the CPU; None when it came another way.

    pip lists a wheel of torch's own indexes with its local part (2.9.1+cu126), so a plain number is the default wheel
    of Linux. Images of vendors and conda bring other builds under plain numbers.
    """
    foreign = _is_foreign(facts, host)
    built = matrix.torch_cuda(said) if said else ""
    wheel = text(facts.get("torch_wheel"))
    if wheel and "win_" in wheel:
        return ""  # the default index holds wheels for the CPU only
    if foreign or not built or "dev" in said or (host is not None and host.system != "Linux"):
        return None
    if host is not None and host.machine == "aarch64" and (capability(line(said)) or _ARM_GPU) < _ARM_GPU:
        # On Arm the one test that settles it: torch that sees CUDA is no build for the CPU.
        return None if answer(facts.get("cuda_available")) else ""
    return built


def _architectures(facts: Mapping[str, Any]) -> tuple[str, ...] | None:
    stated = facts.get("torch_arch_list")
    stated = stated.split() if isinstance(stated, str) else stated
    if isinstance(stated, list) and words(stated):
        return words(stated)
    begins = words(as_list(facts.get("torch_arch_list_starts_with")))
    chips = [int(m[1]) for m in (re.fullmatch(r"sm_(\d+)\D?", w) for w in begins) if m]
    if chips:
        return tuple(f"sm_{chip}" for chip in sorted({*chips, *(c for c in CHIPS if c > max(chips))}))
    ends = re.fullmatch(r"\D*(\d+\.\d)\s*\D{1,4}\s*(\d+\.\d)\D*", text(facts.get("torch_min_max_capability")))
    if ends is None:
        return None
    low, high = (round(float(end) * 10) for end in ends.groups())
    return tuple(f"sm_{chip}" for chip in CHIPS if low <= chip <= high)


def read_torch_run(facts: Mapping[str, Any]) -> Reading[TorchRun] | None:
    """That torch sees CUDA; None when that is not stated. That it sees none is a symptom, and no cause of it."""
    if answer(facts.get("cuda_available")) is not True:
        return None
    return known(TorchRun(version=torch_version(facts), cuda_available=True), source="stated")
