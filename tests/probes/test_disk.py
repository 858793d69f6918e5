"""The disk probe on real file systems, and on broken ones."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_doctor.facts import DiskSpeed, Reading
from autoglm_doctor.jsonio import decode, encode
from autoglm_doctor.probes import aio, disk
from autoglm_doctor.probes.disk import MIB
from autoglm_doctor.probes.storage import mount_of

SECONDS = 0.25


def on_disk(path: Path) -> bool:
    mount = mount_of(os.path.realpath(path))
    return mount is not None and mount.fs_type in ("ext4", "xfs", "btrfs")


def look(path: object, **arguments: Any) -> Reading[DiskSpeed]:
    (answer,) = disk.probe({"path": str(path), "seconds": SECONDS, **arguments})
    assert answer[0] == "disk_speed"
    return answer[1]


def measured(path: object, **arguments: Any) -> DiskSpeed:
    reading = look(path, **arguments)
    assert reading.outcome == "known", reading.why
    assert reading.value is not None
    assert decode(DiskSpeed, encode(reading.value)) == reading.value
    return reading.value


def plausible(speed: DiskSpeed) -> bool:
    figures = (speed.random_iops, speed.random_latency_us, speed.sequential_bytes_per_s)
    return all(figure is not None and 0 < figure < 1e12 for figure in figures)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    with path.open("wb") as stream:
        disk.write_noise(stream.fileno(), 64 * MIB, 60, direct=False)
    return str(path)


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Any]:
    """mount(type, options) -> folder; a test on a machine where that is not allowed is skipped."""
    points: list[str] = []

    def mount(fs_type: str, options: str = "") -> Path:
        point = tmp_path / f"mount{len(points)}"
        point.mkdir()
        line = ["mount", "-t", fs_type, *(["-o", options] if options else []), fs_type, str(point)]
        done = subprocess.run(line, capture_output=True, text=True, timeout=20)
        if done.returncode != 0:
            pytest.skip(f"no right to mount: {done.stderr.strip()}")
        points.append(str(point))
        return point

    if os.getuid() != 0:
        pytest.skip("mounting needs root")
    yield mount
    for point in points:
        subprocess.run(["umount", "-l", point], timeout=20, check=True)


def bytes_from_devices() -> int:
    """What this process really fetched from block devices, by the kernel's count."""
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["read_bytes"])


class TestMeasuring:
    def test_a_scratch_file_is_measured_and_gone(self, tmp_path: Path) -> None:
        speed = measured(tmp_path, write=True, scratch_bytes=32 * MIB)
        assert plausible(speed)
        assert (speed.sample, speed.sample_bytes) == ("scratch", 32 * MIB)
        assert list(tmp_path.iterdir()) == []

    def test_real_weights_are_only_read(self, weights: str) -> None:
        before = os.stat(weights)
        speed = measured(os.path.dirname(weights), weights=[weights], write=True)
        after = os.stat(weights)
        assert plausible(speed)
        assert (speed.sample, speed.sample_bytes) == ("weights", 64 * MIB)
        assert (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size)
        assert os.listdir(os.path.dirname(weights)) == [os.path.basename(weights)]

    def test_what_is_counted_came_from_the_device(self, weights: str) -> None:
        if not on_disk(Path(weights)):
            pytest.skip("the test folder is on no ordinary disk")
        with ExitStack() as stack:
            sample = disk.weights_sample([weights], stack)
            assert sample is not None
            assert (sample.direct, sample.cached) == (True, False)
            places = disk.random_places(sample.files, 4096)
            shares = []
            for _ in range(4):  # the clock also counts while another program has the processors
                before, started = bytes_from_devices(), time.perf_counter()
                rate = aio.libaio(places, 4096, 32, SECONDS)
                fetched, seconds = bytes_from_devices() - before, time.perf_counter() - started
                assert rate is not None
                shares.append(fetched / (rate * 4096 * seconds))
        assert min(abs(share - 1) for share in shares) < 0.15

    def test_memory_is_said_to_be_memory(self) -> None:
        if not os.path.isdir("/dev/shm"):
            pytest.skip("no /dev/shm here")
        speed = measured("/dev/shm", write=True, scratch_bytes=32 * MIB)
        assert (speed.fs_type, speed.cached) == ("tmpfs", True)

    def test_it_keeps_to_its_time(self, tmp_path: Path) -> None:
        started = time.perf_counter()
        look(tmp_path, write=True, seconds=0.5)
        assert time.perf_counter() - started < 3 * 0.5 + 1

    def test_several_shards_count_together(self, tmp_path: Path) -> None:
        shards = []
        for i in range(3):
            shards.append(str(tmp_path / f"{i}.safetensors"))
            with open(shards[-1], "wb") as stream:
                disk.write_noise(stream.fileno(), 22 * MIB, 60, direct=False)
        assert measured(tmp_path, weights=shards).sample_bytes == 66 * MIB


class TestWhenRefused:
    def test_threads_where_asynchronous_reads_are_forbidden(
        self, weights: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(aio, "_CALLS", dict.fromkeys(aio._CALLS, (100000,) * 4))  # the kernel answers ENOSYS
        speed = measured("/", weights=[weights])
        assert speed.method.startswith("preadv in threads")
        assert plausible(speed)

    def test_one_by_one_where_threads_are_forbidden_too(self, weights: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(self: object) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(aio.platform, "machine", lambda: "riscv64")
        monkeypatch.setattr(aio.threading.Thread, "start", refuse)
        speed = measured("/", weights=[weights])
        assert speed.method.startswith("preadv one by one")
        assert speed.random_iops is None  # at depth 1 it would be another figure
        assert speed.sequential_bytes_per_s
        assert speed.random_latency_us

    def test_no_direct_reads(self, mounted: Any) -> None:
        """ramfs has never taken O_DIRECT, unlike tmpfs on new kernels."""
        path = mounted("ramfs") / "a.safetensors"
        with path.open("wb") as stream:
            disk.write_noise(stream.fileno(), 64 * MIB, 60, direct=False)
        speed = measured(path.parent, weights=[str(path)])
        assert speed.cached
        assert speed.method.endswith("buffered")
        assert plausible(speed)

    def test_a_file_that_gets_shorter_is_no_speed(self, weights: str) -> None:
        with open(weights, "rb") as stream:
            places = [(stream.fileno(), 1 << 40)]
            for read in (lambda: aio.libaio(places, 4096, 4, 0.2), lambda: aio.one_by_one(places, 4096, 0.2)):
                with pytest.raises(OSError, match="shorter"):
                    read()

    def test_the_first_read_counts_however_late(self, weights: str) -> None:
        """Storage that answers after the time for it is slow, which is more than unknown."""
        with open(weights, "rb") as stream:
            places = [(stream.fileno(), 4096 * i) for i in range(64)]
            for read in (aio.one_by_one, lambda *one: aio.libaio(*one[:2], 4, one[2])):
                rate = read(places, 4096, 0.0)
                assert rate is not None
                assert 0 < rate < 1e9

    def test_a_failed_read_is_told(self, weights: str) -> None:
        fd = os.open(weights, os.O_WRONLY)
        try:
            with pytest.raises(OSError, match="Bad file descriptor"):
                aio.libaio([(fd, 0)], 4096, 4, 0.2)
            with pytest.raises(OSError, match="Bad file descriptor"):
                aio.threads([(fd, 0)], 4096, 4, 0.2)
        finally:
            os.close(fd)


class TestWithoutSample:
    def test_nothing_to_read_and_nothing_allowed(self, tmp_path: Path) -> None:
        reading = look(tmp_path, write=False)
        assert reading.outcome == "not_run"
        assert "no weights to read yet" in reading.why

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        assert look(tmp_path / "no", write=True).outcome == "not_run"

    def test_too_little_room_is_left_alone(self, mounted: Any) -> None:
        reading = look(mounted("tmpfs", "size=512m"), write=True)
        assert reading.outcome == "not_run"
        assert "0.5 GiB are free" in reading.why

    def test_a_read_only_file_system_with_weights_is_read(self, mounted: Any) -> None:
        folder = mounted("tmpfs", "size=80m")
        with (folder / "a.safetensors").open("wb") as stream:
            disk.write_noise(stream.fileno(), 66 * MIB, 60, direct=False)
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True, timeout=20)
        speed = measured(folder, weights=[str(folder / "a.safetensors")], write=True)
        assert (speed.sample, speed.cached) == ("weights", True)

    def test_a_read_only_file_system_without_weights(self, mounted: Any) -> None:
        reading = look(mounted("tmpfs", "ro"), write=True)
        assert reading.outcome == "not_run"
        assert "Read-only file system" in reading.why

    @pytest.mark.parametrize("fault", ["pointer file", "holes", "pipe", "missing", "small"])
    def test_what_is_no_sample(self, tmp_path: Path, fault: str) -> None:
        path = tmp_path / "model.safetensors"
        if fault == "pointer file":
            path.write_text("version https://git-lfs.github.com/spec/v1\n")
        elif fault == "holes":
            with path.open("wb") as stream:
                stream.write(b"x" * MIB)
                stream.truncate(100 * MIB)
        elif fault == "pipe":
            os.mkfifo(path)
        elif fault == "small":
            path.write_bytes(os.urandom(2 * MIB))
        assert look(tmp_path, weights=[str(path)], write=False).outcome == "not_run"


class TestWriting:
    def test_noise_cannot_be_compressed_and_no_block_is_there_twice(self, tmp_path: Path) -> None:
        path = tmp_path / "noise"
        with path.open("wb") as stream:
            disk.write_noise(stream.fileno(), 16 * MIB, 60, direct=False)
        data = path.read_bytes()
        assert len({data[i : i + 4096] for i in range(0, len(data), 4096)}) == len(data) // 4096
        assert len(zlib.compress(data, 1)) > 0.99 * len(data)

    def test_a_disk_that_fills_up_is_used_as_far_as_it_goes(self, mounted: Any) -> None:
        folder = mounted("tmpfs", "size=40m")
        fd = disk.open_unnamed(str(folder))
        written = disk.write_noise(fd, 64 * MIB, 60, direct=False)
        os.close(fd)
        assert 16 * MIB <= written <= 40 * MIB
        assert list(folder.iterdir()) == []
        assert os.statvfs(folder).f_bavail * 4096 == 40 * MIB

    def test_a_disk_that_is_full_at_once_is_a_reason(self, mounted: Any) -> None:
        fd = disk.open_unnamed(str(mounted("tmpfs", "size=8m")))
        with pytest.raises(disk.GaveUp, match=r"No space left|full"):
            disk.write_noise(fd, 64 * MIB, 60, direct=False)
        os.close(fd)

    def test_a_slow_disk_is_written_for_a_limited_time(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        really = os.pwrite

        def slowly(fd: int, data: Any, offset: int) -> int:
            time.sleep(0.03)  # 33 MB/s
            return really(fd, data, offset)

        monkeypatch.setattr(os, "pwrite", slowly)
        assert measured(tmp_path, write=True, seconds=0.6).sample_bytes in range(16 * MIB, 41 * MIB)
        reading = look(tmp_path, write=True, seconds=0.2)
        assert reading.outcome == "failed"
        assert "longer than 0.4 s" in reading.why

    @pytest.mark.parametrize("has_tmpfile", [True, False], ids=["never named", "named and removed at once"])
    def test_a_probe_killed_while_it_writes_leaves_nothing(self, tmp_path: Path, has_tmpfile: bool) -> None:
        folder = tmp_path / "model"
        folder.mkdir()
        patch = "" if has_tmpfile else "os.O_TMPFILE = os.O_CREAT | os.O_EXCL;"
        code = (
            f"import os, sys; {patch} from autoglm_doctor.probes import disk;"
            "list(disk.probe({'path': sys.argv[1], 'write': True, 'seconds': 60, 'scratch_bytes': 1 << 30}))"
        )
        child = subprocess.Popen([sys.executable, "-c", code, str(folder)])
        try:
            assert _wait_for(lambda: _open_bytes(child.pid, folder) > MIB), "it did not begin to write"
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait(timeout=30)
        assert list(folder.iterdir()) == []


def _open_bytes(pid: int, folder: Path) -> int:
    """Size of the file without a name that a process holds open in a folder."""
    size = 0
    for link in Path(f"/proc/{pid}/fd").glob("*"):
        with contextlib.suppress(OSError):
            if os.readlink(link).startswith(str(folder.resolve()) + "/"):
                size = max(size, link.stat().st_size)
    return size


def _wait_for(condition: Any, seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.005)
    return False


@given(sizes=st.lists(st.integers(MIB, 10**11), min_size=1, max_size=5))
def test_random_places_lie_inside_the_files(sizes: list[int]) -> None:
    files = list(enumerate(sizes))
    for fd, offset in disk.random_places(files, 4096)[:500]:
        assert offset % 4096 == 0
        assert 0 <= offset <= sizes[fd] - 4096


@given(sizes=st.lists(st.integers(MIB, 50 * MIB), min_size=1, max_size=5))
def test_places_in_order_go_through_all_files_once(sizes: list[int]) -> None:
    places = disk.places_in_order(list(enumerate(sizes)), MIB)
    assert sorted(places) == [(fd, i * MIB) for fd, size in enumerate(sizes) for i in range(size // MIB)]
    start = places.index((0, 0))
    assert places[start:] + places[:start] == sorted(places)


def test_it_answers_like_a_probe(tmp_path: Path) -> None:
    result = tmp_path / "result"
    (tmp_path / "model").mkdir()
    arguments = {"path": str(tmp_path / "model"), "write": True, "seconds": 0.1, "scratch_bytes": 16 * MIB}
    line = [sys.executable, "-m", "autoglm_doctor.probes.disk", str(result), json.dumps(arguments)]
    subprocess.run(line, check=True, timeout=60)
    answer = json.loads(result.read_text())
    assert (answer["fact"], answer["outcome"]) == ("disk_speed", "known")
    assert answer["value"]["random_iops"] > 0
