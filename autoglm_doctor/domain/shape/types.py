"""What the shape of a model consists of. `shape` reads it from a config.json and re-exports these types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: What quantization and parallelism do differently: "other" are norms, biases and routers.
Group = Literal["linear", "experts", "embedding", "head", "other", "vision"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Tensors of one kind, fused as vLLM fuses them (queries, keys and values; gate and up; all experts of a layer)."""

    name: str  # "qkv", "down"
    group: Group
    size: int  # parameters of one tensor, on all GPUs together
    count: int = 1
    kv: int = 0  # of `size`: what belongs to KV heads, which are copied where there are fewer of them than GPUs
    split: bool = True  # between tensor-parallel GPUs; else every one has a copy

    @property
    def total(self) -> int:
        """Parameters of all of them."""
        return self.size * self.count

    def size_on(self, gpus: int, kv_heads: int) -> float:
        """Parameters of one tensor on one of so many tensor-parallel GPUs."""
        if not self.split:
            return self.size
        return (self.size - self.kv) / gpus + self.kv / max(1, min(gpus, kv_heads))


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """How many parameters, by what quantization and tensor parallelism do with them."""

    linear: int  # of the decoder's linear layers: quantized, and split between GPUs
    embedding: int  # the table of input vectors
    head: int  # the output layer; 0 when tied to the embedding
    other: int  # norms, biases and routers of the decoder: not quantized, copied to every GPU
    vision: int = 0  # the vision tower and its projector
    experts: int = 0  # linear layers of routed experts

    @property
    def total(self) -> int:
        """All of them."""
        return self.linear + self.embedding + self.head + self.other + self.vision + self.experts


def count(pieces: tuple[Piece, ...]) -> Parameters:
    """The sums of pieces by their groups."""
    sums: dict[Group, int] = {}
    for piece in pieces:
        sums[piece.group] = sums.get(piece.group, 0) + piece.total
    return Parameters(
        linear=sums.get("linear", 0),
        embedding=sums.get("embedding", 0),
        head=sums.get("head", 0),
        other=sums.get("other", 0),
        vision=sums.get("vision", 0),
        experts=sums.get("experts", 0),
    )


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
class Latent:
    """Multi-head latent attention (DeepSeek): widths of its projections."""

    query_rank: int  # 0: queries are not compressed
    kv_rank: int
    nope: int  # numbers of a head without position
    rope: int  # with position
    value: int

    @property
    def cached(self) -> int:
        """Numbers that one token keeps per layer; every tensor-parallel GPU keeps all of them."""
        return self.kv_rank + self.rope


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A decoder, with or without a vision tower."""

    model_type: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int  # of the widest MLP that sees every token; 0: all layers have experts only
    vocab: int
    max_positions: int
    rotary_dim: int
    positions_factor: int = 1  # vLLM's table of multimodal rotary positions is four times as long
    parameters: Parameters | None = None  # None: parts of the model are not understood
    vision: Vision | None = None  # understood
    vision_unknown: bool = False  # there is a tower whose pictures and peak we cannot work out
    patch_bytes: int = 0  # at the peak of such a tower, where its widths are known; 0: not known
    token_patches: int = 4  # patches that become one token
    token_pixels: int = 784
    sliding_window: int = 0  # tokens; 0: every layer sees everything
    sliding_layers: int = 0
    experts: int = 0  # in one layer
    expert_layers: int = 0
    experts_per_token: int = 0
    expert_intermediate: int = 0
    latent: Latent | None = None
    latent_dim: int = 0  # multi-head latent attention: what one token keeps per layer, in numbers; 0: ordinary heads
    cache_layers: int = -1  # layers that keep keys and values; -1: all. The others of a hybrid model keep a state
    state_numbers: int = 0  # numbers of the fixed state that one sequence of a hybrid model keeps, all layers
    pieces: tuple[Piece, ...] = ()

    @property
    def hybrid(self) -> bool:
        """Whether layers with a fixed state stand beside those with attention."""
        return 0 <= self.cache_layers < self.layers

    @property
    def attention_layers(self) -> int:
        """Layers that keep keys and values."""
        return self.layers if self.cache_layers < 0 else self.cache_layers

    def kv_bytes_per_token(self, element_bytes: float = 2, tensor_parallel: int = 1) -> int:
        """Bytes that one token keeps in the cache of one GPU, all layers."""
        return int(self.attention_layers * self.kv_bytes_per_layer(element_bytes, tensor_parallel))

    def kv_bytes_per_layer(self, element_bytes: float = 2, tensor_parallel: int = 1) -> float:
        """The same for one layer. Heads are split between GPUs, but never below one; a latent is not split."""
        if self.latent_dim:
            return self.latent_dim * element_bytes
        return 2 * max(1, self.kv_heads // tensor_parallel) * self.head_dim * element_bytes
