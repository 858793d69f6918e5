"""A config.json alone: its facts, or a sentence that says what is wrong with it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from autoglm_doctor.domain.model import weight_bytes
from autoglm_doctor.errors import DoctorError
from autoglm_doctor.launch import parse_command
from autoglm_doctor.probes.model_config import files_of_config
from autoglm_doctor.profiles import PROFILES

LLAMA = dict(PROFILES["llama-3.1-8b"].config)


def write(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value))
    return path


def test_a_config_gives_derived_weights(tmp_path: Path) -> None:
    files = files_of_config(write(tmp_path / "any-name.json", LLAMA))
    assert (files.found_by, files.weights, files.config_error, files.custom_code) == ("config", (), None, False)
    assert weight_bytes(parse_command(["vllm", "serve", "x/y"]), files) == 2 * 8_030_261_248


def test_a_folder_stands_for_the_file_in_it(tmp_path: Path) -> None:
    write(tmp_path / "config.json", {**LLAMA, "auto_map": {}})
    write(tmp_path / "preprocessor_config.json", {"patch_size": 14})
    files = files_of_config(tmp_path)
    assert (files.path, files.preprocessor, files.custom_code) == (
        str(tmp_path / "config.json"),
        {"patch_size": 14},
        True,
    )


def test_a_broken_preprocessor_is_as_none(tmp_path: Path) -> None:
    write(tmp_path / "config.json", LLAMA)
    (tmp_path / "preprocessor_config.json").write_text("[")
    assert files_of_config(tmp_path).preprocessor is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("{oops", "no valid JSON", id="no JSON"),
        pytest.param("", "no valid JSON", id="empty"),
        pytest.param('{"a":' * 100_000, "no valid JSON", id="nested without end"),
        pytest.param("\xff", "no valid JSON", id="no UTF-8"),
        pytest.param("[]", "no JSON object", id="a list"),
        pytest.param("{}", "no model_type", id="no model_type"),
        pytest.param('{"model_type": 7}', "no model_type", id="a number as model_type"),
        pytest.param('{"model_type": "of-tomorrow"}', "'of-tomorrow' is not known", id="an unknown model_type"),
        pytest.param('{"model_type": "llama"}', "a number of its shape is missing", id="no numbers"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "c.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DoctorError, match=says):
        files_of_config(tmp_path / "c.json")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        pytest.param(lambda path: None, "No such file", id="nothing"),
        pytest.param(os.mkfifo, "no regular file", id="a FIFO"),
        pytest.param(lambda path: path.symlink_to("/dev/zero"), "no regular file", id="a device"),
    ],
)
def test_what_is_no_file(tmp_path: Path, make, says: str) -> None:
    make(tmp_path / "c.json")
    with pytest.raises(DoctorError, match=says):
        files_of_config(tmp_path / "c.json")
