"""A config.json alone, without the model's folder: `plan --config FILE`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autoglm_doctor.domain.shape import read_shape
from autoglm_doctor.errors import DoctorError
from autoglm_doctor.facts import ModelFiles
from autoglm_doctor.probes.regular import open_regular


def files_of_config(path: Path) -> ModelFiles:
    """The facts that a config.json gives: no weights, whose bytes are then derived from the model's shape.

    A folder stands for the config.json in it. A preprocessor_config.json beside it is read too.

    Raises:
        DoctorError: it cannot be read, is no JSON object, or describes no model that is known.
    """
    if path.is_dir():
        path = path / "config.json"
    config = _object(path)
    kind = config.get("model_type")
    if not isinstance(kind, str) or not kind:
        raise DoctorError(f"{path}: it has no model_type: not the config.json of a model")
    if read_shape(config) is None:
        raise DoctorError(f"{path}: its model_type {kind!r} is not known, or a number of its shape is missing")
    return ModelFiles(
        path=str(path.absolute()),
        found_by="config",
        config=config,
        preprocessor=_beside(path),
        custom_code="auto_map" in config,
    )


def _object(path: Path) -> Mapping[str, Any]:
    try:
        with open_regular(path) as stream:
            value = json.loads(stream.read())
    except OSError as error:
        raise DoctorError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise DoctorError(f"{path}: it is no valid JSON") from None
    if not isinstance(value, dict):
        raise DoctorError(f"{path}: it is no JSON object")
    return value


def _beside(path: Path) -> Mapping[str, Any] | None:
    """preprocessor_config.json, where it is there and whole."""
    try:
        return _object(path.with_name("preprocessor_config.json"))
    except DoctorError:
        return None
