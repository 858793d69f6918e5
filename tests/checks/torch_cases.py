"""What the tests of TOR share."""

from __future__ import annotations

from typing import Any

from autoglm_doctor.facts import (
    Distribution,
    Driver,
    Gpu,
    Host,
    Interpreter,
    Packages,
    Reading,
    Torch,
)
from autoglm_doctor.finding import Finding
from autoglm_doctor.intent import Intent
from autoglm_doctor.testing import judge

PYTHON = Interpreter(executable="/v/bin/python", version="3.11.7")
PIP = Distribution(name="pip", version="25.0")
PIP_LINE = "/v/bin/python -m pip "
WHEEL = ("sm_70", "sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120")
TORCH = Torch(version="2.9.1+cu128", cuda="12.8", architectures=WHEEL, location="/v/lib/torch")
CPU_TORCH = Torch(version="2.9.1+cpu", location="/v/lib/torch")
OLD_DRIVER, NEW_DRIVER = (
    Driver(version="550.54.14", cuda_version="12.4"),
    Driver(version="580.95.05", cuda_version="13.0"),
)


def gpu(capability: str = "8.9", index: int = 0) -> Gpu:
    return Gpu(
        index=index, name=f"GPU {capability}", compute_capability=capability, total_bytes=1 << 34, free_bytes=1 << 34
    )


def packages(**versions: str) -> Packages:
    return Packages(distributions=(PIP, *(Distribution(name=n, version=v) for n, v in versions.items())))


def one(check: Any, **given: Any) -> Finding:
    (finding,) = judge(check, **{"interpreter": PYTHON, "packages": packages(), **given})
    return finding


INDEX = "--extra-index-url https://download.pytorch.org/whl/"
X86, ARM = (Host(system="Linux", machine=m, kernel="6") for m in ("x86_64", "aarch64"))


def died(why: str, outcome: Any = "failed") -> Reading[Any]:
    return Reading(outcome=outcome, why=why)


ABSENT: Reading[Any] = Reading(outcome="absent", why="there is no libcuda.so.1")


def intent(**values: Any) -> Intent:
    return Intent(**{"model": "zai-org/AutoGLM-Phone-9B", "profile": "autoglm-phone-9b", **values})
