"""Whether a version has what came with a release: numbers that do not tell, and tables that begin a patch too late."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from packaging.version import Version

from autoglm_doctor.domain.builds import is_line, standing
from autoglm_doctor.matrix import find_matrix, load_matrix

RELEASES = ("4.55.0", "4.56.0", "4.56.2", "4.57.1", "4.57.6", "5.0.0")


@pytest.fixture(scope="module")
def members() -> Iterator[Any]:
    """The tool's module."""
    folder = str(find_matrix().parent / "tools")
    sys.path.insert(0, folder)
    from matrix_parts import members as found

    yield found
    sys.path.remove(folder)


@pytest.mark.parametrize(
    ("version", "first", "candidate", "wanted"),
    [
        pytest.param("4.57.1", "4.57.0", "", "has", id="a release after it"),
        pytest.param("4.56.2", "4.57.0", "", "lacks", id="one before it"),
        pytest.param("4.57", "4.57.1", "", "open", id="a line whose newest has it"),
        pytest.param("4.56", "4.57.1", "", "lacks", id="a line before it"),
        pytest.param("5", "4.57.1", "", "has", id="a line after it"),
        pytest.param("4.57.0.dev0", "4.57.0", "", "has", id="a build of the release"),
        pytest.param("4.56.0.dev0", "4.57.0", "", "lacks", id="a build of the one before"),
        pytest.param("4.56.1.dev0", "4.57.0", "", "open", id="a build after a patch"),
        pytest.param("5.0.0rc1", "5.0.0", "", "open", id="a candidate of the release"),
        pytest.param("5.0.0rc1", "5.0.0", "5.0.0rc2", "lacks", id="one from before it came in"),
        pytest.param("5.0.0rc2", "5.0.0", "5.0.0rc2", "has", id="the one that brought it"),
        pytest.param("4.57.0rc1", "4.57.1", "", "open", id="a candidate of what became a patch"),
        pytest.param("4.56.0rc1", "4.57.1", "", "lacks", id="a candidate of another release"),
        pytest.param("0.1.dev1+gabc", "4.57.1", "", "open", id="a build whose number says nothing"),
        pytest.param(None, "4.57.1", "", "open", id="no version"),
        pytest.param("banana", "4.57.1", "", "open", id="no number"),
    ],
)
def test_standing(version: str | None, first: str, candidate: str, wanted: str) -> None:
    assert standing(version, first, RELEASES, candidate) == wanted


@pytest.mark.parametrize(("version", "wanted"), [("4.57", True), ("5", True), ("4.57.0", False), ("4.57+cu", False)])
def test_lines(version: str, wanted: bool) -> None:
    assert is_line(version) is wanted


#: Types that 5.10.0, which was withdrawn, had not, and 5.10.1 has.
LATER = {"deepseek_ocr2", "mellum", "sapiens2", "sapiens2_head"} | {
    f"deepseek_ocr2_{part}" for part in ("encoder", "sam_vision_model", "text", "vision")
}


def test_withdrawn_releases_were_read() -> None:
    """A type that the table dates to X.Y.1 where X.Y.0 is in no list came with X.Y.0, mostly."""
    matrix = load_matrix()
    there = matrix.libraries("transformers")
    late = {
        kind
        for kind, first in matrix.model_types.items()
        if Version(first).micro == 1 and f"{Version(first).major}.{Version(first).minor}.0" not in there
    }
    assert late == LATER
    assert matrix.model_types["qwen3_vl"] == "4.57.0"


def test_the_candidates_have_what_the_release_has() -> None:
    matrix = load_matrix()
    came = {kind for kind, first in matrix.model_types.items() if first == "5.0.0"}
    assert {kind for kind in came if not matrix.first_candidate(kind)} == set()
    assert matrix.first_candidate("glm4_moe_lite") == "5.0.0rc3"
    assert matrix.first_candidate("qwen3") == ""


@pytest.mark.parametrize(
    ("new", "known", "wanted"),
    [
        pytest.param({"5.24.1"}, {"5.23.0", "5.24.1"}, {"5.24.0"}, id="the first of its line is not listed"),
        pytest.param({"5.24.0", "5.24.1"}, {"5.23.0"}, set(), id="it is"),
        pytest.param({"5.23.1"}, {"5.23.0"}, set(), id="a line that was read"),
        pytest.param(set(), {"5.23.0"}, set(), id="nothing new"),
    ],
)
def test_the_tool_reads_withdrawn_releases(members: Any, new: set[str], known: set[str], wanted: set[str]) -> None:
    assert members.withdrawn(new, known) == wanted
