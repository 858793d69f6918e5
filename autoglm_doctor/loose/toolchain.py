"""`gcc`, `nvcc`, `cuda_toolkit`, `python_headers`, `cuda_home`, `libcuda` -> the compilers of the deployment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from autoglm_doctor.facts import Reading, Toolchain, known
from autoglm_doctor.loose.container import image_engine, kind_of
from autoglm_doctor.loose.values import answer, as_list, first, table, text, version, words
from autoglm_doctor.matrix.numbers import line

#: The folder of the toolkit is not there, in the words of people and of `ls`, right behind its path.
_GONE = re.compile(
    r"[\s\"'`,:;()-]*(?:(?:which|that|but|and|it|the|this|folder|directory|path|is|was|has been)\s+)*"
    r"(?:does ?n[o']t exist|do not exist|not there|not exist\w*|no such (?:file|folder|directory)|not found|missing"
    r"|(?:was )?(?:removed|deleted|uninstalled)|is gone)\b",
    re.IGNORECASE,
)
_HOMES = ("CUDA_HOME", "CUDA_PATH")
LINKS = ("libcuda_so_link", "libcuda_so", "libcuda_link", "libcuda_dev_link", "libcuda.so", "libcuda_symlink")
_NO_LINK = re.compile(
    r"\b(?:no|without|missing) libcuda\.so(?!\.\d)|libcuda\.so (?:is |link )?(?:missing|not there)", re.I
)
_DENIED = re.compile(r"(?:no|not|missing|absent|without)\b", re.I)
#: Told of a container's inside. What the host lacks, its runtime makes there.
_INSIDE = re.compile(r"\binside\b|\bin (?:the |this |our )?(?:container|image|pod)\b", re.I)


def read_toolchain(facts: Mapping[str, Any]) -> Reading[Toolchain] | None:
    """What is stated to be there, or not to be; None when nothing is said of compilers.

    A stated CUDA toolkit brings its nvcc. Its release may also be torch's, and counts only where torch's is told beside
    it and is another; in a container it may be the host's. An engine's own image has a compiler of its own, whatever is
    stated.
    """
    compiler = first(facts, "gcc", "cc", "c_compiler", "compiler")
    cuda = first(facts, "nvcc", "cuda_toolkit")
    headers = answer(first(facts, "python_headers", "python_dev", "python_h", "python3_dev"))
    cc, nvcc, ninja = _tool(compiler, "gcc"), _tool(cuda, "nvcc"), _tool(facts.get("ninja"), "ninja")
    if nvcc == "" and image_engine(facts.get("container"))[0]:
        nvcc = None
    home, there = _home(facts)
    link = libcuda_link(facts)
    if (cc, nvcc, ninja, headers, there, link) == (None,) * 6 and not home:
        return None
    tools = Toolchain(
        cc=cc,
        cc_version=version(compiler),
        nvcc=nvcc,
        nvcc_version=_release(facts),
        cuda_home=home,
        cuda_home_there=there,
        libcuda_link=link,
        python_headers=headers,
        ninja=ninja,
    )
    return known(tools, source="stated")


def _home(facts: Mapping[str, Any]) -> tuple[str, bool | None]:
    """The folder that CUDA_HOME names, and False where it is said not to be there."""
    variables = table(first(facts, "env", "environment"))
    key = text(facts.get("cuda_home")).strip("\"'`")
    said = next((words for words in (key, *(text(variables.get(name)) for name in _HOMES)) if words), "").lstrip("\"'`")
    match = re.match(r"(/[^\s(),;\"'`]*)(?=\W)", said + " ")
    gone = bool(match and _GONE.match(said[match.end() :])) or answer(facts.get("cuda_home_exists")) is False
    own = (match[1] if match else _path_of(key)) if "/" in key else ""
    return (match[1], False) if match and gone else (own, None)


def _path_of(key: str) -> str:
    """A value as it is; of a sentence its one path, and "" where it says that nothing is set or names several."""
    if not re.search(r"\s", key):
        return key
    found = set(re.findall(r"(?<![\w/:])/[\w./+-]*\w", key))
    return found.pop() if len(found) == 1 and not re.match(r"(?:un|not\b|no\b|empty)", key, re.IGNORECASE) else ""


def libcuda_link(facts: Mapping[str, Any]) -> bool | None:
    """Whether the linker finds libcuda.so; None where it is not told, as by a list with the library alone."""
    stated = first(facts, *LINKS)
    found = answer(stated)
    said = " ".join(words(as_list(first(facts, "libcuda", "ldconfig"))))
    if found is None and (_NO_LINK.search(said) or _DENIED.match(text(stated))):
        found = False
    of_host = kind_of(facts.get("container")) and not _INSIDE.search(f"{said} {text(stated)}")
    return None if found is False and of_host else found


def _release(facts: Mapping[str, Any]) -> str:
    """Of nvcc; "" where it may be that of something else."""
    container = facts.get("container")
    if image_engine(container)[0]:
        return ""
    nvcc, toolkit = version(facts.get("nvcc")), version(facts.get("cuda_toolkit"))
    of_torch = version(facts.get("torch_cuda"))
    is_another = bool(of_torch) and line(of_torch) != line(toolkit)
    return nvcc or (toolkit if is_another and not kind_of(container) else "")


def _tool(said: Any, name: str) -> str | None:
    """Its name or path where it is there, "" where it is said not to be, None where nothing clear is said."""
    found = answer(said)
    if found is False:
        return ""
    if found or version(said):
        return name
    words = text(said)
    return words if words.startswith("/") else None
