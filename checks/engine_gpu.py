"""ENG: the engine has code for these GPUs."""

from __future__ import annotations

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
    KernelLibrary,
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
from autoglm_doctor.domain.kernels import code_for, engine_library
from autoglm_doctor.domain.project_builds import is_of_the_project
from autoglm_doctor.domain.published import published
from autoglm_doctor.domain.resolve.fixes import install_fixes
from autoglm_doctor.domain.resolve.site import Site
from autoglm_doctor.domain.wheels import capability, number
from autoglm_doctor.matrix import EngineRelease

#: Of these GPUs no engine had code before it was measured what its wheels hold.
_BLACKWELL = (10, 0)


@check(
    "ENG004",
    "engine-supports-gpu",
    cause="GPU_TOO_OLD_FOR_ENGINE",
    explained_by=("DRV001", "DRV002", "GPU002", "PYT001"),
)
def engine_supports_gpu(
    gpus: tuple[Gpu, ...],
    packages: Packages | None,
    kernels: tuple[KernelLibrary, ...] | None,
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

    Measured by reading the headers of the GPU code in the engine's own library (vLLM's _C and _C_stable_libtorch
    together, SGLang's common_ops of the variant that it loads on that GPU), for each GPU that the deployment takes:
    the architectures that the greatest number of its source files were compiled for. No tool of CUDA is needed, and a
    build of your own is judged as it is. Code for 8.0 runs on 8.9; code for 10.0a runs on 10.0 alone. Where only
    special kernels run on a GPU, the answer is open.

    Where no library was read, the compute capability is held against the lowest one that the release has code for (7.0
    up to vLLM 0.19 and 7.5 after that; 7.5 up to SGLang 0.5.1 and 8.0 after that), and for vLLM against the list of the
    published wheel. A build of somebody else (0.8.1+pascal, or for a CUDA that the project did not build the release
    for, 0.8.5+cu128) may hold code for other GPUs, and so may one on a Jetson. An engine that is not installed yet is
    judged by the release that asks for the least. Where nothing is known of the packages that release may refuse a GPU,
    but not pass it.

    ## Fix
    Another release of the engine, where one has code for the GPU; else transformers, which runs wherever torch does,
    or another GPU.
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
        library = engine_library(kernels, intent.engine, one.gpu.compute_capability) if _version(site) else None
        if capability(one.gpu.compute_capability) is None:
            text = Text("the compute capability of {gpu} is not known", {"gpu": one.gpu.name})
            yield unknown(text, subject=one.subject)
        elif library is not None:
            yield _judge_library(one, library, site)
        else:
            yield _judge_release(one, row, site)


def _release(version: str | None, intent: Intent, matrix: Matrix) -> EngineRelease | None:
    rows = matrix.engines.get(intent.engine, ())
    if version is not None:
        return matrix.engine_release(intent.engine, version)
    return min(rows, key=lambda row: capability(row.minimum_capability) or (0, 0), default=None)


def _version(site: Site) -> str | None:
    return installed_version(site.packages, site.intent.engine) if site.packages else None


def _values(one: Taken, site: Site) -> dict[str, object]:
    name = " ".join(filter(None, (NAMES[site.intent.engine], _version(site))))
    return {"engine": name, "gpu": one.gpu.name, "cc": one.gpu.compute_capability}


def _judge_library(one: Taken, library: KernelLibrary, site: Site) -> Judgement:
    """By the files of the engine that is installed."""
    code = code_for(library, one.gpu.compute_capability)
    values = {**_values(one, site), "library": library.name, "by": code.by}
    seen, listed, evidence = one.gpu.compute_capability, " ".join(library.common), {"library": library.name}
    if code.by:
        by = " by compiling its PTX at start" if code.by.startswith("compute") else ""
        text = Text("{engine} has code for {gpu} (compute capability {cc}): {by} in {library}" + by, values)
        return ok(text, subject=one.subject, observed=seen, expected=listed, evidence=evidence)
    if code.some:
        text = Text("only some of the kernels in {library} run on {gpu} (compute capability {cc})", values)
        return unknown(text, subject=one.subject, evidence=evidence)
    return _refused(one, "{engine} has no code for {gpu} (compute capability {cc}) in {library}", values, listed, site)


def _judge_release(one: Taken, row: EngineRelease, site: Site) -> Judgement:
    """By what the release is known to hold."""
    needs, seen = capability(row.minimum_capability) or (0, 0), one.gpu.compute_capability
    values = {**_values(one, site), "needed": row.minimum_capability}
    limit = Threshold(value=row.minimum_capability, unit="compute capability", source=row.source)
    if (capability(seen) or (0, 0)) < needs:
        if not is_of_the_project(site.intent.engine, _version(site), site.matrix):
            text = Text(
                "{engine} is no build of its project, which has no code for {gpu} (compute capability {cc})", values
            )
            return unknown(text, subject=one.subject)
        words = "{engine} has no code for {gpu} (compute capability {cc}); it needs {needed}"
        if _version(site) is None:
            words = "no release of {engine} has code for {gpu} (compute capability {cc}); "
            words += "the least that one needs is {needed}"
        return _refused(one, words, values, f">={row.minimum_capability}", site, limit)
    if site.packages is None:
        # The least that a release asks for refuses a GPU, and proves nothing for one that is newer.
        text = Text("which release of {engine} is to run is not known; {needed} is the least that one needs", values)
        return unknown(text, subject=one.subject)
    known = _has_code(row, seen, site) if _version(site) else True
    if known is None and (capability(seen) or (0, 0)) >= _BLACKWELL:
        return unknown(
            Text("whether the kernels of {engine} were made for {gpu} is not known", values), subject=one.subject
        )
    if known is False:
        if _is_published_wheel(site) and not _is_newer(site):
            words = "{engine} has no code for {gpu} (compute capability {cc})"
            return _refused(one, words, values, f"code for {seen}", site)
        text = Text("no wheel of {engine} that was read has code for {gpu} (compute capability {cc})", values)
        return unknown(text, subject=one.subject)
    text = Text("{engine} has code for {gpu} (compute capability {cc}, {needed} is enough)", values)
    return ok(text, subject=one.subject, observed=seen, expected=f">={row.minimum_capability}", threshold=limit)


def _is_newer(site: Site) -> bool:
    """Than every release that the table knows: it may have code that none of them has."""
    version, rows = number(_version(site)), site.matrix.engines.get(site.intent.engine, ())
    return version is not None and bool(rows) and version > Version(rows[-1].since)


def _has_code(row: EngineRelease, seen: str, site: Site) -> bool | None:
    machine = site.host.machine if site.host else ""
    return site.matrix.engine_has_code_for(site.intent.engine, row.since, seen, machine)


def _is_published_wheel(site: Site) -> bool:
    """Images of vendors, and machines of another kind, hold builds of their own under a version that is published.

    SGLang's kernels are a package of their own: its builds for other CUDA releases hold code for newer GPUs, and not
    all of them say so in their version (SGLang issue 14327).
    """
    host = site.host
    strange = host is not None and (host.tegra or bool(host.container))
    own = published(_version(site)) and is_of_the_project(site.intent.engine, _version(site), site.matrix)
    return own and not strange and site.intent.engine == "vllm"


def _changes_engine(fix: Fix, site: Site) -> bool:
    """Not another transformers beside the engine that has no code."""
    named = re.compile(rf"\b{site.intent.engine}(?:==|-\d)")
    return fix.effort != "install" or any(named.search(line) for line in fix.commands)


def _refused(
    one: Taken, words: str, values: dict[str, object], listed: str, site: Site, limit: Threshold | None = None
) -> Judgement:
    row = _release(_version(site), site.intent, site.matrix)
    too_old = row is not None and (capability(one.gpu.compute_capability) or (0, 0)) < (
        capability(row.minimum_capability) or (0, 0)
    )
    others = tuple(fix for fix in install_fixes(site) if fix != NEWER_GPU and _changes_engine(fix, site))
    return fail(
        Text(words, values),
        fix=(*others, NEWER_GPU) if too_old or not others else others,
        cause="" if too_old else "GPU_ARCH_NOT_IN_WHEEL",
        subject=one.subject,
        observed=one.gpu.compute_capability,
        expected=listed,
        threshold=limit,
    )
