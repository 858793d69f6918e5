"""A plan for programs. What stands here is a promise."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from autoglm_doctor import __version__
from autoglm_doctor.domain.capacity.answer import Plan, way_text
from autoglm_doctor.domain.capacity.grid import Row
from autoglm_doctor.domain.capacity.place import Place
from autoglm_doctor.domain.capacity.room import kv_tokens, margin
from autoglm_doctor.domain.memory.explain import TermLine
from autoglm_doctor.jsonio import encode
from autoglm_doctor.redact import Redactor
from autoglm_doctor.report.plan_text import answer
from autoglm_doctor.wording import render as words

SCHEMA_VERSION = 1


def render(plan: Plan, explained: Sequence[TermLine], *, redactor: Redactor | None) -> str:
    """The plan as one JSON object; ASCII only."""
    shown = plan.shown
    data = _start(plan.place) | {
        "terms": _terms(plan),
        "kv_cache_tokens": kv_tokens(shown) if shown else None,
        "fits": plan.fits,
        "margin_bytes": margin(shown) if shown else None,
        "text": words(answer(plan)),
        "requested_bytes": shown.requested if shown else None,
        "utilization": shown.utilization if shown else None,
        "context_tokens": shown.tokens if shown else None,
        "kv_needed_bytes": shown.kv_needed if shown else None,
        "by_version": [_estimate(estimate) for estimate in plan.estimates],
        "what_fits": encode(plan.room),
        "launch_lines": [
            {"kind": one.kind, "text": words(way_text(plan, one)), "line": one.line} for one in plan.lines
        ],
    }
    data["notes"] = [words(note) for note in plan.notes]
    if explained:
        data["explain"] = [encode(line) for line in explained]
    return _dump(data, redactor)


def render_grid(place: Place, rows: Sequence[Row], *, redactor: Redactor | None) -> str:
    """A comparison as one JSON object."""
    return _dump(_start(place) | {"grid": [encode(row) for row in rows]}, redactor)


def _start(place: Place) -> dict[str, Any]:
    intent = place.intent
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "autoglm-doctor", "version": __version__},
        "intent": {
            "model": intent.model,
            "engine": intent.engine,
            "version": place.version,
            "profile": intent.profile or None,
            "command": list(intent.command),
            "unknown_flags": list(intent.unknown_flags),
        },
        "card": {
            **encode(place.card),
            "capability": place.capability or None,
            "free_bytes": place.free_bytes,
            "origin": place.origin,
        }
        if place.card
        else None,
    }


def _terms(plan: Plan) -> dict[str, Any]:
    """Bytes on one GPU, most probable; of the graphs, which are not known so well, both ends."""
    shown = plan.shown
    if shown is None:
        names = ("weights_bytes", "activation_bytes", "non_torch_bytes", "cuda_graph_bytes", "kv_cache_bytes")
        return dict.fromkeys(names)
    return {
        "weights_bytes": shown.weights.likely,
        "activation_bytes": shown.activation.likely,
        "non_torch_bytes": shown.non_torch.likely,
        "cuda_graph_bytes": [shown.graphs_built.low, shown.graphs_built.high],
        "kv_cache_bytes": max(0, shown.kv_available.likely),
    }


def _estimate(estimate: Any) -> dict[str, Any]:
    return {
        "version": estimate.version or None,
        "fits": estimate.fits,
        "requested_bytes": estimate.requested,
        "weights_bytes": encode(estimate.weights),
        "activation_bytes": encode(estimate.activation),
        "non_torch_bytes": encode(estimate.non_torch),
        "cuda_graph_bytes": encode(estimate.graphs_built),
        "cuda_graphs_within_budget": estimate.graphs_on_top.high == 0,
        "kv_cache_bytes": encode(estimate.kv_available),
        "kv_needed_bytes": estimate.kv_needed,
    }


def _dump(data: dict[str, Any], redactor: Redactor | None) -> str:
    if redactor is not None:
        data = redactor.data(data)
    data["redaction"] = {
        "applied": redactor is not None,
        "rules_hit": dict(sorted(redactor.hits.items())) if redactor else {},
    }
    return json.dumps(data, indent=2) + "\n"
