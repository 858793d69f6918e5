"""Faults of the system around: /proc, /sys, scratch space, disks, HOME, limits, variables, mounts that hang."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from tests.faults.fault import Fault
from tests.faults.machine import Machine

HANGING_MOUNT = Path(__file__).with_name("hanging_mount.py")
HUB_MODEL = ["vllm", "serve", "Qwen/Qwen2.5-0.5B-Instruct", "--max-model-len", "8192", "--port", "18231"]

#: Written where nothing is asked for: without it a fault that changes nothing is a hole in the doctor.
NOTHING_IS_WRITTEN = "nothing is written there, and the weights are in a folder of their own"
OTHER_PLACES = "scratch files go to the next folder that takes them"


def environ(**variables: str) -> Callable[[Machine], None]:
    """Variables of the deployment and the doctor."""
    return lambda machine: machine.environ.update(variables)


def without(name: str) -> Callable[[Machine], None]:
    """A variable taken away."""
    return lambda machine: machine.environ.pop(name) and None


def mounted(*lines: str) -> Callable[[Machine], None]:
    """Shell lines in a mount namespace; {root} is the machine's folder."""
    return lambda machine: machine.mounts.extend(line.format(root=machine.root) for line in lines)


def limited(words: str) -> Callable[[Machine], None]:
    """Started under a limit of the shell."""
    return lambda machine: machine.wrap.extend(["sh", "-c", f'ulimit {words} && exec "$@"', "sh"])


def hanging(machine: Machine, folder: Path) -> None:
    """A mount that never answers."""
    folder.mkdir(parents=True, exist_ok=True)
    machine.mounts.append("true")
    machine.wrap += [sys.executable, str(HANGING_MOUNT), str(folder)]
    machine.options += ["--timeout", "0.1"]


def hanging_model(machine: Machine) -> None:
    hanging(machine, machine.root / "nfs")
    machine.command[2] = str(machine.root / "nfs" / "model")


def hanging_cache(machine: Machine) -> None:
    hanging(machine, machine.root / "nfs")
    machine.environ["HF_HOME"] = str(machine.root / "nfs" / "cache")
    machine.command = list(HUB_MODEL)


def hanging_path(machine: Machine) -> None:
    hanging(machine, machine.root / "nfs")
    machine.environ["PATH"] = f"{machine.root}/nfs/bin:{machine.environ['PATH']}"


def hanging_scratch(machine: Machine) -> None:
    hanging(machine, machine.root / "nfs")
    machine.environ["TMPDIR"] = f"{machine.root}/nfs/tmp"


def hanging_home(machine: Machine) -> None:
    hanging(machine, machine.root / "nfs")
    machine.environ["HOME"] = f"{machine.root}/nfs/home"


def full_cache(machine: Machine) -> None:
    machine.command = list(HUB_MODEL)
    machine.environ["HF_HOME"] = str(machine.cwd / "cache")
    machine.mounts += [
        f"mount -t tmpfs -o size=1m none {machine.cwd}",
        f"cat /dev/zero > {machine.cwd}/filler 2>/dev/null || true",
    ]


def read_only_cache(machine: Machine) -> None:
    machine.command = list(HUB_MODEL)
    machine.environ["HF_HOME"] = str(machine.cwd / "cache")
    machine.mounts += [f"mount -t tmpfs -o ro none {machine.cwd}"]


def cache_is_a_file(machine: Machine) -> None:
    machine.command = list(HUB_MODEL)
    (machine.root / "cache").write_text("")
    machine.environ["HF_HOME"] = str(machine.root / "cache")


def without_shared_memory(machine: Machine) -> None:
    (machine.root / "dev").mkdir()
    for name in ("null", "zero", "urandom"):
        (machine.root / "dev" / name).touch()
        machine.mounts.append(f"mount --bind /dev/{name} {machine.root}/dev/{name}")
    machine.mounts.append(f"mount --rbind {machine.root}/dev /dev")


def only_shared_memory(machine: Machine) -> None:
    """A container with a read-only root: nothing can be written but /dev/shm."""
    machine.mounts.append("mount -t tmpfs none /dev/shm")  # of our own, so that nobody else's comings and goings count
    for folder in ("/tmp", "/var/tmp", str(machine.root)):
        machine.mounts += [f"mount --rbind {folder} {folder}", f"mount -o remount,bind,ro {folder}"]


def folder_of_modules(machine: Machine, *names: str) -> Path:
    folder = machine.root / "modules"
    folder.mkdir()
    for name in names:
        (folder / f"{name}.py").write_text("raise RuntimeError('not the module that you wanted')\n")
    return folder


def modules_in_the_working_folder(machine: Machine) -> None:
    for path in folder_of_modules(machine, "json", "enum", "types", "typer", "yaml", "signal", "checks").iterdir():
        path.rename(machine.cwd / path.name)


def broken_dependencies_on_pythonpath(machine: Machine) -> None:
    folder = folder_of_modules(machine, "typer", "yaml", "rich", "psutil", "packaging", "pynvml", "click")
    machine.environ["PYTHONPATH"] = str(folder)


def removed_working_folder(machine: Machine) -> None:
    machine.wrap = ["sh", "-c", 'mkdir gone && cd gone && rmdir ../gone && exec "$@"', "sh"]


def plug_in(body: str) -> Callable[[Machine], None]:
    """A check of somebody else."""

    def break_it(machine: Machine) -> None:
        folder = machine.root / "plug-ins"
        folder.mkdir()
        text = f"""
            from autoglm_doctor.api import *
            import sys
            @check("ZZZ001", "foreign", cause="FOREIGN")
            def foreign(host: Host) -> Findings:
                '''It is well.'''
                {body}
                yield ok(Text("well"))
        """
        (folder / "foreign.py").write_text("\n".join(line[12:] for line in text.splitlines()))
        machine.options += ["--checks-dir", str(folder)]

    return break_it


FOREIGN = "the mistake is the plug-in's, which is named in the report; its check is not a required one"

FAULTS = [
    # --- what the kernel tells -------------------------------------------------------------------------------------
    Fault(
        name="/proc/meminfo is hidden",
        break_it=mounted("mount --bind /dev/null /proc/meminfo"),
        code="MEM001",
        status="unknown",
        exit=4,
        says=("/proc/meminfo",),
    ),
    Fault(
        name="/proc is empty",
        break_it=mounted("mount -t tmpfs none /proc"),
        code="MEM001",
        status="unknown",
        exit=4,
        says=("/proc/meminfo",),
    ),
    Fault(
        name="/sys is empty",
        break_it=mounted("mount -t tmpfs none /sys"),
        code="DRV001",
        status="pass",
        exit=0,
        harmless="NVML shows the driver and the GPUs; the bus is only looked at where there is no driver",
    ),
    Fault(
        name="there is no /dev/shm",
        break_it=without_shared_memory,
        code="LIM001",
        status="skipped",
        exit=0,
        harmless="one GPU needs no shared memory",
    ),
    Fault(
        name="the kernel log cannot be read",
        break_it=mounted("mount --bind /dev/null /dev/kmsg 2>/dev/null || true"),
        code="DRV001",
        status="pass",
        exit=0,
        harmless="nobody reads it: fixes name the line that a person runs",
    ),
    # --- room and rights -------------------------------------------------------------------------------------------
    Fault(
        name="the cache of models is on a full disk",
        break_it=full_cache,
        code="DSK001",
        status="fail",
        cause="DISK_FULL",
        exit=1,
    ),
    Fault(
        name="the cache of models is read-only",
        break_it=read_only_cache,
        code="DSK001",
        status="fail",
        cause="DISK_FULL",
        exit=1,
    ),
    Fault(
        name="the cache of models is a file",
        break_it=cache_is_a_file,
        code="DSK001",
        status="fail",
        cause="DISK_FULL",
        exit=1,
    ),
    Fault(
        name="TMPDIR does not exist",
        break_it=environ(TMPDIR="/no/such/folder"),
        code="DRV001",
        status="pass",
        exit=0,
        harmless=OTHER_PLACES,
    ),
    Fault(
        name="TMPDIR is a file",
        break_it=environ(TMPDIR="/etc/passwd"),
        code="DRV001",
        status="pass",
        exit=0,
        harmless=OTHER_PLACES,
    ),
    Fault(
        name="TMPDIR is on a full disk",
        break_it=mounted(
            "mount -t tmpfs -o size=64k none {root}/tmp", "cat /dev/zero > {root}/tmp/filler 2>/dev/null || true"
        ),
        code="DRV001",
        status="pass",
        exit=0,
        harmless=OTHER_PLACES,
    ),
    Fault(
        name="nothing can be written but /dev/shm",
        break_it=only_shared_memory,
        code="DRV001",
        status="pass",
        exit=0,
        harmless=OTHER_PLACES,
    ),
    Fault(
        name="HOME is read-only",
        break_it=mounted("mount -t tmpfs -o ro none {root}/home"),
        code="DRV001",
        status="pass",
        exit=0,
        harmless=NOTHING_IS_WRITTEN,
    ),
    Fault(
        name="HOME does not exist",
        break_it=environ(HOME="/no/such/home"),
        code="DRV001",
        status="pass",
        exit=0,
        harmless=NOTHING_IS_WRITTEN,
    ),
    Fault(
        name="HOME is not set",
        break_it=without("HOME"),
        code="DRV001",
        status="pass",
        exit=0,
        harmless=NOTHING_IS_WRITTEN,
    ),
    Fault(
        name="HOME is /",
        break_it=environ(HOME="/"),
        code="DRV001",
        status="pass",
        exit=0,
        harmless=NOTHING_IS_WRITTEN,
    ),
    # --- mounts whose server is gone -------------------------------------------------------------------------------
    Fault(
        name="the model lies on a mount that hangs",
        break_it=hanging_model,
        limit=3,
        code="MDL001",
        status="fail",
        cause="MODEL_STORAGE_HANGS",
        exit=1,
        says=("network mount",),
    ),
    Fault(
        name="the cache of models lies on a mount that hangs",
        break_it=hanging_cache,
        limit=3,
        code="MDL001",
        status="fail",
        cause="MODEL_STORAGE_HANGS",
        exit=1,
        says=("network mount",),
    ),
    Fault(
        name="PATH leads through a mount that hangs",
        break_it=hanging_path,
        limit=10,
        code="PYT001",
        status="fail",
        cause="TARGET_PYTHON_BROKEN",
        exit=1,
        says=("PATH",),
    ),
    Fault(
        name="TMPDIR lies on a mount that hangs",
        break_it=hanging_scratch,
        limit=5,
        code="DRV001",
        status="pass",
        exit=0,
        harmless=OTHER_PLACES,
    ),
    Fault(
        name="HOME lies on a mount that hangs",
        break_it=hanging_home,
        limit=5,
        code="DRV001",
        status="pass",
        exit=0,
        harmless=NOTHING_IS_WRITTEN,
    ),
    # --- limits of this process ------------------------------------------------------------------------------------
    Fault(
        name="few descriptors may be open",
        break_it=limited("-n 24"),
        code="DRV001",
        status="pass",
        exit=0,
        harmless="so few are enough for us; what the server needs is its own limit, often set by its unit",
    ),
    Fault(
        name="hardly any descriptor may be open",
        break_it=limited("-n 8"),
        code="DRV001",
        status="unknown",
        exit=4,
        says=("Too many open files",),
    ),
    # --- variables and folders that meddle with our own Python ------------------------------------------------------
    Fault(
        name="the working folder is full of modules with famous names",
        break_it=modules_in_the_working_folder,
        code="DRV001",
        status="pass",
        exit=0,
        harmless="a console script does not look into the working folder, and neither do we",
    ),
    Fault(
        name="PYTHONPATH holds broken copies of our libraries",
        break_it=broken_dependencies_on_pythonpath,
        code="DRV001",
        status="pass",
        exit=0,
        harmless="the simulated engine imports none of them; our own process takes PYTHONPATH last",
    ),
    Fault(
        name="the working folder was removed",
        break_it=removed_working_folder,
        code="DRV001",
        status="pass",
        exit=0,
        harmless="every path of this deployment is absolute",
    ),
    Fault(
        name="docstrings are dropped",
        break_it=environ(PYTHONOPTIMIZE="2"),
        code="DRV001",
        status="pass",
        exit=0,
        harmless="titles and pages are read from the source then",
    ),
    Fault(
        name="warnings are errors",
        break_it=environ(PYTHONWARNINGS="error", PYTHONDEVMODE="1"),
        code="DRV001",
        status="pass",
        exit=0,
        harmless="a setting for developers; we give no warnings",
    ),
    Fault(
        name="the locale does not exist",
        break_it=environ(LANG="xx_XX.nonsense", LC_ALL="xx_XX.nonsense"),
        code="DRV001",
        status="pass",
        exit=0,
        harmless="nothing is spelt by the locale",
    ),
    Fault(
        name="LD_PRELOAD names nothing",
        break_it=environ(LD_PRELOAD="/no/such/library.so"),
        code="DRV001",
        status="pass",
        exit=0,
        harmless="the loader says so and goes on, for the server as well",
    ),
    # --- plug-ins ---------------------------------------------------------------------------------------------------
    Fault(
        name="a plug-in raises",
        break_it=plug_in("raise RuntimeError('oops')"),
        code="ZZZ001",
        status="error",
        exit=0,
        says=("oops",),
        harmless=FOREIGN,
    ),
    Fault(
        name="a plug-in leaves",
        break_it=plug_in("sys.exit(0)"),
        code="ZZZ001",
        status="error",
        exit=0,
        says=("SystemExit",),
        harmless=FOREIGN,
    ),
    Fault(
        name="a plug-in recurses",
        break_it=plug_in("f = lambda: f(); f()"),
        code="ZZZ001",
        status="error",
        exit=0,
        says=("RecursionError",),
        harmless=FOREIGN,
    ),
    Fault(
        name="a plug-in loops",
        break_it=plug_in("while True: pass"),
        limit=20,  # 5 s of CPU time, on a machine that may be busy
        code="ZZZ001",
        status="error",
        exit=0,
        says=("TimeoutError",),
        harmless=FOREIGN,
    ),
    Fault(
        name="a plug-in never ends to speak",
        break_it=plug_in("while True: yield ok(Text('well'))"),
        code="ZZZ001",
        status="error",
        exit=0,
        says=("10000",),
        harmless=FOREIGN,
    ),
    Fault(
        name="a plug-in prints",
        break_it=plug_in("print('{}')"),
        code="ZZZ001",
        status="pass",
        exit=0,
        harmless="what it prints goes to standard error",
    ),
]
