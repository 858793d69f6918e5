"""PKG019: libcuda.so for the linker; and PKG017 on a folder that is not there."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.checks.cuda_home import cuda_home_is_a_folder
from autoglm_doctor.checks.libcuda_link import libcuda_for_linker
from autoglm_doctor.facts import Distribution, Environment, Packages, Toolchain
from autoglm_doctor.finding import Finding
from autoglm_doctor.intent import Intent
from autoglm_doctor.testing import judge
from autoglm_doctor.wording import render
from tests.restraint.judged import judged

LINK, HOME = "LIBCUDA_DEV_LINK_MISSING", "CUDA_HOME_INVALID"
GONE = {"libcuda_so_link": "missing"}


@pytest.mark.parametrize(
    ("facts", "causes"),
    [
        pytest.param({**GONE, "engine": "vllm 0.6.5"}, [(LINK, "fail")], id="triton of the engine's torch"),
        pytest.param({**GONE, "packages": {"sglang": "0.5.3"}}, [(LINK, "fail")], id="SGLang with triton 3.4"),
        pytest.param({**GONE, "packages": {"torch": "2.9.1", "vllm": "0.14.0"}}, [(LINK, "fail")], id="triton 3.5.1"),
        pytest.param({**GONE, "packages": {"triton": "3.2.0"}}, [(LINK, "warn")], id="no engine"),
        pytest.param(GONE, [(LINK, "warn")], id="nothing else is told"),
        pytest.param({"libcuda": "libcuda.so.1 only, no libcuda.so"}, [(LINK, "warn")], id="in words"),
        pytest.param({"ldconfig": ["libcuda.so.1"], "libcuda_so": False}, [(LINK, "warn")], id="yes or no"),
        pytest.param({**GONE, "packages": {"triton": "3.6.0", "torch": "2.10.0"}}, [], id="triton that needs none"),
        pytest.param({**GONE, "packages": {"torch": "2.10.0"}}, [], id="torch with such a triton"),
        pytest.param({"libcuda": "libcuda.so.1", "packages": {"triton": "3.2.0"}}, [], id="nothing said of the link"),
        pytest.param({"libcuda": "no libcuda.so.1", "packages": {"triton": "3.2.0"}}, [], id="the library itself"),
        pytest.param({"ldconfig": ["libcuda.so.1"], "engine": "vllm 0.6.5"}, [], id="an excerpt of a list"),
        pytest.param({"libcuda_so_link": "present", "engine": "vllm 0.6.5"}, [], id="it is there"),
        pytest.param(
            {**GONE, "env": {"LIBRARY_PATH": "/usr/local/cuda/lib64/stubs"}, "engine": "vllm 0.6.5"}, [], id="stubs"
        ),
        pytest.param({**GONE, "engine": "vllm 0.6.5 (CPU build)"}, [], id="no GPU"),
        pytest.param({"env": {"CUDA_HOME": "/usr/local/cuda-12.4 (not there)"}}, [(HOME, "warn")], id="a remark"),
        pytest.param({"cuda_home": "/usr/local/cuda-11.8 (does not exist)"}, [(HOME, "warn")], id="a key of its own"),
        pytest.param({"cuda_home": ":/usr/local/cuda"}, [(HOME, "warn")], id="its form"),
        pytest.param({"cuda_home": "/usr/local/cuda", "cuda_home_exists": False}, [(HOME, "warn")], id="a key for it"),
        pytest.param({"env": {"CUDA_HOME": ":/usr/local/cuda"}}, [(HOME, "warn")], id="nothing else is told: form"),
        pytest.param({"cuda_home": "/usr/local/cuda"}, [], id="a folder"),
        pytest.param({"cuda_home": "/usr/local/cuda-12.4 (exists)"}, [], id="it exists"),
        pytest.param({"cuda_home": "not set"}, [], id="not set"),
        pytest.param(
            {"env": {"CUDA_HOME": "unset"}, "torch": "2.6.0+cpu", "packages": {"transformers": "4.57.1"}},
            [],
            id="unset",
        ),
        pytest.param({"cuda_home": "missing"}, [], id="missing"),
        pytest.param({"env": {"CUDA_HOME": "/usr/local/cuda (in the image)"}}, [], id="another remark"),
    ],
)
def test_as_stated(facts: dict[str, Any], causes: list[tuple[str, str]]) -> None:
    assert [(one.cause, one.status) for one in judged(facts).causes] == causes


def ask(intent: Intent | None = None, **facts: Any) -> Finding:
    tools = Toolchain(libcuda_link=False)
    (found,) = judge(libcuda_for_linker, toolchain=tools, intent=intent or Intent(model="/m"), **facts)
    return found


def packages(**versions: str) -> Packages:
    return Packages(distributions=tuple(Distribution(name=name, version=one) for name, one in versions.items()))


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        pytest.param({"packages": packages(vllm="0.10.0")}, "fail", id="an engine with triton 3.3"),
        pytest.param({"packages": packages(vllm="9.9.0")}, "pass", id="an engine newer than the table"),
        pytest.param({"packages": packages(vllm="main")}, "unknown", id="an engine without a number"),
        pytest.param({"packages": packages(vllm="0.1.0")}, "warn", id="an engine older than the table"),
        pytest.param({"packages": packages(torch="2.14.0")}, "pass", id="torch 2.14"),
        pytest.param({"packages": packages(torch="2.99.0")}, "pass", id="a torch that no table has"),
        pytest.param(
            {"packages": packages(vllm="0.10.0"), "environment": Environment(variables={"LIBRARY_PATH": "/opt/lib"})},
            "not_applicable",
            id="the linker is sent elsewhere",
        ),
    ],
)
def test_by_what_is_installed(facts: dict[str, Any], status: str) -> None:
    assert ask(**facts).status == status


def test_the_link_is_never_made_in_the_folder_of_the_shell() -> None:
    first, last = ask(packages=packages(vllm="0.10.0")).fixes[0].commands
    assert first.startswith("lib=")
    assert last.startswith('[ -n "$lib" ] && ')


@pytest.mark.parametrize("path", ["/usr/local/cuda", "/usr/local/cuda-12.8"])
def test_a_folder_that_is_not_there_is_not_offered_again(path: str) -> None:
    tools = Toolchain(cuda_home=path, cuda_home_there=False)
    environment = Environment(variables={"CUDA_HOME": f"{path}, which is not there"})
    (found,) = judge(cuda_home_is_a_folder, toolchain=tools, environment=environment, intent=Intent(model="/m"))
    assert render(found.text).startswith(f"CUDA_HOME names {path}, which is not there: ")
    assert "unset CUDA_HOME" in found.fixes[0].commands
    assert not any(one.startswith("export") for one in found.fixes[0].commands)
