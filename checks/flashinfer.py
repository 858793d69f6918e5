"""PKG: FlashInfer and the packages that hold its compiled kernels are of one release."""

from __future__ import annotations

import re

from packaging.version import Version

from autoglm_doctor.api import (
    Environment,
    Findings,
    Fix,
    Intent,
    Interpreter,
    Packages,
    Text,
    check,
    fail,
    not_applicable,
    ok,
    warn,
)
from autoglm_doctor.domain.compiled import is_stated
from autoglm_doctor.domain.conflicts import install_line, installed_version, remove_line
from autoglm_doctor.domain.deployment import variables_of
from autoglm_doctor.domain.wheels import number

#: Its index: from 0.6.14 on the kernels are there alone, those for a CUDA in a folder of their own.
_INDEX = "https://flashinfer.ai/whl"
_SWITCH = "FLASHINFER_DISABLE_VERSION_CHECK"
_ENGINES = ("vllm", "sglang")
#: From its 0.7.0 on it is asked before flashinfer-cubin.
_CUBIN_DIR = "FLASHINFER_CUBIN_DIR"
#: It asks from the first on, more exactly from the second, and from the third only leaves the other package aside.
_ASKS, _EXACTLY, _FORGIVES = Version("0.4.0"), Version("0.7.0"), Version("0.7.2")


@check(
    "PKG015",
    "flashinfer-of-one-release",
    cause="EXTENSION_ABI_MISMATCH",
    explained_by=("PYT001", "PKG001", "PKG002"),
)
def flashinfer_of_one_release(
    packages: Packages, interpreter: Interpreter | None, environment: Environment | None, intent: Intent
) -> Findings:
    """FlashInfer and its packages of compiled kernels are of one release.

    flashinfer-cubin and flashinfer-jit-cache hold what flashinfer-python would else download or compile. An upgrade of
    vLLM or SGLang takes flashinfer-python along and leaves them behind. From 0.4.0 on `import flashinfer` refuses that:
    "flashinfer-cubin version (0.6.13) does not match flashinfer version (0.6.14)", and the engine ends. From 0.7.2 on
    it leaves the package aside, and fetches or compiles at the first start what that holds (yellow).

    Measured by comparing the versions as flashinfer/jit/env.py does: those of cubin and python must be the same, that
    of jit-cache must begin with python's (0.6.14+cu130), from 0.7.0 on with nothing between it and the CUDA. Builds of
    your own are not judged, and nothing is where FLASHINFER_DISABLE_VERSION_CHECK is set; nor is cubin where
    FLASHINFER_CUBIN_DIR is set, which goes before it from 0.7.0 on. Yellow where a list of packages names no
    engine: something imports it.

    Sources: flashinfer/jit/env.py of 0.3.1 (no such question), of 0.4.0 to 0.7.1 and of 0.7.2;
    github.com/vllm-project/vllm/issues/49804; github.com/flashinfer-ai/flashinfer/pull/4869 (where the packages are).

    ## Fix
    The same release of both, or without the package: FlashInfer then fetches or compiles what it needs.
    """
    version = installed_version(packages, "flashinfer-python") or ""
    there = {name: installed_version(packages, name) for name in ("flashinfer-cubin", "flashinfer-jit-cache")}
    found = {name: one for name, one in there.items() if one and _is_release(one)}
    release = number(version) if _is_release(version) and "+" not in version else None
    # A list without an engine counts as one for plain transformers, which does without FlashInfer.
    is_open = intent.engine == "transformers" and intent.stated_by == "options" and is_stated(packages)
    is_open = is_open and installed_version(packages, "transformers") is None
    if (intent.engine not in _ENGINES and not is_open) or not found or release is None:
        yield not_applicable(Text("FlashInfer and a package of its kernels are not both here"))
        return
    variables = variables_of(environment, intent)
    if variables.get(_SWITCH) or release < _ASKS:
        yield not_applicable(Text("FlashInfer {version} does not compare its packages here", {"version": version}))
        return
    if variables.get(_CUBIN_DIR) and release >= _EXACTLY and found.pop("flashinfer-cubin", None):
        yield not_applicable(Text("{name} names the kernels that are taken", {"name": _CUBIN_DIR}))
    for name, one in found.items():
        values = {"name": name, "one": one, "version": version, "engine": intent.engine}
        if _belongs(name, one, version, release):
            text = Text("{name} {one} belongs to flashinfer-python {version}", values)
            yield ok(text, subject=name, observed=one, expected=version)
            continue
        words = "which refuses to be imported"
        if release >= _FORGIVES:
            words = "which leaves it aside: the first start fetches or compiles the kernels anew, and is slow"
        yield (warn if is_open or release >= _FORGIVES else fail)(
            Text("{name} {one} does not belong to flashinfer-python {version}, " + words, values),
            fix=_fixes(name, one, version, interpreter, packages),
            subject=name,
            observed=one,
            expected=version,
        )


def _belongs(name: str, one: str, version: str, release: Version) -> bool:
    if name == "flashinfer-cubin":
        return one == version
    return one == version or one.startswith(f"{version}+" if release >= _EXACTLY else version)


def _is_release(version: str) -> bool:
    """As its project publishes it: no development version (0.0.0+unknown is one), no local part but a CUDA's."""
    found = number(version)
    if found is None or found.is_prerelease or found.base_version in ("0.0.0", "0"):
        return False
    return found.local is None or re.fullmatch(r"cu\d{3}", found.local) is not None


def _fixes(name: str, one: str, version: str, interpreter: Interpreter | None, packages: Packages) -> tuple[Fix, ...]:
    executable = interpreter.executable if interpreter else None
    tag = one.partition("+")[2] if name == "flashinfer-jit-cache" else ""
    index = f"{_INDEX}/{tag}" if tag else _INDEX
    wanted = f"{name}=={version}" + (f"+{tag}" if tag else "")
    same = Fix(
        text=Text("install the same release of both, from FlashInfer's own index where PyPI has it no more"),
        commands=(install_line(executable, [wanted], packages, ["--no-deps", "--extra-index-url", index]),),
        effort="install",
    )
    without = Fix(
        text=Text("or take the package away: FlashInfer then downloads or compiles what it needs, which needs nvcc"),
        commands=(remove_line(executable, [name], packages),),
        effort="install",
    )
    return (same, without)
