"""2,000 machines that are healthy by construction: no red, and a yellow only where the table below says why."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.restraint.as_facts import full, loose
from tests.restraint.healthy import Machine, machines, of_today
from tests.restraint.judged import findings, judged, told
from tests.restraint.rows import rows

SEED, ALL, SAMPLE = 20261121, 2000, 150

#: Checks that may be yellow on a healthy machine, with the reason.
YELLOW = {
    "CFG005": "a model that fits on one GPU is split over two: two copies would serve more",
    "PKG006": "torch for CUDA 11 brings a triton that assembles for CUDA 12: torch.compile fails on a driver of CUDA 11",
}

#: How the machine is told: as a full reading with and without an import of torch, in all loose keys, in some of them.
FORMS = ("full", "not imported", "loose", "partial")


def complaints(machine: Machine, number: int) -> Iterator[str]:
    """What is red or broken, and what is yellow without a reason, in each form."""
    for form in FORMS:
        rng = random.Random(f"{SEED} {number} {form}")
        if form in ("full", "not imported"):
            found = findings(*full(machine, rng, ran=form == "full"))
            said = told(found, "fail", "error")
            said += told([one for one in found if one.code not in YELLOW], "warn")
        else:
            causes = judged(loose(machine, rng, all_of_it=form == "loose")).causes
            said = [f"{c.check} {c.cause}: {c.text}" for c in causes if c.status == "fail" or c.check not in YELLOW]
        yield from (f"{form}: {one} -- {machine}" for one in said)


def all_complaints(count: int, seed: int) -> list[str]:
    return [one for number, machine in enumerate(machines(seed, count)) for one in complaints(machine, number)]


def test_a_sample_of_healthy_machines() -> None:
    found = all_complaints(SAMPLE, SEED)
    assert not found, f"{len(found)} complaints, the first: {found[0]}"


@pytest.mark.slow
def test_all_healthy_machines() -> None:
    found = all_complaints(ALL, SEED + 1)
    assert not found, f"{len(found)} complaints {Counter(one.split()[1] for one in found)}, the first: {found[0]}"


def test_the_sample_is_a_cross_section() -> None:
    """A generator that draws the same few machines again and again would prove nothing."""
    drawn = list(machines(SEED, SAMPLE))
    assert {one.engine for one in drawn} == {"vllm", "sglang", "transformers"}
    assert len({one.gpu for one in drawn}) > 50
    assert {one.driver.split(".")[0] for one in drawn} >= {"535", "570", "580", "595"}
    assert {one.tag[2:-1] for one in drawn} >= {"12", "13"}
    assert len({one.torch for one in drawn}) > 10
    assert {one.python.rsplit(".", 1)[0] for one in drawn} >= {"3.10", "3.11", "3.12", "3.13"}
    assert {one.capability for one in drawn} >= {"7.5", "8.0", "8.6", "8.9", "9.0", "12.0"}
    assert any(one.model.config.get("quantization_config") for one in drawn)


@pytest.mark.slow
def test_all_of_the_matrix_is_drawn() -> None:
    """Nearly every engine release and all cards that an engine or a torch of our table runs on come up."""
    drawn = list(machines(SEED + 1, ALL))
    assert len({one.gpu for one in drawn}) > 0.75 * len(rows("gpus"))
    for engine in ("vllm", "sglang"):
        released = {one["version"] for one in of_today(engine) if one.get("torch")}
        assert len({one.version.split("+")[0] for one in drawn if one.engine == engine}) > 0.8 * len(released)
