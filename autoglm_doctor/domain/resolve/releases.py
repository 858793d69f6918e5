"""What is looked through: the machine that a set must run on, and the releases that there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The machine. "" and () mean not known: then nothing is refused for it, and the answer says so."""

    driver: str = ""  # "570.26"
    capabilities: tuple[str, ...] = ()  # of the GPUs that are taken
    python: str = ""  # "3.12"
    glibc: str = ""  # "2.35"
    machine: str = "x86_64"
    gpu: str = ""  # a name, for the words
    torch: str = ""  # the newest release of torch with a build that runs there; of interest without an engine

    @property
    def unknown(self) -> tuple[str, ...]:
        """What would have to be known for an answer without a doubt."""
        stated = {
            "the driver": self.driver,
            "the GPU's compute capability": self.capabilities,
            "the version of Python": self.python,
            "the version of glibc": self.glibc,
        }
        return tuple(words for words, value in stated.items() if not value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One release of an engine, with what its default wheel (or that at `wheel`) demands; "" and (): nothing."""

    engine: str  # "vllm"
    version: str
    released: str = ""  # "2026-04-15"
    python: str = ""  # Requires-Python
    pythons: tuple[str, ...] = ()  # "3.10": those with a wheel; (): every one
    glibc: str = ""  # by the wheel's tag
    torch: str = ""  # the exact pin; of transformers a range
    transformers: str = ""  # a range, or an exact version
    cuda: str = ""  # of the torch that it brings: "12.8"
    minimum_driver: str = ""
    minimum_capability: str = ""
    architectures: tuple[str, ...] = ()  # capabilities with code in its binaries, on x86-64; (): not known
    architectures_arm: tuple[str, ...] = ()  # the same on aarch64
    ptx_driver: str = ""  # GPUs from 10.0 on compile a part at run time, and need this driver branch for it
    bad_transformers: tuple[tuple[str, str], ...] = ()  # ranges known to fail, and the model types: "" for all
    companions: Mapping[str, str] = field(default_factory=dict)  # torchvision and the like, exact
    tag: str = ""  # "cu129": a build that the default index has not
    wheel: str = ""  # the address of that build, on the project's own release page

    @property
    def full_version(self) -> str:
        """ "0.31.0+cu129": as the installed package says it."""
        return f"{self.version}+{self.tag}" if self.tag else self.version


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """One release of transformers."""

    version: str
    python: str = ""
    released: str = ""  # "2026-04-15"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What a model asks of the packages; "" for nothing known."""

    name: str = ""  # for the words
    model_type: str = ""
    transformers: str = ""  # the first that knows it
    bad_transformers: tuple[str, ...] = ()
    engine: str = ""  # the first release of the engine that serves it
    pictures: bool = False  # it has a vision tower
    head: int | None = None  # width of the tower's heads; None where it was not read


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """All that there is to choose from, oldest first."""

    releases: tuple[Release, ...]
    transformers: tuple[Library, ...] = ()
