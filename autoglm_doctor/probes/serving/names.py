"""The name under which a server knows its model."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace

from autoglm_doctor.probes.serving.ask import Asker
from autoglm_doctor.probes.serving.http import Endpoint, get
from autoglm_doctor.probes.serving.questions import Question

_LIST_SECONDS = 10.0


def model_name(endpoint: Endpoint, candidates: Sequence[str], seconds: float = 120.0) -> str:
    """From /v1/models; where that tells nothing, the first candidate that a one-token request is answered to.

    `transformers serve` lists no local model, and answers 500 there without a cache folder. `seconds` bounds all of it.
    "" if there is neither a list nor a candidate.
    """
    until = time.perf_counter() + seconds
    listed = _listed(*get(endpoint, "/v1/models", min(_LIST_SECONDS, seconds)))
    if listed:
        return next((name for name in candidates if name in listed), listed[0])
    for name in candidates if len(candidates) > 1 else ():
        asker = Asker(replace(endpoint, model=name))
        tiny = Question("name", ({"role": "user", "content": "Hello"},), max_tokens=1)
        reply, _ = asker.once(tiny, max(0.1, until - time.perf_counter()), stream=False)
        if reply.ask.status == 200:
            return name
    return candidates[0] if candidates else ""


def _listed(status: int | None, body: bytes) -> list[str]:
    """The names in the list, in its order; those of LoRA adapters stand after the model's own."""
    try:
        data = json.loads(body)["data"] if status == 200 else []
        return [entry["id"] for entry in data if isinstance(entry["id"], str) and entry["id"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []
