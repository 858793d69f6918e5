"""The variables of torch's allocator: which of the two names is read, and whether it is to use expandable segments."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping

from packaging.version import Version

from autoglm_doctor.domain.conflicts import installed_version
from autoglm_doctor.domain.published import published
from autoglm_doctor.domain.wheels import number
from autoglm_doctor.facts import Packages, Torch
from autoglm_doctor.matrix import Matrix

OLD, NEW = "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"
#: torch reads the new name from here on (pytorch issue 183387, unsloth-zoo pull request 933); and from there on surely
#: the old one before it (tried with 2.13.0). In between either may come first. Only one of the two is read.
READS_NEW, _OLD_FIRST = Version("2.10"), Version("2.13")
#: One option with the spaces that people put in; a list stands in brackets.
_SPACED = re.compile(r"([a-z0-9_]+)\s*:\s*(\[[^\]]*\]|\S+)")
_SETTING = re.compile(r"expandable_segments\W{0,3}(\w*)", re.IGNORECASE)


def asks(value: str) -> bool:
    """Whether a value asks for expandable segments, as people write it down."""
    found = _SETTING.search(value)
    return found is not None and found[1].lower() not in ("false", "0", "off", "no", "disabled")


def asked(variables: Mapping[str, str], torch: Version | None) -> tuple[bool, ...]:
    """Whether torch is asked for it, in each order in which this torch may read the names; the first that is set."""
    return tuple(
        next((asks(variables[name]) for name in names if name in variables), False) for names in _orders(torch)
    )


def _orders(torch: Version | None) -> Iterator[tuple[str, ...]]:
    release = Version(torch.base_version) if torch else None
    if release is None or release < READS_NEW:
        yield (OLD,)
    if release is None or release >= READS_NEW:
        yield (OLD, NEW)
    if release is None or READS_NEW <= release < _OLD_FIRST:
        yield (NEW, OLD)


def torch_of(torch: Torch | None, packages: Packages | None, matrix: Matrix) -> Version | None:
    """The version of torch: what is there, else what the published vLLM that is there brings."""
    engine = installed_version(packages, "vllm") if packages else None
    row = matrix.engine_release("vllm", engine) if engine and published(engine) else None
    said = (torch.version if torch else None, installed_version(packages, "torch") if packages else None)
    return next((one for one in map(number, (*said, row.torch if row else None)) if one is not None), None)


def without_segments(value: str) -> str:
    """The value with expandable segments off and all else that it says, as one word of the shell."""
    said = (_SPACED.fullmatch(one.strip()) for one in _options(value))
    rest = [f"{one[1]}:{''.join(one[2].split())}" for one in said if one and "expandable" not in one[1]]
    return shlex.quote(",".join(["expandable_segments:False", *rest]))


def _options(value: str) -> list[str]:
    """ "roundup_power2_divisions:[256:1,512:2]" is one of them."""
    return [one for one in re.split(r",(?![^\[\]]*\])", value) if one.strip()]


#: What torch refuses, whatever its release: c10/cuda/CUDAAllocatorConfig.cpp of 2.1 to 2.8 takes True and False in this
#: spelling alone, 2.13 as well (tried: "expandable_segments:true", ":1", "=True", "max_split_size_mb=512" and
#: "garbage_collection_threshold:80" end with an error there).
_REFUSED = re.compile(
    r"expandable_segments\s*:\s*(?!(?:True|False)\s*(?:,|$))\w+\s*"
    r"|(?:expandable_segments|max_split_size_mb|garbage_collection_threshold)\s*=\s*[\w.]+\s*"
    r"|garbage_collection_threshold\s*:\s*(?:[1-9]\d*(?:\.\d+)?|0+(?:\.0*)?)\s*"
)
#: One option as torch writes them; the rest of a value that is no such thing was told in words.
_OPTION = re.compile(r"\s*[a-z0-9_]+\s*[:=]\s*(?:\[[\w\s:,.>]*\]|[\w.]+)\s*")


def is_well_formed(value: str) -> bool:
    """Whether torch reads the options; also true of what is no list of options at all."""
    options = _options(value)
    if not all(_OPTION.fullmatch(one) for one in options):
        return True
    return not any(_REFUSED.fullmatch(one) for one in options)
