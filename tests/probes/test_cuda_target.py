"""The CUDA probe against a stub libcuda and fake torches: what it knew must survive whatever comes after."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autoglm_doctor.domain.deaths import OURS
from autoglm_doctor.facts import Cuda, Interpreter, Reading, TorchRun
from autoglm_doctor.jsonio import decode
from autoglm_doctor.probes import packages
from tests.faults.torches import FATAL, RAISING, SURVIVABLE

SCRIPTS = Path(packages.__file__).parent / "target"

#: cuInit answers from the variable STUB_INIT; "crash" and "hang" do what they say.
STUB = r"""
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int cuInit(unsigned flags) {
  const char *how = getenv("STUB_INIT");
  if (how && !strcmp(how, "crash")) abort();
  return how ? atoi(how) : 0;
}
int cuDriverGetVersion(int *v) { *v = 12080; return 0; }
int cuDeviceGetCount(int *n) { *n = 2; return 0; }
int cuDeviceGet(int *d, int i) { *d = i; return 0; }
int cuDeviceGetName(char *s, int n, int d) { strncpy(s, d ? "NVIDIA GeForce RTX 4090" : "NVIDIA H200", n); return 0; }
int cuDeviceGetAttribute(int *v, int a, int d) { *v = a == 75 ? (d ? 8 : 9) : (d ? 9 : 0); return 0; }
int cuDeviceTotalMem_v2(size_t *b, int d) { *b = (size_t)(d + 1) << 34; return 0; }
"""
NAMES = 'int cuGetErrorName(int c, const char **s) { *s = c == 803 ? "CUDA_ERROR_BY_THE_LIBRARY" : 0; return 0; }'


@pytest.fixture(scope="session")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders for LD_LIBRARY_PATH: with and without cuGetErrorName."""
    if shutil.which("gcc") is None:
        pytest.skip("no C compiler here")
    folders = {}
    for name, source in (("full", STUB + NAMES), ("old", STUB)):
        folder = tmp_path_factory.mktemp(name)
        command = ["gcc", "-shared", "-fPIC", "-xc", "-", "-Wl,-soname,libcuda.so.1", "-o", f"{folder}/libcuda.so.1"]
        subprocess.run(command, input=source, text=True, check=True, timeout=60)
        folders[name] = folder
    return folders


Run = Callable[..., tuple[dict[str, Reading[Any]], subprocess.CompletedProcess[str]]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run the probe as the collector does: a copy in an empty folder, the deployment's environment."""

    def run(
        torch: str | None = None, arguments: str = "{}", python: str = sys.executable, **environ: str
    ) -> tuple[dict[str, Reading[Any]], subprocess.CompletedProcess[str]]:
        folder, overlay = tmp_path / "folder", tmp_path / "overlay"
        folder.mkdir()
        shutil.copyfile(SCRIPTS / "cuda.py", folder / "cuda.py")
        overlay.mkdir()
        if torch is not None:
            (overlay / "torch.py").write_text(textwrap.dedent(torch))
        command = [python, "-S", str(folder / "cuda.py"), str(tmp_path / "result"), arguments]  # -S: no real torch
        done = subprocess.run(
            command,
            cwd=folder,
            env={"PYTHONPATH": str(overlay), "PATH": os.defpath, **environ},
            capture_output=True,
            text=True,
            errors="replace",  # a torch may print anything
            timeout=60,
            check=False,
        )
        kinds: dict[str, Any] = {"cuda": Reading[Cuda], "torch_run": Reading[TorchRun]}
        result = tmp_path / "result"
        lines = [json.loads(line) for line in result.read_text().splitlines()] if result.exists() else []
        return {x["fact"]: decode(kinds[x["fact"]], x) for x in lines if "fact" in x}, done

    return run


def test_no_driver_and_no_torch_are_absent(run: Run) -> None:
    facts, done = run()
    assert (facts["cuda"].outcome, facts["torch_run"].outcome) == ("absent", "absent")
    assert (done.returncode, done.stdout) == (0, "")


def test_devices_as_cuda_shows_them(run: Run, stubs: dict[str, Path]) -> None:
    facts, _ = run(LD_LIBRARY_PATH=str(stubs["full"]))
    cuda = facts["cuda"].value
    assert cuda.library == str(stubs["full"] / "libcuda.so.1")
    assert (cuda.init_code, cuda.init_error, cuda.driver_cuda_version) == (0, None, "12.8")
    assert [(d.name, d.compute_capability, d.total_bytes) for d in cuda.devices] == [
        ("NVIDIA H200", "9.0", 1 << 34),
        ("NVIDIA GeForce RTX 4090", "8.9", 2 << 34),
    ]


CODES = {
    "the library's own name": ("full", "803", "CUDA_ERROR_BY_THE_LIBRARY"),
    "our table": ("full", "802", "CUDA_ERROR_SYSTEM_NOT_READY"),
    "an old library without names": ("old", "999", "CUDA_ERROR_UNKNOWN"),
    "a code that nobody knows": ("old", "12345", "CUDA error 12345"),
}


@pytest.mark.parametrize(("stub", "code", "name"), CODES.values(), ids=CODES.keys())
def test_cuinit_fails(stub: str, code: str, name: str, run: Run, stubs: dict[str, Path]) -> None:
    facts, _ = run(LD_LIBRARY_PATH=str(stubs[stub]), STUB_INIT=code)
    cuda = facts["cuda"].value
    assert (cuda.init_code, cuda.init_error, cuda.devices) == (int(code), name, ())
    assert cuda.driver_cuda_version == "12.8"


BROKEN = {"empty file": (b"", "file too short"), "no ELF": (b"hello " * 99, "invalid ELF header")}


@pytest.mark.parametrize(("content", "says"), BROKEN.values(), ids=BROKEN.keys())
def test_a_library_that_is_there_and_does_not_load_is_no_absence(
    content: bytes, says: str, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libcuda.so.1").write_bytes(content)
    facts, _ = run(LD_LIBRARY_PATH=str(tmp_path / "lib"))
    assert facts["cuda"].outcome == "known"
    assert facts["cuda"].value.library is None
    assert says in facts["cuda"].value.load_error


def test_a_crash_in_cuinit_leaves_no_answer_and_no_lie(run: Run, stubs: dict[str, Path]) -> None:
    facts, done = run(LD_LIBRARY_PATH=str(stubs["full"]), STUB_INIT="crash")
    assert facts == {}
    assert done.returncode < 0


#: A torch on two GPUs, with real arithmetic on 2 x 2 matrices; the product of the second GPU is off.
TORCH = """
    __version__, __file__ = "2.9.1+cu128", "/x/torch/__init__.py"
    print("chatter", flush=True)
    class T:
        def __init__(self, rows, place="cpu"): self.rows, self.place = rows, place
        def to(self, what): return T(self.rows, what if isinstance(what, str) and ":" in what else self.place)
        double = cpu = lambda self: T(self.rows)
        def __matmul__(self, other):
            off = BAD if self.place == "cuda:1" else 0.0
            cols = list(zip(*other.rows))
            return T([[sum(a * b for a, b in zip(r, c)) + off for c in cols] for r in self.rows])
        def __sub__(self, other): return T([[a - b for a, b in zip(r, s)] for r, s in zip(self.rows, other.rows)])
        def abs(self): return T([[abs(a) for a in r] for r in self.rows])
        def max(self): return max(max(r) for r in self.rows)
        def sum(self): return self
        def item(self): return 0
    class Generator:
        def manual_seed(self, n): return self
    bfloat16, float16 = "bf16", "fp16"
    def randn(n, m, generator=None): return T([[1.0, 2.0], [3.0, 4.0]])
    def ones(n, device=None):
        if device == "cuda:1" and FULL: raise RuntimeError("CUDA out of memory")
        return T([[0.0]])
    class cuda:
        @staticmethod
        def is_available(): return True
        @staticmethod
        def device_count(): return 2
        @staticmethod
        def get_device_capability(i): return (9, 0) if i else (7, 5)
"""


def test_products_are_held_against_the_cpu(run: Run) -> None:
    facts, done = run("BAD, FULL = 1.1, False\n" + textwrap.dedent(TORCH))
    value = facts["torch_run"].value
    assert (value.version, value.import_error, value.cuda_available) == ("2.9.1+cu128", None, True)
    first, second = value.devices
    assert [(p.dtype, p.relative_error) for p in first.products] == [("float16", 0.0)]  # no bfloat16 on a 7.5
    assert [p.dtype for p in second.products] == ["bfloat16", "float16"]
    assert second.products[0].relative_error == pytest.approx(1.1 / 22)
    assert done.stdout == ""  # torch's chatter is fenced off


def test_a_result_that_is_no_number(run: Run) -> None:
    facts, _ = run(
        "BAD, FULL = float('nan'), False\n"
        + textwrap.dedent(TORCH).replace("max(max(r) for r in self.rows)", "self.rows[0][0]")
    )
    error = facts["torch_run"].value.devices[1].products[0].relative_error
    assert error != error


def test_a_full_gpu_is_told_and_the_other_one_used(run: Run) -> None:
    facts, _ = run("BAD, FULL = 0, True\n" + textwrap.dedent(TORCH))
    first, second = facts["torch_run"].value.devices
    assert first.allocation_error is None
    assert first.products
    assert second.allocation_error == "RuntimeError: CUDA out of memory"
    assert second.products == ()


def test_gpus_of_others_are_left_alone(run: Run) -> None:
    facts, _ = run("BAD, FULL = 0, True\n" + textwrap.dedent(TORCH), arguments='{"use_gpus": false}')
    value = facts["torch_run"].value
    assert (value.cuda_available, value.devices) == (True, ())


IMPORT_ERRORS = {
    "raises": ("raise ImportError('libcudart.so.12: cannot open shared object file')", "ImportError: libcudart.so.12"),
    "calls sys.exit": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "is interrupted": ("raise KeyboardInterrupt", "KeyboardInterrupt: "),
    "is empty": ("", "AttributeError: module 'torch' has no attribute '__version__'"),
    "lacks a module": ("import numpy_of_yesterday", "ModuleNotFoundError: No module named 'numpy_of_yesterday'"),
}


@pytest.mark.parametrize(("torch", "says"), IMPORT_ERRORS.values(), ids=IMPORT_ERRORS.keys())
def test_a_torch_that_does_not_import(torch: str, says: str, run: Run) -> None:
    facts, done = run(torch)
    assert facts["torch_run"].outcome == "known"
    assert facts["torch_run"].value.import_error.startswith(says)
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("loads", "says"),
    [
        pytest.param("import ctypes; ctypes.CDLL('libstdc++.so.6')", r"/.*/libstdc\+\+\.so\.6\S*", id="it comes along"),
        pytest.param("", "", id="it does not"),
    ],
)
def test_the_libstdcxx_that_comes_with_torch(loads: str, says: str, run: Run) -> None:
    value = run(f"__version__ = '2.9.1'\n{loads}")[0]["torch_run"].value
    assert re.fullmatch(says, value.libstdcxx)


def test_a_torch_without_cuda_says_why(run: Run) -> None:
    torch = """
        __version__ = "2.9.1+cpu"
        class cuda:
            is_available = staticmethod(lambda: False)
            @staticmethod
            def init(): raise AssertionError("Torch not compiled with CUDA enabled")
    """
    value = run(torch)[0]["torch_run"].value
    assert (value.cuda_available, value.cuda_error) == (False, "AssertionError: Torch not compiled with CUDA enabled")


DEATHS = {"segfaults": "import os; os.kill(os.getpid(), 11)", "leaves": "import os; os._exit(0)"}


@pytest.mark.parametrize("torch", DEATHS.values(), ids=DEATHS.keys())
def test_what_libcuda_said_survives_a_torch_that_dies(torch: str, run: Run, stubs: dict[str, Path]) -> None:
    facts, _ = run(torch, LD_LIBRARY_PATH=str(stubs["full"]))
    assert facts["cuda"].value.init_code == 0
    assert "torch_run" not in facts


HEALTHY = '__version__ = "2.9.1"\nclass cuda:\n    is_available = staticmethod(lambda: True)\n    device_count = staticmethod(lambda: 0)\n'


@pytest.mark.parametrize("name", [name for name in SURVIVABLE if "flood" not in name and "children" not in name])
def test_a_nuisance_of_a_torch_is_survived(name: str, run: Run) -> None:
    facts, done = run(SURVIVABLE[name] + "\n" + HEALTHY)
    value = facts["torch_run"].value
    assert (value.version, value.import_error, value.cuda_available) == ("2.9.1", None, True), done.stderr


def test_a_forked_child_does_not_speak_for_its_parent(run: Run) -> None:
    facts, done = run(FATAL["forks and the parent leaves"])
    time.sleep(0.1)  # for the child, which would have gone on by now
    assert ("torch_run" in facts, done.returncode) == (False, 0)


@pytest.mark.parametrize("name", ["raises what cannot be printed", "raises broken text", "raises a megabyte of text"])
def test_texts_that_nobody_can_print(name: str, run: Run) -> None:
    error = run(RAISING[name])[0]["torch_run"].value.import_error
    error.encode("utf-8")
    assert 4 < len(error) < 2100


def pythons() -> list[str]:
    """Other Pythons of this machine, the oldest first."""
    found = []
    for minor in (6, 7, 8, 9, 10, 12, 13, 14):
        homes = [Path("/usr/bin"), *sorted(Path.home().glob(f".pyenv/versions/3.{minor}.*/bin"))]
        found += [str(home / f"python3.{minor}") for home in homes if (home / f"python3.{minor}").exists()][:1]
    return found


@pytest.mark.parametrize("python", pythons() or [sys.executable])
def test_target_probes_run_on_other_pythons(python: str, run: Run, tmp_path: Path) -> None:
    facts, done = run("raise ImportError('x')", python=python)
    assert facts["torch_run"].value.import_error == "ImportError: x", done.stderr
    shutil.copyfile(SCRIPTS / "interpreter.py", tmp_path / "folder" / "interpreter.py")
    result = tmp_path / "other"
    command = [
        python,
        str(tmp_path / "folder" / "interpreter.py"),
        str(result),
        '{"chosen_by": "a test", "missing_program": "vllm"}',
    ]
    subprocess.run(command, check=True, timeout=60, cwd=tmp_path / "folder", env={"PYTHONPATH": f":{tmp_path}"})
    value = json.loads(result.read_text())["value"]
    assert (value["chosen_by"], value["missing_program"]) == ("a test", "vllm")
    assert str(tmp_path) in value["sys_path"]
    assert str(tmp_path / "folder") not in value["sys_path"]
    assert value["version"].startswith("3.")


def old_python() -> str | None:
    homes = [*Path.home().glob(".pyenv/versions/2.7.*/bin"), *map(Path, os.environ["PATH"].split(os.pathsep))]
    found = (home / "python2.7" for home in homes if home.name != "shims")  # a shim may have nothing behind it
    return next((str(path) for path in found if path.exists()), None)


def test_a_python_2_tells_its_age(tmp_path: Path) -> None:
    python = old_python() or pytest.skip("there is no Python 2.7 here")
    subprocess.run([python, SCRIPTS / "interpreter.py", tmp_path / "result", "{}"], check=True, timeout=60)
    entry = json.loads((tmp_path / "result").read_text())
    assert entry.pop("fact") == "interpreter"
    kind: Any = Reading[Interpreter]
    value = decode(kind, entry).value
    assert value.version.startswith("2.7.")


def test_a_broken_standard_library_is_named(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("def broken(:\n")
    command = [sys.executable, SCRIPTS / "interpreter.py", tmp_path / "result", "{}"]
    environ = {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, check=False, timeout=60, env=environ, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"see {tmp_path}/json.py: SyntaxError" in done.stderr.splitlines()[-1]


def test_a_scratch_folder_that_takes_nothing_is_named(tmp_path: Path) -> None:
    command = [sys.executable, SCRIPTS / "interpreter.py", tmp_path, "{}"]
    done = subprocess.run(command, check=False, timeout=60, capture_output=True, text=True)
    assert done.returncode == 1
    assert OURS in done.stderr.splitlines()[-1]
