"""DSK003 where no rate is known: the kind of the file system."""

from __future__ import annotations

from typing import Literal

import pytest

from autoglm_doctor.checks.disk_speed import sequential_reads
from autoglm_doctor.facts import DiskSpeed
from autoglm_doctor.intent import Intent, Launch
from autoglm_doctor.launch import default_intent
from autoglm_doctor.loose.storage import fs_type
from autoglm_doctor.testing import judge

CASES = [
    *(
        pytest.param(kind, None, "warn", id=f"{kind}, not measured")
        for kind in ("nfs4", "nfs", "cifs", "9p", "network")
    ),
    pytest.param("fuse.s3fs", None, "warn", id="an object store, not measured"),
    pytest.param("fuse.gcsfuse", None, "warn", id="another one"),
    pytest.param("ext4", None, "unknown", id="a local disk, not measured"),
    pytest.param("", None, "unknown", id="nothing is known"),
    pytest.param("fuseblk", None, "unknown", id="NTFS on a local disk"),
    pytest.param("fuse.fuse-overlayfs", None, "unknown", id="a rootless container"),
    pytest.param("lustre", None, "unknown", id="made for throughput"),
    pytest.param("virtiofs", None, "unknown", id="a share of the host, quick"),
    pytest.param("nfs4", 900e6, "pass", id="NFS that is quick"),
    pytest.param("9p", 150e6, "warn", id="measured and slow"),
    pytest.param("fuse.juicefs", 2e9, "pass", id="a cached object store"),
]


@pytest.mark.parametrize(("kind", "rate", "status"), CASES)
def test_kinds(kind: str, rate: float | None, status: str) -> None:
    speed = DiskSpeed(sample="weights", fs_type=kind, method="stated", sequential_bytes_per_s=rate)
    (found,) = judge(sequential_reads, disk_speed=speed)
    assert found.status == status
    assert bool(found.fixes) == (status == "warn")


@pytest.mark.parametrize(("kind", "status"), [("9p", "warn"), ("ext4", "unknown")])
def test_what_main_memory_gave_is_no_rate(kind: str, status: str) -> None:
    speed = DiskSpeed(sample="weights", fs_type=kind, method="preadv", cached=True, sequential_bytes_per_s=5e9)
    (found,) = judge(sequential_reads, disk_speed=speed)
    assert found.status == status


FLAGS = [
    pytest.param("vllm", ("--safetensors-load-strategy", "eager"), "unknown", id="vLLM reads whole files"),
    pytest.param("vllm", ("--safetensors-load-strategy=eager",), "unknown", id="in one word"),
    pytest.param("sglang", ("--weight-loader-disable-mmap",), "unknown", id="SGLang does"),
    pytest.param("vllm", ("--safetensors-load-strategy", "lazy"), "warn", id="vLLM maps them"),
    pytest.param("sglang", (), "warn", id="SGLang maps them"),
    pytest.param("transformers", ("--weight-loader-disable-mmap",), "warn", id="transformers knows no such flag"),
]


@pytest.mark.parametrize(("engine", "flags", "status"), FLAGS)
def test_the_flag_of_the_fix_is_heeded(
    engine: Literal["vllm", "sglang", "transformers"], flags: tuple[str, ...], status: str
) -> None:
    intent = Intent(model="Qwen/Qwen3-32B", engine=engine, command=("serve", "Qwen/Qwen3-32B", *flags))
    (found,) = judge(sequential_reads, intent=intent, disk_speed=DiskSpeed(sample="weights", fs_type="nfs4"))
    assert found.status == status
    slow = DiskSpeed(sample="weights", fs_type="nfs4", method="libaio", sequential_bytes_per_s=50e6)
    (measured,) = judge(sequential_reads, intent=intent, disk_speed=slow)
    assert measured.status == "warn"
    offered = [line for fix in measured.fixes for line in fix.commands if line.startswith("serve")]
    assert bool(offered) == (status == "warn" and engine != "transformers")


def test_no_weights_are_read() -> None:
    intent = Intent(model=default_intent().model, launch=Launch(load_format="dummy"))
    (found,) = judge(sequential_reads, intent=intent, disk_speed=DiskSpeed(sample="weights", fs_type="nfs"))
    assert found.status == "not_applicable"


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("the model lies on an NFS share", "nfs"),
        ("mounted by juicefs", "juicefs"),
        ("fuse.s3fs", "fuse.s3fs"),
        ("WSL file system", "9p"),
        ("network mount / distributed storage", "network"),
        ("local NVMe, 2 TB", ""),
    ],
)
def test_what_is_stated(said: str, kind: str) -> None:
    assert fs_type(said) == kind
