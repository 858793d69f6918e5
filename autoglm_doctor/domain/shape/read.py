"""The shape of a model, read from the values of its config.json: what its parameters, cache and activations depend on.

Every number is derived from the config. Families whose layers we do not know give None: better no number than a
guessed one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from autoglm_doctor.domain.shape.chatglm import usual_names
from autoglm_doctor.domain.shape.families import FAMILIES, TEXT_OF, Family
from autoglm_doctor.domain.shape.hybrid import HYBRIDS, MOE, attention_layers, jamba, qwen3_next
from autoglm_doctor.domain.shape.text import decoder_pieces, falcon, read_experts, read_latent
from autoglm_doctor.domain.shape.towers import patch_bytes, tower_parameters
from autoglm_doctor.domain.shape.types import Latent as Latent
from autoglm_doctor.domain.shape.types import Parameters as Parameters
from autoglm_doctor.domain.shape.types import Piece as Piece
from autoglm_doctor.domain.shape.types import Shape as Shape
from autoglm_doctor.domain.shape.types import Vision as Vision
from autoglm_doctor.domain.shape.types import count as count

Config = Mapping[str, Any]

#: A number of layers beyond this is an error in the config; lists of so many would be made below.
MOST_LAYERS = 10_000
MOST = 1 << 50  # parameters included


def read_shape(config: Config) -> Shape | None:
    """The shape behind a config.json; None when the family or one of its numbers is not known."""
    kind = str(config.get("model_type", ""))
    text = config.get("text_config")
    text = text if isinstance(text, Mapping) else config
    name = (TEXT_OF[kind] or str(text.get("model_type", ""))) if kind in TEXT_OF else kind
    family = FAMILIES.get(name)
    try:
        if kind == "chatglm":
            config = text = usual_names(config)
        if name in HYBRIDS:
            return _sane(_hybrid(name, config, text))
        return _sane(_shape(kind, name, family, config, text)) if family else None
    except (KeyError, TypeError, ValueError, ZeroDivisionError, OverflowError, IndexError, AttributeError):
        return None


def _sane(shape: Shape | None) -> Shape | None:
    """No model has a number below nothing or beyond MOST in its shape, and with one nothing can be reckoned."""
    if shape is None:
        return None
    counted = dataclasses.astuple(shape.parameters) if shape.parameters else ()
    numbers = _numbers(dataclasses.astuple(shape))  # -1 stands for "all" in some
    sane = all(-1 <= value <= MOST for value in numbers) and all(value >= 0 for value in counted)
    return shape if sane and shape.experts >= 0 else None


def _numbers(values: Iterable[object]) -> Iterator[float]:
    for value in values:
        if isinstance(value, (tuple, list)):
            yield from _numbers(value)
        elif isinstance(value, (int, float)):
            yield value


def _shape(kind: str, name: str, family: Family, config: Config, text: Config) -> Shape:
    if name == "falcon":
        family, text = falcon(family, text)
    plain = _plain(kind, name, family, text)
    found = read_experts(name, family, text, plain.layers)
    latent = read_latent(family, text)
    tower = config.get("vision_config")
    tower = tower if isinstance(tower, Mapping) else None
    vision = _vision(tower) if kind == "glm4v" and tower is not None else None
    dense = found.dense if found.layers < plain.layers else 0
    shape = dataclasses.replace(
        plain,
        intermediate=max(dense, found.shared),
        experts=found.number if found.layers else 0,
        expert_layers=found.layers,
        experts_per_token=found.per_token if found.layers else 0,
        expert_intermediate=found.width if found.layers else 0,
        latent=latent,
        latent_dim=latent.cached if latent else 0,
        rotary_dim=latent.rope if latent else plain.rotary_dim,
        positions_factor=4 if family.mrope and tower is not None else 1,
        vision=vision,
        vision_unknown=tower is not None and vision is None,
    )
    pieces = decoder_pieces(shape, family, text, found, tied=_tied(config, text, family.tied))
    return _with_tower(shape, kind, config, tower, pieces)


def _with_tower(shape: Shape, kind: str, config: Config, tower: Config | None, pieces: tuple[Piece, ...]) -> Shape:
    """A known kind of tower must give its numbers where we reckon with its pictures (Glm4v); others stay open."""
    if tower is None:
        return dataclasses.replace(shape, pieces=pieces, parameters=count(pieces))
    try:
        size = tower_parameters(kind, config, tower, shape.hidden)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        if shape.vision is not None:
            raise
        size = None
    if size is None:
        return shape
    pieces = (*pieces, Piece(name="vision tower", group="vision", size=size))
    if kind.startswith("qwen"):
        merge = int(tower.get("spatial_merge_size", 2))
        side = merge * int(tower.get("patch_size", 14))
        shape = dataclasses.replace(shape, patch_bytes=patch_bytes(tower), token_patches=merge**2, token_pixels=side**2)
    return dataclasses.replace(shape, pieces=pieces, parameters=count(pieces))


def _plain(kind: str, name: str, family: Family, text: Config) -> Shape:
    """Everything but experts, latent attention and towers.

    Raises:
        KeyError, TypeError, ValueError: a number is missing, or none at all.
    """
    heads, hidden = int(text["num_attention_heads"]), int(text["hidden_size"])
    head_dim = int(text.get("head_dim") or hidden // heads)
    layers = int(text["num_hidden_layers"])
    window, sliding = _sliding(name, text, layers)
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
        sliding_window=window,
        sliding_layers=sliding,
    )
    if min(shape.layers, hidden, heads, shape.kv_heads, head_dim, shape.vocab) <= 0 or shape.max_positions < 0:
        raise ValueError("a size is not positive")
    if shape.layers > MOST_LAYERS:
        raise ValueError("more layers than any model has")
    return shape


def _hybrid(name: str, config: Config, text: Config) -> Shape:
    """Shapes of decoders with state layers."""
    plain = _plain(name, name, Family(rotary=0.25), {"intermediate_size": 0, **text})
    keeping = attention_layers(name, text, plain.layers)
    shape = dataclasses.replace(plain, cache_layers=len(keeping), sliding_window=0, sliding_layers=0)
    if name == "qwen3_next":
        found = read_experts(name, MOE, text, plain.layers)
        shape = dataclasses.replace(
            shape,
            intermediate=found.shared,
            experts=found.number,
            expert_layers=found.layers,
            experts_per_token=found.per_token,
            expert_intermediate=found.width,
        )
    build = {"qwen3_next": qwen3_next, "jamba": jamba}[name]
    pieces, state = build(shape, text, tied=_tied(config, text, False))
    return dataclasses.replace(shape, pieces=pieces, parameters=count(pieces), state_numbers=state)


def _vision(tower: Config) -> Vision:
    found = Vision(
        patch=int(tower["patch_size"]),
        merge=int(tower["spatial_merge_size"]),
        temporal=int(tower["temporal_patch_size"]),
    )
    if min(found.patch, found.merge, found.temporal) <= 0:
        raise ValueError("a size is not positive")
    return found


def _tied(config: Config, text: Config, default: bool) -> bool:
    said = config.get("tie_word_embeddings", text.get("tie_word_embeddings"))
    return default if said is None else bool(said)


def _rope(text: Config) -> Config:
    for name in ("rope_parameters", "rope_scaling"):
        if isinstance(text.get(name), Mapping):
            return dict(text[name])
    return {}


def _sliding(kind: str, text: Config, layers: int) -> tuple[int, int]:
    """Window and number of the layers that only see so many tokens back."""
    window = text.get("sliding_window") or text.get("attention_chunk_size")
    if not isinstance(window, int) or window <= 0 or text.get("use_sliding_window") is False:
        return 0, 0
    kinds = text.get("layer_types")
    if isinstance(kinds, (list, tuple)):
        return window, min(layers, sum(1 for k in kinds if k in ("sliding_attention", "chunked_attention")))
    if kind in ("gemma2", "gpt_oss"):
        return window, (layers + 1) // 2
    if kind == "gemma3_text":
        every = int(text.get("sliding_window_pattern") or 6)
        return window, layers - layers // every
    if kind in ("cohere2", "olmo3"):
        every = int(text.get("sliding_window_pattern") or 4)
        return window, layers - layers // every
    return (window, layers) if kind in ("mistral", "phi3", "mixtral", "starcoder2") else (0, 0)
