"""Packages whose wheels were built for an older NumPy than the one beside them, and end when they are imported.

Each bound was tried: the release before it was imported under NumPy 2.1.3 (Numba: under the first NumPy that it does
not take) on Python 3.11 and failed, the release at it was imported under the same. November 2026.
"""

from __future__ import annotations

from collections.abc import Mapping

from autoglm_doctor.matrix import KnownPair
from autoglm_doctor.matrix.numbers import within

#: Package -> its first release for NumPy 2.
_FIRST: Mapping[str, str] = {
    **dict.fromkeys(("opencv-python", "opencv-python-headless"), "4.10.0.84"),
    **dict.fromkeys(("opencv-contrib-python", "opencv-contrib-python-headless"), "4.10.0.84"),
    "pandas": "2.2.2",
    "pyarrow": "16.0.0",
    "onnxruntime": "1.19.0",
    "onnxruntime-gpu": "1.19.0",
    "h5py": "3.11.0",
    "faiss-cpu": "1.9.0",
    "matplotlib": "3.8.4",
    "ml-dtypes": "0.4.0",
    "numexpr": "2.10.0",
    "bottleneck": "1.4.0",
    "pycocotools": "2.0.8",
    "scikit-image": "0.23.0",
    "soxr": "0.4.0",
}

#: Numba looks at NumPy by itself ("Numba needs NumPy 2.2 or less. Got NumPy 2.3."): its releases, first NumPy too new.
_NUMBA = (
    ("<0.60", "2"),
    (">=0.60,<0.61", "2.1"),
    (">=0.61,<0.61.2", "2.2"),
    (">=0.61.2,<0.62", "2.3"),
    ("<0.64", "2.4"),
)

#: These import Numba when their worker starts (v1/worker/gpu_model_runner.py imports spec_decode/ngram_proposer.py;
#: read in the wheels of 0.8.0 to 0.15.0; from 0.16.0 on only for that way to speculate).
_NEEDS_NUMBA = ">=0.8,<0.16"

_SOURCE = "imported under NumPy 2.1.3: the last release before the bound fails, the one at it does not"


def built_for_older(there: Mapping[str, str]) -> tuple[KnownPair, ...]:
    """The stated packages that cannot be imported under this NumPy; `there` maps names to versions."""
    numpy = there.get("numpy")
    rows = [_row(name, f"<{first}", ">=2", f"{name}>={first}", "NumPy 1") for name, first in _FIRST.items()]
    numba = next((row for row in _NUMBA if within(there.get("numba"), row[0])), None)
    if numba is not None:
        rows.append(_row("numba", numba[0], f">={numba[1]}", f"numpy<{numba[1]}", f"NumPy below {numba[1]}"))
    return tuple(row for row in rows if _is_bad(row, there, numpy))


def needed_by_engine(row: KnownPair, there: Mapping[str, str]) -> bool:
    """Whether the engine that is there imports the package at its start."""
    return "numba" in row.packages and within(there.get("vllm"), _NEEDS_NUMBA)


def _row(name: str, releases: str, numpy: str, instead: str, built_for: str) -> KnownPair:
    what = f"it was built for {built_for}, and ends when it is imported"
    return KnownPair(packages={name: releases, "numpy": numpy}, what=what, instead=instead, source=_SOURCE)


def _is_bad(row: KnownPair, there: Mapping[str, str], numpy: str | None) -> bool:
    name = next(one for one in row.packages if one != "numpy")
    return within(there.get(name), row.packages[name]) and within(numpy, row.packages["numpy"])


#: All that `built_for_older` looks at.
NAMES = (*_FIRST, "numba", "vllm", "numpy")
