"""The walk over the table of probes (steps.py): each as soon as what it waits for is known."""

from __future__ import annotations

import concurrent.futures
import os
import shutil
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from autoglm_doctor import interruption
from autoglm_doctor.collect import Session, run_probe
from autoglm_doctor.facts import Facts, Reading, with_readings
from autoglm_doctor.intent import Intent
from autoglm_doctor.nursery import open_nursery
from autoglm_doctor.options import Options
from autoglm_doctor.scratch import scratch_folder
from autoglm_doctor.steps import STEPS, Step, deployment_environ


@contextmanager
def session(options: Options, intent: Intent, on_progress: Callable[[str, str], None]) -> Iterator[Session]:
    """A session whose scratch folder is gone at the end, however it ends.

    Raises:
        DoctorError: no folder takes scratch files.
    """
    environ = deployment_environ(intent, options)
    with scratch_folder(os.environ) as scratch:
        one = Session(
            scratch=scratch,
            environ=environ,
            timeout_scale=options.timeout_scale,
            on_progress=on_progress,
            nursery=open_nursery(scratch, environ),
        )
        try:
            yield one
        finally:
            shutil.rmtree(scratch, ignore_errors=True)  # while the nursery lives, which does it when we are killed now
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
    the first probes run. An interruption ends the walk; what has been read by then is returned.
    """
    steps = _needed(wanted, only)
    done = Gathered(facts)
    finished: set[str] = set()
    waiting = list(steps)
    running: dict[concurrent.futures.Future[dict[str, Reading[Any]]], Step] = {}
    names = {s.probe.name for s in steps}
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, len(steps))) as pool:
        while (waiting or running) and not interruption.requested():
            for step in [s for s in waiting if finished.issuperset({*s.needs, *s.after} & names)]:
                waiting.remove(step)
                running[_submit(pool, step, done.facts, intent, options, one)] = step
            meanwhile()
            meanwhile = _nothing
            ready, _ = concurrent.futures.wait(running, timeout=0.1, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in ready:
                finished.add(running.pop(future).probe.name)
                done.facts = with_readings(done.facts, future.result())
        if waiting or running:
            one.stop()
            done.interrupted = True
            done.facts = with_readings(done.facts, _unread(waiting))
            for future in running:  # killed by now: what each had told before still counts
                done.facts = with_readings(done.facts, future.result())
    return done


def _submit(
    pool: concurrent.futures.Executor, step: Step, facts: Facts, intent: Intent, options: Options, one: Session
) -> concurrent.futures.Future[dict[str, Reading[Any]]]:
    """Side by side; one after the other where no more threads may be started (a limit on processes)."""
    try:
        return pool.submit(_run_step, step, facts, intent, options, one)
    except RuntimeError:
        alone: concurrent.futures.Future[dict[str, Reading[Any]]] = concurrent.futures.Future()
        alone.set_result(_run_step(step, facts, intent, options, one))
        return alone


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
    """One probe. A mistake of ours on the way to it costs its own facts, not the report."""
    try:
        arguments = step.arguments(facts, intent, options)
        if isinstance(arguments, Reading):
            return dict.fromkeys(step.probe.gives, arguments)
        one.on_progress(step.probe.name, "")
        if step.probe.name == "load":
            scratch = one.scratch / "load-files"
            scratch.mkdir()
            arguments = {**arguments, "scratch": str(scratch)}
        return run_probe(step.probe, arguments, one, options.interpreter)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{os.path.basename(where.filename)}:{where.lineno}"
        why = f"internal error, please report it ({type(error).__name__}: {error}, at {place})"
        reading: Reading[Any] = Reading(outcome="failed", why=why)
        return dict.fromkeys(step.probe.gives, reading)


def _unread(steps: list[Step]) -> dict[str, Reading[Any]]:
    reading: Reading[Any] = Reading(outcome="not_run", why="interrupted")
    return {name: reading for step in steps for name in step.probe.gives}
