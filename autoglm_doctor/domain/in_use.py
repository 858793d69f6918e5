"""What of the installed packages a deployment cannot be without, though no other package asks for it."""

from __future__ import annotations

import re

from packaging.utils import canonicalize_name

from autoglm_doctor.facts import Packages
from autoglm_doctor.intent import Intent

#: Open-AutoGLM itself, by the name of its repository and the one in its setup.py.
_PROJECT = frozenset({"open-autoglm", "phone-agent"})
_ALWAYS = frozenset({"torch", "torchvision", "transformers", "vllm", "sglang"})
#: Words of a command that name a package by a part of its name: "awq" is autoawq, "flashinfer" flashinfer-python.
_SHORTEST = 3


def is_in_use(name: str, packages: Packages, intent: Intent) -> bool:
    """The engine, the project, what was installed from a folder, and what the launch names.

    Of a folder that was copied (not editable) the metadata tells nothing here.
    """
    known = canonicalize_name(name)
    mine = [one for one in packages.distributions if canonicalize_name(one.name) == known]
    if known in _PROJECT | _ALWAYS or known == intent.engine or any(one.editable for one in mine):
        return True
    return any(word in known for word in _words(intent))


def _words(intent: Intent) -> set[str]:
    launch = intent.launch
    said = [*intent.command, launch.quantization or "", launch.load_format or "", launch.kv_cache_dtype or ""]
    found = (str(canonicalize_name(word)) for one in said for word in re.split(r"[^\w-]+", one.lower().lstrip("-")))
    return {word for word in found if len(word) >= _SHORTEST and not word.isdecimal()}
