"""TOR: torch is there, imports, and can use CUDA."""

from __future__ import annotations

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
    Reading,
    Text,
    Torch,
    TorchRun,
    check,
    fail,
    not_applicable,
    ok,
    unknown,
)
from autoglm_doctor.domain.conflicts import install_line, installed_version
from autoglm_doctor.domain.deaths import MEMORY_SHORT, OLD_CPU, has_died, how, where_it_hangs
from autoglm_doctor.domain.deployment import gpus_of, runs_on_cpu
from autoglm_doctor.domain.driver.ways import NEWER_GPU
from autoglm_doctor.domain.imports import import_cause, library_package
from autoglm_doctor.domain.resolve.fixes import install_fixes
from autoglm_doctor.domain.resolve.site import Site
from autoglm_doctor.domain.wheels import torch_choice, torch_lines


@check("TOR001", "torch-installed", cause="TORCH_NOT_INSTALLED", required=True, explained_by=("PYT001", "ENG001"))
def torch_installed(
    torch: Reading[Torch],
    torch_run: TorchRun | None,
    packages: Packages | None,
    interpreter: Interpreter | None,
    driver: Driver | None,
    gpus: tuple[Gpu, ...] | None,
    cuda: Cuda | None,
    environment: Environment | None,
    host: Host | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """torch is installed in the Python that the deployment will use.

    Every engine runs on torch. Its files are read and nothing is imported, so that a torch that crashes can still be
    described; `torch/version.py` says which CUDA it was built for. Where no folder of sys.path holds it, a torch that
    imports all the same (an editable installation behind an import hook) counts as installed.

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
    if torch_run is not None and torch_run.import_error is None:
        values = {"version": torch_run.version, "file": torch_run.file}
        yield ok(Text("torch {version} is imported from {file}, which no folder of sys.path shows", values))
        return
    engine = installed_version(packages, intent.engine) if packages else None
    if engine and intent.engine != "transformers":
        executable = interpreter.executable if interpreter else None
        commands: tuple[str, ...] = (install_line(executable, [f"{intent.engine}=={engine}"], packages),)
    else:
        taken = gpus_of(gpus, cuda, environment, intent)
        commands = torch_lines(None, interpreter, packages, driver, taken, host, matrix)
    yield fail(
        Text("torch is not installed for {python}", {"python": _where(interpreter)}),
        fix=install_fix("install the torch that belongs here", commands),
        observed="not installed",
    )


def install_fix(words: str, commands: tuple[str, ...]) -> Fix:
    """The fix that these lines make; without one no build of torch would run here."""
    return Fix(text=Text(words), commands=commands, effort="install") if commands else NEWER_GPU


def _where(interpreter: Interpreter | None) -> str:
    return interpreter.executable if interpreter else "the deployment's Python"


@check(
    "TOR002",
    "torch-imports",
    cause="TORCH_IMPORT_FAILED",
    required=True,
    explained_by=("PYT001", "TOR001", "ENG001", "HST002", "PKG002", "CUD003"),
    left_open_by=("CUD001",),
)
def torch_imports(
    torch_run: Reading[TorchRun],
    cuda: Reading[Cuda],
    torch: Torch | None,
    packages: Packages | None,
    interpreter: Interpreter | None,
    driver: Reading[Driver],
    gpus: tuple[Gpu, ...] | None,
    environment: Environment | None,
    host: Host | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """torch imports.

    Libraries of the wrong kind on the loader's path, a half-removed CUDA package, an old glibc: the files look fine
    and `import torch` raises, crashes or never returns.

    Measured by importing it once in a child process of the deployment's Python, with the deployment's environment
    and a limit of 60 s (a cold import takes 3 to 6 s). The words of the error decide the cause. A CUDA library that is
    missing means packages of two CUDA majors only where two are seen: its number against torch's CUDA, or NVIDIA's
    packages for both.
    A crash, a hang and an import that ends the interpreter are told apart by how that process ended.

    ## Fix
    Mostly the same torch, installed again, or NVIDIA's package of the library that is missing; where the loader's path
    brings in other libraries, a clean path.
    """
    taken = gpus_of(gpus, cuda.value, environment, intent)
    again = torch_lines(torch.version if torch else None, interpreter, packages, driver.value, taken, host, matrix)
    reinstall = install_fix("install the same torch again", again)
    run = torch_run.value
    if run is None:
        # In that process libcuda is loaded before torch: its death is torch's own once libcuda is done with.
        on_cpu = runs_on_cpu(intent, environment, driver.value, gpus, cuda.value)
        only_torch = cuda.outcome in ("known", "absent", "not_run") or (on_cpu and driver.outcome == "absent")
        yield _without_answer(torch_run, reinstall, interpreter, only_torch=bool(only_torch))
        return
    if run.import_error is None:
        values = {"version": run.version, "seconds": run.import_seconds}
        yield ok(Text("torch {version} imports in {seconds:s}", values), observed=run.version)
        return
    cause = import_cause(run.import_error, torch, packages)
    library = library_package(run.import_error, packages)
    yield fail(
        Text("import torch fails: {error}", {"error": run.import_error[:300]}),
        cause=cause,
        fix=(*_library_fix(library, interpreter, packages), *_import_fixes(cause, reinstall, interpreter)),
        observed=run.import_error[:300],
    )


def _without_answer(
    run: Reading[TorchRun], reinstall: Fix, interpreter: Interpreter | None, *, only_torch: bool
) -> Judgement:
    """Red for a death in torch; skipped where nobody tried, as in a reading that is joined with other packages."""
    if has_died(run) and only_torch:
        doing = "import torch" if "CUDA in torch" not in run.why else "torch"
        text = Text(f"{doing} {how(run)}: {{why}}", {"why": run.why})
        return fail(text, fix=_death_fixes(run, reinstall, interpreter), observed=run.why)
    text = Text("{why}", {"why": run.why or "torch was not imported"})
    return Judgement(status="skipped", text=text) if run.outcome == "not_run" else unknown(text)


def _death_fixes(run: Reading[TorchRun], reinstall: Fix, interpreter: Interpreter | None) -> tuple[Fix, ...]:
    """What the manner of the death hints at comes first."""
    if "SIGKILL" in run.why:
        return MEMORY_SHORT, reinstall
    if "SIGILL" in run.why:
        return OLD_CPU, reinstall
    if run.outcome == "timeout":
        return where_it_hangs(interpreter.executable if interpreter else None, "import torch"), reinstall
    return (reinstall,)


def _library_fix(package: str, interpreter: Interpreter | None, packages: Packages | None) -> tuple[Fix, ...]:
    """The package of a missing library, forced: pip takes it for installed as long as its metadata is there."""
    if not package:
        return ()
    executable = interpreter.executable if interpreter else None
    command = install_line(executable, [package], packages, ["--force-reinstall", "--no-deps"])
    text = Text("install the package of the missing library again ({package})", {"package": package})
    return (Fix(text=text, commands=(command,), effort="install"),)


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
    return (MEMORY_SHORT, reinstall) if cause == "RAM_TOO_SMALL" else (reinstall,)


@check(
    "TOR003",
    "torch-cuda-build",
    cause="CPU_ONLY_TORCH",
    explained_by=("DRV001", "PYT001", "TOR001", "ENG001", "PKG002"),  # which build is right depends on the driver
)
def torch_cuda_build(
    torch: Torch,
    packages: Packages | None,
    interpreter: Interpreter | None,
    driver: Driver | None,
    gpus: tuple[Gpu, ...] | None,
    cuda: Cuda | None,
    environment: Environment | None,
    host: Host | None,
    model_files: ModelFiles | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """torch was built for CUDA.

    A torch for the CPU imports and runs, and every engine then ends with "no CUDA device". It comes from an index for
    the CPU, from a requirements file that names one, or (on Arm machines) from the default index of older releases.

    Measured by reading `cuda` in torch/version.py; the version in pip's list may hide it.

    ## Fix
    The same version of torch (or the one that the engine pins), built for the newest CUDA that the driver runs. The
    default index is used where its build runs; otherwise the line names torch's own index for that CUDA beside yours.
    """
    on_cpu = runs_on_cpu(intent, environment, driver, gpus, cuda)
    if on_cpu:
        yield not_applicable(Text(on_cpu))
    elif torch.cuda:
        text = Text("torch {version} was built for CUDA {cuda}", {"version": torch.version, "cuda": torch.cuda})
        yield ok(text, observed=torch.cuda)
    elif torch.hip and not any(gpu.compute_capability for gpu in gpus or ()):
        yield not_applicable(Text("torch {version} was built for AMD GPUs", {"version": torch.version}))
    else:
        taken = gpus_of(gpus, cuda, environment, intent)
        yield fail(
            Text("torch {version} was built without CUDA and cannot use an NVIDIA GPU", {"version": torch.version}),
            fix=_cuda_fixes(torch, Site(matrix, intent, driver, taken, host, interpreter, packages, model_files)),
            observed="CPU build" if not torch.hip else "ROCm build",
            expected="CUDA build",
            evidence={"folder": torch.location},
        )


def _cuda_fixes(torch: Torch, site: Site) -> tuple[Fix, ...]:
    """The CUDA build of the torch that the engine pins; where that needs another driver, the set that runs here."""
    version = site.version(site.intent.engine)
    row = site.matrix.engine_release(site.intent.engine, version) if version else None
    wanted = row.torch if row and row.torch else torch.version
    place = (site.driver, site.gpus, site.host, site.matrix)
    choice = torch_choice(wanted, *place)
    if row and choice and choice.cuda and int(choice.cuda.split(".")[0]) != row.cuda_major:
        return install_fixes(site, with_driver=True)
    commands = torch_lines(wanted, site.interpreter, site.packages, *place)
    return (install_fix("put the CUDA build in its place", commands),)
