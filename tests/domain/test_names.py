"""Names that transformers no longer holds, or did not hold yet."""

from __future__ import annotations

import pytest

from autoglm_doctor.domain.signatures.names import why_missing


def said(name: str, module: str = "") -> str:
    return f"ImportError: cannot import name '{name}' from 'transformers{module}' (/opt/v/transformers/__init__.py)"


FX, TORCH = (".utils.import_utils", "is_torch_fx_available"), (".pytorch_utils", "is_torch_greater_or_equal_than_1_13")
MISSING = [
    pytest.param(said("EncoderDecoderCache"), "4.39.3", "too old", "4.43", id="came later"),
    pytest.param(said("EncoderDecoderCache"), "4.42.4", "too old", "4.43", id="came with the next release"),
    pytest.param(said("HybridCache"), "5.0.0", "too new", "5.0", id="gone"),
    pytest.param(said("HybridCache"), "5.0.0rc1", "too new", "5.0", id="gone in a release candidate"),
    pytest.param(said("HybridCache"), "4.43.4", "too old", "4.44", id="not there yet in the package"),
    pytest.param(said("HybridCache", ".cache_utils"), "4.41.2", "too old", "4.42", id="nor in its module"),
    pytest.param(said(FX[1], FX[0]), "5.23.0", "too new", "5.0", id="gone from a module"),
    pytest.param(said(TORCH[1], TORCH[0]), "4.48.0", "in a gap", "4.48.2", id="left out by mistake"),
    pytest.param(said(TORCH[1], TORCH[0]), "4.48.1", "in a gap", "4.48.2", id="and in the next patch"),
    pytest.param(said(TORCH[1], TORCH[0]), "4.35.2", "too old", "4.36", id="before it was there at all"),
    pytest.param(said("AutoModelForVision2Seq"), "5.1.0+local", "too new", "5.0", id="a local build"),
]


@pytest.mark.parametrize(("line", "version", "direction", "release"), MISSING)
def test_direction(line: str, version: str, direction: str, release: str) -> None:
    verdict = why_missing(line, version)
    assert verdict is not None
    assert (verdict.direction, verdict.added or verdict.removed) == (direction, release)


QUIET = [
    pytest.param(said("EncoderDecoderCache"), "4.43.0", id="this release has it"),
    pytest.param(said("HybridCache", ".cache_utils"), "4.43.4", id="this release has it in the module"),
    pytest.param(said(TORCH[1], TORCH[0]), "4.47.1", id="before it was left out"),
    pytest.param(said(TORCH[1], TORCH[0]), "4.48.2", id="after it was left out"),
    pytest.param(said("EncoderDecoderCache"), "", id="no version"),
    pytest.param(said("EncoderDecoderCache"), "main", id="a version that is none"),
    pytest.param(said("NobodyKnowsThis"), "4.39.3", id="another name"),
    pytest.param(said("EncoderDecoderCache", ".pytorch_utils"), "4.39.3", id="another module"),
    pytest.param("cannot import name 'DynamicCache' from 'peft.utils'", "4.20.0", id="another package"),
    pytest.param("INFO using EncoderDecoderCache of transformers", "4.39.3", id="no failed import"),
]


@pytest.mark.parametrize(("line", "version"), QUIET)
def test_nothing_is_told(line: str, version: str) -> None:
    assert why_missing(line, version) is None
