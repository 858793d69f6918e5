"""The dtype of a checkpoint of which only the name is known: `torch_dtype` in the config.json that its makers publish.

Held against public start-up logs of vLLM, which print the dtype that `--dtype auto` took from config.json, are Baichuan
2 (vllm issue 1157), Qwen2.5 (9990), GLM-4 (GLM-4 issue 510), R1's distills (transformerlab-app 370), Gemma 3 (ramalama
912), Llama 3 and 3.2, and against printed configs Mistral and Qwen3. The other rows are common knowledge of the
published configs and were not read one by one; a test holds the profiles against them. Families whose members differ
(the base models of Gemma 2 and OLMo 2 are float32) have rows for the parts that are known; what is not sure has none.
Names of quantized repositories match none.
"""

from __future__ import annotations

import functools
import re

#: Whole names without the owner, in small letters: a fine-tune or a quantized copy has a name of its own.
_BFLOAT16 = (
    # Meta
    r"(meta-)?llama-?3-(8|70)b(-instruct)?(-hf)?",
    r"(meta-)?llama-?3\.1-(8|70|405)b(-instruct)?",
    r"llama-?3\.2-[13]b(-instruct)?|llama-?3\.2-(11|90)b-vision(-instruct)?|llama-?3\.3-70b-instruct",
    r"llama-4-(scout-17b-16e|maverick-17b-128e)(-instruct)?",
    r"codellama-(7|13|34|70)b(-instruct|-python)?-hf",
    r"hermes-3-llama-3\.1-(8|70|405)b|hermes-2-pro-(llama-3-8b|mistral-7b)|llama-3\.1-nemotron-70b-instruct-hf",
    # Google
    r"gemma-(2|7)b(-it)?|gemma-1\.1-(2|7)b-it|gemma-2-(2|9|27)b-it",
    r"gemma-3-(270m|1b|4b|12b|27b)(-it|-pt)?|gemma-3n-e[24]b(-it)?|medgemma-(4b|27b(-text)?)-it",
    # Mistral
    r"mistral-7b(-v0\.[13]|-instruct-v0\.[123])|mixtral-8x(7|22)b(-instruct)?-v0\.1|zephyr-7b-(alpha|beta)",
    r"mistral-nemo-(base|instruct)-2407|mistral-large-instruct-24\d\d|ministral-8b-instruct-2410|codestral-22b-v0\.1",
    r"mistral-small-instruct-2409|mistral-small-(24b|3\.[12]-24b)-(base|instruct)-25\d\d",
    r"(devstral|magistral)-small-25\d\d|mathstral-7b-v0\.1|pixtral-12b(-2409)?",
    # Microsoft
    r"phi-3-(mini|small|medium)-\d+k-instruct|phi-3-vision-128k-instruct|phi-3\.5-(mini|moe|vision)-instruct",
    r"phi-4|phi-4-(mini|multimodal)-instruct|phi-4-(mini-)?reasoning(-plus)?",
    # Qwen; of its first generation the makers changed the config afterwards
    r"qwen1\.5-([\d.]+b|moe-a2\.7b)(-chat)?|codeqwen1\.5-7b(-chat)?",
    r"qwen2-([\d.]+b|57b-a14b)(-instruct)?|qwen2\.5-(coder-|math-)?[\d.]+b(-instruct)?(-1m)?",
    r"qwen2(\.5)?-vl-\d+b(-instruct)?|qwen2-audio-7b(-instruct)?|qwen2\.5-omni-[37]b",
    r"qwen3-[\d.]+b(-base)?|qwen3-(coder-)?\d+b-a\d+b(-base|-instruct|-thinking)?(-2507)?|qwen3-4b-\w+-2507",
    r"qwen3-vl-\d+b(-a\d+b)?-(instruct|thinking)|qwen3-(embedding|reranker)-[\d.]+b|qwq-32b(-preview)?|qvq-72b-preview",
    # DeepSeek, of the models that are not in FP8
    r"deepseek-(llm|math)-\d+b-(base|chat|instruct|rl)|deepseek-coder-([\d.]+b)-(base|instruct)(-v1\.5)?",
    r"deepseek-(coder-)?v2(-lite)?(-chat|-base|-instruct)?|deepseek-v2\.5(-1210)?|deepseek-vl2(-tiny|-small)?",
    r"deepseek-r1-distill-(qwen|llama)-[\d.]+b|deepseek-r1-0528-qwen3-8b",
    # Zhipu
    r"glm-4-9b(-chat)?(-1m)?(-hf)?|glm-4v-9b|glm-(4|z1)-(9|32)b(-chat|-base|-rumination)?-0414",
    r"glm-4\.1v-9b-(thinking|base)|glm-4\.5(-air)?(-base)?|glm-4\.5v|glm-4\.6v?|autoglm-phone-9b(-multilingual)?",
    # Shanghai AI Lab
    r"internlm2-(chat-)?(1_8|7|20)b|internlm2_5-(1_8|7|20)b(-chat)?(-1m)?|internlm3-8b-instruct",
    r"internvl2-\d+b|internvl2_5-\d+b(-mpo)?|internvl3(_5)?-\d+b(-instruct)?",
    # Others
    r"yi-(6|9|34)b(-chat|-200k)?|yi-1\.5-(6|9|34)b(-chat)?(-16k|-32k)?|yi-coder-(1\.5|9)b(-chat)?",
    r"baichuan2-(7|13)b-(base|chat)",
    r"minicpm-v-2_6|minicpm-v-4(_5)?|minicpm-o-2_6|minicpm3-4b|minicpm4(\.1)?-[\d.]+b|minicpm-2b-(sft|dpo)-bf16",
    r"falcon-(7|40)b(-instruct)?|falcon-180b(-chat)?|falcon-11b|falcon3-\d+b-(base|instruct)",
    r"granite-3\.[0-3]-([\d.]+b|\d+b-a\d+m)-(base|instruct)|granite-4\.0-(h-)?(micro|tiny|small)",
    r"c4ai-command-r7b-12-2024|c4ai-command-a-03-2025|dbrx-(base|instruct)|olmo-2-\d{4}-\d+b-instruct",
    r"smollm2-(135m|360m|1\.7b)(-instruct)?|smollm3-3b(-base)?|tinyllama-1\.1b-chat-v1\.0",
    r"kimi-vl-a3b-(instruct|thinking(-2506)?)|moonlight-16b-a3b(-instruct)?",
)
_FLOAT16 = (
    r"llama-?2-(7|13|70)b(-chat)?(-hf)?|vicuna-(7|13)b-v1\.[35](-16k)?|vicuna-33b-v1\.3",
    r"chatglm[23]?-6b(-base|-32k|-128k)?|phi-(1|1_5|2)|minicpm-llama3-v-2_5",
    r"llava-1\.5-(7|13)b-hf|llava-v1\.6-(mistral-7b|vicuna-7b|vicuna-13b)-hf|solar-10\.7b-instruct-v1\.0",
    r"c4ai-command-r-v01|c4ai-command-r-plus|c4ai-command-r(-plus)?-08-2024|aya-23-(8|35)b|aya-expanse-(8|32)b",
    r"opt-(125m|1\.3b|2\.7b|6\.7b|13b|30b|66b)",
)
#: Families that vLLM refuses in float16 (vllm/config/model.py), by name.
_OVERFLOWS = re.compile(r"gemma-?[23](?!\d)|plamo-?2|glm-4-(9|32)b.*-0414")


def published_dtype(model: str) -> str | None:
    """ "bfloat16" or "float16" of a hub name, whatever its owner and capitals; None for a folder or another name."""
    return next((dtype for dtype, names in _published() if names.fullmatch(_tail(model))), None)


def overflows_in_half(model: str) -> bool:
    """Whether a model of this name is one that vLLM does not run in float16."""
    return bool(_OVERFLOWS.search(_tail(model)))


@functools.cache
def _published() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Compiled on the first question: most machines have a GPU with bfloat16, and ask none."""
    rows = (("bfloat16", _BFLOAT16), ("float16", _FLOAT16))
    return tuple((dtype, re.compile("|".join(patterns))) for dtype, patterns in rows)


def _tail(model: str) -> str:
    name = model.strip().lower()
    return "" if name.startswith(("/", ".", "~")) or name.count("/") > 1 else name.rpartition("/")[2]
