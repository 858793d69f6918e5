"""TOR: torch holds code for these GPUs."""

from __future__ import annotations

import dataclasses
import re
from typing import NamedTuple

from autoglm_doctor.api import (
    Cuda,
    Driver,
    Environment,
    Findings,
    Fix,
    Gpu,
    Host,
    Intent,
    Interpreter,
    Judgement,
    Matrix,
    ModelFiles,
    Packages,
    Text,
    Torch,
    check,
    fail,
    not_applicable,
    ok,
    unknown,
    warn,
)
from autoglm_doctor.checks.torch import install_fix
from autoglm_doctor.domain.conflicts import remove_line
from autoglm_doctor.domain.deployment import runs_on_cpu, taken_gpus
from autoglm_doctor.domain.driver.ways import WITH_TRANSFORMERS
from autoglm_doctor.domain.published import published
from autoglm_doctor.domain.resolve.fixes import install_fixes
from autoglm_doctor.domain.resolve.site import Site
from autoglm_doctor.domain.wheels import capability, line_has_code_for, runs_on, torch_lines


@check(
    "TOR005",
    "architectures",
    cause="GPU_ARCH_NOT_IN_WHEEL",
    required=True,
    explained_by=("DRV001", "DRV002", "DRV004", "GPU002", "ENG004", "ENG001", "PYT001", "TOR001", "TOR003"),
)
def architectures(
    torch: Torch,
    gpus: tuple[Gpu, ...],
    cuda: Cuda | None,
    environment: Environment | None,
    packages: Packages | None,
    interpreter: Interpreter | None,
    driver: Driver | None,
    host: Host | None,
    model_files: ModelFiles | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """torch holds code for these GPUs.

    Without it the first kernel ends with "no kernel image is available for execution on the device".

    Measured by reading the list of architectures in torch's library (what `torch.cuda.get_arch_list()` returns), for
    each GPU that the deployment takes. Code for sm_86 runs on every GPU of compute capability 8.6 and above within 8,
    thus also on 8.9, which no list names. PTX (compute_90) is compiled on the spot for 9.0 and everything newer. Code
    for sm_90a runs on 9.0 alone. (CUDA C++ Programming Guide, binary and PTX compatibility.)

    Where the list could not be read: red by what the published wheels for Linux on x86-64 hold, for a version that is
    one of them or a nightly build for a CUDA of which no build has such code (of cu128 from March 2025 on, for the
    first ones were built for other GPUs; green by that only where there was no file to read, as with stated facts); and
    red where torch's CUDA can make no code for the GPU, whoever built it: CUDA 13 makes none for anything before 7.5
    (its release notes).
    In an image of somebody who may have built torch himself it is yellow where no published build of the line has code.
    Of stated facts without a torch the one that the engine pins is judged: vllm/vllm-openai:v0.8.5 holds torch 2.6, of
    which no build has code for Blackwell.

    ## Fix
    For a GPU that is too old: the build for CUDA 12.6, which keeps the older GPUs. For one that is too new: a newer
    release of torch, or of the engine that brings it. The engine is the newest whose kernels this driver runs or
    compiles for all of the GPUs that the deployment takes.
    """
    on_cpu = runs_on_cpu(intent, environment, driver, gpus, cuda)
    if on_cpu or not gpus:
        yield not_applicable(Text(on_cpu or "there is no GPU here"))
        return
    if torch.hip:
        yield not_applicable(Text("torch {version} was built for AMD GPUs", {"version": torch.version}))
        return
    taken = taken_gpus(gpus, cuda, environment, intent)
    if not taken:
        yield unknown(Text("which GPU the deployment sees is not known"))
    site = Site(matrix, intent, driver, tuple(one.gpu for one in taken), host, interpreter, packages, model_files)
    for gpu in (one.gpu for one in taken):
        yield _judge_architecture(gpu, _Place(torch, site))


class _Place(NamedTuple):
    """Where torch is and what a fix depends on."""

    torch: Torch
    site: Site


def _judge_architecture(gpu: Gpu, place: _Place) -> Judgement:
    listed = place.torch.architectures or ()
    subject = f"gpu:{gpu.index}"
    if capability(gpu.compute_capability) is None:
        return unknown(Text("the compute capability of {gpu} is not known", {"gpu": gpu.name}), subject=subject)
    if place.torch.cuda and place.torch.architectures is None:
        return _judge_unread(gpu, place)
    how = runs_on(gpu.compute_capability, listed)
    name = f"torch {place.torch.version}".strip()
    values = {"gpu": gpu.name, "cc": gpu.compute_capability, "how": how, "torch": name}
    if how:
        by = " by compiling its PTX at start" if how.startswith("compute") else ""
        text = Text("torch has code for {gpu} (compute capability {cc}): {how}" + by, values)
        return ok(text, subject=subject, observed=gpu.compute_capability, expected=" ".join(listed))
    return fail(
        Text("{torch} has no code for {gpu} (compute capability {cc})", values),
        fix=_architecture_fixes(gpu, place),
        subject=subject,
        observed=gpu.compute_capability,
        expected=" ".join(listed),
    )


def _judge_unread(gpu: Gpu, place: _Place) -> Judgement:
    """Without the list of architectures: what its CUDA can make at all, then what the published wheels hold."""
    torch, matrix, one = place.torch, place.site.matrix, gpu.compute_capability
    subject, cuda = f"gpu:{gpu.index}", torch.cuda or ""
    values = {"gpu": gpu.name, "cc": one, "cuda": cuda, "torch": f"torch {torch.version}" if torch.version else "torch"}
    impossible = matrix.compiles_any_for(cuda, one) is False
    holds = None if impossible else _wheel_holds(one, place)
    if impossible or holds is False:
        words = "{torch} for CUDA {cuda} has no code for {gpu} (compute capability {cc})"
        words += ", which that CUDA has dropped" if impossible else ""
        fixes = _architecture_fixes(gpu, place)
        return fail(Text(words, values), fix=fixes, subject=subject, observed=one, expected=f"code for {one}")
    if holds is None and _is_of_a_line_without_code(one, place):
        words = "no published build of {torch} has code for {gpu} (compute capability {cc}); the image may hold another"
        fixes = _architecture_fixes(gpu, place)
        return warn(Text(words, values), fix=fixes, subject=subject, observed=one, expected=f"code for {one}")
    if holds and not torch.location:  # a file that was there and could not be read may be anything
        text = Text("the wheel of {torch} for CUDA {cuda} has code for {gpu} (compute capability {cc})", values)
        return ok(text, subject=subject, observed=one, expected=f"code for {one}")
    where = torch.location or "torch"
    return unknown(Text("the list of architectures in {folder} could not be read", {"folder": where}), subject=subject)


#: As torch's own index of nightly builds numbers them.
_NIGHTLY = re.compile(r"[\d.]+\.dev(\d{8})\+cu\d{3}")
#: Before this day those for a CUDA were not built for the same GPUs as later: for cu128 also for 5.0 to 6.1 (pytorch's
#: pull requests 145792 and 146265).
_SETTLED = {"cu128": 20250301}


def _wheel_holds(one: str, place: _Place) -> bool | None:
    """Whether torch's published wheel has code for a capability; None where it is no such wheel, or not known."""
    torch, host, matrix = place.torch, place.site.host, place.site.matrix
    tag = "cu" + (torch.cuda or "").replace(".", "")
    if host is not None and (host.tegra or host.machine not in ("", "x86_64")):
        return None
    if host is not None and host.container and "+cu" not in torch.version:
        return None  # the images of vendors hold builds of their own
    nightly = _NIGHTLY.fullmatch(torch.version)
    if nightly and int(nightly[1]) < _SETTLED.get(tag, 0):
        return None
    if not torch.version or nightly:  # of any line: what all builds for this CUDA hold
        answers = {
            matrix.torch_has_code_for(line, one, tag)
            for line in matrix.torch_builds
            if tag in matrix.torch_builds[line]
        }
        return False if answers == {False} else None
    return matrix.torch_has_code_for(torch.version, one, tag) if published(torch.version) else None


def _is_of_a_line_without_code(one: str, place: _Place) -> bool:
    """In an image: a release under its published number, none of whose builds has code for the GPU."""
    torch, host, matrix = place.torch, place.site.host, place.site.matrix
    if host is None or not host.container or host.tegra or host.machine not in ("", "x86_64") or torch.location:
        return False
    is_a_build = "cu" + (torch.cuda or "").replace(".", "") in matrix.torch_variants(torch.version)
    return is_a_build and published(torch.version) and line_has_code_for(torch.version, one, matrix) is False


def _architecture_fixes(gpu: Gpu, place: _Place) -> tuple[Fix, ...]:
    """The engine with its torch, then torch alone; only what has code for this GPU."""
    torch, site = place.torch, place.site
    chips = [(int(e[3:-1]), int(e[-1])) for e in torch.architectures or () if re.fullmatch(r"sm_\d+", e)]
    row = site.matrix.capabilities.get(gpu.compute_capability)
    dropped = row is not None and bool(row.last_cuda)  # where the list was not read
    is_old = (capability(gpu.compute_capability) or (0, 0)) < min(chips) if chips else dropped
    version = torch.version if is_old else None
    commands = torch_lines(
        version, site.interpreter, site.packages, site.driver, site.gpus or [gpu], site.host, site.matrix
    )
    other = install_fix("a build of torch that keeps old GPUs" if is_old else "a newer torch", commands)
    if site.intent.engine == "transformers":
        return (other,)
    # Where torch has no build either, transformers is no way out.
    found = [one for one in install_fixes(site) if _brings_torch(one, site) and (commands or one != WITH_TRANSFORMERS)]
    return (*(_with_room(one, torch, site) for one in found), *([other] if commands or not found else []))


def _brings_torch(fix: Fix, site: Site) -> bool:
    """Not another transformers alone, beside the torch that is there."""
    installs = [line.partition(" install ")[2] for line in fix.commands if " install " in line]
    return not installs or any(site.intent.engine in line for line in installs)


def _with_room(fix: Fix, torch: Torch, site: Site) -> Fix:
    """An installer takes 2.9.0+cu126 for the 2.9.0 that a release pins, and leaves it there: away with it first."""
    same = fix.text.params.get("torch") == torch.version.partition("+")[0]
    if not same or fix.effort != "install" or any(" uninstall " in line for line in fix.commands):
        return fix
    return dataclasses.replace(fix, commands=(remove_line(site.python, ["torch"], site.packages), *fix.commands))
