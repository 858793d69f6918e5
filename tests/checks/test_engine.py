"""ENG: the engine is there, its Python fits, and it knows the model."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from autoglm_doctor.checks.engine import engine_installed, engine_python
from autoglm_doctor.checks.engine_gpu import engine_supports_gpu
from autoglm_doctor.checks.engine_model import engine_knows_model
from autoglm_doctor.checks.torch import torch_installed
from autoglm_doctor.facts import Distribution, Driver, Facts, Gpu, Interpreter, ModelFiles, Packages, Reading, known
from autoglm_doctor.finding import Finding
from autoglm_doctor.intent import SMOKE, Intent, Launch
from autoglm_doctor.launch import default_intent
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.runner import run_checks
from autoglm_doctor.testing import judge
from autoglm_doctor.wording import render

PYTHON = Interpreter(executable="/v/bin/python", version="3.11.7", chosen_by="$VIRTUAL_ENV")
PIP = "/v/bin/python -m pip "
D570, D580 = Driver(version="570.124.06", cuda_version="12.8"), Driver(version="580.65.06", cuda_version="13.0")


def gpu(capability: str) -> Gpu:
    return Gpu(index=0, name="x", compute_capability=capability, total_bytes=1, free_bytes=1)


def installed(requires: tuple[str, ...] = (), **versions: str) -> Packages:
    rows = [Distribution(name=name, version=version) for name, version in versions.items()]
    return Packages(distributions=(Distribution(name="pip", version="25", requires=requires), *rows))


def intent(engine: Any = "vllm", model: str = "zai-org/AutoGLM-Phone-9B", **values: Any) -> Intent:
    return Intent(model=model, engine=engine, **values)


def one(check: Any, **given: Any) -> Finding:
    (finding,) = judge(check, **{"interpreter": PYTHON, **given})
    return finding


LINES = {
    "vLLM on a CUDA 13 driver": ("vllm", D580, "8.9", "install vllm==0.33.0 transformers==5.20.2"),
    "vLLM on a CUDA 12 driver": ("vllm", D570, "8.9", "install vllm==0.19.1 transformers==5.5.4"),
    "vLLM just below": ("vllm", Driver(version="580.65.05"), "8.9", "install vllm==0.19.1 transformers==5.5.4"),
    "vLLM on a Volta": ("vllm", D580, "7.0", "install vllm==0.19.1 transformers==5.5.4"),
    "vLLM on an unknown driver": ("vllm", None, "8.9", "install vllm==0.33.0 transformers==5.20.2"),
    "SGLang on a CUDA 12 driver": ("sglang", D570, "8.9", "install sglang==0.5.10.post1 transformers==5.3.0"),
    "SGLang on a CUDA 13 driver": ("sglang", D580, "8.9", "install sglang==0.5.23 transformers==5.19.0"),
    "transformers": (
        "transformers",
        D570,
        "8.9",
        "install --extra-index-url https://download.pytorch.org/whl/cu126 "
        "transformers==5.23.0 torch==2.14.0+cu126 torchvision==0.29.0+cu126",
    ),
}


@pytest.mark.parametrize(("engine", "driver", "capability", "line"), LINES.values(), ids=LINES.keys())
def test_a_missing_engine_gets_the_release_that_the_driver_runs(
    engine: str, driver: Driver | None, capability: str, line: str
) -> None:
    given: dict[str, Any] = {"driver": driver} if driver else {}
    finding = one(engine_installed, packages=installed(), gpus=(gpu(capability),), intent=intent(engine), **given)
    assert (finding.status, finding.cause, finding.required) == ("fail", "ENGINE_NOT_INSTALLED", True)
    assert finding.fixes[0].commands[0] == PIP + line
    assert all("nvidia-cudnn" in more for more in finding.fixes[0].commands[1:])  # for pictures in SGLang's torch 2.9
    assert finding.text.params["python"] == "/v/bin/python"


def test_a_damaged_engine_is_called_that() -> None:
    fault = "/v/lib/vllm-0.12.0.dist-info has no METADATA"
    finding = one(engine_installed, packages=dataclasses.replace(installed(), faults=(fault,)))
    assert (finding.status, finding.cause) == ("fail", "ENGINE_NOT_INSTALLED")
    assert fault in render(finding.text)
    assert fault not in render(one(engine_installed, packages=installed()).text)


def test_an_installed_engine() -> None:
    assert one(engine_installed, packages=installed(vllm="0.12.0")).status == "pass"
    assert one(engine_installed, packages=installed(vllm="0.12.0"), intent=intent("sglang")).status == "fail"
    assert one(engine_installed).status == "unknown"


def test_the_smoke_model_asks_for_a_transformers_that_can_make_it() -> None:
    finding = one(engine_installed, packages=installed(), intent=intent("transformers", SMOKE))
    assert finding.fixes[0].commands == (PIP + "install transformers==5.23.0 torch==2.15.0 torchvision==0.29.2",)


KNOWS = {
    "both new enough": ({"vllm": "0.12.0", "transformers": "4.57.1"}, ["pass", "pass"], ["", ""]),
    "the first ones": ({"vllm": "0.9.2", "transformers": "4.53.2"}, ["pass", "pass"], ["", ""]),
    "transformers too old": (
        {"vllm": "0.12.0", "transformers": "4.51.3"},
        ["fail", "pass"],
        ["TRANSFORMERS_TOO_OLD_FOR_MODEL", ""],
    ),
    "a broken transformers": (
        {"vllm": "0.12.0", "transformers": "4.53.1"},
        ["fail", "pass"],
        ["KNOWN_BAD_RELEASE", ""],
    ),
    "vLLM too old": ({"vllm": "0.9.1", "transformers": "4.57.1"}, ["pass", "fail"], ["", "ENGINE_TOO_OLD_FOR_MODEL"]),
    "a nightly of the first release": (
        {"vllm": "0.9.2.dev12+gabc", "transformers": "4.53.2.dev0"},
        ["pass", "pass"],
        ["", ""],
    ),
    "a source build without a number": (
        {"vllm": "0.1.dev1+gabc", "transformers": "4.57.1"},
        ["pass", "not_applicable"],
        ["", ""],
    ),
    "no transformers": ({"vllm": "0.12.0"}, ["unknown", "pass"], ["", ""]),
}


@pytest.mark.parametrize(("versions", "statuses", "causes"), KNOWS.values(), ids=KNOWS.keys())
def test_engine_knows_model(versions: dict[str, str], statuses: list[str], causes: list[str]) -> None:
    found = judge(engine_knows_model, packages=installed(**versions), interpreter=PYTHON, driver=D570)
    assert [f.status for f in found] == statuses
    assert [f.cause for f in found] == causes


@pytest.mark.parametrize(
    ("engine", "version", "status"),
    [
        pytest.param("vllm", "4.53.1", "fail", id="an engine shows the model a video when it starts"),
        pytest.param("transformers", "4.53.1", "warn", id="transformers answers to pictures all the same"),
        pytest.param("transformers", "4.53.2", "pass", id="mended"),
    ],
)
def test_a_release_that_is_broken_in_part(engine: str, version: str, status: str) -> None:
    versions = {"vllm": "0.9.2", "transformers": version}
    packages = installed(**(versions if engine == "vllm" else {"transformers": version}))
    found = judge(engine_knows_model, packages=packages, interpreter=PYTHON, driver=D570, intent=intent(engine))
    assert found[0].status == status
    assert found[0].cause == ("" if status == "pass" else "KNOWN_BAD_RELEASE")


def test_the_fix_stays_within_what_the_engine_allows() -> None:
    old = {"vllm": "0.12.0", "transformers": "4.51.3"}
    allowed, _ = judge(engine_knows_model, packages=installed(("transformers<5,>=4.50",), **old), interpreter=PYTHON)
    assert allowed.fixes[0].commands == (PIP + "install transformers==4.57.3",)
    forbidden, _ = judge(
        engine_knows_model, packages=installed(("transformers<4.52",), **old), interpreter=PYTHON, driver=D570
    )
    assert forbidden.fixes[0].commands == (PIP + "install vllm==0.19.1 transformers==5.5.4",)


def test_the_models_own_config_comes_before_the_profile() -> None:
    old = installed(vllm="0.12.0", transformers="4.53.2")
    newer = ModelFiles(path="/m", config={"model_type": "glm4v_moe"})
    first, second = judge(engine_knows_model, packages=old, model_files=newer)
    assert (first.status, first.expected) == ("fail", ">=4.56.0")
    assert second.status == "not_applicable"  # no table says which vLLM first knew it


UNLISTED = {
    "a type in no table": ModelFiles(path="/m", config={"model_type": "llama_of_tomorrow"}),
    "no config at all": None,
}


@pytest.mark.parametrize("files", UNLISTED.values(), ids=UNLISTED.keys())
def test_an_unlisted_model_is_no_gap_of_the_machine(files: ModelFiles | None) -> None:
    given = {"model_files": files} if files else {}
    finding = one(engine_knows_model, packages=installed(vllm="0.12.0"), intent=intent(model="me/mine"), **given)
    assert finding.status == "not_applicable"


PYTHONS = {
    "a usual one": ("3.11.7", D580, "pass"),
    "one that older releases take": ("3.9.18", D570, "pass"),
    "too old": ("3.8.10", D570, "fail"),
    "too new for what the driver runs": ("3.14.0", D570, "fail"),
    "not too new for what this driver runs": ("3.14.0", D580, "pass"),
}


@pytest.mark.parametrize(("version", "driver", "status"), PYTHONS.values(), ids=PYTHONS.keys())
def test_python(version: str, driver: Driver, status: str) -> None:
    python = Interpreter(executable="/v/bin/python", version=version)
    finding = one(engine_python, packages=installed(), interpreter=python, driver=driver)
    assert finding.status == status
    if status == "fail":
        assert finding.cause == "PYTHON_UNSUPPORTED"
        assert finding.fixes[0].commands[1].endswith(" vllm==0.19.1 transformers==5.5.4")


def test_python_is_no_question_once_the_engine_is_there() -> None:
    old = Interpreter(executable="/v/bin/python", version="3.8.10")
    there = Packages(distributions=(Distribution(name="vllm", version="0.12.0", location="/v/lib"),))
    assert one(engine_python, packages=there, interpreter=old).status == "not_applicable"


def test_one_root_cause_gives_one_red() -> None:
    """An empty environment of a Python that no engine takes: the Python is the root, the rest follows."""
    facts = Facts(
        interpreter=known(Interpreter(executable="/v/bin/python", version="3.8.10")),
        packages=known(installed()),
        torch=Reading(outcome="absent", why="torch is not installed for this Python"),
        driver=known(D570),
    )
    checks = [engine_installed, engine_python, engine_knows_model, torch_installed]
    found = run_checks(checks, facts, default_intent(), load_matrix())
    assert [(f.code, f.status, f.because) for f in found] == [
        ("ENG001", "skipped", "ENG003"),
        ("ENG003", "fail", ""),
        ("ENG002", "skipped", "ENG003"),
        ("TOR001", "skipped", "ENG003"),
    ]


SUPPORTS = {
    "a card of today": ("8.9", "0.33.0", "vllm", "pass", None),
    "a Volta on an old release": ("7.0", "0.19.1", "vllm", "pass", None),
    "a Volta on a new release": ("7.0", "0.27.0", "vllm", "fail", PIP + "install vllm==0.19.1 transformers==5.5.4"),
    "a Pascal, installed": ("6.1", "0.8.5", "vllm", "fail", "autoglm-doctor check --engine transformers"),
    "a Pascal, nothing installed": ("6.1", None, "vllm", "fail", "autoglm-doctor check --engine transformers"),
    "a Volta, nothing installed": ("7.0", None, "vllm", "pass", None),
    "a Turing for SGLang, nothing installed": ("7.5", None, "sglang", "pass", None),
    "a Turing for an older SGLang": ("7.5", "0.4.9", "sglang", "pass", None),
    "a Turing for SGLang": ("7.5", "0.5.9", "sglang", "fail", PIP + "install sglang==0.5.1.post2 transformers==4.55.2"),
    "transformers": ("6.1", "4.57.1", "transformers", "not_applicable", None),
    "a capability that is not known": ("", "0.12.0", "vllm", "unknown", None),
}


@pytest.mark.parametrize(("capability", "version", "engine", "status", "line"), SUPPORTS.values(), ids=SUPPORTS.keys())
def test_engine_supports_gpu(capability: str, version: str | None, engine: Any, status: str, line: str | None) -> None:
    packages = installed(**({engine: version} if version else {}))
    finding = one(engine_supports_gpu, packages=packages, gpus=(gpu(capability),), driver=D580, intent=intent(engine))
    assert finding.status == status
    if line:
        assert finding.cause == "GPU_TOO_OLD_FOR_ENGINE"
        assert finding.fixes[0].commands == (line,)


def test_a_card_for_no_release_is_one_red_and_no_line_installs_the_engine() -> None:
    facts = Facts(
        interpreter=known(PYTHON),
        packages=known(installed()),
        driver=known(D580),
        gpus=known((gpu("6.1"),)),
        torch=Reading(outcome="absent", why="torch is not installed"),
    )
    checks = [engine_installed, engine_python, engine_supports_gpu, torch_installed]
    found = run_checks(checks, facts, default_intent(), load_matrix())
    assert [(f.code, f.status) for f in found if f.status == "fail"] == [("ENG004", "fail")]
    alone = one(engine_installed, packages=installed(), gpus=(gpu("6.1"),), driver=D580)
    assert not any("vllm" in command for fix in alone.fixes for command in fix.commands)


def test_only_the_gpus_that_are_taken_choose_the_release() -> None:
    gpus = (gpu("8.9"), Gpu(index=1, name="old", compute_capability="7.0", total_bytes=1, free_bytes=1))
    finding = one(engine_installed, packages=installed(), gpus=gpus, driver=D580)
    assert finding.fixes[0].commands == (PIP + "install vllm==0.33.0 transformers==5.20.2",)


TYPES = [
    pytest.param("qwen2_vl", {"transformers": "4.44.2"}, False, "fail", id="too old for a type of the list"),
    pytest.param("qwen2_vl", {"transformers": "4.45.0"}, False, "pass", id="the first that lists it"),
    pytest.param("qwen2_vl", {"transformers": "4.44.2"}, True, "not_applicable", id="code of the model's own"),
    pytest.param("llama", {"transformers": "4.20.0"}, False, "not_applicable", id="before the list begins"),
    pytest.param("nobody_knows", {"transformers": "4.44.2"}, False, "not_applicable", id="in no list"),
]


@pytest.mark.parametrize(("kind", "versions", "own", "status"), TYPES)
def test_most_types_are_known_from_the_list_of_transformers(
    kind: str, versions: dict[str, str], own: bool, status: str
) -> None:
    files = ModelFiles(path="/m", config={"model_type": kind}, custom_code=own)
    found = judge(engine_knows_model, packages=installed(**versions), model_files=files, intent=intent("sglang", "/m"))
    judged = [f for f in found if f.subject != "sglang"]
    assert [f.status for f in judged] == [status]


@pytest.mark.parametrize(("trusts", "status"), [(True, "not_applicable"), (False, "fail")])
def test_code_of_the_repository_knows_the_type_if_it_may_run(trusts: bool, status: str) -> None:
    files = ModelFiles(path="/m", config={"model_type": "deepseek_v3"})
    asked = intent("vllm", "/m", launch=Launch(trust_remote_code=trusts))
    packages = installed(vllm="0.7.3", transformers="4.48.3")
    found = judge(engine_knows_model, packages=packages, model_files=files, intent=asked)
    assert [f.status for f in found if f.subject != "vllm"] == [status]


def test_nothing_known_of_the_packages_refuses_a_gpu_and_passes_none() -> None:
    statuses = [one(engine_supports_gpu, gpus=(gpu(cc),), intent=intent()).status for cc in ("6.0", "8.9")]
    assert statuses == ["fail", "unknown"]
