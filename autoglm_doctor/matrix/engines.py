"""Questions about the engines: what a release of vLLM or SGLang demands of its surroundings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import cached_property

from packaging.version import Version

from autoglm_doctor.matrix.numbers import capability, covering, number, within
from autoglm_doctor.matrix.rows import (
    BuildPages,
    EngineBinary,
    EngineBuild,
    EnginePins,
    EngineRelease,
    OtherServer,
)
from autoglm_doctor.matrix.torches import Torches

#: Engines that the matrix has releases of; a section each.
ENGINES = ("vllm", "sglang")
#: Servers that are known by their releases and `other_servers`, and judged by no check of their own.
SERVERS = ("onnxruntime-gpu", "tensorrt-llm", "torchserve")
#: Older releases are in the table for those who have them; nobody is sent there. SGLang's metadata says from there on
#: which torch and transformers it needs.
FIRST_OFFERED = {"vllm": "0.8.0", "sglang": "0.4.3.post3"}


class Engines(Torches):
    """The part of the matrix that vLLM, SGLang and other servers are about."""

    @cached_property
    def engines(self) -> Mapping[str, tuple[EngineRelease, ...]]:
        """Engine -> its releases that one may install today, the oldest first."""
        return {
            engine: tuple(row for row in rows if Version(row.since) >= Version(FIRST_OFFERED.get(engine, "0")))
            for engine, rows in self.all_engines.items()
        }

    @cached_property
    def all_engines(self) -> Mapping[str, tuple[EngineRelease, ...]]:
        """Engine -> every release in the table, the oldest first."""
        return {engine: self._releases(engine) for engine in ENGINES}

    @cached_property
    def other_servers(self) -> tuple[OtherServer, ...]:
        """ONNX Runtime, TensorRT-LLM, TorchServe: what their wheels are built for."""
        return self.rows(tuple[OtherServer, ...], "other_servers")

    @cached_property
    def _binaries(self) -> Mapping[str, tuple[EngineBinary, ...]]:
        return self.rows(Mapping[str, tuple[EngineBinary, ...]], "engine_binaries")  # type: ignore[type-abstract]

    def _releases(self, engine: str) -> tuple[EngineRelease, ...]:
        found = []
        for pins in self.rows(tuple[EnginePins, ...], engine):
            binary = covering(self._binaries[engine], pins.version)
            if binary is not None:
                found.append(_joined(pins, binary))
        return tuple(found)

    @cached_property
    def engine_builds(self) -> Mapping[str, tuple[EngineBuild, ...]]:
        """Engine -> its wheels for another CUDA than the default index has, the oldest first."""
        return self.rows(Mapping[str, tuple[EngineBuild, ...]], "engine_builds")  # type: ignore[type-abstract]

    def engine_build_url(self, engine: str, build: EngineBuild, machine: str) -> str:
        """The wheel of such a build for a machine ("x86_64"); "" where the project has none for it."""
        page = self.about(BuildPages, "engine_builds").pages.get(engine, "")
        if not page or machine not in build.machines:
            return ""
        return "https://" + page.format(version=build.version, tag=build.tag, platform=build.platform, machine=machine)

    def engine_release(self, engine: str, version: str | None) -> EngineRelease | None:
        """The row that covers a version; the newest one when the version is not known (None)."""
        rows = self.all_engines.get(engine, ())
        if version is None:
            return rows[-1] if rows else None
        return covering(rows, version)

    def engine_glibc(self, engine: str, version: str) -> str:
        """The oldest glibc for an engine with its torch ("2.31"); "" when not known.

        The wheel's own tag, or what its torch needs: the greater. An old tag (manylinux1) says nothing. A version with
        a tag of `engine_builds` (0.21.0+cu129) is that wheel.
        """
        row = self.engine_release(engine, version)
        if row is None:
            return ""
        builds = (one for one in self.engine_builds.get(engine, ()) if f"{one.version}+{one.tag}" == version)
        own = next((one.glibc for one in builds), row.glibc)
        said = [text for text in (own, self.torch_glibc(row.torch) if row.torch else "") if text]
        return max(said, key=Version, default="")

    def engine_needs_driver_for_ptx(self, engine: str, version: str, gpu: str, machine: str = "") -> str:
        """The PTX ISA that the driver must compile for this engine on a GPU of capability `gpu`; "" for none.

        vLLM's FlashAttention-2 has compiled code for 8.0 only. From 9.0 on the driver compiles its PTX, which
        minor-version compatibility does not cover; on 9.0 itself only where FlashAttention-2 runs in place of 3.
        """
        row, has = self.engine_release(engine, version), capability(gpu)
        if row is None or has is None or has < (9, 0):
            return ""
        return (row.fa2_ptx_aarch64 if machine == "aarch64" else "") or row.fa2_ptx

    def engine_has_code_for(self, engine: str, version: str, gpu: str, machine: str = "") -> bool | None:
        """The engine's own binaries hold compiled code that runs on a capability; None when they were not read.

        Of the wheel for a machine ("x86_64", "aarch64"), or of either.
        """
        row = self.engine_release(engine, version)
        if row is None or capability(gpu) is None:
            return None
        lists = {"x86_64": (row.sass,), "aarch64": (row.sass_aarch64,)}.get(machine, (row.sass, row.sass_aarch64))
        compiled = " ".join(lists).split()
        return bool(self.runs_compiled_for(gpu, compiled)) if compiled else None

    def engine_takes(self, engine: str, version: str, package: str, installed: str) -> bool | None:
        """An engine's own metadata admits this version of torch, transformers, numpy ...; None: it does not say."""
        row = self.engine_release(engine, version)
        wanted = getattr(row, package.replace("-", "_"), "") if row else ""
        if not wanted or number(installed) is None:
            return None
        return within(installed, wanted)

    def engines_for_transformers(self, engine: str, transformers: str) -> tuple[EngineRelease, ...]:
        """The releases of an engine whose metadata admits a transformers release, the oldest first.

        Releases that nobody installs anew only where no other admits it.
        """
        for rows in (self.engines.get(engine, ()), self.all_engines.get(engine, ())):
            found = tuple(row for row in rows if row.transformers and within(transformers, row.transformers))
            if found:
                return found
        return ()

    def other_server(self, server: str, version: str) -> OtherServer | None:
        """What the wheels of another server ("onnxruntime-gpu") are built for; None when not known."""
        return covering([row for row in self.other_servers if row.server == server], version)


def _joined(pins: EnginePins, binary: EngineBinary) -> EngineRelease:
    shared = {name: getattr(pins, name) for name in _SHARED}
    if pins.torch and not pins.torch[:1].isdigit():  # vLLM before 0.2.6, but for 0.2.1
        shared |= {"torch": "", "torch_range": pins.torch}
    return EngineRelease(
        since=pins.version,
        cuda_major=binary.cuda_major,
        minimum_capability=binary.minimum_capability,
        sass=binary.sass,
        sass_aarch64=binary.sass_aarch64,
        fa2_ptx=binary.fa2_ptx,
        fa2_ptx_aarch64=binary.fa2_ptx_aarch64,
        measured=pins.version in binary.measured,
        source=f"PyPI metadata and wheel of {pins.version}",
        **shared,
    )


_SHARED = tuple({f.name for f in fields(EnginePins)} & {f.name for f in fields(EngineRelease)})
