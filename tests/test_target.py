"""Choosing the interpreter: scripts are read, never run; uv's rules are held against uv itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from autoglm_doctor import uvrun
from autoglm_doctor.target import absolute_pythonpath, choose_interpreter

UV = Path(sys.executable).parent / "uv"


def executable(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH of our own with a python3, and a doctor whose environment holds no engine."""
    monkeypatch.setattr("autoglm_doctor.target._own_environment_holds", lambda _name: False)
    executable(tmp_path / "bin" / "python3")
    return tmp_path / "bin"


def environ(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path), **more}


SCRIPTS = {
    "absolute shebang": "#!{venv}/bin/python\n",
    "shebang with an option": "#!{venv}/bin/python -E\n",
    "pip's trick for a long path": "#!/bin/sh\n'''exec' {venv}/bin/python \"$0\" \"$@\"\n' '''\n",
    "the trick with quotes": "#!/bin/sh\n'''exec' \"{venv}/bin/python\" \"$0\" \"$@\"\n' '''\n",
    "relocatable script of uv": '#!/bin/sh\n\'\'\'exec\' "$(dirname -- "$(realpath -- "$0")")"/\'python\' "$0" "$@"\n',
    "windows line ends": "#!{venv}/bin/python\r\n",
}


@pytest.mark.parametrize("text", SCRIPTS.values(), ids=SCRIPTS.keys())
def test_a_console_script_names_its_interpreter(text: str, bin_folder: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    python = executable(venv / "bin" / "python")
    executable(venv / "bin" / "vllm", text.replace("{venv}", str(venv)))
    (bin_folder / "vllm").symlink_to(venv / "bin" / "vllm")

    choice = choose_interpreter(None, ["vllm", "serve", "m"], environ(tmp_path), tmp_path)

    assert choice.executable is not None
    assert os.path.samefile(choice.executable, python)
    assert "vllm" in choice.chosen_by


COMMANDS = {
    "env in the shebang": ("#!/usr/bin/env python3\n", ["vllm"], "bin/python3"),
    "env -S in the shebang": ("#!/usr/bin/env -S python3 -u\n", ["vllm"], "bin/python3"),
    "a shim of pyenv": ('#!/usr/bin/env bash\nexec "/x/pyenv" exec "$program" "$@"\n', ["vllm"], "bin/python3"),
    "an assignment in front": ("#!{other}\n", ["CUDA_VISIBLE_DEVICES=0", "vllm"], "other/bin/python"),
    "an assignment of PATH": ("#!/bin/false\n", ["PATH={tmp}/other/bin", "python"], "other/bin/python"),
    "env with options": ("#!{other}\n", ["env", "-u", "X", "A=1", "vllm"], "other/bin/python"),
    "env -i": ("#!{other}\n", ["env", "-i", "vllm"], "other/bin/python"),
    "nohup": ("#!{other}\n", ["nohup", "vllm"], "other/bin/python"),
    "python by a relative path": ("", ["other/bin/python", "-m", "vllm"], "other/bin/python"),
    "python3 on PATH": ("", ["python3", "-m", "vllm.entrypoints.openai.api_server"], "bin/python3"),
    "conda run with a prefix": ("#!/bin/false\n", ["conda", "run", "-p", "other", "python", "x"], "other/bin/python"),
    "conda run with a name": ("#!/bin/false\n", ["conda", "run", "-n", "e", "python"], ".conda/envs/e/bin/python"),
}


@pytest.mark.parametrize(("text", "command", "wanted"), COMMANDS.values(), ids=COMMANDS.keys())
def test_the_command_decides(text: str, command: list[str], wanted: str, bin_folder: Path, tmp_path: Path) -> None:
    other = executable(tmp_path / "other" / "bin" / "python")
    executable(tmp_path / ".conda" / "envs" / "e" / "bin" / "python")
    executable(bin_folder / "conda")
    executable(bin_folder / "vllm", text.replace("{other}", str(other)))
    words = [word.replace("{tmp}", str(tmp_path)) for word in command]

    choice = choose_interpreter(None, words, environ(tmp_path), tmp_path)

    assert choice.executable == str(tmp_path / wanted), choice
    assert choice.why_not == ""


FALLS_THROUGH = {
    "not on PATH": (["vllm", "serve"], "the command's program vllm is not on PATH"),
    "no such file": (["./nowhere/vllm"], "./nowhere/vllm does not exist"),
    "no Python script": (["docker", "run", "vllm/vllm-openai"], "is no Python script"),
    "an interpreter that is gone": (["stale"], "names /nowhere/bin/python, which does not exist"),
    "uvx": (["uv", "tool", "run", "vllm"], "makes an environment of its own"),
    "only assignments": (["A=1"], "holds no program"),
}


@pytest.mark.parametrize(("command", "says"), FALLS_THROUGH.values(), ids=FALLS_THROUGH.keys())
def test_a_command_that_cannot_be_used_is_said_and_the_order_goes_on(
    command: list[str], says: str, bin_folder: Path, tmp_path: Path
) -> None:
    executable(bin_folder / "docker", "#!/bin/bash\n")
    executable(bin_folder / "uv")
    executable(bin_folder / "stale", "#!/nowhere/bin/python\n")
    conda = executable(tmp_path / "conda" / "bin" / "python")

    choice = choose_interpreter(None, command, environ(tmp_path, CONDA_PREFIX=str(tmp_path / "conda")), tmp_path)

    assert says in choice.why_not
    assert (choice.executable, choice.chosen_by) == (str(conda), "$CONDA_PREFIX")


MISSING = {
    "not on PATH": (["A=1", "nohup", "vllm", "serve"], None, "vllm"),
    "no such file": (["./nowhere/vllm"], None, "./nowhere/vllm"),
    "an interpreter that is gone": (["stale"], None, "/nowhere/bin/python"),
    "uv itself": (["uv", "run", "vllm"], None, "uv"),
    "not inside conda's environment": (["conda", "run", "-p", "v", "vllm"], None, "vllm"),
    "not beside --python either": (["vllm", "serve"], "v", "vllm"),
    "beside --python": (["sglang", "serve"], "v", ""),
    "no Python script": (["docker", "run"], None, ""),
    "found": (["python3", "-m", "vllm"], None, ""),
    "no command": ([], None, ""),
}


@pytest.mark.parametrize(("command", "python", "missing"), MISSING.values(), ids=MISSING.keys())
def test_a_program_that_is_not_there_is_named(
    command: list[str], python: str | None, missing: str, bin_folder: Path, tmp_path: Path
) -> None:
    for name in ("docker", "conda"):
        executable(bin_folder / name, "#!/bin/bash\n")
    executable(bin_folder / "stale", "#!/nowhere/bin/python\n")
    inside = executable(tmp_path / "v" / "bin" / "python")
    executable(tmp_path / "v" / "bin" / "sglang", f"#!{inside}\n")

    choice = choose_interpreter(python, command, environ(tmp_path), tmp_path)

    assert choice.missing_program == missing
    assert choice.executable is not None


def test_the_order_without_a_command(bin_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    virtual, conda = (executable(tmp_path / name / "bin" / "python") for name in ("v", "c"))
    both = environ(tmp_path, VIRTUAL_ENV=str(tmp_path / "v"), CONDA_PREFIX=str(tmp_path / "c"))

    assert choose_interpreter(None, [], both, tmp_path).executable == str(virtual)
    del both["VIRTUAL_ENV"]
    assert choose_interpreter(None, [], both, tmp_path).executable == str(conda)
    assert choose_interpreter(None, [], environ(tmp_path), tmp_path).executable == str(bin_folder / "python3")
    assert choose_interpreter(None, [], {"PATH": str(tmp_path)}, tmp_path).executable is None
    monkeypatch.setattr("autoglm_doctor.target._own_environment_holds", lambda name: name == "vllm")
    own = choose_interpreter(None, [], both, tmp_path)
    assert own.executable == sys.executable
    assert "vllm" in own.chosen_by


def test_a_folder_named_torch_is_no_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from autoglm_doctor import target

    (tmp_path / "sglang").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert not target._own_environment_holds("sglang")
    (tmp_path / "sglang" / "__init__.py").touch()
    import importlib

    importlib.invalidate_caches()
    assert target._own_environment_holds("sglang")


def test_a_link_stays_a_link(bin_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "v" / "bin").mkdir(parents=True)
    (tmp_path / "v" / "bin" / "python").symlink_to(bin_folder / "python3")

    for given in ("v", "v/bin/python", str(tmp_path / "v" / "bin" / "python")):
        choice = choose_interpreter(given, [], environ(tmp_path), tmp_path)
        assert choice.executable == str(tmp_path / "v" / "bin" / "python")


@pytest.mark.parametrize("given", ["nowhere/bin/python", "bin", "python9.9"])
def test_a_wrong_python_option_is_never_replaced_by_a_guess(given: str, bin_folder: Path, tmp_path: Path) -> None:
    (bin_folder / "python3").rename(bin_folder / "snake")
    choice = choose_interpreter(given, ["snake"], environ(tmp_path, VIRTUAL_ENV=sys.prefix), tmp_path)
    assert choice.executable is None
    assert given in choice.why_not


def test_pythonpath_counts_from_where_the_server_starts(tmp_path: Path) -> None:
    made = absolute_pythonpath({"PYTHONPATH": "src:/opt/x:"}, tmp_path)
    assert made["PYTHONPATH"].split(":") == [str(tmp_path / "src"), "/opt/x", str(tmp_path)]
    assert absolute_pythonpath({"A": "b"}, tmp_path) == {"A": "b"}


# --- uv --------------------------------------------------------------------------------------------------------------


def make_venv(folder: Path) -> Path:
    folder.parent.mkdir(parents=True, exist_ok=True)
    base = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info[1]}"
    subprocess.run([base, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
    return folder


PROJECT = '[project]\nname = "{}"\nversion = "0"\nrequires-python = ">=3.10"\n'

#: Files, environments, the line after `uv run --no-sync`, variables: everything below the test's folder.
UV_CASES = {
    "a project": ({"pyproject.toml": PROJECT.format("a")}, [], {}),
    "from a folder inside": ({"pyproject.toml": PROJECT.format("a"), "sub/x": ""}, ["--directory", "sub"], {}),
    "another project": ({"p/pyproject.toml": PROJECT.format("a"), "p/.venv": None}, ["--project", "p"], {}),
    "a renamed environment": ({"pyproject.toml": PROJECT.format("a")}, [], {"UV_PROJECT_ENVIRONMENT": "other"}),
    "the active environment is ignored": ({"pyproject.toml": PROJECT.format("a")}, [], {"VIRTUAL_ENV": "{}/other"}),
    "unless asked for": ({"pyproject.toml": PROJECT.format("a")}, ["--active"], {"VIRTUAL_ENV": "{}/other"}),
    "no project wanted": ({"pyproject.toml": PROJECT.format("a")}, ["--no-project"], {"VIRTUAL_ENV": "{}/other"}),
    "outside: .venv above": ({"sub/x": ""}, ["--directory", "sub"], {}),
    "outside: the active one": ({}, [], {"VIRTUAL_ENV": "{}/other"}),
    "outside: --python": ({}, ["--python", "other"], {}),
    "a file without a project": ({"pyproject.toml": "[tool.black]\n"}, [], {"VIRTUAL_ENV": "{}/other"}),
    "a project that uv shall not manage": (
        {"pyproject.toml": PROJECT.format("a") + "[tool.uv]\nmanaged = false\n"},
        [],
        {"VIRTUAL_ENV": "{}/other"},
    ),
    "a member of a workspace": (
        {
            "pyproject.toml": PROJECT.format("a") + '[tool.uv.workspace]\nmembers = ["m/*"]\n',
            "m/one/pyproject.toml": PROJECT.format("one"),
        },
        ["--directory", "m/one"],
        {},
    ),
    "excluded from a workspace": (
        {
            "pyproject.toml": PROJECT.format("a") + '[tool.uv.workspace]\nmembers = ["m/*"]\nexclude = ["m/one"]\n',
            "m/one/pyproject.toml": PROJECT.format("one"),
            "m/one/.venv": None,
        },
        ["--directory", "m/one"],
        {},
    ),
}


@pytest.fixture(scope="module")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two real environments to copy from: making one takes a quarter of a second."""
    return make_venv(tmp_path_factory.mktemp("uv") / "env")


def link_venv(source: Path, folder: Path) -> None:
    """A second environment at another place: pyvenv.cfg and links are all that there is to one."""
    (folder / "bin").mkdir(parents=True)
    (folder / "pyvenv.cfg").write_bytes((source / "pyvenv.cfg").read_bytes())
    for name in ("python", "python3"):
        (folder / "bin" / name).symlink_to(os.path.realpath(source / "bin" / "python"))


@pytest.mark.parametrize("rough", [False, True], ids=["with tomllib", "as on Python 3.10"])
@pytest.mark.parametrize(("files", "options", "variables"), UV_CASES.values(), ids=UV_CASES.keys())
def test_uv_run_takes_the_environment_that_we_say(
    files: dict[str, str | None],
    options: list[str],
    variables: dict[str, str],
    rough: bool,
    tmp_path: Path,
    environments: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("autoglm_doctor.target._own_environment_holds", lambda _name: False)
    if rough:
        monkeypatch.setattr(uvrun, "_pyproject", lambda f: uvrun._rough(_text(f / "pyproject.toml")))
    for name in (".venv", "other"):
        link_venv(environments, tmp_path / name)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        link_venv(environments, tmp_path / name) if text is None else (tmp_path / name).write_text(text)
    shell = {"PATH": f"{UV.parent}:/usr/bin:/bin", "HOME": str(tmp_path), "UV_OFFLINE": "1", "UV_NO_CONFIG": "1"}
    shell |= {"UV_CACHE_DIR": str(tmp_path / "cache"), "UV_PYTHON_DOWNLOADS": "never"}
    shell |= {key: value.format(tmp_path) for key, value in variables.items()}
    command = ["uv", "run", "--no-sync", *options, "python", "-c", "import sys; print(sys.prefix)"]

    choice = choose_interpreter(None, command, shell, tmp_path)

    done = subprocess.run(command, env=shell, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert choice.executable is not None, choice.why_not
    assert os.path.realpath(Path(choice.executable).parent.parent) == os.path.realpath(done.stdout.strip())


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


UV_ITSELF = {
    "isolated": (["run", "--isolated", "vllm"], {}, "of its own"),
    "inline dependencies": (["run", "s.py"], {"s.py": "# /// script\n# dependencies = []\n# ///\n"}, "s.py carries"),
    "a version": (["run", "--no-project", "-p", "3.12", "vllm"], {}, "Python 3.12 by itself"),
    "nothing there": (["run", "vllm"], {}, "finds no environment"),
    "not made yet": (["run", "vllm"], {"pyproject.toml": PROJECT.format("a")}, "which has no bin/python yet"),
}


@pytest.mark.parametrize(("words", "files", "says"), UV_ITSELF.values(), ids=UV_ITSELF.keys())
def test_an_environment_that_uv_makes_at_start_is_not_guessed(
    words: list[str], files: dict[str, str], says: str, bin_folder: Path, tmp_path: Path
) -> None:
    executable(bin_folder / "uv")
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    choice = choose_interpreter(None, ["uv", *words], environ(tmp_path), tmp_path)
    assert says in choice.why_not
    assert choice.chosen_by == "python3 on PATH"


def test_every_option_of_uv_run_that_takes_a_value_is_known() -> None:
    """A new option with a value would make us take its value for the command."""
    import re

    text = subprocess.run([UV, "run", "--help"], capture_output=True, text=True, timeout=60, check=True).stdout
    options = re.findall(r"^\s+(?:(-\w), )?(--[\w-]+) <", text, re.MULTILINE)
    missing = {name for pair in options for name in pair if name} - uvrun._VALUES
    assert not missing, json.dumps(sorted(missing))
