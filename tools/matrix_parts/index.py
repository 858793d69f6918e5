"""What the package index says about releases, through pip and uv: no wheel is downloaded whole.

pip reads the metadata out of a wheel by ranges (`fast-deps`; by the metadata file beside it where the index has one);
uv names the files of a release and when they were uploaded. A release's metadata never changes, so what was
read once is kept in tools/matrix_metadata.json, and a refresh reads new releases only.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from matrix_parts import stubs

#: Package -> the oldest release that the matrix speaks of.
PACKAGES: Mapping[str, str] = {
    "torch": "1.12.0",
    "torchvision": "0.13.0",
    "torchaudio": "0.12.0",
    "triton": "2.0.0",
    "vllm": "0.2.0",
    "sglang": "0.4.0",
    "transformers": "4.26.0",
    "xformers": "0.0.16",
    "bitsandbytes": "0.43.0",
    "accelerate": "0.15.0",
    "onnxruntime-gpu": "1.16.0",
    "tensorrt-llm": "0.18.0",  # the stubs of 0.14.0 and 0.16.0 tell of the wheel for Windows
    "torchserve": "0.8.0",
}
#: A pre-release that a project asks for by name (Open-AutoGLM, SGLang 0.5.6.post1).
PRE_RELEASES = {("transformers", "5.0.0rc0")}
#: Requirements that the matrix has a column for.
KEPT = re.compile(
    r"torch|torchvision|torchaudio|triton|numpy|transformers|xformers|flashinfer-python|flashinfer|sgl-kernel"
    r"|sglang-kernel|cuda-python|huggingface-hub|tokenizers|tensorrt|nvidia-(cudnn|nccl|cuda-runtime)(-cu\d+)?"
    r"|cuda-toolkit|cuda-bindings"
)
PYTHONS = ("3.12", "3.10", "3.8", "3.13", "3.7")
PLATFORMS = (
    *(f"manylinux_2_{minor}" for minor in (35, 34, 31, 28, 27, 24, 17)),
    "manylinux2014",
    "manylinux1",
    "linux",
)
#: Where an extra says what is not seen otherwise: the torch that transformers was tested with, the server of SGLang.
EXTRAS: Mapping[str, tuple[str, ...]] = {
    "transformers": ("torch",),
    "onnxruntime-gpu": ("cuda", "cudnn"),
    "sglang": ("runtime_common", "runtime-common", "srt"),
}

Record = dict[str, Any]


def read_versions(package: str) -> dict[str, str]:
    """Version -> a Python that has a wheel of it (NO_WHEEL: a stub), for the releases that the matrix speaks of."""
    found: dict[str, str] = {}
    for python in (stubs.NO_WHEEL,) if package in stubs.PACKAGES else PYTHONS:
        words = ["index", "versions", package, "--pre", "--json", *_target(python)]
        done = run([sys.executable, "-m", "pip", *words])
        if done.returncode == 0:
            for version in json.loads(done.stdout)["versions"]:
                found.setdefault(version, python)
    return {version: python for version, python in found.items() if _wanted(package, version)}


def _wanted(package: str, version: str) -> bool:
    try:
        number = Version(version)
    except InvalidVersion:
        return False
    if (package, version) in PRE_RELEASES:
        return True
    return not number.is_prerelease and number.local is None and number >= Version(PACKAGES[package])


def read_batch(batch: tuple[str, Sequence[tuple[str, str]]]) -> list[tuple[str, str, Record]]:
    """The records of a batch; of those that the index gives."""
    python, pairs = batch
    found = _read(python, pairs)
    if found is None:  # one of them spoils all: each alone, then
        found = {pair: record for pair in pairs for record in (_read(python, [pair]) or {}).values()}
    return [(package, version, record) for (package, version), record in found.items()]


def batches(wanted: Sequence[tuple[str, str, str]], size: int = 10) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """(package, version, Python) by Python, one release of a package in each: one start of pip serves them all."""
    left = list(wanted)
    while left:
        python = left[0][2]
        batch: dict[str, str] = {}
        rest = []
        for package, version, needs in left:
            if needs == python and package not in batch and len(batch) < size:
                batch[package] = version
            else:
                rest.append((package, version, needs))
        yield python, list(batch.items())
        left = rest


def _read(python: str, batch: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Record] | None:
    lines = [f"{package}=={version}" for package, version in batch]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        words = ["install", "--dry-run", "--no-deps", "--ignore-installed", "--report", str(report), "--target", folder]
        variables = {}
        if python == stubs.NO_WHEEL:
            words, variables = [*words, "--no-build-isolation"], stubs.stand_in(Path(folder, "backend"))
        else:
            words.append("--use-feature=fast-deps")
        done = run([sys.executable, "-m", "pip", *words, *_target(python), *lines], **variables)
        if done.returncode:
            return None
        installs = [one["metadata"] for one in json.loads(report.read_text())["install"]]
        files = _files(installs, Path(folder))
    found = {}
    for data in installs:
        package, version = _name(data["name"]), data["version"]
        released, wheels = files.get(package, ("", []))
        found[package, version] = {
            "released": released,
            "python": data.get("requires_python", ""),
            "requires": sorted(_requires(package, data.get("requires_dist", ()))),
            "wheels": wheels,
        }
    return found


def _files(installs: Sequence[Mapping[str, Any]], folder: Path) -> dict[str, tuple[str, list[str]]]:
    """Package -> the day of its first file, and the tags of its wheels for Linux."""
    import tomllib  # Python 3.11: --verify does without

    groups: dict[str, list[str]] = {}
    for data in installs:  # uv leaves out the wheels below the Python that it is asked for
        groups.setdefault(_oldest_python(data.get("requires_python", "")), []).append(
            f"{data['name']}=={data['version']}"
        )
    found = {}
    for oldest, lines in groups.items():
        source, target = folder / f"{oldest}.in", folder / "pylock.toml"
        source.write_text("\n".join(lines))
        words = ["uv", "pip", "compile", "--no-deps", "--universal", "--quiet", "--format", "pylock.toml"]
        done = run([*words, "--prerelease=allow", "--python-version", oldest, "-o", str(target), str(source)])
        if done.returncode == 0:
            found.update({_name(one["name"]): one for one in tomllib.loads(target.read_text())["packages"]})
    return {name: _dates_and_tags(one) for name, one in found.items()}


def _oldest_python(specifier: str) -> str:
    versions = [f"3.{minor}" for minor in range(7, 20)]
    return next((one for one in versions if SpecifierSet(specifier).contains(f"{one}.20")), "3.12")


def _dates_and_tags(package: Mapping[str, Any]) -> tuple[str, list[str]]:
    entries = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else [])]
    days = sorted(str(entry["upload-time"])[:10] for entry in entries if "upload-time" in entry)
    names = [str(entry.get("name") or entry["url"]).rpartition("/")[2] for entry in package.get("wheels", ())]
    tags = {"-".join(name.removesuffix(".whl").split("-")[-3:]) for name in names}
    return (days[0] if days else ""), sorted(tag for tag in tags if re.search(r"linux.*x86_64$|-any$", tag))


def _requires(package: str, lines: Iterable[str]) -> Iterator[str]:
    """Those with a column, as they hold on Linux x86-64; those of an extra are marked with it."""
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        if not KEPT.fullmatch(_name(requirement.name)):
            continue
        bare = f"{_name(requirement.name)}{','.join(sorted(str(requirement.specifier).split(',')))}"
        for extra in ("", *EXTRAS.get(package, ())):
            if _holds(requirement, extra):
                yield f"{bare}[{extra}]" if extra else bare
                break


def _holds(requirement: Requirement, extra: str) -> bool:
    """True where it holds on some Python: torch 2.1 to 2.3 wanted triton below Python 3.12 only."""
    environment = {
        "platform_system": "Linux",
        "platform_machine": "x86_64",
        "sys_platform": "linux",
        "os_name": "posix",
    }
    environment |= {"implementation_name": "cpython", "platform_python_implementation": "CPython", "extra": extra}
    pythons = ({"python_version": one, "python_full_version": f"{one}.0"} for one in ("3.12", "3.11", "3.9", "3.14"))
    marker = requirement.marker
    return marker is None or any(marker.evaluate(environment | python) for python in pythons)


def _target(python: str) -> list[str]:
    if python == stubs.NO_WHEEL:
        return ["--no-binary=:all:"]
    platforms = [word for platform in PLATFORMS for word in ("--platform", f"{platform}_x86_64")]
    return ["--only-binary=:all:", "--python-version", python, *platforms]


def _name(text: str) -> str:
    return re.sub(r"[-_.]+", "-", text).lower()


def run(words: Sequence[str], text: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """A program to its end, within ten minutes."""
    environ = {**os.environ, **variables, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "UV_PYTHON_DOWNLOADS": "never"}
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ.get('PATH', '')}"  # uv lies beside Python
    return subprocess.run(words, capture_output=True, text=True, timeout=600, check=False, env=environ, input=text)
