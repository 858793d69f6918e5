"""A bug of ours: one line, a log that can be pasted, exit code 70. Faults are put into a copy of the package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent
FITS = CHECKOUT / "tests/machines/4090-small-model.json"
SECRET = "hf_abcdefghijklmnopqrstuvwxyz012345"
LINE = ["check", "--facts", str(FITS), "--final-stage", "none", "--", "vllm", "serve", "m", "--api-key", SECRET]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package with a bug where the verdict is made."""
    root = tmp_path_factory.mktemp("buggy")
    for name in ("autoglm_doctor", "checks"):
        shutil.copytree(CHECKOUT / name, root / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(CHECKOUT / "compat_matrix.yaml", root)
    verdict = root / "autoglm_doctor" / "verdict.py"
    broken = f'raise ZeroDivisionError("{SECRET} at " + str(intent.command))'
    verdict.write_text(verdict.read_text().replace("    causes = rank(findings)\n", f"    {broken}\n"))
    assert broken in verdict.read_text()
    return root


def buggy(
    copy: Path, cwd: Path, *words: str, wrap: tuple[str, ...] = (), **environ: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*wrap, sys.executable, str(copy / "autoglm_doctor"), *words],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **environ},
        timeout=60,
        check=False,
    )


def test_a_bug_costs_one_line_and_leaves_a_log(copy: Path, tmp_path: Path) -> None:
    done = buggy(copy, tmp_path, *LINE, TMPDIR=str(tmp_path))
    assert (done.returncode, done.stdout) == (70, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("autoglm-doctor: internal error (ZeroDivisionError")
    found = re.search(r"please report it with (\S+)$", line)
    assert found
    log = Path(found[1])
    assert log.parent == tmp_path
    text = log.read_text()
    for part in (
        "autoglm-doctor 0.",
        f"Python {sys.version_info[0]}.{sys.version_info[1]}",
        "command: check",
        "Traceback",
    ):
        assert part in text
    assert "verdict.py" in text
    assert SECRET not in text + line
    assert list(tmp_path.iterdir()) == [log]  # scratch files are gone


def test_where_no_log_can_be_written_it_is_printed(copy: Path, tmp_path: Path) -> None:
    done = buggy(copy, tmp_path, *LINE, wrap=("sh", "-c", 'ulimit -f 0; exec "$@"', "sh"))
    assert done.returncode == 70
    assert "no log could be written" in done.stderr
    assert "verdict.py" in done.stderr
    assert SECRET not in done.stderr


def test_a_bug_while_reading_costs_its_own_facts(copy: Path, tmp_path: Path) -> None:
    """A mistake on the way to one probe is told in the report, which still comes."""
    other = tmp_path / "other"
    shutil.copytree(copy, other, symlinks=True)
    shutil.copy(CHECKOUT / "autoglm_doctor" / "verdict.py", other / "autoglm_doctor" / "verdict.py")
    plan = other / "autoglm_doctor" / "steps.py"
    text = plan.read_text()
    plan.write_text(text.replace('    return {"smi_seconds"', '    1 // 0\n    return {"smi_seconds"'))
    assert plan.read_text() != text
    words = ("check", "--select", "DRV,HST", "--final-stage", "none", "--model", "smoke")
    done = buggy(other, tmp_path, *words)
    assert done.returncode == 4, done.stdout + done.stderr
    assert "internal error, please report it (ZeroDivisionError" in " ".join(done.stdout.split())
    assert "ok HST001" in done.stdout
    assert "Traceback" not in done.stderr
