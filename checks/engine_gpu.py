"""ENG: the engine has code for these GPUs."""

from __future__ import annotations

from autoglm_doctor.api import (
    Cuda,
    Driver,
    Environment,
    Findings,
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
)
from autoglm_doctor.checks.engine import NAMES
from autoglm_doctor.domain.conflicts import installed_version
from autoglm_doctor.domain.deployment import Taken, runs_on_cpu, taken_gpus
from autoglm_doctor.domain.driver.ways import NEWER_GPU
from autoglm_doctor.domain.resolve.fixes import install_fixes
from autoglm_doctor.domain.resolve.site import Site
from autoglm_doctor.domain.wheels import capability
from autoglm_doctor.matrix import EngineRelease


@check(
    "ENG004",
    "engine-supports-gpu",
    cause="GPU_TOO_OLD_FOR_ENGINE",
    explained_by=("DRV001", "DRV002", "GPU002", "PYT001"),
)
def engine_supports_gpu(
    gpus: tuple[Gpu, ...],
    packages: Packages | None,
    cuda: Cuda | None,
    environment: Environment | None,
    driver: Driver | None,
    interpreter: Interpreter | None,
    host: Host | None,
    model_files: ModelFiles | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """The engine has code for this generation of GPU.

    An engine has kernels of its own, beside torch's. On a GPU that they were not built for the server ends with "no
    kernel image is available", although torch itself computes there.

    Measured by comparing the compute capability of each GPU that the deployment takes with the lowest one that the
    installed release has code for (7.0 up to vLLM 0.19, 7.5 after that, 8.0 for SGLang; from the wheels). An engine
    that is not installed yet is judged by the release that asks for the least. Where nothing is known of the packages
    that release may refuse a GPU, but not pass it.

    ## Fix
    An earlier release of the engine, where one supports the GPU; else transformers, which runs wherever torch does, or
    a newer GPU.
    """
    on_cpu = runs_on_cpu(intent, environment, driver, gpus, cuda)
    row = _release(installed_version(packages, intent.engine) if packages else None, intent, matrix)
    if on_cpu or not gpus or row is None:
        why = on_cpu or ("there is no GPU here" if not gpus else "no table of ours limits {engine} to certain GPUs")
        yield not_applicable(Text(why, {"engine": NAMES[intent.engine]}))
        return
    taken = taken_gpus(gpus, cuda, environment, intent)
    if not taken:
        yield unknown(Text("which GPU the deployment sees is not known"))
    for one in taken:
        site = Site(matrix, intent, driver, (one.gpu,), host, interpreter, packages, model_files)
        yield _judge_gpu(one, row, site)


def _release(version: str | None, intent: Intent, matrix: Matrix) -> EngineRelease | None:
    rows = matrix.engines.get(intent.engine, ())
    if version is not None:
        return matrix.engine_release(intent.engine, version)
    return min(rows, key=lambda row: capability(row.minimum_capability) or (0, 0), default=None)


def _judge_gpu(one: Taken, row: EngineRelease, site: Site) -> Judgement:
    intent, packages = site.intent, site.packages
    has, needs = capability(one.gpu.compute_capability), capability(row.minimum_capability)
    version = installed_version(packages, intent.engine) if packages else None
    values = {
        "engine": " ".join(filter(None, (NAMES[intent.engine], version))),
        "gpu": one.gpu.name,
        "cc": one.gpu.compute_capability,
        "needed": row.minimum_capability,
    }
    if has is None or needs is None:
        return unknown(Text("the compute capability of {gpu} is not known", values), subject=one.subject)
    limit = Threshold(value=row.minimum_capability, unit="compute capability", source=row.source)
    seen = one.gpu.compute_capability
    if has >= needs and packages is None:
        # The least that a release asks for refuses a GPU, and proves nothing for one that is newer.
        text = Text("which release of {engine} is to run is not known; {needed} is the least that one needs", values)
        return unknown(text, subject=one.subject)
    if has >= needs:
        text = Text("{engine} has code for {gpu} (compute capability {cc}, {needed} is enough)", values)
        return ok(text, subject=one.subject, observed=seen, expected=f">={row.minimum_capability}", threshold=limit)
    words = "{engine} has no code for {gpu} (compute capability {cc}); it needs {needed}"
    if version is None:
        words = (
            "no release of {engine} has code for {gpu} (compute capability {cc}); the least that one needs is {needed}"
        )
    return fail(
        Text(words, values),
        fix=(*(fix for fix in install_fixes(site) if fix != NEWER_GPU), NEWER_GPU),
        subject=one.subject,
        observed=seen,
        expected=f">={row.minimum_capability}",
        threshold=limit,
    )
