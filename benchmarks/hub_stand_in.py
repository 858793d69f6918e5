"""A model hub on 127.0.0.1 that knows the models of start-up logs: config.json and the header of model.safetensors.

Both are written from a row's `config` and `flags`, in the layout of the published models (Llama, Mistral, Qwen2, Qwen3,
Qwen2.5-VL). No weights are there: a file is its header, and ranges of it are served. Parameters that the row counts and
the decoder does not explain are one tensor more, so that the bytes of the header are those of the row.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

Row = dict[str, Any]
Tensors = dict[str, tuple[str, list[int]]]

#: (part of the row's model name, model_type, architecture, biases of q, k and v, norms of q and k).
FAMILIES = (
    ("qwen2.5-vl", "qwen2_5_vl", "Qwen2_5_VLForConditionalGeneration", True, False),
    ("qwen2", "qwen2", "Qwen2ForCausalLM", True, False),
    ("qwen3-vl", "", "", False, False),  # another layout, which nobody needed yet
    ("qwen3-next", "", "", False, False),
    ("qwen3", "qwen3", "Qwen3ForCausalLM", False, True),
    ("llama", "llama", "LlamaForCausalLM", False, False),
    ("mistral-small", "mistral", "MistralForCausalLM", False, False),
)

#: Vision tower of Qwen2.5-VL-7B (source: its config.json); rows give the text part.
VISION = {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "out_hidden_size": 3584}

DTYPES = {"bf16": ("BF16", "bfloat16"), "fp16": ("F16", "float16"), "f32": ("F32", "float32")}

#: bitsandbytes: values in a block share a scale of a byte; so many of those share one of four bytes (source: its
#: functional.py, blocksize 64 and the nested 256).
BLOCK, NESTED = 64, 256

TEXT = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "tie_word_embeddings",
    "max_position_embeddings",
)
COMMIT = "0" * 40
LAST_BYTE = re.compile(r"bytes=(\d+)-(\d*)")


def family(row: Row) -> tuple[str, str, str, bool, bool] | None:
    """The layout of the row's model; None for one that we cannot write."""
    config = row["config"]
    found = next((f for f in FAMILIES if f[0] in str(config.get("model")).lower()), None)
    return None if found is None or not found[1] or config.get("num_experts") else found


def served(row: Row) -> bool:
    """Can its config and header be written? Of the quantised forms only that of bitsandbytes."""
    form = str(row["flags"].get("quantization") or "")
    whole = all(row["config"].get(key) is not None for key in TEXT)
    return whole and family(row) is not None and (not form or "bnb4" in form) and row["flags"].get("dtype") in DTYPES


def config_of(row: Row) -> Row:
    """config.json as the model's page has it."""
    found = family(row)
    assert found is not None
    _, kind, architecture, *_ = found
    text = {key: row["config"][key] for key in TEXT}
    config: Row = {"architectures": [architecture], "model_type": kind, "torch_dtype": DTYPES[row["flags"]["dtype"]][1]}
    config |= text
    if kind == "qwen2_5_vl":
        config["vision_config"] = VISION
    return config


def tensors(row: Row) -> Tensors:
    """Names, dtypes and shapes of its tensors."""
    c, found = row["config"], family(row)
    assert found is not None
    dtype = DTYPES[row["flags"]["dtype"]][0]
    whole: Tensors = {"model.embed_tokens.weight": (dtype, [c["vocab_size"], c["hidden_size"]])}
    for number in range(c["num_hidden_layers"]):
        for name, shape in layer(c, biased=found[3], normed=found[4]):
            whole[f"model.layers.{number}.{name}"] = (dtype, shape)
    whole["model.norm.weight"] = (dtype, [c["hidden_size"]])
    if not c["tie_word_embeddings"]:
        whole["lm_head.weight"] = (dtype, [c["vocab_size"], c["hidden_size"]])
    surplus = c.get("parameters", 0) - sum(math.prod(shape) for _, shape in whole.values())
    if surplus > 0:
        whole["visual.not_explained.weight"] = (dtype, [surplus])
    quantised = "bnb4" in str(row["flags"].get("quantization") or "")
    return dict(packed(whole)) if quantised else whole


def layer(c: Row, *, biased: bool, normed: bool) -> Iterator[tuple[str, list[int]]]:
    """The tensors of one decoder layer."""
    hidden, head, inner = c["hidden_size"], c["head_dim"], c["intermediate_size"]
    query, key = c["num_attention_heads"] * head, c["num_key_value_heads"] * head
    for name, rows in (("q_proj", query), ("k_proj", key), ("v_proj", key)):
        yield f"self_attn.{name}.weight", [rows, hidden]
        if biased:
            yield f"self_attn.{name}.bias", [rows]
    yield "self_attn.o_proj.weight", [hidden, query]
    if normed:
        yield "self_attn.q_norm.weight", [head]
        yield "self_attn.k_norm.weight", [head]
    yield "mlp.gate_proj.weight", [inner, hidden]
    yield "mlp.up_proj.weight", [inner, hidden]
    yield "mlp.down_proj.weight", [hidden, inner]
    yield "input_layernorm.weight", [hidden]
    yield "post_attention_layernorm.weight", [hidden]


def packed(whole: Tensors) -> Iterator[tuple[str, tuple[str, list[int]]]]:
    """The linear layers in nf4 with double quantisation, the rest as it was."""
    for name, (dtype, shape) in whole.items():
        if not name.endswith("proj.weight"):
            yield name, (dtype, shape)
            continue
        size = math.prod(shape)
        yield name, ("U8", [size // 2, 1])
        yield f"{name}.absmax", ("U8", [math.ceil(size / BLOCK)])
        yield f"{name}.nested_absmax", ("F32", [math.ceil(size / BLOCK / NESTED)])


def safetensors(row: Row) -> bytes:
    """The head of model.safetensors: its length, then JSON."""
    sizes = {"U8": 1, "F32": 4, "BF16": 2, "F16": 2}
    header, offset = {}, 0
    for name, (dtype, shape) in tensors(row).items():
        end = offset + math.prod(shape) * sizes[dtype]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text


class Hub(BaseHTTPRequestHandler):
    """The answers that hf-mem and huggingface_hub ask for."""

    rows: ClassVar[dict[str, Row]] = {}
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """A model's page as JSON, the list of its files, or a file."""
        path = self.path.split("?")[0]
        for name, row in self.rows.items():
            if path in (f"/api/models/{name}", f"/api/models/{name}/revision/main"):
                about = {"id": name, "modelId": name, "sha": COMMIT, "library_name": "transformers", "siblings": []}
                return self.answer(
                    json.dumps(about | {"config": config_of(row), "tags": [], "private": False}).encode()
                )
            if path.startswith(f"/api/models/{name}/tree/"):
                files = [{"type": "file", "path": path, "size": 1} for path in ("config.json", "model.safetensors")]
                return self.answer(json.dumps(files).encode())
            if re.fullmatch(f"/{re.escape(name)}/resolve/[^/]+/config.json", path):
                return self.answer(json.dumps(config_of(row)).encode())
            if re.fullmatch(f"/{re.escape(name)}/resolve/[^/]+/model.safetensors", path):
                return self.answer(safetensors(row))
        return self.answer(b"{}", 404)

    do_HEAD = do_GET

    def answer(self, body: bytes, status: int = 200) -> None:
        """The body, or the range of it that was asked for."""
        asked = LAST_BYTE.fullmatch(self.headers.get("Range") or "")
        if asked and status == 200:
            status, body = 206, body[int(asked[1]) : int(asked[2]) + 1 if asked[2] else None]
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{COMMIT}"')
        if status == 404:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


@contextlib.contextmanager
def hub(rows: dict[str, Row]) -> Iterator[str]:
    """Serve these rows by repository name; gives the address."""
    handler = type("RowsHub", (Hub,), {"rows": rows})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
