"""The storage probe: fake mount tables, real folders."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autoglm_doctor.facts import Storage
from autoglm_doctor.jsonio import decode, encode
from autoglm_doctor.probes.storage import mount_of, nearest_folder, open_unnamed, probe

HEAD = "22 27 0:21 / /proc rw,relatime - proc proc rw\n27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"


def root_with(tmp_path: Path, lines: str) -> str:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_text(HEAD + lines)
    return str(tmp_path)


def look(path: object, **arguments: Any) -> Storage:
    (answer,) = probe({"download_dir": str(path), **arguments})
    fact, reading = answer
    assert (fact, reading.outcome) == ("storage", "known")
    assert decode(Storage, encode(reading.value)) == reading.value
    value: Storage = reading.value
    return value


@pytest.mark.parametrize(
    ("lines", "path", "fs_type", "point"),
    [
        pytest.param("", "/data/hub", "ext4", "/", id="only the root"),
        pytest.param("30 27 0:9 / /data rw - xfs /dev/b rw\n", "/data/hub", "xfs", "/data", id="a mount above"),
        pytest.param("30 27 0:9 / /data rw - xfs /dev/b rw\n", "/data", "xfs", "/data", id="the mount point itself"),
        pytest.param("30 27 0:9 / /data rw - xfs /dev/b rw\n", "/database", "ext4", "/", id="only the same letters"),
        pytest.param(
            "30 27 0:9 / /data/hub rw - nfs4 nas:/x rw\n31 27 0:8 / /data rw - xfs /dev/b rw\n",
            "/data/hub/a",
            "nfs4",
            "/data/hub",
            id="the longest, whatever the order",
        ),
        pytest.param(
            "30 27 0:9 / /data rw - xfs /dev/b rw\n31 27 0:8 / /data rw - tmpfs t rw\n",
            "/data/hub",
            "tmpfs",
            "/data",
            id="the last one mounted there",
        ),
        pytest.param(
            "30 27 0:9 / /my\\040disk\\134x rw shared:4 master:2 - fuse.sshfs me@h:/ rw\n",
            "/my disk\\x/hub",
            "fuse.sshfs",
            "/my disk\\x",
            id="blank and backslash in octal, optional fields",
        ),
        pytest.param("garbage\n\n1 2 3 - \n", "/data", "ext4", "/", id="lines that make no sense"),
    ],
)
def test_the_mount_that_holds_a_path(tmp_path: Path, lines: str, path: str, fs_type: str, point: str) -> None:
    mount = mount_of(path, root_with(tmp_path, lines))
    assert mount is not None
    assert (mount.fs_type, mount.point) == (fs_type, point)


def test_umlauts_in_octal_are_the_name_that_the_system_uses(tmp_path: Path) -> None:
    mount = mount_of("/größe/x", root_with(tmp_path, "30 27 0:9 / /gr\\303\\266\\303\\237e rw - xfs /dev/b rw\n"))
    assert mount is not None
    assert mount.fs_type == "xfs"


def test_without_a_mount_table_the_rest_is_still_told(tmp_path: Path) -> None:
    value = look(tmp_path, root=str(tmp_path / "nothing"))
    assert (value.fs_type, value.mount_point) == ("", "")
    assert value.total_bytes > 0


def test_a_folder_that_does_not_exist_yet(tmp_path: Path) -> None:
    value = look(tmp_path / "a/b/c")
    assert (value.path, value.wanted, value.why) == (
        os.path.realpath(tmp_path),
        str(tmp_path / "a/b/c"),
        "--download-dir",
    )
    state = os.statvfs(tmp_path)
    assert value.total_bytes == state.f_blocks * state.f_frsize
    assert abs(value.free_bytes - state.f_bavail * state.f_frsize) < 2**30


def test_a_link_leads_to_the_disk_behind_it(tmp_path: Path) -> None:
    (tmp_path / "big").mkdir()
    (tmp_path / "cache").symlink_to(tmp_path / "big")
    assert nearest_folder(str(tmp_path / "cache/hub")) == os.path.realpath(tmp_path / "big")
    (tmp_path / "later").symlink_to(tmp_path / "big/not/yet")
    assert nearest_folder(str(tmp_path / "later/hub")) == os.path.realpath(tmp_path / "big")


def test_the_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert nearest_folder("~/.cache/huggingface") == os.path.realpath(tmp_path)


def test_a_path_below_a_file_belongs_to_the_folder_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert nearest_folder(str(tmp_path / "file/x")) == os.path.realpath(tmp_path)


@pytest.mark.parametrize("scratch", [True, False], ids=["with a test write", "without"])
@pytest.mark.parametrize("below", ["", "/hub", "/a/b"], ids=["the file", "below it", "far below it"])
def test_no_folder_can_be_made_below_a_file(tmp_path: Path, below: str, scratch: bool) -> None:
    (tmp_path / "file").write_text("x")
    found = look(f"{tmp_path}/file{below}", scratch=scratch)
    assert (found.writable, found.path) == (False, str(tmp_path))
    assert found.write_error == f"{tmp_path}/file is a file, no folder"
    assert os.listdir(tmp_path) == ["file"]


def test_a_link_to_nowhere_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "later")
    assert look(tmp_path / "link" / "hub", scratch=True).writable


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="no /dev/shm here")
def test_memory_is_called_by_its_name() -> None:
    value = look("/dev/shm/hub")
    assert (value.fs_type, value.mount_point) == ("tmpfs", "/dev/shm")


def test_the_test_write_leaves_nothing(tmp_path: Path) -> None:
    value = look(tmp_path, scratch=True)
    assert (value.writable, value.write_error) == (True, "")
    assert list(tmp_path.iterdir()) == []


def test_where_no_file_can_be_made_nothing_can_be_written() -> None:
    """/proc refuses even root, which os.access alone does not show."""
    value = look("/proc/self", scratch=True)
    assert not value.writable
    assert value.write_error


@pytest.mark.skipif(os.getuid() != 0, reason="becoming somebody else needs root")
def test_a_folder_of_somebody_else() -> None:
    code = (
        "import os, sys; from autoglm_doctor.probes.storage import probe; os.setgid(65534); os.setuid(65534);"
        "((_, reading),) = probe({'download_dir': sys.argv[1]}); print(reading.value.writable)"
    )
    said = subprocess.run([sys.executable, "-c", code, "/usr"], capture_output=True, text=True, timeout=30)
    assert said.stdout.strip() == "False", said.stderr


@pytest.mark.parametrize("has_tmpfile", [True, False], ids=["never named", "named and removed at once"])
def test_an_unnamed_file_can_be_written_and_has_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_tmpfile: bool
) -> None:
    if not has_tmpfile:
        monkeypatch.setattr(os, "O_TMPFILE", os.O_CREAT | os.O_EXCL)  # opening a folder so fails as on NFS
    fd = open_unnamed(str(tmp_path))
    try:
        assert os.write(fd, b"x") == 1
        assert list(tmp_path.iterdir()) == []
        assert os.fstat(fd).st_nlink == 0
    finally:
        os.close(fd)
