"""The command `resolve`: the newest set that runs, on a machine that is described, saved, or this one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autoglm_doctor.errors import DoctorError
from autoglm_doctor.resolution import resolve
from autoglm_doctor.resolution.request import Request

MACHINES = Path(__file__).parent / "machines"


def answer(capsys: pytest.CaptureFixture[str], **options: Any) -> tuple[int, dict[str, Any]]:
    code = resolve(Request(format="json", **options))
    return code, json.loads(capsys.readouterr().out)


def described(driver: str, gpu: str, python: str = "3.12", glibc: str = "2.39", **rest: Any) -> dict[str, Any]:
    return {"driver": driver, "gpu": gpu, "python_version": python, "glibc": glibc, **rest}


@pytest.mark.parametrize(
    ("options", "cuda", "rules"),
    [
        pytest.param(described("570.26", "RTX 4090"), "12", ["driver"], id="a driver of CUDA 12"),
        pytest.param(described("570.26", "RTX 5090"), "12", ["driver", "ptx"], id="PTX that it cannot compile"),
        pytest.param(described("580.95.05", "V100"), "12", ["capability"], id="a GPU that was dropped"),
        pytest.param(described("580.95.05", "H100"), "13", [], id="nothing in the way"),
        pytest.param(
            described("580.95.05", "H100", glibc="2.31", engine="sglang"), "12", ["glibc"], id="an old system"
        ),
    ],
)
def test_a_described_machine(
    capsys: pytest.CaptureFixture[str], options: dict[str, Any], cuda: str, rules: list[str]
) -> None:
    code, data = answer(capsys, **options)
    assert code == 0
    assert data["answer"]["cuda"].split(".")[0] == cuda
    assert [one["rule"] for one in data["refused"]] == rules
    version, library = data["answer"]["version"], data["answer"]["transformers"]
    engine = options.get("engine", "vllm")
    assert data["answer"]["uv"] == f"uv pip install {engine}=={version} transformers=={library}"


def test_nothing_runs_there(capsys: pytest.CaptureFixture[str]) -> None:
    code, data = answer(capsys, **described("580.95.05", "V100", engine="sglang"))
    assert code == 1
    assert data["answer"] is None
    assert {one["rule"] for one in data["refused"]} == {"capability"}


@pytest.mark.parametrize(
    ("driver", "model", "version"),
    [
        pytest.param("550.54.14", "zai-org/AutoGLM-Phone-9B", "0.10.2", id="a driver that compiles no such PTX"),
        pytest.param("570.124.06", "zai-org/AutoGLM-Phone-9B", "0.11.2", id="one that does"),
        pytest.param("550.54.14", "Qwen/Qwen2.5-7B-Instruct", "0.11.2", id="text alone"),
    ],
)
def test_pictures_on_hopper(capsys: pytest.CaptureFixture[str], driver: str, model: str, version: str) -> None:
    """vLLM 0.11 leaves the pictures' attention to the driver's compiler; newer wheels need a newer glibc."""
    _, data = answer(capsys, **described(driver, "H100", glibc="2.28", model=model))
    assert data["answer"]["version"] == version


def test_without_a_server_from_another_index(capsys: pytest.CaptureFixture[str]) -> None:
    code, data = answer(capsys, **described("580.95.05", "V100", engine="transformers"))
    assert code == 0
    assert data["answer"]["index"] == "https://download.pytorch.org/whl/cu126"
    assert "--extra-index-url" in data["answer"]["pip"]
    assert "--torch-backend cu126" in data["answer"]["uv"]
    assert data["answer"]["cuda"] == "12.6"
    assert resolve(Request(**described("580.95.05", "V100", engine="transformers"))) == 0
    assert "torch from https://download.pytorch.org/whl/cu126" in capsys.readouterr().out.replace("\n", " ")


def test_a_build_from_the_project_s_page_comes_second(capsys: pytest.CaptureFixture[str]) -> None:
    a100 = described("535.183.01", "A100-80GB")
    code, data = answer(capsys, **a100)
    assert (code, data["answer"]["version"], data["answer"]["wheel"]) == (0, "0.19.1", None)
    build = data["own_page"]
    assert build["version"].endswith("+cu129")
    assert build["cuda"] == "12.9"
    assert build["wheel"] in build["pip"]
    assert build["index"].endswith("/cu129")
    assert resolve(Request(**a100)) == 0
    said = capsys.readouterr().out
    places = [
        said.index(one) for one in ("vllm==0.19.1", "Why nothing newer", "own release page", "With a newer driver")
    ]
    assert places == sorted(places)
    assert answer(capsys, **described("580.95.05", "H100"))[1]["own_page"] is None


def test_where_only_such_a_build_knows_the_model(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """vLLM serves this one from 0.20 on."""
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["DeepseekV4ForCausalLM"]}))
    code, data = answer(capsys, **described("535.183.01", "A100-80GB", model=str(tmp_path)))
    assert code == 0
    assert data["answer"]["wheel"]
    assert data["own_page"] is None
    assert {one["rule"] for one in data["refused"]} >= {"driver", "model"}
    assert resolve(Request(**described("535.183.01", "A100-80GB", model=str(tmp_path)))) == 0
    said = capsys.readouterr().out
    assert "Why nothing on the default index" in said
    assert "vllm from its project's own release page" in said.replace("\n", " ")


def test_sglang_gets_a_second_line_for_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    a100 = described("535.183.01", "A100-80GB", engine="sglang")
    _, data = answer(capsys, **a100)
    assert data["answer"]["then"] == [
        "python3 -m pip install --no-deps 'nvidia-cudnn-cu12>=9.15'",
        "uv pip install --no-deps 'nvidia-cudnn-cu12>=9.15'",
    ]
    assert resolve(Request(**a100)) == 0
    assert "and then, since this torch" in capsys.readouterr().out


def test_a_newer_driver_is_the_last_word(capsys: pytest.CaptureFixture[str]) -> None:
    _, data = answer(capsys, **described("570.26", "RTX 4090"))
    assert data["with_newer_driver"]["driver"] == "580.65.06"
    assert data["with_newer_driver"]["reboot"]
    assert resolve(Request(**described("570.26", "RTX 4090"))) == 0
    said = capsys.readouterr().out
    assert said.index("Why nothing newer") < said.index("With a newer driver  from 580.65.06 on: vllm 0.33.0")
    _, newest = answer(capsys, **described("615.10", "H100"))
    assert newest["with_newer_driver"] is None


def test_what_is_not_known_is_no_plain_yes(capsys: pytest.CaptureFixture[str]) -> None:
    code, data = answer(capsys, driver="580.95.05")
    assert code == 4
    assert data["not_known"] == ["the GPU's compute capability", "the version of Python", "the version of glibc"]


def test_a_saved_machine(capsys: pytest.CaptureFixture[str]) -> None:
    code, data = answer(capsys, facts=MACHINES / "535-cuda13-wheel.json")
    assert code == 0
    assert data["machine"]["driver"].startswith("535")
    assert data["answer"]["cuda"].startswith("12")
    assert data["model"]["model_type"] == "qwen2"  # of the deployment that the reading was made for


@pytest.mark.parametrize("managed", [True, False], ids=["the system's own Python", "an environment"])
def test_a_python_that_takes_no_packages(capsys: pytest.CaptureFixture[str], tmp_path: Path, managed: bool) -> None:
    saved = json.loads((MACHINES / "535-cuda128-wheel.json").read_text())
    saved["facts"]["interpreter"]["value"]["externally_managed"] = managed
    (tmp_path / "node.json").write_text(json.dumps(saved))
    _, data = answer(capsys, facts=tmp_path / "node.json")
    assert data["first"] == ("/srv/env/bin/python -m venv serve" if managed else None)
    assert data["answer"]["pip"].startswith("serve/bin/python -m pip install" if managed else "python3 -m pip install")
    assert ("--python serve/bin/python" in data["answer"]["uv"]) == managed


@pytest.mark.parametrize(
    ("stated", "engine", "kind"),
    [
        pytest.param({"engine": "sglang"}, "sglang", "qwen2", id="another engine for it"),
        pytest.param({"profile": "autoglm-phone-9b"}, "vllm", "glm4v", id="another deployment"),
        pytest.param({"model": "openai/gpt-oss-20b"}, "vllm", "gpt_oss", id="another model"),
    ],
)
def test_what_is_stated_counts_more_than_what_was_saved(
    capsys: pytest.CaptureFixture[str], stated: dict[str, Any], engine: str, kind: str
) -> None:
    _, data = answer(capsys, facts=MACHINES / "535-cuda128-wheel.json", **stated)
    assert (data["engine"], data["model"]["model_type"]) == (engine, kind)


def test_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert resolve(Request(**described("570.26", "RTX 5090"))) == 0
    said = capsys.readouterr().out
    assert "Why nothing newer" in said
    assert "  uv pip install vllm==" in said


@pytest.mark.parametrize(
    ("options", "word"),
    [
        pytest.param({"engine": "llamacpp"}, "--engine", id="no such engine"),
        pytest.param({"driver": "new"}, "--driver", id="no driver"),
        pytest.param({"gpu": "RTX 9999"}, "no GPU", id="no such GPU"),
        pytest.param({"python_version": "2"}, "--python-version", id="no Python"),
        pytest.param({"driver": "570.26", "facts": Path("x")}, "--facts", id="two machines"),
        pytest.param({"format": "xml"}, "--format", id="no format"),
    ],
)
def test_what_cannot_be_meant(options: dict[str, Any], word: str) -> None:
    with pytest.raises(DoctorError, match=word):
        resolve(Request(**options))


def test_the_command_on_this_machine() -> None:
    """It reads the machine, in a process of its own, and says what it could not read."""
    command = [sys.executable, "-m", "autoglm_doctor", "resolve", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    data = json.loads(done.stdout)
    assert done.returncode in (0, 4), done.stderr
    assert data["machine"]["python"] == f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert (done.returncode == 4) is bool(data["not_known"])
