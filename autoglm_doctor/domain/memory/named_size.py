"""The least that a model's weights can take, by the size in its name: for models of which no config is known.

A name rounds: the published counts behind it, of this project's profiles and of their families, lie between 0.92
(dolly-v2-3b, 2.78e9) and 1.14 (AutoGLM-Phone-9B, 10.29e9) of it; a mixture of "8x7B" or "8x22B" shares what is no
expert and has 0.80 to 0.86 of the product. LEAST and LEAST_OF_EXPERTS lie below all of them.
"""

from __future__ import annotations

import re

from autoglm_doctor.domain.model import element_bytes, quantization_of
from autoglm_doctor.facts import ModelFiles
from autoglm_doctor.intent import Intent

#: Shares of the size in the name that a model has at least.
LEAST, LEAST_OF_EXPERTS = 0.9, 0.75

#: Bytes of a parameter in the narrowest format that checkpoints have without saying so in their names (mxfp4 of
#: gpt-oss; DeepSeek-V3 and Ministral 3 are 8 bits wide).
NARROWEST = 0.5

#: "-27B", "_7b", "1_8B" for 1.8: not the active part of "30B-A3B", not "E4B", not "7b1", not what follows a version's
#: dot. Of "3_8b", which may be 8 or 3.8, it takes the smaller one.
_SIZE = re.compile(r"(?<![a-z0-9.])(\d{1,4}(?:\.\d{1,2})?|\d_\d)b(?![a-z0-9])", re.IGNORECASE)
_EXPERTS = re.compile(r"(?<![a-z0-9.])(\d{1,3})x(\d{1,3}(?:\.\d{1,2})?|\d_\d)b(?![a-z0-9])", re.IGNORECASE)

#: Words of names whose numbers are narrower than 16 bits, or that are no whole model: adapters, draft heads.
_OTHER = re.compile(
    r"awq|gptq|gguf|ggml|exl[23]|hqq|aqlm|quip|eetq|marlin|torchao|squeeze|spqr|vptq|mlx|bnb|bitsandbytes|auto-?round"
    r"|quant|u?int-?[2-8](?!\d)|[1-8](?:\.\d+)?[-_ ]?bits?\b|bpw\b|\bw\d{1,2}a\d{1,2}|fp-?[4568](?!\d)|(?:nv|mx)fp"
    r"|\bnf-?[348]|\bq[2-8](?:[_-]|\b)|\bi?q\d_|1\.58|bitnet|ternary|qat|dwq|compressed|sparse|2of4"
    r"|lora|adapter|peft|eagle|medusa|draft|specul|hydra|\bmtp|dflash|mmproj|tokenizer|delta|diff",
    re.IGNORECASE,
)

#: Families whose plain checkpoints their makers publish in 16 bits; a narrower one says so in its name.
_PLAIN = re.compile(
    r"qwen(?!-?(?:[4-9]|3\.))|qwq-32b|qvq-72b|llama-?[123]|codellama|llava|vicuna|gemma-?[123](?!n)|mistral-(?:7b|nemo)|mixtral|codestral-22b"
    r"|pixtral-12b|chatglm|glm-?4|internlm|internvl|baichuan|\byi-|phi-?[1234]|falcon|\bopt-|bloom|minicpm|starcoder"
    r"|deepseek-(?:llm|coder|math|moe|vl)|cogvlm|solar-10|olmo",
    re.IGNORECASE,
)

#: Flags with which a part of the weights lies elsewhere: --cpu-offload-gb is reckoned with, these have no number.
_ELSEWHERE = ("offload", "kt-", "lora-modules")


def named_parameters(model: str) -> int | None:
    """The least number of parameters that a name such as "Qwen2-72B-Chat" or "Mixtral-8x7B" means.

    None for a name that says nothing sure: a folder, a quantized model, an adapter, two sizes.
    """
    if model.startswith(("/", ".", "~")) or model.count("/") > 1 or "\\" in model or _OTHER.search(model):
        return None
    name = model.rpartition("/")[2]
    experts, sizes = _EXPERTS.findall(name), {_billions(size) for size in _SIZE.findall(name)}
    if len(experts) == 1 and not sizes:
        return int(int(experts[0][0]) * _billions(experts[0][1]) * 1e9 * LEAST_OF_EXPERTS)
    return int(sizes.pop() * 1e9 * LEAST) if len(sizes) == 1 and not experts else None


def _billions(size: str) -> float:
    return float(size.replace("_", "."))


def least_weight_bytes(intent: Intent, files: ModelFiles | None) -> int | None:
    """Bytes of the weights over all GPUs together that no flag makes smaller; None where the name does not tell.

    Only for engines that keep all weights on GPUs: transformers and llama.cpp put the rest into main memory.
    """
    launch, parameters = intent.launch, named_parameters(intent.model)
    is_open = bool(files is not None and files.weights) or bool(quantization_of(intent, files))
    narrowed = launch.quantization or launch.load_format not in (None, "auto", "safetensors", "pt", "dummy")
    flags = (word.lstrip("-").replace("_", "-") for word in intent.command if word.startswith("--"))
    elsewhere = any(part in flag for flag in flags for part in _ELSEWHERE if not flag.startswith("cpu-offload-gb"))
    if parameters is None or intent.engine not in ("vllm", "sglang") or is_open or narrowed or elsewhere:
        return None
    return int(parameters * (element_bytes(intent, files) if _PLAIN.search(intent.model) else NARROWEST))
