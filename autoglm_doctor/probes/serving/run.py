"""The trial of a server: started by the intended command, or there already; asked, measured and stopped.

Arguments: `engine`; `command` (words; null: there is a server at `endpoint`), `endpoint` (URL or null), `names` (what
the model may be called in the API), `cwd` (where the server will be started), `programs` (a folder that comes first on
PATH, or null), `pythonpath` (the deployment's, or null), `start_seconds`, `measure_seconds`, `random_weights`, and the
wishes of `measure`: `pictures`, `agent`, `concurrency`, `context`, `gpus`, `seed`.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

from autoglm_doctor.facts import Ending, Reading, Serving, ServingFailure, known
from autoglm_doctor.probes.cgroup import oom_kills
from autoglm_doctor.probes.protocol import Answers, run
from autoglm_doctor.probes.serving import start
from autoglm_doctor.probes.serving.folder import Temporary
from autoglm_doctor.probes.serving.follow import Log
from autoglm_doctor.probes.serving.http import Endpoint, endpoint_key
from autoglm_doctor.probes.serving.measure import Measured, Wishes, is_ready, measure, model_name
from autoglm_doctor.probes.serving.processes import holds_port
from autoglm_doctor.probes.serving.stop import Family

#: Between two looks whether the server answers, and between two at who belongs to it.
READY_SECONDS = 0.25
FAMILY_SECONDS = 1.0

#: A start that its log calls failed gets so long to end by itself, and to say the rest.
DOOMED_SECONDS = 10.0

#: For a server that is asked to end: engines write back nothing, but their workers take a moment.
STOP_SECONDS = 20.0

#: Between two looks whether the doctor still lives.
PARENT_SECONDS = 0.5

#: The same when we are told to stop; the doctor's own grace time is 5 s.
HURRY_SECONDS = 1.5


class TakenError(Exception):
    """Somebody else listens on the port that we chose: whatever answers there is not the server."""


def probe(arguments: dict[str, Any]) -> Answers:
    """One reading of `serving`."""
    if arguments["command"] is None:
        yield from _measured(arguments, Endpoint(url=arguments["endpoint"], key=endpoint_key()), {}, None)
    else:
        yield from _Trial(arguments).run()


def _leave_with(parent: int) -> None:
    """Whoever started us is gone, killed perhaps: then nobody wants an answer, and nobody else ends the server."""
    while os.getppid() == parent:
        time.sleep(PARENT_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


def _doing(what: str) -> tuple[str, Reading[Any]]:
    reading: Reading[Any] = Reading(outcome="not_run", why=what)
    return "progress", reading


class _Trial:
    """One server from its start to its end."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self._arguments = arguments
        self._port = start.free_port()
        self._folder = Temporary(os.environ, arguments["cwd"])
        self._conduct = start.conduct(self._folder.path)
        self._words = start.words_on(arguments["command"], arguments["engine"], self._port, self._conduct)
        self._endpoint = Endpoint(
            url=start.base_url(self._words, self._port),
            key=start.key_of(self._words, os.environ, arguments["cwd"]),
        )
        self._family: Family | None = None
        self._starting = self._told_to_stop = False
        self._value: dict[str, Any] = {
            "engine": arguments["engine"],
            "url": self._endpoint.url,
            "command": tuple(self._words),
            "random_weights": arguments["random_weights"],
        }

    def run(self) -> Answers:
        """Start it, wait, measure, and end it whatever happens."""
        signal.signal(signal.SIGTERM, self._stop)
        threading.Thread(target=_leave_with, args=(os.getppid(),), daemon=True).start()
        try:
            yield from self._run()
        except OSError as error:
            if self._family is not None:
                raise
            failure = ServingFailure(stage="start", kind="cannot_run", message=_why_not(error, self._words[0]))
            yield "serving", known(Serving(**self._value, failure=failure), source=self._arguments["engine"])
        except TakenError:
            why = f"another program took port {self._port} while the server started; run the doctor once more"
            reading: Reading[Any] = Reading(outcome="not_run", why=why)
            yield "serving", reading
        finally:
            self._clear_up()

    def _run(self) -> Answers:
        kills = oom_kills()
        process = self._start()
        family = self._family
        assert family is not None  # noqa: S101  made by _start
        log, value = Log(process, self._arguments["engine"]), self._value
        yield from self._wait(process, log, family)
        if "failure" not in value:
            yield from _measured(self._arguments, self._endpoint, value, lambda: process.poll() is None)
            _died_meanwhile(value, process)
        value["ending"] = _ending(process.poll(), oom_kills() > kills)
        value.update(figures=log.figures, log=log.kept)
        yield self._answer()  # should our time be up while the server ends
        yield _doing("stopping the server")
        value["stop_seconds"] = _end(process, family, STOP_SECONDS)
        value["leftovers"] = family.clear()
        log.drain(1.0)
        value.update(figures=log.figures, log=log.kept)
        yield self._answer()

    def _answer(self) -> tuple[str, Reading[Any]]:
        return "serving", known(Serving(**self._value), source=self._arguments["engine"])

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        """We are told to end. Whoever told us knows that there is no answer, but the server must not stay.

        Nothing is raised, since that could come at a place where nobody would end the server any more.
        """
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
        if self._starting:  # it is there already or not yet: _start sees to it
            self._told_to_stop = True
            return
        self._clear_up()
        os._exit(0)

    def _clear_up(self) -> None:
        if self._family is not None:
            self._family.end(HURRY_SECONDS)
            self._family.clear()
        self._folder.remove()

    def _start(self) -> subprocess.Popen[bytes]:
        """Start it, and know its family.

        Raises:
            OSError: it cannot be run.
        """
        arguments = self._arguments
        environ = start.environment(os.environ, arguments["pythonpath"], arguments["programs"], self._conduct)
        self._starting = True
        try:
            process = start.start(self._words, environ, arguments["cwd"])
            self._family = Family(process)
        finally:
            self._starting = False
            if self._told_to_stop:
                self._clear_up()
                os._exit(0)
        return process

    def _wait(self, process: subprocess.Popen[bytes], log: Log, family: Family) -> Iterator[tuple[str, Reading[Any]]]:
        """Until it answers, ends, says that it has failed, or its time is up."""
        began, phase, looked, doomed_at = time.monotonic(), "", 0.0, 0.0
        failure: ServingFailure | None = None
        while failure is None and not self._is_up(family):
            now = time.monotonic()
            if log.phase != phase:
                phase = log.phase
                yield _doing(phase)
            if now - looked > FAMILY_SECONDS:
                looked = now
                family.look()
            doomed_at = doomed_at or (now if log.doomed else 0.0)
            failure = self._failed(process, log, now - began, bool(doomed_at) and now - doomed_at > DOOMED_SECONDS)
            if failure is None:
                time.sleep(READY_SECONDS)
        seconds = time.monotonic() - began
        self._value["phases"] = log.phases(seconds)
        if failure is None:
            self._value["start_seconds"] = seconds
        else:
            self._value["failure"] = failure

    def _is_up(self, family: Family) -> bool:
        """It answers, and not somebody else in its place.

        Raises:
            TakenError: somebody else.
        """
        for pause in (0.0, 0.2, 0.2):  # between two looks it may begin, or end, to listen
            time.sleep(pause)
            if holds_port(self._port, family.pids) is not False:
                return is_ready(self._endpoint, READY_SECONDS * 4)
            family.look()
        raise TakenError

    def _failed(
        self, process: subprocess.Popen[bytes], log: Log, seconds: float, doomed: bool
    ) -> ServingFailure | None:
        if process.poll() is not None:
            log.drain(2.0)
            return ServingFailure(stage="start", kind="died", message=log.doomed or _last(log))
        if doomed:
            return ServingFailure(stage="start", kind="doomed", message=log.doomed)
        if seconds > self._arguments["start_seconds"]:
            return ServingFailure(stage="start", kind="not_ready", message=log.phase)
        return None


def _why_not(error: OSError, program: str) -> str:
    """Popen names the folder when it is that which is not there."""
    return f"{error.filename or program}: {error.strerror or error}"


def _last(log: Log) -> str:
    return log.kept[-1] if log.kept else ""


def _died_meanwhile(value: dict[str, Any], process: subprocess.Popen[bytes]) -> None:
    """A server that is gone although nobody stopped it, whatever its last answer was."""
    if process.poll() is not None and value.get("failure") is None:
        value["failure"] = ServingFailure(stage="measure", kind="died")


def _ending(code: int | None, oom_killed: bool) -> Ending | None:
    """How it ended by itself; None while it runs."""
    if code is None:
        return None
    if code >= 0:
        return Ending(exit_code=code, oom_killed=oom_killed)
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return Ending(signal=name, oom_killed=oom_killed)


def _end(process: subprocess.Popen[bytes], family: Family, seconds: float) -> float | None:
    """Seconds that it took to end when asked; None when it was gone already or had to be killed."""
    gone = process.poll() is not None
    began = time.monotonic()
    polite = family.end(seconds)
    return time.monotonic() - began if polite and not gone else None


def _measured(arguments: dict[str, Any], endpoint: Endpoint, value: dict[str, Any], alive: Any) -> Answers:
    """Ask and measure, in a thread, so that what it is doing can be told meanwhile; the result goes into `value`.

    Of a server that was there already the reading is given as well.
    """
    told: queue.SimpleQueue[str | Measured] = queue.SimpleQueue()
    there = alive is None

    def work() -> None:
        named = Endpoint(url=endpoint.url, key=endpoint.key, model=model_name(endpoint, arguments["names"]))
        value["model"] = named.model
        told.put(measure(named, _wishes(arguments), alive or (lambda: True), told.put))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    result: Measured | None = None
    while result is None:
        try:
            news = told.get(timeout=0.2)
        except queue.Empty:
            if not thread.is_alive() and told.empty():
                raise RuntimeError("measuring ended without a result") from None
            continue
        if isinstance(news, Measured):
            result = news
        else:
            yield _doing(news)
    value.update(asks=result.asks, speed=result.speed, bursts=result.bursts, gpus=result.gpus)
    if result.failure is not None:
        value["failure"] = result.failure
    if there:
        value.update(engine=arguments["engine"], url=endpoint.url)
        yield "serving", known(Serving(**value), source=endpoint.url)


def _wishes(arguments: dict[str, Any]) -> Wishes:
    return Wishes(
        pictures=arguments["pictures"],
        agent=arguments["agent"],
        concurrency=arguments["concurrency"],
        seconds=arguments["measure_seconds"],
        seed=arguments["seed"],
        context=arguments["context"],
        gpus=tuple(arguments["gpus"]),
    )


if __name__ == "__main__":
    run(probe)
