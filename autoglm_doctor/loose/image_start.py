"""Whether an image's demand on the driver is compared before it starts, and whether it has started already."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from packaging.version import Version

from autoglm_doctor.domain.signatures import SUBJECTS, Symptom
from autoglm_doctor.domain.wheels import number
from autoglm_doctor.finding import Finding
from autoglm_doctor.loose.container import is_cuda_image, kind_of
from autoglm_doctor.loose.host import toolkit_version

#: Who starts it without anybody that compares. CDI does not (github.com/NVIDIA/nvidia-container-toolkit/issues/1470),
#: and podman takes the GPUs by CDI; apptainer's --nv and its like have no runtime of NVIDIA's. How Kubernetes hands
#: GPUs on hangs on its operator.
_NOT_COMPARED = re.compile(
    r"\bcdi\b|nvidia\.com/gpu|podman|apptainer|singularity|enroot|charliecloud|\blx[cd]\b|DISABLE_REQUIRE"
    r"|kubernetes|\bk8s\b|\bk3s\b|\bpods?\b|kuberay|openshift",
    re.IGNORECASE,
)
#: From here on NVIDIA's runtime goes by CDI of itself (its pull request 1419); `docker run --gpus` has a hook instead.
_BY_CDI = Version("1.18")
_BY_HOOK = re.compile(r"--gpus\b", re.IGNORECASE)
#: Who can tell these of an image has started it: what it asked for was met, or nobody asked.
_FROM_INSIDE = (
    *("packages", "torch", "torch_cuda", "torch_arch_list", "cuda_available", "python", "cudnn", "libc"),
    *("dev_shm", "ulimit_memlock_kib"),
)
#: These are mostly flags of who wants to start it. A default is no flag: 64 MiB and 64 KiB were seen inside.
_OR_FLAGS = ("shm", "ulimit_memlock")
_DEFAULT = re.compile(r"\W*(?:64|67108864|65536)\b(?! ?g)", re.IGNORECASE)
#: Texts that an engine writes which runs.
_OF_A_RUN = frozenset(row.pattern for name in ("memory", "weights", "engine", "versions") for row in SUBJECTS[name])


def is_asked(facts: Mapping[str, Any]) -> bool:
    """Whether an image that is only named has still to pass the question which CUDA the driver offers.

    Not where it has started, where an engine was put into NVIDIA's own image, or where it is open that anybody asks.
    """
    container = facts.get("container")
    said = f"{container} {facts.get('command') or ''}"[:4000]
    is_inside = any(facts.get(key) for key in _FROM_INSIDE)
    is_inside = is_inside or any(_DEFAULT.match(str(facts.get(key))) for key in _OR_FLAGS)
    if is_inside or (facts.get("engine") and is_cuda_image(container)):
        return False
    toolkit = number(toolkit_version(facts))
    may_be_cdi = toolkit is not None and toolkit >= _BY_CDI and _BY_HOOK.search(said) is None
    return bool(kind_of(container)) and not (may_be_cdi or _NOT_COMPARED.search(said))


def without_refuted(findings: Iterable[Finding], symptoms: Sequence[Symptom]) -> Iterator[Finding]:
    """Without the refusal of an image that has started, as a text of the engine in it shows."""
    has_started = any(one.signature.pattern in _OF_A_RUN for one in symptoms)
    return (one for one in findings if not (has_started and one.code == "CUD005"))
