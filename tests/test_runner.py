"""Readings become findings: absent skips, unread is unknown, one root is one red, silence and crashes are errors."""

from __future__ import annotations

import pytest

from autoglm_doctor.api import Check, Driver, Findings, Fix, Gpu, Intent, Reading, Text, Torch, check, fail, ok, unknown
from autoglm_doctor.errors import DoctorError
from autoglm_doctor.facts import Distribution, Facts, Interpreter, Packages, known
from autoglm_doctor.intent import Intent as IntentType
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.runner import facts_needed, needs, run_checks

FIX = Fix(text=Text("mend it"), commands=("true",))
INTENT = IntentType(model="org/m")
GPU = Gpu(index=0, name="x", compute_capability="8.9", total_bytes=1, free_bytes=1)


@check("AAA001", "root", cause="ROOT", required=True)
def root(driver: Reading[Driver]) -> Findings:
    """There is a driver."""
    if driver.value is None:
        yield fail(Text("no driver"), fix=FIX)
    else:
        yield ok(Text("driver {v}", {"v": driver.value.version}))


@check("BBB001", "leaf", cause="LEAF", explained_by=("AAA001",))
def leaf(gpus: tuple[Gpu, ...], intent: Intent) -> Findings:
    """There are GPUs."""
    for gpu in gpus:
        yield ok(Text("{m}", {"m": intent.model}), subject=f"gpu:{gpu.index}")


@check("CCC001", "deeper", cause="DEEPER", explained_by=("BBB001",))
def deeper(torch: Torch | None) -> Findings:
    """Torch is fine."""
    yield unknown(Text("no idea")) if torch is None else ok(Text("fine"))


@check("DDD001", "raises", cause="X")
def raises(intent: Intent) -> Findings:
    """This check is broken."""
    yield ok(Text("first"))
    raise RuntimeError("boom")


@check("DDD002", "silent", cause="X")
def silent(intent: Intent) -> Findings:
    """This check says nothing."""
    yield from ()


@check("EEE001", "asks-for-nonsense", cause="X")
def nonsense(weather: str) -> Findings:
    """It never rains."""
    yield ok(Text(weather))


def statuses(facts: Facts, *checks: Check) -> dict[str, str]:
    return {f.code: f.status for f in run_checks(checks, facts, INTENT, load_matrix())}


ABSENT: Reading[tuple[Gpu, ...]] = Reading(outcome="absent", why="there is no driver")


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param(
            Facts(driver=known(Driver(version="1")), gpus=known((GPU,)), torch=known(Torch(version="2"))),
            {"AAA001": "pass", "BBB001": "pass", "CCC001": "pass"},
            id="all known",
        ),
        pytest.param(
            Facts(driver=Reading(outcome="absent"), gpus=ABSENT),
            {"AAA001": "fail", "BBB001": "skipped", "CCC001": "skipped"},
            id="the root is red, what hangs on it is skipped",
        ),
        pytest.param(
            Facts(
                driver=known(Driver(version="1")),
                gpus=Reading(outcome="failed", why="lost"),
                torch=known(Torch(version="2")),
            ),
            {"AAA001": "pass", "BBB001": "unknown", "CCC001": "pass"},
            id="a failed reading is unknown",
        ),
        pytest.param(
            Facts(driver=known(Driver(version="1")), gpus=Reading(outcome="timeout"), torch=known(Torch(version="2"))),
            {"AAA001": "pass", "BBB001": "unknown", "CCC001": "pass"},
            id="a time-out is unknown",
        ),
        pytest.param(
            Facts(driver=known(Driver(version="1"))),
            {"AAA001": "pass", "BBB001": "unknown", "CCC001": "unknown"},
            id="what nobody read is unknown",
        ),
    ],
)
def test_readings_become_statuses(facts: Facts, expected: dict[str, str]) -> None:
    assert statuses(facts, root, leaf, deeper) == expected


def test_order_of_the_checks_changes_nothing() -> None:
    facts = Facts(driver=Reading(outcome="absent"), gpus=ABSENT)
    assert statuses(facts, deeper, leaf, root) == statuses(facts, root, leaf, deeper)


def test_a_skipped_finding_names_its_root() -> None:
    facts = Facts(driver=Reading(outcome="absent"), gpus=ABSENT)
    found = {f.code: f for f in run_checks([root, leaf, deeper], facts, INTENT, load_matrix())}
    assert found["BBB001"].because == "AAA001"
    assert found["CCC001"].because == "AAA001"
    assert found["CCC001"].fixes == ()


def test_a_red_of_another_gpu_explains_nothing() -> None:
    @check("GGG001", "first", cause="G")
    def first(gpus: tuple[Gpu, ...]) -> Findings:
        """One is bad."""
        yield fail(Text("bad"), fix=FIX, subject="gpu:0")

    @check("GGG002", "second", cause="G", explained_by=("GGG001",))
    def second(gpus: tuple[Gpu, ...]) -> Findings:
        """Both are bad."""
        yield fail(Text("bad"), fix=FIX, subject="gpu:0")
        yield fail(Text("bad"), fix=FIX, subject="gpu:1")

    findings = run_checks([first, second], Facts(gpus=known((GPU,))), INTENT, load_matrix())
    assert [(f.code, f.subject, f.status) for f in findings[1:]] == [
        ("GGG002", "gpu:0", "skipped"),
        ("GGG002", "gpu:1", "fail"),
    ]


def test_a_check_that_raises_costs_one_line() -> None:
    findings = run_checks([raises, leaf], Facts(gpus=known((GPU,))), INTENT, load_matrix())
    assert [(f.code, f.status) for f in findings] == [("DDD001", "error"), ("BBB001", "pass")]


def test_silence_is_an_error() -> None:
    assert statuses(Facts(), silent) == {"DDD002": "error"}


def test_the_signature_tells_which_probes_must_run() -> None:
    assert facts_needed([root, leaf]) == {"driver", "gpus"}


def test_an_unknown_fact_is_refused_by_name() -> None:
    with pytest.raises(DoctorError, match="weather"):
        needs(nonsense)


def test_no_red_without_a_fix() -> None:
    with pytest.raises(ValueError, match="without a fix"):
        fail(Text("bad"), fix=())


@pytest.mark.parametrize("code", ["VRM1", "vrm001", "VRM0001", "123ABC", ""])
def test_a_code_has_one_form(code: str) -> None:
    with pytest.raises(ValueError, match="three capitals"):
        check(code, "x", cause="X")


def test_a_check_needs_a_page() -> None:
    with pytest.raises(ValueError, match="docstring"):

        @check("ZZZ001", "x", cause="X")
        def mute(intent: Intent) -> Findings:
            yield ok(Text("x"))


def test_a_text_that_cannot_be_rendered_costs_one_line() -> None:
    @check("HHH001", "mumbles", cause="X")
    def mumbles(intent: Intent) -> Findings:
        """It speaks clearly."""
        yield ok(Text("{n:parsecs} of {what}", {"n": 3}))

    assert statuses(Facts(), mumbles) == {"HHH001": "error"}


def test_a_question_that_could_not_be_asked_explains_no_fault() -> None:
    """No driver, so no GPUs, so `leaf` is skipped: that is no reason for a missing package."""

    @check("III001", "package", cause="PACKAGE", explained_by=("BBB001",))
    def package(intent: Intent) -> Findings:
        """The package is there."""
        yield fail(Text("it is missing"), fix=FIX)

    facts = Facts(driver=Reading(outcome="absent"), gpus=ABSENT)
    assert statuses(facts, root, leaf, package) == {"AAA001": "fail", "BBB001": "skipped", "III001": "fail"}


@check("EEE001", "installs", cause="X")
def installs(interpreter: Interpreter | None) -> Findings:
    """This check says what to install."""
    python = interpreter.executable if interpreter else "python3"
    yield fail(Text("no engine"), fix=Fix(text=Text("install it"), commands=(f"{python} -m pip install vllm",)))


@pytest.mark.parametrize(
    ("managed", "commands"),
    [
        pytest.param(
            True,
            ("/usr/bin/python3 -m venv serve", "serve/bin/python -m pip install vllm"),
            id="a Python that takes no packages",
        ),
        pytest.param(False, ("/usr/bin/python3 -m pip install vllm",), id="one that takes them"),
        pytest.param(None, ("/usr/bin/python3 -m pip install vllm",), id="a reading of before"),
    ],
)
def test_install_lines_are_those_that_the_python_takes(managed: bool | None, commands: tuple[str, ...]) -> None:
    python = Interpreter(executable="/usr/bin/python3", version="3.12.3", externally_managed=managed)
    packages = Packages(distributions=(Distribution(name="vllm", version="0.12.0"),))
    facts = Facts(interpreter=known(python), packages=known(packages))
    (finding,) = run_checks([installs], facts, IntentType(model="m", engine="vllm"), load_matrix())
    assert finding.fixes[0].commands == commands
