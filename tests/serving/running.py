"""Runs of the doctor with a server after `--`: in a place of their own, so that what is left behind shows."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.faults.machine import MARK
from tests.faults.running import running

REPOSITORY = Path(__file__).parents[2]
SERVING = Path(os.environ.get("AUTOGLM_DOCTOR_SERVING", REPOSITORY / ".venv" / "serving"))
TRANSFORMERS = SERVING / "bin" / "transformers"
LLAMA_SERVER = SERVING / "bin" / "llama-server"

#: Nothing may take longer; a run that does is killed and fails its test.
HARD_LIMIT_SECONDS = 120

WORST_FIRST = ("fail", "error", "unknown", "warn", "skipped", "not_applicable", "pass")


def why_without(program: Path) -> str:
    """Why there is no such server here; "" when there is."""
    return "" if program.exists() else f"needs {program.name}: `make serving`"


@dataclass
class Place:
    """Folders for one run, and its environment; nothing but the named files may stay in it."""

    root: Path
    environ: dict[str, str] = field(init=False)
    holders: list[socket.socket] = field(default_factory=list)  # of ports that must stay taken

    def __post_init__(self) -> None:
        for name in ("home", "t", "cwd", "programs"):
            (self.root / name).mkdir(parents=True)
        kept = ("PATH", "LANG", "LD_LIBRARY_PATH")
        self.environ = {name: os.environ[name] for name in kept if name in os.environ} | {
            "HOME": str(self.root / "home"),
            "TMPDIR": str(self.root / "t"),
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",  # two would wait for each other on a machine that does something else as well
            MARK: uuid.uuid4().hex,
        }

    def program(self, name: str, text: str) -> Path:
        """A script that is found on PATH before all others."""
        path = self.root / "programs" / name
        path.write_text(text)
        path.chmod(0o755)
        self.environ["PATH"] = f"{path.parent}{os.pathsep}{os.environ['PATH']}"
        return path


@dataclass(frozen=True)
class Run:
    """How a run ended."""

    code: int
    out: str
    err: str
    left: tuple[str, ...]

    @property
    def report(self) -> dict[str, Any]:
        """The JSON report."""
        assert self.out.startswith("{"), (self.code, self.out[:2000], self.err[-2000:])
        return dict(json.loads(self.out))

    @property
    def serving(self) -> dict[str, Any]:
        """The fact that the stage gave."""
        reading = self.report["facts"]["serving"]
        assert reading["value"] is not None, reading
        return dict(reading["value"])

    def finding(self, code: str) -> dict[str, Any]:
        """The worst result of one check."""
        results = [r for r in self.report["results"] if r["code"] == code]
        assert results, f"no result of {code}"
        return dict(min(results, key=lambda r: WORST_FIRST.index(r["status"])))

    @property
    def reds(self) -> list[str]:
        """The checks that say red, and why: for the words of a failed assertion too."""
        red = [r for r in self.report["results"] if r["status"] in ("fail", "error")]
        return [f"{r['code']} {r.get('cause')}: {r['text']}" for r in red]


def start(place: Place, words: Sequence[str], options: Sequence[str] = ()) -> subprocess.Popen[bytes]:
    """Start the doctor with a server's command line."""
    doctor = [sys.executable, "-m", "autoglm_doctor", "check", "--final-stage", "command", "--format", "json"]
    return subprocess.Popen(
        [*doctor, *options, "--", *words],
        env=place.environ,
        cwd=place.root / "cwd",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # signals of a test are for it alone
    )


def check(place: Place, words: Sequence[str], *options: str) -> Run:
    """Run it to its end."""
    before = snapshot(place)
    return finish(place, start(place, words, options), before)


def finish(place: Place, child: subprocess.Popen[bytes], before: frozenset[str]) -> Run:
    try:
        out, err = (text.decode("utf-8", "replace") for text in child.communicate(timeout=HARD_LIMIT_SECONDS))
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        raise
    left = (*running(place.environ[MARK]), *sorted(snapshot(place) - before))
    return Run(child.returncode, out, err, left)


def snapshot(place: Place) -> frozenset[str]:
    """The scratch files, and what lies in shared memory under our name."""
    files = [str(path) for path in (place.root / "t").rglob("*")]
    return frozenset([*files, *(f"/dev/shm/{name}" for name in os.listdir("/dev/shm") if "autoglm" in name)])


def interrupt_at(
    place: Place, words: Sequence[str], moment: Callable[[Place], bool], number: int = signal.SIGINT
) -> Run:
    """Send the doctor a signal at a moment that is told by what can be seen from outside."""
    before = snapshot(place)
    child = start(place, words)
    deadline = time.monotonic() + HARD_LIMIT_SECONDS
    while not moment(place):
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child.send_signal(number)
    return finish(place, child, before)


def answers(url: str) -> bool:
    """Whether anybody listens there."""
    parts = urlsplit(url)
    with socket.socket() as connection:
        connection.settimeout(1)
        return connection.connect_ex((parts.hostname or "", parts.port or 0)) == 0


def copy_of(folder: Path, place: Place, damage: Callable[[Path], None] | None = None) -> Path:
    """A folder or a file to damage."""
    target = place.root / folder.name
    if folder.is_dir():
        shutil.copytree(folder, target)
    else:
        shutil.copy(folder, target)
    if damage:
        damage(target)
    return target
