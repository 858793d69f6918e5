"""LIM: how many files and processes a server may have."""

from __future__ import annotations

from packaging.version import Version

from autoglm_doctor.api import (
    Findings,
    Fix,
    Host,
    Intent,
    Judgement,
    Packages,
    Text,
    Threshold,
    check,
    not_applicable,
    ok,
    unknown,
    warn,
)
from autoglm_doctor.domain.builds import release_of
from autoglm_doctor.domain.deployment import engine_version

#: What the engines' servers set for themselves, where the hard limit lets them (set_ulimit in both).
RAISED = 65535
#: The first vLLM whose server does (not in the wheel of 0.6.5, in that of 0.6.6), and SGLang (its pull request 647).
RAISES = {"vllm": Version("0.6.6"), "sglang": Version("0.2")}
#: With the usual 1,024 eight workers came to an end in vLLM 0.6.4 (pytorch issue 137695).
FILES, MANY = 1024, 8
PROCESSES = 1024
_ONLY_PROCESSES = "limit of processes leaves"


@check("LIM003", "open-files", cause="NOFILE_LIMIT_LOW", explained_by=("HST001",))
def open_files_enough(host: Host, packages: Packages | None, intent: Intent) -> Findings:
    """The server may open enough files and start enough processes for its workers.

    Every worker opens sockets and shared memory to every other one. With the usual limit of 1,024 open files
    (RLIMIT_NOFILE, `ulimit -n`) eight workers can end with "Too many open files" or without a word. The servers of
    vLLM from 0.6.6 on and of SGLang raise the limit for themselves to 65,535, which only works where the hard limit
    lets them; so 1,024 alone, the default of most systems, is no fault with them. Threads count against the limit of
    processes (RLIMIT_NPROC, `ulimit -u`), but for root: "can't start new thread", "pthread_create failed".

    Yellow for 1,024 open files or less with 8 GPUs or more, where the engine cannot raise it, and for 1,024 processes
    or less with 2 GPUs or more. The latter is our own number.

    ## Fix

    `--ulimit nofile=65535:65535` for a container, limits.conf for a login, LimitNOFILE for a service.
    """
    ranks, files = intent.gpus_needed, host.open_files
    version = engine_version(packages, intent)
    if host.system != "Linux" or ranks < 2 or (files is None and host.processes is None):
        yield not_applicable(Text("no limit is known here that could end several workers"))
        return
    few = host.processes is not None and 0 <= host.processes <= PROCESSES
    low = ranks >= MANY and files is not None and _stays(files, version, intent)
    if not (few or low):
        yield _not_low(host, files, version, intent)
        return
    limit = host.processes if few else (files or (0, 0))[0]
    words = "{limit} {what} are too few for {n} workers of {engine}"
    what = "processes and threads" if few else "open files"
    yield warn(
        Text(words, {"limit": limit, "what": what, "n": ranks, "engine": intent.engine}),
        fix=_fix(host, "nproc" if few else "nofile"),
        observed=limit,
        expected=RAISED,
        threshold=Threshold(
            value=PROCESSES if few else FILES,
            unit=what,
            source="our own number" if few else "https://github.com/pytorch/pytorch/issues/137695",
        ),
    )


def _not_low(host: Host, files: tuple[int, int] | None, version: str | None, intent: Intent) -> Judgement:
    """Green for what was read alone."""
    ranks = intent.gpus_needed
    if (
        ranks >= MANY
        and files is not None
        and 0 <= files[0] <= FILES
        and files[1] == 0
        and not _raises(version, intent)
    ):
        words = "{limit} open files, and whether {engine} of this release may raise that for itself is not known"
        return unknown(Text(words, {"limit": files[0], "engine": intent.engine}))
    both = files is not None and host.processes is not None
    what = "limits of files and processes leave" if both else "limit of files leaves" if files else _ONLY_PROCESSES
    words = f"the {what} room for {{n}} workers"
    return ok(Text(words, {"n": ranks}), observed=files[0] if files else host.processes)


def _raises(version: str | None, intent: Intent) -> bool:
    first, found = RAISES.get(intent.engine), release_of(version)
    return first is not None and found is not None and found >= first


def _stays(files: tuple[int, int], version: str | None, intent: Intent) -> bool:
    """Whether the limit is low and stays so. A hard limit that is not known (0) is taken for high, as it mostly is."""
    soft, hard = files
    if not 0 <= soft <= FILES:
        return False
    if 0 < hard < RAISED:
        return True  # setrlimit() refuses the whole of what the engine asks for
    first, found = RAISES.get(intent.engine), release_of(version)
    return first is not None and found is not None and found < first


def _fix(host: Host, name: str) -> Fix:
    if host.container and host.container != "kubernetes":
        program = "podman" if host.container == "podman" else "docker"
        line = f"{program} run --gpus all --ulimit {name}={RAISED}:{RAISED} IMAGE"
        return Fix(text=Text("start the container with a higher limit"), commands=(line,), effort="restart")
    # "*" does not mean root (limits.conf(5)), and a hard line would lower a limit that is higher.
    hard = host.open_files[1] if name == "nofile" and host.open_files else 0
    kind = "-" if 0 < hard < RAISED else "soft"
    lines = rf"printf '%s {kind} {name} {RAISED}\n' '*' root"
    show = "ulimit -Hn" if name == "nofile" else "ulimit -Hu"
    return Fix(
        text=Text("raise it for logins, then log in again"),
        commands=(show, f"{lines} | sudo tee /etc/security/limits.d/90-{name}.conf"),
        effort="restart",
        needs_root=True,
    )
