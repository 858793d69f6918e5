"""Install lines for Arm servers (Grace, DGX Spark), where PyPI has no torch with CUDA before 2.11."""

from __future__ import annotations

import pytest

from autoglm_doctor.domain.driver.fixes import driver_fixes
from autoglm_doctor.domain.resolve.fixes import install_fixes
from autoglm_doctor.domain.resolve.plan import plan_for
from autoglm_doctor.domain.resolve.releases import Model, Place
from autoglm_doctor.domain.resolve.site import Site
from autoglm_doctor.facts import Distribution, Driver, Gpu, Host, Interpreter, Packages, Torch
from autoglm_doctor.intent import Intent
from autoglm_doctor.matrix import load_matrix

MATRIX = load_matrix()
INDEX = "https://download.pytorch.org/whl/"
SETS = [
    pytest.param("3.9", "570.26", "torch==2.8.0+cu129 torchvision==0.23.0", "cu129", id="torch 2.8 has cu129 alone"),
    pytest.param("3.12", "570.26", "torch==2.10.0+cu128 torchvision==0.25.0", "cu128", id="torch 2.10"),
    pytest.param("3.12", "580.95.05", "", "", id="PyPI has a torch with CUDA 13"),
]


@pytest.mark.parametrize(("python", "driver", "torch", "tag"), SETS)
def test_a_set_for_arm(python: str, driver: str, torch: str, tag: str) -> None:
    place = Place(driver=driver, capabilities=("9.0",), python=python, glibc="2.39", machine="aarch64")
    plan = plan_for(MATRIX, "vllm", place, Model(name="m"))
    assert " ".join(one for one in plan.requirements if one.startswith("torch")) == torch
    assert plan.options == (("--extra-index-url", INDEX + tag) if tag else ())


TORCHES = [
    pytest.param(
        "aarch64", "0.11.0", f"--extra-index-url {INDEX}cu129 torch==2.8.0+cu129 torchvision==0.23.0", id="2.8"
    ),
    pytest.param(
        "aarch64", "0.12.0", f"--extra-index-url {INDEX}cu128 torch==2.9.0+cu128 torchvision==0.24.0", id="2.9"
    ),
    pytest.param("aarch64", "0.21.0", "vllm==0.21.0", id="a release whose torch PyPI has for Arm"),
    pytest.param("x86_64", "0.12.0", "vllm==0.12.0", id="another processor"),
]


@pytest.mark.parametrize(("machine", "vllm", "wanted"), TORCHES)
def test_the_engines_own_torch(machine: str, vllm: str, wanted: str) -> None:
    there = {"pip": "25.0", "vllm": vllm, "torch": "2.7.1", "transformers": "4.57.1" if vllm < "0.2" else "5.5.3"}
    site = Site(
        matrix=MATRIX,
        intent=Intent(model="m", engine="vllm"),
        driver=Driver(version="580.95.05"),
        gpus=(Gpu(index=0, name="card", compute_capability="9.0", total_bytes=1, free_bytes=1),),
        host=Host(system="Linux", machine=machine, kernel="6.8", glibc="2.39"),
        interpreter=Interpreter(executable="/v/bin/python", version="3.12.3"),
        packages=Packages(distributions=tuple(Distribution(name=name, version=one) for name, one in there.items())),
    )
    assert install_fixes(site)[0].commands == (f"/v/bin/python -m pip install {wanted}",)


@pytest.mark.parametrize(
    ("machine", "wanted"),
    [
        pytest.param("aarch64", "torch==2.9.1+cu128 torchvision==0.24.1", id="Arm"),
        pytest.param("x86_64", "torch==2.9.1 torchvision==0.24.1", id="another processor"),
    ],
)
def test_a_torch_for_the_driver(machine: str, wanted: str) -> None:
    torch = Torch(version="2.9.1+cu130", cuda="13.0")
    site = Site(
        matrix=MATRIX,
        intent=Intent(model="m", engine="transformers"),
        driver=Driver(version="570.26", cuda_version="12.8"),
        gpus=(Gpu(index=0, name="card", compute_capability="9.0", total_bytes=1, free_bytes=1),),
        host=Host(system="Linux", machine=machine, kernel="6.8", glibc="2.39"),
        interpreter=Interpreter(executable="/v/bin/python", version="3.12.3"),
        packages=Packages(distributions=(Distribution(name="pip", version="25.0"),)),
    )
    assert site.driver is not None
    lines = [line for fix in driver_fixes(site, site.driver, torch, None) for line in fix.commands]
    assert any(line.endswith(wanted) for line in lines), lines
