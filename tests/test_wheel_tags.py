"""A wheel whose name does not fit what is stated beside it."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.loose.judge import diagnose
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.registry import load_checks

PYTHON, GLIBC, SYSTEM = "PYTHON_UNSUPPORTED", "GLIBC_TOO_OLD", "OS_UNSUPPORTED_BY_ENGINE"
ABI3 = "vllm-0.30.0+cpu-cp38-abi3-manylinux_2_35_x86_64.whl"
ONE = "flash_attn-2.8.3+cu12torch2.8cxx11abiTRUE-cp312-cp312-linux_x86_64.whl"
PURE = "sglang-0.5.6-py3-none-any.whl"
HERE = {"os": "Ubuntu 22.04", "libc": "glibc-2.35", "python": "3.10.12"}

ROWS = {
    "for a newer glibc": (ABI3, {**HERE, "libc": "glibc-2.31", "os": "Ubuntu 20.04"}, [GLIBC]),
    "for this glibc": (ABI3, HERE, []),
    "an old name that this glibc fits": ("a-1-cp310-cp310-manylinux2014_x86_64.whl", HERE, []),
    "two names, of which one fits": ("a-1-cp310-cp310-manylinux_2_39_x86_64.manylinux2014_x86_64.whl", HERE, []),
    "for another Python": (ONE, HERE, [PYTHON]),
    "for an older Python": (ONE, {**HERE, "python": "3.13"}, [PYTHON]),
    "for this Python": (ONE, {**HERE, "python": "3.12.4"}, []),
    "the stable ABI of an older one": (ABI3, {**HERE, "python": "3.13.1"}, []),
    "a stable ABI that is newer": ("a-1-cp312-abi3-linux_x86_64.whl", HERE, [PYTHON]),
    "for any Python": (PURE, HERE, []),
    "of another Python than CPython": ("a-1-pp310-pypy310_pp73-linux_x86_64.whl", HERE, []),
    "for Linux, on Windows": (ONE, {"os": "Windows 11", "python": "3.12"}, [SYSTEM]),
    "for Windows, on Windows": (ONE.replace("linux_x86_64", "win_amd64"), {"os": "Windows 11", "python": "3.12"}, []),
    "for any system, on Windows": (PURE, {"os": "Windows 11", "python": "3.12"}, []),
    "nothing is stated": (ONE, {}, []),
    "no wheel's name": ("flash_attn-latest.whl", HERE, []),
}


def causes(stated: dict[str, Any], symptom: str | None = None) -> list[str]:
    data: dict[str, Any] = {"facts": stated} | ({"symptom": symptom} if symptom else {})
    return [one.cause for one in diagnose("x", data, load_checks().checks, load_matrix()).causes]


@pytest.mark.parametrize(("name", "stated", "found"), [pytest.param(*row, id=key) for key, row in ROWS.items()])
def test_a_wheel_that_is_stated_or_refused(name: str, stated: dict[str, Any], found: list[str]) -> None:
    assert causes({**stated, "wheel": name}) == found
    guessed = [PYTHON] if name == ONE and not stated else found
    assert causes(stated, f"ERROR: {name} is not a supported wheel on this platform.") == guessed


def test_a_wheel_that_a_text_only_speaks_of_is_no_fault() -> None:
    assert causes(HERE, f"Downloading {ONE} (250 MB)") == []
