"""Every GPU test and measurement in one call (`make gpu`); the figures go to docs/measurements/, as text and as JSON.

    python benchmarks/gpu.py [--device cuda] [--config autoglm] [--out docs/measurements]
    python benchmarks/gpu.py --device cpu --config tiny --out /tmp/figures    # every line of this script, no figure

1. The tests marked `gpu`.
2. The preflight with the smoke model, and once more with the full-size architecture of AutoGLM-Phone-9B in random
   weights (`--final-stage transformers --weights random`): nothing is downloaded, no network is needed.
3. The same architecture at three context lengths with and without a picture (gpu_sweep.py): memory against what `plan`
   predicts, first token, tokens per second, share of the bandwidth roofline.

It needs torch and transformers in the Python that runs it, and says so where they are missing. Exit code 1 when a test
fails, a preflight is not ready or a peak is more than 3 % off its prediction. Without a GPU it says so and ends with 0:
nothing was measured. About 4 minutes of an H200's time are expected, not measured; each part has a time limit.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(
    0, str(Path(__file__).resolve().parent.parent)
)  # run by its path, it finds the package and its neighbours
from autoglm_doctor.facts import ModelFiles
from autoglm_doctor.profiles import PROFILES
from benchmarks.gpu_figures import LIMIT, judged, table, too_far

ROOT = Path(__file__).resolve().parent.parent
PROFILE = "autoglm-phone-9b"
LIMIT_SECONDS = 240  # of each part

#: Lengths of a whole request: a screen takes 3,354 tokens, 25,480 are those of Open-AutoGLM's README.
CONTEXTS = {"autoglm": (4096, 8192, 25480), "tiny": (256, 512, 1024)}
PICTURES: dict[str, dict[str, list[int]]] = {
    "autoglm": {"none": [], "1080x2400": [1080, 2400], "largest": [9999, 9999]},
    "tiny": {"none": [], "224x448": [224, 448]},
}


def tiny() -> dict[str, Any]:
    """AutoGLM's architecture in a few million parameters."""
    config = json.loads(json.dumps(PROFILES[PROFILE].config))
    config["text_config"].update(
        hidden_size=256,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=512,
        vocab_size=2048,
        max_position_embeddings=4096,
    )
    config["vision_config"].update(depth=2, hidden_size=128, num_heads=1, intermediate_size=512, out_hidden_size=256)
    config.update(image_start_token_id=2000, image_end_token_id=2001, image_token_id=2004, video_token_id=2005)
    return dict(config)


def gpus() -> str:
    """Name, driver and memory of each GPU; "" without one."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def missing() -> list[str]:
    """Packages that the measurements need and this Python has not."""
    names = ("torch", "transformers", "typer", "rich", "psutil", "packaging", "yaml", "pynvml")
    return [name for name in names if importlib.util.find_spec(name) is None]


def tests() -> str:
    """The tests that need a GPU: "passed", or why not."""
    if importlib.util.find_spec("pytest") is None:
        return "not run: pytest is not installed"
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-rs", "tests/test_gpu.py"]
    done = subprocess.run(command, cwd=ROOT, check=False, timeout=LIMIT_SECONDS)
    return {0: "passed", 5: "none was collected"}.get(done.returncode, f"failed, exit code {done.returncode}")


def preflight(*words: str) -> tuple[int, dict[str, Any]]:
    """The exit code and the JSON report of a check."""
    command = [sys.executable, "-m", "autoglm_doctor", "check", *words, "--force", "--format", "json"]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=LIMIT_SECONDS, stdin=subprocess.DEVNULL
    )
    if not done.stdout.startswith("{"):
        raise SystemExit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr[-1000:]}")
    return done.returncode, json.loads(done.stdout)


def sweep(config: dict[str, Any], options: argparse.Namespace, scratch: Path) -> tuple[dict[str, Any], list[Any]]:
    """What was made, and the rows."""
    arguments = {
        "config": config,
        "preprocessor": dict(PROFILES[PROFILE].preprocessor),
        "device": options.device,
        "dtype": "bfloat16",
        "contexts": CONTEXTS[options.config],
        "pictures": PICTURES[options.config],
        "new_tokens": 64 if options.device == "cuda" else 8,
        "scratch": str(scratch),
    }
    result = scratch / "rows.jsonl"
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu_sweep.py"), str(result), json.dumps(arguments)]
    done = subprocess.run(command, check=False, timeout=LIMIT_SECONDS)
    lines = [json.loads(line) for line in result.read_text().splitlines()] if result.exists() else []
    if done.returncode or not lines:
        raise SystemExit(f"gpu_sweep.py: exit {done.returncode} after {len(lines)} rows")
    files = ModelFiles(path="", config=config)
    return lines[0], [judged(row, files, lines[0]) for row in lines[1:]]


def write(out: Path, found: dict[str, Any]) -> Path:
    """Keep the figures."""
    out.mkdir(parents=True, exist_ok=True)
    name = f"{datetime.date.today().isoformat()}-{'gpu' if found['gpus'] else 'gpu-script-on-cpu'}"
    (out / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (out / f"{name}.md").write_text("\n".join(page(found)) + "\n", encoding="utf-8")
    return out / f"{name}.md"


def page(found: dict[str, Any]) -> list[str]:
    """The figures for a reader."""
    made = found["made"]
    lines = [f"# GPU run of {datetime.date.today().isoformat()}", ""]
    if not found["gpus"]:
        lines += ["**No GPU: nothing here is a measurement. It shows that the script runs.**", ""]
    lines += [
        f"- GPU, driver, memory: {found['gpus'] or 'none'}",
        f"- torch {made['torch']}, transformers {made['transformers']}, {made['dtype']}, attention {made['attention']}",
        f"- command: `python benchmarks/gpu.py {' '.join(found['command'])}`",
        f"- tests marked gpu: {found['tests']}",
        f"- {found['config']} with random weights made in {made['make_seconds']:.1f} s, "
        f"{made['weight_bytes'] / 2**30:.2f} GiB of parameters, torch's peak meanwhile: "
        + ("not measured" if made["make_peak_bytes"] is None else f"{made['make_peak_bytes'] / 2**30:.2f} GiB"),
        "",
        *table(found["rows"]),
    ]
    for title, (code, report) in found["preflights"].items():
        inference = report["facts"].get("inference", {}).get("value") or {}
        lines += [
            *("", f"## {title}", "", f"Exit code {code}: {report['verdict']['text']}", ""),
            *("| figure | value |", "| --- | --- |"),
            *(f"| {name} | {value} |" for name, value in inference.items() if value not in (None, "")),
            *("", "| check | status | text |", "| --- | --- | --- |"),
            *(f"| {r['code']} {r['name']} | {r['status']} | {r['text']} |" for r in report["results"]),
        ]
    return lines


def main() -> int:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--config", choices=("autoglm", "tiny"), default="autoglm")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "measurements")
    options = parser.parse_args()
    found = gpus() if options.device == "cuda" else ""
    if options.device == "cuda" and not found:
        print("no GPU answers here: nothing was measured")
        return 0
    if lacks := missing():
        print(f"{sys.executable} lacks {', '.join(lacks)}: nothing was measured")
        return 1
    config = dict(PROFILES[PROFILE].config) if options.config == "autoglm" else tiny()
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "model").mkdir()
        (Path(scratch) / "model" / "config.json").write_text(json.dumps(config))
        said = tests() if found else "not run: they need a GPU"
        made, rows = sweep(config, options, Path(scratch))
        model = ("--model", str(Path(scratch) / "model")) if options.config == "tiny" else ()
        full = ("--engine", "transformers", "--final-stage", "transformers", "--weights", "random", *model)
        device = ("--device", options.device)
        preflights = {
            "The smoke model": preflight("--model", "smoke", *device),
            "The full size with random weights": preflight(*full, *device),
        }
    lines = table(rows)
    print("\n".join(lines))
    everything = {
        "gpus": found,
        "command": sys.argv[1:],
        "config": options.config,
        "tests": said,
        "made": made,
        "rows": rows,
        "preflights": preflights,
    }
    print(f"written: {write(options.out, everything)}")
    wrong = too_far(rows)
    for row in wrong:
        print(f"more than {LIMIT:.0%} off: {row['context']} tokens, picture {row['picture']}: {row['off']:+.1%}")
    unready = any(code not in (0, 1) or not _sound(report) for code, report in preflights.values())
    return int(bool(wrong) or unready or said.startswith("failed"))


def _sound(report: dict[str, Any]) -> bool:
    """Whether the model that was run did well; what else this machine lacks is not the question here."""
    return not any(r["code"].startswith("INF") and r["status"] in ("fail", "error") for r in report["results"])


if __name__ == "__main__":
    sys.exit(main())
