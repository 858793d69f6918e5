"""ENG002: models of which only the name or the type is known, and engines too old for an architecture."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.checks.engine_model import engine_knows_model
from autoglm_doctor.facts import Distribution, ModelFiles, Packages
from autoglm_doctor.intent import Intent, Launch
from autoglm_doctor.testing import judge
from tests.restraint.judged import judged

OLD = "TRANSFORMERS_TOO_OLD_FOR_MODEL"
OLD_ENGINE = "ENGINE_TOO_OLD_FOR_MODEL"


def found(model: str, engine: Any = "vllm", files: ModelFiles | None = None, **versions: str) -> list[tuple[str, str]]:
    rows = tuple(Distribution(name=name, version=version) for name, version in versions.items())
    given: dict[str, Any] = {"model_files": files} if files else {}
    launch = Launch(trust_remote_code=model.endswith("+trust"))
    intent = Intent(model=model.removesuffix("+trust"), engine=engine, launch=launch)
    all_ = judge(engine_knows_model, packages=Packages(distributions=rows), intent=intent, **given)
    return [(one.status, one.cause) for one in all_]


@pytest.mark.parametrize(
    ("model", "engine", "versions", "cause"),
    [
        pytest.param("Qwen/Qwen3-8B", "vllm", {"vllm": "0.8.3", "transformers": "4.50.3"}, OLD, id="Qwen3"),
        pytest.param("google/gemma-3n-E4B-it", "transformers", {"transformers": "4.52.4"}, OLD, id="Gemma 3n"),
        pytest.param("Qwen/Qwen3-VL-8B-Instruct", "transformers", {"transformers": "4.56.2"}, OLD, id="Qwen3-VL"),
        pytest.param("openai/gpt-oss-20b", "transformers", {"transformers": "4.54.0"}, OLD, id="gpt-oss"),
        pytest.param(
            "Qwen/Qwen3-Next-80B-A3B-Instruct",
            "vllm",
            {"vllm": "0.10.1", "transformers": "4.55.4"},
            OLD,
            id="Qwen3-Next before vLLM had its configuration",
        ),
        pytest.param(
            "zai-org/GLM-4.5V",
            "vllm",
            {"vllm": "0.9.2", "transformers": "4.57.1"},
            OLD_ENGINE,
            id="a transformers that is new enough under a vLLM that is not",
        ),
        pytest.param(
            "meta-llama/Llama-4-Scout-17B-16E-Instruct",
            "vllm",
            {"vllm": "0.8.2", "transformers": "4.51.0"},
            OLD_ENGINE,
            id="Llama 4",
        ),
        pytest.param(
            "Qwen/Qwen3-8B", "vllm", {"vllm": "0.6.6", "transformers": "4.51.0"}, OLD_ENGINE, id="before the fallback"
        ),
        pytest.param(
            "Qwen/Qwen3-VL-8B-Instruct",
            "sglang",
            {"sglang": "0.5.2", "transformers": "4.57.1"},
            OLD_ENGINE,
            id="SGLang and pictures",
        ),
        pytest.param("Qwen/Qwen3-VL-8B-Instruct", "transformers", {"transformers": "4.56"}, OLD, id="a line before it"),
        pytest.param(
            "zai-org/GLM-4.7-Flash", "transformers", {"transformers": "5.0.0rc2"}, OLD, id="a candidate too early"
        ),
        pytest.param(
            "Qwen/Qwen3-VL-8B-Instruct", "transformers", {"transformers": "4.56.0rc1"}, OLD, id="one of another release"
        ),
        pytest.param(
            "zai-org/GLM-4.5V",
            "vllm",
            {"vllm": "0.9", "transformers": "4.57.1"},
            OLD_ENGINE,
            id="a line of vLLM, the whole of it before",
        ),
        pytest.param(
            "me/Voxtral-Mini-3B-2507",
            "vllm",
            {"vllm": "0.9.2", "transformers": "4.53.3"},
            OLD,
            id="Voxtral of another publisher, which has no form of Mistral's",
        ),
    ],
)
def test_by_name_alone(model: str, engine: str, versions: dict[str, str], cause: str) -> None:
    judged = found(model, engine, **versions)
    assert [one for one in judged if one[0] == "fail"] == [("fail", cause)], "one root cause, one red"


@pytest.mark.parametrize(
    ("model", "engine", "versions"),
    [
        pytest.param("Qwen/Qwen3-8B", "vllm", {"vllm": "0.8.5", "transformers": "4.51.3"}, id="both know it"),
        pytest.param(
            "Qwen/Qwen3-8B", "vllm", {"vllm": "0.8.3", "transformers": "4.51.0"}, id="vLLM runs text by transformers"
        ),
        pytest.param(
            "Qwen/Qwen3-VL-8B-Instruct",
            "vllm",
            {"vllm": "0.10.2", "transformers": "4.57.1"},
            id="vLLM runs pictures by transformers",
        ),
        pytest.param(
            "Qwen/Qwen3-Next-80B-A3B-Instruct",
            "vllm",
            {"vllm": "0.10.2", "transformers": "4.56.2"},
            id="a configuration of vLLM's own",
        ),
        pytest.param(
            "Qwen/Qwen3.5-35B-A3B", "sglang", {"sglang": "0.5.9", "transformers": "4.57.1"}, id="one of SGLang's"
        ),
        pytest.param("meta-llama/Llama-2-7b-hf", "vllm", {"vllm": "0.5.0", "transformers": "4.40.0"}, id="Llama 2"),
        pytest.param(
            "me/my-Qwen3-8B", "vllm", {"vllm": "0.6.0", "transformers": "4.45.0"}, id="a family in the middle"
        ),
        pytest.param("unsloth/Qwen3-8B-GGUF", "vllm", {"vllm": "0.6.0", "transformers": "4.45.0"}, id="another format"),
        pytest.param(
            "deepseek-ai/DeepSeek-V3", "vllm", {"vllm": "0.7.3", "transformers": "4.48.3"}, id="code of its own"
        ),
        pytest.param("Qwen/Qwen3-8B+trust", "vllm", {"vllm": "0.8.3", "transformers": "4.50.3"}, id="code may run"),
        pytest.param("Qwen/Qwen3-8B", "transformers", {"transformers": "4.51.0.dev0"}, id="a build of that release"),
        pytest.param("Qwen/Qwen3-8B", "transformers", {"transformers": "4.50.1.dev0"}, id="a build after that patch"),
        pytest.param(
            "zai-org/GLM-4.5V",
            "vllm",
            {"vllm": "0.10.0rc2.dev9+g1a2b3c4", "transformers": "4.57.1"},
            id="a build from the line before it",
        ),
        pytest.param("Qwen/Qwen3-8B", "vllm", {"vllm": "0.8.5"}, id="no transformers is named"),
        pytest.param("google/gemma-3-4b-it", "vllm", {"vllm": "0.8.0", "transformers": "4.50.0"}, id="since the table"),
        pytest.param(
            "Qwen/Qwen2.5-VL-7B-Instruct",
            "sglang",
            {"sglang": "0.4.3.post2", "transformers": "4.49.0"},
            id="a post of SGLang, which the table does not hold",
        ),
        pytest.param(
            "Qwen/Qwen2.5-VL-7B-Instruct",
            "sglang",
            {"sglang": "0.4.3", "transformers": "4.49.0"},
            id="a pair of which another check tells",
        ),
        pytest.param("zai-org/GLM-4.5V", "vllm", {"vllm": "0.10.1", "transformers": "4.56.0"}, id="GLM-4.5V"),
    ],
)
def test_quiet_neighbours(model: str, engine: str, versions: dict[str, str]) -> None:
    assert not [one for one in found(model, engine, **versions) if one[0] in ("fail", "warn")]


def test_a_config_that_is_there_is_believed_before_the_name() -> None:
    files = ModelFiles(path="/m", config={"model_type": "qwen2"})
    assert found("/m/Qwen3-8B", files=files, vllm="0.8.3", transformers="4.45.0")[0] == ("pass", "")
    files = ModelFiles(path="/m", config={"hidden_size": 1})
    assert found("/m/Qwen3-8B", files=files, vllm="0.8.3", transformers="4.45.0") == [("not_applicable", "")]


@pytest.mark.parametrize(("vllm", "status"), [("0.9.2", "fail"), ("0.10.0", "not_applicable")])
def test_a_stated_architecture(vllm: str, status: str) -> None:
    config = {"model_type": "glm4v_moe", "architectures": ["Glm4vMoeForConditionalGeneration"]}
    judged = found("/m", files=ModelFiles(path="/m", config=config), vllm=vllm, transformers="4.57.1")
    assert [one[0] for one in judged] == ["pass", status]


@pytest.mark.parametrize(
    ("transformers", "status"),
    [
        pytest.param("4", "unknown", id="a line whose newest has it"),
        pytest.param("4.57", "pass", id="a line, the whole of it"),
        pytest.param("4.57.0.dev0", "pass", id="a build of the release"),
        pytest.param("4.57.0", "pass", id="the withdrawn release that brought it"),
        pytest.param("4.56.1.dev0", "unknown", id="a build on the way"),
        pytest.param("4.56.2", "fail", id="the one before"),
    ],
)
def test_how_sure_a_number_is(transformers: str, status: str) -> None:
    assert found("Qwen/Qwen3-VL-8B-Instruct", "transformers", transformers=transformers)[0][0] == status


@pytest.mark.parametrize(
    ("layers", "transformers", "status"),
    [
        pytest.param(["deepseek_sparse_attention"] * 3, "5.9.0", "fail", id="a kind that came later"),
        pytest.param("deepseek_sparse_attention x 78", "5.10.4", "fail", id="in words"),
        pytest.param(["deepseek_sparse_attention"], "5.11.0", "pass", id="the first that admits it"),
        pytest.param(["full_attention"], "5.9.0", "pass", id="an older kind"),
        pytest.param(None, "5.9.0", "pass", id="none is named"),
        pytest.param([3, {}], "5.9.0", "pass", id="no names"),
    ],
)
def test_kinds_of_layers(layers: Any, transformers: str, status: str) -> None:
    config = {"model_type": "glm_moe_dsa", "architectures": ["GlmMoeDsaForCausalLM"], "layer_types": layers}
    judged = found("/m", files=ModelFiles(path="/m", config=config), vllm="0.22.0", transformers=transformers)
    assert judged[0][0] == status


def test_a_preview_that_lies_over_transformers() -> None:
    versions = {"vllm": "0.10.1", "transformers": "4.55.2"}
    assert found("zai-org/GLM-4.5V", **versions)[0] == ("fail", OLD)
    name = "transformers-v4.55.0-GLM-4.5V-preview"
    assert found("zai-org/GLM-4.5V", **versions, **{name: "4.56.0.dev0"})[0] == ("unknown", "")


@pytest.mark.parametrize(
    ("words", "status"),
    [
        pytest.param(("--config-format", "mistral"), "not_applicable", id="its configuration"),
        pytest.param(("--config_format=mistral",), "not_applicable", id="with other strokes"),
        pytest.param(("--tokenizer-mode", "mistral"), "fail", id="only the tokenizer"),
        pytest.param((), "fail", id="nothing"),
    ],
)
def test_mistrals_own_form(words: tuple[str, ...], status: str) -> None:
    rows = tuple(Distribution(name=n, version=v) for n, v in {"vllm": "0.10.0", "transformers": "4.53.3"}.items())
    intent = Intent(model="me/Voxtral-Small-24B-2507", engine="vllm", command=("vllm", "serve", "me/V", *words))
    assert judge(engine_knows_model, packages=Packages(distributions=rows), intent=intent)[0].status == status


def test_another_server_is_not_judged() -> None:
    rows = (Distribution(name="transformers", version="4.46.0"),)
    intent = Intent(model="Qwen/Qwen3-8B", engine="transformers", other_engine="ollama 0.12.7")
    (finding,) = judge(engine_knows_model, packages=Packages(distributions=rows), intent=intent)
    assert finding.status == "not_applicable"


def test_a_model_that_wants_a_newer_transformers_is_the_root_of_one_that_the_engine_does_not_take() -> None:
    facts = {"engine": "sglang 0.5.8", "model": "zai-org/GLM-5", "packages": {"transformers": "5.0.1"}}
    assert [(one.cause, one.check) for one in judged(facts).causes] == [(OLD, "ENG002")]
