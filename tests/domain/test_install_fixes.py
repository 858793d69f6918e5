"""The first fix of every red is applied to the facts, and what comes out is judged again: no red may be left."""

from __future__ import annotations

import dataclasses
import re
import shlex
from typing import Any

import pytest

from autoglm_doctor.checks.autoglm import autoglm_requirements
from autoglm_doctor.checks.conv3d import conv3d
from autoglm_doctor.checks.driver_engine import driver_runs_engine_cuda
from autoglm_doctor.checks.driver_ptx import driver_compiles_ptx
from autoglm_doctor.checks.driver_torch import driver_runs_torch_cuda
from autoglm_doctor.checks.engine import engine_installed, engine_python
from autoglm_doctor.checks.engine_cuda import engine_cuda
from autoglm_doctor.checks.engine_gpu import engine_supports_gpu
from autoglm_doctor.checks.engine_model import engine_knows_model
from autoglm_doctor.checks.engine_pins import engine_pins
from autoglm_doctor.checks.torch import torch_cuda_build
from autoglm_doctor.checks.torch_gpu import architectures
from autoglm_doctor.checks.torchvision import torchvision_matches
from autoglm_doctor.checks.triton import triton_code_loads, triton_matches
from autoglm_doctor.domain.resolve.fixes import install_fixes
from autoglm_doctor.domain.resolve.obstacles import allows, older
from autoglm_doctor.domain.resolve.site import Site
from autoglm_doctor.facts import Distribution, Driver, Facts, Gpu, Host, Interpreter, ModelFiles, Packages, Torch, known
from autoglm_doctor.finding import Finding, Fix
from autoglm_doctor.intent import Intent
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.runner import run_checks

MATRIX = load_matrix()
CHECKS = [
    *(driver_runs_torch_cuda, engine_installed, engine_python, engine_knows_model, engine_supports_gpu, engine_cuda),
    *(driver_runs_engine_cuda, driver_compiles_ptx, triton_code_loads),
    *(engine_pins, torch_cuda_build, torchvision_matches, architectures, triton_matches, conv3d, autoglm_requirements),
]
HOST = Host(system="Linux", machine="x86_64", kernel="6", glibc="2.35")


def torch_of(version: str) -> Torch:
    """As its files would tell."""
    public, _, tag = version.partition("+")
    cuda = None if tag == "cpu" else f"{tag[2:-1]}.{tag[-1]}" if tag else MATRIX.torch_cuda(public)
    build = MATRIX.torch_build(public, tag if tag != "cpu" else "")
    listed = tuple(f"sm_{one.replace('.', '')}" for one in build.sass) if build and cuda else ()
    return Torch(version=version, cuda=cuda, architectures=listed, location="/v/torch")


def facts(
    packages: dict[str, str], driver: str = "570.26", capability: str = "8.9", python: str = "3.11.7", pip: bool = True
) -> Facts:
    card = Gpu(index=0, name="GPU", compute_capability=capability, total_bytes=1 << 36, free_bytes=1 << 36)
    rows = [Distribution(name=name, version=version) for name, version in packages.items()]
    rows += [Distribution(name="pip", version="25")] if pip else []
    found = Facts(
        host=known(HOST),
        driver=known(Driver(version=driver)),
        gpus=known((card,)),
        interpreter=known(Interpreter(executable="/v/bin/python", version=python)),
        packages=known(Packages(distributions=tuple(rows))),
    )
    return dataclasses.replace(found, torch=known(torch_of(packages["torch"]))) if "torch" in packages else found


def installed(one: Facts) -> dict[str, str]:
    assert one.packages.value is not None
    return {each.name: each.version for each in one.packages.value.distributions if each.name != "pip"}


def apply(fix: Fix, before: Facts) -> Facts:
    """What pip or uv would leave behind: what is named, and what the named ones pin."""
    packages, python = installed(before), before.interpreter.value.version  # type: ignore[union-attr]
    for command in fix.commands:
        words = shlex.split(command)
        if words[:2] == ["uv", "venv"]:
            packages, python = {}, f"{words[words.index('--python') + 1]}.3"
        elif "uninstall" in words:
            packages.pop("torch", None)
        elif "install" in words:
            named = dict(word.split("==") for word in words if "==" in word)
            wheels = (re.search(r"/(vllm)-([^-/]+)-cp38-abi3-", word) for word in words)
            named |= {found[1]: found[2] for found in wheels if found}
            assert not any("<" in word or ">" in word for word in words if "cudnn" not in word), command
            packages.update(named)
            _bring(packages, named)
    driver, card = before.driver.value, before.gpus.value
    assert driver is not None
    assert card
    return facts(packages, driver.version or "", card[0].compute_capability, python)


def _bring(packages: dict[str, str], named: dict[str, str]) -> None:
    for engine in {"vllm", "sglang"} & set(named):
        row = MATRIX.engine_release(engine, named[engine])
        assert row is not None
        if packages.get("torch", "").partition("+")[0] != row.torch:
            packages["torch"] = row.torch
        if "transformers" not in packages or not allows(row.transformers, packages["transformers"]):
            raise AssertionError(f"{named} leaves transformers {packages.get('transformers')} to chance")
    release = MATRIX.torch_release(packages.get("torch", ""))
    if release and ({"vllm", "sglang", "torch"} & set(named)):
        moved = {"torchvision": release.torchvision, "triton": release.triton}
        packages.update({name: version for name, version in moved.items() if name in packages and name not in named})


def reds(one: Facts, intent: Intent) -> list[Finding]:
    return [found for found in run_checks(CHECKS, one, intent, MATRIX) if found.status == "fail"]


FAULTS = [
    pytest.param(
        "DRV003", facts({"vllm": "0.27.0", "torch": "2.13.0", "transformers": "5.12.0"}, "535.1"), id="driver"
    ),
    pytest.param(
        "DRV003", facts({"vllm": "0.12.0", "torch": "2.9.0+cu130", "transformers": "4.57.1"}, "535.1"), id="other torch"
    ),
    pytest.param("ENG001", facts({}), id="nothing is installed"),
    pytest.param("ENG001", facts({}, "580.95.05", "12.0", "3.12.1"), id="nothing, on a Blackwell"),
    pytest.param("ENG002", facts({"vllm": "0.12.0", "torch": "2.9.0", "transformers": "4.51.3"}), id="old library"),
    pytest.param("ENG002", facts({"vllm": "0.9.2", "torch": "2.7.0", "transformers": "4.53.1"}), id="bad library"),
    pytest.param("ENG002", facts({"vllm": "0.9.1", "torch": "2.7.0", "transformers": "4.53.2"}), id="old engine"),
    pytest.param("ENG003", facts({}, python="3.8.10"), id="a Python for no release"),
    pytest.param("ENG003", facts({}, python="3.14.0"), id="a Python that is too new"),
    pytest.param(
        "ENG004",
        facts({"vllm": "0.27.0", "torch": "2.13.0", "transformers": "5.12.0"}, "580.95.05", "7.0"),
        id="a Volta on a new engine",
    ),
    pytest.param(
        "ENG006",
        facts({"vllm": "0.21.0", "torch": "2.11.0+cu128", "transformers": "5.6.2"}, "580.95.05"),
        id="torch for another CUDA",
    ),
    pytest.param(
        "ENG006",
        facts({"vllm": "0.21.0", "torch": "2.11.0+cu128", "transformers": "5.6.2"}),
        id="torch for another CUDA, and the driver knows no better",
    ),
    pytest.param("PKG003", facts({"vllm": "0.12.0", "torch": "2.9.0", "transformers": "5.0.0"}), id="5 too early"),
    pytest.param("PKG003", facts({"vllm": "0.11.0", "torch": "2.8.0", "transformers": "5.0.0"}), id="a known pair"),
    pytest.param("PKG003", facts({"vllm": "0.17.1", "torch": "2.8.0", "transformers": "4.57.3"}), id="torch moved"),
    pytest.param("PKG003", facts({"sglang": "0.5.9", "torch": "2.9.1", "transformers": "5.0.0rc0"}), id="SGLang"),
    pytest.param(
        "PKG004",
        facts({"vllm": "0.12.0", "torch": "2.9.0", "transformers": "4.57.3", "triton": "3.4.0"}),
        id="another triton",
    ),
    pytest.param("TOR003", facts({"vllm": "0.12.0", "torch": "2.9.0+cpu", "transformers": "4.57.3"}), id="for the CPU"),
    pytest.param(
        "TOR003",
        facts({"vllm": "0.12.0", "torch": "2.10.0+cpu", "transformers": "4.57.3"}),
        id="for the CPU, and not the one that the engine pins",
    ),
    pytest.param(
        "TOR003",
        facts({"vllm": "0.27.0", "torch": "2.13.0+cpu", "transformers": "5.12.0"}),
        id="for the CPU, where only an older engine can run",
    ),
    pytest.param(
        "TOR004",
        facts({"vllm": "0.12.0", "torch": "2.9.0", "transformers": "4.57.3", "torchvision": "0.23.0"}),
        id="another torchvision",
    ),
    pytest.param(
        "PKG003",
        facts({"vllm": "0.17.1", "torch": "2.8.0", "transformers": "4.57.3", "torchvision": "0.25.0"}),
        id="a torchvision for the torch that is gone, which is one red",
    ),
]


@pytest.mark.parametrize(("code", "before"), FAULTS)
@pytest.mark.parametrize("has_pip", [True, False], ids=["pip", "uv"])
def test_the_first_fix_leaves_no_red(code: str, before: Facts, has_pip: bool) -> None:
    if not has_pip:
        assert before.packages.value is not None
        rows = tuple(one for one in before.packages.value.distributions if one.name != "pip")
        before = dataclasses.replace(before, packages=known(Packages(distributions=rows)))
    engine: Any = "sglang" if "sglang" in installed(before) else "vllm"
    intent = Intent(model="zai-org/AutoGLM-Phone-9B", profile="autoglm-phone-9b", engine=engine)
    found = reds(before, intent)
    assert code in [one.code for one in found]
    first = found[0].fixes[0]
    assert first.effort == "install", "packages come before the driver"
    after = apply(first, before)
    assert [(one.code, one.text) for one in reds(after, intent)] == [], first.commands


def site(one: Facts, engine: Any = "vllm", model: str = "zai-org/AutoGLM-Phone-9B") -> Site:
    intent = Intent(model=model, profile="autoglm-phone-9b" if "AutoGLM" in model else "", engine=engine)
    values = one.driver.value, one.gpus.value, one.host.value, one.interpreter.value, one.packages.value
    return Site(MATRIX, intent, *values)


RANKED = [
    pytest.param(
        facts({"vllm": "0.12.0", "torch": "2.9.0", "transformers": "4.51.3"}),
        ["install transformers==4.57.3", "install vllm==0.19.1 transformers==5.5.4"],
        id="one package, then the set",
    ),
    pytest.param(
        facts({"vllm": "0.17.1", "torch": "2.8.0", "transformers": "5.0.0"}),
        ["install vllm==0.17.1 transformers==4.57.6", "install vllm==0.19.1 transformers==5.5.4"],
        id="torch and library beside the engine that stays",
    ),
    pytest.param(
        facts({}, "450.80.02"),
        ["check --engine transformers", "sudo reboot"],
        id="nothing runs without a newer driver, which comes last",
    ),
    pytest.param(
        facts({}, "580.95.05", "6.1"),
        ["check --engine transformers", "check --device cpu"],
        id="a GPU for no release, with whatever driver",
    ),
    pytest.param(
        facts({}, python="3.8.10"),
        ["uv pip install --python serve/bin/python vllm==0.19.1 transformers==5.5.4"],
        id="another Python before another engine",
    ),
]


@pytest.mark.parametrize(("one", "ends"), RANKED)
def test_the_least_invasive_comes_first(one: Facts, ends: list[str]) -> None:
    fixes = install_fixes(site(one))
    lines = [fix.commands[-1] for fix in fixes]
    assert all(line.endswith(end) for line, end in zip(lines, ends, strict=False)), lines
    ranks = [fix.reboot for fix in fixes if fix.effort != "hardware"]
    assert ranks == sorted(ranks)
    assert all(fix.needs_root for fix in fixes if fix.reboot)


def test_a_healthy_set_has_nothing_smaller_to_change() -> None:
    healthy = facts({"vllm": "0.19.1", "torch": "2.10.0", "transformers": "5.5.4"})
    first, newer = install_fixes(site(healthy))
    assert first.commands[0].endswith("vllm==0.19.1 transformers==5.5.4")
    assert "+cu129-cp38-abi3-" in newer.commands[0]


OWN_PAGE = [
    *(one for one in FAULTS if one.id not in ("a Volta on a new engine",)),
    pytest.param(
        "ENG006",
        facts({"vllm": "0.31.0+cu129", "torch": "2.13.0", "transformers": "5.17.0"}, "535.1"),
        id="torch of the default index came to such a build",
    ),
    pytest.param("ENG001", facts({}, "575.51.03", "12.0", "3.12.1"), id="a Blackwell with a driver for its PTX"),
]


@pytest.mark.parametrize(("code", "before"), OWN_PAGE)
def test_the_build_from_the_project_s_page_leaves_no_red(code: str, before: Facts) -> None:
    """ENG006, DRV003, DRV005, DRV006 and PKG006 judge what is offered as resolve does, and never is it the first."""
    engine: Any = "sglang" if "sglang" in installed(before) else "vllm"
    intent = Intent(model="zai-org/AutoGLM-Phone-9B", profile="autoglm-phone-9b", engine=engine)
    fixes = install_fixes(site(before, engine))
    offered = [one for one in fixes if any("releases/download" in line for line in one.commands)]
    if engine == "sglang" or not older(before.driver.value.version, "580.65.06"):  # type: ignore[union-attr, arg-type]
        assert not offered
        return
    python = before.interpreter.value.version  # type: ignore[union-attr]
    if python.startswith("3.8"):
        assert not offered
        return
    (one,) = offered
    assert fixes.index(one) > 0
    after = apply(one, before)
    assert "+cu129" in installed(after)["vllm"]
    assert [(found.code, found.text) for found in reds(after, intent)] == [], one.commands


def test_a_build_that_is_there_gets_the_torch_of_its_cuda() -> None:
    one = facts({"vllm": "0.31.0+cu129", "torch": "2.13.0", "transformers": "5.17.0"}, "535.1")
    first, *_ = install_fixes(site(one))
    assert "--extra-index-url https://download.pytorch.org/whl/cu129 torch==2.13.0+cu129" in first.commands[0]
    intent = Intent(model="zai-org/AutoGLM-Phone-9B", profile="autoglm-phone-9b", engine="vllm")
    assert reds(apply(first, one), intent) == []


def test_sglang_with_torch_2_9_gets_a_cudnn_that_reads_pictures() -> None:
    first, *_ = install_fixes(site(facts({}), "sglang"))
    assert first.commands[-1].endswith("install --no-deps 'nvidia-cudnn-cu12>=9.15'")
    text = site(facts({}), "sglang", model="Qwen/Qwen2.5-7B-Instruct")
    first, *_ = install_fixes(text)
    assert len(first.commands) == 1, "text needs none"


def test_transformers_alone_keeps_the_torch_that_is_there() -> None:
    old = facts({"transformers": "4.51.3", "torch": "2.6.0"})
    first, *_ = install_fixes(site(old, "transformers"))
    assert "torch==" not in first.commands[0]
    assert "transformers==5." in first.commands[0]


def test_a_volta_without_a_server_gets_the_other_index() -> None:
    first, *_ = install_fixes(site(facts({}, "580.95.05", "7.0"), "transformers"))
    assert "--extra-index-url https://download.pytorch.org/whl/cu126 " in first.commands[0]
    assert "+cu126 torchvision==" in first.commands[0]


def test_an_engine_that_is_no_package_gets_nothing() -> None:
    assert install_fixes(site(facts({}), "llamacpp")) == ()


def test_a_model_of_tomorrow_gets_the_newest_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    files = ModelFiles(path="/m", config={"model_type": "glm4v"})
    ahead = dataclasses.replace(MATRIX.models["glm4v"], transformers="99.0")
    monkeypatch.setitem(vars(MATRIX), "models", {**MATRIX.models, "glm4v": ahead})
    there = Packages(distributions=(Distribution(name="transformers", version="5.0.0"),))
    here = Site(MATRIX, Intent(model="/m", engine="transformers"), packages=there, files=files)
    (only,) = install_fixes(here)
    assert only.commands == ("python3 -m pip install --upgrade transformers",)
