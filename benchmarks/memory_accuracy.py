"""Hold the memory model against start-up logs of vLLM.

    python benchmarks/memory_accuracy.py LOGS.json [--json]

LOGS.json is a list of rows: the engine's version, the card, the values of config.json, the launch flags, and what the
log said (GiB, tokens). Rows that do not state a quantity are left out of its figures. Exit code 1 when the mean
absolute error of a quantity exceeds its limit in LIMITS, or one prediction is more too optimistic than OPTIMISM.
`--json` prints one object per row: the prediction alone, also for rows without anything measured.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

from autoglm_doctor.domain.memory import vllm as vllm_memory
from autoglm_doctor.domain.spans import GIB, Span, exactly, total
from autoglm_doctor.intent import Launch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by its path, it finds its neighbour
from benchmarks.memory_rows import (
    Row,
    batch_of,
    card_gib,
    context_of,
    element_of,
    gpus_of,
    quantization_of,
    shape_of,
    version_of,
    weights_of,
)

#: Largest mean absolute error, as a share, that we let pass (KV memory: as a share of the card).
LIMITS = {"weights": 0.01, "activation": 0.04, "kv_tokens": 0.001, "kv_gib_of_card": 0.005}

#: Most that the KV memory of one row may be predicted too large, as a share of the card.
OPTIMISM = 0.02

NOTHING: Row = {
    "weights_gib": None,
    "peak_activation_gib": None,
    "non_torch_gib": None,
    "cuda_graph_gib": None,
    "kv_cache_gib": None,
    "kv_cache_tokens": None,
    "fits": "unknown",
}


def predict(row: Row) -> Row:
    """What the model says of a row, in GiB and tokens; None for what its flags do not determine, or are no numbers."""
    try:
        return _predict(row)
    except (AttributeError, ArithmeticError, TypeError, ValueError):
        return {"id": row.get("id"), **NOTHING}


def _predict(row: Row) -> Row:
    shape = shape_of(row.get("config") or {})
    engine = str(row.get("engine") or "vllm")
    if shape is None:
        return {"id": row.get("id"), **NOTHING}
    held = weights_of(row, shape)
    if held is None or not engine.lower().startswith("vllm"):
        return {"id": row.get("id"), **NOTHING, "weights_gib": held.likely / GIB if held else None}
    return {"id": row.get("id"), **_terms(row, held)}


def _terms(row: Row, held: Span) -> Row:
    shape = shape_of(row.get("config") or {})
    assert shape is not None
    flags, version, card = row.get("flags") or {}, version_of(str(row.get("engine") or "")), card_gib(row)
    tp, pp = gpus_of(flags)
    batch = batch_of(row, shape, card)
    setting = vllm_memory.Setting(
        version=version,
        element=element_of(flags),
        tensor_parallel=tp,
        pipelined=pp > 1,
        gpu_name=str(row.get("gpu") or ""),
        quantization=quantization_of(row, shape)[0],
    )
    seen = vllm_memory.pictures(shape, Launch(), {}, context_of(row, shape), batch, version)
    if pp > 1:  # logs of pipelines show the first stage, which has no sampler
        peak = Span(*(3 * [int(vllm_memory.peak_of(shape, batch, setting, 0).highest)]))
        logged, moved = peak.likely, 0
    else:
        peak = vllm_memory.activation(shape, batch, seen, setting)
        logged, moved = vllm_memory.logged_activation(shape, batch, seen, setting)
    outside = vllm_memory.non_torch(version, tp, pp)
    eager = bool(flags.get("enforce_eager"))
    built = vllm_memory.built_graphs(shape, batch, version, eager)
    graphs = built if vllm_memory.counts_graphs(version) else exactly(0)
    fixed = total((held, peak, outside, _counted(row, graphs)))
    share = flags.get("gpu_memory_utilization") or vllm_memory.default_utilization(version)
    said: Row = {
        "weights_gib": held.likely / GIB,
        "peak_activation_gib": logged / GIB,
        "non_torch_gib": (outside.likely + moved) / GIB,
        "cuda_graph_gib": [built.low / GIB, built.high / GIB],
        "kv_cache_gib": None,
        "kv_cache_tokens": None,
        "fits": "unknown",
    }
    kv = Span(0, 0, 0) if card is None else fixed.below(int(card * share * GIB))
    if card is not None:
        said["kv_cache_gib"] = max(0, kv.likely) / GIB
        said["fits"] = _fits(kv, vllm_memory.kv_bytes(shape, context_of(row, shape), _kv_element(flags), tp, pp, batch))
    per_token = shape.kv_bytes_per_token(_kv_element(flags), tp) / pp
    room = (_measured(row, "kv_cache_gib") or said["kv_cache_gib"] or 0) * GIB
    said["kv_cache_tokens"] = int(room / per_token / vllm_memory.BLOCK) * vllm_memory.BLOCK if room else None
    return said


def _fits(kv: Span, needed: int) -> str:
    if kv.high < needed:
        return "no"
    return "yes" if kv.low >= needed else "unknown"


def _counted(row: Row, graphs: Span) -> Span:
    """What the engine takes off for graphs: as its log says, where it does."""
    seen = _measured(row, "cuda_graph_gib")
    return graphs if seen is None or not graphs.high else Span(*(3 * [max(0, int(seen * GIB))]))


def _kv_element(flags: Row) -> float:
    said = str(flags.get("kv_cache_dtype") or "auto")
    return 1 if said.startswith(("fp8", "int8")) else element_of(flags)


def _measured(row: Row, name: str) -> float | None:
    found = (row.get("measured") or {}).get(name)
    return float(found) if isinstance(found, (int, float)) else None


def compare(rows: list[Row]) -> list[Row]:
    """Predicted and measured, row by row."""
    return [_compare(row) for row in rows]


def _compare(row: Row) -> Row:
    said, flags = predict(row), row.get("flags") or {}
    chain = said["kv_cache_gib"] if flags.get("gpu_memory_utilization") and row.get("gpu_total_gib") else None
    activation = said["peak_activation_gib"] if flags.get("max_num_batched_tokens") else None
    tokens = said["kv_cache_tokens"] if _measured(row, "kv_cache_gib") else None
    return {
        "id": str(row.get("id")),
        "model": str((row.get("config") or {}).get("model")),
        "card_gib": row.get("gpu_total_gib"),
        "weights": (said["weights_gib"], _measured(row, "weights_gib")),
        "activation": (activation, _measured(row, "peak_activation_gib")),
        "kv_tokens": (tokens, _measured(row, "kv_cache_tokens")),
        "kv_gib": (chain if activation is not None else None, _measured(row, "kv_cache_gib")),
    }


def summary(compared: list[Row]) -> dict[str, dict[str, float]]:
    """Mean and mean absolute errors as shares; KV memory as a share of the card."""
    found = {}
    for name in ("weights", "activation", "kv_tokens"):
        pairs = [row[name] for row in compared if None not in row[name]]
        found[name] = _figures([said / seen - 1 for said, seen in pairs if seen])
    chain = [row for row in compared if None not in row["kv_gib"]]
    found["kv_gib_of_card"] = _figures([(r["kv_gib"][0] - r["kv_gib"][1]) / r["card_gib"] for r in chain])
    return found


def _figures(errors: list[float]) -> dict[str, float]:
    if not errors:
        return {"n": 0, "mean": 0.0, "mean_abs": 0.0, "worst": 0.0, "highest": 0.0}
    return {
        "n": len(errors),
        "mean": statistics.fmean(errors),
        "mean_abs": statistics.fmean(map(abs, errors)),
        "worst": max(errors, key=abs),
        "highest": max(errors),
    }


def main(arguments: list[str]) -> int:
    """Print the comparison."""
    paths = [a for a in arguments if not a.startswith("-")]
    if len(paths) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    rows = json.loads(Path(paths[0]).read_text(encoding="utf-8"))
    compared = compare(rows)
    figures = summary(compared)
    if "--json" in arguments:
        print(json.dumps([predict(row) for row in rows], indent=1))
    else:
        _print(compared, figures)
    over = any(figures[name]["mean_abs"] > limit for name, limit in LIMITS.items())
    return int(over or figures["kv_gib_of_card"]["highest"] > OPTIMISM)


def _print(compared: list[Row], figures: dict[str, dict[str, float]]) -> None:
    columns = ("weights", "activation", "kv_gib", "kv_tokens")
    print(f"{'row':24}{'model':19}" + "".join(f"{name:>24}" for name in columns) + "   (predicted / in the log)")
    for row in compared:
        cells = "".join(f"{_cell(row[name]):>24}" for name in columns)
        print(f"{row['id'][:23]:24}{row['model'][:18]:19}{cells}")
    print()
    for name, f in figures.items():
        print(f"{name:16} n={f['n']:<3} mean {f['mean']:+.2%}  mean abs {f['mean_abs']:.2%}  worst {f['worst']:+.2%}")
    print(f"most optimistic KV memory: {figures['kv_gib_of_card']['highest']:+.2%} of the card")


def _cell(pair: tuple[float | None, float | None]) -> str:
    return " / ".join("-" if v is None else f"{v:,.3f}" if v < 1000 else f"{v:,.0f}" for v in pair)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
