"""GPU memory: is it free, and do the weights fit. VRM"""

from __future__ import annotations

from autoglm_doctor.api import (
    SMOKE,
    Cuda,
    Driver,
    Environment,
    Findings,
    Gpu,
    Intent,
    Judgement,
    ModelFiles,
    Packages,
    Text,
    Threshold,
    check,
    fail,
    not_applicable,
    ok,
    unknown,
    warn,
)
from autoglm_doctor.checks.vram_split import hopeless, settled
from autoglm_doctor.domain.capacity.fixes import free_fixes, holders, memory_fixes
from autoglm_doctor.domain.deployment import Case, Taken, read_case, runs_on_cpu
from autoglm_doctor.domain.memory import engine_words
from autoglm_doctor.domain.memory.fits import Card, estimates, requested_bytes, verdict, weights_verdict
from autoglm_doctor.domain.memory.llamacpp_estimate import FITTED
from autoglm_doctor.domain.memory.split import other_splits
from autoglm_doctor.domain.memory.terms import gib_of, terms
from autoglm_doctor.domain.memory.vllm import NEWEST, default_utilization
from autoglm_doctor.domain.model import weight_bytes
from autoglm_doctor.domain.spans import GIB
from autoglm_doctor.finding import Scalar

#: The server's own CUDA context, which counts as taken when vLLM compares (seen: 0.5 GiB on H100 and L40S).
CONTEXT_BYTES = GIB // 2

ROOTS = ("DRV001", "DRV002", "GPU002", "CUD001")


@check("VRM001", "gpu-memory-free", cause="GPU_MEMORY_TAKEN_BY_OTHERS", required=True, explained_by=ROOTS)
def gpu_memory_free(
    gpus: tuple[Gpu, ...],
    intent: Intent,
    model_files: ModelFiles | None,
    packages: Packages | None,
    environment: Environment | None,
    cuda: Cuda | None,
    driver: Driver | None,
) -> Findings:
    """Enough GPU memory is free for what the server claims at start.

    vLLM claims a fixed share of the whole card (`--gpu-memory-utilization`) and refuses to start when less than that
    is free, however small the model is. What a notebook, a desktop or a server that was not stopped holds is missing
    from it.

    Free memory is read from NVML for every GPU that the deployment takes (CUDA_VISIBLE_DEVICES counts). Red when free
    is below total x utilization, the comparison that vLLM makes (vllm/v1/worker/utils.py, request_memory); the share
    defaults to 0.90, from vLLM 0.20 on to 0.92. Yellow when it is only enough without the server's own CUDA context,
    about 0.5 GiB. SGLang and transformers claim no share: there the free memory must hold the model.

    GPUs inside a system chip (GB10 of DGX Spark, Jetson) work in main memory, and NVML does not tell it: there the
    kernel's MemAvailable is taken, as vLLM and SGLang do (vllm/utils/mem_utils.py, MemorySnapshot).

    ## Fix

    Start with a share that is really free, if the model fits in it: the report prints the line. Or end the processes
    that hold the memory: `nvidia-smi` names them, except those of other containers.
    """
    reason = not_asked(intent, runs_on_cpu(intent, environment, driver, gpus, cuda))
    if reason:
        yield not_applicable(Text(reason))
        return
    case = read_case(gpus, intent, model_files, packages, environment, cuda)
    if not case.taken:
        yield unknown(Text("no GPU is visible to the deployment"))
    is_open = intent.engine != "vllm" and any(other_splits(gpus, intent, model_files, packages, environment))
    for one in case.taken:
        judged = _judge_free(one, case)
        if is_open and judged.status in ("fail", "warn"):  # a part of the model needs less than the whole
            judged = unknown(Text("over how many GPUs the model is spread is not said"), subject=one.subject)
        yield judged


def not_asked(intent: Intent, on_cpu: str) -> str:
    """Why GPU memory does not matter here; "" when it does."""
    return on_cpu or ("the model made on the spot takes a few MiB" if intent.model == SMOKE else "")


def _claim(one: Taken, case: Case) -> tuple[int, int, float] | None:
    """Bytes that must be free, at least and at most for what is known of the version, and the share of the latter."""
    intent, total = case.intent, one.total_bytes
    if intent.engine == "vllm":
        share = intent.launch.gpu_memory_utilization
        versions = (case.version,) if case.version else ("0.12", f"{NEWEST[0]}.{NEWEST[1]}")
        shares = [share] if share else [default_utilization(v) for v in versions]
        return requested_bytes(total, min(shares)), requested_bytes(total, max(shares)), max(shares)
    card = Card(name=one.gpu.name, total_bytes=total, count=case.card.count if case.card else 1)
    found = estimates(intent, case.files, card, case.version)
    if not found or verdict(found) == "no":
        return None
    if found[0].version == FITTED and found[-1].fits == "no":
        return None  # its builds differ: the newer ones take what is free
    need = found[-1].need
    return need.low, need.likely, need.likely / total


def _fits_itself(case: Case) -> bool:
    """Newer builds of llama.cpp put as many layers on the GPU as are free for, where -ngl does not say how many."""
    return bool(case.estimates) and case.estimates[0].version == FITTED


def _judge_free(one: Taken, case: Case) -> Judgement:
    if one.free_bytes is None or one.free_bytes < 0 or not one.total_bytes:
        what = "this GPU is not known: NVML does not tell it"
        if one.gpu.mig or (one.free_bytes is not None and one.free_bytes < 0):
            what = "a MIG slice cannot be read from here" if one.gpu.mig else "this GPU is not stated"
        return unknown(Text(f"the free memory of {what}"), subject=one.subject)
    claim = _claim(one, case)
    if claim is None:
        engine = {"engine": case.intent.engine}
        why = "{engine} claims no fixed share, and the model is not known or does not fit in the empty GPU"
        return not_applicable(Text(why, engine), subject=one.subject)
    least, most, share = claim
    params: dict[str, object] = {
        "free": one.free_bytes,
        "total": one.total_bytes,
        "wanted": most,
        "share": share,
        "holders": holders(one),
    }
    evidence = _free_evidence(one, case, most, share)
    seen, goal = f"{gib_of(one.free_bytes)} GiB free", f"at least {gib_of(most)} GiB free"
    source = "vllm/v1/worker/utils.py, request_memory" if case.intent.engine == "vllm" else "need of the model"
    limit = Threshold(value=gib_of(most), unit="GiB", source=source)
    if one.free_bytes >= most + CONTEXT_BYTES:
        good = Text("{free:GiB} of {total:GiB} are free, the server claims {wanted:GiB}", params)
        return ok(good, subject=one.subject, observed=seen, expected=goal, threshold=limit, evidence=evidence)
    judge, words = (
        fail,
        "{free:GiB} of {total:GiB} are free, the server claims {wanted:GiB} ({share:percent}); {holders}",
    )
    if one.free_bytes >= least or _fits_itself(case):
        words = "{free:GiB} are free, the server claims {wanted:GiB} and takes about 0.5 GiB before it looks; {holders}"
        judge = warn
    return judge(
        Text(words, params),
        fix=free_fixes(case, one),
        subject=one.subject,
        observed=seen,
        expected=goal,
        threshold=limit,
        evidence=evidence,
    )


def _free_evidence(one: Taken, case: Case, most: int, share: float) -> dict[str, Scalar]:
    found: dict[str, Scalar] = {
        "total_gib": gib_of(one.total_bytes),
        "free_gib": gib_of(one.free_bytes or 0),
        "claimed_gib": gib_of(most),
        "share": round(share, 4),
    }
    if case.intent.engine == "vllm" and (one.free_bytes or 0) < most + CONTEXT_BYTES:
        place = case.taken.index(one)
        free, total = gib_of(one.free_bytes or 0), gib_of(one.total_bytes)
        found["what_vllm_says"] = engine_words.too_little_free(place, free, total, share, gib_of(most))
    return found


@check(
    "VRM002",
    "weights-fit",
    cause="VRAM_TOO_SMALL_FOR_WEIGHTS",
    required=True,
    explained_by=ROOTS,
    left_open_by=("MDL001",),
)
def weights_fit(
    gpus: tuple[Gpu, ...],
    intent: Intent,
    model_files: ModelFiles | None,
    packages: Packages | None,
    environment: Environment | None,
    cuda: Cuda | None,
    driver: Driver | None,
) -> Findings:
    """The weights fit in the memory of the GPUs.

    Weights take their bytes in full before anything else happens; no setting makes them smaller but quantization or a
    split over several GPUs.

    The bytes are those of the safetensors headers when the files are there, else they are worked out from the model's
    config: for AutoGLM-Phone-9B 10,292,777,472 parameters, 19.17 GiB in 16 bits (its vision tower makes it larger than
    its name). Red when they exceed what the engine may claim of the smallest GPU; public start-up logs are met within
    1.2 %. Of a model whose config is not known the size in its name tells the least that its weights take (0.9 of the
    parameters that it says, in 16 bits where its family is published so, else in 4; of such families 0.97 from 30B on):
    red only when not even that fits in what vLLM may claim, in the whole GPU for other engines.
    Where nobody says over how many of several GPUs the model is spread, red only when all of them together are too
    small. Stages of a pipeline that a variable makes unequal (VLLM_PP_LAYER_PARTITION) are not judged.

    ## Fix

    A larger GPU, `--tensor-parallel-size` with several, or 8-bit weights (`--quantization fp8`, from compute
    capability 8.0 on). The report prints a line that fits where there is one.
    """
    reason = not_asked(intent, runs_on_cpu(intent, environment, driver, gpus, cuda))
    if reason:
        yield not_applicable(Text(reason))
        return
    case = read_case(gpus, intent, model_files, packages, environment, cuda)
    yield settled(_judge_weights, case, other_splits(gpus, intent, model_files, packages, environment))


def _judge_weights(case: Case) -> Judgement:
    obstacle = (None if case.layers else hopeless(case)) or obstacle_of(case)
    if obstacle is not None:
        return obstacle
    shown = case.estimates[-1]
    words = {
        "weights": shown.weights.likely,
        "claim": shown.requested,
        "total": shown.total_bytes,
        "gpu": case.card.name if case.card else "the GPU",
    }
    seen, goal = f"{gib_of(shown.weights.likely)} GiB", f"at most {gib_of(shown.requested)} GiB"
    answer = weights_verdict(case.estimates)
    if answer == "yes":
        good = Text("the weights take {weights:GiB} of the {claim:GiB} that the server may use per GPU", words)
        return ok(good, observed=seen, expected=goal, evidence=terms(shown))
    if answer == "no":
        bad = "the weights take {weights:GiB} per GPU; the server may use {claim:GiB} of the {total:GiB} of {gpu}"
        evidence = terms(shown) | {"what_the_engine_says": engine_words.no_room_for_weights(case.intent.engine, shown)}
        return fail(Text(bad, words), fix=memory_fixes(case), observed=seen, expected=goal, evidence=evidence)
    close = "the weights take {weights:GiB} and the server may use {claim:GiB}: too close to tell"
    return unknown(Text(close, words), evidence=terms(shown))


def obstacle_of(case: Case) -> Judgement | None:
    """Why there is nothing to compare."""
    if case.card is None:
        return unknown(Text("the memory of the GPUs that the deployment takes is not known"))
    if case.layers:
        text = "each GPU holds another share of the model: a variable deals the layers out as {layers}"
        return unknown(Text(text, {"layers": case.layers}))
    if case.estimates:
        return None
    weights = weight_bytes(case.intent, case.files)
    if weights is None:
        return unknown(Text("the size of {model} is not known: its files are not here", {"model": case.intent.model}))
    words = {"weights": weights, "total": case.card.total_bytes, "model": case.intent.model}
    unclear = "{model} has an architecture that the memory model does not know; its weights are {weights:GiB}"
    return unknown(Text(unclear, words))
