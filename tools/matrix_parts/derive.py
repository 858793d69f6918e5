"""Recorded metadata -> the sections of compat_matrix.yaml that a machine keeps. Pure: same record, same rows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from matrix_parts import stubs

Records = Mapping[str, Mapping[str, Any]]
Section = dict[str, Any]

_CUDA = r"nvidia-cuda-runtime(-cu\d+)?|cuda-toolkit"
_CUDNN = r"nvidia-cudnn-cu\d+"
#: Section -> package, and the columns that are requirements: column -> what the package is called there.
_TABLES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "torch": ("torch", {"cuda": _CUDA, "cudnn": _CUDNN, "nccl": r"nvidia-nccl-cu\d+", "triton": "triton"}),
    "vllm": (
        "vllm",
        {c: c for c in ("torch", "torchvision", "torchaudio", "transformers", "tokenizers", "xformers", "numpy")}
        | {"flashinfer": "flashinfer-python"},
    ),
    "sglang": (
        "sglang",
        {c: c for c in ("torch", "torchvision", "torchaudio", "transformers")}
        | {"kernel": "sgl-kernel|sglang-kernel", "flashinfer": "flashinfer(-python)?", "cuda_python": "cuda-python"},
    ),
    "transformers": (
        "transformers",
        {c: c for c in ("torch", "tokenizers", "numpy")} | {"huggingface_hub": "huggingface-hub"},
    ),
    "xformers": ("xformers", {"torch": "torch"}),
    "bitsandbytes": ("bitsandbytes", {"torch": "torch", "numpy": "numpy"}),
    "accelerate": ("accelerate", {"torch": "torch", "numpy": "numpy", "huggingface_hub": "huggingface-hub"}),
    "triton": ("triton", {}),
    "onnxruntime_gpu": ("onnxruntime-gpu", {"cuda": _CUDA, "cudnn": _CUDNN, "numpy": "numpy"}),
    "torchserve": ("torchserve", {}),
    "tensorrt_llm": (
        "tensorrt-llm",
        {c: c for c in ("torch", "transformers", "numpy", "tensorrt")}
        | {"flashinfer": "flashinfer-python", "nccl_package": r"nvidia-nccl-cu\d+"},
    ),
}
#: Columns that tell which of several packages it is.
_NAMED = ("kernel", "nccl_package")
_SOURCE = "PyPI: Requires-Dist and Requires-Python of the Linux x86-64 wheel, names and dates of the files"
_STUB_SOURCE = "the stub on PyPI: Requires-Dist and Requires-Python, which are the wheel's, and its date"
_FROM_WHEELS: Mapping[str, str] = {
    "model_types": "CONFIG_MAPPING_NAMES in the wheels of transformers; 4.28.0 stands for itself and all before"
    "; also of the withdrawn 4.46.0, 4.52.0, 4.57.0, 5.10.0",
    "vllm_architectures": "the model registry in the wheels of vLLM; 0.8.0 stands for itself and all before",
    "sglang_architectures": "EntryClass in the wheels of SGLang, without posts; 0.4.0 stands for itself and all before",
}


def derive(recorded: Mapping[str, Any]) -> dict[str, Section]:
    """Every machine-kept section: {"source", "verified", "hand", "rows"}; rows in ascending order of versions."""
    packages, day = recorded["packages"], recorded["recorded"]
    made: dict[str, Section] = {}
    for name, (package, columns) in _TABLES.items():
        records = packages.get(package, {})
        rows = [_row(version, records[version], columns) for version in sorted(records, key=Version)]
        source = _STUB_SOURCE if package in stubs.PACKAGES else _SOURCE
        made[name] = {"source": source, "verified": day, "hand": False, "rows": rows}
    for row in made["torch"]["rows"]:
        for companion in ("torchvision", "torchaudio"):
            if found := _companion(row["version"], packages.get(companion, {})):
                row[companion] = found
    for name, source in _FROM_WHEELS.items():
        first = dict(sorted(recorded.get(name, {}).items()))
        made[name] = {"source": source, "verified": day, "hand": False, "rows": first}
    return made


def _row(version: str, record: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, str]:
    tags = record["wheels"]
    row = {"version": version, "released": record["released"], "python": record["python"]}
    row |= {"wheels": " ".join(_pythons(tags)), "glibc": _glibc(tags)}
    row |= {column: _pin(column, name, record["requires"]) for column, name in columns.items()}
    return {column: value for column, value in row.items() if value}


def _pin(column: str, name: str, requires: Iterable[str]) -> str:
    """ "2.9.0" where one version is asked for, else the specifier; "" where it is not asked for, or any will do."""
    for line in requires:
        wanted = Requirement(line.partition("[")[0])
        if not re.fullmatch(name, wanted.name):
            continue
        text = ",".join(sorted(str(wanted.specifier).split(",")))
        exact = re.fullmatch(r"(?:==|~=)([^,*]+)", text) if column == "cuda" else re.fullmatch(r"==([^,*]+)", text)
        text = exact[1] if exact else text
        if column == "cuda":  # the releases of a runtime are those of its CUDA
            text = ".".join(text.split(".")[:2])
        return f"{wanted.name} {text}".strip() if column in _NAMED else text
    return ""


def _companion(torch: str, records: Records) -> str:
    """The newest release that was built for this torch: pinned to it, else open to it; "" when none is."""
    fitting: dict[bool, list[str]] = {True: [], False: []}
    for version, record in records.items():
        wanted = _pin("torch", "torch", record["requires"])
        pinned = wanted == torch
        # What names no torch at all (torchaudio from 2.11 on) goes with its own line and all after it.
        line = wanted or f">={Version(version).major}.{Version(version).minor}"
        if pinned or (not wanted[:1].isdigit() and SpecifierSet(line).contains(torch)):
            fitting[pinned].append(version)
    return max(fitting[True] or fitting[False], key=Version, default="")


def _pythons(tags: Iterable[str]) -> list[str]:
    """ "cp310", "cp313t", "cp38-abi3" or "py3", in the order of Pythons."""
    found = set()
    for tag in tags:
        python, abi, _ = tag.split("-", 2)
        found.add("cp38-abi3" if abi == "abi3" and python == "cp38" else f"{python}-abi3" if abi == "abi3" else abi)
    named = {"py3" if one == "none" else re.sub(r"^(cp3\d+)m$", r"\1", one) for one in found}
    plain = [one for one in named if not one.startswith("pypy")]
    return sorted(plain, key=lambda one: (one.endswith("t"), int("0" + "".join(re.findall(r"\d+", one)[:1])), one))


def _glibc(tags: Iterable[str]) -> str:
    """The oldest glibc that the tags admit; "" where they say nothing (pure Python, or the tag manylinux1)."""
    named = [re.findall(r"manylinux_2_(\d+)", tag) for tag in tags]
    lowest = [min(int(minor) for minor in minors) for minors in named if minors]
    return f"2.{max(lowest)}" if lowest else ""
