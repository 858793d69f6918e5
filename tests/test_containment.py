"""What keeps one broken part from taking the rest along: limits, scratch space, calls that hang, checks that run wild."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from autoglm_doctor import limits, runner, scratch
from autoglm_doctor.api import Check, Findings, Host, Memory, Text, check, fail, ok, unknown
from autoglm_doctor.errors import DoctorError
from autoglm_doctor.facts import Facts, Reading, known
from autoglm_doctor.finding import Finding, Fix
from autoglm_doctor.interruption import cpu_limit, within
from autoglm_doctor.launch import default_intent
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.runner import run_checks
from autoglm_doctor.steps import STEPS

FIX = Fix(text=Text("mend it"), commands=("true",))
FACTS = Facts(memory=known(Memory(total_bytes=1, available_bytes=1)))


def judged(*checks: Check, facts: Facts = FACTS) -> list[Finding]:
    return list(run_checks(checks, facts, default_intent(), load_matrix()))


def wild(body: Callable[[], Findings]) -> Check:
    @check("ZZZ001", "wild", cause="WILD")
    def one(memory: Memory) -> Findings:
        """It is well."""
        yield from body()

    return one


def leaves() -> Findings:
    sys.exit(0)
    yield ok(Text("never said"))


def loops() -> Findings:
    while True:
        pass
    yield ok(Text("never said"))


def chatters() -> Findings:
    while True:
        yield ok(Text("well"))


def mumbles() -> Findings:
    yield "not a judgement"  # type: ignore[misc]


def is_silent() -> Findings:
    yield from ()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param(leaves, "SystemExit", id="leaves"),
        pytest.param(loops, "TimeoutError", id="loops"),
        pytest.param(chatters, "10000", id="never ends to speak"),
        pytest.param(mumbles, "str", id="says no judgement"),
        pytest.param(is_silent, "said nothing", id="says nothing"),
    ],
)
def test_a_wild_check_costs_one_line(body: Callable[[], Findings], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if body is loops:
        monkeypatch.setattr(runner, "CHECK_CPU_SECONDS", 0.2)
    [finding] = judged(wild(body))
    assert finding.status == "error"
    assert said in str(finding.text.params["error"])


def test_ctrl_c_is_no_broken_check() -> None:
    def interrupted() -> Findings:
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        judged(wild(interrupted))


@check("ROO001", "root", cause="ROOT")
def root(memory: Memory) -> Findings:
    """It is well."""
    yield fail(Text("it is not"), fix=FIX)


def left_open(status: str) -> Check:
    @check("LEA001", "leaf", cause="LEAF", left_open_by=("ROO001",))
    def leaf(memory: Memory) -> Findings:
        """It is well."""
        yield unknown(Text("who knows")) if status == "unknown" else fail(Text("ill by itself"), fix=FIX)

    return leaf


@pytest.mark.parametrize(("status", "told"), [("unknown", "skipped"), ("fail", "fail")])
def test_a_root_that_leaves_a_question_open_does_not_hide_a_red(status: str, told: str) -> None:
    finding = judged(left_open(status), root)[0]
    assert finding.status == told


def test_the_clock_of_a_check_stops_with_it() -> None:
    before = signal.getsignal(signal.SIGVTALRM)
    with cpu_limit(0.05):
        pass
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    assert signal.getsignal(signal.SIGVTALRM) is before
    assert signal.getitimer(signal.ITIMER_VIRTUAL)[0] == 0


def test_a_call_that_hangs_is_left_alone() -> None:
    release = threading.Event()
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        within(0.2, release.wait)
    assert time.monotonic() - started < 2
    release.set()


def test_a_call_in_time_gives_its_answer_or_its_error() -> None:
    assert within(5, lambda: 42) == 42
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 // 0)


def test_every_probe_has_its_limit_in_the_table_and_no_other_is_there() -> None:
    assert {step.probe.name for step in STEPS} == set(limits.PROBE_SECONDS)


@pytest.mark.parametrize("variable", ["TMPDIR", "TEMP", "TMP"])
def test_scratch_files_go_where_the_user_says(variable: str, tmp_path: Path) -> None:
    with scratch.scratch_folder({variable: str(tmp_path)}) as folder:
        assert folder.parent == tmp_path
        (folder / "left").mkdir()
    assert list(tmp_path.iterdir()) == []


def test_scratch_files_go_to_the_next_place_that_takes_them(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with scratch.scratch_folder({"TMPDIR": str(tmp_path / "file"), "TMP": "/proc"}) as folder:
        assert folder.is_dir()
        assert tmp_path not in folder.parents


def test_without_any_place_it_is_the_user_who_can_mend_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(scratch, "_places", lambda _: [str(tmp_path / "file"), "/proc"])
    with pytest.raises(DoctorError, match="TMPDIR="), scratch.scratch_folder({}):
        pass


def test_a_host_that_is_not_read_leaves_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    unread: Reading[Host] = Reading(outcome="failed", why="Too many open files")

    @check("HHH001", "needs-host", cause="H")
    def needs_host(host: Host) -> Findings:
        """It is well."""
        yield ok(Text("well"))

    one, two = judged(needs_host, root, facts=Facts(host=unread, memory=FACTS.memory))
    assert (one.status, two.status) == ("unknown", "fail")
    assert one.text.params["why"] == "Too many open files"
