"""transformers' report on a checkpoint: which tensors were not in it and were filled with random numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: A row of the table of transformers 5, or the sentence of transformers 4 with its list.
_ROW = re.compile(r"^\s*(?P<name>\S.*?)\s*\|\s*MISSING\s*(?:\||$)")
_SENTENCE = re.compile(r"were not initialized from the model checkpoint\b.*newly initialized: \[(?P<names>[^\]]*)")
#: Without rows (the log was long, and they were not kept) its note still says that there were some.
_NOTE = re.compile(r"newly initialized because missing from the checkpoint")

#: Made anew at each start, or not used to answer: their absence from a checkpoint is no fault.
_MADE = re.compile(r"(^|\.)(rotary_\w+|position_ids|masked_bias|attn\.bias)\b|inv_freq|pooler")


def missing_tensors(log: Iterable[str]) -> tuple[str, ...]:
    """Names of tensors that a trained model cannot do without, as the log gives them; () when none is missing."""
    names: list[str] = []
    noted = False
    for line in log:
        row, sentence = _ROW.match(line), _SENTENCE.search(line)
        if row:
            names.append(row["name"])
        elif sentence:
            names += [name.strip(" '\"") for name in sentence["names"].split(",") if name.strip()]
        noted = noted or _NOTE.search(line) is not None
    if not names:
        return ("(names not kept)",) if noted else ()
    return tuple(name for name in names if not _MADE.search(name))
