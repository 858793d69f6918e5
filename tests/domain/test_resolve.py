"""Which set runs on a machine, and why newer ones do not: a small shelf of releases with one demand each."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_doctor.domain.resolve.choose import Answer, choose, reasons
from autoglm_doctor.domain.resolve.lines import pip_line, requirements, uv_line
from autoglm_doctor.domain.resolve.obstacles import RULES, obstacle, older
from autoglm_doctor.domain.resolve.plan import Plan, plan_for
from autoglm_doctor.domain.resolve.releases import Library, Model, Place, Release, Shelf
from autoglm_doctor.domain.resolve.shelf import model_of
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.wording import render

OLD = Release(
    engine="vllm",
    version="0.10.0",
    python=">=3.9,<3.13",
    transformers=">=4.53.2",
    cuda="12.6",
    minimum_driver="525.60.13",
    minimum_capability="7.0",
    architectures=("7.0", "7.5", "8.0", "9.0", "10.0", "12.0"),
    ptx_driver="570",
)
MIDDLE = dataclasses.replace(
    OLD, version="0.12.0", python=">=3.10,<3.14", transformers="<5,>=4.56.0", glibc="2.31", ptx_driver="575"
)
NEW = dataclasses.replace(
    MIDDLE,
    version="0.20.0",
    python=">=3.10",
    transformers=">=5.3.0,!=5.5.0",
    glibc="2.35",
    cuda="13.0",
    minimum_driver="580.65.06",
    minimum_capability="7.5",
    ptx_driver="580",
)
TRANSFORMERS = tuple(
    Library(version=version, python=python)
    for version, python in (
        ("4.53.0", ">=3.9"),
        ("4.53.2", ">=3.9"),
        ("4.57.3", ">=3.9"),
        ("5.0.0rc0", ">=3.10"),
        ("5.3.0", ">=3.10"),
        ("5.5.0", ">=3.10"),
        ("5.23.0", ">=3.11"),
    )
)
SHELF = Shelf(releases=(OLD, MIDDLE, NEW), transformers=TRANSFORMERS)
GLM = Model(name="glm4v", transformers="4.53.0", bad_transformers=("4.53.0",), engine="0.9.2")
GOOD = Place(driver="580.95.05", capabilities=("9.0",), python="3.12", glibc="2.39")


def place(**changes: object) -> Place:
    return dataclasses.replace(GOOD, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("where", "model", "engine", "transformers", "because"),
    [
        pytest.param(GOOD, GLM, "0.20.0", "5.23.0", [], id="the newest of all"),
        pytest.param(place(driver="570.26", capabilities=("8.9",)), GLM, "0.12.0", "4.57.3", ["driver"], id="CUDA 12"),
        pytest.param(
            place(driver="570.26", capabilities=("12.0",)), GLM, "0.10.0", "5.23.0", ["driver", "ptx"], id="PTX"
        ),
        pytest.param(
            place(driver="575.51", capabilities=("12.0",)),
            GLM,
            "0.12.0",
            "4.57.3",
            ["driver"],
            id="a driver for that PTX",
        ),
        pytest.param(place(capabilities=("7.0",)), GLM, "0.12.0", "4.57.3", ["capability"], id="a V100"),
        pytest.param(
            place(capabilities=("9.0", "7.0")), GLM, "0.12.0", "4.57.3", ["capability"], id="the oldest decides"
        ),
        pytest.param(place(capabilities=("8.6",)), GLM, "0.20.0", "5.23.0", [], id="8.6 runs code for 8.0"),
        pytest.param(place(capabilities=("11.0",)), GLM, None, "", ["capability"], id="code for no such GPU"),
        pytest.param(place(glibc="2.31"), GLM, "0.12.0", "4.57.3", ["glibc"], id="Debian 11"),
        pytest.param(place(glibc="2.28"), GLM, "0.10.0", "5.23.0", ["glibc", "glibc"], id="RHEL 8"),
        pytest.param(
            place(python="3.9", driver="570.26"), GLM, "0.10.0", "4.57.3", ["python", "python"], id="Python 3.9"
        ),
        pytest.param(place(python="3.10"), GLM, "0.20.0", "5.3.0", [], id="transformers for that Python"),
        pytest.param(
            GOOD, Model(name="x", transformers="6.0.0"), None, "", ["transformers"] * 3, id="no transformers knows it"
        ),
        pytest.param(GOOD, Model(name="x", engine="0.13.0"), "0.20.0", "5.23.0", [], id="known to the newest only"),
        pytest.param(
            place(driver="570.26", capabilities=("8.0",)),
            Model(name="x", engine="0.13.0"),
            None,
            "",
            ["driver", "model"],
            id="nothing is both",
        ),
        pytest.param(Place(), GLM, "0.20.0", "5.23.0", [], id="nothing known refuses nothing"),
    ],
)
def test_choose(where: Place, model: Model, engine: str | None, transformers: str, because: list[str]) -> None:
    answer = choose(SHELF, where, model)
    assert (answer.release.version if answer.release else None, answer.transformers) == (engine, transformers)
    assert [one.rule for one in answer.refused] == because


def test_what_is_not_known_is_said() -> None:
    assert choose(SHELF, Place(driver="580.95.05"), GLM).doubts == (
        "the GPU's compute capability",
        "the version of Python",
        "the version of glibc",
    )
    assert choose(SHELF, GOOD, GLM).doubts == ()


def test_reasons_are_told_for_rows_of_releases() -> None:
    newer = dataclasses.replace(NEW, version="0.21.0")
    answer = choose(Shelf(releases=(OLD, MIDDLE, NEW, newer)), place(driver="535.1", capabilities=("8.0",)), GLM)
    told = [(span, render(text)) for span, text in reasons(answer)]
    assert told == [("0.20.0 to 0.21.0", "CUDA 13.0 needs driver 580.65.06, 535.1 is installed")]


def test_lines() -> None:
    plan = Plan(answer=choose(SHELF, GOOD, GLM), requirements=("vllm==0.20.0", "transformers==5.23.0"))
    assert requirements(plan.answer) == plan.requirements
    assert pip_line(plan, "/venv/bin/python") == "/venv/bin/python -m pip install vllm==0.20.0 transformers==5.23.0"
    assert uv_line(plan) == "uv pip install vllm==0.20.0 transformers==5.23.0"
    nothing = Plan(answer=Answer(release=None, transformers="", refused=(), doubts=()))
    assert (pip_line(nothing), uv_line(nothing)) == ("", "")


def test_lines_for_another_index() -> None:
    index = ("--extra-index-url", "https://download.pytorch.org/whl/cu126")
    plan = Plan(answer=choose(SHELF, GOOD, GLM), requirements=("torch==2.14.0+cu126",), options=index)
    assert pip_line(plan) == f"python3 -m pip install {' '.join(index)} torch==2.14.0+cu126"
    assert uv_line(plan, "/v/python") == ("uv pip install --python /v/python --torch-backend cu126 torch==2.14.0+cu126")


MATRIX = load_matrix()
PHONE = model_of(MATRIX, "vllm", "autoglm", {"model_type": "glm4v"})
BETTER = [
    pytest.param("535.1", "8.9", "0.19.1", ("580.65.06", "0.33.0"), id="CUDA 13"),
    pytest.param("570.26", "12.0", "0.11.2", ("580.65.06", "0.33.0"), id="past the one for PTX, to the newest"),
    pytest.param("580.95.05", "8.9", "0.33.0", None, id="nothing newer is there"),
    pytest.param("535.1", "7.0", "0.19.1", None, id="the GPU stands in the way, not the driver"),
    pytest.param("450.80.02", "7.0", None, ("525.60.13", "0.19.1"), id="the oldest driver that is enough"),
    pytest.param("", "8.9", "0.33.0", None, id="no driver known, none asked for"),
]


@pytest.mark.parametrize(("driver", "capability", "now", "then"), BETTER)
def test_what_a_newer_driver_would_run(
    driver: str, capability: str, now: str | None, then: tuple[str, str] | None
) -> None:
    where = Place(driver=driver, capabilities=(capability,), python="3.12", glibc="2.39")
    plan = plan_for(MATRIX, "vllm", where, PHONE)
    assert (plan.answer.release.version if plan.answer.release else None) == now
    better = plan.better
    assert (better and better.answer.release and (better.driver, better.answer.release.version)) == then


WITHOUT_A_SERVER = [
    pytest.param("580.95.05", "8.9", "2.15.0", "", id="the default index"),
    pytest.param("535.1", "8.9", "2.14.0", "cu126", id="a CUDA 12 driver"),
    pytest.param("580.95.05", "6.1", "2.14.0", "cu126", id="a GPU that only this build keeps"),
    pytest.param("570.26", "12.0", "2.13.0", "cu129", id="a GPU that needs a newer one"),
    pytest.param("470.82.01", "8.0", "2.7.1", "cu118", id="a CUDA 11 driver"),
    pytest.param("390.1", "8.0", None, "", id="no build runs"),
]


@pytest.mark.parametrize(("driver", "capability", "torch", "index"), WITHOUT_A_SERVER)
def test_transformers_without_a_server(driver: str, capability: str, torch: str | None, index: str) -> None:
    where = Place(driver=driver, capabilities=(capability,), python="3.12", glibc="2.39")
    model = model_of(MATRIX, "transformers", "autoglm", {"model_type": "glm4v"})
    plan = plan_for(MATRIX, "transformers", where, model)
    assert (plan.torch.version if plan.torch else None) == torch
    assert (plan.options[-1].rpartition("/")[2] if plan.options else "") == index
    assert bool(plan.requirements) is bool(torch)


def test_transformers_and_torch_go_together() -> None:
    """An old torch takes an old transformers, and the reason is told."""
    where = Place(driver="580.95.05", capabilities=("8.9",), python="3.10", torch="2.2.0")
    plan = plan_for(MATRIX, "transformers", where, Model(name="m"))
    assert plan.answer.release is not None
    assert "torch" in {one.rule for one in plan.answer.refused}
    assert not any(one.startswith("torch") for one in plan.requirements)


def test_arm_names_the_index_of_torch() -> None:
    where = Place(driver="570.26", capabilities=("9.0",), python="3.12", machine="aarch64")
    plan = plan_for(MATRIX, "vllm", where, PHONE)
    assert plan.options[-1].endswith("/whl/cu128")
    assert "torch==2.10.0+cu128" in plan.requirements


DRIVERS = ["450.80.02", "525.60.13", "535.1", "570.26", "575.51", "580.65.06", "615.1"]


@given(
    st.sampled_from(DRIVERS),
    st.sampled_from(DRIVERS),
    st.sampled_from(["7.0", "7.5", "8.0", "8.9", "9.0", "12.0"]),
    st.sampled_from(["3.9", "3.10", "3.12", "3.14"]),
    st.sampled_from(["2.28", "2.31", "2.35"]),
)
def test_a_newer_driver_never_gives_an_older_engine(
    one: str, other: str, capability: str, python: str, libc: str
) -> None:
    lower, higher = (other, one) if older(other, one) else (one, other)

    def found(driver: str) -> str:
        answer = choose(SHELF, Place(driver=driver, capabilities=(capability,), python=python, glibc=libc), GLM)
        return answer.release.version if answer.release else "0"

    assert not older(found(higher), found(lower))


def test_every_rule_has_refused_something_above() -> None:
    assert set(RULES) == {"capability", "python", "glibc", "driver", "ptx", "torch", "bad", "model"}


def test_a_transformers_that_is_known_to_fail_is_left_out() -> None:
    model = model_of(MATRIX, "transformers", "autoglm", {"model_type": "glm4v"})
    release = Release(engine="transformers", version="4.53.1")
    found = obstacle(release, Place(), model)
    assert found is not None
    assert found[0] == "bad"


def test_the_transformers_of_the_engine_s_own_days() -> None:
    """Metadata alone lets in what nobody could have tried."""
    library = tuple(
        Library(version=version, released=day)
        for version, day in (("4.57.0", "2025-10-01"), ("4.57.9", "2026-09-01"), ("5.1.0", "2026-02-01"))
    )
    release = Release(engine="vllm", version="0.19.0", released="2026-03-01", transformers=">=4.56.0")
    answer = choose(Shelf(releases=(release,), transformers=library), Place(), Model(name="m"))
    assert answer.transformers == "5.1.0"
    early = dataclasses.replace(release, released="2025-01-01")
    assert choose(Shelf(releases=(early,), transformers=library), Place(), Model(name="m")).transformers == "4.57.0"
