"""What the user means to run: plain frozen types. `launch.py` reads it from a command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Engine = Literal["vllm", "sglang", "transformers", "llamacpp"]
Device = Literal["cuda", "cpu", "auto"]

#: The model that is made on the spot for the final stage where no weights are at hand.
SMOKE = "smoke"

#: The model of a server that does not say what it serves.
UNNAMED = "a model without a name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """The flags of a server, under vLLM's names; None: not given, the engine's default applies."""

    dtype: str | None = None  # "auto", "bfloat16", "half"
    quantization: str | None = None
    load_format: str | None = None
    kv_cache_dtype: str | None = None
    max_model_len: int | None = None
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    gpu_memory_utilization: float | None = None  # SGLang: --mem-fraction-static
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    data_parallel: int = 1
    enforce_eager: bool = False
    limit_mm_per_prompt: Mapping[str, int] = field(default_factory=dict)  # {"image": 10}
    mm_processor_kwargs: Mapping[str, object] = field(default_factory=dict)  # {"max_pixels": 5000000}
    cpu_offload_gib: float = 0.0
    chat_template: str | None = None
    download_dir: str | None = None
    trust_remote_code: bool = False
    # llama.cpp only. There max_model_len is -c (all slots together), max_num_seqs -np, max_num_batched_tokens -ub and
    # kv_cache_dtype the type of the keys.
    gpu_layers: int | None = None  # -ngl; the output layer counts as one more
    kv_cache_dtype_v: str | None = None
    flash_attn: str | None = None  # "on", "off", "auto"
    mmproj: str | None = None  # file of the vision tower


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One deployment, however it was said: a command, options, or the default profile."""

    model: str  # hub name, folder, or SMOKE
    engine: Engine = "vllm"
    profile: str = ""  # the known model that `model` is, "" when unknown
    launch: Launch = field(default_factory=Launch)
    device: Device = "cuda"
    host: str = "0.0.0.0"  # noqa: S104  the engines' own default; we only try to bind
    port: int = 8000
    command: tuple[str, ...] = ()  # the words after `--`, or the profile's documented line
    environment: Mapping[str, str] = field(default_factory=dict)  # assignments in front of the command
    stated_by: Literal["command", "options", "profile"] = "profile"
    unknown_flags: tuple[str, ...] = ()
    require_model: bool = False
    assumed: tuple[str, ...] = ()  # facts replaced by --assume, as given
    other_engine: str = ""  # a server that is none of ours was named: `engine` says "transformers" for want of it
    split_open: bool = False  # over how many GPUs the model is spread was not said, and a default proves nothing

    @property
    def gpus_needed(self) -> int:
        """How many GPUs the deployment takes."""
        return self.launch.tensor_parallel * self.launch.pipeline_parallel * self.launch.data_parallel
