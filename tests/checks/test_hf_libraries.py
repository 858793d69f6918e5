"""PKG012 on peft, which says of no transformers that it does not take it."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.checks.hf_libraries import transformers_libraries
from autoglm_doctor.intent import Intent
from autoglm_doctor.testing import judge
from tests.checks.package_cases import installed

PAIRS = [
    pytest.param("0.14.0", "4.39.3", "peft<0.14", id="a cache that is not there yet"),
    pytest.param("0.21.2", "4.42.4", "peft<0.14", id="the newest peft, the last transformers without it"),
    pytest.param("0.17.1", "5.0.0", "peft>=0.18", id="a cache that is gone"),
    pytest.param("0.16.0", "5.12.1", "peft>=0.18", id="the first peft that asks for it"),
    pytest.param("0.14.0", "4.43.0", "", id="the first transformers with the cache"),
    pytest.param("0.14.0", "4.46.3", "", id="a pair of one time"),
    pytest.param("0.13.2", "4.39.3", "", id="the last peft that does without"),
    pytest.param("0.15.2", "5.0.0", "", id="a peft before the cache that is gone"),
    pytest.param("0.17.1", "4.57.1", "", id="the last transformers with that cache"),
    pytest.param("0.18.0", "5.2.0", "", id="a peft that asks first"),
    pytest.param("0.17.1", "5.0.0rc1", "", id="a candidate of 5, which nobody read"),
    pytest.param("0.17.2.dev0", "5.0.0", "", id="a development version of peft"),
]


@pytest.mark.parametrize(("peft", "transformers", "instead"), PAIRS)
def test_peft(peft: str, transformers: str, instead: str) -> None:
    there = installed(peft=peft, transformers=transformers)
    found = judge(transformers_libraries, packages=there, intent=Intent(model="/m", engine="transformers"))
    bad = [one for one in found if one.status == "fail"]
    assert [one.subject for one in bad] == (["peft"] if instead else [])
    assert not bad or bad[0].fixes[0].commands[0].endswith(f"'{instead}'")


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_an_engine_that_does_without_peft_is_not_refused(engine: Any) -> None:
    there = installed(peft="0.17.1", transformers="5.5.3")
    (finding,) = judge(transformers_libraries, packages=there, intent=Intent(model="/m", engine=engine))
    assert (finding.status, finding.cause) == ("warn", "HF_LIBS_CONFLICT")


def test_libraries_that_every_engine_imports_stay_red() -> None:
    there = installed(transformers="5.2.0", kernels="0.15.1")
    (finding,) = judge(transformers_libraries, packages=there, intent=Intent(model="/m", engine="vllm"))
    assert finding.status == "fail"
