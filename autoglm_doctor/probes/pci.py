"""NVIDIA GPUs on the PCI bus, seen without any driver."""

from __future__ import annotations

from pathlib import Path

from autoglm_doctor.facts import PciGpu

_NVIDIA = "0x10de"
#: VGA controller and 3D controller; the sound device of the same card has class 0x0403.
_DISPLAY = ("0x0300", "0x0302")


def read_pci_gpus(root: Path) -> tuple[PciGpu, ...]:
    """In the order of their addresses.

    Raises:
        OSError: sysfs shows no PCI bus (WSL, some containers and virtual machines).
    """
    folders = sorted((root / "sys/bus/pci/devices").iterdir())
    return tuple(_device(folder) for folder in folders if _is_gpu(folder))


def _is_gpu(folder: Path) -> bool:
    return _word(folder / "vendor") == _NVIDIA and _word(folder / "class").startswith(_DISPLAY)


def _device(folder: Path) -> PciGpu:
    driver = folder / "driver"
    return PciGpu(
        address=folder.name,
        device_id=_word(folder / "device"),
        driver=driver.resolve().name if driver.is_symlink() else None,
    )


def _word(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip().lower()
    except OSError:
        return ""
