"""Finding compat_matrix.yaml and opening it."""

from __future__ import annotations

import functools
from pathlib import Path

from autoglm_doctor.errors import DoctorError
from autoglm_doctor.matrix.sections import SECTION
from autoglm_doctor.matrix.whole import Matrix


def find_matrix() -> Path:
    """compat_matrix.yaml: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package, package.parent):
        if (folder / "compat_matrix.yaml").is_file():
            return folder / "compat_matrix.yaml"
    raise DoctorError("compat_matrix.yaml is missing from this installation; reinstall autoglm-doctor")


@functools.cache
def load_matrix(path: Path | None = None) -> Matrix:
    """Open the matrix and cut it; its sections are read and checked when they are asked for.

    Raises:
        DoctorError: not readable, or without a date.
    """
    try:
        text = (path or find_matrix()).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DoctorError(f"compat_matrix.yaml: {error}") from error
    return Matrix({found[1]: found[2] for found in SECTION.finditer(text)})
