"""INF: the server that the user means to run, really started. What it answers and how fast is in files of their own."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from autoglm_doctor.api import (
    Cuda,
    Environment,
    Findings,
    Fix,
    Gpu,
    Intent,
    Judgement,
    Memory,
    ModelFiles,
    Packages,
    Reading,
    Serving,
    ServingFailure,
    Text,
    check,
    fail,
    ok,
    warn,
)
from autoglm_doctor.checks.serving_causes import ROOTS, Place, fixes_for, read_place, root_of, roots_for, without_server
from autoglm_doctor.domain.deaths import MEMORY_SHORT, OLD_CPU, slower
from autoglm_doctor.domain.launch_line import line
from autoglm_doctor.finding import Scalar

#: Exit code of a shell or a container whose process was killed by SIGKILL.
_KILLED = 137

#: Kinds of failure that mean: no server. All others are answers that are wrong, and judged as such.
NO_SERVER = ("cannot_run", "died", "not_ready", "doomed", "no_answer", "not_openai")

#: Characters of a log's line that are quoted; the rest is in the evidence.
QUOTED = 200

#: Seconds that a phase must last to be told.
_WORTH_TELLING = 0.05


def quoted(words: str) -> str:
    """A line of a log for the report."""
    plain = words.strip()
    return plain if len(plain) <= QUOTED else f"{plain[: QUOTED - 3]}..."


def is_down(serving: Serving) -> bool:
    """Whether there was no server to judge: it did not start, did not answer at all, or died."""
    failure = serving.failure
    if failure is None:
        return False
    if failure.kind in ("no_answer", "not_openai") and any(a.status == 200 and not a.error for a in serving.asks):
        return False  # it answers others: this one question is what is wrong
    return failure.stage == "start" or failure.kind in NO_SERVER


@check("INF005", "server-starts", cause="SERVER_DOES_NOT_START", required=True, explained_by=ROOTS)
def server_starts(
    serving: Reading[Serving],
    gpus: tuple[Gpu, ...] | None,
    model_files: ModelFiles | None,
    packages: Packages | None,
    environment: Environment | None,
    cuda: Cuda | None,
    memory: Memory | None,
    intent: Intent,
) -> Findings:
    """The command starts a server that answers.

    Everything else in this report is inferred; this is tried. The very command that you mean to run is started on a
    free port of the loopback, its other flags unchanged, and its log is followed until it answers. It is ended again
    after the measurements.

    Red when it ends, when its log says that the start has failed, and when it does not answer in time. The cause is
    told from its words by a table of the error texts of vLLM, SGLang, transformers and llama.cpp, root first; from the
    kernel, which counts the processes that it kills for memory; and else the last line is quoted. Where memory was
    short, the lines that are offered take less by the memory model, which is moved until it agrees with what was seen.
    Another red of this report explains a cause that was told only where it can be the root of it.

    A command that was not run (no weights here, a GPU in use, another final stage) leaves the verdict to the other
    checks. With `--endpoint` there is no start, and only the answer counts. Yellow when something stayed behind that
    could not be removed.

    ## Fix
    With the cause comes its way out. Otherwise run the command by hand and read its whole log:

        YOUR COMMAND 2>&1 | tee server.log
    """
    value = serving.value
    if value is None:
        yield without_server(serving)
        return
    place = read_place(value, intent, gpus, model_files, packages, environment, cuda)
    if is_down(value):
        yield _failure(place, memory)
    elif not value.command:
        said = {"url": value.url, "model": value.model or "its model"}
        yield ok(Text("the server at {url} answers for {model}", said))
    else:
        yield ok(_ready(place), observed=value.start_seconds)
    yield from _leftovers(value)


def _ready(place: Place) -> Text:
    """How long the start took, and where the time went."""
    template, values = _phases(place.serving)
    start = place.serving.start_seconds
    template = "{engine}{version} was ready in {start:s}" + (f": {template}" if template else "")
    version = f" {place.serving.figures.version}" if place.serving.figures.version else ""
    return Text(template, {"engine": place.name, "version": version, "start": start, **values})


def _phases(serving: Serving) -> tuple[str, dict[str, object]]:
    parts: list[str] = []
    values: dict[str, object] = {}
    for at, phase in enumerate(p for p in serving.phases if p.seconds >= _WORTH_TELLING):
        parts.append(f"{{name{at}}} {{time{at}:s}}")
        values |= {f"name{at}": phase.name, f"time{at}": phase.seconds}
    return ", ".join(parts), values


def _failure(place: Place, memory: Memory | None) -> Judgement:
    """The kernel's word first, then the log's, then the manner of the end."""
    found = _starved(place, memory, only_proof=True)
    return found or _recognised(place) or _starved(place, memory, only_proof=False) or _unrecognised(place)


def _starved(place: Place, memory: Memory | None, *, only_proof: bool) -> Judgement | None:
    """Killed for memory: by the kernel's own count, or, as a likely guess, by the signal that it uses."""
    ending = place.serving.ending
    if ending is None:
        return None
    killed = ending.signal == "SIGKILL" or ending.exit_code == _KILLED
    if not (ending.oom_killed if only_proof else killed):
        return None
    limit = memory.cgroup_limit_bytes if memory else None
    said: dict[str, object] = {"limit": limit, "free": memory.available_bytes if memory else None}
    words = "the kernel killed it because main memory ran out"
    if not only_proof:
        words = "it was killed (SIGKILL), which is most often the kernel's doing when main memory runs out"
    if limit is not None:
        words += "; this container may use {limit:GiB}"
    elif memory is not None:
        words += "; {free:GiB} were available before"
    fix = Fix(
        text=Text("give it more main memory: end other programs, raise the limit of the container, or add swap"),
        commands=("free -h", "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory.events"),
        effort="restart",
    )
    return _red(place, words, said, (fix, MEMORY_SHORT), "RAM_TOO_SMALL" if limit is None else "CGROUP_MEMORY_LIMIT")


def _recognised(place: Place) -> Judgement | None:
    """The root in the log, in the words of the table."""
    failure = place.serving.failure
    message = failure.message if failure else ""
    symptom = root_of((*place.serving.log, message), place.serving.engine)
    if symptom is None:
        return None
    said: dict[str, object] = {"meaning": symptom.signature.meaning, "line": quoted(symptom.line)}
    fixes = (*fixes_for(symptom, place), _by_hand(place))
    return _red(place, "{meaning} ({line})", said, fixes, symptom.signature.cause)


def _unrecognised(place: Place) -> Judgement:
    """By the kind of the end alone, with the last line of the log."""
    failure = place.serving.failure or ServingFailure(stage="start", kind="died")
    last = next((words.strip() for words in reversed(place.serving.log) if words.strip()), "")
    said: dict[str, object] = {
        "message": failure.message or "no more is known",
        "last": quoted(last or failure.message),
    }
    by_hand = _by_hand(place)
    if failure.kind == "cannot_run":
        program = place.intent.command[0] if place.intent.command else line(place.intent).split()[0]
        look = Fix(text=Text("install the program, or name it by its whole path"), commands=(f"command -v {program}",))
        return _red(place, "{message}", said, (look, by_hand), "COMMAND_NOT_FOUND")
    if failure.kind == "not_ready":
        return _hangs(place, said, last)
    if failure.kind == "not_openai":
        text = Text("see what answers there; the URL must be that of an OpenAI-compatible server")
        look = Fix(text=text, commands=(f"curl -i {place.serving.url}/v1/models",))
        return _red(
            place, "what answers is no OpenAI-compatible server: {message}", said, (look, by_hand), "NOT_OPENAI"
        )
    if failure.kind == "no_answer":
        look = Fix(text=Text("ask it by hand"), commands=(f"curl -i {place.serving.url}/v1/models",))
        return _red(place, "it does not answer: {message}", said, (look, by_hand), "SERVER_DOES_NOT_ANSWER")
    first = _by_signal(place)
    words = "its last words: {last}" if last or failure.message else "it said nothing"
    return _red(place, words, said, (*first, by_hand), "" if failure.stage == "start" else "SERVER_DIED")


def _by_signal(place: Place) -> tuple[Fix, ...]:
    """What some signals hint at."""
    name = place.serving.ending.signal if place.serving.ending else ""
    return (OLD_CPU,) if name == "SIGILL" else ()


def _hangs(place: Place, said: dict[str, object], last: str) -> Judgement:
    """Not ready in time: the phase that it is in, for how long, and what makes that phase slow."""
    phases = place.serving.phases
    phase = phases[-1] if phases else None
    said |= {"phase": phase.name if phase else "starting", "time": phase.seconds if phase else None}
    said["whole"] = sum(p.seconds for p in phases) if phases else None
    words = "it was not ready after {whole:s}: for {time:s} it has been at the phase '{phase}'"
    words += "; its last words: {last}" if last else ""
    fixes: list[Fix] = []
    cause = "SERVER_NOT_READY"
    if phase is not None and "weights" in phase.name:
        cause = "SLOW_MODEL_STORAGE"
        text = Text("see where the weights lie; a network disk makes every start take as long")
        fixes.append(Fix(text=text, commands=(f"findmnt -T {shlex.quote(place.folder)}",)))
    elif place.intent.gpus_needed > 1:
        text = Text("several GPUs may wait for each other; try without direct transfers between them")
        fixes.append(Fix(text=text, commands=(f"NCCL_P2P_DISABLE=1 NCCL_DEBUG=INFO {line(place.intent)}",)))
    return _red(place, words, said, (*fixes, slower(), _by_hand(place)), cause)


def _by_hand(place: Place) -> Fix:
    """The whole log is not in the report."""
    if not place.serving.command:
        text = Text("read the log of that server, and ask it by hand")
        return Fix(text=text, commands=(f"curl -i {place.serving.url}/v1/models",))
    text = Text("run the command by hand and read its whole log")
    return Fix(text=text, commands=(f"{line(place.intent)} 2>&1 | tee server.log",), effort="setting")


def _red(place: Place, words: str, said: dict[str, object], fixes: tuple[Fix, ...], cause: str) -> Judgement:
    """Red, with how and when it ended in front of the reason."""
    start, about = _manner(place)
    named = cause and cause not in ("SERVER_NOT_READY", "SERVER_DIED", "SLOW_MODEL_STORAGE", "ENGINE_DIED")
    return fail(
        Text(f"{start}: {words}", {**about, **said}),
        fix=fixes,
        cause=cause,
        evidence=_evidence(place),
        explained_by=roots_for(cause) if named else None,
    )


def _manner(place: Place) -> tuple[str, dict[str, object]]:
    serving, failure = place.serving, place.serving.failure
    about: dict[str, object] = {"engine": place.name, "url": serving.url}
    if not serving.command:
        return "the server at {url} gives no answer", about
    about["ended"] = _how(serving)
    if failure is not None and failure.stage != "start":
        return "{engine} started and then failed{ended}", about
    hangs = failure is not None and failure.kind == "not_ready"  # then the reason tells the phase, and how long
    phase = serving.phases[-1].name if serving.phases and not hangs else ""
    about["phase"] = phase
    return "{engine} does not start" + (", it stops at '{phase}'" if phase else "") + "{ended}", about


def _how(serving: Serving) -> str:
    ending = serving.ending
    if ending is None:
        return ""
    return f" (killed by {ending.signal})" if ending.signal else f" (exit code {ending.exit_code})"


def _evidence(place: Place) -> dict[str, Scalar]:
    serving, failure = place.serving, place.serving.failure
    found: dict[str, Scalar] = {
        "stage": failure.stage if failure else "",
        "kind": failure.kind if failure else "",
        "last_lines": "\n".join(serving.log[-5:])[:1500],
    }
    if serving.ending is not None:
        found |= {
            "exit_code": serving.ending.exit_code,
            "signal": serving.ending.signal,
            "killed_for_memory": serving.ending.oom_killed,
        }
    return found


def _leftovers(serving: Serving) -> Iterator[Judgement]:
    """What stayed behind and could not be removed."""
    if not serving.leftovers:
        return
    commands = []
    for one in serving.leftovers[:8]:
        kind, _, rest = one.partition(" ")
        commands.append(f"kill -9 {rest}" if kind == "process" and rest.isdigit() else f"rm -r {shlex.quote(one)}")
    said = {"what": ", ".join(serving.leftovers[:8])}
    fix = Fix(text=Text("end and remove it by hand"), commands=tuple(commands), reversible=False)
    words = "the server left behind what could not be removed: {what}"
    yield warn(Text(words, said), subject="leftovers", cause="SERVER_LEFT_SOMETHING", fix=fix)
