"""The exit codes, as a table; the ranking of causes; what "ready" does not say."""

from __future__ import annotations

import pytest

from autoglm_doctor.facts import Facts, Inference, Reading, known
from autoglm_doctor.finding import Finding, Fix, Status, Text
from autoglm_doctor.intent import SMOKE, Intent
from autoglm_doctor.verdict import decide

INTENT = Intent(model="org/m")
FIX = Fix(text=Text("mend it"))


def finding(code: str, status: Status, *, required: bool = False, because: str = "", ignored: bool = False) -> Finding:
    bad = status in ("fail", "warn")
    return Finding(
        code=code,
        name=code.lower(),
        title="",
        status=status,
        required=required,
        text=Text("text"),
        cause=f"CAUSE_{code}" if bad else "",
        fixes=(FIX,) if bad else (),
        because=because,
        ignored=ignored,
    )


PASS = finding("DRV001", "pass")
FAIL = finding("VRM003", "fail")
WARN = finding("DSK002", "warn")
OPEN = finding("CUD001", "unknown", required=True)


@pytest.mark.parametrize(
    ("findings", "fail_on_warning", "expected"),
    [
        pytest.param([PASS], False, ("ready", 0), id="all pass"),
        pytest.param([PASS, WARN], False, ("ready", 0), id="a warning is no failure"),
        pytest.param([PASS, WARN], True, ("warnings", 3), id="unless asked for"),
        pytest.param([PASS, FAIL], False, ("not_ready", 1), id="a failure"),
        pytest.param([PASS, OPEN], False, ("incomplete", 4), id="a required question is open"),
        pytest.param([PASS, finding("X00001", "unknown")], False, ("ready", 0), id="another one may be open"),
        pytest.param([PASS, finding("CUD001", "error", required=True)], False, ("incomplete", 4), id="a broken check"),
        pytest.param(
            [PASS, finding("VRM001", "skipped", required=True, because="gpus")],
            False,
            ("incomplete", 4),
            id="a required check was skipped for want of a fact",
        ),
        pytest.param([FAIL, OPEN, WARN], True, ("not_ready", 1), id="1 before 4 before 3"),
        pytest.param([PASS, OPEN, WARN], True, ("incomplete", 4), id="4 before 3"),
        pytest.param([], False, ("nothing_ran", 5), id="nothing ran"),
        pytest.param([finding("A00001", "not_applicable")], False, ("nothing_ran", 5), id="nothing applied"),
        pytest.param([PASS, finding("VRM003", "fail", ignored=True)], False, ("ready", 0), id="an ignored failure"),
    ],
)
def test_exit_code(findings: list[Finding], fail_on_warning: bool, expected: tuple[str, int]) -> None:
    verdict = decide(findings, INTENT, Facts(), fail_on_warning=fail_on_warning)
    assert (verdict.status, verdict.exit_code) == expected


def test_interruption_has_its_own_code_whatever_was_found() -> None:
    assert decide([FAIL], INTENT, Facts(), interrupted=True).exit_code == 130


def test_the_deepest_red_is_the_root_and_gives_the_first_fix() -> None:
    verdict = decide([FAIL, WARN, finding("DRV003", "fail")], INTENT, Facts())
    assert [c.check for c in verdict.causes] == ["DRV003", "VRM003", "DSK002"]
    assert verdict.first_fix is FIX


@pytest.mark.parametrize(
    ("intent", "facts", "expected"),
    [
        pytest.param(
            INTENT,
            Facts(model_files=Reading(outcome="absent")),
            ["the weights are not on this machine", "no model was run"],
            id="before the download",
        ),
        pytest.param(
            INTENT,
            Facts(inference=known(Inference(model=SMOKE, device="cuda:0"))),
            ["a smoke model of the same architecture was run, not the real weights"],
            id="smoke instead of the real one",
        ),
        pytest.param(
            Intent(model=SMOKE),
            Facts(inference=known(Inference(model=SMOKE, device="cpu"))),
            ["judged for the smoke model, not for a real one"],
            id="only smoke was asked for",
        ),
        pytest.param(
            INTENT, Facts(inference=known(Inference(model="/m", device="cuda:0"))), [], id="everything was run"
        ),
    ],
)
def test_what_ready_does_not_say(intent: Intent, facts: Facts, expected: list[str]) -> None:
    assert [t.template for t in decide([PASS], intent, facts).not_covered] == expected
