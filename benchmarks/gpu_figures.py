"""What `plan` predicts for the rows of gpu_sweep.py, the share of the roofline, and the table of both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autoglm_doctor.domain.memory.fits import Card, Estimate, estimates
from autoglm_doctor.domain.memory.transformers import text_peak, vision_peak
from autoglm_doctor.domain.model import element_bytes, model_shape
from autoglm_doctor.domain.roofline import card_of, work_of
from autoglm_doctor.domain.spans import GIB
from autoglm_doctor.facts import ModelFiles
from autoglm_doctor.intent import Intent, Launch
from autoglm_doctor.matrix import load_matrix

#: Further off than this, the prediction is to be mended.
LIMIT = 0.03

Row = dict[str, Any]


def intent_of(row: Mapping[str, Any], dtype: str) -> Intent:
    """The deployment that a row is: transformers with one request of so many tokens."""
    pictures = {"image": 1 if row["image_tokens"] else 0, "video": 0}
    launch = Launch(dtype=dtype, max_model_len=row["context"], limit_mm_per_prompt=pictures, max_num_seqs=1)
    return Intent(model="the model", engine="transformers", launch=launch)


def planned(row: Mapping[str, Any], files: ModelFiles, dtype: str) -> Estimate:
    """What `plan` says: with the largest picture that the model takes, for a model that takes any."""
    return estimates(intent_of(row, dtype), files, Card(name="", total_bytes=1024 * GIB), None)[-1]


def predicted(row: Mapping[str, Any], files: ModelFiles, dtype: str) -> int:
    """The same arithmetic for the very prompt: bytes that torch's allocator holds at the peak."""
    intent = intent_of(row, dtype)
    shape, element = model_shape(intent, files), element_bytes(intent, files)
    assert shape is not None
    inside = max(text_peak(shape, row["prompt_tokens"], element), vision_peak(shape, row["image_tokens"]))
    return planned(row, files, dtype).weights.likely + inside + int(shape.kv_bytes_per_token(element) * row["context"])


def judged(row: Mapping[str, Any], files: ModelFiles, made: Mapping[str, Any]) -> Row:
    """The row with what was predicted of it, and how far that is off; None where nothing was measured."""
    dtype = made["dtype"]
    plan = planned(row, files, dtype)
    whole = plan.weights.likely + plan.activation.likely + plan.kv_needed
    own = predicted(row, files, dtype)
    peak = row["peak_bytes"]
    card, work = card_of(made["device"], None, load_matrix()), work_of(intent_of(row, dtype), files, row["context"])
    rate = row["decode_tokens_per_s"]
    return {
        **row,
        "predicted_bytes": own,
        "plan_bytes": whole,
        "off": None if peak is None else own / peak - 1,
        "plan_off": None if peak is None else whole / peak - 1,
        "roofline_share": None if not (card and work and rate) else rate * work.bytes / card.bandwidth,
    }


def too_far(rows: list[Row]) -> list[Row]:
    """Rows whose peak was not predicted within the limit; rows without a measured peak are none."""
    return [row for row in rows if row["off"] is not None and abs(row["off"]) > LIMIT]


def table(rows: list[Row]) -> list[str]:
    """The lines of a markdown table."""
    head = (
        *("context", "picture", "prompt tokens", "first token s", "tokens/s", "of the roofline"),
        *("peak GiB", "predicted GiB", "off", "plan (largest picture) GiB", "off", "reserved GiB", "GPU in use GiB"),
    )
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for row in rows:
        cells = (
            *(str(row["context"]), row["picture"], str(row["prompt_tokens"])),
            *(_number(row["first_token_seconds"], ".3f"), _number(row["decode_tokens_per_s"], ".1f")),
            *(_number(row["roofline_share"], ".1%"), _gib(row["peak_bytes"])),
            *(_gib(row["predicted_bytes"]), _number(row["off"], "+.1%")),
            *(_gib(row["plan_bytes"]), _number(row["plan_off"], "+.1%")),
            *(_gib(row["reserved_bytes"]), _gib(row["device_used_bytes"])),
        )
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _number(value: float | None, form: str) -> str:
    return "not measured" if value is None else format(value, form)


def _gib(amount: int | None) -> str:
    return "not measured" if amount is None else f"{amount / GIB:.2f}"
