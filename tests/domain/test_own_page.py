"""Builds from the projects' own pages: where they are offered, with which lines, and what stands in the table."""

from __future__ import annotations

import dataclasses

import pytest
from packaging.utils import parse_wheel_filename
from packaging.version import Version

from autoglm_doctor.domain.resolve import own_page
from autoglm_doctor.domain.resolve.choose import Answer
from autoglm_doctor.domain.resolve.lines import pip_line, requirements, uv_line
from autoglm_doctor.domain.resolve.obstacles import older
from autoglm_doctor.domain.resolve.own_page import own_build
from autoglm_doctor.domain.resolve.plan import plan_for
from autoglm_doctor.domain.resolve.releases import Model, Place, Release
from autoglm_doctor.domain.resolve.shelf import builds_of, model_of, shelf_of
from autoglm_doctor.matrix import load_matrix

MATRIX = load_matrix()
PHONE = model_of(MATRIX, "vllm", "autoglm", {"model_type": "glm4v"})
A100 = Place(driver="535.183.01", capabilities=("8.0",), python="3.12", glibc="2.35")
NEWEST = MATRIX.engine_builds["vllm"][-1].version


def at(**changes: object) -> Place:
    return dataclasses.replace(A100, **changes)  # type: ignore[arg-type]


OFFERED = [
    pytest.param(A100, "0.19.1", NEWEST, id="an A100 with a driver for CUDA 12"),
    pytest.param(at(driver="525.60.13"), "0.19.1", NEWEST, id="the oldest driver for CUDA 12"),
    pytest.param(at(capabilities=("7.5",)), "0.19.1", NEWEST, id="a Turing"),
    pytest.param(at(capabilities=("9.0",), machine="aarch64"), "0.19.1", NEWEST, id="a Grace Hopper"),
    pytest.param(
        at(capabilities=("12.0",), driver="575.51.03"), "0.19.1", "0.26.0", id="the last whose triton the driver loads"
    ),
    pytest.param(at(glibc="2.28"), "0.11.2", NEWEST, id="an old system, for which these wheels are built too"),
    pytest.param(at(capabilities=("12.0",), driver="570.26"), "0.11.2", None, id="a driver that compiles no such PTX"),
    pytest.param(at(driver="580.65.06"), "0.33.0", None, id="the default wheel runs and is newer"),
    pytest.param(at(driver=""), "0.33.0", None, id="no driver known: nothing speaks against the default"),
    pytest.param(at(driver="470.82.01"), None, None, id="a driver for CUDA 11"),
    pytest.param(at(capabilities=("7.0",)), "0.19.1", None, id="a Volta: no code in either build"),
    pytest.param(at(capabilities=("7.5",), machine="aarch64"), None, None, id="a Turing beside an Arm processor"),
    pytest.param(at(python="3.9"), "0.11.0", None, id="a Python that the newer release does not take"),
    pytest.param(at(glibc="2.17"), "0.8.5.post1", None, id="a system that is older than both"),
]


@pytest.mark.parametrize(("place", "default", "build"), OFFERED)
def test_where_it_is_offered(place: Place, default: str | None, build: str | None) -> None:
    model = PHONE if default != "0.8.5.post1" else Model(name="any")
    plan = plan_for(MATRIX, "vllm", place, model)
    assert (plan.answer.release and plan.answer.release.version) == default
    assert (plan.own_page and plan.own_page.answer.release and plan.own_page.answer.release.version) == build
    assert plan.answer.release is None or not plan.answer.release.wheel, "the default index comes first"


@pytest.mark.parametrize("engine", ["sglang", "transformers"])
def test_others_have_none(engine: str) -> None:
    assert plan_for(MATRIX, engine, A100, model_of(MATRIX, engine, "m", {"model_type": "glm4v"})).own_page is None


def test_its_lines() -> None:
    """The form that vLLM documents: the address of the wheel, and torch of the same CUDA from torch's index."""
    plan = plan_for(MATRIX, "vllm", A100, PHONE).own_page
    assert plan is not None
    wheel = (
        f"https://github.com/vllm-project/vllm/releases/download/v{NEWEST}/"
        f"vllm-{NEWEST}+cu129-cp38-abi3-manylinux_2_28_x86_64.whl"
    )
    rest = f"{wheel} transformers=={plan.answer.transformers} torch==2.13.0+cu129 torchvision==0.28.0+cu129"
    index = "--extra-index-url https://download.pytorch.org/whl/cu129"
    assert pip_line(plan) == f"python3 -m pip install {index} {rest}"
    assert uv_line(plan, "/v/python") == f"uv pip install --python /v/python --torch-backend cu129 {rest}"
    assert requirements(plan.answer)[0] == wheel


def test_where_the_default_index_loses_the_model_it_is_the_answer() -> None:
    plan = plan_for(MATRIX, "vllm", A100, Model(name="new", engine="0.24.0"))
    assert plan.own_page is None
    assert plan.answer.release is not None
    assert plan.answer.release.full_version == f"{NEWEST}+cu129"
    assert {one.rule for one in plan.answer.refused} == {"driver", "model"}
    assert plan.better is not None, "a newer driver is still the last way"
    assert plan_for(MATRIX, "vllm", A100, Model(name="too new", engine="0.33.0")).answer.release is None


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_table_is_whole(machine: str) -> None:
    """Each is a wheel of a release that the table has, with a torch for that CUDA, in ascending order."""
    builds = builds_of(MATRIX, "vllm", machine)
    assert len(builds) == sum(machine in one.machines for one in MATRIX.engine_builds["vllm"]) >= 10
    assert [one.version for one in builds] == sorted((one.version for one in builds), key=Version)
    for one in builds:
        name, version, _, tags = parse_wheel_filename(one.wheel.rpartition("/")[2])
        assert (name, str(version)) == ("vllm", one.full_version)
        assert all(tag.platform.endswith(machine) for tag in tags)
        assert one.tag in MATRIX.torch_variants(one.torch)
        assert one.minimum_driver == "525.60.13"
        assert not any(older(one.glibc, tag.platform.split("_")[1] + "." + tag.platform.split("_")[2]) for tag in tags)


def test_the_glibc_is_that_of_the_wheel() -> None:
    assert [MATRIX.engine_glibc("vllm", one) for one in ("0.20.2", "0.20.2+cu129")] == ["2.35", "2.34"]
    assert [MATRIX.engine_glibc("vllm", one) for one in ("0.21.0", "0.21.0+cu129", "0.21.0+mine")] == [
        *("2.28", "2.34", "2.28")
    ]


def test_nothing_is_gained() -> None:
    """The default index gives a newer one, or something else than the driver keeps that release away."""
    shelf, none = shelf_of(MATRIX, "vllm"), Answer(release=None, transformers="", refused=(), doubts=())
    assert own_build(MATRIX, "vllm", shelf, A100, PHONE, none) is not None
    newer = dataclasses.replace(none, release=Release(engine="vllm", version="0.99.0"))
    assert own_build(MATRIX, "vllm", shelf, A100, PHONE, newer) is None
    same = dataclasses.replace(none, release=Release(engine="vllm", version=NEWEST))
    assert own_build(MATRIX, "vllm", shelf, A100, PHONE, same) is None


def test_only_the_driver_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """0.20.2 by default asks for glibc 2.35 and as such a build for 2.34: that alone is none."""
    (old,) = (one for one in builds_of(MATRIX, "vllm", "x86_64") if one.version == "0.20.2")
    monkeypatch.setattr(own_page, "builds_of", lambda *_: (old,))
    shelf, none = shelf_of(MATRIX, "vllm"), Answer(release=None, transformers="", refused=(), doubts=())
    here = at(glibc="2.34", driver="580.95.05")
    assert own_build(MATRIX, "vllm", shelf, here, PHONE, none) is None
    assert own_build(MATRIX, "vllm", shelf, at(glibc="2.35"), PHONE, none) is not None


def test_no_wheel_for_another_machine() -> None:
    build = MATRIX.engine_builds["vllm"][0]
    assert MATRIX.engine_build_url("vllm", build, "ppc64le") == ""
    assert MATRIX.engine_build_url("other", build, "x86_64") == ""
    assert builds_of(MATRIX, "vllm", "ppc64le") == ()
