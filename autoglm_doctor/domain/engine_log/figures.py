"""The figures in an engine's log.

Where several workers say the same, the largest counts and nothing is added up: all sizes are those of one GPU. What the
engines call GB here is 2^30 bytes (vLLM before 0.8 and SGLang divide by 1 << 30).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import fields, replace

from autoglm_doctor.facts_serving import EngineFigures

_UNITS = {"G": 1 << 30, "M": 1 << 20, "K": 1 << 10}
_Read = Callable[[re.Match[str]], dict[str, object]]

_SIZE = r"([\d.]+) ?([GMK])i?B"
_COUNT = r"(\d[\d,]*)"


def _bytes(number: str, unit: str) -> int:
    return round(float(number) * _UNITS[unit])


def _count(text: str) -> int:
    return int(text.replace(",", ""))


def _size_of(name: str) -> _Read:
    return lambda m: {name: _bytes(m[1], m[2])}


def _seconds_of(name: str) -> _Read:
    return lambda m: {name: float(m[1])}


def _tokens(m: re.Match[str]) -> dict[str, object]:
    return {"kv_cache_tokens": _count(m[1])}


def _concurrency(m: re.Match[str]) -> dict[str, object]:
    return {"concurrency_tokens": _count(m[1]), "max_concurrency": float(m[2])}


def _sglang_tokens(m: re.Match[str]) -> dict[str, object]:
    tokens, length = int(m[1]), int(m[2])
    found: dict[str, object] = {"kv_cache_tokens": tokens}
    return found | {"concurrency_tokens": length, "max_concurrency": tokens / length} if length else found


def _two_sizes(m: re.Match[str]) -> dict[str, object]:
    return {"kv_cache_bytes": _bytes(m[1], m[2]) + _bytes(m[3], m[4])}


def _llama_weights(m: re.Match[str]) -> dict[str, object]:
    """Of a GPU; what stays with the CPU counts only where there is no GPU."""
    of_cpu = m[1].upper().startswith(("CPU", "AMX", "BLAS")) or m[1].endswith("_Host")
    return {"cpu_weights_bytes" if of_cpu else "weights_bytes": _bytes(m[2], m[3])}


#: (a word that the line must hold, pattern, what it says)
_ROWS: tuple[tuple[str, str, _Read], ...] = (
    ("version", r"(?:server version|█\s+version) v?(\d[\w.+]*)", lambda m: {"version": m[1]}),
    ("LLM engine", r"LLM engine \(v(\d[\w.+]*)\)", lambda m: {"version": m[1]}),
    ("took", rf"(?:Model loading|Loading model weights) took {_SIZE}", _size_of("weights_bytes")),
    ("took", r"Model loading took \S+ \S+ (?:memory )?and ([\d.]+) s", _seconds_of("load_seconds")),
    ("took", r"Loading weights took ([\d.]+) s", _seconds_of("read_seconds")),
    ("took", rf"Graph capturing finished in \S+ secs?, took {_SIZE}", _size_of("graph_bytes")),
    ("weights take", rf"model weights take {_SIZE}", _size_of("weights_bytes")),
    ("non_torch", rf"non_torch_memory takes {_SIZE}", _size_of("non_torch_bytes")),
    ("activation", rf"activation peak memory takes {_SIZE}", _size_of("activation_bytes")),
    ("KV Cache is", rf"reserved for KV Cache is {_SIZE}", _size_of("kv_cache_bytes")),
    ("peak activation", rf"{_SIZE} for peak activation", _size_of("activation_bytes")),
    ("non-torch memory", rf"{_SIZE} for non-torch memory", _size_of("non_torch_bytes")),
    ("Available KV", rf"Available KV cache memory: {_SIZE}", _size_of("kv_cache_bytes")),
    ("KV cache size", rf"KV cache size: {_COUNT} tokens", _tokens),
    ("Maximum conc", rf"Maximum concurrency for {_COUNT} tokens per request: ([\d.]+)x", _concurrency),
    ("Load weight end", rf"Load weight end.* mem usage={_SIZE}", _size_of("weights_bytes")),
    ("Load weight end", r"Load weight end\. elapsed=([\d.]+) s", _seconds_of("load_seconds")),
    ("KV Cache is", rf"KV Cache is allocated.*K size: {_SIZE}, V size: {_SIZE}", _two_sizes),
    ("KV Cache is", rf"KV Cache is allocated.*KV size: {_SIZE}", _size_of("kv_cache_bytes")),
    ("KV Cache is", rf"KV Cache is allocated.*#tokens: {_COUNT}", _tokens),
    ("max_total_num", r"max_total_num_tokens=(\d+).*context_len=(\d+)", _sglang_tokens),
    ("graph end", rf"Capture .*graph end.*mem usage={_SIZE}", _size_of("graph_bytes")),
    ("model buffer", rf"(\S+) model buffer size = +{_SIZE}", _llama_weights),
    ("KV self", rf"KV self size += +{_SIZE}", _size_of("kv_cache_bytes")),
    ("KV buffer", rf"KV buffer size = +{_SIZE}", _size_of("kv_cache_bytes")),
    ("compute buffer", rf"compute buffer size = +{_SIZE}", _size_of("activation_bytes")),
    ("n_ctx", r"n_ctx +=\s+(\d+)", _tokens),
    ("n_ctx_", r"n_ctx_(?:seq|per_seq) +=\s+(\d+)", lambda m: {"concurrency_tokens": int(m[1])}),
    ("build", r"build(?:_info)?: b?(\d{4,})", lambda m: {"version": f"b{m[1]}"}),
)
_TABLE = tuple((word, re.compile(pattern), read) for word, pattern, read in _ROWS)
_NAMES = {f.name for f in fields(EngineFigures)}


def figures_in(line: str) -> Iterator[tuple[str, object]]:
    """(name, value) of each figure in this line; names beside those of EngineFigures are for `settled`."""
    for word, pattern, read in _TABLE:
        if word in line:
            match = pattern.search(line)
            if match:
                yield from read(match).items()


def merged(known: dict[str, object], name: str, value: object) -> None:
    """Keep the larger of two; a name (the version) stays the first one."""
    old = known.get(name)
    if isinstance(old, (int, float)) and isinstance(value, (int, float)):
        known[name] = max(old, value)
    else:
        known.setdefault(name, value)


def settled(known: dict[str, object]) -> EngineFigures:
    """The figures, with what follows from others."""
    values = {name: value for name, value in known.items() if name in _NAMES}
    values.setdefault("weights_bytes", known.get("cpu_weights_bytes"))
    values.setdefault("load_seconds", known.get("read_seconds"))
    figures = replace(EngineFigures(), **values)  # type: ignore[arg-type]
    tokens, length = figures.kv_cache_tokens, figures.concurrency_tokens
    if figures.max_concurrency is None and tokens and length:
        return replace(figures, max_concurrency=tokens / length)
    if tokens is None and figures.max_concurrency and length:  # vLLM's V0 tells blocks, not tokens
        return replace(figures, kv_cache_tokens=round(figures.max_concurrency * length))
    return figures
