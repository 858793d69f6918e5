"""The one import of a check author.

A check is a typed function. Its parameters name what it needs, and the annotation says how badly:

    gpus: tuple[Gpu, ...]                    no verdict without it: skipped when absent, unknown when it failed
    gpus: tuple[Gpu, ...] | None             judge also without it
    gpus: Reading[tuple[Gpu, ...]]           judge the reading itself
    intent: Intent, matrix: Matrix           always there

It yields judgements: `ok`, `warn`, `fail`, `unknown`, `not_applicable`. `warn` and `fail` demand a `Fix`. A check
that yields nothing is a bug and reported as an error: silence must not read as green.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from autoglm_doctor.facts import (
    Ask,
    Burst,
    Cuda,
    CudaDevice,
    DeviceRun,
    DiskSpeed,
    Distribution,
    Download,
    Driver,
    Ending,
    EngineFigures,
    Environment,
    Failure,
    Gpu,
    GpuProcess,
    GpuUnderLoad,
    Host,
    Inference,
    Interpreter,
    KernelLibrary,
    Memory,
    ModelFiles,
    Packages,
    PciGpu,
    Phase,
    Port,
    Product,
    Reading,
    Serving,
    ServingFailure,
    SharedMemory,
    Speed,
    Storage,
    Toolchain,
    Torch,
    TorchRun,
    WeightFile,
)
from autoglm_doctor.finding import Fix, Judgement, Scalar, Text, Threshold
from autoglm_doctor.intent import SMOKE, Intent, Launch
from autoglm_doctor.matrix import Matrix

Findings = Iterator[Judgement]

__all__ = [
    "SMOKE",
    "Ask",
    "Burst",
    "Check",
    "Cuda",
    "CudaDevice",
    "DeviceRun",
    "DiskSpeed",
    "Distribution",
    "Download",
    "Driver",
    "Ending",
    "EngineFigures",
    "Environment",
    "Failure",
    "Findings",
    "Fix",
    "Gpu",
    "GpuProcess",
    "GpuUnderLoad",
    "Host",
    "Inference",
    "Intent",
    "Interpreter",
    "Judgement",
    "KernelLibrary",
    "Launch",
    "Matrix",
    "Memory",
    "ModelFiles",
    "Packages",
    "PciGpu",
    "Phase",
    "Port",
    "Product",
    "Reading",
    "Serving",
    "ServingFailure",
    "SharedMemory",
    "Speed",
    "Storage",
    "Text",
    "Threshold",
    "Toolchain",
    "Torch",
    "TorchRun",
    "WeightFile",
    "check",
    "fail",
    "not_applicable",
    "ok",
    "unknown",
    "warn",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A check as a value of its module. Making one registers nothing; the registry finds it."""

    code: str  # "VRM001": for ever
    name: str  # "weights-fit"
    cause: str  # default cause code of a red or yellow finding
    required: bool  # without an answer, "ready" would be a lie
    explained_by: tuple[str, ...]  # checks whose red is the root of a red here: then this one is only "skipped"
    function: Callable[..., Findings]
    left_open_by: tuple[str, ...] = ()  # the same for a mere unknown: a red of its own would still be told

    @property
    def title(self) -> str:
        """The first line of the docstring."""
        return self.page.split("\n", 1)[0]

    @property
    def page(self) -> str:
        """The docstring as Markdown: what `explain` prints."""
        return _docstring(self.function)


def _docstring(function: Callable[..., Findings]) -> str:
    """The docstring; from the source where Python was told to drop it (PYTHONOPTIMIZE=2)."""
    found = inspect.getdoc(function)
    if found or sys.flags.optimize < 2:
        return found or ""
    import ast
    import textwrap

    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, SyntaxError):
        return ""
    return (isinstance(tree.body[0], ast.FunctionDef) and ast.get_docstring(tree.body[0])) or ""


def check(
    code: str,
    name: str,
    *,
    cause: str,
    required: bool = False,
    explained_by: tuple[str, ...] = (),
    left_open_by: tuple[str, ...] = (),
) -> Callable[[Callable[..., Findings]], Check]:
    """Turn a function into a check.

    Raises:
        ValueError: the code is not three capitals and three digits, or there is no docstring (it is the page that
            `explain` prints).
    """
    if not (len(code) == 6 and code[:3].isalpha() and code[:3].isupper() and code[3:].isdigit()):
        raise ValueError(f"check code {code!r} is not three capitals and three digits")

    def decorate(function: Callable[..., Findings]) -> Check:
        if not _docstring(function):
            raise ValueError(f"check {code} has no docstring")
        return Check(
            code=code,
            name=name,
            cause=cause,
            required=required,
            explained_by=explained_by,
            left_open_by=left_open_by,
            function=function,
        )

    return decorate


def ok(
    text: Text,
    *,
    subject: str = "",
    observed: Scalar = None,
    expected: Scalar = None,
    threshold: Threshold | None = None,
    evidence: Mapping[str, Scalar] | None = None,
) -> Judgement:
    """A comparison took place and came out well."""
    return Judgement(
        status="pass",
        text=text,
        subject=subject,
        observed=observed,
        expected=expected,
        threshold=threshold,
        evidence=evidence or {},
    )


def _bad(status: str, text: Text, fix: Fix | tuple[Fix, ...], **rest: object) -> Judgement:
    fixes = fix if isinstance(fix, tuple) else (fix,)
    if not fixes:
        raise ValueError("no red without a fix")
    return Judgement(status=status, text=text, fixes=fixes, **rest)  # type: ignore[arg-type]


def warn(
    text: Text,
    *,
    fix: Fix | tuple[Fix, ...],
    subject: str = "",
    cause: str = "",
    observed: Scalar = None,
    expected: Scalar = None,
    threshold: Threshold | None = None,
    evidence: Mapping[str, Scalar] | None = None,
    explained_by: tuple[str, ...] | None = None,
) -> Judgement:
    """It will run, and the user should know this. `explained_by` as for `fail`."""
    return _bad(
        "warn",
        text,
        fix,
        subject=subject,
        cause=cause,
        observed=observed,
        expected=expected,
        threshold=threshold,
        evidence=evidence or {},
        explained_by=explained_by,
    )


def fail(
    text: Text,
    *,
    fix: Fix | tuple[Fix, ...],
    subject: str = "",
    cause: str = "",
    observed: Scalar = None,
    expected: Scalar = None,
    threshold: Threshold | None = None,
    evidence: Mapping[str, Scalar] | None = None,
    explained_by: tuple[str, ...] | None = None,
) -> Judgement:
    """The deployment will not work like this. The best fix first.

    `explained_by` narrows that of the check to what can be the root of this very fault.
    """
    return _bad(
        "fail",
        text,
        fix,
        subject=subject,
        cause=cause,
        observed=observed,
        expected=expected,
        threshold=threshold,
        evidence=evidence or {},
        explained_by=explained_by,
    )


def unknown(text: Text, *, subject: str = "", evidence: Mapping[str, Scalar] | None = None) -> Judgement:
    """We looked and cannot tell. Never green."""
    return Judgement(status="unknown", text=text, subject=subject, evidence=evidence or {})


def not_applicable(text: Text, *, subject: str = "") -> Judgement:
    """The question does not arise for this deployment."""
    return Judgement(status="not_applicable", text=text, subject=subject)
