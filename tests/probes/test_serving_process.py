"""Starting a server, following what it prints, ending it with all that it started. Real processes, no engine."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from autoglm_doctor.intent import Engine
from autoglm_doctor.probes.serving import start
from autoglm_doctor.probes.serving.folder import LONGEST_FOLDER, Temporary
from autoglm_doctor.probes.serving.follow import LONGEST_LINE, Log
from autoglm_doctor.probes.serving.processes import holds_port
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


HIDING = (
    "import os, signal, sys, time\n"
    "signal.signal(15, signal.SIG_IGN)\n"
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    if os.fork() == 0:\n"
    "        sys.stdout.write(f'{os.getpid()}\\nup\\n'); sys.stdout.flush()\n"
    "        time.sleep(60)\n"
    "    os._exit(0)\n"
    "os.wait(); time.sleep(60)\n"
)


def test_what_hides_by_forking_twice_in_a_session_of_its_own_is_found() -> None:
    with running(HIDING) as (_, family, children):
        assert [alive(pid) for pid in children] == [True]
        family.end(0.2)
        assert not [pid for pid in children if alive(pid)]


@pytest.mark.skipif(not os.path.isdir(SHARED_MEMORY), reason="no POSIX shared memory here")
def test_only_its_own_orphaned_segments_are_removed() -> None:
    """Somebody else's new segment stays, even when nobody seems to use it: that may be in another container."""
    mine, used, file, old, other = (
        Path(SHARED_MEMORY, f"{n}{os.getpid()}") for n in ("psm_a", "psm_b", "notes_", "psm_c", "psm_d")
    )
    code = (
        "import time\n"
        f"kept = [open(path, 'a') for path in {[*map(str, (mine, used, file, old))]!r} if time.sleep(0.2) is None]\n"
        "print('up', flush=True)\n"
        "time.sleep(60)\n"
    )
    try:
        old.write_bytes(b"x")
        with running(code) as (_, family, _children):
            other.write_bytes(b"x")
            with used.open("rb"):
                family.end(5)
                assert family.clear() == ()
            assert [p.exists() for p in (mine, used, file, old, other)] == [False, True, True, True, True]
    finally:
        for path in (mine, used, file, old, other):
            path.unlink(missing_ok=True)


def test_whose_port_it_is() -> None:
    with socket.socket() as one:
        one.bind((start.LOOPBACK, 0))
        port = one.getsockname()[1]
        assert holds_port(port, [os.getpid()]) is None
        one.listen()
        assert holds_port(port, [os.getpid()]) is True
        with running(POLITE) as (process, _, _children):
            assert holds_port(port, [process.pid]) is False


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
            ["env", "TMPDIR=/x", "transformers", "serve", "m"],
            "transformers",
            ["transformers", "serve", "m", "--host", "127.0.0.1", "--port", "7"],
            id="an env that only sets variables goes: they are in the environment",
        ),
        pytest.param(
            ["A=1", "/usr/bin/env", "-i", "-u", "B", "A=1 2", "vllm", "serve", "m"],
            "vllm",
            ["env", "-i", "-u", "B", "A=1 2", "OFF=1", "vllm", "serve", "m", "--host", "127.0.0.1", "--port", "7"],
            id="an env that may clear our rules away is told them",
        ),
        pytest.param(
            ["vllm", "serve", "m", "--uds", "/s", "--port", "1", "--ssl-keyfile=k", "--ssl-certfile", "c", "--port=2"],
            "vllm",
            ["vllm", "serve", "m", "--port", "7", "--host", "127.0.0.1"],
            id="no other door, and no lock on it",
        ),
        pytest.param(
            ["conda", "run", "-n", "e", "vllm", "serve", "m"],
            "vllm",
            [
                "conda",
                "run",
                "--no-capture-output",
                "-n",
                "e",
                "vllm",
                "serve",
                "m",
                "--host",
                "127.0.0.1",
                "--port",
                "7",
            ],
            id="conda keeps no output back",
        ),
    ],
)
def test_the_command_moves_to_our_port(words: list[str], engine: Engine, expected: list[str]) -> None:
    assert start.words_on(words, engine, 7, {"OFF": "1"}) == expected


def test_the_port_is_free() -> None:
    port = start.free_port()
    with socket.socket() as one:
        one.bind((start.LOOPBACK, port))


def test_the_port_is_none_that_the_kernel_gives_to_whoever_asks_for_any() -> None:
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert low <= 20_000 or all(start.free_port() < low for _ in range(50))


def test_the_deployment_s_environment_with_our_conduct() -> None:
    ours = {"PYTHONPATH": "/ours", "A": "1", "PATH": "/bin", "AUTOGLM_DOCTOR_API_KEY": "other"}
    environ = start.environment(ours, "/theirs", "/venv/bin", start.conduct("/tmp/t"))
    assert environ["PYTHONPATH"] == "/theirs"
    assert environ["PATH"] == "/venv/bin:/bin"
    assert (environ["A"], environ["HF_HUB_OFFLINE"], environ["TMPDIR"]) == ("1", "1", "/tmp/t")
    assert "AUTOGLM_DOCTOR_API_KEY" not in environ
    assert "PYTHONPATH" not in start.environment(ours, None, None, {})


@pytest.mark.parametrize("deep", [False, True], ids=["short", "too long for a socket"])
@pytest.mark.parametrize("elsewhere", [False, True], ids=["in ours", "where the user wants it"])
def test_the_temporary_folder(deep: bool, elsewhere: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sockets can be made in it, it lies where the user wants it, and nothing of it stays there."""
    with tempfile.TemporaryDirectory(dir="/tmp") as root:
        ours, wished = Path(root, "ours" + "x" * 90 * deep), Path(root, "wished" + "y" * 90 * deep)
        ours.mkdir()
        wished.mkdir()
        monkeypatch.chdir(ours)
        folder = Temporary({"TMPDIR": wished.name} if elsewhere else {"TMPDIR": root}, root)
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(os.path.join(folder.path, "x" * 45))
        assert [p.parent.parent for p in Path(root).rglob("x" * 45)] == [wished if elsewhere else ours]
        assert len(folder.path) <= LONGEST_FOLDER
        folder.remove()
        assert not list(wished.iterdir())


def test_the_key_of_the_command_is_used() -> None:
    assert start.key_of(["vllm", "serve", "m", "--api-key", "k"], {"VLLM_API_KEY": "e"}) == "k"
    assert start.key_of(["vllm", "serve", "m"], {"VLLM_API_KEY": "e"}) == "e"
    assert start.key_of(["vllm", "serve", "m"], {}) == ""


def test_the_keys_and_the_path_of_llama_cpp(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("first\nsecond\n")
    assert start.key_of(["llama-server", "--api-key-file", "keys"], {}, str(tmp_path)) == "first"
    assert start.key_of(["llama-server", "--api-key-file", "none"], {}, str(tmp_path)) == ""
    assert start.key_of(["llama-server", "--api-key", "a,b"], {}) == "a"
    assert start.base_url(["llama-server", "--api-prefix", "/x"], 7) == "http://127.0.0.1:7/x"
