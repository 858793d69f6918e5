"""Questions about models, transformers and releases that are known to fail."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from functools import cached_property

from packaging.version import Version

from autoglm_doctor.matrix.engines import SERVERS
from autoglm_doctor.matrix.images import Images
from autoglm_doctor.matrix.numbers import newest, number, within
from autoglm_doctor.matrix.rows import EngineRelease, KnownBad, KnownPair, ModelSupport, Release

#: Sections of libraries, by the name that pip knows.
LIBRARIES = ("transformers", "xformers", "bitsandbytes", "accelerate", "triton", *SERVERS)

#: An engine that bounds a package from below alone was tried with what came out in its first year at most (ours).
_TRIED_DAYS = 365


class Models(Images):
    """The part of the matrix that models and the libraries around them are about."""

    @cached_property
    def models(self) -> Mapping[str, ModelSupport]:
        """Model type -> where it first works, for those of which more is known than that."""
        return self.rows(Mapping[str, ModelSupport], "models")  # type: ignore[type-abstract]

    @cached_property
    def model_types(self) -> Mapping[str, str]:
        """Model type -> the first transformers whose wheel names it; 4.28.0 stands for itself and all before."""
        return self.rows(Mapping[str, str], "model_types")  # type: ignore[type-abstract]

    @cached_property
    def _candidates(self) -> Mapping[str, str]:
        return self.rows(Mapping[str, str], "model_candidates")  # type: ignore[type-abstract]

    def first_candidate(self, model_type: str) -> str:
        """Of a type that came with 5.0.0: the first candidate of it whose wheel names it; "" of all others."""
        return next((one for one, types in self._candidates.items() if model_type in types.split()), "")

    @cached_property
    def known_bad(self) -> tuple[KnownBad, ...]:
        """Releases with a known defect."""
        return self.rows(tuple[KnownBad, ...], "known_bad")

    @cached_property
    def known_pairs(self) -> tuple[KnownPair, ...]:
        """Pairs that do not go together."""
        return self.rows(tuple[KnownPair, ...], "known_pairs")

    @cached_property
    def os_glibc(self) -> Mapping[str, str]:
        """Distribution -> its glibc."""
        return self.rows(Mapping[str, str], "os_glibc")  # type: ignore[type-abstract]

    @cached_property
    def open_autoglm(self) -> Mapping[str, str]:
        """What Open-AutoGLM's own documents ask for."""
        return self.rows(Mapping[str, str], "open_autoglm")  # type: ignore[type-abstract]

    def libraries(self, package: str) -> Mapping[str, Release]:
        """Releases of a library by version, the oldest first; {} where the matrix has no table of it."""
        if package not in LIBRARIES:
            return {}
        rows = self.rows(tuple[Release, ...], package.replace("-", "_"))
        return {row.version: row for row in rows}

    def is_untried(self, engine: EngineRelease, package: str, version: str) -> bool:
        """An engine bounds a package from below alone, and this release of it came more than a year after the engine.

        False where one of the two days is not known.
        """
        wanted = str(getattr(engine, package, "")) or (engine.torch_range if package == "torch" else "")
        public = version.partition("+")[0]
        release = self.torch.get(public) if package == "torch" else self.libraries(package).get(public)
        if release is None or not release.released or not engine.released or re.search(r"^\d|<|==|~=", wanted):
            return False
        came, after = (datetime.date.fromisoformat(one.released) for one in (release, engine))
        return (came - after).days > _TRIED_DAYS

    def first_transformers(self, model_type: str) -> str:
        """The first transformers that knows a model type and is not known to fail with it; "" when not in the table."""
        support = self.models.get(model_type)
        return support.transformers if support else self.model_types.get(model_type, "")

    def first_engine(self, engine: str, architecture: str) -> str:
        """The first release of an engine that knows an architecture of config.json; "" when none does, or not known."""
        return self._architectures(engine).get(architecture, "")

    def engine_knows(self, engine: str, version: str, architecture: str) -> bool | None:
        """A release of an engine knows an architecture; None when none of the table does.

        Engines can also run some models through transformers: None and False are no proof that it fails.
        """
        first, has = self.first_engine(engine, architecture), number(version)
        return has >= Version(first) if first and has else None

    def _architectures(self, engine: str) -> Mapping[str, str]:
        if engine not in self.engines:
            return {}
        return self.rows(Mapping[str, str], f"{engine}_architectures")  # type: ignore[type-abstract]

    def is_known_bad(self, package: str, version: str, model_type: str = "") -> KnownBad | None:
        """The defect that a release is known for, with this model type or with all; None when none is known.

        "4.53" names a line, and not its first release.
        """
        if re.fullmatch(r"\d+(?:\.\d+)?", version):
            return None
        for row in self.known_bad:
            if (
                row.package == package
                and (not row.models or model_type in row.models)
                and within(version, row.versions)
            ):
                return row
        return None

    def bad_pairs(self, packages: Mapping[str, str], model_type: str = "") -> tuple[KnownPair, ...]:
        """The pairs among installed packages (name -> version) that are known not to go together.

        Those that matter for some model types only are left out unless the model is of one.
        """
        return tuple(
            row
            for row in self.known_pairs
            if all(within(packages.get(name), versions) for name, versions in row.packages.items())
            and (row.models in ("", "multimodal") or model_type in row.models.split())
        )

    def needs(self, package: str, version: str, of: str) -> str:
        """What a release of a library asks of another ("huggingface-hub"); "" when not known or not asked for."""
        row = self.libraries(package).get(version)
        return str(getattr(row, of.replace("-", "_"), "")) if row else ""

    def newest_release(self, package: str) -> str:
        """The newest release in the table of torch, an engine or a library; "" without a table."""
        if package == "torch":
            return newest(self.torch)
        if package in self.engines:
            return newest(row.since for row in self.engines[package])
        return newest(self.libraries(package))
