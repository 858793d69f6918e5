"""DSK: room for the weights, random and sequential reads."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_doctor.checks import disk, disk_speed
from autoglm_doctor.domain.model import checkpoint_bytes
from autoglm_doctor.facts import DiskSpeed, ModelFiles, Reading, Storage, WeightFile
from autoglm_doctor.finding import Finding
from autoglm_doctor.intent import SMOKE, Intent, Launch
from autoglm_doctor.launch import default_intent
from autoglm_doctor.testing import judge
from autoglm_doctor.wording import render

GIB = 2**30
MODEL = checkpoint_bytes(default_intent(), None) or 0
NEED = int(1.1 * MODEL)


def storage(**changed: object) -> Storage:
    roomy = Storage(
        path="/data", wanted="/data/hub", why="HF_HOME", mount_point="/data", free_bytes=500 * GIB, free_inodes=10**6
    )
    return dataclasses.replace(roomy, **changed)  # type: ignore[arg-type]


def files(*weights: WeightFile) -> ModelFiles:
    return ModelFiles(path="/data/hub/model", weights=weights)


def shard(size: int, fault: str | None = None) -> WeightFile:
    return WeightFile(name=f"{size}.safetensors", size_bytes=size, tensor_bytes=size, fault=fault)


def space(**facts: object) -> Finding:
    (finding,) = judge(disk.space_for_weights, **facts)  # type: ignore[arg-type]
    return finding


def test_the_known_model_has_a_plausible_size() -> None:
    assert 18 * GIB < MODEL < 22 * GIB


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        pytest.param({}, "pass", id="plenty of room"),
        pytest.param({"free_bytes": NEED + 5 * GIB}, "pass", id="exactly enough and the reserve"),
        pytest.param({"free_bytes": NEED + 5 * GIB - 1}, "warn", id="one byte of the reserve is missing"),
        pytest.param({"free_bytes": NEED}, "warn", id="exactly enough"),
        pytest.param({"free_bytes": NEED - 1}, "fail", id="one byte too little"),
        pytest.param({"free_bytes": 0}, "fail", id="full"),
        pytest.param({"read_only": True}, "fail", id="read-only"),
        pytest.param({"writable": False}, "fail", id="somebody else's folder"),
        pytest.param({"write_error": "Disk quota exceeded", "writable": False}, "fail", id="quota used up"),
        pytest.param({"free_inodes": 3}, "fail", id="inodes used up"),
        pytest.param({"free_inodes": None}, "pass", id="file system without inodes"),
    ],
)
def test_room(changed: dict[str, object], status: str) -> None:
    assert space(storage=storage(**changed)).status == status


def test_a_red_one_says_the_numbers_and_the_way_out() -> None:
    finding = space(storage=storage(free_bytes=10 * GIB))
    assert finding.cause == "DISK_FULL"
    assert (
        render(finding.text) == f"the download needs {NEED / GIB:,.2f} GiB, and /data/hub (HF_HOME) has 10.00 GiB free"
    )
    assert "export HF_HOME=/data/huggingface" in finding.fixes[0].commands


def test_the_reason_why_nothing_can_be_written_is_named() -> None:
    text = render(space(storage=storage(write_error="Disk quota exceeded", writable=False)).text)
    assert "Disk quota exceeded" in text


def test_only_what_is_missing_needs_room() -> None:
    half = files(shard(MODEL // 2), shard(0, "missing"))
    free = NEED // 2 + 6 * GIB
    assert space(storage=storage(free_bytes=free)).status == "fail"
    assert space(storage=storage(free_bytes=free), model_files=half).status == "pass"


def test_a_broken_file_has_to_be_downloaded_again() -> None:
    half = files(shard(MODEL // 2), shard(MODEL // 2, "truncated"))
    assert space(storage=storage(free_bytes=NEED // 2 - GIB), model_files=half).status == "fail"


def test_a_complete_model_needs_no_room() -> None:
    finding = space(storage=storage(free_bytes=0, read_only=True), model_files=files(shard(1000)))
    assert finding.status == "not_applicable"


@pytest.mark.parametrize(
    "intent",
    [
        pytest.param(Intent(model=SMOKE), id="the model made on the spot"),
        pytest.param(Intent(model="a/b", launch=Launch(load_format="dummy")), id="dummy weights"),
    ],
)
def test_without_weights_no_room_is_needed(intent: Intent) -> None:
    assert space(storage=storage(free_bytes=0), intent=intent).status == "not_applicable"


def test_dummy_weights_need_no_speed() -> None:
    intent = Intent(model="a/b", launch=Launch(load_format="dummy"))
    for check in (disk_speed.random_reads, disk_speed.sequential_reads):
        (finding,) = judge(check, disk_speed=speed(random_iops=1.0, sequential_bytes_per_s=1.0), intent=intent)
        assert finding.status == "not_applicable"


def test_a_model_of_unknown_size_is_not_green() -> None:
    assert space(storage=storage(), intent=Intent(model="somebody/else")).status == "unknown"


@pytest.mark.parametrize("outcome", ["failed", "timeout", "not_run"])
def test_storage_that_could_not_be_read_is_not_green(outcome: str) -> None:
    reading: Reading[Storage] = Reading(outcome=outcome, why="stale file handle")  # type: ignore[arg-type]
    finding = space(storage=reading)
    assert finding.status == "unknown"
    assert "stale file handle" in render(finding.text)


@pytest.mark.parametrize(
    ("intent", "command"),
    [
        pytest.param(
            Intent(model="zai-org/AutoGLM-Phone-9B", environment={"VLLM_USE_MODELSCOPE": "True"}),
            "export MODELSCOPE_CACHE=/data/modelscope",
            id="ModelScope has a cache of its own",
        ),
        pytest.param(
            Intent(
                model="zai-org/AutoGLM-Phone-9B",
                command=("vllm", "serve", "zai-org/AutoGLM-Phone-9B", "--download-dir", "/small disk"),
                launch=Launch(download_dir="/small disk"),
            ),
            "vllm serve zai-org/AutoGLM-Phone-9B --download-dir '/small disk' --download-dir /data/models",
            id="the flag beats HF_HOME",
        ),
    ],
)
def test_the_fix_moves_what_decides_the_place(intent: Intent, command: str) -> None:
    assert command in space(storage=storage(free_bytes=0), intent=intent).fixes[0].commands


@given(free=st.integers(0, 100 * GIB), more=st.integers(0, 50 * GIB))
def test_more_room_is_never_worse(free: int, more: int) -> None:
    order = ("fail", "warn", "pass")
    less, better = (space(storage=storage(free_bytes=n)).status for n in (free, free + more))
    assert order.index(less) <= order.index(better)


def speed(**changed: object) -> DiskSpeed:
    ssd = DiskSpeed(
        sample="weights",
        fs_type="ext4",
        method="libaio, O_DIRECT",
        random_iops=90_000.0,
        random_latency_us=55.0,
        sequential_bytes_per_s=1.3e9,
        sample_bytes=20 * GIB,
    )
    return dataclasses.replace(ssd, **changed)  # type: ignore[arg-type]


def reads(check: object, **changed: object) -> Finding:
    (finding,) = judge(check, disk_speed=speed(**changed))  # type: ignore[arg-type]
    return finding


@pytest.mark.parametrize(
    ("changed", "random", "sequential"),
    [
        pytest.param({}, "pass", "pass", id="an SSD"),
        pytest.param({"random_iops": 180.0, "sequential_bytes_per_s": 1.5e8}, "warn", "warn", id="a hard disk"),
        pytest.param({"random_iops": 1000.0, "sequential_bytes_per_s": 2e8}, "pass", "pass", id="at both limits"),
        pytest.param({"random_iops": 999.0}, "warn", "pass", id="throttled reads"),
        pytest.param({"sequential_bytes_per_s": 1.99e8}, "pass", "warn", id="a narrow network"),
        pytest.param({"random_iops": None}, "unknown", "pass", id="no threads, no libaio"),
        pytest.param({"sequential_bytes_per_s": None}, "pass", "unknown", id="no sequential figure"),
        pytest.param({"cached": True, "fs_type": "fuse.x"}, "unknown", "unknown", id="O_DIRECT refused"),
        pytest.param(
            {"cached": True, "fs_type": "zfs", "random_iops": 9.0}, "unknown", "unknown", id="ZFS's own cache"
        ),
        pytest.param({"cached": True, "fs_type": "tmpfs"}, "pass", "pass", id="the model lies in memory"),
    ],
)
def test_speed(changed: dict[str, object], random: str, sequential: str) -> None:
    assert reads(disk_speed.random_reads, **changed).status == random
    assert reads(disk_speed.sequential_reads, **changed).status == sequential


def test_the_load_time_and_the_file_system_are_in_the_text() -> None:
    finding = reads(disk_speed.sequential_reads, sequential_bytes_per_s=1e8, fs_type="nfs4")
    seconds = round(MODEL / 1e8)
    assert f"at least {seconds} s for {MODEL / 1e9:.1f} GB of weights" in render(finding.text)
    assert "network file system (nfs4)" in render(finding.text)
    assert finding.cause == "SLOW_MODEL_STORAGE"


@pytest.mark.parametrize(
    ("fs_type", "first"),
    [
        pytest.param("nfs4", "--safetensors-load-strategy eager", id="network: one flag is the least"),
        pytest.param("9p", "--safetensors-load-strategy eager", id="a Windows drive in WSL"),
        pytest.param("ext4", "lsblk", id="local disk: another disk"),
    ],
)
def test_the_best_fix_depends_on_the_file_system(fs_type: str, first: str) -> None:
    finding = reads(disk_speed.sequential_reads, sequential_bytes_per_s=1e8, fs_type=fs_type)
    assert first in finding.fixes[0].commands[0]


def test_a_model_on_this_machine_is_copied_from_where_it_is() -> None:
    slow = speed(sequential_bytes_per_s=1e8)
    (finding,) = judge(disk_speed.sequential_reads, disk_speed=slow, model_files=files(shard(20 * GIB)))
    assert any("cp -rL /data/hub/model " in line for line in finding.fixes[-1].commands)


@pytest.mark.parametrize("check", [disk_speed.random_reads, disk_speed.sequential_reads], ids=lambda check: check.name)
def test_without_a_measurement_nothing_is_green(check: object) -> None:
    (finding,) = judge(check)  # type: ignore[arg-type]
    assert finding.status == "unknown"


@pytest.mark.parametrize("model", ["/no/such/folder", "./nope", "~/nope", "a/b/c"])
def test_a_path_is_never_downloaded(model: str) -> None:
    absent: Reading[object] = Reading(outcome="absent", why=f"there is no folder {model}", source="path")
    finding = space(storage=storage(free_bytes=0), model_files=absent, intent=Intent(model=model))
    assert finding.status == "not_applicable"
    assert "nothing is downloaded" in render(finding.text)


def test_a_file_on_the_way_is_named() -> None:
    finding = space(storage=storage(path="/etc", writable=False, write_error="/etc/hostname is a file, no folder"))
    assert finding.status == "fail"
    assert "/etc/hostname is a file" in render(finding.text)
