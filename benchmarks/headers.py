"""How long the headers of a model's folder take: shards times tensors, as a large mixture of experts has them.

    python -m benchmarks.headers [--shards 1000] [--tensors 1000] [--rounds 5] [--folder KEEP_IT_HERE]

The files are sparse, their headers true, written as the safetensors library writes them (compact) and as a plain
json.dumps would (with spaces). The bar is 5 s, the aim 3 s, for a million tensors.
"""

from __future__ import annotations

import argparse
import json
import statistics
import struct
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from autoglm_doctor.probes.model import read_folder

BAR_SECONDS, AIM_SECONDS = 5.0, 3.0


def names(shard: int, tensors: int) -> Iterator[str]:
    """Names as a mixture of experts has them; the first shard also holds the embedding and the output layer."""
    if shard == 0:
        yield from ("model.embed_tokens.weight", "lm_head.weight")
    for i in range(tensors - (2 if shard == 0 else 0)):
        part = ("gate_proj", "up_proj", "down_proj")[i % 3]
        yield f"model.layers.{shard}.mlp.experts.{i // 3}.{part}.weight"


def make(folder: Path, shards: int, tensors: int, *, compact: bool) -> Path:
    """A folder with its index, its config and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    weight_map = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        header: dict[str, object] = {"__metadata__": {"format": "pt"}}
        for i, name in enumerate(names(shard, tensors)):
            header[name] = {"dtype": "BF16", "shape": [32, 64], "data_offsets": [i * 4096, (i + 1) * 4096]}
            weight_map[name] = file
        text = json.dumps(header, separators=(",", ":") if compact else None).encode()
        text += b" " * (-len(text) % 8)
        with (folder / file).open("wb") as stream:
            stream.write(struct.pack("<Q", len(text)) + text)
            stream.truncate(8 + len(text) + tensors * 4096)
    index = {"metadata": {"total_size": shards * tensors * 4096}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2))
    (folder / "config.json").write_text('{"model_type": "qwen3_moe"}')
    return folder


def measure(folder: Path, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds and CPU seconds of each round, in this process; the first warms the page cache and is left out."""
    wall, cpu = [], []
    for _ in range(rounds + 1):
        started, before = time.perf_counter(), time.process_time()
        files = read_folder(folder, "path")
        wall.append(time.perf_counter() - started)
        cpu.append(time.process_time() - before)
    faults = [f for f in files.weights if f.fault]
    print(f"  {len(files.weights)} files, {sum(f.tensors for f in files.weights):,} tensors, {len(faults)} faults")
    print(f"  groups {dict(files.groups)}")
    return wall[1:], cpu[1:]


def main() -> None:
    """Build and measure both ways of writing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=1000)
    parser.add_argument("--tensors", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where to build, and leave, the files")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="headers-") as scratch:
        base = given.folder or Path(scratch)
        for compact in (True, False):
            folder = base / ("compact" if compact else "spaced")
            print(folder.name)
            wall, cpu = measure(make(folder, given.shards, given.tensors, compact=compact), given.rounds)
            median = statistics.median(wall)
            judged = "aim met" if median < AIM_SECONDS else "bar met" if median < BAR_SECONDS else "TOO SLOW"
            print(f"  median {median:.2f} s, least {min(wall):.2f} s, CPU {min(cpu):.2f} s: {judged}", flush=True)


if __name__ == "__main__":
    main()
