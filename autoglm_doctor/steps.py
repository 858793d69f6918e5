"""Which probes run, when, with what: the one table of a preflight."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from autoglm_doctor import limits
from autoglm_doctor.collect import Probe
from autoglm_doctor.facts import Facts, Reading
from autoglm_doctor.intent import SMOKE, Intent
from autoglm_doctor.options import Options
from autoglm_doctor.safety import busy_gpus, final_stage_arguments
from autoglm_doctor.target import absolute_pythonpath, working_folder
from autoglm_doctor.trial import serving_arguments


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A probe, what it waits for, and how its arguments follow from what is known by then."""

    probe: Probe
    arguments: Callable[[Facts, Intent, Options], Mapping[str, Any] | Reading[Any]]
    needs: tuple[str, ...] = ()  # probes whose facts the arguments are made of: pulled in, and waited for
    after: tuple[str, ...] = ()  # probes that it only keeps out of the way of, if they run at all


# Arguments are words of a command line, which other users can see: the environment never goes through them. Probes
# inherit it; only PYTHONPATH, which our own children need for themselves, is told as the deployment has it.


def _machine(_: Facts, intent: Intent, options: Options) -> Mapping[str, Any]:
    port = None if intent.model == SMOKE else intent.port
    path = deployment_environ(intent, options).get("PYTHONPATH")
    return {"host": intent.host, "port": port, "pythonpath": path}


def _nvml(_: Facts, __: Intent, options: Options) -> Mapping[str, Any]:
    return {"smi_seconds": limits.NVIDIA_SMI_SECONDS * options.timeout_scale}


def _model(_: Facts, intent: Intent, __: Options) -> Mapping[str, Any]:
    return {"model": intent.model, "download_dir": intent.launch.download_dir, "cwd": str(working_folder())}


def _download(_: Facts, intent: Intent, options: Options) -> Mapping[str, Any] | Reading[Any]:
    if not options.allow_download:
        return Reading(outcome="absent", why="no download was asked for (--allow-download)")
    if intent.model == SMOKE:
        return Reading(outcome="absent", why="there is nothing to download")
    return {"repository": intent.model, "cwd": str(working_folder())}


def _storage(_: Facts, intent: Intent, options: Options) -> Mapping[str, Any]:
    return {
        "model": None if intent.model == SMOKE else intent.model,
        "download_dir": intent.launch.download_dir,
        "cwd": str(working_folder()),
        "scratch": options.disk_write,
    }


def _target(_: Facts, __: Intent, options: Options) -> Mapping[str, Any] | Reading[Any]:
    if options.interpreter is None:
        return Reading(outcome="absent", why=options.interpreter_why)
    return {"chosen_by": options.interpreter_why, "missing_program": options.missing_program}


def _without_interpreter(facts: Facts) -> Reading[Any]:
    """Nothing can be said of its packages: neither that they are there, nor that they are not."""
    why = facts.interpreter.why or "none was looked for"
    return Reading(outcome="not_run", why=f"the deployment's Python gave no answer: {why}")


def _packages(facts: Facts, _: Intent, __: Options) -> Mapping[str, Any] | Reading[Any]:
    target = facts.interpreter
    if target.value is None:
        return _without_interpreter(facts)
    return {"sys_path": list(target.value.sys_path), "torch_folder": target.value.torch_folder}


def _kernels(facts: Facts, _: Intent, __: Options) -> Mapping[str, Any] | Reading[Any]:
    target = facts.interpreter
    return _without_interpreter(facts) if target.value is None else {"sys_path": list(target.value.sys_path)}


def _toolchain(facts: Facts, _: Intent, options: Options) -> Mapping[str, Any] | Reading[Any]:
    target = facts.interpreter.value
    if target is None:  # perhaps since PATH leads through a mount that hangs: it would hang here as well
        return _without_interpreter(facts)
    seconds = {"version_seconds": limits.COMPILER_SECONDS * options.timeout_scale}
    if target.implementation != "cpython":
        return seconds
    place = {"base_prefix": target.base_prefix, "version": target.version, "sys_path": list(target.sys_path)}
    return {**seconds, **place}


def _cuda(facts: Facts, intent: Intent, options: Options) -> Mapping[str, Any] | Reading[Any]:
    if facts.interpreter.value is None:
        return _without_interpreter(facts)
    leave = "the deployment runs on the CPU" if intent.device == "cpu" else ""
    if "timeout" in (facts.driver.outcome, facts.gpus.outcome):  # it would hang as well, perhaps beyond killing
        leave = "the driver hangs, and CUDA would hang with it"
    return {
        "size": 256,
        "leave_cuda": leave,  # torch alone can still be imported
        "use_gpus": options.force or not busy_gpus(facts, deployment_environ(intent, options)),
    }


def _disk(facts: Facts, _: Intent, options: Options) -> Mapping[str, Any] | Reading[Any]:
    storage, files = facts.storage.value, facts.model_files.value
    if storage is None:
        return Reading(outcome="not_run", why=f"the storage is not known: {facts.storage.why}")
    whole = [] if files is None else [w.name for w in files.weights if w.fault is None]
    # A sample: a thousand long paths would be more than a command line holds.
    weights = [] if files is None else [f"{files.path}/{name}" for name in whole[:: len(whole) // SAMPLE_FILES + 1]]
    return {
        "path": storage.path,
        "weights": weights,
        "write": options.disk_write,
        "seconds": options.disk_seconds,
    }


def _load(facts: Facts, intent: Intent, options: Options) -> Mapping[str, Any] | Reading[Any]:
    """Where the server itself is tried, transformers proves nothing more."""
    server = serving_arguments(facts, intent, options)
    if not isinstance(server, Reading):
        ran = f"the server at {options.endpoint} was asked" if options.endpoint else "the command itself was run"
        return Reading(outcome="not_run", why=f"{ran} instead")
    return server if options.final_stage == "command" else final_stage_arguments(facts, intent, options)


def _serving(facts: Facts, intent: Intent, options: Options) -> Mapping[str, Any] | Reading[Any]:
    server = serving_arguments(facts, intent, options)
    if isinstance(server, Reading):
        return server
    path = deployment_environ(intent, options).get("PYTHONPATH")
    return {**server, "cwd": str(working_folder()), "pythonpath": path}


#: Of the weights, spread over them all; the probe reads at random places of these.
SAMPLE_FILES = 64

_TORCH_HANGS = "a disk that hangs, or a wedged GPU (`nvidia-smi` and the kernel log may show it)"


def _probe(name: str, **rest: Any) -> Probe:
    """With its limit from the table."""
    return Probe(name=name, limit_seconds=limits.PROBE_SECONDS[name], **rest)


STEPS: tuple[Step, ...] = (
    Step(
        probe=_probe(
            "machine",
            module="autoglm_doctor.probes.machine",
            gives=("host", "environment", "pci_gpus", "memory", "shared_memory", "port"),
        ),
        arguments=_machine,
    ),
    Step(
        probe=_probe(
            "nvml",
            module="autoglm_doctor.probes.nvml",
            gives=("driver", "gpus"),
            hang_means="the driver is slow or stuck, the latter mostly on a wedged GPU; look at `dmesg | grep -i xid`",
        ),
        arguments=_nvml,
    ),
    Step(
        probe=_probe(
            "storage",
            module="autoglm_doctor.probes.storage",
            gives=("storage",),
            hang_means="the file system does not answer, as a network mount without its server",
        ),
        arguments=_storage,
    ),
    Step(
        probe=_probe(
            "download",
            script="download.py",
            gives=("download",),
            hang_means="the hub sends nothing any more",
        ),
        arguments=_download,
        needs=("interpreter",),
    ),
    Step(
        probe=_probe(
            "model",
            module="autoglm_doctor.probes.model",
            gives=("model_files",),
            hang_means="the file system of the model is slow or does not answer, as a network mount without its server",
        ),
        arguments=_model,
        needs=("download",),
    ),
    Step(probe=_probe("interpreter", script="interpreter.py", gives=("interpreter",)), arguments=_target),
    Step(
        probe=_probe("packages", module="autoglm_doctor.probes.packages", gives=("packages", "torch")),
        arguments=_packages,
        needs=("interpreter",),
    ),
    Step(
        # Alone, as libraries of several 100 MB may lie on a slow disk: the packages are known all the same.
        probe=_probe("kernels", module="autoglm_doctor.probes.kernels", gives=("kernels",)),
        arguments=_kernels,
        needs=("interpreter",),
    ),
    Step(
        probe=_probe("toolchain", module="autoglm_doctor.probes.toolchain", gives=("toolchain",)),
        arguments=_toolchain,
        needs=("interpreter",),
    ),
    Step(
        probe=_probe("cuda", script="cuda.py", gives=("cuda", "torch_run"), hang_means=_TORCH_HANGS),
        arguments=_cuda,
        needs=("interpreter", "nvml"),
    ),
    Step(
        # Alone, so that what we measure is the disk and not our own load.
        probe=_probe("disk", module="autoglm_doctor.probes.disk", gives=("disk_speed",)),
        arguments=_disk,
        needs=("storage", "model"),
        after=("machine", "nvml", "packages", "cuda"),
    ),
    Step(
        probe=_probe("load", script="load.py", gives=("inference",), hang_means=_TORCH_HANGS),
        arguments=_load,
        needs=("interpreter", "machine", "nvml", "model", "cuda", "packages"),
        after=("disk",),
    ),
    Step(
        probe=_probe(
            "serving",
            module="autoglm_doctor.probes.serving.run",
            gives=("serving",),
            farewell_seconds=limits.FAREWELL_SECONDS,
        ),
        arguments=_serving,
        needs=("interpreter", "machine", "nvml", "model", "cuda", "packages"),
        after=("disk", "load"),
    ),
)


def deployment_environ(intent: Intent, options: Options) -> dict[str, str]:
    """The variables that the server will see."""
    cwd = working_folder()
    environ = absolute_pythonpath({**options.environ, **intent.environment}, cwd)
    if environ.get("LD_LIBRARY_PATH"):  # a probe runs in another folder than the server will
        entries = environ["LD_LIBRARY_PATH"].split(os.pathsep)
        environ["LD_LIBRARY_PATH"] = os.pathsep.join(str(cwd / entry) for entry in entries)
    return environ
