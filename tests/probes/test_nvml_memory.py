"""GPUs that do not tell NVML their memory: those of system chips work in main memory, of others it is not known."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.probes import test_nvml as nvml

look, driver_folder = nvml.look, nvml.driver_folder  # fixtures

MEMINFO = "MemTotal: 127600000 kB\nMemFree: 1000 kB\nMemAvailable: 120000000 kB\n"
SHARED = [
    pytest.param("12.1", MEMINFO, (127600000 << 10, 120000000 << 10), True, id="GB10 has main memory"),
    pytest.param("11.0", MEMINFO, (127600000 << 10, 120000000 << 10), True, id="Jetson Thor as well"),
    pytest.param("12.1", "", (0, 0), True, id="main memory that cannot be read"),
    pytest.param("8.9", MEMINFO, (0, 0), False, id="a card has memory of its own, which is not known"),
    pytest.param("12.0", MEMINFO, (0, 0), False, id="so has a GeForce of the same generation"),
]


@pytest.mark.parametrize(("capability", "meminfo", "sizes", "unified"), SHARED)
def test_a_gpu_that_tells_no_memory_is_read_all_the_same(
    look: nvml.Look,
    driver_folder: Path,
    tmp_path: Path,
    capability: str,
    meminfo: str,
    sizes: tuple[int, int],
    unified: bool,
) -> None:
    (tmp_path / "root/proc").mkdir(parents=True)
    if meminfo:
        (tmp_path / "root/proc/meminfo").write_text(meminfo)
    gpus = look(driver_folder, STUB_GPUS=f"NVIDIA GB10|{capability}|1|1", STUB_UNSUPPORTED="memory v2")[1]
    (gpu,) = nvml._value(gpus)
    assert (gpu.name, gpu.compute_capability) == ("NVIDIA GB10", capability)
    assert (gpu.total_bytes, gpu.free_bytes, gpu.unified) == (*sizes, unified)


def test_a_gpu_of_a_system_chip_that_tells_its_memory_is_believed(look: nvml.Look, driver_folder: Path) -> None:
    (gpu,) = nvml._value(look(driver_folder, STUB_GPUS="NVIDIA GB10|12.1|124610|99999")[1])
    assert (gpu.total_bytes, gpu.free_bytes, gpu.unified) == (124610 * nvml.MIB, 99999 * nvml.MIB, False)
