"""PKG: compiled packages were built for the NumPy that is there."""

from __future__ import annotations

from collections.abc import Callable

from autoglm_doctor.api import (
    Findings,
    Fix,
    Host,
    Interpreter,
    Judgement,
    Matrix,
    Packages,
    Text,
    Threshold,
    check,
    fail,
    not_applicable,
    ok,
    warn,
)
from autoglm_doctor.domain.conflicts import install_line, installed_version
from autoglm_doctor.domain.numpy_built import NAMES, built_for_older, needed_by_engine
from autoglm_doctor.domain.published import published
from autoglm_doctor.domain.wheels import number
from autoglm_doctor.matrix import KnownPair
from autoglm_doctor.matrix.numbers import within

#: On Windows the wheels were built with NumPy 1 for longer than on Linux.
_ON_WINDOWS = KnownPair(
    packages={"torch": ">=2.3,<2.4.1", "numpy": ">=2"},
    what="torch's wheel for Windows was built for NumPy 1 before 2.4.1, and cannot exchange arrays with NumPy 2",
    instead="numpy<2",
    source="github.com/pytorch/pytorch/issues/131668 (2.3.1 and 2.4.0; mended in 2.4.1), 128860 and 135013",
)


@check("PKG009", "numpy-abi", cause="NUMPY2_ABI", explained_by=("PYT001", "PKG001", "PKG002"))
def numpy_abi(packages: Packages, interpreter: Interpreter | None, host: Host | None, matrix: Matrix) -> Findings:
    """torch, and what transformers imports, were built for this NumPy.

    A package compiled for NumPy 1 cannot use NumPy 2. torch up to 2.2 says "Failed to initialize NumPy: _ARRAY_API not
    found" and goes on, until the first picture or array: "Numpy is not available"; on Windows up to 2.4.0. transformers
    imports SciPy and, up to 4.57, scikit-learn wherever they are installed; releases from before NumPy 2 end that with
    "numpy.core.multiarray failed to import" or "numpy.dtype size changed".

    Measured by comparing the installed versions with the known pairs of the matrix. Other packages that ask for
    numpy<2 are PKG001's: yellow, since the server does not need them. So are others that say nothing of it and cannot
    be imported, such as OpenCV before 4.10.0.84 and pandas before 2.2.2. Red is Numba where vLLM imports it, as 0.8 to
    0.15 do when their worker starts: "Numba needs NumPy 2.2 or less. Got NumPy 2.3."

    Sources: numpy._core in torch's wheels; SciPy 1.12 and scikit-learn 1.4.1 imported under NumPy 2.1, SciPy 1.13
    likewise, and the others (domain/numpy_built.py); the imports in the wheels of transformers 4.48 and 4.57, and of
    vLLM 0.8 to 0.20; for Windows github.com/pytorch/pytorch issue 131668.

    ## Fix

    A newer release of the old package; for torch, NumPy 1.
    """
    numpy = installed_version(packages, "numpy")
    found = number(numpy)
    if found is None:
        yield not_applicable(Text("no version of NumPy is known here"))
        return
    rows = [row for row in matrix.known_pairs if "numpy" in row.packages]
    named = {name for row in rows for name in row.packages if name != "numpy"}
    names = {*named, *NAMES}
    there = {name: version for name in sorted(names) if (version := installed_version(packages, name))}
    bad = [row for row in matrix.bad_pairs(there) if "numpy" in row.packages]
    bad += [_ON_WINDOWS] if host and host.system == "Windows" and _is_old_on_windows(there) else []
    older = built_for_older(there)
    bad += [row for row in older if needed_by_engine(row, there)]
    if not bad and older:
        yield _judged(warn, list(older), there, interpreter, packages)
        return
    if not bad:
        judged = ", ".join(f"{name} {version}" for name, version in there.items() if name in named)
        if judged and any(set(row.packages) <= set(there) for row in rows):
            yield ok(Text("NumPy {numpy} goes with {others}", {"numpy": numpy, "others": judged}), observed=numpy)
        else:
            yield not_applicable(Text("nothing here is known to have been built for one NumPy only"))
        return
    yield _judged(fail, bad, there, interpreter, packages)


def _judged(
    judge: Callable[..., Judgement],
    bad: list[KnownPair],
    there: dict[str, str],
    interpreter: Interpreter | None,
    packages: Packages,
) -> Judgement:
    said = "; ".join(_words(row, there) for row in bad)
    return judge(
        Text("NumPy {numpy} is installed, and {said}", {"numpy": there["numpy"], "said": said}),
        fix=_fix(bad, interpreter, packages),
        subject="numpy",
        observed=there["numpy"],
        expected=bad[0].instead,
        threshold=Threshold(value=bad[0].packages["numpy"], unit="version", source=bad[0].source),
    )


def _is_old_on_windows(there: dict[str, str]) -> bool:
    torch, wanted = there.get("torch"), _ON_WINDOWS.packages
    return published(torch) and within(torch, wanted["torch"]) and within(there.get("numpy"), wanted["numpy"])


def _words(row: KnownPair, there: dict[str, str]) -> str:
    name = next(one for one in row.packages if one != "numpy")
    return f"{name} {there[name]}: {row.what}"


def _fix(bad: list[KnownPair], interpreter: Interpreter | None, packages: Packages) -> Fix:
    wanted = [*dict.fromkeys(row.instead for row in bad)]
    wanted = ["numpy<2"] if "numpy<2" in wanted else wanted  # whatever the others need, they take NumPy 1
    return Fix(
        text=Text("install {wanted}", {"wanted": ", ".join(wanted)}),
        commands=(install_line(interpreter.executable if interpreter else None, wanted, packages),),
        effort="install",
    )
