"""`packages`, `engine`, `container`, `torch` -> the packages that are named. A list that is not the whole one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from autoglm_doctor.domain.conflicts import NO_VERSION
from autoglm_doctor.facts import Distribution, Packages, Reading, known
from autoglm_doctor.loose.container import image_engine
from autoglm_doctor.loose.engine import named_engine
from autoglm_doctor.loose.own_build import own_mark
from autoglm_doctor.loose.torch import listed_torch, torch_version
from autoglm_doctor.loose.values import as_list, first, table, text, words

#: Packages that people name by a key of their own.
_NAMED = (
    *("vllm", "sglang", "transformers", "torchvision", "torchaudio", "triton", "numpy", "tokenizers"),
    *("huggingface-hub", "accelerate", "peft", "flash-attn", "xformers", "bitsandbytes", "sgl-kernel", "scipy"),
)
#: "torch==2.9.1", "numpy 2.0.1".
_LINE = re.compile(r"\s*([A-Za-z0-9][\w.-]*)\s*(?:==|@|:|\s)\s*(v?\d[\w.+!-]*(?: +\([^()]*\))?)\s*")
_REMARK = re.compile(r"\s*\([^()]*\)\s*$")


def read_packages(facts: Mapping[str, Any]) -> Reading[Packages] | None:
    """The packages whose version is stated, each once; None when there is none."""
    versions: dict[str, str] = {}
    for name, said in _stated(facts):
        release = _release(said)
        if release:
            versions.setdefault(canonicalize_name(name), release)
    demands = _demands(facts, versions)
    if not versions and not demands:
        return None
    found = tuple(
        Distribution(name=name, version=versions.get(name, NO_VERSION), requires=tuple(demands.get(name, ())))
        for name in sorted({*versions, *demands})
    )
    return known(Packages(distributions=found), source="stated")


def _stated(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and versions, the most exact statement first."""
    torch = listed_torch(facts) or torch_version(facts)
    found = [("torch", torch)] if torch else []
    engines = (_marked(*named_engine(facts.get("engine")), facts), image_engine(facts.get("container")))
    found += [one for one in engines if "+" in one[1]]  # a build of one's own, or for another CUDA
    found += [(name, _with_mark(name, text(said), facts)) for name, said in _listed(facts.get("packages"))]
    found += [one for one in engines if one[1]]
    return found + [(name, _alone(first(facts, name, name.replace("-", "_"), f"{name}_version"))) for name in _NAMED]


def _marked(engine: str, version: str, facts: Mapping[str, Any]) -> tuple[str, str]:
    """A release with the mark of a build by others, where its words or those of its image speak of one."""
    return engine, _with_mark(engine, version, facts)


def _with_mark(name: str, version: str, facts: Mapping[str, Any]) -> str:
    """The version of an engine that is no build of the project, with a local part that says so."""
    mark = own_mark(facts) if name in ("vllm", "sglang") and version and "+" not in version else ""
    return f"{version}+{mark}" if mark else version


def _listed(stated: Any) -> list[tuple[str, Any]]:
    """Of an object, also of {name: {"version": ...}}; of a list or text, the lines of pip freeze and of pip list."""
    if isinstance(stated, dict):
        return [(str(name), table(said).get("version", said)) for name, said in stated.items()]
    lines = text(stated).splitlines() if isinstance(stated, str) else words(as_list(stated))
    matches = (_LINE.fullmatch(line[:200]) for line in lines)
    return [(match[1], match[2]) for match in matches if match]


def _alone(said: Any) -> str:
    """The release of a package under its own key, where nothing else stands there than a remark."""
    return str(said) if isinstance(said, float) else _release(text(said))


def _release(said: str) -> str:
    """A version without what people write around it: "==4.53.2", "v0.9.0", "2.0.1 (conda)"; "" when it is none."""
    bare = _REMARK.sub("", said).removeprefix("==").strip()
    bare = bare[1:] if re.match(r"v\d", bare) else bare
    return bare if _is_version(bare) else ""


def _demands(facts: Mapping[str, Any], versions: Mapping[str, str]) -> dict[str, list[str]]:
    """What packages are said to require of others that are stated as well: {"thinc": ["numpy<2"]}."""
    found: dict[str, list[str]] = {}
    for name, demands in table(facts.get("requires")).items():
        found[canonicalize_name(str(name))] = [one for one in words(as_list(demands)) if _names_one_of(versions, one)]
    for key, demand in (("wants_numpy_lt_2", "numpy<2"), ("wants_numpy_ge_2", "numpy>=2")):
        for name in words(as_list(facts.get(key))):
            found.setdefault(canonicalize_name(name), []).extend([demand] if "numpy" in versions else [])
    return found


def _names_one_of(versions: Mapping[str, str], said: str) -> bool:
    """A package that nobody mentions is not missing."""
    try:
        return canonicalize_name(Requirement(said).name) in versions
    except InvalidRequirement:
        return False


def _is_version(said: str) -> bool:
    try:
        Version(said)
    except InvalidVersion:
        return False
    return True
