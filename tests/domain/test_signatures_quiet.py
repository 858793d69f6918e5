"""Lines of healthy machines that look like faults, and the faults beside them, which must still tell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autoglm_doctor.domain.engine_log import Follower
from autoglm_doctor.domain.signatures import symptoms_of

QUIET = [
    json.loads(line) for line in (Path(__file__).parents[1] / "logs" / "quiet_lines.jsonl").read_text().splitlines()
]
#: Those that name no level of their own.
PREFIXES = ("", "[2025-07-27 21:33:30 TP0] ", "2026-11-20T12:00:00.108632509Z ", "\x1b[31;20m", "    ")


def told(line: str, engine: str = "") -> list[tuple[str, str, bool]]:
    return [(s.signature.cause, s.signature.sure, s.signature.warns) for s in symptoms_of([line], engine)]


@pytest.mark.parametrize("row", QUIET, ids=lambda row: row["id"])
def test_a_healthy_line_is_no_symptom(row: Any) -> None:
    for prefix in PREFIXES:
        for engine in ("", "vllm", "sglang"):
            assert told(prefix + row["line"], engine) == [], (prefix, engine)


@pytest.mark.parametrize("row", QUIET, ids=lambda row: row["id"])
def test_a_healthy_line_ends_no_start(row: Any) -> None:
    for engine in ("vllm", "sglang", "transformers"):
        assert doomed(engine, row["line"]) == ""


def doomed(engine: str, line: str) -> str:
    follower = Follower(engine)
    follower.feed(line, 0.0)
    return follower.doomed


READ_TIMEOUT = (
    "'(ReadTimeoutError(\"HTTPSConnectionPool(host='huggingface.co', port=443): Read timed out. (read timeout=10)\"), "
    "'(Request ID: 1)')' thrown while requesting HEAD https://huggingface.co/m/resolve/main/config.json"
)


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        pytest.param(READ_TIMEOUT, "HUB_UNREACHABLE", id="the hub is asked again"),
        pytest.param("which: no gcc in (/usr/bin)", "COMPILER_OR_HEADERS_MISSING", id="a script looks for gcc"),
        pytest.param(
            "pci 0000:03:00.0: BAR 1: no space for [mem size 0x10000000 64bit pref]",
            "BIOS_BAR_SETTINGS",
            id="a device of nobody knows whom has no room",
        ),
        pytest.param(
            "numba 0.61.2 requires numpy<2.3,>=1.24, but you have numpy 2.3.3 which is incompatible.",
            "DEPENDENCY_CONFLICT",
            id="NumPy is too new, and NumPy 1 is not asked for",
        ),
    ],
)
def test_what_may_be_nothing_is_yellow_and_ends_no_start(line: str, cause: str) -> None:
    assert [(found, warns) for found, _, warns in told(line)] == [(cause, True)]
    assert doomed("vllm", line) == ""


def test_a_hub_that_does_not_answer_in_the_end_is_red() -> None:
    last = (
        "huggingface_hub.errors.LocalEntryNotFoundError: An error happened while trying to locate the file on the Hub"
    )
    found = symptoms_of([READ_TIMEOUT, last])
    assert [(s.signature.cause, s.signature.warns) for s in found] == [("HUB_UNREACHABLE", False)]


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        pytest.param("OSError: Repo id must be in the form 'a/b': '/m/x/y'", "MODEL_PATH_WRONG", id="a folder"),
        pytest.param("OSError: [Errno 98] Port 8000 is already in use", "PORT_IN_USE", id="a port"),
        pytest.param(
            "modprobe: ERROR: could not insert 'nvidia': Invalid argument", "KERNEL_MODULE_NOT_BUILT", id="module"
        ),
        pytest.param(
            "nvidia_drm: Unknown symbol drm_open (err -2)", "KERNEL_MODULE_NOT_BUILT", id="module of the screen"
        ),
        pytest.param("ACS is enabled on 0000:00:01.0", "P2P_BROKEN_ACS_IOMMU", id="ACS that is on"),
        pytest.param("ACS redirects the copies", "P2P_BROKEN_ACS_IOMMU", id="ACS that redirects"),
        pytest.param("./simpleP2P: Test failed!", "P2P_BROKEN_ACS_IOMMU", id="a sample that fails"),
        pytest.param(
            "nvidia-fabricmanager.service: Failed with result 'exit-code'.", "FABRIC_MANAGER_MISSING", id="unit"
        ),
        pytest.param("        Uncorrectable Error               : 3", "GPU_HARDWARE_ERROR", id="a count"),
        pytest.param("Row remapping failure: row remapper failure occurred", "GPU_HARDWARE_ERROR", id="no row left"),
        pytest.param("Exclusive_Process: a second process cannot start", "GPU_MEMORY_TAKEN_BY_OTHERS", id="mode"),
        pytest.param("max locked memory (kbytes, -l) 64", "MEMLOCK_LIMIT_LOW", id="a limit"),
        pytest.param(
            "vllm 0.11.0 requires xgrammar==0.1.25, which is not installed.",
            "DEPENDENCY_CONFLICT",
            id="an engine's need",
        ),
        pytest.param(
            "x 1.0 requires numpy<2,>=1.24, but you have numpy 2.3.3 which is incompatible.", "NUMPY2_ABI", id="NumPy 1"
        ),
        pytest.param(
            "x 1.0 requires numpy<2.0.0,>=1, but you have numpy 2.0.2 which is incompatible.", "NUMPY2_ABI", id="2.0.0"
        ),
        pytest.param(
            "WARNING: You do not appear to have an NVIDIA GPU supported by the 550.54.14 NVIDIA Linux graphics driver",
            "DRIVER_TOO_OLD",
            id="an installer from before Blackwell",
        ),
        pytest.param("RuntimeError: CUDA Toolkit not found", "NVCC_MISSING_FOR_JIT", id="no toolkit"),
        pytest.param(
            'time="2026-07-01T12:10:50Z" level=error msg="could not select device driver with capabilities: [[gpu]]"',
            "CONTAINER_TOOLKIT_MISSING",
            id="a daemon's error",
        ),
        pytest.param(
            "ImportError: cannot import name 'x' from 'outlines.y' (/home/u/v/lib/python3.11/site-packages/outlines/y.py)",
            "DEPENDENCY_CONFLICT",
            id="an installed package",
        ),
    ],
)
def test_the_fault_beside_it_still_tells(line: str, cause: str) -> None:
    assert [found for found, _, _ in told(line)] == [cause]


def test_no_window_is_a_gpus_fault_beside_words_of_nvidia() -> None:
    lines = ["pci 0000:0a:00.0: BAR 1: no space for [mem size 0x10000000]", "NVRM: no GPU was found"]
    assert [s.signature.warns for s in symptoms_of([lines[1], lines[0]])] == [False]


@pytest.mark.parametrize(
    ("lines", "causes"),
    [
        pytest.param([], ["CPU_ONLY_TORCH"], id="torch sees no GPU"),
        pytest.param(
            ["Could not find the bitsandbytes CUDA binary at PosixPath('/v/libbitsandbytes_cuda128.so')"],
            ["EXTENSION_ABI_MISMATCH"],
            id="no library for torch's CUDA",
        ),
    ],
)
def test_why_bitsandbytes_computes_on_the_cpu(lines: list[str], causes: list[str]) -> None:
    last = "The installed version of bitsandbytes was compiled without GPU support."
    assert [s.signature.cause for s in symptoms_of([*lines, last])] == causes
