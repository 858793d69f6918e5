"""What `resolve` answers for a drawn machine is judged by all checks: nothing may be red, or yellow without a reason.

Driver, GPU, Python, glibc, model and engine are drawn freely; the facts are those of a machine that has the answer.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from packaging.version import Version

from autoglm_doctor.domain.resolve.plan import Plan, plan_for
from autoglm_doctor.domain.resolve.releases import Place
from autoglm_doctor.domain.resolve.shelf import model_of
from autoglm_doctor.matrix import load_matrix
from tests.restraint.as_facts import full, loose
from tests.restraint.healthy import ARM, LEFT_OUT, PYTHONS, Machine, _packages
from tests.restraint.judged import findings, judged, told
from tests.restraint.models import MODELS, QUANTISED, Model
from tests.restraint.rows import capability, line, row, rows
from tests.restraint.test_healthy import YELLOW

MATRIX = load_matrix()
SEED, ALL, SAMPLE = 20261122, 300, 40


def drawn(seed: int, count: int) -> Iterator[tuple[Machine, Place]]:
    """Machines with what is offered for them, until so many answers are there."""
    rng = random.Random(seed)
    while count > 0:
        where = _place(rng)
        if where is None:
            continue
        place, card, driver_cuda, system = where
        model, engine = rng.choice(_fitting(card)), rng.choice(["vllm", "vllm", "sglang", "transformers"])
        asked = model_of(MATRIX, engine, model.name, model.config)
        plan = plan_for(MATRIX, engine, place, asked)
        for one in (plan, plan.own_page):
            machine = _machine(rng, one, place, card, driver_cuda, system, model) if one else None
            if machine is not None:
                count -= 1
                yield machine, place


def _place(rng: random.Random) -> tuple[Place, dict[str, Any], str, str] | None:
    """A card, a driver that drives it and knows its chip, a Python, a system."""
    name, card = rng.choice([pair for pair in rows("gpus").items() if not any(word in pair[0] for word in LEFT_OUT)])
    branch, said = rng.choice(list(rows("driver_branches").items()))
    if name.split(" ")[0] in ARM or Version(branch) < Version("450"):
        return None
    gpu = card["capability"]
    if capability(said["first_capability"]) > capability(gpu) or (gpu == "3.7" and int(branch) > 470):
        return None
    if Version(said["cuda"]) < Version(rows("capabilities")[gpu].get("first_cuda", "0")):
        return None
    system, glibc = rng.choice(list(rows("os_glibc").items()))
    driver = f"{branch}.{rng.randint(100, 220)}.{rng.randint(1, 18):02}"
    place = Place(driver=driver, capabilities=(gpu,), python=rng.choice(PYTHONS), glibc=glibc, gpu=name)
    return place, card, said["cuda"], system


def _fitting(card: dict[str, Any]) -> list[Model]:
    """Models that the card has room and kernels for."""
    has = capability(card["capability"])
    fitting = [
        one
        for one in (*MODELS, *MODELS, *QUANTISED)
        if one.needs_gib <= card["memory_gib"] and capability(one.first_capability) <= has
        if has <= capability(one.last_capability)
    ]
    return fitting or [MODELS[0]]


def _machine(
    rng: random.Random, plan: Plan, place: Place, card: dict[str, Any], driver_cuda: str, system: str, model: Model
) -> Machine | None:
    """The machine after the lines of an answer: what they name, and what that pins."""
    release = plan.answer.release
    if release is None or model.needs_gib > card["memory_gib"]:
        return None
    if release.engine == "transformers" and model in QUANTISED:  # it needs further packages for these
        return None
    engine, torch = release.engine, plan.torch.version if plan.torch else release.torch
    cuda = plan.torch.cuda if plan.torch else MATRIX.torch_cuda(torch)
    tag = "cu" + cuda.replace(".", "")
    library = plan.answer.transformers or release.version
    software: dict[str, Any] = {
        "engine": engine,
        "pins": row(engine, release.version),
        "version": release.full_version,
        "torch": row("torch", torch),
        "tag": tag,
        "tagged": bool(plan.options),
        "transformers": row("transformers", library),
    }
    packages = _packages(rng, software, place.python) if software["torch"].get("triton") else None
    if packages is None:
        return None
    packages |= dict(one.split(">=") for one in plan.then)
    return Machine(
        gpu=place.gpu,
        capability=card["capability"],
        memory_gib=card["memory_gib"],
        cuda_gib=card.get("cuda_gib", card["memory_gib"] * 0.98),
        count=1,
        driver=place.driver,
        driver_cuda=driver_cuda,
        engine=engine,
        version=release.full_version,
        torch=torch,
        tag=tag,
        tagged=bool(plan.options),
        sass=tuple(rows("torch_builds")[line(torch)][tag]["sass"]),
        python=f"{place.python}.5",
        os=system,
        glibc=place.glibc,
        machine="x86_64",
        model=model,
        parallel=1,
        packages=packages,
    )


def complaints(machine: Machine, number: int) -> list[str]:
    """What is red or broken, or yellow without a reason, as a full reading and as loose facts."""
    rng = random.Random(f"{SEED} {number}")
    found = findings(*full(machine, rng))
    said = told(found, "fail", "error") + told([one for one in found if one.code not in YELLOW], "warn")
    causes = judged(loose(machine, rng, all_of_it=True)).causes
    said += [f"{c.check} {c.cause}: {c.text}" for c in causes if c.status == "fail" or c.check not in YELLOW]
    return [f"{one} -- {machine}" for one in said]


def all_complaints(count: int, seed: int) -> list[str]:
    return [one for number, (machine, _) in enumerate(drawn(seed, count)) for one in complaints(machine, number)]


def test_a_sample_of_answers_is_clean() -> None:
    found = all_complaints(SAMPLE, SEED)
    assert not found, f"{len(found)} complaints {Counter(one.split()[0] for one in found)}, the first: {found[0]}"


@pytest.mark.slow
def test_all_answers_are_clean() -> None:
    found = all_complaints(ALL, SEED + 1)
    assert not found, f"{len(found)} complaints {Counter(one.split()[0] for one in found)}, the first: {found[0]}"


def test_the_sample_is_a_cross_section() -> None:
    machines = [machine for machine, _ in drawn(SEED, SAMPLE)]
    assert {one.engine for one in machines} == {"vllm", "sglang", "transformers"}
    assert any(one.version.endswith("+cu129") for one in machines), "builds from the project's own page"
    assert {one.tag[2:-1] for one in machines} >= {"12", "13"}
    assert len({one.gpu for one in machines}) > 20
    assert len({one.driver.split(".")[0] for one in machines}) >= 6
    assert len({one.python for one in machines}) >= 4
