"""The zipapp: it looks at the same environment as an installed doctor, and cleans up however it ends."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.packaging.ways import find_python

pytestmark = pytest.mark.slow

QUICK = ("--final-stage", "none", "--model", "smoke", "--device", "cpu", "--no-disk-write")


@pytest.fixture
def archive(make_zipapp: Callable[[], Path]) -> str:
    return str(make_zipapp())


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """A folder for TMPDIR, which must be empty at the end."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    yield folder
    assert list(folder.iterdir()) == []


def run(command: list[str], **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, env={**os.environ, **environ}, check=False
    )


def test_what_is_judged_is_the_same_as_installed(archive: str, scratch: Path, tmp_path: Path) -> None:
    """With an environment that the doctor's own start could spoil."""
    environ = {"PYTHONPATH": str(tmp_path / "code"), "VIRTUAL_ENV": sys.prefix, "TMPDIR": str(scratch)}
    words = ["check", *QUICK, "--format", "json", "--no-redact"]
    zipped = run([sys.executable, archive, *words], **environ)
    plain = run([sys.executable, "-m", "autoglm_doctor", *words], **environ)
    assert "autoglm-doctor-zip" not in zipped.stdout
    first, second = (json.loads(done.stdout) for done in (zipped, plain))
    for fact in ("environment", "interpreter", "packages"):
        assert _value(first, fact) == _value(second, fact), fact
    # Without the texts, which hold figures that move.
    assert [(r["code"], r["status"]) for r in first["results"]] == [(r["code"], r["status"]) for r in second["results"]]


def _value(report: dict[str, Any], fact: str) -> Any:
    reading = report["facts"][fact]
    assert reading["outcome"] == "known"
    return reading["value"]


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["explain", "VRM003"], ["list"], ["check", "--nonsense"]])
def test_every_command_gives_what_the_installed_one_gives(words: list[str], archive: str, scratch: Path) -> None:
    zipped = run([sys.executable, archive, *words], TMPDIR=str(scratch))
    plain = run([sys.executable, "-m", "autoglm_doctor", *words])
    assert zipped.returncode == plain.returncode
    assert zipped.stdout.replace("autoglm-doctor.pyz", "python -m autoglm_doctor").split() == plain.stdout.split()


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.9"])
def test_an_old_python_gives_one_sentence(version: str, archive: str, scratch: Path) -> None:
    done = run([find_python(version), archive, "check"], TMPDIR=str(scratch))
    assert done.returncode == 2
    assert done.stderr.startswith(f"autoglm-doctor: Python 3.10 or newer is needed, this is {version} ")
    assert done.stderr.count("\n") == 1


def test_nothing_compiled_is_imported_from_the_zip(archive: str) -> None:
    names = zipfile.ZipFile(archive).namelist()
    compiled = {name.split("/")[0] for name in names if ".so" in Path(name).name}
    assert compiled == {"native"}
    assert not [name for name in names if name.startswith(("lib/checks", "app/checks", "checks", "lib/pydantic"))]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param("noexec", "mounted noexec", id="noexec"),
        pytest.param("ro", "Read-only file system", id="read-only"),
        pytest.param("size=64k", "No space left on device", id="full"),
    ],
)
def test_no_place_to_unpack_gives_one_sentence(options: str, said: str, archive: str, tmp_path: Path) -> None:
    """In a mount namespace of our own, where all the usual places are like that."""
    if run(["unshare", "-Urm", "true"]).returncode:
        pytest.skip("no right to mount anything here")
    mounts = "; ".join(f"mount -t tmpfs -o {options} none {place}" for place in ("/tmp", "/var/tmp", "/dev/shm"))
    # By a descriptor: the mount hides the file itself; and a Python that lies elsewhere, as an environment may not.
    python = f"{sys.base_prefix}/bin/python3.{sys.version_info[1]}"
    line = f"exec 3<{archive}; {mounts}; exec {python} /proc/self/fd/3 check"
    done = run(["unshare", "-Urm", "sh", "-c", line], TMPDIR="", HOME="", XDG_RUNTIME_DIR="")
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in done.stderr
    assert "TMPDIR=" in done.stderr
    assert done.stderr.count("\n") == 1


# --- ending it in the middle -------------------------------------------------------------------------------------


@pytest.fixture
def sleeper(tmp_path: Path) -> Path:
    """A "Python" of the deployment that says that it was started and then hangs."""
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n: > {tmp_path}/started\nexec sleep 30\n")
    python.chmod(0o755)
    return python


def hanging(archive: str, sleeper: Path) -> list[str]:
    out = str(sleeper.parent / "report.json")
    return [sys.executable, archive, "check", *QUICK, "--python", str(sleeper), "--format", "json", "--out", out]


def wait_for_start(sleeper: Path) -> None:
    deadline = time.monotonic() + 20
    while not (sleeper.parent / "started").exists():
        assert time.monotonic() < deadline, "the probe was never started"
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
def test_a_signal_to_the_first_process_ends_both(number: int, archive: str, scratch: Path, sleeper: Path) -> None:
    """What `kill`, systemd and `timeout --foreground` do."""
    started = subprocess.Popen(hanging(archive, sleeper), env={**os.environ, "TMPDIR": str(scratch)})
    wait_for_start(sleeper)
    started.send_signal(number)
    assert started.wait(15) == 130
    assert json.loads((sleeper.parent / "report.json").read_text())["verdict"]["exit_code"] == 130


def test_ctrl_c_in_a_terminal_counts_once(archive: str, scratch: Path, sleeper: Path) -> None:
    """The kernel gives it to both processes; passed on once more, it would be the second one that cuts the report."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, hanging(archive, sleeper), {**os.environ, "TMPDIR": str(scratch)})
    wait_for_start(sleeper)
    os.write(terminal, b"\x03")
    assert _code(pid, terminal) == 130
    assert json.loads((sleeper.parent / "report.json").read_text())["verdict"]["exit_code"] == 130


def _code(pid: int, terminal: int) -> int:
    deadline = time.monotonic() + 15
    os.set_blocking(terminal, False)
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            os.close(terminal)
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    raise AssertionError("it does not end")


def test_a_killed_doctor_is_cleaned_up_after(archive: str, scratch: Path, sleeper: Path) -> None:
    """As by the kernel when memory runs out. The scratch folder of the killed one itself stays, and only that."""
    started = subprocess.Popen(hanging(archive, sleeper), env={**os.environ, "TMPDIR": str(scratch)})
    wait_for_start(sleeper)
    [doctor] = Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split()
    os.kill(int(doctor), signal.SIGKILL)
    assert started.wait(15) == 128 + signal.SIGKILL
    left = list(scratch.iterdir())
    assert [path.name for path in left if "-zip-" in path.name] == []
    for path in left:
        subprocess.run(["rm", "-r", str(path)], check=True)


def test_a_caller_that_ignores_its_children(archive: str, scratch: Path) -> None:
    """Ignored SIGCHLD is inherited, and would take the exit code away."""
    done = subprocess.run(
        [sys.executable, archive, "check", "--nonsense"],
        env={**os.environ, "TMPDIR": str(scratch)},
        capture_output=True,
        timeout=30,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN),
    )
    assert done.returncode == 2
