"""ONNX Runtime, TensorRT-LLM, TorchServe: what the matrix says of them, how it is read, and that no machine is ill of them."""

from __future__ import annotations

import dataclasses
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from autoglm_doctor.facts import Distribution, Facts, known, with_readings
from autoglm_doctor.matrix import find_matrix, load_matrix
from autoglm_doctor.matrix.engines import SERVERS
from autoglm_doctor.registry import load_checks
from autoglm_doctor.runner import run_checks
from tests.machines.build import SITE, SMALL, SMALL_FILES, healthy

M = load_matrix()
TOOLS = str(find_matrix().parent / "tools")


@pytest.mark.parametrize(
    ("server", "version", "cuda_major", "minimum_capability"),
    [
        pytest.param("onnxruntime-gpu", "1.26.0", 12, "", id="ONNX Runtime, the last for CUDA 12"),
        pytest.param("onnxruntime-gpu", "1.27.0", 13, "", id="ONNX Runtime, the first for CUDA 13"),
        pytest.param(
            "tensorrt-llm", "0.14.0", 12, "", id="TensorRT-LLM before Volta went: the oldest GPU is not known"
        ),
        pytest.param("tensorrt-llm", "0.15.0", 12, "8.0", id="TensorRT-LLM without Volta and Turing"),
        pytest.param("tensorrt-llm", "1.0.0", 12, "8.0", id="TensorRT-LLM, the last for CUDA 12"),
        pytest.param("tensorrt-llm", "1.1.0rc5", 12, "8.0", id="a pre-release of the first for CUDA 13"),
        pytest.param("tensorrt-llm", "1.1.0", 13, "8.0", id="TensorRT-LLM, the first for CUDA 13"),
        pytest.param("tensorrt-llm", "1.2.0rc1", 12, "8.0", id="a pre-release that went back to CUDA 12"),
        pytest.param("tensorrt-llm", "1.2.1", 13, "8.0", id="TensorRT-LLM, the newest release"),
        pytest.param("tensorrt-llm", "1.4.0rc1", 13, "8.0", id="a pre-release after the table"),
        pytest.param("tensorrt-llm", "1.2.1+cu130", 13, "8.0", id="a local version"),
        pytest.param("torchserve", "0.12.0", 0, "", id="TorchServe has no CUDA of its own"),
    ],
)
def test_what_wheels_are_built_for(server: str, version: str, cuda_major: int, minimum_capability: str) -> None:
    row = M.other_server(server, version)
    assert row is not None
    assert (row.cuda_major, row.minimum_capability) == (cuda_major, minimum_capability)


@pytest.mark.parametrize(
    ("server", "version"),
    [
        pytest.param("tensorrt-llm", "0.8.0", id="before the table"),
        pytest.param("tensorrt-llm", "main", id="no version"),
        pytest.param("triton-server", "2.50.0", id="a server that is not in the table"),
    ],
)
def test_what_is_not_known(server: str, version: str) -> None:
    assert M.other_server(server, version) is None


@pytest.mark.parametrize("server", SERVERS)
def test_the_hand_and_the_metadata_tell_the_same_cuda(server: str) -> None:
    """The metadata names a CUDA by a version (ONNX Runtime) or by a package (nvidia-nccl-cu13)."""
    told = 0
    for release in M.libraries(server).values():
        row = M.other_server(server, release.version)
        assert row is not None, release.version
        major = release.cuda.partition(".")[0] or release.nccl_package.partition("-cu")[2].partition(" ")[0]
        told += bool(major)
        assert not major or int(major) == row.cuda_major, release.version
    assert told >= (10 if server != "torchserve" else 0)


#: A server beside the deployed vLLM, as its metadata has it: each asks for what this machine has not.
BESIDE = {
    "TensorRT-LLM for another CUDA, torch and transformers": Distribution(
        name="tensorrt_llm",
        version="1.2.1",
        location=SITE,
        requires=("torch<=2.10.0a0,>=2.9.1", "transformers==4.57.3", "numpy<2", "tensorrt~=10.14.1"),
        requires_python=">=3.10, <4",
    ),
    "TensorRT-LLM for an older torch": Distribution(
        name="tensorrt_llm", version="1.0.0", location=SITE, requires=("torch<=2.8.0a0,>=2.7.1", "transformers==4.53.1")
    ),
    "ONNX Runtime for another CUDA": Distribution(
        name="onnxruntime-gpu", version="1.31.1", location=SITE, requires=("numpy>=1.21.6",)
    ),
    "TorchServe": Distribution(name="torchserve", version="0.12.0", location=SITE, requires=("Pillow", "psutil")),
}


@pytest.mark.parametrize("beside", BESIDE.values(), ids=BESIDE)
def test_no_red_where_another_engine_is_deployed(beside: Distribution) -> None:
    """Driver 570 has no CUDA 13, and none of the demands hold: a matter of who deploys that server, not of vLLM."""
    there = healthy()
    packages = there["packages"].value
    assert packages is not None
    both = dataclasses.replace(packages, distributions=(*packages.distributions, beside))
    facts = with_readings(Facts(), {**there, **SMALL_FILES, "packages": known(both)})
    found = run_checks(load_checks().checks, facts, SMALL, M)
    assert [f.code for f in found if f.status in ("fail", "error")] == []
    assert {f.code for f in found if f.status == "warn"} <= {"PKG001"}
    assert next(f for f in found if f.code == "ENG001").status == "pass"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The tool's reader of the index, before an index that is a folder with a stub."""
    _stub(tmp_path / "index", "9.9.0", ["Requires-Dist: torch==2.9.1", "Requires-Dist: nvidia-nccl-cu13==2.27.7"])
    for name, value in (("NO_INDEX", "1"), ("FIND_LINKS", str(tmp_path / "index"))):
        monkeypatch.setenv(f"PIP_{name}", value)
        monkeypatch.setenv(f"UV_{name}", value)
    monkeypatch.syspath_prepend(TOOLS)
    from matrix_parts import index

    return index


def _stub(folder: Path, version: str, requires: list[str]) -> None:
    """As NVIDIA puts it on the index: metadata, and a build backend that would fetch the wheel elsewhere."""
    base = folder / f"tensorrt_llm-{version}"
    base.mkdir(parents=True)
    heads = [
        "Metadata-Version: 2.4",
        "Name: tensorrt_llm",
        f"Version: {version}",
        "Requires-Python: >=3.10, <4",
        *requires,
    ]
    (base / "PKG-INFO").write_text("\n".join([*heads, "Dynamic: requires-dist", "", "TensorRT LLM"]))
    (base / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["wheel-stub"]\nbuild-backend = "wheel_stub.buildapi"\n'
    )
    with tarfile.open(folder / f"{base.name}.tar.gz", "w:gz") as archive:
        archive.add(base, base.name)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="a refresh needs tomllib")
@pytest.mark.skipif(Version(version("pip")) < Version("25.1"), reason="a refresh needs `pip index versions --json`")
def test_a_stub_is_read_and_not_built(index: Any) -> None:
    """What --verify compares with comes from the stub's own metadata; its build backend is not there at all."""
    assert index.read_versions("tensorrt-llm") == {"9.9.0": ""}
    [(package, version, record)] = index.read_batch(("", [("tensorrt-llm", "9.9.0")]))
    assert (package, version) == ("tensorrt-llm", "9.9.0")
    assert record["requires"] == ["nvidia-nccl-cu13==2.27.7", "torch==2.9.1"]
    assert (record["python"], record["wheels"]) == (">=3.10, <4", [])


def test_a_refresh_keeps_the_lines_between_sections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(TOOLS)
    from matrix_parts import table

    text = 'generated: "2026-01-01"\na: {"rows": {"x": "1"}}\n\n# Of b.\nb: {"rows": {}}\nc: {"rows": {}}\n'
    section = {"source": "\\d", "rows": {"x": "2"}}
    written = table.written("a", section)
    after = table.replaced(text, {"a": section}, "2026-01-02")
    assert after == f'generated: "2026-01-02"\n{written}\n# Of b.\nb: {{"rows": {{}}}}\nc: {{"rows": {{}}}}\n'
