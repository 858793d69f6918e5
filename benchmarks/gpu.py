"""Every GPU test and measurement in one call (`make gpu`); the figures go to docs/measurements/.

Runs the tests marked `gpu`, then the whole preflight with the smoke model on the GPU, and keeps date, GPU, driver,
command and the report. Without a GPU it says so and ends with 0: nothing was measured.
"""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CHECK = ("check", "--model", "smoke", "--force")


def gpus() -> str:
    """Name, driver and memory of each GPU; "" without one."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def preflight() -> tuple[int, dict[str, Any]]:
    """The exit code and the JSON report of a check with the smoke model."""
    command = [sys.executable, "-m", "autoglm_doctor", *CHECK, "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    return done.returncode, json.loads(done.stdout)


def tests() -> int:
    """The tests that need a GPU."""
    done = subprocess.run([sys.executable, "-m", "pytest", "-m", "gpu", "-rs"], cwd=ROOT, check=False)
    return 0 if done.returncode == 5 else done.returncode  # 5: none was collected


def write(found: str, code: int, report: dict[str, Any]) -> Path:
    """Keep the figures under docs/measurements/."""
    today = datetime.date.today().isoformat()
    inference = report["facts"]["inference"]["value"] or {}
    lines = [
        f"# GPU run of {today}",
        "",
        f"- GPU, driver, memory: {found}",
        f"- command: `autoglm-doctor {' '.join(CHECK)}`, exit code {code}",
        f"- verdict: {report['verdict']['text']}",
        "",
        "| figure | value |",
        "| --- | --- |",
        *(f"| {name} | {value} |" for name, value in inference.items() if value not in (None, "")),
        "",
        "| check | status | text |",
        "| --- | --- | --- |",
        *(f"| {r['code']} {r['name']} | {r['status']} | {r['text']} |" for r in report["results"]),
    ]
    path = ROOT / "docs" / "measurements" / f"{today}-gpu.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def main() -> int:
    """Run everything."""
    found = gpus()
    if not found:
        print("no GPU answers here: nothing was measured")
        return 0
    failed = tests()
    code, report = preflight()
    print(f"written: {write(found, code, report)}")
    return failed or code


if __name__ == "__main__":
    sys.exit(main())
