"""A Jetson shows by its board's name, a file of its system or a folder of its kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoglm_doctor.probes.osinfo import read_host

SIGNS = {
    "the board's name": ("proc/device-tree/model", "NVIDIA Jetson AGX Orin Developer Kit\0", True),
    "an old board's name": ("proc/device-tree/model", "NVIDIA Tegra X1\0", True),
    "the file of its system": ("etc/nv_tegra_release", "# R36 (release), REVISION: 4.3\n", True),
    "the folder of its kernel, as in a container": ("sys/class/tegra-firmware/x", "", True),
    "another board": ("proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0", False),
    "none of it": ("proc/version", "Linux version 6.8\n", False),
}


@pytest.mark.parametrize(("path", "text", "is_jetson"), SIGNS.values(), ids=SIGNS)
def test_signs_of_a_jetson(tmp_path: Path, path: str, text: str, is_jetson: bool) -> None:
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_text(text)
    assert read_host(tmp_path, {}).tegra is is_jetson
