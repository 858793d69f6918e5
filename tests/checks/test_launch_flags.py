"""CFG: flags that the engine refuses for this model, on these GPUs."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from autoglm_doctor.checks.launch import (
    context_within_model,
    dtype_supported,
    longest_context,
)
from autoglm_doctor.checks.parallel import parallelism_divides_heads
from autoglm_doctor.domain.published_dtype import published_dtype
from autoglm_doctor.facts import Distribution, Environment, Gpu, Host, ModelFiles, Packages, Reading
from autoglm_doctor.finding import Finding
from autoglm_doctor.intent import SMOKE, Intent
from autoglm_doctor.launch import default_intent, parse_command
from autoglm_doctor.profiles import PROFILES
from autoglm_doctor.testing import judge

QWEN = {"model_type": "qwen2", "max_position_embeddings": 32768, "num_attention_heads": 16, "torch_dtype": "bfloat16"}


def line(flags: str = "", engine: str = "vllm serve", model: str = "/m") -> Intent:
    return parse_command(shlex.split(f"{engine} {model} {flags}"))


def sglang(flags: str) -> Intent:
    return line(flags, "python -m sglang.launch_server --model-path")


def autoglm(flags: str) -> Intent:
    return line(flags, model="zai-org/AutoGLM-Phone-9B")


def files(**config: Any) -> ModelFiles:
    return ModelFiles(path="/m", found_by="path", config={**QWEN, **config})


def one(check: Any, **given: Any) -> Finding:
    (found,) = judge(check, **given)
    return found


def again(check: Any, found: Finding, **given: Any) -> Finding:
    """The suggested line, judged like the user's own."""
    return one(check, intent=parse_command(shlex.split(found.fixes[0].commands[0])), **given)


@pytest.mark.parametrize(
    ("intent", "config", "status"),
    [
        pytest.param(line("--max-model-len 32768"), {}, "pass", id="all of it"),
        pytest.param(line("--max-model-len 32769"), {}, "fail", id="one token more"),
        pytest.param(line(), {}, "not_applicable", id="nothing asked for"),
        pytest.param(line("--max-model-len auto"), {}, "not_applicable", id="what fits"),
        pytest.param(line("--max-model-len 99"), {"max_position_embeddings": None}, "unknown", id="no length"),
        pytest.param(sglang("--context-length 32769"), {}, "warn", id="SGLang"),
        pytest.param(line("--max-model-len 99999 --hf-overrides '{}'"), {}, "unknown", id="overridden config"),
        pytest.param(line("--max-model-len 99999 --hf-overrides.a 1"), {}, "unknown", id="overridden by a dotted flag"),
        pytest.param(line("--max-model-len 9", model=SMOKE), {}, "not_applicable", id="smoke"),
    ],
)
def test_context(intent: Intent, config: dict[str, Any], status: str) -> None:
    assert one(context_within_model, intent=intent, model_files=files(**config)).status == status


def test_a_context_that_is_too_long_is_shortened_in_its_place() -> None:
    found = one(context_within_model, intent=line("--max-model-len 100k --port 9"), model_files=files())
    assert found.cause == "CONTEXT_TOO_LONG_FOR_MODEL"
    assert found.fixes[0].commands == ("vllm serve /m --max-model-len 32768 --port 9",)
    assert again(context_within_model, found, model_files=files()).status == "pass"


def test_the_known_model_needs_no_files() -> None:
    absent: Reading[Any] = Reading(outcome="absent")
    assert one(context_within_model, model_files=absent).status == "pass"
    assert one(context_within_model, intent=autoglm("--max-model-len 65537"), model_files=absent).status == "fail"


@pytest.mark.parametrize("where", ["in front", "environment"])
def test_vllm_can_be_told_to_go_on(where: str) -> None:
    name = "VLLM_ALLOW_LONG_MAX_MODEL_LEN"
    words = ["vllm", "serve", "/m", "--max-model-len", "40000"]
    intent = parse_command([f"{name}=1", *words] if where == "in front" else words)
    environment = Environment(variables={} if where == "in front" else {name: "1"})
    assert one(context_within_model, intent=intent, model_files=files(), environment=environment).status == "warn"


YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1000}


@pytest.mark.parametrize(
    ("config", "length"),
    [
        pytest.param({"max_position_embeddings": 1000}, 1000, id="plain"),
        pytest.param({"n_positions": 500, "max_position_embeddings": 1000}, 500, id="the smallest key"),
        pytest.param({"model_max_length": 2000, "max_position_embeddings": 1000}, 2000, id="Command-R's own key"),
        pytest.param({"max_position_embeddings": 9, "text_config": {"max_position_embeddings": 1000}}, 1000, id="text"),
        pytest.param({"max_position_embeddings": 4000, "rope_scaling": YARN}, 4000, id="yarn, counted from the origin"),
        pytest.param(
            {"max_position_embeddings": 1000, "rope_scaling": {"type": "linear", "factor": 2.0}}, 2000, id="x2"
        ),
        pytest.param({"max_position_embeddings": 1000, "rope_scaling": {"type": "mrope"}}, 1000, id="mrope"),
        pytest.param(
            {"max_position_embeddings": 1000, "rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, 1000, id="llama3"
        ),
        pytest.param({"max_position_embeddings": 1000, "rope_parameters": {"rope_theta": 1e6}}, 1000, id="theta only"),
        pytest.param(
            {"max_position_embeddings": 1000, "rope_parameters": {"full": YARN, "local": {"rope_type": "default"}}},
            4000,
            id="by kind of layer",
        ),
        pytest.param(
            {"max_position_embeddings": 1000, "rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, None, id="?"
        ),
        pytest.param({"max_position_embeddings": 1000, "rope_scaling": {"type": "new", "factor": 4}}, None, id="new"),
        pytest.param({"max_position_embeddings": 1000, "rope_scaling": {"type": "linear"}}, None, id="no factor"),
        pytest.param({"max_position_embeddings": 1000, "rope_scaling": "yarn"}, None, id="a word"),
        pytest.param({}, None, id="nothing"),
    ],
)
def test_the_longest_context(config: dict[str, Any], length: int | None) -> None:
    assert longest_context(config) == length


def gpu(capability: str, index: int = 0) -> Gpu:
    return Gpu(
        index=index, name=f"GPU {capability}", compute_capability=capability, total_bytes=1 << 34, free_bytes=1 << 34
    )


def vllm(version: str | None) -> Packages:
    return Packages(distributions=(Distribution(name="vllm", version=version),) if version else ())


HALF = files(torch_dtype="float16")
NEITHER = files(torch_dtype=None)


@pytest.mark.parametrize(
    ("intent", "capabilities", "version", "model", "status"),
    [
        pytest.param(line("--dtype bfloat16"), "7.5", "0.33.0", files(), "fail", id="asked for on a T4"),
        pytest.param(line("--dtype bfloat16"), "7.5", None, files(), "fail", id="every version refuses the flag"),
        pytest.param(line("--dtype bfloat16"), "7.5", "0.33.0", HALF, "fail", id="asked for, whatever the model is"),
        pytest.param(line(), "7.5", "0.33.0", files(), "pass", id="vLLM falls back"),
        pytest.param(line("--dtype auto"), "7.5", "0.8.4", files(), "fail", id="vLLM before it fell back"),
        pytest.param(line(), "7.5", None, files(), "warn", id="no known version"),
        pytest.param(line(), "7.5", "0.1.dev9752+gabc1234", files(), "unknown", id="a clone without tags"),
        pytest.param(line(), "7.5", "0.0.0", files(), "unknown", id="no number at all"),
        pytest.param(line(), "7.5", "0.9.0rc1.dev20+gabc1234", files(), "unknown", id="on the way to the one"),
        pytest.param(line(), "7.5", "0.8.5.dev20+gabc1234", files(), "fail", id="a build of before"),
        pytest.param(line(), "7.5 8.9", "0.8.4", files(), "unknown", id="CUDA counts the newer GPU first"),
        pytest.param(line("-tp 2"), "7.5 8.9", "0.8.4", files(), "fail", id="both are taken"),
        pytest.param(line(), "7.5", "0.8.4", HALF, "not_applicable", id="a model in float16"),
        pytest.param(line("--dtype half"), "7.5", "0.8.4", files(), "not_applicable", id="half"),
        pytest.param(line(), "7.5", "0.8.4", NEITHER, "unknown", id="a model that does not say"),
        pytest.param(line("--dtype bfloat16"), "8.0", "0.33.0", files(), "pass", id="an A100"),
        pytest.param(line("--dtype bfloat16"), "12.0", "0.33.0", files(), "pass", id="two digits"),
        pytest.param(line("--dtype bfloat16"), "8.9 7.5", "0.33.0", files(), "pass", id="the old one is not taken"),
        pytest.param(line("--dtype bfloat16 -tp 2"), "8.9 7.5", "0.33.0", files(), "fail", id="the old one is taken"),
        pytest.param(line("--dtype bfloat16"), "?", "0.33.0", files(), "unknown", id="no capability"),
        pytest.param(sglang("--dtype bfloat16"), "7.5", None, files(), "pass", id="SGLang falls back"),
        pytest.param(line(engine="transformers serve"), "7.5", None, files(), "not_applicable", id="transformers"),
    ],
)
def test_dtype(intent: Intent, capabilities: str, version: str | None, model: ModelFiles, status: str) -> None:
    gpus = tuple(gpu(c, i) for i, c in enumerate(capabilities.split()))
    found = one(dtype_supported, intent=intent, gpus=gpus, packages=vllm(version), model_files=model)
    assert found.status == status
    assert found.cause == ("BF16_UNSUPPORTED_GPU" if status in ("fail", "warn") else "")


@pytest.mark.parametrize(
    ("torch", "container", "status"),
    [
        pytest.param("2.6.0", "", "warn", id="a torch of before"),
        pytest.param("2.7.0", "", "unknown", id="that of the first release which falls back"),
        pytest.param("", "docker", "unknown", id="an image, of which no release is told"),
        pytest.param("", "", "warn", id="nothing is told"),
    ],
)
def test_what_tells_of_a_newer_vllm(torch: str, container: str, status: str) -> None:
    there = Packages(distributions=(Distribution(name="torch", version=torch),) if torch else ())
    host = Host(system="Linux", machine="x86_64", kernel="", container=container)
    found = one(dtype_supported, intent=line(), gpus=(gpu("7.5"),), packages=there, model_files=files(), host=host)
    assert found.status == status


NAMED = [
    pytest.param("meta/llama3-8b-instruct", "0.4.1", "fail", id="Llama 3 as NVIDIA's catalogue writes it"),
    pytest.param("meta-llama/Llama-3.2-3B-Instruct", "0.8.5", "fail", id="Llama 3.2"),
    pytest.param("google/gemma-2-9b-it", "0.6.3", "fail", id="Gemma 2"),
    pytest.param("google/gemma-3-4b-it", None, "warn", id="Gemma 3, no known version"),
    pytest.param("baichuan-inc/Baichuan2-13B-Chat", "0.2.0", "fail", id="Baichuan 2"),
    pytest.param("THUDM/glm-4-9b-chat", "0.5.4", "fail", id="GLM-4"),
    pytest.param("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", "0.5.4", "fail", id="a distill of R1"),
    pytest.param("mistralai/Mixtral-8x7B-Instruct-v0.1", "0.3.0", "fail", id="Mixtral"),
    pytest.param("meta-llama/Meta-Llama-3-8B-Instruct", "0.9.0", "pass", id="a release that falls back"),
    pytest.param("meta-llama/Llama-2-7b-chat-hf", "0.4.1", "not_applicable", id="Llama 2 is float16"),
    pytest.param("THUDM/chatglm3-6b", "0.4.1", "not_applicable", id="ChatGLM 3 is float16"),
    pytest.param("CohereForAI/c4ai-command-r-v01", "0.4.1", "not_applicable", id="Command R is float16"),
    pytest.param("allenai/OLMo-2-1124-7B", "0.6.5", "unknown", id="the base model of OLMo 2 is float32"),
    pytest.param("TheBloke/Llama-3-8B-Instruct-AWQ", "0.4.1", "unknown", id="AWQ"),
    pytest.param("someone/Mistral-7B-Instruct-v0.2-GPTQ", "0.4.1", "unknown", id="GPTQ"),
    pytest.param("gradientai/Llama-3-8B-Instruct-262k", "0.4.1", "unknown", id="a fine-tune with a name of its own"),
    pytest.param("Alibaba-NLP/gte-Qwen2-7B-instruct", "0.6.3", "unknown", id="a name that only holds one"),
    pytest.param("/models/Meta-Llama-3-8B-Instruct", "0.4.1", "unknown", id="a folder, whatever lies in it"),
    pytest.param("./Llama-3.2-1B", "0.4.1", "unknown", id="a folder here"),
]


@pytest.mark.parametrize(("model", "version", "status"), NAMED)
def test_dtype_of_a_model_that_is_only_named(model: str, version: str | None, status: str) -> None:
    found = one(dtype_supported, intent=line(model=model), gpus=(gpu("7.5"),), packages=vllm(version))
    assert found.status == status


def test_a_named_model_that_is_quantized_by_a_flag_is_not_known() -> None:
    intent = line("--quantization awq", model="meta-llama/Meta-Llama-3-8B-Instruct")
    found = one(dtype_supported, intent=intent, gpus=(gpu("7.5"),), packages=vllm("0.6.0"))
    assert found.status == "unknown"


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda one: one.name)
def test_the_names_agree_with_the_profiles(profile: Any) -> None:
    """Two tables of one fact: where both speak, they say the same."""
    told = {published_dtype(name) for name in profile.hub_names} - {None}
    assert told <= {profile.config.get("dtype", profile.config.get("torch_dtype"))}


def test_a_named_model_that_overflows_in_half_is_offered_float32() -> None:
    intent = line(model="google/gemma-2-9b-it")
    found = one(dtype_supported, intent=intent, gpus=(gpu("7.5"),), packages=vllm("0.6.3"))
    assert "--dtype float32" in found.fixes[0].commands[0]


def test_cuda_visible_devices_decides_which_gpu_is_judged() -> None:
    given = {"gpus": (gpu("8.9"), gpu("7.5", 1)), "model_files": files(), "packages": vllm("0.33.0")}
    hidden = Environment(variables={"CUDA_VISIBLE_DEVICES": "1"})
    found = one(dtype_supported, intent=line("--dtype bfloat16"), environment=hidden, **given)
    assert (found.status, found.subject) == ("fail", "gpu:1")


def test_half_replaces_the_flag_and_its_risk_is_said() -> None:
    given = {"gpus": (gpu("7.5"),), "model_files": files(), "packages": vllm("0.33.0")}
    found = one(dtype_supported, intent=line("--dtype=bfloat16 --port 9"), **given)
    assert found.fixes[0].commands == ("vllm serve /m --dtype half --port 9",)
    assert "smaller range" in found.fixes[0].text.params["risk"]
    assert again(dtype_supported, found, **given).status == "not_applicable"


def test_what_vllm_refuses_in_half_is_offered_float32() -> None:
    given = {"gpus": (gpu("7.5"),), "model_files": files(model_type="glm4"), "packages": vllm("0.33.0")}
    found = one(dtype_supported, intent=line("--dtype bfloat16"), **given)
    assert found.fixes[0].commands == ("vllm serve /m --dtype float32",)


@pytest.mark.parametrize(
    ("intent", "config", "status", "fixed"),
    [
        pytest.param(line("-tp 4"), {}, "pass", "", id="16 heads on 4"),
        pytest.param(line("--tp 6"), {}, "fail", "vllm serve /m --tensor-parallel-size 4", id="16 heads on 6"),
        pytest.param(line("-tp 3"), {"text_config": {"num_attention_heads": 12}}, "pass", "", id="heads of the text"),
        pytest.param(sglang("--tp 3"), {}, "fail", "", id="SGLang"),
        pytest.param(sglang("--tp 3 --enable-dp-attention"), {}, "unknown", "", id="attention that is not split"),
        pytest.param(line("-tp 3"), {"num_attention_heads": None}, "unknown", "", id="no number"),
        pytest.param(line(), {}, "not_applicable", "", id="one GPU"),
        pytest.param(line("-pp 3 -dp 3"), {}, "not_applicable", "", id="other kinds of parallelism"),
    ],
)
def test_heads(intent: Intent, config: dict[str, Any], status: str, fixed: str) -> None:
    found = one(parallelism_divides_heads, intent=intent, model_files=files(**config))
    assert found.status == status
    if status == "fail":
        assert found.cause == "TENSOR_PARALLEL_DOES_NOT_DIVIDE"
        assert again(parallelism_divides_heads, found, model_files=files(**config)).status in ("pass", "not_applicable")
    if fixed:
        assert found.fixes[0].commands == (fixed,)


@pytest.mark.parametrize(
    ("flags", "status", "fixes"),
    [
        pytest.param("-tp 4", "pass", [], id="12 and 32 on 4"),
        pytest.param("-tp 8", "fail", ["--mm-encoder-tp-mode data", "--tensor-parallel-size 4"], id="12 on 8"),
        pytest.param("-tp 8 --mm-encoder-tp-mode data", "pass", [], id="a whole tower each"),
        pytest.param("-tp 8 --mm_encoder_tp_mode=data", "pass", [], id="the same, spelt otherwise"),
        pytest.param(
            "-tp 8 --mm-encoder-tp-mode weights", "fail", ["--mm-encoder-tp-mode data", "-size 4"], id="split by flag"
        ),
        pytest.param("-tp 6", "fail", ["--tensor-parallel-size 4"], id="32 on 6"),
    ],
)
def test_the_tower_of_autoglm(flags: str, status: str, fixes: list[str]) -> None:
    found = one(parallelism_divides_heads, intent=autoglm(flags))
    assert found.status == status
    for fix, words in zip(found.fixes, fixes, strict=True):
        assert words in fix.commands[0]
    if fixes:
        assert again(parallelism_divides_heads, found).status == "pass"


def test_sglang_pads_the_tower() -> None:
    intent = parse_command(shlex.split("python -m sglang.launch_server --model-path zai-org/AutoGLM-Phone-9B --tp 8"))
    assert one(parallelism_divides_heads, intent=intent).status == "pass"


def test_the_documented_line_is_sound() -> None:
    given = {"intent": default_intent(), "gpus": (gpu("8.9"),), "packages": vllm("0.12.0")}
    statuses = [one(check, **given).status for check in (context_within_model, dtype_supported)]
    assert statuses == ["pass", "pass"]
