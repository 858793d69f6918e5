"""The tiny models, made once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.serving.gguf import make_gguf
from tests.serving.models import make_glm4v, make_llama
from tests.serving.running import Place


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Name -> folder, or GGUF file. Not to be changed: `copy_of` gives one to damage."""
    folder = tmp_path_factory.mktemp("models")
    return {
        "glm4v": make_glm4v(folder / "glm4v"),
        "llama": make_llama(folder / "llama"),
        "gguf": make_gguf(folder / "tiny.gguf"),
    }


@pytest.fixture
def place() -> Iterator[Place]:
    """Folders for one run; their path is short: into a long one no engine could put its sockets."""
    root = Path(f"/tmp/s{os.getpid()}")
    one = Place(root)
    yield one
    for holder in one.holders:
        holder.close()
    shutil.rmtree(root)
