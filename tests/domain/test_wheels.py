"""Which build of torch an install line names: what the matrix says, for every release that it has."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.checks.torchvision import torch_lines_of
from autoglm_doctor.domain.wheels import arm_build, companion, torch_choice, torch_lines
from autoglm_doctor.facts import Distribution, Driver, Gpu, Host, Interpreter, Packages
from autoglm_doctor.matrix import load_matrix

MATRIX = load_matrix()
ROWS: list[dict[str, str]] = MATRIX.raw("torch")["rows"]
BUILDS: dict[str, dict[str, Any]] = MATRIX.raw("torch_builds")["rows"]
X86, ARM = (Host(system="Linux", machine=machine, kernel="6") for machine in ("x86_64", "aarch64"))
#: Version, and the CUDA that its libcuda knows.
DRIVERS = {"470.82.01": "11.4", "535.129.03": "12.2", "570.26": "12.8", "580.95.05": "13.0"}
CAPABILITIES = ("5.2", "6.1", "7.0", "7.5", "8.0", "8.9", "9.0", "10.0", "12.0")


def gpu(capability: str) -> Gpu:
    return Gpu(index=0, name="x", compute_capability=capability, total_bytes=1, free_bytes=1)


def pair(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def cuda(tag: str) -> tuple[int, ...]:
    return int(tag[2:-1]), int(tag[-1])


def has_code(build: dict[str, Any], capability: str) -> bool:
    major, minor = pair(capability)
    own = [pair(one) for one in build["sass"]]
    if any(one[0] == major and one[1] <= minor for one in own):
        return True
    if build["ptx"] == "unknown":
        return (major, minor) > max(own)
    return build["ptx"] != "none" and pair(build["ptx"]) <= (major, minor)


def running(version: str, driver: str, capability: str) -> list[str]:
    """The tags of the builds that run there, by the rows alone."""
    line = ".".join(version.split(".")[:2])
    return [
        tag
        for tag, build in BUILDS[line].items()
        if build["evidence"] not in ("contradictory", "unverified")
        and cuda(tag)[0] <= pair(DRIVERS[driver])[0]
        and has_code(build, capability)
    ]


@pytest.mark.parametrize("row", ROWS, ids=[row["version"] for row in ROWS])
def test_every_release_of_the_matrix(row: dict[str, str]) -> None:
    version = row["version"]
    default = "cu" + (row.get("cuda") or "10.2").replace(".", "")
    for driver, knows in DRIVERS.items():
        for capability in CAPABILITIES:
            fitting = running(version, driver, capability)
            found = torch_choice(version, Driver(version=driver), (gpu(capability),), X86, MATRIX)
            where = f"{version} on {capability} with {driver}"
            if fitting:
                assert found is not None, where
            if default in fitting and found:
                assert (found.requirement, found.options) == (f"torch=={version}", ()), where
            elif fitting and found:
                within = [tag for tag in fitting if cuda(tag) <= pair(knows)]
                tag = max(within, key=cuda) if within else min(fitting, key=cuda)
                index = f"https://download.pytorch.org/whl/{tag}"
                assert found.requirement == f"torch=={version}+{tag}", where
                assert found.options == ("--extra-index-url", index), where
            elif found is not None:
                other, _, tag = found.requirement.removeprefix("torch==").partition("+")
                assert other != version, where
                assert not tag or tag in running(other, driver, capability), where


@pytest.mark.parametrize("row", ROWS, ids=[row["version"] for row in ROWS])
def test_every_torchvision_of_the_matrix(row: dict[str, str]) -> None:
    assert companion(row["version"], (), MATRIX) == f"torchvision=={row['torchvision']}"
    mine = ".".join(row["version"].split(".")[:2])
    for other in ROWS:
        belongs = [o["version"] for o in ROWS if o["torchvision"] == other["torchvision"]]
        assert (mine in torch_lines_of(other["torchvision"], MATRIX)) == any(
            v.startswith(f"{mine}.") for v in belongs
        ), other["torchvision"]


@pytest.mark.parametrize(
    ("torchvision", "lines"),
    [
        pytest.param("0.29.0", ("2.14",), id="asks for exactly 2.14.0"),
        pytest.param("0.29.2", ("2.14", "2.15"), id="asks for 2.14 or newer"),
        pytest.param("0.29.1", ("2.14", "2.15"), id="not in the table itself"),
        pytest.param("0.24.1+cu128", ("2.9",), id="of another index"),
        pytest.param("0.99.0", (), id="newer than the table proves nothing"),
    ],
)
def test_torchvision_by_release(torchvision: str, lines: tuple[str, ...]) -> None:
    assert torch_lines_of(torchvision, MATRIX) == lines


def test_one_older_than_the_table_belongs_to_none_of_its_torches() -> None:
    assert not {".".join(r["version"].split(".")[:2]) for r in ROWS} & set(torch_lines_of("0.9.0", MATRIX))


def test_the_users_own_index_is_never_replaced() -> None:
    python = Interpreter(executable="/v/bin/python", version="3.12.1")
    pip = Packages(distributions=(Distribution(name="pip", version="25"),))
    uv = Packages(distributions=(Distribution(name="torch", version="2.13.0+cpu"),))
    given: tuple[Any, ...] = (Driver(version="535.129.03"), (gpu("8.9"),), X86, MATRIX)
    by_pip = torch_lines("2.13.0+cpu", python, pip, *given)[-1]
    assert by_pip == (
        "/v/bin/python -m pip install --extra-index-url https://download.pytorch.org/whl/cu126 torch==2.13.0+cu126"
    )
    by_uv = torch_lines("2.13.0+cpu", python, uv, *given)[-1]
    assert by_uv == "uv pip install --python /v/bin/python --torch-backend cu126 torch==2.13.0+cu126"


def test_a_python_without_a_wheel_gets_an_older_torch() -> None:
    found = torch_choice(None, Driver(version="535.129.03"), (gpu("8.9"),), X86, MATRIX, python="3.9")
    assert found is not None
    assert found.version.startswith("2.8.")


def test_arm_had_no_cuda_on_the_default_index() -> None:
    assert torch_choice("2.9.1", Driver(version="580.95.05"), (gpu("9.0"),), ARM, MATRIX).options  # type: ignore[union-attr]
    assert not torch_choice("2.13.0", Driver(version="580.95.05"), (gpu("9.0"),), ARM, MATRIX).options  # type: ignore[union-attr]


def test_a_driver_that_has_dropped_the_gpu_runs_no_build() -> None:
    assert torch_choice("2.9.1", Driver(version="580.95.05"), (gpu("3.7"),), X86, MATRIX) is None


#: torch, driver, capability; the build for Arm.
ON_ARM = [
    pytest.param("2.13.0", "580.95.05", "9.0", "torch==2.13.0", id="the default index has one"),
    pytest.param("2.11.0", "580.95.05", "12.1", "torch==2.11.0", id="the first that it has"),
    pytest.param("2.10.0", "580.95.05", "12.1", "torch==2.10.0+cu128", id="a DGX Spark before that"),
    pytest.param("2.9.1", "570.26", "9.0", "torch==2.9.1+cu128", id="a Grace Hopper"),
    pytest.param("2.9.1", "535.129.03", "9.0", "torch==2.9.1+cu128", id="its older driver"),
    pytest.param("2.8.0", "570.26", "9.0", "torch==2.8.0+cu129", id="2.8 has cu129 alone"),
    pytest.param("2.7.1", "570.26", "9.0", "torch==2.7.1+cu128", id="2.7 has cu128 alone"),
    pytest.param("2.6.0", "570.26", "9.0", "torch==2.6.0+cu126", id="2.6 has cu126 alone"),
]


@pytest.mark.parametrize(("torch", "driver", "capability", "wanted"), ON_ARM)
def test_builds_for_arm(torch: str, driver: str, capability: str, wanted: str) -> None:
    found = torch_choice(torch, Driver(version=driver), (gpu(capability),), ARM, MATRIX)
    assert found is not None
    assert found.requirement == wanted
    assert bool(found.options) == ("+" in wanted)


def test_a_torch_without_a_build_for_arm_is_not_offered() -> None:
    found = torch_choice("2.5.1", Driver(version="570.26"), (gpu("9.0"),), ARM, MATRIX)
    assert found is not None
    assert not found.requirement.startswith("torch==2.5")


@pytest.mark.parametrize(
    ("torch", "tag"),
    [
        pytest.param("2.10.0", "cu128", id="that of the default build"),
        pytest.param("2.8.0", "cu129", id="another of its major"),
        pytest.param("2.4.0", "", id="none"),
    ],
)
def test_the_build_in_the_place_of_the_default(torch: str, tag: str) -> None:
    assert arm_build(torch, MATRIX) == tag


def test_torchvision_for_arm_has_no_tag() -> None:
    options = ("--extra-index-url", "https://download.pytorch.org/whl/cu128")
    assert companion("2.9.1", options, MATRIX, "aarch64") == "torchvision==0.24.1"
    assert companion("2.9.1", options, MATRIX, "x86_64") == "torchvision==0.24.1+cu128"
