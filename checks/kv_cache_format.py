"""CFG: the GPUs can work with the number format of the KV cache."""

from __future__ import annotations

import re

from autoglm_doctor.api import (
    Cuda,
    Driver,
    Environment,
    Findings,
    Fix,
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
)
from autoglm_doctor.domain.builds import is_early, release_of
from autoglm_doctor.domain.deployment import engine_version, order_is_open, runs_on_cpu, taken_gpus, variables_of
from autoglm_doctor.domain.kv_cache_format import CONVERTS, FP8_CACHES, refused_by
from autoglm_doctor.domain.launch_line import changed, line, stated_flag
from autoglm_doctor.domain.model import model_config
from autoglm_doctor.domain.wheels import capability

#: Models with latent attention (MLA), which has back ends of its own.
_LATENT = re.compile(
    r"deepseek-?(v[23]|coder-v2|r1(?!-distill)|vl2)|kimi|moonlight|minicpm3|longcat|glm-?(4\.7-flash|5)"
)
_WHY = {
    "triton": "Triton compiles its kernels for FP8 from 8.9 on",
    "flex": "FlexAttention, which it takes here, has no cache in FP8",
}


@check(
    "CFG008",
    "kv-cache-format-runs",
    cause="QUANT_UNSUPPORTED_GPU",
    explained_by=("DRV001", "DRV002", "GPU002", "ENG004", "CFG007"),
)
def kv_cache_format_runs(
    gpus: tuple[Gpu, ...],
    model_files: ModelFiles | None,
    packages: Packages | None,
    environment: Environment | None,
    cuda: Cuda | None,
    driver: Driver | None,
    intent: Intent,
) -> Findings:
    """The GPUs can work with the number format of the KV cache.

    `--kv-cache-dtype fp8` halves the cache. On GPUs below compute capability 8.9 its numbers are converted in software,
    which vLLM's back ends do or do not: up to 0.10 it goes back to its V0 engine, which does; 0.11.0 takes Triton,
    which ends with "type fp8e4nv not supported in this architecture"; from 0.11.1 on FlashInfer comes with vLLM and
    converts, from 7.5 or 8.0 on. Who names the Triton back end gets the error in all releases.

    Measured by the flag, the back end that the flag or VLLM_ATTENTION_BACKEND names, the release and the compute
    capability. Red where the release is known to end so; where GPUs differ and their order is not told, unknown; else,
    on an older GPU, unknown. SGLang, and models with latent attention (DeepSeek), whose back ends are others, are not
    judged.

    ## Fix
    The model's own format (`--kv-cache-dtype auto`), which takes twice the room.
    """
    why_not = runs_on_cpu(intent, environment, driver, gpus, cuda)
    asked = (intent.launch.kv_cache_dtype or "").lower()
    if why_not or intent.engine != "vllm" or asked not in FP8_CACHES or _is_latent(intent, model_files):
        yield not_applicable(Text(why_not or "no KV cache in FP8 that a table of ours is about"))
        return
    taken = [one.gpu for one in taken_gpus(gpus, cuda, environment, intent)]
    found = [(number, gpu) for gpu in taken if (number := capability(gpu.compute_capability)) is not None]
    if not taken or len(found) < len(taken):
        yield unknown(Text("the compute capability of the GPUs that the deployment takes is not known"))
        return
    has, oldest = min(found, key=lambda one: one[0])
    newest = max(capability(gpu.compute_capability) or (0, 0) for gpu in gpus)
    if has < CONVERTS <= newest and order_is_open(gpus, cuda, environment, intent):
        yield unknown(Text("which of these GPUs is taken is not known; not all of them convert FP8 themselves"))
        return
    named = stated_flag(intent.command, "attention-backend")
    backend = named or variables_of(environment, intent).get("VLLM_ATTENTION_BACKEND", "")
    yield _judge(oldest, has, engine_version(packages, intent), backend, intent)


def _judge(gpu: Gpu, has: tuple[int, int], version: str | None, backend: str, intent: Intent) -> Judgement:
    said = {
        "gpu": gpu.name or f"GPU {gpu.index}",
        "capability": gpu.compute_capability,
        "version": version or "?",
        "asked": intent.launch.kv_cache_dtype,
    }
    subject = f"gpu:{gpu.index}"
    if has >= CONVERTS:
        text = Text("{gpu} (capability {capability}) converts FP8 itself", said)
        return ok(text, observed=gpu.compute_capability, expected="8.9", subject=subject)
    why = "" if is_early(version) else refused_by(release_of(version), has, backend)
    if not why:
        words = "whether vLLM {version} finds a back end for a KV cache in FP8 on {gpu} ({capability}) is not known"
        return unknown(Text(words, said), subject=subject)
    words = "vLLM {version} cannot keep its KV cache in {asked} on {gpu} (capability {capability}): {why}"
    fix = Fix(
        text=Text("keep the cache in the model's own format, which takes twice the room"),
        commands=(line(changed(intent, {"kv_cache_dtype": "auto"})),),
        effort="flag",
        url="https://github.com/vllm-project/vllm/issues/26431",
    )
    return fail(
        Text(words, said | {"why": _WHY[why]}),
        fix=fix,
        observed=gpu.compute_capability,
        expected="8.9",
        threshold=Threshold(value="8.9", unit="compute capability", source="vllm/platforms/cuda.py of the wheels"),
        subject=subject,
    )


def _is_latent(intent: Intent, files: ModelFiles | None) -> bool:
    config = model_config(intent, files) or {}
    return bool(config.get("kv_lora_rank") or _LATENT.search(intent.model.lower()))
