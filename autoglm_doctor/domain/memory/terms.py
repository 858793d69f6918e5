"""An estimate as evidence: every term in GiB per GPU, and the margin."""

from __future__ import annotations

from autoglm_doctor.domain.memory.fits import Estimate
from autoglm_doctor.domain.spans import GIB, Span
from autoglm_doctor.finding import Scalar


def terms(shown: Estimate) -> dict[str, Scalar]:
    """Every term of the estimate."""
    return {
        "total_gib": gib_of(shown.total_bytes),
        "claimed_gib": gib_of(shown.requested),
        "share": round(shown.utilization, 4),
        "engine_version_assumed": shown.version,
        "weights_gib": _ends(shown.weights),
        "peak_activation_gib": _ends(shown.activation),
        "outside_of_torch_gib": _ends(shown.non_torch),
        "cuda_graphs_gib": _ends(shown.graphs),
        "kv_needed_gib": gib_of(shown.kv_needed),
        "kv_left_gib": _ends(shown.kv_available),
        "margin_gib": _ends(shown.kv_available.plus(-shown.kv_needed)),
        "context_tokens": shown.tokens,
    }


def margins(found: tuple[Estimate, ...]) -> Span:
    """What is left once one whole request is served, over every version that may be installed; negative: missing."""
    left = [e.kv_available.plus(-e.kv_needed) for e in found]
    return Span(min(s.low for s in left), left[-1].likely, max(s.high for s in left))


def gib_of(amount: int) -> float:
    """Rounded to a hundredth."""
    return round(amount / GIB, 2)


def _ends(span: Span) -> str:
    low, likely, high = (gib_of(end) for end in (span.low, span.likely, span.high))
    return f"{likely}" if low == high else f"{likely} ({low} to {high})"
