"""torch as its files describe it. Nothing is imported: a torch that crashes on import can still be read.

version.py holds what METADATA leaves out (the CUDA it was built for). The architectures stand as one string in
libtorch_python.so, the one that `torch.cuda.get_arch_list()` returns; a build without it is read from the headers of
the GPU code in libtorch_cuda.so.
"""

from __future__ import annotations

import ast
import mmap
import os
import re
import struct
from collections.abc import Iterable

from autoglm_doctor.facts import Reading, Torch, known
from autoglm_doctor.probes import fatbin

#: A list of architectures is the end of a C string. It starts with a literal: ten times faster than an alternation.
_ARCHITECTURES = re.compile(rb"sm_\d{2,3}[af]?(?: (?:sm|compute)_\d{2,3}[af]?)*(?=\0)")


def read_torch(sys_path: Iterable[str], folder: str = "") -> Reading[Torch]:
    """The torch that `import torch` would take: the first folder `torch` with an __init__.py on sys.path.

    `folder` is where the interpreter itself would find it, which comes first: an import hook, as of an editable
    installation, may know a place that is on no sys.path.
    """
    for one in (folder, *(os.path.join(entry, "torch") for entry in sys_path)):
        if one and os.path.isfile(os.path.join(one, "__init__.py")):
            return _read(one)
    return Reading(outcome="absent", why="torch is not installed for this Python", source="files")


def _read(folder: str) -> Reading[Torch]:
    try:
        with open(os.path.join(folder, "version.py"), encoding="utf-8") as stream:
            constants = _constants(stream.read())
    except FileNotFoundError:
        why = f"{folder} has no version.py: a source checkout that was never built hides the installed torch"
        return Reading(outcome="failed", why=why, source="files")
    except (OSError, ValueError, SyntaxError) as error:
        return Reading(outcome="failed", why=f"{folder}/version.py cannot be read: {error}", source="files")
    version = constants.get("__version__")
    if not version:
        return Reading(outcome="failed", why=f"{folder}/version.py names no version", source="files")
    cuda = constants.get("cuda")
    return known(
        Torch(
            version=version,
            cuda=cuda,
            hip=constants.get("hip"),
            architectures=_architectures(os.path.join(folder, "lib")) if cuda else None,
            location=folder,
        ),
        source="torch/version.py and torch/lib",
    )


def _constants(text: str) -> dict[str, str | None]:
    """Module-level `name = "text"` and `name: T = None` assignments."""
    found: dict[str, str | None] = {}
    for node in ast.parse(text).body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        value = getattr(node, "value", None)
        if isinstance(value, ast.Constant) and (value.value is None or isinstance(value.value, str)):
            found.update({target.id: value.value for target in targets if isinstance(target, ast.Name)})
    return found


def _architectures(lib: str) -> tuple[str, ...] | None:
    for name, reader in (("libtorch_python.so", _by_string), ("libtorch_cuda.so", _by_headers)):
        try:
            with open(os.path.join(lib, name), "rb") as stream, fatbin.mapped(stream) as data:
                found = reader(data)
        except (OSError, ValueError, LookupError, struct.error):  # not there, empty, not an ELF file
            continue
        if found:
            return found
    return None


def _by_string(data: mmap.mmap) -> tuple[str, ...]:
    lists: list[list[str]] = [match.group().decode().split() for match in _ARCHITECTURES.finditer(data)]
    lists.sort(key=len)
    return tuple(lists[-1]) if lists else ()


def _by_headers(data: mmap.mmap) -> tuple[str, ...]:
    """Architectures that most containers of the library hold: a stray kernel is no support."""
    counts: dict[str, int] = {}
    containers = 0
    for entries in fatbin.containers(data):
        containers += 1
        for name in {one.architecture for one in entries}:
            counts[name] = counts.get(name, 0) + 1
    often = [name for name, count in counts.items() if 2 * count > containers]
    return tuple(sorted(often, key=lambda name: (name.startswith("compute"), len(name), name)))
