"""`diagnose` from outside: verdicts, ranking, restraint, and files that cannot be read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autoglm_doctor.api import check, fail, warn
from autoglm_doctor.errors import DoctorError
from autoglm_doctor.finding import Fix, Text
from autoglm_doctor.loose.judge import diagnose
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.registry import load_checks
from autoglm_doctor.report import diagnose_jsonl, diagnose_text
from autoglm_doctor.report.diagnose_types import Diagnosis

MACHINES = Path(__file__).parent / "machines"

HEALTHY: dict[str, Any] = {
    "os": "Ubuntu 22.04",
    "libc": "glibc-2.35",
    "python": "3.12.4",
    "driver_version": "570.124.06",
    "cuda_driver_version": "12.8",
    "gpus": [{"name": "NVIDIA L40S", "compute_capability": "8.9", "memory_mib": 46068}],
    "torch": "2.9.1+cu128",
    "torch_cuda": "12.8",
    "torch_arch_list": ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"],
    "cuda_available": True,
    "packages": {"torchvision": "0.24.1", "triton": "3.5.1", "numpy": "2.2.6"},
}


def judge(stated: dict[str, Any], symptom: str | None = None) -> Diagnosis:
    data: dict[str, Any] = {"facts": stated} | ({"symptom": symptom} if symptom is not None else {})
    return diagnose("x.json", data, load_checks().checks, load_matrix())


def causes(one: Diagnosis) -> list[str]:
    return [cause.cause for cause in one.causes]


def test_a_healthy_machine_has_no_cause() -> None:
    assert judge(HEALTHY) == Diagnosis(input="x.json", status="pass")


@pytest.mark.parametrize("key", sorted(HEALTHY))
def test_a_key_that_is_not_stated_is_no_fault(key: str) -> None:
    assert causes(judge({name: value for name, value in HEALTHY.items() if name != key})) == []


@pytest.mark.parametrize("key", sorted(HEALTHY))
def test_a_key_alone_is_no_fault(key: str) -> None:
    assert causes(judge({key: HEALTHY[key]})) == []


@pytest.mark.parametrize(
    ("stated", "status", "cause"),
    [
        pytest.param({"driver_version": "545.23.08", "torch_cuda": "13.0"}, "fail", "DRIVER_TOO_OLD", id="driver"),
        pytest.param(
            {"driver_version": "550.54.15", "torch_cuda": "13.0", "cuda_available": True}, "pass", None, id="it works"
        ),
        pytest.param(
            {"driver_version": "530.41.03", "torch_cuda": "12.8"}, "pass", None, id="a driver of the same major"
        ),
        pytest.param({"driver_branch": "580", "torch_cuda": "13.0"}, "pass", None, id="a branch that has the major"),
        pytest.param({"driver_branch": "570", "torch_cuda": "13.0"}, "fail", "DRIVER_TOO_OLD", id="a branch too old"),
        pytest.param(
            {"gpus": [{"compute_capability": "12.0"}], "torch_cuda": "12.4", "torch_arch_list": ["sm_80", "sm_90"]},
            "fail",
            "GPU_ARCH_NOT_IN_WHEEL",
            id="architecture",
        ),
        pytest.param(
            {"gpus": [{"name": "A30"}], "torch": "2.6.0+cpu"}, "fail", "CPU_ONLY_TORCH", id="torch for the CPU"
        ),
        pytest.param({"torch": "2.6.0+cpu"}, "pass", None, id="torch for the CPU, and nobody speaks of a GPU"),
        pytest.param(
            {"torch": "2.6.0+cu124", "packages": {"torchvision": "0.20.0"}},
            "fail",
            "TORCH_COMPANION_MISMATCH",
            id="torchvision of another torch",
        ),
        pytest.param(
            {"python": "3.11", "packages": {"numpy": "2.1.0"}, "requires": {"spacy": ["numpy<2", "blis>=1"]}},
            "warn",
            "NUMPY2_ABI",
            id="what a package is said to require",
        ),
        pytest.param({"python": "3.11", "requires": {"spacy": ["numpy<2"]}}, "pass", None, id="a numpy nobody names"),
        pytest.param({"os": "Windows 10", "engine": "sglang"}, "fail", "OS_UNSUPPORTED_BY_ENGINE", id="Windows"),
        pytest.param({"os": "Windows 10"}, "pass", None, id="Windows, and no engine is named"),
        pytest.param(
            {"gpus": [{"name": "L4"}], "torch_cuda": "12.4", "env": {"CUDA_VISIBLE_DEVICES": "5"}},
            "fail",
            "CUDA_VISIBLE_DEVICES_HIDES_GPUS",
            id="a GPU that is not there",
        ),
        pytest.param(
            {
                "engine": "vllm 0.10.0",
                "gpus": [{"total_gpu_memory_gib": 79.1, "free_gib": 20.2}],
                "engine_args": {"gpu_memory_utilization": 0.9},
            },
            "fail",
            "GPU_MEMORY_TAKEN_BY_OTHERS",
            id="memory taken",
        ),
        pytest.param({"shm": "64M", "engine": "vllm", "engine_args": {"tp": 2}}, "fail", "SHM_TOO_SMALL", id="shm"),
        pytest.param({"gpus": ["H200"], "fabric_state": "in progress"}, "fail", "FABRIC_MANAGER_MISSING", id="fabric"),
        pytest.param({"gpus": ["L4"], "xid": 79}, "fail", "GPU_FELL_OFF_BUS", id="Xid 79"),
        pytest.param({"network": "no internet access"}, "fail", "HUB_UNREACHABLE", id="no hub"),
        pytest.param(
            {"model_files": {"model.safetensors": "133 bytes"}}, "fail", "MODEL_FILES_LFS_POINTER", id="an LFS pointer"
        ),
        pytest.param(
            {"model_files": "2 files there, index names 9"}, "fail", "MODEL_SHARD_MISSING", id="shards missing"
        ),
        pytest.param({"disk": "no space left", "model": "a/b"}, "fail", "DISK_FULL", id="a full disk"),
        pytest.param({"disk": {"sequential_mb_s": 60}}, "warn", "SLOW_MODEL_STORAGE", id="a slow disk"),
    ],
)
def test_cause(stated: dict[str, Any], status: str, cause: str | None) -> None:
    one = judge(stated)
    assert one.status == status
    assert causes(one)[:1] == ([cause] if cause else [])


def test_packages_that_nobody_names_are_not_missing() -> None:
    stated = {"engine": "vllm", "packages": {"accelerate": "1.2.0"}, "os": "Ubuntu 24.04", "python": "3.12"}
    assert causes(judge(stated)) == []


@pytest.mark.parametrize(
    ("stated", "symptom", "expected"),
    [
        pytest.param({}, "OSError: [Errno 28] No space left on device", ["DISK_FULL"], id="text alone"),
        pytest.param({}, "all is well", [], id="a text that says nothing"),
        pytest.param(
            {"driver_version": "535.104.05", "torch_cuda": "13.0"},
            "ImportError: x.so: undefined symbol: _ZN3foo",
            ["DRIVER_TOO_OLD", "EXTENSION_ABI_MISMATCH"],
            id="facts lead a text that is as sure",
        ),
        pytest.param(
            {"env": {"http_proxy": "http://proxy:3128"}},
            "ImportError: x.so: undefined symbol: _ZN3foo",
            ["EXTENSION_ABI_MISMATCH", "PROXY_INTERCEPTS_LOCALHOST"],
            id="a sure text leads a yellow of the facts",
        ),
        pytest.param(
            {"env": {"OMP_NUM_THREADS": "abc"}},
            "Fast download using 'hf_transfer' is enabled (X=1) but 'hf_transfer' package is not available",
            ["ENV_VAR_OVERRIDE_WRONG", "ENV_VAR_OVERRIDE_WRONG"],
            id="a variable of the facts, and another one of the text",
        ),
        pytest.param(
            {"env": {"NCCL_BUFFSIZE": "8GB"}},
            "NCCL_BUFFSIZE is too large",
            ["ENV_VAR_OVERRIDE_WRONG"],
            id="one variable of both",
        ),
        pytest.param(
            {"driver_version": "535.104.05", "torch_cuda": "13.0"},
            "RuntimeError: Engine core initialization failed",
            ["DRIVER_TOO_OLD", "ENGINE_DIED"],
            id="a consequence comes last",
        ),
    ],
)
def test_ranking_of_facts_and_text(stated: dict[str, Any], symptom: str, expected: list[str]) -> None:
    assert causes(judge(stated, symptom)) == expected


def test_no_line_to_paste_holds_a_sentence_for_a_model() -> None:
    fixes = judge({"gpus": ["T4"], "engine": "vllm 0.8.4", "model_dtype": "bfloat16"}).fixes
    lines = [line for fix in fixes if fix for line in fix.commands]
    assert "vllm serve MODEL --dtype half" in lines
    assert not [line for line in lines if "without a name" in line]


@pytest.mark.parametrize(
    ("symptom", "cause", "status"),
    [
        pytest.param(
            "gradio 6.1.0 requires huggingface-hub<2.0,>=0.36, but you have huggingface-hub 0.35 which is incompatible.",
            "DEPENDENCY_CONFLICT",
            "warn",
            id="pip, of a package that serves nothing",
        ),
        pytest.param(
            "transformers 4.40.0 requires huggingface-hub<1.0, but you have huggingface-hub 1.1.0 which is incompatible.",
            "HF_LIBS_CONFLICT",
            "warn",
            id="pip, of transformers",
        ),
        pytest.param(
            "ImportError: huggingface-hub<1.0 is required for a normal functioning of this module, but found 1.1.0.",
            "HF_LIBS_CONFLICT",
            "fail",
            id="transformers itself",
        ),
    ],
)
def test_what_pip_says_while_it_installs_ends_no_start(symptom: str, cause: str, status: str) -> None:
    (one,) = judge({}, symptom).causes
    assert (one.cause, one.status) == (cause, status)


NUMPY_CLASH = {"python": "3.11", "packages": {"numpy": "2.1.0"}, "requires": {"spacy": ["numpy<2"]}}
NUMPY_DEATH = "ImportError: A module that was compiled using NumPy 1.x cannot be run in NumPy 2.1.0 as it may crash"


@pytest.mark.parametrize(
    ("symptom", "status"),
    [
        pytest.param(None, "warn", id="by the facts alone it may go well"),
        pytest.param(NUMPY_DEATH, "fail", id="the program says that it did not"),
        pytest.param("HTTP 502 from the proxy", "warn", id="another complaint"),
    ],
)
def test_what_the_facts_warn_of_is_red_once_it_has_happened(symptom: str | None, status: str) -> None:
    first = judge(NUMPY_CLASH, symptom).causes
    assert next(cause.status for cause in first if cause.cause == "NUMPY2_ABI") == status


def test_what_both_say_comes_first_of_its_certainty() -> None:
    fix = Fix(text=Text("do it"), commands=("true",))

    @check("DRV998", "one", cause="OF_FACTS_ALONE")
    def one() -> Any:
        """One."""
        yield fail(Text("one"), fix=fix)

    @check("PKG998", "two", cause="DISK_FULL")
    def two() -> Any:
        """Two."""
        yield fail(Text("two"), fix=fix)

    @check("DRV999", "three", cause="YELLOW")
    def three() -> Any:
        """Three."""
        yield warn(Text("three"), fix=fix)

    data = {"facts": {}, "symptom": "No space left on device"}
    found = diagnose("x", data, [one, two, three], load_matrix())
    assert causes(found) == ["DISK_FULL", "OF_FACTS_ALONE", "YELLOW"]
    assert found.causes[0].check == "PKG998"
    assert found.fixes == (fix, fix, fix)


@pytest.mark.parametrize("name", ["535-cuda13-wheel", "no-driver"])
def test_a_saved_reading_is_judged_whole(name: str) -> None:
    data = json.loads((MACHINES / f"{name}.json").read_text())
    one = diagnose(name, data, load_checks().checks, load_matrix())
    assert causes(one)[0] == {"535-cuda13-wheel": "DRIVER_TOO_OLD", "no-driver": "DRIVER_NOT_INSTALLED"}[name]


@pytest.mark.parametrize("data", [[], "text", 3, None, {"facts": []}])
def test_what_is_no_object_is_refused(data: Any) -> None:
    with pytest.raises(DoctorError, match="JSON object"):
        diagnose("x", data, (), load_matrix())


def test_bare_facts_are_facts() -> None:
    bare = diagnose("x", {"torch_cuda": "13.0", "driver_branch": "550"}, load_checks().checks, load_matrix())
    assert causes(bare) == ["DRIVER_TOO_OLD"]


def test_formats_redact_and_name_the_way_out() -> None:
    from autoglm_doctor.redact import Redactor

    one = judge({"network": "hub blocked, says /home/jane/notes"})
    line = json.loads(diagnose_jsonl.render(one, redactor=Redactor({})))
    text = diagnose_text.render(one, redactor=Redactor({}))
    assert "/home/jane" not in json.dumps(line) + text
    assert line["verdict"]["causes"][0].keys() == {"cause", "status", "check", "summary"}
    assert "1. FAIL HUB_UNREACHABLE, NET003" in text
    assert "export HF_ENDPOINT=" in text
    assert "/home/jane" in diagnose_jsonl.render(one, redactor=None)


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "autoglm_doctor", "diagnose", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_command_judges_what_it_can_and_names_what_it_cannot(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"facts": {"driver_branch": "550", "torch_cuda": "13.0"}}))
    (tmp_path / "b.json").write_text('{"facts": {"os"')
    (tmp_path / "c.json").write_text(json.dumps({"facts": HEALTHY}))
    (tmp_path / "d.json").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "e.json").write_text("[" * 100_000)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    names = ["a.json", "b.json", "c.json", "d.json", "e.json", "folder", "pipe", "missing"]
    done = run("--format", "jsonl", *names, cwd=tmp_path)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["input"], line["verdict"]["status"]) for line in lines] == [("a.json", "fail"), ("c.json", "pass")]
    said = done.stderr.splitlines()
    assert [line.split(": ")[1] for line in said] == ["b.json", "d.json", "e.json", "folder", "pipe", "missing"]
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        pytest.param(HEALTHY, 0, id="nothing wrong"),
        pytest.param({"disk": {"sequential_mb_s": 60}}, 0, id="a warning"),
        pytest.param({"driver_branch": "550", "torch_cuda": "13.0"}, 1, id="a fault"),
    ],
)
def test_exit_code_and_text(tmp_path: Path, facts: dict[str, Any], code: int) -> None:
    (tmp_path / "a.json").write_text(json.dumps(facts))
    done = run("a.json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (code, "")
    assert done.stdout.startswith("a.json: ")


def test_a_gpu_is_named() -> None:
    line = json.loads(diagnose_jsonl.render(judge({"gpus": ["L4"], "xid": 79}), redactor=None))
    assert line["verdict"]["causes"][0]["summary"] == "gpu:0: it fell off the bus"


def test_unknown_format(tmp_path: Path) -> None:
    done = run("--format", "yaml", "a.json", cwd=tmp_path)
    assert done.returncode == 2
    assert "terminal, jsonl" in done.stderr
