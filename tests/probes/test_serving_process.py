"""Starting a server, following what it prints, ending it with all that it started. Real processes, no engine."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from autoglm_doctor.probes.serving import start
from autoglm_doctor.probes.serving.follow import LONGEST_LINE, Log
from autoglm_doctor.probes.serving.stop import SHARED_MEMORY, Family

POLITE = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
PARENT = (
    "import subprocess, sys, time\n"
    "for new in (False, True):\n"
    "    child = subprocess.Popen([sys.executable, '-c', {child!r}], start_new_session=new, stdout=subprocess.DEVNULL)\n"
    "    print(child.pid, flush=True)\n"
    "print('up', flush=True)\n"
    "time.sleep({seconds})\n"
)


def begin(code: str) -> subprocess.Popen[bytes]:
    return start.start([sys.executable, "-c", code], dict(os.environ), "/")


@contextlib.contextmanager
def running(code: str) -> Iterator[tuple[subprocess.Popen[bytes], Family, list[int]]]:
    """A server that is up, its family, and the children that it told of."""
    process = begin(code)
    family = Family(process)
    assert process.stdout is not None
    children = []
    try:
        while (word := process.stdout.readline().strip()) != b"up":
            assert word, "it ended before it was up"
            children.append(int(word))
        yield process, family, children
    finally:
        for pid in (process.pid, *children):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        process.wait(5)
        process.stdout.close()


def alive(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


def test_asking_is_enough_for_a_polite_server() -> None:
    with running(POLITE) as (process, family, _):
        assert family.end(10)
        assert process.poll() == -signal.SIGTERM
        assert family.clear() == ()


def test_a_stubborn_one_is_killed() -> None:
    with running(STUBBORN) as (process, family, _):
        assert not family.end(0.4)
        assert process.poll() == -signal.SIGKILL


@pytest.mark.parametrize("child", [POLITE, STUBBORN], ids=["polite", "stubborn"])
def test_its_children_go_too_in_whatever_session(child: str) -> None:
    with running(PARENT.format(child=child, seconds=60)) as (_, family, children):
        family.end(1.0)
        assert len(children) == 2
        assert not [pid for pid in children if alive(pid)]


def test_children_of_a_server_that_died_are_found_when_they_were_seen() -> None:
    with running(PARENT.format(child=POLITE, seconds=60)) as (process, family, children):
        family.look()
        process.kill()
        process.wait()
        assert all(alive(pid) for pid in children)
        family.end(2.0)
        assert not [pid for pid in children if alive(pid)]


@pytest.mark.skipif(not os.path.isdir(SHARED_MEMORY), reason="no POSIX shared memory here")
def test_only_its_own_orphaned_segments_are_removed() -> None:
    """Another program's segment is in use, another file is no segment, an older one was there before."""
    mine, used, file, old = (Path(SHARED_MEMORY, f"{n}{os.getpid()}") for n in ("psm_a", "psm_b", "notes_", "psm_c"))
    try:
        old.write_bytes(b"x")
        with running(POLITE) as (_, family, _):
            for path in (mine, used, file):
                path.write_bytes(b"x")
            with used.open("rb"):
                family.end(5)
                assert family.clear() == ()
            assert [p.exists() for p in (mine, used, file, old)] == [False, True, True, True]
    finally:
        for path in (mine, used, file, old):
            path.unlink(missing_ok=True)


def test_its_output_is_followed_to_the_end() -> None:
    process = begin("import sys; sys.stdout.write('a\\rb\\n' + 'x' * 1_000_000 + '\\nERROR last')")
    log = Log(process, "vllm")
    process.wait(10)
    log.drain(10)
    assert log.kept[:2] == ("a", "b")
    assert log.kept[-1] == "ERROR last"
    assert max(map(len, log.kept)) <= LONGEST_LINE


def test_a_flood_stops_nothing() -> None:
    process = begin("import sys\nfor i in range(200_000): print('INFO', i)")
    log = Log(process, "vllm")
    began = time.monotonic()
    process.wait(60)
    log.drain(60)
    assert log.kept[-1] == "INFO 199999"
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    ("words", "engine", "expected"),
    [
        pytest.param(
            ["A=1", "nohup", "vllm", "serve", "m", "--port", "8000"],
            "vllm",
            ["vllm", "serve", "m", "--port", "7", "--host", "127.0.0.1"],
            id="in the place of its own port",
        ),
        pytest.param(
            ["python3", "-m", "sglang.launch_server", "--model-path", "m", "--host=0.0.0.0"],
            "sglang",
            ["python3", "-m", "sglang.launch_server", "--model-path", "m", "--host", "127.0.0.1", "--port", "7"],
            id="at the end where it had none",
        ),
        pytest.param(
            ["env", "A=1", "transformers", "serve", "m"],
            "transformers",
            ["env", "A=1", "transformers", "serve", "m", "--host", "127.0.0.1", "--port", "7"],
            id="env stays, since it may do more",
        ),
    ],
)
def test_the_command_moves_to_our_port(words: list[str], engine: start.Engine, expected: list[str]) -> None:
    assert start.words_on(words, engine, 7) == expected


def test_the_port_is_free() -> None:
    port = start.free_port()
    with socket.socket() as one:
        one.bind((start.LOOPBACK, port))


def test_the_deployment_s_environment_with_our_conduct() -> None:
    environ = start.environment({"PYTHONPATH": "/ours", "A": "1", "PATH": "/bin"}, "/theirs", "/venv/bin", "/tmp/t")
    assert environ["PYTHONPATH"] == "/theirs"
    assert environ["PATH"] == "/venv/bin:/bin"
    assert (environ["A"], environ["HF_HUB_OFFLINE"], environ["TMPDIR"]) == ("1", "1", "/tmp/t")
    plain = start.environment({"PYTHONPATH": "/ours", "TMPDIR": "/mine"}, None, None, "/" + "x" * 80)
    assert "PYTHONPATH" not in plain
    assert plain["TMPDIR"] == "/mine"


def test_the_key_of_the_command_is_used() -> None:
    assert start.key_of(["vllm", "serve", "m", "--api-key", "k"], {"VLLM_API_KEY": "e"}) == "k"
    assert start.key_of(["vllm", "serve", "m"], {"VLLM_API_KEY": "e"}) == "e"
    assert start.key_of(["vllm", "serve", "m"], {}) == ""
