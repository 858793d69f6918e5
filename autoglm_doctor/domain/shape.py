"""The shape of a model, read from the values of its config.json: what its parameters, cache and activations depend on.

Every number is derived from the config. Families whose layers we do not know give None: better no number than a
guessed one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Config = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """How many parameters, by what quantization and tensor parallelism do with them."""

    linear: int  # of the decoder's linear layers: quantized, and split between GPUs
    embedding: int  # the table of input vectors
    head: int  # the output layer; 0 when tied to the embedding
    other: int  # norms and biases of the decoder: copied to every GPU
    vision: int = 0  # the vision tower

    @property
    def total(self) -> int:
        """All of them."""
        return self.linear + self.embedding + self.head + self.other + self.vision


@dataclass(frozen=True, slots=True, kw_only=True)
class Vision:
    """A Glm4v vision tower, as far as memory depends on it."""

    patch: int
    merge: int
    temporal: int

    @property
    def factor(self) -> int:
        """Pixels of an image's side that make one token."""
        return self.patch * self.merge


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A decoder, with or without a vision tower."""

    model_type: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    max_positions: int
    rotary_dim: int
    positions_factor: int = 1  # vLLM's table of multimodal rotary positions is four times as long
    parameters: Parameters | None = None  # None: parts of the model are not understood
    vision: Vision | None = None  # understood
    vision_unknown: bool = False  # there is a tower, of a kind we do not know
    sliding_window: int = 0  # tokens; 0: every layer sees everything
    sliding_layers: int = 0
    experts_per_token: int = 0
    expert_intermediate: int = 0
    latent_dim: int = 0  # multi-head latent attention: what one token keeps per layer, in numbers; 0: ordinary heads

    def kv_bytes_per_token(self, element_bytes: float = 2, tensor_parallel: int = 1) -> int:
        """Bytes that one token keeps in the cache of one GPU, all layers."""
        return int(self.layers * self.kv_bytes_per_layer(element_bytes, tensor_parallel))

    def kv_bytes_per_layer(self, element_bytes: float = 2, tensor_parallel: int = 1) -> float:
        """The same for one layer. Heads are split between GPUs, but never below one; a latent is not split."""
        if self.latent_dim:
            return self.latent_dim * element_bytes
        return 2 * max(1, self.kv_heads // tensor_parallel) * self.head_dim * element_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Family:
    """What a config.json leaves unsaid because the architecture implies it (source: transformers' model code)."""

    tied: bool = False  # default of tie_word_embeddings
    norms: int = 2  # RMSNorms of `hidden` per layer
    qkv_bias: bool | None = False  # None: the config's attention_bias says
    output_bias: bool = False  # attention_bias gives the output projection one as well
    head_norms: bool = False  # RMSNorms of `head_dim` on queries and keys
    rotary: float = 1.0  # default of partial_rotary_factor


_FAMILIES: Mapping[str, _Family] = {
    "llama": _Family(qkv_bias=None, output_bias=True),
    "mistral": _Family(),
    "qwen2": _Family(qkv_bias=True),
    "qwen3": _Family(qkv_bias=None, output_bias=True, head_norms=True),
    "gemma": _Family(tied=True, qkv_bias=None, output_bias=True),
    "gemma2": _Family(tied=True, norms=4, qkv_bias=None, output_bias=True),
    "gemma3_text": _Family(tied=True, norms=4, qkv_bias=None, output_bias=True, head_norms=True),
    "phi3": _Family(),
    "glm": _Family(qkv_bias=None, rotary=0.5),
    "glm4": _Family(norms=4, qkv_bias=None, rotary=0.5),
    "glm4v_text": _Family(norms=4, qkv_bias=True, rotary=0.5),
    # The decoders of these are known, their towers are not.
    "qwen2_vl": _Family(qkv_bias=True),
    "qwen2_5_vl": _Family(qkv_bias=True),
    "qwen3_vl": _Family(qkv_bias=None, head_norms=True),
}


def read_shape(config: Config) -> Shape | None:
    """The shape behind a config.json; None when the family or one of its numbers is not known."""
    kind = str(config.get("model_type", ""))
    text = config.get("text_config")
    text = text if isinstance(text, Mapping) else config
    family = _FAMILIES.get("glm4v_text" if kind == "glm4v" else kind)
    if family is None:
        return None
    try:
        return _shape(kind, family, config, text)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None


def _shape(kind: str, family: _Family, config: Config, text: Config) -> Shape:
    heads, hidden = int(text["num_attention_heads"]), int(text["hidden_size"])
    head_dim = int(text.get("head_dim") or hidden // heads)
    tower = config.get("vision_config")
    vision = _vision(tower) if kind == "glm4v" and isinstance(tower, Mapping) else None
    layers = int(text["num_hidden_layers"])
    window, sliding = _sliding(kind, text, layers)
    rotary = float(text.get("partial_rotary_factor") or _rope(text).get("partial_rotary_factor") or family.rotary)
    shape = Shape(
        model_type=kind,
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=int(text.get("num_key_value_heads") or heads),
        head_dim=head_dim,
        intermediate=int(text["intermediate_size"]),
        vocab=int(text["vocab_size"]),
        max_positions=int(text.get("max_position_embeddings") or 0),
        rotary_dim=int(head_dim * rotary),
        positions_factor=4 if isinstance(tower, Mapping) else 1,
        vision=vision,
        vision_unknown=isinstance(tower, Mapping) and vision is None,
        sliding_window=window,
        sliding_layers=sliding,
    )
    return _with_parameters(shape, family, config, text, tower if vision else None)


def _with_parameters(shape: Shape, family: _Family, config: Config, text: Config, tower: Config | None) -> Shape:
    import dataclasses

    if shape.vision_unknown:
        return shape
    found = decoder_parameters(shape, family, text, tied=_tied(config, text, family))
    if tower is not None:
        found = dataclasses.replace(found, vision=vision_parameters(tower))
    return dataclasses.replace(shape, parameters=found)


def decoder_parameters(shape: Shape, family: _Family, text: Config, *, tied: bool) -> Parameters:
    """Parameters of a decoder with grouped heads and a gated MLP."""
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    attention = shape.hidden * (queries + 2 * keys) + queries * shape.hidden
    mlp = 3 * shape.hidden * shape.intermediate
    said = bool(text.get("attention_bias"))
    bias = queries + 2 * keys if (said if family.qkv_bias is None else family.qkv_bias) else 0
    bias += shape.hidden if said and family.output_bias else 0
    bias += 2 * shape.intermediate + shape.hidden if text.get("mlp_bias") else 0
    norms = family.norms * shape.hidden + (2 * shape.head_dim if family.head_norms else 0)
    table = shape.vocab * shape.hidden
    return Parameters(
        linear=shape.layers * (attention + mlp),
        embedding=table,
        head=0 if tied else table,
        other=shape.layers * (bias + norms) + shape.hidden,
    )


def vision_parameters(tower: Config) -> int:
    """Parameters of a Glm4v vision tower (source: transformers' modeling_glm4v.py).

    The gated MLPs of its blocks are `out_hidden_size` wide; `intermediate_size` is the merger's.
    """
    hidden, out, wide = int(tower["hidden_size"]), int(tower["out_hidden_size"]), int(tower["intermediate_size"])
    patch, temporal = int(tower["patch_size"]), int(tower["temporal_patch_size"])
    merge, channels = int(tower["spatial_merge_size"]), int(tower.get("in_channels", 3))
    bias = 4 * hidden if tower.get("attention_bias") else 0
    block = 4 * hidden * hidden + bias + 3 * hidden * out + 2 * hidden
    positions = (int(tower["image_size"]) // patch) ** 2 * hidden
    embedding = hidden * channels * temporal * patch * patch + hidden
    downsample = out * hidden * merge * merge + out
    merger = out * out + 2 * out + 3 * out * wide
    return int(tower["depth"]) * block + positions + embedding + downsample + merger + 2 * hidden


def _vision(tower: Config) -> Vision:
    return Vision(
        patch=int(tower["patch_size"]),
        merge=int(tower["spatial_merge_size"]),
        temporal=int(tower["temporal_patch_size"]),
    )


def _tied(config: Config, text: Config, family: _Family) -> bool:
    said = config.get("tie_word_embeddings", text.get("tie_word_embeddings"))
    return family.tied if said is None else bool(said)


def _rope(text: Config) -> Config:
    for name in ("rope_parameters", "rope_scaling"):
        if isinstance(text.get(name), Mapping):
            return dict(text[name])
    return {}


def _sliding(kind: str, text: Config, layers: int) -> tuple[int, int]:
    """Window and number of the layers that only see so many tokens back."""
    window = text.get("sliding_window")
    if not isinstance(window, int) or window <= 0 or text.get("use_sliding_window") is False:
        return 0, 0
    kinds = text.get("layer_types")
    if isinstance(kinds, (list, tuple)):
        return window, sum(1 for k in kinds if k == "sliding_attention")
    if kind == "gemma2":
        return window, (layers + 1) // 2
    if kind == "gemma3_text":
        every = int(text.get("sliding_window_pattern") or 6)
        return window, layers - layers // every
    return (window, layers) if kind in ("mistral", "phi3") else (0, 0)
