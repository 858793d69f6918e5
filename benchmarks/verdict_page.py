"""The page of benchmarks/verdicts_against_env_doctor.py."""

from __future__ import annotations

from collections import Counter

from benchmarks.verdict_installs import SYSTEM, Asked
from benchmarks.verdict_rows import Row

HEAD = """# Beside env-doctor

Measured on {day}: autoglm-doctor {ours}, env-doctor {theirs} (the newest there is), Python {python}. One run of:

    python -m benchmarks.verdicts_against_env_doctor --newer-python PATH --markdown docs/against-env-doctor.md

env-doctor is the tool nearest to this one. A survey of 2026-11-20, by hand, found situations in which its verdict is
wrong. Ten of them are put to both tools here, with five more of that survey and three controls in which env-doctor was
expected to be right. {count} What was changed after first results were seen
stands at the end, and one of the changes favours us.

The machines are simulated: stand-ins for NVML and libcuda, an nvidia-smi that prints what that of the release prints, a
venv with the packages' metadata, and a torch that answers like the real one there and computes nothing. Both tools look
with their own probes, from outside. env-doctor was installed beside the deployment's packages, as it asks to be. It ran
twice: `env-doctor check`, which is quoted, and `env-doctor check --ci`, whose exit code is shown, because plain `check`
ends with 0 whatever it finds, unless it breaks down. It checks an installed vLLM by itself. {network}
Ours was `autoglm-doctor check --final-stage none --skip DSK -- vllm serve ...`, from an environment of its own.

Quoted are the lines with a judgement that env-doctor does not also give for the first control, red ones first, three at
most. One rule says who is right. A machine that runs: nothing red (an "ARCHITECTURE MISMATCH (Soft)" with the advice to
install another torch counts, as a false warning), exit code 0. One that fails: the fault named, and an exit code other
than 0. "Half right" is one without the other. What names a fault is one pattern for both
(`benchmarks/verdict_rows.py`), written with the outputs of both at hand; of us it is also asked that the first cause
code be a right one.
"""

CAVEATS = """## To be known when reading this

- The ten were chosen because env-doctor had been seen to be wrong there; the table says nothing about how often that
  happens. The patterns, the rule and the simulated machines are ours.
- No GPU was used. That such a machine runs or fails is the word of the source beside it, not of this run.
- Changed after first results were seen: the survey's GB10 tells no GPU memory, and with that we did not know (exit
  code 4). It was split in two, the one with memory among the ten and the other below, so that our count of the ten is
  partly our choice. That row, and the ten's last one, of which we had named another cause, led to changes of our
  checks. "The container sees no GPU" was added to what names a missing driver, since this ran in a container. That vLLM
  has no code for a V100 was added to the cause codes that are right for it.
- The GB10 is simulated beside an x86 processor; the real one has an Arm one. Its row first had vLLM 0.27.1, without a
  CUDA toolkit like all of these machines. That fails ([source](https://github.com/vllm-project/vllm/issues/49497)): we
  said so (PKG008), env-doctor did not. As this row is about something else, it has 0.20.2 now, which needs no compiler.
- Not repeated here, since [sick-machines.md](sick-machines.md) has them: a torch and an nvidia-smi that hang, a HOME
  that is read-only, a terminal without UTF-8.
- env-doctor does things that we do not: it reads Dockerfiles and compose files, guides through the installation of a
  CUDA toolkit, and names the steps of SGLang's CUDA 12 lane. vLLM's builds for CUDA 12.9 both know.
"""

TITLES = {
    "ten": "## The ten",
    "more": "## More of the survey",
    "control": "## Controls",
}
COLUMNS = (
    "| | situation | what is true | env-doctor | autoglm-doctor | who is right |\n| --- | --- | --- | --- | --- | --- |"
)


def page(
    rows: list[tuple[Row, list[str]]],
    installs: list[tuple[Asked, str, str]],
    moved: tuple[str, str],
    *,
    day: str,
    python: str,
    versions: tuple[str, str],
    offline: bool,
) -> str:
    """The whole page, from the cells of the rows."""
    network = (
        "It asked\nfor newer data and got none, so that it judged by those that it came with."
        if offline
        else "It asked\nfor newer data, and may have judged by those."
    )
    ours, theirs = versions
    count = _count([cells for row, cells in rows if row.kind == "ten"])
    parts = [HEAD.format(day=day, ours=ours, theirs=theirs, python=python, count=count, network=network)]
    for kind, title in TITLES.items():
        parts.append(f"{title}\n")
        lines = [cells for row, cells in rows if row.kind == kind]
        parts.append("\n".join([COLUMNS, *(f"| {n} | {' | '.join(c)} |" for n, c in enumerate(lines, 1)), ""]))
    return "\n".join([*parts, _installs(installs), _beside(moved), CAVEATS])


def _count(cells: list[list[str]]) -> str:
    """How often which tool was right in the ten."""
    them = Counter(cell[-1].partition("<br>")[0].split(": ")[1] for cell in cells)
    us = Counter(cell[-1].split("<br>")[1].split(": ")[1] for cell in cells)
    said = [f"{who} {_counted(counts)}" for who, counts in (("we are", us), ("env-doctor is", them))]
    return f"Of the ten, {'; '.join(said)}."


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{word} in {counts[word]}" for word in ("right", "half right", "open", "wrong") if counts[word])


def _installs(installs: list[tuple[Asked, str, str]]) -> str:
    lines = [
        f"| {asked.machine.card}, driver {asked.machine.driver} | {asked.truth} | `{theirs}` | `{ours}` |"
        for asked, theirs, ours in installs
    ]
    head = f"""## What to install there

`env-doctor install vllm`, and `autoglm-doctor resolve --driver ... --gpu ... {" ".join(SYSTEM)}`, which looks for a
set for Open-AutoGLM's model.

| machine | what is true | env-doctor | autoglm-doctor |
"""
    return "\n".join([head + "| --- " * 4 + "|", *lines, ""])


def _beside(moved: tuple[str, str]) -> str:
    theirs, ours = (f"would replace {one}" if one else "replaces nothing" for one in moved)
    return f"""## Living beside vLLM

To see the deployment's packages env-doctor has to be installed among them. What pip would do (a dry run) in an
environment with the metadata of vLLM 0.30.0, which asks for `mcp<3.0.0,>=2.0.0`:

- `pip install env-doctor`: {theirs}.
- `pip install` our wheel: {ours}. It need not be there at all; from its own environment it looks at any other.
"""
