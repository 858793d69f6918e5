"""Hold the memory model against start-up logs of vLLM.

    python benchmarks/memory_accuracy.py LOGS.json [--json]

LOGS.json is a list of rows: the engine's version, the card, the values of config.json, the launch flags, and what the
log said (GiB, tokens). Rows that do not state a quantity are left out of its figures. Exit code 1 when the mean
absolute error of a quantity exceeds its limit in LIMITS.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
from pathlib import Path
from typing import Any

from autoglm_doctor.domain import vllm_memory
from autoglm_doctor.domain.model import QUANTIZED_BYTES
from autoglm_doctor.domain.shape import Parameters, Shape
from autoglm_doctor.domain.spans import GIB
from autoglm_doctor.domain.weights import weights_per_gpu

#: Largest mean absolute error, as a share, that we let pass (KV memory: as a share of the card).
LIMITS = {"weights": 0.02, "activation": 0.06, "kv_tokens": 0.005, "kv_gib_of_card": 0.01}

ELEMENT = {"bf16": 2, "fp16": 2, "f32": 4}


def shape_of(config: dict[str, Any]) -> Shape:
    """The shape that a row states; parameters beyond the tables of the vocabulary count as linear."""
    table = config["vocab_size"] * config["hidden_size"]
    head = 0 if config["tie_word_embeddings"] else table
    head_dim = config["head_dim"]
    experts = config.get("num_experts_per_tok", 0)
    return Shape(
        model_type=config["model"],
        layers=config["num_hidden_layers"],
        hidden=config["hidden_size"],
        heads=config["num_attention_heads"],
        kv_heads=config["num_key_value_heads"],
        head_dim=head_dim,
        intermediate=config.get("shared_expert_intermediate_size") if experts else config["intermediate_size"],
        vocab=config["vocab_size"],
        max_positions=config["max_position_embeddings"],
        rotary_dim=config.get("qk_rope_head_dim", head_dim),
        experts_per_token=experts,
        expert_intermediate=config.get("moe_intermediate_size", 0),
        latent_dim=config["kv_lora_rank"] + config["qk_rope_head_dim"] if "kv_lora_rank" in config else 0,
        parameters=Parameters(linear=config["parameters"] - table - head, embedding=table, head=head, other=0),
    )


def version_of(engine: str) -> str:
    """The row's version; V0 stands for the old engine, a row that only says V1 for the newest of its line."""
    found = re.search(r"0\.\d+", engine)
    if "V0" in engine:
        return "0.7"
    if "-" in engine and found:  # "0.11-0.16 (not stated)": its logs are of the later kind
        return re.findall(r"0\.\d+", engine)[-1]
    return found[0] if found else "0.19"


def predict(row: dict[str, Any]) -> dict[str, float | None]:
    """What the model says, in GiB and tokens, for the quantities that the row's flags determine."""
    flags, shape, version = row["flags"], shape_of(row["config"]), version_of(row["engine"])
    tp, pp = flags["tensor_parallel_size"], flags["pipeline_parallel_size"]
    element = ELEMENT[flags["dtype"]]
    weights = _weights(shape, flags, element)
    tokens, seqs = flags["max_num_batched_tokens"], flags["max_num_seqs"]
    peak = None
    if tokens:
        batch = vllm_memory.Batch(tokens=tokens, sequences=seqs or 256)
        factor = vllm_memory.sampler_factor(version)[1]
        peak = vllm_memory.text_peak(shape, batch, factor, element, tp, first_stage_only=pp > 1, pipelined=pp > 1)
    per_token = shape.kv_bytes_per_token(element, tp) / pp
    return {
        "weights": weights / GIB,
        "activation": None if peak is None else peak / GIB,
        "kv_gib": _kv_gib(row, weights, peak, version),
        "per_token": per_token,
    }


def _weights(shape: Shape, flags: dict[str, Any], element: float) -> float:
    assert shape.parameters is not None
    name = {"bnb4dq": "bitsandbytes", "fp8_linear": "fp8"}.get(flags["quantization"] or "", flags["quantization"] or "")
    linear = QUANTIZED_BYTES.get(name, element)
    if flags["quantization"] == "bnb4dq":
        linear = 0.5166  # scales quantized as well
    found = shape.parameters
    total = found.linear * linear + (found.total - found.linear) * element
    pp = flags["pipeline_parallel_size"]
    return weights_per_gpu(
        shape, int(total), tensor_parallel=flags["tensor_parallel_size"], pipeline_parallel=pp, element=element
    ).likely


def _kv_gib(row: dict[str, Any], weights: float, peak: float | None, version: str) -> float | None:
    """The whole chain: card x utilization less every term; where the log gives the graphs, those."""
    flags, measured = row["flags"], row["measured"]
    share, total = flags["gpu_memory_utilization"], row["gpu_total_gib"]
    if not share or not total or peak is None:
        return None
    outside = vllm_memory.non_torch(version, flags["tensor_parallel_size"], flags["pipeline_parallel_size"]).likely
    counted = vllm_memory.parse_version(version) >= (0, 21)
    graphs = (measured["cuda_graph_gib"] or 0.0) if counted else 0.0
    return total * share - (weights + peak + outside) / GIB - graphs


def compare(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Predicted and measured, row by row."""
    return [_compare(row) for row in rows]


def _compare(row: dict[str, Any]) -> dict[str, Any]:
    said, measured = predict(row), row["measured"]
    tokens = None
    if measured["kv_cache_gib"]:
        tokens = measured["kv_cache_gib"] * GIB / (said["per_token"] or 1)
    return {
        "id": row["id"],
        "engine": row["engine"],
        "model": row["config"]["model"],
        "card_gib": row["gpu_total_gib"],
        "weights": (said["weights"], measured["weights_gib"]),
        # A row that defines its peak otherwise (what is left to allocate) says so in its note.
        "activation": (None if "definition" in row["note"] else said["activation"], measured["peak_activation_gib"]),
        "kv_tokens": (tokens, measured["kv_cache_tokens"]),
        "kv_gib": (said["kv_gib"], measured["kv_cache_gib"]),
    }


def summary(compared: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Mean and mean absolute errors as shares; KV memory as a share of the card."""
    found = {}
    for name in ("weights", "activation", "kv_tokens"):
        pairs = [row[name] for row in compared if None not in row[name]]
        found[name] = _figures([said / seen - 1 for said, seen in pairs])
    chain = [row for row in compared if None not in row["kv_gib"]]
    found["kv_gib_of_card"] = _figures([(r["kv_gib"][0] - r["kv_gib"][1]) / r["card_gib"] for r in chain])
    return found


def _figures(errors: list[float]) -> dict[str, float]:
    if not errors:
        return {"n": 0, "mean": 0.0, "mean_abs": 0.0, "worst": 0.0}
    return {
        "n": len(errors),
        "mean": statistics.fmean(errors),
        "mean_abs": statistics.fmean(map(abs, errors)),
        "worst": max(errors, key=abs),
    }


def main(arguments: list[str]) -> int:
    """Print the comparison."""
    paths = [a for a in arguments if not a.startswith("-")]
    if len(paths) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    compared = compare(json.loads(Path(paths[0]).read_text(encoding="utf-8")))
    figures = summary(compared)
    if "--json" in arguments:
        print(json.dumps({"rows": compared, "summary": figures}, indent=1))
    else:
        _print(compared, figures)
    return int(any(figures[name]["mean_abs"] > limit for name, limit in LIMITS.items()))


def _print(compared: list[dict[str, Any]], figures: dict[str, dict[str, float]]) -> None:
    columns = ("weights", "activation", "kv_gib", "kv_tokens")
    print(f"{'row':24}{'model':19}" + "".join(f"{name:>24}" for name in columns) + "   (predicted / in the log)")
    for row in compared:
        cells = "".join(f"{_cell(row[name]):>24}" for name in columns)
        print(f"{row['id'][:23]:24}{row['model'][:18]:19}{cells}")
    print()
    for name, f in figures.items():
        print(f"{name:16} n={f['n']:<3} mean {f['mean']:+.2%}  mean abs {f['mean_abs']:.2%}  worst {f['worst']:+.2%}")


def _cell(pair: tuple[float | None, float | None]) -> str:
    return " / ".join("-" if v is None else f"{v:,.2f}" if v < 1000 else f"{v:,.0f}" for v in pair)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
