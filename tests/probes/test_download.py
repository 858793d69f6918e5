"""The download probe against a huggingface_hub of ours: only when allowed, and its failure is a red of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HUB = {
    "works": "def snapshot_download(repository, allow_patterns):\n    return {folder!r}\n",
    "refuses": "def snapshot_download(repository, allow_patterns):\n    raise OSError('Repository Not Found')\n",
}
CONFIG = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}


def check(tmp_path: Path, hub: str, *options: str) -> dict[str, object]:
    """A real check of a model that is not here, with a fake hub on the target's path."""
    overlay, folder = tmp_path / "overlay", tmp_path / "snapshot"
    overlay.mkdir()
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (overlay / "huggingface_hub.py").write_text(HUB[hub].format(folder=str(folder)))
    words = ["check", "--select", "NET003", "--select", "HST001", "--model", "nobody/nothing", "--device", "auto"]
    done = subprocess.run(
        [sys.executable, "-m", "autoglm_doctor", *words, "--format", "json", "--final-stage", "none", *options],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(overlay)},
        check=False,
    )
    report: dict[str, object] = json.loads(done.stdout)
    results: list[dict[str, object]] = report["results"]  # type: ignore[assignment]
    return next(r for r in results if r["code"] == "NET003")


@pytest.mark.parametrize(
    ("hub", "options", "status"),
    [
        pytest.param("works", [], "not_applicable", id="never unasked"),
        pytest.param("works", ["--allow-download"], "pass", id="downloaded"),
        pytest.param("works", ["--allow-download", "--offline"], "not_applicable", id="offline wins"),
        pytest.param("refuses", ["--allow-download"], "fail", id="the hub refuses"),
    ],
)
def test_download(tmp_path: Path, hub: str, options: list[str], status: str) -> None:
    finding = check(tmp_path, hub, *options)
    assert finding["status"] == status
    if status == "fail":
        assert "Repository Not Found" in str(finding["text"])
