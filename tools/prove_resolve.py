"""Are the sets that `resolve` names installable? Asks an independent resolver, uv, for each of a list of machines.

    python tools/prove_resolve.py [--markdown FILE]

`uv pip compile` works the whole set out from the index that it is set up for, by metadata, and installs nothing. Where
the index lacks the release of one package that is asked for, it is asked again with any release of that one, and the
package is named. Exit code 1 when a set was refused.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from autoglm_doctor.domain.resolve.choose import choose
from autoglm_doctor.domain.resolve.lines import requirements
from autoglm_doctor.domain.resolve.releases import Place
from autoglm_doctor.domain.resolve.shelf import model_of, shelf_of
from autoglm_doctor.matrix import Matrix, load_matrix
from autoglm_doctor.profiles import find_profile

#: engine, model, driver, GPU, Python, glibc
CASES = (
    ("vllm", "autoglm-phone-9b", "535.183.01", "RTX 3090", "3.10", "2.31"),
    ("vllm", "autoglm-phone-9b", "550.54.14", "A100-80GB", "3.11", "2.35"),
    ("vllm", "autoglm-phone-9b", "570.26", "RTX 4090", "3.12", "2.35"),
    ("vllm", "autoglm-phone-9b", "570.26", "RTX 5090", "3.12", "2.39"),
    ("vllm", "autoglm-phone-9b", "575.51.03", "RTX 5090", "3.12", "2.39"),
    ("vllm", "autoglm-phone-9b", "580.95.05", "RTX 5090", "3.12", "2.39"),
    ("vllm", "autoglm-phone-9b", "580.95.05", "H100", "3.10", "2.35"),
    ("vllm", "autoglm-phone-9b", "580.95.05", "V100", "3.11", "2.35"),
    ("vllm", "autoglm-phone-9b", "580.95.05", "T4", "3.12", "2.31"),
    ("vllm", "autoglm-phone-9b", "580.95.05", "L40S", "3.13", "2.34"),
    ("vllm", "autoglm-phone-9b", "615.10", "H200", "3.12", "2.39"),
    ("vllm", "autoglm-phone-9b", "615.10", "B200", "3.14", "2.39"),
    ("vllm", "qwen2.5-7b", "535.183.01", "A10", "3.9", "2.31"),
    ("vllm", "qwen2.5-vl-7b", "570.26", "L4", "3.12", "2.28"),
    ("vllm", "qwen3-8b", "580.95.05", "RTX 4090", "3.12", "2.28"),
    ("sglang", "autoglm-phone-9b", "550.54.14", "A100-80GB", "3.10", "2.35"),
    ("sglang", "autoglm-phone-9b", "570.26", "RTX 4090", "3.12", "2.35"),
    ("sglang", "autoglm-phone-9b", "580.95.05", "H100", "3.10", "2.39"),
    ("sglang", "autoglm-phone-9b", "615.10", "H200", "3.12", "2.39"),
    ("sglang", "qwen3-8b", "580.95.05", "L40S", "3.11", "2.31"),
)


@dataclass(frozen=True, slots=True)
class Proof:
    """One machine, the set for it, and what the resolver said ("" when it found a whole set)."""

    case: tuple[str, ...]
    wanted: tuple[str, ...]
    refusal: str
    lacking: tuple[str, ...] = ()  # packages that this index has only older releases of


#: How uv says that an index has no newer release.
_LACKS = re.compile(r"Because only ([\w.-]+)<=?[\w.]+ is available")


def wanted(matrix: Matrix, case: tuple[str, ...]) -> tuple[str, ...]:
    """The exact requirements of `resolve` for a machine."""
    engine, model, driver, gpu, python, glibc = case
    card, profile = matrix.find_gpu(gpu), find_profile(model)
    if card is None:
        raise SystemExit(f"the matrix has no {gpu}")
    place = Place(driver=driver, capabilities=(card.capability,), python=python, glibc=glibc, gpu=gpu)
    asked = model_of(matrix, engine, model, profile.config if profile else None)
    return requirements(choose(shelf_of(matrix, engine), place, asked))


def prove(matrix: Matrix, case: tuple[str, ...]) -> Proof:
    """Ask uv for one set, for that Python and a platform with that glibc."""
    asked = wanted(matrix, case)
    platform = f"x86_64-manylinux_{case[5].replace('.', '_')}"
    command = ["uv", "pip", "compile", "-", "--python-version", case[4], "--python-platform", platform, "--quiet"]
    command += ["--no-header", "--no-annotate", "--only-binary", ":all:"]
    if not asked:
        return Proof(case, asked, "there is no set")
    lacking: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        overrides = Path(folder) / "overrides.txt"
        while True:
            overrides.write_text("".join(f"{name}\n" for name in lacking))
            words = [*command, "--overrides", str(overrides)]
            done = subprocess.run(
                words, input="\n".join(asked), capture_output=True, text=True, timeout=300, check=False
            )
            said = " ".join(done.stderr.split()) if done.returncode else ""
            older = _LACKS.search(said)
            if older is None or older[1] in lacking:
                return Proof(case, asked, said[:400], tuple(lacking))
            lacking.append(older[1])


def verdict(proof: Proof) -> str:
    """What the resolver said, in words."""
    apart = f", but for {', '.join(proof.lacking)}, of which this index lacks the release asked for"
    return proof.refusal or "whole" + (apart if proof.lacking else "")


def table(proofs: list[Proof]) -> str:
    """Markdown."""
    lines = ["| engine | model | driver | GPU | Python | glibc | set | resolver |", "|" + " --- |" * 8]
    for proof in proofs:
        cells = [*proof.case, " ".join(f"`{one}`" for one in proof.wanted), verdict(proof)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Prove, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    matrix, proofs = load_matrix(), []
    for case in CASES:
        proofs.append(prove(matrix, case))
        print(*case, "->", *proofs[-1].wanted, "|", verdict(proofs[-1]), flush=True)
    if options.markdown:
        options.markdown.write_text(table(proofs))
    return int(any(proof.refusal for proof in proofs))


if __name__ == "__main__":
    sys.exit(main())
