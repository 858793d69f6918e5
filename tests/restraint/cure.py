"""Do to loose facts what the commands of a fix would do to the machine: what pip, the shell and the driver change.

pip is followed in what it really does: it replaces what the named requirements force, leaves everything else as it is,
and never repairs what was already broken. So a fix that leaves a second fault behind is found.
"""

from __future__ import annotations

import copy
import itertools
import re
import shlex
from collections.abc import Iterable
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.restraint.rows import admits, line, row, rows

#: Sections with one row per release, by the name of the package.
TABLES = {"torch", "vllm", "sglang", "transformers", "triton", "xformers", "bitsandbytes", "accelerate"}
ENGINES = ("vllm", "sglang")
_BESIDE = ("torch", "torchvision", "torchaudio")


def cured(facts: dict[str, Any], commands: Iterable[str]) -> dict[str, Any] | None:
    """The facts afterwards; None where no command is one whose effect can be told."""
    after = copy.deepcopy(facts)
    done = [_run(after, shlex.split(command)) for command in commands]
    if not any(done):
        return None
    after.pop("cuda_available", None)  # said of the machine before
    return after


def _run(facts: dict[str, Any], words: list[str]) -> bool:
    words = words[1:] if words[:1] == ["sudo"] else words
    text = " ".join(words)
    if words[:2] == ["uv", "venv"]:
        for key in ("packages", "torch", "torch_cuda", "torch_arch_list", "requires", "python"):
            facts.pop(key, None)
        facts["python"] = words[words.index("--python") + 1] if "--python" in words else "3.12"
        return True
    if "pip" in words and "install" in words:
        return _install(facts, words[words.index("install") + 1 :])
    if "pip" in words and "uninstall" in words:
        return _uninstall(facts, words[words.index("uninstall") + 1 :])
    if words[:1] == ["export"]:
        facts["env"] = {**(facts.get("env") or {}), **dict(word.split("=", 1) for word in words[1:])}
        if "HF_ENDPOINT" in facts["env"]:
            facts.pop("network", None)  # the mirror answers
        return True
    if words[:1] == ["unset"]:
        facts["env"] = {name: value for name, value in (facts.get("env") or {}).items() if name not in words[1:]}
        return True
    return _otherwise(facts, words, text)


def _otherwise(facts: dict[str, Any], words: list[str], text: str) -> bool:
    """Another driver, a server's new command line, or one of `_EFFECTS`."""
    driver = re.search(r"nvidia-(?:driver|open)-?(\d{3})", text)
    if driver:
        facts["driver_version"] = f"{driver[1]}.142.10"
        for key in ("driver_branch", "cuda_driver_version", "driver"):
            facts.pop(key, None)
        return True
    if text.startswith(("vllm serve", "python3 -m sglang", "python3 -m vllm", "transformers serve")):
        facts["command"] = shlex.join(words)
        if "OTHER-CHECKPOINT" in words:
            facts.pop("model", None)
        return True
    if text == "autoglm-doctor check --engine transformers":
        facts["engine"] = "transformers"
        facts["packages"] = {n: v for n, v in (facts.get("packages") or {}).items() if n not in ENGINES}
        return True
    for pattern, key, value in _EFFECTS:
        match = re.search(pattern, text)
        if match:
            facts[key] = ".".join(match.groups()) or value
            return True
    return False


#: What a command contains -> the key that it changes, and to what; groups of the pattern are the value.
_EFFECTS: tuple[tuple[str, str, Any], ...] = (
    (r"enable.* nvidia-fabricmanager", "fabric_state", "Completed"),
    (r"^git -C .+ lfs pull|^hf download", "model_files", None),
    (r"wsl\.exe", "os", "Ubuntu 24.04 on WSL2"),
    (r"\bcuda-nvcc-(\d+)-(\d+)", "nvcc", ""),
    (r"install .*\bgcc\b", "gcc", "13.3.0"),
    (r"memlock=-1", "ulimit_memlock_kib", "unlimited"),
    (r"--shm-size[= ](\w+)", "shm", ""),
)


def _uninstall(facts: dict[str, Any], words: list[str]) -> bool:
    gone = {word for word in words if not word.startswith("-")}
    facts["packages"] = {n: v for n, v in (facts.get("packages") or {}).items() if n not in gone}
    if "torch" in gone:
        for key in ("torch", "torch_cuda", "torch_arch_list"):
            facts.pop(key, None)
    return True


def _install(facts: dict[str, Any], words: list[str]) -> bool:
    wanted, url, skip = [], "", False
    for word, after in itertools.zip_longest(words, words[1:]):
        if skip:
            skip = False
        elif word.startswith("-"):
            skip = word in ("--python", "--extra-index-url", "--index-url", "--index", "--torch-backend")
            url = after if "index" in word and after else url
        else:
            wanted.append(Requirement(word))
    facts.setdefault("packages", {})
    tag = re.search(r"/(cu\d+|cpu)/?$", url)
    deps = "--no-deps" not in words
    names = {canonicalize_name(one.name) for one in wanted}
    for one in sorted(wanted, key=lambda r: r.name not in ENGINES):
        _put(facts, canonicalize_name(one.name), str(one.specifier), tag[1] if tag else "", names, deps)
    return bool(wanted)


def _put(
    facts: dict[str, Any], name: str, specifier: str, tag: str = "", named: Iterable[str] = (), deps: bool = True
) -> None:
    """One package in the newest release that fits, and what it forces on others."""
    version = _newest(name, specifier, facts)
    if name == "torch":
        _put_torch(facts, version, tag, deps)
        return
    facts["packages"][name] = version
    facts.get("requires", {}).pop(name, None)
    if name in ENGINES:
        facts["engine"] = f"{name} {version}"
        facts.pop("container", None)
    said = dict(row(name, Version(version).public)) if name in TABLES and deps else {}
    said["huggingface-hub"] = said.get("huggingface_hub")
    for other in (*_BESIDE, "transformers", "tokenizers", "huggingface-hub", "numpy", "xformers"):
        # A library's torch is an extra of its metadata.
        if not said.get(other) or other in named or (other == "torch" and name not in ENGINES):
            continue
        has = facts["packages"].get(other) or (facts.get("torch", "") if other == "torch" else "")
        stated = has or other in ("torch", "transformers")
        if stated and not (has and admits(said[other], Version(has).public)):
            _put(facts, other, said[other] if not said[other][0].isdigit() else f"=={said[other]}")


def _put_torch(facts: dict[str, Any], version: str, tag: str, deps: bool) -> None:
    public, _, local = version.partition("+")
    said = row("torch", public)
    built = local or tag
    facts["packages"]["torch"] = facts["torch"] = f"{public}+{built}" if built else public
    cuda = f"{built[2:-1]}.{built[-1]}" if built.startswith("cu") else said.get("cuda", "")
    facts["torch_cuda"] = cuda or None
    builds = rows("torch_builds").get(line(public), {})
    build = builds.get("cu" + cuda.replace(".", ""))
    facts.pop("torch_arch_list", None)
    if build:
        facts["torch_arch_list"] = ["sm_" + one.replace(".", "") for one in build["sass"]]
    for name in facts["packages"]:
        if deps and name == "triton" and said.get("triton"):
            facts["packages"]["triton"] = said["triton"].lstrip("~=")
        if deps and name.startswith("nvidia-cudnn-cu") and said.get("cudnn"):
            facts["packages"][name] = said["cudnn"]


def _newest(name: str, specifier: str, facts: dict[str, Any]) -> str:
    pinned = re.fullmatch(r"==([^*,]+)", specifier)
    if pinned:
        return pinned[1]
    torch = facts["packages"].get("torch") or facts.get("torch")
    if name in ("torchvision", "torchaudio") and torch:
        return str(row("torch", Version(torch).public).get(name, "0"))
    if name in TABLES:
        fitting: list[str] = [r["version"] for r in rows(name) if admits(specifier, r["version"])]
        final = [v for v in fitting if not Version(v).is_prerelease]
        return max(final or fitting, key=Version)
    ends = re.findall(r"(>=|<=|<|~=|==)\s*([\d.]*\d)", specifier)
    least = next((v for sign, v in ends if sign in (">=", "~=", "<=", "==")), "")
    if least or not ends:
        return least or "9999"
    # Only an upper end: the last release of the line before it.
    return {"2": "1.26.4"}.get(str(ends[0][1]), f"{Version(ends[0][1]).major - 1}.99")
