"""CFG: the GPUs can compute with the quantized weights."""

from __future__ import annotations

import dataclasses
import re

from packaging.version import Version

from autoglm_doctor.api import (
    Cuda,
    Driver,
    Environment,
    Findings,
    Fix,
    Gpu,
    Host,
    Intent,
    Interpreter,
    Judgement,
    Matrix,
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
from autoglm_doctor.checks.engine import NAMES
from autoglm_doctor.domain.deployment import engine_version, gpus_of, order_is_open, runs_on_cpu, taken_gpus
from autoglm_doctor.domain.driver.ways import NEWER_GPU
from autoglm_doctor.domain.launch_line import changed, line
from autoglm_doctor.domain.model import model_config
from autoglm_doctor.domain.published import published
from autoglm_doctor.domain.quantized import Support, answers, form_of, rows_of
from autoglm_doctor.domain.resolve.fixes import install_fixes
from autoglm_doctor.domain.resolve.plan import Plan, plan_for
from autoglm_doctor.domain.resolve.site import Site
from autoglm_doctor.domain.wheels import capability

_SOURCE = "get_min_capability() in the engine's wheels"


@check(
    "CFG007",
    "quantization-runs",
    cause="QUANT_UNSUPPORTED_GPU",
    explained_by=("DRV001", "DRV002", "GPU002", "ENG004"),
)
def quantization_runs(
    gpus: tuple[Gpu, ...],
    model_files: ModelFiles | None,
    packages: Packages | None,
    environment: Environment | None,
    cuda: Cuda | None,
    driver: Driver | None,
    interpreter: Interpreter | None,
    host: Host | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """The GPUs can compute with the quantized weights.

    Each form of quantization has kernels of its own, and the engine refuses GPUs that they were not written for: "The
    quantization method awq is not supported for the current GPU. Minimum capability: 75". FP8 and FP4 are multiplied by
    the GPU itself from capability 8.9 and 10.0 on; on older ones newer releases unpack the weights first (Marlin),
    which saves memory and no time.

    Measured by comparing the compute capability of each GPU that the deployment takes with what the installed release
    asks for, by quantization_config and `--quantization`. Red where it refuses; yellow where it unpacks, and where
    releases differ and the installed one is not known, as of a build from source; open where GPUs differ and their
    order is not told. Forms that are not in the table are not judged; under plain transformers those are all but
    FBGEMM's FP8 and the FP8 with a scale per block, which it unpacks to bfloat16, twice the room, from 5.0 on.

    ## Fix
    A release that unpacks the weights, another form of the same model, or a newer GPU.
    """
    why_not = runs_on_cpu(intent, environment, driver, gpus, cuda)
    form = form_of(model_config(intent, model_files), intent.launch.quantization)
    if why_not or not form or not rows_of(intent.engine, form):
        yield not_applicable(Text(why_not or "no quantization that a table of ours is about"))
        return
    taken = [one.gpu for one in taken_gpus(gpus, cuda, environment, intent)]
    numbers = [capability(gpu.compute_capability) for gpu in taken]
    if not taken or None in numbers:
        yield unknown(Text("the compute capability of the GPUs that the deployment takes is not known"))
        return
    oldest = min(taken, key=lambda gpu: capability(gpu.compute_capability) or (0, 0))
    version = engine_version(packages, intent)
    kinds = {answers(intent.engine, version, form, gpu.compute_capability) for gpu in gpus}
    if len(kinds) > 1 and order_is_open(gpus, cuda, environment, intent):
        yield unknown(
            Text("which of these GPUs is taken is not known; not all of them compute with {form}", {"form": form})
        )
        return
    every = gpus_of(gpus, cuda, environment, intent)
    site = Site(matrix, intent, driver, every, host, interpreter, packages, model_files)
    yield _judge(oldest, form, version, site)


def _judge(gpu: Gpu, form: str, version: str | None, site: Site) -> Judgement:
    intent = site.intent
    found = answers(intent.engine, version, form, gpu.compute_capability)
    if intent.engine == "transformers" and len(found) > 1:  # it is what counts as the engine where none is named
        found = frozenset()
    said = {
        "engine": " ".join(filter(None, (NAMES[intent.engine], version))),
        "form": form.replace("_", " "),
        "gpu": gpu.name or f"GPU {gpu.index}",
        "capability": gpu.compute_capability,
    }
    subject = f"gpu:{gpu.index}"
    if not found:
        return unknown(Text("what {engine} does with {form} is in no table of ours", said), subject=subject)
    if found == {"runs"}:
        text = Text("{engine} computes with {form} on {gpu} (capability {capability})", said)
        return ok(text, observed=gpu.compute_capability, subject=subject)
    words = "some releases of {engine} refuse {form} on {gpu} (capability {capability}), others unpack it first"
    if found == {"refused"}:
        words = "{engine} refuses {form} on {gpu}: it has capability {capability}"
    elif found == {"slower"}:
        words = "{gpu} (capability {capability}) cannot multiply {form}: {engine} unpacks the weights first"
    elif "slower" not in found:
        words = "some releases of {engine} refuse {form} on {gpu} (capability {capability})"
    rows = rows_of(intent.engine, form)
    return (fail if found == {"refused"} else warn)(
        Text(words, said),
        fix=_fixes(gpu, rows, version, site),
        observed=gpu.compute_capability,
        expected=rows[-1].native or rows[-1].least,
        threshold=Threshold(value=rows[-1].least, unit="compute capability", source=_SOURCE),
        subject=subject,
    )


def _fixes(gpu: Gpu, rows: tuple[Support, ...], version: str | None, site: Site) -> tuple[Fix, ...]:
    has = capability(gpu.compute_capability) or (0, 0)
    taking = next((row for row in rows if (capability(row.least) or (0, 0)) <= has), None)
    refused = "refused" in answers(site.intent.engine, version, rows[0].form, gpu.compute_capability)
    # Who built the engine from source has reasons: that build is not to be replaced by a release.
    may_install = refused and taking is not None and (version is None or published(version))
    releases = _releases(site, Version(taking.since)) if taking and may_install else ()
    others = "an AWQ or GPTQ checkpoint" if has >= (7, 5) else "a GPTQ checkpoint"
    other = Fix(
        text=Text("take another checkpoint (put its name): unquantized where it fits, or " + others),
        commands=(line(_with_model(changed(site.intent, {"quantization": None}), "OTHER-CHECKPOINT")),),
        effort="flag",
    )
    return (*releases, other, NEWER_GPU)


def _releases(site: Site, since: Version) -> tuple[Fix, ...]:
    """The sets that run on this machine's driver and Python with an engine that is new enough."""
    plan = plan_for(site.matrix, site.intent.engine, site.place(), site.model(site.intent.engine))
    good = [one for one in (plan, plan.own_page) if one is not None and _is_since(one, since)]
    wanted = {word for one in good for word in one.requirements if site.intent.engine in word}
    return tuple(fix for fix in install_fixes(site) if any(word in said for word in wanted for said in fix.commands))


def _is_since(plan: Plan, since: Version) -> bool:
    return plan.answer.release is not None and Version(plan.answer.release.version) >= since


def _with_model(intent: Intent, name: str) -> Intent:
    """The command for another model: as a word of its own, or behind `--model=`."""
    words = [re.sub(rf"(^|=){re.escape(intent.model)}$", rf"\g<1>{name}", word) for word in intent.command]
    return dataclasses.replace(intent, model=name, command=tuple(words))
