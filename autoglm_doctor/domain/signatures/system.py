"""The system below Python: what only Linux has, and the C and C++ libraries that compiled packages ask for."""

from __future__ import annotations

import re

from autoglm_doctor.domain.signatures.row import REPORTS, Signature

_WSL = ("wsl --install",)
_IN_WSL = "Run it in WSL2 or in the engine's container."
_NEWER_SYSTEM = "Use a newer system or the engine's container; or a release of which there are wheels for this glibc."
_CXX = ("conda install --yes --channel conda-forge libstdcxx-ng", "sudo apt install libstdc++6")

#: uv's hint: "You're on Linux (`manylinux_2_27_x86_64`), but `torch` (v2.7.0) only has wheels for the following ...".
_HERE = re.compile(r"You're on Linux \(`manylinux_(\d+)_(\d+)_(\w+)`\)")
_WHEELS = re.compile(r"`manylinux_(\d+)_(\d+)_(\w+)`")
_LEGACY = re.compile(r"`(?:manylinux1|manylinux2010|manylinux2014|linux)_(\w+)`")


def asks_for_a_newer_glibc(message: str) -> bool:
    """Whether uv names wheels for this machine's architecture, and each of them is for a newer glibc."""
    here = _HERE.search(message)
    if here is None:
        return False
    rest, mine = message[here.end() :], (int(here[1]), int(here[2]))
    wanted = [(int(major), int(minor)) for major, minor, arch in _WHEELS.findall(rest) if arch == here[3]]
    return bool(wanted) and min(wanted) > mine and here[3] not in _LEGACY.findall(rest)


ROWS: tuple[Signature, ...] = (
    Signature(
        "OS_UNSUPPORTED_BY_ENGINE",
        r"No module named '(resource|fcntl|termios|pwd|grp)'"
        r"|(vLLM|SGLang|LMDeploy) only supports (the )?Linux( platform)?\b"
        r"|You're on Windows .{0,40}but `(vllm|sglang|sgl-kernel|sglang-kernel|uvloop|triton|flashinfer\S*"
        r"|deep-?ep|deep-?gemm)`",
        "the engine does not run on Windows itself",
        _IN_WSL,
        _WSL,
        source="vllm issues 12425 and 12858, uv 10843",
        ends_start=True,
    ),
    Signature(
        "OS_UNSUPPORTED_BY_ENGINE",
        r"module 'os' has no attribute '(sched_getaffinity|fork|geteuid|getuid|setsid|register_at_fork)'"
        r"|Windows not yet supported for torch\.compile|use_libuv was requested but PyTorch was buil[dt] without libuv"
        r"|\[WinError (126|127|182|193|1114)\].{0,200}(torch|c10|fbgemm|cublas|cudnn)"
        r"|Microsoft Visual C\+\+ 14\.0 or greater is required|Compiler: cl is not found",
        "this is Windows, which the engine and its compilers at run time are not made for",
        _IN_WSL,
        _WSL,
        source=REPORTS,
        sure="likely",
    ),
    Signature(
        "GLIBC_TOO_OLD",
        r"You're on Linux \(`manylinux_\d+_\d+_\w+`\), but .{1,80} only has wheels for",
        "there are only wheels for a newer glibc than this system has",
        _NEWER_SYSTEM,
        ("ldd --version | head -1",),
        "reboot",
        "uv issue 14268",
        when=asks_for_a_newer_glibc,
    ),
    Signature(
        "GLIBC_TOO_OLD",
        r"feature:/linux-\w+::__glibc==",
        "conda's package needs a newer glibc than this system has",
        _NEWER_SYSTEM,
        ("ldd --version | head -1",),
        "reboot",
        REPORTS,
        sure="likely",
    ),
    Signature(
        "LIBSTDCXX_TOO_OLD",
        r"undefined reference to .{0,200}@GLIBCXX_3\.4\.\d+"
        r"|undefined symbol: _ZSt(21ios_base_library_init|28__throw_bad_array_new_length)v"
        r"|libstdc\+\+\.so\.6: cannot open shared object",
        "the C++ library that is found first is too old, or there is none",
        "Put a newer libstdc++ first in the loader's path (in conda: install libstdcxx-ng).",
        _CXX,
        source=REPORTS,
        ends_start=True,
    ),
)
