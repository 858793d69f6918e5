"""PKG: the variable that names the CUDA toolkit names one folder."""

from __future__ import annotations

import re

from packaging.utils import canonicalize_name

from autoglm_doctor.api import (
    Cuda,
    Driver,
    Environment,
    Findings,
    Fix,
    Gpu,
    Host,
    Intent,
    ModelFiles,
    Packages,
    Text,
    Toolchain,
    check,
    fail,
    not_applicable,
    ok,
    warn,
)
from autoglm_doctor.domain.deployment import engine_version, gpus_of, runs_on_cpu, variables_of
from autoglm_doctor.domain.jit import nvcc_need
from autoglm_doctor.domain.model import model_config

#: In the order in which torch and FlashInfer look: the first that is set counts (torch/utils/cpp_extension.py,
#: flashinfer/jit/cpp_ext.py).
NAMES = ("CUDA_HOME", "CUDA_PATH")

#: Words with which people and tools say that it is not set.
_NOTHING = re.compile(
    r"[\d.]+|none|n/?a|nil|null|no|not\b.*|unset|undefined|empty|false|unknown|missing|-+", re.IGNORECASE
)

#: A sentence of whoever states it, and no value.
_WORDS = re.compile(r"[A-Za-z]+,? .*", re.DOTALL)

#: WSL shows the variables of Windows, whose installer sets CUDA_PATH; what compiles in Linux has another toolkit.
_OF_WINDOWS = re.compile(r"[A-Za-z]:[\\/]")


@check("PKG017", "cuda-home-is-a-folder", cause="CUDA_HOME_INVALID", explained_by=("HST001", "ENG001"))
def cuda_home_is_a_folder(
    environment: Environment | None,
    toolchain: Toolchain | None,
    host: Host | None,
    packages: Packages | None,
    gpus: tuple[Gpu, ...] | None,
    driver: Driver | None,
    cuda: Cuda | None,
    model_files: ModelFiles | None,
    intent: Intent,
) -> Findings:
    """CUDA_HOME holds the path of one folder.

    A line that suits PATH, `export CUDA_HOME=$CUDA_HOME:/usr/local/cuda-12.8`, makes of it a list with a colon. torch,
    FlashInfer and SGLang take the value as it is, look for ":/usr/local/cuda-12.8/bin/nvcc", and what compiles kernels
    at the start of the server ends with "nvcc: not found" although the toolkit is there. With a path that does not
    begin at the root, the answer depends on the folder that the compilation runs in.

    Judged is the form of the value: a colon between paths or at an end, or a path that does not begin with "/"; and a
    folder that is said not to be there, as after a toolkit was taken away (`diagnose`). Red
    where the engine is known to compile at its start (see PKG008), yellow elsewhere. Not judged on Windows, nor where
    the value is a path of Windows, as under WSL.

    ## Fix
    Set it to the folder of the toolkit, or unset it.
    """
    variables = variables_of(environment, intent)
    values = {one: variables.get(one, "").strip().strip("\"'") for one in NAMES}
    stated = toolchain.cuda_home if toolchain else ""
    gone = toolchain is not None and toolchain.cuda_home_there is False
    if not any(values.values()) and (gone or _is_wrong(stated)):
        values["CUDA_HOME"] = stated
    name = next((one for one in NAMES if values[one] and not _is_nothing(values[one])), "")
    value = stated if gone and stated else values.get(name, "")
    why_not = runs_on_cpu(intent, environment, driver, gpus, cuda)
    if why_not or not name or (host is not None and host.system != "Linux"):
        yield not_applicable(Text(why_not or "no variable names a CUDA toolkit"))
        return
    if _OF_WINDOWS.match(value):
        yield not_applicable(Text("{name} names a folder of Windows", {"name": name}))
        return
    said = {"name": name, "value": value[:120]}
    if not _is_wrong(value) and not gone:
        yield ok(Text("{name} names one folder", said), observed=value[:120])
        return
    cards = [one.compute_capability for one in gpus_of(gpus, cuda, environment, intent) or ()]
    installed = {str(canonicalize_name(d.name)): d.version for d in packages.distributions} if packages else {}
    config = model_config(intent, model_files)
    pools = model_files.pooling if model_files else None
    need = nvcc_need(intent, engine_version(packages, intent), installed, variables, cards, config, pools=pools)
    folder = next((part for part in reversed(value.split(":")) if part.startswith("/")), "/usr/local/cuda")
    words = '{name}="{value}" is not the path of one folder: nothing that compiles for CUDA finds its nvcc'
    if not _is_wrong(value):
        folder, words = "", "{name} names {value}, which is not there: what compiles for CUDA finds no nvcc"
    yield (fail if need is not None and need.without == "fail" else warn)(
        Text(words, said),
        fix=_fix(name, folder),
        observed=value[:120],
        expected="one path from the root on",
    )


def _is_nothing(value: str) -> bool:
    return bool(_NOTHING.fullmatch(value) or _WORDS.fullmatch(value))


def _fix(name: str, folder: str) -> Fix:
    """Without a folder that is known to be there, torch and FlashInfer look for nvcc themselves."""
    words = "set it to the folder of the toolkit, also in the file that sets it"
    where = f"grep -n {name} ~/.bashrc ~/.profile /etc/environment"
    if folder:
        return Fix(text=Text(words), commands=(f"export {name}={folder}", where), effort="setting")
    return Fix(
        text=Text("unset it, or set it to a folder that this shows, also in the file that sets it"),
        commands=("ls -d /usr/local/cuda*/bin/nvcc", f"unset {name}", where),
        effort="setting",
    )


def _is_wrong(value: str) -> bool:
    """A colon ends a path in every list of them; a name with one in it, /opt/cuda:12, is left alone."""
    if not value or value.startswith(("~", "$")):  # written as a shell expands it, not as it is
        return False
    return value[:1] != "/" or value[-1:] == ":" or ":/" in value
