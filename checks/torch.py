"""TOR: torch is there, imports, can use CUDA, and holds code for these GPUs."""

from __future__ import annotations

import re

from autoglm_doctor.api import (
    SMOKE,
    Cuda,
    Driver,
    Findings,
    Fix,
    Gpu,
    Host,
    Intent,
    Interpreter,
    Matrix,
    ModelFiles,
    Packages,
    Reading,
    Text,
    Threshold,
    Torch,
    TorchRun,
    check,
    fail,
    not_applicable,
    ok,
    unknown,
    warn,
)
from autoglm_doctor.domain.conflicts import install_line, installed_version
from autoglm_doctor.domain.wheels import capability, engine_requirement, line, runs_on, torch_lines

#: What the text of a failed import says about its cause; the first that matches.
IMPORT_CAUSES = (
    (r"GLIBCXX_|CXXABI_", "LIBSTDCXX_TOO_OLD"),
    (r"GLIBC_\d", "GLIBC_TOO_OLD"),
    (r"undefined symbol.*(?:nvJitLink|cudnn|cublas|cusparse|nccl|cudart)", "CUDA_LIBS_SHADOWED"),
    (r"undefined symbol", "EXTENSION_ABI_MISMATCH"),
    (r"lib(?:cu|nv|nccl)\S*\.so[.\d]*: cannot open", "CUDA_MAJOR_MIXED_PACKAGES"),
    (r"_ARRAY_API|compiled using NumPy 1|numpy\.core\.multiarray", "NUMPY2_ABI"),
)


@check("TOR001", "torch-installed", cause="TORCH_NOT_INSTALLED", required=True, explained_by=("ENG001",))
def torch_installed(
    torch: Reading[Torch],
    packages: Packages | None,
    interpreter: Interpreter | None,
    driver: Driver | None,
    gpus: tuple[Gpu, ...] | None,
    host: Host | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """torch is installed in the Python that the deployment will use.

    Every engine runs on torch. Its files are read and nothing is imported, so that a torch that crashes can still be
    described; `torch/version.py` says which CUDA it was built for.

    ## Fix
    Install the engine again, which brings the torch it was built with; for plain transformers install torch itself.
    """
    if torch.outcome == "known" and torch.value is not None:
        one = torch.value
        built = f"for CUDA {one.cuda}" if one.cuda else "for ROCm" if one.hip else "without CUDA"
        yield ok(
            Text("torch {version}, built {built}", {"version": one.version, "built": built}),
            observed=one.version,
            evidence={"folder": one.location},
        )
        return
    if torch.outcome != "absent":
        yield unknown(Text("{why}", {"why": torch.why or "the files of torch could not be read"}))
        return
    engine = installed_version(packages, intent.engine) if packages else None
    if engine and intent.engine != "transformers":
        executable = interpreter.executable if interpreter else None
        commands: tuple[str, ...] = (install_line(executable, [f"{intent.engine}=={engine}"], packages),)
    else:
        commands = torch_lines(None, interpreter, packages, driver, gpus, host, matrix)
    yield fail(
        Text("torch is not installed for {python}", {"python": _where(interpreter)}),
        fix=Fix(text=Text("install the torch that belongs here"), commands=commands, effort="install"),
        observed="not installed",
    )


def _where(interpreter: Interpreter | None) -> str:
    return interpreter.executable if interpreter else "the deployment's Python"


@check("TOR002", "torch-imports", cause="TORCH_IMPORT_FAILED", explained_by=("TOR001", "ENG001"))
def torch_imports(
    torch_run: Reading[TorchRun],
    cuda: Reading[Cuda],
    torch: Torch | None,
    packages: Packages | None,
    interpreter: Interpreter | None,
    driver: Driver | None,
    gpus: tuple[Gpu, ...] | None,
    host: Host | None,
    matrix: Matrix,
) -> Findings:
    """torch imports.

    Libraries of the wrong kind on the loader's path, a half-removed CUDA package, an old glibc: the files look fine
    and `import torch` raises, crashes or never returns.

    Measured by importing it once in a child process of the deployment's Python, with the deployment's environment
    and a limit of 60 s (a cold import takes 3 to 6 s). The words of the error decide the cause.

    ## Fix
    Mostly the same torch, installed again; where the loader's path brings in other libraries, a clean path.
    """
    reinstall = Fix(
        text=Text("install the same torch again"),
        commands=torch_lines(torch.version if torch else None, interpreter, packages, driver, gpus, host, matrix),
        effort="install",
    )
    run = torch_run.value
    if run is None:
        died = torch_run.outcome == "timeout" or "killed by" in torch_run.why or "exit code" in torch_run.why
        if torch_run.outcome in ("failed", "timeout") and died and cuda.outcome in ("known", "absent"):
            text = Text("importing torch does not come to an end: {why}", {"why": torch_run.why})
            yield fail(text, fix=reinstall, observed=torch_run.why)
        else:
            yield unknown(Text("{why}", {"why": torch_run.why or "torch was not imported"}))
        return
    if run.import_error is None:
        values = {"version": run.version, "seconds": run.import_seconds}
        yield ok(Text("torch {version} imports in {seconds:s}", values), observed=run.version)
        return
    cause = next((c for pattern, c in IMPORT_CAUSES if re.search(pattern, run.import_error)), "TORCH_IMPORT_FAILED")
    yield fail(
        Text("import torch fails: {error}", {"error": run.import_error[:300]}),
        cause=cause,
        fix=_import_fixes(cause, reinstall, interpreter),
        observed=run.import_error[:300],
    )


def _import_fixes(cause: str, reinstall: Fix, interpreter: Interpreter | None) -> tuple[Fix, ...]:
    python = interpreter.executable if interpreter else "python3"
    if cause == "CUDA_LIBS_SHADOWED":
        text = Text("other CUDA libraries come first on the loader's path; see whether it imports without them")
        command = f"env -u LD_LIBRARY_PATH {python} -c 'import torch'"
        return Fix(text=text, commands=(command,), effort="setting"), reinstall
    if cause == "GLIBC_TOO_OLD":
        text = Text(
            "this system's C library is too old for the wheel: use the engine's container image or a newer system"
        )
        return (Fix(text=text, effort="install"), reinstall)
    if cause == "LIBSTDCXX_TOO_OLD":
        text = Text("a libstdc++ that is too old comes first on the loader's path; see whether it imports without it")
        command = f"env -u LD_LIBRARY_PATH {python} -c 'import torch'"
        return (Fix(text=text, commands=(command,), effort="setting"), reinstall)
    return (reinstall,)


@check("TOR003", "torch-cuda-build", cause="CPU_ONLY_TORCH", explained_by=("TOR001",))
def torch_cuda_build(
    torch: Torch,
    packages: Packages | None,
    interpreter: Interpreter | None,
    driver: Driver | None,
    gpus: tuple[Gpu, ...] | None,
    host: Host | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """torch was built for CUDA.

    A torch for the CPU imports and runs, and every engine then ends with "no CUDA device". It comes from an index for
    the CPU, from a requirements file that names one, or (on Arm machines) from the default index of older releases.

    Measured by reading `cuda` in torch/version.py; the version in pip's list may hide it.

    ## Fix
    The same version of torch, built for the newest CUDA that the driver runs. The default index is used where its
    build runs; otherwise the line names torch's own index for that CUDA.
    """
    if intent.device == "cpu" or (intent.device == "auto" and not gpus):
        yield not_applicable(
            Text("the model is to run on the CPU" if intent.device == "cpu" else "there is no GPU here")
        )
    elif torch.cuda:
        text = Text("torch {version} was built for CUDA {cuda}", {"version": torch.version, "cuda": torch.cuda})
        yield ok(text, observed=torch.cuda)
    elif torch.hip and not gpus:
        yield not_applicable(Text("torch {version} was built for AMD GPUs", {"version": torch.version}))
    else:
        yield fail(
            Text("torch {version} was built without CUDA and cannot use an NVIDIA GPU", {"version": torch.version}),
            fix=Fix(
                text=Text("put the CUDA build in its place"),
                commands=torch_lines(torch.version, interpreter, packages, driver, gpus, host, matrix),
                effort="install",
            ),
            observed="CPU build" if not torch.hip else "ROCm build",
            expected="CUDA build",
            evidence={"folder": torch.location},
        )


@check("TOR004", "torchvision-matches", cause="TORCH_COMPANION_MISMATCH", explained_by=("TOR001", "TOR003"))
def torchvision_matches(
    torch: Torch,
    packages: Packages,
    model_files: ModelFiles | None,
    interpreter: Interpreter | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """torchvision belongs to this torch.

    torchvision is compiled against one release line of torch. A stranger fails with "operator torchvision::nms does
    not exist" or "undefined symbol", and takes transformers' image processors with it.

    Measured by comparing the installed versions with the pairs in torchvision's own metadata.

    ## Fix
    The torchvision of this torch. Naming the torch in the same line keeps pip from moving it.
    """
    version = installed_version(packages, "torchvision")
    row = matrix.torchvision_for(torch.version)
    wanted = f"torchvision=={row.torchvision}.*" if row else "torchvision"
    executable = interpreter.executable if interpreter else None
    listed = installed_version(packages, "torch") or torch.version.split("+")[0]  # as pip knows it
    fix = Fix(
        text=Text("install the torchvision of torch {line}", {"line": line(torch.version)}),
        commands=(install_line(executable, [wanted, f"torch=={listed}"], packages, _same_index(listed)),),
        effort="install",
    )
    values = {"version": version, "torch": torch.version, "wanted": row.torchvision if row else ""}
    if version is None:
        if intent.engine == "transformers" and _sees(model_files, intent):
            text = Text("torchvision is not installed; transformers needs it to prepare pictures")
            yield warn(text, fix=fix, observed="not installed", expected=wanted)
        else:
            yield not_applicable(Text("torchvision is not installed"))
    elif row is None:
        yield unknown(Text("which torchvision belongs to torch {torch} is in no table of ours", values))
    elif line(version) == row.torchvision:
        text = Text("torchvision {version} belongs to torch {torch}", values)
        yield ok(text, observed=version, expected=f"{row.torchvision}.*")
    else:
        yield fail(
            Text("torchvision {version} was not built for torch {torch}, which goes with {wanted}", values),
            fix=fix,
            observed=version,
            expected=f"{row.torchvision}.*",
            threshold=Threshold(value=row.torchvision, unit="version", source=row.source),
        )


def _sees(model_files: ModelFiles | None, intent: Intent) -> bool:
    """Does the model take pictures? (The one made for the final stage is fed without torchvision.)"""
    config = model_files.config if model_files else None
    return intent.model != SMOKE and bool(config and config.get("vision_config"))


def _same_index(version: str) -> tuple[str, ...]:
    """A torch that pip lists with a local version came from torch's own index, and so must its companion."""
    tag = version.partition("+")[2]
    is_index = tag == "cpu" or re.fullmatch(r"cu\d+", tag) is not None
    return ("--extra-index-url", f"https://download.pytorch.org/whl/{tag}") if is_index else ()


@check(
    "TOR005", "architectures", cause="GPU_ARCH_NOT_IN_WHEEL", required=True, explained_by=("ENG001", "TOR001", "TOR003")
)
def architectures(
    torch: Torch,
    gpus: tuple[Gpu, ...],
    cuda: Cuda | None,
    packages: Packages | None,
    interpreter: Interpreter | None,
    driver: Driver | None,
    host: Host | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """torch holds code for these GPUs.

    Without it the first kernel ends with "no kernel image is available for execution on the device".

    Measured by reading the list of architectures in torch's library (what `torch.cuda.get_arch_list()` returns), for
    each GPU that the deployment sees. Code for sm_86 runs on every GPU of compute capability 8.6 and above within 8,
    thus also on 8.9, which no list names. PTX (compute_90) is compiled on the spot for 9.0 and everything newer. Code
    for sm_90a runs on 9.0 alone. (CUDA C++ Programming Guide, binary and PTX compatibility.)

    ## Fix
    For a GPU that is too old: the build for CUDA 12.6, which keeps the older GPUs. For one that is too new: a newer
    release of torch, or of the engine that brings it.
    """
    if intent.device == "cpu" or not gpus:
        yield not_applicable(
            Text("the model is to run on the CPU" if intent.device == "cpu" else "there is no GPU here")
        )
        return
    if torch.hip:
        yield not_applicable(Text("torch {version} was built for AMD GPUs", {"version": torch.version}))
        return
    if torch.cuda and torch.architectures is None:
        yield unknown(Text("the list of architectures in {folder} could not be read", {"folder": torch.location}))
        return
    listed = torch.architectures or ()
    for gpu in _visible(gpus, cuda):
        how = runs_on(gpu.compute_capability, listed)
        values = {"gpu": gpu.name, "cc": gpu.compute_capability, "how": how, "torch": torch.version}
        subject, text = f"gpu:{gpu.index}", " ".join(listed)
        if how:
            by = " by compiling its PTX at start" if how.startswith("compute") else ""
            template = "torch has code for {gpu} (compute capability {cc}): {how}" + by
            yield ok(Text(template, values), subject=subject, observed=gpu.compute_capability, expected=text)
            continue
        yield fail(
            Text("torch {torch} has no code for {gpu} (compute capability {cc})", values),
            fix=_architecture_fixes(gpu, torch, packages, interpreter, driver, host, intent, matrix),
            subject=subject,
            observed=gpu.compute_capability,
            expected=text,
        )


def _visible(gpus: tuple[Gpu, ...], cuda: Cuda | None) -> tuple[Gpu, ...]:
    """The GPUs that the deployment sees: a display card that CUDA_VISIBLE_DEVICES hides needs no code."""
    shown = {device.compute_capability for device in cuda.devices} if cuda else set()
    return tuple(gpu for gpu in gpus if gpu.compute_capability in shown) or gpus


def _architecture_fixes(
    gpu: Gpu,
    torch: Torch,
    packages: Packages | None,
    interpreter: Interpreter | None,
    driver: Driver | None,
    host: Host | None,
    intent: Intent,
    matrix: Matrix,
) -> tuple[Fix, ...]:
    chips = [(int(e[3:-1]), int(e[-1])) for e in torch.architectures or () if re.fullmatch(r"sm_\d+", e)]
    is_old = bool(chips) and capability(gpu.compute_capability) < min(chips)
    executable = interpreter.executable if interpreter else None
    engine = Fix(
        text=Text("the newest {engine} for this driver and GPU, with its torch", {"engine": intent.engine}),
        commands=(
            install_line(
                executable, [engine_requirement(intent.engine, driver, [gpu], matrix)], packages, ["--upgrade"]
            ),
        ),
        effort="install",
    )
    other = Fix(
        text=Text("a build of torch that keeps old GPUs" if is_old else "a newer torch"),
        commands=torch_lines(torch.version if is_old else None, interpreter, packages, driver, [gpu], host, matrix),
        effort="install",
    )
    return (other,) if intent.engine == "transformers" else (engine, other)
