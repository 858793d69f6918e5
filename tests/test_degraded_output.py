"""Where the report goes may be ill as well: closed, full, narrow, without an encoding, without anybody who reads."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.machine import can_mount

FOLDER = Path(__file__).parent / "machines"
FITS = str(FOLDER / "4090-small-model.json")
FAILS = str(FOLDER / "4090-autoglm-documented-flags.json")
DOCTOR = f"{sys.executable} -m autoglm_doctor"
CHECK = f"{DOCTOR} check --final-stage none --facts"


def shell(line: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[bytes]:
    """A line of bash; `$?` of the doctor is its exit code."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        capture_output=True,
        cwd=cwd,
        env={**os.environ, **environ},
        timeout=60,
        check=False,
    )


@dataclass(frozen=True, kw_only=True)
class Case:
    """A line, the exit code of the doctor in it, and what must be read where."""

    line: str
    code: int
    out: str = ""
    err: str = ""
    environ: tuple[tuple[str, str], ...] = ()


CASES = {
    "a reader that goes away, all is well": Case(line=f"{CHECK} {FITS} | head -1", code=0, out="autoglm-doctor"),
    "a reader that goes away, a check failed": Case(line=f"{CHECK} {FAILS} | head -1", code=1, out="autoglm-doctor"),
    "nobody ever reads": Case(line=f"{CHECK} {FAILS} | true", code=1),
    "a reader of JSON that goes away": Case(line=f"{CHECK} {FAILS} --format json | head -c 10", code=1, out="{"),
    "standard output is closed": Case(line=f"{CHECK} {FAILS} >&-", code=1),
    "standard error is closed": Case(line=f"{CHECK} {FAILS} 2>&-", code=1, out="Verdict: not ready"),
    "standard input is closed": Case(line=f"{CHECK} {FAILS} <&-", code=1, out="Verdict: not ready"),
    "all three are closed": Case(line=f"{CHECK} {FAILS} <&- >&- 2>&-", code=1),
    "standard output is a full disk": Case(line=f"{CHECK} {FITS} >/dev/full", code=2, err="No space left on device"),
    "standard error is a full disk": Case(line=f"{CHECK} {FITS} 2>/dev/full", code=0, out="Verdict: READY"),
    "both are full": Case(line=f"{CHECK} {FITS} >/dev/full 2>&1", code=2),
    "wrong usage with a full standard error": Case(line=f"{CHECK} {FITS} --bogus 2>/dev/full", code=2),
    "a list on a full disk": Case(line=f"{DOCTOR} list >/dev/full", code=2, err="No space left on device"),
    "help on a full disk": Case(line=f"{DOCTOR} --help >/dev/full", code=2),
    "the version on a full disk": Case(line=f"{DOCTOR} --version >/dev/full", code=2),
    "a list whose reader goes away": Case(line=f"{DOCTOR} list | head -1", code=0, out="CFG001"),
    "a page whose reader goes away": Case(line=f"{DOCTOR} explain VRM003 | head -1", code=0),
    "--out on a full disk": Case(
        line=f"{CHECK} {FITS} --out /dev/full", code=2, out="Verdict: READY", err="the report was printed instead"
    ),
    "--save-facts on a full disk": Case(
        line=f"{CHECK} {FITS} --save-facts /dev/full", code=2, out="Verdict: READY", err="--save-facts"
    ),
    "--save-facts into a folder that is none": Case(
        line=f"{CHECK} {FITS} --save-facts {FITS}/x", code=2, err="there is no folder"
    ),
    "a name that is no UTF-8 on a screen": Case(
        line=f"{CHECK} {FITS} -- vllm serve $'/srv/\\xff\\xfe'", code=0, out="/srv/??"
    ),
    "a name that is no UTF-8 in JSON": Case(
        line=f"{CHECK} {FITS} --format json -- vllm serve $'/srv/\\xff\\xfe'", code=0, out="\\udcff"
    ),
    "ASCII": Case(
        line=f"{CHECK} {FITS} -- vllm serve /srv/模型", code=0, out="/srv/??", environ=(("PYTHONIOENCODING", "ascii"),)
    ),
    "GBK, as on a Chinese Windows": Case(
        line=f"{CHECK} {FITS} -- vllm serve /srv/模型é", code=0, environ=(("PYTHONIOENCODING", "gbk"),)
    ),
    "the C locale": Case(
        line=f"{CHECK} {FITS} -- vllm serve /srv/模型",
        code=0,
        out="Verdict: READY",
        environ=(("LC_ALL", "C"), ("PYTHONUTF8", "0"), ("PYTHONCOERCECLOCALE", "0")),
    ),
    "a removed working folder": Case(
        line=f"mkdir gone; cd gone; rmdir ../gone; {CHECK} {FITS}", code=0, out="Verdict: READY"
    ),
    "docstrings are dropped": Case(
        line=f"{DOCTOR} explain VRM003", code=0, out="Fix", environ=(("PYTHONOPTIMIZE", "2"),)
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_an_ill_console(case: Case, tmp_path: Path) -> None:
    done = shell(case.line, tmp_path, **dict(case.environ))
    out, err = done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
    assert done.returncode == case.code, out + err
    assert case.out in out
    assert case.err in err
    assert not re.search("Traceback|Exception ignored|internal error", out + err)
    assert list(tmp_path.iterdir()) == []


def test_out_on_a_full_disk_leaves_no_half_a_report(tmp_path: Path) -> None:
    if not can_mount():
        pytest.skip("this user may not have a mount namespace")
    mount = f"mount -t tmpfs -o size=4k none {tmp_path}"
    check = f"{CHECK} {FITS} --format json --out {tmp_path}/report.json"
    done = shell(f"unshare -rm sh -c '{mount} && {check}; code=$?; ls {tmp_path}; exit $code'", Path("/"))
    assert done.returncode == 2
    assert b'"status": "ready"' in done.stdout
    assert b"report.json" not in done.stdout
    assert b"No space left on device" in done.stderr


def test_a_file_that_is_there_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    if not can_mount():
        pytest.skip("this user may not have a mount namespace")
    mount = (
        f"mount -t tmpfs -o size=12k none {tmp_path} && echo old > {tmp_path}/r.json && echo old > {tmp_path}/f.json"
    )
    check = f"{CHECK} {FITS} --format json --out {tmp_path}/r.json --save-facts {tmp_path}/f.json >/dev/null"
    done = shell(f"unshare -rm sh -c '{mount} && {check}; cat {tmp_path}/*; ls -A {tmp_path}'", Path("/"))
    assert done.stdout.split() == [b"old", b"old", b"f.json", b"r.json"]
    assert b"--out" in done.stderr
    assert b"--save-facts" in done.stderr


def test_out_keeps_rights_and_links(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "real").chmod(0o640)
    (tmp_path / "link").symlink_to("real")
    assert shell(f"umask 027; {CHECK} {FITS} --out link; {CHECK} {FITS} --out new", tmp_path).returncode == 0
    assert (tmp_path / "link").is_symlink()
    assert "READY" in (tmp_path / "real").read_text()
    assert [(tmp_path / n).stat().st_mode & 0o777 for n in ("real", "new")] == [0o640, 0o640]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "new", "real"]


def test_no_place_for_scratch_files_is_one_line(tmp_path: Path) -> None:
    """A limit of zero on the size of files: nothing can be written anywhere."""
    done = shell(f"ulimit -f 0; {DOCTOR} check --final-stage none", tmp_path)
    assert done.returncode == 2
    [line] = done.stderr.decode().splitlines()
    assert "TMPDIR=" in line
    assert done.stdout == b""


def test_the_reading_is_saved_although_the_report_cannot_be_written(tmp_path: Path) -> None:
    saved = tmp_path / "node.json"
    done = shell(f"{CHECK} {FITS} --save-facts {saved} >/dev/full", tmp_path)
    assert done.returncode == 2
    assert json.loads(saved.read_text())["facts"]["driver"]["outcome"] == "known"


def on_terminal(columns: int, *words: str, **environ: str) -> tuple[int, str]:
    """Exit code and what a terminal of this width gets, stdout and stderr together."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES", "TERM")}
    child = subprocess.Popen(
        [sys.executable, "-m", "autoglm_doctor", *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**kept, **environ},
        start_new_session=True,
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not data:
            break
        seen += data
    os.close(ours)
    return child.wait(timeout=30), seen.decode().replace("\r\n", "\n")


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)


@pytest.mark.parametrize("columns", [1, 20, 40, 80, 200])
def test_any_width(columns: int) -> None:
    """Prose keeps within the width (40 at least), and commands stay whole to be copied."""
    code, seen = on_terminal(columns, "check", "--final-stage", "none", "--facts", FAILS, TERM="xterm-256color")
    assert code == 1
    lines = plain(seen).splitlines()
    commands = [line for line in lines if line.startswith("    python3 -m vllm")]
    assert commands
    assert all("--model zai-org/AutoGLM-Phone-9B --port 8000" in line for line in commands)
    assert all(len(line) <= max(columns, 40) for line in lines if not line.startswith("    "))
    assert "\x1b[" in seen


@pytest.mark.parametrize(
    ("environ", "escapes"),
    [
        pytest.param({"TERM": "xterm-256color"}, True, id="a colour terminal"),
        pytest.param({"TERM": "dumb"}, False, id="a dumb terminal"),
        pytest.param({}, False, id="no word on the terminal"),
        pytest.param({"TERM": "xterm", "NO_COLOR": "1"}, False, id="no colour wanted"),
    ],
)
def test_escapes_only_where_they_are_understood(environ: dict[str, str], escapes: bool) -> None:
    code, seen = on_terminal(80, "check", "--final-stage", "none", "--facts", FITS, **environ)
    assert code == 0
    assert ("\x1b" in seen) == escapes


def test_progress_is_wiped_from_a_terminal() -> None:
    """While the probes run there is one line, rewritten; a dumb terminal sees none of it."""
    words = ("check", "--final-stage", "none", "--select", "HST", "--device", "cpu")
    _, seen = on_terminal(60, *words, TERM="xterm")
    assert "\r\x1b[2K[" in seen
    assert all(len(line) < 60 for line in re.findall(r"\x1b\[2K([^\r\n\x1b]*)", seen))
    _, dumb = on_terminal(60, *words, TERM="dumb")
    assert "\x1b" not in dumb
    assert "reading the machine" not in dumb
