"""PKG009: packages that say nothing of NumPy 2 and cannot be imported under it."""

from __future__ import annotations

import pytest

from autoglm_doctor.checks.numpy_abi import numpy_abi
from autoglm_doctor.facts import Distribution, Packages
from autoglm_doctor.testing import judge


@pytest.mark.parametrize(
    ("there", "status"),
    [
        pytest.param({"pandas": "2.2.1", "numpy": "2.0.0"}, "warn", id="pandas from before"),
        pytest.param({"pandas": "2.2.2", "numpy": "2.0.0"}, "not_applicable", id="the first pandas for it"),
        pytest.param({"pandas": "2.0.3", "numpy": "1.26.4"}, "not_applicable", id="an old pandas with its NumPy"),
        pytest.param({"opencv-python": "4.10.0.82", "numpy": "2.1.0"}, "warn", id="OpenCV, one build too early"),
        pytest.param({"opencv-python": "4.10.0.84", "numpy": "2.1.0"}, "not_applicable", id="OpenCV"),
        pytest.param({"scikit-image": "0.22.0", "numpy": "2.1.3"}, "warn", id="scikit-image"),
        pytest.param({"scikit-image": "0.23.0", "numpy": "2.1.3"}, "not_applicable", id="the first of it"),
        pytest.param({"numba": "0.61.2", "numpy": "2.3.0"}, "warn", id="Numba that nobody needs"),
        pytest.param({"numba": "0.61.2", "numpy": "2.3.0", "vllm": "0.10.2"}, "fail", id="Numba that vLLM imports"),
        pytest.param({"numba": "0.61.2", "numpy": "2.3.0", "vllm": "0.17.0"}, "warn", id="a vLLM that does not"),
        pytest.param(
            {"numba": "0.61.2", "numpy": "2.2.6", "vllm": "0.10.2"}, "not_applicable", id="as vLLM installs it"
        ),
        pytest.param({"numba": "0.60.0", "numpy": "2.0.2"}, "not_applicable", id="Numba with the newest that it takes"),
        pytest.param({"numba": "0.60.0", "numpy": "2.1.0"}, "warn", id="one too new"),
        pytest.param({"numba": "0.64.0", "numpy": "2.4.0"}, "not_applicable", id="a Numba for the newest"),
        pytest.param({"numba": "0.63.1", "numpy": "2.4.0"}, "warn", id="a Numba just before"),
        pytest.param({"pandas": "2.0.3", "torch": "2.1.2", "numpy": "2.0.0"}, "fail", id="torch decides"),
    ],
)
def test_built_for_an_older_numpy(there: dict[str, str], status: str) -> None:
    packages = Packages(distributions=tuple(Distribution(name=n, version=v) for n, v in there.items()))
    (found,) = judge(numpy_abi, packages=packages)
    assert found.status == status
    assert bool(found.fixes) == (status in ("warn", "fail"))


def test_the_way_out_of_numba_is_an_older_numpy() -> None:
    packages = Packages(
        distributions=(Distribution(name="numba", version="0.61.2"), Distribution(name="numpy", version="2.3.0"))
    )
    (found,) = judge(numpy_abi, packages=packages)
    assert "'numpy<2.3'" in found.fixes[0].commands[0]
