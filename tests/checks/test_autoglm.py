"""ENG007: Open-AutoGLM's own requirements."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.checks.autoglm import autoglm_requirements
from autoglm_doctor.facts import Distribution, Driver, Packages
from autoglm_doctor.finding import Finding
from autoglm_doctor.intent import UNNAMED, Intent
from autoglm_doctor.testing import judge
from autoglm_doctor.wording import render

PHONE = "zai-org/AutoGLM-Phone-9B"


def judged(engine: Any, model: str, profile: str = "", driver: str = "570.26", **versions: str) -> Finding:
    rows = tuple(Distribution(name=name.replace("_", "-"), version=version) for name, version in versions.items())
    given: dict[str, Any] = {"packages": Packages(distributions=rows), "driver": Driver(version=driver)}
    (finding,) = judge(autoglm_requirements, intent=Intent(model=model, profile=profile, engine=engine), **given)
    return finding


CASES = [
    pytest.param("vllm", {"vllm": "0.12.0", "transformers": "5.0.0rc0"}, "warn", id="as documented"),
    pytest.param("vllm", {"vllm": "0.19.0", "transformers": "5.5.4"}, "warn", id="the last that refuses 5"),
    pytest.param("vllm", {"vllm": "0.20.0", "transformers": "5.0.0"}, "warn", id="5.0 is left out later as well"),
    pytest.param("vllm", {"vllm": "0.24.0", "transformers": "5.0.0rc0"}, "warn", id="and is too old after that"),
    pytest.param("sglang", {"sglang": "0.5.6.post2", "transformers": "5.0.0rc0"}, "warn", id="SGLang pins 4.57.1"),
    pytest.param("sglang", {"sglang": "0.5.6.post1", "transformers": "5.0.0rc0"}, "pass", id="the one SGLang for it"),
    pytest.param("vllm", {"vllm": "0.12.0", "transformers": "4.57.3"}, "pass", id="what the engine takes"),
    pytest.param("vllm", {"vllm": "0.19.1", "transformers": "5.5.4"}, "pass", id="both are met"),
    pytest.param("vllm", {"vllm": "0.33.0", "transformers": "5.20.2"}, "pass", id="both are met today"),
    pytest.param("vllm", {"vllm": "0.12.0", "transformers": "4.40.0"}, "not_applicable", id="another fault"),
    pytest.param(
        "vllm", {"vllm": "0.12.1.dev3", "transformers": "5.0.0"}, "not_applicable", id="a development version"
    ),
    pytest.param("vllm", {"vllm": "0.12.0+g123", "transformers": "5.0.0"}, "not_applicable", id="a build of one's own"),
    pytest.param("vllm", {"vllm": "0.12.0"}, "not_applicable", id="no transformers"),
    pytest.param("vllm", {"transformers": "5.0.0"}, "not_applicable", id="no engine"),
    pytest.param("transformers", {"transformers": "5.0.0"}, "pass", id="without a server"),
]


@pytest.mark.parametrize(("engine", "versions", "status"), CASES)
def test_the_documented_pair(engine: str, versions: dict[str, str], status: str) -> None:
    finding = judged(engine, PHONE, **versions)
    if engine == "transformers":  # nothing to contradict: it asks itself
        assert finding.status in ("pass", "not_applicable")
        return
    assert finding.status == status
    assert bool(finding.fixes) == (status == "warn")


WHO = [
    pytest.param("zai-org/AutoGLM-Phone-9B", "", {}, True, id="by its name"),
    pytest.param("/models/autoglm-phone-9b", "", {}, True, id="in a folder"),
    pytest.param("/models/mine", "autoglm-phone-9b-multilingual", {}, True, id="by the profile"),
    pytest.param(UNNAMED, "", {"phone_agent": "0.1.0"}, True, id="the agent is installed beside it"),
    pytest.param("Qwen/Qwen3-8B", "qwen3-8b", {}, False, id="another model"),
    pytest.param("zai-org/GLM-4.1V-9B-Thinking", "glm-4.1v-9b-thinking", {}, False, id="its parent"),
    pytest.param(UNNAMED, "", {}, False, id="nothing says which model"),
    pytest.param("Qwen/Qwen3-8B", "qwen3-8b", {"phone_agent": "0.1.0"}, False, id="the agent with another model"),
]


@pytest.mark.parametrize(("model", "profile", "more", "speaks"), WHO)
def test_only_open_autoglms_models(model: str, profile: str, more: dict[str, str], speaks: bool) -> None:
    finding = judged("vllm", model, profile, vllm="0.12.0", transformers="5.0.0rc0", **more)
    assert (finding.status == "warn") is speaks
    assert speaks or finding.status == "not_applicable"


def test_it_says_what_the_metadata_says_and_which_pairs_resolve() -> None:
    finding = judged("vllm", PHONE, vllm="0.12.0", transformers="5.0.0rc0")
    said = render(finding.text)
    assert "transformers>=5.0.0rc0" in said
    assert "transformers<5,>=4.56.0" in said
    assert "vLLM 0.12.0 with transformers 4.57.3; vLLM from 0.19.1 on, with transformers 5.5.4" in said
    lines = [fix.commands[0] for fix in finding.fixes]
    assert lines[:2] == [
        "python3 -m pip install transformers==4.57.3",
        "python3 -m pip install vllm==0.19.1 transformers==5.5.4",
    ]


def test_a_driver_for_cuda_13_gets_the_newest_pair() -> None:
    finding = judged("vllm", PHONE, driver="580.95.05", vllm="0.12.0", transformers="5.0.0rc0")
    assert finding.fixes[-1].commands[0].endswith("install vllm==0.33.0 transformers==5.20.2")
