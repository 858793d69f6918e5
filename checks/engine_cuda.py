"""ENG: the engine and torch were built for the same CUDA."""

from __future__ import annotations

import re

from packaging.version import Version

from autoglm_doctor.api import (
    Driver,
    Findings,
    Fix,
    Gpu,
    Intent,
    Interpreter,
    Matrix,
    Packages,
    Text,
    Torch,
    check,
    fail,
    not_applicable,
    ok,
    unknown,
)
from autoglm_doctor.checks.engine_pins import published
from autoglm_doctor.domain.conflicts import install_line, installed_version
from autoglm_doctor.domain.wheels import driver_major, engine_requirement, number

#: vLLM's wheels on PyPI were built for CUDA 12 from here on; the table of its releases begins later. Release notes.
_CUDA_12 = Version("0.2.2")


@check(
    "ENG006",
    "engine-cuda",
    cause="VLLM_CUDA_VARIANT_MISMATCH",
    explained_by=("PYT001", "TOR001", "TOR003", "ENG001", "PKG001", "PKG002", "PKG003"),
)
def engine_cuda(
    packages: Packages,
    torch: Torch,
    interpreter: Interpreter | None,
    driver: Driver | None,
    gpus: tuple[Gpu, ...] | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """vLLM and torch were built for the same major release of CUDA.

    vLLM's libraries ask for the CUDA runtime that they were linked with. A torch for another major brings another one,
    and the import ends with "libcudart.so.13: cannot open shared object file". It comes from naming an index for
    torch alone (`--torch-backend`, `--extra-index-url`): vLLM itself is then still the wheel of PyPI.

    Measured by comparing the CUDA major of torch/version.py with that of vLLM's wheel: its tag (+cu129) where it has
    one, else the table of its releases (the libraries in the wheels; CUDA 12 from 0.2.2 on by its release notes, 13
    from 0.20 on). Builds of your own are not judged, nor is SGLang, whose kernels are a package of their own.

    ## Fix
    The torch that this vLLM was built with, where the driver runs it; else a vLLM for the CUDA that the driver runs.
    """
    version = installed_version(packages, "vllm") if intent.engine == "vllm" else None
    has, needs = number(torch.cuda), _major(version, matrix)
    if version is None or has is None:
        what = "vLLM is not what serves here" if intent.engine != "vllm" else "a vLLM and a torch for CUDA are not here"
        yield not_applicable(Text(what))
        return
    values = {"version": version, "needs": needs, "torch": torch.version, "cuda": torch.cuda}
    if needs is None:
        yield unknown(Text("which CUDA vLLM {version} was built for is in no table of ours", values), subject="torch")
    elif has.major == needs:
        text = Text("vLLM {version} and torch {torch} were both built for CUDA {needs}", values)
        yield ok(text, subject="torch", observed=torch.cuda, expected=f"CUDA {needs}")
    else:
        yield fail(
            Text("vLLM {version} was built for CUDA {needs}, torch {torch} for CUDA {cuda}", values),
            fix=_fixes(version, needs, packages, interpreter, driver, gpus, matrix),
            subject="torch",
            observed=torch.cuda,
            expected=f"CUDA {needs}",
        )


def _major(version: str | None, matrix: Matrix) -> int | None:
    """The CUDA major of a wheel; None for a build that nobody published, and for one before the table."""
    found = number(version)
    if found is None:
        return None
    tag = re.fullmatch(r"cu(\d{2})\d", found.local or "")
    if tag:
        return int(tag[1])
    if not published(version) or found.local:
        return None
    row = matrix.engine_release("vllm", str(found))
    return row.cuda_major if row else 12 if found >= _CUDA_12 else None


def _fixes(
    version: str,
    needs: int,
    packages: Packages,
    interpreter: Interpreter | None,
    driver: Driver | None,
    gpus: tuple[Gpu, ...] | None,
    matrix: Matrix,
) -> tuple[Fix, ...]:
    python, major = interpreter.executable if interpreter else None, driver_major(driver, matrix)
    # Without the tag: pip would look for a wheel on PyPI that only the project's own pages have.
    same = Version(version).public
    row = matrix.engine_release("vllm", same)
    pins = [f"torch=={row.torch}"] if row and row.torch else ["torch"]
    index = matrix.torch_cuda(row.torch) if row and row.torch else ""
    if index and int(index.split(".")[0]) != needs:
        return (_other(driver, gpus, matrix),)
    again = Fix(
        text=Text("put torch's build for CUDA {needs} in its place, as PyPI has it", {"needs": needs}),
        commands=(install_line(python, [f"vllm=={same}", *pins], packages, ["--force-reinstall"]),),
        effort="install",
    )
    other = _other(driver, gpus, matrix)
    return (again, other) if major is None or major >= needs else (other, again)


def _other(driver: Driver | None, gpus: tuple[Gpu, ...] | None, matrix: Matrix) -> Fix:
    wanted = engine_requirement("vllm", driver, gpus, matrix) or "vllm"
    return Fix(
        text=Text("a vLLM that the driver runs, with the torch that it brings, in a new environment"),
        commands=("uv venv --python 3.12 serve", f"uv pip install --python serve/bin/python '{wanted}'"),
        effort="install",
    )
