"""PKG: triton belongs to this torch."""

from __future__ import annotations

from autoglm_doctor.api import (
    Findings,
    Fix,
    Host,
    Intent,
    Interpreter,
    Matrix,
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
from autoglm_doctor.checks.engine_pins import published, requires
from autoglm_doctor.domain.conflicts import install_line, installed_version
from autoglm_doctor.domain.wheels import line


@check(
    "PKG004",
    "triton-matches",
    cause="TRITON_TORCH_MISMATCH",
    explained_by=("PYT001", "TOR001", "TOR003", "PKG001", "PKG002", "PKG003"),
)
def triton_matches(
    packages: Packages, interpreter: Interpreter | None, host: Host | None, intent: Intent, matrix: Matrix
) -> Findings:
    """triton belongs to this torch.

    torch.compile imports the insides of one release line of triton and ends with "cannot import name 'triton_key'" or
    "cannot import name 'AttrsDescriptor'" on another. vLLM and SGLang compile and run triton kernels at their start;
    plain transformers rarely does, and gets a warning.

    Measured by comparing the two installed versions with what the wheel of torch demands on Linux (Requires-Dist on
    PyPI), by release line: 3.5.1 in the place of 3.5.0 is no fault. Where the metadata of the installed torch was
    read, PKG001 compares it. Development versions and builds of your own are not judged.

    ## Fix
    The triton of this torch.
    """
    torch, triton = installed_version(packages, "torch"), installed_version(packages, "triton")
    if torch is None or triton is None:
        yield not_applicable(Text("torch and triton are not both known to be installed"))
        return
    row, values = matrix.torch_release(torch), {"torch": torch, "triton": triton}
    if requires(packages, "torch", "triton"):
        yield not_applicable(Text("torch's own metadata names its triton: PKG001 compares it"))
    elif not (published(torch) and published(triton)) or (host is not None and host.system != "Linux"):
        yield not_applicable(Text("torch {torch} with triton {triton}: not both are wheels of PyPI for Linux", values))
    elif row is None or not row.triton:
        yield unknown(Text("which triton belongs to torch {torch} is in no table of ours", values))
    elif line(triton) == line(row.triton):
        yield ok(Text("triton {triton} belongs to torch {torch}", values), observed=triton, expected=row.triton)
    else:
        wanted = f"triton=={row.triton}"
        python = interpreter.executable if interpreter else None
        say = fail if intent.engine in matrix.engines else warn
        yield say(
            Text("torch {torch} goes with {wanted}; {triton} is installed", {**values, "wanted": wanted}),
            fix=Fix(
                text=Text("install the triton of torch {torch}", values),
                commands=(install_line(python, [wanted], packages),),
                effort="install",
            ),
            subject="triton",
            observed=triton,
            expected=row.triton,
            threshold=Threshold(value=row.triton, unit="version", source="Requires-Dist of torch's wheel on PyPI"),
        )
