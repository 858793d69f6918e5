"""The torch that an engine or an image brings, where it decides: no published build of its line has code for the GPU.

It is told only there. Elsewhere which build of a line is installed would be a guess, and other checks would rest on it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from autoglm_doctor.domain.published import published
from autoglm_doctor.domain.wheels import line, line_has_code_for, number
from autoglm_doctor.facts import Host, Torch
from autoglm_doctor.loose.container import image_engine, of_image, of_vendor, official_engine
from autoglm_doctor.loose.engine import named_engine
from autoglm_doctor.loose.gpus import read_gpus
from autoglm_doctor.loose.own_build import own_mark
from autoglm_doctor.loose.values import table, text
from autoglm_doctor.matrix import Matrix

#: What tells of torch itself: then nothing is concluded.
_OF_TORCH = ("torch_cuda", "torch_arch_list", "torch_wheel", "torch_arch_list_starts_with", "torch_min_max_capability")
#: Arm machines and Jetsons, for which other builds are published than for x86-64.
_OF_ARM = re.compile(r"\bG[HB]\d{1,3}\b|jetson|orin|thor|xavier|spark|tegra", re.IGNORECASE)
_TEGRA = frozenset({"5.3", "6.2", "7.2", "8.7", "10.1", "11.0"})
#: Images that an engine's project or others made for Blackwell, with a nightly torch or one for a newer CUDA
#: (github.com/sgl-project/sglang/pull/5108).
_FOR_BLACKWELL = re.compile(r"blackwell|\bg?b[23]00\b|cu12[89]|cu13|cuda[- ]?(?:12\.[89]|13)", re.IGNORECASE)
#: Packages that go with one line of torch each: another one shows that torch was exchanged.
_COMPANIONS = ("torchvision", "torchaudio", "triton")


def pinned_torch(facts: Mapping[str, Any], stated: str, host: Host | None, matrix: Matrix) -> Torch | None:
    """torch by the line that is stated, or that the engine pins; None where it decides nothing, or is not sure.

    Of an image that its project published, and of a plain installation, with what makes it a wheel of torch's own
    ("2.6.0+cu124" in an image); of another container without, for whoever made that may have built it himself: any
    container that names no engine leads to no more than a yellow.
    """
    if any(facts.get(key) for key in _OF_TORCH) or own_mark(facts) or _is_foreign(facts, host):
        return None
    engine, version = _engine(facts)
    row = matrix.engine_release(engine, version) if engine and published(version) else None
    pin = row.torch if row and row.since == version.partition("+")[0] else ""
    said = stated or pin
    is_plain = bool(said) and "+" not in said and published(said) and matrix.torch_release(said) is not None
    if not is_plain or not _decides(facts, said, matrix) or _has_other_companions(facts, said, matrix):
        return None
    is_official = bool(pin) and number(said) == number(pin) and official_engine(facts.get("container"))[0] == engine
    cuda = matrix.torch_cuda(said)
    return Torch(version=f"{said}+cu{cuda.replace('.', '')}" if is_official else said, cuda=cuda) if cuda else None


def _is_foreign(facts: Mapping[str, Any], host: Host | None) -> bool:
    """Another system than Linux on x86-64, or a distribution that builds torch itself."""
    names = " ".join(text(one if isinstance(one, str) else table(one).get("name")) for one in _entries(facts))
    container = facts.get("container")
    if "conda" in text(facts.get("python_distribution")).lower() or of_vendor(container):
        return True
    # A tag of the project's own that is no plain release may hold any torch.
    if _FOR_BLACKWELL.search(of_image(container)) or (image_engine(container)[0] and not official_engine(container)[0]):
        return True
    if _OF_ARM.search(names):
        return True
    return host is not None and (host.tegra or host.machine not in ("", "x86_64") or host.system != "Linux")


def _entries(facts: Mapping[str, Any]) -> list[Any]:
    found = facts.get("gpus", facts.get("gpu"))
    return found if isinstance(found, list) else [found]


def _engine(facts: Mapping[str, Any]) -> tuple[str, str]:
    """Name and version where all that is said of them agrees; "" otherwise."""
    packages = table(facts.get("packages"))
    said = {named_engine(facts.get("engine")), official_engine(facts.get("container"))}
    said |= {(name, text(packages.get(name))) for name in ("vllm", "sglang")}
    known = {one for one in said if one[0] and one[1]}
    return next(iter(known)) if len(known) == 1 else ("", "")


def _decides(facts: Mapping[str, Any], torch: str, matrix: Matrix) -> bool:
    """Whether some GPU is there for which none of the published builds of the line has code."""
    gpus = read_gpus(facts, matrix)
    cards = {gpu.compute_capability for gpu in (gpus.value if gpus else None) or ()} - {"", *_TEGRA}
    return any(line_has_code_for(torch, card, matrix) is False for card in cards)


def _has_other_companions(facts: Mapping[str, Any], torch: str, matrix: Matrix) -> bool:
    row, packages = matrix.torch_release(torch), table(facts.get("packages"))
    for name in _COMPANIONS:
        there = text(packages.get(name) or facts.get(name))
        wanted = str(getattr(row, name, "") or "")
        if there and (not number(there) or (wanted and line(there) != line(wanted.lstrip("~=")))):
            return True
    libraries = [text(said) for name, said in packages.items() if re.match(r"nvidia-(?:cuda|cublas)", str(name))]
    return any((found := number(said)) is not None and found.release[:2] >= (12, 8) for said in libraries)
