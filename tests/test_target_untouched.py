"""The deployment is only looked at: not even compiled files are left where its Python imports from."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from autoglm_doctor.collect import Probe, Session, run_probe
from autoglm_doctor.nursery import open_nursery


@pytest.mark.parametrize("fostered", [True, False], ids=["started by the nursery", "started from scratch"])
def test_nothing_is_compiled_there(fostered: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    theirs, scratch = tmp_path / "theirs", tmp_path / "scratch"
    theirs.mkdir()
    scratch.mkdir()
    (theirs / "sitecustomize.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w').close()\n")
    environ = {**os.environ, "PYTHONPATH": str(theirs)}
    session = Session(scratch=scratch, environ=environ, nursery=open_nursery(scratch, environ) if fostered else None)
    probe = Probe(name="interpreter", script="interpreter.py", gives=("interpreter",), limit_seconds=60)
    try:
        reading = run_probe(probe, {}, session, sys.executable)["interpreter"]
    finally:
        session.stop()
    assert reading.outcome == "known", reading
    assert (tmp_path / "imported").exists()
    assert [path.name for path in theirs.rglob("*")] == ["sitecustomize.py"]
