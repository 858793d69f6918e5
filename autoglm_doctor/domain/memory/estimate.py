"""What a deployment needs on one GPU, term by term, and the answer that follows. `memory` re-exports these types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from autoglm_doctor.domain.spans import GIB, Span, exactly, total

#: For terms that are not there.
NO_BYTES = exactly(0)

Fits = Literal["yes", "no", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """The GPU that decides: the smallest of those that the deployment takes."""

    name: str
    total_bytes: int  # as CUDA reports it: without what the driver keeps for itself
    count: int = 1  # visible GPUs


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Who needs how many bytes on one GPU. All spans are bytes."""

    version: str  # of the engine, as assumed
    utilization: float  # fraction of the card that the engine claims
    requested: int
    weights: Span
    activation: Span  # at the peak
    non_torch: Span
    graphs: Span  # within the budget
    kv_needed: int  # for one request of `tokens`
    tokens: int
    load_peak: int = 0  # while loading, before a quantization that is applied then; 0: never more than `weights`
    total_bytes: int = 0
    graphs_on_top: Span = NO_BYTES  # what they take outside of it (vLLM before 0.21)

    @property
    def graphs_built(self) -> Span:
        """What the CUDA graphs really take, wherever it is counted."""
        return total((self.graphs, self.graphs_on_top))

    @property
    def fixed(self) -> Span:
        """Everything but the KV cache."""
        return total((self.weights, self.activation, self.non_torch, self.graphs))

    @property
    def need(self) -> Span:
        """Everything that must fit into `requested`."""
        return self.fixed.plus(self.kv_needed)

    @property
    def kv_available(self) -> Span:
        """What is left for the KV cache; negative when even that is not there."""
        return self.fixed.below(self.requested)

    @property
    def fits(self) -> Fits:
        """Whether one request of the whole context fits: yes and no only outside of the model's own error."""
        return _decide(self.kv_available, self.kv_needed, self._loads)

    @property
    def weights_fit(self) -> Fits:
        """Whether the weights alone leave anything at all."""
        return _decide(total((self.weights, self.non_torch)).below(self.requested), 0, self._loads)

    @property
    def _loads(self) -> bool:
        return self.load_peak + GIB // 2 <= self.total_bytes if self.load_peak else True


def _decide(left: Span, wanted: int, loads: bool) -> Fits:
    if left.high < wanted or not loads:
        return "no"
    return "yes" if left.low >= wanted else "unknown"
