"""The host, read from fake /proc, /sys and /etc roots and from real sockets."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_doctor.facts import Memory, PciGpu, Reading
from autoglm_doctor.probes.cgroup import read_memory
from autoglm_doctor.probes.machine import probe
from autoglm_doctor.probes.osinfo import read_environment, read_host
from autoglm_doctor.probes.pci import read_pci_gpus
from autoglm_doctor.probes.port import read_port

GIB = 2**30
MEMINFO = "MemTotal:       32000000 kB\nMemFree:  1000000 kB\nMemAvailable:   20000000 kB\nSwapFree:   4000 kB\n"


def write(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def stat(anon: int = 0, active: int = 0, inactive: int = 0) -> str:
    lists = f"active_file {active}\ninactive_file {inactive}\n"
    totals = f"total_active_file {active}\ntotal_inactive_file {inactive}\n"
    return f"anon {anon}\n{lists}{totals}"


# --- memory ---


def memory(root: Path, **files: str) -> Memory:
    return read_memory(write(root, {"proc/meminfo": MEMINFO, **files}))


def test_without_a_control_group_there_is_no_limit(tmp_path: Path) -> None:
    found = memory(tmp_path)
    assert (found.total_bytes, found.available_bytes) == (32000000 * 1024, 20000000 * 1024)
    assert (found.swap_free_bytes, found.cgroup_limit_bytes, found.cgroup_used_bytes) == (4000 * 1024, None, None)


def test_version_2_counts_what_cannot_be_reclaimed(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "0::/pod/box\n",
        "sys/fs/cgroup/pod/box/memory.max": f"{8 * GIB}\n",
        "sys/fs/cgroup/pod/box/memory.current": f"{7 * GIB}\n",
        "sys/fs/cgroup/pod/box/memory.stat": stat(active=2 * GIB, inactive=3 * GIB),
    }
    found = memory(tmp_path, **files)
    assert (found.cgroup_limit_bytes, found.cgroup_used_bytes) == (8 * GIB, 2 * GIB)


def test_version_2_walks_up_to_the_tightest_parent(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "0::/pod/box\n",
        "sys/fs/cgroup/pod/box/memory.max": "max\n",
        "sys/fs/cgroup/pod/box/memory.current": f"{1 * GIB}\n",
        "sys/fs/cgroup/pod/memory.max": f"{6 * GIB}\n",
        "sys/fs/cgroup/pod/memory.current": f"{5 * GIB}\n",
        "sys/fs/cgroup/memory.max": f"{64 * GIB}\n",
        "sys/fs/cgroup/memory.current": f"{9 * GIB}\n",
    }
    found = memory(tmp_path, **files)
    assert (found.cgroup_limit_bytes, found.cgroup_used_bytes) == (6 * GIB, 5 * GIB)


def test_version_2_throttling_counts_as_a_limit(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "0::/box\n",
        "sys/fs/cgroup/box/memory.max": "max\n",
        "sys/fs/cgroup/box/memory.high": f"{4 * GIB}\n",
    }
    assert memory(tmp_path, **files).cgroup_limit_bytes == 4 * GIB


def test_version_2_in_a_container_that_sees_the_path_of_its_host(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "0::/system.slice/docker-abc.scope\n",
        "sys/fs/cgroup/memory.max": f"{2 * GIB}\n",
        "sys/fs/cgroup/memory.current": f"{1 * GIB}\n",
    }
    found = memory(tmp_path, **files)
    assert (found.cgroup_limit_bytes, found.cgroup_used_bytes) == (2 * GIB, 1 * GIB)


def test_version_1_with_and_without_a_limit(tmp_path: Path) -> None:
    box = "sys/fs/cgroup/memory/docker/abc/"
    files = {
        "proc/self/cgroup": "9:name=systemd:/\n4:memory:/docker/abc\n0::/\n",
        box + "memory.limit_in_bytes": f"{3 * GIB}\n",
        box + "memory.usage_in_bytes": f"{2 * GIB}\n",
        box + "memory.stat": stat(inactive=1 * GIB),
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    }
    found = memory(tmp_path, **files)
    assert (found.cgroup_limit_bytes, found.cgroup_used_bytes) == (3 * GIB, 1 * GIB)
    write(tmp_path, {box + "memory.limit_in_bytes": "9223372036854771712\n"})
    assert read_memory(tmp_path).cgroup_limit_bytes is None


@given(st.integers(0, 1 << 40), st.integers(0, 1 << 40), st.integers(0, 1 << 40))
def test_used_memory_is_never_negative_nor_more_than_current(
    tmp_path_factory: pytest.TempPathFactory, current: int, active: int, inactive: int
) -> None:
    files = {
        "proc/meminfo": MEMINFO,
        "proc/self/cgroup": "0::/\n",
        "sys/fs/cgroup/memory.max": f"{1 << 41}",
        "sys/fs/cgroup/memory.current": str(current),
        "sys/fs/cgroup/memory.stat": stat(active=active, inactive=inactive),
    }
    used = read_memory(write(tmp_path_factory.mktemp("root"), files)).cgroup_used_bytes
    assert used == max(0, current - active - inactive)


# --- PCI ---


def device(root: Path, address: str, vendor: str, kind: str, driver: str | None = None) -> None:
    folder = root / "sys/bus/pci/devices" / address
    write(folder, {"vendor": vendor + "\n", "class": kind + "\n", "device": "0x2684\n"})
    if driver:
        target = root / "sys/bus/pci/drivers" / driver
        target.mkdir(parents=True, exist_ok=True)
        (folder / "driver").symlink_to(target)


def test_only_displays_of_nvidia_count(tmp_path: Path) -> None:
    device(tmp_path, "0000:01:00.0", "0x10de", "0x030000", "nvidia")
    device(tmp_path, "0000:01:00.1", "0x10de", "0x040300", "snd_hda_intel")
    device(tmp_path, "0000:02:00.0", "0x10de", "0x030200", "nouveau")
    device(tmp_path, "0000:03:00.0", "0x1002", "0x030000", "amdgpu")
    device(tmp_path, "0000:04:00.0", "0x10de", "0x030200")
    assert read_pci_gpus(tmp_path) == (
        PciGpu(address="0000:01:00.0", device_id="0x2684", driver="nvidia"),
        PciGpu(address="0000:02:00.0", device_id="0x2684", driver="nouveau"),
        PciGpu(address="0000:04:00.0", device_id="0x2684", driver=None),
    )


# --- operating system ---


@pytest.mark.parametrize(
    ("files", "environ", "container"),
    [
        ({}, {}, ""),
        ({".dockerenv": ""}, {}, "docker"),
        ({"run/.containerenv": "", ".dockerenv": ""}, {}, "podman"),
        ({".dockerenv": ""}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "kubernetes"),
        ({"proc/1/cgroup": "0::/kubepods/burstable/pod1\n"}, {}, "kubernetes"),
        ({"proc/1/cgroup": "1:memory:/docker/abc\n"}, {}, "docker"),
        ({"run/systemd/container": "lxc\n"}, {}, "lxc"),
        ({"run/systemd/container": "wsl\n"}, {}, ""),
        ({"proc/1/cgroup": "0::/init.scope\n"}, {}, ""),
    ],
    ids=[
        "host",
        "docker",
        "podman",
        "pod",
        "pod by cgroup",
        "docker by cgroup",
        "lxc",
        "WSL is a host",
        "systemd host",
    ],
)
def test_containers(tmp_path: Path, files: dict[str, str], environ: dict[str, str], container: str) -> None:
    assert read_host(write(tmp_path, files), environ).container == container


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        pytest.param('ID="rocky"\nID_LIKE="rhel centos fedora"\n', ("rocky", "rhel", "centos", "fedora"), id="quoted"),
        pytest.param("ID=ubuntu\nID_LIKE=debian\nVERSION_ID=22.04\n", ("ubuntu", "debian"), id="bare"),
        pytest.param("ID_LIKE='suse opensuse'\nID=sles\n", ("sles", "suse", "opensuse"), id="the other way round"),
        pytest.param("VARIANT_ID=server\nID=kylin\n", ("kylin",), id="no relatives"),
        pytest.param("", (), id="nothing"),
    ],
)
def test_ids_of_the_distribution(tmp_path: Path, text: str, ids: tuple[str, ...]) -> None:
    write(tmp_path, {"etc/os-release": text})
    assert read_host(tmp_path, {}).os_ids == ids


def test_the_distribution_and_wsl(tmp_path: Path) -> None:
    write(tmp_path, {"etc/os-release": 'NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 22.04.5 LTS"\n'})
    host = read_host(tmp_path, {})
    assert (host.distribution, host.wsl, host.system) == ("Ubuntu 22.04.5 LTS", False, "Linux")
    assert host.cpus == len(os.sched_getaffinity(0))
    write(tmp_path, {"proc/version": "Linux version 5.15.167.4-microsoft-standard-WSL2\n"})
    assert read_host(tmp_path, {}).wsl


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("CUDA_VISIBLE_DEVICES", "", ""),
        ("VLLM_ATTENTION_BACKEND", "FLASHINFER", "FLASHINFER"),
        ("NVCC_CCBIN", "/usr/bin/g++-14", "/usr/bin/g++-14"),
        ("VLLM_API_KEY", "sk-1", None),
        ("NCCL_AUTH_THING", "x", None),
        ("HF_TOKEN", "hf_x", None),
        ("SECRET_PROXY", "x", None),
        ("HOME", "/root", None),
        ("http_proxy", "http://user:pw@proxy:3128", "http://proxy:3128"),
        ("HTTPS_PROXY", "user:pw@proxy:3128", "proxy:3128"),
        ("all_proxy", "socks5h://proxy:1080", "socks5h://proxy:1080"),
        ("no_proxy", "localhost,127.0.0.1", "localhost,127.0.0.1"),
    ],
)
def test_only_listed_variables_without_secrets(name: str, value: str, kept: str | None) -> None:
    assert read_environment({name: value}, {}).variables.get(name) == kept


def test_the_deployments_assignments_win() -> None:
    found = read_environment({"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1", "NCCL_DEBUG": "INFO"})
    assert found.variables == {"CUDA_VISIBLE_DEVICES": "1", "NCCL_DEBUG": "INFO"}


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_value_survives_under_a_secret_name(name: str, value: str) -> None:
    for secret in ("key", "TOKEN", "Secret", "password", "auth"):
        assert read_environment({f"VLLM_{name}{secret}": value}, {}).variables == {}


# --- port ---


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_port_with_a_listener_is_taken_and_the_holder_is_named(listener: int) -> None:
    for host in ("127.0.0.1", "0.0.0.0"):
        found = read_port(host, listener)
        assert (found.free, found.holder_pid) == (False, os.getpid())
        assert found.error == "Address already in use"
        assert found.holder_name


def test_a_port_is_free_again_and_trying_it_takes_nothing(listener: int) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
    for _ in range(3):
        assert read_port("127.0.0.1", port).free


def test_connections_that_linger_are_no_false_alarm() -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()  # the server's side closes first, and its end lingers in TIME_WAIT
        client.close()
    assert read_port("127.0.0.1", port).free


def test_an_address_that_is_not_ours() -> None:
    found = read_port("203.0.113.7", 8000)
    assert not found.free
    assert "assign" in (found.error or "")


# --- the probe ---


def answers(**arguments: Any) -> dict[str, Reading[Any]]:
    return dict(probe(arguments))


def test_every_fact_is_answered_in_order_and_a_broken_one_costs_only_itself(tmp_path: Path) -> None:
    found = answers(root=str(tmp_path), port=8000, host="no such host.invalid")
    assert list(found) == ["host", "environment", "pci_gpus", "memory", "shared_memory", "port"]
    outcomes = {name: reading.outcome for name, reading in found.items()}
    assert outcomes == {
        "host": "known",
        "environment": "known",
        "pci_gpus": "failed",
        "memory": "failed",
        "shared_memory": "absent",
        "port": "failed",
    }
    assert "/sys/bus/pci" in found["pci_gpus"].why


def test_no_port_is_absent() -> None:
    assert answers(port=None)["port"].outcome == "absent"


def test_shared_memory_is_that_of_the_root(tmp_path: Path) -> None:
    (tmp_path / "dev/shm").mkdir(parents=True)
    size = os.statvfs(tmp_path)
    found = answers(root=str(tmp_path))["shared_memory"].value
    assert found.total_bytes == size.f_blocks * size.f_frsize


def test_run_as_a_program(tmp_path: Path) -> None:
    result = tmp_path / "result.jsonl"
    arguments = json.dumps({"port": None, "variables": {"CUDA_VISIBLE_DEVICES": "3"}})
    command = [sys.executable, "-m", "autoglm_doctor.probes.machine", str(result), arguments]
    root = str(Path(__file__).resolve().parents[2])
    subprocess.run(command, check=True, timeout=60, env={**os.environ, "PYTHONPATH": root})
    lines = {entry["fact"]: entry for entry in map(json.loads, result.read_text().splitlines())}
    assert lines["host"]["value"]["system"] == "Linux"
    variables = lines["environment"]["value"]["variables"]
    assert variables["CUDA_VISIBLE_DEVICES"] == "3"
    assert "PYTHONPATH" not in variables  # the entry that starts our own probe is not the deployment's
