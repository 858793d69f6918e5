"""GPU code of the engines, read from the headers of their libraries."""

from __future__ import annotations

import _ctypes
import mmap
import os
import re
import struct
from pathlib import Path

import pytest

from autoglm_doctor.facts import KernelLibrary
from autoglm_doctor.probes.elf import section, versions
from autoglm_doctor.probes.kernels import _newest, probe
from tests.probes.gpu_code import elf, fatbin

BASE = fatbin("sm_70 sm_80 sm_90 sm_100")  # what vLLM compiles for every GPU
HOPPER, MARLIN = fatbin("sm_90a"), fatbin("compute_80 sm_80")


def put(folder: Path, name: str, content: bytes) -> None:
    """A file of an installed package."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def read(*folders: Path) -> tuple[KernelLibrary, ...]:
    """What the probe says of these folders of packages."""
    ((name, reading),) = probe({"sys_path": ["", *map(str, folders)]})
    assert (name, reading.outcome) == ("kernels", "known")
    return reading.value or ()


def test_the_kernels_of_most_files_are_the_common_ones(tmp_path: Path) -> None:
    put(tmp_path, "vllm/_C.abi3.so", elf(BASE * 29 + HOPPER * 20 + MARLIN * 12 + fatbin("sm_52 compute_52")))
    (library,) = read(tmp_path)
    assert library == KernelLibrary(
        package="vllm",
        name="vllm/_C.abi3.so",
        common=("sm_70", "sm_80", "sm_90", "sm_100"),
        others=("sm_90a", "compute_80"),  # without the stray for 5.2
    )


def test_vllm_s_two_libraries_are_one_set(tmp_path: Path) -> None:
    """In 0.23.0 most kernels of _C are special ones: alone it would refuse an A100."""
    put(tmp_path, "vllm/_C.abi3.so", elf(HOPPER * 10 + MARLIN * 7 + BASE))
    put(tmp_path, "vllm/_C_stable_libtorch.abi3.so", elf(BASE * 31 + HOPPER * 9))
    (library,) = read(tmp_path)
    assert "sm_80" in library.common


def test_ptx_and_what_runs_on_one_gpu_only_are_told(tmp_path: Path) -> None:
    put(tmp_path, "vllm/vllm_flash_attn/_vllm_fa2_C.abi3.so", elf(fatbin("compute_80 sm_80", "9.0") * 3))
    put(tmp_path, "sgl_kernel/sm100/common_ops.abi3.so", elf(fatbin("sm_80 sm_100f sm_120a sm_90a") * 3))
    attention, sglang = read(tmp_path)
    assert (attention.common, attention.ptx) == (("sm_80", "compute_80"), "9.0")
    assert (sglang.common, sglang.ptx) == (("sm_80", "sm_90a", "sm_100f", "sm_120a"), "")


def test_the_first_folder_that_holds_a_library_counts(tmp_path: Path) -> None:
    for folder, code in (("first", "sm_80"), ("second", "sm_90")):
        put(tmp_path / folder, "flash_attn_2_cuda.cpython-312-x86_64-linux-gnu.so", elf(fatbin(code)))
    (library,) = read(tmp_path / "empty", tmp_path / "first", tmp_path / "second")
    assert (library.package, library.common) == ("flash-attn", ("sm_80",))


def test_padding_between_containers_is_passed_over(tmp_path: Path) -> None:
    put(
        tmp_path,
        "sgl_kernel/common_ops.abi3.so",
        elf(BASE + b"\0" * 24 + BASE + b"\0" * 4000 + HOPPER + b"\0" * 9000 + HOPPER * 9),
    )
    (library,) = read(tmp_path)
    assert (library.common, library.others) == (("sm_70", "sm_80", "sm_90", "sm_100"), ("sm_90a",))


UNREADABLE = {
    "empty": b"",
    "no ELF": b"x" * 5000,
    "a git-lfs pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4\n",
    "cut short": elf(BASE * 3)[:400],
    "without GPU code": elf(b"\0" * 64, name=b".rodata"),
    "a container that is 0 long": elf(struct.pack("<IHHQ", 0xBA55ED50, 1, 0, 0)),
    "an entry that is 0 long": elf(struct.pack("<IHHQ", 0xBA55ED50, 1, 16, 64) + b"\x02\0\x01\x01" + b"\0" * 60),
}


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_cannot_be_read_is_left_out(content: bytes, tmp_path: Path) -> None:
    put(tmp_path, "vllm/_C.abi3.so", content)
    assert read(tmp_path) == ()


def test_half_of_a_set_proves_nothing(tmp_path: Path) -> None:
    put(tmp_path, "vllm/_C.abi3.so", elf(HOPPER * 9))
    put(tmp_path, "vllm/_C_stable_libtorch.abi3.so", b"cut")
    (tmp_path / "sgl_kernel").mkdir()
    os.mkfifo(tmp_path / "sgl_kernel" / "common_ops.abi3.so")
    assert read(tmp_path) == ()


def test_versions_that_a_library_asks_for(tmp_path: Path) -> None:
    """A library of this Python's own: the names of versions stand nowhere else in it."""
    real = Path(_ctypes.__file__).read_bytes()
    put(tmp_path, "_ctypes.so", real)
    with (tmp_path / "_ctypes.so").open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        found = set(versions(data))
    said = {one.decode() for one in re.findall(rb"\bGLIBC_[\d.]+", real)}
    assert said
    assert said == {one for one in found if one.startswith("GLIBC_")}


def test_a_version_that_may_be_missing_is_not_asked_for(tmp_path: Path) -> None:
    """The loader only warns of a weak one (VER_FLG_WEAK)."""
    real = bytearray(Path(_ctypes.__file__).read_bytes())
    put(tmp_path, "_ctypes.so", bytes(real))

    def asked(name: str) -> tuple[int, tuple[str, ...]]:
        with (
            (tmp_path / name).open("rb") as stream,
            mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            return section(data, b".gnu.version_r")[0], versions(data)

    at, before = asked("_ctypes.so")
    (first,) = struct.unpack_from("<I", real, at + 8)  # vn_aux of the first library
    real[at + first + 4] |= 0x2  # vna_flags of its first version
    put(tmp_path, "weak.so", bytes(real))
    assert before
    assert asked("weak.so")[1] == before[1:]


@pytest.mark.parametrize("cut", [200, 0.5, 0.9])
def test_a_library_that_is_cut_short_says_so_or_less(tmp_path: Path, cut: float) -> None:
    real = Path(_ctypes.__file__).read_bytes()
    put(tmp_path, "vllm/_C.abi3.so", real[: int(cut if cut > 1 else len(real) * cut)])
    assert read(tmp_path) == ()


def test_the_newest_of_the_versions_counts() -> None:
    asked = ("GLIBC_2.4", "GLIBC_2.34", "GLIBC_PRIVATE", "GLIBCXX_3.4.9", "GLIBCXX_3.4.30", "CXXABI_1.3.13")
    assert (_newest(asked, "GLIBC_"), _newest(asked, "GLIBCXX_"), _newest((), "GLIBC_")) == ("2.34", "3.4.30", "")
