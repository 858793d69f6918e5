"""Single files out of wheels, by ranges: the model types that a release of transformers knows.

Through pip's own reader of remote wheels, so that the index, its credentials and proxies are those of the user's pip.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from zipfile import ZipFile

from packaging.version import Version

from matrix_parts import index

#: Where CONFIG_MAPPING_NAMES has lived: before and after transformers 5.
_LISTS = ("transformers/models/auto/auto_mappings.py", "transformers/models/auto/configuration_auto.py")


def model_types(version: str) -> frozenset[str]:
    """The keys of CONFIG_MAPPING of one release of transformers."""
    with open_wheel(_wheel_url("transformers", version)) as wheel:
        names = set(wheel.namelist())
        texts = [wheel.read(name).decode() for name in _LISTS if name in names]
    return frozenset(kind for text in texts for kind in _keys(text))


def withdrawn(new: Collection[str], known: Collection[str]) -> set[str]:
    """X.Y.0 of a new X.Y.1 that the index lists no more: it was in use for a day, and its wheel is still there."""
    first = {f"{Version(one).major}.{Version(one).minor}.0" for one in new if Version(one).micro}
    lines = {Version(one).release[:2] for one in known if one not in new}  # were looked at before
    return {one for one in first - set(new) if Version(one).release[:2] not in lines}


def _keys(text: str) -> Iterator[str]:
    block = re.search(r"CONFIG_MAPPING_NAMES\s*=\s*OrderedDict[^(]*\((.*?)^\)", text, re.DOTALL | re.MULTILINE)
    if block:
        yield from re.findall(r"[(\n]\s*\(?\s*\"([a-z0-9][\w.-]*)\"\s*[,:]\s*\"", block[1])


def _wheel_url(package: str, version: str) -> str:
    import tomllib  # Python 3.11: --verify does without

    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "pylock.toml")
        words = ["uv", "pip", "compile", "--no-deps", "--quiet", "--format", "pylock.toml", "--prerelease=allow"]
        done = index.run([*words, "--python-version", "3.12", "-o", str(target), "-"], f"{package}=={version}\n")
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, words, stderr=done.stderr)
        return str(tomllib.loads(target.read_text())["packages"][0]["wheels"][0]["url"])


def open_wheel(url: str) -> ZipFile:
    """A wheel of which only what is asked for is fetched."""
    from pip._internal.network.lazy_wheel import LazyZipOverHTTP
    from pip._internal.network.session import PipSession

    return ZipFile(LazyZipOverHTTP(url, PipSession()))


def vllm_architectures(version: str) -> frozenset[str]:
    """The architectures (config.json) in the registry of one release of vLLM."""
    with open_wheel(_wheel_url("vllm", version)) as wheel:
        text = wheel.read("vllm/model_executor/models/registry.py").decode()
    tables = re.findall(r"^_[A-Z_]*MODELS[^=\n]*= \{(.*?)^\}", text, re.DOTALL | re.MULTILINE)
    return frozenset(name for table in tables for name in re.findall(r"^\s*\"(\w+)\": \(?", table, re.MULTILINE))


def sglang_architectures(version: str) -> frozenset[str]:
    """The EntryClass names of the model files of one release of SGLang."""
    found: set[str] = set()
    with open_wheel(_wheel_url("sglang", version)) as wheel:
        for name in wheel.namelist():
            if re.fullmatch(r"sglang/srt/models/\w+\.py", name):
                entry = re.search(r"^EntryClass(?::[^=]*)? = (\[.*?\]|\w+)", wheel.read(name).decode(), re.M | re.S)
                found.update(re.findall(r"\b[A-Z]\w+", entry[1]) if entry else ())
    return frozenset(found)
