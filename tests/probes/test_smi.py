"""nvidia-smi, the last resort: whatever it does, it tells nothing false and is gone in time."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from autoglm_doctor.probes.smi import smi_versions
from tests.stubs import fake_tool

SMI_TROUBLE = {
    "refuses": ("echo NVIDIA-SMI has failed; exit 9", "NVIDIA-SMI has failed"),
    "no UTF-8": ("printf '\\377\\376garbage'", "garbage"),
    "silent": ("exit 0", "said nothing"),
    "hangs": ("exec sleep 30", "did not answer within"),
    "hangs the second time": ('case "$1" in --query*) exit 1;; *) exec sleep 30;; esac', "did not answer within"),
    "ignores signals": ("trap '' TERM INT HUP; sleep 30", "did not answer within"),
    "hangs with its output closed": ("exec >&- 2>&-; exec sleep 30", "did not answer within"),
    "leaves a child with the pipe": ("sleep 5 & echo no devices", "no devices"),
    "flood": ("exec yes no devices", "no devices"),
    "colours": ("printf '\\033[31moops\\033[0m'", " [31moops [0m"),
}


@pytest.mark.parametrize(("script", "words"), SMI_TROUBLE.values(), ids=SMI_TROUBLE)
def test_nvidia_smi_in_trouble_tells_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, words: str
) -> None:
    fake_tool(tmp_path, "nvidia-smi", f"echo $$ > {tmp_path}/pid\n{script}")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    started = time.monotonic()
    version, cuda, said = smi_versions(limit_seconds=1)
    assert (version, cuda) == (None, None)
    assert words in said
    assert len(said) <= 300
    assert time.monotonic() - started < 3, "one limit for both calls"
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists(), "nothing is left of it"
