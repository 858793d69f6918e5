"""The driver and the GPUs, read by the real probe in a child through stand-ins for the driver's libraries."""

from __future__ import annotations

import ctypes.util
import os
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from autoglm_doctor.collect import Probe, Session, run_probe
from autoglm_doctor.domain.driver.faults import slow
from autoglm_doctor.facts import Driver, Gpu, GpuProcess, Reading
from autoglm_doctor.probes.driverfiles import cuda_text, kernel_version
from tests.stubs import NEW_BANNER, OLD_BANNER, SOURCES, build_library, build_stubs, fake_tool

MIB = 2**20
PROBE = Probe(name="nvml", gives=("driver", "gpus"), module="autoglm_doctor.probes.nvml", limit_seconds=20)

RTX = "NVIDIA GeForce RTX 4090|8.9|24564|24000|300"
OLD_KERNEL = (
    "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.129.03  Thu Oct 19 18:56:32 UTC 2023\nGCC version: 12\n"
)
OPEN_KERNEL = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.26  Release Build  (dvs-builder@U16)\n"


#: A driver of the machine itself would answer where the test takes everything away.
bare = pytest.mark.skipif(ctypes.util.find_library("nvidia-ml") is not None, reason="this machine has a driver")


@pytest.fixture(scope="session")
def driver_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_stubs(tmp_path_factory.mktemp("stubs"))


Answer = tuple[Reading[Driver], Reading[tuple[Gpu, ...]]]
Look = Callable[..., Answer]


@pytest.fixture
def look(tmp_path: Path) -> Look:
    """Run the probe on a machine made of a library folder, tools, a root and variables."""

    def run(library: Path | None = None, *, limit: float = 20, **variables: str) -> Answer:
        root = tmp_path / "root"
        root.mkdir(exist_ok=True)
        environ = {k: v for k, v in os.environ.items() if k != "LD_LIBRARY_PATH"} | variables
        environ["PATH"] = f"{tmp_path / 'tools'}:{environ['PATH']}"
        if library is not None:
            environ["LD_LIBRARY_PATH"] = str(library)
        session = Session(
            scratch=Path(os.fspath(tmp_path / f"scratch{len(list(tmp_path.iterdir()))}")), environ=environ
        )
        session.scratch.mkdir()
        found = run_probe(_limited(limit), {"root": str(root)}, session)
        return found["driver"], found["gpus"]

    return run


def _limited(seconds: float) -> Probe:
    return Probe(name=PROBE.name, gives=PROBE.gives, module=PROBE.module, limit_seconds=seconds)


def _kernel(tmp_path: Path, text: str) -> None:
    file = tmp_path / "root/proc/driver/nvidia/version"
    file.parent.mkdir(parents=True)
    file.write_text(text)


def _value(reading: Reading[Any]) -> Any:
    assert reading.outcome == "known", reading
    return reading.value


def test_a_healthy_gpu_is_read_in_full(look: Look, driver_folder: Path, tmp_path: Path) -> None:
    _kernel(tmp_path, OPEN_KERNEL.replace("570.26", "570.124.06"))
    own = os.getpid()
    driver, gpus = look(
        driver_folder, STUB_GPUS=RTX + "|3", STUB_COMPUTE=f"0:{own}:500", STUB_GRAPHICS=f"0:{own}:200,0:4194303:N/A"
    )
    found = _value(driver)
    assert (found.version, found.kernel_version, found.library_version) == ("570.124.06",) * 3
    assert (found.cuda_version, found.nvml_code, found.nvml_error) == ("12.8", 0, None)
    assert found.read_by[0] == "NVML"
    (gpu,) = _value(gpus)
    assert gpu.name == "NVIDIA GeForce RTX 4090"
    assert (gpu.compute_capability, gpu.uuid, gpu.pci_bus_id) == ("8.9", "GPU-00000000-stub", "00000000:01:00.0")
    assert (gpu.total_bytes, gpu.free_bytes, gpu.reserved_bytes) == (24564 * MIB, 24000 * MIB, 300 * MIB)
    assert (gpu.mig, gpu.compute_mode) == (False, 3)
    assert [(p.pid, p.used_bytes) for p in gpu.processes] == [(own, 500 * MIB), (4194303, None)]
    assert gpu.processes[0].name
    assert gpu.processes[1] == GpuProcess(pid=4194303, compute=False), "it only draws"
    assert gpu.processes[0].compute


def test_two_gpus_keep_their_order(look: Look, driver_folder: Path) -> None:
    _, gpus = look(driver_folder, STUB_GPUS=f"{RTX};Tesla T4|7.5|15360|15000")
    assert [(g.index, g.name, g.compute_capability) for g in _value(gpus)] == [
        (0, "NVIDIA GeForce RTX 4090", "8.9"),
        (1, "Tesla T4", "7.5"),
    ]


def test_no_gpu_is_a_known_zero(look: Look, driver_folder: Path) -> None:
    assert _value(look(driver_folder)[1]) == ()


@pytest.mark.parametrize("missing", ["uuid", "pci", "compute_mode", "v2", "mig", "processes", "cuda_version"])
def test_a_getter_that_is_not_supported_leaves_a_default(look: Look, driver_folder: Path, missing: str) -> None:
    driver, gpus = look(driver_folder, STUB_GPUS=RTX + "|1", STUB_COMPUTE="0:1:5", STUB_UNSUPPORTED=missing)
    (gpu,) = _value(gpus)
    assert gpu.free_bytes == 24000 * MIB
    assert _value(driver).cuda_version == "12.8"  # libcuda answers where NVML does not
    expected = {
        "uuid": gpu.uuid == "",
        "pci": gpu.pci_bus_id == "",
        "compute_mode": gpu.compute_mode == 0,
        "v2": gpu.reserved_bytes == 0,
        "mig": not gpu.mig,
        "processes": gpu.processes == (),
        "cuda_version": "libcuda" in _value(driver).read_by,
    }
    assert expected[missing]


@pytest.mark.parametrize("demanded", ["name", "capability"])
def test_what_must_be_known_is_never_invented(look: Look, driver_folder: Path, demanded: str) -> None:
    _, gpus = look(driver_folder, STUB_GPUS=RTX, STUB_UNSUPPORTED=demanded)
    assert gpus.outcome == "failed"
    assert "GPU 0" in gpus.why
    assert "Not Supported" in gpus.why


@pytest.mark.parametrize("error", ["1:15", "1:15:uuid", "1:15:processes"], ids=["at once", "midway", "at the end"])
def test_a_lost_gpu_is_named_and_the_others_stay_readable(look: Look, driver_folder: Path, error: str) -> None:
    driver, gpus = look(driver_folder, STUB_GPUS=f"{RTX};{RTX}", STUB_GPU_ERROR=error)
    assert _value(driver).nvml_code == 0
    assert [gpu.index for gpu in _value(gpus)] == [0]
    assert gpus.why == "GPU 1 fell off the bus (GPU is lost)"


def test_the_only_gpu_is_lost(look: Look, driver_folder: Path) -> None:
    _, gpus = look(driver_folder, STUB_GPUS=RTX, STUB_GPU_ERROR="0:15")
    assert (gpus.outcome, gpus.why) == ("failed", "GPU 0 fell off the bus (GPU is lost)")


CLOSED = "GPU 0 may not be opened by this user (code 4)"


@pytest.mark.parametrize("error", ["0:4:handle", "0:4:memory", "0:4:capability"])
def test_a_gpu_of_another_job_is_left_out(look: Look, driver_folder: Path, error: str) -> None:
    """nvmlDeviceGetCount_v2 counts it; what is left keeps its number."""
    _, gpus = look(driver_folder, STUB_GPUS=f"{RTX};{RTX}", STUB_GPU_ERROR=error)
    assert [gpu.index for gpu in _value(gpus)] == [1]
    assert gpus.why == CLOSED


def test_in_mig_mode_the_memory_of_the_whole_gpu_may_be_closed(look: Look, driver_folder: Path) -> None:
    _, gpus = look(driver_folder, STUB_GPUS="NVIDIA H100|9.0|81559|81000", STUB_MIG="1", STUB_GPU_ERROR="0:4:memory")
    (gpu,) = _value(gpus)
    assert gpu.total_bytes == 10240 * MIB


def test_no_gpu_that_may_be_opened_fails_the_gpus(look: Look, driver_folder: Path) -> None:
    _, gpus = look(driver_folder, STUB_GPUS=RTX, STUB_HANDLE_ERROR="4")
    assert (gpus.outcome, gpus.value, gpus.why) == ("failed", None, CLOSED)


def test_a_handle_that_is_refused_fails_the_gpus(look: Look, driver_folder: Path) -> None:
    _, gpus = look(driver_folder, STUB_GPUS=f"{RTX};{RTX}", STUB_HANDLE_ERROR="999")
    assert gpus.outcome == "failed"
    assert "Unknown Error (code 999)" in gpus.why


def test_how_long_the_gpus_before_took_is_told(look: Look, driver_folder: Path) -> None:
    _, gpus = look(driver_folder, limit=2, STUB_GPUS=";".join([RTX] * 8), STUB_SLOW_MS="400")
    found = re.search(r"while asking NVML about GPU ([2-5]) \(after (\d\.\d) s\)", gpus.why)
    assert gpus.outcome == "timeout"
    assert found is not None, gpus.why
    assert float(found[2]) >= 0.4 * int(found[1])
    assert slow(gpus.why) == int(found[1])


def test_a_gpu_that_hangs_among_others_is_not_slow(look: Look, driver_folder: Path) -> None:
    _, gpus = look(driver_folder, limit=4, STUB_GPUS=";".join([RTX] * 8), STUB_HANG_GPU="5")
    assert "about GPU 5 (after " in gpus.why
    assert slow(gpus.why) == 0


def test_in_mig_mode_the_slice_counts(look: Look, driver_folder: Path) -> None:
    _, gpus = look(driver_folder, STUB_GPUS="NVIDIA H100|9.0|81559|81000", STUB_MIG="1")
    (gpu,) = _value(gpus)
    assert gpu.mig
    assert gpu.total_bytes == 10240 * MIB


@pytest.mark.parametrize(
    ("code", "words"),
    [("18", "RM has detected an NVML/RM version mismatch."), ("9", "Driver Not Loaded"), ("999", "Unknown Error")],
    ids=["mismatch", "module not loaded", "lost in the container"],
)
def test_nvml_that_does_not_start(look: Look, driver_folder: Path, tmp_path: Path, code: str, words: str) -> None:
    _kernel(tmp_path, OLD_KERNEL)
    driver, gpus = look(driver_folder, STUB_INIT=code)
    found = _value(driver)
    assert (found.nvml_code, found.nvml_error) == (int(code), words)
    assert (found.kernel_version, found.library_version) == ("535.129.03", "570.124.06")
    assert gpus.outcome == "failed"
    assert words in gpus.why


@pytest.mark.parametrize(
    ("variables", "outcome", "word"),
    [({"STUB_CRASH": "1"}, "failed", "SIGSEGV"), ({"STUB_HANG": "1"}, "timeout", "no answer")],
    ids=["crash", "hang"],
)
def test_a_library_that_dies_leaves_the_kernel_module(
    look: Look, driver_folder: Path, tmp_path: Path, variables: Mapping[str, str], outcome: str, word: str
) -> None:
    _kernel(tmp_path, OLD_KERNEL)
    driver, gpus = look(driver_folder, limit=2, **variables)
    found = _value(driver)
    assert (found.version, found.nvml_code) == ("535.129.03", None)
    assert gpus.outcome == outcome
    assert word in gpus.why


@pytest.mark.parametrize(
    ("variables", "outcome"), [({"STUB_CRASH": "1"}, "failed"), ({"STUB_HANG": "1"}, "timeout")], ids=["crash", "hang"]
)
def test_a_library_that_dies_leaves_its_own_name(
    look: Look, driver_folder: Path, variables: Mapping[str, str], outcome: str
) -> None:
    """Without it a machine whose only trace of a driver is this library would be taken for one without a GPU."""
    driver, gpus = look(driver_folder, limit=1, **variables)
    found = _value(driver)
    assert (found.version, found.library_version, found.nvml_code) == (None, "570.124.06", None)
    assert gpus.outcome == outcome


@pytest.mark.parametrize("getter", ["memory", "name", "mig", "processes", "capability"])
def test_a_getter_that_crashes_leaves_the_driver(look: Look, driver_folder: Path, getter: str) -> None:
    driver, gpus = look(driver_folder, STUB_GPUS=RTX, STUB_CRASH=getter)
    assert (_value(driver).version, _value(driver).nvml_code) == ("570.124.06", 0)
    assert (gpus.outcome, gpus.value) == ("failed", None)
    assert "SIGSEGV" in gpus.why


def test_what_was_asked_is_told_before_it_is_asked(driver_folder: Path, tmp_path: Path) -> None:
    told: list[str] = []
    environ = {**os.environ, "LD_LIBRARY_PATH": str(driver_folder), "STUB_GPUS": f"{RTX};{RTX}", "STUB_HANG": "memory"}
    session = Session(scratch=tmp_path, environ=environ, on_progress=lambda _, text: told.append(text))
    found = run_probe(_limited(1), {"root": str(tmp_path)}, session)
    assert found["gpus"].outcome == "timeout"
    assert told == ["asking NVML about GPU 0"]


@pytest.mark.parametrize("variable", ["STUB_CRASH", "STUB_HANG"])
def test_the_shutdown_is_never_asked_for(look: Look, driver_folder: Path, variable: str) -> None:
    started = time.monotonic()
    driver, gpus = look(driver_folder, limit=15, STUB_GPUS=RTX, **{variable: "shutdown"})
    assert time.monotonic() - started < 10
    assert _value(driver).nvml_code == 0
    assert len(_value(gpus)) == 1


@pytest.mark.parametrize("sizes", ["0|0", "0|5", "100|101"], ids=["none", "free of none", "more free than there is"])
def test_memory_that_cannot_be_is_not_believed(look: Look, driver_folder: Path, sizes: str) -> None:
    _, gpus = look(driver_folder, STUB_GPUS=f"RTX|8.9|{sizes}")
    assert gpus.outcome == "failed"
    assert "nonsense" in gpus.why


def test_a_name_that_is_no_text_costs_nothing_else(look: Look, driver_folder: Path) -> None:
    _, gpus = look(driver_folder, STUB_GPUS="RTX \udcff|8.9|24564|24000")
    (gpu,) = _value(gpus)
    assert (gpu.name, gpu.free_bytes) == ("RTX \ufffd", 24000 * MIB)


def test_gpus_that_cannot_be_counted(look: Look, driver_folder: Path) -> None:
    _, gpus = look(driver_folder, STUB_GPUS=RTX, STUB_COUNT_ERROR="999")
    assert (gpus.outcome, gpus.why) == ("failed", "NVML does not tell the number of GPUs: Unknown Error (code 999)")


def test_an_older_library_still_tells_what_is_judged(look: Look, tmp_path: Path) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    build_library(SOURCES / "nvml.c", folder, "libnvidia-ml.so.1", "460.32.03", "OLD")
    _, gpus = look(folder, STUB_GPUS=RTX, STUB_COMPUTE="0:1:5")
    (gpu,) = _value(gpus)
    assert (gpu.free_bytes, gpu.reserved_bytes, gpu.processes) == (24000 * MIB, 0, ())


def test_a_library_without_its_first_function(look: Look, tmp_path: Path) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    build_library(SOURCES / "nvml.c", folder, "libnvidia-ml.so.1", "340.108", "WITHOUT_INIT")
    assert _value(look(folder)[0]).nvml_code == 13


@bare
def test_nothing_at_all_is_absent(look: Look) -> None:
    driver, gpus = look()
    assert (driver.outcome, gpus.outcome) == ("absent", "absent")
    assert "libnvidia-ml.so.1" in driver.why


@pytest.mark.parametrize("content", [b"", b"not a library" * 100], ids=["empty", "no ELF"])
def test_a_damaged_library_is_no_absent_driver(look: Look, tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "lib"
    folder.mkdir()
    (folder / "libnvidia-ml.so.1").write_bytes(content)
    driver, gpus = look(folder)
    found = _value(driver)
    assert found.nvml_code == 12
    assert "libnvidia-ml.so.1" in (found.nvml_error or "")
    assert gpus.outcome == "failed"


@bare
def test_a_kernel_module_without_libraries_is_a_driver(look: Look, tmp_path: Path) -> None:
    _kernel(tmp_path, OPEN_KERNEL)
    driver, gpus = look()
    assert (_value(driver).version, _value(driver).nvml_code) == ("570.26", 12)
    assert gpus.outcome == "failed"


@bare
@pytest.mark.parametrize(
    ("script", "version", "cuda"),
    [
        (f'case "$1" in --query*) echo 535.129.03;; *) echo "{OLD_BANNER}";; esac', "535.129.03", "12.2"),
        (f'case "$1" in --query*) exit 1;; *) echo "{OLD_BANNER}";; esac', "535.129.03", "12.2"),
        (f'case "$1" in --query*) exit 1;; *) echo "{NEW_BANNER}";; esac', "610.43.02", "13.3"),
    ],
    ids=["query", "old banner", "R610 banner"],
)
def test_nvidia_smi_is_the_last_resort(look: Look, tmp_path: Path, script: str, version: str, cuda: str) -> None:
    fake_tool(tmp_path / "tools", "nvidia-smi", script)
    driver, _ = look()
    assert (_value(driver).version, _value(driver).cuda_version) == (version, cuda)
    assert _value(driver).read_by == ("nvidia-smi",)


def test_nvidia_smi_is_not_asked_when_nvml_answers(look: Look, driver_folder: Path, tmp_path: Path) -> None:
    fake_tool(tmp_path / "tools", "nvidia-smi", f"touch {tmp_path}/asked; echo 1.2.3")
    assert _value(look(driver_folder, STUB_GPUS=RTX)[0]).version == "570.124.06"
    assert not (tmp_path / "asked").exists()


@bare
def test_a_kill_of_the_probe_takes_nvidia_smi_with_it(look: Look, tmp_path: Path) -> None:
    """It must not outlive a probe that runs into its own limit meanwhile."""
    fake_tool(tmp_path / "tools", "nvidia-smi", f"echo $$ > {tmp_path}/pid; trap '' TERM; sleep 60")
    driver, gpus = look(limit=1)
    assert (_value(driver).nvml_code, gpus.outcome) == (12, "failed"), "known before nvidia-smi was asked"
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(
    ("text", "version"),
    [(OLD_KERNEL, "535.129.03"), (OPEN_KERNEL, "570.26"), ("something else\n", None)],
    ids=["proprietary", "open", "neither"],
)
def test_both_flavours_of_the_kernel_module(tmp_path: Path, text: str, version: str | None) -> None:
    _kernel(tmp_path, text)
    assert kernel_version(tmp_path / "root") == version


@pytest.mark.parametrize(("number", "text"), [(12080, "12.8"), (13000, "13.0"), (11040, "11.4"), (0, None)])
def test_cuda_numbers(number: int, text: str | None) -> None:
    assert cuda_text(number) == text
