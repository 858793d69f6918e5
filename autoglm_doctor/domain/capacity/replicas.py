"""Copies of a model against one copy that is split: how many tokens each way holds on the same GPUs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from autoglm_doctor.domain.launch_line import changed, flags_of, line, plain_words, set_flag
from autoglm_doctor.domain.memory.fits import Card, Estimate, estimates, verdict
from autoglm_doctor.domain.memory.loading import needed
from autoglm_doctor.domain.model import weight_bytes
from autoglm_doctor.facts import ModelFiles
from autoglm_doctor.intent import Intent

#: Whole requests that every copy must have room for, at the far end of the model's error. Our own number: a copy that
#: can only hold one request makes people wait although its neighbours have room.
ROOM_FOR = 4

_VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicas:
    """The same GPUs, with copies in place of a split."""

    intent: Intent  # with data parallelism, as one server
    each: int  # GPUs of one copy
    tokens: int  # that the KV caches of all copies hold together
    split_tokens: int  # that they hold as asked

    @property
    def copies(self) -> int:
        """How many copies there are."""
        return self.intent.launch.data_parallel

    @property
    def times(self) -> float:
        """How many times as many tokens copies hold."""
        return self.tokens / max(1, self.split_tokens)

    def ram_bytes(self, files: ModelFiles | None) -> int:
        """Main memory that loading all copies takes."""
        need = needed(self.intent, files, on_cpu=False, replicas=self.copies)
        return need.total if need else 0

    def load_bytes(self, files: ModelFiles | None) -> int:
        """Weights that are moved to the GPUs at every start."""
        return self.copies * (weight_bytes(self.intent, files) or 0)


def more_with_replicas(intent: Intent, files: ModelFiles | None, card: Card, version: str | None) -> Replicas | None:
    """The copies, on as few GPUs each as hold the model with room, that hold most; None where none do so surely."""
    asked = estimates(intent, files, card, version)
    if verdict(asked) != "yes":
        return None
    size = intent.launch.tensor_parallel
    for each in (n for n in range(1, size) if size % n == 0):
        copies = size // each * intent.launch.data_parallel
        tried = changed(intent, {"tensor_parallel": each, "data_parallel": copies})
        found = estimates(tried, files, card, version)
        if verdict(found) == "yes" and all(e.kv_available.low >= ROOM_FOR * e.kv_needed for e in found):
            split = intent.launch.data_parallel * _tokens(asked[-1])
            return Replicas(intent=tried, each=each, tokens=copies * _tokens(found[-1]), split_tokens=split)
    return None


def _tokens(shown: Estimate) -> int:
    """Tokens that the KV cache of one copy holds; every GPU of a split holds its part of the same ones."""
    return max(0, shown.kv_available.likely) * shown.tokens // max(1, shown.kv_needed)


def servers(found: Replicas) -> tuple[str, ...]:
    """One line for every copy: its own GPUs and its own port."""
    intent, each = found.intent, found.each
    ids = [word.strip() for word in intent.environment.get(_VISIBLE, "").split(",") if word.strip()]
    ids = ids if len(ids) >= each * found.copies else [str(n) for n in range(each * found.copies)]
    alone = changed(intent, {"data_parallel": 1})
    port = flags_of(intent.engine, "port")[0]
    lines = []
    for copy in range(found.copies):
        words = [w for w in alone.command or plain_words(alone) if not w.startswith(f"{_VISIBLE}=")]
        words = set_flag(words, intent.engine, "port", intent.port + copy) if port else words
        shown = ",".join(ids[copy * each : (copy + 1) * each])
        lines.append(line(dataclasses.replace(alone, command=(f"{_VISIBLE}={shown}", *words))))
    return tuple(lines)
