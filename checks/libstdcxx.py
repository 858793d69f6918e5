"""HST: the C++ library that the deployment's Python loads is new enough for the engine's kernels."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from packaging.version import Version

from autoglm_doctor.api import (
    Environment,
    Findings,
    Fix,
    Intent,
    Interpreter,
    KernelLibrary,
    Text,
    Threshold,
    TorchRun,
    check,
    fail,
    not_applicable,
    ok,
    unknown,
)
from autoglm_doctor.domain.deployment import variables_of
from autoglm_doctor.domain.engine_images import image_line
from autoglm_doctor.domain.kernels import PACKAGES

#: libstdc++.so.6.0.30 has the symbols up to GLIBCXX_3.4.30 (GCC's manual of libstdc++, "ABI Policy and Guidelines").
_FILE = re.compile(r"/libstdc\+\+\.so\.6\.0\.(\d+)$")

#: Pythons of a system: what lies there is the system's.
_SYSTEM = ("/usr", "/usr/local")


@check("HST005", "engine-libstdcxx", cause="LIBSTDCXX_TOO_OLD", explained_by=("PYT001", "TOR001", "TOR002", "HST004"))
def engine_libstdcxx(
    kernels: tuple[KernelLibrary, ...],
    torch_run: TorchRun,
    environment: Environment | None,
    interpreter: Interpreter | None,
    intent: Intent,
) -> Findings:
    """The C++ library that is loaded is new enough for the engine's kernels.

    A process has one libstdc++: that of a conda environment, of a folder in LD_LIBRARY_PATH, or the system's. Kernels
    that were compiled with a newer GCC end at import with "version `GLIBCXX_3.4.32' not found".

    Measured by comparing the newest GLIBCXX that the headers of the engine's libraries ask for with the library that
    was mapped when the deployment's Python imported torch: libstdc++.so.6.0.30 goes up to GLIBCXX_3.4.30. Nothing is
    loaded for it. A file of another name is not judged.

    ## Fix

    A newer libstdc++ where that one comes from: in the conda environment, or without the folder in LD_LIBRARY_PATH;
    the engine's container image where the system's own is too old.
    """
    own = [one for one in kernels if one.package == PACKAGES.get(intent.engine) and one.libstdcxx]
    if not own:
        yield not_applicable(Text("no library of the engine that asks for a version of libstdc++ was read"))
        return
    asking = max(own, key=lambda one: Version(one.libstdcxx))
    values = {"library": asking.name, "needs": asking.libstdcxx, "path": torch_run.libstdcxx}
    found = _FILE.search(torch_run.libstdcxx)
    if found is None:
        words = "what {path} has is not known" if torch_run.libstdcxx else "which one is loaded was not read"
        yield unknown(Text("libstdc++: " + words, values))
        return
    values["has"] = has = f"3.4.{found[1]}"
    limit = Threshold(value=asking.libstdcxx, unit="GLIBCXX", source=f"symbols that {asking.name} asks for")
    if Version(has) >= Version(asking.libstdcxx):
        text = Text("{path} has GLIBCXX_{has}; {library} asks for {needs}", values)
        yield ok(text, observed=has, expected=asking.libstdcxx, threshold=limit)
        return
    yield fail(
        Text("{library} asks for GLIBCXX_{needs}; {path}, which is loaded, ends at {has}", values),
        fix=_fix(torch_run.libstdcxx, variables_of(environment, intent), interpreter, intent),
        observed=has,
        expected=asking.libstdcxx,
        threshold=limit,
    )


def _fix(path: str, variables: Mapping[str, str], interpreter: Interpreter | None, intent: Intent) -> Fix:
    folder = path.rpartition("/")[0]
    prefixes = (interpreter.prefix, interpreter.base_prefix) if interpreter else ()
    conda = [one for one in prefixes if folder == f"{one}/lib" and one not in _SYSTEM]
    if conda:  # only conda's Pythons bring the library
        return Fix(
            text=Text("a newer libstdc++ in the conda environment"),
            commands=(f"conda install -y -p {shlex.quote(conda[0])} -c conda-forge libstdcxx-ng",),
            effort="install",
        )
    entries = variables.get("LD_LIBRARY_PATH", "").split(":")
    if folder in [entry.rstrip("/") for entry in entries]:
        text = Text("start the server without {folder} in LD_LIBRARY_PATH", {"folder": folder})
        rest = ":".join(entry for entry in entries if entry and entry.rstrip("/") != folder)
        # The others may be needed: libcuda of WSL lies in one of them.
        said = shlex.quote(f"LD_LIBRARY_PATH={rest}") if rest else "-u LD_LIBRARY_PATH"
        return Fix(text=text, commands=(f"env {said} {shlex.join(intent.command)}",), effort="setting")
    return Fix(
        text=Text("the engine's container image brings a newer system"),
        commands=(image_line(intent.engine),),
        effort="install",
    )
