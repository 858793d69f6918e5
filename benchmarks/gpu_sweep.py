"""Run as a child of gpu.py: one model with random weights, asked prompts of several lengths with and without a picture.

    python benchmarks/gpu_sweep.py RESULT ARGUMENTS

The model and the prompts are made, and the answers timed, by the very functions of the final stage. Each row goes to
RESULT as a JSON object as soon as it is there. Memory is torch's peak of that row alone, and what the driver says is
taken on the whole GPU right after it; on a CPU both are null.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "autoglm_doctor" / "probes" / "target"))
from load import prepare_environment
from load_inputs import made_inputs, to_device
from load_model import choose_device
from load_random import bytes_of, make_random
from load_run import answer

#: Of each row: one run to get warm, these to measure; the median counts.
RUNS = 3


def row(torch: Any, model: Any, arguments: Any, context: int, image: Any) -> dict[str, Any]:
    """One context length, one kind of picture ([]: none)."""
    new, cuda = arguments["new_tokens"], model.device.type == "cuda"
    given = {**arguments, "prompt_tokens": context - new, "image": image}
    inputs = to_device(made_inputs(torch, model, given)[0], model)
    gc.collect()
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    runs = [answer(torch, model, inputs, new, 120) for _ in range(1 + RUNS)][1:]
    middle = sorted(runs, key=lambda run: run["first"])[len(runs) // 2]
    rates = sorted(run["rate"] for run in runs if run["rate"])
    free, whole = torch.cuda.mem_get_info() if cuda else (None, None)
    ids = inputs["input_ids"]
    return {
        "context": context,
        "prompt_tokens": ids.shape[1],
        "image_tokens": int((ids == getattr(model.config, "image_token_id", -1)).sum()),
        "first_token_seconds": middle["first"],
        "decode_tokens_per_s": rates[len(rates) // 2] if rates else None,
        "finite": all(run["finite"] for run in runs),
        "repeatable": all(run["tokens"] == runs[0]["tokens"] for run in runs),
        "peak_bytes": torch.cuda.max_memory_allocated() if cuda else None,
        "reserved_bytes": torch.cuda.max_memory_reserved() if cuda else None,
        "device_used_bytes": None if whole is None else whole - free,
    }


def main() -> None:
    """All rows."""
    arguments = json.loads(sys.argv[2])
    prepare_environment(arguments["scratch"])
    import torch
    import transformers

    device = choose_device(torch, arguments["device"])
    cuda = device.type == "cuda"
    started = time.perf_counter()
    model = make_random(torch, transformers, arguments, device)
    made: dict[str, Any] = {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "device": torch.cuda.get_device_name(device) if cuda else "cpu",
        "attention": getattr(model.config, "_attn_implementation", ""),
        "dtype": str(model.dtype).replace("torch.", ""),
        "make_seconds": time.perf_counter() - started,
        "weight_bytes": bytes_of(model),
        "make_peak_bytes": torch.cuda.max_memory_allocated() if cuda else None,
    }
    with open(sys.argv[1], "w", encoding="utf-8") as stream:
        print(json.dumps(made), file=stream, flush=True)
        for context in arguments["contexts"]:
            for name, image in arguments["pictures"].items():
                found = {"picture": name, **row(torch, model, arguments, context, image)}
                if found["prompt_tokens"] + arguments["new_tokens"] <= context:  # else the picture alone is longer
                    print(json.dumps(found), file=stream, flush=True)


if __name__ == "__main__":
    main()
