"""How a child of the doctor ended, from the sentence of its reading, and what each end hints at."""

from __future__ import annotations

import re
import shlex
from typing import Any

from autoglm_doctor.facts import Reading
from autoglm_doctor.finding import Fix, Text

#: Last words of a script of ours whose answer could not be written.
OURS = "the doctor's scratch folder"

#: Lacks of this machine or of our shell that keep any program from running, as Linux and Python word them. Where the
#: nursery starts a program, the number of the error is lost and only its words arrive.
SHORTAGES = (
    "Cannot allocate memory",
    "MemoryError",
    "No space left on device",
    "Disk quota exceeded",
    "Too many open files",
    "Resource temporarily unavailable",
    OURS,
)

#: Files of the doctor: its scratch folder, and its script in the package that it is copied from.
_OUR_FILES = re.compile(r"/autoglm-doctor-[^/\s']+/|/probes/target/\w+\.py")

#: Sent by people and by the managers of jobs; no program dies of them by itself.
_STOPPED = re.compile(r"killed by SIG(?:TERM|HUP|INT|QUIT)\b")

#: The kernel kills who asks for too much; a limit of the shell or the container makes Python raise MemoryError.
MEMORY_SHORT = Fix(
    text=Text("look whether memory ran out (of a container, on its host); free some, or raise the limit"),
    commands=("free -m", "ulimit -v", "sudo dmesg | grep -i -E 'out of memory|oom' | tail"),
    effort="restart",
    needs_root=True,
)

#: Crashes of this kind are the hardware's, whatever was running.
OLD_CPU = Fix(
    text=Text("this CPU, or the virtual machine, lacks instructions (AVX) that torch uses: look for them"),
    commands=("lscpu | grep -i -o -w -E 'avx|avx2|avx512f'",),
    effort="hardware",
)


def has_died(reading: Reading[Any]) -> bool:
    """Did the program itself crash, hang or leave? Not when somebody stopped it, or when it was never started."""
    if reading.outcome == "timeout":
        return True
    ended = "killed by" in reading.why or "exit code" in reading.why
    return reading.outcome == "failed" and ended and not is_stopped(reading.why) and not is_ours(reading.why)


def is_stopped(why: str) -> bool:
    """Was it ended by a signal that somebody sent?"""
    return _STOPPED.search(why) is not None


def is_ours(why: str, program: str = "") -> bool:
    """Does the sentence speak of a lack of this machine, or of a file of the doctor, and not of the program?"""
    others = why.replace(program, "") if program else why  # a program may lie in a folder of any name
    return any(words in others for words in SHORTAGES) or _OUR_FILES.search(others) is not None


def how(reading: Reading[Any]) -> str:
    """The manner of a death, for a sentence."""
    if reading.outcome == "timeout":
        return "hangs"
    return "crashes" if "killed by" in reading.why else "ends the interpreter"


def slower() -> Fix:
    """More time, for what is only slow: a cold network disk, a busy machine."""
    text = Text("if the disk or the machine is merely slow, give it more time")
    return Fix(text=text, commands=("autoglm-doctor check --timeout 3",), effort="flag")


def where_it_hangs(python: str | None, statement: str) -> Fix:
    """Python says by itself what it was importing when it was stopped."""
    text = Text("see where it hangs: the last lines name the module")
    program = shlex.quote(python or "python3")
    command = f"timeout --signal=ABRT 90 {program} -X faulthandler -v -c '{statement}' 2>&1 | tail -n 40"
    return Fix(text=text, commands=(command,), effort="setting")
