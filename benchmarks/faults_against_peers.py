"""The same faults of a machine for env-doctor, cuda-doctor, torch's collect_env and us.

    python -m benchmarks.faults_against_peers [--work FOLDER] [--only WORD] [--tools NAME,NAME] [--markdown FILE]

Each tool is run as its users do, in an environment of its own under FOLDER (made when not there, with pip) that also
holds the packages of the deployment, because that is where those tools look. Ours is the wheel of tools/dist.py and
judges the deployment's environment from its own. `collect_env.py` is the file of the torch beside the Python that runs
this. What every tool wrote is kept in FOLDER/output. Tools run one after the other; who has not ended after `--cap`
seconds is killed.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.sick_machines import FAULTS, WHOLE, Fault, healthy
from tests.faults.machine import MARK, Machine
from tests.faults.running import running, snapshot
from tests.stubs import build_stubs
from tools import dist

#: Ctrl-C comes when every tool has long started to wait for the driver.
INTERRUPT_AFTER_SECONDS = 4.0

#: So much of a flood is enough to look for words in: from its start and from its end.
KEPT_BYTES = 4 << 20

#: The pattern of a fault may be spread over so many lines: a heading, an explanation, the evidence.
PASSAGE_LINES = 3


@dataclass(frozen=True)
class Tool:
    """How a tool is installed and started; {env} is its environment."""

    name: str
    package: str  # for pip; empty for collect_env.py, which needs nothing, and for us
    command: tuple[str, ...]
    sees: bool = True  # has the packages of the deployment in its own environment


OURS = ("{env}/bin/autoglm-doctor", "check", "--final-stage", "none")
TOOLS = [
    Tool("autoglm-doctor", "", OURS, sees=False),
    Tool("the same as JSON", "", (*OURS, "--format", "json"), sees=False),
    Tool("env-doctor", "env-doctor", ("{env}/bin/env-doctor", "check")),
    Tool("cuda-doctor", "cuda-doctor", ("{env}/bin/cuda-doctor",)),
    Tool("collect_env", "", ("{env}/bin/python", "{env}/collect_env.py")),
]


@dataclass(frozen=True)
class Result:
    """What was seen of one tool on one machine."""

    exit: str
    seconds: float
    size: int
    said: bool  # anything on standard output
    lines: tuple[str, ...]
    traceback: bool
    left: tuple[str, ...]


def environment(tool: Tool, work: Path, python: str = sys.executable) -> Path:
    """The tool's environment, made once, for this interpreter."""
    folder = work / "environments" / ("autoglm-doctor" if not tool.sees else tool.name)
    if (folder / "made").exists():
        return folder
    subprocess.run([python, "-m", "venv", folder], check=True)
    wanted = [str(dist.build(work / "dist"))] if not tool.sees else [tool.package] if tool.package else []
    if wanted:
        dist.quiet([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *wanted])
    if tool.name == "collect_env":
        shutil.copy(torch_folder() / "utils" / "collect_env.py", folder)
    (folder / "made").touch()
    return folder


def torch_folder() -> Path:
    """The torch of this Python, which is not imported."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        raise SystemExit("collect_env is part of torch: run this with a Python that has one, or leave it out (--tools)")
    return Path(spec.origin).parent


def sick_machine(fault: Fault, stubs: Path, root: Path) -> Machine:
    """A machine with this fault, in a new folder."""
    machine = Machine(root=root, stubs=stubs)
    healthy(machine)
    fault.break_it(machine)
    machine.environ |= {"COLUMNS": "300", "PYTHONDONTWRITEBYTECODE": "1", **fault.environ}  # no line is wrapped
    return machine


def command(tool: Tool, env: Path, machine: Machine) -> list[str]:
    """The tool's command line on this machine, whose packages it is shown."""
    words = [word.format(env=env) for word in tool.command]
    if tool.sees:
        show_packages(env, machine)
    else:
        words += ["--", *machine.command]
    return mounted(words, machine)


def show_packages(env: Path, machine: Machine) -> None:
    """The deployment's packages beside the tool's own, as if it were installed among them."""
    site = next(env.glob("lib/python3.*/site-packages"))
    (site / "deployment.pth").write_text(f"{machine.site}\n")


def mounted(words: list[str], machine: Machine) -> list[str]:
    """The command in a mount namespace of its own, where the machine needs one."""
    if machine.mounts:
        words = ["unshare", "-rm", "sh", "-c", "\n".join(["set -e", *machine.mounts, 'exec "$@"']), "sh", *words]
    return words


def run(words: list[str], fault: Fault, machine: Machine, output: Path, cap: float) -> Result:
    """One run, as a terminal's job: a process group of its own. Seconds count from Ctrl-C where there is one."""
    before = kept(snapshot(machine))
    started = time.monotonic()
    with output.open("wb") as out, output.with_suffix(".err").open("wb") as err:
        child = subprocess.Popen(
            words,
            env=machine.environ,
            cwd=machine.cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if fault.how == "pipe" else out,
            stderr=err,
            start_new_session=True,
        )
        if child.stdout:
            child.stdout.close()
        ended = wait(child, fault, cap)
    seconds = time.monotonic() - started - (INTERRUPT_AFTER_SECONDS if fault.how == "interrupt" else 0)
    left = tuple(running(machine.environ[MARK])) if ended else ()
    kill(machine.environ[MARK])
    files = sorted(kept(snapshot(machine)) ^ before)
    out_text = read(output)
    text = out_text + "\n" + read(output.with_suffix(".err"))
    size = output.stat().st_size + output.with_suffix(".err").stat().st_size
    traced = "Traceback (most recent call last)" in text
    return Result(
        exit=how_it_ended(child, ended),
        seconds=seconds,
        size=size,
        said=bool(out_text.strip()),
        lines=lines(out_text, text),
        traceback=traced,
        left=(*left, *files),
    )


def wait(child: subprocess.Popen[bytes], fault: Fault, cap: float) -> bool:
    """Did it end by itself?"""
    if fault.how == "interrupt":
        time.sleep(INTERRUPT_AFTER_SECONDS)
        os.killpg(child.pid, signal.SIGINT)
    try:
        child.wait(cap)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        return False
    return True


def kill(mark: str) -> None:
    """End what the run left."""
    wanted = f"{MARK}={mark}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                os.kill(int(folder.name), signal.SIGKILL)


def kept(files: Iterable[str]) -> frozenset[str]:
    """Without compiled modules, which any import of a package that pip did not compile leaves."""
    return frozenset(name for name in files if "__pycache__" not in name)


def how_it_ended(child: subprocess.Popen[bytes], ended: bool) -> str:
    """Its exit code, or the signal that ended it."""
    if not ended:
        return "still running, killed"
    code = child.returncode
    return signal.Signals(-code).name if code < 0 else f"exit {code}"


def read(path: Path) -> str:
    """The text of a file, without the middle of a flood."""
    with path.open("rb") as stream:
        data = stream.read(KEPT_BYTES)
        stream.seek(max(len(data), path.stat().st_size - KEPT_BYTES))
        return (data + stream.read()).decode("utf-8", "replace")


def lines(out: str, text: str) -> tuple[str, ...]:
    """The lines of a report; of JSON every string in it."""
    try:
        return tuple(strings(json.loads(out)))
    except ValueError:
        return tuple(line.strip() for line in text.splitlines() if line.strip())


def strings(data: object) -> Iterable[str]:
    """Every string in a JSON document."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict | list):
        for part in data.values() if isinstance(data, dict) else data:
            yield from strings(part)


def words(text: tuple[str, ...]) -> Counter[str]:
    """The words of a report: numbers, signs and the breaks of lines differ from run to run and with the encoding."""
    return Counter(re.findall(r"[A-Za-z]{2,}", " ".join(text)))


def judgement(fault: Fault, result: Result, normal: Result) -> str:
    """Was the fault named? Where nothing need be named: did the report come?"""
    known = set(normal.lines)
    new = [line for line in result.lines if line not in known]
    passages = (" ".join(new[start : start + PASSAGE_LINES]) for start in range(len(new)))
    if fault.named and any(re.search(fault.named, passage, re.IGNORECASE) for passage in passages):
        return "named"
    if fault.how == "pipe":
        return "nobody reads"
    if not result.said:
        return "no report"
    wanted, there = words(normal.lines), words(result.lines)
    share = (wanted & there).total() / max(wanted.total(), 1)
    if fault.named != WHOLE:
        return "report as if healthy" if there == wanted else "not named"
    return "report whole" if share == 1 else f"report damaged ({share:.0%})"


def cell(fault: Fault, result: Result, normal: Result) -> str:
    """A cell of the table."""
    parts = [judgement(fault, result, normal), result.exit, f"{result.seconds:.1f} s"]
    parts += [f"{result.size / 1e6:.0f} MB of output"] if result.size > 1e6 else []
    parts += ["traceback"] if result.traceback else []
    parts += [f"left {len(result.left)}: {Path(result.left[0].split()[0]).name}"] if result.left else []
    return ", ".join(parts)


def main() -> None:
    """Run what was asked for, row by row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="folder for environments and output, kept and used again")
    parser.add_argument("--only", default="", help="faults with this word in their name (and the healthy machine)")
    parser.add_argument("--tools", default=",".join(tool.name for tool in TOOLS), help="names, by commas")
    parser.add_argument("--cap", type=float, default=90.0, help="seconds after which a tool is killed")
    parser.add_argument("--markdown", type=Path, help="also write the table to this file")
    given = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it, and so would they
    with tempfile.TemporaryDirectory() as scratch:
        table(given, (given.work or Path(scratch)).resolve(), Path(scratch))


def table(given: argparse.Namespace, work: Path, scratch: Path) -> None:
    """Print the rows as they come."""
    tools = [tool for tool in TOOLS if tool.name in given.tools.split(",")]
    homes = {tool.name: environment(tool, work) for tool in tools}
    (work / "output").mkdir(exist_ok=True)
    stubs = build_stubs(scratch)
    normal: dict[str, Result] = {}
    rows = ["| | " + " | ".join(tool.name for tool in tools) + " |", "| --- " * (len(tools) + 1) + "|"]
    print(*rows, sep="\n", flush=True)
    for number, fault in enumerate(f for f in FAULTS if f.name == "healthy" or given.only in f.name):
        cells = [fault.name]
        for tool in tools:
            machine = sick_machine(fault, stubs, scratch / f"{number}-{tool.name.replace(' ', '-')}")
            output = work / "output" / f"{fault.name}, {tool.name}.out".replace(" ", "-")
            result = run(command(tool, homes[tool.name], machine), fault, machine, output, given.cap)
            cells.append(cell(fault, result, normal.setdefault(tool.name, result)))
            shutil.rmtree(machine.root, ignore_errors=True)
        rows.append(f"| {' | '.join(cells)} |")
        print(rows[-1], flush=True)
    if given.markdown:
        given.markdown.write_text("\n".join([*rows, ""]))


if __name__ == "__main__":
    main()
