"""Install lines for a Python that takes no packages (PEP 668)."""

from __future__ import annotations

import dataclasses

import pytest

from autoglm_doctor.domain.managed import into_environment
from autoglm_doctor.facts import Distribution, Interpreter, Packages
from autoglm_doctor.finding import Fix, Text
from autoglm_doctor.wording import render

SYSTEM = Interpreter(executable="/usr/bin/python3", version="3.12.3", externally_managed=True)
VLLM = Packages(distributions=(Distribution(name="vllm", version="0.11.0"), Distribution(name="pip", version="24.0")))
PIP, UV = "/usr/bin/python3 -m pip", "uv pip"
MADE, MADE_BY_UV = "/usr/bin/python3 -m venv serve", "uv venv --python /usr/bin/python3 serve"
INSIDE, INSIDE_UV = "serve/bin/python -m pip install", "uv pip install --python serve/bin/python"
WHEEL = "https://example.com/v0.31.0/vllm-0.31.0+cu129-cp38-abi3-manylinux_2_28_x86_64.whl"

#: What a fix says, and what is to be typed instead.
REWRITTEN = [
    pytest.param((f"{PIP} install 'scipy>=1.13'",), (MADE, f"{INSIDE} 'scipy>=1.13' vllm==0.11.0"), id="one package"),
    pytest.param((f"{PIP} install vllm==0.12.0",), (MADE, f"{INSIDE} vllm==0.12.0"), id="the engine itself"),
    pytest.param((f"{PIP} install --upgrade vllm",), (MADE, f"{INSIDE} vllm"), id="a newer engine"),
    pytest.param((f"{PIP} install {WHEEL}",), (MADE, f"{INSIDE} {WHEEL}"), id="the engine from its own page"),
    pytest.param(
        ("uv pip install --python /usr/bin/python3 --torch-backend cu128 torch==2.9.0+cu128",),
        (MADE_BY_UV, f"{INSIDE_UV} --torch-backend cu128 torch==2.9.0+cu128 vllm==0.11.0"),
        id="by uv",
    ),
    pytest.param(
        (f"{PIP} uninstall -y torch", f"{PIP} install --extra-index-url https://example.com/whl/cu126 torch==2.9.0"),
        (MADE, f"{INSIDE} --extra-index-url https://example.com/whl/cu126 torch==2.9.0 vllm==0.11.0"),
        id="nothing to remove",
    ),
    pytest.param(
        ("uv pip uninstall --python /usr/bin/python3 torch", "uv pip install --python /usr/bin/python3 torch==2.8.0"),
        (MADE_BY_UV, f"{INSIDE_UV} torch==2.8.0 vllm==0.11.0"),
        id="nothing to remove by uv",
    ),
    pytest.param(
        (f"{PIP} install --force-reinstall --no-deps torch==2.8.0",),
        (MADE, f"{INSIDE} torch==2.8.0 vllm==0.11.0"),
        id="nothing to replace, and what it needs is not there either",
    ),
    pytest.param(
        (f"{PIP} install vllm==0.12.0", f"{PIP} install --no-deps 'nvidia-cudnn-cu12>=9.15'"),
        (MADE, f"{INSIDE} vllm==0.12.0", f"{INSIDE} --no-deps 'nvidia-cudnn-cu12>=9.15'"),
        id="a second line for the same environment",
    ),
    pytest.param(
        ("python3 -m pip check", "python3 -m pip install 'transformers<5'"),
        ("python3 -m pip check", MADE, f"{INSIDE} 'transformers<5' vllm==0.11.0"),
        id="a line of the table of error texts",
    ),
]


@pytest.mark.parametrize(("said", "wanted"), REWRITTEN)
def test_an_environment_of_its_own(said: tuple[str, ...], wanted: tuple[str, ...]) -> None:
    fix = into_environment(Fix(text=Text("do it"), commands=said), "vllm", SYSTEM, VLLM)
    assert fix.commands == wanted
    assert render(fix.text).startswith("do it: in an environment of its own, since the Python /usr/bin/python3")
    assert "--break-system-packages" not in " ".join(fix.commands)


#: Interpreter, lines: nothing is to be changed.
KEPT = [
    pytest.param(dataclasses.replace(SYSTEM, externally_managed=False), (f"{PIP} install torch",), id="takes packages"),
    pytest.param(dataclasses.replace(SYSTEM, externally_managed=None), (f"{PIP} install torch",), id="not read"),
    pytest.param(None, (f"{PIP} install torch",), id="no interpreter"),
    pytest.param(SYSTEM, ("vllm serve m --max-model-len 4096",), id="a flag"),
    pytest.param(SYSTEM, ("sudo apt-get install -y gcc",), id="a package of the system"),
    pytest.param(SYSTEM, ("uv venv --python 3.12 serve", f"{INSIDE_UV} vllm"), id="a new environment already"),
    pytest.param(SYSTEM, ("/srv/env/bin/python -m pip install torch",), id="another Python"),
    pytest.param(SYSTEM, ("uv pip install --python /srv/env/bin/python torch",), id="another Python by uv"),
    pytest.param(SYSTEM, ("cd /src/torch && python3 -m pip install -v -e .",), id="a build from source"),
    pytest.param(SYSTEM, ("python3 -m pip check",), id="only a look"),
    pytest.param(SYSTEM, ("echo 'unfinished",), id="no line that a shell takes"),
    pytest.param(SYSTEM, (), id="no line"),
]


@pytest.mark.parametrize(("python", "lines"), KEPT)
def test_nothing_is_changed(python: Interpreter | None, lines: tuple[str, ...]) -> None:
    fix = Fix(text=Text("do it"), commands=lines)
    assert into_environment(fix, "vllm", python, VLLM) == fix


@pytest.mark.parametrize(
    ("engine", "packages", "line"),
    [
        pytest.param("vllm", Packages(), f"{INSIDE} torch vllm", id="no engine yet"),
        pytest.param("sglang", None, f"{INSIDE} torch sglang", id="packages that are not known"),
        pytest.param("transformers", Packages(), f"{INSIDE} torch transformers", id="without a server"),
        pytest.param("llamacpp", VLLM, f"{INSIDE} torch", id="an engine that is no package"),
    ],
)
def test_the_engine_comes_along(engine: str, packages: Packages | None, line: str) -> None:
    fix = Fix(text=Text("do it"), commands=(f"{PIP} install torch",))
    assert into_environment(fix, engine, SYSTEM, packages).commands[-1] == line
