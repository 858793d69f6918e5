"""Small files of a model that are stated to be pointers of git-lfs."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.loose.judge import diagnose
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.registry import load_checks

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:05e9\nsize 17477929"

ROWS = [
    pytest.param({"tokenizer.json": POINTER}, ["MODEL_FILES_LFS_POINTER"], id="its text"),
    pytest.param({"tokenizer.model": "a git-lfs pointer"}, ["MODEL_FILES_LFS_POINTER"], id="by name"),
    pytest.param({"tokenizer.json": "lfs pointer (131 bytes)"}, ["MODEL_FILES_LFS_POINTER"], id="with its size"),
    pytest.param({"tokenizer.json": "no git-lfs pointer, 17 MB"}, [], id="none"),
    pytest.param({"tokenizer.json": "LFS pointer replaced by the real file"}, [], id="one that was mended"),
    pytest.param({"tokenizer.json": "lfs-pointer: no"}, [], id="a question with its answer"),
    pytest.param({"tokenizer.json": "17 MB"}, [], id="a whole file"),
    pytest.param({"tokenizer.json": 131}, [], id="a small file, which may be right"),
    pytest.param({"README.md": POINTER}, [], id="a file that nothing loads"),
]


@pytest.mark.parametrize(("files", "causes"), ROWS)
def test_a_tokenizer_may_be_a_pointer(files: dict[str, Any], causes: list[str]) -> None:
    data = {"facts": {"model": "google/gemma-7b-it", "model_files": files}}
    assert [one.cause for one in diagnose("x", data, load_checks().checks, load_matrix()).causes] == causes
