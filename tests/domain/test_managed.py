"""Install lines for a Python that takes no packages (PEP 668)."""

from __future__ import annotations

import dataclasses

import pytest

from autoglm_doctor.domain.managed import into_environment
from autoglm_doctor.facts import Interpreter
from autoglm_doctor.finding import Fix, Text
from autoglm_doctor.wording import render

SYSTEM = Interpreter(executable="/usr/bin/python3", version="3.12.3", externally_managed=True)
PIP, UV = "/usr/bin/python3 -m pip", "uv pip"
MADE, MADE_BY_UV = "/usr/bin/python3 -m venv serve", "uv venv --python /usr/bin/python3 serve"
INSIDE, INSIDE_UV = "serve/bin/python -m pip install", "uv pip install --python serve/bin/python"
WHEEL = "https://example.com/v0.31.0/vllm-0.31.0+cu129-cp38-abi3-manylinux_2_28_x86_64.whl"

#: What a fix says that brings the engine, and what is to be typed instead.
REWRITTEN = [
    pytest.param((f"{PIP} install vllm==0.12.0",), (MADE, f"{INSIDE} vllm==0.12.0"), id="the engine itself"),
    pytest.param((f"{PIP} install --upgrade vllm",), (MADE, f"{INSIDE} vllm"), id="a newer engine"),
    pytest.param((f"{PIP} install {WHEEL}",), (MADE, f"{INSIDE} {WHEEL}"), id="the engine from its own page"),
    pytest.param(
        ("uv pip install --python /usr/bin/python3 --torch-backend cu128 vllm==0.11.0 torch==2.9.0+cu128",),
        (MADE_BY_UV, f"{INSIDE_UV} --torch-backend cu128 vllm==0.11.0 torch==2.9.0+cu128"),
        id="by uv",
    ),
    pytest.param(
        (f"{PIP} uninstall -y torch", f"{PIP} install vllm==0.11.0 torch==2.9.0"),
        (MADE, f"{INSIDE} vllm==0.11.0 torch==2.9.0"),
        id="nothing to remove",
    ),
    pytest.param(
        (f"{PIP} install --force-reinstall --no-deps vllm==0.11.0",),
        (MADE, f"{INSIDE} vllm==0.11.0"),
        id="nothing to replace, and what it needs is not there either",
    ),
    pytest.param(
        (f"{PIP} install vllm==0.12.0", f"{PIP} install --no-deps 'nvidia-cudnn-cu12>=9.15'"),
        (MADE, f"{INSIDE} vllm==0.12.0", f"{INSIDE} --no-deps 'nvidia-cudnn-cu12>=9.15'"),
        id="a second line for the same environment",
    ),
    pytest.param(
        ("python3 -m pip check", "python3 -m pip install vllm==0.12.0 'transformers<5'"),
        ("python3 -m pip check", MADE, f"{INSIDE} vllm==0.12.0 'transformers<5'"),
        id="a line of the table of error texts",
    ),
]


@pytest.mark.parametrize(("said", "wanted"), REWRITTEN)
def test_an_environment_of_its_own(said: tuple[str, ...], wanted: tuple[str, ...]) -> None:
    fix = into_environment(Fix(text=Text("do it"), commands=said), "vllm", SYSTEM)
    assert fix.commands == wanted
    assert render(fix.text).startswith("do it: in an environment of its own, since the Python /usr/bin/python3")
    assert "--break-system-packages" not in " ".join(fix.commands)


#: What mends packages that are there: in an empty environment it would do something else.
REMARKED = [
    pytest.param("vllm", f"{PIP} install 'scipy>=1.13'", id="one package"),
    pytest.param("vllm", f"{PIP} uninstall -y flashinfer-cubin", id="one to remove"),
    pytest.param("vllm", f"{PIP} install --no-build-isolation vllm flash-attn==2.7.4.post1", id="built against torch"),
    pytest.param("transformers", f"{PIP} install transformers==4.57.1", id="transformers, which brings no torch"),
    pytest.param("llamacpp", f"{PIP} install torch", id="an engine that is no package"),
]


@pytest.mark.parametrize(("engine", "line"), REMARKED)
def test_what_to_do_instead(engine: str, line: str) -> None:
    fix = into_environment(Fix(text=Text("do it"), commands=(line,)), engine, SYSTEM)
    assert fix.commands == (line,)
    assert "belongs to the system and refuses this: make an environment of its own" in render(fix.text)


def test_transformers_with_its_torch() -> None:
    fix = Fix(text=Text("do it"), commands=(f"{PIP} install transformers torch",))
    assert into_environment(fix, "transformers", SYSTEM).commands == (MADE, f"{INSIDE} transformers torch")


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
    pytest.param(SYSTEM, (f'{PIP} install "vllm==$(cat version)"',), id="a line that the shell completes"),
    pytest.param(SYSTEM, (), id="no line"),
]


@pytest.mark.parametrize(("python", "lines"), KEPT)
def test_nothing_is_changed(python: Interpreter | None, lines: tuple[str, ...]) -> None:
    fix = Fix(text=Text("do it"), commands=lines)
    assert into_environment(fix, "vllm", python) == fix
