"""CUD003: CUDA libraries in LD_LIBRARY_PATH."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from autoglm_doctor.checks.loader_path import loader_path
from autoglm_doctor.facts import Distribution, Environment, LoaderLibrary, Packages, Torch, TorchRun
from autoglm_doctor.intent import Intent
from autoglm_doctor.testing import judge

WORKS = TorchRun(version="2.5.1", cuda_available=True)
BROKEN = TorchRun(version="2.5.1", import_error="ImportError: undefined symbol: __nvJitLinkComplete_12_4")

CASES = [
    # The faults.
    pytest.param("/apps/cudnn/v8.0.3.33-cuda.11.0/cuda/lib64", "1.12.0", "11.3", "fail", id="cuDNN of a cluster"),
    pytest.param("/apps/cuda/11.0/lib64:/usr/lib", "1.12.1", "11.3", "fail", id="a toolkit of a cluster"),
    pytest.param("/usr/local/cuda-11.2/lib64", "1.13.1", "11.7", "fail", id="libcublasLt of an older toolkit"),
    pytest.param("/usr/local/cuda-12.1/lib64", "2.5.1", "12.4", "fail", id="nvJitLink of an older toolkit"),
    pytest.param("/sw/CUDA/12.0.1/lib64/", "2.1.0", "12.1", "fail", id="a module system's name"),
    pytest.param("/opt/cudnn-linux-x86_64-9.0.0/lib", "2.5.1", "12.4", "warn", id="parts of an older cuDNN"),
    pytest.param("/apps/cudnn/8.2.1/lib64:/usr/local/cuda-11.0/lib64", "1.13.1", "11.7", "fail warn", id="both"),
    pytest.param("/usr/local/cuda-12.9/lib64", "2.10.0", "12.8", "warn", id="libcublasLt of 12.9 for torch's 12.8"),
    # Healthy.
    pytest.param("/usr/local/cuda-12.9/lib64", "2.10.0", "12.9", "pass", id="12.9 for torch's 12.9"),
    pytest.param("/usr/local/cuda-12.9/lib64", "2.8.0", "12.8", "pass", id="12.9 for an older torch"),
    pytest.param("/usr/local/cuda-13.0/lib64", "2.10.0", "12.8", "pass", id="13.0 has other names"),
    pytest.param("/usr/local/cuda-12.8/lib64", "2.10.0", "12.8", "pass", id="12.8 for torch's 12.8"),
    pytest.param("", "2.9.0", "12.8", "not_applicable", id="empty"),
    pytest.param(":", "2.9.0", "12.8", "not_applicable", id="only a colon"),
    pytest.param("/usr/local/cuda/lib64", "1.12.1", "11.3", "not_applicable", id="a link without a version"),
    pytest.param("/usr/local/cuda-12/lib64", "2.5.1", "12.4", "not_applicable", id="a major alone"),
    pytest.param("/usr/local/cuda-12.4/lib64", "2.5.1", "12.4", "pass", id="the same toolkit"),
    pytest.param("/usr/local/cuda-12.4.1/lib64", "2.5.1", "12.4", "pass", id="the same toolkit, updated"),
    pytest.param("/usr/local/cuda-12.9/lib64", "2.5.1", "12.4", "pass", id="a newer toolkit"),
    pytest.param("/usr/local/cuda-12.4/lib64", "2.9.0", "12.8", "pass", id="torch loads its own first"),
    pytest.param("/usr/local/cuda-11.8/lib64", "2.5.1", "12.4", "pass", id="another major has other names"),
    pytest.param("/usr/local/cuda-13.0/lib64", "2.9.0", "12.8", "pass", id="a newer major"),
    pytest.param("/usr/local/cuda-11.2/lib64", "2.0.1", "11.7", "pass", id="torch 2.0 asks for libcublasLt itself"),
    pytest.param("/apps/cudnn/8.9.7/lib", "2.5.1", "12.4", "pass", id="cuDNN 8 beside 9"),
    pytest.param("/apps/cudnn/9.1.1/lib", "2.5.1", "12.4", "pass", id="a newer patch of cuDNN"),
    pytest.param(
        "/usr/local/lib/python3.10/dist-packages/nvidia/cuda_nvrtc/lib:...",
        "2.5.1",
        "12.4",
        "not_applicable",
        id="a package's own folder",
    ),
    pytest.param("/opt/conda/envs/cuda-11.3/lib", "1.12.1", "11.6", "not_applicable", id="an environment's name"),
    pytest.param("/usr/local/cuda-11.0/extras/CUPTI/lib64", "1.12.1", "11.3", "not_applicable", id="the profiler"),
    pytest.param("/usr/local/cuda-11.0/compat", "1.12.1", "11.3", "not_applicable", id="cuda-compat is CUD004's"),
    pytest.param(
        "/usr/local/cuda/lib64:/apps/cuda/11.0/lib64",
        "1.12.1",
        "11.3",
        "not_applicable",
        id="an unknown one comes first",
    ),
    pytest.param("/usr/local/cuda-11.0/lib64", "1.12.1+cpu", None, "not_applicable", id="torch for the CPU"),
]


@pytest.mark.parametrize(("path", "torch", "cuda", "statuses"), CASES)
def test_names_of_folders(path: str, torch: str, cuda: str | None, statuses: str) -> None:
    environment = Environment(variables={"LD_LIBRARY_PATH": path})
    found = judge(loader_path, environment=environment, torch=Torch(version=torch, cuda=cuda))
    assert sorted(one.status for one in found) == sorted(statuses.split())


LIBRARIES = [
    pytest.param({"/x/libnvJitLink.so.12": "12.1.105"}, "2.5.1", "fail", id="an older nvJitLink"),
    pytest.param({"/x/libcudnn.so.9": "9.0.0"}, "2.5.1", "warn", id="an older cuDNN"),
    pytest.param({"/x/libnvJitLink.so.12": "12.4.127"}, "2.5.1", "pass", id="the same"),
    pytest.param(
        {"/x/libcudart.so.12": "12.4.127", "/y/libcudart.so.12": "12.1.105"}, "2.5.1", "pass", id="it is second"
    ),
    pytest.param({"/z/libcudart.so.12": "12.1.105"}, "2.5.1", "not_applicable", id="not on the path"),
    pytest.param({}, "2.5.1", "not_applicable", id="nothing in there"),
]


@pytest.mark.parametrize(("libraries", "torch", "status"), LIBRARIES)
def test_names_of_files_count_more(libraries: dict[str, str], torch: str, status: str) -> None:
    path = "/x/:/y:/usr/local/cuda-12.0/lib64"  # the last would be red by its name
    environment = Environment(
        variables={"LD_LIBRARY_PATH": path},
        libraries=tuple(LoaderLibrary(path=p, version=v) for p, v in libraries.items()),
    )
    (found,) = judge(loader_path, environment=environment, torch=Torch(version=torch, cuda="12.4"))
    assert found.status == status


@pytest.mark.parametrize(("run", "status"), [(WORKS, "pass"), (BROKEN, "fail")], ids=["imported", "did not import"])
def test_an_import_settles_it(run: TorchRun, status: str) -> None:
    environment = Environment(variables={"LD_LIBRARY_PATH": "/usr/local/cuda-12.1/lib64"})
    (found,) = judge(loader_path, environment=environment, torch=Torch(version="2.5.1", cuda="12.4"), torch_run=run)
    assert found.status == status


def test_an_import_does_not_settle_cudnn() -> None:
    environment = Environment(variables={"LD_LIBRARY_PATH": "/opt/cudnn-9.0.0/lib"})
    given: dict[str, Any] = {"environment": environment, "torch": Torch(version="2.5.1", cuda="12.4")}
    (found,) = judge(loader_path, torch_run=WORKS, **given)
    assert (found.status, found.cause) == ("warn", "CUDA_LIBS_SHADOWED")


def test_the_installed_cudnn_is_the_one_to_compare() -> None:
    packages = Packages(distributions=(Distribution(name="nvidia-cudnn-cu12", version="9.0.0.312"),))
    environment = Environment(variables={"LD_LIBRARY_PATH": "/opt/cudnn-9.0.0/lib"})
    (found,) = judge(loader_path, environment=environment, torch=Torch(version="2.5.1", cuda="12.4"), packages=packages)
    assert found.status == "pass"


def test_another_build_has_a_cudnn_that_is_not_known() -> None:
    environment = Environment(variables={"LD_LIBRARY_PATH": "/opt/cudnn-9.0.0/lib"})
    (found,) = judge(loader_path, environment=environment, torch=Torch(version="2.5.1+cu118", cuda="11.8"))
    assert found.status == "unknown"


def test_a_path_in_front_of_the_command_counts_and_the_rest_stays() -> None:
    before = {"LD_LIBRARY_PATH": "/apps/cuda/12.1/lib64:/my own/lib:/apps/cuda/12.1/lib"}
    intent = dataclasses.replace(Intent(model="/m", engine="vllm"), environment=before)
    torch = Torch(version="2.5.1", cuda="12.4")
    (found,) = judge(loader_path, intent=intent, environment=Environment(), torch=torch)
    assert found.status == "fail"
    assert found.fixes[0].commands == ("export LD_LIBRARY_PATH='/my own/lib'",)


REST = [
    pytest.param(
        "/sw/cudnn/8.0.3-cuda.11.0/lib64:/sw/cuda/11.0/lib64:/usr/local/cuda/lib64",
        "export LD_LIBRARY_PATH=/usr/local/cuda/lib64",
        id="an old cuDNN and an old CUDA",
    ),
    pytest.param(
        "/sw/cudnn/8.0.3/lib:/usr/local/cuda-11.3/lib64",
        "export LD_LIBRARY_PATH=/usr/local/cuda-11.3/lib64",
        id="CUDA is as new as torch's and stays",
    ),
    pytest.param("/sw/cudnn/8.0.3/lib:/sw/cudnn/8.0.5/lib", "unset LD_LIBRARY_PATH", id="the next cuDNN is old too"),
]


@pytest.mark.parametrize(("path", "line"), REST)
def test_one_line_leaves_nothing_bad_behind(path: str, line: str) -> None:
    torch = Torch(version="1.12.1", cuda="11.3")
    found = judge(loader_path, environment=Environment(variables={"LD_LIBRARY_PATH": path}), torch=torch)
    bad = [one for one in found if one.status == "fail"]
    assert bad
    assert {one.fixes[0].commands for one in bad} == {(line,)}
    after = line.partition("=")[2]
    again = judge(loader_path, environment=Environment(variables={"LD_LIBRARY_PATH": after}), torch=torch)
    assert {one.status for one in again} <= {"pass", "not_applicable"}


def test_a_second_folder_with_the_same_library_leaves_as_well() -> None:
    libraries = tuple(LoaderLibrary(path=f"/{x}/libcudart.so.12", version="12.1.105") for x in "xy")
    environment = Environment(variables={"LD_LIBRARY_PATH": "/x:/y:/z"}, libraries=libraries)
    (found,) = judge(loader_path, environment=environment, torch=Torch(version="2.5.1", cuda="12.4"))
    assert found.fixes[0].commands == ("export LD_LIBRARY_PATH=/z",)


def test_nothing_left_is_unset() -> None:
    environment = Environment(variables={"LD_LIBRARY_PATH": "/usr/local/cuda-12.1/lib64"})
    (found,) = judge(loader_path, environment=environment, torch=Torch(version="2.5.1", cuda="12.4"))
    assert found.fixes[0].commands == ("unset LD_LIBRARY_PATH",)


@pytest.mark.parametrize(
    ("cublas", "status"), [("12.9.1.4", "pass"), ("12.8.4.1", "warn")], ids=["the toolkit's release", "torch's own"]
)
def test_a_cublas_that_was_put_to_the_toolkits_release(cublas: str, status: str) -> None:
    packages = Packages(distributions=(Distribution(name="nvidia-cublas-cu12", version=cublas),))
    environment = Environment(variables={"LD_LIBRARY_PATH": "/usr/local/cuda-12.9/lib64"})
    torch = Torch(version="2.10.0", cuda="12.8")
    (found,) = judge(loader_path, environment=environment, torch=torch, packages=packages)
    assert found.status == status
