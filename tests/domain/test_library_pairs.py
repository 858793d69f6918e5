"""The transformers that resolve names beside an engine is none that is known to fail with it."""

from __future__ import annotations

import pytest

from autoglm_doctor.domain.resolve.choose import library_for
from autoglm_doctor.domain.resolve.releases import Place
from autoglm_doctor.domain.resolve.shelf import model_of, shelf_of
from autoglm_doctor.matrix import load_matrix

MATRIX = load_matrix()


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
@pytest.mark.parametrize("kind", ["glm4v", "qwen2_5_vl", "qwen2_vl", "gemma4", "qwen2"])
def test_no_release_gets_one_that_is_known_to_fail(engine: str, kind: str) -> None:
    shelf, model = shelf_of(MATRIX, engine), model_of(MATRIX, engine, "m", {"model_type": kind})
    wrong = []
    for release in shelf.releases:
        version = library_for(shelf, release, Place(python="3.11"), model)
        pairs = MATRIX.bad_pairs({engine: release.version, "transformers": version or ""}, kind)
        wrong += [f"{release.version} with {version}: {pair.what}" for pair in pairs]
    assert not wrong
