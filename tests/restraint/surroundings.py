"""What healthy machines have around the same packages: no nvcc, WSL, RDMA adapters, builds of one's own, nightlies.

Each is drawn only where it is harmless by the engines' own sources, written down here once more.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from packaging.version import Version

from autoglm_doctor.facts import Distribution, Host, Toolchain
from tests.machines.build import SITE
from tests.restraint.healthy import Machine
from tests.restraint.models import WHOLE_NUMBERS
from tests.restraint.rows import capability


@dataclass(frozen=True)
class Around:
    """What was drawn beside the machine itself."""

    nvcc: bool = True
    compiler: str = "/usr/bin/gcc"  # "": none, and no headers
    flags: tuple[str, ...] = ()  # of the server
    variables: dict[str, str] = field(default_factory=dict)
    wsl: bool = False
    container: str = ""
    memlock_bytes: int = -1
    rdma: tuple[str, ...] = ()
    acs: bool | None = None
    iommu: bool | None = None
    nvlink: bool | None = None
    build: str = ""  # the engine's version where it is no release
    nightly: str = ""  # the day of a nightly of torch


def around(machine: Machine, rng: random.Random) -> Around:
    """One machine in three has everything as it was always drawn."""
    if rng.random() < 0.33:
        return Around()
    nvcc, flags, variables = _without_nvcc(machine, rng) if rng.random() < 0.6 else (True, (), {})
    wsl = rng.random() < 0.25 and machine.machine == "x86_64" and machine.count == 1
    within = not wsl and rng.random() < 0.4
    return Around(
        nvcc=nvcc,
        compiler=_compiler(machine, rng),
        flags=flags,
        variables=variables,
        wsl=wsl,
        container=rng.choice(["docker", "podman", "kubernetes"]) if within else "",
        **_links(machine, rng, within=within, wsl=wsl),
        build=_build(machine, rng),
        nightly=rng.choice(["20250515", "20251201"]) if machine.engine == "transformers" and rng.random() < 0.3 else "",
    )


def _compiler(machine: Machine, rng: random.Random) -> str:
    """Plain transformers starts no kernel of triton's by itself."""
    if machine.engine == "transformers" and rng.random() < 0.5:
        return ""
    return rng.choice(["/usr/bin/gcc", "/usr/bin/gcc", "/usr/bin/clang"])


def _without_nvcc(machine: Machine, rng: random.Random) -> tuple[bool, tuple[str, ...], dict[str, str]]:
    """Nobody needs it who samples by himself: old releases, pooling servers, old cards, who asked for that."""
    if machine.engine == "sglang":
        return machine.capability != "9.0" or Version(machine.version) >= Version("0.5.9"), (), {}
    if machine.engine == "transformers":
        return False, (), {}
    version = Version(machine.version)
    if version < Version("0.10") or Version("0.11.1") <= version < Version("0.21"):
        return False, (), {}
    if version < Version("0.11.1") and "flashinfer-python" not in machine.packages:
        return False, (), {}
    if capability(machine.capability) < (7, 5):
        return False, (), {}
    pooling = ("--runner", "pooling", "--convert", "embed")
    processed = ("--logprobs-mode", rng.choice(["processed_logprobs", "processed_logits"]))
    return False, *rng.choice([(pooling, {}), (processed, {}), ((), {"VLLM_USE_FLASHINFER_SAMPLER": "0"})])


def _links(machine: Machine, rng: random.Random, *, within: bool, wsl: bool) -> dict[str, Any]:
    """Adapters and bridges of a server: of no account to a model on one GPU."""
    if wsl:
        return {}
    small = machine.parallel == 1 and rng.random() < 0.5
    found: dict[str, Any] = {
        "memlock_bytes": (8 << 20 if within else 65536) if small else -1,
        "rdma": rng.choice([(), ("mlx5_0",), ("mlx5_0", "mlx5_1", "rocep1s0f0")]),
    }
    if machine.count == 1 and rng.random() < 0.5:
        found |= {"acs": rng.choice([True, False]), "iommu": rng.choice([True, False]), "nvlink": False}
    return found


def _build(machine: Machine, rng: random.Random) -> str:
    """A checkout without tags, or one on the way to the release of the row."""
    if machine.engine == "transformers" or "+" in machine.version or rng.random() < 0.7:
        return ""
    commit = f"g{rng.randrange(16**7):07x}"
    if machine.engine == "sglang":
        return "0.0.0.dev0"
    if machine.model is WHOLE_NUMBERS:  # which a build without a tag may be too old for
        return f"{machine.version}rc2.dev7+{commit}" if Version(machine.version) > Version("0.12.0") else ""
    untagged = f"0.1.dev{rng.randint(500, 19000)}+{commit}.d20251101"
    return untagged if "post" in machine.version else rng.choice([untagged, f"{machine.version}rc2.dev7+{commit}"])


def host_of(machine: Machine, drawn: Around) -> Host:
    """The system around it."""
    return Host(
        system="Linux",
        machine=machine.machine,
        kernel="5.15.167.4-microsoft-standard-WSL2" if drawn.wsl else "6.8.0-60-generic",
        distribution=machine.os,
        glibc=machine.glibc,
        cpus=16,
        wsl=drawn.wsl,
        container=drawn.container,
        memlock_bytes=drawn.memlock_bytes,
        rdma_devices=drawn.rdma,
        acs=drawn.acs,
        iommu=drawn.iommu,
        nvlink=drawn.nvlink,
    )


def toolchain_of(machine: Machine, drawn: Around) -> Toolchain:
    """The compilers around it."""
    toolkit = f"/usr/local/cuda-{machine.cuda}" if drawn.nvcc else ""
    return Toolchain(
        cc=drawn.compiler,
        cc_version="13.3.0" if drawn.compiler else "",
        nvcc=f"{toolkit}/bin/nvcc" if toolkit else "",
        nvcc_version=machine.cuda if toolkit else "",
        nvcc_in_packages="",
        cuda_home=toolkit,
        python_headers=bool(drawn.compiler),
        ninja="/srv/env/bin/ninja",
    )


def torch_of(machine: Machine, drawn: Around) -> str:
    """What torch calls itself."""
    day = f".dev{drawn.nightly}" if drawn.nightly else ""
    return f"{machine.torch}{day}+{machine.tag}"


def rebuilt(machine: Machine, drawn: Around, found: list[Distribution]) -> list[Distribution]:
    """The packages with a nightly of torch, or an engine of one's own build."""
    changed = []
    for one in found:
        if drawn.build and one.name == machine.engine:
            one = Distribution(name=one.name, version=drawn.build, location=SITE, requires=one.requires)
        if drawn.nightly:
            nightly = _nightly(one, machine, drawn)
            if nightly is None:
                continue
            one = nightly
        changed.append(one)
    return changed


def _nightly(one: Distribution, machine: Machine, drawn: Around) -> Distribution | None:
    """torch and its companions of one day; those bring the triton of theirs."""
    day = f".dev{drawn.nightly}+{machine.tag}"
    plain = one.version.split("+")[0]
    if one.name == "torch":
        requires = (f"pytorch-triton=={machine.packages['triton']}+git0d1e2f3a", "numpy")
        return Distribution(name="torch", version=plain + day, location=SITE, requires=requires)
    if one.name in ("torchvision", "torchaudio"):
        return Distribution(
            name=one.name, version=plain + day, location=SITE, requires=(f"torch=={machine.torch}{day}",)
        )
    if one.name == "triton":
        return Distribution(name="pytorch-triton", version=f"{plain}+git0d1e2f3a", location=SITE)
    return None if one.name in ("xformers", "flashinfer-python") else one


def told(machine: Machine, drawn: Around) -> dict[str, Any]:
    """What somebody would write down of it; beside what is always told."""
    found: dict[str, Any] = {}
    if drawn.wsl:
        found["os"] = f"WSL2 {machine.os}"
    if drawn.build:
        found |= {"engine": f"{machine.engine} {drawn.build}", "packages": {machine.engine: drawn.build}}
    if not drawn.nvcc and not drawn.variables:  # a partial account may leave the variables out
        found |= {"nvcc": "missing", "cuda_toolkit": None, "flags": drawn.flags}
    if not drawn.compiler:
        found["gcc"] = "missing"
    return found
