"""HST: what works on Linux and does not inside WSL."""

from __future__ import annotations

from collections.abc import Mapping

from packaging.version import Version

from autoglm_doctor.api import (
    Driver,
    Environment,
    Findings,
    Fix,
    Gpu,
    Host,
    Intent,
    Matrix,
    Packages,
    Text,
    Threshold,
    Torch,
    check,
    fail,
    not_applicable,
    ok,
    warn,
)
from autoglm_doctor.domain.allocator import NEW, OLD, asked, asks, torch_of, without_segments
from autoglm_doctor.domain.deployment import variables_of
from autoglm_doctor.domain.wheels import capability, number

#: The branches of NVIDIA's Windows driver with the fault: the oldest of which it is reported with certainty, and the
#: first with it mended, by NVIDIA's word in torch's issue. Of 591 there are reports for and against.
_SEEN, _MENDED = 596, 615
_SOURCE = "https://github.com/pytorch/pytorch/issues/192330"
#: NVIDIA could not see the fault on a card of this capability with a driver before that branch.
_SPARED = (12, 0)


@check("HST003", "wsl-expandable-segments", cause="WSL_EXPANDABLE_SEGMENTS", explained_by=("HST001",))
def wsl_expandable_segments(
    host: Host,
    environment: Environment | None,
    driver: Driver | None,
    gpus: tuple[Gpu, ...] | None,
    torch: Torch | None,
    packages: Packages | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """Inside WSL, torch does not allocate in expandable segments.

    PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True (from torch 2.10 on PYTORCH_ALLOC_CONF, too) makes torch map GPU
    memory piece by piece. Some of NVIDIA's drivers for Windows fail at that inside WSL: at the first allocation ("CUDA
    driver error: unknown error") or while weights are repacked ("device not ready"), although there is memory enough.
    The variable is often set for good in compose files and guides that were made on Linux.

    Judged by the variables of the deployment, those in front of its command too, as its torch reads them: 2.9 and older
    know only the older name, 2.13 prefers it. Red for drivers 596 to 614. Yellow for older ones, of which there are few
    reports, and where the driver is not known; where it is not known whether this torch heeds the variable; and where
    all GPUs are of capability 12.0 or newer, on which NVIDIA could not make it fail. Seen on RTX 3090, 3090 Ti, A4000
    and A5000 with drivers 596 and 610, gone with 616.92 (pytorch issue 192330).

    ## Fix

    `expandable_segments:False`, or an NVIDIA driver of branch 615 or newer in Windows.
    """
    variables = variables_of(environment, intent)
    requested = asked(variables, torch_of(torch, packages, matrix))
    version = number(driver.version) if driver is not None else None
    names = [name for name in (OLD, NEW) if asks(variables.get(name, ""))]
    said = {"name": " and ".join(names), "driver": driver.version if driver else None, "mended": _MENDED}
    if not host.wsl:
        yield not_applicable(Text("this is not WSL"))
    elif intent.engine == "llamacpp" or intent.device == "cpu":
        yield not_applicable(Text("torch does not allocate GPU memory in this deployment"))
    elif not any(requested):
        yield ok(Text("torch allocates in plain segments, as WSL wants it"))
    elif version is not None and version.major >= _MENDED:
        yield ok(Text("{name} asks for expandable segments; driver {driver} can do that in WSL", said))
    else:
        sure = all(requested) and version is not None and version.major >= _SEEN and not _spared(gpus)
        yield (fail if sure else warn)(
            Text("{name} asks torch for expandable segments: " + _reason(version), said),
            fix=_fixes(names, variables),
            observed=", ".join(variables[name] for name in names),
            expected="expandable_segments:False",
            threshold=Threshold(value=_MENDED, unit="driver branch", source=_SOURCE),
        )


def _reason(version: Version | None) -> str:
    if version is None:
        return "NVIDIA's driver for Windows may fail at that in WSL before {mended}"
    if version.major >= _SEEN:
        return "driver {driver} fails at that in WSL, {mended} was the first that does not"
    return "driver {driver} may fail at that in WSL, as drivers before {mended} do"


def _spared(gpus: tuple[Gpu, ...] | None) -> bool:
    found = [capability(gpu.compute_capability) for gpu in gpus or ()]
    return bool(found) and all(one is not None and one >= _SPARED for one in found)


def _fixes(names: list[str], variables: Mapping[str, str]) -> tuple[Fix, ...]:
    return (
        Fix(
            text=Text("switch it off, also in the compose file or script that sets it"),
            commands=tuple(f"export {name}={without_segments(variables[name])}" for name in names),
        ),
        Fix(
            text=Text("or install a newer NVIDIA driver in Windows (615 or newer), then start WSL anew"),
            commands=("wsl.exe --shutdown",),
            effort="reboot",
            needs_root=True,
            reboot=True,
        ),
    )
