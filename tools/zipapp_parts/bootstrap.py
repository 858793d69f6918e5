"""Runs the doctor out of its zipapp, and leaves nothing behind.

The doctor cannot run from inside a zip: it starts its probes from files beside its own, and psutil is compiled. So its
own package and psutil are unpacked into a scratch folder (some 130 files), while the other packages, pure Python, are
imported from the zip itself: unpacking all 800 files took longer than the whole check.

Two processes: a fork runs the doctor, and this one waits and then removes the folder. In one process alone the folder
would stay whenever the doctor ends without unwinding: a signal before its own handlers stand, `os._exit`, a crash. A
fork and not a new interpreter, since that would have to be told `sys.path` by PYTHONPATH or arguments, and the
environment must reach the probes as it is.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
import zipfile

ARCHIVE = os.path.dirname(os.path.abspath(__file__))  # absolute, since probes run in other folders

#: Signals that end a program; the doctor itself decides what they mean to it.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)

#: How long killed probes may go on writing into the folder (the nursery gives its children 0.3 s).
SETTLE_SECONDS = 2.0

USAGE = 2  # exit code


def main() -> None:
    """Run the doctor and exit with its code."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*ENDING, signal.SIGCHLD})  # wait_for takes them one by one
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # some who start us ignore it, and there would be no exit code
    scratch = unpacked()
    asked = signal.sigpending() & {*ENDING}
    if asked:  # Ctrl-C while unpacking: nobody else will hear of it
        remove(scratch)
        sys.exit(128 + min(asked))
    child = os.fork()
    if child:
        code = wait_for(child)
        remove(scratch)
        sys.exit(code)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    # In place of the archive, and before the packages of this interpreter's environment.
    sys.path[:1] = [f"{scratch}/app", f"{scratch}/{native()}", f"{ARCHIVE}/lib"]
    from autoglm_doctor.__main__ import main as doctor

    doctor()


def unpacked() -> str:
    """A scratch folder with what cannot stay in the zip, in the first place that takes it."""
    tried = []
    for place in places():
        scratch = ""
        try:
            scratch = tempfile.mkdtemp(prefix="autoglm-doctor-zip-", dir=place)
            unpack(scratch)
            return scratch
        except OSError as error:
            remove(scratch)
            tried.append(f"{place} ({error.strerror or error})")
    sys.stderr.write(
        f"autoglm-doctor: no folder to unpack into, tried {', '.join(tried)}; "
        f"name one with some MB of room, not mounted noexec: TMPDIR=FOLDER python3 {sys.argv[0]} ...\n"
    )
    sys.exit(USAGE)


def places() -> list[str]:
    """The user's choice, the usual ones, and what is writable in a container with a read-only root."""
    named = [os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP")]
    usual = ["/tmp", "/var/tmp", "/dev/shm"]
    owned = [os.environ.get(name) for name in ("XDG_RUNTIME_DIR", "HOME")]
    return list(dict.fromkeys(os.path.abspath(place) for place in (*named, *usual, *owned) if place))


def native() -> str:
    """The folder of what is compiled for this kind of machine."""
    return f"native/{platform.machine()}"


def unpack(scratch: str) -> None:
    """The doctor's own package, and what is compiled.

    Raises:
        OSError: no room, or no place for compiled libraries.
    """
    if os.statvfs(scratch).f_flag & os.ST_NOEXEC:
        raise OSError("mounted noexec")
    with zipfile.ZipFile(ARCHIVE) as archive:
        wanted = [name for name in archive.namelist() if name.startswith(("app/", f"{native()}/"))]
        archive.extractall(scratch, wanted)


def wait_for(child: int) -> int:
    """The child's exit code (128 + N for signal N). Signals that were sent to this process are passed on.

    Ctrl-C is not: the kernel sends it to every process of the terminal's foreground group, so the child has it already,
    and a second one would mean more than the first.
    """
    while True:
        got = signal.sigwaitinfo({*ENDING, signal.SIGCHLD})
        if got.si_signo != signal.SIGCHLD:
            if got.si_code <= 0:  # by a process (SI_USER, SI_QUEUE, SI_TKILL); the kernel's own codes are positive
                os.kill(child, got.si_signo)
            continue
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def remove(scratch: str) -> None:
    """Remove the folder, again while something dying still writes into it."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while os.path.exists(scratch) and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            shutil.rmtree(scratch)
            return
        time.sleep(0.01)
