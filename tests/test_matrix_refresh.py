"""tools/refresh_matrix.py against the recorded metadata: wrong cells are named, new releases arrive, hands stay."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoglm_doctor.matrix import find_matrix
from autoglm_doctor.matrix.sections import SECTION

CHECKOUT = find_matrix().parent
TOOL = CHECKOUT / "tools" / "refresh_matrix.py"


@pytest.fixture(scope="module")
def matrix() -> dict[str, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    data: dict[str, Any] = yaml.load(find_matrix().read_text(), Loader=loader)
    return data


@pytest.fixture(scope="module")
def parts() -> Iterator[Any]:
    """The tool's modules."""
    sys.path.insert(0, str(TOOL.parent))
    import refresh_matrix

    yield refresh_matrix
    sys.path.remove(str(TOOL.parent))


def verify(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "m.yaml").write_text(text)
    words = [sys.executable, str(TOOL), "--verify", "--matrix", str(folder / "m.yaml")]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def cells(matrix: dict[str, Any]) -> list[tuple[str, str, str | None]]:
    """(section, row, column) of every cell; column None where a row is one cell."""
    found: list[tuple[str, str, str | None]] = []
    for section, body in matrix.items():
        rows = body["rows"] if isinstance(body, dict) else {}
        pairs = rows.items() if isinstance(rows, dict) else ((str(i), row) for i, row in enumerate(rows))
        for key, row in pairs:
            found += (
                [(section, key, c) for c in row if c != "version"] if isinstance(row, dict) else [(section, key, None)]
            )
    return found


def corrupted(matrix: dict[str, Any], wrong: list[tuple[str, str, str | None]]) -> str:
    copy = json.loads(json.dumps(matrix))
    for section, key, column in wrong:
        rows = copy[section]["rows"]
        place = rows if isinstance(rows, dict) else dict(enumerate(rows))
        row = key if isinstance(rows, dict) else int(key)
        if column is None:
            place[row] = "0.0.1"
        else:
            place[row][column] = "0.0.1"
    return "".join(f"{name}: {json.dumps(value)}\n" for name, value in copy.items())


def test_the_matrix_is_what_the_metadata_says(tmp_path: Path) -> None:
    done = verify(find_matrix().read_text(), tmp_path)
    assert (done.returncode, done.stdout) == (0, "every machine-kept cell is what the metadata says\n"), done.stderr


def test_what_a_hand_keeps_is_named(matrix: dict[str, Any], tmp_path: Path) -> None:
    """No section is without a keeper, and the page about the matrix lists each under its own."""
    said = verify(find_matrix().read_text(), tmp_path).stderr.split()
    page = (CHECKOUT / "docs" / "matrix.md").read_text()
    hand, machine = (
        next(line for line in page.splitlines() if line.startswith(f"| {who} ")) for who in ("hand", "a machine")
    )
    for name, body in matrix.items():
        if isinstance(body, dict):
            assert (name in said) is body["hand"], name
            assert f"`{name}`" in (hand if body["hand"] else machine), name


@pytest.mark.parametrize("seed", range(3))
def test_every_corrupted_machine_kept_cell_is_named(seed: int, matrix: dict[str, Any], tmp_path: Path) -> None:
    """20 random cells of both kinds: the machine's are named, each with its column, and nothing else is."""
    rng, all_cells = random.Random(seed), cells(matrix)
    by_hand = [matrix[section]["hand"] for section, _, _ in all_cells]
    wrong = rng.sample([one for one, hand in zip(all_cells, by_hand, strict=True) if not hand], 12)
    wrong += rng.sample([one for one, hand in zip(all_cells, by_hand, strict=True) if hand], 8)
    done = verify(corrupted(matrix, wrong), tmp_path)
    expected = set()
    for section, key, column in wrong:
        if matrix[section]["hand"] is False:
            rows = matrix[section]["rows"]
            name = key if isinstance(rows, dict) else rows[int(key)]["version"]
            expected.add(f"{section} {name}" + (f" {column}" if column else ""))
    assert len(expected) >= 10
    assert {line.partition(":")[0] for line in done.stdout.splitlines()} == expected
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(lambda m: m["vllm"]["rows"].pop(3), "vllm 0.2.3: the row is missing", id="a row is gone"),
        pytest.param(lambda m: m["vllm"]["rows"][3].pop("torch"), "vllm 0.2.3 torch: ''", id="a cell is gone"),
        pytest.param(
            lambda m: m["vllm"]["rows"].append({"version": "9.9"}), "vllm 9.9: not in the metadata", id="a row too many"
        ),
        pytest.param(
            lambda m: m["vllm"]["rows"][3].update(version="0.8.33"), "vllm 0.8.33: not in", id="a wrong version"
        ),
        pytest.param(lambda m: m["torch"]["rows"][3].update(magic="1"), "magic", id="a column too many"),
        pytest.param(lambda m: m.pop("triton"), "triton: the section is missing", id="a section is gone"),
        pytest.param(lambda m: m["torch"].update(hand=True), "torch: hand is True", id="called a hand's"),
        pytest.param(
            lambda m: m["pci_ids"].update(hand=False), "pci_ids: hand is False, and no", id="called a machine's"
        ),
        pytest.param(lambda m: m["pci_ids"].pop("hand"), "pci_ids: hand is None, and no", id="nobody keeps it"),
        pytest.param(lambda m: m["torch"].update(rows=7), "torch 2.9.0: the row is missing", id="no rows"),
    ],
)
def test_what_else_can_be_wrong(change: Any, said: str, matrix: dict[str, Any], tmp_path: Path) -> None:
    copy = json.loads(json.dumps(matrix))
    change(copy)
    done = verify("".join(f"{name}: {json.dumps(value)}\n" for name, value in copy.items()), tmp_path)
    assert said in done.stdout
    assert done.returncode == 1


def test_a_new_release_arrives_and_hands_stay(parts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The index is replaced by a table: one release of vLLM that is not recorded."""
    record = {
        "released": "2027-01-02",
        "python": ">=3.11",
        "requires": ["torch==2.15.0"],
        "wheels": ["cp38-abi3-manylinux_2_28_x86_64"],
    }
    recorded = json.loads((TOOL.parent / "matrix_metadata.json").read_text())
    here = {package: dict.fromkeys(versions, "3.12") for package, versions in recorded["packages"].items()}
    here["vllm"]["9.9.0"] = "3.12"
    monkeypatch.setattr(parts.index, "read_versions", lambda package: here[package])
    monkeypatch.setattr(parts.index, "read_batch", lambda batch: [(p, v, record) for p, v in batch[1]])
    monkeypatch.setattr(parts.members, "vllm_architectures", lambda version: frozenset({"NewForCausalLM"}))
    (tmp_path / "m.yaml").write_text(find_matrix().read_text())
    (tmp_path / "m.json").write_text(json.dumps(recorded))
    where = ["--matrix", str(tmp_path / "m.yaml"), "--metadata", str(tmp_path / "m.json"), "--only", "vllm"]
    assert parts.main([*where, "--check"]) == 1
    assert (tmp_path / "m.yaml").read_text() == find_matrix().read_text()
    assert parts.main(where) == 0
    before, after = find_matrix().read_text(), (tmp_path / "m.yaml").read_text()
    assert '"version": "9.9.0", "released": "2027-01-02"' in after
    assert '"NewForCausalLM": "9.9.0"' in after
    assert after.count('"hand": true') == before.count('"hand": true')
    old, new = ({m[1]: m[2] for m in SECTION.finditer(text)} for text in (before, after))
    hands = [name for name, text in old.items() if '"hand": true' in text]
    assert len(hands) > 10
    assert all(new[name] == old[name] for name in hands)
    assert parts.main([*where, "--verify"]) == 0


def test_every_section_reads_fast_and_names_its_source(matrix: dict[str, Any]) -> None:
    """JSON in the place of YAML: the fast way of every section, with the same meaning."""
    for name, text in SECTION.findall(find_matrix().read_text()):
        assert json.loads(text) == matrix[name]
        if name != "generated":
            body = matrix[name]
            assert body["source"]
            assert isinstance(body["hand"], bool)
            assert re.fullmatch(r"\d{4}-\d\d-\d\d", body["verified"])


def test_no_version_is_a_number(matrix: dict[str, Any]) -> None:
    """12.10 would be 12.1. Numbers are counts and measures only."""
    measures = {"memory_gib", "cuda_gib", "bandwidth_gb_s", "bf16_tflops", "fp16_tflops", "cuda_major", "cudnn_major"}

    def walk(value: Any, key: str) -> None:
        if isinstance(value, dict):
            for name, one in value.items():
                walk(one, name)
        elif isinstance(value, list):
            for one in value:
                walk(one, key)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            assert key in measures, f"{key}: {value}"

    walk(matrix, "")


def test_no_host_of_an_index_is_recorded() -> None:
    text = (TOOL.parent / "matrix_metadata.json").read_text() + find_matrix().read_text()
    assert "http" not in (TOOL.parent / "matrix_metadata.json").read_text()
    assert not re.search(r"https?://(?!docs\.nvidia\.com)", text)
