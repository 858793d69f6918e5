"""What VRM002 and VRM003 share: a model that several GPUs may share, and weights of which only the name tells."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from autoglm_doctor.api import Judgement, Text, fail, unknown
from autoglm_doctor.domain.capacity.fixes import larger_gpus
from autoglm_doctor.domain.deployment import Case
from autoglm_doctor.domain.memory import engine_words
from autoglm_doctor.domain.memory.fits import requested_bytes
from autoglm_doctor.domain.memory.published_size import least_of
from autoglm_doctor.domain.memory.terms import gib_of
from autoglm_doctor.domain.memory.vllm import NEWEST, default_utilization
from autoglm_doctor.domain.model import weight_bytes
from autoglm_doctor.domain.spans import GIB


def settled(judge: Callable[[Case], Judgement], case: Case, others: Iterable[Case]) -> Judgement:
    """The judgement of a case; where it is red and the split is open, red only if every other split is red as well."""
    first = judge(case)
    if first.status != "fail":
        return first
    everywhere = None
    for other in others:
        judged = judge(other)
        if judged.status != "fail":
            words = {"gpus": len(case.taken), "there": case.card.count if case.card else 0}
            text = "it does not fit on {gpus} of the {there} GPUs, and over how many it is spread is not said"
            return unknown(Text(text, words), evidence=first.evidence)
        everywhere = everywhere or judged
    return everywhere or first


def hopeless(case: Case) -> Judgement | None:
    """Weights of an unknown architecture that exceed what the server may take: no model of memory is needed for that.

    That is vLLM's share of the GPU, by its newest default where neither the share nor the release is known, and the
    whole GPU for the others.
    """
    if case.card is None or case.estimates:
        return None
    launch = case.intent.launch
    weights, parts = weight_bytes(case.intent, case.files), launch.tensor_parallel * launch.pipeline_parallel
    claim, says = _claim(case, case.card.total_bytes)
    text = "the weights take {weights:GiB} per GPU, " + says
    if weights is None:  # copies of a mixture may share its experts
        weights, parts = least_of(case.intent, case.files), case.intent.gpus_needed
        text = "by its name {model} takes at least {weights:GiB} per GPU for its weights, " + says
    if weights is None:
        return None
    each = weights // parts - int(launch.cpu_offload_gib * GIB)
    if each <= claim:
        return None
    words = {
        "weights": each,
        "claim": claim,
        "total": case.card.total_bytes,
        "gpu": case.card.name,
        "model": case.intent.model,
    }
    return fail(
        Text(text, words),
        fix=larger_gpus(case.intent, each),
        observed=f"{gib_of(each)} GiB",
        expected=f"below {gib_of(claim)} GiB",
        evidence={"what_the_engine_says": engine_words.out_of_memory(0, case.card.total_bytes)},
    )


def _claim(case: Case, total: int) -> tuple[int, str]:
    """Bytes of the GPU that the server may take at most, and how that is said."""
    if case.intent.engine != "vllm":
        return total, "{gpu} has {total:GiB}"
    stated = case.intent.launch.gpu_memory_utilization
    share = stated or default_utilization(case.version or f"{NEWEST[0]}.{NEWEST[1]}")
    return requested_bytes(total, share), "the server may use {claim:GiB} of the {total:GiB} of {gpu}"
