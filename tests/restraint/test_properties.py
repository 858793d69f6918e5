"""What must hold for any facts: changes that mean nothing change nothing, and more of a good thing is not worse."""

from __future__ import annotations

import dataclasses
import functools
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from autoglm_doctor.facts import Facts, known
from autoglm_doctor.intent import Intent
from tests.machines.build import driver as driver_of
from tests.restraint.as_facts import full, loose
from tests.restraint.fixed_cases import CASES, Ill
from tests.restraint.healthy import Machine, machines
from tests.restraint.judged import findings, judged, told
from tests.restraint.rows import capability, rows

SEED = 77
WORSE = {"pass": 0, "warn": 1, "fail": 2}
FEW = settings(max_examples=20, deadline=None)

#: Names that no rule speaks of.
UNRELATED = ("requests", "rich", "gradio", "my-own-package", "pytest", "zstandard", "uvloop2", "torch-tb-profiler-x")


@functools.cache
def pool() -> tuple[Machine, ...]:
    return tuple(machines(SEED, 120))


healthy = st.sampled_from(range(120)).map(lambda at: pool()[at])
seeds = st.integers(0, 10_000)


@st.composite
def stated(draw: st.DrawFn) -> dict[str, Any]:
    """Loose facts of a healthy machine, or of one with a fault."""
    if draw(st.booleans()):
        return dict(draw(st.sampled_from(CASES)).facts)
    return loose(draw(healthy), random.Random(draw(seeds)))


@FEW
@given(facts=stated(), seed=seeds)
def test_the_order_of_keys_and_packages_changes_nothing(facts: dict[str, Any], seed: int) -> None:
    def mixed(value: dict[str, Any]) -> dict[str, Any]:
        names = sorted(value)
        random.Random(seed).shuffle(names)
        return {name: value[name] for name in names}

    other = mixed(facts)
    for key in ("packages", "env"):
        if isinstance(other.get(key), dict):
            other[key] = mixed(other[key])
    assert judged(other) == judged(facts)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(max_size=8), one, max_size=3),
    max_leaves=5,
)


@FEW
@given(facts=stated(), more=st.dictionaries(st.text(min_size=1, max_size=10).map("x_{}".format), values, max_size=4))
def test_unknown_keys_change_nothing(facts: dict[str, Any], more: dict[str, Any]) -> None:
    assert judged({**more, **facts}) == judged(facts)


@FEW
@given(facts=stated(), name=st.text(min_size=1, max_size=30))
def test_the_name_of_the_file_changes_nothing(facts: dict[str, Any], name: str) -> None:
    assert dataclasses.replace(judged(facts, name), input="") == dataclasses.replace(judged(facts), input="")


@FEW
@given(facts=stated(), name=st.sampled_from(UNRELATED), version=st.sampled_from(["0.0.1", "2.0", "99.9.post1"]))
def test_an_unrelated_package_changes_nothing(facts: dict[str, Any], name: str, version: str) -> None:
    if facts.get("packages") is None:  # a first package would make a list of what was none
        facts = {**facts, "packages": {"wheel": "0.45.0"}}
    assert judged({**facts, "packages": {name: version, **facts["packages"]}}) == judged(facts)


@FEW
@given(machine=healthy.filter(lambda one: one.engine != "transformers"), other=healthy, seed=seeds)
def test_the_order_of_gpus_that_are_all_taken_changes_nothing(machine: Machine, other: Machine, seed: int) -> None:
    facts = loose(machine, random.Random(seed), all_of_it=True)
    facts |= {"engine_args": {**facts["engine_args"], "tensor_parallel_size": 2}, "env": {}}
    cards = [{"name": one.gpu, "total_gpu_memory_gib": one.cuda_gib} for one in (machine, other)]
    one, two = (judged({**facts, "gpus": order}) for order in (cards, cards[::-1]))
    assert {(c.cause, c.status) for c in one.causes} == {(c.cause, c.status) for c in two.causes}
    assert one.status == two.status


#: A release of each branch in ascending order; branches in which something changes.
DRIVERS = tuple(f"{branch}.150.10" for branch in sorted(rows("driver_branches"), key=int))
TURNS = tuple(one for one in DRIVERS if one[:3] in ("470", "520", "525", "550", "570", "580", "590", "615"))


def drives(driver: str, gpu: str) -> bool:
    """Before 450 and from 590 on a branch may not drive a card that an older one drove."""
    return capability(rows("driver_branches")[driver[:3]]["first_capability"]) <= capability(gpu)


def newer_is_not_worse(facts: dict[str, Any], gpu: str, drivers: Sequence[str] = TURNS) -> None:
    reds: set[str] | None = None
    for driver in drivers:
        if not drives(driver, gpu):
            continue
        found = {c.cause for c in judged({**facts, "driver_version": driver}).causes if c.status == "fail"}
        # Behind a driver that does not know the card yet the other faults are not told: one root, one red.
        assert reds is None or "DRIVER_TOO_OLD" in reds or found <= reds, f"{driver} adds {found - reds} to {facts}"
        reds = found


def without_driver(facts: dict[str, Any]) -> dict[str, Any]:
    gone = ("driver_branch", "driver", "cuda_driver_version", "cuda_available", "kernel_module_version")
    facts = {key: value for key, value in facts.items() if key not in (*gone, "driver_library_version")}
    env = {key: value for key, value in facts.get("env", {}).items() if key != "NVIDIA_REQUIRE_CUDA"}
    return {**facts, "env": env} if "env" in facts else facts


@settings(max_examples=6, deadline=None)
@given(machine=healthy, seed=seeds)
def test_a_newer_driver_is_never_worse_on_a_healthy_machine(machine: Machine, seed: int) -> None:
    newer_is_not_worse(without_driver(loose(machine, random.Random(seed))), machine.capability)


_CARDS = {"RTX 4090": "8.9", "P40": "6.1", "T4": "7.5", "RTX 3090": "8.6", "L40S": "8.9", "V100 PCIe": "7.0"}
WITH_A_CARD = [one for one in CASES if isinstance(one.facts.get("gpus"), list) and str(one.facts["gpus"][0]) in _CARDS]


@pytest.mark.slow
@pytest.mark.parametrize("ill", [pytest.param(one, id=one.name) for one in WITH_A_CARD])
def test_a_newer_driver_is_never_worse_on_an_ill_machine(ill: Ill) -> None:
    newer_is_not_worse(without_driver(ill.facts), _CARDS[ill.facts["gpus"][0]], DRIVERS)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(0, 120, 3))
def test_no_branch_is_worse_on_a_healthy_machine(number: int) -> None:
    facts = loose(pool()[number], random.Random(number), all_of_it=True)
    newer_is_not_worse(without_driver(facts), pool()[number].capability, DRIVERS)


@pytest.mark.parametrize("ill", [pytest.param(one, id=one.name) for one in WITH_A_CARD[::6]])
def test_a_newer_driver_is_never_worse_on_an_ill_machine_sample(ill: Ill) -> None:
    newer_is_not_worse(without_driver(ill.facts), _CARDS[ill.facts["gpus"][0]])


@settings(max_examples=6, deadline=None)
@given(machine=healthy, seed=seeds)
def test_a_newer_driver_is_never_worse_in_a_full_reading(machine: Machine, seed: int) -> None:
    facts, intent = full(machine, random.Random(seed), ran=False)
    number, env = int(machine.driver[:3]), dict(facts.environment.value.variables if facts.environment.value else {})
    env.pop("NVIDIA_REQUIRE_CUDA", None)
    for driver in TURNS:
        if int(driver[:3]) > number and drives(driver, machine.capability):
            assert not told(findings(_with_driver(facts, driver), intent), "fail", "error"), driver


def _with_driver(facts: Facts, driver: str) -> Facts:
    cuda = rows("driver_branches")[driver[:3]]["cuda"]
    assert facts.cuda.value is not None
    seen = dataclasses.replace(facts.cuda.value, driver_cuda_version=cuda)
    return dataclasses.replace(facts, driver=known(driver_of(driver, cuda)), cuda=known(seen))


MODELS = (
    "zai-org/AutoGLM-Phone-9B",
    "Qwen/Qwen2.5-7B-Instruct",
    "Qwen/Qwen2.5-14B-Instruct",
    "Qwen/Qwen2.5-VL-7B-Instruct",
)


@FEW
@given(
    model=st.sampled_from(MODELS),
    engine=st.sampled_from(["vllm 0.11.0", "sglang 0.5.5", "transformers"]),
    length=st.sampled_from([4096, 16384, 32768]),
    sizes=st.tuples(st.integers(4, 180), st.integers(4, 180)).map(sorted),
)
@example(model=MODELS[0], engine="vllm 0.11.0", length=25480, sizes=[23, 24])
def test_more_gpu_memory_is_never_worse(model: str, engine: str, length: int, sizes: list[int]) -> None:
    facts = {"engine": engine, "model": model, "engine_args": {"max_model_len": length}, "ram_gib": 256}
    less, more = (judged({**facts, "gpus": [{"name": "L40S", "total_gpu_memory_gib": size}]}) for size in sizes)
    assert WORSE[more.status] <= WORSE[less.status]


@FEW
@given(
    key=st.sampled_from(["ram_gib", "shm", "disk"]),
    sizes=st.tuples(st.integers(1, 300), st.integers(1, 300)).map(sorted),
    cards=st.sampled_from([1, 2]),
)
def test_more_room_is_never_worse(key: str, sizes: list[int], cards: int) -> None:
    facts: dict[str, Any] = {"engine": "vllm 0.11.0", "model": MODELS[0], "gpus": ["A100 PCIe 80GB"] * cards}
    facts["engine_args"] = {"tensor_parallel_size": cards}
    forms: list[Any] = [{"free_gib": n} if key == "disk" else f"{n}G" if key == "shm" else n for n in sizes]
    less, more = (judged({**facts, key: one}) for one in forms)
    assert WORSE[more.status] <= WORSE[less.status]


@FEW
@given(machine=healthy, seed=seeds, order=st.randoms(use_true_random=False))
def test_a_true_fact_more_never_makes_a_healthy_machine_red(machine: Machine, seed: int, order: random.Random) -> None:
    whole = loose(machine, random.Random(seed), all_of_it=True)
    names = sorted(whole)
    order.shuffle(names)
    told_so_far: dict[str, Any] = {"engine_args": whole["engine_args"]}
    for name in names[: order.randint(1, len(names))]:
        told_so_far[name] = whole[name]
    one_more = judged(told_so_far)
    assert one_more.status != "fail", (one_more.causes, told_so_far)


@FEW
@given(machine=healthy, seed=seeds, order=st.randoms(use_true_random=False))
def test_the_order_of_distributions_changes_nothing(machine: Machine, seed: int, order: random.Random) -> None:
    facts, intent = full(machine, random.Random(seed))
    assert facts.packages.value is not None
    mixed = list(facts.packages.value.distributions)
    order.shuffle(mixed)
    other = dataclasses.replace(
        facts, packages=known(dataclasses.replace(facts.packages.value, distributions=tuple(mixed)))
    )
    assert _judgement(other, intent) == _judgement(facts, intent)


def _judgement(facts: Facts, intent: Intent) -> list[tuple[str, ...]]:
    return [(one.code, one.status, one.subject, str(one.text), str(one.fixes)) for one in findings(facts, intent)]
