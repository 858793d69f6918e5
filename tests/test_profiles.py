"""Known models: their values give the number of parameters that is published, and reading them stays lazy."""

from __future__ import annotations

import subprocess
import sys

import pytest

from autoglm_doctor.domain.shape.chatglm import usual_names
from autoglm_doctor.domain.shape.read import read_shape
from autoglm_doctor.profiles import PROFILES, find_profile

NAMED = [pytest.param(profile, id=name) for name, profile in PROFILES.items()]


@pytest.mark.parametrize("profile", NAMED)
def test_its_config_gives_the_published_number(profile) -> None:
    shape = read_shape(profile.config)
    assert shape is not None
    assert shape.parameters is not None
    assert shape.parameters.total == (profile.parameters or 10_292_777_472)  # AutoGLM: its number is not published
    assert shape.max_positions > 0
    assert profile.source


@pytest.mark.parametrize("profile", NAMED)
def test_it_is_found_by_all_of_its_names(profile) -> None:
    for name in (profile.name, *profile.hub_names):
        assert find_profile(name) is profile
        assert find_profile(f" {name.upper()}/") is profile
    assert PROFILES[profile.name] is profile


def test_no_two_models_share_a_name() -> None:
    names = [name.lower() for profile in PROFILES.values() for name in (profile.name, *profile.hub_names)]
    assert len(names) == len(set(names))
    assert len(PROFILES) == len(NAMED)


@pytest.mark.parametrize("name", ["", " ", "/", "/models/phi-4", "./phi-4", "~/phi-4", "phi-4-extra", "org/phi-4"])
def test_other_names_are_no_profile(name: str) -> None:
    assert find_profile(name) is None


def test_a_name_that_is_not_there() -> None:
    assert "nothing" not in PROFILES
    assert PROFILES.get("nothing") is None


def test_the_default_model_reads_no_other_maker() -> None:
    code = (
        "import sys; from autoglm_doctor.profiles import find_profile, PROFILES;"
        "assert find_profile('zai-org/AutoGLM-Phone-9B') and PROFILES['autoglm-phone-9b'];"
        "print([m for m in sys.modules if m.startswith('autoglm_doctor.profiles.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "glm" in done.stdout
    assert "qwen" not in done.stdout


_SLOW = [
    pytest.param(profile, id=name, marks=() if name == "phi-4" else pytest.mark.slow)
    for name, profile in PROFILES.items()
]


@pytest.mark.parametrize("profile", _SLOW)
def test_transformers_counts_the_same(profile) -> None:
    """The architecture that transformers builds from these values, on the meta device: no memory, no weights."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    values = {name: value for name, value in profile.config.items() if name != "quantization_config"}
    if values["model_type"] == "chatglm":  # its code lies beside its weights; transformers' glm is the same decoder
        values = {**usual_names(values), "model_type": "glm", "attention_bias": True, "partial_rotary_factor": 0.5}
    config = transformers.AutoConfig.for_model(values.pop("model_type"), **values)
    kind = transformers.AutoModelForImageTextToText if "vision_config" in values else transformers.AutoModelForCausalLM
    with torch.device("meta"):
        model = kind.from_config(config)
    shape = read_shape(profile.config)
    assert shape is not None
    assert shape.parameters is not None
    assert sum(p.numel() for p in model.parameters()) == shape.parameters.total
