"""The command lines of the engines: which words start one, and what their flags mean to us.

Sources: `vllm serve --help` of 0.12 to 0.33, `python -m sglang.launch_server --help` of 0.5, `transformers serve
--help` of 5, and the README of llama.cpp's server (2024 to 2026). Flags that change nothing we judge are only
listed as known, so that a misspelt one can be told apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from autoglm_doctor.intent import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Syntax:
    """One engine's command line."""

    engine: Engine
    modules: tuple[str, ...]  # after `python -m`
    programs: Mapping[str, tuple[str, ...]]  # program -> its serving sub-commands; () where it only serves
    fields: Mapping[str, str]  # flag, without dashes -> field of Launch, or "model", "host", "port"
    switches: frozenset[str]  # flags without a value
    known: frozenset[str]  # flags with a value that we do not judge
    default_host: str
    default_port: int
    positional_model: bool


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


VLLM = Syntax(
    engine="vllm",
    modules=("vllm.entrypoints.openai.api_server", "vllm.entrypoints.cli.main"),
    programs={"vllm": ("serve",)},
    fields={
        "model": "model",
        "host": "host",
        "port": "port",
        "dtype": "dtype",
        "quantization": "quantization",
        "q": "quantization",
        "load-format": "load_format",
        "kv-cache-dtype": "kv_cache_dtype",
        "max-model-len": "max_model_len",
        "max-num-seqs": "max_num_seqs",
        "max-num-batched-tokens": "max_num_batched_tokens",
        "gpu-memory-utilization": "gpu_memory_utilization",
        "tensor-parallel-size": "tensor_parallel",
        "tp": "tensor_parallel",
        "pipeline-parallel-size": "pipeline_parallel",
        "pp": "pipeline_parallel",
        "data-parallel-size": "data_parallel",
        "dp": "data_parallel",
        "limit-mm-per-prompt": "limit_mm_per_prompt",
        "mm-processor-kwargs": "mm_processor_kwargs",
        "cpu-offload-gb": "cpu_offload_gib",
        "chat-template": "chat_template",
        "download-dir": "download_dir",
        "enforce-eager": "enforce_eager",
        "trust-remote-code": "trust_remote_code",
    },
    switches=_words(
        "enforce-eager trust-remote-code enable-prefix-caching no-enable-prefix-caching enable-chunked-prefill "
        "no-enable-chunked-prefill enable-auto-tool-choice disable-log-requests enable-log-requests "
        "disable-log-stats enable-lora skip-mm-profiling disable-custom-all-reduce enable-expert-parallel "
        "async-scheduling no-async-scheduling enable-sleep-mode headless return-tokens-as-token-ids "
        "disable-mm-preprocessor-cache language-model-only disable-uvicorn-access-log enable-server-load-tracking "
        "calculate-kv-scales disable-sliding-window skip-tokenizer-init enable-request-id-headers allow-credentials"
    ),
    known=_words(
        "served-model-name allowed-local-media-path mm-encoder-tp-mode mm-processor-cache-type "
        "mm-processor-cache-gb chat-template-content-format api-key tokenizer tokenizer-mode revision code-revision "
        "tokenizer-revision seed swap-space block-size hf-overrides hf-token hf-config-path config-format "
        "tool-call-parser tool-parser-plugin reasoning-parser response-role ssl-keyfile ssl-certfile root-path "
        "uvicorn-log-level allowed-origins allowed-methods allowed-headers middleware distributed-executor-backend "
        "max-lora-rank max-loras lora-modules compilation-config O cc speculative-config kv-transfer-config "
        "guided-decoding-backend structured-outputs-config max-logprobs logprobs-mode generation-config "
        "override-generation-config attention-backend attention-config kv-cache-memory-bytes "
        "max-seq-len-to-capture nnodes node-rank master-addr master-port api-server-count "
        "mm-encoder-attn-backend "
        "interleave-mm-strings limit-mm-per-prompt runner convert task allowed-media-domains additional-config "
        "num-gpu-blocks-override rope-scaling rope-theta max-num-partial-prefills scheduling-policy profiler-config "
        "max-log-len otlp-traces-endpoint model-loader-extra-config ignore-patterns video-pruning-rate"
    ),
    default_host="0.0.0.0",  # noqa: S104  what the engine binds when told nothing; we only try it
    default_port=8000,
    positional_model=True,
)

SGLANG = Syntax(
    engine="sglang",
    modules=("sglang.launch_server",),
    programs={"sglang": ("serve",)},
    fields={
        "model-path": "model",
        "model": "model",
        "host": "host",
        "port": "port",
        "dtype": "dtype",
        "quantization": "quantization",
        "load-format": "load_format",
        "kv-cache-dtype": "kv_cache_dtype",
        "context-length": "max_model_len",
        "max-running-requests": "max_num_seqs",
        "chunked-prefill-size": "max_num_batched_tokens",
        "mem-fraction-static": "gpu_memory_utilization",
        "tp-size": "tensor_parallel",
        "tensor-parallel-size": "tensor_parallel",
        "tp": "tensor_parallel",
        "pp-size": "pipeline_parallel",
        "dp-size": "data_parallel",
        "data-parallel-size": "data_parallel",
        "dp": "data_parallel",
        "mm-process-config": "mm_processor_kwargs",
        "limit-mm-data-per-request": "limit_mm_per_prompt",
        "chat-template": "chat_template",
        "download-dir": "download_dir",
        "disable-cuda-graph": "enforce_eager",
        "trust-remote-code": "trust_remote_code",
    },
    switches=_words(
        "disable-cuda-graph trust-remote-code mm-enable-dp-encoder enable-dp-attention disable-radix-cache "
        "enable-torch-compile enable-metrics enable-multimodal skip-tokenizer-init log-requests enable-p2p-check "
        "disable-custom-all-reduce disable-overlap-schedule enable-mixed-chunk keep-mm-feature-on-device"
    ),
    known=_words(
        "served-model-name api-key tokenizer-path revision random-seed log-level attention-backend sampling-backend "
        "mm-attention-backend cuda-graph-max-bs tool-call-parser reasoning-parser schedule-policy "
        "schedule-conservativeness max-total-tokens max-prefill-tokens nnodes node-rank dist-init-addr "
        "speculative-algorithm speculative-num-steps speculative-draft-model-path page-size grammar-backend device"
    ),
    default_host="127.0.0.1",
    default_port=30000,
    positional_model=False,
)

TRANSFORMERS = Syntax(
    engine="transformers",
    modules=("transformers.cli.transformers",),
    programs={"transformers": ("serve",), "transformers-cli": ("serve",)},
    fields={
        "force-model": "model",
        "host": "host",
        "port": "port",
        "dtype": "dtype",
        "torch-dtype": "dtype",
        "quantization": "quantization",
        "trust-remote-code": "trust_remote_code",
    },
    switches=_words("trust-remote-code continuous-batching enable-cors non-blocking compile no-compile"),
    known=_words("device attn-implementation model-timeout log-level default-seed reasoning processor"),
    default_host="localhost",
    default_port=8000,
    positional_model=True,
)

LLAMACPP = Syntax(
    engine="llamacpp",
    modules=(),
    programs={"llama-server": ()},
    fields={
        "model": "model",
        "m": "model",
        "hf-repo": "model",
        "hf": "model",
        "hfr": "model",
        "host": "host",
        "port": "port",
        "ctx-size": "max_model_len",
        "c": "max_model_len",
        "parallel": "max_num_seqs",
        "np": "max_num_seqs",
        "ubatch-size": "max_num_batched_tokens",
        "ub": "max_num_batched_tokens",
        "n-gpu-layers": "gpu_layers",
        "gpu-layers": "gpu_layers",
        "ngl": "gpu_layers",
        "cache-type-k": "kv_cache_dtype",
        "ctk": "kv_cache_dtype",
        "cache-type-v": "kv_cache_dtype_v",
        "ctv": "kv_cache_dtype_v",
        "flash-attn": "flash_attn",  # without a value before August 2025
        "fa": "flash_attn",
        "mmproj": "mmproj",
        "mm": "mmproj",
        "chat-template": "chat_template",
    },
    switches=_words(
        "kv-unified kvu no-kv-unified no-kvu kv-offload kvo no-kv-offload nkvo swa-full cpu-moe cmoe no-mmproj "
        "no-mmproj-auto mmproj-auto mmproj-offload no-mmproj-offload cont-batching cb no-cont-batching nocb "
        "context-shift no-context-shift warmup no-warmup jinja no-jinja metrics props slots no-slots embedding "
        "embeddings rerank reranking ui webui no-ui no-webui mlock no-mmap mmap verbose v offline no-host repack "
        "no-repack nr op-offload no-op-offload check-tensors escape no-escape e perf no-perf cache-prompt "
        "no-cache-prompt cache-idle-slots no-cache-idle-slots special sp spm-infill log-disable log-prefix "
        "no-log-prefix log-timestamps no-log-timestamps reuse-port reasoning-preserve no-reasoning-preserve "
        "prefill-assistant no-prefill-assistant ignore-eos lora-init-without-apply direct-io no-direct-io dio"
    ),
    known=_words(
        "batch-size b threads t threads-batch tb threads-http alias a api-key api-key-file chat-template-file "
        "chat-template-kwargs split-mode sm tensor-split ts main-gpu mg device dev fit fitt fit-target fitc fit-ctx "
        "override-tensor ot n-cpu-moe ncmoe n-cpu-ffn ncffn lora lora-scaled predict n-predict n keep rope-scaling "
        "rope-scale rope-freq-base rope-freq-scale yarn-orig-ctx yarn-ext-factor yarn-attn-factor yarn-beta-slow "
        "yarn-beta-fast cache-ram cram cache-reuse slot-save-path slot-prompt-similarity sps media-path "
        "image-min-tokens image-max-tokens model-draft md gpu-layers-draft ngld draft-max draft-min hf-file hff "
        "hf-token hft mmproj-url mmu model-url mu reasoning-format reasoning rea reasoning-budget reasoning-effort "
        "temp temperature top-k top-p min-p seed s repeat-penalty presence-penalty frequency-penalty samplers numa "
        "prio prio-batch poll pooling timeout to path api-prefix ssl-key-file ssl-cert-file load-mode lm "
        "override-kv log-file log-colors verbosity lv log-verbosity defrag-thold dt grammar json-schema "
        "sleep-idle-seconds ctx-checkpoints cpu-mask C cpu-range Cr rpc tags mmproj-device mmdev"
    ),
    default_host="127.0.0.1",
    default_port=8080,
    positional_model=False,
)

SYNTAXES: Mapping[Engine, Syntax] = {s.engine: s for s in (VLLM, SGLANG, TRANSFORMERS, LLAMACPP)}
