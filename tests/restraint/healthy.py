"""Machines that are healthy by construction: parts of which the matrix's rows say that they belong together.

Drawn from the raw rows by comparisons written down here once more, so that a fault in a check's helper cannot hide
itself. What is drawn is what people have: the releases that were out when the engine came, a driver that drives the
card and knows its chip, a Python that all wheels were built for.
"""

from __future__ import annotations

import datetime as dt
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from packaging.version import Version

from tests.restraint.models import MODELS, QUANTISED, WHOLE_NUMBERS, Model
from tests.restraint.rows import admits, capability, line, row, rows, runs, since

#: Hosts of these cards are Arm machines; torch's wheels for them hold CUDA from 2.11 on.
ARM = ("GB300", "GB200", "GB10", "GH200")
#: Jetsons have a driver and wheels of their own.
LEFT_OUT = ("Jetson", "RTX 5090 D V2")
PYTHONS = ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14")


@dataclass(frozen=True)
class Machine:
    """One drawn machine, everything by name and version."""

    gpu: str
    capability: str
    memory_gib: float
    cuda_gib: float
    count: int
    driver: str
    driver_cuda: str
    engine: str
    version: str  # of the engine
    torch: str  # "2.9.0"
    tag: str  # "cu128"
    tagged: bool  # from torch's own index: its metadata carries the tag too
    sass: tuple[str, ...]
    python: str
    os: str
    glibc: str
    machine: str
    model: Model
    parallel: int
    packages: dict[str, str] = field(default_factory=dict)

    @property
    def cuda(self) -> str:
        digits = self.tag[2:]
        return f"{digits[:-1]}.{digits[-1]}"


def machines(seed: int, count: int) -> Iterator[Machine]:
    """The first `count` healthy machines of a seed."""
    rng = random.Random(seed)
    while count:
        one = _draw(rng)
        if one is not None:
            count -= 1
            yield one


def _draw(rng: random.Random) -> Machine | None:
    """One machine; None where the parts that came out of the hat do not fit."""
    engine = rng.choice(["vllm", "vllm", "sglang", "transformers"])
    software = _software(rng, engine)
    if software is None:
        return None
    name, card = rng.choice(list(rows("gpus").items()))
    arm = name.split(" ")[0] in ARM
    if any(word in name for word in LEFT_OUT) or not _runs_here(software, card["capability"], arm):
        return None
    driver = _driver(rng, software, card["capability"])
    model = _model(rng, software, card)
    python = _python(rng, software)
    system = _system(rng, software, arm)
    if driver is None or model is None or python is None or system is None:
        return None
    packages = _packages(rng, software, python)
    if packages is None:
        return None
    count = rng.choice([1, 1, 1, 2, 4])
    return Machine(
        gpu=name,
        capability=card["capability"],
        memory_gib=card["memory_gib"],
        cuda_gib=card.get("cuda_gib", card["memory_gib"] * 0.98),
        count=count,
        driver=driver[0],
        driver_cuda=driver[1],
        engine=engine,
        version=software["version"],
        torch=software["torch"]["version"],
        tag=software["tag"],
        tagged=software["tagged"],
        sass=tuple(software["sass"]),
        python=f"{python}.{rng.randint(0, 12)}",
        os=system[0],
        glibc=system[1],
        machine="aarch64" if arm else "x86_64",
        model=model,
        parallel=2 if engine != "transformers" and count > 1 and rng.random() < 0.4 else 1,
        packages=packages,
    )


def _software(rng: random.Random, engine: str) -> dict[str, Any] | None:
    """Engine, torch and its build, transformers: as the metadata of the engine asks for them."""
    pins = rng.choice(of_today(engine))
    torch = row("torch", pins.get("torch", "")) if engine != "transformers" else rng.choice(rows("torch"))
    if not torch or not torch.get("triton"):
        return None
    builds = rows("torch_builds").get(line(torch["version"]), {})
    default = "cu" + torch["cuda"].replace(".", "")
    tag = default
    if engine == "transformers" and rng.random() < 0.6:
        tag = rng.choice([t for t, build in builds.items() if build["evidence"] not in ("unverified", "contradictory")])
    lane = engine == "vllm" and Version(pins["version"]) >= Version("0.20") and "cu129" in builds
    lane = lane and rng.random() < 0.3
    tag = "cu129" if lane else tag
    binary = since(rows("engine_binaries")[engine], pins["version"]) if engine != "transformers" else {}
    if tag not in builds or (binary and not lane and int(tag[2:-1]) != binary["cuda_major"]):
        return None
    transformers = pins if engine == "transformers" else _transformers(rng, pins, torch["version"])
    if transformers is None or not admits(transformers.get("torch", ""), torch["version"]):
        return None
    if _are_a_known_pair({engine: pins["version"], "transformers": transformers["version"]}):
        return None
    if any(
        bad["package"] == "transformers" and not bad["models"] and admits(bad["versions"], transformers["version"])
        for bad in rows("known_bad")
    ):
        return None
    return {
        "engine": engine,
        "pins": pins,
        "binary": binary,
        "version": pins["version"] + ("+cu129" if lane else ""),
        "torch": torch,
        "tag": tag,
        "tagged": tag != default or (lane and True) or (engine == "transformers" and rng.random() < 0.3),
        "sass": builds[tag]["sass"],
        "transformers": transformers,
    }


def of_today(engine: str) -> list[dict[str, Any]]:
    """The releases of an engine; vLLM before 0.8 knows none of the models that are drawn."""
    return [one for one in rows(engine) if engine != "vllm" or Version(one["version"]) >= Version("0.8")]


def _transformers(rng: random.Random, pins: dict[str, Any], torch: str) -> dict[str, Any] | None:
    """A release that the engine admits and that was out in the fortnight after the engine's own day."""
    if pins.get("transformers", "")[:1].isdigit():
        return row("transformers", pins["transformers"]) or None
    day = dt.date.fromisoformat(pins["released"]) + dt.timedelta(days=14)
    fitting = [
        one
        for one in rows("transformers")
        if dt.date.fromisoformat(one["released"]) <= day
        and "rc" not in one["version"]
        and admits(pins.get("transformers", ""), one["version"])
        and admits(one.get("torch", ""), torch)
        and not (Version(one["version"]) >= Version("5.0.0rc0") and _older("vllm", pins, "0.19.1"))
    ]
    return rng.choice(fitting[-8:]) if fitting else None


def _are_a_known_pair(both: dict[str, str]) -> bool:
    """Do they fail beside each other, with whatever model?"""
    pairs = [pair["packages"] for pair in rows("known_pairs")]
    return any(set(pair) == set(both) and all(admits(pair[one], both[one]) for one in both) for pair in pairs)


def _older(engine: str, pins: dict[str, Any], than: str) -> bool:
    return pins in rows(engine) and Version(pins["version"]) < Version(than)


def _runs_here(software: dict[str, Any], gpu: str, arm: bool) -> bool:
    """torch and the engine hold compiled code for the card, and triton's assembler knows it; on Arm there are wheels."""
    binary = software["binary"]
    if arm and Version(software["torch"]["version"]) < Version("2.11"):
        return False
    if not runs(gpu, software["sass"]) or not _assembles(software["torch"]["triton"].lstrip("~="), gpu):
        return False
    if binary and capability(gpu) < capability(binary["minimum_capability"]):
        return False
    compiled = binary.get("sass_aarch64" if arm else "sass", "")
    return not compiled or runs(gpu, compiled.split())


def _assembles(triton: str, gpu: str) -> bool:
    found = since(rows("triton_ptxas"), triton)
    has = (found.get("blackwell") if capability(gpu) >= (10, 0) else "") or found.get("ptxas", "99")
    return capability(gpu) < (10, 0) or Version(has) >= Version(rows("capabilities")[gpu]["first_cuda"])


def _driver(rng: random.Random, software: dict[str, Any], gpu: str) -> tuple[str, str] | None:
    """Drives the card, knows its chip, runs the CUDA major, compiles the PTX and has the functions that are left to it."""
    major = software["tag"][2:-1]
    least = Version(rows("cuda_majors")[major]["minimum_driver"])
    first_cuda = rows("capabilities")[gpu].get("first_cuda", "0")
    binary = software["binary"]
    isa = binary.get("fa2_ptx_aarch64") or binary.get("fa2_ptx", "")
    ptx = rows("ptx_isa")[isa] if isa and _leaves_ptx(software, gpu) else "0"
    named = _function_named(software["pins"])
    found = []
    for branch, said in rows("driver_branches").items():
        if capability(said["first_capability"]) > capability(gpu):
            continue
        if gpu == "3.7" and int(branch) > 470:
            continue
        if Version(said["cuda"]) < max(Version(first_cuda), Version(ptx), Version(named)):
            continue
        number = f"{branch}.{rng.randint(100, 220)}.{rng.randint(1, 18):02}"
        if int(branch) == least.release[0] and rng.random() < 0.3:
            number = rows("cuda_majors")[major]["minimum_driver"]
        if Version(number) >= least:
            found.append((number, said["cuda"]))
    return rng.choice(found) if found else None


def _function_named(pins: dict[str, Any]) -> str:
    """The CUDA release of what the engine's kernels ask of libcuda; "0" where any of the major will do."""
    package, _, version = pins.get("kernel", "").partition(" ")
    known = [one for one in rows("driver_functions") if one["package"] == package and version[:1].isdigit()]
    asked = [one for one in known if admits(one["versions"], version)]
    return asked[0]["cuda"] if asked else "0"


def _leaves_ptx(software: dict[str, Any], gpu: str) -> bool:
    """Beyond Hopper for text, and on it for the pictures of some releases."""
    hopper = Version("0.11") <= Version(software["pins"]["version"]) < Version("0.14rc0")
    return capability(gpu) > (9, 0) or (gpu == "9.0" and hopper)


def _model(rng: random.Random, software: dict[str, Any], card: dict[str, Any]) -> Model | None:
    found, gpu = Version(software["transformers"]["version"]), capability(card["capability"])
    fitting = [
        model
        for model in MODELS + ((*QUANTISED, WHOLE_NUMBERS) if software["engine"] != "transformers" else ())
        if model.needs_gib <= card["memory_gib"]
        and capability(model.first_capability) <= gpu <= capability(model.last_capability)
        and found >= Version(model.transformers)
        and (
            software["engine"] == "transformers"
            or Version(software["pins"]["version"]) >= Version(getattr(model, software["engine"]))
        )
        # Of torch 2.9 with pictures the cuDNN that comes along is the fault (known_pairs).
        and not (model.vision and line(software["torch"]["version"]) == "2.9")
    ]
    return rng.choice(fitting) if fitting else None


def _python(rng: random.Random, software: dict[str, Any]) -> str | None:
    """One that the metadata of all admits and that all compiled wheels were built for."""
    torch = software["torch"]
    triton = row("triton", torch["triton"].lstrip("~="))
    wheels = [torch, triton, software["pins"], software["transformers"]]
    fitting = [p for p in PYTHONS if all(_for_python(one, p) for one in wheels if one)]
    return rng.choice(fitting) if fitting else None


def _for_python(one: dict[str, Any], python: str) -> bool:
    if not admits(one.get("python", ""), f"{python}.0"):
        return False
    tags = one.get("wheels", "py3").split()
    digits = python.replace(".", "")
    older = [m[1] for m in (re.fullmatch(r"cp3(\d+)-abi3", tag) for tag in tags) if m]
    return "py3" in tags or f"cp{digits}" in tags or any(int(python.split(".")[1]) >= int(m) for m in older)


def _system(rng: random.Random, software: dict[str, Any], arm: bool) -> tuple[str, str] | None:
    torch, pins = software["torch"], software["pins"]
    wheels = [torch, pins, since(rows("torch_facts"), torch["version"])]
    if software["version"] != pins["version"]:  # from the project's own page, for another manylinux
        own = rows("engine_builds")[software["engine"]]
        wheels += [one for one in own if one["version"] == pins["version"] and one["cuda"] == "12.9"]
    least = max(Version(one.get("glibc", "0")) for one in wheels)
    fitting = [(name, glibc) for name, glibc in rows("os_glibc").items() if Version(glibc) >= least]
    fitting = [one for one in fitting if not arm or "Ubuntu" in one[0]]
    return rng.choice(fitting) if fitting else None


def _packages(rng: random.Random, software: dict[str, Any], python: str) -> dict[str, str] | None:
    """Everything else that the rows tie to these releases; None where NumPy has no wheel for this Python."""
    torch, pins, transformers = software["torch"], software["pins"], software["transformers"]
    numpy2 = since(rows("torch_facts"), torch["version"])["numpy2"] and admits(pins.get("numpy", ""), "2.2.6")
    minor = int(python.split(".")[1])
    numpy1 = admits(pins.get("numpy", ""), "1.26.4") and minor < 13
    choices = (["1.26.4"] if numpy1 else []) + (["2.2.6" if minor < 14 else "2.3.5"] if numpy2 and minor >= 10 else [])
    if not choices:
        return None
    major = software["tag"][2:-1]
    local = f"+{software['tag']}" if software["tagged"] else ""
    found = {
        "torch": torch["version"] + local,
        "triton": torch["triton"].lstrip("~="),
        "torchvision": pins.get("torchvision", torch["torchvision"]) + local,
        "torchaudio": pins.get("torchaudio", torch["torchaudio"]) + local,
        "transformers": transformers["version"],
        "tokenizers": _least(transformers["tokenizers"], pins.get("tokenizers", "")),
        "huggingface-hub": _least(transformers["huggingface_hub"]),
        "numpy": rng.choice(choices),
        "safetensors": "0.6.2",
        "pillow": "11.3.0",
    }
    if torch.get("cudnn") and not software["tagged"]:
        found[f"nvidia-cudnn-cu{major}"] = torch["cudnn"]
    if pins.get("xformers"):
        found["xformers"] = pins["xformers"]
    if pins.get("flashinfer", ">")[0].isdigit():
        found["flashinfer-python"] = pins["flashinfer"]
    kernel = pins.get("kernel", "").split()
    if kernel and kernel[1][0].isdigit():
        found[kernel[0]] = kernel[1]
    if software["engine"] != "transformers":
        found[software["engine"]] = software["version"]
    return found


def _least(*specifiers: str) -> str:
    """The greatest of the lower ends: of ">=0.21,<0.22" and ">=0.21.1" the latter."""
    ends = (part[2:] for one in specifiers for part in one.split(",") if part.startswith(">="))
    return max(ends, key=Version)
