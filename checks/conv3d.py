"""TOR: torch 2.9 and the convolution that reads pictures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import Version

from autoglm_doctor.api import (
    Environment,
    Findings,
    Fix,
    Intent,
    Interpreter,
    Matrix,
    ModelFiles,
    Packages,
    Text,
    Threshold,
    Torch,
    check,
    fail,
    not_applicable,
    ok,
    unknown,
    warn,
)
from autoglm_doctor.checks.engine import model_type
from autoglm_doctor.domain.conflicts import install_line, installed_version
from autoglm_doctor.domain.deployment import variables_of
from autoglm_doctor.domain.published import published
from autoglm_doctor.domain.wheels import line, number

#: The first cuDNN without the fault, for `known_pairs` of the matrix and by SGLang's own start-up check.
_CUDNN = Version("9.15")

#: Model types whose pictures go through a Conv3d first (their modeling files in transformers).
_TYPE = re.compile(r"(?:qwen2|qwen2_5|qwen3)_vl(?:_moe)?|qwen2_5_omni|qwen3_omni_moe|glm4v(?:_moe)?|glm46v")
#: Their names, where no config.json tells.
_NAME = re.compile(r"qwen(?:2|2\.5|3)-vl|qwen(?:2\.5|3)-omni|glm-4\.(?:1|5|6)v|autoglm-phone", re.IGNORECASE)


@check(
    "TOR006",
    "conv3d",
    cause="CUDNN_CONV3D_REGRESSION",
    explained_by=("PYT001", "TOR001", "TOR003", "ENG001", "PKG001", "PKG002", "PKG003"),
)
def conv3d(
    packages: Packages | None,
    torch: Torch | None,
    model_files: ModelFiles | None,
    interpreter: Interpreter | None,
    environment: Environment | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """torch computes the pictures' first layer with a fast kernel.

    torch 2.9 leaves Conv3d to a slow path with cuDNN before 9.15, which also takes much memory: the vision part of
    Qwen-VL and GLM-4V models gets many times slower while text stays as fast. SGLang refuses to start such a model
    with torch 2.9.1, unless SGLANG_DISABLE_CUDNN_CHECK is set. vLLM computes the layer as a matrix product there and
    is not touched.

    Measured by torch's version, the model's type, and the version of nvidia-cudnn-cu12 or -cu13; where that is not
    known, the cuDNN that the published wheel of torch brings (9.10 for 2.9.0 and 2.9.1; its Requires-Dist). The limit
    is the one of SGLang's start-up check and of torch's issue about it.

    ## Fix
    cuDNN 9.15 or newer (pip warns that torch pins another one, which is harmless here), or torch 2.8 or 2.10.
    """
    version = torch.version if torch else (installed_version(packages, "torch") if packages else None)
    why = _not_touched(version, model_files, environment, intent)
    if why or version is None:
        yield not_applicable(Text(why or "the version of torch is not known"))
        return
    cudnn, family = _cudnn(version, torch, packages, matrix)
    found = number(cudnn)
    values = {"torch": version, "cudnn": cudnn}
    limit = Threshold(value="9.15", unit="cuDNN", source="SGLang's start-up check; torch's issue about Conv3d in 2.9")
    if found is None:
        yield unknown(Text("which cuDNN this torch {torch} uses is not known", values))
    elif found >= _CUDNN:
        yield ok(Text("torch {torch} with cuDNN {cudnn}", values), observed=cudnn, expected=">=9.15", threshold=limit)
    else:
        refuses = intent.engine == "sglang" and Version(version).base_version == "2.9.1"
        words = "torch {torch} with cuDNN {cudnn} computes the pictures' first layer slowly and in much memory"
        yield (fail if refuses else warn)(
            Text(words + ("; SGLang refuses to start" if refuses else ""), values),
            fix=_fix(family, interpreter, packages),
            subject="torch",
            observed=cudnn,
            expected=">=9.15",
            threshold=limit,
        )


def _not_touched(
    version: str | None,
    files: ModelFiles | None,
    environment: Environment | None,
    intent: Intent,
) -> str:
    """Why this deployment cannot have the fault; "" when it can."""
    if number(version) is None or line(version or "") != "2.9":
        return "only torch 2.9 has this fault"
    if intent.device == "cpu":
        return "the deployment runs on the CPU"
    if intent.engine not in ("sglang", "transformers"):
        return f"{intent.engine} does not use torch's Conv3d for pictures"
    if not _convolves(model_type(files, intent), files.config if files else None, intent.model):
        return "the model is not known to put pictures through a Conv3d"
    said = variables_of(environment, intent).get("SGLANG_DISABLE_CUDNN_CHECK", "")
    if intent.engine == "sglang" and said.lower() in ("1", "true", "yes"):
        return "SGLANG_DISABLE_CUDNN_CHECK says that this is known"
    return ""


def _convolves(kind: str, config: Mapping[str, Any] | None, name: str) -> bool:
    if kind:
        return _TYPE.fullmatch(kind) is not None
    return not config and _NAME.search(name) is not None


def _cudnn(version: str, torch: Torch | None, packages: Packages | None, matrix: Matrix) -> tuple[str, str]:
    """The version of cuDNN that torch will load, "" when not known, and the package that brings it."""
    cuda = (torch.cuda if torch else "") or ""
    wanted = "nvidia-cudnn-cu13" if cuda.startswith("13") else "nvidia-cudnn-cu12"
    there: dict[str, str] = (
        {canonicalize_name(one.name): one.version for one in packages.distributions} if packages else {}
    )
    if wanted in there:
        return there[wanted], wanted
    has_nvidia = any(name.startswith("nvidia-c") for name in there)
    is_other = (
        any(one.name.lower() == "torch" and one.requires for one in packages.distributions) if packages else False
    )
    # A whole list without it is one of conda or of an image, which bring their own.
    if has_nvidia or is_other or (torch is not None and torch.location) or not published(version):
        return "", wanted
    row = matrix.torch_release(version)
    is_default = not cuda or (row is not None and line(cuda) == row.cuda)
    return (row.cudnn if row and is_default else ""), wanted


def _fix(family: str, interpreter: Interpreter | None, packages: Packages | None) -> Fix:
    command = install_line(
        interpreter.executable if interpreter else None, [f"{family}>=9.15"], packages, ["--no-deps"]
    )
    return Fix(
        text=Text("install cuDNN 9.15 or newer; pip warns that torch pins another one, which is harmless here"),
        commands=(command,),
        effort="install",
    )
