"""HST: what works on Linux and does not inside WSL."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

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
from autoglm_doctor.domain.conflicts import installed_version
from autoglm_doctor.domain.deployment import variables_of
from autoglm_doctor.domain.published import published
from autoglm_doctor.domain.wheels import capability, number

#: The branches of NVIDIA's Windows driver with the fault: the oldest of which it is reported with certainty, and the
#: first with it mended, by NVIDIA's word in torch's issue. Of 591 there are reports for and against.
_SEEN, _MENDED = 596, 615
_SOURCE = "https://github.com/pytorch/pytorch/issues/192330"
#: NVIDIA could not see the fault on a card of this capability with a driver before that branch.
_SPARED = (12, 0)

_OLD, _NEW = "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"
#: torch reads the new name from here on (pytorch issue 183387, unsloth-zoo pull request 933); and from there on surely
#: the old one before it (tried with 2.13.0). In between either may come first. Only one of the two is read.
_READS_NEW, _OLD_FIRST = Version("2.10"), Version("2.13")
_SETTING = re.compile(r"expandable_segments\W{0,3}(\w*)", re.IGNORECASE)


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
    asked = _asked(variables, _torch(torch, packages, matrix))
    version = number(driver.version) if driver is not None else None
    names = [name for name in (_OLD, _NEW) if _asks(variables.get(name, ""))]
    said = {"name": " and ".join(names), "driver": driver.version if driver else None, "mended": _MENDED}
    if not host.wsl:
        yield not_applicable(Text("this is not WSL"))
    elif intent.engine == "llamacpp" or intent.device == "cpu":
        yield not_applicable(Text("torch does not allocate GPU memory in this deployment"))
    elif not any(asked):
        yield ok(Text("torch allocates in plain segments, as WSL wants it"))
    elif version is not None and version.major >= _MENDED:
        yield ok(Text("{name} asks for expandable segments; driver {driver} can do that in WSL", said))
    else:
        sure = all(asked) and version is not None and version.major >= _SEEN and not _spared(gpus)
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


def _torch(torch: Torch | None, packages: Packages | None, matrix: Matrix) -> Version | None:
    """The version of torch: what is there, else what the published vLLM that is there brings."""
    engine = installed_version(packages, "vllm") if packages else None
    row = matrix.engine_release("vllm", engine) if engine and published(engine) else None
    said = (torch.version if torch else None, installed_version(packages, "torch") if packages else None)
    return next((one for one in map(number, (*said, row.torch if row else None)) if one is not None), None)


def _asked(variables: Mapping[str, str], torch: Version | None) -> tuple[bool, ...]:
    """Whether torch is asked for it, in each order in which this torch may read the names; the first that is set."""
    return tuple(
        next((_asks(variables[name]) for name in names if name in variables), False) for names in _orders(torch)
    )


def _orders(torch: Version | None) -> Iterator[tuple[str, ...]]:
    release = Version(torch.base_version) if torch else None
    if release is None or release < _READS_NEW:
        yield (_OLD,)
    if release is None or release >= _READS_NEW:
        yield (_OLD, _NEW)
    if release is None or _READS_NEW <= release < _OLD_FIRST:
        yield (_NEW, _OLD)


def _asks(value: str) -> bool:
    found = _SETTING.search(value)
    return found is not None and found[1].lower() not in ("false", "0", "off", "no", "disabled")


def _spared(gpus: tuple[Gpu, ...] | None) -> bool:
    found = [capability(gpu.compute_capability) for gpu in gpus or ()]
    return bool(found) and all(one is not None and one >= _SPARED for one in found)


def _fixes(names: list[str], variables: Mapping[str, str]) -> tuple[Fix, ...]:
    return (
        Fix(
            text=Text("switch it off, also in the compose file or script that sets it"),
            commands=tuple(f"export {name}={_off(variables[name])}" for name in names),
        ),
        Fix(
            text=Text("or install a newer NVIDIA driver in Windows (615 or newer), then start WSL anew"),
            commands=("wsl.exe --shutdown",),
            effort="reboot",
            needs_root=True,
            reboot=True,
        ),
    )


def _off(value: str) -> str:
    """The variable with all else that it says."""
    rest = [one for one in value.split(",") if re.fullmatch(r"[a-z0-9_]+:\S+", one) and "expandable" not in one]
    return ",".join(["expandable_segments:False", *rest])
