"""Which probes run, when, with what: the one table of a preflight, and the walk over it."""

from __future__ import annotations

import concurrent.futures
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoglm_doctor.collect import Probe, Session, run_probe
from autoglm_doctor.facts import Facts, Reading, with_readings
from autoglm_doctor.intent import SMOKE, Intent
from autoglm_doctor.nursery import open_nursery
from autoglm_doctor.options import Options
from autoglm_doctor.safety import busy_gpus, final_stage_arguments
from autoglm_doctor.target import absolute_pythonpath


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


def _model(_: Facts, intent: Intent, __: Options) -> Mapping[str, Any]:
    return {"model": intent.model, "download_dir": intent.launch.download_dir}


def _download(_: Facts, intent: Intent, options: Options) -> Mapping[str, Any] | Reading[Any]:
    if not options.allow_download:
        return Reading(outcome="absent", why="no download was asked for (--allow-download)")
    if intent.model == SMOKE or os.path.isdir(os.path.expanduser(intent.model)):
        return Reading(outcome="absent", why="there is nothing to download")
    return {"repository": intent.model}


def _storage(_: Facts, intent: Intent, options: Options) -> Mapping[str, Any]:
    wanted, why = weights_folder(intent, deployment_environ(intent, options))
    return {"path": wanted, "why": why, "scratch": options.disk_write}


def _target(_: Facts, __: Intent, options: Options) -> Mapping[str, Any] | Reading[Any]:
    if options.interpreter is None:
        return Reading(outcome="absent", why=options.interpreter_why)
    return {"chosen_by": options.interpreter_why, "missing_program": options.missing_program}


def _without_interpreter(facts: Facts) -> Reading[Any]:
    """Nothing can be said of its packages: neither that they are there, nor that they are not."""
    return Reading(outcome="failed", why=facts.interpreter.why or "there is no interpreter to look at")


def _packages(facts: Facts, _: Intent, __: Options) -> Mapping[str, Any] | Reading[Any]:
    target = facts.interpreter
    if target.value is None:
        return _without_interpreter(facts)
    return {"sys_path": list(target.value.sys_path)}


def _cuda(facts: Facts, intent: Intent, options: Options) -> Mapping[str, Any] | Reading[Any]:
    if facts.interpreter.value is None:
        return _without_interpreter(facts)
    return {"size": 256, "use_gpus": options.force or not busy_gpus(facts, deployment_environ(intent, options))}


def _disk(facts: Facts, _: Intent, options: Options) -> Mapping[str, Any] | Reading[Any]:
    storage, files = facts.storage.value, facts.model_files.value
    if storage is None:
        return Reading(outcome="not_run", why=f"the storage is not known: {facts.storage.why}")
    weights = [] if files is None else [f"{files.path}/{w.name}" for w in files.weights if w.fault is None]
    return {
        "path": storage.path,
        "weights": weights,
        "write": options.disk_write,
        "seconds": options.disk_seconds,
    }


_TORCH_HANGS = "importing torch or starting CUDA hangs; `nvidia-smi` and the kernel log may show a wedged GPU"

#: Limits: NVML 30 s (slow without persistence mode), torch import 60 s, others 10 s; `--timeout` scales them.
STEPS: tuple[Step, ...] = (
    Step(
        probe=Probe(
            name="machine",
            module="autoglm_doctor.probes.machine",
            gives=("host", "environment", "pci_gpus", "memory", "shared_memory", "port"),
        ),
        arguments=_machine,
    ),
    Step(
        probe=Probe(
            name="nvml",
            module="autoglm_doctor.probes.nvml",
            gives=("driver", "gpus"),
            limit_seconds=30,
            hang_means="the driver does not answer, which usually means a wedged GPU; look at `dmesg | grep -i xid`",
        ),
        arguments=lambda *_: {},
    ),
    Step(
        probe=Probe(
            name="storage",
            module="autoglm_doctor.probes.storage",
            gives=("storage",),
            hang_means="the file system does not answer, as a network mount without its server",
        ),
        arguments=_storage,
    ),
    Step(
        probe=Probe(
            name="download",
            script="download.py",
            gives=("download",),
            limit_seconds=4 * 3600,
            hang_means="the hub sends nothing any more",
        ),
        arguments=_download,
        needs=("interpreter",),
    ),
    Step(
        probe=Probe(
            name="model",
            module="autoglm_doctor.probes.model",
            gives=("model_files",),
            limit_seconds=30,
            hang_means="the file system of the model does not answer",
        ),
        arguments=_model,
        needs=("download",),
    ),
    Step(probe=Probe(name="interpreter", script="interpreter.py", gives=("interpreter",)), arguments=_target),
    Step(
        probe=Probe(
            name="packages", module="autoglm_doctor.probes.packages", gives=("packages", "torch"), limit_seconds=30
        ),
        arguments=_packages,
        needs=("interpreter",),
    ),
    Step(
        probe=Probe(
            name="cuda", script="cuda.py", gives=("cuda", "torch_run"), limit_seconds=60, hang_means=_TORCH_HANGS
        ),
        arguments=_cuda,
        needs=("interpreter", "nvml"),
    ),
    Step(
        # Alone, so that what we measure is the disk and not our own load.
        probe=Probe(name="disk", module="autoglm_doctor.probes.disk", gives=("disk_speed",), limit_seconds=20),
        arguments=_disk,
        needs=("storage", "model"),
        after=("machine", "nvml", "packages", "cuda"),
    ),
    Step(
        probe=Probe(name="load", script="load.py", gives=("inference",), limit_seconds=900, hang_means=_TORCH_HANGS),
        arguments=final_stage_arguments,
        needs=("interpreter", "machine", "nvml", "model", "cuda", "packages"),
        after=("disk",),
    ),
)


def deployment_environ(intent: Intent, options: Options) -> dict[str, str]:
    """The variables that the server will see."""
    environ = absolute_pythonpath({**options.environ, **intent.environment}, Path.cwd())
    if environ.get("LD_LIBRARY_PATH"):  # a probe runs in another folder than the server will
        entries = environ["LD_LIBRARY_PATH"].split(os.pathsep)
        environ["LD_LIBRARY_PATH"] = os.pathsep.join(str(Path.cwd() / entry) for entry in entries)
    return environ


def weights_folder(intent: Intent, environ: Mapping[str, str]) -> tuple[str, str]:
    """Where the weights are or would be downloaded to, and why there."""
    path = os.path.expanduser(intent.model)
    if intent.model != SMOKE and os.path.isdir(path):
        return os.path.abspath(path), "the model's folder"
    if intent.launch.download_dir:
        return os.path.abspath(os.path.expanduser(intent.launch.download_dir)), "--download-dir"
    for name, below in (("HF_HUB_CACHE", ""), ("HF_HOME", "hub"), ("XDG_CACHE_HOME", "huggingface/hub")):
        if environ.get(name):
            return os.path.join(os.path.expanduser(environ[name]), below), name
    return os.path.expanduser("~/.cache/huggingface/hub"), "the default cache of Hugging Face"


@contextmanager
def session(options: Options, intent: Intent, on_progress: Callable[[str, str], None]) -> Iterator[Session]:
    """A session whose scratch folder is gone at the end, however it ends."""
    with tempfile.TemporaryDirectory(prefix="autoglm-doctor-", ignore_cleanup_errors=True) as scratch:
        environ = deployment_environ(intent, options)
        one = Session(
            scratch=Path(scratch),
            environ=environ,
            timeout_scale=options.timeout_scale,
            on_progress=on_progress,
            nursery=open_nursery(Path(scratch), environ),
        )
        try:
            yield one
        finally:
            one.stop()


@dataclass(slots=True)
class Gathered:
    """The facts so far; `interrupted` when the user stopped it."""

    facts: Facts
    interrupted: bool = False


def gather(
    wanted: frozenset[str],
    facts: Facts,
    intent: Intent,
    options: Options,
    one: Session,
    *,
    only: frozenset[str] | None = None,
    meanwhile: Callable[[], object] = lambda: None,
) -> Gathered:
    """Run the probes that give a wanted fact, and those that they wait for, side by side.

    `only` restricts to probes that give one of these facts (a saved reading holds the rest); `meanwhile` is called once
    the first probes run. Ctrl-C ends the walk; what has been read by then is returned.
    """
    steps = _needed(wanted, only)
    done = Gathered(facts)
    finished: set[str] = set()
    waiting = list(steps)
    running: dict[concurrent.futures.Future[dict[str, Reading[Any]]], Step] = {}
    names = {s.probe.name for s in steps}
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, len(steps))) as pool:
        try:
            while waiting or running:
                for step in [s for s in waiting if finished.issuperset({*s.needs, *s.after} & names)]:
                    waiting.remove(step)
                    running[pool.submit(_run_step, step, done.facts, intent, options, one)] = step
                meanwhile()
                meanwhile = _nothing
                ready, _ = concurrent.futures.wait(running, timeout=0.2, return_when=concurrent.futures.FIRST_COMPLETED)
                for future in ready:
                    finished.add(running.pop(future).probe.name)
                    done.facts = with_readings(done.facts, future.result())
        except KeyboardInterrupt:
            one.stop()
            done.interrupted = True
            done.facts = with_readings(done.facts, _unread([*running.values(), *waiting]))
    return done


def _nothing() -> None:
    """What is done meanwhile, the second time."""


def _needed(wanted: frozenset[str], only: frozenset[str] | None) -> list[Step]:
    allowed = [s for s in STEPS if only is None or only.intersection(s.probe.gives)]
    by_name = {s.probe.name: s for s in allowed}
    chosen: set[str] = set()

    def want(step: Step) -> None:
        if step.probe.name not in chosen:
            chosen.add(step.probe.name)
            for name in step.needs:
                if name in by_name:  # a saved reading may hold its facts already
                    want(by_name[name])

    for step in allowed:
        if wanted.intersection(step.probe.gives):
            want(step)
    return [s for s in allowed if s.probe.name in chosen]


def _run_step(step: Step, facts: Facts, intent: Intent, options: Options, one: Session) -> dict[str, Reading[Any]]:
    arguments = step.arguments(facts, intent, options)
    if isinstance(arguments, Reading):
        return dict.fromkeys(step.probe.gives, arguments)
    one.on_progress(step.probe.name, "")
    if step.probe.name == "load":
        scratch = one.scratch / "load-files"
        scratch.mkdir()
        arguments = {**arguments, "scratch": str(scratch)}
    return run_probe(step.probe, arguments, one, options.interpreter)


def _unread(steps: list[Step]) -> dict[str, Reading[Any]]:
    reading: Reading[Any] = Reading(outcome="not_run", why="interrupted")
    return {name: reading for step in steps for name in step.probe.gives}
