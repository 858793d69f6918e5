"""Questions about GPUs and compute capabilities."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property

from packaging.version import Version

from autoglm_doctor.gpunames import cores, find_row, is_in_laptop, named_size, near_rows
from autoglm_doctor.matrix.drivers import Drivers
from autoglm_doctor.matrix.numbers import capability, code_runs_on, line, number
from autoglm_doctor.matrix.rows import CapabilityRow, GpuModel

_GIB = 1 << 30
#: From Pascal on a chip in a laptop has the capability of the card of that name; before, a GTX 960M was another chip.
_SAME_IN_LAPTOPS = (6, 0)
#: Words of a driver's name for a card that the table leaves out.
_LEFT_OUT = frozenset(
    {"nvidia", "geforce", "tesla", "quadro", "generation", "edition", "hbm2", "hbm2e", "hbm3", "hbm3e"}
)


class Capabilities(Drivers):
    """The part of the matrix that GPUs are about."""

    @cached_property
    def capabilities(self) -> Mapping[str, CapabilityRow]:
        """Compute capability -> the CUDA releases that compile for it."""
        return self.rows(Mapping[str, CapabilityRow], "capabilities")  # type: ignore[type-abstract]

    @cached_property
    def gpus(self) -> Mapping[str, GpuModel]:
        """Cards by name; a row of its own for a variant with more memory."""
        return self.rows(Mapping[str, GpuModel], "gpus")  # type: ignore[type-abstract]

    @cached_property
    def legacy_names(self) -> Mapping[str, tuple[str, ...]]:
        """Capability -> names of cards of it, of which nothing else is known."""
        return self.rows(Mapping[str, tuple[str, ...]], "legacy_names")  # type: ignore[type-abstract]

    def runs_compiled_for(self, gpu: str, compiled: Iterable[str]) -> str:
        """The capability among `compiled` whose code runs on a GPU of capability `gpu`, the nearest; "" of none."""
        fitting = [one for one in compiled if code_runs_on(one, gpu)]
        return max(fitting, key=lambda one: capability(one.rstrip("af")) or (0, 0), default="")

    def compiles_for(self, cuda: str, gpu: str) -> bool | None:
        """A CUDA release has a compiler for this capability; None when the capability is not in the table."""
        row = self.capabilities.get(gpu)
        if row is None:
            return None
        release = Version(line(cuda))
        new_enough = not row.first_cuda or release >= Version(row.first_cuda)
        return new_enough and (not row.last_cuda or release <= Version(row.last_cuda))

    def compiles_any_for(self, cuda: str, gpu: str) -> bool | None:
        """A CUDA release can make code of any kind, compiled or PTX, that runs on this capability; None: not known.

        CUDA 13 begins with 7.5: whatever was built with it, by whomever, holds nothing for Volta.
        """
        has = capability(gpu)
        if has is None or gpu not in self.capabilities or number(cuda) is None:
            return None
        older = [one for one in self.capabilities if (capability(one) or has) <= has]
        return any(self.compiles_for(cuda, one) for one in older)

    def first_branch_for(self, gpu: str) -> str:
        """The first driver branch that knows GPUs of this capability: that of the first CUDA for it; "" not known."""
        row = self.capabilities.get(gpu)
        return self.branch_for_cuda(row.first_cuda) if row and row.first_cuda else ""

    def gpu_name(self, name: str) -> str | None:
        """The row of `gpus` that a loosely written name means; None when none is or several differ."""
        return find_row(name, self.gpus)

    def find_gpu(self, name: str) -> GpuModel | None:
        """The card of a loosely written name; with another memory where the name speaks of one ("RTX 4090 48GB")."""
        row, size = self.gpu_name(name), named_size(name)
        if row is None:
            return None
        model = self.gpus[row]
        if size is None or round(model.memory_gib) == size:
            return model
        return replace(model, memory_gib=size, cuda_gib=None, source="")

    def capability_of(self, name: str) -> str:
        """The capability of a loosely written name, of whatever form, memory and vGPU profile; "" not known.

        Only where all the rows that its words fit are of one capability.
        """
        for core in cores(name):
            found = self._capabilities_by_core.get(core, frozenset())
            if found:
                only = next(iter(found)) if len(found) == 1 else ""
                return "" if is_in_laptop(name) and (capability(only) or (0, 0)) < _SAME_IN_LAPTOPS else only
        return ""

    @cached_property
    def _capabilities_by_core(self) -> Mapping[frozenset[str], frozenset[str]]:
        """What the words of a chip's name stand for, by all the names of all rows."""
        named = [(name, model.capability) for row, model in self.gpus.items() for name in (row, *model.called)]
        named += [(name, one) for one, names in self.legacy_names.items() for name in names]
        found: dict[frozenset[str], set[str]] = {}
        for name, one in named:
            for core in cores(name)[:1]:
                found.setdefault(core, set()).add(one)
        return {core: frozenset(every) for core, every in found.items()}

    def near_gpus(self, name: str) -> tuple[str, ...]:
        """Rows of `gpus` that may have been meant."""
        return near_rows(name, self.gpus)

    def data_sheet(self, name: str, total_bytes: int | None = None) -> GpuModel | None:
        """The figures of a real card by the driver's name for it; None when the table does not have exactly that one.

        Unlike `find_gpu` it does not guess: a laptop's chip has its desktop namesake's name and other memory. Where a
        name is sold with several memories, the one that was read (`total_bytes`) decides; without it they must agree.
        """
        words, size = _words(name)
        fitting = [model for row, model in self.gpus.items() if _is(words, size, row, model)]
        if total_bytes is not None:
            fitting.sort(key=lambda model: abs(model.memory_gib - total_bytes / _GIB))
        elif len({model.bandwidth_gb_s for model in fitting}) > 1:
            return None
        return fitting[0] if fitting else None


def _is(words: frozenset[str], size: int | None, row: str, model: GpuModel) -> bool:
    for called in (row, *model.called):
        known, its_size = _words(called)
        if words == known and (size is None or size in (its_size, round(model.memory_gib))):
            return True
    return False


def _words(name: str) -> tuple[frozenset[str], int | None]:
    """ "NVIDIA A100-SXM4-80GB" is ({a100, sxm}, 80)."""
    plain = re.sub(r"(\d)\s+(gib|gb)\b", r"\1\2", name.lower())
    words = {re.sub(r"^sxm\d$", "sxm", word) for word in re.split(r"[^a-z0-9.]+", plain)} - _LEFT_OUT - {""}
    sizes = {word for word in words if re.fullmatch(r"\d+g(i?b)?", word)}
    size = next((int(re.sub(r"\D", "", word)) for word in sizes), None)
    return frozenset(words - sizes), size
