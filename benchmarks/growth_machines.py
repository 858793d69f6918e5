"""The machines of `growth`: packages, checks, GPUs and weight files, as many as asked for."""

from __future__ import annotations

import dataclasses
import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autoglm_doctor.facts import CudaDevice, DeviceRun, Facts, GpuProcess, PciGpu, known, with_readings
from autoglm_doctor.jsonio import encode
from autoglm_doctor.launch import parse_command
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.reading import Saved
from tests.machines.build import TOTAL_4090, gpu, healthy, small_model
from tests.stubs import build_stubs


@dataclass(frozen=True)
class Job:
    """What one size of a case runs: the words after the program's name, and variables beside the environment."""

    words: Sequence[str]
    environ: Mapping[str, str] = field(default_factory=dict)


# Packages: a virtual environment of the machine's own Python, with metadata written by hand.


def environment(folder: Path, metadata: Mapping[str, Sequence[str]]) -> Job:
    """A check of an environment that holds these distributions, all of version 1.0, with their requirements."""
    python = folder / "env/bin/python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True)
    [site] = (folder / "env/lib").glob("python*/site-packages")
    for name, requires in metadata.items():
        place = site / f"{name}-1.0.dist-info"
        place.mkdir()
        lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Python: >=3.8\n"]
        lines += [f"Requires-Dist: {line}\n" for line in requires]
        (place / "METADATA").write_text("".join(lines) + "\n" + "A description.\n" * 200)
    return Job(["check", "--python", str(python), "--select", "PKG,TOR,ENG", "--final-stage", "none"])


def packages_that_agree(folder: Path, n: int) -> Job:
    """Ten requirements each, three of them behind an extra, as in a real environment; all hold."""

    def requires(i: int) -> list[str]:
        names = [f"package{(7 * i + k) % n}<{2 + k},>=0.{k}" for k in range(10)]
        return [*names[:7], *(f'{name} ; extra == "more"' for name in names[7:])]

    return environment(folder, {f"package{i}": requires(i) for i in range(n)})


def packages_that_all_disagree(folder: Path, n: int) -> Job:
    """Thirty requirements each, none of which holds, no two alike."""

    def requires(i: int) -> list[str]:
        return [f"package{(i + k) % n}>={i + 2}.{k}" for k in range(30)]

    return environment(folder, {f"package{i}": requires(i) for i in range(n)})


def demands_on_one_package(folder: Path, n: int) -> Job:
    """Every package has another demand on the same one, which nothing can meet."""
    return environment(folder, {"numpy": (), **{f"package{i}": [f"numpy>={i + 2}.0"] for i in range(n)}})


def demands_of_the_engine(folder: Path, n: int) -> Job:
    """The engine itself asks for n packages that are not there: n reds."""
    return environment(folder, {"vllm": [f"missing{i}>=1.{i}" for i in range(n)]} if n else {})


def extras_of_one_package(folder: Path, n: int) -> Job:
    """A package with n extras of seven requirements each, and a user of all of them."""
    behind = [f'other{i}-{k}>=1 ; extra == "e{i}"' for i in range(n) for k in range(7)]
    everything = [f'big[e{i}] ; extra == "all"' for i in range(n)]
    return environment(folder, {"big": [*behind, *everything], "user": ["big[all]"]})


# Checks and findings.

_CHECK = '''from autoglm_doctor.api import Findings, Fix, Host, Text, check, fail, ok


@check("{code}", "{name}", cause="NONE")
def one(host: Host) -> Findings:
    """A check of a plug-in."""
    if {findings} == 1:
        yield ok(Text("{{system}} is there", {{"system": host.system}}))
        return
    for i in range({findings}):
        text = Text("thing {{i}} of {{system}} is not there", {{"i": i, "system": host.system}})
        fix = Fix(text=Text("do thing {{i}}", {{"i": i}}), commands=(f"apt-get install thing-{{i}} --in /srv/place",))
        yield fail(text, fix=fix, subject=f"{{i}}")
'''


def many_checks(folder: Path, n: int) -> Job:
    """One file a check, all of them green."""
    for i in range(n):
        (folder / f"check{i}.py").write_text(_CHECK.format(code=f"ZZZ{i:03d}", name=f"made-{i}", findings=1))
    return Job(["check", "--facts", str(_saved(folder, 1)), "--checks-dir", str(folder)])


def many_findings(format_name: str) -> Callable[[Path, int], Job]:
    """One check that yields n reds, each with a fix."""

    def make(folder: Path, n: int) -> Job:
        (folder / "check.py").write_text(_CHECK.format(code="ZZZ001", name="made", findings=n or 1))
        return Job(["check", "--facts", str(_saved(folder, 1)), "--checks-dir", str(folder), "--format", format_name])

    return make


# GPUs: a saved reading for the judgement, a stand-in for the driver's library for the reading.


def _saved(folder: Path, gpus: int) -> Path:
    """The reading of a healthy host with so many RTX 4090, each with a small process, used together."""
    readings = {**healthy(), "model_files": known(small_model())}
    cuda, ran = readings["cuda"].value, readings["torch_run"].value
    held = [(GpuProcess(pid=1000 + i, name="Xorg", used_bytes=4 << 20),) for i in range(gpus)]
    bus = [f"{i:04x}:01:00.0" for i in range(gpus)]
    device: dict[str, Any] = {
        "name": "NVIDIA GeForce RTX 4090",
        "compute_capability": "8.9",
        "total_bytes": TOTAL_4090 - (430 << 20),
    }
    seen = [gpu(index=i, processes=held[i], uuid=f"GPU-{i}", pci_bus_id=f"0000{bus[i]}") for i in range(gpus)]
    devices = tuple(CudaDevice(index=i, **device) for i in range(gpus))
    runs = tuple(DeviceRun(index=i, products=ran.devices[0].products) for i in range(gpus))
    readings |= {
        "gpus": known(tuple(seen)),
        "pci_gpus": known(tuple(PciGpu(address=b, device_id="0x2684", driver="nvidia") for b in bus)),
        "cuda": known(dataclasses.replace(cuda, devices=devices)),
        "torch_run": known(dataclasses.replace(ran, devices=runs)),
    }
    words = ["vllm", "serve", "/srv/models/Qwen2.5-3B-Instruct", "--tensor-parallel-size", str(gpus)]
    saved = Saved(
        facts=with_readings(Facts(), readings), intent=parse_command(words), matrix_date=load_matrix().generated
    )
    path = folder / "reading.json"
    path.write_text(json.dumps(encode(saved)))
    return path


def gpus_judged(folder: Path, n: int) -> Job:
    """All checks on a saved reading."""
    return Job(["check", "--facts", str(_saved(folder, n)), "--format", "json"])


def gpus_read(folder: Path, n: int) -> Job:
    """NVML's probe, a process on each GPU."""
    environ = {
        "LD_LIBRARY_PATH": str(build_stubs(folder)),
        "STUB_GPUS": ";".join(["NVIDIA GeForce RTX 4090|8.9|24564|24000|430"] * n),
        "STUB_COMPUTE": ",".join(f"{i}:{os.getpid()}:400" for i in range(n)),
    }
    return Job(["check", "--select", "GPU,DRV,CUD", "--final-stage", "none", "--format", "json"], environ)


# Weights: sparse files with true headers.


def _shard(path: Path, tensors: int, pad: int = 0) -> None:
    header = {f"model.layers.{i}.weight{'x' * pad}": _tensor(i) for i in range(tensors)}
    text = json.dumps(header).encode()
    with path.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        stream.truncate(8 + len(text) + tensors * 4096)


def _tensor(i: int) -> dict[str, object]:
    return {"dtype": "BF16", "shape": [32, 64], "data_offsets": [i * 4096, (i + 1) * 4096]}


def _model(folder: Path, shards: int, tensors: int) -> Path:
    model = folder / "model"
    model.mkdir()
    names = [f"model-{i + 1:05d}-of-{shards:05d}.safetensors" for i in range(shards)]
    for name in names:
        _shard(model / name, tensors)
    weight_map = {f"model.layers.{t}.{name}": name for name in names for t in range(tensors)}
    (model / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    (model / "config.json").write_text(json.dumps(small_model().config))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (model / name).write_text("{}")
    return model


def shards(folder: Path, n: int) -> Job:
    """An index and n files of 20 tensors."""
    return Job(["check", "--model", str(_model(folder, n, 20)), "--select", "MDL,CFG,VRM", "--final-stage", "none"])


def long_header(folder: Path, n: int) -> Job:
    """One file whose header takes n MB; the library refuses more than 100."""
    model = _model(folder, 1, 20)
    if n:
        name = "model-00001-of-00001.safetensors"
        each = len(json.dumps({"model.layers.100000.weight": _tensor(100_000)}))
        _shard(model / name, int(n * 1e6 / (each + 4)))
    return Job(["check", "--model", str(model), "--select", "MDL", "--final-stage", "none"])
