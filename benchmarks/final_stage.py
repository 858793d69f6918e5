"""What the final stage costs beside the same calls of transformers without it. Runs take turns; quote the medians.

    python benchmarks/final_stage.py [--rounds 7] [--tokens 256] [--json]

The same run twice: by the stage with random weights (the probe as the collector starts and watches it), and by a bare
script that makes the same model and generates as often and as much, and notes nothing. Each is a process of its
own, on the CPU, from its start to its end. The order within a round changes every time. Compared are wall time, and the
processor time of the process and all its children, which a busy machine disturbs less. Exit code 1 when the median of
the rounds' ratios is above 1.05 in both.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run by its path, it finds the package
from autoglm_doctor.collect import Probe, Session, run_probe

LIMIT = 1.05
TARGET = Path(__file__).resolve().parent.parent / "autoglm_doctor" / "probes" / "target"

#: A decoder that takes some milliseconds for a token on a CPU, as real models do on a GPU: beside the smoke model's
#: 0.8 ms the streamer and the copied logits of `generate` alone are 4 %.
CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 8192,
    "hidden_size": 768,
    "intermediate_size": 2048,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "num_key_value_heads": 4,
    "max_position_embeddings": 4096,
}
PROMPT_TOKENS = 64

#: The same calls of transformers, and nothing else: no clock, no logits, no streamer.
BARE = """
import json, os, sys
os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
import torch, transformers
torch.manual_seed(0)
config, length, tokens, runs = json.loads(sys.argv[1]), *map(int, sys.argv[2:])
model = transformers.AutoModelForCausalLM.from_config(transformers.LlamaConfig(**config)).eval()
model.generation_config.eos_token_id = None
ids = torch.randint(10, config["vocab_size"], (1, length))
with torch.inference_mode():
    for _ in range(1 + runs):
        model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, do_sample=False)
"""


def timed(run: Callable[[], None]) -> tuple[float, float]:
    """Wall seconds, and processor seconds of the children."""

    def spent() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before, started = spent(), time.perf_counter()
    run()
    return time.perf_counter() - started, spent() - before


def stage(tokens: int) -> None:
    """The final stage; it must have answered all questions."""
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "files").mkdir()
        given = {"model": "a decoder", "device": "cpu", "dtype": "float32", "new_tokens": tokens, "seconds": 10_000}
        made = {"weights": "random", "config": CONFIG, "prompt_tokens": PROMPT_TOKENS, "image": []}
        probe = Probe(name="load", script="load.py", gives=("inference",), limit_seconds=600)
        session = Session(scratch=Path(scratch), environ=dict(os.environ))
        reading = run_probe(probe, {**given, **made, "scratch": f"{scratch}/files"}, session, sys.executable)[
            "inference"
        ]
        if reading.value is None or reading.value.failure or reading.value.new_tokens != tokens:
            raise SystemExit(f"the stage did not run: {reading}")


def bare(tokens: int, runs: int) -> None:
    """The same calls alone."""
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "bare.py").write_text(BARE)
        words = [json.dumps(CONFIG), str(PROMPT_TOKENS), str(tokens), str(runs)]
        command = [sys.executable, "-B", f"{scratch}/bare.py", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, cwd=scratch)
        if done.returncode:
            raise SystemExit(done.stderr[-2000:])


def warm_runs() -> int:
    """How often the stage repeats a quick run."""
    sys.path.insert(0, str(TARGET))
    import load_run

    return int(load_run.WARM_RUNS)


def spread(name: str, pairs: list[tuple[float, float]]) -> dict[str, Any]:
    """Medians and the ratios of the rounds."""
    ratios = sorted(ours / theirs for ours, theirs in pairs)
    return {
        "what": name,
        "stage_s": round(statistics.median(ours for ours, _ in pairs), 3),
        "bare_s": round(statistics.median(theirs for _, theirs in pairs), 3),
        "ratio": round(statistics.median(ratios), 4),
        "least": round(ratios[0], 4),
        "most": round(ratios[-1], 4),
        "rounds": len(pairs),
    }


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    runs = warm_runs()
    both: dict[str, Callable[[], None]] = {
        "stage": lambda: stage(options.tokens),
        "bare": lambda: bare(options.tokens, runs),
    }
    for run in both.values():  # files into the page cache
        run()
    rounds = []
    for number in range(options.rounds):
        order = sorted(both, reverse=bool(number % 2))
        rounds.append({name: timed(both[name]) for name in order})
    found = [
        spread(name, [(one["stage"][place], one["bare"][place]) for one in rounds])
        for place, name in enumerate(("wall", "processor"))
    ]
    for row in found:
        words = "{what}: stage {stage_s} s, bare {bare_s} s, ratio {ratio} ({least} to {most}, {rounds} rounds)"
        print(json.dumps(row) if options.json else words.format(**row))
    return int(min(row["ratio"] for row in found) > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
