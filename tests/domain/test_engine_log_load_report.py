"""Which tensors a log calls missing."""

from __future__ import annotations

import pytest

from autoglm_doctor.domain.engine_log.load_report import missing_tensors

V4 = "Some weights of M were not initialized from the model checkpoint at /m and are newly initialized: "


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        pytest.param([], (), id="an empty log"),
        pytest.param(["model.layers.{0, 1}.w | MISSING | "], ("model.layers.{0, 1}.w",), id="several layers in a row"),
        pytest.param(["a.w      | MISSING    |  | ", "b.w | UNEXPECTED |"], ("a.w",), id="beside unexpected ones"),
        pytest.param([V4 + "['a.w', 'rotary_emb.inv_freq']"], ("a.w",), id="a list"),
        pytest.param(["rotary_emb.inv_freq | MISSING |"], (), id="made at each start"),
        pytest.param(["Key | Status |", "MISSING", "file is MISSING"], (), id="the word alone"),
    ],
)
def test_missing_tensors(lines: list[str], names: tuple[str, ...]) -> None:
    assert missing_tensors(lines) == names
