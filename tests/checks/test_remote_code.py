"""ENG009: the code that a model's repository brings, against releases of transformers."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from autoglm_doctor.checks.remote_code import own_code_runs
from autoglm_doctor.facts import Distribution, ModelFiles, Packages
from autoglm_doctor.finding import Finding
from autoglm_doctor.intent import Intent, Launch
from autoglm_doctor.loose.judge import diagnose
from autoglm_doctor.matrix import RemoteCode, load_matrix
from autoglm_doctor.registry import load_checks
from autoglm_doctor.report.diagnose_types import Diagnosis
from autoglm_doctor.testing import judge
from autoglm_doctor.wording import render

CAUSE = "TRANSFORMERS_TOO_NEW_FOR_MODEL"
ROWS = load_matrix().remote_code


def one(model: str, transformers: str = "", engine: Any = "transformers", files: ModelFiles | None = None) -> Finding:
    rows = (Distribution(name="transformers", version=transformers),) if transformers else ()
    given: dict[str, Any] = {"model_files": files} if files else {}
    packages = Packages(distributions=(Distribution(name="pip", version="25"), *rows))
    (finding,) = judge(own_code_runs, packages=packages, intent=Intent(model=model, engine=engine), **given)
    return finding


def folder(architecture: str, *, own: bool = True, language: str = "", **config: Any) -> ModelFiles:
    """A model's folder whose config.json names these classes."""
    inner = {"llm_config": {"architectures": [language]}} if language else {}
    return ModelFiles(path="/m", config={"architectures": [architecture], **inner, **config}, custom_code=own)


@pytest.mark.parametrize(
    ("model", "transformers"),
    [
        pytest.param("deepseek-ai/DeepSeek-OCR", "4.57.1", id="an import that is gone"),
        pytest.param("DeepSeek-OCR", "4.48.0", id="a name without its owner, the first release without it"),
        pytest.param("deepseek-ai/deepseek-vl2-tiny", "4.51.3", id="DeepSeek-VL2"),
        pytest.param("OpenGVLab/InternVL2_5-8B", "4.52.4", id="InternLM2 without generate"),
        pytest.param("OpenGVLab/InternVL3-9B", "4.53.0", id="the one InternVL3 of InternLM"),
        pytest.param("THUDM/chatglm3-6b", "4.45.0", id="ChatGLM3"),
        pytest.param("thudm/ChatGLM2-6B-int4", "4.57.1", id="other capitals, quantised by its makers"),
        pytest.param("THUDM/glm-4v-9b", "5.1.0", id="GLM-4V: of transformers 5 no copy knows"),
        pytest.param("zai-org/cogvlm2-llama3-chat-19B", "4.44.0", id="CogVLM2"),
        pytest.param("microsoft/Phi-3.5-vision-instruct", "4.49.0", id="Phi-3.5-vision"),
        pytest.param("microsoft/Phi-4-multimodal-instruct", "4.52.4", id="Phi-4-multimodal"),
        pytest.param("openbmb/MiniCPM-V-4_5", "4.52.4", id="MiniCPM-V's Resampler"),
        pytest.param("openbmb/MiniCPM-o-4_5", "5.0.0rc1", id="MiniCPM-o, a release candidate of 5"),
        pytest.param("allenai/Molmo-7B-D-0924", "5.2.0", id="Molmo"),
        pytest.param("OpenGVLab/InternVL3-8B", "5.0.0", id="an InternVL of Qwen2"),
        pytest.param("OpenGVLab/InternVL3_5-30B-A3B", "5.23.0", id="InternVL3.5"),
        pytest.param("OpenGVLab/InternVL2_5-8B-MPO", "5.2.0", id="an InternVL of InternLM2"),
        pytest.param("InternVL3", "5.0.0", id="a family without owner and size"),
        pytest.param("deepseek-ai/DeepSeek-V3", "4.48.0", id="a name that two releases lacked"),
        pytest.param("deepseek-ai/DeepSeek-R1", "4.48.1", id="the second of them"),
        pytest.param("deepseek-ai/DeepSeek-V2-Lite-Chat", "4.48.0", id="DeepSeek-V2"),
        pytest.param("AIDC-AI/Ovis2-8B", "4.54.0", id="Ovis2"),
        pytest.param("moonshotai/Kimi-VL-A3B-Thinking-2506", "4.57.1", id="Kimi-VL"),
        pytest.param("baichuan-inc/Baichuan-M1-14B-Instruct", "4.54.0", id="Baichuan-M1"),
        pytest.param("OS-Copilot/OS-Atlas-Base-4B", "4.49.0", id="a Phi-3 in InternVL's code"),
        pytest.param("vikhyatk/moondream1", "4.57.1", id="Moondream 1"),
    ],
)
def test_code_of_which_no_mended_copy_is_known_is_red(model: str, transformers: str) -> None:
    finding = one(model, transformers)
    assert (finding.status, finding.cause) == ("fail", CAUSE)
    assert finding.fixes[0].commands[0].startswith("python3 -m pip install transformers==4.")
    assert transformers in render(finding.text)
    assert f"(public reports; table of {load_matrix().origin('remote_code').verified})" in render(finding.text)


@pytest.mark.parametrize(
    ("model", "transformers"),
    [
        pytest.param("glm-4v-9b", "4.42.3", id="GLM-4V before its update"),
        pytest.param("THUDM/glm-4-9b-chat", "4.50.0", id="GLM-4-9B-chat"),
        pytest.param("baichuan-inc/Baichuan2-7B-Chat", "4.36.0", id="Baichuan2"),
        pytest.param("microsoft/Florence-2-large", "4.55.0", id="Florence-2"),
        pytest.param("openbmb/MiniCPM3-4B", "4.48.1", id="MiniCPM3 before its update"),
        pytest.param("openbmb/MiniCPM-o-4_5", "4.57.1", id="MiniCPM-o: its makers ask for another one"),
        pytest.param("vikhyatk/moondream2", "5.3.0", id="Moondream, which its owner changes often"),
        pytest.param("vikhyatk/moondream2@2025-06-21", "5.3.0", id="a revision of it"),
        pytest.param("rednote-hilab/dots.ocr", "5.3.0", id="a name with a full stop"),
        pytest.param("MiaoshouAI/Florence-2-large-PromptGen-v2.0", "4.55.0", id="a copy of Florence-2's code"),
        pytest.param("thwri/CogFlorence-2.2-Large", "4.57.1", id="another"),
        pytest.param("Florence-2", "4.55.0", id="a family without size"),
        pytest.param("Qwen/Qwen-7B-Chat", "4.55.0", id="Qwen of 2023"),
        pytest.param("moonshotai/Kimi-VL-A3B-Thinking", "4.55.0", id="Kimi-VL before the import is gone"),
    ],
)
def test_code_that_a_newer_copy_mends_is_yellow(model: str, transformers: str) -> None:
    finding = one(model, transformers)
    assert (finding.status, finding.cause) == ("warn", CAUSE)
    assert finding.fixes[0].commands[0].startswith("hf download ")
    assert "/" in finding.fixes[0].commands[0].split()[2]
    assert "transformers==" in finding.fixes[1].commands[0]


@pytest.mark.parametrize(
    "intent",
    [
        pytest.param(
            Intent(
                model="THUDM/chatglm3-6b",
                engine="transformers",
                command=("transformers", "serve", "THUDM/chatglm3-6b", "--revision", "main"),
            ),
            id="by a flag",
        ),
        pytest.param(Intent(model="THUDM/chatglm3-6b@v1.0", engine="transformers"), id="behind the name"),
    ],
)
def test_of_a_named_revision_nobody_knows(intent: Intent) -> None:
    there = Packages(distributions=(Distribution(name="transformers", version="4.55.0"),))
    (finding,) = judge(own_code_runs, packages=there, intent=intent)
    assert finding.status == "warn"
    assert not any("@" in line for fix in finding.fixes for line in fix.commands)


@pytest.mark.parametrize(
    ("model", "transformers", "engine"),
    [
        pytest.param("deepseek-ai/DeepSeek-OCR", "4.57.1", "vllm", id="vLLM has code of its own"),
        pytest.param("THUDM/chatglm3-6b", "4.55.0", "sglang", id="SGLang too"),
        pytest.param("deepseek-ai/DeepSeek-OCR", "4.46.3", "transformers", id="the release of its day"),
        pytest.param("deepseek-ai/DeepSeek-OCR", "4.47.1", "transformers", id="the last that runs it"),
        pytest.param("deepseek-ai/DeepSeek-OCR", "", "transformers", id="no transformers is named"),
        pytest.param("unsloth/DeepSeek-OCR", "4.57.1", "transformers", id="a copy that others mended"),
        pytest.param("deepseek-ai/DeepSeek-OCR-2", "5.12.0", "transformers", id="its successor"),
        pytest.param("zai-org/glm-4-9b-chat-hf", "4.57.1", "transformers", id="a conversion without code"),
        pytest.param("THUDM/GLM-4-9B-0414", "4.57.1", "transformers", id="a later GLM-4"),
        pytest.param("zai-org/GLM-4.1V-9B-Thinking", "5.3.0", "transformers", id="GLM-4.1V"),
        pytest.param("zai-org/AutoGLM-Phone-9B", "5.3.0", "transformers", id="AutoGLM-Phone"),
        pytest.param("OpenGVLab/InternVL3-8B", "4.52.4", "transformers", id="an InternVL of Qwen2"),
        pytest.param("OpenGVLab/InternVL2_5-4B", "4.57.1", "transformers", id="another one"),
        pytest.param("OpenGVLab/InternVL3-8B-hf", "5.3.0", "transformers", id="the same with 5"),
        pytest.param("OpenGVLab/InternVL3_5-8B-HF", "5.3.0", "transformers", id="in capitals"),
        pytest.param("OpenGVLab/InternVL3-8B", "5.3.0", "vllm", id="vLLM runs InternVL by its own code"),
        pytest.param("OpenGVLab/InternVL3_5-8B", "4.57.1", "transformers", id="InternVL3.5 and the last 4"),
        pytest.param("deepseek-ai/DeepSeek-V3", "4.48.2", "transformers", id="the name is back"),
        pytest.param("deepseek-ai/DeepSeek-V3", "4.47.1", "transformers", id="the name is still there"),
        pytest.param("deepseek-ai/DeepSeek-V3", "4.48.0", "vllm", id="vLLM has DeepSeek"),
        pytest.param("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "4.48.0", "transformers", id="a Qwen of DeepSeek"),
        pytest.param("openbmb/MiniCPM3-4B", "4.48.3", "transformers", id="MiniCPM3 as it goes"),
        pytest.param("OpenGVLab/InternVL3-9B-hf", "4.57.1", "transformers", id="an InternVL that was converted"),
        pytest.param("OpenGVLab/InternVL2-8B", "4.51.3", "transformers", id="the last that gives it generate"),
        pytest.param("openbmb/MiniCPM-V-4_5", "4.55.0", "transformers", id="MiniCPM-V after the fault of 4.52"),
        pytest.param("openbmb/MiniCPM-V-4.6", "5.9.0", "transformers", id="MiniCPM-V that transformers knows"),
        pytest.param("florence-community/Florence-2-large", "4.57.1", "transformers", id="Florence-2, converted"),
        pytest.param("microsoft/Phi-3.5-mini-instruct", "4.57.1", "transformers", id="Phi-3.5 that transformers knows"),
        pytest.param("Qwen/Qwen2.5-VL-7B-Instruct", "5.3.0", "transformers", id="a model without code"),
        pytest.param("florence-community/Florence-2-base-ft", "5.3.0", "transformers", id="Florence-2 for 5"),
        pytest.param("Qwen/Qwen2-7B-Instruct", "4.57.1", "transformers", id="a later Qwen"),
        pytest.param("Qwen/Qwen-7B-Chat", "4.53.3", "transformers", id="Qwen of 2023 in time"),
        pytest.param("moonshotai/Kimi-VL-A3B-Instruct", "4.57.1", "vllm", id="vLLM has Kimi-VL"),
        pytest.param("moonshotai/Kimi-VL-A3B-Instruct", "4.55.0", "transformers", id="the Kimi-VL that was mended"),
        pytest.param("OS-Copilot/OS-Atlas-Base-7B", "4.57.1", "transformers", id="an OS-Atlas of Qwen2-VL"),
        pytest.param("ibm-granite/granite-4.0-3b-vision", "5.4.0", "transformers", id="the last with the class"),
        pytest.param("somebody/my-chatglm3-6b-lora", "4.57.1", "transformers", id="a model that is trained on"),
    ],
)
def test_healthy_neighbours_are_quiet(model: str, transformers: str, engine: str) -> None:
    assert one(model, transformers, engine).status in ("pass", "not_applicable")


@pytest.mark.parametrize(
    ("model", "transformers", "trusts", "status"),
    [
        pytest.param("microsoft/Phi-3-mini-4k-instruct", "4.56.2", True, "fail", id="Phi-3 by its own code"),
        pytest.param("microsoft/Phi-3.5-mini-instruct", "4.49.0", True, "fail", id="the first release without it"),
        pytest.param("microsoft/Phi-3-medium-128k-instruct", "4.49.0.dev0", True, "fail", id="a build of that release"),
        pytest.param("Phi-3", "4.55.0", True, "fail", id="a family without owner and size"),
        pytest.param("deepseek-ai/DeepSeek-Coder-V2-Lite-Instruct", "4.55.0", True, "fail", id="DeepSeek-Coder-V2"),
        pytest.param(
            "microsoft/Phi-3-mini-4k-instruct", "4.56.2", False, "not_applicable", id="by that of transformers"
        ),
        pytest.param("deepseek-ai/DeepSeek-Coder-V2-Lite-Instruct", "4.55.0", False, "pass", id="DeepSeek by that"),
        pytest.param("microsoft/Phi-3-mini-4k-instruct", "4.48.3", True, "pass", id="a release of its day"),
        pytest.param(
            "microsoft/Phi-4-mini-instruct", "4.57.1", True, "not_applicable", id="Phi-4-mini, which was made later"
        ),
        pytest.param("microsoft/phi-4", "4.57.1", True, "not_applicable", id="Phi-4, which brings no code"),
        pytest.param("unsloth/Phi-3-mini-4k-instruct", "4.57.1", True, "not_applicable", id="a copy without code"),
        pytest.param("microsoft/Phi-3-mini-4k-instruct-gguf", "4.57.1", True, "not_applicable", id="another format"),
        pytest.param("Qwen/Qwen2.5-7B-Instruct", "5.3.0", True, "not_applicable", id="a model without code"),
    ],
)
def test_code_that_runs_only_where_it_is_trusted(model: str, transformers: str, trusts: bool, status: str) -> None:
    there = Packages(distributions=(Distribution(name="transformers", version=transformers),))
    words = ("transformers", "serve", model, "--trust-remote-code", "--port", "9000")
    intent = Intent(
        model=model, engine="transformers", launch=Launch(trust_remote_code=trusts), command=words if trusts else ()
    )
    (finding,) = judge(own_code_runs, packages=there, intent=intent)
    assert finding.status == status
    if status == "fail":
        without, older = finding.fixes
        assert without.commands == (f"transformers serve {model} --port 9000",)
        assert "transformers==4.48.3" in older.commands[0]


@pytest.mark.parametrize(
    ("engine", "release", "transformers", "status"),
    [
        pytest.param("vllm", "0.8.5", "4.51.3", "fail", id="vLLM from before it"),
        pytest.param("vllm", "0.11.0", "4.57.1", "fail", id="the last without it"),
        pytest.param("sglang", "0.5.3", "4.57.1", "fail", id="SGLang from before it"),
        pytest.param("sglang", "0.5.4", "4.57.1", "warn", id="SGLang that knows it and was seen to fail"),
        pytest.param("vllm", "0.11.1", "4.57.1", "not_applicable", id="vLLM with a configuration of its own"),
        pytest.param("sglang", "0.5.6", "4.57.1", "not_applicable", id="SGLang with one"),
        pytest.param("vllm", "0.8.5", "4.47.1", "pass", id="a transformers that has the name"),
        pytest.param("vllm", "", "4.57.1", "not_applicable", id="no release is named"),
        pytest.param("vllm", "0.11.1rc3", "4.57.1", "not_applicable", id="a candidate of the first without it"),
        pytest.param("vllm", "0.11.0rc2.dev400+gabc", "4.57.1", "not_applicable", id="a nightly before it"),
        pytest.param("vllm", "0.1.dev1+gabc", "4.57.1", "not_applicable", id="a build whose number says nothing"),
        pytest.param("sglang", "0.0.0.dev0", "4.57.1", "not_applicable", id="the same of SGLang"),
        pytest.param("vllm", "0.11", "4.57.1", "not_applicable", id="a line of releases"),
        pytest.param("vllm", "0.10", "4.57.1", "fail", id="a line, the whole of it before"),
    ],
)
def test_engines_import_it_for_its_configuration(engine: Any, release: str, transformers: str, status: str) -> None:
    rows = {"transformers": transformers} | ({engine: release} if release else {})
    there = Packages(distributions=tuple(Distribution(name=name, version=version) for name, version in rows.items()))
    trusting = Intent(model="deepseek-ai/DeepSeek-OCR", engine=engine, launch=Launch(trust_remote_code=True))
    (finding,) = judge(own_code_runs, packages=there, intent=trusting)
    assert finding.status == status
    without = dataclasses.replace(trusting, launch=Launch())
    assert judge(own_code_runs, packages=there, intent=without)[0].status == "not_applicable"
    if status in ("fail", "warn"):
        assert f"{engine}>=0." in finding.fixes[0].commands[0]


@pytest.mark.parametrize(
    ("model", "files", "transformers", "status"),
    [
        pytest.param("/models/ocr", folder("DeepseekOCRForCausalLM"), "4.57.1", "warn", id="by its class"),
        pytest.param("/models/DeepSeek-OCR", folder("Other"), "4.57.1", "warn", id="by the folder's name"),
        pytest.param(
            "/m/vl",
            folder("InternVLChatModel", language="InternLM2ForCausalLM"),
            "4.52.4",
            "warn",
            id="InternLM2 in it",
        ),
        pytest.param(
            "/m/vl",
            folder("InternVLChatModel", language="Qwen2ForCausalLM"),
            "4.52.4",
            "pass",
            id="Qwen2 in it",
        ),
        pytest.param(
            "/m/vl",
            folder("InternVLChatModel", language="Qwen2ForCausalLM"),
            "5.2.0",
            "warn",
            id="Qwen2 in it, with transformers 5",
        ),
        pytest.param("/m/lm", folder("InternLM2ForCausalLM"), "4.52.4", "not_applicable", id="InternLM2 alone"),
        pytest.param("/m/DeepSeek-OCR", folder("X", own=False), "4.57.1", "not_applicable", id="a folder without code"),
        pytest.param("/m/DeepSeek-OCR", None, "4.57.1", "not_applicable", id="a folder that nobody read"),
        pytest.param("D:\\m\\DeepSeek-OCR", folder("X"), "4.57.1", "warn", id="a folder of Windows"),
        pytest.param(
            "THUDM/glm-4v-9b",
            folder("ChatGLMModel", transformers_version="4.44.0"),
            "4.50.0",
            "pass",
            id="a newer copy",
        ),
        pytest.param(
            "THUDM/glm-4v-9b", folder("ChatGLMModel", transformers_version="4.40.2"), "4.50.0", "warn", id="an old copy"
        ),
    ],
)
def test_files_on_disk(model: str, files: ModelFiles | None, transformers: str, status: str) -> None:
    finding = one(model, transformers, files=files)
    assert finding.status == status
    assert not any("hf download /" in line for fix in finding.fixes for line in fix.commands)


def test_odd_configs_are_survived() -> None:
    for config in ({"architectures": "X"}, {"architectures": None, "llm_config": 3}, {"transformers_version": 4}):
        files = ModelFiles(path="/m", config=config, custom_code=True)
        assert one("/m/x", "4.57.1", files=files).status == "not_applicable"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.name} {row.versions}")
def test_a_row_is_sound(row: RemoteCode) -> None:
    assert re.compile(row.name)
    assert row.owners
    assert "github.com/" in row.source
    assert row.takes in load_matrix().libraries("transformers")
    assert not row.breaks_with(row.takes), "what is offered breaks it as well"
    others = [other for other in ROWS if other.name == row.name]
    assert not any(other.breaks_with(row.takes) and not other.updated for other in others)


def stated(symptom: str = "", **facts: Any) -> Diagnosis:
    data = {"facts": facts} | ({"symptom": symptom} if symptom else {})
    return diagnose("x.json", data, load_checks().checks, load_matrix())


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        pytest.param({"model": "deepseek-ai/DeepSeek-OCR"}, "fail", id="no engine is stated"),
        pytest.param({"model": "glm-4v-9b (remote code)"}, "warn", id="a remark behind the name"),
        pytest.param({"model": "glm-4v-9b, with its own code"}, "warn", id="another one"),
        pytest.param({"model": "deepseek-ai/DeepSeek-OCR", "engine": "vllm 0.12.0"}, "pass", id="vLLM is stated"),
        pytest.param({"model": "Qwen/Qwen2.5-7B-Instruct"}, "pass", id="a model without code"),
    ],
)
def test_stated_in_words(facts: dict[str, Any], status: str) -> None:
    found = stated(packages={"transformers": "4.57.1"}, **facts)
    assert found.status == status
    assert [cause.cause for cause in found.causes] == ([] if status == "pass" else [CAUSE])


def test_words_of_a_property_that_asks_too_early() -> None:
    words = "AttributeError: 'Florence2ForConditionalGeneration' object has no attribute '_supports_sdpa'"
    for facts in ({"engine": "transformers"}, {}, {"engine": "transformers", "packages": {"transformers": "4.55.0"}}):
        found = stated(words, **facts)
        assert (found.status, [one.cause for one in found.causes]) == ("fail", [CAUSE])


@pytest.mark.parametrize(
    ("symptom", "status"),
    [
        pytest.param(
            "TypeError: ChatGLM4Tokenizer._pad() got an unexpected keyword argument 'padding_side'", "fail", id="it"
        ),
        pytest.param("it is slow", "warn", id="something else"),
    ],
)
def test_what_was_only_likely_is_red_once_it_has_happened(symptom: str, status: str) -> None:
    found = stated(symptom, model="glm-4v-9b", packages={"transformers": "4.50.0"})
    assert (found.status, found.causes[0].cause) == (status, CAUSE)


@pytest.mark.parametrize(
    ("symptom", "cause", "status"),
    [
        pytest.param(
            "400 BadRequest: you must provide a chat template if the tokenizer does not define one",
            "CHAT_TEMPLATE_MISSING",
            "fail",
            id="the engine refuses a chat",
        ),
        pytest.param("tokenizer.chat_template is not set", "CHAT_TEMPLATE_MISSING", "warn", id="no template is there"),
        pytest.param(
            "Fast download using 'hf_transfer' is enabled (X=1) but 'hf_transfer' package is not available",
            "ENV_VAR_OVERRIDE_WRONG",
            "fail",
            id="a variable stops every download",
        ),
        pytest.param("NCCL_BUFFSIZE is too large", "ENV_VAR_OVERRIDE_WRONG", "warn", id="a variable may be wrong"),
        pytest.param(
            "NCCL WARN Call to ibv_reg_mr_iova2 failed with error Cannot allocate memory",
            "MEMLOCK_LIMIT_LOW",
            "warn",
            id="locked memory",
        ),
    ],
)
def test_words_of_yellow_causes(symptom: str, cause: str, status: str) -> None:
    found = stated(symptom, os="Ubuntu 22.04")
    assert [(one.cause, one.status) for one in found.causes] == [(cause, status)]


def test_what_two_releases_lacked_is_mended_by_a_newer_one() -> None:
    finding = one("deepseek-ai/DeepSeek-V3", "4.48.0")
    assert finding.expected == ">=4.48.3"
    assert finding.fixes[0].commands[0].endswith("transformers==4.48.3")


def test_another_server_runs_none_of_it() -> None:
    there = Packages(distributions=(Distribution(name="transformers", version="4.57.1"),))
    intent = Intent(model="deepseek-ai/DeepSeek-OCR", engine="transformers", other_engine="ollama 0.13.0")
    (finding,) = judge(own_code_runs, packages=there, intent=intent)
    assert finding.status == "not_applicable"
