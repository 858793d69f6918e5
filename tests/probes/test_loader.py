"""Libraries in the loader's folders, in a fake root."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from autoglm_doctor.facts import Environment, LoaderLibrary
from autoglm_doctor.jsonio import decode, encode
from autoglm_doctor.probes import loader
from autoglm_doctor.probes.loader import read_libraries
from autoglm_doctor.probes.osinfo import read_environment, read_host


def library(root: Path, folder: str, name: str, real: str) -> None:
    place = root / folder.lstrip("/")
    place.mkdir(parents=True, exist_ok=True)
    (place / real).write_bytes(b"")
    (place / name).symlink_to(real)


def found_in(variables: dict[str, str], root: Path) -> dict[str, str]:
    return {one.path: one.version for one in read_libraries(variables, root)}


def test_links_are_followed_to_the_version(tmp_path: Path) -> None:
    library(tmp_path, "/opt/cudnn/lib", "libcudnn.so.9", "libcudnn.so.9.1.0")
    library(tmp_path, "/usr/local/cuda-12.4/lib64", "libcudart.so.12", "libcudart.so.12.4.127")
    (tmp_path / "usr/local/cuda").symlink_to("cuda-12.4")
    found = found_in({"LD_LIBRARY_PATH": "/opt/cudnn/lib/:/usr/local/cuda/lib64::/not/there:relative"}, tmp_path)
    assert found == {
        "/opt/cudnn/lib/libcudnn.so.9": "9.1.0",
        "/usr/local/cuda/lib64/libcudart.so.12": "12.4.127",
    }


def test_compat_folders_are_looked_at_whatever_the_path_says(tmp_path: Path) -> None:
    library(tmp_path, "/usr/local/cuda-13.0/compat", "libcuda.so.1", "libcuda.so.580.95.05")
    library(tmp_path, "/env/cuda-compat", "libcuda.so.1", "libcuda.so.575.57.08")
    assert found_in({"CONDA_PREFIX": "/env"}, tmp_path) == {
        "/usr/local/cuda-13.0/compat/libcuda.so.1": "580.95.05",
        "/env/cuda-compat/libcuda.so.1": "575.57.08",
    }


@pytest.mark.parametrize("value", ["", ":", "/", "/dev/null", "/" + "x" * 5000, ":".join(["/a"] * 9000)])
def test_odd_paths_find_nothing(tmp_path: Path, value: str) -> None:
    assert read_libraries({"LD_LIBRARY_PATH": value}, tmp_path) == ()


def test_a_ring_of_links_and_a_broken_one_find_nothing(tmp_path: Path) -> None:
    (tmp_path / "libcudnn.so.9").symlink_to("libcudnn.so.9")
    (tmp_path / "libcudart.so.12").symlink_to("libcudart.so.12.4.127")
    assert read_libraries({"LD_LIBRARY_PATH": "/"}, tmp_path) == ()


def test_the_fact_carries_them_and_survives_its_own_writing(tmp_path: Path) -> None:
    library(tmp_path, "/x", "libcudnn.so.9", "libcudnn.so.9.1.0")
    read = read_environment({}, {"LD_LIBRARY_PATH": "/x"}, tmp_path)
    assert read.libraries == (LoaderLibrary(path="/x/libcudnn.so.9", version="9.1.0"),)
    assert decode(Environment, json.loads(json.dumps(encode(read)))) == read


def test_a_folder_that_never_answers_costs_the_libraries_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()

    def hang(place: object) -> str:
        answer.wait(30)
        return str(place)

    monkeypatch.setattr(loader, "_SECONDS", 0.05)
    monkeypatch.setattr(os.path, "realpath", hang)
    read = read_environment({"LD_LIBRARY_PATH": "/x"}, {}, tmp_path)
    answer.set()
    assert (read.libraries, read.variables) == (None, {"LD_LIBRARY_PATH": "/x"})


def test_variables_that_checks_judge_are_collected() -> None:
    names = ("CUDA_LAUNCH_BLOCKING", "NCCL_BUFFSIZE", "BNB_CUDA_VERSION", "VLLM_ENABLE_CUDA_COMPATIBILITY", "VLLM_PORT")
    assert set(read_environment(dict.fromkeys(names, "1"), {}).variables) == set(names)


def test_rdma_adapters_and_the_limit_of_locked_memory(tmp_path: Path) -> None:
    assert read_host(tmp_path, {}).rdma_devices == ()
    for name in ("mlx5_1", "mlx5_0"):
        (tmp_path / "sys/class/infiniband" / name).mkdir(parents=True)
    host = read_host(tmp_path, dict(os.environ))
    assert host.rdma_devices == ("mlx5_0", "mlx5_1")
    assert host.memlock_bytes is not None
    assert host.memlock_bytes >= -1
