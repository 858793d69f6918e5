"""Words without which a pattern is not tried: they spare time and nothing else."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoglm_doctor.domain.signatures import TABLE
from autoglm_doctor.domain.signatures.prefilter import may_match, words_needed
from tests.domain.test_signatures import SAID

PATTERNS = sorted({text for row in TABLE for text in (row.pattern, row.after, row.unless) if text})


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        pytest.param("no kernel image", ("no kernel image",), id="plain words"),
        pytest.param("CUDA error: (out of memory|unknown)", ("cuda error: ",), id="the longest part"),
        pytest.param("(abcdef|ghi) ?x", ("abcdef", "ghi"), id="one of several"),
        pytest.param("abc(de)*fgh", ("abc",), id="what may be left out is not needed"),
        pytest.param("(?:missing)? .*", (), id="nothing that must be there"),
        pytest.param("abc|.", (), id="a branch that may be anything"),
        pytest.param("(error ){2,}", ("error ",), id="what is repeated at least once"),
        pytest.param("(?!not )found", ("found",), id="what must not stand there is not needed"),
        pytest.param(r"\bERROR\b", ("error",), id="in small letters"),
    ],
)
def test_the_words_of_a_pattern(pattern: str, words: tuple[str, ...]) -> None:
    assert words_needed(pattern) == words


def test_every_row_spares_something() -> None:
    assert [row.pattern for row in TABLE if not words_needed(row.pattern)] == []


def test_no_known_wording_is_kept_from_a_row() -> None:
    for text, _ in SAID:
        held = [one for one in PATTERNS if re.search(one, text, re.IGNORECASE)]
        assert [one for one in held if not may_match(text.lower(), words_needed(one))] == []


#: Hypothesis makes few texts for looks ahead and behind, and for the ends of words.
PLAIN = [one for one in PATTERNS if not re.search(r"\(\?[!=<-]|\(\?-i|\\b", one)]


def test_enough_patterns_are_tried_with_texts_of_their_own() -> None:
    assert len(PLAIN) > 100


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_text_that_a_pattern_matches_is_kept_from_it(data: st.DataObject) -> None:
    pattern = data.draw(st.sampled_from(PLAIN))
    text = data.draw(st.from_regex(re.compile(pattern, re.IGNORECASE)))
    assert may_match(text.lower(), words_needed(pattern))
