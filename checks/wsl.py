"""HST: what works on Linux and does not inside WSL."""

from __future__ import annotations

import re
from collections.abc import Mapping

from autoglm_doctor.api import (
    Driver,
    Environment,
    Findings,
    Fix,
    Gpu,
    Host,
    Intent,
    Text,
    Threshold,
    check,
    fail,
    not_applicable,
    ok,
    warn,
)
from autoglm_doctor.domain.deployment import variables_of
from autoglm_doctor.domain.wheels import capability, number

#: The first branch of NVIDIA's Windows driver with the fault mended, by NVIDIA's word in torch's issue about it.
_MENDED = 615
_SOURCE = "https://github.com/pytorch/pytorch/issues/192330"
#: NVIDIA could not see the fault on a card of this capability with a driver before that branch.
_SPARED = (12, 0)

#: torch from 2.9 on reads the first name before the second.
_NAMES = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")
_SETTING = re.compile(r"expandable_segments\W{0,3}(\w*)", re.IGNORECASE)


@check("HST003", "wsl-expandable-segments", cause="WSL_EXPANDABLE_SEGMENTS", explained_by=("HST001",))
def wsl_expandable_segments(
    host: Host,
    environment: Environment | None,
    driver: Driver | None,
    gpus: tuple[Gpu, ...] | None,
    intent: Intent,
) -> Findings:
    """Inside WSL, torch does not allocate in expandable segments.

    PYTORCH_ALLOC_CONF=expandable_segments:True (or PYTORCH_CUDA_ALLOC_CONF) makes torch map GPU memory piece by piece.
    NVIDIA's driver for Windows before 615 fails at that inside WSL: at the first allocation ("CUDA driver error:
    unknown error") or while weights are repacked ("device not ready"), although there is memory enough. The variable
    is often set for good in compose files and guides that were made on Linux.

    Judged by the variables of the deployment, those in front of its command too. Red below driver 615, and where the
    driver is not known; yellow where all GPUs are of capability 12.0 or newer, on which NVIDIA could not make it fail.
    Seen on RTX 3090, 3090 Ti, A4000 and A5000 with drivers 596 and 610, gone with 616.92 (pytorch issue 192330).

    ## Fix

    `expandable_segments:False`, or an NVIDIA driver of branch 615 or newer in Windows.
    """
    variables = variables_of(environment, intent)
    name = _where(variables)
    version = number(driver.version) if driver is not None else None
    said = {"name": name, "driver": driver.version if driver else None, "mended": _MENDED}
    if not host.wsl:
        yield not_applicable(Text("this is not WSL"))
    elif intent.engine == "llamacpp" or intent.device == "cpu":
        yield not_applicable(Text("torch does not allocate GPU memory in this deployment"))
    elif not name:
        yield ok(Text("torch allocates in plain segments, as WSL wants it"))
    elif version is not None and version.major >= _MENDED:
        yield ok(Text("{name} asks for expandable segments; driver {driver} can do that in WSL", said))
    else:
        known = "driver {driver} fails at that in WSL, {mended} was the first that does not"
        open_ = "NVIDIA's driver for Windows fails at that in WSL before {mended}"
        yield (warn if _spared(gpus) else fail)(
            Text("{name} asks torch for expandable segments: " + (known if version else open_), said),
            fix=_fixes(name, variables[name]),
            observed=variables[name],
            expected="expandable_segments:False",
            threshold=Threshold(value=_MENDED, unit="driver branch", source=_SOURCE),
        )


def _where(variables: Mapping[str, str]) -> str:
    """The variable that switches it on; "" when none does. A "no" in the name that is read first settles it."""
    for name in _NAMES:
        found = _SETTING.search(variables.get(name, ""))
        if found:
            return "" if found[1].lower() in ("false", "0", "off", "no", "disabled") else name
    return ""


def _spared(gpus: tuple[Gpu, ...] | None) -> bool:
    found = [capability(gpu.compute_capability) for gpu in gpus or ()]
    return bool(found) and all(one is not None and one >= _SPARED for one in found)


def _fixes(name: str, value: str) -> tuple[Fix, ...]:
    rest = [one for one in value.split(",") if re.fullmatch(r"[a-z0-9_]+:\S+", one) and "expandable" not in one]
    off = ",".join(["expandable_segments:False", *rest])
    return (
        Fix(
            text=Text("switch it off, also in the compose file or script that sets it"),
            commands=(f"export {name}={off}",),
        ),
        Fix(
            text=Text("or install a newer NVIDIA driver in Windows (615 or newer), then start WSL anew"),
            commands=("wsl.exe --shutdown",),
            effort="reboot",
            needs_root=True,
            reboot=True,
        ),
    )
