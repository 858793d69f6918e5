"""ENG: the package that an older vLLM computes a picture's attention with has code for these GPUs."""

from __future__ import annotations

from packaging.version import Version

from autoglm_doctor.api import (
    Cuda,
    Driver,
    Environment,
    Findings,
    Fix,
    Gpu,
    Intent,
    Interpreter,
    Judgement,
    KernelLibrary,
    ModelFiles,
    Packages,
    Text,
    check,
    fail,
    not_applicable,
    ok,
    unknown,
)
from autoglm_doctor.domain.conflicts import install_line, installed_version, remove_line
from autoglm_doctor.domain.deployment import Taken, runs_on_cpu, taken_gpus, variables_of
from autoglm_doctor.domain.kernels import code_for
from autoglm_doctor.domain.wheels import capability, number
from autoglm_doctor.profiles import find_profile

#: From this release on vLLM takes its own FlashAttention for pictures (vllm/attention/layer.py in its wheels: 0.8.5,
#: 0.10.2 and 0.11.0 import flash_attn, 0.12.0 does not).
_OWN_ATTENTION = Version("0.12")
#: Models whose tower takes flash-attn before 0.11: those that ask get_vit_attn_backend for it (vllm/model_executor/
#: models in the wheel of 0.10.2). In 0.11 every tower does, on GPUs for which vLLM has not chosen its own.
_TOWERS = ("glm4v", "glm4v_moe", "qwen2_vl", "qwen2_5_vl", "ernie4_5_moe_vl", "Keye", "keye")
_EVERY_TOWER, _BLACKWELL = Version("0.11"), (10, 0)
#: Below, vLLM does not take flash-attn for them (has_device_capability(80) in the same file).
_AMPERE = (8, 0)


@check(
    "ENG008",
    "vision-attention",
    cause="GPU_ARCH_NOT_IN_WHEEL",
    explained_by=("DRV001", "GPU002", "PYT001", "ENG001", "ENG004", "TOR001", "TOR003", "TOR005", "PKG005"),
)
def vision_attention(
    packages: Packages,
    kernels: tuple[KernelLibrary, ...],
    gpus: tuple[Gpu, ...],
    cuda: Cuda | None,
    driver: Driver | None,
    environment: Environment | None,
    interpreter: Interpreter | None,
    model_files: ModelFiles | None,
    intent: Intent,
) -> Findings:
    """flash-attn, which an older vLLM computes a picture's attention with, has code for these GPUs.

    Before 0.11 vLLM takes the package flash-attn for the vision tower of GLM-4V, Qwen-VL and a few more, wherever it is
    installed and the GPU has 8.0 or more; 0.11 takes it for every tower on 10.0 and above. Wheels of flash-attn from
    before a GPU hold no code for it and no PTX: the start then ends in the first picture that vLLM makes up to measure
    memory, with "no kernel image is available", although text would run.

    Measured by reading the architectures in flash_attn_2_cuda's file, for models with a vision tower.

    ## Fix
    Remove flash-attn: vLLM takes xformers or torch instead. Or install a build that holds code for the GPU.
    """
    version = number(installed_version(packages, "vllm")) if intent.engine == "vllm" else None
    library = next((one for one in kernels if one.package == "flash-attn"), None)
    why = runs_on_cpu(intent, environment, driver, gpus, cuda)
    if not why and (version is None or version >= _OWN_ATTENTION):
        why = "only vLLM before 0.12 computes pictures with the package flash-attn"
    if not why and (library is None or not _takes_flash_attn(version, model_files, intent)):
        why = "flash-attn is not installed" if library is None else "the model is not known to take flash-attn"
    if why or library is None:
        yield not_applicable(Text(why))
        return
    chosen = variables_of(environment, intent).get("VLLM_ATTENTION_BACKEND", "")
    for one in taken_gpus(gpus, cuda, environment, intent):
        if (
            version is not None
            and version >= _EVERY_TOWER
            and (capability(one.gpu.compute_capability) or (0, 0)) < _BLACKWELL
        ):
            text = Text("vLLM takes its own attention on {gpu}", {"gpu": one.gpu.name})
            yield not_applicable(text, subject=one.subject)
        else:
            yield _judge(one, library, chosen, interpreter, packages)


def _takes_flash_attn(version: Version | None, files: ModelFiles | None, intent: Intent) -> bool:
    profile = find_profile(intent.profile or intent.model)
    configs = (files.config if files else None, profile.config if profile else None)
    seeing = [config for config in configs if config and config.get("vision_config")]
    every = version is not None and version >= _EVERY_TOWER
    return any(every or config.get("model_type") in _TOWERS for config in seeing)


def _judge(
    one: Taken, library: KernelLibrary, chosen: str, interpreter: Interpreter | None, packages: Packages
) -> Judgement:
    gpu, seen = one.gpu.name, one.gpu.compute_capability
    values = {"gpu": gpu, "cc": seen, "chosen": chosen}
    has = capability(seen)
    if has is None:
        return unknown(Text("the compute capability of {gpu} is not known", values), subject=one.subject)
    if has < _AMPERE:
        return not_applicable(Text("vLLM leaves flash-attn alone on {gpu}", values), subject=one.subject)
    code = code_for(library, seen)
    listed = " ".join(library.common)
    if code.by:
        text = Text("flash-attn has code for {gpu} (compute capability {cc})", values)
        return ok(text, subject=one.subject, observed=seen, expected=listed)
    if code.some or chosen:
        words = "VLLM_ATTENTION_BACKEND is {chosen}" if chosen else "some of its kernels run there"
        text = Text("flash-attn has no code for {gpu} (compute capability {cc}), but " + words, values)
        return unknown(text, subject=one.subject)
    return fail(
        Text("flash-attn, which vLLM takes for pictures, has no code for {gpu} (compute capability {cc})", values),
        fix=_fixes(interpreter, packages),
        subject=one.subject,
        observed=seen,
        expected=listed,
    )


def _fixes(interpreter: Interpreter | None, packages: Packages) -> tuple[Fix, ...]:
    python = interpreter.executable if interpreter else None
    remove = remove_line(python, ["flash-attn"], packages)
    build = install_line(python, ["flash-attn"], packages, ("--no-build-isolation", "--no-cache-dir"))
    return (
        Fix(
            text=Text("remove flash-attn: vLLM computes pictures without it"),
            commands=(remove,),
            effort="install",
        ),
        Fix(
            text=Text("or install a build of it that has code for this GPU (made here, where no wheel has: an hour)"),
            commands=(remove, build),
            effort="install",
        ),
    )
