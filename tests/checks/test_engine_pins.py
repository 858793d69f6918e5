"""PKG003: what a release of an engine is known to demand."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.checks.engine_pins import engine_pins
from autoglm_doctor.facts import Distribution, Environment, Packages, Torch
from autoglm_doctor.intent import Intent
from autoglm_doctor.testing import judge
from tests.checks.package_cases import installed

CASES = [
    pytest.param("vllm", {"vllm": "0.12.0", "transformers": "4.57.1", "torch": "2.9.0"}, [], id="as pinned"),
    pytest.param(
        "vllm", {"vllm": "0.17.1", "transformers": "5.3.0"}, ["TRANSFORMERS_TOO_NEW_FOR_ENGINE"], id="5 early"
    ),
    pytest.param("vllm", {"vllm": "0.11.0", "transformers": "5.0.0"}, ["TRANSFORMERS_TOO_NEW_FOR_ENGINE"], id="a pair"),
    pytest.param("vllm", {"vllm": "0.12.0", "transformers": "4.40.0"}, ["TRANSFORMERS_TOO_OLD_FOR_ENGINE"], id="old"),
    pytest.param("vllm", {"vllm": "0.17.1", "torch": "2.8.0"}, ["VLLM_TORCH_MISMATCH"], id="another torch"),
    pytest.param("vllm", {"vllm": "0.17.1+cu129", "torch": "2.8.0+cu128"}, ["VLLM_TORCH_MISMATCH"], id="with tags"),
    pytest.param("vllm", {"vllm": "0.12.0", "torch": "2.9.1"}, [], id="the same line of torch"),
    pytest.param("vllm", {"vllm": "0.17.1+g1234", "torch": "2.8.0"}, [], id="a vLLM of one's own"),
    pytest.param("vllm", {"vllm": "0.17.1", "torch": "2.9.0a0+nv25.10"}, [], id="a vendor's torch"),
    pytest.param("vllm", {"vllm": "0.17.2.dev3", "torch": "2.8.0"}, [], id="a development version"),
    pytest.param("vllm", {"vllm": "99.0", "torch": "2.8.0a0"}, [], id="newer than the table"),
    pytest.param(
        "sglang", {"sglang": "0.5.5.post3", "transformers": "4.57.3", "torch": "2.9.1+cu130"}, [], id="CUDA 13"
    ),
    pytest.param(
        "sglang",
        {"sglang": "0.5.6.post3.dev1178", "transformers": "5.0.0.dev0"},
        ["TRANSFORMERS_TOO_NEW_FOR_ENGINE"],
        id="a development version that both neighbours refuse",
    ),
    pytest.param("transformers", {"vllm": "0.17.1", "torch": "2.8.0"}, [], id="vLLM is not what serves"),
    pytest.param("vllm", {"vllm": "0.3.2", "torch": "2.2.1"}, ["VLLM_TORCH_MISMATCH"], id="an old vLLM"),
    pytest.param("vllm", {"vllm": "0.3.2", "torch": "2.1.2+cu121"}, [], id="an old vLLM as pinned"),
    pytest.param("vllm", {"vllm": "0.8.5+cu128", "torch": "2.7.0+cu128"}, [], id="a build that the project never made"),
    pytest.param("vllm", {"vllm": "0.8.5", "torch": "2.7.0+cu128"}, ["VLLM_TORCH_MISMATCH"], id="the project's"),
    pytest.param("vllm", {"vllm": "0.2.2", "torch": "2.0.1"}, ["VLLM_TORCH_MISMATCH"], id="below a range"),
    pytest.param("vllm", {"vllm": "0.2.2", "torch": "2.1.1"}, [], id="within a range"),
    pytest.param("vllm", {"vllm": "0.1.7", "torch": "2.1.1"}, [], id="before the table"),
    pytest.param("vllm", {"vllm": "0.7.4.dev3", "torch": "2.1.1"}, [], id="a development version of an old vLLM"),
    pytest.param("vllm", {"vllm": "0.7.3", "transformers": "4.47.1"}, ["TRANSFORMERS_TOO_OLD_FOR_ENGINE"], id="0.7.3"),
    pytest.param("vllm", {"vllm": "0.9.2", "transformers": "4.54.1"}, ["TRANSFORMERS_TOO_NEW_FOR_ENGINE"], id="aimv2"),
    pytest.param(
        "vllm", {"vllm": "0.9.0.1", "transformers": "4.56"}, ["TRANSFORMERS_TOO_NEW_FOR_ENGINE"], id="0.9.0.1"
    ),
    pytest.param("vllm", {"vllm": "0.9.2", "transformers": "4.53.3"}, [], id="before aimv2 was transformers' own"),
    pytest.param("vllm", {"vllm": "0.8.5.post1", "transformers": "4.55.4"}, [], id="a vLLM without aimv2"),
    pytest.param("vllm", {"vllm": "0.10.0", "transformers": "4.54.0"}, [], id="a vLLM that asks first"),
    pytest.param("vllm", {"vllm": "0.10.0", "transformers": "4.55.4"}, [], id="the same with the next transformers"),
    pytest.param("vllm", {"vllm": "0.7.2", "transformers": "4.49.0"}, [], id="0.7.2 with a model that is not known"),
    pytest.param(
        "sglang", {"sglang": "0.4.3.post2", "transformers": "4.49.0"}, ["TRANSFORMERS_TOO_NEW_FOR_ENGINE"], id="mllama"
    ),
    pytest.param("sglang", {"sglang": "0.4.3.post2", "transformers": "4.48.3"}, [], id="mllama as it was"),
    pytest.param("sglang", {"sglang": "0.4.3", "transformers": "4.49.0"}, [], id="an SGLang without that import"),
    pytest.param("sglang", {"sglang": "0.5.0rc1", "transformers": "4.55.0"}, [], id="a candidate"),
    pytest.param(
        "sglang",
        {"sglang": "0.5.0rc1", "transformers": "5.0.0"},
        ["TRANSFORMERS_TOO_NEW_FOR_ENGINE"],
        id="far beyond it",
    ),
    pytest.param("sglang", {"sglang": "0.5.8rc1", "transformers": "4.57.0"}, [], id="a candidate of the same pin"),
    pytest.param("vllm", {"vllm": "0.12.0", "transformers": "4.56"}, [], id="a line that is taken in part"),
    pytest.param(
        "vllm", {"vllm": "0.12.0", "transformers": "4.55"}, ["TRANSFORMERS_TOO_OLD_FOR_ENGINE"], id="a line before all"
    ),
    pytest.param("vllm", {"vllm": "0.20.0", "transformers": "5"}, [], id="a line of which a part is excluded"),
    pytest.param(
        "vllm", {"vllm": "0.12.0", "transformers": "5"}, ["TRANSFORMERS_TOO_NEW_FOR_ENGINE"], id="a line beyond it"
    ),
    pytest.param("vllm", {"vllm": "0.9", "transformers": "4.53"}, [], id="two lines that go together"),
]

OWN = {"engine": "vllm", "packages": installed(vllm="0.16.0+mine", transformers="5.1.0")}


def test_a_known_pair_of_published_builds_alone() -> None:
    published = {**OWN, "packages": installed(vllm="0.16.0", transformers="5.1.0")}
    found = {}
    for name, given in {"own": OWN, "published": published}.items():
        intent = Intent(model="m", engine="vllm")
        found[name] = [one.status for one in judge(engine_pins, packages=given["packages"], intent=intent)]
    assert found == {"own": ["not_applicable"], "published": ["fail"]}


@pytest.mark.parametrize(
    ("vllm", "transformers", "status"),
    [
        pytest.param("0.4.2", "4.57.1", "not_applicable", id="more than a year later, and no bound from above"),
        pytest.param("0.4.2", "4.43.0", "pass", id="of the same year"),
        pytest.param("0.4.2", "4.39.0", "fail", id="below the bound"),
        pytest.param("0.12.0", "4.57.6", "pass", id="within both bounds"),
    ],
)
def test_a_bound_from_below_alone(vllm: str, transformers: str, status: str) -> None:
    there = installed(vllm=vllm, transformers=transformers)
    (finding,) = judge(engine_pins, packages=there, intent=Intent(model="m", engine="vllm"))
    assert finding.status == status


#: Pairs that some models meet.
MODELS = [
    pytest.param("Qwen/Qwen2.5-VL-7B-Instruct", {"vllm": "0.7.2", "transformers": "4.49.0"}, True, id="Qwen2.5-VL"),
    pytest.param(
        "me/Qwen2.5-VL-72B-AWQ", {"vllm": "0.7.2", "transformers": "4.49.0"}, True, id="a name without profile"
    ),
    pytest.param("Qwen/Qwen2.5-VL-7B-Instruct", {"vllm": "0.7.3", "transformers": "4.49.0"}, False, id="mended"),
    pytest.param("Qwen/Qwen2.5-7B-Instruct", {"vllm": "0.7.2", "transformers": "4.49.0"}, False, id="Qwen2.5"),
    pytest.param("me/ColQwen2.5-VL", {"vllm": "0.7.2", "transformers": "4.49.0"}, False, id="a name with more before"),
    pytest.param("Qwen/Qwen2-VL-7B-Instruct", {"vllm": "0.6.2", "transformers": "4.45.0"}, True, id="Qwen2-VL"),
    pytest.param("Qwen/Qwen2-VL-7B-Instruct", {"vllm": "0.6.3", "transformers": "4.45.0"}, False, id="Qwen2-VL mended"),
    pytest.param("google/gemma-4-31B-it", {"vllm": "0.27.1", "transformers": "5.15.0"}, True, id="Gemma 4"),
    pytest.param("google/gemma-4-31B-it", {"vllm": "0.27.1", "transformers": "5.14.1"}, False, id="Gemma 4 as tried"),
    pytest.param("google/gemma-4-31B-it", {"vllm": "0.28.0", "transformers": "5.15.0"}, False, id="Gemma 4 mended"),
    pytest.param("google/gemma-3-4b-it", {"vllm": "0.27.1", "transformers": "5.15.0"}, False, id="Gemma 3"),
    pytest.param("me/gemma-4b", {"vllm": "0.27.1", "transformers": "5.15.0"}, False, id="a Gemma of 4 billions"),
]


@pytest.mark.parametrize(("model", "versions", "is_bad"), MODELS)
def test_pairs_for_some_models(model: str, versions: dict[str, str], is_bad: bool) -> None:
    found = judge(engine_pins, packages=installed(**versions), intent=Intent(model=model, engine="vllm"))
    assert [f.cause for f in found if f.status == "fail"] == ["TRANSFORMERS_TOO_NEW_FOR_ENGINE"] * is_bad


def test_an_old_engine_may_stay() -> None:
    there = installed(vllm="0.3.2", torch="2.2.1")
    (finding,) = judge(engine_pins, packages=there, intent=Intent(model="m", engine="vllm"))
    assert "vllm==0.3.2" in finding.fixes[0].commands[0]


@pytest.mark.parametrize(("engine", "versions", "causes"), CASES)
def test_pins(engine: Any, versions: dict[str, str], causes: list[str]) -> None:
    found = judge(engine_pins, packages=installed(**versions), intent=Intent(model="m", engine=engine))
    assert [f.cause for f in found if f.status in ("fail", "warn")] == causes
    assert all(f.fixes and f.fixes[0].commands for f in found if f.status == "fail")


def test_metadata_that_was_read_is_left_to_pkg001() -> None:
    engine = Distribution(name="vllm", version="0.17.1", requires=("torch==2.10.0", "transformers<5,>=4.56"))
    others = installed(torch="2.8.0", transformers="4.40.0").distributions
    (finding,) = judge(engine_pins, packages=Packages(distributions=(engine, *others)))
    assert finding.status == "not_applicable"


#: SGLang, its kernels, the oldest that it starts with where these are older.
KERNELS = [
    pytest.param("0.4.9.post2", "sgl-kernel", "0.2.4", "0.2.5", id="older than it asks for"),
    pytest.param("0.4.6.post1", "sgl-kernel", "0.0.9.post2", "0.1.0", id="the first that asks"),
    pytest.param("0.5.3", "sgl-kernel", "0.3.13", "0.3.14", id="it asks for less than it pins"),
    pytest.param("0.5.11", "sglang-kernel", "0.4.1", "0.4.2", id="by the new name"),
    pytest.param("0.5.5", "sgl-kernel", "0.3.15+cu130", "0.3.16.post5", id="the project's own wheel"),
    pytest.param("0.4.9.post2", "sgl-kernel", "0.2.5", "", id="as pinned"),
    pytest.param("0.4.9.post2", "sgl-kernel", "0.2.8", "", id="newer"),
    pytest.param("0.5.3", "sgl-kernel", "0.3.14", "", id="older than the pin, and enough"),
    pytest.param("0.5.23", "sglang-kernel", "0.4.9", "", id="the same today"),
    pytest.param("0.4.6", "sgl-kernel", "0.0.9", "", id="an SGLang that does not ask"),
    pytest.param("0.4.9.post2", "sgl-kernel", "0.2.4+g1a2b3c4", "", id="kernels of one's own"),
    pytest.param("0.4.9.post3.dev1", "sgl-kernel", "0.2.4", "", id="a development version"),
    pytest.param("0.4.9.post2+local", "sgl-kernel", "0.2.4", "", id="an SGLang of one's own"),
    pytest.param("0.99.0", "sglang-kernel", "0.4.1", "", id="newer than the table"),
]


@pytest.mark.parametrize(("sglang", "name", "kernels", "least"), KERNELS)
def test_the_oldest_kernels(sglang: str, name: str, kernels: str, least: str) -> None:
    there = installed(sglang=sglang, **{name.replace("-", "_"): kernels})
    found = [f for f in judge(engine_pins, packages=there, intent=Intent(model="m", engine="sglang")) if f.fixes]
    assert [(f.status, f.cause, f.expected) for f in found] == [
        ("fail", "EXTENSION_ABI_MISMATCH", f">={least}")
    ] * bool(least)


QUIET: dict[str, dict[str, Any]] = {
    "the variable": {"environment": Environment(variables={"SGLANG_SKIP_SGL_KERNEL_VERSION_CHECK": "1"})},
    "torch for the CPU": {"torch": Torch(version="2.8.0+cpu")},
    "torch for ROCm": {"torch": Torch(version="2.8.0+rocm6.4", hip="6.4")},
    "a server on the CPU": {"intent": Intent(model="m", engine="sglang", device="cpu")},
    "another engine": {"intent": Intent(model="m", engine="vllm")},
    "an editable one": {
        "packages": Packages(
            distributions=(
                Distribution(name="sglang", version="0.5.5"),
                Distribution(name="sgl-kernel", version="0.3.15", editable=True),
            )
        )
    },
    "metadata that was read": {
        "packages": Packages(
            distributions=(
                Distribution(name="sglang", version="0.5.5", requires=("sgl-kernel==0.3.16.post5",)),
                Distribution(name="sgl-kernel", version="0.3.15"),
            )
        )
    },
}


@pytest.mark.parametrize("given", [pytest.param(given, id=name) for name, given in QUIET.items()])
def test_kernels_that_nobody_asks_for(given: dict[str, Any]) -> None:
    old: dict[str, Any] = {
        "packages": installed(sglang="0.5.5", sgl_kernel="0.3.15"),
        "intent": Intent(model="m", engine="sglang"),
    }
    assert not [f for f in judge(engine_pins, **{**old, **given}) if f.fixes]
    assert [f for f in judge(engine_pins, **old) if f.fixes]


def test_the_torch_of_an_engine_comes_first() -> None:
    there = installed(vllm="0.10.0", torch="2.6.0", transformers="4.51.3")
    found = judge(engine_pins, packages=there, intent=Intent(model="m", engine="vllm"))
    assert [f.cause for f in found] == ["VLLM_TORCH_MISMATCH", "TRANSFORMERS_TOO_OLD_FOR_ENGINE"]
