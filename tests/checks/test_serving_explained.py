"""INF005 steps aside for another red only where that can be the root of what the log names."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.api import Fix, Text, check, fail
from autoglm_doctor.checks.serving import server_starts
from autoglm_doctor.checks.serving_causes import ROOTS, roots_for
from autoglm_doctor.domain.signatures import TABLE
from autoglm_doctor.facts import Facts, known
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.runner import run_checks
from tests.checks.serving_cases import README, VLLM, died, gpu

PORT = "ERROR: [Errno 98] error while attempting to bind on address ('127.0.0.1', 8000): address already in use"
CUT = "safetensors_rust.SafetensorError: Error while deserializing header: incomplete metadata"
FULL = "OSError: [Errno 28] No space left on device"
ABI = "ImportError: /x/vllm/_C.abi3.so: undefined symbol: _ZN3c10"


def red(code: str) -> Any:
    """A check that is red whatever is read."""

    def judge(intent: Any) -> Any:
        """A check for these tests is red."""
        yield fail(Text("red"), fix=Fix(text=Text("mend it")))

    judge.__annotations__ = {}
    return check(code, "always-red", cause="OTHER")(judge)


@pytest.mark.parametrize(
    ("words", "other", "hidden"),
    [
        pytest.param(PORT, "DSK001", False, id="a taken port and a full disk"),
        pytest.param(PORT, "PKG001", False, id="a taken port and a conflict of packages"),
        pytest.param(CUT, "LIM001", False, id="a damaged file and a low limit"),
        pytest.param(CUT, "MDL001", True, id="a damaged file, found before"),
        pytest.param(FULL, "DSK001", True, id="a full disk, found before"),
        pytest.param(FULL, "PKG001", False, id="a full disk and a conflict of packages"),
        pytest.param(ABI, "PKG001", True, id="a wrong build and a conflict of packages"),
        pytest.param(ABI, "DSK001", False, id="a wrong build and a full disk"),
        pytest.param("It never rains", "PKG001", True, id="unknown words and a conflict of packages"),
    ],
)
def test_only_what_can_be_the_root_explains(words: str, other: str, hidden: bool) -> None:
    facts = Facts(serving=known(died(words)), gpus=known((gpu(),)), packages=known(VLLM))
    _, start = run_checks([red(other), server_starts], facts, README, load_matrix())
    assert (start.status, start.because) == (("skipped", other) if hidden else ("fail", ""))


def test_every_cause_follows_from_checks_that_there_are() -> None:
    for row in TABLE:
        assert set(roots_for(row.cause)) <= set(ROOTS), row.cause
