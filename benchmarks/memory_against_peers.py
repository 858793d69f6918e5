"""Memory that vLLM measured, beside what we and three other tools say of the same rows of start-up logs.

    python -m benchmarks.memory_against_peers LOGS.json [--work FOLDER] [--only ID,ID] [--markdown FILE]

LOGS.json is the file of memory_accuracy.py. The others are llmfit (`plan`, with its own database), hf-mem and
accelerate (`estimate-memory`), each in an environment of its own under FOLDER (made with pip when not there; accelerate
brings torch). The last two ask a hub: hub_stand_in.py on this machine, written from the rows. hf-mem knows one address
only: a sitecustomize.py sends it here, its own files stay as they are. Rows of one GPU, the same for all tools.

A row's memory is what its log says: weights, peak of activations, memory outside torch, graphs where it says that. The
log's KV cache is all that was left, so the KV memory of one request of max_model_len is counted instead: with the bytes
per token of the log where it tells both bytes and tokens, else with 2 x layers x KV heads x head size x bytes. Each
tool has several readings of what it prints (memory_peers.py); for each quantity the one that comes off best counts.
We predict without the row's `measured`. Exit code 1 when our mean absolute error of the whole need, in GiB or as a
share, is over a tenth of somebody's best.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from autoglm_doctor.domain.memory import vllm as vllm_memory
from autoglm_doctor.domain.spans import GIB
from benchmarks.hub_stand_in import hub, served
from benchmarks.memory_accuracy import predict
from benchmarks.memory_peers import (
    LLMFIT_NAMES,
    PEERS,
    QUANTITIES,
    REDIRECT,
    Place,
    Row,
    Values,
    environment,
    length,
    values,
    version,
)
from benchmarks.memory_rows import batch_of, card_gib, context_of, element_of, shape_of

OURS = "autoglm-doctor"

#: How a row names an engine that everybody can install.
RELEASE = re.compile(r"vllm \d+\.\d+(\.[\dx]+)?( \(V[01]\))?")

#: Our mean absolute error may be so large a part of another's. Graphs are reported apart: ours is a wide range.
BAR = 0.1
BARRED = ("need", "need, graphs told")

HEADINGS = (
    "tool",
    "reading",
    "rows",
    "mean, GiB",
    "mean abs, GiB",
    "mean abs",
    "worst",
    "centred, GiB",
    "ours / theirs",
)


def ours(row: Row) -> Values:
    """Our terms, without having seen the log."""
    said, flags = predict({**row, "measured": {}}), row["flags"]
    shape = shape_of(row["config"])
    terms = [said[name] for name in ("weights_gib", "peak_activation_gib", "non_torch_gib")]
    if shape is None or None in terms:
        return {}
    element = 1 if str(flags.get("kv_cache_dtype")).startswith(("fp8", "int8")) else element_of(flags)
    batch = batch_of(row, shape, card_gib(row))
    kv = vllm_memory.kv_bytes(shape, context_of(row, shape), element, 1, 1, batch) / GIB
    need = sum(terms) + kv
    found = values(terms[0], terms[0] + kv, need)
    found["need+graphs"] = need + statistics.fmean(said["cuda_graph_gib"])
    found["need, graphs told"] = need + graphs(row)
    return found


def graphs(row: Row) -> float:
    """Logged GiB of graphs: memory that grew less than was freed gives a negative number, which is none."""
    return max(0.0, row["measured"].get("cuda_graph_gib") or 0.0)


def actual(row: Row) -> Values:
    """What the log says, in GiB; None where a term is missing."""
    seen, c = row["measured"], row["config"]
    weights, rest = seen.get("weights_gib"), [seen.get("peak_activation_gib"), seen.get("non_torch_gib")]
    if seen.get("kv_cache_gib") and seen.get("kv_cache_tokens"):
        token = seen["kv_cache_gib"] / seen["kv_cache_tokens"]
    else:
        heads = c.get("num_key_value_heads") or c["num_attention_heads"]
        token = 2 * c["num_hidden_layers"] * heads * c["head_dim"] * element_of(row["flags"]) / GIB
    kv = token * length(row)
    both = None if weights is None else weights + kv
    need = None if both is None or None in rest else both + sum(rest)
    told = seen.get("cuda_graph_gib") is not None
    return {
        "weights": weights,
        "weights+kv": both,
        "need": need,
        "need+graphs": need + graphs(row) if need is not None and told else None,
        "need, graphs told": None if need is None else need + graphs(row),
    }


def wanted(row: Row) -> str:
    """Why a row is left out; empty for one that all tools can be asked about."""
    flags = row["flags"]
    if max(flags.get("tensor_parallel_size") or 1, flags.get("pipeline_parallel_size") or 1) > 1:
        return "several GPUs"
    if row["measured"].get("weights_gib") is None:
        return "its log does not tell the weights"
    if row["config"]["model"] not in LLMFIT_NAMES:
        return "no name in llmfit's database is known for it"
    return "" if served(row) else "we cannot write its header"


Said = dict[tuple[str, str], list[Values]]


def ask(place: Place, rows: list[Row]) -> Said:
    """Every tool about every row, one after the other: values by tool and reading."""
    said: Said = {(OURS, ""): [ours(row) for row in rows]}
    for tool, peer in PEERS.items():
        for row in rows:
            print(f"{tool}: {row['id']}", file=sys.stderr, flush=True)
            for reading, found in peer(place, row).items():
                said.setdefault((tool, reading), []).append(found)
    return said


@dataclass(frozen=True)
class Figures:
    """Errors of one reading of one tool."""

    tool: str
    reading: str
    errors: list[float]  # GiB
    shares: list[float]

    @property
    def mean_abs(self) -> float:
        """Mean absolute error as a share."""
        return statistics.fmean(map(abs, self.shares))

    @property
    def mean_abs_gib(self) -> float:
        """Mean absolute error in GiB."""
        return statistics.fmean(map(abs, self.errors))

    def beside(self, mine: Figures) -> float:
        """Our error as a part of this one: of the shares or of the GiB, whichever is worse for us."""
        pairs = ((mine.mean_abs, self.mean_abs), (mine.mean_abs_gib, self.mean_abs_gib))
        return max(a / b if b else float(a > 0) for a, b in pairs)

    @property
    def centred(self) -> float:
        """The same in GiB when the tool's own mean error is taken off: what one fitted constant would leave."""
        return statistics.fmean(abs(error - statistics.fmean(self.errors)) for error in self.errors)


def figures(rows: list[Row], said: Said, quantity: str) -> list[Figures]:
    """One per reading, over the rows that have the quantity."""
    found = []
    for (tool, reading), answers in said.items():
        pairs = [(a.get(quantity), actual(row)[quantity]) for a, row in zip(answers, rows, strict=True)]
        both = [(a, b) for a, b in pairs if b is not None and (a is not None or tool == OURS)]
        errors = [(a if a is not None else 0.0) - b for a, b in both]  # no answer of ours is an error of 100 %
        found.append(Figures(tool, reading, errors, [e / b for e, (_, b) in zip(errors, both, strict=True)]))
    distinct = {(f.tool, tuple(f.errors)): f for f in reversed(found) if f.errors}  # readings that differ here
    return [f for f in found if any(f is one for one in distinct.values())]


def best(found: list[Figures]) -> dict[str, Figures]:
    """Each tool's reading with the smallest mean absolute error."""
    chosen: dict[str, Figures] = {}
    for one in sorted(found, key=lambda one: one.mean_abs):
        chosen.setdefault(one.tool, one)
    return chosen


def table(rows: list[Row], said: Said, quantity: str) -> tuple[list[str], bool]:
    """Lines of Markdown, and whether we are within BAR of everything anybody can be read as."""
    found = figures(rows, said, quantity)
    chosen = best(found)
    mine = chosen.get(OURS)
    if mine is None:
        return [], True
    lines = ["", f"| {' | '.join(HEADINGS)} |", "| --- " * len(HEADINGS) + "|"]
    for one in found:
        marked = " (best)" if one is chosen[one.tool] and one is not mine else ""
        cells = [one.tool, one.reading + marked, str(len(one.errors)), f"{statistics.fmean(one.errors):+.2f}"]
        cells += [f"{one.mean_abs_gib:.2f}", f"{one.mean_abs:.2%}", f"{max(one.shares, key=abs):+.1%}"]
        cells += [f"{one.centred:.2f}", "" if one is mine else ratios(mine, one)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines, all(one.beside(mine) <= BAR for one in found if one is not mine)


def ratios(mine: Figures, theirs: Figures) -> str:
    """Our mean absolute error as a part of theirs: of the shares, and of the GiB."""
    pairs = ((mine.mean_abs, theirs.mean_abs), (mine.mean_abs_gib, theirs.mean_abs_gib))
    return ", ".join(f"{a / b:.3f}" if b else "-" for a, b in pairs)


def row_table(rows: list[Row], said: Said, quantity: str) -> list[str]:
    """GiB row by row, in the best reading of each tool."""
    chosen = best(figures(rows, said, quantity))
    lines = ["", f"| row | model | log | {' | '.join(chosen)} |", "| --- " * (len(chosen) + 3) + "|"]
    for number, row in enumerate(rows):
        seen = actual(row)[quantity]
        if seen is not None:
            cells = [said[one.tool, one.reading][number].get(quantity) for one in chosen.values()]
            texts = ["-" if cell is None else f"{cell:.2f}" for cell in (seen, *cells)]
            lines.append(f"| {row['id']} | {row['config']['model']} | {' | '.join(texts)} |")
    return lines


def stated(row: Row) -> bool:
    """Does the row give all that the need depends on: a released version of the engine, and both sizes of a batch?"""
    flags = row["flags"]
    sized = flags.get("max_num_seqs") and flags.get("max_num_batched_tokens")
    return bool(sized and RELEASE.fullmatch(str(row["engine"])))


def main() -> int:
    """Ask, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", type=Path)
    parser.add_argument("--work", type=Path, help="folder for environments, kept and used again")
    parser.add_argument("--only", default="", help="ids of rows, by commas")
    parser.add_argument("--markdown", type=Path, help="also write the tables to this file")
    given = parser.parse_args()
    rows = json.loads(given.logs.read_text(encoding="utf-8"))
    rows = [row for row in rows if not given.only or row["id"] in given.only.split(",")]
    left = [f"left out: {row['id']}: {wanted(row)}" for row in rows if wanted(row)]
    rows = [row for row in rows if not wanted(row)]
    if not rows:
        raise SystemExit("\n".join([*left, "no row is left"]))
    with tempfile.TemporaryDirectory() as scratch:
        lines, within = compare(rows, (given.work or Path(scratch)).resolve(), Path(scratch))
    text = "\n".join([*lines, "", *left, ""])
    print(text)
    if given.markdown:
        given.markdown.write_text(text, encoding="utf-8")
    return int(not within)


def compare(rows: list[Row], work: Path, scratch: Path) -> tuple[list[str], bool]:
    """Every table, and whether the whole need keeps BAR."""
    environments = {tool: environment(tool, work) for tool in PEERS}
    (scratch / "redirect").mkdir()
    (scratch / "redirect" / "sitecustomize.py").write_text(REDIRECT)
    with hub({f"rows/{row['id']}": row for row in rows}) as address:
        said = ask(Place(work=work, scratch=scratch, address=address), rows)
    lines, kept = [", ".join(f"{tool} {version(tool, folder)}" for tool, folder in environments.items())], {}
    for quantity, meaning in QUANTITIES.items():
        part, kept[quantity] = table(rows, said, quantity)
        lines += ["", f"{quantity}: {meaning}", *part]
    some = [number for number, row in enumerate(rows) if stated(row)]
    few = {who: [answers[number] for number in some] for who, answers in said.items()}
    lines += ["", "need, only rows with a released version and both sizes of a batch"]
    lines += [*table([rows[number] for number in some], few, "need")[0], *row_table(rows, said, "need")]
    return lines, all(kept[quantity] for quantity in BARRED)


if __name__ == "__main__":
    raise SystemExit(main())
