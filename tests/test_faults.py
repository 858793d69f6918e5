"""At least sixty ways to be sick, each on an otherwise healthy machine, and what the doctor says of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import drivers, mounts, process, systems, targets, torch_faults
from tests.faults.fault import Fault
from tests.faults.machine import Machine, can_mount, picture
from tests.faults.running import Run, check

FAULTS = [*drivers.FAULTS, *torch_faults.FAULTS, *targets.FAULTS, *systems.FAULTS, *mounts.FAULTS, *process.FAULTS]

#: What a run takes besides the hang itself, with two tests at a time on two cores.
GRACE_SECONDS = 2.0


@pytest.fixture
def machine(tmp_path: Path, stub_folder: Path) -> Machine:
    if Path("/proc/driver/nvidia/version").exists():
        pytest.skip("a real NVIDIA driver is loaded here: its version would not be the stub's")
    return Machine(tmp_path / "machine", stub_folder)


def test_the_machine_is_healthy(machine: Machine) -> None:
    """Without a fault nothing is red, yellow or open: what a row says is the fault's own doing."""
    run = check(machine, "--format", "json")
    results = run.report["results"]
    assert [r for r in results if r["status"] not in ("pass", "not_applicable")] == []
    assert (run.code, run.report["verdict"]["status"]) == (0, "ready")
    assert run.left == ()


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_fault(fault: Fault, machine: Machine) -> None:
    healthy = picture(machine)
    fault.break_it(machine)
    assert picture(machine) != healthy, "nothing was broken"
    if machine.mounts and not can_mount():
        pytest.skip("this user may not have a mount namespace")
    run = check(machine, "--format", "json")
    finding = run.finding(fault.code)
    assert (finding["status"], finding["cause"] or "") == (fault.status, fault.cause), finding
    assert run.code == fault.exit == run.report["verdict"]["exit_code"]
    for word in fault.says:
        assert word in str(finding), finding
    assert_well_ended(run)
    assert_in_time(run, fault, machine)
    assert_one_red(run, fault)
    assert fault.took_hold is None or fault.took_hold(machine, run), "the fault was not there"


def assert_well_ended(run: Run) -> None:
    assert "Traceback" not in run.err + run.out
    assert run.left == ()


def assert_in_time(run: Run, fault: Fault, machine: Machine) -> None:
    """A second and a third time before we complain: another program may have had the processors."""
    allowed = fault.limit + GRACE_SECONDS
    assert run.seconds < allowed or any(check(machine, "--format", "json").seconds < allowed for _ in range(2))


def assert_one_red(run: Run, fault: Fault) -> None:
    """One root cause, one red, with its fix; and a fault that nobody notices says why it may go unnoticed."""
    reds = [r for r in run.report["results"] if r["status"] in ("fail", "error")]
    assert [r["code"] for r in reds] == ([fault.code] if fault.status in ("fail", "error") else []), reds
    assert all(r["fix"] for r in reds if r["status"] == "fail")
    if run.report["verdict"]["status"] == "ready" and not fault.harmless:
        assert finding_is_yellow(fault), "the verdict is unchanged, and the row does not say why"


def finding_is_yellow(fault: Fault) -> bool:
    return fault.status == "warn"


def test_what_expects_a_pass_proves_that_the_fault_was_there() -> None:
    """A red speaks for itself."""
    assert [fault.name for fault in FAULTS if fault.status == "pass" and fault.took_hold is None] == []


def test_no_proof_holds_on_a_healthy_machine(machine: Machine) -> None:
    """A proof that is always there proves nothing."""
    run = check(machine, "--format", "json")
    proofs = [(fault.name, fault.took_hold) for fault in FAULTS if fault.took_hold is not None]
    assert [name for name, took_hold in proofs if took_hold(machine, run)] == []


def test_there_are_enough_faults() -> None:
    names = [fault.name for fault in FAULTS]
    assert len(names) == len(set(names)) >= 60
